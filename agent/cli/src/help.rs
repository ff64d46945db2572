//! A command line with its help in one language.
//!
//! Help texts are the doc comments of arguments and commands, in both languages: `English. / 中文`. [`localised`] keeps
//! one half of each, and translates the words that clap adds itself. Examples are the `after_long_help` of a command:
//! command lines, and comments in both languages.

use crate::{Exit, Lang, environment, refusal, wrapped};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, builder::StyledStr, error::ErrorKind};
use std::{ffi::OsString, fmt::Write as _, io::Write as _};

/// Separates the halves of a help text.
const SEPARATOR: &str = " / ";
/// Columns of help if the terminal is wider or there is none.
const COLUMNS_MAX: u16 = 100;
/// Place in the help of what every command takes: after its own arguments.
const GLOBAL_ORDER: usize = 900;
/// Columns before a help text that stands on a line of its own; clap's.
const INDENT: usize = 10;

/// Parses the program's arguments. Help, version and mistakes are printed; then the result is the exit code.
///
/// # Errors
/// The exit code if there is nothing to run: help or version was asked for, or the arguments are wrong.
pub fn parse<C: CommandFactory + FromArgMatches>() -> Result<(C, Lang), Exit> {
    let args = help_as_option(std::env::args_os().collect());
    let lang = language(&args);
    let width = terminal_size::terminal_size().map_or(COLUMNS_MAX, |(width, _)| width.0.min(COLUMNS_MAX));
    let mut command = localised(C::command(), lang, usize::from(width));
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| C::from_arg_matches(&matches));
    parsed.map(|parsed| (parsed, lang)).map_err(|error| {
        let wrong = error.use_stderr();
        // Help and version go to standard output; if the stream is closed, nothing can be done.
        let _ = match refusal::chinese(&error).filter(|_| lang == Lang::Zh && wrong) {
            Some(text) => std::io::stderr().write_all(text.as_bytes()),
            None => error.print(),
        };
        // A command without arguments shows its help, which does nothing wrong but also nothing useful.
        let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if asked { Exit::Fine } else { Exit::Usage }
    })
}

/// `help COMMAND` as `COMMAND --help`: clap's own command of that name has an English text.
fn help_as_option(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|arg| arg == "help") {
        args.remove(1);
        args.push(OsString::from("--help"));
    }
    args
}

/// The language that the arguments ask for, or that of the environment. Read before parsing, because help and mistakes
/// are shown in it.
fn language(args: &[OsString]) -> Lang {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let spaced = words.windows(2).filter(|pair| pair[0] == "--lang").map(|pair| pair[1]);
    let joined = words.iter().filter_map(|word| word.strip_prefix("--lang="));
    spaced.chain(joined).find_map(|lang| lang.parse().ok()).unwrap_or_else(environment::lang)
}

/// The command and its subcommands with help in one language, for a terminal of `width` columns.
pub fn localised(command: Command, lang: Lang, width: usize) -> Command {
    let about = command.get_about().map(ToString::to_string);
    let examples = command.get_after_long_help().map(ToString::to_string);
    let versioned = command.get_version().is_some();
    let mut command = command
        .term_width(width)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .mut_args(|arg| argument(arg, lang, width))
        .mut_args(|arg| if arg.is_global_set() { arg.display_order(GLOBAL_ORDER) } else { arg })
        .mut_subcommands(|sub| localised(sub, lang, width))
        .arg(argument(
            Arg::new("help")
                .display_order(GLOBAL_ORDER + 1)
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .help("Print help; --help prints all of it, with examples. / 显示帮助；--help 显示完整帮助和示例"),
            lang,
            width,
        ));
    if versioned {
        let version =
            Arg::new("version").display_order(GLOBAL_ORDER + 2).short('V').long("version").action(ArgAction::Version);
        command = command.arg(argument(version.help("Print version. / 显示版本"), lang, width));
    }
    if let Some(about) = about {
        command = command.about(half(&about, lang, width)).long_about(None);
    }
    if let Some(examples) = examples {
        let lines: Vec<String> = examples.lines().map(|line| example(line, lang)).collect();
        command = command.after_long_help(format!("{}\n{}", lang.pick("示例：", "Examples:"), lines.join("\n")));
    }
    match lang {
        Lang::En => command,
        Lang::Zh => command
            .next_line_help(true)
            .subcommand_help_heading("命令")
            .subcommand_value_name("命令")
            .help_template("{before-help}{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}"),
    }
}

/// A line of an example: a command line, or a comment in both languages.
fn example(line: &str, lang: Lang) -> String {
    match line.trim().strip_prefix("# ") {
        Some(comment) => format!("  # {}", half(comment, lang, usize::MAX)),
        None => format!("  {}", line.trim()),
    }
}

fn argument(arg: Arg, lang: Lang, width: usize) -> Arg {
    let valued = arg.get_action().takes_values();
    let notes = if valued { notes(&arg, lang) } else { String::new() };
    let translate = |text: &StyledStr| {
        let text = half(&text.to_string(), lang, usize::MAX);
        fitted(&format!("{text}{notes}"), lang, width.saturating_sub(INDENT))
    };
    let (help, long_help) = (arg.get_help().map(translate), arg.get_long_help().map(translate));
    let heading = if arg.is_positional() { "参数" } else { "选项" };
    let arg = arg.hide_possible_values(valued).help(help.unwrap_or_default());
    let arg = match long_help {
        Some(text) => arg.long_help(text),
        None => arg,
    };
    match lang {
        Lang::En => arg,
        Lang::Zh => arg.hide_default_value(valued).help_heading(heading),
    }
}

/// What clap would add to the help of an argument: its possible values, with what they mean, and its default.
fn notes(arg: &Arg, lang: Lang) -> String {
    let mut notes = String::new();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => {
                let help = half(&help.to_string(), lang, usize::MAX);
                lang.pick(format!("{}（{help}）", value.get_name()), format!("{} ({help})", value.get_name()))
            }
            None => value.get_name().to_owned(),
        })
        .collect();
    if !values.is_empty() {
        notes.push_str(
            &lang.pick(
                format!(" [可选值：{}]", values.join("、")),
                format!(" [possible values: {}]", values.join(", ")),
            ),
        );
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if lang == Lang::Zh && !defaults.is_empty() {
        let _ = write!(notes, " [默认：{}]", defaults.join(" "));
    }
    notes
}

/// One half of a text in both languages. Chinese is wrapped here, since clap wraps only at spaces.
fn half(text: &str, lang: Lang, width: usize) -> String {
    let Some((english, chinese)) = text.split_once(SEPARATOR) else { return fitted(text, lang, width) };
    match lang {
        Lang::En => english.trim_end_matches('.').to_owned(),
        Lang::Zh => fitted(chinese.trim_end_matches('。'), lang, width),
    }
}

fn fitted(text: &str, lang: Lang, width: usize) -> String {
    match lang {
        Lang::En => text.to_owned(),
        Lang::Zh => wrapped(text, width, 0, 0).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// Does a thing. / 做一件事
    #[derive(Debug, Parser)]
    #[command(name = "thing", version)]
    struct Thing {
        /// How often, such as 3 times. / 次数，例如三次
        #[arg(long, default_value_t = 3)]
        times: u32,
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Sub {
        /// Goes. / 走
        #[command(after_long_help = "thing go --how fast\n# Not at all. / 不走\nthing go --how slow")]
        Go {
            /// How. / 怎么走
            #[arg(long)]
            how: How,
        },
    }

    #[derive(Debug, Clone, Copy, clap::ValueEnum)]
    enum How {
        /// Quickly. / 快
        Fast,
        Slow,
    }

    fn help_of_go(lang: Lang) -> String {
        let mut command = localised(Thing::command(), lang, 80);
        command.find_subcommand_mut("go").unwrap().render_long_help().to_string()
    }

    #[test]
    fn help_is_in_one_language_with_examples_at_its_end() {
        let english = help_of_go(Lang::En);
        assert!(english.starts_with("Goes\n\nUsage: "), "{english}");
        assert!(english.contains("How [possible values: fast (Quickly), slow]"), "{english}");
        assert!(
            english.ends_with("Examples:\n  thing go --how fast\n  # Not at all\n  thing go --how slow\n"),
            "{english}"
        );
        let chinese = help_of_go(Lang::Zh);
        assert!(chinese.starts_with("走\n\n用法："), "{chinese}");
        assert!(chinese.contains("怎么走 [可选值：fast（快）、slow]"), "{chinese}");
        assert!(chinese.ends_with("示例：\n  thing go --how fast\n  # 不走\n  thing go --how slow\n"), "{chinese}");
    }

    #[test]
    fn the_language_is_that_of_the_argument_wherever_it_stands() {
        let of = |args: &[&str]| language(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of(&["thing", "--lang", "zh", "go"]), Lang::Zh);
        assert_eq!(of(&["thing", "go", "--lang=zh"]), Lang::Zh);
        assert_eq!(of(&["thing", "--lang", "en", "go"]), Lang::En);
        let environment = environment::lang();
        assert_eq!(of(&["thing", "go", "--", "--lang", "zh"]), environment, "what follows is no option");
        assert_eq!(of(&["thing", "--lang", "fr"]), environment, "clap refuses it later");
    }

    #[test]
    fn help_is_also_a_command() {
        let of = |args: &[&str]| help_as_option(args.iter().map(OsString::from).collect());
        assert_eq!(of(&["thing", "help", "go"]), ["thing", "go", "--help"]);
        assert_eq!(of(&["thing", "help"]), ["thing", "--help"]);
        assert_eq!(of(&["thing", "go", "help"]), ["thing", "go", "help"]);
    }

    #[test]
    fn mistakes_have_a_chinese_text() {
        let mistake = |args: &[&str]| {
            let command = localised(Thing::command(), Lang::Zh, 80);
            refusal::chinese(&command.try_get_matches_from(args).unwrap_err())
        };
        for (args, expected) in [
            (&["thing", "--tims", "3", "go"][..], "错误：没有参数“--tims”；是否要写“--times”？\n"),
            (
                &["thing", "--times", "x", "go", "--how", "fast"],
                "错误：“--times <TIMES>”不接受“x”：invalid digit found in string\n",
            ),
            (&["thing", "run"], "错误：没有命令“run”\n"),
            (&["thing", "go"], "错误：缺少必需的参数：--how <HOW>\n"),
            (&["thing", "go", "--how", "so"], "错误：“--how <HOW>”不接受“so”；可选值：fast、slow\n"),
            (&["thing", "--times"], "错误：“--times <TIMES>”需要一个值\n"),
            (
                &["thing", "--times", "1", "--times", "2", "go", "--how", "fast"],
                "错误：“--times <TIMES>”只能给出一次\n",
            ),
        ] {
            let text = mistake(args).unwrap_or_default();
            assert!(text.starts_with(expected), "{args:?}: {text}");
            assert!(text.ends_with("详细用法请用 --help 查看。\n"), "{text}");
        }
    }
}
