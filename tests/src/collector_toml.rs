//! The collector's settings for a topology: `collector.toml` as its users would write it by hand. Everything comes from
//! the topology and from the ids that the lab's cloud has assigned.

use crate::{
    service_network::{COLLECTOR, openapi_url},
    symbols::{Symbols, UnknownSymbol},
    topology::{Expect, Peering, Topology},
};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// Name of the RAM role that the collector may assume in each account whose owner permits it.
pub const ROLE: &str = "pingtong-collector";

/// Writes `collector.toml` for a topology: one link per peering, with the expectations whose ends are in its two VPCs,
/// and the role of each account on a link whose owner permits the collector to assume it.
///
/// # Errors
/// Fails if a name in the topology refers to an object that the cloud has not created.
pub fn write(topology: &Topology, symbols: &Symbols) -> Result<String, UnknownSymbol> {
    let mut root = Table::new();
    root.insert("listen".into(), COLLECTOR.into());
    root.insert("url".into(), format!("https://{COLLECTOR}").into());
    if let Some(probes) = topology.steady_probes {
        root.insert("steady_probes".into(), Value::Integer(probes.into()));
    }
    if let Some(settle_ms) = topology.settle_ms {
        root.insert("settle_ms".into(), Value::Integer(i64::try_from(settle_ms).unwrap_or(i64::MAX)));
    }
    root.insert("cloud_endpoint".into(), openapi_url().into());
    let linked: BTreeSet<&str> = topology
        .peerings
        .iter()
        .flat_map(|p| [account_of(p.initiator.get_ref()), account_of(p.acceptor.get_ref())])
        .collect();
    let mut grants = vec![];
    for account in linked.into_iter().filter(|account| topology.grants_role(account)) {
        let id = symbols.get(&format!("{account}.id"))?;
        let mut grant = Table::new();
        grant.insert("id".into(), id.into());
        grant.insert("role".into(), format!("acs:ram::{id}:role/{ROLE}").into());
        grants.push(Value::Table(grant));
    }
    root.insert("account".into(), Value::Array(grants));
    let links = topology.peerings.iter().map(|p| link(p, topology, symbols)).collect::<Result<Vec<_>, _>>()?;
    root.insert("link".into(), Value::Array(links.into_iter().map(Value::Table).collect()));
    Ok(root.to_string())
}

/// The account's name, which is the first part of a VPC's name.
fn account_of(vpc: &str) -> &str {
    vpc.split('.').next().unwrap_or_default()
}

fn link(peering: &Peering, topology: &Topology, symbols: &Symbols) -> Result<Table, UnknownSymbol> {
    let mut link = Table::new();
    link.insert("id".into(), peering.name.get_ref().as_str().into());
    link.insert("kind".into(), peering.kind.as_str().into());
    for (key, vpc) in [("initiator", peering.initiator.get_ref()), ("acceptor", peering.acceptor.get_ref())] {
        let account = account_of(vpc);
        let mut side = Table::new();
        side.insert("account".into(), symbols.get(&format!("{account}.id"))?.into());
        side.insert("region".into(), symbols.get(&format!("{vpc}.region"))?.into());
        side.insert("vpc".into(), symbols.get(vpc)?.into());
        link.insert(key.into(), Value::Table(side));
    }
    let ends = BTreeSet::from([peering.initiator.get_ref().as_str(), peering.acceptor.get_ref().as_str()]);
    let mut expects = vec![];
    for expect in topology.expects.iter().filter(|e| lies_on(e, &ends, topology)) {
        expects.push(Value::Table(expectation(expect, topology, symbols)?));
    }
    link.insert("expect".into(), Value::Array(expects));
    let mut forbids = vec![];
    for forbid in topology.forbids.iter().filter(|e| lies_on(e, &ends, topology)) {
        forbids.push(Value::Table(expectation(forbid, topology, symbols)?));
    }
    if !forbids.is_empty() {
        link.insert("forbid".into(), Value::Array(forbids));
    }
    Ok(link)
}

/// Whether an expectation has hosts at both ends of a peering, in either order.
fn lies_on(expect: &Expect, ends: &BTreeSet<&str>, topology: &Topology) -> bool {
    let vpcs = |set: &str| -> BTreeSet<String> {
        let members = topology.members(set);
        let at = topology.instances().filter(|(v, i)| members.contains(&i.full_name(v)));
        at.map(|(v, _)| v.name.get_ref().clone()).filter(|v| ends.contains(v.as_str())).collect()
    };
    let (from, to) = (vpcs(expect.from.get_ref()), vpcs(expect.to.get_ref()));
    from.iter().any(|f| to.iter().any(|t| f != t))
}

fn expectation(expect: &Expect, topology: &Topology, symbols: &Symbols) -> Result<Table, UnknownSymbol> {
    let mut table = Table::new();
    table.insert("from".into(), endpoint(expect.from.get_ref(), topology, symbols)?);
    table.insert("to".into(), endpoint(expect.to.get_ref(), topology, symbols)?);
    table.insert("protocol".into(), expect.protocol.get_ref().as_str().into());
    if let Some(ports) = expect.ports.as_ref().and_then(|p| pingtong_evidence::PortRange::parse_slashed(p.get_ref())) {
        table.insert(
            "ports".into(),
            Value::Array(vec![i64::from(ports.first()).into(), i64::from(ports.last()).into()]),
        );
    }
    Ok(table)
}

fn endpoint(name: &str, topology: &Topology, symbols: &Symbols) -> Result<Value, UnknownSymbol> {
    let mut table = Table::new();
    let is_instance = topology.instances().any(|(v, i)| i.full_name(v) == name);
    if is_instance {
        let mut instance = Table::new();
        instance.insert("id".into(), symbols.get(name)?.into());
        instance.insert("address".into(), symbols.get(&format!("{name}.ip"))?.into());
        table.insert("instance".into(), Value::Table(instance));
    } else if topology.vpc(name).is_some() {
        table.insert("vpc".into(), symbols.get(name)?.into());
    } else if let Ok(vswitch) = symbols.get(name) {
        table.insert("vswitch".into(), vswitch.into());
    } else {
        table.insert("cidr".into(), name.into());
    }
    Ok(Value::Table(table))
}
