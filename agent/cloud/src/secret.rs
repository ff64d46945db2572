//! Text that must never be shown. Decides only how it prints; knows nothing of who may use it.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};
use std::fmt;

/// Keeps this process's memory, and the secrets in it, out of core dumps: of those that the kernel writes (the limit
/// on their size) and of those that it pipes to a collector of crashes (the process is no longer dumpable, `prctl(2)`).
///
/// # Errors
/// The kernel's, when it refuses either; the other is still done.
pub fn keep_out_of_core_dumps() -> std::io::Result<()> {
    let limit = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    prctl::set_dumpable(false)?;
    Ok(limit?)
}

/// A secret: an access key's secret, a session token. `Debug` and `Display` give `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing and for headers. Nothing else may call this.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
    }

    #[test]
    fn a_crash_leaves_no_memory_behind() {
        keep_out_of_core_dumps().unwrap();
        assert!(!prctl::get_dumpable().unwrap());
        assert_eq!(nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    }
}
