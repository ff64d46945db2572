//! Addresses in the service network: the lab's API and the collector.
//!
//! The processes of the lab listen on them, and the settings of the agents and of the collector name them.

/// Address of the lab's API in the service network.
pub const OPENAPI: &str = "100.100.0.2:80";
/// Address of the collector in the service network.
pub const COLLECTOR: &str = "100.100.0.10:7443";

/// URL of the lab's API for agents and the collector.
pub fn openapi_url() -> String {
    format!("http://{}", OPENAPI.trim_end_matches(":80"))
}
