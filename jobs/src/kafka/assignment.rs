//! Decides how a worker learns which partitions are its own, and whether the topics allow it at all.
//!
//! The group's coordinator speaks while the consumer is polled. What it says is only noted here; the worker acts on it
//! between two records, and then tells librdkafka that it did (assign, unassign). Partition p of every input topic belongs
//! to one worker, because all topics have the same number of partitions and every member reads all of them (range).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::client::Connection;
use super::topic_names::TopicNames;

/// What the coordinator has said.
#[derive(Debug)]
pub(super) enum GroupNews {
    /// These partitions, of all input topics, are this worker's. Answer with `assign`.
    Assigned(Vec<(String, i32)>),
    /// All partitions are to be given back. Answer with `unassign`.
    Revoked,
}

/// The consumer's context.
pub(super) struct GroupContext {
    connection: Connection,
    news: Mutex<VecDeque<GroupNews>>,
    is_closing: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(connection: Connection) -> Self {
        GroupContext { connection, news: Mutex::default(), is_closing: AtomicBool::new(false) }
    }

    /// The connection behind it.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether there is news.
    pub(super) fn has_news(&self) -> bool {
        !self.news.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The next news.
    pub(super) fn news(&self) -> Option<GroupNews> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// From here on nobody acts on news; what the consumer needs for closing is answered at once.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_assigned = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.is_closing.load(Ordering::Acquire) {
            // Its failure is the end of an assignment that ends anyway.
            let _ = if is_assigned { consumer.assign(list) } else { consumer.unassign() };
            return;
        }
        let news = if is_assigned {
            let elements = list.elements();
            let partitions = elements.iter().map(|element| (element.topic().to_owned(), element.partition()));
            GroupNews::Assigned(partitions.collect())
        } else {
            GroupNews::Revoked
        };
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push_back(news);
    }
}

impl ClientContext for GroupContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Connection::ENABLE_REFRESH_OAUTH_TOKEN;

    fn stats(&self, statistics: Statistics) {
        self.connection.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.connection.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.connection.generate_oauth_token(config)
    }
}

/// The partitions of an assignment, each of which must be there in every input topic.
///
/// # Errors
///
/// What does not fit together: topics were changed while workers ran, or workers of different versions are in the group.
pub(super) fn co_partitioned(assigned: &[(String, i32)], names: &TopicNames) -> Result<Vec<i32>, String> {
    let mut by_topic: BTreeMap<&str, BTreeSet<i32>> = names.inputs().map(|name| (name, BTreeSet::new())).collect();
    for (topic, partition) in assigned {
        by_topic.entry(topic).or_default().insert(*partition);
    }
    let mut sets = by_topic.iter();
    let Some((first, partitions)) = sets.next() else { return Ok(Vec::new()) };
    for (topic, others) in sets {
        if others != partitions {
            return Err(format!(
                "this worker was given partitions {partitions:?} of {first} but {others:?} of {topic}: all input topics must \
                 have the same number of partitions, and all workers of the group the same version"
            ));
        }
    }
    Ok(partitions.iter().copied().collect())
}

/// The number of partitions that all topics have.
///
/// # Errors
///
/// Which topics are missing or differ.
pub(super) fn partition_count(metadata: &Metadata, names: &TopicNames) -> Result<i32, String> {
    let counts: BTreeMap<&str, usize> =
        metadata.topics().iter().map(|topic| (topic.name(), topic.partitions().len())).collect();
    let wanted: Vec<&str> = names.inputs().chain(names.outputs()).chain([names.changelog()]).collect();
    let count_of = |name: &str| counts.get(name).copied().filter(|&count| count > 0);
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| count_of(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(format!("these topics are missing, or this user may not see them: {}", missing.join(", ")));
    }
    let changelog = count_of(names.changelog()).unwrap_or(0);
    let differing: Vec<String> = wanted
        .iter()
        .filter_map(|name| {
            count_of(name).filter(|&count| count != changelog).map(|count| format!("{name} has {count}"))
        })
        .collect();
    if !differing.is_empty() {
        let changelog_name = names.changelog();
        return Err(format!(
            "all topics must have the same number of partitions, but {changelog_name} has {changelog} and {}; partitions \
             can't be added later, since members would move to others",
            differing.join(", ")
        ));
    }
    i32::try_from(changelog).map_err(|_| format!("{changelog} partitions are too many"))
}
