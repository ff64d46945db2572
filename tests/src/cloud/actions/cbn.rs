//! Cloud Enterprise Network: no call here makes one, so every listing is truthfully empty, in its documented shape.
//!
//! Gatherers ask for it in any account; an account that never used CEN answers just so.

use super::{Answer, Call};
use crate::cloud::{
    page::{TokenStyle, numbered, tokens},
    world::World,
};

const STYLE: TokenStyle = TokenStyle { size: "MaxResults", size_default: 20, size_max: 100, total: true, echo: true };
/// Largest page of the numbered listings.
const PAGE_MAX: usize = 50;

pub(super) fn describe_cens(call: &Call<'_>, _world: &World) -> Answer {
    Ok(numbered(Vec::new(), call.params, PAGE_MAX, false)?.under("Cens", "Cen"))
}

pub(super) fn list_routers(call: &Call<'_>, _world: &World) -> Answer {
    Ok(numbered(Vec::new(), call.params, PAGE_MAX, false)?.flat("TransitRouters"))
}

pub(super) fn list_attachments(call: &Call<'_>, _world: &World) -> Answer {
    empty(call, "TransitRouterAttachments")
}

pub(super) fn list_tables(call: &Call<'_>, _world: &World) -> Answer {
    empty(call, "TransitRouterRouteTables")
}

pub(super) fn list_entries(call: &Call<'_>, _world: &World) -> Answer {
    call.params.need("TransitRouterRouteTableId")?;
    empty(call, "TransitRouterRouteEntries")
}

pub(super) fn list_associations(call: &Call<'_>, _world: &World) -> Answer {
    empty(call, "TransitRouterAssociations")
}

pub(super) fn list_propagations(call: &Call<'_>, _world: &World) -> Answer {
    call.params.need("TransitRouterRouteTableId")?;
    empty(call, "TransitRouterPropagations")
}

fn empty(call: &Call<'_>, name: &str) -> Answer {
    Ok(tokens(Vec::new(), call.params, &STYLE, false)?.flat(name))
}
