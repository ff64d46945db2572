//! The calls of the API: which exist, and what each does to the declared state.
//!
//! An action sees its parameters, its caller and the state, and nothing of signatures, transport or packets. A test
//! compares the field names with the official SDKs' models. Objects of other accounts and regions do not exist for a
//! caller: they are "not found", as in the real API.

#![expect(clippy::unnecessary_wraps, reason = "all actions have one signature, the table of handlers needs it")]

mod acl;
mod attributes;
mod cbn;
mod command;
mod eni;
mod eni_removal;
mod grant;
mod group;
mod instance;
mod membership;
mod metric;
mod prefix_list;
mod private_address;
mod route_entries;
mod route_entry;
mod route_table;
mod router_interface;
mod router_interface_state;
mod rule;
mod sts;
mod trail;
mod vpc;
mod vpcpeer;
mod vswitch;

pub(super) use instance::{NewInstance, add_instance, made_at as instance_made_at};
pub(super) use router_interface::bandwidth_mbit;
pub(super) use rule::read_ports;
pub(super) use vswitch::subnet_mask;

use super::{
    calls::meter::Meter,
    calls::page::{Page, TokenStyle, numbered, tokens},
    calls::params::Params,
    calls::refusal::Refusal,
    data_plane::Script,
    keyring::{Caller, Keyring},
    settle::passing,
    trail::Trail,
    world::words::{time, time_minutes},
    world::{Change, Transition, World},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The context of one call.
pub(super) struct Call<'a> {
    pub(super) params: &'a Params,
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
    /// Time of the state that answers show; earlier than `now` if answers are stale.
    pub(super) as_of: Timestamp,
    pub(super) pace: SignedDuration,
    pub(super) lose_page: bool,
    pub(super) legacy_sg_auth: bool,
}

type Answer = Result<Value, Refusal>;

/// The scripts to start in guests, and the answer of the call once they are started.
type ScriptsAndAnswer = Result<(Vec<Script>, Value), Refusal>;

/// The function of an action, by what it reads or changes.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    Read(fn(&Call<'_>, &World) -> Answer),
    Write(fn(&Call<'_>, &mut World) -> Answer),
    Keys(fn(&Call<'_>, &mut Keyring) -> Answer),
    Guest(fn(&Call<'_>, &World) -> ScriptsAndAnswer),
    Metrics(fn(&MetricCall<'_>) -> Answer),
    Trail(fn(&Call<'_>, &Trail) -> Answer),
}

impl Handler {
    /// Whether a call of it changes something. Such calls are refused to RAM roles, and recorded.
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Write(_) | Self::Guest(_))
    }
}

/// A call for what links carried, with the state and the readings of the counters.
pub(super) struct MetricCall<'a> {
    pub(super) call: Call<'a>,
    pub(super) world: &'a World,
    pub(super) meter: &'a Meter,
}

/// The product that has this API version.
pub(super) fn product_of(version: &str) -> Option<&'static str> {
    Some(match version {
        "2016-04-28" => "vpc",
        "2014-05-26" => "ecs",
        "2015-04-01" => "sts",
        "2022-01-01" => "vpcpeer",
        "2017-09-12" => "cbn",
        "2019-01-01" => "cms",
        "2020-07-06" => "actiontrail",
        _ => return None,
    })
}

/// The handler of an action; `None` if the lab does not have it.
pub(super) fn find(product: &str, action: &str) -> Option<Handler> {
    use Handler::{Keys, Metrics, Read, Write};
    Some(match (product, action) {
        ("sts", "GetCallerIdentity") => Keys(sts::get_caller_identity),
        ("sts", "AssumeRole") => Keys(sts::assume_role),

        ("vpc" | "ecs", "DescribeRegions") => Read(vpc::describe_regions),
        ("vpc", "DescribeZones") => Read(vpc::describe_zones),
        ("vpc", "CreateVpc") => Write(vpc::create),
        ("vpc", "DeleteVpc") => Write(vpc::delete),
        ("vpc", "DescribeVpcs") => Read(vpc::describe_all),
        ("vpc", "DescribeVpcAttribute") => Read(vpc::describe_one),
        ("vpc", "ModifyVpcAttribute") => Write(attributes::modify_vpc),
        ("vpc", "AssociateVpcCidrBlock") => Write(vpc::associate_block),
        ("vpc", "UnassociateVpcCidrBlock") => Write(vpc::unassociate_block),
        ("vpc", "DescribeVRouters") => Read(vpc::describe_routers),
        ("vpc", "CreateVSwitch") => Write(vswitch::create),
        ("vpc", "DeleteVSwitch") => Write(vswitch::delete),
        ("vpc", "ModifyVSwitchAttribute") => Write(attributes::modify_vswitch),
        ("vpc", "DescribeVSwitches") => Read(vswitch::describe_all),
        ("vpc", "DescribeVSwitchAttributes") => Read(vswitch::describe_one),

        ("vpc", "CreateRouteTable") => Write(route_table::create),
        ("vpc", "DeleteRouteTable") => Write(route_table::delete),
        ("vpc", "ModifyRouteTableAttributes") => Write(attributes::modify_route_table),
        ("vpc", "AssociateRouteTable") => Write(route_table::associate),
        ("vpc", "UnassociateRouteTable") => Write(route_table::unassociate),
        ("vpc", "DescribeRouteTableList") => Read(route_table::describe_list),
        ("vpc", "DescribeRouteTables") => Read(route_table::describe_with_entries),
        ("vpc", "DescribeRouteEntryList") => Read(route_entry::describe_list),
        ("vpc", "CreateRouteEntry") => Write(route_entry::create),
        ("vpc", "DeleteRouteEntry") => Write(route_entry::delete),
        ("vpc", "ModifyRouteEntry") => Write(route_entry::modify),
        ("vpc", "CreateRouteEntries") => Write(route_entries::create),
        ("vpc", "DeleteRouteEntries") => Write(route_entries::delete),

        ("vpc", "CreateRouterInterface") => Write(router_interface::create),
        ("vpc", "ModifyRouterInterfaceAttribute") => Write(router_interface::modify),
        ("vpc", "DescribeRouterInterfaces") => Read(router_interface::describe_all),
        ("vpc", "DescribeRouterInterfaceAttribute") => Read(router_interface::describe_one),
        ("vpc", "ConnectRouterInterface") => Write(router_interface_state::connect),
        ("vpc", "ActivateRouterInterface") => Write(router_interface_state::activate),
        ("vpc", "DeactivateRouterInterface") => Write(router_interface_state::deactivate),
        ("vpc", "DeleteRouterInterface") => Write(router_interface_state::delete),
        ("vpc", "ModifyRouterInterfaceSpec") => Write(router_interface_state::modify_spec),

        ("vpc", "GrantInstanceToVbr") => Write(grant::to_border_router),
        ("vpc", "DescribeEcGrantRelation") => Read(grant::describe_to_border_routers),
        ("vpc", "DescribeGrantRulesToCen") => Read(grant::describe_to_cen),

        ("vpc", "CreateNetworkAcl") => Write(acl::create),
        ("vpc", "DeleteNetworkAcl") => Write(acl::delete),
        ("vpc", "UpdateNetworkAclEntries") => Write(acl::update_entries),
        ("vpc", "ModifyNetworkAclAttributes") => Write(attributes::modify_acl),
        ("vpc", "AssociateNetworkAcl") => Write(acl::associate),
        ("vpc", "UnassociateNetworkAcl") => Write(acl::unassociate),
        ("vpc", "DescribeNetworkAcls") => Read(acl::describe_all),
        ("vpc", "DescribeNetworkAclAttributes") => Read(acl::describe_one),

        ("ecs", "CreateSecurityGroup") => Write(group::create),
        ("ecs", "DeleteSecurityGroup") => Write(group::delete),
        ("ecs", "ModifySecurityGroupAttribute") => Write(attributes::modify_group),
        ("ecs", "ModifySecurityGroupPolicy") => Write(group::modify_policy),
        ("ecs", "JoinSecurityGroup") => Write(membership::join),
        ("ecs", "LeaveSecurityGroup") => Write(membership::leave),
        ("ecs", "DescribeSecurityGroups") => Read(group::describe_all),
        ("ecs", "DescribeSecurityGroupAttribute") => Read(group::describe_rules),
        ("ecs", "DescribeSecurityGroupReferences") => Read(group::describe_references),
        ("ecs", "AuthorizeSecurityGroup") => Write(rule::authorize_ingress),
        ("ecs", "AuthorizeSecurityGroupEgress") => Write(rule::authorize_egress),
        ("ecs", "RevokeSecurityGroup") => Write(rule::revoke_ingress),
        ("ecs", "RevokeSecurityGroupEgress") => Write(rule::revoke_egress),
        ("ecs", "ModifySecurityGroupRule") => Write(rule::modify_ingress),
        ("ecs", "ModifySecurityGroupEgressRule") => Write(rule::modify_egress),

        ("ecs", "CreatePrefixList") => Write(prefix_list::create),
        ("ecs", "ModifyPrefixList") => Write(prefix_list::modify),
        ("ecs", "DeletePrefixList") => Write(prefix_list::delete),
        ("ecs", "DescribePrefixLists") => Read(prefix_list::describe_all),
        ("ecs", "DescribePrefixListAttributes") => Read(prefix_list::describe_one),
        ("ecs", "DescribePrefixListAssociations") => Read(prefix_list::describe_associations),

        ("ecs", "RunInstances") => Write(instance::run),
        ("ecs", "CreateInstance") => Write(instance::create),
        ("ecs", "StartInstance") => Write(instance::start),
        ("ecs", "StopInstance") => Write(instance::stop),
        ("ecs", "DeleteInstance") => Write(instance::delete),
        ("ecs", "ModifyInstanceAttribute") => Write(instance::modify),
        ("ecs", "ModifyInstanceMetadataOptions") => Write(instance::modify_metadata),
        ("ecs", "RunCommand") => Handler::Guest(command::run),
        ("ecs", "DescribeInstances") => Read(instance::describe_all),
        ("ecs", "DescribeInstanceStatus") => Read(instance::describe_status),
        ("ecs", "DescribeInstanceRamRole") => Read(instance::describe_ram_role),
        ("ecs", "DescribeNetworkInterfaces") => Read(eni::describe_all),
        ("ecs", "CreateNetworkInterface") => Write(eni::create),
        ("ecs", "AttachNetworkInterface") => Write(eni::attach),
        ("ecs", "DetachNetworkInterface") => Write(eni_removal::detach),
        ("ecs", "DeleteNetworkInterface") => Write(eni_removal::delete),
        ("ecs", "ModifyNetworkInterfaceAttribute") => Write(eni::modify),
        ("ecs", "AssignPrivateIpAddresses") => Write(eni::assign),
        ("ecs", "UnassignPrivateIpAddresses") => Write(eni::unassign),

        ("vpcpeer", "CreateVpcPeerConnection") => Write(vpcpeer::create),
        ("vpcpeer", "AcceptVpcPeerConnection") => Write(vpcpeer::accept),
        ("vpcpeer", "RejectVpcPeerConnection") => Write(vpcpeer::reject),
        ("vpcpeer", "DeleteVpcPeerConnection") => Write(vpcpeer::delete),
        ("vpcpeer", "ModifyVpcPeerConnection") => Write(vpcpeer::modify),
        ("vpcpeer", "ListVpcPeerConnections") => Read(vpcpeer::list),
        ("vpcpeer", "GetVpcPeerConnectionAttribute") => Read(vpcpeer::get),

        ("cbn", action) => return cbn::find(action),
        ("cms", "DescribeMetricList") => Metrics(metric::list),
        ("cms", "DescribeMetricLast") => Metrics(metric::last),
        ("cms", "DescribeMetricData") => Metrics(metric::data),
        ("cms", "DescribeMetricTop") => Metrics(metric::top),
        ("cms", "DescribeMetricMetaList") => Read(metric::meta),
        ("actiontrail", "LookupEvents") => Handler::Trail(trail::lookup),
        _ => return None,
    })
}

/// Largest page of the numbered listings.
const PAGE_MAX: usize = 50;
/// Largest page of the numbered listings of ECS.
const ECS_PAGE_MAX: usize = 100;

/// Paging by `MaxResults` in ECS.
const ECS_TOKENS: TokenStyle =
    TokenStyle { size: "MaxResults", size_default: 10, size_max: 100, total: true, echo: false };

impl Call<'_> {
    /// Whether an object exists for this caller: it is the caller's own and in the requested region.
    fn sees(&self, owner: &str, region: &str) -> bool {
        owner == self.caller.account && self.params.get("RegionId").is_none_or(|wanted| wanted == region)
    }

    /// The region id, which is mandatory for most calls.
    fn region(&self) -> Result<&str, Refusal> {
        let region = self.params.need("RegionId")?;
        let plausible = region.contains('-')
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if plausible { Ok(region) } else { Err(not_found("RegionId")) }
    }

    /// Schedules a change for when the pace has elapsed.
    fn later(&self, world: &mut World, change: Change) {
        let due = self.now.checked_add(self.pace).unwrap_or(self.now);
        world.transitions.push(Transition { due, change });
    }

    /// Shows a transitional state of an object until the pace has elapsed.
    fn show(&self, world: &mut World, id: &str, status: &'static str) {
        self.later(world, Change::Shown { id: id.to_owned(), status });
    }

    /// Both paging styles of ECS: tokens, and page numbers for callers that still send them.
    fn ecs_page(&self, rows: Vec<Value>) -> Result<Page, Refusal> {
        let by_number = self.params.get("PageNumber").is_some() || self.params.get("PageSize").is_some();
        if by_number && self.params.get("MaxResults").is_none() {
            return numbered(rows, self.params, ECS_PAGE_MAX, self.lose_page);
        }
        tokens(rows, self.params, &ECS_TOKENS, self.lose_page)
    }

    /// Ends a dry run with the error that says the call would have succeeded.
    fn refuse_dry_run(&self) -> Result<(), Refusal> {
        if self.params.yes("DryRun") {
            let message = "Request validation has been passed with DryRun flag set.";
            return Err(Refusal::new(400, "DryRunOperation", message));
        }
        Ok(())
    }
}

fn not_found(parameter: &str) -> Refusal {
    Refusal::new(404, &format!("Invalid{parameter}.NotFound"), &format!("The specified {parameter} does not exist."))
}

fn malformed(parameter: &str) -> Refusal {
    let message = format!("The specified parameter \"{parameter}\" is not valid.");
    Refusal::new(400, &format!("Invalid{parameter}.Malformed"), &message)
}

fn done() -> Answer {
    Ok(json!({}))
}

/// An account id as a number, the form that some answers have.
fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| json!(id), |number| json!(number))
}
