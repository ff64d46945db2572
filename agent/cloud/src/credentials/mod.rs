//! Credentials that sign requests: their sources, and when they are fetched again.
//!
//! Secrets stay inside `SecretString`. Only `settings.rs` reads the environment. Facts: `API.md` §6, §7.

pub(crate) mod choice;
pub(crate) mod core_dump;
pub(crate) mod metadata;
pub(crate) mod settings;

use crate::{
    AccessKey, Clock, CredentialError, EndpointRule, SecretString,
    credentials::metadata::MetadataClient,
    signing::{Params, Signing},
    transport::endpoint::Product,
    transport::http::{self, HttpRule},
    transport::wire,
};
use pingtong_evidence::{RegionId, Timestamp};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// Credentials are replaced this long before they expire, as the vendor's SDKs do.
const REFRESH_BEFORE_END: Duration = Duration::from_mins(15);
/// Minimum time between two attempts to replace credentials that are still valid.
const REFRESH_SPACING: Duration = Duration::from_mins(1);
/// Timeout of one request to a credentials service or to STS.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size in bytes of the answer of a credentials service.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where credentials come from.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A fixed access key.
    Fixed(AccessKey),
    /// The RAM role of this instance.
    InstanceRole {
        /// Client of the metadata service.
        metadata: MetadataClient,
        /// Name of the role; read from the metadata service if `None`.
        role: Option<String>,
    },
    /// URL of a local service that answers in the format of the metadata service.
    Service(String),
    /// A role of this or another account, assumed through STS.
    AssumedRole(Box<AssumedRole>),
}

/// A role to assume.
#[derive(Debug, Clone)]
pub struct AssumedRole {
    /// Credentials that sign the `AssumeRole` call.
    pub base: Credentials,
    /// ARN of the role: `acs:ram::ACCOUNT:role/NAME`.
    pub arn: String,
    /// Name of the session, 2 to 64 characters.
    pub session: String,
    /// Requested lifetime in seconds, 900 or more.
    pub seconds: u32,
    /// External id, if the trust policy of the role requires one.
    pub external_id: Option<String>,
    /// Region of the STS endpoint.
    pub region: RegionId,
    /// Selects the STS host.
    pub endpoint: EndpointRule,
}

impl Credentials {
    /// A fixed access key.
    pub fn fixed(id: impl Into<String>, secret: SecretString, token: Option<SecretString>) -> Self {
        Self::Fixed(AccessKey { id: id.into(), secret, token, ends_at: None })
    }

    /// The RAM role of this instance; its name is read from the metadata service.
    pub fn instance_role(metadata: MetadataClient) -> Self {
        Self::InstanceRole { metadata, role: None }
    }

    /// Fetches credentials. The future is boxed because assuming a role first fetches the credentials of its base.
    fn fetch<'a>(
        &'a self,
        clock: &'a Clock,
    ) -> Pin<Box<dyn Future<Output = Result<AccessKey, CredentialError>> + Send + 'a>> {
        Box::pin(async move {
            match self {
                Self::Fixed(key) => Ok(key.clone()),
                Self::InstanceRole { metadata, role } => metadata.role_credentials(role.as_deref()).await,
                Self::Service(address) => from_service(address).await,
                Self::AssumedRole(role) => assume(role, clock).await,
            }
        })
    }
}

async fn from_service(address: &str) -> Result<AccessKey, CredentialError> {
    let unreachable = |what: String| CredentialError::Unreachable { from: address.to_owned(), what };
    let https = address.starts_with("https:");
    let http = http::client(HttpRule { https, proxy: false, connect: TIMEOUT, request: TIMEOUT })
        .map_err(|error| unreachable(error.to_string()))?;
    let response = http.get(address).send().await.map_err(|error| unreachable(crate::error::root(&error)))?;
    let status = response.status();
    let bytes = http::body(response, ANSWER_BYTES_MAX)
        .await
        .map_err(|_| unreachable("the answer broke off or is too long".to_owned()))?;
    if !status.is_success() {
        return Err(unreachable(format!("status {}", status.as_u16())));
    }
    AccessKey::from_service(&String::from_utf8_lossy(&bytes), address)
}

async fn assume(role: &AssumedRole, clock: &Clock) -> Result<AccessKey, CredentialError> {
    let refused = |what: String| CredentialError::Refused { role: role.arn.clone(), what };
    let base = role.base.fetch(clock).await?;
    let url = role
        .endpoint
        .resolve(Product::Sts, &role.region)
        .ok_or_else(|| refused(format!("\"{}\" is not a region", role.region)))?;
    let from = url.to_string();
    let http_rule = HttpRule {
        https: url.scheme() == "https",
        proxy: role.endpoint.allows_proxy(),
        connect: TIMEOUT,
        request: TIMEOUT,
    };
    let http = http::client(http_rule)
        .map_err(|error| CredentialError::Unreachable { from: from.clone(), what: error.to_string() })?;
    let mut params = Params::from([
        ("RoleArn".to_owned(), role.arn.clone()),
        ("RoleSessionName".to_owned(), role.session.clone()),
        ("DurationSeconds".to_owned(), role.seconds.to_string()),
    ]);
    if let Some(id) = &role.external_id {
        params.insert("ExternalId".to_owned(), id.clone());
    }
    let outgoing = wire::Outgoing { product: Product::Sts, action: "AssumeRole", params: &params, base: &url };
    let reply = wire::send(&http, &outgoing, &base, clock.now(), Signing::Acs3)
        .await
        .map_err(|error| CredentialError::Unreachable { from: from.clone(), what: error.to_string() })?;
    if let Some((code, message)) = reply.error() {
        return Err(match crate::error::remedy(reply.status, &code) {
            crate::error::Remedy::Wait => CredentialError::Unreachable { from, what: format!("{code}: {message}") },
            _ => refused(format!("{code}: {message}")),
        });
    }
    reply
        .document
        .get("Credentials")
        .and_then(AccessKey::from_document)
        .ok_or_else(|| CredentialError::Unusable { from, what: "a field is missing".to_owned() })
}

struct Cached {
    key: AccessKey,
    fetched_at: Timestamp,
}

/// Cached credentials: fetched on first use, and again before they expire.
#[derive(Clone)]
pub(crate) struct CredentialStore {
    provider: Credentials,
    cached: Arc<Mutex<Option<Cached>>>,
}

impl CredentialStore {
    pub(crate) fn new(provider: Credentials) -> Self {
        Self { provider, cached: Arc::default() }
    }

    /// Returns credentials that are valid now. If replacing them fails while the cached ones are still valid, it
    /// returns those.
    pub(crate) async fn current(&self, clock: &Clock) -> Result<AccessKey, CredentialError> {
        let mut cached = self.cached.lock().await;
        let now = clock.now();
        if let Some(held) = cached.as_ref() {
            let due = held.key.ends_at.is_some_and(|end| now.plus(REFRESH_BEFORE_END) >= end)
                && now.since(held.fetched_at) >= REFRESH_SPACING;
            let ended = held.key.ends_at.is_some_and(|end| now >= end);
            if !due && !ended {
                return Ok(held.key.clone());
            }
        }
        match self.provider.fetch(clock).await {
            Ok(key) => {
                *cached = Some(Cached { key: key.clone(), fetched_at: now });
                Ok(key)
            }
            Err(error) => match cached.as_mut() {
                Some(held) if held.key.ends_at.is_none_or(|end| now < end) => {
                    held.fetched_at = now;
                    Ok(held.key.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// Discards credentials that the cloud refused, unless they have been replaced meanwhile.
    pub(crate) async fn forget(&self, key: &AccessKey) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|held| held.key.is(key)) {
            *cached = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_samples_decode_and_secrets_are_not_shown() {
        let key =
            AccessKey::from_service(include_str!("../../testdata/samples/imds.ram-security-credentials.json"), "x")
                .unwrap();
        assert_eq!(key.id, "<yourAccessKeyId>");
        assert_eq!(key.ends_at.unwrap().to_string(), "2017-11-01T05:20:01.000Z");
        let shown = format!("{key:?} {:?}", Credentials::Fixed(key.clone()));
        assert!(!shown.contains("yourAccessKeySecret") && !shown.contains("yourSecurityToken"), "{shown}");
        let assumed: Value = serde_json::from_str(include_str!("../../testdata/samples/sts.AssumeRole.json")).unwrap();
        assert_eq!(AccessKey::from_document(&assumed["Credentials"]).unwrap().id, "STS.L4aBSCSJVMuKg5U1****");
    }

    #[test]
    fn an_answer_without_credentials_is_refused_with_its_reason() {
        for bad in ["", "null", "[]", "{}", r#"{"Code":"Failed"}"#, r#"{"AccessKeyId":"a","AccessKeySecret":""}"#] {
            assert!(AccessKey::from_service(bad, "x").is_err(), "{bad}");
        }
    }
}
