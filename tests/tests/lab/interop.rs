//! The client and the lab's cloud, written apart from the same documents, understand each other.

use pingtong_cloud::{Client, ClientSettings, Credentials, EndpointRule, GatherScope, MetadataClient, gather};
use pingtong_evidence::{AccountId, RegionId, Snapshot, Timestamp, WhyUnknown};
use pingtong_lab::{
    cloud::{Cloud, Lies, NullApply, Options, metadata_router, router},
    scenario::own_topologies,
    symbols::Symbols,
    topology::Topology,
    tutorial::{Builder, Operators, STEPS},
};
use std::sync::Arc;

struct Site {
    cloud: Arc<Cloud>,
    endpoint: String,
    metadata: String,
    symbols: Symbols,
}

async fn listen(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// The tutorial done in the lab's cloud, and the metadata service of account B's instance.
async fn site() -> Site {
    let path = own_topologies().join("tutorial.toml");
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
    let metadata = listen(metadata_router(Arc::clone(&cloud), symbols.get("B.ecs1").unwrap())).await;
    Site { cloud, endpoint, metadata, symbols }
}

impl Site {
    /// What the agent on B's instance reads of its own account, by its RAM role.
    async fn gathered(&self) -> Snapshot {
        let account = AccountId::parse(self.symbols.get("B.id").unwrap()).unwrap();
        let metadata = MetadataClient::new(Some(&self.metadata)).unwrap();
        let endpoint = EndpointRule::parse(Some(&self.endpoint)).unwrap();
        let settings = ClientSettings::new(account.clone(), endpoint, Credentials::instance_role(metadata));
        let client = Client::new(settings).unwrap();
        let scope = GatherScope::new(account, RegionId::parse("cn-beijing").unwrap());
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
