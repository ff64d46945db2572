//! The client and the lab's cloud, written independently from the same documents, understand each other.

use pingtong_cloud::{Client, ClientSettings, Credentials, EndpointRule, GatherScope, MetadataClient, gather};
use pingtong_evidence::{AccountId, RegionId, Snapshot, Timestamp, WhyUnknown};
use pingtong_lab::{
    cloud::{Cloud, Lies, NullApply, Options, metadata_router, router},
    scenario::own_topologies,
    symbols::Symbols,
    topology::Topology,
    tutorial::{Builder, Operators, STEPS},
};
use std::{collections::BTreeMap, sync::Arc};

struct Site {
    cloud: Arc<Cloud>,
    endpoint: String,
    /// Endpoints of metadata services, by account.
    metadata: BTreeMap<&'static str, String>,
    symbols: Symbols,
}

async fn listen(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

async fn site() -> Site {
    site_of("tutorial").await
}

/// The lab's cloud with the tutorial done, and the metadata services of one instance in each account.
async fn site_of(topology: &str) -> Site {
    let path = own_topologies().join(format!("{topology}.toml"));
    let topology = Topology::parse(&path, &std::fs::read_to_string(&path).unwrap()).unwrap();
    let cloud = Cloud::new(Options::default(), Arc::new(NullApply));
    let keys = topology
        .accounts
        .iter()
        .map(|a| (a.name.get_ref().clone(), cloud.create_account(a.name.get_ref(), a.id.get_ref())))
        .collect();
    let endpoint = listen(router(Arc::clone(&cloud))).await;
    let operators = Operators::new(endpoint.clone(), keys);
    let mut builder = Builder::new(&topology, &operators);
    builder.estate().await.unwrap();
    for step in STEPS {
        builder.step(step).await.unwrap();
    }
    let symbols = builder.symbols.clone();
    let mut metadata = BTreeMap::new();
    for account in ["A", "B"] {
        let instance = symbols.get(&format!("{account}.ecs1")).unwrap();
        metadata.insert(account, listen(metadata_router(Arc::clone(&cloud), instance)).await);
    }
    Site { cloud, endpoint, metadata, symbols }
}

impl Site {
    async fn gathered(&self) -> Snapshot {
        self.gathered_by("B", "cn-beijing").await
    }

    /// What the agent on an account's instance reads of that account through its RAM role.
    async fn gathered_by(&self, account: &str, region: &str) -> Snapshot {
        let metadata = MetadataClient::new(Some(&self.metadata[account])).unwrap();
        let account = AccountId::parse(self.symbols.get(&format!("{account}.id")).unwrap()).unwrap();
        let endpoint = EndpointRule::parse(Some(&self.endpoint)).unwrap();
        let settings = ClientSettings::new(account.clone(), endpoint, Credentials::instance_role(metadata));
        let client = Client::new(settings).unwrap();
        let scope = GatherScope::new(account, RegionId::parse(region).unwrap());
        gather(&client, &scope, || Timestamp::from_millis(0)).await
    }
}

#[tokio::test]
async fn the_client_reads_everything_of_the_tutorial_by_the_instances_role() {
    let site = site().await;
    let snapshot = site.gathered().await;
    assert_eq!(snapshot.gaps, []);
    assert!(snapshot.sources.len() <= 12, "{} calls for a tutorial-size account", snapshot.sources.len());
    let interfaces = snapshot.router_interfaces.known().unwrap();
    assert_eq!(interfaces.len(), 1);
    assert_eq!(interfaces[0].id.as_str(), site.symbols.get("peering1.acceptor").unwrap());
    assert_eq!(
        interfaces[0].opposite_interface.as_ref().unwrap().as_str(),
        site.symbols.get("peering1.initiator").unwrap()
    );
    let tables = snapshot.route_tables.known().unwrap();
    let routes: Vec<String> =
        tables.iter().flat_map(|t| t.entries.known().unwrap()).map(|e| e.destination.to_string()).collect();
    assert!(
        routes.contains(&"192.168.0.0/16".to_owned()) && routes.contains(&"172.16.1.0/24".to_owned()),
        "{routes:?}"
    );
    let groups = snapshot.security_groups.known().unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].rules.known().unwrap().len(), 1);
    assert_eq!(snapshot.instances.known().unwrap().len(), 1);
    assert_eq!(snapshot.enis.known().unwrap()[0].addresses[0].to_string(), "172.16.1.10");
}

#[tokio::test]
async fn a_refused_action_is_a_gap_that_names_it() {
    let site = site().await;
    let lies: Lies =
        serde_json::from_value(serde_json::json!({ "deny": ["ecs:DescribeSecurityGroupAttribute"] })).unwrap();
    site.cloud.set_lies("B", lies);
    let snapshot = site.gathered().await;
    let denied: Vec<&str> = snapshot
        .gaps
        .iter()
        .filter_map(|gap| match &gap.why {
            WhyUnknown::Denied { action, .. } => Some(action.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(denied, ["ecs:DescribeSecurityGroupAttribute"]);
    assert!(snapshot.security_groups.known().unwrap()[0].rules.known().is_none());
    assert!(snapshot.router_interfaces.known().is_some(), "the rest goes on");
}

#[tokio::test]
async fn the_owner_of_transit_routers_reads_those_of_both_regions_and_the_peer_its_attachment() {
    let site = site_of("transit-regions").await;
    let symbol = |name: &str| site.symbols.get(name).unwrap().to_owned();
    let ends = |side: &str| (symbol(&format!("peering1.{side}")), symbol(&format!("peering1.{side}.route_table")));
    let (near, far) = (ends("initiator"), ends("acceptor"));
    let between = symbol("peering1.between");

    let owner = site.gathered_by("A", "cn-qingdao").await;
    assert_eq!(owner.gaps, []);
    let attachments = owner.transit_attachments.known().unwrap();
    assert_eq!((attachments.len(), attachments[0].id.as_str(), attachments[0].attached), (1, near.0.as_str(), true));
    let peerings = owner.transit_peerings.known().unwrap();
    assert_eq!(peerings.len(), 2, "one connection, seen from each router");
    assert!(peerings.iter().all(|p| p.id.as_str() == between && p.attached && p.bandwidth_mbps == Some(1024)));
    let tables = owner.transit_route_tables.known().unwrap();
    for (attachment, id) in [&near, &far] {
        let table = tables.iter().find(|t| t.id.as_str() == id).unwrap();
        for bound in [&table.associations, &table.propagations] {
            let bound: Vec<&str> = bound.known().unwrap().iter().map(pingtong_evidence::AttachmentId::as_str).collect();
            assert!(bound.len() == 2 && bound.contains(&attachment.as_str()) && bound.contains(&between.as_str()));
        }
        let routes = table.routes.known().unwrap();
        let hops: Vec<&str> = routes.iter().map(|r| r.attachment.as_ref().unwrap().as_str()).collect();
        assert!(routes.iter().all(|r| r.active && r.propagated), "{routes:?}");
        assert!(hops.len() == 2 && hops.contains(&attachment.as_str()) && hops.contains(&between.as_str()));
    }

    let peer = site.gathered_by("B", "cn-beijing").await;
    assert_eq!(peer.transit_attachments.known().unwrap()[0].id.as_str(), far.0);
    assert!(peer.transit_route_tables.known().is_none(), "the router is the other account's");
}
