//! Decides how a transaction is written to Kafka, and what its failure means. A thread of its own owns the transactional
//! producer, so that the worker goes on deciding while a transaction is under way.
//!
//! Guarantees: outputs, changes of the state and input positions of one [`Batch`] become visible together or not at all.
//! Does not guarantee: that a batch whose commit failed has not become visible; whoever gave it reads again what is
//! committed. On failure: librdkafka does not implement KIP-890, so a late request of an old transaction could end the next
//! one. After any failure, or no answer in time, the producer is therefore given up: a new one of the same transactional
//! id bumps the epoch, which fences all late requests and ends the open transaction. The old one is dropped on its own
//! thread, which may take its time or hang.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use thiserror::Error;

use crate::transport::{InputTopic, Transaction};

use super::changelog::MARKER_KEY;
use super::client::Connection;
use super::topic_names::TopicNames;

/// One transaction.
pub(super) struct Batch {
    /// What each partition appends.
    pub parts: Vec<(i32, Transaction)>,
    /// The input positions that belong to it.
    pub positions: Vec<(InputTopic, i32, i64)>,
    /// The worker's membership when it had decided all this: a member that has been replaced may not commit.
    pub group: ConsumerGroupMetadata,
    /// When it was handed over.
    pub handed_over_at: Instant,
}

/// What is known of a batch that has been committed.
pub(super) struct Committed {
    /// Its parts, to be used again.
    pub parts: Vec<(i32, Transaction)>,
    /// The changelog offset after the last change, for each partition that has changes.
    pub changelog_ends: Vec<(i32, i64)>,
    /// From handing over to the broker's word.
    pub took: Duration,
}

/// Why a transaction did not come about, as far as is known.
#[derive(Debug, Error)]
#[error("{doing}: {source}")]
pub struct TransactionError {
    /// What was being done: `committing`.
    pub doing: &'static str,
    /// What librdkafka says.
    pub source: KafkaError,
}

enum Order {
    /// A marker into the changelog of each of these partitions.
    Mark(Vec<i32>),
    Commit(Batch),
}

/// The producer's thread, as the worker sees it.
pub(super) struct Committer {
    orders: Sender<Order>,
    answers: Receiver<Result<Committed, TransactionError>>,
    is_given_up: Arc<AtomicBool>,
}

impl Committer {
    /// Starts the thread. It initialises its producer, for as long as it takes, before it takes orders.
    pub fn start(config: ClientConfig, names: TopicNames, connection: Connection) -> std::io::Result<Committer> {
        let (orders, orders_receiver) = channel();
        let (answers_sender, answers) = channel();
        let is_given_up = Arc::new(AtomicBool::new(false));
        let is_given_up_there = Arc::clone(&is_given_up);
        std::thread::Builder::new().name("award-commit".to_owned()).spawn(move || {
            let mut thread = match ProducerThread::open(&config, names, connection, &is_given_up_there) {
                Ok(thread) => thread,
                Err(error) => {
                    let _ = answers_sender.send(Err(error)); // Nobody waits for it any more.
                    return;
                }
            };
            for order in orders_receiver {
                let answer = thread.carry_out(order, &is_given_up_there);
                let is_usable = answer.is_ok();
                if answers_sender.send(answer).is_err() || !is_usable {
                    return;
                }
            }
        })?;
        Ok(Committer { orders, answers, is_given_up })
    }

    /// Begins to write a marker into the changelog of each of these partitions. Wait for it before the next order.
    pub fn mark(&self, partitions: Vec<i32>) {
        // A thread that has ended says why when waited for.
        let _ = self.orders.send(Order::Mark(partitions));
    }

    /// Begins to commit. Wait for it before the next order.
    pub fn commit(&self, batch: Batch) {
        let _ = self.orders.send(Order::Commit(batch));
    }

    /// Waits for what was begun. `None`: not yet.
    pub fn wait(&self, timeout: Duration) -> Option<Result<Committed, TransactionError>> {
        match self.answers.recv_timeout(timeout) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(error("waiting for the producer")(KafkaError::Canceled))),
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // The thread ends by itself, when its last call returns.
        self.is_given_up.store(true, Ordering::Release);
    }
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
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
                Some("raise max.message.bytes of the output topics and of the changelog; `ayumi topics create` shows to what")
            }
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
/// Deliveries come in, or fail, within `message.timeout.ms`.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// What librdkafka may hold that is not delivered yet.
const QUEUE_KIB_MAX: u32 = 64 * 1024;
const QUEUE_RECORDS_MAX: u32 = 500_000;

struct ProducerThread {
    producer: ThreadedProducer<Deliveries>,
    names: TopicNames,
    /// Records sent by this producer.
    sent: usize,
}

impl ProducerThread {
    fn open(
        config: &ClientConfig,
        names: TopicNames,
        connection: Connection,
        is_given_up: &AtomicBool,
    ) -> Result<Self, TransactionError> {
        let mut config = config.clone();
        config.set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string());
        config.set("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string());
        let producer: ThreadedProducer<Deliveries> =
            config.create_with_context(Deliveries::new(connection)).map_err(error("making a producer"))?;
        repeat(is_given_up, || producer.init_transactions(CALL_TIMEOUT)).map_err(error("initialising transactions"))?;
        Ok(ProducerThread { producer, names, sent: 0 })
    }

    fn carry_out(&mut self, order: Order, is_given_up: &AtomicBool) -> Result<Committed, TransactionError> {
        let deliveries = Arc::clone(self.producer.client().context());
        self.producer.begin_transaction().map_err(error("beginning a transaction"))?;
        let (parts, handed_over_at) = match order {
            Order::Mark(partitions) => {
                self.mark(&partitions)?;
                (Vec::new(), Instant::now())
            }
            Order::Commit(batch) => {
                for (partition, transaction) in &batch.parts {
                    self.append(*partition, transaction)?;
                }
                // While the records are on their way.
                self.send_positions(&batch, is_given_up)?;
                (batch.parts, batch.handed_over_at)
            }
        };
        deliveries.wait_for(self.sent)?;
        // "Never", as librdkafka asks for: its own state could not be told after a time-out.
        repeat(is_given_up, || self.producer.commit_transaction(Timeout::Never)).map_err(error("committing"))?;
        let changelog_ends = std::mem::take(&mut deliveries.lock().changelog_ends);
        Ok(Committed { parts, changelog_ends, took: handed_over_at.elapsed() })
    }

    fn mark(&mut self, partitions: &[i32]) -> Result<(), TransactionError> {
        let names = self.names.clone();
        for &partition in partitions {
            let record = BaseRecord::with_opaque_to(names.changelog(), tag(partition)).key(MARKER_KEY);
            self.send(record.payload(&[][..]).partition(partition))?;
        }
        Ok(())
    }

    fn append(&mut self, partition: i32, transaction: &Transaction) -> Result<(), TransactionError> {
        let names = self.names.clone();
        for (topic, key, payload) in transaction.outputs.iter() {
            let record = BaseRecord::with_opaque_to(names.output(topic), UNTAGGED);
            self.send(record.partition(partition).key(key).payload(payload))?;
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

    fn send(&mut self, mut record: BaseRecord<'_, [u8], [u8], usize>) -> Result<(), TransactionError> {
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    record = returned;
                    let under_way = usize::try_from(self.producer.in_flight_count()).unwrap_or(0);
                    self.producer.client().context().wait_for(self.sent - under_way / 2)?;
                }
                Err((source, _)) => return Err(error("sending a record")(source)),
            }
        }
    }

    fn send_positions(&self, batch: &Batch, is_given_up: &AtomicBool) -> Result<(), TransactionError> {
        let failed = error("sending the input positions");
        let mut offsets = TopicPartitionList::with_capacity(batch.positions.len());
        for &(topic, partition, position) in &batch.positions {
            let name = self.names.input(topic);
            offsets.add_partition_offset(name, partition, rdkafka::Offset::Offset(position)).map_err(&failed)?;
        }
        repeat(is_given_up, || self.producer.send_offsets_to_transaction(&offsets, &batch.group, Timeout::Never))
            .map_err(&failed)
    }
}

/// Repeats a call while that is what its error asks for.
fn repeat(is_given_up: &AtomicBool, call: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && !is_given_up.load(Ordering::Acquire) => {}
            result => return result,
        }
    }
}

/// The opaque value of a record whose offset nobody asks for.
const UNTAGGED: usize = 0;

/// The opaque value of a partition's last record in the changelog.
fn tag(partition: i32) -> usize {
    usize::try_from(partition).map_or(UNTAGGED, |partition| partition + 1)
}

/// Counts what has been delivered, so that a thread can wait for it: librdkafka's own waiting goes by steps of 100 ms.
struct Deliveries {
    connection: Connection,
    delivered: AtomicUsize,
    /// How many somebody waits for.
    awaited: AtomicUsize,
    state: Mutex<DeliveryState>,
    is_delivered: Condvar,
}

#[derive(Default)]
struct DeliveryState {
    changelog_ends: Vec<(i32, i64)>,
    /// The first record that could not be delivered. The commit will fail for it, less clearly.
    failure: Option<KafkaError>,
}

impl Deliveries {
    fn new(connection: Connection) -> Self {
        Deliveries {
            connection,
            delivered: AtomicUsize::new(0),
            awaited: AtomicUsize::new(usize::MAX),
            state: Mutex::default(),
            is_delivered: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, DeliveryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many have been delivered since the beginning.
    fn wait_for(&self, count: usize) -> Result<(), TransactionError> {
        let state = self.lock();
        self.awaited.store(count, Ordering::SeqCst);
        let is_waiting = |_: &mut DeliveryState| self.delivered.load(Ordering::SeqCst) < count;
        let waited = self.is_delivered.wait_timeout_while(state, DELIVERY_TIMEOUT, is_waiting);
        let (mut state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = state.failure.take() {
            return Err(error("writing a record")(failure));
        }
        if result.timed_out() {
            return Err(error("waiting for deliveries")(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)));
        }
        Ok(())
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(_) if opaque == UNTAGGED => {}
            Ok(message) => self.lock().changelog_ends.push((message.partition(), message.offset() + 1)),
            Err((failure, _)) => {
                self.lock().failure.get_or_insert_with(|| failure.clone());
            }
        }
        let delivered = self.delivered.fetch_add(1, Ordering::SeqCst) + 1;
        if delivered == self.awaited.load(Ordering::SeqCst) {
            let _state = self.lock();
            self.is_delivered.notify_all();
        }
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Connection::ENABLE_REFRESH_OAUTH_TOKEN;

    fn stats(&self, statistics: Statistics) {
        self.connection.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.connection.error(error, reason);
    }

    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.connection.generate_oauth_token(config)
    }
}
