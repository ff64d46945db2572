//! Client of the Alibaba Cloud OpenAPI, limited to the configuration that a network path depends on: signing,
//! credentials, the metadata service, and [`gather`], which reads one account in one region into a
//! [`pingtong_evidence::Snapshot`].
//!
//! All calls only read; no call changes anything in an account. The vendor's wire format stays inside this crate and is
//! not public. What a configuration means for a packet is not decided here.

mod client;
mod credentials;
mod error;
mod gather;
mod import;
mod policy;
mod sharing;
pub mod signing;
#[cfg(test)]
mod tests;
mod transport;

pub use client::{CALLS_PER_SECOND, CallerIdentity, Client, ClientSettings};
pub use credentials::choice::{Choice, ChoiceError};
pub use credentials::core_dump::keep_out_of_core_dumps;
pub use credentials::metadata::{MetadataClient, MetadataError};
pub use credentials::settings::SettingsError;
pub use credentials::{AssumedRole, Credentials};
pub use error::{BuildError, CallError, CallName, CredentialError, Refusal};
pub use gather::summary::{Bilingual, progress, summary};
pub use gather::survey::{Survey, SurveyError};
pub use gather::{GatherScope, Progress, Watch, gather, gather_watched, permissions};
pub use import::{FileProblem, ImportError, read_directory};
pub use policy::{COLLECTOR_ROLE, PolicyError, account_trust, assume_policy, instance_trust, read_policy};
pub use secrecy::SecretString;
pub use sharing::RedactionKey;
pub use signing::Signing;
pub use transport::access_key::AccessKey;
pub use transport::clock::Clock;
pub use transport::endpoint::{EndpointRule, Product};
pub use transport::http::install_crypto;
