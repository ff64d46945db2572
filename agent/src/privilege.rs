//! Capabilities: what is kept once the sockets are open.
//!
//! Only `CAP_NET_ADMIN` stays, and only for listing the packet filter. Must be called before other threads start, since
//! Linux keeps capabilities per thread and new threads inherit them.

use caps::{CapSet, Capability, CapsHashSet};

/// Drops everything but the capability to list the packet filter.
///
/// # Errors
/// Fails if the kernel refuses; the agent then runs with the capabilities that it was given.
pub fn drop_all_but_listing() -> Result<(), caps::errors::CapsError> {
    let keep: CapsHashSet = caps::read(None, CapSet::Permitted)?
        .intersection(&CapsHashSet::from([Capability::CAP_NET_ADMIN]))
        .copied()
        .collect();
    caps::set(None, CapSet::Effective, &keep)?;
    caps::set(None, CapSet::Permitted, &keep)?;
    caps::clear(None, CapSet::Inheritable)
}

/// Whether this thread has a capability in its effective set.
pub fn has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}
