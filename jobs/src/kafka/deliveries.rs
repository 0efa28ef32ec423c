//! Decides how a thread waits until its records are written: it is woken by the delivery of the last one. librdkafka's own
//! waiting, as its binding offers it, goes by steps of 100 ms, and shorter ones spin.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Statistics};

use super::client::Connection;
use super::transaction::TransactionError;

/// Deliveries come in, or fail, within `message.timeout.ms`.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The opaque value of a record whose offset nobody asks for.
pub(super) const UNTAGGED: usize = 0;

/// The opaque value of a record of which [`Deliveries::take_ends`] is to tell.
pub(super) fn tag(partition: i32) -> usize {
    usize::try_from(partition).map_or(UNTAGGED, |partition| partition + 1)
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
    pub(super) fn new(connection: Connection) -> Self {
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

    /// The offsets after the tagged records that were delivered since the last call.
    pub(super) fn take_ends(&self) -> Vec<(i32, i64)> {
        std::mem::take(&mut self.lock().ends)
    }

    /// Waits until so many have been delivered since the beginning.
    pub(super) fn wait_for(&self, count: usize) -> Result<(), TransactionError> {
        let state = self.lock();
        self.awaited.store(count, Ordering::SeqCst);
        let is_waiting = |_: &mut State| self.delivered.load(Ordering::SeqCst) < count;
        let waited = self.is_delivered.wait_timeout_while(state, DELIVERY_TIMEOUT, is_waiting);
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
