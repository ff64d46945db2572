//! The lab's cloud: accounts, VPCs and links as the vendor's API documents describe them, over the real wire.
//!
//! One declared [`World`] is behind everything: the OpenAPI endpoint changes and reads it, the metadata service reads
//! it, and `project` turns it into the data plane ([`crate::desired::Desired`]), so control and data plane cannot
//! drift. The module is written from the API reference and shares no wire type with `agent/cloud`, so that a mistake in
//! either of them is detected. It does not know namespaces, scenarios or topologies.

mod actions;
mod argv;
pub(crate) mod calls;
mod data_plane;
mod hand;
pub(crate) mod http;
mod ids;
mod keyring;
mod lies;
mod metadata;
mod project;
mod routes;
mod service;
mod settle;
mod trail;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use argv::{AliyunCall, parse_aliyun_argv};
pub use data_plane::{Apply, NullApply, Script};
pub use hand::Hand;
pub use http::client::{ApiError, call};
pub use keyring::Keys;
pub use lies::{Actions, Lies};
pub use metadata::metadata_router;
pub use service::{Cloud, Options};
pub use wire::router;
pub use world::cen::{Attached, Attachment, Cen, CenWorld, Grant, Stage, TransitRoute, TransitRouter, TransitTable};
pub use world::{
    Account, Acl, AclEntry, Business, Eni, EniState, Hop, Instance, InstanceState, Opposite, Origin, Peer, Peering,
    PeeringState, PrefixList, Role, RouteEntry, RouteTable, RouterInterface, RouterInterfaceState, Rule, SecurityGroup,
    VSwitch, Vpc, World,
};
