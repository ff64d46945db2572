//! The lab: a small cloud on one machine. Accounts, VPCs and links are declared through an OpenAPI endpoint that speaks
//! the real wire; network namespaces carry the packets. Agents and collector run in it as separate real processes.

pub mod cloud;
pub mod desired;
pub mod guest;
pub mod plane;
