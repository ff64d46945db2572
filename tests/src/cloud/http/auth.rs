//! Authentication of requests: signature, timestamp, and the nonce that protects against replay.
//!
//! The server takes the list of signed headers from `SignedHeaders`, because every SDK signs a different set. It hashes
//! the body itself, form-decodes the query before re-encoding it, and returns its own string to sign, which SDKs
//! compare (`API.md` §3, §5).

use crate::cloud::{
    calls::refusal::Refusal,
    calls::request::Request,
    http::signature::{ACS3, Acs3, rpc_signature, rpc_string_to_sign, sha256_hex},
    keyring::{Caller, Credential, Keyring},
};
use jiff::{SignedDuration, Timestamp};

/// Maximum difference between the timestamp of a request and the clock of the cloud.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(15);

/// Checks an ACS3 signature (`Authorization` header) or an RPC signature (parameters) and returns the caller.
pub(in crate::cloud) fn verify(request: &Request, keyring: &mut Keyring, now: Timestamp) -> Result<Caller, Refusal> {
    match request.header("authorization") {
        Some(authorization) => verify_acs3(request, authorization, keyring, now),
        None => verify_rpc(request, keyring, now),
    }
}

fn verify_acs3(
    request: &Request,
    authorization: &str,
    keyring: &mut Keyring,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let incomplete = || {
        let message = "The request signature does not conform to Aliyun standards.";
        Refusal::new(400, "IncompleteSignature", message)
    };
    let fields = authorization.strip_prefix(ACS3).ok_or_else(incomplete)?;
    let field = |name: &str| {
        fields
            .split(',')
            .map(str::trim)
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(incomplete)
    };
    let (key_id, names, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let credential = known(keyring, key_id)?.clone();
    in_time(request.header("x-acs-date"), now)?;
    let nonce = request.header("x-acs-signature-nonce").ok_or_else(|| missing("x-acs-signature-nonce"))?;
    let headers: Vec<(String, String)> =
        names.split(';').map(|name| (name.to_owned(), request.header(name).unwrap_or_default().to_owned())).collect();
    let signed = Acs3 {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &headers,
        body_sha256: &sha256_hex(&request.body),
    };
    if !same(&signed.signature(&credential.keys.access_key_secret), signature) {
        return Err(mismatch(&signed.string_to_sign()));
    }
    token_holds(&credential, request.header("x-acs-security-token"), now)?;
    unrepeated(keyring, key_id, nonce, now)?;
    Ok(credential.caller)
}

fn verify_rpc(request: &Request, keyring: &mut Keyring, now: Timestamp) -> Result<Caller, Refusal> {
    let params = &request.params;
    let key_id = params.get("AccessKeyId").ok_or_else(|| missing("AccessKeyId"))?;
    let signature = params.get("Signature").ok_or_else(|| missing("Signature"))?;
    let nonce = params.get("SignatureNonce").ok_or_else(|| missing("SignatureNonce"))?;
    let credential = known(keyring, key_id)?.clone();
    in_time(params.get("Timestamp"), now)?;
    let string = rpc_string_to_sign(&request.method, params.all());
    if !same(&rpc_signature(&credential.keys.access_key_secret, &string), signature) {
        return Err(mismatch(&string));
    }
    token_holds(&credential, params.get("SecurityToken"), now)?;
    unrepeated(keyring, key_id, nonce, now)?;
    Ok(credential.caller)
}

/// The id of the access key that a request claims to be signed with.
pub(in crate::cloud) fn key_of(request: &Request) -> Option<&str> {
    match request.header("authorization").and_then(|text| text.strip_prefix(ACS3)) {
        Some(fields) => fields.split(',').find_map(|part| part.trim().strip_prefix("Credential=")),
        None => request.params.get("AccessKeyId"),
    }
}

fn known<'a>(keyring: &'a Keyring, key_id: &str) -> Result<&'a Credential, Refusal> {
    let missing = || Refusal::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.");
    let credential = keyring.find(key_id).ok_or_else(missing)?;
    if credential.disabled {
        return Err(Refusal::new(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled."));
    }
    Ok(credential)
}

fn in_time(text: Option<&str>, now: Timestamp) -> Result<(), Refusal> {
    let text =
        text.ok_or_else(|| Refusal::new(400, "IllegalTimestamp", "The input parameter Timestamp is not supplied."))?;
    let at: Timestamp = text.parse().map_err(|_| {
        let message = "Specified time stamp or date value is not well formatted.";
        Refusal::new(400, "InvalidTimeStamp.Format", message)
    })?;
    if now.duration_since(at).abs() > SKEW_MAX {
        let message = "Specified time stamp or date value is expired.";
        return Err(Refusal::new(400, "InvalidTimeStamp.Expired", message));
    }
    Ok(())
}

fn token_holds(credential: &Credential, token: Option<&str>, now: Timestamp) -> Result<(), Refusal> {
    let Some(expected) = &credential.keys.security_token else { return Ok(()) };
    match token {
        None => Err(missing("SecurityToken")),
        Some(token) if token != expected => {
            let message = "Specified SecurityToken mismatches with the AccessKey.";
            Err(Refusal::new(400, "InvalidSecurityToken.MismatchWithAccessKey", message))
        }
        Some(_) if credential.expires.is_some_and(|end| end <= now) => {
            Err(Refusal::new(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."))
        }
        Some(_) => Ok(()),
    }
}

fn unrepeated(keyring: &mut Keyring, key_id: &str, nonce: &str, now: Timestamp) -> Result<(), Refusal> {
    if keyring.first_use(key_id, nonce, now) {
        return Ok(());
    }
    Err(Refusal::new(400, "SignatureNonceUsed", "Specified signature nonce was used already."))
}

fn mismatch(string_to_sign: &str) -> Refusal {
    let message =
        format!("Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}");
    Refusal::new(400, "SignatureDoesNotMatch", &message)
}

fn missing(name: &str) -> Refusal {
    Refusal::new(400, &format!("Missing{name}"), &format!("{name} is mandatory for this action."))
}

fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
