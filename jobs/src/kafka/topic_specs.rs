//! Decides how each topic must be set up: partitions, copies, and the settings that Ayumi's promises or its disk space
//! rest on. Creating them and comparing them with a cluster is `topics`' work.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::transport::{InputTopic, OutputTopic, RECORD_BYTES_MAX};

use super::client::PRODUCED_BYTES_MAX;
use super::config::KafkaConfig;
use super::topic_names::CHANGELOG;

/// A topic as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name on the cluster.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many copies of each.
    pub replication_factor: i32,
    /// Settings under Kafka's names. What is not among them is the cluster's to decide.
    pub settings: BTreeMap<&'static str, String>,
}

/// What goes around a record of the largest size: its key, headers, and the batch.
const AROUND_RECORD_BYTES: usize = 64 * 1024;
/// A retention can't be more exact than a segment is long; shorter ones cost open files for as long as records are kept.
const SEGMENT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Only closed segments are compacted, so those of the changelog are closed early.
const CHANGELOG_SEGMENT: Duration = Duration::from_secs(24 * 60 * 60);
const CHANGELOG_SEGMENT_BYTES: usize = 64 * 1024 * 1024;

/// All topics, as this configuration wants them.
pub fn specs(config: &KafkaConfig) -> Vec<TopicSpec> {
    let inputs = InputTopic::ALL.into_iter().map(|topic| (topic.name(), input(topic, config)));
    let outputs = OutputTopic::ALL.into_iter().map(|topic| (topic.name(), output(topic, config)));
    let all = inputs.chain(outputs).chain([(CHANGELOG, changelog(config))]);
    let spec = |(name, own): (&str, Vec<(&'static str, String)>)| TopicSpec {
        name: config.topic(name),
        partitions: config.partitions,
        replication_factor: config.replication_factor,
        settings: common(config).into_iter().chain(own).collect(),
    };
    all.map(spec).collect()
}

/// What no topic can do without: a record that was acknowledged is on as many copies as configured, and a copy that
/// lacks it never leads.
fn common(config: &KafkaConfig) -> Vec<(&'static str, String)> {
    vec![
        ("min.insync.replicas", config.min_insync_replicas.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ]
}

/// Kept by time alone: `None` is for ever, whatever the cluster's defaults are.
fn kept_for(retention: Option<Duration>) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention.map_or_else(|| "-1".to_owned(), |time| time.as_millis().to_string())),
        ("retention.bytes", "-1".to_owned()),
        ("segment.ms", SEGMENT.as_millis().to_string()),
    ]
}

fn input(topic: InputTopic, config: &KafkaConfig) -> Vec<(&'static str, String)> {
    let retention = match topic {
        InputTopic::Steps | InputTopic::Checkins | InputTopic::Records | InputTopic::Members => config.retention.inputs,
        // A line a day, and the rules: no one's data, and a new lake needs them from the beginning.
        InputTopic::Clock | InputTopic::Programmes | InputTopic::Inputs => None,
    };
    let mut settings = kept_for(retention);
    // Time counts from when a record came into the topic. By its producer's time, a replay of last season's files would
    // be deleted as it is written.
    settings.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    settings.push(("max.message.bytes", (RECORD_BYTES_MAX + AROUND_RECORD_BYTES).to_string()));
    settings
}

fn output(topic: OutputTopic, config: &KafkaConfig) -> Vec<(&'static str, String)> {
    let retention = match topic {
        OutputTopic::Entries => config.retention.entries,
        OutputTopic::DailyTotals | OutputTopic::Rejections | OutputTopic::Notices | OutputTopic::Accounting => {
            config.retention.outputs
        }
    };
    let mut settings = kept_for(retention);
    // A rejection holds the record that it refuses.
    settings.push(("max.message.bytes", PRODUCED_BYTES_MAX.to_string()));
    settings
}

fn changelog(config: &KafkaConfig) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "compact".to_owned()),
        ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        // A store that is older may have missed a deletion, and starts anew.
        ("delete.retention.ms", config.retention.tombstones.as_millis().to_string()),
        ("segment.ms", CHANGELOG_SEGMENT.as_millis().to_string()),
        ("segment.bytes", CHANGELOG_SEGMENT_BYTES.to_string()),
        // A fact that waits for its member's enrolment is kept whole.
        ("max.message.bytes", PRODUCED_BYTES_MAX.to_string()),
    ]
}
