//! Selects the router interface of a side that is meant for this link, among all that its account shows.
//!
//! The fields of the interface and of the peer's interface decide. An interface that was certainly made for another
//! peer, or that waits for another link, is excluded. One that was created on the wrong VPC is found by its connection
//! to the peer's interface. Does not judge what is wrong with the selected interface. Facts: DescribeRouterInterfaces
//! (`SEMANTICS.md` §3, §7.2).

use super::third;
use crate::model::Model;
use pingtong_evidence::{
    RouterInterface, RouterInterfaceId, RouterInterfaceRole, RouterInterfaceStatus as Status, RouterKind, Side,
};

pub(super) fn expected_role(side: Side) -> RouterInterfaceRole {
    match side {
        Side::Initiator => RouterInterfaceRole::Initiating,
        Side::Acceptor => RouterInterfaceRole::Accepting,
    }
}

fn on_vpc(model: &Model, side: Side, ri: &RouterInterface) -> bool {
    let vpc = &model.link.side(side).vpc;
    let router = model.vpc(side).and_then(|v| v.router.as_ref());
    ri.router_kind == RouterKind::VRouter && (ri.vpc.as_ref() == Some(vpc) || router == Some(&ri.router))
}

pub(super) fn all_at(model: &Model, side: Side) -> Option<&Vec<RouterInterface>> {
    model.snapshot(side)?.router_interfaces.known()
}

pub(super) fn was_connected(ri: &RouterInterface) -> bool {
    matches!(
        ri.status,
        Status::Active | Status::Inactive | Status::Activating | Status::Deactivating | Status::Modifying
    )
}

/// Whether an interface was certainly made for another peer.
fn for_another_peer(model: &Model, side: Side, ri: &RouterInterface, astray: Option<&RouterInterfaceId>) -> bool {
    let peer = model.link.side(side.opposite());
    let set_elsewhere =
        ri.opposite_interface.is_some() && ri.opposite_owner.as_ref().is_some_and(|o| *o != peer.account);
    let peer_knows = all_at(model, side.opposite()).and_then(|all| {
        all.iter().find(|p| Some(&p.id) == ri.opposite_interface.as_ref()).map(|p| on_vpc(model, side.opposite(), p))
    });
    // An interface that is connected to one in the wrong place was made for this peer.
    let to_misplaced = joined_astray(ri, astray);
    was_connected(ri)
        && !to_misplaced
        && (ri.opposite_vpc.as_ref().is_some_and(|vpc| *vpc != peer.vpc) || set_elsewhere || peer_knows == Some(false))
}

/// Whether an interface that names no peer yet has the role that another link needs here and this link does not.
fn for_another_link(model: &Model, side: Side, ri: &RouterInterface) -> bool {
    let own = model.link.side(side);
    ri.opposite_interface.is_none()
        && ri.role != expected_role(side)
        && model.elsewhere.iter().any(|pair| {
            Side::BOTH.into_iter().any(|at| {
                let (near, far) = (pair.link.side(at), pair.link.side(at.opposite()));
                near.account == own.account
                    && near.vpc == own.vpc
                    && ri.role == expected_role(at)
                    && ri.opposite_region.as_ref().is_none_or(|region| *region == far.region)
            })
        })
}

/// Whether an interface is connected to the interface of the peer's account that was created in the wrong place.
fn joined_astray(ri: &RouterInterface, astray: Option<&RouterInterfaceId>) -> bool {
    astray.is_some_and(|other| ri.opposite_interface.as_ref() == Some(other))
}

/// The interface of the peer's account that was created in the wrong place.
fn astray_from(model: &Model, side: Side) -> Option<&RouterInterfaceId> {
    misplaced(model, side.opposite()).map(|ri| &ri.id)
}

/// Whether an interface for this link can be created at a side. Two routers have at most one connection, so an existing
/// interface must be removed first. An interface that is connected to another router than the peer's is not a
/// connection of these two.
pub(crate) fn has_room(model: &Model, side: Side) -> bool {
    choose(model, side).is_none_or(|ri| joined_astray(ri, astray_from(model, side)))
}

/// How well an interface fits this link; the one with the greatest value is meant.
fn fitness(
    model: &Model,
    side: Side,
    ri: &RouterInterface,
    astray: Option<&RouterInterfaceId>,
) -> (bool, bool, bool, bool, bool, bool) {
    let peer = model.link.side(side.opposite());
    let peers = all_at(model, side.opposite());
    let opposite = peers.into_iter().flatten().find(|p| Some(&p.id) == ri.opposite_interface.as_ref());
    let named_by_peer = peers
        .into_iter()
        .flatten()
        .any(|p| on_vpc(model, side.opposite(), p) && p.opposite_interface.as_ref() == Some(&ri.id));
    (
        !joined_astray(ri, astray),
        opposite.is_some_and(|p| on_vpc(model, side.opposite(), p)) || ri.opposite_vpc.as_ref() == Some(&peer.vpc),
        named_by_peer,
        ri.opposite_region.as_ref().is_none_or(|region| *region == peer.region),
        ri.role == expected_role(side),
        ri.opposite_owner.as_ref() == Some(&peer.account),
    )
}

pub(super) fn choose(model: &Model, side: Side) -> Option<&RouterInterface> {
    let astray = astray_from(model, side);
    all_at(model, side)?
        .iter()
        .filter(|ri| {
            on_vpc(model, side, ri) && !for_another_peer(model, side, ri, astray) && !for_another_link(model, side, ri)
        })
        .filter(|ri| !matches!(ri.status, Status::Deleting | Status::Deleted))
        .max_by(|a, b| {
            fitness(model, side, a, astray).cmp(&fitness(model, side, b, astray)).then_with(|| b.id.cmp(&a.id))
        })
}

/// An interface that was created in the wrong place: it is on another VPC of the account and is connected to the peer's
/// interface. It does not count as misplaced if another expected link connects its VPC to the peer's, or if its VPC has
/// a connection to the right VPC: it is then between the two.
pub(super) fn misplaced(model: &Model, side: Side) -> Option<&RouterInterface> {
    let peers = all_at(model, side.opposite())?;
    all_at(model, side)?.iter().find(|ri| {
        !on_vpc(model, side, ri)
            && ri.router_kind == RouterKind::VRouter
            && !ri.vpc.as_ref().is_some_and(|vpc| {
                model.joined_elsewhere(side, vpc) || third::joined(model, vpc, &model.link.side(side).vpc)
            })
            && peers.iter().any(|p| {
                on_vpc(model, side.opposite(), p)
                    && ri.opposite_interface.as_ref() == Some(&p.id)
                    && p.opposite_interface.as_ref() == Some(&ri.id)
            })
    })
}
