//! Security groups and network ACLs of a VPC as one nftables table, which is replaced as a whole.
//!
//! A security group decides about a flow. Its rules are therefore matched against the *first* packet of the flow
//! (`ct original …`), whichever direction the current packet has, and every packet is evaluated again: a reply passes
//! as long as its request would, a revoked rule stops a running flow at the next packet, and a change elsewhere stops
//! nothing. This is what "an established session is untouched only if the resulting behaviour is unchanged" means
//! (`SEMANTICS.md` §1.3), and it needs no generation marks. ACLs match the packet itself. Cloud services
//! (`svc0`) are exempt from both. This module knows interface names, but not how the interfaces were created.

use super::{
    netlink::Message,
    nft::{self, Comparison::Equal, Field, Hook, IP, Position, Rule, hook, state},
};
use crate::desired::{AclPlane, Filter, Match};
use ipnet::Ipv4Net;
use std::{collections::BTreeMap, net::Ipv4Addr};

/// The router's interface towards cloud services.
pub(super) const SERVICE_PORT: &str = "svc0";
const TABLE: &str = "lab";
const BASE: &str = "base";
const FORWARD: &str = "crossing";
const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;

/// An interface with its filters.
#[derive(Debug, Clone)]
pub(super) struct Guarded<'a> {
    /// Name of the router's interface to the instance.
    pub interface: &'a str,
    /// Filter for packets to the instance.
    pub ingress: &'a Filter,
    /// Filter for packets from the instance.
    pub egress: &'a Filter,
    /// Id and block of the vSwitch, and its ACL if it has one.
    pub vswitch: (&'a str, Ipv4Net, Option<&'a AclPlane>),
    /// Addresses of the same instance's other interfaces: replies to packets that came in there are dropped here.
    pub siblings: Vec<Ipv4Addr>,
}

/// The rules of a router that never change: its own ICMP errors are dropped, and cloud services see one address per
/// VPC.
pub(super) fn base(service_address: Ipv4Addr) -> Vec<Message> {
    let mut messages = vec![
        nft::table(IP, BASE),
        nft::chain(
            IP,
            BASE,
            "own",
            Some(Hook { kind: "filter", number: hook::OUTPUT, device: None, priority: 0, accept: Some(true) }),
        ),
        nft::chain(
            IP,
            BASE,
            "services",
            Some(Hook { kind: "nat", number: hook::POSTROUTING, device: None, priority: 100, accept: Some(true) }),
        ),
    ];
    for kind in [3_u8, 5, 11, 12] {
        let errors = Rule::new().is(Field::PROTOCOL, &[ICMP]).is(Field::ICMP_TYPE, &[kind]).drop();
        messages.push(nft::rule(IP, BASE, "own", Position::Last, &errors, None));
    }
    let hidden = Rule::new().interface(Field::OUT, Equal, SERVICE_PORT).source_nat(service_address);
    messages.push(nft::rule(IP, BASE, "services", Position::Last, &hidden, None));
    messages
}

/// The transaction that replaces the existing filters with these.
pub(super) fn table(guarded: &[Guarded<'_>]) -> Vec<Message> {
    let mut chains = Chains::default();
    let mut crossing = vec![
        Rule::new().interface(Field::IN, Equal, SERVICE_PORT).accept(),
        Rule::new().interface(Field::OUT, Equal, SERVICE_PORT).accept(),
        Rule::new().flow_state(state::INVALID).drop(),
    ];
    for one in guarded {
        let ingress = chains.named("i", stateful(one.ingress, Field::FLOW_SOURCE, Field::FLOW_DESTINATION));
        let egress = chains.named("e", stateful(one.egress, Field::FLOW_DESTINATION, Field::FLOW_SOURCE));
        let (_, block, acl) = one.vswitch;
        // From the instance, packets in a flow's original direction are checked by egress, replies by the ingress that
        // admitted their request; to the instance it is the reverse.
        for (side, starts, replies) in [(Field::IN, &egress, &ingress), (Field::OUT, &ingress, &egress)] {
            let here = || Rule::new().interface(side, Equal, one.interface);
            crossing.push(here().is(Field::FLOW_DIRECTION, &[0]).jump(starts));
            crossing.push(here().is(Field::FLOW_DIRECTION, &[1]).jump(replies));
        }
        // A group's connection state belongs to one interface (`SEMANTICS.md` §1.3.6).
        crossing.extend(one.siblings.iter().map(|sibling| {
            let reply = Rule::new().interface(Field::IN, Equal, one.interface).is(Field::FLOW_DIRECTION, &[1]);
            reply.is(Field::FLOW_DESTINATION, &sibling.octets()).drop()
        }));
        if let Some(acl) = acl {
            let out = chains.named("a", stateless(&acl.egress, Field::DESTINATION, Field::SOURCE, block));
            let into = chains.named("a", stateless(&acl.ingress, Field::SOURCE, Field::DESTINATION, block));
            crossing.push(Rule::new().interface(Field::IN, Equal, one.interface).jump(&out));
            crossing.push(Rule::new().interface(Field::OUT, Equal, one.interface).jump(&into));
        }
    }
    crossing.push(Rule::new().accept());
    let mut messages = vec![nft::table(IP, TABLE), nft::remove_table(IP, TABLE), nft::table(IP, TABLE)];
    let place = Hook { kind: "filter", number: hook::FORWARD, device: None, priority: 0, accept: Some(false) };
    messages.push(nft::chain(IP, TABLE, FORWARD, Some(place)));
    for name in chains.0.values() {
        messages.push(nft::chain(IP, TABLE, name, None));
    }
    for (rules, name) in &chains.0 {
        messages.extend(rules.iter().map(|rule| rule.in_chain(name)));
    }
    messages.extend(crossing.iter().map(|rule| nft::rule(IP, TABLE, FORWARD, Position::Last, rule, None)));
    messages
}

/// Chains by their rules: interfaces with equal filters share one, mostly members of the same security group.
#[derive(Default)]
struct Chains(BTreeMap<Vec<Ordered>, String>);

#[derive(PartialEq, Eq, Clone)]
struct Ordered(Rule);

impl Ordered {
    fn in_chain(&self, chain: &str) -> Message {
        nft::rule(IP, TABLE, chain, Position::Last, &self.0, None)
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.bytes().cmp(other.0.bytes())
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Chains {
    fn named(&mut self, prefix: &str, rules: Vec<Rule>) -> String {
        let next = self.0.len();
        let rules = rules.into_iter().map(Ordered).collect();
        self.0.entry(rules).or_insert_with(|| format!("{prefix}{next}")).clone()
    }
}

fn stateful(filter: &Filter, peer: Field, own: Field) -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        filter.members.iter().map(|member| Rule::new().is(peer, &member.octets()).leave()).collect();
    let fields = Fields {
        peer,
        own,
        protocol: Field::FLOW_PROTOCOL,
        source_port: Field::FLOW_SOURCE_PORT,
        destination_port: Field::FLOW_DESTINATION_PORT,
    };
    rules.extend(filter.rules.iter().flat_map(|rule| fields.rules(rule)));
    rules.push(if filter.accept_by_default { Rule::new().leave() } else { Rule::new().drop() });
    rules
}

fn stateless(entries: &[Match], peer: Field, own: Field, block: Ipv4Net) -> Vec<Rule> {
    let mut rules = vec![Rule::new().within(peer, Equal, block).leave()];
    let fields = Fields {
        peer,
        own,
        protocol: Field::PROTOCOL,
        source_port: Field::SOURCE_PORT,
        destination_port: Field::DESTINATION_PORT,
    };
    rules.extend(entries.iter().flat_map(|entry| fields.rules(entry)));
    rules.push(Rule::new().drop());
    rules
}

struct Fields {
    peer: Field,
    own: Field,
    protocol: Field,
    source_port: Field,
    destination_port: Field,
}

impl Fields {
    fn rules(&self, entry: &Match) -> Vec<Rule> {
        let ported = entry.ports.is_some() || entry.source_ports.is_some();
        // Ports without a protocol mean TCP and UDP, the protocols that have ports.
        let protocols: Vec<Option<u8>> = match entry.protocol {
            None if ported => vec![Some(TCP), Some(UDP)],
            protocol => vec![protocol],
        };
        let has_ports = |protocol| matches!(protocol, Some(TCP | UDP));
        let mut rules = Vec::new();
        for peer in &entry.peers {
            for protocol in &protocols {
                let mut rule = Rule::new().within(self.peer, Equal, *peer);
                if let Some(own) = entry.own {
                    rule = rule.within(self.own, Equal, own);
                }
                if let Some(number) = protocol {
                    rule = rule.is(self.protocol, &[*number]);
                }
                if let (Some(ports), true) = (entry.source_ports, has_ports(*protocol)) {
                    rule = rule.port(self.source_port, ports);
                }
                if let (Some(ports), true) = (entry.ports, has_ports(*protocol)) {
                    rule = rule.port(self.destination_port, ports);
                }
                rules.push(if entry.accept { rule.leave() } else { rule.drop() });
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_filters_share_their_chains() {
        let filter = Filter { accept_by_default: true, ..Filter::default() };
        let block: Ipv4Net = "10.0.0.0/24".parse().unwrap();
        let one = |interface| Guarded {
            interface,
            ingress: &filter,
            egress: &filter,
            vswitch: ("vsw-1", block, None),
            siblings: vec![],
        };
        let single = table(&[one("v1")]);
        let double = table(&[one("v1"), one("v2")]);
        assert_eq!(double.len() - single.len(), 4); // four jumps, no new chain
    }

    #[test]
    fn an_entry_without_peers_matches_nothing() {
        let entry = Match { accept: true, protocol: None, ports: None, source_ports: None, peers: vec![], own: None };
        let filter = Filter { rules: vec![entry], ..Filter::default() };
        assert_eq!(stateful(&filter, Field::FLOW_SOURCE, Field::FLOW_DESTINATION).len(), 1);
    }
}
