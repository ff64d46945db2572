//! What host facts explain beyond the common cases: addresses, containers, second network interfaces, rate limits, and
//! what only the wire shows.

use super::world::*;
use crate::{Certainty, State, Verdict};
use pingtong_evidence::{
    routing::{Hop, RoutingAction, RoutingRule, TABLE_LOCAL, TABLE_MAIN, TableRoute, TableRouteKind},
    *,
};
use std::sync::Arc;

const A_SIDE: Side = Side::Initiator;
const B_SIDE: Side = Side::Acceptor;

fn blamed(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(|cause| format!("{} {} {}", cause.code, cause.side, cause.object.id)).collect()
}

fn card(name: &str, mac: &str, address: &str, block: &str) -> InterfaceFact {
    InterfaceFact {
        name: name.into(),
        kind: InterfaceKind::Card,
        up: true,
        mtu: 1500,
        mac: mac.into(),
        addresses: vec![(ip(address), cidr(block))],
    }
}

fn via(interface: &str, prefix: &str) -> Known<RouteOutcome> {
    Known::Known(RouteOutcome::Via {
        interface: interface.into(),
        source: None,
        gateway: None,
        prefix: Some(cidr(prefix)),
    })
}

#[test]
fn an_address_that_the_guest_never_configured_is_named() {
    let mut world = World::healthy();
    world.facts(B_SIDE).interfaces =
        Known::Known(vec![card("eth0", "00:16:3e:00:00:01", "172.16.1.77", "172.16.1.0/24")]);
    world.wire(Wire::S2, Wire::S1);
    let verdict = world.verdict();
    assert!(blamed(&verdict).contains(&"ip-not-on-eni acceptor 172.16.1.10".to_owned()), "{:?}", blamed(&verdict));
    assert!(!blamed(&verdict).iter().any(|cause| cause.starts_with("agent-in-container")));
}

/// The host has another address instead of its own and reports from it: only packets to its own address die there.
#[test]
fn an_address_taken_off_its_card_is_put_back() {
    let mut world = World::healthy();
    let mac = "00:16:3e:00:00:01";
    world.facts(B_SIDE).interfaces = Known::Known(vec![card("eth0", mac, "172.16.1.20", "172.16.1.0/24")]);
    known(&mut world.snapshot(B_SIDE).enis)[0].mac = mac.into();
    world.wire(Wire::S2, Wire::Through);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["ip-not-on-eni acceptor 172.16.1.10"]);
    assert_eq!(verdict.causes[0].certainty, Certainty::Proven);
    assert_eq!(verdict.repairs.set[0].guest, ["ip", "address", "add", "172.16.1.10/24", "dev", "eth0"]);
}

/// Packets that leave a container with its own address die; replies from its instance prove nothing about the agent.
#[test]
fn a_container_whose_address_nobody_knows() {
    let mut world = World::healthy();
    world.facts(B_SIDE).interfaces =
        Known::Known(vec![card("eth0", "02:42:00:00:00:02", "172.18.0.2", "172.18.0.0/24")]);
    world.facts(B_SIDE).container = Known::Known(Container::Yes);
    world.wire(Wire::Through, Wire::S1);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["agent-in-container acceptor i-b"]);
    world.wire(Wire::Through, Wire::Through);
    assert_eq!(world.verdict().state, State::Healthy);
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
}

#[test]
fn an_agent_in_a_container_is_told_from_a_missing_address() {
    let mut world = World::healthy();
    world.facts(B_SIDE).interfaces =
        Known::Known(vec![card("eth0", "02:42:00:00:00:02", "172.17.0.2", "172.17.0.0/16")]);
    world.facts(B_SIDE).container = Known::Known(Container::Yes);
    world.wire(Wire::S1, Wire::S1);
    let verdict = world.verdict();
    assert!(blamed(&verdict).contains(&"agent-in-container acceptor i-b".to_owned()), "{:?}", blamed(&verdict));
    assert!(!blamed(&verdict).iter().any(|cause| cause.starts_with("ip-not-on-eni")));
}

#[test]
fn a_container_with_the_hosts_own_network_is_no_fault() {
    let mut world = World::healthy();
    world.facts(B_SIDE).container = Known::Known(Container::Yes);
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
}

#[test]
fn facts_without_interfaces_prove_no_missing_address() {
    let mut world = World::healthy();
    world.facts(B_SIDE).interfaces = Known::default();
    world.wire(Wire::S3, Wire::Through);
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
}

#[test]
fn replies_that_leave_by_a_second_card_are_no_bridge_of_the_guest() {
    let mut world = World::healthy();
    let macs = [("00:16:3e:00:00:01", "172.16.1.10"), ("00:16:3e:00:00:02", "172.16.2.10")];
    let facts = world.facts(B_SIDE);
    let cards =
        [card("eth0", macs[0].0, macs[0].1, "172.16.1.0/24"), card("eth1", macs[1].0, macs[1].1, "172.16.2.0/24")];
    facts.interfaces = Known::Known(cards.to_vec());
    if let Known::Known(metadata) = &mut facts.metadata {
        let fact =
            |(mac, address): (&str, &str)| AddressFact { mac: mac.into(), eni: None, addresses: vec![ip(address)] };
        metadata.interfaces = macs.into_iter().map(fact).collect();
    }
    facts.routes[0].outcome = via("eth1", "0.0.0.0/0");
    world.wire(Wire::S4, Wire::S1);
    assert_eq!(blamed(&world.verdict()), ["guest-multi-eni acceptor i-b"]);
    // The same route look-up to an interface that the cloud does not know shows something that was configured in the
    // guest.
    let facts = world.facts(B_SIDE);
    if let Known::Known(metadata) = &mut facts.metadata {
        metadata.interfaces.truncate(1);
    }
    assert_eq!(blamed(&world.verdict()), ["guest-route-overlap acceptor i-b"]);
}

#[test]
fn a_rule_bound_to_a_rate_explains_a_share_of_requests_and_no_outage() {
    let mut world = World::healthy();
    world.refuse(B_SIDE, FirewallHook::Input, Some(1), Some(4));
    world.limit(B_SIDE, true);
    let kept: SequenceSet = (0..SENT).filter(|sequence| sequence % 4 == 0).collect();
    for arrival in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b") {
        (arrival.accepted, arrival.replied) = (Known::Known(kept.clone()), Known::Known(kept.clone()));
    }
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.replied = kept.clone();
    }
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-rate-limit acceptor i-b"]);
    assert_eq!(verdict.state, State::Degraded);
    assert_eq!(verdict.repairs.set[0].guest[..3], ["nft", "insert", "rule"]);
}

#[test]
fn what_a_guest_does_is_shown_by_the_wire_where_its_facts_are_missing() {
    let mut unknown_filter = World::healthy();
    unknown_filter.facts(B_SIDE).firewall = Known::default();
    unknown_filter.wire(Wire::S2, Wire::Through);
    let verdict = unknown_filter.verdict();
    assert_eq!(blamed(&verdict), ["guest-firewall acceptor i-b"]);
    assert!(verdict.repairs.set.iter().all(|repair| repair.guest.is_empty() && repair.cli.is_empty()));
    let mut no_route = World::healthy();
    no_route.facts(A_SIDE).routes.clear();
    no_route.wire(Wire::S0(101), Wire::S3);
    let verdict = no_route.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-missing initiator i-a"]);
    let command = verdict.repairs.set[0].guest.join(" ");
    assert_eq!(command, "ip route replace 172.16.0.0/16 via 192.168.1.253 dev eth0");
    let mut refused = World::healthy();
    refused.wire(Wire::S0(1), Wire::Through);
    assert_eq!(blamed(&refused.verdict()), ["guest-firewall initiator i-a"]);
}

#[test]
fn an_unreachable_host_gets_a_route_to_it_alone() {
    let mut world = World::healthy();
    world.facts(B_SIDE).routes[0].outcome = Known::Known(RouteOutcome::Refused { errno: 113 });
    world.wire(Wire::S3, Wire::S0(113));
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-missing acceptor i-b"]);
    assert_eq!(verdict.repairs.set[0].guest.join(" "), "ip route replace 192.168.1.10/32 via 172.16.1.253 dev eth0");
}

#[test]
fn strict_reverse_path_without_drops_explains_nothing() {
    let mut world = World::healthy();
    world.facts(B_SIDE).sysctls.strict_reverse_path = Known::Known(vec!["eth0".into()]);
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
    world.wire(Wire::S2, Wire::Through);
    assert_eq!(blamed(&world.verdict()), ["guest-firewall acceptor i-b"]);
}

#[test]
fn replies_without_a_nonce_are_a_strangers() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.strangers = vec![StrangerReply { from: ip("172.16.1.10"), count: 400 }];
    }
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["stranger-replied acceptor 172.16.1.10"]);
    assert_eq!(verdict.causes[0].certainty, Certainty::Proven);
}

/// The kernel of any host that has the address answers with the payload it received, nonce included. Only the agent at
/// the far end knows that it saw none of these requests.
#[test]
fn an_echo_that_the_far_end_knows_nothing_of_is_a_strangers() {
    let unseen = |world: &mut World| {
        world.wire(Wire::Through, Wire::S5);
        world.case.arrivals.retain(|part| part.observer.as_str() != "agent-b");
    };
    let mut world = World::healthy();
    unseen(&mut world);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["stranger-replied acceptor 172.16.1.10"]);
    assert_eq!(verdict.state, State::Broken);
    // A vSwitch of the initiator's VPC explains where the other host is.
    known(&mut world.snapshot(A_SIDE).vpcs)[0].secondary_cidrs.push(cidr("172.16.1.0/24"));
    let mut own = known(&mut world.snapshot(A_SIDE).vswitches)[0].clone();
    (own.id, own.cidr) = (id("vsw-own"), cidr("172.16.1.0/24"));
    known(&mut world.snapshot(A_SIDE).vswitches).push(own);
    assert_eq!(blamed(&world.verdict()), ["route-shadowed initiator vtb-a"]);
    // An agent that has not reported yet, or that cannot observe, proves nothing.
    let mut late = World::healthy();
    late.case.arrivals.retain(|part| part.observer.as_str() != "agent-b");
    assert_eq!(blamed(&late.verdict()), Vec::<String>::new());
    let mut blind = World::healthy();
    unseen(&mut blind);
    blind.facts(B_SIDE).engine = ProbeEngine::Portable;
    assert!(
        !blamed(&blind.verdict()).iter().any(|cause| cause.starts_with("stranger")),
        "{:?}",
        blamed(&blind.verdict())
    );
}

#[test]
fn a_setting_that_the_wire_refutes_is_not_blamed() {
    let mut world = World::healthy();
    world.facts(B_SIDE).sysctls.echo_ignore_all = Known::Known(true);
    world.refuse(B_SIDE, FirewallHook::Output, Some(1), Some(2));
    world.facts(A_SIDE).routes[0].outcome = via("br0", "172.16.0.0/12");
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
}

fn route_to(table: u32, to: &str, device: &str) -> TableRoute {
    TableRoute {
        table,
        to: cidr(to),
        kind: TableRouteKind::Unicast,
        metric: 0,
        tos: 0,
        source: None,
        hops: vec![Hop { device: device.into(), gateway: None, dead: false }],
        not_understood: vec![],
    }
}

fn lookup(priority: u32, table: u32) -> RoutingRule {
    RoutingRule::lookup(true, priority, table)
}

/// The acceptor has these rules beside the kernel's own, these routes beside its default route, and no packet filter; the kernel's
/// own look-up towards the initiator came to `outcome`.
fn routed(rules: Vec<RoutingRule>, routes: Vec<TableRoute>, outcome: RouteOutcome) -> World {
    let mut world = World::healthy();
    let facts = world.facts(B_SIDE);
    facts.mechanisms =
        Known::Known(Mechanisms { routing_rules: u32::try_from(rules.len()).unwrap(), ..Mechanisms::default() });
    let all = std::iter::once(lookup(0, TABLE_LOCAL)).chain(rules);
    let tables = RoutingTables {
        rules: all.chain([lookup(32_766, TABLE_MAIN), lookup(32_767, 253)]).collect(),
        routes: std::iter::once(route_to(TABLE_MAIN, "0.0.0.0/0", "eth0")).chain(routes).collect(),
        routes_omitted: 0,
    };
    facts.routing = Known::Known(RoutingFact { tables: Some(Arc::new(tables)), content: None });
    facts.routes[0].outcome = Known::Known(outcome);
    if let Known::Known(firewall) = &mut facts.firewall {
        firewall.rules = Some(Arc::default());
    }
    world
}

fn unreachable(priority: u32) -> RoutingRule {
    RoutingRule { to: Some(cidr("192.168.0.0/16")), action: RoutingAction::Unreachable, ..lookup(priority, 0) }
}

fn guest_commands(verdict: &Verdict) -> Vec<String> {
    verdict.repairs.set.iter().map(|repair| repair.guest.join(" ")).filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_rule_that_refuses_is_named_and_gets_a_rule_before_it() {
    let mut world = routed(vec![unreachable(100)], vec![], RouteOutcome::Refused { errno: 101 });
    world.wire(Wire::S3, Wire::S0(101));
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-missing acceptor i-b"]);
    assert_eq!(verdict.causes[0].certainty, Certainty::Proven);
    let text = &verdict.causes[0].evidence[0].text;
    assert!(text.contains("rule 100: from all to 192.168.0.0/16 unreachable"), "{text}");
    assert_eq!(guest_commands(&verdict), ["ip rule add to 192.168.1.10/32 lookup main priority 99"]);
    // Nothing comes before the rule that keeps the host's own addresses.
    let mut world = routed(vec![unreachable(1)], vec![], RouteOutcome::Refused { errno: 101 });
    world.wire(Wire::S3, Wire::S0(101));
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-missing acceptor i-b"]);
    assert_eq!((verdict.causes[0].certainty, guest_commands(&verdict).len()), (Certainty::Supported, 0));
}

/// The rules that wg-quick makes, with `wg0` as the tunnel.
fn tunnel() -> World {
    let not_marked = RoutingRule { inverted: true, mark: Some((0xca6c, u32::MAX)), ..lookup(32_765, 51_820) };
    let specific = RoutingRule { suppress_prefix_length: Some(0), ..lookup(32_764, TABLE_MAIN) };
    let via =
        RouteOutcome::Via { interface: "wg0".into(), source: None, gateway: None, prefix: Some(cidr("0.0.0.0/0")) };
    let mut world = routed(vec![specific, not_marked], vec![route_to(51_820, "0.0.0.0/0", "wg0")], via);
    world.wire(Wire::S4, Wire::S1);
    world
}

#[test]
fn a_tunnels_table_gets_a_route_that_its_rules_do_not_suppress() {
    let verdict = tunnel().verdict();
    assert_eq!(blamed(&verdict), ["guest-route-overlap acceptor i-b"]);
    assert_eq!(verdict.causes[0].certainty, Certainty::Proven);
    assert!(verdict.causes[0].evidence[0].text.contains("lookup 51820"), "{:?}", verdict.causes[0].evidence);
    assert_eq!(guest_commands(&verdict), ["ip route replace 192.168.1.0/24 via 172.16.1.253 dev eth0"]);
}

/// What is not listed whole, or contradicted by the kernel, proves nothing and gets no command.
#[test]
fn rules_that_are_not_known_give_no_command() {
    let changes: [fn(&mut RoutingTables); 2] = [|tables| tables.routes_omitted = 1, |tables| tables.rules.truncate(1)];
    for change in changes {
        let mut world = tunnel();
        if let Known::Known(RoutingFact { tables: Some(tables), .. }) = &mut world.facts(B_SIDE).routing {
            change(Arc::make_mut(tables));
        }
        let verdict = world.verdict();
        let proven = verdict.causes.iter().any(|cause| cause.certainty == Certainty::Proven);
        assert_eq!((proven, guest_commands(&verdict).len()), (false, 0), "{:?}", blamed(&verdict));
    }
    let mut world = tunnel();
    world.facts(B_SIDE).routing = Known::default();
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-overlap acceptor i-b"]);
    assert_eq!((verdict.causes[0].certainty, guest_commands(&verdict).len()), (Certainty::Supported, 0));
}

/// Whatever a rule does that is not understood, a route that is found before it decides.
#[test]
fn a_rule_that_is_not_understood_is_passed_by() {
    let mut world = tunnel();
    if let Known::Known(RoutingFact { tables: Some(tables), .. }) = &mut world.facts(B_SIDE).routing {
        Arc::make_mut(tables).rules[2].not_understood.push("dscp".into());
    }
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-overlap acceptor i-b"]);
    assert_eq!(guest_commands(&verdict), ["ip route replace 192.168.1.10/32 via 172.16.1.253 dev eth0"]);
}

/// A rule for the host's own address concerns replies, not probes of a socket that is bound to no address.
#[test]
fn a_rule_for_the_source_decides_about_replies_alone() {
    let own = RoutingRule { from: Some(cidr("172.16.1.10/32")), ..lookup(1_000, 7) };
    let via =
        RouteOutcome::Via { interface: "eth0".into(), source: None, gateway: None, prefix: Some(cidr("0.0.0.0/0")) };
    let mut world = routed(vec![own], vec![route_to(7, "0.0.0.0/0", "br0")], via);
    world.wire(Wire::S4, Wire::Through);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-route-overlap acceptor i-b"]);
    assert!(verdict.causes[0].evidence[0].text.contains("replies"), "{:?}", verdict.causes[0].evidence);
    assert_eq!(guest_commands(&verdict), ["ip rule add to 192.168.1.10/32 lookup main priority 999"]);
}

/// Rules that are all understood and lead elsewhere only for others leave the fabric as the one explanation.
#[test]
fn a_dead_fabric_is_proven_beside_rules_that_are_understood() {
    let other = RoutingRule { to: Some(cidr("10.0.0.0/8")), ..lookup(1_000, 7) };
    let via =
        RouteOutcome::Via { interface: "eth0".into(), source: None, gateway: None, prefix: Some(cidr("0.0.0.0/0")) };
    let mut world = routed(vec![other], vec![route_to(7, "0.0.0.0/0", "br0")], via);
    world.wire(Wire::S5, Wire::S1);
    let verdict = world.verdict();
    assert_eq!(verdict.causes.iter().map(|cause| cause.code.to_string()).collect::<Vec<_>>(), ["fabric-fault"]);
    world.facts(B_SIDE).routing = Known::default();
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
}

/// The acceptor's route back to the initiator leads into `tun0`, and it checks the paths of what arrives.
fn checked(rp_filter: u8, drops: u64) -> World {
    let via = RouteOutcome::Via {
        interface: "tun0".into(),
        source: None,
        gateway: None,
        prefix: Some(cidr("192.168.0.0/16")),
    };
    let mut world = routed(vec![], vec![route_to(TABLE_MAIN, "192.168.0.0/16", "tun0")], via);
    let settings = InterfaceSettings { name: "eth0".into(), rp_filter, ..InterfaceSettings::default() };
    let facts = world.facts(B_SIDE);
    facts.sysctls.strict_reverse_path = Known::Known(if rp_filter == 1 { vec!["eth0".into()] } else { vec![] });
    facts.sysctls.per_interface = Known::Known(vec![settings]);
    facts.counters = Known::Known(IcmpCounters { reverse_path_drops: drops, ..IcmpCounters::default() });
    world.wire(Wire::S2, Wire::S1);
    world
}

fn with_certainty(verdict: &Verdict) -> Vec<String> {
    let of = |certainty| if certainty == Certainty::Proven { "" } else { " (supported)" };
    verdict.causes.iter().map(|cause| format!("{}{}", cause.code, of(cause.certainty))).collect()
}

/// The walk and the counter together blame the reverse-path filter, beside the route that it looks at; a counter that does
/// not move refutes it, and so does a walk that shows that the packets pass.
#[test]
fn a_reverse_path_filter_is_blamed_by_walk_and_counter() {
    assert_eq!(with_certainty(&checked(1, 400).verdict()), ["guest-route-overlap", "guest-rp-filter"]);
    assert!(!with_certainty(&checked(1, 0).verdict()).iter().any(|cause| cause.starts_with("guest-rp-filter")));
    let loose = checked(2, 400).verdict();
    assert!(!with_certainty(&loose).iter().any(|cause| cause.starts_with("guest-rp-filter")), "{:?}", blamed(&loose));
}

/// A rule of the input hook stands behind the reverse-path filter: what one drops the other never sees, and both are at fault.
#[test]
fn a_rule_behind_the_reverse_path_filter_is_blamed_as_well() {
    use packet_filter::{BaseChain, Chain, ChainKind, Family, Rule, RuleSet, Statement, Table};
    let refused = |hook: FirewallHook| {
        let mut world = checked(1, 400);
        let base = BaseChain { kind: ChainKind::Filter, hook, priority: 0, policy: Policy::Accept, devices: vec![] };
        let drop = Rule { handle: 1, statements: vec![Statement::Verdict(packet_filter::Verdict::Drop)] };
        let chain = Chain { name: "c".into(), base: Some(base), rules: vec![drop] };
        let table = Table { family: Family::Inet, name: "t".into(), dormant: false, chains: vec![chain], sets: vec![] };
        if let Known::Known(firewall) = &mut world.facts(B_SIDE).firewall {
            firewall.rules = Some(Arc::new(RuleSet { tables: vec![table], rules_omitted: 0 }));
        }
        with_certainty(&world.verdict())
    };
    let all = ["guest-firewall", "guest-route-overlap", "guest-rp-filter"];
    assert_eq!(refused(FirewallHook::Input), all);
    // In front of it, the rule leaves it nothing to drop.
    assert_eq!(refused(FirewallHook::Prerouting), all[..2]);
}

/// A mask that includes echo replies holds them to a rate; without that bit it explains nothing.
#[test]
fn replies_that_the_kernel_holds_to_a_rate_are_its_own_cause() {
    let with_mask = |mask: u32| {
        let mut world = World::healthy();
        let limits = IcmpLimits { interval_ms: 1_000, mask, messages_per_s: 1_000 };
        world.facts(B_SIDE).sysctls.icmp_limits = Known::Known(limits);
        let kept: SequenceSet = (0..SENT).filter(|sequence| sequence % 4 == 0).collect();
        for arrival in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b") {
            arrival.replied = Known::Known(kept.clone());
        }
        for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
            round.replied = kept.clone();
        }
        world.verdict()
    };
    let verdict = with_mask(6_169);
    assert_eq!(blamed(&verdict), ["guest-rate-limit acceptor i-b"]);
    assert_eq!(guest_commands(&verdict), ["sysctl -w net.ipv4.icmp_ratemask=6168"]);
    assert!(!blamed(&with_mask(6_168)).iter().any(|cause| cause.starts_with("guest-rate-limit")));
}
