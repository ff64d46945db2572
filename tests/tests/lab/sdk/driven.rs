//! The SDKs drive the lab's cloud, as started by `pingtong-lab cloud` for outside clients.

use super::python::{Python, succeed};
use crate::scenarios::lab;
use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use pingtong_cloud::Product;
use pingtong_lab::{
    cloud::{Cloud, Lies, NullApply, Options, router},
    scenario::own_topologies,
    topology::Topology,
    tutorial::{Builder, Operators, STEPS},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
};

/// A control plane in its own process, which is killed when this value is dropped.
struct ControlPlane {
    process: Child,
    line: String,
}

impl ControlPlane {
    fn start() -> Self {
        let mut lab = lab();
        lab.args(["cloud", "--listen", "127.0.0.1:0", "--topology", "tutorial", "--unconnected"]);
        let mut process = lab.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, line }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs programs of `tests/sdk` against a fresh lab and returns the calls that they made.
fn drive(python: &Python, programs: &[&str]) -> BTreeSet<String> {
    let lab = ControlPlane::start();
    let mut command = python.tests(programs);
    command.env("PINGTONG_LAB", &lab.line);
    succeed(command)
}

/// The actions of these products that the agent's role may call.
fn gathered(products: &[&str]) -> BTreeSet<String> {
    let of = |name: &String| products.iter().any(|product| name.starts_with(&format!("{product}:")));
    pingtong_cloud::permissions().into_iter().filter(of).collect()
}

fn all_called(wanted: &BTreeSet<String>, called: &BTreeSet<String>) {
    let missing: Vec<_> = wanted.difference(called).collect();
    assert!(!wanted.is_empty() && missing.is_empty(), "the SDKs did not call {missing:?}");
}

#[tokio::test]
async fn the_sdks_do_the_whole_tutorial_and_read_everything_back() {
    let Some(python) = Python::find() else { return };
    let built = calls_of_the_tutorial().await;
    let called = drive(&python, &["tutorial", "objects"]);
    all_called(&gathered(&["vpc", "ecs", "vpcpeer"]), &called);
    all_called(&built, &called);
}

#[test]
fn the_older_sdk_does_the_tutorial_too() {
    let Some(python) = Python::find() else { return };
    let called = drive(&python, &["legacy"]);
    assert!(called.contains("vpc:ConnectRouterInterface") && called.contains("ecs:AuthorizeSecurityGroup"));
}

#[test]
fn the_sdks_build_a_transit_router() {
    let Some(python) = Python::find() else { return };
    all_called(&gathered(&["cbn"]), &drive(&python, &["transit"]));
}

#[test]
fn the_sdks_read_metrics() {
    let Some(python) = Python::find() else { return };
    all_called(&gathered(&["cms"]), &drive(&python, &["metrics"]));
}

#[test]
fn the_sdks_read_who_changed_what() {
    let Some(python) = Python::find() else { return };
    all_called(&gathered(&["actiontrail"]), &drive(&python, &["trail"]));
}

#[tokio::test]
async fn refusals_become_the_sdks_own_exceptions() {
    let Some(python) = Python::find() else { return };
    let topology = topology("tutorial");
    let site = Site::open(&topology, router).await;
    let mut builder = Builder::new(&topology, &site.operators);
    builder.estate().await.unwrap();
    let throttled: Lies = serde_json::from_value(json!({ "throttle": true })).unwrap();
    site.cloud.set_lies("B", throttled);
    let accounts = pingtong_lab::estate::accounts(&topology, &site.cloud);
    let line = json!({ "endpoint": site.endpoint, "accounts": accounts, "symbols": builder.symbols.all() });
    let mut command = python.tests(&["refusals"]);
    command.env("PINGTONG_LAB", line.to_string());
    tokio::task::spawn_blocking(|| succeed(command)).await.unwrap();
}

fn topology(name: &str) -> Topology {
    let path = own_topologies().join(format!("{name}.toml"));
    Topology::parse(&path, &std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// A lab's cloud in this process, without a data plane.
struct Site {
    cloud: Arc<Cloud>,
    operators: Operators,
    endpoint: String,
}

impl Site {
    /// Opens a cloud with the accounts of a topology but without any of their objects.
    async fn open(topology: &Topology, router_of: impl FnOnce(Arc<Cloud>) -> Router) -> Self {
        let cloud = Cloud::new(Options::default(), Arc::new(NullApply));
        let keys = topology
            .accounts
            .iter()
            .map(|a| (a.name.get_ref().clone(), cloud.create_account(a.name.get_ref(), a.id.get_ref())))
            .collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = router_of(Arc::clone(&cloud));
        tokio::task::spawn(async move { axum::serve(listener, served).await.unwrap() });
        Self { cloud, operators: Operators::new(endpoint.clone(), keys), endpoint }
    }
}

type Calls = Arc<Mutex<BTreeSet<String>>>;

/// Every call that the lab itself makes for the steps of the tutorial, over topologies that together use all of them.
async fn calls_of_the_tutorial() -> BTreeSet<String> {
    let calls = Calls::default();
    for name in ["tutorial", "several-hosts", "vpc-peering"] {
        let topology = topology(name);
        let noting = |cloud| router(cloud).layer(from_fn_with_state(Arc::clone(&calls), note));
        let site = Site::open(&topology, noting).await;
        let mut builder = Builder::new(&topology, &site.operators);
        builder.estate().await.unwrap();
        for step in STEPS {
            builder.step(step).await.unwrap();
        }
    }
    calls.lock().unwrap().clone()
}

async fn note(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    calls.lock().unwrap().insert(name_of(request.headers()));
    next.run(request).await
}

fn name_of(headers: &HeaderMap) -> String {
    let header = |name: &str| headers[name].to_str().unwrap();
    let products = [Product::Vpc, Product::Ecs, Product::Sts, Product::VpcPeer, Product::Cbn];
    let product = products.into_iter().find(|product| product.version() == header("x-acs-version")).unwrap();
    format!("{}:{}", product.code(), header("x-acs-action"))
}
