//! Private addresses of interfaces: which address of a vSwitch is free, and how listings show those of an interface.
//!
//! A new instance takes the address of its primary interface from here. `eni` takes those of other interfaces, and
//! those that are assigned later.

use super::malformed;
use crate::cloud::{
    calls::refusal::Refusal,
    world::{Eni, VSwitch, World},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::Ipv4Addr};

/// The wanted address, refused if it is not free, or the first free one if none is wanted. The cloud reserves the first
/// address and the last three.
pub(super) fn free_address(world: &World, vswitch: &VSwitch, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr, Refusal> {
    let taken: BTreeSet<Ipv4Addr> = world
        .enis
        .values()
        .filter(|eni| eni.vpc == vswitch.vpc)
        .flat_map(|eni| eni.addresses.iter().copied())
        .collect();
    let last = u32::from(vswitch.cidr.broadcast());
    let usable = |address: &Ipv4Addr| {
        vswitch.cidr.contains(address) && *address != vswitch.cidr.network() && u32::from(*address) < last - 2
    };
    match wanted {
        Some(address) if !usable(&address) => Err(malformed("PrivateIpAddress")),
        Some(address) if taken.contains(&address) => {
            let message = format!("The specified private address {address} is in use.");
            Err(Refusal::new(403, "InvalidPrivateIpAddress.Duplicated", &message))
        }
        Some(address) => Ok(address),
        None => vswitch
            .cidr
            .hosts()
            .find(|address| usable(address) && !taken.contains(address))
            .ok_or_else(|| Refusal::new(403, "InvalidVSwitchId.IpNotEnough", "No private address is free.")),
    }
}

pub(super) fn address_rows(eni: &Eni) -> Vec<Value> {
    let row = |(n, address): (usize, &Ipv4Addr)| json!({ "PrivateIpAddress": address, "Primary": n == 0 });
    eni.addresses.iter().enumerate().map(row).collect()
}
