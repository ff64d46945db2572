//! Renders the verdicts about many pairs as one answer: what is wrong is said once, with the pairs that it explains. Pairs
//! that fail come first; healthy pairs take one line each.

use super::{
    layout::{Style, Tone, columns, pick, wrapped},
    verdict::{
        commands, direction_name, fate, numbered_cause, one_gap, one_suspect, permits, settling, title, tone_of,
    },
};
use pingtong_evidence::Direction;
use pingtong_verdict::{Cause, GapNote, Lang, Repair, State, Suspect, Verdict};
use std::{collections::BTreeSet, fmt::Write as _};

/// Maximum number of pairs that are named with one cause; the list of pairs has all.
const PAIRS_NAMED: usize = 4;

/// The order of the list, worst first.
const ORDER: [State; 4] = [State::Broken, State::Degraded, State::Undecided, State::Healthy];

/// Renders the whole answer.
pub(super) fn page(verdicts: &[Verdict], style: Style) -> String {
    let mut out = String::new();
    headline(&mut out, verdicts, style);
    let causes = causes_of(verdicts);
    causes_section(&mut out, &causes, style);
    onsets(&mut out, verdicts, style);
    suspects(&mut out, verdicts, style);
    repairs(&mut out, verdicts, style);
    gaps(&mut out, verdicts, style);
    list(&mut out, verdicts, &causes, style);
    out
}

/// Things that several verdicts say, each with the verdicts that say it.
struct Shared<'v, T> {
    what: &'v T,
    of: Vec<&'v Verdict>,
}

/// Unites what is the same for several verdicts; what explains the most pairs comes first.
fn shared<'v, T: 'v>(
    verdicts: &'v [Verdict],
    items: impl Fn(&'v Verdict) -> &'v [T],
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Shared<'v, T>> {
    let mut all: Vec<Shared<'v, T>> = vec![];
    for verdict in verdicts {
        for item in items(verdict) {
            match all.iter_mut().find(|have| same(have.what, item)) {
                Some(have) if have.of.last().is_some_and(|last| std::ptr::eq(*last, verdict)) => {}
                Some(have) => have.of.push(verdict),
                None => all.push(Shared { what: item, of: vec![verdict] }),
            }
        }
    }
    all.sort_by_key(|shared| std::cmp::Reverse(shared.of.len()));
    all
}

/// Whether two verdicts blame the same object for the same reason. The words may differ: they name the pair.
fn same_cause(one: &Cause, other: &Cause) -> bool {
    one.code == other.code
        && one.side == other.side
        && one.direction == other.direction
        && one.object == other.object
        && one.certainty == other.certainty
}

fn causes_of(verdicts: &[Verdict]) -> Vec<Shared<'_, Cause>> {
    shared(verdicts, |verdict| &verdict.causes, same_cause)
}

fn headline(out: &mut String, verdicts: &[Verdict], style: Style) {
    let counts = ORDER.map(|state| (state, verdicts.iter().filter(|verdict| verdict.state == state).count()));
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| match style.lang {
            Lang::En => style.paint(tone_of(state), &format!("{count} {}", state.name(style.lang))),
            Lang::Zh => style.paint(tone_of(state), &format!("{} {count} 对", state.name(style.lang))),
        })
        .collect();
    let all = match style.lang {
        Lang::En => format!("{} pairs", verdicts.len()),
        Lang::Zh => format!("共 {} 对主机", verdicts.len()),
    };
    let (colon, comma) = (pick(style.lang, ": ", "："), pick(style.lang, ", ", "，"));
    let _ = writeln!(out, "{}{colon}{}", style.paint(Tone::Strong, &all), parts.join(comma));
    let changes: BTreeSet<&str> = verdicts.iter().flat_map(settling).collect();
    for change in changes {
        out.push_str(&wrapped(change, 2, 2));
    }
}

/// The pairs that share something, as `3 pairs: a, b, c`.
fn of_pairs(of: &[&Verdict], head: (&str, &str), lang: Lang) -> String {
    let names: Vec<&str> = of.iter().take(PAIRS_NAMED).map(|verdict| verdict.pair.id.as_str()).collect();
    let (count, names) = (of.len(), names.join(pick(lang, ", ", "，")));
    let more = count.saturating_sub(PAIRS_NAMED);
    let more = match lang {
        _ if more == 0 => String::new(),
        Lang::En => format!(" and {more} more"),
        Lang::Zh => format!(" 等，另有 {more} 对"),
    };
    match lang {
        Lang::En => format!("{} {count} {}: {names}{more}", head.0, if count == 1 { "pair" } else { "pairs" }),
        Lang::Zh => format!("{} {count} 对：{names}{more}", head.1),
    }
}

fn causes_section(out: &mut String, causes: &[Shared<'_, Cause>], style: Style) {
    if causes.is_empty() {
        return;
    }
    title(out, style, pick(style.lang, "Causes", "原因"), Some(causes.len()));
    for (n, cause) in causes.iter().enumerate() {
        numbered_cause(out, n + 1, cause.what, style);
        out.push_str(&wrapped(&of_pairs(&cause.of, ("explains", "涉及"), style.lang), 5, 7));
    }
}

fn onsets(out: &mut String, verdicts: &[Verdict], style: Style) {
    let mut texts: Vec<&str> =
        verdicts.iter().filter_map(|verdict| verdict.onset.as_ref()).map(|onset| onset.text.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    if !texts.is_empty() {
        title(out, style, pick(style.lang, "Onset", "起因"), None);
    }
    for text in texts {
        out.push_str(&wrapped(text, 2, 2));
    }
}

fn suspects(out: &mut String, verdicts: &[Verdict], style: Style) {
    let all = shared(verdicts, |verdict| &verdict.suspects, |one: &Suspect, other| one == other);
    if all.is_empty() {
        return;
    }
    title(out, style, pick(style.lang, "Suspects, none of them blamed", "疑点（均未定论）"), Some(all.len()));
    for suspect in all {
        one_suspect(out, suspect.what, style.lang);
        out.push_str(&wrapped(&of_pairs(&suspect.of, ("in", "涉及"), style.lang), 4, 6));
    }
}

fn repairs(out: &mut String, verdicts: &[Verdict], style: Style) {
    let lang = style.lang;
    let same = |one: &Repair, other: &Repair| {
        one.account == other.account && one.cli == other.cli && one.guest == other.guest && one.console == other.console
    };
    let mut set: Vec<&Repair> = vec![];
    // In the order of each verdict: it is part of the repair.
    for repair in verdicts.iter().flat_map(|verdict| &verdict.repairs.set) {
        if !set.iter().any(|have| same(have, repair)) {
            set.push(repair);
        }
    }
    if set.is_empty() {
        return;
    }
    title(out, style, pick(lang, "Repairs, in this order", "修复（按此顺序）"), Some(set.len()));
    commands(out, set, style);
    let repaired: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.repairs.set.is_empty()).collect();
    let proven = repaired.iter().filter(|verdict| verdict.repairs.proven).count();
    let all = repaired.len();
    let proof = match lang {
        Lang::En if proven == all => {
            format!("Proven in the model: they restore all {all} pairs that have a repair.")
        }
        Lang::En => format!(
            "Proven in the model for {proven} of {all} pairs; for the others the evidence does not show whether these suffice."
        ),
        Lang::Zh if proven == all => format!("已在模型中证明：可恢复有修复方案的全部 {all} 对主机。"),
        Lang::Zh => format!("{all} 对中有 {proven} 对已在模型中证明；其余的现有证据不能说明这些是否足够。"),
    };
    out.push_str(&wrapped(&proof, 2, 2));
    for opening in shared(verdicts, |verdict| &verdict.repairs.opens, |one, other| one == other) {
        permits(out, opening.what, lang);
    }
}

fn gaps(out: &mut String, verdicts: &[Verdict], style: Style) {
    let all = shared(verdicts, |verdict| &verdict.gaps, |one: &GapNote, other| one == other);
    if all.is_empty() {
        return;
    }
    title(out, style, pick(style.lang, "Not known", "未知"), Some(all.len()));
    for gap in all {
        one_gap(out, gap.what, style.lang);
        out.push_str(&wrapped(&of_pairs(&gap.of, ("in", "涉及"), style.lang), 4, 6));
    }
}

fn list(out: &mut String, verdicts: &[Verdict], causes: &[Shared<'_, Cause>], style: Style) {
    let lang = style.lang;
    title(out, style, pick(lang, "Pairs", "主机对"), Some(verdicts.len()));
    let width = ORDER.map(|state| unicode_width::UnicodeWidthStr::width(state.name(lang))).into_iter().max();
    let width = width.unwrap_or(0) + 2;
    let mut sorted: Vec<&Verdict> = verdicts.iter().collect();
    let rank = |state: State| ORDER.iter().position(|known| *known == state);
    sorted.sort_by(|a, b| (rank(a.state), &a.pair.id).cmp(&(rank(b.state), &b.pair.id)));
    for verdict in sorted {
        let name = verdict.state.name(lang);
        let gap = columns(&[(name, width), (".", 0)]).len() - name.len() - 1;
        let state = format!("{}{}", style.paint(tone_of(verdict.state), name), " ".repeat(gap));
        let own: Vec<String> = (1..)
            .zip(causes)
            .filter(|(_, cause)| cause.of.iter().any(|of| std::ptr::eq(*of, verdict)))
            .map(|(n, _): (usize, _)| n.to_string())
            .collect();
        let causes = match own.as_slice() {
            [] => String::new(),
            own => format!("  ({} {})", pick(lang, "causes", "原因"), own.join(", ")),
        };
        let _ = writeln!(out, "  {state}{}{causes}", verdict.pair.id);
        if verdict.state == State::Healthy {
            continue;
        }
        for direction in Direction::BOTH {
            let report = verdict.directions.get(direction);
            let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let (sent, received) = (report.sent, report.received);
            let (arrived, answered) = (count(report.arrived), count(report.answered));
            let counts = match lang {
                Lang::En => format!("sent {sent}, arrived {arrived}, answered {answered}, received {received}"),
                Lang::Zh => format!("发出 {sent}，到达 {arrived}，被应答 {answered}，收到应答 {received}"),
            };
            let text = format!("{} {counts}; {}", direction_name(direction, lang), fate(report, lang));
            out.push_str(&wrapped(&text, width + 2, width + 4));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::layout::WIDTH;
    use unicode_width::UnicodeWidthStr;

    /// Two pairs with the same cause, one that is open, and two healthy ones.
    fn verdicts() -> Vec<Verdict> {
        let broken: Verdict = serde_json::from_str(include_str!("testdata/verdict.json")).unwrap();
        let named = |name: &str, state: State| {
            let mut verdict = broken.clone();
            verdict.pair.id = name.parse().unwrap();
            verdict.state = state;
            if state != State::Broken {
                verdict.causes.clear();
                verdict.suspects.clear();
                verdict.repairs.set.clear();
                verdict.repairs.opens.clear();
                verdict.onset = None;
            }
            if state == State::Healthy {
                verdict.gaps.clear();
            }
            verdict
        };
        vec![
            named("p/10.0.0.1-10.1.0.1/icmp", State::Healthy),
            named("p/10.0.0.1-10.1.0.2/icmp", State::Broken),
            named("p/10.0.0.2-10.1.0.1/icmp", State::Undecided),
            named("p/10.0.0.2-10.1.0.2/icmp", State::Broken),
            named("p/10.0.0.3-10.1.0.1/icmp", State::Healthy),
        ]
    }

    fn style(lang: Lang) -> Style {
        Style { lang, colour: false, verbose: false }
    }

    #[test]
    fn what_pairs_share_is_said_once() {
        insta::assert_snapshot!(page(&verdicts(), style(Lang::En)));
    }

    #[test]
    fn the_answer_is_chinese_when_asked() {
        insta::assert_snapshot!(page(&verdicts(), style(Lang::Zh)));
    }

    #[test]
    fn failing_pairs_come_first_and_healthy_ones_take_a_line_each() {
        let page = page(&verdicts(), style(Lang::En));
        let list: Vec<&str> = page.lines().skip_while(|line| !line.starts_with("Pairs")).skip(1).collect();
        let states: Vec<&str> = list.iter().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
        let states: Vec<&str> = states.into_iter().filter(|state| !state.is_empty()).collect();
        assert_eq!(states, ["broken", "broken", "undecided", "healthy", "healthy"]);
        assert!(list.iter().rev().take(2).all(|line| line.starts_with("  healthy  ")), "{list:?}");
        assert_eq!(page.matches("explains 2 pairs").count(), verdicts()[1].causes.len());
    }

    #[test]
    fn a_hundred_pairs_with_one_cause_are_a_short_answer() {
        let one = verdicts().remove(1);
        let many: Vec<Verdict> = (0..100)
            .map(|n| {
                let mut verdict = one.clone();
                verdict.pair.id = format!("p/10.0.0.{n}-10.1.0.1/icmp").parse().unwrap();
                verdict
            })
            .collect();
        let head = |verdicts: &[Verdict]| {
            page(verdicts, style(Lang::En)).lines().take_while(|line| !line.starts_with("Pairs")).count()
        };
        assert!(head(&many) <= head(&many[..2]) + 20);
    }

    #[test]
    fn lines_fit_the_page_but_commands() {
        for lang in [Lang::En, Lang::Zh] {
            for line in page(&verdicts(), style(lang)).lines() {
                let command = line.starts_with("    aliyun") || line.contains("=$(aliyun");
                assert!(command || line.width() <= WIDTH, "{line}");
            }
        }
    }
}
