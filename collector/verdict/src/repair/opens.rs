//! Which flows a repair set permits besides the pair's own: a narrow fix still opens something, and its owner must know.

use super::{Fix, ports_text, protocol_text};
use crate::{model::Model, verdict::Opening, walk::Host};
use pingtong_evidence::{Pair, Policy, Protocol, RulePeer, RuleProtocol, SecurityGroupId, Side};
use std::collections::BTreeSet;

fn rule_protocol(protocol: Protocol) -> RuleProtocol {
    match protocol {
        Protocol::Icmp => RuleProtocol::Icmp,
        Protocol::Tcp => RuleProtocol::Tcp,
        Protocol::Udp => RuleProtocol::Udp,
    }
}

fn ports(port: Option<u16>) -> String {
    port.map_or_else(|| "-1/-1".to_owned(), |port| format!("{port}/{port}"))
}

/// The group with the number of interfaces that it is on.
fn members(model: &Model, side: Side, group: &SecurityGroupId) -> String {
    let enis = model.snapshot(side).and_then(|s| s.enis.known());
    let count = enis.map(|enis| enis.iter().filter(|e| e.security_groups.contains(group)).count());
    count.map_or_else(|| group.to_string(), |count| format!("{group} ({count} ENI)"))
}

pub(super) fn opens<'a>(model: &Model, pair: &Pair, fixes: impl Iterator<Item = (Side, &'a Fix)>) -> Vec<Opening> {
    let mut opens = BTreeSet::new();
    for (side, fix) in fixes {
        let (near, far, ingress, protocol, ports) = match fix {
            Fix::AcceptRule { group, ingress, protocol, port, peer } => {
                let protocol = protocol_text(rule_protocol(*protocol));
                (members(model, side, group), peer.to_string(), *ingress, protocol, ports(*port))
            }
            Fix::RemoveRule { group, rule } if rule.policy == Policy::Drop => {
                let far = match &rule.peer {
                    RulePeer::Any => "0.0.0.0/0".to_owned(),
                    RulePeer::Cidr(block) => block.to_string(),
                    RulePeer::Group { id, .. } => id.to_string(),
                    RulePeer::PrefixList(id) => id.to_string(),
                };
                let ports = ports_text(rule.protocol, rule.ports);
                (members(model, side, group), far, rule.ingress, protocol_text(rule.protocol), ports)
            }
            Fix::AclAccept { ingress, protocol, port, peer, .. } => {
                let host = Host::find(model, side, pair.endpoint(side).address);
                let near = host.vswitch.map_or_else(|| pair.endpoint(side).address.to_string(), |v| v.cidr.to_string());
                (near, peer.to_string(), *ingress, protocol_text(rule_protocol(*protocol)), ports(*port))
            }
            Fix::Guest { instance, opens: Some(what), .. } => {
                (instance.to_string(), "*".to_owned(), true, what.clone(), "-1/-1".to_owned())
            }
            _ => continue,
        };
        let (source, destination) = if ingress { (far, near) } else { (near, far) };
        opens.insert(Opening { source, destination, protocol, ports });
    }
    opens.into_iter().collect()
}
