//! The healthy tutorial as evidence, and the functions that break it.

use crate::{Case, HealthReport, Verdict, diagnose};
use pingtong_evidence::{
    packet_filter::{self, BaseChain, Chain, ChainKind, Condition, Family, Field, Rule, RuleSet, Statement, Table},
    *,
};
use std::{net::IpAddr, sync::Arc};

/// Of so many probes, those that are left if so many are lost, spread over the round.
pub(crate) fn spread(sent: u32, lost: u32) -> SequenceSet {
    (0..sent).filter(|n| n * lost / sent == (n + 1) * lost / sent || lost == 0).collect()
}

pub(crate) const A: &str = "1000000000000001";
pub(crate) const B: &str = "1000000000000002";
/// Number of probes in a round of one direction.
pub(crate) const SENT: u32 = 400;

pub(crate) fn id<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("bad id {text}"))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

/// How far the round trips that begin in one direction get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Through,
    S0(i32),
    S1,
    S2,
    S3,
    S4,
    S5,
    /// Every n-th request is lost on the way out.
    LosesRequests(u32),
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) case: Case,
}

impl World {
    pub(crate) fn side(side: Side) -> (&'static str, &'static str, &'static str, &'static str, &'static str) {
        match side {
            Side::Initiator => ("a", A, "cn-qingdao", "192.168.0.0/16", "192.168.1.10"),
            Side::Acceptor => ("b", B, "cn-beijing", "172.16.0.0/16", "172.16.1.10"),
        }
    }

    pub(crate) fn healthy() -> Self {
        let link_side = |side| {
            let (x, account, region, ..) = Self::side(side);
            LinkSide { account: id(account), region: id(region), vpc: id(&format!("vpc-{x}")) }
        };
        let endpoint = |side| {
            let (x, _, _, _, address) = Self::side(side);
            Endpoint {
                address: ip(address),
                instance: Some(id(&format!("i-{x}"))),
                agent: Some(id(&format!("agent-{x}"))),
            }
        };
        let link = Link {
            id: id("peering1"),
            kind: LinkKind::RouterInterface,
            initiator: link_side(Side::Initiator),
            acceptor: link_side(Side::Acceptor),
        };
        let pair = Pair {
            id: id("pair1"),
            link,
            initiator: endpoint(Side::Initiator),
            acceptor: endpoint(Side::Acceptor),
            protocol: Protocol::Icmp,
            port: None,
            opened_by: Side::Initiator,
        };
        let case = Case {
            probing: None,
            pair,
            elsewhere: vec![],
            peers: vec![],
            snapshots: Side::BOTH.map(snapshot).to_vec(),
            probes: vec![],
            earlier: vec![],
            arrivals: vec![],
            hosts: Side::BOTH.map(facts).to_vec(),
            silent: vec![],
            healths: vec![],
            asked_at: at(5_000),
            settle_ms: 0,
        };
        let mut world = Self { case };
        world.wire(Wire::Through, Wire::Through);
        world
    }

    /// Replaces the observations on the wire.
    pub(crate) fn wire(&mut self, forward: Wire, back: Wire) {
        self.case.probes.clear();
        self.case.arrivals.clear();
        for (direction, wire) in [(Direction::Forward, forward), (Direction::Return, back)] {
            let (probe, arrival) = round(&self.case.pair, direction, wire);
            self.case.probes.push(probe);
            self.case.arrivals.extend(arrival);
        }
    }

    pub(crate) fn snapshot(&mut self, side: Side) -> &mut Snapshot {
        let account = Self::side(side).1;
        self.case.snapshots.iter_mut().find(|s| s.account.as_str() == account).unwrap()
    }

    pub(crate) fn facts(&mut self, side: Side) -> &mut HostFacts {
        let agent = format!("agent-{}", Self::side(side).0);
        self.case.hosts.iter_mut().find(|h| h.agent.as_str() == agent).unwrap()
    }

    pub(crate) fn interface(&mut self, side: Side) -> &mut RouterInterface {
        known(&mut self.snapshot(side).router_interfaces).first_mut().unwrap()
    }

    pub(crate) fn table(&mut self, side: Side) -> &mut RouteTable {
        known(&mut self.snapshot(side).route_tables).first_mut().unwrap()
    }

    pub(crate) fn entries(&mut self, side: Side) -> &mut Vec<RouteEntry> {
        known(&mut self.table(side).entries)
    }

    pub(crate) fn group(&mut self, side: Side) -> &mut SecurityGroup {
        known(&mut self.snapshot(side).security_groups).first_mut().unwrap()
    }

    pub(crate) fn rules(&mut self, side: Side) -> &mut Vec<SecurityRule> {
        known(&mut self.group(side).rules)
    }

    /// Binds an ACL with these entries to the side's vSwitch; the other direction lets everything pass.
    pub(crate) fn acl(&mut self, side: Side, ingress: bool, entries: Vec<AclEntry>) {
        let x = Self::side(side).0;
        let name: NetworkAclId = id(&format!("nacl-{x}"));
        let open = vec![acl_entry("nae-open", Policy::Accept, RuleProtocol::All, "0.0.0.0/0")];
        let (inward, outward) = if ingress { (entries, open) } else { (open, entries) };
        let vswitch = known(&mut self.snapshot(side).vswitches).first_mut().unwrap();
        vswitch.network_acl = Some(name.clone());
        let vswitch = vswitch.id.clone();
        self.snapshot(side).network_acls = Known::Known(vec![NetworkAcl {
            id: name,
            vpc: id(&format!("vpc-{x}")),
            ingress: Known::Known(inward),
            egress: Known::Known(outward),
            vswitches: vec![vswitch],
            provenance: Provenance(0),
        }]);
    }

    pub(crate) fn refuse(&mut self, side: Side, hook: FirewallHook, protocol: Option<u8>, handle: Option<u64>) {
        let rule = FirewallRule {
            family: "inet".into(),
            table: "guard".into(),
            chain: "in".into(),
            hook,
            handle,
            verdict: FirewallVerdict::Drop,
            protocol,
            limited: false,
            statements: Some(vec![]),
            text: String::new(),
        };
        // The whole rule set, if the rule alone decides.
        let rules = protocol.zip(handle).map(|(protocol, handle)| {
            let matches = Statement::Match(Condition::equal(Field::MetaL4proto, protocol.into()));
            let statements = vec![matches, Statement::Verdict(packet_filter::Verdict::Drop)];
            let (kind, policy) = (ChainKind::Filter, Policy::Accept);
            let base = Some(BaseChain { kind, hook, priority: 0, policy, devices: vec![] });
            let chain = Chain { name: rule.chain.clone(), base, rules: vec![Rule { handle, statements }] };
            let (family, name) = (Family::Inet, rule.table.clone());
            let table = Table { family, name, dormant: false, chains: vec![chain], sets: vec![] };
            Arc::new(RuleSet { tables: vec![table], rules_omitted: 0 })
        });
        self.facts(side).firewall =
            Known::Known(FirewallFact { refusing: vec![rule], base_chains: 1, rules, ..FirewallFact::default() });
    }

    /// Replaces the statements of the first refusing rule, of an agent that reports no others.
    pub(crate) fn restate(&mut self, side: Side, statements: Vec<Statement>) {
        let firewall = known(&mut self.facts(side).firewall);
        (firewall.refusing[0].statements, firewall.rules) = (Some(statements), None);
    }

    /// Whether the first refusing rule, of an agent that reports no others, is bound to a rate.
    pub(crate) fn limit(&mut self, side: Side, limited: bool) {
        let firewall = known(&mut self.facts(side).firewall);
        (firewall.refusing[0].limited, firewall.rules) = (limited, None);
    }

    pub(crate) fn verdict(&self) -> Verdict {
        diagnose(&self.case.question())
    }

    pub(crate) fn silence(&mut self, side: Side) {
        let agent: AgentId = id(&format!("agent-{}", Self::side(side).0));
        self.case.silent.push(agent.clone());
        self.case.hosts.retain(|h| h.agent != agent);
        self.case.probes.retain(|p| p.key.agent != agent);
        self.case.arrivals.retain(|a| a.observer != agent);
        self.case.healths.retain(|h: &HealthReport| h.agent != agent);
    }
}

pub(crate) fn known<T>(known: &mut Known<T>) -> &mut T {
    match known {
        Known::Known(value) => value,
        Known::Unknown(why) => panic!("unknown: {why}"),
    }
}

pub(crate) fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap()
}

pub(crate) fn rule(name: &str, policy: Policy, priority: u16, protocol: RuleProtocol, peer: RulePeer) -> SecurityRule {
    SecurityRule {
        id: Some(id(name)),
        ingress: true,
        policy,
        priority,
        protocol,
        ports: PortRange::ALL,
        source_ports: None,
        peer,
        own: None,
    }
}

pub(crate) fn acl_entry(name: &str, policy: Policy, protocol: RuleProtocol, peer: &str) -> AclEntry {
    AclEntry { id: Some(id(name)), policy, protocol, ports: PortRange::ALL, peer: cidr(peer), system: false }
}

pub(crate) fn entry(name: &str, destination: &str, kind: NextHopKind, hop: &str) -> RouteEntry {
    RouteEntry {
        id: Some(id(name)),
        destination: cidr(destination),
        kind: if kind == NextHopKind::Local { RouteKind::System } else { RouteKind::Custom },
        status: RouteStatus::Available,
        next_hops: vec![NextHop { kind, id: hop.to_owned(), enabled: None, weight: None }],
        provenance: Provenance(0),
    }
}

fn vswitch_block(side: Side) -> &'static str {
    match side {
        Side::Initiator => "192.168.1.0/24",
        Side::Acceptor => "172.16.1.0/24",
    }
}

fn snapshot(side: Side) -> Snapshot {
    let (x, account, region, block, address) = World::side(side);
    let (y, peer_account, peer_region, peer_block, _) = World::side(side.opposite());
    let name = |prefix: &str| format!("{prefix}-{x}");
    let mut snapshot = Snapshot::unread(id(account), id(region), at(0));
    snapshot.finished_at = at(300);
    snapshot.sources = vec![Source { api: "vpc:Describe".into(), request_id: format!("req-{x}"), at: at(100) }];
    snapshot.vpcs = Known::Known(vec![Vpc {
        id: id(&name("vpc")),
        name: String::new(),
        cidr: cidr(block),
        secondary_cidrs: vec![],
        router: Some(id(&name("vrt"))),
        provenance: Provenance(0),
    }]);
    snapshot.vswitches = Known::Known(vec![VSwitch {
        id: id(&name("vsw")),
        vpc: id(&name("vpc")),
        zone: None,
        cidr: cidr(vswitch_block(side)),
        route_table: Some(id(&name("vtb"))),
        network_acl: None,
        provenance: Provenance(0),
    }]);
    snapshot.route_tables = Known::Known(vec![RouteTable {
        id: id(&name("vtb")),
        vpc: id(&name("vpc")),
        kind: RouteTableKind::System,
        associate_type: AssociateType::VSwitch,
        vswitches: vec![id(&name("vsw"))],
        entries: Known::Known(vec![
            entry(&name("rte-local"), vswitch_block(side), NextHopKind::Local, ""),
            entry(&name("rte-peer"), peer_block, NextHopKind::RouterInterface, &name("ri")),
        ]),
        provenance: Provenance(0),
    }]);
    snapshot.router_interfaces = Known::Known(vec![RouterInterface {
        id: id(&name("ri")),
        role: if side == Side::Initiator { RouterInterfaceRole::Initiating } else { RouterInterfaceRole::Accepting },
        status: RouterInterfaceStatus::Active,
        business_status: BusinessStatus::Normal,
        spec: "Mini.2".into(),
        bandwidth_mbps: None,
        router_kind: RouterKind::VRouter,
        router: id(&name("vrt")),
        vpc: Some(id(&name("vpc"))),
        opposite_region: Some(id(peer_region)),
        opposite_interface: Some(id(&format!("ri-{y}"))),
        opposite_owner: Some(id(peer_account)),
        opposite_router: Some(id(&format!("vrt-{y}"))),
        opposite_router_kind: Some(RouterKind::VRouter),
        opposite_status: Some(RouterInterfaceStatus::Active),
        opposite_business_status: Some(BusinessStatus::Normal),
        opposite_vpc: Some(id(&format!("vpc-{y}"))),
        created_at: None,
        connected_at: None,
        ends_at: None,
        provenance: Provenance(0),
    }]);
    snapshot.vpc_peerings = Known::Known(vec![]);
    snapshot.transit_attachments = Known::Known(vec![]);
    snapshot.transit_peerings = Known::Known(vec![]);
    snapshot.transit_route_tables = Known::Known(vec![]);
    snapshot.network_acls = Known::Known(vec![]);
    snapshot.prefix_lists = Known::Known(vec![]);
    snapshot.security_groups = Known::Known(vec![SecurityGroup {
        id: id(&name("sg")),
        name: String::new(),
        vpc: Some(id(&name("vpc"))),
        kind: SecurityGroupKind::Normal,
        inner_access: Known::Known(Policy::Accept),
        rules: Known::Known(vec![rule(
            &name("sgr"),
            Policy::Accept,
            1,
            RuleProtocol::Icmp,
            RulePeer::Cidr(cidr(peer_block)),
        )]),
        provenance: Provenance(0),
    }]);
    snapshot.instances = Known::Known(vec![Instance {
        id: id(&name("i")),
        name: String::new(),
        status: InstanceStatus::Running,
        vpc: Some(id(&name("vpc"))),
        vswitch: Some(id(&name("vsw"))),
        addresses: vec![ip(address)],
        security_groups: vec![id(&name("sg"))],
        provenance: Provenance(0),
    }]);
    snapshot.enis = Known::Known(vec![Eni {
        id: id(&name("eni")),
        status: EniStatus::InUse,
        primary: true,
        instance: Some(id(&name("i"))),
        vpc: Some(id(&name("vpc"))),
        vswitch: Some(id(&name("vsw"))),
        addresses: vec![ip(address)],
        mac: "00:16:3e:00:00:01".into(),
        security_groups: vec![id(&name("sg"))],
        provenance: Provenance(0),
    }]);
    snapshot
}

fn facts(side: Side) -> HostFacts {
    let (x, account, region, _, address) = World::side(side);
    let peer = World::side(side.opposite()).4;
    let gateway = if side == Side::Initiator { "192.168.1.253" } else { "172.16.1.253" };
    HostFacts {
        schema: SCHEMA,
        agent: id(&format!("agent-{x}")),
        at: at(2_000),
        request: None,
        metadata: Known::Known(MetadataFact {
            instance: id(&format!("i-{x}")),
            account: id(account),
            region: id(region),
            vpc: None,
            vswitch: None,
            private_address: ip(address),
            interfaces: vec![],
        }),
        interfaces: Known::Known(vec![InterfaceFact {
            name: "eth0".into(),
            kind: InterfaceKind::Card,
            up: true,
            mtu: 1500,
            mac: "00:16:3e:00:00:01".into(),
            addresses: vec![(ip(address), cidr(vswitch_block(side)))],
        }]),
        routes: vec![RouteFact {
            to: ip(peer),
            outcome: Known::Known(RouteOutcome::Via {
                interface: "eth0".into(),
                source: None,
                gateway: Some(ip(gateway)),
                prefix: Some(cidr("0.0.0.0/0")),
            }),
        }],
        routing: Known::default(),
        sysctls: SysctlFacts {
            echo_ignore_all: Known::Known(false),
            strict_reverse_path: Known::Known(vec![]),
            ping_group_range: Known::Known((1, 0)),
            forwards: Known::Known(false),
            forwards_v6: Known::Known(false),
            ..SysctlFacts::default()
        },
        firewall: Known::Known(FirewallFact {
            refusing: vec![],
            base_chains: 0,
            legacy_tables: false,
            rules: Some(Arc::default()),
            ..FirewallFact::default()
        }),
        mechanisms: Known::Known(Mechanisms::default()),
        counters: Known::Known(IcmpCounters::default()),
        load: Known::default(),
        container: Known::Known(Container::No),
        engine: ProbeEngine::Raw,
        observes: vec![],
        watched_ports: vec![],
        clock: Known::Known(ClockFact { offset_ms: 0, error_ms: 1 }),
    }
}

fn round(pair: &Pair, direction: Direction, wire: Wire) -> (ProbeRound, Option<ArrivalRound>) {
    let (from, to) = (pair.endpoint(direction.source()), pair.endpoint(direction.destination()));
    let key = RoundKey { agent: from.agent.clone().unwrap(), round: 7.into() };
    let all = SequenceSet::first(SENT);
    let none = SequenceSet::new();
    let kept: SequenceSet = match wire {
        Wire::LosesRequests(n) => (0..SENT).filter(|s| s % n != 0).collect(),
        _ => all.clone(),
    };
    let reached = |stage: u8| {
        let stop = match wire {
            Wire::S0(_) | Wire::S1 => 1,
            Wire::S2 => 2,
            Wire::S3 => 3,
            Wire::S4 => 4,
            Wire::S5 => 5,
            Wire::Through | Wire::LosesRequests(_) => 9,
        };
        if stage < stop { kept.clone() } else { none.clone() }
    };
    let errors = match wire {
        Wire::S0(errno) => vec![SendErrors { errno, probes: all.clone() }],
        _ => vec![],
    };
    let mut probe = ProbeRound {
        started_at: at(1_000),
        ended_at: at(3_600),
        send_errors: errors,
        replied: reached(8),
        ..ProbeRound::unanswered(key.clone(), pair.id.clone(), to.address, SENT)
    };
    if matches!(wire, Wire::S0(_)) {
        probe.sent = none.clone();
    }
    probe.departed = Known::Known(probe.sent.clone());
    let arrival = (!reached(1).is_empty()).then(|| ArrivalRound {
        observer: to.agent.clone().unwrap(),
        key,
        from: from.address,
        to: to.address,
        first_at: at(1_000),
        last_at: at(2_600),
        watching_ms: Some(60_000),
        interface: "eth0".into(),
        on_wire: Known::Known(reached(1)),
        accepted: Known::Known(reached(2)),
        replied: Known::Known(reached(4)),
        replied_elsewhere: if wire == Wire::S4 { vec![("br0".to_owned(), kept.clone())] } else { vec![] },
        own_drops: 0,
    });
    (probe, arrival)
}

/// Each cause as one line: code, side, object, direction.
pub(crate) fn blamed_ways(verdict: &Verdict) -> Vec<String> {
    verdict
        .causes
        .iter()
        .map(|cause| {
            let way = cause.direction.map_or("both".to_owned(), |d| d.to_string());
            format!("{} {} {} {way}", cause.code, cause.side, cause.object.id)
        })
        .collect()
}
