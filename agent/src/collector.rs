//! The collector as an agent sees it: three requests over TLS, trusting exactly one certificate.

use crate::settings::Settings;
use pingtong_evidence::{Ack, AgentHello, Plan};
use reqwest::{Certificate, Method, StatusCode};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A guest's firewall that begins to track connections passes replies only of those that it saw us send on: this is what
/// it sees of a long poll, in time for the answer.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How long the collector may hold a plan request that has nothing new.
const PLAN_WAIT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer taken.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The client could not be made.
    #[error("cannot use the certificate in the settings; enroll this agent again")]
    Certificate(#[source] reqwest::Error),
    /// No answer.
    #[error(
        "no answer from the collector at {url}; check that \"pingtong serve\" runs there and that this host reaches it"
    )]
    Unreachable {
        /// Its base.
        url: String,
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// The credential was refused.
    #[error("the collector refused this agent's credential ({0}); enroll it again")]
    Refused(StatusCode),
    /// Another refusal.
    #[error("the collector answered {status}: {text}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// Its words, cut short.
        text: String,
    },
    /// An answer that cannot be read.
    #[error("the collector's answer cannot be read; is its version newer than this agent's?")]
    Malformed(#[source] serde_json::Error),
    /// An answer beyond the bound.
    #[error("the collector's answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

/// A client of one collector.
#[derive(Debug, Clone)]
pub struct Collector {
    http: reqwest::Client,
    base: String,
    bearer: String,
}

impl Collector {
    /// For the collector of the settings.
    ///
    /// # Errors
    /// [`CollectorError::Certificate`].
    pub fn new(settings: &Settings) -> Result<Self, CollectorError> {
        pingtong_cloud::install_crypto();
        let certificate =
            Certificate::from_pem(settings.certificate.as_bytes()).map_err(CollectorError::Certificate)?;
        let http = reqwest::Client::builder()
            .tls_certs_only([certificate])
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .build()
            .map_err(CollectorError::Certificate)?;
        Ok(Self {
            http,
            base: settings.collector.clone(),
            bearer: format!("{}.{}", settings.agent, settings.secret.reveal()),
        })
    }

    /// The plan; with `known` the collector may wait for another revision.
    ///
    /// # Errors
    /// [`CollectorError`].
    pub async fn plan(&self, known: Option<u64>) -> Result<Plan, CollectorError> {
        let query = match known {
            Some(revision) => format!("known={revision}&wait_ms={}", PLAN_WAIT.as_millis()),
            None => String::from("wait_ms=0"),
        };
        let body = self.ask(Method::GET, &format!("/v1/plan?{query}"), None, PLAN_WAIT + ANSWER_TIMEOUT).await?;
        read(&body)
    }

    /// Introduces this agent.
    ///
    /// # Errors
    /// [`CollectorError`].
    pub async fn hello(&self, hello: &AgentHello) -> Result<(), CollectorError> {
        let body = serde_json::to_string(hello).map_err(CollectorError::Malformed)?;
        self.ask(Method::POST, "/v1/hello", Some(body), ANSWER_TIMEOUT).await.map(drop)
    }

    /// Hands reports over.
    ///
    /// # Errors
    /// [`CollectorError`].
    pub async fn reports(&self, batch: String) -> Result<Ack, CollectorError> {
        read(&self.ask(Method::POST, "/v1/reports", Some(batch), ANSWER_TIMEOUT).await?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        timeout: Duration,
    ) -> Result<Vec<u8>, CollectorError> {
        let unreachable = |source| CollectorError::Unreachable { url: self.base.clone(), source };
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).timeout(timeout).bearer_auth(&self.bearer);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = vec![];
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if (bytes.len() + chunk.len()) as u64 > ANSWER_BYTES_MAX {
                return Err(CollectorError::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        match status {
            status if status.is_success() => Ok(bytes),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CollectorError::Refused(status)),
            status => {
                let text = String::from_utf8_lossy(&bytes).chars().take(300).collect();
                Err(CollectorError::Status { status, text })
            }
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CollectorError> {
    serde_json::from_slice(body).map_err(CollectorError::Malformed)
}
