//! Decides how facts get into the input topics: keyed by member, so that all topics' partition p has the same members, with
//! what is known of their origin in the headers.
//!
//! Guarantees: what [`InputProducer::flush`] returned for is on as many brokers as the topics ask for, each record once
//! however often it was sent over the network. Does not guarantee: anything across a restart of the process; what is sent
//! again is a repeat, which the core counts and which changes no ledger. On failure: the first record that can't be
//! written ends the producer; those before it may be written.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer};
use schemas::Record;

use crate::transport::{Format, InputTopic};

use super::client::{ClientError, Connection};
use super::config::KafkaConfig;
use super::deliveries::{CountedProducer, UNTAGGED};
use super::error::WorkerError;
use super::headers;
use super::topic_names::TopicNames;
use super::transaction::TransactionError;

/// librdkafka gives a record up after `message.timeout.ms`, five minutes.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(6 * 60);

/// Writes facts into the input topics.
pub struct InputProducer {
    producer: CountedProducer,
    connection: Connection,
    names: TopicNames,
}

/// A fact to send.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    /// Where it belongs, see [`topic_of`].
    pub topic: InputTopic,
    /// Decides the partition; empty where it could not be told.
    pub member: &'a str,
    /// How to read it.
    pub format: Format,
    /// The file that it comes from.
    pub file: Option<&'a str>,
    /// Its line or number there, from 1.
    pub line: Option<i64>,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// The topic that a record read from a file belongs to. What is no record, or may not come from a file, goes where it is
/// refused.
pub fn topic_of(record: Option<&Record<'_>>) -> InputTopic {
    match record {
        Some(Record::Upload(_)) => InputTopic::Steps,
        Some(Record::Member(_)) => InputTopic::Members,
        Some(Record::Other { type_name: "checkin", .. }) => InputTopic::Checkins,
        Some(Record::Other { type_name: "order" | "decision", .. }) => InputTopic::Members,
        _ => InputTopic::Records,
    }
}

impl InputProducer {
    /// A producer; Kafka need not answer yet.
    ///
    /// # Errors
    ///
    /// If no client can be made of the configuration.
    pub fn open(kafka: &KafkaConfig) -> Result<InputProducer, WorkerError> {
        let connection = Connection::new(kafka, "input producer");
        let producer = CountedProducer::open(kafka.input_producer(), connection.clone(), DELIVERY_TIMEOUT)
            .map_err(|error| ClientError::Setup(error.source))?;
        Ok(InputProducer { producer, connection, names: TopicNames::of(kafka) })
    }

    /// Sends a fact; waits while too much is under way.
    ///
    /// # Errors
    ///
    /// Why this or an earlier record can't be written, and what would help.
    pub fn send(&mut self, fact: &Fact<'_>) -> Result<(), WorkerError> {
        let mut record = BaseRecord::with_opaque_to(self.names.input(fact.topic), UNTAGGED);
        record.headers = headers::description(fact.format, fact.file, fact.line);
        self.producer.send(record.key(fact.member.as_bytes()).payload(fact.payload)).map_err(failed)
    }

    /// Sends a record into every partition of a topic: a programme version.
    ///
    /// # Errors
    ///
    /// As [`InputProducer::send`]; and if Kafka refuses to say how many partitions there are, or `is_stopping` says so while
    /// waiting for it.
    pub fn broadcast(
        &mut self,
        topic: InputTopic,
        payload: &[u8],
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<(), WorkerError> {
        let name = self.names.input(topic);
        // A threaded producer polls itself.
        let client = self.producer.inner().client();
        let metadata = self.connection.metadata(client, Some(name), &|| (), is_stopping)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if partitions == 0 {
            return Err(WorkerError::Topics(format!("{name} is missing, or this user may not see it")));
        }
        for partition in (0..).take(partitions) {
            let record = BaseRecord::with_opaque_to(name, UNTAGGED).partition(partition);
            self.producer
                .send(BaseRecord { headers: None::<OwnedHeaders>, key: None, ..record.payload(payload) })
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until all is acknowledged.
    ///
    /// # Errors
    ///
    /// As [`InputProducer::send`].
    pub fn flush(&self) -> Result<(), WorkerError> {
        self.producer.await_deliveries().map(drop).map_err(failed)
    }
}

fn failed(error: TransactionError) -> WorkerError {
    let remedy = match error.remedy() {
        Some(remedy) => remedy,
        None if matches!(error.source, KafkaError::MessageProduction(_)) => {
            "see whether all brokers are up, and start again"
        }
        None => return WorkerError::Kafka { doing: error.doing, source: error.source },
    };
    WorkerError::Refused { doing: error.doing, source: error.source, remedy }
}
