//! Which pairs exist, and which targets each agent probes. Pure: takes settings and enrolled agents, returns the
//! roster.
//!
//! Rules. 1. The hosts of a set are the instance that it names, or the enrolled agents whose metadata lies inside
//! it. 2. An agent counts for a side of a link only if the side's account is its own. 3. A pair spans the link: the
//! host in the initiator's VPC is `Pair.initiator`, whichever end of the expectation names it. 4. Pairs of ICMP are the
//! same whichever end the expectation names first; pairs of TCP and UDP are not. An agent itself reports its VPC (from
//! the metadata service), bound to its credential's account; in the verdict, snapshots take precedence.

use crate::{
    settings::{ExpectedLink, LoadLimit},
    store::{AgentRow, hash_of},
};
use pingtong_evidence::{
    AgentId, Cidr, Endpoint, EndpointSet, Expectation, Link, LinkId, LinkShare, MetadataFact, Pair, PairId, Plan,
    PlanArrival, PlanLoad, PlanTarget, PortRange, ProbeRound, Protocol, SCHEMA, Sampling, Side, Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

/// Maximum number of pairs of all links; more would mean more probes than one collector's agents should send.
const PAIRS_MAX: usize = 4096;
/// Maximum size of a port range of which each port is probed; of a longer range only both ends are.
const PORTS_EACH_MAX: u16 = 8;
const SNAPSHOT_PERIOD_MS: u32 = 60_000;

/// Why a pair gets no load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoLoad {
    #[error("a load is sent by ICMP, and pair \"{0}\" is of {1}")]
    Protocol(PairId, Protocol),
    #[error("no agent is known at either end of pair \"{0}\"")]
    NoAgent(PairId),
}

/// All pairs and targets at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Roster {
    /// The pairs by id.
    pub(crate) pairs: BTreeMap<PairId, Pair>,
    /// Targets of each enrolled agent; the list of an agent of no pair is empty.
    pub(crate) targets: BTreeMap<AgentId, Vec<PlanTarget>>,
    /// The link whose nonce key each agent uses. Links that share an agent share a key, since a plan has only one.
    pub(crate) key_links: BTreeMap<AgentId, LinkId>,
    /// Number of pairs left out because there are too many.
    pub(crate) left_out: usize,
}

/// A host of an endpoint set of the settings.
#[derive(Clone)]
pub(crate) struct Host {
    /// Its address, instance and agent.
    pub(crate) endpoint: Endpoint,
    /// The side of the link whose VPC it lies in; `None` if that is not known.
    pub(crate) side: Option<Side>,
}

impl Roster {
    /// Derives the roster from the links and the enrolled agents.
    pub(crate) fn derive(links: &[ExpectedLink], agents: &[AgentRow]) -> Self {
        let mut roster = Self::default();
        for expected in links {
            for expectation in &expected.expectations {
                roster.add(&expected.link, expectation, agents);
            }
        }
        let mut targets: BTreeMap<AgentId, BTreeSet<PlanTarget>> =
            agents.iter().map(|agent| (agent.id.clone(), BTreeSet::new())).collect();
        for (pair, side) in roster.flows() {
            if let Some(agent) = &pair.endpoint(side).agent {
                targets.entry(agent.clone()).or_default().insert(target_of(pair, pair.endpoint(side.opposite())));
            }
        }
        roster.targets = targets.into_iter().map(|(agent, set)| (agent, set.into_iter().collect())).collect();
        roster.key_links = share_keys(&roster.pairs);
        roster
    }

    /// All flows: each pair with each side whose host begins round trips to the other.
    pub(crate) fn flows(&self) -> impl Iterator<Item = (&Pair, Side)> {
        let begins = |pair: &Pair, side: Side| pair.protocol == Protocol::Icmp || side == pair.opened_by;
        self.pairs.values().flat_map(move |pair| {
            Side::BOTH.into_iter().filter(move |side| begins(pair, *side)).map(move |side| (pair, side))
        })
    }

    /// Agents of a link's pairs.
    pub(crate) fn agents_of(&self, link: &LinkId) -> BTreeSet<AgentId> {
        let pairs = self.pairs.values().filter(|pair| &pair.link.id == link);
        pairs.flat_map(|pair| Side::BOTH.map(|side| pair.endpoint(side).agent.clone())).flatten().collect()
    }

    /// Whether an agent runs at the target of a round, so that arrivals under the round's number can be expected.
    /// Arrivals of TCP connections have numbers of their own, and come long before a silent round's time-out.
    pub(crate) fn has_observer(&self, round: &ProbeRound) -> bool {
        if round.protocol == Protocol::Tcp {
            return false;
        }
        let Some(pair) = self.pairs.get(&round.pair) else { return false };
        Side::BOTH.iter().any(|&side| {
            let end = pair.endpoint(side);
            end.address == round.target && end.agent.is_some() && end.agent.as_ref() != Some(&round.key.agent)
        })
    }

    /// Other pairs of the same link.
    pub(crate) fn peers_of<'r>(&'r self, pair: &'r Pair) -> impl Iterator<Item = &'r Pair> {
        self.pairs.values().filter(|other| other.link.id == pair.link.id && other.id != pair.id)
    }

    /// Pairs of other links.
    pub(crate) fn elsewhere_than<'r>(&'r self, pair: &'r Pair) -> impl Iterator<Item = &'r Pair> {
        self.pairs.values().filter(|other| other.link.id != pair.link.id)
    }

    /// The plan of one agent without any request; `None` if the agent is not enrolled.
    pub(crate) fn plan_of(
        &self,
        agent: &AgentId,
        revision: u64,
        nonce_key: &str,
        shares: &[LinkShare],
        (steady, fresh_sampling): (Sampling, Sampling),
        now: Timestamp,
    ) -> Option<Plan> {
        let targets = self.targets.get(agent)?.clone();
        Some(Plan {
            schema: SCHEMA,
            revision,
            nonce_key: nonce_key.to_owned(),
            targets,
            senders: self.senders_to(agent),
            arrivals: self.arrivals_at(agent),
            steady,
            snapshot_period_ms: SNAPSHOT_PERIOD_MS,
            fresh: None,
            fresh_sampling,
            shares: shares.to_vec(),
            load: None,
            now,
        })
    }

    /// Agents that open connections or send datagrams to this one, so that their probes may arrive here.
    fn senders_to(&self, agent: &AgentId) -> Vec<AgentId> {
        let connections = self.pairs.values().filter(|pair| pair.protocol != Protocol::Icmp);
        let senders = connections.filter_map(|pair| {
            let (opens, serves) = (pair.endpoint(pair.opened_by), pair.endpoint(pair.opened_by.opposite()));
            opens.agent.clone().filter(|_| serves.agent.as_ref() == Some(agent))
        });
        senders.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Connections and datagrams that other agents send to this one.
    fn arrivals_at(&self, agent: &AgentId) -> Vec<PlanArrival> {
        let arrivals = self.pairs.values().filter_map(|pair| {
            let (opens, serves) = (pair.endpoint(pair.opened_by), pair.endpoint(pair.opened_by.opposite()));
            Some(PlanArrival {
                agent: opens.agent.clone().filter(|_| serves.agent.as_ref() == Some(agent))?,
                from: opens.address,
                to: serves.address,
                protocol: pair.protocol,
                port: pair.port.filter(|_| pair.protocol != Protocol::Icmp)?,
            })
        });
        arrivals.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The load of one pair, and the agent that sends it: the initiator's, or the acceptor's if the initiator has none.
    ///
    /// # Errors
    /// If the pair is not of ICMP, or no agent is known at either end.
    pub(crate) fn load_of(pair: &Pair, limit: LoadLimit) -> Result<(AgentId, PlanLoad), NoLoad> {
        if pair.protocol != Protocol::Icmp {
            return Err(NoLoad::Protocol(pair.id.clone(), pair.protocol));
        }
        let sender =
            Side::BOTH.into_iter().find_map(|side| Some((pair.endpoint(side).agent.clone()?, side.opposite())));
        let (agent, far) = sender.ok_or_else(|| NoLoad::NoAgent(pair.id.clone()))?;
        let address = pair.endpoint(far).address;
        Ok((agent, PlanLoad { pair: pair.id.clone(), address, mbit: limit.mbit, seconds: limit.seconds }))
    }

    fn add(&mut self, link: &Link, expectation: &Expectation, agents: &[AgentRow]) {
        let hosts = |set| hosts_of(set, link, agents);
        self.add_hosts(link, expectation, &hosts(&expectation.from), &hosts(&expectation.to));
    }

    /// Adds the pairs of an expectation between hosts that are already known.
    pub(crate) fn add_hosts(&mut self, link: &Link, expectation: &Expectation, from: &[Host], to: &[Host]) {
        for from in from {
            for to in to {
                let Some(from_side) = side_of_first(from.side, to.side) else { continue };
                for port in ports_of(expectation.ports) {
                    let Some(pair) = pair_of(link, &from.endpoint, &to.endpoint, from_side, expectation.protocol, port)
                    else {
                        continue;
                    };
                    if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&pair.id) {
                        self.left_out += 1;
                    } else {
                        self.pairs.insert(pair.id.clone(), pair);
                    }
                }
            }
        }
    }
}

/// The side of the host named first; `None` if both hosts are on the same side, so that the link does not join them.
fn side_of_first(from: Option<Side>, to: Option<Side>) -> Option<Side> {
    match (from, to) {
        (Some(from), Some(to)) => (from != to).then_some(from),
        (Some(from), None) => Some(from),
        (None, Some(to)) => Some(to.opposite()),
        (None, None) => Some(Side::Initiator),
    }
}

fn pair_of(
    link: &Link,
    from: &Endpoint,
    to: &Endpoint,
    from_side: Side,
    protocol: Protocol,
    port: Option<u16>,
) -> Option<Pair> {
    let (initiator, acceptor) = if from_side == Side::Initiator { (from, to) } else { (to, from) };
    let opened_by = if protocol == Protocol::Icmp { Side::Initiator } else { from_side };
    let (first, second) = if opened_by == Side::Initiator { (initiator, acceptor) } else { (acceptor, initiator) };
    let port_part = port.map(|port| format!("/{port}")).unwrap_or_default();
    let id = format!("{}/{}-{}/{protocol}{port_part}", short_name(&link.id), first.address, second.address);
    Some(Pair {
        id: PairId::parse(&id).ok()?,
        link: link.clone(),
        initiator: initiator.clone(),
        acceptor: acceptor.clone(),
        protocol,
        port,
        opened_by,
    })
}

/// The link's name if it fits into a pair's ID beside two IPv6 addresses, otherwise its beginning with a digest.
fn short_name(link: &LinkId) -> String {
    const BYTES_MAX: usize = 32;
    const BEGINNING_BYTES: usize = 20;
    if link.as_str().len() <= BYTES_MAX {
        return link.to_string();
    }
    let mut name = String::new();
    for character in link.as_str().chars() {
        if name.len() + character.len_utf8() > BEGINNING_BYTES {
            break;
        }
        name.push(character);
    }
    name.push('~');
    for byte in hash_of(link.as_str()).iter().take(4) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn ports_of(ports: Option<PortRange>) -> Vec<Option<u16>> {
    match ports {
        None => vec![None],
        Some(range) if range.last() - range.first() < PORTS_EACH_MAX => {
            (range.first()..=range.last()).map(Some).collect()
        }
        Some(range) => vec![Some(range.first()), Some(range.last())],
    }
}

fn hosts_of(set: &EndpointSet, link: &Link, agents: &[AgentRow]) -> Vec<Host> {
    if let EndpointSet::Instance { id, address } = set {
        // If an instance is enrolled under two names, the agent of the later enrolment is the one that runs.
        let agent = agents
            .iter()
            .filter(|agent| agent.instance() == Some(id) && speaks_for_link(agent, link))
            .max_by_key(|agent| agent.enrolled_at);
        let endpoint =
            Endpoint { address: *address, instance: Some(id.clone()), agent: agent.map(|agent| agent.id.clone()) };
        return vec![Host { endpoint, side: agent.and_then(|agent| side_of(agent, link)) }];
    }
    // The key includes the side: where blocks overlap, both sides may have the same address.
    let mut by_address: BTreeMap<(Option<Side>, IpAddr), (&AgentRow, Host)> = BTreeMap::new();
    for agent in agents.iter().filter(|agent| speaks_for_link(agent, link)) {
        let Some(metadata) = agent.hello.as_ref().and_then(|hello| hello.metadata.as_ref()) else { continue };
        let elsewhere =
            metadata.vpc.is_some() && Side::BOTH.iter().all(|&s| metadata.vpc.as_ref() != Some(&link.side(s).vpc));
        if elsewhere || !set_holds(set, metadata) {
            continue;
        }
        let endpoint = Endpoint {
            address: metadata.private_address,
            instance: Some(metadata.instance.clone()),
            agent: Some(agent.id.clone()),
        };
        let side = side_of(agent, link);
        let place = (side, metadata.private_address);
        if by_address.get(&place).is_none_or(|(known, _)| known.enrolled_at < agent.enrolled_at) {
            by_address.insert(place, (agent, Host { endpoint, side }));
        }
    }
    by_address.into_values().map(|(_, host)| host).collect()
}

fn set_holds(set: &EndpointSet, metadata: &MetadataFact) -> bool {
    match set {
        EndpointSet::Instance { id, .. } => &metadata.instance == id,
        EndpointSet::VSwitch(vswitch) => metadata.vswitch.as_ref() == Some(vswitch),
        EndpointSet::Vpc(vpc) => metadata.vpc.as_ref() == Some(vpc),
        EndpointSet::Cidr(cidr) => cidr.contains(metadata.private_address),
    }
}

fn speaks_for_link(agent: &AgentRow, link: &Link) -> bool {
    Side::BOTH.iter().any(|&side| link.side(side).account == agent.account)
}

fn side_of(agent: &AgentRow, link: &Link) -> Option<Side> {
    let vpc = agent.hello.as_ref().and_then(|hello| hello.metadata.as_ref()?.vpc.as_ref());
    let own = |side: &Side| link.side(*side).account == agent.account;
    let in_vpc = Side::BOTH.into_iter().filter(own).find(|&side| vpc == Some(&link.side(side).vpc));
    in_vpc.or_else(|| {
        let mut owned = Side::BOTH.into_iter().filter(own);
        match (owned.next(), owned.next()) {
            (Some(side), None) => Some(side),
            _ => None,
        }
    })
}

fn target_of(pair: &Pair, peer: &Endpoint) -> PlanTarget {
    PlanTarget {
        pair: pair.id.clone(),
        address: peer.address,
        agent: peer.agent.clone(),
        protocol: pair.protocol,
        port: pair.port,
        link: Some(pair.link.id.clone()),
    }
}

/// For each agent, the smallest ID of the links that are connected through shared agents.
fn share_keys(pairs: &BTreeMap<PairId, Pair>) -> BTreeMap<AgentId, LinkId> {
    let mut keys: BTreeMap<AgentId, LinkId> = BTreeMap::new();
    let ends = |pair: &Pair| Side::BOTH.map(|side| pair.endpoint(side).agent.clone()).into_iter().flatten();
    loop {
        let mut changed = false;
        for pair in pairs.values() {
            let smallest =
                ends(pair).filter_map(|agent| keys.get(&agent).cloned()).fold(pair.link.id.clone(), Ord::min);
            for agent in ends(pair) {
                if keys.get(&agent) != Some(&smallest) {
                    keys.insert(agent, smallest.clone());
                    changed = true;
                }
            }
        }
        // Each pass only lowers keys, so the loop ends.
        if !changed {
            return keys;
        }
    }
}

/// Address blocks that an agent must be allowed to probe: the far ends of its expectations. `cidr_of` returns the
/// blocks of a set that names no addresses. Sets whose blocks stay unknown are the second value.
pub(crate) fn allowed_for(
    links: &[ExpectedLink],
    agent: &AgentRow,
    cidr_of: impl Fn(&EndpointSet) -> Vec<Cidr>,
) -> (BTreeSet<Cidr>, BTreeSet<EndpointSet>) {
    let (mut known, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for expected in links.iter().filter(|expected| speaks_for_link(agent, &expected.link)) {
        for expectation in &expected.expectations {
            for (own, far) in [(&expectation.from, &expectation.to), (&expectation.to, &expectation.from)] {
                if !may_hold(own, agent, &expected.link) {
                    continue;
                }
                let blocks = match far {
                    EndpointSet::Instance { address, .. } => vec![Cidr::host(*address)],
                    EndpointSet::Cidr(cidr) => vec![*cidr],
                    EndpointSet::VSwitch(_) | EndpointSet::Vpc(_) => cidr_of(far),
                };
                if blocks.is_empty() {
                    unknown.insert(far.clone());
                }
                known.extend(blocks);
            }
        }
    }
    (known, unknown)
}

/// Whether the agent may be one of the set's hosts, as far as is known before its first report.
fn may_hold(set: &EndpointSet, agent: &AgentRow, link: &Link) -> bool {
    match (set, agent.instance()) {
        (EndpointSet::Instance { id, .. }, Some(instance)) => id == instance,
        (EndpointSet::Vpc(vpc), _) => {
            Side::BOTH.iter().any(|&s| &link.side(s).vpc == vpc && link.side(s).account == agent.account)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use pingtong_evidence::{AccountId, AgentHello, InstanceId};

    fn settings(expect: &str) -> Settings {
        let text = format!(
            r#"
listen = "127.0.0.1:1"
url = "https://127.0.0.1:1"
[[link]]
id = "p1"
kind = "router-interface"
initiator = {{ account = "1", region = "r1", vpc = "vpc-a" }}
acceptor = {{ account = "2", region = "r2", vpc = "vpc-b" }}
{expect}"#
        );
        Settings::parse(&text, "c").unwrap()
    }

    fn agent(name: &str, account: &str, instance: Option<&str>, metadata: Option<(&str, &str, &str)>) -> AgentRow {
        let account = AccountId::parse(account).unwrap();
        let hello = metadata.map(|(instance, vpc, address)| AgentHello {
            schema: SCHEMA,
            version: "0".into(),
            metadata: Some(
                serde_json::from_value(serde_json::json!({
                    "instance": instance, "account": account, "region": "r", "vpc": vpc, "vswitch": "vsw", "private_address": address
                }))
                .unwrap(),
            ),
        });
        AgentRow {
            id: AgentId::parse(name).unwrap(),
            account,
            instance: instance.map(|id| InstanceId::parse(id).unwrap()),
            secret_hash: hash_of("x"),
            enrolled_at: Timestamp::default(),
            seen_at: None,
            hello,
        }
    }

    fn ids(roster: &Roster) -> Vec<&str> {
        roster.pairs.keys().map(PairId::as_str).collect()
    }

    const INSTANCES: &str = r#"
[[link.expect]]
from = { instance = { id = "i-b", address = "172.16.1.10" } }
to = { instance = { id = "i-a", address = "192.168.1.10" } }
protocol = "icmp"
[[link.expect]]
from = { instance = { id = "i-b", address = "172.16.1.10" } }
to = { instance = { id = "i-a", address = "192.168.1.10" } }
protocol = "tcp"
ports = [443, 444]
"#;

    #[test]
    fn a_pair_is_oriented_by_the_accounts_before_any_agent_was_heard_of() {
        let agents = [agent("A.e", "1", Some("i-a"), None), agent("B.e", "2", Some("i-b"), None)];
        let roster = Roster::derive(&settings(INSTANCES).links, &agents);
        assert_eq!(
            ids(&roster),
            [
                "p1/172.16.1.10-192.168.1.10/tcp/443",
                "p1/172.16.1.10-192.168.1.10/tcp/444",
                "p1/192.168.1.10-172.16.1.10/icmp"
            ]
        );
        let icmp = &roster.pairs[&PairId::parse("p1/192.168.1.10-172.16.1.10/icmp").unwrap()];
        assert_eq!(icmp.initiator.agent, Some(agents[0].id.clone()));
        assert!(roster.pairs.values().filter(|pair| pair.port.is_some()).all(|pair| pair.opened_by == Side::Acceptor));
        assert_eq!(roster.targets[&agents[0].id].len(), 1, "tcp is opened by the acceptor only");
        assert_eq!(roster.targets[&agents[1].id].len(), 3);
        let samplings = crate::plan::budget::careful(&[]);
        let senders = |agent: &AgentRow| {
            roster.plan_of(&agent.id, 1, "00", &[], samplings, Timestamp::default()).unwrap().senders
        };
        assert_eq!((senders(&agents[0]), senders(&agents[1])), (vec![agents[1].id.clone()], vec![]));
        let arrivals = |agent: &AgentRow| {
            roster.plan_of(&agent.id, 1, "00", &[], samplings, Timestamp::default()).unwrap().arrivals
        };
        let at = |arrival: PlanArrival| (arrival.agent, arrival.from.to_string(), arrival.to.to_string(), arrival.port);
        let opener = |port| (agents[1].id.clone(), "172.16.1.10".to_owned(), "192.168.1.10".to_owned(), port);
        assert_eq!(arrivals(&agents[0]).into_iter().map(at).collect::<Vec<_>>(), [opener(443), opener(444)]);
        assert_eq!(arrivals(&agents[1]), []);
    }

    #[test]
    fn a_long_name_of_a_link_still_gives_each_pair_its_own_id() {
        let mut links = settings(INSTANCES).links;
        let mut other = links[0].clone();
        links[0].link.id = LinkId::parse(&"链".repeat(42)).unwrap();
        other.link.id = LinkId::parse(&("链".repeat(41) + "x")).unwrap();
        links.push(other);
        let roster = Roster::derive(&links, &[]);
        assert_eq!(roster.pairs.len(), 6);
        assert!(roster.pairs.keys().all(|id| id.as_str().starts_with("链链链链链链~")), "{:?}", ids(&roster));
    }

    #[test]
    fn pairs_exist_without_agents() {
        let roster = Roster::derive(&settings(INSTANCES).links, &[]);
        assert_eq!(roster.pairs.len(), 3);
        assert!(roster.targets.is_empty());
    }

    #[test]
    fn sets_hold_the_agents_whose_metadata_lies_inside() {
        let expect =
            "[[link.expect]]\nfrom = { vpc = \"vpc-a\" }\nto = { cidr = \"172.16.0.0/16\" }\nprotocol = \"icmp\"\n";
        let agents = [
            agent("A.e1", "1", None, Some(("i-1", "vpc-a", "192.168.1.10"))),
            agent("A.e2", "1", None, Some(("i-2", "vpc-a", "192.168.1.11"))),
            agent("A.other", "1", None, Some(("i-3", "vpc-z", "10.0.0.1"))),
            agent("B.e1", "2", None, Some(("i-4", "vpc-b", "172.16.1.10"))),
            agent("C.liar", "3", None, Some(("i-5", "vpc-b", "172.16.1.66"))),
        ];
        let roster = Roster::derive(&settings(expect).links, &agents);
        assert_eq!(ids(&roster), ["p1/192.168.1.10-172.16.1.10/icmp", "p1/192.168.1.11-172.16.1.10/icmp"]);
        assert!(roster.targets[&agents[4].id].is_empty(), "an agent of no account of the link is no host of it");
    }

    #[test]
    fn where_blocks_overlap_both_sides_keep_their_host() {
        let expect = "[[link.expect]]\nfrom = { cidr = \"192.168.0.0/16\" }\nto = { cidr = \"192.168.0.0/16\" }\nprotocol = \"icmp\"\n";
        let agents = [
            agent("A.e1", "1", None, Some(("i-1", "vpc-a", "192.168.1.10"))),
            agent("A.elsewhere", "1", None, Some(("i-2", "vpc-z", "192.168.1.11"))),
            agent("B.e1", "2", None, Some(("i-3", "vpc-b", "192.168.1.10"))),
        ];
        let roster = Roster::derive(&settings(expect).links, &agents);
        assert_eq!(ids(&roster), ["p1/192.168.1.10-192.168.1.10/icmp"], "no pair within a side, none with another VPC");
        let pair = roster.pairs.values().next().unwrap();
        assert_eq!(
            (&pair.initiator.agent, &pair.acceptor.agent),
            (&Some(agents[0].id.clone()), &Some(agents[2].id.clone()))
        );
    }

    #[test]
    fn hosts_of_one_side_make_no_pair() {
        let expect = "[[link.expect]]\nfrom = { vpc = \"vpc-a\" }\nto = { vpc = \"vpc-a\" }\nprotocol = \"icmp\"\n";
        let agents = [
            agent("A.e1", "1", None, Some(("i-1", "vpc-a", "192.168.1.10"))),
            agent("A.e2", "1", None, Some(("i-2", "vpc-a", "192.168.1.11"))),
        ];
        assert!(Roster::derive(&settings(expect).links, &agents).pairs.is_empty());
    }

    #[test]
    fn links_that_share_an_agent_share_a_key() {
        let mut two = settings(INSTANCES).links;
        let mut other = two[0].clone();
        other.link.id = LinkId::parse("a-link").unwrap();
        two.push(other);
        let agents = [agent("A.e", "1", Some("i-a"), None), agent("B.e", "2", Some("i-b"), None)];
        let roster = Roster::derive(&two, &agents);
        assert!(roster.key_links.values().all(|link| link.as_str() == "a-link"), "{:?}", roster.key_links);
    }

    #[test]
    fn an_agent_may_probe_its_far_ends() {
        let row = agent("A.e", "1", Some("i-a"), None);
        let (known, unknown) = allowed_for(&settings(INSTANCES).links, &row, |_| vec![]);
        assert_eq!(known.iter().map(ToString::to_string).collect::<Vec<_>>(), ["172.16.1.10/32"]);
        assert!(unknown.is_empty());
        let expect = "[[link.expect]]\nfrom = { vpc = \"vpc-a\" }\nto = { vpc = \"vpc-b\" }\nprotocol = \"icmp\"\n";
        let (known, unknown) = allowed_for(&settings(expect).links, &row, |_| vec![]);
        assert!(known.is_empty());
        assert_eq!(unknown.len(), 1);
    }
}
