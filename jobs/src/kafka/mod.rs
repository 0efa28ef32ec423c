//! Kafka: the same pipeline on a cluster, with any number of workers.
//!
//! In reading order: what is configured, how clients are made of it, the topics and who may use them; then the award
//! worker, from the loop down to the transaction, and what feeds it.

pub mod client;
pub mod config;
mod http;
mod token;

pub mod acl;
mod assignment;
mod changelog;
pub mod clock;
mod committer;
mod deliveries;
pub mod error;
pub mod feed;
mod head_start;
mod headers;
pub mod lake;
mod leave;
pub mod owned;
pub mod partition;
pub mod registry;
mod takeover;
pub mod topic_names;
mod topic_specs;
pub mod topics;
pub mod transaction;
pub mod worker;
mod worker_settings;

pub mod bare_loop;
