//! The help of both programs: in one language at a time, complete, and with examples.

use clap::{Command, CommandFactory as _};
use pingtong_cli::{Lang, help};

fn programs() -> [Command; 2] {
    [pingtong::commands::Cli::command(), pingtong_agent::cli::Cli::command()]
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// Calls `check` with every command and its name.
fn walk(command: &Command, path: &str, check: &mut dyn FnMut(&str, &Command)) {
    let path = format!("{path} {}", command.get_name());
    check(&path, command);
    for sub in command.get_subcommands() {
        walk(sub, &path, check);
    }
}

#[test]
fn every_text_of_the_help_exists_in_both_languages_and_is_shown_in_one() {
    for program in programs() {
        for lang in [Lang::En, Lang::Zh] {
            walk(&help::localised(program.clone(), lang, 80), "", &mut |path, command| {
                let about = command.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(!about.is_empty(), "{path} has no text");
                assert_eq!(is_chinese(&about), lang == Lang::Zh, "{path}: {about}");
                for arg in command.get_arguments() {
                    let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    assert!(!text.is_empty(), "{path} {} has no text", arg.get_id());
                    assert_eq!(is_chinese(&text), lang == Lang::Zh, "{path} {}: {text}", arg.get_id());
                }
            });
        }
    }
}

#[test]
fn every_command_ends_its_help_with_examples_that_it_accepts() {
    for program in programs() {
        let english = help::localised(program.clone(), Lang::En, 80);
        walk(&english, "", &mut |path, command| {
            let examples = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let is_root = command.get_subcommands().next().is_some();
            assert!(is_root || examples.starts_with("Examples:\n"), "{path} has no examples");
            for line in examples.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#')) {
                let words = line.split_whitespace().take_while(|word| *word != ">");
                let parsed = english.clone().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        });
    }
}
