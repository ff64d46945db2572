//! Calls with everything around them: credentials, flow control, retries, the time given, typed errors.
//!
//! Every call here reads; none changes anything, so each may be repeated. What an answer means is decided by the
//! modules of the products.

use crate::{
    BuildError, CallError, CallName, Clock, CredentialError, Credentials, EndpointRule, Refusal, Signing,
    credentials::CredentialStore,
    endpoint::Product,
    error::{Remedy, is_throttling, remedy},
    http::{self, HttpRule},
    limiter::Limiter,
    retry,
    row::Row,
    signing::Params,
    wire::{self, Outgoing, Reply, WireError},
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

/// Calls in flight at once.
const IN_FLIGHT_MAX: usize = 8;
/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How a client works.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Whose configuration is read; names the account in errors and gaps.
    pub account: AccountId,
    /// Which hosts are asked.
    pub endpoint: EndpointRule,
    /// What requests are signed with.
    pub credentials: Credentials,
    /// Which signature is sent.
    pub signing: Signing,
    /// Time for one try of one call.
    pub try_timeout: Duration,
    /// Calls per second of one API in one region, beyond a burst of 20. The account's other tools draw on the same quota.
    pub calls_per_second: u32,
    /// Where the time comes from.
    pub clock: Clock,
}

/// Below every limit seen in the vendor's documents (`alibaba-cloud-api.md` §6).
pub const CALLS_PER_SECOND: u32 = 5;

impl ClientSettings {
    /// Settings with the usual signature, 5 s for a try, 5 calls per second and the system's clock.
    pub fn new(account: AccountId, endpoint: EndpointRule, credentials: Credentials) -> Self {
        let (signing, try_timeout) = (Signing::Acs3, Duration::from_secs(5));
        let calls_per_second = CALLS_PER_SECOND;
        Self { account, endpoint, credentials, signing, try_timeout, calls_per_second, clock: Clock::system() }
    }
}

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: AccountId,
    /// The user or role.
    pub arn: String,
    /// `RAMUser`, `AssumedRoleUser`, `Account`.
    pub kind: String,
}

struct Inner {
    settings: ClientSettings,
    http: reqwest::Client,
    credentials: CredentialStore,
    limiter: Limiter,
    in_flight: Semaphore,
    started: Instant,
    /// Milliseconds that the cloud's clock is ahead of ours, learned when it refuses our time.
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
    /// A client for one account.
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

    /// Whose configuration is read.
    pub fn account(&self) -> &AccountId {
        &self.0.settings.account
    }

    pub(crate) fn endpoint(&self) -> &EndpointRule {
        &self.0.settings.endpoint
    }

    /// Who the credentials belong to, as the cloud sees it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn caller_identity(&self, region: &RegionId, within: Duration) -> Result<CallerIdentity, CallError> {
        let call = Call { product: Product::Sts, action: "GetCallerIdentity", region, params: &Params::new() };
        let answer = self.call(call, Instant::now() + within).await?;
        let row = Row::new(&answer.document);
        let unreadable =
            |error: crate::row::RowError| CallError::Unreadable { call: self.name(&call), what: error.to_string() };
        Ok(CallerIdentity {
            account: row.id("AccountId").map_err(unreadable)?,
            arn: row.text("Arn").unwrap_or_default(),
            kind: row.text("IdentityType").unwrap_or_default(),
        })
    }

    /// Whether there is anything to sign with. A role is assumed here, and its credentials are kept for the calls to come.
    ///
    /// # Errors
    /// [`CredentialError`].
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

    /// Makes a call, again where that helps, until `deadline`.
    pub(crate) async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<Answer, CallError> {
        let (mut renewed, mut corrected) = (false, false);
        let mut retries = 0;
        let mut last = None;
        loop {
            let (error, asked) = match tokio::time::timeout_at(deadline, self.attempt(call)).await {
                // What was answered before says more than that the time ran out.
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
