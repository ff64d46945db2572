//! No original survives, for snapshots in which every field is filled.

use super::*;
use crate::*;
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hasher},
    net::IpAddr,
};

/// Runs with a keyed function that is good enough to give different texts different results.
pub(super) fn by_key<T>(key: u64, run: impl FnOnce(&Redactor<'_>) -> T) -> T {
    run(&Redactor::new(&|input| keyed(key, input)))
}

fn keyed(key: u64, input: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (n, part) in (0u8..).zip(out.chunks_mut(8)) {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(key);
        hasher.write_u8(n);
        hasher.write(input);
        part.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    out
}

pub(super) fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap()
}

/// Contained in every text that must not survive.
const MARK: &str = "Qx7";

/// Generates distinct texts and ids, and addresses.
struct Maker {
    numbers: std::vec::IntoIter<u32>,
    count: u32,
}

impl Maker {
    fn next(&mut self) -> u32 {
        self.count += 1;
        self.numbers.next().unwrap_or(self.count)
    }

    fn text(&mut self) -> String {
        self.count += 1;
        let forms = ["", "of two words ", "在杭州", "v.", "a/b-"];
        format!("{}{MARK}{}", forms[self.next() as usize % forms.len()], self.count)
    }

    fn id<T: std::str::FromStr>(&mut self, prefix: &str) -> T
    where
        T::Err: std::fmt::Debug,
    {
        self.count += 1;
        format!("{prefix}{MARK}{}", self.count).parse().unwrap()
    }

    fn ip(&mut self) -> IpAddr {
        let [a, b, c, d] = self.next().to_be_bytes();
        match a % 4 {
            0 => [10, b, c, d].into(),
            1 => [192, 168, c, d].into(),
            2 => [172, 16 + b % 16, c, d].into(),
            _ => [a, b, c, d].into(),
        }
    }

    fn cidr(&mut self) -> Cidr {
        let length = u8::try_from(self.next() % 33).unwrap();
        Cidr::around(self.ip(), length)
    }

    /// A reason with all its fields filled.
    fn why(&mut self) -> WhyUnknown {
        let (id, address) = (self.text(), self.ip());
        let message = format!("no route to {address} for \"{id}\", {id}: os error 113");
        let action = "vpc:DescribeVpcs".to_owned();
        match self.next() % 6 {
            0 => WhyUnknown::Denied { action, code: message, request_id: self.text() },
            1 => WhyUnknown::Throttled { action: self.text() },
            2 => WhyUnknown::Unreachable { action, message },
            3 => WhyUnknown::Malformed { action: self.text(), message },
            4 => WhyUnknown::Refused { action, code: message, request_id: self.text() },
            _ => WhyUnknown::NotPermitted { what: message.clone(), closes_with: message },
        }
    }

    fn known<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Known<T> {
        if self.next().is_multiple_of(5) { Known::Unknown(self.why()) } else { Known::Known(make(self)) }
    }

    fn rule(&mut self) -> SecurityRule {
        let peer = match self.next() % 4 {
            0 => RulePeer::Any,
            1 => RulePeer::Cidr(self.cidr()),
            2 => RulePeer::Group { id: self.id("sg-"), owner: Some(self.id("")) },
            _ => RulePeer::PrefixList(self.id("pl-")),
        };
        SecurityRule {
            id: Some(self.id("sgr-")),
            ingress: true,
            policy: Policy::Accept,
            priority: 1,
            protocol: RuleProtocol::All,
            ports: PortRange::ALL,
            source_ports: None,
            peer,
            own: Some(self.cidr()),
        }
    }

    fn route(&mut self) -> RouteEntry {
        RouteEntry {
            id: Some(self.id("rte-")),
            destination: self.cidr(),
            kind: RouteKind::Custom,
            status: RouteStatus::Available,
            next_hops: vec![NextHop {
                kind: NextHopKind::RouterInterface,
                id: self.id::<ObjectId>("ri-").to_string(),
                enabled: None,
                weight: None,
            }],
            provenance: Provenance(0),
        }
    }

    fn acl_entries(&mut self) -> Vec<AclEntry> {
        let (policy, protocol, ports) = (Policy::Drop, RuleProtocol::Icmp, PortRange::ALL);
        vec![AclEntry { id: Some(self.id("nae-")), policy, protocol, ports, peer: self.cidr(), system: false }]
    }

    fn router_interface(&mut self) -> RouterInterface {
        RouterInterface {
            id: self.id("ri-"),
            role: RouterInterfaceRole::Initiating,
            status: RouterInterfaceStatus::Active,
            business_status: BusinessStatus::Normal,
            spec: self.text(),
            bandwidth_mbps: None,
            router_kind: RouterKind::VRouter,
            router: self.id("vrt-"),
            vpc: Some(self.id("vpc-")),
            opposite_region: None,
            opposite_interface: Some(self.id("ri-")),
            opposite_owner: Some(self.id("")),
            opposite_router: Some(self.id("vrt-")),
            opposite_router_kind: None,
            opposite_status: None,
            opposite_business_status: None,
            opposite_vpc: Some(self.id("vpc-")),
            created_at: None,
            connected_at: None,
            ends_at: None,
            provenance: Provenance(0),
        }
    }

    fn transit(&mut self) -> (TransitAttachment, TransitPeering, TransitRouteTable) {
        let attachment = TransitAttachment {
            id: self.id("tr-attach-"),
            transit_router: self.id("tr-"),
            vpc: self.id("vpc-"),
            vpc_owner: Some(self.id("")),
            vpc_region: None,
            attached: true,
            provenance: Provenance(0),
        };
        let peering = TransitPeering {
            id: self.id("tr-attach-"),
            transit_router: self.id("tr-"),
            region: "cn-qingdao".parse().unwrap(),
            peer_transit_router: self.id("tr-"),
            peer_region: "cn-beijing".parse().unwrap(),
            peer_owner: Some(self.id("")),
            bandwidth_mbps: None,
            attached: true,
            provenance: Provenance(0),
        };
        let (destination, attached) = (self.cidr(), Some(self.id("tr-attach-")));
        let route = TransitRoute { destination, attachment: attached, active: true, propagated: false };
        let table = TransitRouteTable {
            id: self.id("vtb-"),
            transit_router: self.id("tr-"),
            associations: self.known(|m| vec![m.id("tr-attach-")]),
            propagations: self.known(|m| vec![m.id("tr-attach-")]),
            routes: self.known(|_| vec![route]),
            provenance: Provenance(0),
        };
        (attachment, peering, table)
    }

    fn host(&mut self) -> (Instance, Eni) {
        let instance = Instance {
            id: self.id("i-"),
            name: self.text(),
            status: InstanceStatus::Running,
            vpc: Some(self.id("vpc-")),
            vswitch: Some(self.id("vsw-")),
            addresses: vec![self.ip()],
            security_groups: vec![self.id("sg-")],
            provenance: Provenance(0),
        };
        let eni = Eni {
            id: self.id("eni-"),
            status: EniStatus::InUse,
            primary: true,
            instance: Some(instance.id.clone()),
            vpc: Some(self.id("vpc-")),
            vswitch: Some(self.id("vsw-")),
            addresses: vec![self.ip()],
            mac: format!("{MARK}:00:16"),
            security_groups: vec![self.id("sg-")],
            provenance: Provenance(0),
        };
        (instance, eni)
    }

    /// A snapshot in which every field is filled. No `..`: a new field must be filled here.
    fn snapshot(&mut self) -> Snapshot {
        let (account, region): (AccountId, RegionId) = (self.id(""), "cn-qingdao".parse().unwrap());
        let at = Timestamp::from_millis(1);
        let (attachment, peering, table) = self.transit();
        let (instance, eni) = self.host();
        Snapshot {
            schema: SCHEMA,
            account: account.clone(),
            region: region.clone(),
            taken_at: at,
            finished_at: at,
            request: Some(self.id("")),
            covers: Some(Coverage::Vpcs([self.id("vpc-")].into())),
            sources: vec![Source { api: self.text(), request_id: self.text(), at }],
            vpcs: self.known(|m| {
                vec![Vpc {
                    id: m.id("vpc-"),
                    name: m.text(),
                    cidr: m.cidr(),
                    secondary_cidrs: vec![m.cidr()],
                    router: Some(m.id("vrt-")),
                    provenance: Provenance(0),
                }]
            }),
            vswitches: self.known(|m| {
                vec![VSwitch {
                    id: m.id("vsw-"),
                    vpc: m.id("vpc-"),
                    zone: Some("cn-qingdao-b".parse().unwrap()),
                    cidr: m.cidr(),
                    route_table: Some(m.id("vtb-")),
                    network_acl: Some(m.id("nacl-")),
                    provenance: Provenance(0),
                }]
            }),
            route_tables: self.known(|m| {
                vec![RouteTable {
                    id: m.id("vtb-"),
                    vpc: m.id("vpc-"),
                    kind: RouteTableKind::System,
                    associate_type: AssociateType::VSwitch,
                    vswitches: vec![m.id("vsw-")],
                    entries: m.known(|m| vec![m.route(), m.route()]),
                    provenance: Provenance(0),
                }]
            }),
            router_interfaces: self.known(|m| vec![m.router_interface()]),
            vpc_peerings: self.known(|m| {
                vec![VpcPeering {
                    id: m.id("pcc-"),
                    status: VpcPeeringStatus::Activated,
                    business_status: BusinessStatus::Normal,
                    bandwidth_mbps: None,
                    owner: m.id(""),
                    region: "cn-qingdao".parse().unwrap(),
                    vpc: m.id("vpc-"),
                    accepting_owner: m.id(""),
                    accepting_region: "cn-beijing".parse().unwrap(),
                    accepting_vpc: m.id("vpc-"),
                    provenance: Provenance(0),
                }]
            }),
            transit_attachments: self.known(|_| vec![attachment]),
            transit_peerings: self.known(|_| vec![peering]),
            transit_route_tables: self.known(|_| vec![table]),
            network_acls: self.known(|m| {
                vec![NetworkAcl {
                    id: m.id("nacl-"),
                    vpc: m.id("vpc-"),
                    ingress: m.known(Maker::acl_entries),
                    egress: m.known(Maker::acl_entries),
                    vswitches: vec![m.id("vsw-")],
                    provenance: Provenance(0),
                }]
            }),
            security_groups: self.known(|m| {
                vec![SecurityGroup {
                    id: m.id("sg-"),
                    name: m.text(),
                    vpc: Some(m.id("vpc-")),
                    kind: SecurityGroupKind::Normal,
                    inner_access: m.known(|_| Policy::Accept),
                    rules: m.known(|m| vec![m.rule(), m.rule(), m.rule()]),
                    provenance: Provenance(0),
                }]
            }),
            prefix_lists: self.known(|m| {
                let (id, provenance) = (m.id("pl-"), Provenance(0));
                vec![PrefixList { id, entries: m.known(|m| vec![m.cidr()]), provenance }]
            }),
            instances: self.known(|_| vec![instance]),
            enis: self.known(|_| vec![eni]),
            link_metrics: self.known(|m| {
                vec![LinkMetric {
                    interface: m.id("ri-"),
                    kind: LinkMetricKind::RateLimitDropPps,
                    period_s: 60,
                    points: vec![MetricPoint { at, average_milli: Some(1), maximum_milli: Some(2) }],
                    provenance: Provenance(0),
                }]
            }),
            changes: self.known(|m| {
                vec![ConfigChange {
                    at,
                    event_id: m.text(),
                    action: m.text(),
                    who: m.text(),
                    objects: vec![m.text(), m.ip().to_string()],
                    error: Some(m.text()),
                    provenance: Provenance(0),
                }]
            }),
            gaps: vec![Gap { account, region, action: self.text(), object: Some(self.text()), why: self.why(), at }],
        }
    }
}

fn snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    proptest::collection::vec(any::<u32>(), 0..400).prop_map(|numbers| {
        let mut maker = Maker { numbers: numbers.into_iter(), count: 0 };
        vec![maker.snapshot(), maker.snapshot()]
    })
}

/// Every IPv4 address and block that is a whole word of a text.
fn addresses(text: &str) -> BTreeSet<Cidr> {
    let separators = |c: char| !(c.is_ascii_hexdigit() || ".:/".contains(c));
    let words = text.split(separators).filter(|word| word.matches('.').count() == 3);
    words.filter_map(|word| Cidr::parse_masked(word.trim_end_matches(':')).ok()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_id_name_or_address_survives(key: u64, originals in snapshots()) {
        let redacted = redact(&originals, &|input| keyed(key, input));
        let (before, after) = (serde_json::to_string(&originals).unwrap(), serde_json::to_string(&redacted).unwrap());
        prop_assert!(before.contains(MARK) && !after.contains(MARK), "{after}");
        prop_assert!(!after.contains("杭州"), "{after}");
        // An address may by chance equal the pseudonym of another, so the test checks that all are pseudonyms.
        let images = by_key(key, |by| addresses(&before).iter().map(|block| block.redact(by)).collect::<BTreeSet<_>>());
        prop_assert!(!images.is_empty());
        prop_assert!(addresses(&after).is_subset(&images), "{:?}", addresses(&after).difference(&images));
    }

    #[test]
    fn the_same_key_gives_the_same_and_another_gives_others(key: u64, originals in snapshots()) {
        let by = |key: u64| redact(&originals, &|input| keyed(key, input));
        prop_assert_eq!(by(key), by(key));
        prop_assert_ne!(&by(key)[0].account, &by(key.wrapping_add(1))[0].account);
    }
}

#[test]
fn a_reference_into_the_other_accounts_snapshot_still_leads_there() {
    let mut maker = Maker { numbers: vec![1; 400].into_iter(), count: 0 };
    let (mut one, mut other) = (maker.snapshot(), maker.snapshot());
    let (mut here, mut there) = (maker.router_interface(), maker.router_interface());
    here.opposite_interface = Some(there.id.clone());
    there.opposite_owner = Some(one.account.clone());
    one.router_interfaces = Known::Known(vec![here]);
    other.router_interfaces = Known::Known(vec![there]);
    one.gaps[0].object = Some(other.router_interfaces.known().unwrap()[0].id.to_string());
    let redacted = redact(&[one, other], &|input| keyed(9, input));
    let interface = |n: usize| &redacted[n].router_interfaces.known().unwrap()[0];
    assert_eq!(interface(0).opposite_interface.as_ref(), Some(&interface(1).id));
    assert_eq!(interface(1).opposite_owner.as_ref(), Some(&redacted[0].account));
    assert_eq!(redacted[0].gaps[0].object.as_deref(), Some(interface(1).id.as_str()));
}
