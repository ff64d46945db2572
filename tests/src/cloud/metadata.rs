//! The metadata service of one instance, as found at 100.100.100.200 (`API.md` §6).
//!
//! Values are plain text, directories are listings. In hardened mode a token has to be fetched by PUT first; tokens are
//! bound to the instance. The status is 400 for a bad PUT and 403 for a missing or wrong token. That is the lab's
//! choice, because no document states it.

use super::{
    actions::{instance_made_at, subnet_mask},
    ids::mac_text,
    service::Cloud,
    world::{Eni, Instance, World},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

/// Maximum lifetime of a token, in seconds.
const TOKEN_SECONDS_MAX: i64 = 21_600;

#[derive(Clone)]
struct Service {
    cloud: Arc<Cloud>,
    instance: String,
}

/// The HTTP router of the metadata service of an instance.
pub fn metadata_router(cloud: Arc<Cloud>, instance_id: &str) -> Router {
    Router::new().fallback(answer).with_state(Service { cloud, instance: instance_id.to_owned() })
}

async fn answer(State(service): State<Service>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let world = service.cloud.world();
    let Some(instance) = world.instances.get(&service.instance).filter(|instance| instance.metadata_enabled) else {
        return refuse(StatusCode::NOT_FOUND);
    };
    let now = Timestamp::now();
    match method {
        Method::PUT if uri.path() == "/latest/api/token" => token(&service, &headers, now),
        Method::GET => {
            let token = headers.get("x-aliyun-ecs-metadata-token").and_then(|value| value.to_str().ok());
            let holds = token.map(|token| service.cloud.keyring().metadata_token_holds(token, &instance.id, now));
            if holds == Some(false) || (holds.is_none() && instance.metadata_tokens_required) {
                return refuse(StatusCode::FORBIDDEN);
            }
            read(&service, &world, instance, uri.path(), now)
        }
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn token(service: &Service, headers: &HeaderMap, now: Timestamp) -> Response {
    let seconds: Option<i64> = headers
        .get("x-aliyun-ecs-metadata-token-ttl-seconds")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .filter(|seconds| (1..=TOKEN_SECONDS_MAX).contains(seconds));
    match seconds {
        Some(seconds) if !headers.contains_key("x-forwarded-for") => {
            let lifetime = SignedDuration::from_secs(seconds);
            text(service.cloud.keyring().metadata_token(&service.instance, now, lifetime))
        }
        _ => refuse(StatusCode::BAD_REQUEST),
    }
}

fn read(service: &Service, world: &World, instance: &Instance, path: &str, now: Timestamp) -> Response {
    if path == "/latest/dynamic/instance-identity/document" {
        return identity(world, instance);
    }
    let Some(item) = path.strip_prefix("/latest/meta-data").map(|rest| rest.trim_start_matches('/')) else {
        return match path.trim_end_matches('/') {
            "/latest" => text("dynamic/\nmeta-data/\nuser-data".to_owned()),
            "" => text("latest/".to_owned()),
            _ => refuse(StatusCode::NOT_FOUND),
        };
    };
    let role = &instance.ram_role;
    if let Some(name) = item.strip_prefix("ram/security-credentials/").filter(|name| !name.is_empty()) {
        if role.is_empty() || name.trim_end_matches('/') != role {
            return refuse(StatusCode::NOT_FOUND);
        }
        let credential = service.cloud.keyring().of_instance(&instance.owner, role, &instance.id, now);
        let spell = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        return json_text(&json!({
            "AccessKeyId": credential.keys.access_key_id,
            "AccessKeySecret": credential.keys.access_key_secret,
            "SecurityToken": credential.keys.security_token,
            "Expiration": credential.expires.map(spell),
            "LastUpdated": spell(credential.issued),
            "Code": "Success",
        }));
    }
    let items = items(world, instance);
    if let Some(value) = items.get(item.trim_end_matches('/')) {
        return text(value.clone());
    }
    match listing(&items, item) {
        listed if listed.is_empty() => refuse(StatusCode::NOT_FOUND),
        listed => text(listed.join("\n")),
    }
}

/// The names directly below a directory; subdirectories end in a slash.
fn listing(items: &BTreeMap<String, String>, directory: &str) -> Vec<String> {
    let prefix = match directory.trim_end_matches('/') {
        "" => String::new(),
        name => format!("{name}/"),
    };
    let mut names: Vec<String> = items
        .keys()
        .filter_map(|key| key.strip_prefix(&prefix))
        .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(head, _)| format!("{head}/")))
        .collect();
    names.dedup();
    names
}

fn items(world: &World, instance: &Instance) -> BTreeMap<String, String> {
    let mut items = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        items.insert(name.to_owned(), value);
    };
    put("instance-id", instance.id.clone());
    put("hostname", instance.name.clone());
    put("region-id", instance.region.clone());
    put("zone-id", instance.zone.clone());
    put("owner-account-id", instance.owner.clone());
    put("serial-number", serial(instance));
    put("image-id", "aliyun_3_x64_20G_alibase.vhd".to_owned());
    put("network-type", "vpc".to_owned());
    put("instance/instance-type", "ecs.g6.large".to_owned());
    put("instance/instance-name", instance.name.clone());
    put("instance/created", instance_made_at(instance));
    put("dns-conf/nameservers", "100.100.2.136\n100.100.2.138".to_owned());
    put("ntp-conf/ntp-servers", "ntp.cloud.aliyuncs.com".to_owned());
    if !instance.ram_role.is_empty() {
        put(&format!("ram/security-credentials/{}", instance.ram_role), String::new());
    }
    for eni in instance.enis.iter().filter_map(|id| world.enis.get(id)) {
        let facts = interface_facts(world, eni);
        for (name, value) in &facts {
            put(&format!("network/interfaces/macs/{}/{name}", mac_text(eni.mac)), value.clone());
        }
        if eni.primary {
            put("mac", mac_text(eni.mac));
            put("private-ipv4", facts.get("primary-ip-address").cloned().unwrap_or_default());
            for name in ["vpc-id", "vpc-cidr-block", "vswitch-id", "vswitch-cidr-block"] {
                put(name, facts.get(name).cloned().unwrap_or_default());
            }
        }
    }
    items
}

fn interface_facts(world: &World, eni: &Eni) -> BTreeMap<&'static str, String> {
    let addresses: Vec<String> = eni.addresses.iter().map(Ipv4Addr::to_string).collect();
    let mut facts = BTreeMap::from([
        ("network-interface-id", eni.id.clone()),
        ("primary-ip-address", addresses.first().cloned().unwrap_or_default()),
        ("private-ipv4s", json!(addresses).to_string()),
        ("vpc-id", eni.vpc.clone()),
        ("vswitch-id", eni.vswitch.clone()),
    ]);
    if let Some(vpc) = world.vpcs.get(&eni.vpc) {
        facts.insert("vpc-cidr-block", vpc.cidr.to_string());
    }
    if let Some(vswitch) = world.vswitches.get(&eni.vswitch) {
        facts.insert("vswitch-cidr-block", vswitch.cidr.to_string());
        facts.insert("netmask", subnet_mask(vswitch).to_string());
        let gateway = Ipv4Addr::from(u32::from(vswitch.cidr.broadcast()).saturating_sub(2));
        facts.insert("gateway", gateway.to_string());
    }
    facts
}

fn identity(world: &World, instance: &Instance) -> Response {
    let eni = world.primary_eni(&instance.id);
    json_text(&json!({
        "instance-id": instance.id,
        "region-id": instance.region,
        "zone-id": instance.zone,
        "owner-account-id": instance.owner,
        "private-ipv4": eni.and_then(|eni| eni.addresses.first()),
        "mac": eni.map(|eni| mac_text(eni.mac)),
        "serial-number": serial(instance),
        "image-id": "aliyun_3_x64_20G_alibase.vhd",
        "instance-type": "ecs.g6.large",
    }))
}

fn serial(instance: &Instance) -> String {
    super::ids::derived("", &instance.id)
}

fn text(value: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], value).into_response()
}

fn json_text(value: &serde_json::Value) -> Response {
    text(value.to_string())
}

fn refuse(status: StatusCode) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], status.to_string()).into_response()
}
