//! Mistakes on a command line, in Chinese. The English texts are clap's own.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// The mistake in Chinese, with the usage; `None` if there is no Chinese text for its kind.
pub(crate) fn chinese(error: &Error) -> Option<String> {
    let given = |kind| error.get(kind).map(shown).filter(|text| !text.is_empty());
    let arg = given(ContextKind::InvalidArg).unwrap_or_default();
    let value = given(ContextKind::InvalidValue);
    let what = match error.kind() {
        ErrorKind::UnknownArgument => format!("没有参数“{arg}”{}", hint(given(ContextKind::SuggestedArg))),
        ErrorKind::InvalidSubcommand => {
            let name = given(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("没有命令“{name}”{}", hint(given(ContextKind::SuggestedSubcommand)))
        }
        ErrorKind::InvalidValue => {
            let valid = given(ContextKind::ValidValue).map(|all| format!("；可选值：{all}")).unwrap_or_default();
            match value {
                Some(value) => format!("“{arg}”不接受“{value}”{valid}"),
                None => format!("“{arg}”需要一个值{valid}"),
            }
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(|why| format!("：{why}")).unwrap_or_default();
            format!("“{arg}”不接受“{}”{why}", value.unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => format!("缺少必需的参数：{arg}"),
        ErrorKind::MissingSubcommand => {
            format!("缺少命令；可用：{}", given(ContextKind::ValidSubcommand).unwrap_or_default())
        }
        ErrorKind::ArgumentConflict => match given(ContextKind::PriorArg) {
            Some(prior) if prior != arg => format!("“{arg}”不能与“{prior}”同时使用"),
            _ => format!("“{arg}”只能给出一次"),
        },
        _ => return None,
    };
    let usage = given(ContextKind::Usage).unwrap_or_default();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage = if usage.is_empty() { String::new() } else { format!("\n用法：{usage}\n") };
    Some(format!("错误：{what}\n{usage}\n详细用法请用 --help 查看。\n"))
}

fn hint(suggestion: Option<String>) -> String {
    suggestion.map(|text| format!("；是否要写“{text}”？")).unwrap_or_default()
}

fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(all) => all.join("、"),
        other => other.to_string(),
    }
}
