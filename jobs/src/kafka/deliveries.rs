//! Decides how a thread waits until its records are written: it is woken by the delivery of the last one. librdkafka's own
//! waiting, as its binding offers it, goes by steps of 100 ms, and shorter ones spin.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Statistics};

use super::client::Connection;
use super::transaction::TransactionError;

/// Freeing a report that has been handed out takes less than this.
const FREE_WAIT_MAX: Duration = Duration::from_millis(20);

/// The opaque value of a record whose offset nobody asks for.
pub(super) const UNTAGGED: usize = 0;

/// The opaque value of a record of which [`CountedProducer::await_deliveries`] tells.
pub(super) fn tag(partition: i32) -> usize {
    usize::try_from(partition).map_or(UNTAGGED, |partition| partition + 1)
}

/// What librdkafka may hold that is not delivered yet.
const QUEUE_KIB_MAX: u32 = 64 * 1024;
const QUEUE_RECORDS_MAX: u32 = 500_000;

/// A producer of which one can await that all is delivered, or learn what was not.
pub(super) struct CountedProducer {
    producer: ThreadedProducer<Deliveries>,
    /// Records sent.
    sent: usize,
    delivery_timeout: Duration,
}

impl CountedProducer {
    /// `delivery_timeout` is longer than the configuration's `message.timeout.ms`.
    pub(super) fn open(
        mut config: ClientConfig,
        connection: Connection,
        delivery_timeout: Duration,
    ) -> Result<Self, TransactionError> {
        config.set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string());
        config.set("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string());
        let producer = config.create_with_context(Deliveries::new(connection));
        let producer = producer.map_err(|source| TransactionError { doing: "making a producer", source })?;
        Ok(CountedProducer { producer, sent: 0, delivery_timeout })
    }

    /// The producer itself, for transactions.
    pub(super) fn inner(&self) -> &ThreadedProducer<Deliveries> {
        &self.producer
    }

    /// Sends a record; waits while the queue is full.
    pub(super) fn send(&mut self, mut record: BaseRecord<'_, [u8], [u8], usize>) -> Result<(), TransactionError> {
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    record = returned;
                    let under_way = usize::try_from(self.producer.in_flight_count()).unwrap_or(0);
                    let half = self.sent.saturating_sub(under_way / 2);
                    self.producer.client().context().wait_for(half, self.delivery_timeout)?;
                }
                Err((source, _)) => return Err(TransactionError { doing: "sending a record", source }),
            }
        }
    }

    /// Waits until all that was sent is delivered, and gives the offsets after the tagged records.
    pub(super) fn await_deliveries(&self) -> Result<Vec<(i32, i64)>, TransactionError> {
        let deliveries = self.producer.client().context();
        deliveries.wait_for(self.sent, self.delivery_timeout)?;
        // The last report is out but not freed yet, and until then librdkafka counts its records as under way: a flush, which
        // a commit begins with, would sleep for 100 ms. The polling thread frees it in the next microseconds.
        let until = Instant::now() + FREE_WAIT_MAX;
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            std::thread::yield_now();
        }
        Ok(std::mem::take(&mut deliveries.lock().ends))
    }
}

/// A producer's context, which counts what has been delivered.
pub(super) struct Deliveries {
    connection: Connection,
    delivered: AtomicUsize,
    /// How many somebody waits for.
    awaited: AtomicUsize,
    state: Mutex<State>,
    is_delivered: Condvar,
}

#[derive(Default)]
struct State {
    /// Of each tagged record: its partition, and the offset after it.
    ends: Vec<(i32, i64)>,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many have been delivered since the beginning.
    fn wait_for(&self, count: usize, timeout: Duration) -> Result<(), TransactionError> {
        let state = self.lock();
        self.awaited.store(count, Ordering::SeqCst);
        let is_waiting = |_: &mut State| self.delivered.load(Ordering::SeqCst) < count;
        let waited = self.is_delivered.wait_timeout_while(state, timeout, is_waiting);
        let (mut state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = state.failure.take() {
            return Err(TransactionError { doing: "writing a record", source: failure });
        }
        if result.timed_out() {
            return Err(TransactionError {
                doing: "waiting for deliveries",
                source: KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut),
            });
        }
        Ok(())
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(_) if opaque == UNTAGGED => {}
            Ok(message) => self.lock().ends.push((message.partition(), message.offset() + 1)),
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

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.connection.generate_oauth_token(config)
    }
}
