//! One fix: what it changes in the model, and the `aliyun` command that makes the real change.
//!
//! Both are produced in one place, so that what is proven is what is printed. A fix that the API would refuse in the
//! current state (deleting an interface that routes still use, connecting one without a peer) yields `None`.
//! Parameters: `API.md` §1, §8; list parameters are numbered from 1, and a value that begins with `-` is
//! attached with `=`.

use crate::{
    fix::Fix,
    model::Model,
    vendor_text::{ports_text, protocol_text},
    walk,
};
use pingtong_evidence::{
    AccountId, AclEntry, BusinessStatus, Cidr, InstanceStatus, Known, NetworkAcl, NextHop, NextHopKind, Policy,
    PortRange, Protocol, Provenance, RouteEntry, RouteKind, RouteStatus, RouterInterface, RouterInterfaceId,
    RouterInterfaceRole, RouterInterfaceStatus as Status, RouterKind, RulePeer, RuleProtocol, SecurityGroupId,
    SecurityRule, Side, TransitRoute, VpcPeering, VpcPeeringId, VpcPeeringStatus,
};
use std::collections::BTreeMap;

/// Specification of a new initiating interface: the smallest bandwidth that can be bought.
const SPEC_SMALLEST: &str = "Mini.2";
/// Specification that an accepting interface must have: its bandwidth follows the initiator's.
const SPEC_ACCEPTOR: &str = "Negative";

/// A command as printed, and the fields of its response to save under a name for later commands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    pub(super) cli: Vec<String>,
    pub(super) save: BTreeMap<String, String>,
}

struct Command(Vec<String>);

impl Command {
    fn new(product: &str, action: &str, model: &Model, side: Side) -> Self {
        let region = model.link.side(side).region.to_string();
        Self(vec!["aliyun".into(), product.into(), action.into(), "--RegionId".into(), region])
    }

    #[expect(clippy::needless_pass_by_value, reason = "ids and texts are given as they are at hand")]
    fn with(mut self, name: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        if value.starts_with('-') {
            self.0.push(format!("--{name}={value}"));
        } else {
            self.0.push(format!("--{name}"));
            self.0.push(value);
        }
        self
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends a chain whose other ways out are none")]
    fn call(self) -> Option<Call> {
        Some(Call { cli: self.0, save: BTreeMap::new() })
    }
}

fn policy_text(policy: Policy) -> &'static str {
    match policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    }
}

fn rule_protocol(protocol: Protocol) -> RuleProtocol {
    match protocol {
        Protocol::Icmp => RuleProtocol::Icmp,
        Protocol::Tcp => RuleProtocol::Tcp,
        Protocol::Udp => RuleProtocol::Udp,
    }
}

fn port_range(port: Option<u16>) -> PortRange {
    port.and_then(|port| PortRange::new(port, port)).unwrap_or(PortRange::ALL)
}

fn known_mut<T>(known: &mut Known<T>) -> Option<&mut T> {
    match known {
        Known::Known(value) => Some(value),
        Known::Unknown(_) => None,
    }
}

fn interfaces(model: &mut Model, side: Side) -> Option<&mut Vec<RouterInterface>> {
    known_mut(&mut model.snapshot_mut(side)?.router_interfaces)
}

fn interface<'a>(model: &'a mut Model, side: Side, id: &RouterInterfaceId) -> Option<&'a mut RouterInterface> {
    interfaces(model, side)?.iter_mut().find(|ri| ri.id == *id)
}

fn routes_over(model: &Model, side: Side, ri: &RouterInterfaceId) -> Vec<Fix> {
    let tables = model.snapshot(side).and_then(|s| s.route_tables.known());
    let mut found = vec![];
    for table in tables.into_iter().flatten() {
        for entry in table.entries.known().into_iter().flatten() {
            if entry.next_hops.iter().any(|hop| hop.id == ri.as_str()) {
                found.push(Fix::DeleteRoute { table: table.id.clone(), entry: entry.clone() });
            }
        }
    }
    found
}

/// The single API calls that a fix consists of, in order.
pub(super) fn parts(model: &Model, side: Side, fix: &Fix) -> Vec<Fix> {
    match fix {
        Fix::RemoveInterface { ri } => {
            let mut parts = routes_over(model, side, ri);
            parts.push(Fix::Deactivate { ri: ri.clone() });
            parts.push(Fix::DeleteInterface { ri: ri.clone() });
            parts
        }
        other => vec![other.clone()],
    }
}

/// Applies the fix to the model and returns its command; `None` if the API would refuse it or the object is not known.
pub(super) fn apply(model: &mut Model, side: Side, fix: &Fix) -> Option<Call> {
    match fix {
        Fix::Manual | Fix::Unexplained | Fix::RemoveInterface { .. } => None,
        Fix::CreateInterface => create_interface(model, side),
        Fix::Deactivate { ri } => {
            let at = interface(model, side, ri)?;
            if at.status != Status::Active {
                return None;
            }
            at.status = Status::Inactive;
            Command::new("vpc", "DeactivateRouterInterface", model, side).with("RouterInterfaceId", ri).call()
        }
        Fix::DeleteInterface { ri } => {
            // The cloud refuses while a route uses it, and a table that was not read may have one.
            if !model.routes_are_read(side) || !routes_over(model, side, ri).is_empty() {
                return None;
            }
            let all = interfaces(model, side)?;
            let at =
                all.iter().position(|have| have.id == *ri && matches!(have.status, Status::Idle | Status::Inactive))?;
            all.remove(at);
            Command::new("vpc", "DeleteRouterInterface", model, side).with("RouterInterfaceId", ri).call()
        }
        Fix::SetOpposite { ri } => set_opposite(model, side, ri),
        Fix::Connect { ri } => {
            let own = interface(model, side, ri)?.clone();
            let peer = interface(model, side.opposite(), own.opposite_interface.as_ref()?)?.clone();
            // The cloud refuses to connect before each side names the other correctly, and refuses to connect twice.
            let ready = names(&own, &peer, &model.link.side(side.opposite()).account)
                && names(&peer, &own, &model.link.side(side).account)
                && [own.status, peer.status] == [Status::Idle; 2];
            if !ready {
                return None;
            }
            interface(model, side.opposite(), &peer.id)?.status = Status::Active;
            interface(model, side, ri)?.status = Status::Active;
            tell_each_other(model);
            Command::new("vpc", "ConnectRouterInterface", model, side).with("RouterInterfaceId", ri).call()
        }
        Fix::Activate { ri } => {
            if let Some(at) = interface(model, side, ri) {
                at.status = Status::Active;
            } else if model.snapshot(side).is_some_and(|s| s.router_interfaces.known().is_some()) {
                return None;
            }
            tell_each_other(model);
            for at in interfaces(model, side.opposite()).into_iter().flatten() {
                if at.opposite_interface.as_ref() == Some(ri) {
                    at.opposite_status = Some(Status::Active);
                }
            }
            Command::new("vpc", "ActivateRouterInterface", model, side).with("RouterInterfaceId", ri).call()
        }
        Fix::DeleteRoute { table, entry } => {
            let entries = entries_mut(model, side, table.as_str())?;
            let at = entries.iter().position(|have| have.destination == entry.destination)?;
            entries.remove(at);
            let command = Command::new("vpc", "DeleteRouteEntry", model, side);
            match (&entry.id, entry.next_hops.first()) {
                (Some(id), _) => command.with("RouteEntryId", id).call(),
                (None, Some(hop)) => command
                    .with("RouteTableId", table)
                    .with("DestinationCidrBlock", entry.destination)
                    .with("NextHopId", &hop.id)
                    .call(),
                (None, None) => None,
            }
        }
        Fix::CreateRoute { table, destination } => create_route(model, side, table.as_str(), *destination),
        Fix::ModifyRoute { table, entry } => modify_route(model, side, table.as_str(), entry),
        Fix::AssociateTransit { .. } | Fix::DeleteTransitRoute { .. } | Fix::CreateTransitRoute { .. } => {
            transit(model, side, fix)
        }
        Fix::AcceptRule { group, ingress, protocol, port, peer } => {
            let rule = SecurityRule {
                id: None,
                ingress: *ingress,
                policy: Policy::Accept,
                priority: 1,
                protocol: rule_protocol(*protocol),
                ports: port_range(*port),
                source_ports: None,
                peer: RulePeer::Cidr(*peer),
                own: None,
            };
            rules_mut(model, side, group)?.push(rule.clone());
            let action = if *ingress { "AuthorizeSecurityGroup" } else { "AuthorizeSecurityGroupEgress" };
            by_fields(Command::new("ecs", action, model, side).with("SecurityGroupId", group), &rule).call()
        }
        Fix::RemoveRule { group, rule } => {
            let rules = rules_mut(model, side, group)?;
            let at = rules.iter().position(|have| have == rule)?;
            rules.remove(at);
            let action = if rule.ingress { "RevokeSecurityGroup" } else { "RevokeSecurityGroupEgress" };
            let command = Command::new("ecs", action, model, side).with("SecurityGroupId", group);
            match &rule.id {
                Some(id) => command.with("SecurityGroupRuleId.1", id).call(),
                None => by_fields(command, rule).call(),
            }
        }
        Fix::AclAccept { acl, ingress, at, protocol, port, peer } => {
            let entry = AclEntry {
                id: None,
                policy: Policy::Accept,
                protocol: rule_protocol(*protocol),
                ports: port_range(*port),
                peer: *peer,
                system: false,
            };
            acl_accept(model, side, acl.as_str(), *ingress, *at, entry)
        }
        Fix::CreatePeering => create_peering(model, side),
        Fix::AcceptPeering { peering } => {
            // Both accounts see the connection, which is one object.
            for at in Side::BOTH {
                let all = model.snapshot_mut(at).and_then(|s| known_mut(&mut s.vpc_peerings));
                if let Some(one) = all.into_iter().flatten().find(|p| p.id == *peering) {
                    one.status = VpcPeeringStatus::Activated;
                }
            }
            Command::new("vpcpeer", "AcceptVpcPeerConnection", model, side).with("InstanceId", peering).call()
        }
        Fix::StartInstance { instance } => {
            let all = known_mut(&mut model.snapshot_mut(side)?.instances)?;
            all.iter_mut().find(|have| have.id == *instance)?.status = InstanceStatus::Running;
            Command::new("ecs", "StartInstance", model, side).with("InstanceId", instance).call()
        }
        // A command in a guest does not change the configuration.
        Fix::Guest { .. } => Some(Call::default()),
    }
}

/// Whether all four opposite fields of `own` match `peer`, which `owner` owns.
fn names(own: &RouterInterface, peer: &RouterInterface, owner: &AccountId) -> bool {
    own.opposite_interface.as_ref() == Some(&peer.id)
        && own.opposite_router.as_ref() == Some(&peer.router)
        && own.opposite_router_kind == Some(peer.router_kind)
        && own.opposite_owner.as_ref() == Some(owner)
}

/// Copies the state of each end into the opposite state that the other end reports.
fn tell_each_other(model: &mut Model) {
    let states: Vec<(Side, RouterInterfaceId, Status)> = Side::BOTH
        .into_iter()
        .flat_map(|side| {
            let all = model.snapshot(side).and_then(|s| s.router_interfaces.known());
            all.into_iter().flatten().map(move |ri| (side, ri.id.clone(), ri.status)).collect::<Vec<_>>()
        })
        .collect();
    for (side, id, status) in states {
        for at in interfaces(model, side.opposite()).into_iter().flatten() {
            if at.opposite_interface.as_ref() == Some(&id) {
                at.opposite_status = Some(status);
            }
        }
    }
}

fn create_peering(model: &mut Model, side: Side) -> Option<Call> {
    let name = "peering";
    let id = VpcPeeringId::parse(&format!("${{{name}}}")).ok()?;
    let (own, peer) = (model.link.side(side).clone(), model.link.side(side.opposite()).clone());
    let command = Command::new("vpcpeer", "CreateVpcPeerConnection", model, side)
        .with("VpcId", &own.vpc)
        .with("AcceptingAliUid", &peer.account)
        .with("AcceptingRegionId", &peer.region)
        .with("AcceptingVpcId", &peer.vpc);
    let peering = VpcPeering {
        id,
        status: VpcPeeringStatus::Accepting,
        business_status: BusinessStatus::Normal,
        bandwidth_mbps: None,
        owner: own.account,
        region: own.region,
        vpc: own.vpc,
        accepting_owner: peer.account,
        accepting_region: peer.region,
        accepting_vpc: peer.vpc,
        provenance: Provenance::default(),
    };
    known_mut(&mut model.snapshot_mut(side)?.vpc_peerings)?.push(peering);
    Some(Call { cli: command.0, save: BTreeMap::from([(name.to_owned(), "Response.InstanceId".to_owned())]) })
}

fn create_interface(model: &mut Model, side: Side) -> Option<Call> {
    if !walk::has_room(model, side) {
        return None;
    }
    let name = format!("ri_{side}");
    let id = RouterInterfaceId::parse(&format!("${{{name}}}")).ok()?;
    let router = model.vpc(side)?.router.clone()?;
    let peer = model.link.side(side.opposite()).clone();
    let vpc = model.link.side(side).vpc.clone();
    let (role, role_text, spec) = match side {
        Side::Initiator => (RouterInterfaceRole::Initiating, "InitiatingSide", SPEC_SMALLEST),
        Side::Acceptor => (RouterInterfaceRole::Accepting, "AcceptingSide", SPEC_ACCEPTOR),
    };
    interfaces(model, side)?.push(RouterInterface {
        id,
        role,
        status: Status::Idle,
        business_status: BusinessStatus::Normal,
        spec: spec.to_owned(),
        bandwidth_mbps: None,
        router_kind: RouterKind::VRouter,
        router: router.clone(),
        vpc: Some(vpc),
        opposite_region: Some(peer.region.clone()),
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
        provenance: Provenance::default(),
    });
    let command = Command::new("vpc", "CreateRouterInterface", model, side)
        .with("RouterType", "VRouter")
        .with("RouterId", router)
        .with("Role", role_text)
        .with("Spec", spec)
        .with("OppositeRegionId", peer.region)
        .with("OppositeRouterType", "VRouter");
    Some(Call { cli: command.0, save: BTreeMap::from([(name, "Response.RouterInterfaceId".to_owned())]) })
}

fn set_opposite(model: &mut Model, side: Side, ri: &RouterInterfaceId) -> Option<Call> {
    let other = side.opposite();
    let (_, peer_id) = walk::hops(model).get(other)?.clone();
    let peer = model.snapshot(other)?.router_interfaces.known()?.iter().find(|p| p.id.as_str() == peer_id)?.clone();
    let owner = model.link.side(other).account.clone();
    let at = interface(model, side, ri)?;
    at.opposite_interface = Some(peer.id.clone());
    at.opposite_router = Some(peer.router.clone());
    at.opposite_router_kind = Some(RouterKind::VRouter);
    at.opposite_owner = Some(owner.clone());
    at.opposite_status = Some(peer.status);
    Command::new("vpc", "ModifyRouterInterfaceAttribute", model, side)
        .with("RouterInterfaceId", ri)
        .with("OppositeInterfaceId", peer.id)
        .with("OppositeRouterId", peer.router)
        .with("OppositeRouterType", "VRouter")
        .with("OppositeInterfaceOwnerId", owner)
        .call()
}

fn entries_mut<'a>(model: &'a mut Model, side: Side, table: &str) -> Option<&'a mut Vec<RouteEntry>> {
    let tables = known_mut(&mut model.snapshot_mut(side)?.route_tables)?;
    known_mut(&mut tables.iter_mut().find(|have| have.id.as_str() == table)?.entries)
}

/// The link as a next hop of one side's routes, and its type in the words of the API.
fn link_hop(model: &Model, side: Side) -> Option<(NextHop, &'static str)> {
    let (kind, id) = walk::hops(model).get(side)?.clone();
    let kind_text = match kind {
        NextHopKind::RouterInterface => "RouterInterface",
        NextHopKind::VpcPeering => "VpcPeer",
        NextHopKind::Attachment => "Attachment",
        _ => return None,
    };
    Some((NextHop { kind, id, enabled: None, weight: None }, kind_text))
}

/// The cloud modifies entries that are in effect, and names them by their id.
fn modify_route(model: &mut Model, side: Side, table: &str, entry: &RouteEntry) -> Option<Call> {
    let (hop, kind_text) = link_hop(model, side)?;
    let id = entry.id.as_ref().filter(|_| entry.status == RouteStatus::Available)?;
    let stored = entries_mut(model, side, table)?.iter_mut().find(|have| have.id.as_ref() == Some(id))?;
    stored.next_hops = vec![hop.clone()];
    Command::new("vpc", "ModifyRouteEntry", model, side)
        .with("RouteEntryId", id)
        .with("NewNextHopType", kind_text)
        .with("NewNextHopId", hop.id)
        .call()
}

fn create_route(model: &mut Model, side: Side, table: &str, destination: Cidr) -> Option<Call> {
    let (hop, kind_text) = link_hop(model, side)?;
    let entries = entries_mut(model, side, table)?;
    if entries.iter().any(|entry| entry.destination == destination) {
        return None;
    }
    entries.push(RouteEntry {
        id: None,
        destination,
        kind: RouteKind::Custom,
        status: RouteStatus::Available,
        next_hops: vec![hop.clone()],
        provenance: Provenance::default(),
    });
    Command::new("vpc", "CreateRouteEntry", model, side)
        .with("RouteTableId", table)
        .with("DestinationCidrBlock", destination)
        .with("NextHopType", kind_text)
        .with("NextHopId", hop.id)
        .call()
}

/// Applies a change to a transit router's table, in every snapshot that shows it.
fn transit(model: &mut Model, side: Side, fix: &Fix) -> Option<Call> {
    let (action, id) = match fix {
        Fix::AssociateTransit { table, .. } => ("AssociateTransitRouterAttachmentWithRouteTable", table),
        Fix::DeleteTransitRoute { table, .. } => ("DeleteTransitRouterRouteEntry", table),
        Fix::CreateTransitRoute { table, .. } => ("CreateTransitRouterRouteEntry", table),
        _ => return None,
    };
    let mut changed = false;
    for table in model.transit_tables_mut(id) {
        changed |= match fix {
            Fix::AssociateTransit { attachment, .. } => known_mut(&mut table.associations).is_some_and(|all| {
                let new = !all.contains(attachment);
                all.push(attachment.clone());
                new
            }),
            Fix::DeleteTransitRoute { route, .. } => known_mut(&mut table.routes).is_some_and(|all| {
                let before = all.len();
                all.retain(|have| have != route);
                all.len() < before
            }),
            Fix::CreateTransitRoute { destination, attachment, .. } => {
                let attachment = Some(attachment.clone());
                let route = TransitRoute { destination: *destination, attachment, active: true, propagated: false };
                known_mut(&mut table.routes).is_some_and(|all| {
                    // A table accepts one static route per destination.
                    let new = !all.iter().any(|have| have.destination == *destination && !have.propagated);
                    all.push(route);
                    new
                })
            }
            _ => false,
        };
    }
    let command = Command::new("cbn", action, model, side).with("TransitRouterRouteTableId", id);
    let command = match fix {
        Fix::AssociateTransit { attachment, .. } => command.with("TransitRouterAttachmentId", attachment),
        Fix::DeleteTransitRoute { route, .. } => {
            let command = command.with("TransitRouterRouteEntryDestinationCidrBlock", route.destination);
            match &route.attachment {
                None => command.with("TransitRouterRouteEntryNextHopType", "BlackHole"),
                Some(attachment) => command
                    .with("TransitRouterRouteEntryNextHopType", "Attachment")
                    .with("TransitRouterRouteEntryNextHopId", attachment),
            }
        }
        Fix::CreateTransitRoute { destination, attachment, .. } => command
            .with("TransitRouterRouteEntryDestinationCidrBlock", destination)
            .with("TransitRouterRouteEntryNextHopType", "Attachment")
            .with("TransitRouterRouteEntryNextHopId", attachment),
        _ => return None,
    };
    if changed { command.call() } else { None }
}

fn rules_mut<'a>(model: &'a mut Model, side: Side, group: &SecurityGroupId) -> Option<&'a mut Vec<SecurityRule>> {
    let groups = known_mut(&mut model.snapshot_mut(side)?.security_groups)?;
    known_mut(&mut groups.iter_mut().find(|have| have.id == *group)?.rules)
}

/// Adds the fields of a rule as parameters, in the form that both Authorize and Revoke accept.
fn by_fields(command: Command, rule: &SecurityRule) -> Command {
    let command = command
        .with("IpProtocol", protocol_text(rule.protocol))
        .with("PortRange", ports_text(rule.protocol, rule.ports));
    let far = if rule.ingress { "Source" } else { "Dest" };
    let command = match &rule.peer {
        RulePeer::Any => command.with(&format!("{far}CidrIp"), "0.0.0.0/0"),
        RulePeer::Cidr(block) if block.is_ipv4() => command.with(&format!("{far}CidrIp"), block),
        RulePeer::Cidr(block) => command.with(&format!("Ipv6{far}CidrIp"), block),
        RulePeer::Group { id, owner } => {
            let command = command.with(&format!("{far}GroupId"), id);
            match owner {
                Some(owner) => command.with(&format!("{far}GroupOwnerId"), owner),
                None => command,
            }
        }
        RulePeer::PrefixList(id) => command.with(&format!("{far}PrefixListId"), id),
    };
    command.with("NicType", "intranet").with("Policy", policy_text(rule.policy)).with("Priority", rule.priority)
}

fn acl_accept(model: &mut Model, side: Side, acl: &str, ingress: bool, at: usize, entry: AclEntry) -> Option<Call> {
    let acls = known_mut(&mut model.snapshot_mut(side)?.network_acls)?;
    let have: &mut NetworkAcl = acls.iter_mut().find(|have| have.id.as_str() == acl)?;
    let entries = known_mut(if ingress { &mut have.ingress } else { &mut have.egress })?;
    entries.insert(at.min(entries.len()), entry);
    let list = entries.clone();
    let (update, name, far) = if ingress {
        ("UpdateIngressAclEntries", "IngressAclEntries", "SourceCidrIp")
    } else {
        ("UpdateEgressAclEntries", "EgressAclEntries", "DestinationCidrIp")
    };
    let mut command =
        Command::new("vpc", "UpdateNetworkAclEntries", model, side).with("NetworkAclId", acl).with(update, "true");
    // The call replaces the whole list, except for the entries that the cloud maintains itself.
    for (at, entry) in list.iter().filter(|entry| !entry.system).enumerate() {
        let n = at + 1;
        if let Some(id) = &entry.id {
            command = command.with(&format!("{name}.{n}.NetworkAclEntryId"), id);
        }
        command = command
            .with(&format!("{name}.{n}.Policy"), policy_text(entry.policy))
            .with(&format!("{name}.{n}.Protocol"), protocol_text(entry.protocol))
            .with(&format!("{name}.{n}.Port"), ports_text(entry.protocol, entry.ports))
            .with(&format!("{name}.{n}.{far}"), entry.peer);
    }
    command.call()
}
