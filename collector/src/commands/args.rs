//! What several commands share: where settings and data are, how output looks, whose fault a failure is.

use crate::render::Style;
use clap::Args;
use pingtong_cli::{Exit, Lang, environment};
use std::{io::IsTerminal, path::PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Settings file. / 配置文件
    #[arg(long, default_value = "collector.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Data directory. / 数据目录
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// Why a command could not do its job, with the exit code that says whether the user or the program is at fault.
pub(crate) type Failed = (Exit, anyhow::Error);

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// JSON, one object per line. / 以 JSON 输出，每行一个对象
    #[arg(long)]
    pub(crate) json: bool,
    /// All evidence, with the API call, request id and time that each line comes from. / 显示全部证据及其来源
    #[arg(long, short)]
    verbose: bool,
}

impl Output {
    pub(crate) fn style(&self, lang: Lang) -> Style {
        let colour = std::io::stdout().is_terminal() && !environment::no_colour();
        Style { lang, colour, verbose: self.verbose }
    }
}

pub(crate) fn usage(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Usage, error.into())
}

pub(crate) fn ours(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Failure, error.into())
}
