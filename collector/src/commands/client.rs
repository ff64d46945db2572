//! Requests of a command to the running `serve`: one request over TLS that trusts only the certificate in the data
//! directory.

use crate::{
    data_dir::{DataDir, DataDirError},
    server::{RefusalBody, SnapshotsReply, SnapshotsRequest, VerifyRequest},
    settings::{NoService, Settings},
};
use pingtong_evidence::{SCHEMA, Snapshot};
use pingtong_verdict::Bundle;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, time::Duration};

/// Time allowed beyond the wait for agents: to connect, to wait for one earlier request, and to read the store.
const MARGIN: Duration = Duration::from_secs(30);
/// Further time for links that many pairs share: their probes stay within the link's narrow budget and so take minutes.
const BUDGET_MARGIN: Duration = Duration::from_mins(10);
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The settings name no service.
    #[error(transparent)]
    Service(#[from] NoService),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// No process listens at the address.
    #[error("no collector answers at {url}; start it with \"pingtong serve\" and the same --config and --data")]
    NotRunning {
        /// URL of the collector.
        url: String,
        /// The HTTP client's error.
        #[source]
        source: reqwest::Error,
    },
    /// Another server listens at the address.
    #[error(
        "whoever answers at {url} shows another certificate than \"{certificate}\"; give the --data of the server that runs there, or stop the other program"
    )]
    OtherCertificate {
        /// URL of the collector.
        url: String,
        /// Path of the certificate that is trusted.
        certificate: String,
        /// The HTTP client's error.
        #[source]
        source: reqwest::Error,
    },
    /// The answer was incomplete or could not be read.
    #[error("the collector at {url} gave no usable answer; its log says more")]
    Broken {
        /// URL of the collector.
        url: String,
        /// The HTTP client's error.
        #[source]
        source: reqwest::Error,
    },
    /// The collector refused the request for a reason that the user can fix.
    #[error("{0}")]
    Refused(String),
    /// The collector failed to serve the request.
    #[error("the collector failed with status {status}: {text}")]
    Failed {
        /// The HTTP status.
        status: StatusCode,
        /// The error text that it returned.
        text: String,
    },
}

/// Asks the collector for fresh evidence about each pair.
///
/// # Errors
/// If the settings define no service, the data directory cannot be used, the collector does not answer, or it refuses
/// or fails.
pub(crate) async fn ask(settings: &Settings, dir: &DataDir, request: &VerifyRequest) -> Result<Bundle, ClientError> {
    let within = Duration::from_millis(request.wait_ms) + MARGIN + BUDGET_MARGIN;
    post(settings, dir, "/v1/verify", request, within).await
}

/// Hands a snapshot over to the collector, which stores it.
///
/// # Errors
/// As for [`ask`].
pub(crate) async fn hand_over(settings: &Settings, dir: &DataDir, snapshot: &Snapshot) -> Result<(), ClientError> {
    let request = SnapshotsRequest { schema: SCHEMA, snapshots: vec![snapshot.clone()] };
    post::<SnapshotsReply>(settings, dir, "/v1/snapshots", &request, MARGIN).await.map(drop)
}

async fn post<Reply: DeserializeOwned>(
    settings: &Settings,
    dir: &DataDir,
    path: &str,
    request: &impl Serialize,
    within: Duration,
) -> Result<Reply, ClientError> {
    let url = settings.service()?.url.as_str();
    let broken = |source| ClientError::Broken { url: url.to_owned(), source };
    let certificate = reqwest::Certificate::from_pem(dir.certificate_pem()?.as_bytes()).map_err(broken)?;
    let client = reqwest::Client::builder()
        .tls_certs_only([certificate])
        .no_proxy()
        .connect_timeout(CONNECT_WAIT)
        .timeout(within)
        .build()
        .map_err(broken)?;
    let sent =
        client.post(format!("{url}{path}")).bearer_auth(dir.admin_token()?.expose_secret()).json(request).send().await;
    let response = sent.map_err(|source| {
        let url = url.to_owned();
        if is_certificate_error(&source) {
            ClientError::OtherCertificate { url, certificate: dir.certificate_path().display().to_string(), source }
        } else if source.is_connect() {
            ClientError::NotRunning { url, source }
        } else {
            ClientError::Broken { url, source }
        }
    })?;
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(broken);
    }
    let text = response.text().await.map_err(broken)?;
    let text = serde_json::from_str::<RefusalBody>(&text).map_or(text, |body| body.error);
    if status.is_client_error() { Err(ClientError::Refused(text)) } else { Err(ClientError::Failed { status, text }) }
}

/// Whether the error is about a certificate. Also looks inside `io::Error`, whose `source()` skips the error that it
/// wraps.
fn is_certificate_error(error: &(dyn Error + 'static)) -> bool {
    if matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_))) {
        return true;
    }
    let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    carried.is_some_and(|inner| is_certificate_error(inner)) || error.source().is_some_and(is_certificate_error)
}
