//! The tutorial's steps as a checklist, each with what was seen (`design.md` §1, "Steps").
//!
//! A step fails by the causes that belong to it, is unknown by what could not be looked at, and is done only when
//! something was seen to be right. Says nothing that the walk, the wire or the guests did not say.

use crate::{
    code::CauseCode,
    correlate::{Correlated, Seen, seen_text},
    finding::{Note, Walk},
    lang::{Lang, Texts},
    path_size,
    verdict::{Evidence, State, Step, StepState, Verdict},
    walk::flows,
};
use pingtong_evidence::Pair;

const NAMES: [Texts; 9] = [
    Texts { en: "prerequisites: accounts, CIDRs do not overlap", zh: "前提：账号信息、网段不冲突" },
    Texts { en: "create the initiating side", zh: "创建发起端" },
    Texts { en: "create the accepting side", zh: "创建接收端" },
    Texts { en: "add the initiator on the acceptor", zh: "在接收端添加发起端" },
    Texts { en: "add the acceptor on the initiator, connect", zh: "在发起端添加接收端并发起连接" },
    Texts { en: "routes on both sides", zh: "配置两端路由" },
    Texts { en: "security groups and network ACLs", zh: "配置安全组与网络ACL" },
    Texts { en: "ping, both directions, hosts included", zh: "双向 ping 通（含主机）" },
    Texts { en: "quality: loss, latency", zh: "质量：丢包、时延" },
];

/// Causes that mean "not done yet" rather than "done wrongly".
const UNDONE: [CauseCode; 5] = [
    CauseCode::RiMissing,
    CauseCode::RiOppositeUnset,
    CauseCode::RiNotConnected,
    CauseCode::RouteMissing,
    CauseCode::SgIngressMissing,
];

/// The name of a step; empty beyond the last.
pub fn step_name(n: u8, lang: Lang) -> &'static str {
    NAMES.get(usize::from(n)).map_or("", |name| name.get(lang))
}

pub(crate) fn steps(pair: &Pair, walk: &Walk, correlated: &Correlated, seen: &Seen, lang: Lang) -> Vec<Step> {
    (0..=8)
        .map(|n| {
            let (state, notes) = judge(n, pair, walk, correlated, seen);
            let mut evidence: Vec<Evidence> = vec![];
            for note in notes {
                let line = note.evidence(lang);
                if !evidence.contains(&line) {
                    evidence.push(line);
                }
            }
            Step { n, name: step_name(n, lang).to_owned(), state, evidence }
        })
        .collect()
}

fn judge(n: u8, pair: &Pair, walk: &Walk, correlated: &Correlated, seen: &Seen) -> (StepState, Vec<Note>) {
    let blamed: Vec<_> =
        correlated.held.iter().map(|h| &h.finding).filter(|f| f.code.step(f.side) == Some(n)).collect();
    let mut notes: Vec<Note> = blamed.iter().filter_map(|f| f.evidence.first().cloned()).collect();
    let blind: Vec<_> = walk.blinds.iter().filter(|b| b.step == n || (b.step == 4 && (1..=4).contains(&n))).collect();
    notes.extend(blind.iter().map(|b| Note::plain(b.what.clone())));
    let passes: Vec<Note> = walk.passes.iter().filter(|p| p.step == n).map(|p| p.note.clone()).collect();
    let observed: Vec<_> = flows(pair).into_iter().filter_map(|flow| seen.get(&flow).map(|s| (flow, s))).collect();
    let wire: Vec<Note> =
        observed.iter().filter(|(_, s)| s.rounds > 0).map(|(flow, s)| Note::plain(seen_text(*flow, s))).collect();
    let seen_right = match n {
        7 => {
            notes.extend(wire);
            notes.extend(passes);
            let dead = observed.iter().any(|(_, s)| s.dead());
            if dead {
                return (StepState::Failed, notes);
            }
            !observed.is_empty() && observed.iter().all(|(_, s)| s.valid() && s.alive())
        }
        8 => {
            let alive = !observed.is_empty() && observed.iter().all(|(_, s)| s.valid() && s.alive());
            if alive {
                notes.extend(wire);
                notes.extend(observed.iter().filter_map(|(flow, s)| {
                    let rtt = s.rtt?;
                    let (p50, p95, max) = (rtt.p50, rtt.p95, rtt.max);
                    let text = format!("{flow}: RTT p50 {p50}, p95 {p95}, max {max}");
                    Some(Note::plain(crate::lang::Both::new(text.clone(), text)))
                }));
                notes.extend(observed.iter().filter_map(|(flow, s)| path_size::largest(*flow, s)));
            }
            alive
        }
        _ => {
            let some = !passes.is_empty();
            notes.extend(passes);
            some
        }
    };
    let state = if blamed.iter().any(|f| !UNDONE.contains(&f.code)) {
        StepState::Failed
    } else if !blamed.is_empty() {
        StepState::NotDone
    } else if !blind.is_empty() || !seen_right {
        StepState::Unknown
    } else {
        StepState::Ok
    };
    (state, notes)
}

/// The one thing to do next.
pub(crate) fn next_step(verdict: &Verdict, lang: Lang) -> Option<String> {
    if let Some(repair) = verdict.repairs.set.first() {
        let account = &repair.account;
        let command = if repair.cli.is_empty() { repair.guest.join(" ") } else { repair.cli.join(" ") };
        return Some(match (lang, command.is_empty()) {
            (_, true) => repair.console.clone(),
            (Lang::En, false) => format!("account {account}: {command}"),
            (Lang::Zh, false) => format!("账号 {account}：{command}"),
        });
    }
    if verdict.state == State::Healthy {
        return None;
    }
    verdict
        .gaps
        .first()
        .map(|gap| gap.closes_with.clone())
        .or_else(|| verdict.suspects.first().map(|suspect| suspect.decided_by.clone()))
}
