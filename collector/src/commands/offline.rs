//! Builds evidence from saved snapshots alone: what the configuration predicts where no agent has probed.
//!
//! Rules. 1. The hosts of a set are the instance that it names, or the instances that the snapshots show inside it. 2.
//! A host is on the side of the link whose VPC the snapshots show it in. 3. No agent has reported: the agents of both
//! ends are listed as silent, so that what was not observed is a gap and never counts as working. 4. The time of the
//! question is the end of the last snapshot.

use crate::{
    evidence::question,
    plan::roster::{Host, Roster},
    settings::ExpectedLink,
    store::LinkEvidence,
};
use pingtong_evidence::{
    AgentId, Endpoint, EndpointSet, Instance, InstanceId, Link, RegionId, Side, Snapshot, Timestamp,
};
use pingtong_verdict::Bundle;
use std::{collections::BTreeSet, sync::Arc};

/// Why there is no question.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfflineError {
    /// The snapshots are of accounts and regions that no link joins.
    #[error("no snapshot is of a VPC of any link; the links join {wanted}, the snapshots are of {found}")]
    Elsewhere {
        /// Accounts and regions of the links.
        wanted: String,
        /// Accounts and regions of the snapshots.
        found: String,
    },
    /// The snapshots show no pair of hosts for any expectation.
    #[error(
        "the snapshots show no host of any expectation; name instances with their addresses in the settings, or give the snapshots of both accounts"
    )]
    NoHosts,
}

/// The evidence about each pair of the expectations.
///
/// # Errors
/// If no snapshot is of an account and region of a link, or if the expectations have no pair of hosts.
pub(crate) fn evidence(links: &[ExpectedLink], snapshots: Vec<Snapshot>) -> Result<Bundle, OfflineError> {
    let places: BTreeSet<(String, RegionId)> = links
        .iter()
        .flat_map(|expected| Side::BOTH.map(|side| expected.link.side(side)))
        .map(|side| (side.account.to_string(), side.region.clone()))
        .collect();
    let found: BTreeSet<(String, RegionId)> =
        snapshots.iter().map(|snapshot| (snapshot.account.to_string(), snapshot.region.clone())).collect();
    if places.is_disjoint(&found) {
        return Err(OfflineError::Elsewhere { wanted: named(&places), found: named(&found) });
    }
    let roster = roster(links, &snapshots);
    if roster.pairs.is_empty() {
        return Err(OfflineError::NoHosts);
    }
    let asked_at = snapshots.iter().map(|snapshot| snapshot.finished_at).max().unwrap_or(Timestamp::from_millis(0));
    let snapshots: Vec<_> = snapshots.into_iter().map(Arc::new).collect();
    let of_links = links.iter().map(|expected| {
        let mut evidence = LinkEvidence { snapshots: snapshots.clone(), ..LinkEvidence::default() };
        question::choose(&expected.link, &mut evidence);
        (expected.link.id.clone(), evidence)
    });
    let asked: Vec<_> = roster.pairs.values().map(|pair| question::context(pair, &roster)).collect();
    let ends = roster.pairs.values().flat_map(|pair| Side::BOTH.map(|side| pair.endpoint(side).agent.clone()));
    let silent: Vec<AgentId> = ends.flatten().collect::<BTreeSet<_>>().into_iter().collect();
    let evidence = question::join(of_links.collect(), &asked, &roster, &silent, (asked_at, 0));
    Ok(Bundle::new(evidence, asked))
}

fn named(places: &BTreeSet<(String, RegionId)>) -> String {
    places.iter().map(|(account, region)| format!("{account} in {region}")).collect::<Vec<_>>().join(", ")
}

fn roster(links: &[ExpectedLink], snapshots: &[Snapshot]) -> Roster {
    let mut roster = Roster::default();
    for ExpectedLink { link, expectations, .. } in links {
        for expectation in expectations {
            let hosts = |set| hosts_of(set, link, snapshots);
            roster.add_hosts(link, expectation, &hosts(&expectation.from), &hosts(&expectation.to));
        }
    }
    roster
}

fn hosts_of(set: &EndpointSet, link: &Link, snapshots: &[Snapshot]) -> Vec<Host> {
    if let EndpointSet::Instance { id, address } = set {
        let side = instances(link, snapshots).find(|(_, instance)| instance.id == *id).map(|(side, _)| side);
        return vec![Host { endpoint: endpoint(id, *address), side }];
    }
    let inside = |instance: &Instance| match set {
        EndpointSet::Instance { id, .. } => instance.id == *id,
        EndpointSet::VSwitch(vswitch) => instance.vswitch.as_ref() == Some(vswitch),
        EndpointSet::Vpc(vpc) => instance.vpc.as_ref() == Some(vpc),
        EndpointSet::Cidr(cidr) => instance.addresses.first().is_some_and(|&address| cidr.contains(address)),
    };
    let mut seen = BTreeSet::new();
    instances(link, snapshots)
        .filter(|(_, instance)| inside(instance) && seen.insert(&instance.id))
        .filter_map(|(side, instance)| {
            let address = *instance.addresses.first()?;
            Some(Host { endpoint: endpoint(&instance.id, address), side: Some(side) })
        })
        .collect()
}

/// Every instance that the snapshots show in a VPC of the link, with its side.
fn instances<'s>(link: &'s Link, snapshots: &'s [Snapshot]) -> impl Iterator<Item = (Side, &'s Instance)> {
    Side::BOTH.into_iter().flat_map(move |side| {
        let place = link.side(side);
        snapshots
            .iter()
            .filter(move |snapshot| snapshot.account == place.account && snapshot.region == place.region)
            .filter_map(|snapshot| snapshot.instances.known())
            .flatten()
            .filter(move |instance| instance.vpc.as_ref() == Some(&place.vpc))
            .map(move |instance| (side, instance))
    })
}

/// No agent is known here, so the name of the instance stands for its agent.
fn endpoint(instance: &InstanceId, address: std::net::IpAddr) -> Endpoint {
    Endpoint { address, instance: Some(instance.clone()), agent: AgentId::parse(instance.as_str()).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use pingtong_evidence::{GapCode, Known};
    use pingtong_verdict::{Configurations, State, diagnose};
    use serde_json::{Value, json};

    fn links(from: &str, to: &str, protocol: &str) -> Vec<ExpectedLink> {
        let text = format!(
            r#"
listen = "127.0.0.1:1"
url = "https://127.0.0.1:1"
[[link]]
id = "p"
kind = "router-interface"
initiator = {{ account = "1", region = "r", vpc = "vpc-a" }}
acceptor = {{ account = "2", region = "s", vpc = "vpc-b" }}
[[link.expect]]
from = {from}
to = {to}
{protocol}
"#
        );
        Settings::parse(&text, "c").unwrap().links
    }

    fn snapshot(account: &str, region: &str, letter: &str, address: &str) -> Snapshot {
        let instance = |n: u32, vpc: &str| -> Value {
            json!({"id": format!("i-{letter}{n}"), "status": "running", "vpc": vpc, "vswitch": format!("vsw-{letter}"),
                "addresses": [format!("{address}{n}")]})
        };
        serde_json::from_value(json!({
            "schema": 1, "account": account, "region": region, "taken_at": 1000, "finished_at": 2000,
            "instances": {"known": [instance(1, &format!("vpc-{letter}")), instance(2, &format!("vpc-{letter}")), instance(3, "vpc-other")]}
        }))
        .unwrap()
    }

    fn both() -> Vec<Snapshot> {
        vec![snapshot("1", "r", "a", "10.0.0."), snapshot("2", "s", "b", "10.1.0.")]
    }

    fn pairs(links: &[ExpectedLink], snapshots: &[Snapshot]) -> Vec<(String, Side)> {
        let bundle = evidence(links, snapshots.to_vec()).unwrap();
        bundle.evidence.pairs.iter().map(|pair| (pair.id.to_string(), pair.opened_by)).collect()
    }

    #[test]
    fn sets_are_the_instances_that_the_snapshots_show_there() {
        let links = links("{ vpc = \"vpc-a\" }", "{ cidr = \"10.1.0.2/32\" }", "protocol = \"icmp\"");
        let initiator = Side::Initiator;
        assert_eq!(
            pairs(&links, &both()),
            [("p/10.0.0.1-10.1.0.2/icmp".to_owned(), initiator), ("p/10.0.0.2-10.1.0.2/icmp".to_owned(), initiator)]
        );
        let elsewhere = [snapshot("9", "r", "a", "10.0.0.")];
        assert!(matches!(evidence(&links, elsewhere.to_vec()), Err(OfflineError::Elsewhere { .. })));
        assert!(matches!(evidence(&links, both()[..1].to_vec()), Err(OfflineError::NoHosts)));
    }

    #[test]
    fn an_expectation_of_the_acceptors_host_is_opened_by_the_acceptor() {
        let links = links(
            "{ instance = { id = \"i-b1\", address = \"10.1.0.1\" } }",
            "{ instance = { id = \"i-a1\", address = \"10.0.0.1\" } }",
            "protocol = \"tcp\"\nports = [22, 22]",
        );
        assert_eq!(pairs(&links, &both()), [("p/10.1.0.1-10.0.0.1/tcp/22".to_owned(), Side::Acceptor)]);
    }

    #[test]
    fn what_nobody_observed_is_a_gap_and_the_state_stays_open() {
        let links = links(
            "{ vswitch = \"vsw-a\" }",
            "{ instance = { id = \"i-b1\", address = \"10.1.0.1\" } }",
            "protocol = \"icmp\"",
        );
        let mut snapshots = both();
        snapshots[0].router_interfaces = Known::Known(vec![]);
        let bundle = evidence(&links, snapshots).unwrap();
        let verdict = diagnose(&bundle.questions(&mut Configurations::default()).next().unwrap());
        assert_eq!(verdict.state, State::Undecided);
        let silent = verdict.gaps.iter().filter(|gap| gap.code == GapCode::AgentSilent).count();
        assert_eq!(silent, 2, "{:?}", verdict.gaps);
        assert!(verdict.causes.iter().any(|cause| cause.code.as_str() == "ri-missing"), "{:?}", verdict.causes);
    }
}
