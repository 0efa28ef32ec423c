//! Kafka: the same pipeline on a cluster, with any number of workers.
//!
//! In reading order: what is configured, how clients are made of it, the topics and who may use them; then the award
//! worker, from the loop down to the transaction, and what feeds it.

pub mod config;
pub mod client;
mod http;
mod token;

pub mod topic_names;
mod topic_specs;
pub mod topics;
pub mod acl;
pub mod registry;
pub mod error;
pub mod worker;
mod assignment;
mod takeover;
mod changelog;
mod head_start;
pub mod owned;
pub mod partition;
mod headers;
mod committer;
pub mod transaction;
pub mod lake;
pub mod feed;
pub mod clock;
mod deliveries;

pub mod bare_loop;
