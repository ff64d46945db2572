//! Executes repairs as they are printed: argument vectors of the `aliyun` command line and of commands in a guest.
//!
//! It is an independent interpreter, written from the API's documents (`API.md`, `SEMANTICS.md`
//! §3, §8): it refuses what the cloud refuses, and does not know why a command was printed.

use crate::{
    draw::acl_entry,
    world::{GuestRule, World, list, list_mut, named},
};
use pingtong_evidence::{
    AccountId, AclEntry, Cidr, InstanceStatus, Known, NextHop, NextHopKind, Policy, PortRange, Provenance, RouteEntry,
    RouteKind, RouteStatus, RouterInterface, RouterInterfaceRole, RouterInterfaceStatus as Status, RouterKind,
    RulePeer, RuleProtocol, SecurityRule, Side,
};
use std::collections::BTreeMap;

/// One command of a repair, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// Id of the account that runs it.
    pub account: String,
    /// Argument vector of the cloud's command line; empty for a command in a guest.
    pub cli: Vec<String>,
    /// Argument vector of a command in the guest; empty for a command of the cloud.
    pub guest: Vec<String>,
    /// Instance of the guest that runs the command.
    pub instance: Option<String>,
    /// Names for parts of the answer, each with the field that is kept under it for later commands.
    pub save: BTreeMap<String, String>,
}

/// Why a command did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

/// Runs the commands in order. A refused command changes nothing and does not stop the others; the reasons are
/// returned.
pub fn operate(world: &World, commands: &[Command]) -> (World, Vec<Refused>) {
    let mut world = world.clone();
    let (mut saved, mut troubles) = (BTreeMap::new(), vec![]);
    for command in commands {
        let mut next = world.clone();
        match run(&mut next, command, &mut saved) {
            Ok(()) => world = next.settled(),
            Err(why) => troubles.push(why),
        }
    }
    (world, troubles)
}

fn run(world: &mut World, command: &Command, saved: &mut BTreeMap<String, String>) -> Result<(), Refused> {
    if !command.guest.is_empty() {
        let side = Side::BOTH.into_iter().find(|side| command.instance.as_ref() == Some(&world.names(*side).instance));
        return side.map_or_else(|| refused("no such instance"), |side| in_guest(world, side, &command.guest));
    }
    let Some(side) = Side::BOTH.into_iter().find(|side| world.config(*side).account.as_str() == command.account) else {
        return refused(format!("account {} is neither side's", command.account));
    };
    let call = Call::read(&command.cli, saved)?;
    if call.text("RegionId")? != world.config(side).region.as_str() {
        return refused("the wrong region");
    }
    let answer = in_cloud(world, side, &call)?;
    for (name, field) in &command.save {
        let Some(value) = answer.get(field.trim_start_matches("Response.")) else {
            return refused(format!("the answer has no {field}"));
        };
        saved.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// A call, parsed from an argument vector.
struct Call {
    action: String,
    parameters: BTreeMap<String, String>,
}

impl Call {
    fn read(words: &[String], saved: &BTreeMap<String, String>) -> Result<Self, Refused> {
        let [program, _product, action, rest @ ..] = words else { return refused("too short") };
        if program != "aliyun" {
            return refused(format!("{program} is not the cloud's command line"));
        }
        let (mut parameters, mut rest) = (BTreeMap::new(), rest.iter());
        while let Some(word) = rest.next() {
            let Some(name) = word.strip_prefix("--") else { return refused(format!("{word} is no option")) };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (name, rest.next().cloned().ok_or_else(|| Refused(format!("{name} has no value")))?),
            };
            let value = saved.iter().fold(value, |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
            if value.contains("${") {
                return refused(format!("{value} was never saved"));
            }
            parameters.insert(name.to_owned(), value);
        }
        Ok(Self { action: action.clone(), parameters })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    fn text(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| Refused(format!("{} needs {name}", self.action)))
    }

    fn block(&self, name: &str) -> Result<Cidr, Refused> {
        Cidr::parse(self.text(name)?).map_err(|error| Refused(error.to_string()))
    }
}

type Answer = Result<BTreeMap<String, String>, Refused>;

#[expect(clippy::unnecessary_wraps, reason = "ends a call that has nothing to answer")]
fn done() -> Answer {
    Ok(BTreeMap::new())
}

fn in_cloud(world: &mut World, side: Side, call: &Call) -> Answer {
    match call.action.as_str() {
        "CreateRouterInterface" => create_interface(world, side, call),
        "ModifyRouterInterfaceAttribute" => modify_interface(world, side, call),
        "ConnectRouterInterface" => connect(world, side, call),
        "ActivateRouterInterface" => turn(world, side, call, Status::Inactive, Status::Active),
        "DeactivateRouterInterface" => turn(world, side, call, Status::Active, Status::Inactive),
        "DeleteRouterInterface" => delete_interface(world, side, call),
        "CreateRouteEntry" => create_route(world, side, call),
        "DeleteRouteEntry" => delete_route(world, side, call),
        "ModifyRouteEntry" => modify_route(world, side, call),
        "AuthorizeSecurityGroup" => authorize(world, side, call, true),
        "AuthorizeSecurityGroupEgress" => authorize(world, side, call, false),
        "RevokeSecurityGroup" => revoke(world, side, call, true),
        "RevokeSecurityGroupEgress" => revoke(world, side, call, false),
        "UpdateNetworkAclEntries" => update_acl(world, side, call),
        "StartInstance" => start(world, side, call),
        action => refused(format!("{action} is not known here")),
    }
}

fn interface_of<'a>(world: &'a mut World, side: Side, id: &str) -> Result<&'a mut RouterInterface, Refused> {
    let all = list_mut(&mut world.config_mut(side).router_interfaces);
    all.iter_mut().find(|ri| ri.id.as_str() == id).ok_or_else(|| Refused(format!("no router interface {id}")))
}

fn create_interface(world: &mut World, side: Side, call: &Call) -> Answer {
    let router = call.text("RouterId")?;
    let vpc =
        list(&world.config(side).vpcs).iter().find(|vpc| vpc.router.as_ref().is_some_and(|r| r.as_str() == router));
    let Some(vpc) = vpc.map(|vpc| vpc.id.clone()) else { return refused("no such router") };
    let role = match call.text("Role")? {
        "InitiatingSide" => RouterInterfaceRole::Initiating,
        "AcceptingSide" => RouterInterfaceRole::Accepting,
        other => return refused(format!("no role {other}")),
    };
    if (call.text("Spec")? == "Negative") != (role == RouterInterfaceRole::Accepting) {
        return refused("the specification is the initiator's to choose");
    }
    let id = format!("{}-new", world.names(side).interface);
    let made = RouterInterface {
        id: named(&id),
        role,
        status: Status::Idle,
        business_status: pingtong_evidence::BusinessStatus::Normal,
        spec: call.text("Spec")?.to_owned(),
        bandwidth_mbps: None,
        router_kind: RouterKind::VRouter,
        router: named(router),
        vpc: Some(vpc),
        opposite_region: Some(named(call.text("OppositeRegionId")?)),
        opposite_interface: None,
        opposite_owner: None,
        opposite_router: None,
        opposite_router_kind: None,
        opposite_status: None,
        opposite_business_status: None,
        opposite_vpc: None,
        created_at: None,
        connected_at: None,
        ends_at: None,
        provenance: Provenance(0),
    };
    list_mut(&mut world.config_mut(side).router_interfaces).push(made);
    world.names[crate::world::at(side)].interface.clone_from(&id);
    Ok(BTreeMap::from([("RouterInterfaceId".to_owned(), id)]))
}

fn modify_interface(world: &mut World, side: Side, call: &Call) -> Answer {
    let ri = interface_of(world, side, call.text("RouterInterfaceId")?)?;
    if ri.status != Status::Idle {
        return refused("only an idle interface takes another opposite");
    }
    ri.opposite_interface = Some(named(call.text("OppositeInterfaceId")?));
    ri.opposite_router = Some(named(call.text("OppositeRouterId")?));
    ri.opposite_owner = Some(named(call.text("OppositeInterfaceOwnerId")?));
    // The API's default is a virtual border router (VBR).
    let kind = if call.get("OppositeRouterType") == Some("VRouter") { RouterKind::VRouter } else { RouterKind::Vbr };
    ri.opposite_router_kind = Some(kind);
    done()
}

/// Whether all opposite fields of an interface identify `peer`: its id, router, owner, router type and region.
fn names(own: &RouterInterface, peer: &RouterInterface, owner: &AccountId, region: &str) -> bool {
    own.opposite_interface.as_ref() == Some(&peer.id)
        && own.opposite_router.as_ref() == Some(&peer.router)
        && own.opposite_owner.as_ref() == Some(owner)
        && own.opposite_router_kind == Some(RouterKind::VRouter)
        && own.opposite_region.as_ref().is_some_and(|have| have.as_str() == region)
}

fn connect(world: &mut World, side: Side, call: &Call) -> Answer {
    let other = side.opposite();
    let own = interface_of(world, side, call.text("RouterInterfaceId")?)?.clone();
    let Some(peer) = own.opposite_interface.as_ref().and_then(|id| world.interface(other, id.as_str())).cloned() else {
        return refused("IncorrectOppositeInterfaceInfo.NotSet");
    };
    // "Forbidden.OnlyOneConnection": the documents do not say whether a connection that was only begun counts. The
    // strict reading is that it does, and what works under the strict reading also works under the other.
    let begun = |at: Side, joined: &RouterInterface, far: &RouterInterface| {
        list(&world.config(at).router_interfaces).iter().any(|ri| {
            ri.id != joined.id && ri.router == joined.router && ri.opposite_router.as_ref() == Some(&far.router)
        })
    };
    if begun(side, &own, &peer) || begun(other, &peer, &own) {
        return refused("Forbidden.OnlyOneConnection");
    }
    let (us, them) = (world.config(side), world.config(other));
    let right = names(&own, &peer, &them.account, them.region.as_str())
        && names(&peer, &own, &us.account, us.region.as_str())
        && own.role == RouterInterfaceRole::Initiating
        && peer.role == RouterInterfaceRole::Accepting;
    if !right || [own.status, peer.status] != [Status::Idle; 2] {
        return refused("IncorrectOppositeInterfaceInfo or IncorrectStatus");
    }
    interface_of(world, side, own.id.as_str())?.status = Status::Active;
    interface_of(world, other, peer.id.as_str())?.status = Status::Active;
    done()
}

fn turn(world: &mut World, side: Side, call: &Call, from: Status, to: Status) -> Answer {
    let ri = interface_of(world, side, call.text("RouterInterfaceId")?)?;
    if ri.status != from {
        return refused(format!("IncorrectStatus: {:?}", ri.status));
    }
    ri.status = to;
    done()
}

fn delete_interface(world: &mut World, side: Side, call: &Call) -> Answer {
    let id = call.text("RouterInterfaceId")?;
    if !matches!(interface_of(world, side, id)?.status, Status::Idle | Status::Inactive) {
        return refused("IncorrectStatus");
    }
    let tables = list(&world.config(side).route_tables);
    if tables.iter().flat_map(|t| list(&t.entries)).any(|entry| entry.next_hops.iter().any(|hop| hop.id == id)) {
        return refused("DependencyViolation.RouterInterfaceReferedByRouteEntry");
    }
    list_mut(&mut world.config_mut(side).router_interfaces).retain(|ri| ri.id.as_str() != id);
    done()
}

fn create_route(world: &mut World, side: Side, call: &Call) -> Answer {
    let (destination, hop) = (call.block("DestinationCidrBlock")?, call.text("NextHopId")?.to_owned());
    if call.text("NextHopType")? != "RouterInterface" {
        return refused("only router interfaces are next hops here");
    }
    let vpc = interface_of(world, side, &hop)?.vpc.clone();
    let table = call.text("RouteTableId")?.to_owned();
    let inside =
        list(&world.config(side).vswitches).iter().any(|v| v.cidr.covers(&destination) && Some(&v.vpc) == vpc.as_ref());
    let Some(table) = world.table_mut(side, &table).filter(|table| Some(&table.vpc) == vpc.as_ref()) else {
        return refused("no such table in the next hop's VPC");
    };
    let entries = list_mut(&mut table.entries);
    if inside || entries.iter().any(|entry| entry.destination == destination) {
        return refused("the destination is taken");
    }
    entries.push(RouteEntry {
        id: Some(named(&format!("rte-made-{destination}"))),
        destination,
        kind: RouteKind::Custom,
        status: RouteStatus::Available,
        next_hops: vec![NextHop { kind: NextHopKind::RouterInterface, id: hop, enabled: None, weight: None }],
        provenance: Provenance(0),
    });
    done()
}

fn delete_route(world: &mut World, side: Side, call: &Call) -> Answer {
    let id = call.text("RouteEntryId")?;
    for table in list_mut(&mut world.config_mut(side).route_tables) {
        let entries = list_mut(&mut table.entries);
        let found = |entry: &RouteEntry| entry.id.as_ref().is_some_and(|have| have.as_str() == id);
        if let Some(at) = entries.iter().position(|entry| found(entry) && entry.kind == RouteKind::Custom) {
            entries.remove(at);
            return done();
        }
    }
    refused(format!("no custom route {id}"))
}

fn modify_route(world: &mut World, side: Side, call: &Call) -> Answer {
    let (id, hop) = (call.text("RouteEntryId")?, call.text("NewNextHopId")?.to_owned());
    if call.text("NewNextHopType")? != "RouterInterface" {
        return refused("another kind of next hop");
    }
    let tables = list_mut(&mut world.config_mut(side).route_tables).iter_mut();
    let mut entries = tables.flat_map(|table| list_mut(&mut table.entries).iter_mut());
    let found = |entry: &&mut RouteEntry| entry.id.as_ref().is_some_and(|have| have.as_str() == id);
    match entries.find(found) {
        Some(entry) if entry.kind == RouteKind::Custom && entry.status == RouteStatus::Available => {
            entry.next_hops =
                vec![NextHop { kind: NextHopKind::RouterInterface, id: hop, enabled: None, weight: None }];
            done()
        }
        Some(_) => refused("not in a status that permits this"),
        None => refused(format!("no route {id}")),
    }
}

fn protocol(text: &str) -> Result<RuleProtocol, Refused> {
    match text {
        "all" => Ok(RuleProtocol::All),
        "icmp" => Ok(RuleProtocol::Icmp),
        "tcp" => Ok(RuleProtocol::Tcp),
        "udp" => Ok(RuleProtocol::Udp),
        other => refused(format!("no protocol {other}")),
    }
}

fn policy(text: &str) -> Policy {
    if text.eq_ignore_ascii_case("accept") { Policy::Accept } else { Policy::Drop }
}

fn authorize(world: &mut World, side: Side, call: &Call, ingress: bool) -> Answer {
    let (group, far) = (call.text("SecurityGroupId")?.to_owned(), if ingress { "SourceCidrIp" } else { "DestCidrIp" });
    let protocol = protocol(call.text("IpProtocol")?)?;
    if matches!(protocol, RuleProtocol::Icmp | RuleProtocol::All) && call.text("PortRange")? != "-1/-1" {
        return refused("InvalidIpProtocol.Malformed");
    }
    let made = SecurityRule {
        id: Some(named(&format!("sgr-made-{group}-{ingress}"))),
        ingress,
        policy: policy(call.get("Policy").unwrap_or("accept")),
        priority: call.get("Priority").unwrap_or("1").parse().map_err(|_| Refused("Priority".to_owned()))?,
        protocol,
        ports: PortRange::parse_slashed(call.text("PortRange")?).ok_or_else(|| Refused("PortRange".to_owned()))?,
        source_ports: None,
        peer: RulePeer::Cidr(call.block(far)?),
        own: None,
    };
    let Some(group) = world.group_mut(side, &group) else { return refused("no such group") };
    list_mut(&mut group.rules).push(made);
    done()
}

fn revoke(world: &mut World, side: Side, call: &Call, ingress: bool) -> Answer {
    let (group, id) = (call.text("SecurityGroupId")?.to_owned(), call.text("SecurityGroupRuleId.1")?);
    let Some(group) = world.group_mut(side, &group) else { return refused("no such group") };
    let rules = list_mut(&mut group.rules);
    let found =
        |rule: &SecurityRule| rule.ingress == ingress && rule.id.as_ref().is_some_and(|have| have.as_str() == id);
    match rules.iter().position(found) {
        Some(at) => {
            rules.remove(at);
            done()
        }
        None => refused(format!("no rule {id}")),
    }
}

fn update_acl(world: &mut World, side: Side, call: &Call) -> Answer {
    let id = call.text("NetworkAclId")?.to_owned();
    let ingress = call.get("UpdateIngressAclEntries") == Some("true");
    let (list_name, far) =
        if ingress { ("IngressAclEntries", "SourceCidrIp") } else { ("EgressAclEntries", "DestinationCidrIp") };
    let mut entries: Vec<AclEntry> = vec![];
    for n in 1.. {
        let name = |field: &str| format!("{list_name}.{n}.{field}");
        let Some(verdict) = call.get(&name("Policy")) else { break };
        let made = format!("nae-made-{list_name}-{n}");
        let id = call.get(&name("NetworkAclEntryId")).unwrap_or(&made);
        entries.push(AclEntry {
            ports: PortRange::parse_slashed(call.text(&name("Port"))?).ok_or_else(|| Refused("Port".to_owned()))?,
            ..acl_entry(id, policy(verdict), protocol(call.text(&name("Protocol"))?)?, call.block(&name(far))?)
        });
    }
    let all = list_mut(&mut world.config_mut(side).network_acls);
    let Some(acl) = all.iter_mut().find(|acl| acl.id.as_str() == id) else { return refused("no such ACL") };
    *(if ingress { &mut acl.ingress } else { &mut acl.egress }) = Known::Known(entries);
    done()
}

fn start(world: &mut World, side: Side, call: &Call) -> Answer {
    let id = call.text("InstanceId")?;
    let all = list_mut(&mut world.config_mut(side).instances);
    let Some(instance) = all.iter_mut().find(|instance| instance.id.as_str() == id) else {
        return refused("no such instance");
    };
    if instance.status != InstanceStatus::Stopped {
        return refused("IncorrectInstanceStatus");
    }
    instance.status = InstanceStatus::Running;
    done()
}

fn in_guest(world: &mut World, side: Side, words: &[String]) -> Result<(), Refused> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let address = world.address(side);
    let guest = world.guest_mut(side);
    match words.as_slice() {
        ["sysctl", "-w", "net.ipv4.icmp_echo_ignore_all=0"] => guest.ignores_echo = false,
        ["sysctl", "-w", "net.ipv4.conf.all.rp_filter=2"] => guest.strict_reverse_path = false,
        [
            "nft",
            "insert",
            "rule",
            _,
            table,
            chain,
            "position",
            handle,
            "ip",
            end,
            _,
            "icmp",
            "type",
            kind,
            "accept",
        ] => {
            if let Some(index) = table.strip_prefix("habit") {
                let Some(habit) = index.parse().ok().and_then(|index: usize| guest.habits.get_mut(index)) else {
                    return refused("no such table");
                };
                match *kind {
                    "echo-request" => habit.spares.0 = true,
                    _ => habit.spares.1 = true,
                }
                return Ok(());
            }
            let inward = *chain == "inward";
            if inward != (*end == "saddr") {
                return refused("the peer is the other end there");
            }
            let is_it = |rule: &&mut GuestRule| rule.inward == inward && rule.handle.to_string() == *handle;
            let Some(rule) = guest.rules.iter_mut().find(is_it) else { return refused("no such rule") };
            match *kind {
                "echo-request" => rule.spares.0 = true,
                _ => rule.spares.1 = true,
            }
        }
        ["ip", "address", "add", block, "dev", device] => {
            let ours = block.split('/').next().and_then(|text| text.parse().ok());
            if *device != guest.card || ours != Some(address) {
                return refused("another interface's, or not this host's address");
            }
            guest.has_address = true;
        }
        ["ip", "route", "replace", prefix, "via", gateway, "dev", device] => {
            let prefix = Cidr::parse(prefix).map_err(|error| Refused(error.to_string()))?;
            let gateway = gateway.parse().map_err(|_| Refused("no gateway".to_owned()))?;
            guest.routes.retain(|route| route.prefix != prefix);
            let device = (*device).to_owned();
            guest.routes.push(crate::world::GuestRoute { prefix, device, gateway: Some(gateway) });
        }
        other => return refused(format!("the guest does not know: {}", other.join(" "))),
    }
    Ok(())
}
