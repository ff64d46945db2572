//! Client of the instance metadata service: the identity of this host, and the credentials of its RAM role.
//!
//! It uses hardened mode first (a session token obtained by PUT), and no token if the service offers none. A refused
//! token is replaced once. Paths and formats: `API.md` §6. Whether the facts agree with the host's own
//! interfaces is not decided here.

use crate::{
    BuildError, CredentialError, SecretString,
    error::root,
    transport::access_key::AccessKey,
    transport::endpoint::base_address,
    transport::http::{self, BodyError, HttpRule},
};
use futures_util::future::{join_all, try_join3};
use pingtong_evidence::{AddressFact, EniId, MetadataFact, WhyUnknown};
use reqwest::{Method, StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// Address of the service on every instance.
const ADDRESS: &str = "http://100.100.100.200";
/// Timeout of a request. The service is on the same host, so one second is long.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum size in bytes of one item; the longest, the session token of a role, has a few kilobytes.
const ITEM_BYTES_MAX: usize = 64 << 10;
/// Maximum number of interfaces to read; the largest instance types have fewer.
const INTERFACES_MAX: usize = 64;
/// Requested lifetime of a session token in seconds: the longest that the service grants.
const TOKEN_SECONDS: &str = "21600";
/// Age at which a token is replaced, well before it expires.
const TOKEN_AGE_MAX: Duration = Duration::from_hours(5);
/// How long to assume that a service that offered no token still offers none.
const NO_TOKEN_AGE_MAX: Duration = Duration::from_mins(5);

/// Why the metadata service returned nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// The service did not answer.
    #[error("the metadata service did not answer at {url}: {what}; is this an ECS instance with metadata enabled?")]
    Unreachable {
        /// URL of the request.
        url: String,
        /// Error of the HTTP transport.
        what: String,
    },
    /// The service refused the request.
    #[error("the metadata service refused {url} with status {status}")]
    Refused {
        /// URL of the request.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The answer is not in the documented format.
    #[error("the metadata service gave an answer that cannot be read at {url}: {what}")]
    Unreadable {
        /// URL of the request.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

impl MetadataError {
    /// The reason to record in place of the missing fact.
    pub fn why(&self) -> WhyUnknown {
        match self {
            Self::Unreachable { url, what } => WhyUnknown::Unreachable { action: url.clone(), message: what.clone() },
            Self::Refused { url, status } => {
                WhyUnknown::Refused { action: url.clone(), code: format!("HTTP {status}"), request_id: String::new() }
            }
            Self::Unreadable { url, what } => WhyUnknown::Malformed { action: url.clone(), message: what.clone() },
        }
    }
}

#[derive(Clone, Default)]
enum Token {
    #[default]
    NotAsked,
    Held(SecretString, Instant),
    NotOffered(Instant),
}

/// A client of the metadata service.
#[derive(Clone)]
pub struct MetadataClient {
    http: reqwest::Client,
    base: Url,
    token: Arc<Mutex<Token>>,
    /// Whether requests without a token are forbidden.
    hardened_only: bool,
}

impl fmt::Debug for MetadataClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetadataClient({})", self.base)
    }
}

impl MetadataClient {
    /// A client of the service at `base`; if `None`, at the standard address of an instance.
    ///
    /// # Errors
    /// [`BuildError`] when `base` is not an address or no HTTP client can be made.
    pub fn new(base: Option<&str>) -> Result<Self, BuildError> {
        let base = base_address(base.unwrap_or(ADDRESS))?;
        let https = base.scheme() == "https";
        let http = http::client(HttpRule { https, proxy: false, connect: TIMEOUT, request: TIMEOUT })?;
        Ok(Self { http, base, token: Arc::default(), hardened_only: false })
    }

    /// Forbids requests without a session token, even if the service offers none, as some security policies require.
    #[must_use]
    pub fn hardened_only(self) -> Self {
        Self { hardened_only: true, ..self }
    }

    /// Reads the identity of this host.
    ///
    /// # Errors
    /// [`MetadataError`] if the identity document cannot be read, or if the VPC, vSwitch or interface list fails with
    /// anything but 404. On a 404 those fields stay empty.
    pub async fn identity(&self) -> Result<MetadataFact, MetadataError> {
        const DOCUMENT: &str = "dynamic/instance-identity/document";
        // The first request is made alone, so that only one token is fetched.
        let document = self.required(DOCUMENT).await?;
        let fact = fact(&document).map_err(|what| self.unreadable(DOCUMENT, &what))?;
        let (vpc, vswitch, macs) = try_join3(
            self.optional("meta-data/vpc-id"),
            self.optional("meta-data/vswitch-id"),
            self.optional("meta-data/network/interfaces/macs/"),
        )
        .await?;
        let macs = hardware_addresses(&macs.unwrap_or_default());
        let mut interfaces: Vec<AddressFact> = join_all(macs.into_iter().map(|mac| self.interface(mac))).await;
        interfaces.sort_by(|a, b| a.mac.cmp(&b.mac));
        let (vpc, vswitch) = (vpc.and_then(|text| text.parse().ok()), vswitch.and_then(|text| text.parse().ok()));
        Ok(MetadataFact { vpc, vswitch, interfaces, ..fact })
    }

    /// Returns the name of the instance's RAM role; `None` if it has no role.
    ///
    /// # Errors
    /// [`MetadataError`] if the service does not answer, refuses the request or returns an oversized answer.
    pub async fn role(&self) -> Result<Option<String>, MetadataError> {
        let names = self.optional("meta-data/ram/security-credentials/").await?;
        Ok(names.and_then(|text| role_name(&text)))
    }

    /// Credentials of the instance's RAM role.
    pub(crate) async fn role_credentials(&self, role: Option<&str>) -> Result<AccessKey, CredentialError> {
        let unreachable = |error: &MetadataError| CredentialError::Unreachable {
            from: self.base.to_string(),
            what: error.to_string(),
        };
        let role = match role {
            Some(role) => role.to_owned(),
            None => self.role().await.map_err(|error| unreachable(&error))?.ok_or(CredentialError::NoRole)?,
        };
        let path = format!("meta-data/ram/security-credentials/{}", crate::signing::percent_encode(&role));
        let text = self.optional(&path).await.map_err(|error| unreachable(&error))?.ok_or(CredentialError::NoRole)?;
        AccessKey::from_service(&text, &format!("{}latest/{path}", self.base))
    }

    async fn interface(&self, mac: String) -> AddressFact {
        let item = |name: &str| format!("meta-data/network/interfaces/macs/{mac}/{name}");
        // An interface that is just being detached answers 404 midway; fields that are not returned stay empty.
        let eni = self.optional(&item("network-interface-id")).await.ok().flatten();
        let listed = self.optional(&item("private-ipv4s")).await.ok().flatten();
        let mut addresses = listed.map(|text| addresses(&text)).unwrap_or_default();
        if addresses.is_empty() {
            let primary = self.optional(&item("primary-ip-address")).await.ok().flatten();
            addresses.extend(primary.and_then(|text| text.trim().parse::<IpAddr>().ok()));
        }
        AddressFact { eni: eni.and_then(|text| EniId::parse(text.trim()).ok()), addresses, mac }
    }

    fn unreadable(&self, path: &str, what: &dyn fmt::Display) -> MetadataError {
        MetadataError::Unreadable { url: format!("{}latest/{path}", self.base), what: what.to_string() }
    }

    async fn required(&self, path: &str) -> Result<String, MetadataError> {
        let url = format!("{}latest/{path}", self.base);
        self.optional(path).await?.ok_or(MetadataError::Refused { url, status: 404 })
    }

    /// Returns the text of an item; `None` if the service has no such item.
    async fn optional(&self, path: &str) -> Result<Option<String>, MetadataError> {
        let mut token = self.current_token().await;
        let mut renewed = false;
        loop {
            if self.hardened_only && token.is_none() {
                let what = "it gives no session token, and asking without one is forbidden here";
                return Err(self.unreadable("api/token", &what));
            }
            match self.ask(Method::GET, path, token.as_ref()).await? {
                (StatusCode::OK, text) => return Ok(Some(text.trim().to_owned())),
                (StatusCode::NOT_FOUND, _) => return Ok(None),
                (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) if token.is_some() && !renewed => {
                    renewed = true;
                    token = self.replace_token(token.take()).await;
                }
                (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) if token.is_some() && !self.hardened_only => {
                    token = None;
                }
                (status, _) => {
                    let url = format!("{}latest/{path}", self.base);
                    return Err(MetadataError::Refused { url, status: status.as_u16() });
                }
            }
        }
    }

    async fn current_token(&self) -> Option<SecretString> {
        let mut held = self.token.lock().await;
        match &*held {
            Token::Held(token, since) if since.elapsed() < TOKEN_AGE_MAX => Some(token.clone()),
            Token::NotOffered(since) if since.elapsed() < NO_TOKEN_AGE_MAX => None,
            _ => {
                *held = self.fetch_token().await;
                if let Token::Held(token, _) = &*held { Some(token.clone()) } else { None }
            }
        }
    }

    /// Returns a token other than `refused`; fetches one unless another task has already done so.
    async fn replace_token(&self, refused: Option<SecretString>) -> Option<SecretString> {
        {
            let mut held = self.token.lock().await;
            if matches!((&*held, &refused), (Token::Held(token, _), Some(refused)) if token.expose_secret() == refused.expose_secret())
            {
                *held = Token::NotAsked;
            }
        }
        self.current_token().await
    }

    async fn fetch_token(&self) -> Token {
        match self.ask(Method::PUT, "api/token", None).await {
            Ok((StatusCode::OK, text)) if !text.trim().is_empty() => {
                Token::Held(SecretString::from(text.trim()), Instant::now())
            }
            Ok(_) => Token::NotOffered(Instant::now()),
            Err(_) => Token::NotAsked,
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
    ) -> Result<(StatusCode, String), MetadataError> {
        let url = format!("{}latest/{path}", self.base);
        let mut request = self.http.request(method.clone(), &url);
        if method == Method::PUT {
            request = request.header("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_SECONDS).body("");
        }
        if let Some(token) = token {
            request = request.header("X-aliyun-ecs-metadata-token", token.expose_secret());
        }
        let unreachable = |what| MetadataError::Unreachable { url: url.clone(), what };
        let response = request.send().await.map_err(|error| unreachable(root(&error)))?;
        let status = response.status();
        match http::body(response, ITEM_BYTES_MAX).await {
            Ok(bytes) => Ok((status, String::from_utf8_lossy(&bytes).into_owned())),
            Err(BodyError::Broken(error)) => Err(unreachable(root(&error))),
            Err(BodyError::TooLong) => {
                let what = format!("longer than {ITEM_BYTES_MAX} bytes");
                Err(MetadataError::Unreadable { url, what })
            }
        }
    }
}

/// Parses the identity document. The error says what in it cannot be read.
pub(crate) fn fact(document: &str) -> Result<MetadataFact, String> {
    let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
    Ok(MetadataFact {
        instance: field(&document, "instance-id")?,
        account: field(&document, "owner-account-id")?,
        region: field(&document, "region-id")?,
        vpc: None,
        vswitch: None,
        private_address: field(&document, "private-ipv4")?,
        interfaces: vec![],
    })
}

fn field<T: FromStr>(document: &Value, name: &str) -> Result<T, String> {
    let text = match document.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(format!("\"{name}\" is missing")),
    };
    text.trim().parse().map_err(|_| format!("\"{name}\" is \"{}\"", text.escape_debug()))
}

/// Parses a listing of MAC addresses, one per line. Anything else is left out, because the result becomes part of a URL
/// path.
pub(crate) fn hardware_addresses(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim().trim_end_matches('/').to_owned())
        .filter(|mac| !mac.is_empty() && mac.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'))
        .take(INTERFACES_MAX)
        .collect()
}

/// The first role name of a listing; `None` if the listing is empty.
pub(crate) fn role_name(text: &str) -> Option<String> {
    text.lines().next().map(|line| line.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Parses the text of a JSON array of addresses, or addresses separated by white space.
pub(crate) fn addresses(text: &str) -> Vec<IpAddr> {
    let listed: Vec<String> =
        serde_json::from_str(text).unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect());
    listed.iter().filter_map(|text| text.trim().parse().ok()).collect()
}
