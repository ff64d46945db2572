//! The lab: a small cloud on one machine. Accounts, VPCs and links are declared through an OpenAPI endpoint that speaks
//! the real wire protocol; network namespaces carry the packets. Agents and the collector run in it as separate real
//! processes.

pub mod bench;
pub mod causes;
pub mod cli;
pub mod cloud;
pub mod collector_toml;
pub mod demo;
pub mod desired;
pub mod diagnostics;
pub mod differential;
pub mod estate;
pub mod guest;
pub mod plane;
pub mod programs;
pub mod reach;
pub mod render;
pub mod run;
pub mod scenario;
pub mod service_network;
pub mod settings;
pub mod symbols;
pub mod topology;
pub mod tutorial;
pub mod walkthrough;
