//! Client of the Alibaba Cloud OpenAPI, limited to the configuration that a network path depends on: signing,
//! credentials, the metadata service, and [`gather`], which reads one account in one region into a
//! [`pingtong_evidence::Snapshot`].
//!
//! All calls only read; no call changes anything in an account. The vendor's wire format stays inside this crate and is
//! not public. What a configuration means for a packet is not decided here.

mod access_key;
mod choice;
mod client;
mod clock;
mod core_dump;
mod credentials;
mod ecs;
mod endpoint;
mod error;
#[cfg(test)]
mod fuzz;
mod gather;
mod http;
mod import;
mod interconnect;
mod limiter;
mod listing;
mod metadata;
mod policy;
mod reading;
mod records;
mod retry;
mod row;
mod rule;
#[cfg(test)]
mod samples;
mod settings;
mod sharing;
pub mod signing;
mod summary;
mod survey;
mod vpc;
mod wire;

pub use access_key::AccessKey;
pub use choice::{Choice, ChoiceError};
pub use client::{CALLS_PER_SECOND, CallerIdentity, Client, ClientSettings};
pub use clock::Clock;
pub use core_dump::keep_out_of_core_dumps;
pub use credentials::{AssumedRole, Credentials};
pub use endpoint::{EndpointRule, Product};
pub use error::{BuildError, CallError, CallName, CredentialError, Refusal};
pub use gather::{GatherScope, Progress, Watch, gather, gather_watched, permissions};
pub use http::install_crypto;
pub use import::{FileProblem, ImportError, read_directory};
pub use metadata::{MetadataClient, MetadataError};
pub use policy::{COLLECTOR_ROLE, PolicyError, account_trust, assume_policy, instance_trust, read_policy};
pub use secrecy::SecretString;
pub use settings::SettingsError;
pub use sharing::RedactionKey;
pub use signing::Signing;
pub use summary::{Bilingual, progress, summary};
pub use survey::{Survey, SurveyError};
