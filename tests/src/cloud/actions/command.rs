//! Cloud Assistant: starts a shell script in a guest and does not wait for it.
//!
//! The call answers once the scripts are started. The lab does not have the calls that report how they end. If the
//! control plane runs alone there are no guests, and no script can be dispatched.

use super::{Call, ScriptsAndAnswer, instance::own};
use crate::cloud::{
    calls::refusal::Refusal,
    data_plane::{Script, guest_name},
    ids::derived,
    world::{InstanceState, World},
};
use base64::Engine as _;
use serde_json::json;
use std::time::Duration;

/// Maximum number of instances per call.
const INSTANCES_MAX: usize = 100;
/// Maximum size of a script as it is sent, in bytes.
const CONTENT_MAX: usize = 24 << 10;
/// Default and maximum run time of a script, in seconds.
const TIMEOUT_DEFAULT: u64 = 60;
const TIMEOUT_MAX: u64 = 86_400;

/// The scripts to start, and the answer of the call once they are started.
pub(super) fn run(call: &Call<'_>, world: &World) -> ScriptsAndAnswer {
    let region = call.region()?;
    let params = call.params;
    if !matches!(params.need("Type")?, "RunShellScript") {
        return Err(Refusal::new(400, "InvalidCmdType.NotFound", "The specified command type does not exist."));
    }
    let content = params.need("CommandContent")?;
    if content.len() > CONTENT_MAX {
        return Err(Refusal::new(
            403,
            "CmdContent.ExceedLimit",
            "The length of the command content exceeds the limit.",
        ));
    }
    let text = match params.get("ContentEncoding") {
        Some("Base64") => base64::engine::general_purpose::STANDARD
            .decode(content)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| {
                Refusal::new(400, "CmdContent.DecodeError", "The CommandContent can not be base64 decoded.")
            })?,
        _ => content.to_owned(),
    };
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(Refusal::new(400, "MissingParam.InstanceId", "The parameter InstanceId must be specified."));
    }
    if ids.len() > INSTANCES_MAX {
        return Err(Refusal::new(400, "NumberExceed.InstanceIds", "The number of instance IDs exceeds the limit."));
    }
    let timeout = Duration::from_secs(params.number("Timeout")?.unwrap_or(TIMEOUT_DEFAULT).min(TIMEOUT_MAX));
    let scripts = ids
        .iter()
        .map(|id| match own(call, world, id) {
            Ok(instance) if instance.state == InstanceState::Running => {
                Ok(Script { guest: guest_name(world, instance), text: text.clone(), timeout })
            }
            Ok(_) => {
                let message = "The specified instance status does not support this operation.";
                Err(Refusal::new(403, "IncorrectInstanceStatus", message))
            }
            Err(_) => Err(Refusal::new(404, "InvalidInstance.NotFound", "The specified instances not exists.")),
        })
        .collect::<Result<_, _>>()?;
    let id = |prefix: &str| derived(prefix, &format!("{region}{}", call.now));
    Ok((scripts, json!({ "CommandId": id("c-"), "InvokeId": id("t-") })))
}
