//! The only place in the lab that reads the environment.
#![expect(clippy::disallowed_methods, reason = "this is the module for it")]

use std::path::PathBuf;

/// The cargo that started this program, if `cargo run` did.
pub fn cargo() -> Option<PathBuf> {
    std::env::var_os("CARGO").map(PathBuf::from)
}

/// Variables that cargo sets for the package that it runs. Build scripts watch some of them, so a cargo that is started
/// from here must not see them; otherwise it rebuilds what is up to date.
pub fn of_the_running_package() -> Vec<String> {
    const PREFIXES: [&str; 6] =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect()
}
