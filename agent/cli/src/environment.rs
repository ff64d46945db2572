//! The environment variables that both programs respect.

#![expect(clippy::disallowed_methods, reason = "the module of this crate that reads the environment")]

use crate::Lang;

/// The language of the environment: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set; English if none is.
pub fn lang() -> Lang {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(variable);
    locale.map_or(Lang::En, |locale| Lang::from_locale(&locale))
}

/// Whether the user asked for no colour: `NO_COLOR` is set and not empty.
pub fn no_colour() -> bool {
    variable("NO_COLOR").is_some()
}

/// The log filter, from `PINGTONG_LOG` or else `RUST_LOG`.
pub fn log_filter() -> Option<String> {
    variable("PINGTONG_LOG").or_else(|| variable("RUST_LOG"))
}

/// A variable that holds a whole number; `None` if it holds none.
pub fn number(name: &str) -> Option<i64> {
    variable(name)?.parse().ok()
}

/// A variable; `None` if it is unset, empty or not UTF-8.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
