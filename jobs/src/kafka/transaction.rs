//! Decides how a transaction is written to Kafka, and what its failure means.
//!
//! Guarantees: what is sent between `begin` and `commit` becomes visible together or not at all. Does not guarantee: that a
//! transaction whose commit failed has not become visible; whoever began it reads again what is committed. On failure:
//! librdkafka does not implement KIP-890, so a late request of an old transaction could end the next one. After any
//! failure, or no answer in time, the producer is therefore given up: a new one of the same transactional id bumps the
//! epoch, which fences all late requests and ends the open transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use thiserror::Error;

use crate::transport::Transaction;

use super::changelog::MARKER_KEY;
use super::client::Connection;
use super::deliveries::{CountedProducer, UNTAGGED, tag};
use super::topic_names::TopicNames;

/// Why a transaction did not come about, as far as is known.
#[derive(Debug, Error)]
#[error("{doing}: {source}")]
pub struct TransactionError {
    /// What was being done: `committing`.
    pub doing: &'static str,
    /// What librdkafka says.
    pub source: KafkaError,
}

fn error(doing: &'static str) -> impl Fn(KafkaError) -> TransactionError {
    move |source| TransactionError { doing, source }
}

impl TransactionError {
    /// Whether trying again can't help, and what would.
    pub fn remedy(&self) -> Option<&'static str> {
        use RDKafkaErrorCode as Code;
        match self.source.rdkafka_error_code()? {
            Code::TopicAuthorizationFailed => Some("let this user write the output topics and the changelog"),
            Code::TransactionalIdAuthorizationFailed => Some("let this user write and describe its transactional id"),
            Code::GroupAuthorizationFailed => Some("let this user read the consumer group"),
            Code::ClusterAuthorizationFailed => Some("let this user write idempotently (IDEMPOTENT_WRITE)"),
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => Some(
                "raise max.message.bytes of the output topics and of the changelog; `ayumi topics create` shows to what",
            ),
            Code::InvalidTransactionTimeout => {
                Some("raise transaction.max.timeout.ms of the brokers to at least 10000")
            }
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                Some("make the missing topics with `ayumi topics create`")
            }
            _ => None,
        }
    }
}

/// A single call is given up after so long; it is repeated if that is allowed.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Deliveries come in, or fail, within `message.timeout.ms`, which is 8 s.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The records of a transaction are sent in one go: waiting for more would only hold up its commit.
const LINGER_MILLIS: &str = "1";
/// The coordinator puts a transaction off while it still writes the markers of the one before, which takes milliseconds; by
/// default librdkafka would come back after 100 ms. The pauses grow if it takes longer.
const RETRY_BACKOFF_MILLIS: &str = "5";

/// A producer that writes in transactions. After any error it is of no more use.
pub(super) struct TransactionalProducer {
    producer: CountedProducer,
    is_given_up: Arc<AtomicBool>,
}

impl TransactionalProducer {
    /// Makes one, and initialises it for as long as that takes, or until it is given up. The transaction that its former
    /// self had open has ended then.
    pub fn open(
        config: &ClientConfig,
        connection: Connection,
        is_given_up: Arc<AtomicBool>,
    ) -> Result<Self, TransactionError> {
        let mut config = config.clone();
        config.set("linger.ms", LINGER_MILLIS);
        config.set("retry.backoff.ms", RETRY_BACKOFF_MILLIS);
        let producer = CountedProducer::open(config, connection, DELIVERY_TIMEOUT)?;
        let producer = TransactionalProducer { producer, is_given_up };
        producer
            .repeat(|| producer.producer.inner().init_transactions(CALL_TIMEOUT))
            .map_err(error("initialising transactions"))?;
        Ok(producer)
    }

    /// Begins a transaction.
    pub fn begin(&self) -> Result<(), TransactionError> {
        self.producer.inner().begin_transaction().map_err(error("beginning a transaction"))
    }

    /// Sends a marker into a partition's changelog.
    pub fn mark(&mut self, changelog: &str, partition: i32) -> Result<(), TransactionError> {
        let record = BaseRecord::with_opaque_to(changelog, tag(partition)).partition(partition);
        self.send(record.key(MARKER_KEY).payload(&[][..]))
    }

    /// Sends what a partition appends: its outputs, then the changes of its state.
    pub fn append(
        &mut self,
        names: &TopicNames,
        partition: i32,
        transaction: &Transaction,
    ) -> Result<(), TransactionError> {
        for (topic, key, payload) in transaction.outputs.iter() {
            let record = BaseRecord::with_opaque_to(names.output(topic), UNTAGGED).partition(partition);
            self.send(record.key(key).payload(payload))?;
        }
        let mut changes = transaction.changes.iter().peekable();
        while let Some((key, value)) = changes.next() {
            let opaque = if changes.peek().is_none() { tag(partition) } else { UNTAGGED };
            let record = BaseRecord::with_opaque_to(names.changelog(), opaque).partition(partition).key(key);
            self.send(match value {
                Some(value) => record.payload(value),
                None => record,
            })?;
        }
        Ok(())
    }

    /// Sends a record.
    pub fn send(&mut self, record: BaseRecord<'_, [u8], [u8], usize>) -> Result<(), TransactionError> {
        self.producer.send(record)
    }

    /// Sends the positions of a consumer group's topics, as its member.
    pub fn send_positions<'p>(
        &self,
        positions: impl Iterator<Item = (&'p str, i32, i64)>,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), TransactionError> {
        let failed = error("sending the input positions");
        let mut offsets = TopicPartitionList::new();
        for (topic, partition, position) in positions {
            offsets.add_partition_offset(topic, partition, Offset::Offset(position)).map_err(&failed)?;
        }
        self.repeat(|| self.producer.inner().send_offsets_to_transaction(&offsets, group, Timeout::Never))
            .map_err(&failed)
    }

    /// Commits, and gives the offsets after the tagged records.
    pub fn commit(&self) -> Result<Vec<(i32, i64)>, TransactionError> {
        let ends = self.producer.await_deliveries()?;
        // "Never", as librdkafka asks for: its own state could not be told after a time-out.
        self.repeat(|| self.producer.inner().commit_transaction(Timeout::Never)).map_err(error("committing"))?;
        Ok(ends)
    }

    /// Repeats a call while that is what its error asks for.
    fn repeat(&self, call: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
        loop {
            match call() {
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !self.is_given_up.load(Ordering::Acquire) => {}
                result => return result,
            }
        }
    }
}
