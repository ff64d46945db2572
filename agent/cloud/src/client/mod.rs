//! Makes API calls, with credentials, client-side rate limiting, retries, a deadline and typed errors.
//!
//! Every call here only reads, so each may be repeated. What an answer means is decided by the modules of the products.

pub(crate) mod limiter;
pub(crate) mod listing;
pub(crate) mod retry;

use crate::{
    BuildError, CallError, CallName, Clock, CredentialError, Credentials, EndpointRule, Refusal, Signing,
    client::limiter::Limiter,
    credentials::CredentialStore,
    error::{Remedy, is_throttling, remedy},
    signing::Params,
    transport::endpoint::Product,
    transport::http::{self, HttpRule},
    transport::row::Row,
    transport::wire::{self, Outgoing, Reply, WireError},
};
use pingtong_evidence::{AccountId, RegionId};
use serde_json::{Map, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Maximum number of calls in flight at once.
const IN_FLIGHT_MAX: usize = 8;
/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Configuration of a client.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Account whose configuration is read; errors and gaps name it.
    pub account: AccountId,
    /// Selects the API hosts.
    pub endpoint: EndpointRule,
    /// Source of the access keys that sign requests.
    pub credentials: Credentials,
    /// Signature algorithm.
    pub signing: Signing,
    /// Timeout of one attempt of one call.
    pub try_timeout: Duration,
    /// Calls per second of one API in one region, after a burst of 20. The account's other tools use the same quota.
    pub calls_per_second: u32,
    /// Wall clock for signatures and for the expiry of credentials.
    pub clock: Clock,
}

/// Default rate in calls per second of one API in one region: below every limit found in the vendor's documents
/// (`API.md` §5) except that of `LookupEvents`, which the limiter enforces separately.
pub const CALLS_PER_SECOND: u32 = 5;

impl ClientSettings {
    /// Settings with ACS3 signatures, 5 s for an attempt, [`CALLS_PER_SECOND`] and the system clock.
    pub fn new(account: AccountId, endpoint: EndpointRule, credentials: Credentials) -> Self {
        let (signing, try_timeout) = (Signing::Acs3, Duration::from_secs(5));
        let calls_per_second = CALLS_PER_SECOND;
        Self { account, endpoint, credentials, signing, try_timeout, calls_per_second, clock: Clock::system() }
    }
}

/// The identity to which the credentials belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Id of the account.
    pub account: AccountId,
    /// ARN of the user or role; empty if the answer has none.
    pub arn: String,
    /// Type of the identity: `RAMUser`, `AssumedRoleUser` or `Account`.
    pub kind: String,
}

struct Inner {
    settings: ClientSettings,
    http: reqwest::Client,
    credentials: CredentialStore,
    limiter: Limiter,
    in_flight: Semaphore,
    started: Instant,
    /// Milliseconds by which the cloud's clock is ahead of the local clock; measured when the cloud rejects the local
    /// time.
    ahead_ms: AtomicI64,
}

/// A client for one account. Clones share credentials and flow control.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// A call to make.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) product: Product,
    pub(crate) action: &'static str,
    pub(crate) region: &'a RegionId,
    pub(crate) params: &'a Params,
}

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) document: Map<String, Value>,
    pub(crate) request_id: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client for one account.
    ///
    /// # Errors
    /// [`BuildError::Http`] when no HTTP client can be made.
    pub fn new(settings: ClientSettings) -> Result<Self, BuildError> {
        let https = !matches!(&settings.endpoint, EndpointRule::Fixed(base) if base.scheme() == "http");
        let http = http::client(HttpRule {
            https,
            proxy: settings.endpoint.allows_proxy(),
            connect: CONNECT_TIMEOUT,
            request: settings.try_timeout,
        })?;
        Ok(Self(Arc::new(Inner {
            http,
            credentials: CredentialStore::new(settings.credentials.clone()),
            limiter: Limiter::new(settings.calls_per_second),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            started: Instant::now(),
            ahead_ms: AtomicI64::new(0),
            settings,
        })))
    }

    /// Account whose configuration is read.
    pub fn account(&self) -> &AccountId {
        &self.0.settings.account
    }

    pub(crate) fn endpoint(&self) -> &EndpointRule {
        &self.0.settings.endpoint
    }

    /// Returns the identity to which the credentials belong, as the cloud reports it.
    ///
    /// # Errors
    /// [`CallError`] if there are no credentials, if the cloud refuses the call or does not answer `within` that time,
    /// or if its answer has no readable account id.
    pub async fn caller_identity(&self, region: &RegionId, within: Duration) -> Result<CallerIdentity, CallError> {
        let call = Call { product: Product::Sts, action: "GetCallerIdentity", region, params: &Params::new() };
        let answer = self.call(call, Instant::now() + within).await?;
        let row = Row::new(&answer.document);
        let unreadable = |error: crate::transport::row::RowError| CallError::Unreadable {
            call: self.name(&call),
            what: error.to_string(),
        };
        Ok(CallerIdentity {
            account: row.id("AccountId").map_err(unreadable)?,
            arn: row.text("Arn").unwrap_or_default(),
            kind: row.text("IdentityType").unwrap_or_default(),
        })
    }

    /// Checks that there are credentials to sign with. If a role is to be assumed, this assumes it and caches its
    /// credentials for later calls.
    ///
    /// # Errors
    /// [`CredentialError`] if no credentials could be obtained `within` that time.
    pub async fn ready(&self, within: Duration) -> Result<(), CredentialError> {
        self.check_credentials(Instant::now() + within).await
    }

    pub(crate) async fn check_credentials(&self, deadline: Instant) -> Result<(), CredentialError> {
        let fetch = self.0.credentials.current(&self.0.settings.clock);
        match tokio::time::timeout_at(deadline, fetch).await {
            Ok(result) => result.map(|_| ()),
            Err(_) => Err(CredentialError::Unreachable {
                from: "the credentials service".to_owned(),
                what: "no answer within the time given".to_owned(),
            }),
        }
    }

    pub(crate) fn name(&self, call: &Call<'_>) -> CallName {
        let action = format!("{}:{}", call.product.code(), call.action);
        CallName { action, account: self.account().clone(), region: call.region.clone() }
    }

    /// Makes a call, and retries it until `deadline` where a retry can help.
    pub(crate) async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<Answer, CallError> {
        let (mut renewed, mut corrected) = (false, false);
        let mut retries = 0;
        let mut last = None;
        loop {
            let (error, asked) = match tokio::time::timeout_at(deadline, self.attempt(call)).await {
                // The error of an earlier attempt says more than that the time ran out.
                Err(_) => return Err(last.unwrap_or_else(|| CallError::OutOfTime { call: self.name(&call) })),
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => match failure.remedy {
                    Remedy::NewCredentials if !renewed => {
                        renewed = true;
                        continue;
                    }
                    Remedy::CorrectClock if !corrected => {
                        corrected = true;
                        continue;
                    }
                    Remedy::Wait => (failure.error, failure.asked),
                    _ => return Err(failure.error),
                },
            };
            let pause = retry::wait(retries, asked, getrandom::u32().unwrap_or(u32::MAX / 2));
            if retries == retry::RETRIES_MAX || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(call = %self.name(&call), retry = retries + 1, pause_ms = pause.as_millis(), %error, "asking again");
            tokio::time::sleep(pause).await;
            last = Some(error);
            retries += 1;
        }
    }

    async fn attempt(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let fail = |error, remedy| Failure { error, remedy, asked: None };
        let key = inner.credentials.current(&inner.settings.clock).await.map_err(|source| {
            let remedy = if source.is_transient() { Remedy::Wait } else { Remedy::None };
            fail(CallError::Credentials { call: self.name(&call), source }, remedy)
        })?;
        let Some(base) = inner.settings.endpoint.resolve(call.product, call.region) else {
            let what = format!("\"{}\" is not a region's name", call.region);
            return Err(fail(CallError::Unreadable { call: self.name(&call), what }, Remedy::None));
        };
        let pause = inner.limiter.reserve(call.action, call.region, inner.started.elapsed());
        tokio::time::sleep(pause).await;
        // The semaphore is never closed, so waiting for it cannot fail.
        let _permit = inner.in_flight.acquire().await;
        let ahead = inner.ahead_ms.load(Ordering::Relaxed);
        let ours = inner.settings.clock.now();
        let now = pingtong_evidence::Timestamp::from_millis(ours.as_millis().saturating_add(ahead));
        let outgoing = Outgoing { product: call.product, action: call.action, params: call.params, base: &base };
        let reply =
            wire::send(&inner.http, &outgoing, &key, now, inner.settings.signing).await.map_err(
                |error| match error {
                    WireError::NoAnswer(source) => {
                        fail(CallError::NoAnswer { call: self.name(&call), source }, Remedy::Wait)
                    }
                    WireError::TooLong | WireError::NoRandomness => {
                        fail(CallError::Unreadable { call: self.name(&call), what: error.to_string() }, Remedy::None)
                    }
                },
            )?;
        if let Some((code, message)) = reply.error() {
            let throttled = is_throttling(reply.status, &code);
            let failure = self.failure(&call, &reply, code, message);
            match failure.remedy {
                Remedy::NewCredentials => inner.credentials.forget(&key).await,
                Remedy::Wait if throttled => inner.limiter.drain(call.action, call.region, inner.started.elapsed()),
                Remedy::CorrectClock => {
                    let theirs = reply.date.map_or(ahead, |date| date.as_millis().saturating_sub(ours.as_millis()));
                    inner.ahead_ms.store(theirs, Ordering::Relaxed);
                }
                _ => {}
            }
            return Err(failure);
        }
        if !reply.is_document {
            let what = "the answer is not a JSON object".to_owned();
            return Err(fail(CallError::Unreadable { call: self.name(&call), what }, Remedy::None));
        }
        let request_id = reply.request_id();
        Ok(Answer { document: reply.document, request_id })
    }

    fn failure(&self, call: &Call<'_>, reply: &Reply, code: String, message: String) -> Failure {
        let name = self.name(call);
        let remedy = remedy(reply.status, &code);
        let permission =
            (remedy == Remedy::Grant).then(|| reply.denied_action().unwrap_or_else(|| name.action.clone()));
        let (status, request_id) = (reply.status, reply.request_id());
        let refusal = Refusal { call: name, status, code, message, request_id, permission };
        Failure { error: CallError::Refused(Box::new(refusal)), remedy, asked: reply.retry_after }
    }
}

struct Failure {
    error: CallError,
    remedy: Remedy,
    asked: Option<Duration>,
}
