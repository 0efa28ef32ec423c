//! Ayumi's specification, in one binary: what it promises, held against the core, the command, and real data.
//!
//! In reading order: the laws (`laws`, `purity`), the figures of real data (`figures`), the rules by example (`rules`),
//! what is refused (`bad_input`), crashes (`crashes`), the state as it is stored (`state`), the lake as others read it
//! (`lake`), and the same on a real Kafka (`kafka_…`, from the configuration to the worker).

mod support;

mod admin;
mod bad_input;
mod crashes;
mod figures;
mod kafka_client;
mod kafka_config;
mod kafka_harness;
mod kafka_pipeline;
mod kafka_registry;
mod kafka_rights;
mod kafka_topics;
mod kafka_worker;
mod lake;
mod laws;
mod purity;
mod rules;
mod state;
