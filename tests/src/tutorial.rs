//! Creates a topology as its owners would: with the API calls of the tutorial, in order, as the accounts that it names.
//!
//! [`Builder::estate`] creates what exists before the tutorial starts (VPCs, vSwitches, groups without rules,
//! instances); [`Builder::step`] carries out one step, 1 to 6, of every peering. All calls go over HTTP, so a mistake
//! of the lab's cloud appears here as it would to a user.

mod transit;

use crate::{
    cloud::{self, Keys},
    symbols::Symbols,
    topology::{Peering, PeeringKind, Rule, Topology, Vpc},
};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// The steps of the tutorial that change something.
pub const STEPS: std::ops::RangeInclusive<u8> = 1..=6;

/// The RAM role of every instance, with which the agent on it reads its account.
const INSTANCE_ROLE: &str = "pingtong-agent";

/// Interval and maximum number of checks whether an object is ready.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(25);
const LOOKS_MAX: u32 = 200;

/// Callers of the API, one per account.
#[derive(Debug, Clone)]
pub struct Operators {
    endpoint: String,
    keys: BTreeMap<String, Keys>,
}

impl Operators {
    /// Callers of the API at `endpoint`, by account name.
    pub fn new(endpoint: String, keys: BTreeMap<String, Keys>) -> Self {
        Self { endpoint, keys }
    }

    /// Names of the accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Makes one call.
    ///
    /// # Errors
    /// Fails if no account has the name, or with the API's own error, which can be downcast to [`cloud::ApiError`].
    pub async fn call(
        &self,
        account: &str,
        product: &str,
        action: &str,
        region: &str,
        parameters: BTreeMap<String, String>,
    ) -> Result<Value> {
        let keys = self.keys.get(account).ok_or_else(|| anyhow!("no account is named \"{account}\""))?;
        cloud::call(&self.endpoint, keys, product, action, region, &parameters)
            .await
            .with_context(|| format!("{product}:{action} as account {account} in {region}"))
    }
}

/// Creates the objects of one topology.
#[derive(Debug)]
pub struct Builder<'a> {
    topology: &'a Topology,
    operators: &'a Operators,
    /// Ids of the objects that have been created so far, by name.
    pub symbols: Symbols,
}

/// Parameters of a call.
fn with<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// A text field of a response, by path.
pub fn field(response: &Value, path: &str) -> Result<String> {
    let mut at = response;
    for part in path.split('.') {
        let (name, index) = part.split_once('[').map_or((part, None), |(n, i)| (n, i.strip_suffix(']')));
        if !name.is_empty() && name != "Response" {
            at = &at[name];
        }
        if let Some(index) = index {
            at = &at[index.parse::<usize>().with_context(|| format!("index in \"{path}\""))?];
        }
    }
    match at {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => bail!("the response has no field \"{path}\": {response}"),
    }
}

impl<'a> Builder<'a> {
    /// A builder that has not created anything.
    pub fn new(topology: &'a Topology, operators: &'a Operators) -> Self {
        let mut symbols = Symbols::default();
        for account in &topology.accounts {
            symbols.set(format!("{}.id", account.name.get_ref()), account.id.get_ref());
        }
        Self { topology, operators, symbols }
    }

    async fn call(&self, vpc: &Vpc, call: &str, parameters: BTreeMap<String, String>) -> Result<Value> {
        let (product, action) = call.split_once(':').unwrap_or(("vpc", call));
        self.operators.call(vpc.account(), product, action, &vpc.region, parameters).await
    }

    /// Creates the VPCs with all their objects, except for what the tutorial's steps add.
    ///
    /// # Errors
    /// Fails if a call is refused.
    pub async fn estate(&mut self) -> Result<()> {
        for vpc in &self.topology.vpcs {
            self.vpc(vpc).await.with_context(|| format!("creating {}", vpc.name.get_ref()))?;
        }
        Ok(())
    }

    async fn vpc(&mut self, vpc: &Vpc) -> Result<()> {
        let (name, account) = (vpc.name.get_ref().clone(), vpc.account().to_owned());
        let made = self
            .call(vpc, "vpc:CreateVpc", with([("CidrBlock", vpc.cidr.get_ref()), ("VpcName", vpc.short_name())]))
            .await?;
        let id = field(&made, "VpcId")?;
        self.name(vpc, &name, &id);
        self.name(vpc, &format!("{name}.vrouter"), &field(&made, "VRouterId")?);
        self.name(vpc, &format!("{name}.route_table"), &field(&made, "RouteTableId")?);
        self.symbols.set(format!("{name}.cidr"), vpc.cidr.get_ref());
        self.symbols.set(format!("{name}.region"), &vpc.region);
        for block in &vpc.secondary_cidrs {
            let parameters = with([("VpcId", &id), ("SecondaryCidrBlock", block.get_ref())]);
            self.call(vpc, "vpc:AssociateVpcCidrBlock", parameters).await?;
        }
        for table in &vpc.route_tables {
            let parameters = with([("VpcId", &id), ("RouteTableName", table.name.get_ref())]);
            let made = self.call(vpc, "vpc:CreateRouteTable", parameters).await?;
            self.name(vpc, &format!("{name}.{}", table.name.get_ref()), &field(&made, "RouteTableId")?);
        }
        for acl in &vpc.network_acls {
            let parameters = with([("VpcId", &id), ("NetworkAclName", acl.name.get_ref())]);
            let made = self.call(vpc, "vpc:CreateNetworkAcl", parameters).await?;
            let acl_id = field(&made, "NetworkAclId")?;
            self.name(vpc, &format!("{name}.{}", acl.name.get_ref()), &acl_id);
            let mut parameters = with([("NetworkAclId", &acl_id)]);
            for (ingress, entries) in [(true, &acl.ingress), (false, &acl.egress)] {
                if let Some(entries) = entries {
                    acl_parameters(ingress, entries, &mut parameters);
                }
            }
            if parameters.len() > 1 {
                self.call(vpc, "vpc:UpdateNetworkAclEntries", parameters).await?;
            }
        }
        for vswitch in &vpc.vswitches {
            let full = format!("{name}.{}", vswitch.name.get_ref());
            let parameters = with([
                ("VpcId", &id),
                ("VSwitchName", vswitch.name.get_ref()),
                ("ZoneId", &vswitch.zone),
                ("CidrBlock", vswitch.cidr.get_ref()),
            ]);
            let vswitch_id = field(&self.call(vpc, "vpc:CreateVSwitch", parameters).await?, "VSwitchId")?;
            self.name(vpc, &full, &vswitch_id);
            self.symbols.set(format!("{full}.cidr"), vswitch.cidr.get_ref());
            if let Some(table) = &vswitch.route_table {
                let table = self.symbols.get(&format!("{name}.{}", table.get_ref()))?;
                let parameters = with([("RouteTableId", table), ("VSwitchId", &vswitch_id)]);
                self.call(vpc, "vpc:AssociateRouteTable", parameters).await?;
            }
            if let Some(acl) = &vswitch.network_acl {
                let acl = self.symbols.get(&format!("{name}.{}", acl.get_ref()))?;
                let parameters = with([
                    ("NetworkAclId", acl),
                    ("Resource.1.ResourceId", &vswitch_id),
                    ("Resource.1.ResourceType", "VSwitch"),
                ]);
                self.call(vpc, "vpc:AssociateNetworkAcl", parameters).await?;
            }
        }
        for list in &vpc.prefix_lists {
            let count = list.entries.len().max(1).to_string();
            let mut parameters =
                with([("PrefixListName", list.name.get_ref()), ("AddressFamily", "IPv4"), ("MaxEntries", &count)]);
            for (i, entry) in list.entries.iter().enumerate() {
                parameters.insert(format!("Entry.{}.Cidr", i + 1), entry.get_ref().clone());
            }
            let made = self.call(vpc, "ecs:CreatePrefixList", parameters).await?;
            self.name(vpc, &format!("{account}.{}", list.name.get_ref()), &field(&made, "PrefixListId")?);
        }
        for group in &vpc.security_groups {
            let kind = match group.kind {
                crate::topology::GroupKind::Normal => "normal",
                crate::topology::GroupKind::Enterprise => "enterprise",
            };
            let parameters =
                with([("VpcId", &id), ("SecurityGroupName", group.name.get_ref()), ("SecurityGroupType", kind)]);
            let made = self.call(vpc, "ecs:CreateSecurityGroup", parameters).await?;
            self.name(vpc, &format!("{account}.{}", group.name.get_ref()), &field(&made, "SecurityGroupId")?);
        }
        for instance in &vpc.instances {
            let full = instance.full_name(vpc);
            let vswitch = self.symbols.get(&format!("{name}.{}", instance.vswitch.get_ref()))?;
            let mut parameters = with([
                ("InstanceName", instance.name.get_ref()),
                ("VSwitchId", vswitch),
                ("PrivateIpAddress", instance.ip.get_ref()),
                ("RamRoleName", INSTANCE_ROLE),
                ("Amount", "1"),
            ]);
            for (i, group) in instance.security_groups.iter().enumerate() {
                let group = self.symbols.get(&format!("{account}.{}", group.get_ref()))?.to_owned();
                parameters.insert(format!("SecurityGroupIds.{}", i + 1), group);
            }
            let made = self.call(vpc, "ecs:RunInstances", parameters).await?;
            let instance_id = field(&made, "InstanceIdSets.InstanceIdSet[0]")?;
            self.name(vpc, &full, &instance_id);
            self.symbols.set(format!("{full}.ip"), instance.ip.get_ref());
            let enis = self.call(vpc, "ecs:DescribeNetworkInterfaces", with([("InstanceId", &instance_id)])).await?;
            let eni = field(&enis, "NetworkInterfaceSets.NetworkInterfaceSet[0].NetworkInterfaceId")?;
            self.name(vpc, &format!("{full}.eni"), &eni);
        }
        Ok(())
    }

    fn name(&mut self, vpc: &Vpc, name: &str, id: &str) {
        self.symbols.set_in(vpc.account(), &vpc.region, name, id);
    }

    /// Carries out one step of the tutorial for every peering.
    ///
    /// # Errors
    /// Fails if a call is refused.
    pub async fn step(&mut self, number: u8) -> Result<()> {
        let topology = self.topology;
        if number == 6 {
            for vpc in &topology.vpcs {
                self.rules(vpc).await.context("step 6, security group rules")?;
            }
            return Ok(());
        }
        for peering in &topology.peerings {
            let (Some(initiator), Some(acceptor)) =
                (topology.vpc(peering.initiator.get_ref()), topology.vpc(peering.acceptor.get_ref()))
            else {
                bail!("peering {} names a VPC that does not exist", peering.name.get_ref());
            };
            let done = match peering.kind {
                PeeringKind::RouterInterface => self.router_interfaces(number, peering, initiator, acceptor).await,
                PeeringKind::VpcPeering => self.vpc_peering(number, peering, initiator, acceptor).await,
                PeeringKind::TransitRouter => {
                    self.transit_router(number, transit::Ends { peering, initiator, acceptor }).await
                }
            };
            done.with_context(|| format!("step {number} of {}", peering.name.get_ref()))?;
        }
        Ok(())
    }

    async fn router_interfaces(
        &mut self,
        number: u8,
        peering: &Peering,
        initiator: &Vpc,
        acceptor: &Vpc,
    ) -> Result<()> {
        let name = peering.name.get_ref();
        match number {
            1 => self.create_interface(name, initiator, acceptor, "initiator", &peering.spec).await,
            2 => self.create_interface(name, acceptor, initiator, "acceptor", "Negative").await,
            3 => self.set_opposite(name, acceptor, initiator, "acceptor").await,
            4 => {
                self.set_opposite(name, initiator, acceptor, "initiator").await?;
                let id = self.symbols.get(&format!("{name}.initiator"))?;
                self.call(initiator, "vpc:ConnectRouterInterface", with([("RouterInterfaceId", id)])).await?;
                self.wait_until_active(name, initiator).await
            }
            5 => self.routes(name, initiator, acceptor, "RouterInterface").await,
            _ => Ok(()),
        }
    }

    async fn create_interface(&mut self, name: &str, own: &Vpc, other: &Vpc, side: &str, spec: &str) -> Result<()> {
        let router = self.symbols.get(&format!("{}.vrouter", own.name.get_ref()))?;
        let role = if side == "initiator" { "InitiatingSide" } else { "AcceptingSide" };
        let parameters = with([
            ("RouterType", "VRouter"),
            ("RouterId", router),
            ("Role", role),
            ("Spec", spec),
            ("OppositeRegionId", &other.region),
            ("OppositeRouterType", "VRouter"),
            ("Name", name),
        ]);
        let made = self.call(own, "vpc:CreateRouterInterface", parameters).await?;
        self.name(own, &format!("{name}.{side}"), &field(&made, "RouterInterfaceId")?);
        Ok(())
    }

    async fn set_opposite(&mut self, name: &str, own: &Vpc, other: &Vpc, side: &str) -> Result<()> {
        let opposite = if side == "initiator" { "acceptor" } else { "initiator" };
        let parameters = with([
            ("RouterInterfaceId", self.symbols.get(&format!("{name}.{side}"))?),
            ("OppositeInterfaceId", self.symbols.get(&format!("{name}.{opposite}"))?),
            ("OppositeRouterId", self.symbols.get(&format!("{}.vrouter", other.name.get_ref()))?),
            ("OppositeRouterType", "VRouter"),
            ("OppositeInterfaceOwnerId", self.symbols.get(&format!("{}.id", other.account()))?),
        ]);
        self.call(own, "vpc:ModifyRouterInterfaceAttribute", parameters).await?;
        Ok(())
    }

    /// Polls until the router interface is active, as a reader of the tutorial does in the console. The number of polls
    /// is limited.
    async fn wait_until_active(&self, name: &str, initiator: &Vpc) -> Result<()> {
        let id = self.symbols.get(&format!("{name}.initiator"))?;
        for _ in 0..LOOKS_MAX {
            let seen = self.call(initiator, "vpc:DescribeRouterInterfaceAttribute", with([("InstanceId", id)])).await?;
            if field(&seen, "Status")? == "Active" {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("router interface {id} did not become Active")
    }

    async fn vpc_peering(&mut self, number: u8, peering: &Peering, initiator: &Vpc, acceptor: &Vpc) -> Result<()> {
        let name = peering.name.get_ref();
        match number {
            1 => {
                let parameters = with([
                    ("VpcId", self.symbols.get(initiator.name.get_ref())?),
                    ("AcceptingAliUid", self.symbols.get(&format!("{}.id", acceptor.account()))?),
                    ("AcceptingRegionId", &acceptor.region),
                    ("AcceptingVpcId", self.symbols.get(acceptor.name.get_ref())?),
                    ("Name", name),
                ]);
                let made = self.call(initiator, "vpcpeer:CreateVpcPeerConnection", parameters).await?;
                let id = field(&made, "InstanceId")?;
                self.name(initiator, &format!("{name}.initiator"), &id);
                self.name(acceptor, &format!("{name}.acceptor"), &id);
                Ok(())
            }
            2 => {
                let id = self.symbols.get(&format!("{name}.acceptor"))?;
                self.call(acceptor, "vpcpeer:AcceptVpcPeerConnection", with([("InstanceId", id)])).await?;
                Ok(())
            }
            5 => self.routes(name, initiator, acceptor, "VpcPeer").await,
            _ => Ok(()),
        }
    }

    async fn routes(&mut self, name: &str, initiator: &Vpc, acceptor: &Vpc, kind: &str) -> Result<()> {
        for (own, other, side) in [(initiator, acceptor, "initiator"), (acceptor, initiator, "acceptor")] {
            let hop = self.symbols.get(&format!("{name}.{side}"))?.to_owned();
            let custom = own.route_tables.iter().map(|t| t.name.get_ref().as_str());
            for table in std::iter::once("route_table").chain(custom) {
                let table_name = format!("{}.{table}", own.name.get_ref());
                let table_id = self.symbols.get(&table_name)?.to_owned();
                for destination in other.cidrs() {
                    let parameters = with([
                        ("RouteTableId", &table_id),
                        ("DestinationCidrBlock", destination),
                        ("NextHopType", kind),
                        ("NextHopId", &hop),
                    ]);
                    let made = self.call(own, "vpc:CreateRouteEntry", parameters).await?;
                    self.name(own, &format!("{table_name}.{destination}"), &field(&made, "RouteEntryId")?);
                }
            }
        }
        Ok(())
    }

    async fn rules(&mut self, vpc: &Vpc) -> Result<()> {
        for group in &vpc.security_groups {
            let id = self.symbols.get(&format!("{}.{}", vpc.account(), group.name.get_ref()))?.to_owned();
            for (ingress, rules) in [(true, &group.ingress), (false, &group.egress)] {
                for rule in rules {
                    let action =
                        if ingress { "ecs:AuthorizeSecurityGroup" } else { "ecs:AuthorizeSecurityGroupEgress" };
                    let parameters = self.rule_parameters(vpc, &id, ingress, rule);
                    self.call(vpc, action, parameters).await?;
                }
            }
        }
        Ok(())
    }

    fn rule_parameters(&self, vpc: &Vpc, group: &str, ingress: bool, rule: &Rule) -> BTreeMap<String, String> {
        let prefix = "Permissions.1.";
        let priority = rule.priority.to_string();
        let mut parameters = with([("SecurityGroupId", group)]);
        for (key, value) in [
            ("IpProtocol", rule.protocol.as_str()),
            ("PortRange", &rule.ports),
            ("Policy", &rule.policy),
            ("Priority", &priority),
            ("NicType", "intranet"),
        ] {
            parameters.insert(format!("{prefix}{key}"), value.to_owned());
        }
        let (far, end) = if ingress { (&rule.source, "Source") } else { (&rule.destination, "Dest") };
        let far = far.as_ref().map_or("0.0.0.0/0", |f| f.get_ref());
        let named =
            [far.to_owned(), format!("{}.{far}", vpc.account())].into_iter().find_map(|n| self.symbols.get(&n).ok());
        let (key, value) = match named {
            Some(id) if id.starts_with("pl-") => (format!("{end}PrefixListId"), id),
            Some(id) => (format!("{end}GroupId"), id),
            None => (format!("{end}CidrIp"), far),
        };
        parameters.insert(format!("{prefix}{key}"), value.to_owned());
        parameters
    }
}

fn acl_parameters(ingress: bool, entries: &[Rule], parameters: &mut BTreeMap<String, String>) {
    let (side, end) = if ingress { ("Ingress", "SourceCidrIp") } else { ("Egress", "DestinationCidrIp") };
    parameters.insert(format!("Update{side}AclEntries"), "true".into());
    for (i, rule) in entries.iter().enumerate() {
        let far = if ingress { &rule.source } else { &rule.destination };
        let far = far.as_ref().map_or("0.0.0.0/0", |f| f.get_ref());
        for (key, value) in
            [("Policy", rule.policy.as_str()), ("Protocol", &rule.protocol), ("Port", &rule.ports), (end, far)]
        {
            parameters.insert(format!("{side}AclEntries.{}.{key}", i + 1), value.to_owned());
        }
    }
}
