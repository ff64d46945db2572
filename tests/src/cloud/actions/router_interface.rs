//! Router interfaces: creation, listing, and the declaration of their opposite end.
//!
//! ModifyRouterInterfaceAttribute takes a missing `OppositeRouterType` as VBR, as the API does: to forget it is a
//! realistic mistake. The opposite end can be changed only while the state is `Idle`; afterwards an interface has to be
//! deleted and created again (`SEMANTICS.md` §3).

use super::{Answer, Call, PAGE_MAX, done, time};
use crate::cloud::{
    calls::page::numbered,
    calls::params::Params,
    calls::refusal::Refusal,
    world::{Business, Opposite, Role, RouterInterface, RouterInterfaceState, World},
};
use serde_json::{Value, json};

/// Specifications and their bandwidth in Mbit/s.
const SPECS: [(&str, u64); 12] = [
    ("Mini.2", 2),
    ("Mini.5", 5),
    ("Small.1", 10),
    ("Small.2", 20),
    ("Small.5", 50),
    ("Middle.1", 100),
    ("Middle.2", 200),
    ("Middle.5", 500),
    ("Large.1", 1000),
    ("Large.2", 2000),
    ("Large.5", 5000),
    ("Xlarge.1", 10_000),
];
/// Maximum number of interfaces per router (`SEMANTICS.md` §3.3).
const PER_ROUTER_MAX: usize = 5;

/// Maximum length of a name and of a description, in characters (SDK documents of ModifyRouterInterfaceAttribute).
const NAME_MAX: usize = 128;
const DESCRIPTION_MAX: usize = 256;

const FILTER_KEYS: [&str; 10] = [
    "RouterInterfaceId",
    "RouterId",
    "RouterType",
    "RouterInterfaceOwnerId",
    "OppositeInterfaceId",
    "OppositeRouterType",
    "OppositeRouterId",
    "OppositeInterfaceOwnerId",
    "Status",
    "Name",
];

/// Bandwidth of a specification in Mbit/s; `None` for `Negative` and for unknown ones.
pub(in crate::cloud) fn bandwidth_mbit(spec: &str) -> Option<u64> {
    SPECS.iter().find(|(name, _)| name.eq_ignore_ascii_case(spec)).map(|(_, mbit)| *mbit)
}

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let region = call.region()?.to_owned();
    let role = match params.need("Role")? {
        "InitiatingSide" => Role::Initiating,
        "AcceptingSide" => Role::Accepting,
        _ => return Err(unsupported("Role")),
    };
    let spec = params.need("Spec")?;
    let fits = match role {
        Role::Initiating => bandwidth_mbit(spec).is_some(),
        Role::Accepting => spec == "Negative",
    };
    if !fits {
        return Err(unsupported("Spec"));
    }
    if params.need("RouterType")? != "VRouter" {
        return Err(unsupported("RouterType"));
    }
    let router = params.need("RouterId")?;
    let vpc = world
        .vpc_of_router(router)
        .filter(|vpc| call.sees(&vpc.owner, &vpc.region))
        .map(|vpc| vpc.id.clone())
        .ok_or_else(|| Refusal::new(404, "InvalidRouterId.NotFound", "The specified RouterId does not exist."))?;
    let opposite_region = params.need("OppositeRegionId")?.to_owned();
    if world.interfaces.values().filter(|other| other.router == router).count() >= PER_ROUTER_MAX {
        return Err(Refusal::new(400, "QuotaExceeded", "The quota of router interfaces of the router is exceeded."));
    }
    if locked_account(call, world) {
        return Err(Refusal::new(400, "Forbidden.BillsOutstanding", "The account has outstanding bills."));
    }
    let id = world.make.id("ri-", &region);
    let opposite = Opposite {
        region: opposite_region,
        interface: params.text("OppositeInterfaceId"),
        router: params.text("OppositeRouterId"),
        router_type: params.get("OppositeRouterType").unwrap_or("VRouter").to_owned(),
        owner: params.text("OppositeInterfaceOwnerId"),
    };
    let interface = RouterInterface {
        id: id.clone(),
        owner: call.caller.account.clone(),
        region,
        name: params.text("Name"),
        description: params.text("Description"),
        role,
        spec: spec.to_owned(),
        router: router.to_owned(),
        vpc,
        state: RouterInterfaceState::Idle,
        business: Business::Normal,
        opposite,
        health_check: (params.text("HealthCheckSourceIp"), params.text("HealthCheckTargetIp")),
        health_check_pace: (0, 0),
        created: call.now,
        connected: None,
        modified: call.now,
    };
    world.interfaces.insert(id.clone(), interface);
    Ok(json!({ "RouterInterfaceId": id }))
}

pub(super) fn modify(call: &Call<'_>, world: &mut World) -> Answer {
    let params = call.params;
    let found = own(call, world, params.need("RouterInterfaceId")?)?;
    let id = found.id.clone();
    let named = ["OppositeInterfaceId", "OppositeRouterId", "OppositeRouterType", "OppositeInterfaceOwnerId"];
    let tells_opposite = named.iter().any(|name| params.get(name).is_some());
    let router_type = params.get("OppositeRouterType").unwrap_or("VBR");
    if !matches!(router_type, "VRouter" | "VBR") {
        return Err(unsupported("OppositeRouterType"));
    }
    if tells_opposite && found.state != RouterInterfaceState::Idle {
        let message = "The opposite interface can be set only when the status of the RouterInterface is Idle.";
        return Err(Refusal::new(400, "IncorrectStatus", message));
    }
    if params.get("Name").is_some_and(|name| !is_name(name)) {
        return Err(Refusal::new(400, "InvalidName.Malformd", "The specified Name is not valid."));
    }
    if params.get("Description").is_some_and(|text| text.chars().count() > DESCRIPTION_MAX || is_address(text)) {
        return Err(Refusal::new(400, "InvalidDescription.Malformed", "The specified Description is not valid."));
    }
    if params.get("OppositeInterfaceId").is_some_and(|other| other == id) {
        let message = "The specified OppositeInterfaceId is the router interface itself.";
        return Err(Refusal::new(400, "InvalidParam.ModifyRouterInterface", message));
    }
    let pace = (params.number("HcThreshold")?, params.number("HcRate")?);
    let Some(interface) = world.interfaces.get_mut(&id) else { return done() };
    if tells_opposite {
        set(params, "OppositeInterfaceId", &mut interface.opposite.interface);
        set(params, "OppositeRouterId", &mut interface.opposite.router);
        set(params, "OppositeInterfaceOwnerId", &mut interface.opposite.owner);
        router_type.clone_into(&mut interface.opposite.router_type);
    }
    set(params, "Name", &mut interface.name);
    set(params, "Description", &mut interface.description);
    set(params, "HealthCheckSourceIp", &mut interface.health_check.0);
    set(params, "HealthCheckTargetIp", &mut interface.health_check.1);
    interface.health_check_pace.0 = pace.0.unwrap_or(interface.health_check_pace.0);
    interface.health_check_pace.1 = pace.1.unwrap_or(interface.health_check_pace.1);
    if params.yes("DeleteHealthCheckIp") {
        interface.health_check = (String::new(), String::new());
    }
    interface.modified = call.now;
    done()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let filters = call.params.members("Filter");
    if let Some(unknown) = filters.iter().find(|filter| !FILTER_KEYS.contains(&filter.text("Key").as_str())) {
        let message = format!("Specified filter key is not supported: {}", unknown.text("Key"));
        return Err(Refusal::new(404, "InvalidFilterKey.ValueNotSupported", &message));
    }
    let rows = world
        .interfaces
        .values()
        .filter(|interface| call.sees(&interface.owner, &interface.region))
        .map(|interface| (interface, row(world, interface)))
        .filter(|(interface, row)| filters.iter().all(|filter| passes(filter, interface, row)))
        .map(|(_, row)| row)
        .collect();
    Ok(numbered(rows, call.params, PAGE_MAX, call.lose_page)?.under("RouterInterfaceSet", "RouterInterfaceType"))
}

/// Whether an interface passes a filter. The values of one filter are alternatives.
fn passes(filter: &Params, interface: &RouterInterface, row: &Value) -> bool {
    let key = filter.text("Key");
    let actual = if key == "RouterInterfaceOwnerId" { json!(interface.owner) } else { row[key.as_str()].clone() };
    let wanted = filter.list("Value");
    wanted.is_empty() || wanted.iter().any(|value| actual == json!(value))
}

pub(super) fn describe_one(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let interface = own(call, world, call.params.need("InstanceId")?)?;
    let mut answer = row(world, interface);
    answer["Code"] = json!(200);
    answer["Message"] = json!("successful");
    answer["Success"] = json!(true);
    answer["GmtModified"] = json!(time(interface.modified));
    answer["HealthCheckStatus"] = json!("NoHealthCheckConfig");
    Ok(answer)
}

fn row(world: &World, interface: &RouterInterface) -> Value {
    let opposite = &interface.opposite;
    let other = world.interfaces.get(&opposite.interface).filter(|other| other.owner == opposite.owner);
    let gone = other.is_none() && interface.connected.is_some();
    let mut row = json!({
        "RouterInterfaceId": interface.id,
        "Name": interface.name,
        "Description": interface.description,
        "Status": interface.state.text(),
        "BusinessStatus": interface.business.text(),
        "Role": interface.role.text(),
        "Spec": interface.spec,
        "Bandwidth": bandwidth_mbit(&interface.spec).unwrap_or(0),
        "ChargeType": "AfterPay",
        "RouterType": "VRouter",
        "RouterId": interface.router,
        "VpcInstanceId": interface.vpc,
        "AccessPointId": "",
        "CreationTime": time(interface.created),
        "ConnectedTime": interface.connected.map(time).unwrap_or_default(),
        "EndTime": "2999-09-08T16:00:00Z",
        "CrossBorder": false,
        "FastLinkMode": false,
        "HasReservationData": false,
        "HealthCheckSourceIp": interface.health_check.0,
        "HealthCheckTargetIp": interface.health_check.1,
        "ResourceGroupId": "",
    });
    let far = json!({
        "OppositeRegionId": opposite.region,
        "OppositeInterfaceId": opposite.interface,
        "OppositeInterfaceOwnerId": opposite.owner,
        "OppositeRouterType": opposite.router_type,
        "OppositeRouterId": opposite.router,
        "OppositeAccessPointId": "",
        "OppositeInterfaceStatus": other.map_or(if gone { "Deleted" } else { "" }, |other| other.state.text()),
        "OppositeInterfaceBusinessStatus": other.map_or("", |other| other.business.text()),
        "OppositeInterfaceSpec": other.map_or("", |other| other.spec.as_str()),
        "OppositeBandwidth": other.and_then(|other| bandwidth_mbit(&other.spec)).unwrap_or(0),
        "OppositeVpcInstanceId": other.map_or("", |other| other.vpc.as_str()),
    });
    if let (Some(row), Value::Object(far)) = (row.as_object_mut(), far) {
        row.extend(far);
        if !interface.health_check.0.is_empty() {
            row.insert("HcThreshold".to_owned(), json!(interface.health_check_pace.0));
            row.insert("HcRate".to_owned(), json!(interface.health_check_pace.1));
        }
    }
    row
}

/// The caller's router interface with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a RouterInterface, Refusal> {
    world.interfaces.get(id).filter(|interface| call.sees(&interface.owner, &interface.region)).ok_or_else(|| {
        Refusal::new(404, "InvalidRouterInterfaceId.NotFound", "The specified RouterInterfaceId does not exist.")
    })
}

/// Whether the account has an unpaid interface. One is enough to block creating and connecting others.
pub(super) fn locked_account(call: &Call<'_>, world: &World) -> bool {
    let own = world.interfaces.values().filter(|interface| interface.owner == call.caller.account);
    own.into_iter().any(|interface| interface.business == Business::FinancialLocked)
}

pub(super) fn set(params: &Params, name: &str, field: &mut String) {
    if let Some(value) = params.get(name) {
        value.clone_into(field);
    }
}

fn is_name(text: &str) -> bool {
    text.chars().count() <= NAME_MAX && !is_address(text)
}

fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn unsupported(name: &str) -> Refusal {
    let message = format!("The specified {name} is not supported.");
    Refusal::new(400, &format!("Invalid{name}.ValueNotSupported"), &message)
}
