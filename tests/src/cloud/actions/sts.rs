//! STS 2015-04-01: the identity behind a key, and temporary keys for roles.

use super::{Answer, Call, time};
use crate::cloud::{
    calls::refusal::Refusal,
    keyring::{Identity, Keyring},
};
use jiff::SignedDuration;
use serde_json::json;

/// Maximum size of a session policy, in bytes. The policy is checked but not applied, because roles in the lab can only
/// read (`API.md` §7).
const POLICY_MAX: usize = 2048;

pub(super) fn get_caller_identity(call: &Call<'_>, _keyring: &mut Keyring) -> Answer {
    let account = &call.caller.account;
    Ok(match &call.caller.identity {
        Identity::Master => json!({
            "AccountId": account,
            "Arn": format!("acs:ram::{account}:root"),
            "IdentityType": "Account",
            "PrincipalId": account,
            "UserId": account,
        }),
        Identity::Role { name, session } => json!({
            "AccountId": account,
            "Arn": format!("acs:ram::{account}:assumed-role/{name}/{session}"),
            "IdentityType": "AssumedRoleUser",
            "PrincipalId": format!("{}:{session}", role_id(account, name)),
            "RoleId": role_id(account, name),
        }),
    })
}

pub(super) fn assume_role(call: &Call<'_>, keyring: &mut Keyring) -> Answer {
    let wrong = |name: &str, message: &str| Refusal::new(400, &format!("InvalidParameter.{name}"), message);
    let (account, role) = call
        .params
        .need("RoleArn")?
        .strip_prefix("acs:ram::")
        .and_then(|rest| rest.split_once(":role/"))
        .ok_or_else(|| wrong("RoleArn", "The parameter RoleArn is wrongly formed."))?;
    let session = call.params.need("RoleSessionName")?;
    let plain = session.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".@-_".contains(&byte));
    if !(2..=64).contains(&session.len()) || !plain {
        return Err(wrong("RoleSessionName", "The parameter RoleSessionName is wrongly formed."));
    }
    let seconds: i64 = call.params.number("DurationSeconds")?.unwrap_or(3600);
    if !(900..=3600).contains(&seconds) {
        return Err(wrong("DurationSeconds", "The Min/Max value of DurationSeconds is 15min/1hr."));
    }
    if let Some(policy) = call.params.get("Policy") {
        if policy.len() > POLICY_MAX {
            return Err(wrong("PolicySize", "The size of Policy must be smaller than 1024 bytes."));
        }
        if !serde_json::from_str::<serde_json::Value>(policy).is_ok_and(|policy| policy["Statement"].is_array()) {
            return Err(wrong("PolicyGrammar", "The parameter Policy has not passed grammar check."));
        }
    }
    if !keyring.has_role(account, role) {
        return Err(Refusal::new(404, "EntityNotExist.Role", "The specified Role not exists."));
    }
    if !keyring.may_assume(account, role, call.caller) {
        let message = "You are not authorized to do this action. You should be authorized by RAM.";
        return Err(Refusal::new(403, "NoPermission", message));
    }
    let issued = keyring.issue(account, role, session, call.now, SignedDuration::from_secs(seconds));
    Ok(json!({
        "AssumedRoleUser": {
            "Arn": format!("acs:ram::{account}:role/{role}/{session}"),
            "AssumedRoleId": format!("{}:{session}", role_id(account, role)),
        },
        "Credentials": {
            "AccessKeyId": issued.keys.access_key_id,
            "AccessKeySecret": issued.keys.access_key_secret,
            "SecurityToken": issued.keys.security_token,
            "Expiration": issued.expires.map(time),
        },
    }))
}

/// A role id: an opaque number, always the same for the same role.
fn role_id(account: &str, role: &str) -> String {
    let folded = role.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("3{:015}", (folded ^ account.parse().unwrap_or(0)) % 1_000_000_000_000_000)
}
