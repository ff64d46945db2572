//! The result of a run: as JSON, with one line per target and a last line for the total, and as text in two languages.

use super::{
    observe::{Arrivals, Observer, arrivals_line},
    session::Session,
};
use crate::{Exit, Lang, render};
use nix::{
    errno::Errno,
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    },
};
use pingtong_evidence::SCHEMA;
use pingtong_probe::{ErrorKind, RttFigures, SeriesError, Share, Tally};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _, io, net::IpAddr, time::Duration};

/// What sent and received the packets, and how exact that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Engine {
    /// `raw`, or `portable` for surge-ping.
    pub(super) name: &'static str,
    /// Source of the times.
    pub(super) timestamps: &'static str,
    /// How replies are received from the kernel.
    pub(super) replies: &'static str,
    /// Maximum error of a time in microseconds; `None` if the kernel made both stamps.
    pub(super) accuracy_us: Option<u64>,
}

/// Prints the result in the requested form.
///
/// # Errors
/// Fails if standard output is closed.
pub(super) fn print(session: &Session, engine: Engine, json: bool, quiet: bool, lang: Lang) -> io::Result<()> {
    if json { print_json(session, engine) } else { print_text(session, engine, quiet, lang) }
}

/// The exit code of the run.
pub(super) fn exit_of(session: &Session) -> Exit {
    let tally = session.sweep.total();
    let watched = session.observer.is_some() && session.sweep.targets().is_empty();
    let decided = tally.received + tally.late + tally.lost + tally.refused;
    let wrong = tally.late + tally.lost + tally.refused;
    if watched || (decided > 0 && wrong + tally.excused == 0) {
        Exit::Fine
    } else if decided == 0 || wrong == 0 {
        Exit::Undecided
    } else {
        Exit::Bad
    }
}

fn print_json(session: &Session, engine: Engine) -> io::Result<()> {
    let sweep = &session.sweep;
    let mut out = Lines::default();
    let mut alive = 0;
    for figures in (0..sweep.targets().len()).filter_map(|target| sweep.figures(target).map(|all| (target, all))) {
        let (target, figures) = figures;
        alive += u64::from(figures.tally.received + figures.tally.late > 0);
        let senders = sweep.errors_of(target);
        let mut errors: BTreeMap<String, u64> = BTreeMap::new();
        for error in &senders {
            *errors.entry(name(error.kind)).or_default() += error.count;
        }
        let from = |error: &SeriesError| Some(Sender { kind: name(error.kind), from: error.from?, count: error.count });
        out.json(&TargetLine {
            schema: SCHEMA,
            target: figures.address,
            name: session.targets.names.get(&target).map(String::as_str),
            counts: Counts::of(figures.tally),
            errors,
            errors_from: senders.iter().filter_map(from).collect(),
            answered: figures.tally.answered().map(|share| share.rate),
            loss: figures.tally.loss().map(Loss::of),
            rtt_us: figures.rtt.as_ref().map(Rtt::of),
        })?;
    }
    if let Some(observer) = &session.observer {
        for (source, row) in observer.rows() {
            let mut line = arrivals(row);
            line.insert("schema".into(), json!(SCHEMA));
            line.insert("source".into(), json!(source));
            out.json(&line)?;
        }
    }
    let summary = summary(session, engine, alive);
    out.json(&json!({"schema": SCHEMA, "summary": summary}))?;
    out.end()
}

/// JSON line of one target. There may be a quarter of a million of these, so they are serialised directly, without
/// building a JSON value first.
#[derive(Serialize)]
struct TargetLine<'a> {
    schema: u32,
    target: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(flatten)]
    counts: Counts,
    errors: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors_from: Vec<Sender>,
    answered: Option<f64>,
    loss: Option<Loss>,
    rtt_us: Option<Rtt>,
}

#[derive(Serialize)]
struct Sender {
    kind: String,
    from: IpAddr,
    count: u64,
}

#[derive(Serialize)]
struct Counts {
    sent: u64,
    received: u64,
    late: u64,
    lost: u64,
    undecided: u64,
    duplicates: u64,
    refused: u64,
    rejected: u64,
}

impl Counts {
    fn of(tally: Tally) -> Self {
        Self {
            sent: tally.sent,
            received: tally.received,
            late: tally.late,
            lost: tally.lost,
            undecided: tally.open + tally.excused,
            duplicates: tally.duplicates,
            refused: tally.refused,
            rejected: tally.rejected,
        }
    }
}

#[derive(Serialize)]
struct Loss {
    rate: f64,
    low: f64,
    high: f64,
}

impl Loss {
    fn of(share: Share) -> Self {
        Self { rate: share.rate, low: share.low, high: share.high }
    }
}

/// Round-trip times in microseconds.
#[derive(Serialize)]
struct Rtt {
    samples: u64,
    min: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
    mean: f64,
    jitter: f64,
    percentiles_off_by: f64,
}

impl Rtt {
    fn of(rtt: &RttFigures) -> Self {
        // Times have a resolution of nanoseconds; more digits would be those of the division.
        let us = |time: Duration| (time.as_secs_f64() * 1e9).round() / 1e3;
        Self {
            samples: rtt.samples,
            min: us(rtt.min),
            p50: us(rtt.p50),
            p95: us(rtt.p95),
            p99: us(rtt.p99),
            max: us(rtt.max),
            mean: us(rtt.mean),
            jitter: us(rtt.jitter),
            percentiles_off_by: (rtt.relative_error * 1e4).round() / 1e4,
        }
    }
}

/// Lines of output, many per write: there may be a quarter of a million.
#[derive(Default)]
struct Lines(Vec<u8>);

/// Bytes per write.
const CALL_BYTES: usize = 1 << 16;

impl Lines {
    fn json(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.line("")
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.0.extend_from_slice(line.as_bytes());
        self.0.push(b'\n');
        if self.0.len() < CALL_BYTES {
            return Ok(());
        }
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.0);
        render::frame(&String::from_utf8_lossy(&lines))
    }
}

fn summary(session: &Session, engine: Engine, alive: u64) -> Map<String, Value> {
    let sweep = &session.sweep;
    let odd = sweep.oddities();
    let mut line = match json!(Counts::of(sweep.total())) {
        Value::Object(line) => line,
        _ => Map::new(),
    };
    let errors: Map<String, Value> = sweep.errors().iter().map(|(kind, count)| (name(*kind), json!(count))).collect();
    let mut loss = json!(sweep.total().loss().map(Loss::of));
    if let Value::Object(loss) = &mut loss {
        loss.insert("attributable".into(), json!(odd.own_drops == 0));
    }
    let mut set = |key: &str, value: Value| line.insert(key.into(), value);
    set("targets", json!(sweep.targets().len()));
    set("alive", json!(alive));
    set("errors", errors.into());
    set("loss", loss);
    set("rtt_us", json!(sweep.total_rtt().as_ref().map(Rtt::of)));
    set("seconds", json!(session.clock.mono().saturating_sub(session.began).as_secs_f64()));
    set("rate_pps", json!(rate(session)));
    set("own_drops", json!(odd.own_drops));
    set("foreign", json!(odd.foreign));
    set("misdirected", json!(odd.misdirected));
    set("forgotten", json!(odd.forgotten));
    set("unsent", json!(odd.unsent));
    set("unsent_answered", json!(odd.unsent_answered));
    set("unstamped", json!(odd.unstamped));
    set("interrupted", json!(session.interrupted));
    set("engine", json!(engine.name));
    set("timestamps", json!(engine.timestamps));
    set("replies", json!(engine.replies));
    set("accuracy_us", json!(engine.accuracy_us));
    if let Some(observer) = &session.observer {
        let mut all = arrivals(observer.total());
        all.insert("own_drops".into(), json!(observer.own_drops));
        set("arrivals", all.into());
    }
    let (user, sys, rss) = usage();
    set("cpu_seconds", json!({"user": user, "sys": sys}));
    set("rss_kib_max", json!(rss));
    line
}

fn arrivals(row: Arrivals) -> Map<String, Value> {
    let counts = [("on_wire", row.on_wire), ("accepted", row.accepted), ("replies_left", row.replies_left)];
    counts.into_iter().map(|(key, count)| (key.to_owned(), json!(count))).collect()
}

/// Probes per second between the first and the last.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn rate(session: &Session) -> f64 {
    let (first, last) = (session.first_sent.unwrap_or_default(), session.last_sent.unwrap_or_default());
    let span = last.saturating_sub(first).as_secs_f64();
    let sent = session.sweep.total().sent.saturating_sub(1);
    if span > 0.0 { sent as f64 / span } else { 0.0 }
}

/// Seconds in user code and in the kernel, and the largest resident size in KiB.
fn usage() -> (f64, f64, i64) {
    getrusage(UsageWho::RUSAGE_SELF).map_or((0.0, 0.0, 0), |usage| {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one process")]
        let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 / 1e6;
        (seconds(usage.user_time()), seconds(usage.system_time()), peak_kib().unwrap_or(usage.max_rss()))
    })
}

/// Peak memory of this process. What `getrusage` returns includes the memory of the program that started this one.
fn peak_kib() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

/// The name of a kind of error: `EPERM`, `unreachable-admin-prohibited`.
pub(super) fn name(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Refused(errno) => match Errno::from_raw(errno) {
            Errno::UnknownErrno => format!("errno-{errno}"),
            known => format!("{known:?}"),
        },
        ErrorKind::Icmp { .. } => kind.icmp_name().unwrap_or_default(),
    }
}

fn print_text(session: &Session, engine: Engine, quiet: bool, lang: Lang) -> io::Result<()> {
    let mut out = Lines::default();
    if !quiet {
        for target in 0..session.sweep.targets().len() {
            out.line(&target_line(session, target, lang))?;
        }
        for (source, row) in session.observer.iter().flat_map(Observer::rows) {
            let source = source.map_or_else(|| lang.pick("其他来源", "other sources").to_owned(), |a| a.to_string());
            out.line(&arrivals_line(&source, row, lang))?;
        }
    }
    out.line(&summary_lines(session, engine, lang).join("\n"))?;
    out.end()
}

fn target_line(session: &Session, target: usize, lang: Lang) -> String {
    let Some(figures) = session.sweep.figures(target) else { return String::new() };
    let mut line = match session.targets.names.get(&target) {
        Some(name) => format!("{name} ({})", figures.address),
        None => format!("{:<15}", figures.address),
    };
    write_tally(&mut line, figures.tally, lang);
    write_rtt(&mut line, figures.rtt.as_ref(), lang);
    for error in session.sweep.errors_of(target) {
        let _ = write!(line, "  {}", name(error.kind));
        if let Some(from) = error.from {
            let _ = write!(line, " {} {from}", lang.pick("来自", "from"));
        }
        let _ = write!(line, " × {}", error.count);
    }
    line
}

fn summary_lines(session: &Session, engine: Engine, lang: Lang) -> Vec<String> {
    let sweep = &session.sweep;
    let mut lines = vec![];
    if !sweep.targets().is_empty() {
        let alive = (0..sweep.targets().len())
            .filter_map(|target| sweep.tally(target))
            .filter(|tally| tally.received + tally.late > 0)
            .count();
        let mut line = match lang {
            Lang::Zh => format!("共 {} 个目标，{alive} 个有应答", sweep.targets().len()),
            Lang::En => format!("{} targets, {alive} answer", sweep.targets().len()),
        };
        write_tally(&mut line, sweep.total(), lang);
        write_rtt(&mut line, sweep.total_rtt().as_ref(), lang);
        lines.push(line);
        let errors: Vec<String> =
            sweep.errors().iter().map(|(kind, count)| format!("{} × {count}", name(*kind))).collect();
        if !errors.is_empty() {
            lines.push(format!("{} {}", lang.pick("错误：", "errors:"), errors.join(", ")));
        }
        lines.push(format!(
            "{:.3} s, {:.0} pps, {}: {} ({})",
            session.clock.mono().saturating_sub(session.began).as_secs_f64(),
            rate(session),
            lang.pick("引擎", "engine"),
            engine.name,
            engine.timestamps,
        ));
    }
    if let Some(observer) = &session.observer {
        lines.push(arrivals_line(lang.pick("到达合计", "arrived in all"), observer.total(), lang));
    }
    lines.extend(warnings(session, lang));
    lines
}

fn warnings(session: &Session, lang: Lang) -> Vec<String> {
    let odd = session.sweep.oddities();
    let total = session.sweep.total();
    [
        (odd.own_drops, "本机接收队列丢弃的报文数：", "packets dropped by this host's own queues:"),
        (
            total.excused,
            "因此无法判定、不计为丢失的探测数：",
            "probes that nobody can decide for that, and that are not counted as lost:",
        ),
        (total.open, "中断时尚无结果的探测数：", "probes still on their way when interrupted:"),
        (odd.foreign, "标识符相同但不属于本次运行的应答数：", "replies with our identifier that are not ours:"),
        (odd.misdirected, "来自未探测地址的应答数：", "answers from addresses that were not asked:"),
        (odd.forgotten, "太旧而无法判定的应答数：", "answers too old to distinguish late from duplicate:"),
        (odd.unsent, "未能发出的探测数：", "probes that found no room to be sent:"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, zh, en)| format!("{} {count}", lang.pick(zh, en)))
    .collect()
}

fn write_tally(line: &mut String, tally: Tally, lang: Lang) {
    let _ = match lang {
        Lang::Zh => write!(line, "  发送 {}  收到 {}", tally.sent, tally.received),
        Lang::En => write!(line, "  sent {}  received {}", tally.sent, tally.received),
    };
    if let Some(loss) = tally.loss() {
        let percent = |share: f64| share * 100.0;
        let _ = write!(
            line,
            "  {} {} ({:.2}% [{:.2}–{:.2}])",
            lang.pick("丢失", "lost"),
            tally.lost,
            percent(loss.rate),
            percent(loss.low),
            percent(loss.high)
        );
    }
    for (count, zh, en) in [
        (tally.late, "迟到", "late"),
        (tally.duplicates, "重复", "duplicate"),
        (tally.refused, "本机拒绝", "refused here"),
        (tally.rejected, "被拒绝", "rejected"),
    ] {
        if count > 0 {
            let _ = write!(line, "  {} {count}", lang.pick(zh, en));
        }
    }
}

fn write_rtt(line: &mut String, rtt: Option<&RttFigures>, lang: Lang) {
    let Some(rtt) = rtt else { return };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let _ = write!(
        line,
        "  {} {:.3}/{:.3}/{:.3}/{:.3} {} {:.3} ms",
        lang.pick("最小/p50/p99/最大", "min/p50/p99/max"),
        ms(rtt.min),
        ms(rtt.p50),
        ms(rtt.p99),
        ms(rtt.max),
        lang.pick("抖动", "jitter"),
        ms(rtt.jitter)
    );
}
