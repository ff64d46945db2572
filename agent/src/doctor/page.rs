//! The findings of `doctor` as text and as JSON.

use super::{Finding, Standing};
use crate::{Lang, render};
use pingtong_evidence::SCHEMA;
use std::{fmt::Write as _, io};

/// Prints the findings of `doctor`.
///
/// # Errors
/// Fails if standard output is closed.
pub fn print(findings: &[Finding], json: bool, lang: Lang) -> io::Result<()> {
    if json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                serde_json::json!({"code": finding.code, "ok": finding.standing == Standing::Good, "state": finding.standing.as_str(), "what": lang.pick(&finding.zh, &finding.en), "next": finding.next})
            })
            .collect();
        return render::text(&serde_json::json!({"schema": SCHEMA, "findings": findings}).to_string());
    }
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.standing {
            Standing::Good => '✓',
            Standing::Wrong => '✗',
            Standing::Unknown => '?',
        };
        let _ = writeln!(out, "{mark} {}", lang.pick(&finding.zh, &finding.en));
        if let Some(next) = &finding.next {
            let _ = writeln!(out, "    {} {next}", lang.pick("下一步：", "next:"));
        }
    }
    render::text(out.trim_end())
}
