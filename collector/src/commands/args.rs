//! What several commands share: exit codes, where settings and data are, how output looks.

use crate::{render::Style, settings};
use clap::Args;
use pingtong_verdict::Lang;
use std::{io::IsTerminal, path::PathBuf};

/// Exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything holds, or the command did its job.
    Fine = 0,
    /// A pair is broken or degraded; or an expectation fails, a forbid leaks, a flow is stopped, or a target is missed.
    Bad = 1,
    /// No result is bad, but one is undecided, unknown or incomplete.
    Undecided = 2,
    /// The usage or the configuration is wrong.
    Usage = 64,
    /// The program itself failed.
    Failure = 70,
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Settings file. 配置文件。
    #[arg(long, default_value = "collector.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Data directory. 数据目录。
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// Why a command could not do its job, with the exit code that says whether the user or the program is at fault.
pub(crate) type Failed = (Exit, anyhow::Error);

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// JSON, one object per line. 以 JSON 输出，每行一个对象。
    #[arg(long)]
    pub(crate) json: bool,
    /// Language of texts: zh or en; the locale's when left out. 文本语言，缺省按系统区域设置。
    #[arg(long, value_name = "zh|en", value_parser = parse_lang)]
    lang: Option<Lang>,
    /// All evidence, with the API call, request id and time that each line comes from. 显示全部证据及其来源。
    #[arg(long, short)]
    verbose: bool,
}

impl Output {
    pub(crate) fn language(&self) -> Lang {
        self.lang.unwrap_or_else(settings::lang_of_environment)
    }

    pub(crate) fn style(&self) -> Style {
        let colour = std::io::stdout().is_terminal() && !settings::no_colour();
        Style { lang: self.language(), colour, verbose: self.verbose }
    }
}

pub(crate) fn usage(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Usage, error.into())
}

pub(crate) fn ours(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Failure, error.into())
}

pub(crate) fn parse_lang(text: &str) -> Result<Lang, String> {
    match text {
        "zh" => Ok(Lang::Zh),
        "en" => Ok(Lang::En),
        _ => Err("accepted: zh or en".to_owned()),
    }
}
