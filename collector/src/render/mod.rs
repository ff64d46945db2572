//! Everything that people read on standard output and standard error. The only module that prints.
//!
//! Texts are built whole, as plain strings, and then written once. A reader that goes away (`| head`) is not an error.

mod agents;
mod estate;
mod layout;
mod pairs;
mod shell;
mod verdict;

pub(crate) use agents::agents;
pub(crate) use estate::{audit, path};
pub(crate) use layout::Style;

use layout::{pick, wrapped};
use pingtong_evidence::{AgentId, Cidr};
use pingtong_verdict::{CauseDoc, Lang, Unprobed, Verdict};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, path::Path};

/// Prints verdicts: as JSON, one per line, or as pages for people. Then, where expectations name hosts without an agent,
/// what is predicted for these: as a line of JSON with `sets`, or as a section of the page. That hosts were not
/// read is a gap of the verdicts already, and by itself no line.
/// Of several verdicts, people get one answer in which everything is said once; `--verbose` adds a page for each.
pub(crate) fn verdicts(verdicts: &[Verdict], unprobed: &[Unprobed], json: bool, style: Style) {
    let mut out = String::new();
    let alone = verdicts.len() == 1;
    for verdict in verdicts.iter().filter(|_| json || alone || style.verbose) {
        if json {
            out.push_str(&line_of(verdict));
        } else {
            out.push_str(&verdict::page(verdict, style));
        }
        out.push('\n');
    }
    if !json && !alone && !verdicts.is_empty() {
        out.push_str(&pairs::page(verdicts, style));
    }
    for unprobed in unprobed {
        let names_hosts = unprobed.sets.iter().any(|set| !set.hosts.is_empty());
        if json && names_hosts {
            out.push_str(&line_of(unprobed));
            out.push('\n');
        } else if !json {
            out.push_str(&estate::unprobed(unprobed, style));
        }
    }
    print(&out);
}

/// Prints one cause of the catalogue.
pub(crate) fn cause_doc(doc: &CauseDoc, json: bool, lang: Lang) {
    print(&if json { line_of(&doc_value(doc)) + "\n" } else { doc.render(lang).trim_end().to_owned() + "\n" });
}

/// Prints the catalogue: code, step and title of each cause.
pub(crate) fn catalogue(docs: &[CauseDoc], json: bool, lang: Lang) {
    let mut out = String::new();
    for doc in docs {
        if json {
            out.push_str(&line_of(&doc_value(doc)));
            out.push('\n');
        } else {
            out.push_str(&layout::columns(&[(doc.code.as_str(), 28), (doc.step, 6), (doc.title.get(lang), 0)]));
            out.push('\n');
        }
    }
    print(&out);
}

/// Prints what `enroll` did and the next step.
pub(crate) fn enrolled(
    name: &AgentId,
    out: &Path,
    replaced: bool,
    allow: &BTreeSet<Cidr>,
    unknown: &[String],
    json: bool,
    lang: Lang,
) {
    if json {
        let value = json!({
            "schema": pingtong_evidence::SCHEMA, "agent": name, "replaced": replaced, "allow": allow,
            "unknown": unknown,
            "file": out.display().to_string(),
        });
        return print(&(line_of(&value) + "\n"));
    }
    let mut allow = allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if allow.is_empty() {
        allow.push_str(pick(lang, "nothing: no expectation names its instance", "（无：没有期望提到该实例）"));
    }
    let mut text = String::new();
    let done = match (replaced, lang) {
        (false, Lang::En) => format!("\"{name}\" is enrolled"),
        (false, Lang::Zh) => format!("“{name}”已登记"),
        (true, Lang::En) => format!("\"{name}\" is enrolled anew; its earlier agent.toml is worthless now"),
        (true, Lang::Zh) => format!("“{name}”已重新登记；此前的 agent.toml 已失效"),
    };
    let file = shell::quoted(&out.display().to_string());
    let next = pick(
        lang,
        "It may probe {allow}. Bring the file to the instance and run there:",
        "它可以探测 {allow}。把该文件放到实例上，然后在那里运行：",
    );
    text.push_str(&wrapped(&format!("{done}: {}", out.display()), 0, 0));
    text.push_str(&wrapped(&next.replace("{allow}", &allow), 0, 0));
    let _ = writeln!(text, "  pingtong-agent run --config {file}");
    if !unknown.is_empty() {
        let note = pick(
            lang,
            "The blocks of {sets} are not known yet, so any private address is allowed; narrow it with --allow CIDR.",
            "{sets} 的网段尚不可知，因此放行所有私网地址；可用 --allow CIDR 收窄。",
        );
        text.push_str(&wrapped(&note.replace("{sets}", &unknown.join(", ")), 0, 0));
    }
    print(&text);
}

/// Prints on standard error why the command could not do its job: a headline and the chain of causes.
pub(crate) fn complaint(headline: &str, error: &anyhow::Error) {
    let mut text = format!("pingtong: {headline}");
    for cause in error.chain().skip(1) {
        let _ = write!(text, "\n  {cause}");
    }
    text.push('\n');
    // If standard error is closed, there is no way to report it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints on standard error that agents are being asked, so that a person at a terminal knows why the command waits.
pub(crate) fn asking(wait_s: f64, lang: Lang) {
    let text = match lang {
        Lang::En => {
            format!("asking every agent for fresh evidence; agents that do not answer are waited for {wait_s} s …\n")
        }
        Lang::Zh => format!("正在向所有 agent 索取最新证据；对无响应的 agent 最多等待 {wait_s} 秒……\n"),
    };
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Announces a load on standard error, even if that is not a terminal.
pub(crate) fn loading(lang: Lang) {
    aside(
        "a load of the path is asked for: it takes bandwidth from others, both ways, for as long as the settings permit",
        "即将进行带宽压测：在配置允许的时长内，往返方向都会占用带宽",
        lang,
    );
}

/// Prints a message beside the results, on standard error.
pub(crate) fn aside(en: &str, zh: &str, lang: Lang) {
    let text = match lang {
        Lang::En => en,
        Lang::Zh => zh,
    };
    let _ = std::io::stderr().write_all(format!("{}\n", text.trim_end()).as_bytes());
}

/// Prints a text unchanged.
pub(crate) fn text(text: &str) {
    print(text);
}

/// Prints an indented JSON document for people to copy.
pub(crate) fn document(value: &Value) {
    print(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n"));
}

fn doc_value(doc: &CauseDoc) -> Value {
    let both = |texts: &pingtong_verdict::Texts| json!({"en": texts.en, "zh": texts.zh});
    json!({
        "schema": pingtong_evidence::SCHEMA, "code": doc.code, "step": doc.step, "title": both(&doc.title),
        "meaning": both(&doc.meaning), "evidence": both(&doc.evidence), "repair": both(&doc.repair),
        "doubt": both(&doc.doubt), "console": both(&doc.console),
    })
}

/// Serialises a value as one line of JSON. For our own types this never fails.
fn line_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn print(text: &str) {
    // A reader that went away needs no message.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
