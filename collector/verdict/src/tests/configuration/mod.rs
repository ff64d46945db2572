//! What the configuration says, object by object.

pub(crate) mod coverage;
pub(crate) mod gateways;
pub(crate) mod groups;
pub(crate) mod hubs;
pub(crate) mod intended_interface;
pub(crate) mod joins;
pub(crate) mod links;
pub(crate) mod peerings;
pub(crate) mod routes;
pub(crate) mod stages;
pub(crate) mod stops;
pub(crate) mod third;
pub(crate) mod transit;
pub(crate) mod transit_choice;
pub(crate) mod unread;
