//! Everything that the lab prints. Results go to stdout, failures to stderr.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this module is the lab's output")]

use crate::{differential::Report, run::Outcome, walkthrough::Moment};
use std::io::Write;
use unicode_width::UnicodeWidthStr;

/// The terminal, or standard output in its place.
#[derive(Debug, Default)]
pub struct Screen {}

impl Screen {
    /// A title on its own line, followed by a rule.
    pub fn title(&mut self, text: &str) {
        println!("\n── {text} {}", "─".repeat(74_usize.saturating_sub(text.width())));
        flush();
    }

    /// A plain line.
    pub fn line(&mut self, text: &str) {
        println!("{text}");
        flush();
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.line("");
    }

    /// Three columns, the first narrow.
    pub fn row(&mut self, first: &str, second: &str, third: &str) {
        let pad = 48_usize.saturating_sub(second.width());
        self.line(&format!("{first:>2}  {second}{}  {third}", " ".repeat(pad)));
    }

    /// A ✓ or ✗ with a text.
    pub fn check(&mut self, good: bool, text: &str) {
        self.line(&format!("{} {text}", if good { '✓' } else { '✗' }));
    }

    /// The output of another program, indented.
    pub fn block(&mut self, text: &str) {
        for line in text.lines() {
            println!("  │ {line}");
        }
        flush();
    }
}

/// Progress must be visible immediately. A closed pipe ends the program at the next line anyway.
fn flush() {
    let _ = std::io::stdout().flush();
}

/// One JSON value on its own line.
pub fn json_line(value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(line) => println!("{line}"),
        Err(error) => tracing::error!(%error, "cannot write a result as JSON"),
    }
    flush();
}

/// The outcome of one scenario, as text.
pub fn outcome(outcome: &Outcome) {
    let s = &outcome.seconds;
    let mark = if outcome.pass { "✓" } else { "✗" };
    println!(
        "{mark} {}  [{}]  boot {:.1} s, detect {:.1} s, verdict {:.1} s{}",
        outcome.name,
        outcome.state,
        s.boot,
        s.detect,
        s.verdict,
        if outcome.repaired == Some(true) { format!(", repaired in {:.1} s", s.repair) } else { String::new() }
    );
    for missing in &outcome.missing {
        println!("    missing: {missing}");
    }
    for unexpected in &outcome.unexpected {
        println!("    unexpected: {unexpected}");
    }
    if let Some(error) = &outcome.error {
        println!("    error: {error}");
    }
    let _ = std::io::stdout().flush();
}

/// The figures of a benchmark, one per line.
pub fn figures(figures: &serde_json::Value) {
    for (name, value) in figures.as_object().into_iter().flatten() {
        println!("{name:<16} {value}");
    }
    let _ = std::io::stdout().flush();
}

/// A page of text.
pub fn page(page: &str) {
    print!("{page}");
    let _ = std::io::stdout().flush();
}

/// The probe engine's targets, as text.
pub fn probe_targets(report: &crate::bench::probe::Report) {
    for target in report.targets() {
        let mark = if target.met { "✓" } else { "✗" };
        let value = target.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        println!("{mark} {value:>12}  {:<64} (limit {})", target.what, target.limit);
    }
    for miss in report.misses() {
        println!("  {miss}");
    }
    flush();
}

/// The findings of the differential test, as text.
pub fn differential(report: &Report) {
    for one in &report.disagreements {
        println!("✗ seed {}, case {}: prediction and packets disagree", one.seed, one.case);
        for (title, list) in [("as drawn", &one.found), ("in the smallest network", &one.left)] {
            println!("  {title}:");
            for difference in list {
                let (predicted, observed) = (difference.predicted.as_str(), difference.observed.as_str());
                println!("    {}: the {} predicted {predicted}, observed {observed}", difference.flow, difference.by);
            }
        }
        println!("  the smallest network:\n{}\n  what is done to it:\n{}", one.topology, one.calls);
        println!("  again: {}", one.again);
    }
    let mark = if report.disagreeing == 0 { "✓" } else { "✗" };
    let (cases, networks, flows, seconds) = (report.cases, report.networks, report.flows, report.seconds);
    println!(
        "{mark} {} of {cases} cases disagree ({flows} flows over {networks} networks in {seconds:.1} s, from seed {})",
        report.disagreeing, report.seed
    );
    flush();
}

/// What is printed after a step of the tutorial.
pub fn moment(moment: &Moment) {
    Screen::default().title(&moment.done.to_string());
    println!("{}", moment.page.trim_end());
    flush();
}

/// A failure with its chain of causes.
pub fn failure(error: &anyhow::Error) {
    eprintln!("{error:#}");
}
