//! The instance metadata service: who this host is, and the credentials of its RAM role.
//!
//! Hardened mode first (a session token by PUT), without a token where the service offers none. A refused token is
//! fetched anew once. Paths and their forms: `alibaba-cloud-api.md` §4. Whether the facts agree with the host's own
//! interfaces is not decided here.

use crate::{
    BuildError, CredentialError, Secret,
    credentials::AccessKey,
    endpoint::base_address,
    error::root,
    http::{self, BodyError, HttpRule},
};
use futures_util::future::{join_all, try_join3};
use pingtong_evidence::{AddressFact, EniId, MetadataFact, WhyUnknown};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// Where the service answers on every instance.
const ADDRESS: &str = "http://100.100.100.200";
/// The service is on the same host: a second is long.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of one item; the longest is a role's session token of some kilobytes.
const ITEM_BYTES_MAX: usize = 64 << 10;
/// Interfaces asked about; the largest instance types have fewer.
const INTERFACES_MAX: usize = 64;
/// Life asked for a session token; the longest that the service grants.
const TOKEN_SECONDS: &str = "21600";
/// Age at which a token is replaced, well before its end.
const TOKEN_AGE_MAX: Duration = Duration::from_hours(5);
/// How long a service without tokens is believed to have none.
const NO_TOKEN_AGE_MAX: Duration = Duration::from_mins(5);

/// Why the metadata service told nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// No answer.
    #[error("the metadata service did not answer at {url}: {what}; is this an ECS instance with metadata enabled?")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the transport said.
        what: String,
    },
    /// It refused.
    #[error("the metadata service refused {url} with status {status}")]
    Refused {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// It answered with something else than documented.
    #[error("the metadata service gave an answer that cannot be read at {url}: {what}")]
    Unreadable {
        /// What was asked.
        url: String,
        /// What is wrong.
        what: String,
    },
}

impl MetadataError {
    /// The reason to put where the fact is missing.
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
    Held(Secret, Instant),
    NotOffered(Instant),
}

/// A client of the metadata service.
#[derive(Clone)]
pub struct MetadataClient {
    http: reqwest::Client,
    base: Url,
    token: Arc<Mutex<Token>>,
    /// Whether nothing may be asked without a token.
    hardened_only: bool,
}

impl fmt::Debug for MetadataClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetadataClient({})", self.base)
    }
}

impl MetadataClient {
    /// A client of the service at `base`, or of the instance's own.
    ///
    /// # Errors
    /// [`BuildError`] when `base` is not an address or no HTTP client can be made.
    pub fn new(base: Option<&str>) -> Result<Self, BuildError> {
        let base = base_address(base.unwrap_or(ADDRESS))?;
        let https = base.scheme() == "https";
        let http = http::client(HttpRule { https, proxy: false, connect: TIMEOUT, request: TIMEOUT })?;
        Ok(Self { http, base, token: Arc::default(), hardened_only: false })
    }

    /// Asks nothing without a session token, even where the service offers none: some rule of the house demands it.
    #[must_use]
    pub fn hardened_only(self) -> Self {
        Self { hardened_only: true, ..self }
    }

    /// Who this host is.
    ///
    /// # Errors
    /// [`MetadataError`] when the identity document cannot be had; VPC, vSwitch and interfaces may be missing.
    pub async fn identity(&self) -> Result<MetadataFact, MetadataError> {
        const DOCUMENT: &str = "dynamic/instance-identity/document";
        // The first request alone, so that only one token is fetched.
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

    /// The name of the instance's RAM role; none when it has none.
    ///
    /// # Errors
    /// [`MetadataError`].
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
        // An interface just taken away answers 404 midway; what is not told stays empty.
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

    /// The item's text; none where the service has no such item.
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

    async fn current_token(&self) -> Option<Secret> {
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

    /// A token other than `refused`, fetched unless another task did already.
    async fn replace_token(&self, refused: Option<Secret>) -> Option<Secret> {
        {
            let mut held = self.token.lock().await;
            if matches!((&*held, &refused), (Token::Held(token, _), Some(refused)) if token == refused) {
                *held = Token::NotAsked;
            }
        }
        self.current_token().await
    }

    async fn fetch_token(&self) -> Token {
        match self.ask(Method::PUT, "api/token", None).await {
            Ok((StatusCode::OK, text)) if !text.trim().is_empty() => {
                Token::Held(Secret::new(text.trim()), Instant::now())
            }
            Ok(_) => Token::NotOffered(Instant::now()),
            Err(_) => Token::NotAsked,
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
    ) -> Result<(StatusCode, String), MetadataError> {
        let url = format!("{}latest/{path}", self.base);
        let mut request = self.http.request(method.clone(), &url);
        if method == Method::PUT {
            request = request.header("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_SECONDS).body("");
        }
        if let Some(token) = token {
            request = request.header("X-aliyun-ecs-metadata-token", token.reveal());
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

/// What the identity document tells. The error says what in it cannot be read.
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

/// The hardware addresses of a listing, one a line; what is none is left out, since it becomes part of a path.
pub(crate) fn hardware_addresses(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim().trim_end_matches('/').to_owned())
        .filter(|mac| !mac.is_empty() && mac.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'))
        .take(INTERFACES_MAX)
        .collect()
}

/// The first role of a listing.
pub(crate) fn role_name(text: &str) -> Option<String> {
    text.lines().next().map(|line| line.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Addresses of a JSON array text, or of plain lines.
pub(crate) fn addresses(text: &str) -> Vec<IpAddr> {
    let listed: Vec<String> =
        serde_json::from_str(text).unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect());
    listed.iter().filter_map(|text| text.trim().parse().ok()).collect()
}
