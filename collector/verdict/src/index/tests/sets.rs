//! Compares answers about sets with every one of their flows.

use super::*;
use crate::{Ask, Auditor, Lang, index::audit::AuditBlock};

/// Ports around every port at which the generator's rules begin or end.
const RANGES: [(u16, u16); 5] = [(0, 3), (20, 24), (78, 83), (178, 184), (48_998, 49_003)];

fn asks(snapshots: &[Snapshot], random: &mut Random) -> Vec<Ask> {
    let vpcs: Vec<VpcId> = snapshots.iter().flat_map(|s| s.vpcs.known().unwrap()).map(|vpc| vpc.id.clone()).collect();
    let vswitches: Vec<VSwitchId> =
        snapshots.iter().flat_map(|s| s.vswitches.known().unwrap()).map(|v| v.id.clone()).collect();
    let hosts: Vec<(InstanceId, IpAddr)> = snapshots
        .iter()
        .filter_map(|s| s.instances.known())
        .flatten()
        .map(|i| (i.id.clone(), i.addresses[0]))
        .collect();
    let set = |random: &mut Random| match random.below(4) {
        0 => EndpointSet::Vpc(random.pick(&vpcs).unwrap().clone()),
        1 => EndpointSet::VSwitch(random.pick(&vswitches).unwrap().clone()),
        2 if !hosts.is_empty() => {
            let (id, address) = random.pick(&hosts).unwrap().clone();
            EndpointSet::Instance { id, address }
        }
        _ => EndpointSet::Cidr("10.0.0.0/18".parse().unwrap()),
    };
    (0..6)
        .map(|_| {
            let protocol = *random.pick(&[Protocol::Icmp, Protocol::Tcp, Protocol::Udp]).unwrap();
            let (first, last) = *random.pick(&RANGES).unwrap();
            let ports = if protocol == Protocol::Icmp { None } else { PortRange::new(first, last) };
            let (from, to) = (set(random), set(random));
            Ask { expectation: Expectation { from, to, protocol, ports }, link: None }
        })
        .collect()
}

fn holds(estate: &Estate, blocks: &[AuditBlock], whole: &[HostRef], host: HostRef) -> bool {
    let address = estate.address(host).unwrap();
    whole.contains(&host)
        && blocks.iter().any(|b| b.vpc.as_ref() == estate.vpc(host) && b.first <= address && address <= b.last)
}

fn every_port(ask: &Ask) -> Vec<Option<u16>> {
    match ask.expectation.ports {
        Some(ports) => (ports.first()..=ports.last()).map(Some).collect(),
        None => vec![None],
    }
}

fn within(ports: Option<PortRange>, port: Option<u16>) -> bool {
    ports.is_none_or(|ports| port.is_some_and(|port| ports.contains(port)))
}

#[test]
fn what_is_said_of_a_set_is_true_of_every_flow_in_it() {
    let mut seen = [0u32; 5];
    for seed in 0..SEEDS {
        let (snapshots, estate) = small(seed);
        let asks = asks(&snapshots, &mut Random::new(seed));
        let audit = Auditor::default().audit(&estate, &asks, &asks, Lang::En);
        for ((ask, expected), forbidden) in asks.iter().zip(&audit.expectations).zip(&audit.forbids) {
            let hosts = |set| estate.hosts_of(set, None);
            let (from, to) = (hosts(&ask.expectation.from), hosts(&ask.expectation.to));
            let back = ask.expectation.protocol == Protocol::Icmp;
            let mut worst = Kind::Delivered;
            for (&a, &b) in from.iter().flat_map(|a| to.iter().map(move |b| (a, b))).filter(|(a, b)| a != b) {
                for port in every_port(ask) {
                    for turned in [false, true].into_iter().take(if back { 2 } else { 1 }) {
                        let (source, destination) = if turned { (b, a) } else { (a, b) };
                        let (sources, destinations) = if turned { (&to, &from) } else { (&from, &to) };
                        let flow = Flow { source, destination, protocol: ask.expectation.protocol, port };
                        let told = estate.walk(&flow).unwrap();
                        let kinds = [kind(told.request), kind(told.reply)];
                        let all = [Kind::Stopped, Kind::Unknown].into_iter().find(|kind| kinds.contains(kind));
                        let here = |s: &[AuditBlock], d: &[AuditBlock], ports| {
                            holds(&estate, s, sources, source)
                                && holds(&estate, d, destinations, destination)
                                && within(ports, port)
                        };
                        let failing = expected
                            .failing
                            .iter()
                            .filter(|f| here(&f.flows.source, &f.flows.destination, f.flows.ports))
                            .count();
                        let unknown = expected
                            .unknown
                            .iter()
                            .filter(|f| here(&f.flows.source, &f.flows.destination, f.flows.ports))
                            .count();
                        let overlapping = back && from.iter().any(|host| to.contains(host));
                        let told_of = if overlapping { (failing.min(1), unknown.min(1)) } else { (failing, unknown) };
                        assert_eq!(
                            told_of,
                            (usize::from(all == Some(Kind::Stopped)), usize::from(all == Some(Kind::Unknown))),
                            "seed {seed}: {ask:?}: {flow:?}: {told:?}: {expected:?}"
                        );
                        if all == Some(Kind::Stopped) || (all == Some(Kind::Unknown) && worst == Kind::Delivered) {
                            worst = all.unwrap();
                        }
                        if turned {
                            continue;
                        }
                        let leaks = forbidden
                            .leaking
                            .iter()
                            .filter(|f| here(&f.flows.source, &f.flows.destination, f.flows.ports))
                            .count();
                        let hidden = forbidden
                            .unknown
                            .iter()
                            .filter(|f| here(&f.flows.source, &f.flows.destination, f.flows.ports))
                            .count();
                        let kind = kinds[0];
                        assert_eq!(
                            (leaks, hidden),
                            (usize::from(kind == Kind::Delivered), usize::from(kind == Kind::Unknown)),
                            "seed {seed}: {ask:?}: {flow:?}: {told:?}: {forbidden:?}"
                        );
                        seen[0] += u32::from(leaks > 0);
                    }
                }
            }
            let state = match worst {
                _ if from.is_empty() || to.is_empty() => crate::ExpectationState::Unknown,
                Kind::Delivered => crate::ExpectationState::Holds,
                Kind::Stopped => crate::ExpectationState::Fails,
                Kind::Unknown => crate::ExpectationState::Unknown,
            };
            assert_eq!(expected.state, state, "seed {seed}: {ask:?}: {expected:?}");
            assert!(expected.failing.iter().all(|failing| !failing.causes.is_empty()), "seed {seed}: {expected:?}");
            assert!(expected.unknown.iter().all(|unknown| !unknown.gaps.is_empty()), "seed {seed}: {expected:?}");
            assert!(forbidden.leaking.iter().all(|leaking| !leaking.by.is_empty()), "seed {seed}: {forbidden:?}");
            seen[1 + expected.state as usize] += 1;
            seen[4] += u32::from(
                expected.failing.iter().any(|f| f.flows.ports.is_some() && f.flows.ports != ask.expectation.ports),
            );
        }
    }
    assert!(seen.iter().all(|count| *count >= 5), "met too seldom: {seen:?}");
}

#[test]
fn what_did_not_change_is_remembered_and_what_did_is_decided_anew() {
    for seed in 0..SEEDS / 3 {
        let (mut snapshots, mut estate) = small(seed);
        let mut random = Random::new(seed);
        let asks = asks(&snapshots, &mut random);
        let mut auditor = Auditor::default();
        auditor.audit(&estate, &asks, &asks, Lang::En);
        let at = usize::try_from(random.below(snapshots.len() as u64)).unwrap();
        let snapshot = &mut snapshots[at];
        if let Known::Known(groups) = &mut snapshot.security_groups
            && let Some(Known::Known(rules)) = groups.first_mut().map(|group| &mut group.rules)
            && let Some(rule) = rules.first_mut()
        {
            rule.policy = if rule.policy == Policy::Accept { Policy::Drop } else { Policy::Accept };
        }
        if random.percent(20)
            && let Known::Known(tables) = &mut snapshot.route_tables
        {
            tables.clear();
        }
        estate.refresh(snapshots[at].clone());
        let again = auditor.audit(&estate, &asks, &asks, Lang::En);
        let fresh = Auditor::default().audit(&Estate::new(snapshots, &[]), &asks, &asks, Lang::En);
        assert_eq!(again, fresh, "seed {seed}");
    }
}

#[test]
fn a_path_names_every_cause_at_a_stage_that_it_stops() {
    let mut met = [0u32; 3];
    for seed in 0..SEEDS {
        let (_, estate) = small(seed);
        let mut random = Random::new(seed);
        let hosts: Vec<HostRef> = estate.hosts().collect();
        for (protocol, port) in SERVICES {
            let [Some(source), Some(destination)] = [(); 2].map(|()| random.pick(&hosts).copied()) else { continue };
            let flow = Flow { source, destination, protocol, port };
            let (told, path) = (estate.walk(&flow).unwrap(), estate.path(&flow, Lang::Zh).unwrap());
            for (outcome, leg) in [(told.request, &path.request), (told.reply, &path.reply)] {
                let state = match kind(outcome) {
                    Kind::Delivered => crate::PathState::Passes,
                    Kind::Stopped => crate::PathState::Stopped,
                    Kind::Unknown => crate::PathState::Unknown,
                };
                assert_eq!(leg.state, state, "seed {seed}: {flow:?}: {path:?}");
                let stops = |stage: &&crate::PathStage| stage.state == crate::PathState::Stopped;
                assert_eq!(leg.stages().iter().any(|stage| stops(&stage)), state == crate::PathState::Stopped);
                assert!(leg.stages().iter().filter(stops).all(|stage| !stage.codes.is_empty()));
                met[state as usize] += 1;
            }
            let Some((walk, way)) = crate::index::audit::Explainer::new(&estate).walk(&flow) else { continue };
            let stages = path.request.stages().iter().chain(path.reply.stages());
            let named: std::collections::BTreeSet<_> = stages.flat_map(|stage| stage.codes.clone()).collect();
            let found: std::collections::BTreeSet<_> =
                crate::index::audit::causes(&walk, way).into_iter().map(|cause| cause.code).collect();
            assert!(found.is_subset(&named), "seed {seed}: {flow:?}: {found:?} {named:?}: {path:?}");
        }
    }
    assert!(met.iter().all(|count| *count >= 20), "{met:?}");
}

#[test]
fn a_rule_that_another_expectation_needs_is_no_mistaken_attempt_at_this_one() {
    use crate::tests::world::World;
    let question = World::healthy().case;
    let estate = Estate::new(question.snapshots, std::slice::from_ref(&question.pair.link));
    let ask = |protocol, ports| Ask {
        expectation: Expectation {
            from: EndpointSet::Cidr("192.168.0.0/16".parse().unwrap()),
            to: EndpointSet::Cidr("172.16.0.0/16".parse().unwrap()),
            protocol,
            ports,
        },
        link: Some(question.pair.link.clone()),
    };
    let web = ask(Protocol::Tcp, PortRange::new(443, 443));
    let codes = |asks: &[Ask]| -> Vec<&'static str> {
        let audit = Auditor::default().audit(&estate, asks, &[], Lang::En);
        audit.expectations.iter().flat_map(|e| &e.failing).flat_map(|f| &f.causes).map(|c| c.code.as_str()).collect()
    };
    assert_eq!(codes(std::slice::from_ref(&web)), ["sg-wrong-protocol"]);
    assert_eq!(codes(&[web, ask(Protocol::Icmp, None)]), ["sg-ingress-missing"]);
}
