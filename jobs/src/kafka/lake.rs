//! Decides how records get from Kafka into the lake: any number of writers in one group, each landing the partitions that
//! the coordinator gives it.
//!
//! Guarantees: each record is in its table exactly once, whatever crashes, because a partition is read from where the
//! tables' own logs say, never from where the group says; a writer whose partition was given to another in the meantime
//! fails its commit and starts again from the logs. A table that was lost or rolled back is filled again, as far as the
//! topics still have the records. Does not guarantee: freshness; it flushes by size, by time and when it stops. On failure
//! of a flush: what is staged is dropped, and all is read again from the tables' logs, after a pause.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use thiserror::Error;

use super::assignment::{GroupContext, GroupNews};
use super::client::{ClientError, Connection};
use super::config::KafkaConfig;
use super::error;
use super::headers;
use super::topic_names::TopicNames;
use crate::lake_role::LakeRoleError;
use crate::lake_role::landing::{Landing, Stretch};
use crate::transport::{InputRecord, InputTopic, OutputTopic};

/// What makes a lake writer.
pub struct LakeSettings {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The lake's path or URL.
    pub url: String,
    /// Told what happens.
    pub observer: Arc<dyn Fn(&LakeEvent<'_>) + Send + Sync>,
}

/// What happens to a lake writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LakeEvent<'a> {
    /// So many partitions of topics are this writer's.
    Assigned(usize),
    /// So many records landed, in so many milliseconds.
    Flushed(u64, u64),
    /// For the moment there is no more to read; so many records are staged.
    CaughtUp(u64),
    /// A flush failed, or its partitions were given to others; it starts again from the tables' logs.
    Restarted(&'a str),
}

/// Why a lake writer stopped. What landed stays.
#[derive(Debug, Error)]
pub enum KafkaLakeError {
    /// The cluster does not let it in, or no client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Kafka can't be used.
    #[error("{doing}: {source}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// What it says.
        source: KafkaError,
    },
    /// Records were deleted before they were in the lake.
    #[error(
        "records were deleted before they landed in the lake: {0}; keep them for longer (kafka.retention_days), and if the loss \
         is accepted, begin with an empty lake"
    )]
    RecordsLost(String),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeRoleError),
    /// No runtime.
    #[error("the lake writer can't be started: {0}")]
    Start(std::io::Error),
}

/// How long to wait for records.
const POLL_WAIT: Duration = Duration::from_millis(250);

/// Records between two looks at the memory and the clock.
const RECORDS_A_LOOK: u64 = 2_048;

/// Pauses between attempts after a failed flush: doubled each time, up to the longest.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(200);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Failures in a row after which it is not the other writers' doing.
const FAILURES_MAX: u32 = 8;

/// Lands records until `stop` is set, or it can't go on.
pub fn run(settings: &LakeSettings, stop: &AtomicBool) -> Result<(), KafkaLakeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(KafkaLakeError::Start)?;
    runtime.block_on(async {
        let mut writer = Writer::open(settings).await?;
        let result = writer.run(stop).await;
        writer.leave();
        result
    })
}

struct Writer<'s> {
    settings: &'s LakeSettings,
    names: TopicNames,
    consumer: BaseConsumer<GroupContext>,
    landing: Landing,
    stretches: Vec<Stretch>,
    /// Where a partition of a topic is in `stretches`.
    places: HashMap<(Topic, i32), usize>,
    /// Records since the last flush.
    landed: u64,
    is_caught_up: bool,
    failures: u32,
}

/// A topic that the lake reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Topic {
    Input(InputTopic),
    Output(OutputTopic),
}

impl<'s> Writer<'s> {
    async fn open(settings: &'s LakeSettings) -> Result<Self, KafkaLakeError> {
        let connection = Connection::new(&settings.kafka, "lake writer");
        let mut config = settings.kafka.lake_consumer();
        // A position that is not there any more must not become another one in silence.
        config.set("auto.offset.reset", "error");
        let consumer: BaseConsumer<GroupContext> =
            config.create_with_context(GroupContext::new(connection)).map_err(ClientError::Setup)?;
        let landing = Landing::open(&settings.url).await?;
        let names = TopicNames::of(&settings.kafka);
        let (stretches, places) = (Vec::new(), HashMap::new());
        Ok(Writer {
            settings,
            names,
            consumer,
            landing,
            stretches,
            places,
            landed: 0,
            is_caught_up: false,
            failures: 0,
        })
    }

    async fn run(&mut self, stop: &AtomicBool) -> Result<(), KafkaLakeError> {
        let topics: Vec<String> = self.names.inputs().chain(self.names.outputs()).map(str::to_owned).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics).map_err(|source| kafka("subscribing to the topics", source))?;
        while !stop.load(Ordering::Acquire) {
            if let Some(news) = self.consumer.context().news() {
                self.follow(news).await?;
                continue;
            }
            match self.consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    let (topic, partition) = (self.topic(message.topic()), message.partition());
                    let place = topic.and_then(|topic| Some((topic, *self.places.get(&(topic, partition))?)));
                    if let Some((topic, place)) = place {
                        land(&mut self.landing, &mut self.stretches[place], topic, &message)?;
                        self.landed += 1;
                        self.is_caught_up = false;
                    }
                }
                Some(Err(error)) => judge(error, self.consumer.context().connection())?,
                None if self.landed > 0 && !self.is_caught_up => {
                    self.is_caught_up = true;
                    (self.settings.observer)(&LakeEvent::CaughtUp(self.landed));
                }
                None => {}
            }
            if self.landed.is_multiple_of(RECORDS_A_LOOK) {
                self.landing.relieve().await?;
            }
            if self.landed > 0 && self.landing.is_due() {
                self.flush().await?;
            }
        }
        if self.landed > 0 { self.flush().await } else { Ok(()) }
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        let input = self.names.input_of(name).map(Topic::Input);
        input
            .or_else(|| OutputTopic::ALL.into_iter().find(|&topic| self.names.output(topic) == name).map(Topic::Output))
    }

    /// Does what the coordinator says.
    async fn follow(&mut self, news: GroupNews) -> Result<(), KafkaLakeError> {
        match news {
            GroupNews::Assigned(assigned) => self.take_over(&assigned).await,
            GroupNews::Revoked => {
                if self.landed > 0 && !self.consumer.assignment_lost() {
                    self.flush().await?;
                }
                self.forget().await?;
                self.consumer.unassign().map_err(|source| kafka("giving partitions back", source))
            }
        }
    }

    /// Reads partitions from where the tables' logs say.
    async fn take_over(&mut self, assigned: &[(String, i32)]) -> Result<(), KafkaLakeError> {
        self.forget().await?;
        let mut list = TopicPartitionList::new();
        for (name, partition) in assigned {
            let Some(topic) = self.topic(name) else { continue };
            let (contract_name, output) = match topic {
                Topic::Input(topic) => (topic.name(), None),
                Topic::Output(topic) => (topic.name(), Some(topic)),
            };
            let stretch = self.landing.follow(contract_name, output, *partition).await?;
            // A lake that is new begins with what is there.
            let from = if stretch.next == 0 { Offset::Beginning } else { Offset::Offset(stretch.next) };
            list.add_partition_offset(name, *partition, from).map_err(|source| kafka("assigning", source))?;
            self.places.insert((topic, *partition), self.stretches.len());
            self.stretches.push(stretch);
        }
        self.consumer.assign(&list).map_err(|source| kafka("assigning", source))?;
        (self.settings.observer)(&LakeEvent::Assigned(self.stretches.len()));
        Ok(())
    }

    /// Drops what is staged, and reads the tables' logs again.
    async fn forget(&mut self) -> Result<(), KafkaLakeError> {
        self.stretches.clear();
        self.places.clear();
        self.landed = 0;
        self.landing = Landing::open(&self.settings.url).await?;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), KafkaLakeError> {
        let began = Instant::now();
        match self.landing.flush(self.stretches.iter()).await {
            Ok(()) => {
                self.failures = 0;
                let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                (self.settings.observer)(&LakeEvent::Flushed(std::mem::take(&mut self.landed), millis));
                self.tell_progress();
                Ok(())
            }
            Err(error) if self.failures >= FAILURES_MAX => Err(error.into()),
            Err(error) => {
                // Most likely another writer has these partitions now. Whether or not, the logs say what landed.
                (self.settings.observer)(&LakeEvent::Restarted(&error.to_string()));
                let wait = RETRY_WAIT_MIN.saturating_mul(1 << self.failures).min(RETRY_WAIT_MAX);
                self.failures += 1;
                tokio::time::sleep(wait).await;
                let assigned =
                    self.consumer.assignment().map_err(|source| kafka("asking for the assignment", source))?;
                let assigned: Vec<(String, i32)> =
                    assigned.elements().iter().map(|part| (part.topic().to_owned(), part.partition())).collect();
                self.take_over(&assigned).await
            }
        }
    }

    /// Tells the group how far the lake is, for those who watch its lag. Nothing is read from there.
    fn tell_progress(&self) {
        let mut list = TopicPartitionList::new();
        for (&(topic, partition), &place) in &self.places {
            let name = match topic {
                Topic::Input(topic) => self.names.input(topic),
                Topic::Output(topic) => self.names.output(topic),
            };
            let next = self.stretches[place].next;
            // A list takes any offset; and what can't be told is told the next time.
            let _ = (next > 0).then(|| list.add_partition_offset(name, partition, Offset::Offset(next)));
        }
        if list.count() > 0 {
            let _ = self.consumer.commit(&list, CommitMode::Async);
        }
    }

    fn leave(&self) {
        self.consumer.context().close();
        self.consumer.unsubscribe();
    }
}

fn land(
    landing: &mut Landing,
    stretch: &mut Stretch,
    topic: Topic,
    message: &BorrowedMessage<'_>,
) -> Result<(), LakeRoleError> {
    let (offset, payload) = (message.offset(), message.payload().unwrap_or_default());
    if offset < stretch.next {
        return Ok(());
    }
    match topic {
        Topic::Output(topic) => landing.land_output(stretch, topic, offset, payload),
        Topic::Input(topic) => {
            let headers::Described { format, file, line } = headers::describe(message.headers());
            landing.land_input(stretch, &InputRecord { topic, offset, format, payload, file, line })
        }
    }
}

fn judge(error: KafkaError, connection: &Connection) -> Result<(), KafkaLakeError> {
    if let Some(refusal) = connection.refusal() {
        return Err(ClientError::Refused(refusal).into());
    }
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            Err(KafkaLakeError::RecordsLost(error.to_string()))
        }
        _ if error::is_passing(&error) => Ok(()),
        _ => Err(kafka("reading the topics", error)),
    }
}

fn kafka(doing: &'static str, source: KafkaError) -> KafkaLakeError {
    KafkaLakeError::Kafka { doing, source }
}
