//! Decides what the worker is measured against on the machine at hand: the loop that does the least that any worker on
//! Kafka with exactly-once can do. It consumes, decodes, and produces one record per upload in transactions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use schemas::{Record, Scratch};

use super::client::{ClientError, Connection};
use super::config::KafkaConfig;
use super::deliveries::UNTAGGED;
use super::error::{self, WorkerError};
use super::transaction::{TransactionError, TransactionalProducer};
use super::worker::list_of;

/// The size of the record produced for each upload, in bytes.
const OUTPUT_BYTES: usize = 120;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many records between two looks at the clock.
const RECORDS_A_LOOK: u64 = 64;

/// What it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct BareLoopCounts {
    /// Uploads decoded, one output record each.
    pub uploads: u64,
    /// Samples in them.
    pub samples: u64,
    /// Transactions committed.
    pub transactions: u64,
}

/// Runs over all that a topic holds now. The consumer group that the positions go to, and the transactional id, are
/// `name`; nobody else may use it.
///
/// # Errors
///
/// Whatever Kafka says.
pub fn run(
    kafka: &KafkaConfig,
    name: &str,
    input: &str,
    output: &str,
    partitions: i32,
    commit_interval: Duration,
) -> Result<BareLoopCounts, WorkerError> {
    let connection = Connection::new(kafka, "bare loop");
    let reading = |source| WorkerError::Kafka { doing: "reading input", source };
    let mut config = kafka.award_consumer();
    config.set("group.id", name);
    let consumer: BaseConsumer<Connection> =
        config.create_with_context(connection.clone()).map_err(ClientError::Setup)?;
    let mut positions = vec![0; usize::try_from(partitions).unwrap_or(0)];
    let mut ends = positions.clone();
    for (partition, end) in (0..partitions).zip(&mut ends) {
        *end = consumer.fetch_watermarks(input, partition, REQUEST_TIMEOUT).map_err(reading)?.1;
    }
    let list = list_of((0..partitions).map(|partition| (input, partition, Offset::Beginning))).map_err(reading)?;
    consumer.assign(&list).map_err(reading)?;
    let config = kafka.transactional_producer(name);
    let given_up = Arc::new(AtomicBool::new(false));
    let mut producer = TransactionalProducer::open(&config, connection, given_up).map_err(failed)?;

    let mut counts = BareLoopCounts::default();
    let (mut scratch, payload) = (Scratch::default(), [b'x'; OUTPUT_BYTES]);
    while positions != ends {
        producer.begin().map_err(failed)?;
        let began = Instant::now();
        while positions != ends {
            match consumer.poll(POLL_INTERVAL) {
                Some(Ok(message)) => {
                    let partition = message.partition();
                    positions[usize::try_from(partition).unwrap_or(0)] = message.offset() + 1;
                    let Ok(Record::Upload(upload)) = scratch.decode_avro(message.payload().unwrap_or_default()) else {
                        continue;
                    };
                    counts.uploads += 1;
                    counts.samples += upload.samples.len() as u64;
                    let record = BaseRecord::with_opaque_to(output, UNTAGGED).partition(partition);
                    producer.send(record.key(upload.member.as_bytes()).payload(&payload)).map_err(failed)?;
                }
                Some(Err(error)) if error::is_passing(&error) => {}
                Some(Err(source)) => return Err(reading(source)),
                None => {}
            }
            if counts.uploads.is_multiple_of(RECORDS_A_LOOK) && began.elapsed() >= commit_interval {
                break;
            }
        }
        let group = consumer.group_metadata().ok_or_else(|| reading(KafkaError::Canceled))?;
        let current = positions.iter().zip(0..).map(|(&position, partition)| (input, partition, position));
        producer.send_positions(current, &group).map_err(failed)?;
        producer.commit().map_err(failed)?;
        counts.transactions += 1;
    }
    Ok(counts)
}

fn failed(error: TransactionError) -> WorkerError {
    WorkerError::Kafka { doing: error.doing, source: error.source }
}
