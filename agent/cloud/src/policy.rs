//! RAM policies to paste into the console: what each role may do, and who may assume it. They grant least privilege:
//! the read policy allows what [`permissions`] lists, and a test checks that gathering calls exactly that.
//!
//! Facts: `API.md` §7. The resource of the read policy is `*`: listings name no object, and for several
//! of these calls the vendor documents no other form. `sts:GetCallerIdentity` needs no permission.

use crate::permissions;
use pingtong_evidence::AccountId;
use serde_json::{Value, json};

/// Role name that examples use for a role granted to the collector.
pub const COLLECTOR_ROLE: &str = "pingtong-collector";

/// Why a policy cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// An external id that STS would refuse.
    #[error("external id \"{0}\" is not 2 to 1224 letters, digits and = , . @ : / - _")]
    ExternalId(String),
    /// A role's name that RAM would refuse.
    #[error("role name \"{0}\" is not 1 to 64 letters, digits and . _ -")]
    RoleName(String),
}

/// Permissions to read an account: for the role of an instance, and for a role granted to the collector.
pub fn read_policy() -> Value {
    document(json!({"Effect": "Allow", "Action": permissions(), "Resource": "*"}))
}

/// Permissions of the collector's own user or role: it may assume the role of that name in each of these accounts, or
/// in any account that trusts it if `accounts` is empty.
///
/// # Errors
/// [`PolicyError::RoleName`] if RAM would refuse the role name.
pub fn assume_policy(accounts: &[AccountId], role: &str) -> Result<Value, PolicyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !(1..=64).contains(&role.len()) || !role.chars().all(fits) {
        return Err(PolicyError::RoleName(role.to_owned()));
    }
    let arn = |account: &str| format!("acs:ram::{account}:role/{role}");
    let roles: Vec<String> = if accounts.is_empty() {
        vec![arn("*")]
    } else {
        accounts.iter().map(|account| arn(account.as_str())).collect()
    };
    Ok(document(json!({"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": roles})))
}

/// Trust policy of a role granted to the collector: identities of the collector's account may assume it, and must
/// present the external id if one is given.
///
/// # Errors
/// [`PolicyError::ExternalId`] if STS would refuse the external id.
pub fn account_trust(account: &AccountId, external_id: Option<&str>) -> Result<Value, PolicyError> {
    let mut statement = json!({
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"RAM": [format!("acs:ram::{account}:root")]},
    });
    if let Some(id) = external_id {
        let fits = |c: char| c.is_ascii_alphanumeric() || "=,.@:/-_".contains(c);
        if !(2..=1224).contains(&id.len()) || !id.chars().all(fits) {
            return Err(PolicyError::ExternalId(id.to_owned()));
        }
        statement["Condition"] = json!({"StringEquals": {"sts:ExternalId": id}});
    }
    Ok(document(statement))
}

/// Trust policy of the role of an agent's instance: the ECS service may assume it.
pub fn instance_trust() -> Value {
    document(json!({
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["ecs.aliyuncs.com"]},
    }))
}

fn document(statement: Value) -> Value {
    json!({"Version": "1", "Statement": Value::Array(vec![statement])})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> AccountId {
        AccountId::parse(text).unwrap()
    }

    #[test]
    fn only_reading_is_allowed_and_nothing_by_a_pattern() {
        let policy = read_policy();
        let actions = policy["Statement"][0]["Action"].as_array().unwrap();
        for action in actions.iter().map(|action| action.as_str().unwrap()) {
            let call = action.split_once(':').unwrap().1;
            assert!(["Describe", "List", "Lookup"].iter().any(|verb| call.starts_with(verb)), "{action}");
            assert!(!action.contains('*'), "{action}");
        }
    }

    #[test]
    fn the_collector_may_take_the_named_roles_only() {
        let policy = assume_policy(&[account("1"), account("2")], COLLECTOR_ROLE).unwrap();
        assert_eq!(
            policy["Statement"][0],
            json!({"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource":
                ["acs:ram::1:role/pingtong-collector", "acs:ram::2:role/pingtong-collector"]})
        );
        let any = assume_policy(&[], "reader").unwrap();
        assert_eq!(any["Statement"][0]["Resource"], json!(["acs:ram::*:role/reader"]));
        assert!(assume_policy(&[], "a*").is_err() && assume_policy(&[], "").is_err());
    }

    #[test]
    fn a_trust_policy_names_one_account_and_may_ask_for_an_external_id() {
        let plain = account_trust(&account("1"), None).unwrap();
        assert_eq!(plain["Statement"][0]["Principal"], json!({"RAM": ["acs:ram::1:root"]}));
        assert!(plain["Statement"][0].get("Condition").is_none());
        let with_id = account_trust(&account("1"), Some("a-1")).unwrap();
        assert_eq!(with_id["Statement"][0]["Condition"], json!({"StringEquals": {"sts:ExternalId": "a-1"}}));
        for bad in ["x", "a b", "\"*\""] {
            assert!(account_trust(&account("1"), Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(instance_trust()["Statement"][0]["Principal"], json!({"Service": ["ecs.aliyuncs.com"]}));
    }
}
