//! HTTP clients and size-limited reading of answers, for the API, the metadata service and credentials services.

use crate::BuildError;
use std::{sync::Once, time::Duration};

/// Maximum size in bytes of one uncompressed answer; a listing of 100 instances has about 500 kB.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;

/// Installs ring as the cryptography provider of the process; does nothing if a provider is already installed.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error only means that another part of the process installed its provider first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// What a client may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpRule {
    /// Whether https can occur; only then are the system's certificates needed.
    pub(crate) https: bool,
    /// Whether a proxy from the environment may be used.
    pub(crate) proxy: bool,
    /// Timeout for establishing the connection.
    pub(crate) connect: Duration,
    /// Timeout for one request including its answer.
    pub(crate) request: Duration,
}

pub(crate) fn client(rule: HttpRule) -> Result<reqwest::Client, BuildError> {
    install_crypto();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(rule.connect)
        .timeout(rule.request)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pingtong/", env!("CARGO_PKG_VERSION")));
    if !rule.https {
        builder = builder.tls_certs_only([]);
    }
    if !rule.proxy {
        builder = builder.no_proxy();
    }
    builder.build().map_err(BuildError::Http)
}

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The connection broke.
    Broken(reqwest::Error),
    /// The body is longer than allowed.
    TooLong,
}

/// Reads a body of at most `bytes_max` bytes.
pub(crate) async fn body(mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(BodyError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
