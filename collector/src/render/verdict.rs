//! Renders a verdict as a page: the pair and its state, the tutorial's checklist, what the probes showed, causes,
//! repairs, gaps.
//!
//! The short page has one line for each step, and the evidence that supports each cause; the verbose page has all
//! evidence with its sources. The page says nothing that the verdict does not contain: this module decides only the
//! order, the words of the frame and the layout.

use super::{
    layout::{Style, Tone, columns, pick, right, wrapped},
    shell,
};
use pingtong_evidence::{BandwidthSource, Direction, Endpoint, GapCode, LoadRefusal, Side};
use pingtong_verdict::{
    Cause, Changed, Cut, DirectionReport, EvidenceLine, GapNote, Lang, LoadReport, LossRate, Object, Opening, Probing,
    Repair, Repairs, State, Step, StepState, Suspect, Verdict,
};
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// Maximum number of evidence lines that the short page shows for each cause.
const EVIDENCE_SHORT: usize = 3;

/// Renders the whole page.
pub(super) fn page(verdict: &Verdict, style: Style) -> String {
    let mut out = String::new();
    heading(&mut out, verdict, style);
    conclusion(&mut out, verdict, style);
    steps(&mut out, &verdict.steps, style);
    directions(&mut out, verdict, style);
    causes(&mut out, &verdict.causes, style);
    onset(&mut out, verdict, style);
    suspects(&mut out, &verdict.suspects, style);
    repairs(&mut out, verdict, style);
    gaps(&mut out, verdict, style);
    out
}

fn heading(out: &mut String, verdict: &Verdict, style: Style) {
    let state = verdict.state.name(style.lang);
    let name = style.paint(Tone::Strong, verdict.pair.id.as_str());
    let _ = writeln!(out, "{name}  {}", style.paint(tone_of(verdict.state), state));
    for side in Side::BOTH {
        let (link, end) = (verdict.pair.link.side(side), verdict.pair.endpoint(side));
        let account = pick(style.lang, "account", "账号");
        let text = format!("{}  {} {} · {} · {}", end_name(end), account, link.account, link.region, link.vpc);
        let name = columns(&[(side_name(side, style.lang), 10)]);
        let gap = " ".repeat(11usize.saturating_sub(name.width()));
        out.push_str(&wrapped(&format!("{name}{gap}{text}"), 2, 13));
    }
}

fn steps(out: &mut String, steps: &[Step], style: Style) {
    title(out, style, pick(style.lang, "Steps", "步骤"), None);
    for step in steps {
        let (mark, tone) = match step.state {
            StepState::Ok => (step.state.mark(), Tone::Good),
            StepState::Failed | StepState::NotDone => (step.state.mark(), Tone::Bad),
            StepState::Unknown => (step.state.mark(), Tone::Open),
        };
        let note = if step.state == StepState::NotDone {
            format!("  ({})", step.state.name(style.lang))
        } else {
            String::new()
        };
        let _ = writeln!(out, "  {} {} {}{note}", style.paint(tone, &mark.to_string()), step.n, step.name);
        for evidence in step.evidence.iter().filter(|_| style.verbose) {
            evidence_line(out, evidence, 6, style);
        }
    }
}

fn directions(out: &mut String, verdict: &Verdict, style: Style) {
    let lang = style.lang;
    title(out, style, pick(lang, "Probes", "探测"), None);
    let heads = match lang {
        Lang::En => ["sent", "arrived", "answered", "received"],
        Lang::Zh => ["发出", "到达", "被应答", "收到应答"],
    };
    let cells = heads.map(|head| right(head, 9)).concat();
    let loss = pick(lang, "loss (95 % interval)", "丢失（95% 区间）");
    let _ = writeln!(out, "  {}", columns(&[("", 11), (&cells, 38), (loss, 0)]));
    for direction in Direction::BOTH {
        let report = verdict.directions.get(direction);
        let untold = || "?".to_owned();
        let cells = [
            report.sent.to_string(),
            report.arrived.map_or_else(untold, |count| count.to_string()),
            report.answered.map_or_else(untold, |count| count.to_string()),
            report.received.to_string(),
        ]
        .map(|cell| right(&cell, 9))
        .concat();
        let loss = report.loss.round_trip.map_or_else(|| "-".to_owned(), |rate| rate_text(&rate));
        let name = direction_name(direction, lang);
        let _ = writeln!(out, "  {}", columns(&[(name, 11), (&cells, 38), (&loss, 0)]));
        out.push_str(&wrapped(&fate(report, lang), 13, 13));
        for line in loads(report, lang) {
            out.push_str(&wrapped(&line, 13, 13));
        }
    }
    if let Some(line) = taken(verdict, lang) {
        out.push_str(&wrapped(&line, 2, 2));
    }
}

/// How much of the link the probes used, and how much they may use.
fn taken(verdict: &Verdict, lang: Lang) -> Option<String> {
    let Probing { budget, own, requested } = verdict.probing?;
    let mbit = |bits: u64| format!("{}.{:02}", bits / 1_000_000, bits % 1_000_000 / 10_000);
    let (forward, back) = (mbit(own.forward), mbit(own.back));
    let most = mbit(budget.steady_bits_per_s + if requested { budget.fresh_bits_per_s } else { 0 });
    let (whole, flows) = (mbit(budget.bandwidth.bits_per_s), budget.flows);
    let source = match (budget.bandwidth.source, lang) {
        (BandwidthSource::Spec, Lang::En) => "its specification",
        (BandwidthSource::Spec, Lang::Zh) => "规格",
        (BandwidthSource::Settings, Lang::En) => "the settings",
        (BandwidthSource::Settings, Lang::Zh) => "配置文件",
        (BandwidthSource::Assumed, Lang::En) => "assumed, its own is not known",
        (BandwidthSource::Assumed, Lang::Zh) => "假定值，实际带宽未知",
    };
    Some(match lang {
        Lang::En => format!(
            "the link's {flows} flows together took {forward} Mbit/s forward and {back} Mbit/s back, of {most} Mbit/s that probes may take of {whole} Mbit/s ({source})"
        ),
        Lang::Zh => format!(
            "该连接共 {flows} 条探测流，合计占用正向 {forward} Mbit/s、反向 {back} Mbit/s；探测预算 {most} Mbit/s，连接带宽 {whole} Mbit/s（{source}）"
        ),
    })
}

/// Results of a load in both directions, one line per step, or why no load was sent.
fn loads(report: &DirectionReport, lang: Lang) -> Vec<String> {
    let mbit = |bits: u64| format!("{}.{:02}", bits / 1_000_000, bits % 1_000_000 / 10_000);
    let untold = || "?".to_owned();
    let line = |step: &LoadReport| {
        let count = |told: Option<u64>| told.map_or_else(untold, |count| count.to_string());
        let rate = |told: Option<u64>| told.map_or_else(untold, mbit);
        let (offered, out, back) =
            (mbit(step.offered_bits_per_s), rate(step.out_bits_per_s()), rate(step.back_bits_per_s()));
        let (sent, arrived, answered, received) = (step.sent, count(step.arrived), count(step.answered), step.received);
        let mut text = match lang {
            Lang::En => format!(
                "load of {offered} Mbit/s: {out} Mbit/s arrive ({arrived} of {sent}), {back} Mbit/s come back ({received} of {answered} answered)"
            ),
            Lang::Zh => format!(
                "压测 {offered} Mbit/s：去程到达 {out} Mbit/s（{arrived}/{sent}），回程收到 {back} Mbit/s（{received}/{answered}）"
            ),
        };
        if step.not_sent > 0 {
            let _ = write!(
                text,
                "{} {}",
                pick(lang, "; not sent in time by the sender:", "；发送端来不及发送："),
                step.not_sent
            );
        }
        text
    };
    let refused = report.load_refused.iter().map(|why| refusal(why, lang));
    report.loads.iter().map(line).chain(refused).collect()
}

/// Why no load was sent, and what to do about it.
fn refusal(why: &LoadRefusal, lang: Lang) -> String {
    let why = match why {
        LoadRefusal::NotPermitted => pick(
            lang,
            "the agent's settings permit no load; set \"load_mbit_max\" there",
            "agent 的配置不允许压测，请在其中设置 “load_mbit_max”",
        )
        .to_owned(),
        LoadRefusal::NoRawSockets => pick(
            lang,
            "a load needs raw sockets; give the agent CAP_NET_RAW",
            "压测需要原始套接字，请授予 agent CAP_NET_RAW",
        )
        .to_owned(),
        LoadRefusal::NoTarget(address) => match lang {
            Lang::En => format!("{address} is no target that this agent probes by ICMP"),
            Lang::Zh => format!("{address} 不是该 agent 用 ICMP 探测的目标"),
        },
        LoadRefusal::RateTooLow(rate) => match lang {
            Lang::En => format!("half of \"rate_pps_max\" ({rate}) carries less than 1 Mbit/s; raise it"),
            Lang::Zh => format!("“rate_pps_max”（{rate}）的一半不足 1 Mbit/s，请调大"),
        },
        LoadRefusal::Words(words) => words.clone(),
    };
    format!("{}: {why}", pick(lang, "no load was sent", "未进行压测"))
}

/// Where packets were lost, where the configuration predicts it, and which part of the round trip lost some.
pub(super) fn fate(report: &DirectionReport, lang: Lang) -> String {
    let mut text = format!("{}: {}", pick(lang, "observed", "观测"), report.cut.name(lang));
    if report.predicted == Cut::Unknown {
        text.push_str(pick(lang, "; the configuration that is visible predicts nothing", "；可见的配置不足以预测"));
    } else if report.predicted != report.cut {
        let _ = write!(text, "; {}: {}", pick(lang, "predicted", "预测"), report.predicted.name(lang));
    }
    let legs = [
        (report.loss.request, pick(lang, "request", "请求")),
        (report.loss.host, pick(lang, "host", "主机")),
        (report.loss.reply, pick(lang, "reply", "应答")),
    ];
    for (rate, leg) in legs {
        if let Some(rate) = rate.filter(|rate| rate.lost > 0 && rate.lost < rate.of) {
            let _ = write!(text, "; {leg} {} {}/{}", pick(lang, "lost", "丢失"), rate.lost, rate.of);
        }
    }
    if report.send_errors > 0 {
        let _ = write!(
            text,
            "; {}: {}",
            pick(lang, "refused by the sender's kernel", "被发送方内核拒绝"),
            report.send_errors
        );
    }
    if let Some(rtt) = report.rtt {
        let _ = write!(text, "; RTT {} / p95 {}", rtt.p50, rtt.p95);
    }
    text
}

fn conclusion(out: &mut String, verdict: &Verdict, style: Style) {
    let lang = style.lang;
    out.push('\n');
    let sentence = match (verdict.state, lang) {
        (State::Healthy, Lang::En) => "Healthy: every probe of both directions that counts got through.".to_owned(),
        (State::Healthy, Lang::Zh) => "健康：两个方向的有效探测都能通过。".to_owned(),
        (State::Degraded, Lang::En) => "Degraded: packets get through, with losses that are proven.".to_owned(),
        (State::Degraded, Lang::Zh) => "劣化：能通，但存在已证实的丢包。".to_owned(),
        (State::Broken, Lang::En) if verdict.causes.is_empty() => {
            "Broken: packets die, and the evidence blames no single cause; suspects and gaps are below.".to_owned()
        }
        (State::Broken, Lang::Zh) if verdict.causes.is_empty() => {
            "不通：报文丢失，但证据还不能认定唯一原因；疑点与缺口见下。".to_owned()
        }
        (State::Broken, Lang::En) => {
            format!("Broken: {} to act on, below.", count_of(verdict.causes.len(), "cause", "causes"))
        }
        (State::Broken, Lang::Zh) => format!("不通：有 {} 个原因需要处理，见下。", verdict.causes.len()),
        (State::Undecided, Lang::En) => {
            "Undecided: the observations do not decide; the gaps below say what would.".to_owned()
        }
        (State::Undecided, Lang::Zh) => "无法判定：观测不足以下结论；下面的缺口说明还需要什么。".to_owned(),
    };
    out.push_str(&wrapped(&sentence, 2, 2));
    if let Some(since) = verdict.determining_since {
        let seconds = verdict.asked_at.since(since).as_secs();
        let text = match lang {
            Lang::En => format!("The cause is being determined, {seconds} s so far."),
            Lang::Zh => format!("正在查明原因，已 {seconds} 秒。"),
        };
        out.push_str(&wrapped(&text, 2, 2));
    }
    for change in settling(verdict) {
        out.push_str(&wrapped(change, 2, 2));
    }
    // The text of a change that is settling has the same figures.
    for changed in verdict.changed.iter().filter(|_| settling(verdict).next().is_none()) {
        out.push_str(&wrapped(&changed_text(changed, lang), 2, 2));
    }
    if let Some(next) = next_step(verdict, lang) {
        out.push_str(&wrapped(&format!("{}: {next}", pick(lang, "Next step", "下一步")), 2, 4));
    }
    let mut times = format!("{} {}", pick(lang, "asked", "提问"), verdict.asked_at);
    if let Some(at) = verdict.evidence_at {
        let _ = write!(times, ", {} {at}", pick(lang, "evidence", "证据"));
    }
    let _ = writeln!(out, "  {}", style.paint(Tone::Faint, &times));
}

/// A change that the probes met.
fn changed_text(changed: &Changed, lang: Lang) -> String {
    let Changed { direction, at, before, after } = changed;
    let (way, from, to) = (direction_name(*direction, lang), before, after);
    match lang {
        Lang::En => format!(
            "Changed at {at}, {way}: before it {} of {} probes were answered, after it {} of {}.",
            from.received, from.sent, to.received, to.sent
        ),
        Lang::Zh => format!(
            "{at} 时{way}发生变化：此前 {} 个探测中有 {} 个应答，此后 {} 个中有 {} 个。",
            from.sent, from.received, to.sent, to.received
        ),
    }
}

/// A change of the configuration that may not be in effect yet: how long ago it was, and when the state is confirmed.
pub(super) fn settling(verdict: &Verdict) -> impl Iterator<Item = &str> {
    let unconfirmed = |gap: &&GapNote| gap.code == GapCode::ConfigStale && gap.side.is_none();
    verdict.gaps.iter().filter(unconfirmed).map(|gap| gap.what.as_str())
}

/// What to do next, and who does it. A command appears only once on the page, with the repairs; this line names its
/// step instead.
fn next_step(verdict: &Verdict, lang: Lang) -> Option<String> {
    let next = verdict.next_step.as_ref()?;
    let set = &verdict.repairs.set;
    let commands = set.iter().map(|repair| if repair.cli.is_empty() { &repair.guest } else { &repair.cli });
    let who = commands.filter(|words| !words.is_empty()).find_map(|words| next.strip_suffix(&words.join(" ")));
    let open = |step: &&Step| (1..=7).contains(&step.n) && matches!(step.state, StepState::Failed | StepState::NotDone);
    let Some((who, step)) = who.zip(verdict.steps.iter().find(open)) else { return Some(next.clone()) };
    let who = who.trim_end_matches([':', '：', ' ']);
    let comma = pick(lang, ", ", "，");
    Some(format!("{who}{}{}{comma}{}", pick(lang, ": step ", "：步骤 "), step.n, step.name))
}

fn causes(out: &mut String, causes: &[Cause], style: Style) {
    if causes.is_empty() {
        return;
    }
    title(out, style, pick(style.lang, "Causes", "原因"), Some(causes.len()));
    for (n, cause) in causes.iter().enumerate() {
        numbered_cause(out, n + 1, cause, style);
    }
}

pub(super) fn numbered_cause(out: &mut String, n: usize, cause: &Cause, style: Style) {
    let way =
        cause.direction.map_or_else(String::new, |direction| format!(", {}", direction_name(direction, style.lang)));
    let head = format!("{n}. {} [{}{way}]", cause.code, cause.certainty.name(style.lang));
    let _ = writeln!(out, "  {}", style.paint(Tone::Bad, &head));
    let sentence = cause.sentence(style.lang);
    if !cause.explain.starts_with(&sentence) {
        out.push_str(&wrapped(&sentence, 5, 5));
    }
    out.push_str(&wrapped(&cause.explain, 5, 5));
    let news = cause.evidence.iter().filter(|evidence| style.verbose || !cause.explain.contains(&evidence.text));
    for evidence in news.take(if style.verbose { usize::MAX } else { EVIDENCE_SHORT }) {
        evidence_line(out, evidence, 5, style);
    }
}

fn onset(out: &mut String, verdict: &Verdict, style: Style) {
    if let Some(onset) = &verdict.onset {
        title(out, style, pick(style.lang, "Onset", "起因"), None);
        out.push_str(&wrapped(&onset.text, 2, 2));
    }
}

fn suspects(out: &mut String, suspects: &[Suspect], style: Style) {
    if suspects.is_empty() {
        return;
    }
    let lang = style.lang;
    title(out, style, pick(lang, "Suspects, none of them blamed", "疑点（均未定论）"), Some(suspects.len()));
    for suspect in suspects {
        one_suspect(out, suspect, lang);
    }
}

pub(super) fn one_suspect(out: &mut String, suspect: &Suspect, lang: Lang) {
    let codes = suspect.codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(pick(lang, " or ", " 或 "));
    let side = suspect.side.map_or_else(String::new, |side| format!(" · {}", side_name(side, lang)));
    let object = suspect.object.as_ref().map_or_else(String::new, |object| format!(" · {}", object_name(object, lang)));
    out.push_str(&wrapped(&format!("? {codes}{side}{object}"), 2, 4));
    out.push_str(&wrapped(&format!("{}: {}", pick(lang, "decided by", "由此判定"), suspect.decided_by), 4, 4));
}

fn repairs(out: &mut String, verdict: &Verdict, style: Style) {
    let (repairs, lang): (&Repairs, Lang) = (&verdict.repairs, style.lang);
    if repairs.set.is_empty() {
        return;
    }
    title(out, style, pick(lang, "Repairs, in this order", "修复（按此顺序）"), Some(repairs.set.len()));
    commands(out, &repairs.set, style);
    let proof = match (repairs.minimal, repairs.proven, lang) {
        (true, true, Lang::En) => "Proven in the model: all of them restore the pair both ways, none can be left out.",
        (true, true, Lang::Zh) => "已在模型中证明：全部执行后双向恢复，缺一不可。",
        (false, true, Lang::En) => "Proven in the model: all of them restore the pair; perhaps fewer would.",
        (false, true, Lang::Zh) => "已在模型中证明：全部执行后恢复；或许更少也够。",
        (_, false, Lang::En) => "Not proven: the evidence does not show whether these suffice.",
        (_, false, Lang::Zh) => "未经证明：现有证据不能说明这些是否足够。",
    };
    out.push_str(&wrapped(proof, 2, 2));
    for opening in &repairs.opens {
        permits(out, opening, lang);
    }
}

pub(super) fn permits(out: &mut String, opening: &Opening, lang: Lang) {
    let Opening { source, destination, protocol, ports, .. } = opening;
    let also = pick(lang, "this also permits", "同时会放行");
    out.push_str(&wrapped(&format!("! {also} {source} → {destination} {protocol} {ports}"), 2, 4));
}

/// Lists repairs, each with the account that runs it.
pub(super) fn commands<'r>(out: &mut String, set: impl IntoIterator<Item = &'r Repair>, style: Style) {
    let lang = style.lang;
    let mut who = None;
    for repair in set {
        // A new heading only where the account changes: the order is part of the repair.
        let actor = (&repair.account, repair.side);
        if who != Some(actor) {
            who = Some(actor);
            let head = match lang {
                Lang::En => format!("account {} ({})", repair.account, side_name(repair.side, lang)),
                Lang::Zh => format!("账号 {}（{}）", repair.account, side_name(repair.side, lang)),
            };
            let _ = writeln!(out, "  {}", style.paint(Tone::Strong, &head));
        }
        if !repair.console.is_empty() {
            out.push_str(&comment(&format!("{}: {}", repair.code, repair.console)));
        }
        if let Some(instance) = repair.instance.as_ref().filter(|_| !repair.guest.is_empty()) {
            out.push_str(&comment(&format!("{} {instance}", pick(lang, "run inside instance", "在实例内运行"))));
        }
        // Never wrapped, so that a command can be copied as it is.
        for line in shell::repair_lines(repair) {
            let _ = writeln!(out, "    {line}");
        }
    }
}

fn comment(text: &str) -> String {
    // Wrap with an indentation that the comment sign then replaces.
    wrapped(text, 6, 6).lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    # {}", line.trim_start());
        out
    })
}

fn gaps(out: &mut String, verdict: &Verdict, style: Style) {
    if verdict.gaps.is_empty() {
        return;
    }
    let lang = style.lang;
    title(out, style, pick(lang, "Not known", "未知"), Some(verdict.gaps.len()));
    for gap in &verdict.gaps {
        one_gap(out, gap, lang);
    }
}

pub(super) fn one_gap(out: &mut String, gap: &GapNote, lang: Lang) {
    let side = gap.side.map_or_else(String::new, |side| format!(" ({})", side_name(side, lang)));
    out.push_str(&wrapped(&format!("? {}{side}: {}", gap.code, gap.what), 2, 4));
    if !gap.closes_with.is_empty() {
        out.push_str(&wrapped(&format!("{}: {}", pick(lang, "closes with", "补上的办法"), gap.closes_with), 4, 4));
    }
}

fn evidence_line(out: &mut String, evidence: &EvidenceLine, indent: usize, style: Style) {
    let mut text = format!("· {}", evidence.text);
    let source: Vec<String> = [
        evidence.account.as_ref().map(ToString::to_string),
        evidence.api.clone(),
        evidence.request_id.clone().filter(|id| !id.is_empty()),
        evidence.at.map(|at| at.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if style.verbose && evidence.api.is_some() {
        let _ = write!(text, " [{}]", source.join(" "));
    }
    for line in wrapped(&text, indent, indent + 2).lines() {
        let _ = writeln!(out, "{}", style.paint(Tone::Faint, line));
    }
}

pub(super) fn title(out: &mut String, style: Style, text: &str, count: Option<usize>) {
    let count = count.map_or_else(String::new, |count| format!(" ({count})"));
    let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, &format!("{text}{count}")));
}

pub(super) fn tone_of(state: State) -> Tone {
    match state {
        State::Healthy => Tone::Good,
        State::Degraded | State::Undecided => Tone::Open,
        State::Broken => Tone::Bad,
    }
}

fn rate_text(rate: &LossRate) -> String {
    format!("{:.1} % ({:.1}–{:.1})", rate.rate * 100.0, rate.low * 100.0, rate.high * 100.0)
}

fn count_of(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn end_name(end: &Endpoint) -> String {
    match (&end.agent, &end.instance) {
        (Some(agent), Some(instance)) => format!("{} · {agent} · {instance}", end.address),
        (Some(agent), None) => format!("{} · {agent}", end.address),
        (None, Some(instance)) => format!("{} · {instance}", end.address),
        (None, None) => end.address.to_string(),
    }
}

fn object_name(object: &Object, lang: Lang) -> String {
    format!("{} {}", object.kind.name(lang), object.id)
}

fn side_name(side: Side, lang: Lang) -> &'static str {
    match side {
        Side::Initiator => pick(lang, "initiator", "发起端"),
        Side::Acceptor => pick(lang, "acceptor", "接收端"),
    }
}

pub(super) fn direction_name(direction: Direction, lang: Lang) -> &'static str {
    match direction {
        Direction::Forward => pick(lang, "forward →", "正向 →"),
        Direction::Return => pick(lang, "return ←", "反向 ←"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::WIDTH;
    use super::*;

    fn verdict() -> Verdict {
        serde_json::from_str(include_str!("testdata/verdict.json")).unwrap()
    }

    #[test]
    fn the_page_holds_everything_in_english() {
        insta::assert_snapshot!(page(&verdict(), Style { lang: Lang::En, colour: false, verbose: true }));
    }

    #[test]
    fn the_short_page_leads_with_the_conclusion() {
        insta::assert_snapshot!(page(&verdict(), Style { lang: Lang::En, colour: false, verbose: false }));
    }

    #[test]
    fn the_frame_is_chinese_when_asked() {
        insta::assert_snapshot!(page(&verdict(), Style { lang: Lang::Zh, colour: false, verbose: true }));
    }

    #[test]
    fn lines_fit_the_page_but_commands_which_are_copied_whole() {
        for lang in [Lang::En, Lang::Zh] {
            for line in page(&verdict(), Style { lang, colour: false, verbose: true }).lines() {
                let command = line.starts_with("    aliyun") || line.contains("=$(aliyun");
                assert!(command || line.width() <= WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn a_settling_change_and_an_open_cause_stand_beside_the_state() {
        let mut verdict = verdict();
        let (what, closes_with) = ("the configuration of account 1 changed 4 s ago".to_owned(), String::new());
        verdict.gaps.push(GapNote { code: GapCode::ConfigStale, what: what.clone(), closes_with, side: None });
        let since = verdict.asked_at.as_millis() - 7_000;
        verdict.determining_since = Some(pingtong_evidence::Timestamp::from_millis(since));
        let page = page(&verdict, Style { lang: Lang::En, colour: false, verbose: false });
        let head = page.split("Steps").next().unwrap();
        assert!(head.contains(&what) && head.contains("being determined, 7 s so far"), "{head}");
    }

    #[test]
    fn colour_changes_no_character() {
        let plain = page(&verdict(), Style { lang: Lang::En, colour: false, verbose: false });
        let mut coloured = page(&verdict(), Style { lang: Lang::En, colour: true, verbose: false });
        assert!(coloured.contains("\u{1b}[31m"));
        for code in ["0", "1", "2", "31", "32", "33"] {
            coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(plain, coloured);
    }
}
