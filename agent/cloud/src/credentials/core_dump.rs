//! Keeps the secrets of this process out of core dumps.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_leaves_no_memory_behind() {
        keep_out_of_core_dumps().unwrap();
        assert!(!prctl::get_dumpable().unwrap());
        assert_eq!(nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    }
}
