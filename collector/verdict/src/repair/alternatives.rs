//! Other fixes than a finding's own that would remove it as well.
//!
//! One of them may stand for several: an accepting rule of priority 1 overrules any number of drop rules, and a route as
//! narrow as the peer wins over any number of entries in its way. The finding's own fix comes first and wins among sets
//! of one size.

use super::{Fix, Task};
use crate::{code::CauseCode, finding::Finding, model::Model};
use pingtong_evidence::{Cidr, Policy, Side};
use std::net::IpAddr;

/// A block for `address` that wins over `over`: its vSwitch where that is longer, else the address alone.
fn narrower(model: &Model, side: Side, address: IpAddr, over: Cidr) -> Option<Cidr> {
    let vswitch = model.vswitch_of(side, address).map(|vswitch| vswitch.cidr);
    let blocks = vswitch.into_iter().chain([Cidr::host(address)]);
    blocks.into_iter().find(|block| block.prefix_length() > over.prefix_length())
}

impl Task<'_> {
    pub(super) fn alternatives(&self, model: &Model, finding: &Finding) -> Vec<Fix> {
        let far = finding.side.opposite();
        let peer = self.pair.endpoint(far).address;
        let mut all = vec![finding.fix.clone()];
        match &finding.fix {
            // A wrong entry for the peer itself is removed, not overlaid; one that only shadows may be there for others.
            Fix::DeleteRoute { table, entry } if finding.code == CauseCode::RouteShadowed => {
                all.extend(
                    narrower(model, far, peer, entry.destination)
                        .map(|destination| Fix::CreateRoute { table: table.clone(), destination }),
                );
            }
            // What was built in the wrong place, or is joined to such, may stay there unused: one call instead of several, and
            // tried first so that the search has a small set early.
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
