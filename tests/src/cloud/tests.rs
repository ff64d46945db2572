//! Tests of the cloud from a client's view: signed requests over HTTP on loopback.

mod authentication;
mod contract;
mod contract_cen;
mod following;
mod listings;
mod pace;
mod projection;
mod quotas;
mod records;
mod refusals;
mod transit;
mod tutorial;

use super::{ApiError, Apply, Cloud, Keys, NullApply, Options, call, calls::params::asked, router};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// A cloud behind a real socket, with the two accounts of the tutorial.
pub(super) struct Bench {
    pub(super) cloud: Arc<Cloud>,
    pub(super) endpoint: String,
    pub(super) a: Keys,
    pub(super) b: Keys,
    /// Actions that succeeded, as `product:Action`, for the contract test.
    pub(super) called: RefCell<BTreeSet<String>>,
}

pub(super) const A: &str = "1000000000000001";
pub(super) const B: &str = "1000000000000002";
const QINGDAO: &str = "cn-qingdao";
const BEIJING: &str = "cn-beijing";

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(Options { seed: 1, ..Options::default() }).await
    }

    pub(super) async fn with(options: Options) -> Self {
        Self::on(options, Arc::new(NullApply)).await
    }

    pub(super) async fn on(options: Options, plane: Arc<dyn Apply>) -> Self {
        let cloud = Cloud::new(options, plane);
        let (a, b) = (cloud.create_account("A", A), cloud.create_account("B", B));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let endpoint = format!("http://{}", listener.local_addr().expect("address"));
        let app = router(Arc::clone(&cloud)).into_make_service_with_connect_info::<SocketAddr>();
        #[expect(clippy::disallowed_methods, reason = "the server lives as long as the test's run time")]
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { cloud, endpoint, a, b, called: RefCell::default() }
    }

    /// Makes a call; `line` is `product:Action Name=value Name=value`. The parameters that the handler reads and the
    /// fields of the answer are checked against the official SDKs' models.
    pub(super) async fn call(&self, keys: &Keys, line: &str) -> Result<Value, ApiError> {
        let mut words = line.split_whitespace();
        let (product, action) = words.next().and_then(|word| word.split_once(':')).expect("product:Action");
        let params: BTreeMap<String, String> = words
            .map(|word| word.split_once('=').expect("Name=value"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let region = if keys == &self.b { BEIJING } else { QINGDAO };
        asked::take();
        let answer = call(&self.endpoint, keys, product, action, region, &params).await;
        contract::check(&format!("{product}:{action}"), &asked::take(), answer.as_ref().ok());
        if answer.is_ok() {
            self.called.borrow_mut().insert(format!("{product}:{action}"));
        }
        answer
    }

    pub(super) async fn ok(&self, keys: &Keys, line: &str) -> Value {
        self.call(keys, line).await.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The code with which a call is refused; panics if the call succeeds.
    pub(super) async fn refused(&self, keys: &Keys, line: &str) -> String {
        match self.call(keys, line).await {
            Err(error) => error.code().unwrap_or_else(|| panic!("{line}: {error}")).to_owned(),
            Ok(answer) => panic!("{line} was not refused: {answer}"),
        }
    }

    /// One side of the tutorial before any step: VPC, vSwitch, group, instance.
    pub(super) async fn side(&self, keys: &Keys, net: &str, zone: &str) -> Side {
        let vpc = self.ok(keys, &format!("vpc:CreateVpc CidrBlock={net}.0.0/16 VpcName=vpc")).await;
        let (id, vrouter, table) = (text(&vpc, "VpcId"), text(&vpc, "VRouterId"), text(&vpc, "RouteTableId"));
        let line = format!("vpc:CreateVSwitch VpcId={id} CidrBlock={net}.1.0/24 ZoneId={zone} VSwitchName=vsw1");
        let vswitch = text(&self.ok(keys, &line).await, "VSwitchId");
        let line = format!("ecs:CreateSecurityGroup VpcId={id} SecurityGroupName=sg1");
        let group = text(&self.ok(keys, &line).await, "SecurityGroupId");
        let line = format!(
            "ecs:RunInstances VSwitchId={vswitch} SecurityGroupId={group} InstanceName=ecs1 \
             PrivateIpAddress={net}.1.10 RamRoleName=pingtong-agent"
        );
        let run = self.ok(keys, &line).await;
        let instance = run["InstanceIdSets"]["InstanceIdSet"][0].as_str().expect("instance").to_owned();
        Side { vpc: id, vrouter, table, vswitch, group, instance }
    }

    pub(super) async fn sides(&self) -> (Side, Side) {
        let a = self.side(&self.a, "192.168", "cn-qingdao-b").await;
        let b = self.side(&self.b, "172.16", "cn-beijing-a").await;
        (a, b)
    }

    /// Steps 1 to 4 of the tutorial; returns the ids of the two router interfaces.
    pub(super) async fn connected(&self, a: &Side, b: &Side) -> (String, String) {
        let (near, far) = self.interfaces(a, b).await;
        self.introduce(&self.b, &far, &near, &a.vrouter, A).await;
        self.introduce(&self.a, &near, &far, &b.vrouter, B).await;
        self.ok(&self.a, &format!("vpc:ConnectRouterInterface RouterInterfaceId={near}")).await;
        (near, far)
    }

    /// Steps 1 and 2 of the tutorial: creates both router interfaces and returns their ids.
    pub(super) async fn interfaces(&self, a: &Side, b: &Side) -> (String, String) {
        let line = format!(
            "vpc:CreateRouterInterface Role=InitiatingSide Spec=Mini.2 RouterType=VRouter RouterId={} OppositeRegionId=cn-beijing",
            a.vrouter
        );
        let near = text(&self.ok(&self.a, &line).await, "RouterInterfaceId");
        let line = format!(
            "vpc:CreateRouterInterface Role=AcceptingSide Spec=Negative RouterType=VRouter RouterId={} OppositeRegionId=cn-qingdao",
            b.vrouter
        );
        (near, text(&self.ok(&self.b, &line).await, "RouterInterfaceId"))
    }

    pub(super) async fn introduce(&self, keys: &Keys, own: &str, other: &str, router: &str, owner: &str) {
        let line = format!(
            "vpc:ModifyRouterInterfaceAttribute RouterInterfaceId={own} OppositeInterfaceId={other} \
             OppositeRouterId={router} OppositeRouterType=VRouter OppositeInterfaceOwnerId={owner}"
        );
        self.ok(keys, &line).await;
    }

    /// The key of the agent role of a side's instance, issued as the metadata service does.
    pub(super) fn role_keys(&self, side: &Side, account: &str) -> Keys {
        let now = jiff::Timestamp::now();
        self.cloud.keyring().of_instance(account, "pingtong-agent", &side.instance, now).keys
    }
}

/// Ids of the objects of one side.
pub(super) struct Side {
    pub(super) vpc: String,
    pub(super) vrouter: String,
    pub(super) table: String,
    pub(super) vswitch: String,
    pub(super) group: String,
    pub(super) instance: String,
}

pub(super) fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer}")).to_owned()
}
