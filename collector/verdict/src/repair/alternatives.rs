//! Fixes other than a finding's own that would remove the finding as well.
//!
//! One alternative may replace several fixes: an accepting rule of priority 1 overrides any number of drop rules, and a
//! route as narrow as the peer wins over any number of entries in its way. The first fix wins among sets of equal size.
//! It is the finding's own, except that creating a new interface is tried before removing a wrong one.

use super::Task;
use crate::{code::CauseCode, finding::Finding, fix::Fix, model::Model};
use pingtong_evidence::{Cidr, Policy, RouteEntry, Side};
use std::net::IpAddr;

/// A block for `address` that is more specific than `over`: its vSwitch if that is, else the address alone; `None` if
/// neither is.
fn narrower(model: &Model, side: Side, address: IpAddr, over: Cidr) -> Option<Cidr> {
    let vswitch = model.vswitch_of(side, address).map(|vswitch| vswitch.cidr);
    let blocks = vswitch.into_iter().chain([Cidr::host(address)]);
    blocks.into_iter().find(|block| block.prefix_length() > over.prefix_length())
}

/// Whether an entry is for addresses of the far VPC alone.
fn serves_only(model: &Model, far: Side, entry: &RouteEntry) -> bool {
    model.blocks(far).iter().any(|block| block.covers(&entry.destination))
}

impl Task<'_> {
    pub(super) fn alternatives(&self, model: &Model, finding: &Finding) -> Vec<Fix> {
        let far = finding.side.opposite();
        let peer = self.pair.endpoint(far).address;
        let mut all = vec![finding.fix.clone()];
        match &finding.fix {
            // A wrong entry for the peer itself is deleted, not overridden; one that only shadows may serve others.
            Fix::DeleteRoute { table, entry } if finding.code == CauseCode::RouteShadowed => {
                all.extend(
                    narrower(model, far, peer, entry.destination)
                        .map(|destination| Fix::CreateRoute { table: table.clone(), destination }),
                );
            }
            // An entry for the peer's own addresses leads to the link afterwards. Of several next hops one is enough to remove.
            Fix::DeleteRoute { table, entry } if entry.next_hops.len() == 1 && serves_only(model, far, entry) => {
                all.insert(0, Fix::ModifyRoute { table: table.clone(), entry: entry.clone() });
            }
            // An interface that was created in the wrong place, or is connected to one, may stay there unused. Creating
            // a new one takes one call instead of several and is tried first, so that the search finds a small set
            // early.
            Fix::RemoveInterface { .. }
                if matches!(finding.code, CauseCode::RiWrongVpc | CauseCode::RiOppositeMismatch) =>
            {
                all.insert(0, Fix::CreateInterface);
            }
            Fix::RemoveRule { group, rule } if rule.policy == Policy::Drop && rule.priority > 1 => {
                let service = (self.pair.protocol, self.pair.port);
                all.push(Fix::AcceptRule {
                    group: group.clone(),
                    ingress: rule.ingress,
                    protocol: service.0,
                    port: service.1,
                    peer: model.block_of(far, peer),
                });
            }
            _ => {}
        }
        all
    }
}
