//! How much of a link, of a host and of the collector's capacity probes may use, and how each agent spends its share.
//!
//! Pure: takes roster, bandwidths and settings, returns shares. Rules. 1. A link has two budgets, each a percentage of
//! its bandwidth in each direction: one for rounds that answer a request, and a smaller one for steady rounds. Links of
//! one kind that join the same two VPCs share one budget. 2. All flows of a link get the same part; a flow is one
//! direction of a pair. 3. A host that many pairs share, and the collector as a whole, have budgets too; flows that
//! exceed them are reduced in proportion. 4. More flows get fewer probes each, down to [`FRESH_PROBES_MIN`], and then
//! more time. 5. Searches for the largest packet are few enough for the budget.

use crate::{
    plan::roster::Roster,
    settings::{Budgets, ExpectedLink},
};
use pingtong_evidence::{
    AgentId, BandwidthSource, Link, LinkBandwidth, LinkId, LinkShare, LinkSide, Pair, ProbeBudget, Protocol, Sampling,
    Side, echo_bits, probe_bits,
};
use std::collections::{BTreeMap, BTreeSet};

/// Sampling of a single pair on a link whose budget is not narrow.
const STEADY: Sampling = Sampling { probes: 10, spacing_ms: 50, timeout_ms: 1_000, period_ms: 1_000 };
const FRESH: Sampling = Sampling { probes: 400, spacing_ms: 4, timeout_ms: 1_000, period_ms: 3_000 };
const STEADY_PORTS: Sampling = Sampling { probes: 2, spacing_ms: 500, ..STEADY };
const FRESH_PORTS: Sampling = Sampling { probes: 40, spacing_ms: 25, ..FRESH };
/// Minimum number of echoes in one direction: fewer cannot measure loss usefully. One lost of 50 means a loss of 0.4 to
/// 10 %.
pub(crate) const FRESH_PROBES_MIN: u32 = 50;
/// Minimum number of probes of a port: fewer do not distinguish a silent port from chance.
const FRESH_PORT_PROBES_MIN: u32 = 20;
/// Milliseconds within which a request's probes are sent, as long as there are more than the minimum number of probes.
const FRESH_MS: u32 = FRESH.probes * FRESH.spacing_ms;
/// The steady and fresh sampling of a plan for agents that do not know shares: the most careful of all their links.
pub(crate) fn careful(shares: &[LinkShare]) -> (Sampling, Sampling) {
    let least = |model: Sampling, of: fn(&LinkShare) -> Sampling| {
        shares.iter().map(of).fold(model, |least, one| Sampling {
            probes: least.probes.min(one.probes),
            spacing_ms: least.spacing_ms.max(one.spacing_ms),
            ..least
        })
    };
    (least(STEADY, |share| share.steady), least(FRESH, |share| share.fresh))
}

/// Size of an echo's payload in bytes.
const PAYLOAD_BYTES: u32 = 56;
/// Bits of a search for the largest packet if all packets pass: three of 1500 bytes, and three small ones.
const SEARCH_BITS: u64 = 3 * (1_500 + 84) * 8;
/// Maximum number of searches that one agent begins on one link for one request.
const SEARCHES_MAX: u64 = 4;
/// A quarter of a steady budget is for searches; the rest is for echoes and ports.
const SEARCHES_PART: u64 = 4;
const SEARCH_PERIOD_MS_MIN: u64 = 8_000;
/// Upper bound of every period in milliseconds: one hour.
const PERIOD_MS_MAX: u64 = 3_600_000;

const KILO: u64 = 1_000;
const MEGA: u64 = 1_000_000;

/// The shares of the agents, and the time that their probes take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Allotment {
    /// Each agent's shares, one for each of its links.
    pub(crate) shares: BTreeMap<AgentId, Vec<LinkShare>>,
    /// The probe budget of each link.
    pub(crate) budgets: BTreeMap<LinkId, ProbeBudget>,
    /// Milliseconds for which a request's probes of each link are sent.
    pub(crate) request_ms: BTreeMap<LinkId, u64>,
    /// Milliseconds between two steady rounds of each link.
    pub(crate) steady_period_ms: BTreeMap<LinkId, u64>,
}

/// The probes that one agent sends for one pair.
struct Flow<'r> {
    pair: &'r Pair,
    link: &'r LinkId,
    sender: &'r AgentId,
    receiver: Option<&'r AgentId>,
    /// Bits per second of its part of the link's budget, before the budgets of hosts and the collector are applied.
    fresh: u64,
    steady: u64,
}

/// Link kind and the two VPCs in a fixed order: links with the same value share a budget.
type Road<'l> = (u8, &'l LinkSide, &'l LinkSide);

fn road(link: &Link) -> Road<'_> {
    let (one, other) = (&link.initiator, &link.acceptor);
    (link.kind as u8, one.min(other), one.max(other))
}

/// Distributes the budgets of all links among the agents of the roster.
pub(crate) fn allot(
    roster: &Roster,
    links: &[ExpectedLink],
    bandwidths: &BTreeMap<LinkId, u64>,
    settings: &Budgets,
    steady_probes: u32,
) -> Allotment {
    let mut allotment = Allotment::default();
    let mut flows: Vec<Flow<'_>> = vec![];
    for (pair, side) in roster.flows() {
        if let Some(sender) = &pair.endpoint(side).agent {
            let receiver = pair.endpoint(side.opposite()).agent.as_ref();
            flows.push(Flow { pair, link: &pair.link.id, sender, receiver, fresh: 0, steady: 0 });
        }
    }
    let mut on_road: BTreeMap<Road<'_>, u32> = BTreeMap::new();
    for flow in &flows {
        *on_road.entry(road(&flow.pair.link)).or_default() += 1;
    }
    for expected in links {
        let flows = on_road.get(&road(&expected.link)).copied().unwrap_or(0);
        let spec = bandwidths.get(&expected.link.id).copied();
        allotment.budgets.insert(expected.link.id.clone(), budget_of(expected, spec, flows, settings));
    }
    for flow in &mut flows {
        let Some(budget) = allotment.budgets.get(flow.link) else { continue };
        let part = |bits_per_s: u64| bits_per_s / u64::from(budget.flows.max(1));
        // The part of the budget that searches leave.
        let steady = budget.steady_bits_per_s - budget.steady_bits_per_s / SEARCHES_PART;
        (flow.fresh, flow.steady) = (part(budget.fresh_bits_per_s), part(steady));
    }
    limit(&mut flows, settings);
    let mut of_agent: BTreeMap<(&AgentId, &LinkId), Vec<&Flow<'_>>> = BTreeMap::new();
    for flow in &flows {
        of_agent.entry((flow.sender, flow.link)).or_default().push(flow);
    }
    let mut agents_on: BTreeMap<&LinkId, BTreeSet<&AgentId>> = BTreeMap::new();
    for (agent, link) in of_agent.keys() {
        agents_on.entry(link).or_default().insert(agent);
    }
    for ((agent, link), flows) in &of_agent {
        let (Some(budget), Some(agents)) = (allotment.budgets.get(*link), agents_on.get(*link)) else { continue };
        let place = agents.iter().position(|other| other == agent).unwrap_or(0) as u64;
        let share = share_of(link, *budget, flows, place, agents.len() as u64, steady_probes);
        let period = allotment.steady_period_ms.entry((*link).clone()).or_default();
        *period = (*period).max(share.steady.period_ms.into());
        let took = allotment.request_ms.entry((*link).clone()).or_default();
        *took = (*took).max(lasting_ms(&share, flows));
        allotment.shares.entry((*agent).clone()).or_default().push(share);
    }
    allotment
}

fn budget_of(expected: &ExpectedLink, spec: Option<u64>, flows: u32, settings: &Budgets) -> ProbeBudget {
    let set = expected.bandwidth_mbit.map(|mbit| u64::from(mbit) * MEGA);
    // If both are known, the smaller one applies, so that no owner is surprised.
    let bandwidth = match (spec, set) {
        (Some(spec), set) if set.is_none_or(|set| spec <= set) => {
            LinkBandwidth { bits_per_s: spec, source: BandwidthSource::Spec }
        }
        (_, Some(bits_per_s)) => LinkBandwidth { bits_per_s, source: BandwidthSource::Settings },
        _ => LinkBandwidth::default(),
    };
    let percent = |own: Option<u32>, general: u32| bandwidth.bits_per_s * u64::from(own.unwrap_or(general)) / 100;
    ProbeBudget {
        bandwidth,
        fresh_bits_per_s: percent(expected.verify_percent, settings.verify_percent),
        steady_bits_per_s: percent(expected.steady_percent, settings.steady_percent),
        flows,
    }
}

/// Reduces flows in proportion where a host or the collector exceeds its budget.
fn limit(flows: &mut [Flow<'_>], settings: &Budgets) {
    type Rate = for<'r, 'f> fn(&'r mut Flow<'f>) -> &'r mut u64;
    let kinds: [(Rate, Sampling, u64, u64); 2] = [
        (
            |flow| &mut flow.fresh,
            FRESH,
            u64::from(settings.host_kbit) * KILO,
            u64::from(settings.collector_mbit) * MEGA,
        ),
        (
            |flow| &mut flow.steady,
            STEADY,
            u64::from(settings.host_steady_kbit) * KILO,
            u64::from(settings.collector_steady_mbit) * MEGA,
        ),
    ];
    for (rate, sampling, host_max, all_max) in kinds {
        let mut hosts: BTreeMap<AgentId, u64> = BTreeMap::new();
        let mut all = 0;
        for flow in flows.iter_mut() {
            // The rate of a flow that uses its whole part, but not more than the densest sampling.
            let densest = bits_of(flow.pair) * KILO / u64::from(sampling.spacing_ms);
            let wanted = (*rate(flow)).min(densest);
            *rate(flow) = wanted;
            all += wanted;
            for host in [Some(flow.sender), flow.receiver].into_iter().flatten() {
                *hosts.entry(host.clone()).or_default() += wanted;
            }
        }
        let reduced = |bits: u64, total: u64, most: u64| {
            if total <= most {
                bits
            } else {
                u64::try_from(u128::from(bits) * u128::from(most) / u128::from(total)).unwrap_or(bits)
            }
        };
        for flow in flows.iter_mut() {
            let wanted = *rate(flow);
            let of_host = |host: &AgentId| reduced(wanted, hosts.get(host).copied().unwrap_or(0), host_max);
            let least = [Some(flow.sender), flow.receiver].into_iter().flatten().map(of_host).min();
            *rate(flow) = least.unwrap_or(wanted).min(reduced(wanted, all, all_max)).max(1);
        }
    }
}

fn bits_of(pair: &Pair) -> u64 {
    probe_bits(pair.protocol, pair.acceptor.address, PAYLOAD_BYTES)
}

/// Computes one agent's share of one link. `place` is the agent's index among the `agents` that probe the link.
fn share_of(
    link: &LinkId,
    budget: ProbeBudget,
    flows: &[&Flow<'_>],
    place: u64,
    agents: u64,
    steady_probes: u32,
) -> LinkShare {
    let least = |rate: fn(&Flow<'_>) -> u64| flows.iter().map(|flow| rate(flow)).min().unwrap_or(1).max(1);
    let (fresh_rate, steady_rate) = (least(|flow| flow.fresh), least(|flow| flow.steady));
    let echo = echo_bits_of(flows);
    let port = flows.iter().filter(|flow| flow.pair.protocol != Protocol::Icmp).map(|flow| bits_of(flow.pair)).max();
    let spacing = |bits: u64, rate: u64, least: u32| bounded((bits * KILO).div_ceil(rate)).max(least);
    let fresh = |model: Sampling, bits: u64, fewest: u32| {
        let spacing_ms = spacing(bits, fresh_rate, model.spacing_ms);
        Sampling { probes: (FRESH_MS / spacing_ms).clamp(fewest, model.probes), spacing_ms, ..model }
    };
    let apart = |bits: u64, model: Sampling| spacing(bits, steady_rate, model.spacing_ms);
    let (echo_apart, port_apart) = (apart(echo, STEADY), port.map_or(0, |bits| apart(bits, STEADY_PORTS)));
    // A whole number of the plan's own periods, long enough for at least one probe of each kind.
    let period_ms = echo_apart.max(port_apart).div_ceil(STEADY.period_ms).max(1) * STEADY.period_ms;
    let steady = |model: Sampling, spacing_ms: u32, most: u32| {
        let spacing_ms = spacing_ms.max(model.spacing_ms);
        Sampling { probes: (period_ms / spacing_ms).clamp(1, most), spacing_ms, period_ms, ..model }
    };
    let echoes = flows.iter().filter(|flow| flow.pair.protocol == Protocol::Icmp).count() as u64;
    let searches = budget.fresh_bits_per_s.saturating_mul(FRESH_MS.into()) / KILO / SEARCH_BITS;
    let per_search_ms = SEARCH_BITS * KILO / (budget.steady_bits_per_s / SEARCHES_PART).max(1);
    LinkShare {
        link: link.clone(),
        budget,
        steady_bits_per_s: (budget.steady_bits_per_s / u64::from(budget.flows.max(1)) * echoes).max(1),
        fresh_bits_per_s: (budget.fresh_bits_per_s / u64::from(budget.flows.max(1)) * echoes).max(1),
        steady: steady(STEADY, echo_apart, steady_probes.min(STEADY.probes)),
        fresh: fresh(FRESH, echo, FRESH_PROBES_MIN),
        steady_ports: steady(STEADY_PORTS, port_apart, STEADY_PORTS.probes),
        fresh_ports: fresh(FRESH_PORTS, port.unwrap_or(1), FRESH_PORT_PROBES_MIN),
        fresh_searches: bounded(match searches.max(2) / agents.max(1) {
            0 => u64::from(place < searches.max(2)),
            each => each.min(SEARCHES_MAX),
        }),
        search_period_ms: bounded((agents * per_search_ms).clamp(SEARCH_PERIOD_MS_MIN, PERIOD_MS_MAX)),
    }
}

fn echo_bits_of(flows: &[&Flow<'_>]) -> u64 {
    let targets = flows.iter().flat_map(|flow| Side::BOTH.map(|side| flow.pair.endpoint(side).address));
    targets.map(|target| echo_bits(target, PAYLOAD_BYTES)).max().unwrap_or(1)
}

/// Milliseconds for which a request's probes of a share are sent, including what searches use of the same budget.
fn lasting_ms(share: &LinkShare, flows: &[&Flow<'_>]) -> u64 {
    let sent = |sampling: Sampling| u64::from(sampling.probes) * u64::from(sampling.spacing_ms);
    let has = |icmp: bool| flows.iter().any(|flow| (flow.pair.protocol == Protocol::Icmp) == icmp);
    let echoes = flows.iter().filter(|flow| flow.pair.protocol == Protocol::Icmp).count() as u64;
    let echo_total = echoes * u64::from(share.fresh.probes) * echo_bits_of(flows);
    let search_total = u64::from(share.fresh_searches).min(echoes) * SEARCH_BITS;
    let all_ms = (echo_total + search_total) * KILO / share.fresh_bits_per_s.max(1);
    let echo = if has(true) { sent(share.fresh).max(all_ms) } else { 0 };
    let ports = if has(false) { sent(share.fresh_ports) } else { 0 };
    echo.max(ports)
}

fn bounded(number: u64) -> u32 {
    u32::try_from(number.min(PERIOD_MS_MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::Settings, store::AgentRow};
    use pingtong_evidence::{AccountId, AgentHello, SCHEMA, Timestamp};
    use std::fmt::Write as _;

    /// A link with `hosts` hosts on each side; each probes all hosts of the other side by ICMP and at these TCP ports.
    fn many(hosts: u8, more: &str, ports: &[u16]) -> (Vec<ExpectedLink>, Budgets, Roster) {
        let mut expects = String::from(
            "[[link.expect]]\nfrom = { vpc = \"vpc-a\" }\nto = { vpc = \"vpc-b\" }\nprotocol = \"icmp\"\n",
        );
        for port in ports {
            let _ = write!(
                expects,
                "[[link.expect]]\nfrom = {{ vpc = \"vpc-a\" }}\nto = {{ vpc = \"vpc-b\" }}\nprotocol = \"tcp\"\nports = [{port}, {port}]\n"
            );
        }
        let text = format!(
            "[[link]]\nid = \"p\"\nkind = \"router-interface\"\ninitiator = {{ account = \"1\", region = \"r\", vpc = \"vpc-a\" }}\n\
             acceptor = {{ account = \"2\", region = \"s\", vpc = \"vpc-b\" }}\n{more}\n{expects}"
        );
        let settings = Settings::parse(&text, "c").unwrap();
        let agent = |account: &str, vpc: &str, block: u8, n: u8| AgentRow {
            id: AgentId::parse(&format!("{account}-{n}")).unwrap(),
            account: AccountId::parse(account).unwrap(),
            instance: None,
            secret_hash: vec![],
            enrolled_at: Timestamp::default(),
            seen_at: None,
            hello: Some(AgentHello {
                schema: SCHEMA,
                version: "0".into(),
                metadata: Some(
                    serde_json::from_value(serde_json::json!({
                        "instance": format!("i-{account}-{n}"), "account": account, "region": "r", "vpc": vpc,
                        "vswitch": "vsw", "private_address": format!("10.{block}.0.{n}")
                    }))
                    .unwrap(),
                ),
            }),
        };
        let agents: Vec<AgentRow> =
            (1..=hosts).flat_map(|n| [agent("1", "vpc-a", 1, n), agent("2", "vpc-b", 2, n)]).collect();
        let roster = Roster::derive(&settings.links, &agents);
        (settings.links, settings.budgets, roster)
    }

    fn allotted(hosts: u8, spec: Option<u64>, more: &str) -> Allotment {
        let (links, budgets, roster) = many(hosts, more, &[]);
        let specs = spec.map(|mbit| (links[0].link.id.clone(), mbit * MEGA)).into_iter().collect();
        allot(&roster, &links, &specs, &budgets, 10)
    }

    /// Bits per second of all echoes of the link in each direction.
    fn taken(allotment: &Allotment, roster: &Roster, of: fn(&LinkShare) -> Sampling) -> u64 {
        let rate = |share: &LinkShare| ECHO * KILO / u64::from(of(share).spacing_ms);
        let flows = |agent: &AgentId| roster.targets[agent].len() as u64;
        allotment.shares.iter().map(|(agent, shares)| flows(agent) * rate(&shares[0])).sum()
    }

    const ECHO: u64 = 84 * 8;

    #[test]
    fn a_single_pair_on_the_smallest_connection_is_probed_as_densely_as_on_any() {
        for spec in [None, Some(2), Some(10_000)] {
            let share = allotted(1, spec, "").shares.into_values().next().unwrap().remove(0);
            assert_eq!((share.fresh, share.steady), (FRESH, STEADY), "{spec:?}");
            assert_eq!(share.fresh_searches, 4);
        }
    }

    #[test]
    fn many_pairs_share_a_fifth_of_the_link_and_a_fiftieth_of_it_all_the_time() {
        for hosts in [2, 4, 9, 30] {
            let (links, budgets, roster) = many(hosts, "", &[]);
            let specs = BTreeMap::from([(links[0].link.id.clone(), 2 * MEGA)]);
            let allotment = allot(&roster, &links, &specs, &budgets, 10);
            assert_eq!(allotment.shares.len(), usize::from(hosts) * 2);
            assert!(taken(&allotment, &roster, |share| share.fresh) <= 400_000, "{hosts}");
            assert!(taken(&allotment, &roster, |share| share.steady) <= 40_000, "{hosts}");
            let share = &allotment.shares.values().next().unwrap()[0];
            assert!(share.fresh.probes >= FRESH_PROBES_MIN && share.steady.probes >= 1);
            assert_eq!(share.steady.period_ms % STEADY.period_ms, 0);
            let buckets: u64 = allotment.shares.values().map(|shares| shares[0].fresh_bits_per_s).sum();
            assert!(buckets <= 400_000 && buckets > 390_000, "{buckets}");
        }
    }

    #[test]
    fn more_pairs_get_fewer_probes_and_then_more_time() {
        let of = |hosts| {
            let allotment = allotted(hosts, Some(2), "");
            (allotment.shares.values().next().unwrap()[0].fresh.probes, *allotment.request_ms.values().next().unwrap())
        };
        let (single, four, sixteen, hundred) = (of(1), of(2), of(4), of(10));
        assert_eq!(single.0, 400);
        assert!(four.0 < single.0 && four.0 > FRESH_PROBES_MIN, "{four:?}");
        assert_eq!((sixteen.0, hundred.0), (FRESH_PROBES_MIN, FRESH_PROBES_MIN));
        assert!(sixteen.1 < 6_000 && hundred.1 > 2 * sixteen.1, "{sixteen:?} {hundred:?}");
    }

    #[test]
    fn the_smaller_of_specification_and_settings_counts_and_shares_are_settable() {
        let budget = |spec, more: &str| *allotted(1, spec, more).budgets.values().next().unwrap();
        let bandwidth =
            |spec, more: &str| (budget(spec, more).bandwidth.bits_per_s / MEGA, budget(spec, more).bandwidth.source);
        assert_eq!(bandwidth(None, ""), (2, BandwidthSource::Assumed));
        assert_eq!(bandwidth(Some(50), ""), (50, BandwidthSource::Spec));
        assert_eq!(bandwidth(Some(50), "bandwidth_mbit = 10"), (10, BandwidthSource::Settings));
        assert_eq!(bandwidth(Some(5), "bandwidth_mbit = 10"), (5, BandwidthSource::Spec));
        assert_eq!(bandwidth(None, "bandwidth_mbit = 10"), (10, BandwidthSource::Settings));
        let own = budget(Some(100), "verify_percent = 50\nsteady_percent = 1");
        assert_eq!((own.fresh_bits_per_s, own.steady_bits_per_s), (50 * MEGA, MEGA));
    }

    #[test]
    fn a_host_and_the_collector_have_budgets_of_their_own() {
        let (links, budgets, roster) = many(30, "", &[]);
        let specs = BTreeMap::from([(links[0].link.id.clone(), 10_000 * MEGA)]);
        let share = |budgets: &Budgets| {
            allot(&roster, &links, &specs, budgets, 10).shares.into_values().next().unwrap().remove(0)
        };
        // One host has thirty pairs: sixty flows of 672-bit packets, requests and replies, share 2 Mbit/s.
        let spacing = share(&budgets).fresh.spacing_ms;
        assert!((20..=21).contains(&spacing), "{spacing}");
        let narrow = Budgets { collector_mbit: 1, ..budgets };
        assert!(share(&narrow).fresh.spacing_ms >= 1_200, "1,800 flows share 1 Mbit/s");
        let wide = Budgets { host_kbit: 1_000_000, collector_mbit: 10_000, ..budgets };
        assert_eq!(share(&wide).fresh, FRESH);
    }

    #[test]
    fn ports_count_by_what_they_cost() {
        let (links, budgets, roster) = many(4, "", &[22, 80, 443]);
        let specs = BTreeMap::from([(links[0].link.id.clone(), 2 * MEGA)]);
        let allotment = allot(&roster, &links, &specs, &budgets, 10);
        let mut all = 0;
        for (agent, shares) in &allotment.shares {
            let of =
                |port: bool| roster.targets[agent].iter().filter(|target| target.port.is_some() == port).count() as u64;
            let tcp = probe_bits(Protocol::Tcp, [10, 0, 0, 1].into(), 0);
            all += of(false) * ECHO * KILO / u64::from(shares[0].fresh.spacing_ms);
            all += of(true) * tcp * KILO / u64::from(shares[0].fresh_ports.spacing_ms);
        }
        assert!(all <= 400_000, "{all}");
    }

    #[test]
    fn two_links_between_the_same_vpcs_share_one_budget() {
        let (mut links, budgets, _) = many(2, "", &[]);
        let mut other = links[0].clone();
        other.link.id = LinkId::parse("q").unwrap();
        std::mem::swap(&mut other.link.initiator, &mut other.link.acceptor);
        assert_eq!(road(&links[0].link), road(&other.link));
        links.push(other);
        let allotment = allot(&Roster::default(), &links, &BTreeMap::new(), &budgets, 10);
        assert!(allotment.budgets.values().all(|budget| budget.flows == 0), "nobody probes");
    }
}
