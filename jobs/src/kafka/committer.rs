//! Decides which thread writes transactions: one of its own, so that the worker goes on deciding while one is under way.
//!
//! On failure the thread says so and ends, and its producer with it; dropping one may take its time, or hang, but holds up
//! nobody here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;

use crate::transport::{InputTopic, Transaction};

use super::client::Connection;
use super::topic_names::TopicNames;
use super::transaction::{TransactionError, TransactionalProducer};

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
            let mut producer = match TransactionalProducer::open(&config, connection, is_given_up_there) {
                Ok(producer) => producer,
                Err(error) => {
                    let _ = answers_sender.send(Err(error)); // Nobody waits for it any more.
                    return;
                }
            };
            for order in orders_receiver {
                let answer = carry_out(&mut producer, &names, order);
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
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(TransactionError { doing: "waiting for the producer", source: KafkaError::Canceled }))
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // The thread ends by itself, when its last call returns.
        self.is_given_up.store(true, Ordering::Release);
    }
}

fn carry_out(
    producer: &mut TransactionalProducer,
    names: &TopicNames,
    order: Order,
) -> Result<Committed, TransactionError> {
    producer.begin()?;
    let (parts, handed_over_at) = match order {
        Order::Mark(partitions) => {
            partitions.iter().try_for_each(|&partition| producer.mark(names.changelog(), partition))?;
            (Vec::new(), Instant::now())
        }
        Order::Commit(batch) => {
            for (partition, transaction) in &batch.parts {
                producer.append(names, *partition, transaction)?;
            }
            // While the records are on their way.
            let positions = batch.positions.iter();
            producer.send_positions(
                positions.map(|&(topic, partition, position)| (names.input(topic), partition, position)),
                &batch.group,
            )?;
            (batch.parts, batch.handed_over_at)
        }
    };
    let changelog_ends = producer.commit()?;
    Ok(Committed { parts, changelog_ends, took: handed_over_at.elapsed() })
}
