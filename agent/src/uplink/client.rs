//! HTTP client of the collector: plan, hello and reports over TLS, trusting exactly one certificate.
//!
//! It makes each request once and classifies its failure. Retries and the spool are the business of `plan_watch` and
//! `uplink`. Address, certificate and credential come from the settings.

use crate::settings::Settings;
use pingtong_evidence::{Ack, AgentHello, Plan};
use reqwest::{Certificate, Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// TCP keepalive interval. When a guest's firewall begins to track connections, it passes replies only on connections
/// where it has seen an outgoing packet. During a long poll the keepalive is that packet, in time for the response.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How long the collector may hold a plan request if there is nothing new.
const PLAN_WAIT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The HTTP client could not be built with the certificate of the settings.
    #[error("cannot use the certificate in the settings; enroll this agent again")]
    Certificate(#[source] reqwest::Error),
    /// No response, or the connection broke.
    #[error(
        "no answer from the collector at {url}; check that \"pingtong serve\" runs there and that this host reaches it"
    )]
    Unreachable {
        /// Base URL of the collector.
        url: String,
        /// The transport error.
        #[source]
        source: reqwest::Error,
    },
    /// The credential was refused.
    #[error("the collector refused this agent's credential ({0}); enroll it again")]
    Refused(StatusCode),
    /// Any other HTTP error status.
    #[error("the collector answered {status}: {text}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// Response body, truncated to 300 characters.
        text: String,
    },
    /// The response cannot be parsed.
    #[error("the collector's answer cannot be read; is its version newer than this agent's?")]
    Malformed(#[source] serde_json::Error),
    /// The response exceeds the size limit.
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
    /// Creates a client for the collector of the settings.
    ///
    /// # Errors
    /// [`CollectorError::Certificate`] if the certificate is invalid or the HTTP client cannot be built with it.
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
            bearer: format!("{}.{}", settings.agent, settings.secret.expose_secret()),
        })
    }

    /// Fetches the plan. With `known`, the collector may hold the request until the plan has another revision.
    ///
    /// # Errors
    /// [`CollectorError`] if there is no response, the collector refuses, or the response is too long or cannot be
    /// parsed.
    pub async fn plan(&self, known: Option<u64>) -> Result<Plan, CollectorError> {
        let query = match known {
            Some(revision) => format!("known={revision}&wait_ms={}", PLAN_WAIT.as_millis()),
            None => String::from("wait_ms=0"),
        };
        let body = self.ask(Method::GET, &format!("/v1/plan?{query}"), None, PLAN_WAIT + ANSWER_TIMEOUT).await?;
        read(&body)
    }

    /// Introduces this agent to the collector.
    ///
    /// # Errors
    /// [`CollectorError`] if there is no response, the collector refuses, or the response is too long.
    pub async fn hello(&self, hello: &AgentHello) -> Result<(), CollectorError> {
        let body = serde_json::to_string(hello).map_err(CollectorError::Malformed)?;
        self.ask(Method::POST, "/v1/hello", Some(body), ANSWER_TIMEOUT).await.map(drop)
    }

    /// Sends a batch of reports (JSON); returns what the collector accepted and rejected.
    ///
    /// # Errors
    /// [`CollectorError`] if there is no response, the collector refuses, or the response is too long or cannot be
    /// parsed.
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
