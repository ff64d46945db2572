//! Text that must never be shown. Decides only how it is printed, not who may use it.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};
use std::fmt;

/// Keeps this process's memory, and the secrets in it, out of core dumps: those that the kernel writes (by the limit on
/// their size) and those that it pipes to a crash collector (by making the process not dumpable, `prctl(2)`).
///
/// # Errors
/// Returns the kernel's error if it refuses either setting; the other setting is still applied.
pub fn keep_out_of_core_dumps() -> std::io::Result<()> {
    let limit = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    prctl::set_dumpable(false)?;
    Ok(limit?)
}

/// A secret: the secret of an access key, or a session token. `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing and for headers. Nothing else may call this.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
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
