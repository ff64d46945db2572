//! Resets an instance's network to its state at boot: what a guest changed by hand is gone, as after a real reboot.
//!
//! The network namespace outlives a stop, because it contains the cables and the metadata service's socket. What guests
//! can change there is therefore reset: filters, routing rules, routes, links and addresses of their own, and kernel
//! parameters. Queueing disciplines are not reset.

use super::{
    METADATA,
    interfaces::{self, UP},
    netlink::Netlink,
    nft,
};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::OnceLock,
};

const PARAMETERS: &str = "/proc/sys/net";
/// The routing table of the machine's own addresses, which the kernel maintains.
const LOCAL: u32 = 255;
/// Priorities of the rules that every system starts with.
const RULES: [u32; 3] = [0, 32766, 32767];

/// Kernel parameters of a fresh instance; they are the same for all instances.
static FRESH: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();

/// Records the parameters of this thread's network namespace as those of a fresh instance.
pub(super) fn remember() {
    FRESH.get_or_init(|| {
        let mut found = BTreeMap::new();
        each_parameter(Path::new(PARAMETERS), &mut |path, value| {
            found.insert(path.to_owned(), value);
        });
        found
    });
}

/// Resets this thread's network namespace to its state after boot. Its own interfaces are left down and without
/// addresses. `own` maps their indices to name and hardware address.
pub(super) fn reset(own: &BTreeMap<u32, (String, [u8; 6])>) -> Result<()> {
    let flushed = Netlink::netfilter()?.transaction(&[nft::remove_tables()]);
    flushed.map_err(|(_, error)| error).context("cannot flush the guest's filters")?;
    let mut netlink = Netlink::route()?;
    let netlink = &mut netlink;
    for rule in interfaces::rules(netlink)?.into_iter().filter(|rule| !RULES.contains(&rule.priority)) {
        let _ = netlink.request(&rule.remove());
    }
    for link in interfaces::links(netlink)? {
        if let Some((name, mac)) = own.get(&link.index) {
            netlink.request(&interfaces::unplugged(link.index)).context("cannot take an interface down")?;
            netlink.request(&interfaces::renewed(link.index, name, *mac)).context("cannot renew an interface")?;
        } else if link.name != "lo" {
            // The kernel refuses this for links that it creates itself.
            let _ = netlink.request(&interfaces::remove_link(&link.name));
        }
    }
    for (index, at, prefix) in interfaces::addresses(netlink)? {
        if !(index == 1 && (at == METADATA || at == Ipv4Addr::LOCALHOST)) {
            let _ = netlink.request(&interfaces::remove_address(index, at, prefix));
        }
    }
    for route in interfaces::routes(netlink)?.into_iter().filter(|route| route.table != LOCAL) {
        let _ = netlink.request(&route.remove());
    }
    netlink.request(&interfaces::set_flags("lo", UP, UP)).context("cannot bring up the loopback")?;
    match netlink.request(&interfaces::add_address(1, METADATA, 32)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).context("cannot place the metadata service")?;
        }
        _ => {}
    }
    restore_parameters();
    Ok(())
}

fn restore_parameters() {
    let Some(fresh) = FRESH.get() else { return };
    each_parameter(Path::new(PARAMETERS), &mut |path, value| {
        let wanted = fresh.get(path).or_else(|| fresh.get(&default_of(path)?));
        if let Some(wanted) = wanted.filter(|wanted| **wanted != value) {
            // Some parameters are read-only.
            let _ = fs::write(path, wanted);
        }
    });
}

/// The parameter from which a new interface takes its value of this one.
fn default_of(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.with_file_name("default").join(path.file_name()?))
}

fn each_parameter(directory: &Path, found: &mut dyn FnMut(&Path, Vec<u8>)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_parameter(&path, found);
        } else if let Ok(value) = fs::read(&path) {
            found(&path, value);
        }
    }
}
