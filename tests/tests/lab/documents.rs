//! What comments cite exists: every page that a comment names is in the repository, and has the section that is named.

use pingtong_lab::causes;
use pingtong_verdict::Lang;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_citation_resolves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let out = Command::new("git").args(["ls-files", "*.rs", "*.md"]).current_dir(root).output().unwrap();
    let files: Vec<PathBuf> = String::from_utf8(out.stdout).unwrap().lines().map(PathBuf::from).collect();
    let read = |file: &PathBuf| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let is = |file: &Path, kind: &str| file.extension().is_some_and(|extension| extension == kind);
    let pages: BTreeMap<String, BTreeSet<String>> = files
        .iter()
        .filter(|file| is(file, "md"))
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), sections(&read(file))))
        .collect();
    let (mut wrong, mut resolved) = (vec![], 0);
    for file in files.iter().filter(|file| is(file, "rs") && !file.ends_with("documents.rs")) {
        for (page, section) in citations(&read(file)) {
            let name = page.rsplit('/').next().unwrap_or_default();
            match pages.get(name) {
                None => wrong.push(format!("{}: {page} is not in the repository", file.display())),
                Some(has) => match section.filter(|section| !has.contains(section)) {
                    Some(section) => wrong.push(format!("{}: {page} has no §{section}", file.display())),
                    None => resolved += 1,
                },
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(resolved > 50, "only {resolved} citations were found");
}

#[test]
fn the_pages_of_the_causes_are_those_of_the_catalogue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for lang in [Lang::En, Lang::Zh] {
        let (file, page) = (causes::file(lang), causes::page(lang));
        let kept = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(kept == page, "write it again: cargo lab causes --lang {} > {file}", lang.as_str());
    }
}

#[test]
fn a_citation_is_a_page_with_the_sections_that_follow_it() {
    let text = "/// As in `SEMANTICS.md` §7.1, §2.3.4 and\n/// §10: see `README.md`.\nlet a = \"`x.md` §1\";";
    let found = citations(text);
    let shown: Vec<(&str, Option<&str>)> =
        found.iter().map(|(page, section)| (page.as_str(), section.as_deref())).collect();
    let semantics = |section| ("SEMANTICS.md", Some(section));
    assert_eq!(shown, [semantics("7.1"), semantics("2.3.4"), semantics("10"), ("README.md", None)]);
    let page = sections("# Page\n## 7. Seven\n### 7.1 One\n- **7.1.2** A rule.\n");
    assert_eq!(page.into_iter().collect::<Vec<_>>(), ["7", "7.1", "7.1.2"]);
}

/// Numbers of headings and of rules.
fn sections(page: &str) -> BTreeSet<String> {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        Some(digits.trim_end_matches('.').to_owned()).filter(|digits| !digits.is_empty())
    };
    let heading = |line: &str| number(line.trim_start_matches('#').trim_start()).filter(|_| line.starts_with('#'));
    let rule = |line: &str| number(line.trim_start().strip_prefix("- **")?);
    page.lines().filter_map(|line| heading(line).or_else(|| rule(line))).collect()
}

/// Pages that comments name between backticks, each with the sections named right after it, or alone.
fn citations(source: &str) -> Vec<(String, Option<String>)> {
    let comments: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("//"))
        .map(|line| line.trim_start_matches(['/', '!']).trim())
        .collect();
    let text = comments.join(" ");
    let mut found = vec![];
    for (at, _) in text.match_indices(".md`") {
        let page = &text[text[..at].rfind('`').map_or(0, |start| start + 1)..at + 3];
        let mut rest = &text[at + 4..];
        let mut any = false;
        while let Some(after) =
            rest.trim_start_matches([' ', ',', '–', '-']).trim_start_matches("and ").strip_prefix('§')
        {
            let section: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            rest = &after[section.len()..];
            found.push((page.to_owned(), Some(section.trim_end_matches('.').to_owned())));
            any = true;
        }
        if !any {
            found.push((page.to_owned(), None));
        }
    }
    found
}
