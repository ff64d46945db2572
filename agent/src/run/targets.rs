//! Which addresses of a plan this agent probes, and how fast.
//!
//! The plan proposes; the allow list and the rate cap of `agent.toml` decide. The report names what is refused. Probes
//! of a link keep to this agent's share of the link's budget: the plan spaces them accordingly, and the prober's token
//! buckets hold back any excess.

use nix::errno::Errno;
use pingtong_evidence::{AgentId, Cidr, LinkId, LinkShare, PairId, Plan, Protocol, RoundPurpose, Sampling};
use pingtong_probe::{BucketKey, PortOrder, RoundOrder};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// Bytes of a steady probe after the ICMP header: those of an ordinary ping.
const PAYLOAD_BYTES: usize = 56;

/// Flows of one burst. If a route has several next hops, each flow takes one of them, so that a single flow shows a
/// single path. Four flows find one dead next hop of two in fifteen of sixteen bursts.
const FLOWS: u32 = 4;
/// Minimum probes of one flow: fewer measure nothing.
const FLOW_PROBES_MIN: u32 = 10;

/// Probes of one port in one round, and the time between two of them: each opens a connection at a service, and ten a
/// second burden none. A round for fresh evidence may send more of them, closer together.
const PORT_PROBES_STEADY: u32 = 2;
const PORT_SPACING_STEADY: Duration = Duration::from_millis(500);
const PORT_PROBES_FRESH: u32 = 40;
const PORT_SPACING_FRESH: Duration = Duration::from_millis(25);

/// Maximum ports of one plan that are probed: a plan with more does not describe expectations, and an agent is not a
/// scanner.
const PORTS_MAX: usize = 256;
/// Divisor: probes of ports, if there are any, take one part in this many of the rate cap.
const PORTS_SHARE: u32 = 4;

/// Probes of ports per second, under a rate cap over all probes.
pub(crate) fn port_rate(rate_pps_max: u32) -> u32 {
    (rate_pps_max / PORTS_SHARE).max(1)
}

/// The same probes in the same time, as several flows: each round has its own identifier.
pub(crate) fn as_flows(orders: Vec<RoundOrder>) -> Vec<RoundOrder> {
    let split = |order: RoundOrder| {
        let flows = (order.probes / FLOW_PROBES_MIN).clamp(1, FLOWS);
        (0..flows).map(move |n| RoundOrder {
            probes: order.probes / flows + u32::from(n < order.probes % flows),
            spacing: order.spacing * flows,
            ..order.clone()
        })
    };
    orders.into_iter().flat_map(split).collect()
}

/// The purpose of rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Steady,
    Fresh,
}

/// An address to be probed by ICMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EchoTarget {
    pub(crate) pair: PairId,
    pub(crate) address: IpAddr,
    /// The link whose share its probes keep; `None` if the plan gives no share for it.
    pub(crate) link: Option<LinkId>,
}

/// A port to be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortTarget {
    pair: PairId,
    address: IpAddr,
    protocol: Protocol,
    port: u16,
    link: Option<LinkId>,
}

/// The targets of a plan, sorted by whether and how they are probed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// Addresses to be probed by ICMP.
    pub(crate) probed: Vec<EchoTarget>,
    /// Ports to be probed.
    pub(crate) ports: Vec<PortTarget>,
    /// Addresses outside the allow list.
    pub(crate) refused: Vec<IpAddr>,
    /// All addresses of the plan, for route lookup.
    pub(crate) peers: Vec<IpAddr>,
    /// Agents whose probes may arrive.
    pub(crate) senders: Vec<AgentId>,
    /// This agent's share of each link's budget.
    pub(crate) shares: BTreeMap<LinkId, LinkShare>,
    /// Why some targets are not probed although they are allowed, as text.
    pub(crate) unsupported: Option<String>,
}

impl Targets {
    /// Sorts a plan's targets; `ipv6` holds the reason if ICMPv6 cannot be probed.
    pub(crate) fn of(plan: &Plan, allow: &[Cidr], ipv6: Result<(), Errno>) -> Self {
        let shares = plan.shares.iter().map(|share| (share.link.clone(), share.clone())).collect();
        let mut targets = Self { shares, ..Self::default() };
        let (mut peers, mut refused, mut others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for target in &plan.targets {
            peers.insert(target.address);
            targets.senders.extend(target.agent.clone());
            let link = target.link.clone().filter(|link| targets.shares.contains_key(link));
            match (target.address, target.protocol) {
                (address, _) if !allow.iter().any(|block| block.contains(address)) => {
                    refused.insert(address);
                }
                (address, Protocol::Icmp) if address.is_ipv4() || ipv6.is_ok() => {
                    targets.probed.push(EchoTarget { pair: target.pair.clone(), address, link });
                }
                (address, protocol) => match (protocol, target.port) {
                    (Protocol::Tcp | Protocol::Udp, Some(port)) if targets.ports.len() < PORTS_MAX => {
                        targets.ports.push(PortTarget { pair: target.pair.clone(), address, protocol, port, link });
                    }
                    _ => {
                        others.insert(format!("{protocol} towards {address}"));
                    }
                },
            }
        }
        targets.senders.extend(plan.senders.iter().cloned());
        targets.peers = peers.into_iter().collect();
        targets.refused = refused.into_iter().collect();
        if !others.is_empty() {
            let list = others.into_iter().collect::<Vec<_>>().join(", ");
            let why = ipv6.err().map(|why| format!(" (no ICMP over IPv6: {})", why.desc())).unwrap_or_default();
            targets.unsupported =
                Some(format!("only ICMP, and TCP and UDP at {PORTS_MAX} ports at most are probed, not {list}{why}"));
        }
        targets
    }

    /// The token buckets of all shares, in bits per second.
    pub(crate) fn buckets(&self) -> BTreeMap<BucketKey, u64> {
        let of_share = |share: &LinkShare| {
            let key = |fresh| BucketKey { link: share.link.clone(), fresh };
            [(key(false), share.steady_bits_per_s), (key(true), share.fresh_bits_per_s)]
        };
        self.shares.values().flat_map(of_share).collect()
    }

    /// One round towards each port of the links for which `due` is true.
    pub(crate) fn port_orders(
        &self,
        sampling: Sampling,
        purpose: Purpose,
        due: impl Fn(Option<&LinkId>) -> bool,
    ) -> Vec<PortOrder> {
        let (probes, spacing) = match purpose {
            Purpose::Fresh => (PORT_PROBES_FRESH, PORT_SPACING_FRESH),
            Purpose::Steady => (PORT_PROBES_STEADY, PORT_SPACING_STEADY),
        };
        let order = |target: &PortTarget| {
            let share = target.link.as_ref().and_then(|link| self.shares.get(link));
            let sampling = share.map_or(sampling, |share| match purpose {
                Purpose::Steady => share.steady_ports,
                Purpose::Fresh => share.fresh_ports,
            });
            PortOrder {
                pair: target.pair.clone(),
                target: target.address,
                protocol: target.protocol,
                port: target.port,
                probes: sampling.probes.min(probes),
                spacing: spacing.max(Duration::from_millis(sampling.spacing_ms.into())),
                timeout: Duration::from_millis(sampling.timeout_ms.into()),
                request: None,
            }
        };
        self.ports.iter().filter(|target| due(target.link.as_ref())).map(order).collect()
    }

    /// One round towards each target of the links for which `due` is true, so that together they keep to the rate cap:
    /// a plan that asks for more gets fewer probes in the same time. Also returns how long the longest round lasts.
    pub(crate) fn orders(
        &self,
        sampling: Sampling,
        purpose: Purpose,
        rate_pps_max: u32,
        due: impl Fn(Option<&LinkId>) -> bool,
    ) -> (Vec<RoundOrder>, Duration) {
        let rate_pps_max =
            if self.ports.is_empty() { rate_pps_max } else { rate_pps_max.saturating_sub(port_rate(rate_pps_max)) };
        let wanted: Vec<(&EchoTarget, Sampling)> = self
            .probed
            .iter()
            .filter(|target| due(target.link.as_ref()))
            .map(|target| {
                let share = target.link.as_ref().and_then(|link| self.shares.get(link));
                let own = |share: &LinkShare| if purpose == Purpose::Fresh { share.fresh } else { share.steady };
                (target, share.map_or(sampling, own))
            })
            .collect();
        // Probes per million seconds, so that slow rounds count as well.
        let asked: u64 = wanted.iter().map(|(_, one)| 1_000_000_000 / u64::from(one.spacing_ms.max(1))).sum();
        let allowed = u64::from(rate_pps_max.max(1)) * 1_000_000;
        let stretch = |spacing: Duration| {
            if asked <= allowed {
                return spacing;
            }
            let nanos = spacing.as_nanos() * u128::from(asked) / u128::from(allowed);
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        let order = |(target, sampling): &(&EchoTarget, Sampling)| {
            let narrow = Duration::from_millis(sampling.spacing_ms.max(1).into());
            let spacing = stretch(narrow);
            let fitting = narrow.as_nanos() * u128::from(sampling.probes) / spacing.as_nanos().max(1);
            let probes = u32::try_from(fitting).unwrap_or(sampling.probes).clamp(1, sampling.probes.max(1));
            RoundOrder {
                pair: target.pair.clone(),
                target: target.address,
                probes,
                spacing,
                timeout: Duration::from_millis(sampling.timeout_ms.into()),
                payload_bytes: PAYLOAD_BYTES,
                purpose: RoundPurpose::Connectivity,
                bucket: target.link.clone().map(|link| BucketKey { link, fresh: purpose == Purpose::Fresh }),
                request: None,
            }
        };
        let orders: Vec<RoundOrder> = wanted.iter().map(order).collect();
        let lasting = orders.iter().map(|order| order.spacing.saturating_mul(order.probes)).max();
        (orders, lasting.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{PlanTarget, SCHEMA, Timestamp};

    fn plan(addresses: &[&str]) -> Plan {
        let sampling = Sampling { probes: 400, spacing_ms: 4, timeout_ms: 1_000, period_ms: 1_000 };
        Plan {
            schema: SCHEMA,
            revision: 1,
            nonce_key: String::new(),
            targets: addresses
                .iter()
                .map(|address| PlanTarget {
                    pair: PairId::parse(address).unwrap(),
                    address: address.parse().unwrap(),
                    agent: None,
                    protocol: Protocol::Icmp,
                    port: None,
                    link: None,
                })
                .collect(),
            senders: vec![],
            arrivals: vec![],
            steady: sampling,
            snapshot_period_ms: 1,
            fresh: None,
            fresh_sampling: sampling,
            shares: vec![],
            load: None,
            now: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn addresses_outside_the_allow_list_are_refused_by_name() {
        let allow = [Cidr::parse("172.16.0.0/16").unwrap()];
        let targets = Targets::of(&plan(&["172.16.1.10", "10.0.0.1"]), &allow, Ok(()));
        assert_eq!(targets.probed.len(), 1);
        assert_eq!(targets.refused, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(targets.peers.len(), 2);
    }

    #[test]
    fn ports_are_probed_few_at_a_time_and_their_senders_may_arrive() {
        let allow = [Cidr::parse("0.0.0.0/0").unwrap()];
        let mut plan = plan(&["10.0.0.1", "10.0.0.2"]);
        (plan.targets[0].protocol, plan.targets[0].port) = (Protocol::Tcp, Some(443));
        plan.senders = vec![AgentId::parse("far").unwrap()];
        let targets = Targets::of(&plan, &allow, Ok(()));
        assert_eq!((targets.probed.len(), targets.ports.len(), targets.unsupported.clone()), (1, 1, None));
        assert_eq!(targets.senders, plan.senders);
        let one = |fresh| targets.port_orders(plan.fresh_sampling, fresh, |_| true)[0].clone();
        assert_eq!((one(Purpose::Steady).probes, one(Purpose::Steady).spacing), (2, Duration::from_millis(500)));
        assert_eq!(
            (one(Purpose::Fresh).probes, one(Purpose::Fresh).spacing, one(Purpose::Fresh).port),
            (40, Duration::from_millis(25), 443)
        );
        // A plan that asks for less gets less, and a port target without a port cannot be probed.
        let less = Sampling { probes: 1, spacing_ms: 2_000, ..plan.steady };
        let order = targets.port_orders(less, Purpose::Fresh, |_| true)[0].clone();
        assert_eq!((order.probes, order.spacing.as_secs()), (1, 2));
        let icmp = |targets: &Targets| {
            let (orders, _) = targets.orders(Sampling { spacing_ms: 1, ..plan.steady }, Purpose::Steady, 100, |_| true);
            1_000_000 / u32::try_from(orders[0].spacing.as_micros()).unwrap()
        };
        assert!(icmp(&targets) + port_rate(100) <= 100, "both kinds together keep the cap");
        assert_eq!(icmp(&Targets { ports: vec![], ..targets.clone() }), 100);
        let mut many = plan.clone();
        many.targets = (1..=300).map(|port| PlanTarget { port: Some(port), ..plan.targets[0].clone() }).collect();
        let many = Targets::of(&many, &allow, Ok(()));
        assert_eq!(many.ports.len(), PORTS_MAX);
        assert!(many.unsupported.is_some_and(|words| words.contains("tcp towards 10.0.0.1")));
        plan.targets[0].port = None;
        assert!(Targets::of(&plan, &allow, Ok(())).unsupported.unwrap().contains("tcp towards 10.0.0.1"));
        assert_eq!(Targets::of(&plan, &[], Ok(())).ports.len(), 0);
    }

    #[test]
    fn a_burst_is_several_flows_of_the_same_probes_in_the_same_time() {
        let allow = [Cidr::parse("0.0.0.0/0").unwrap()];
        let plan = plan(&["10.0.0.1"]);
        let (orders, _) = Targets::of(&plan, &allow, Ok(())).orders(plan.steady, Purpose::Fresh, 2_000, |_| true);
        let whole = orders[0].clone();
        let flows = as_flows(orders);
        assert_eq!((flows.len(), flows.iter().map(|flow| flow.probes).sum::<u32>()), (4, whole.probes));
        assert!(flows.iter().all(|flow| flow.spacing == whole.spacing * 4));
        let few = as_flows(vec![RoundOrder { probes: 25, ..whole.clone() }]);
        assert_eq!(few.iter().map(|flow| flow.probes).collect::<Vec<_>>(), [13, 12]);
        assert_eq!(as_flows(vec![RoundOrder { probes: 3, ..whole }]).len(), 1);
    }

    #[test]
    fn the_rate_cap_thins_a_burst_without_stretching_it() {
        let allow = [Cidr::parse("0.0.0.0/0").unwrap()];
        let plan = plan(&["10.0.0.1", "10.0.0.2"]);
        let targets = Targets::of(&plan, &allow, Ok(()));
        let (orders, lasting) = targets.orders(plan.steady, Purpose::Fresh, 2_000, |_| true);
        assert_eq!((orders[0].probes, lasting), (400, Duration::from_millis(1_600)));
        let (orders, lasting) = targets.orders(plan.steady, Purpose::Fresh, 100, |_| true);
        assert_eq!((orders[0].probes, lasting), (80, Duration::from_millis(1_600)));
    }

    /// A plan of two targets, each over a link of its own, of which one has a narrow budget.
    fn plan_with_shares() -> Plan {
        let mut plan = plan(&["10.0.0.1", "10.0.0.2"]);
        for (target, link) in plan.targets.iter_mut().zip(["wide", "narrow"]) {
            target.link = Some(LinkId::parse(link).unwrap());
        }
        let share = |link: &str, spacing_ms: u32, period_ms: u32| {
            let bandwidth = pingtong_evidence::LinkBandwidth::default();
            let budget = pingtong_evidence::ProbeBudget {
                bandwidth,
                steady_bits_per_s: 40_000,
                fresh_bits_per_s: 400_000,
                flows: 2,
            };
            let sampling = Sampling { probes: 50, spacing_ms, timeout_ms: 1_000, period_ms };
            LinkShare {
                link: LinkId::parse(link).unwrap(),
                budget,
                steady_bits_per_s: 20_000,
                fresh_bits_per_s: 200_000,
                steady: Sampling { probes: 2, ..sampling },
                fresh: sampling,
                steady_ports: Sampling { probes: 1, ..sampling },
                fresh_ports: Sampling { probes: 20, spacing_ms: spacing_ms * 3, ..sampling },
                fresh_searches: 1,
                search_period_ms: 8_000,
            }
        };
        plan.shares = vec![share("wide", 4, 1_000), share("narrow", 40, 5_000)];
        plan
    }

    #[test]
    fn probes_of_each_link_keep_its_own_share() {
        let allow = [Cidr::parse("0.0.0.0/0").unwrap()];
        let mut plan = plan_with_shares();
        let targets = Targets::of(&plan, &allow, Ok(()));
        let (orders, lasting) = targets.orders(plan.fresh_sampling, Purpose::Fresh, 2_000, |_| true);
        let shown: Vec<_> = orders.iter().map(|order| (order.probes, order.spacing.as_millis())).collect();
        assert_eq!((shown, lasting), (vec![(50, 4), (50, 40)], Duration::from_secs(2)));
        let bucket = |order: &RoundOrder| order.bucket.clone().map(|key| (key.link.to_string(), key.fresh));
        assert_eq!(bucket(&orders[1]), Some(("narrow".to_owned(), true)));
        let narrow = |link: Option<&LinkId>| link.is_some_and(|link| link.as_str() == "narrow");
        let (steady, _) = targets.orders(plan.steady, Purpose::Steady, 2_000, narrow);
        assert_eq!((steady.len(), steady[0].probes, bucket(&steady[0])), (1, 2, Some(("narrow".to_owned(), false))));
        let rates: Vec<_> =
            targets.buckets().into_iter().map(|(key, rate)| (key.link.to_string(), key.fresh, rate)).collect();
        let both = |link: &str| [(link.to_owned(), false, 20_000), (link.to_owned(), true, 200_000)];
        assert_eq!(rates, [both("narrow"), both("wide")].concat());

        (plan.targets[1].protocol, plan.targets[1].port) = (Protocol::Tcp, Some(443));
        let ports = Targets::of(&plan, &allow, Ok(())).port_orders(plan.fresh_sampling, Purpose::Fresh, |_| true);
        assert_eq!((ports[0].probes, ports[0].spacing.as_millis()), (20, 120));
        // A link without a share falls back to the plan's own sampling, and no bucket holds it back.
        plan.shares.clear();
        let (orders, _) =
            Targets::of(&plan, &allow, Ok(())).orders(plan.fresh_sampling, Purpose::Fresh, 2_000, |_| true);
        assert_eq!((orders[0].probes, bucket(&orders[0])), (400, None));
    }
}
