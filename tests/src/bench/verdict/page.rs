//! The figures of `bench verdict`, for people.

use super::{Accuracy, Miss, Proof, Report};
use pingtong_verdict::Lang;
use std::fmt::Write as _;

/// Maximum number of misses shown to people; JSON lists more.
const SHOWN_MAX: usize = 12;

/// One page of text.
pub fn page(report: &Report, lang: Lang) -> String {
    let say = |en: &'static str, zh: &'static str| if lang == Lang::Zh { zh } else { en };
    let mut out = String::new();
    for (name, accuracy) in [
        (say("single faults", "单个故障"), &report.singles),
        (say("pairs of faults", "两个故障"), &report.pairs),
        (say("three faults", "三个故障"), &report.triples),
    ] {
        let Accuracy { exact, total, rate, impossible, .. } = accuracy;
        let (percent, of, not) = (rate * 100.0, say("exact of", "完全一致，共"), say("cannot be drawn", "无法构造"));
        let _ = writeln!(out, "{name}: {exact} {of} {total} ({percent:.2} %); {not}: {impossible}");
        misses(&mut out, &accuracy.misses, lang);
    }
    let healthy = &report.healthy;
    let (name, blamed, not) = (
        say("healthy networks", "健康网络"),
        say("causes blamed", "被指认的原因"),
        say("not found healthy", "未判为健康"),
    );
    let _ = writeln!(out, "{name}: {}; {blamed}: {}; {not}: {}", healthy.sets, healthy.causes, healthy.not_healthy);
    misses(&mut out, &healthy.misses, lang);
    let lying = &report.lying;
    let (name, blamed) =
        (say("lying evidence of healthy networks", "健康网络的失实证据"), say("faults blamed", "被指认的故障"));
    let _ = writeln!(out, "{name}: {}; {blamed}: {}", lying.sets, lying.fault_causes);
    misses(&mut out, &lying.misses, lang);
    proof(&mut out, say("incomplete evidence", "不完整的证据"), &report.parts, lang);
    proof(&mut out, say("guests with habits", "带有各种处理的主机"), &report.guests, lang);
    let repairs = &report.repairs;
    let (name, of, minimal) = (
        say("repairs carried out as printed", "按原样执行修复"),
        say("restored of", "恢复，共"),
        say("minimal", "最小"),
    );
    let _ = writeln!(
        out,
        "{name}: {} {of} {}; {minimal}: {} / {}; p50 {:.3} ms, p99 {:.3} ms",
        repairs.restored,
        repairs.cases,
        repairs.minimal_by_brute_force,
        repairs.tried_by_parts,
        repairs.time.p50_ms,
        repairs.time.p99_ms
    );
    for failure in repairs.misses.iter().take(SHOWN_MAX) {
        let (seed, faults, why) = (failure.seed, failure.faults.join(" + "), &failure.why);
        let _ = writeln!(out, "  [{seed}] {faults}\n    {why}\n    {}", failure.commands.join("\n    "));
    }
    let (determinism, diagnose) = (&report.determinism, &report.diagnose);
    let name = say("same verdict on shuffled evidence", "证据乱序后结论不变");
    let _ = writeln!(out, "{name}: {} / {}", determinism.identical, determinism.sets);
    let name = say("one verdict", "一次结论耗时");
    let _ = writeln!(out, "{name}: p50 {:.3} ms, p99 {:.3} ms", diagnose.p50_ms, diagnose.p99_ms);
    let estate = &report.estate;
    let (vpcs, walks, pairs) =
        (say("VPCs", "个专有网络"), say("walks/s", "次走查/秒"), say("pairs audited in", "对主机审计用时"));
    let again = say("again after one changed rule", "改一条规则后重新审计");
    let _ = writeln!(
        out,
        "{} {vpcs}: {:.0} {walks}; {} {pairs} {:.3} s; {again}: {:.1} ms",
        estate.vpcs, estate.walks_per_second, estate.audit_pairs, estate.audit_seconds, estate.reaudit_ms
    );
    if report.met {
        let _ = writeln!(out, "{}", say("every target is met", "全部目标达成"));
    } else {
        let _ = writeln!(out, "{}: {}", say("targets missed", "未达目标"), report.missed.join("; "));
    }
    out
}

fn proof(out: &mut String, name: &str, proof: &Proof, lang: Lang) {
    let Proof { sets, proven, false_proven, false_healthy, speechless, repairs, false_repairs, misses: missed } = proof;
    let (proven_word, wrong, healthy, silent, repairs_word) = if lang == Lang::Zh {
        ("判为已证实的原因", "其中不实", "误判为健康", "未决且未说明", "判为已证实的修复")
    } else {
        ("causes proven", "wrong", "wrongly healthy", "undecided without a word", "repairs proven")
    };
    let _ = writeln!(
        out,
        "{name}: {sets}; {proven_word}: {proven}, {wrong}: {false_proven}; {healthy}: {false_healthy}; {silent}: {speechless}; {repairs_word}: {repairs}, {wrong}: {false_repairs}"
    );
    misses(out, missed, lang);
}

fn misses(out: &mut String, misses: &[Miss], lang: Lang) {
    let (missing, unexpected) = if lang == Lang::Zh { ("缺少", "多出") } else { ("missing", "unexpected") };
    for miss in misses.iter().take(SHOWN_MAX) {
        let _ = writeln!(
            out,
            "  [{}] {}\n    {missing}: {}\n    {unexpected}: {}\n    {}",
            miss.seed,
            miss.faults.join(" + "),
            miss.missing.join(", "),
            miss.unexpected.join(", "),
            miss.why
        );
    }
    if misses.len() > SHOWN_MAX {
        let _ = writeln!(out, "  … {}", misses.len() - SHOWN_MAX);
    }
}
