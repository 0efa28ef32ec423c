//! Decides an award worker's loop on Kafka: read, have the partitions decide, commit one transaction of all of them every
//! commit interval; take partitions over and give them back as the group's coordinator says.
//!
//! Guarantees: outputs, changes of the state and input positions become visible together or not at all, so that through any
//! crash the outputs are as if nothing had happened; a worker that has been replaced commits nothing more. Does not
//! guarantee: when a commit happens; nothing that is decided depends on it. On failure: when a transaction's outcome is
//! unknown, or it failed, the worker takes a new producer, forgets what is not committed, restores the state from the
//! changelog and goes on from the committed positions. What trying again does not mend stops the worker, with the reason
//! and the remedy.
//!
//! One thread reads and decides, a second one writes transactions. While one is under way the next is being filled, on top
//! of what the first will have made durable; it is handed over only after the first has come about.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::assignment::{GroupContext, GroupNews, co_partitioned, partition_count};
use super::changelog::{ChangelogReader, Freshness};
use super::client::{ClientError, Connection};
use super::committer::{Batch, Committer};
use super::config::KafkaConfig;
use super::error::{self, WorkerError};
use super::head_start::HeadStart;
use super::owned::Owned;
use super::partition::Processor;
use super::topic_names::TopicNames;
use super::transaction::TransactionError;
pub use super::worker_settings::{WorkerEvent, WorkerSettings};

/// Why a step was not carried out.
pub(super) enum Trouble {
    /// The transaction under way is given up, with its producer.
    Restart(String),
    /// Something else comes first: stopping, or news of the group.
    Interrupted,
    /// The worker ends.
    Stop(WorkerError),
}

impl<E: Into<WorkerError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Trouble::Stop(error.into())
    }
}

/// How long to wait for records when there is nothing else to do; then it is looked whether to stop.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// How long brokers may take to tell each other of new topics.
const TOPICS_WAIT_MAX: Duration = Duration::from_secs(5);
/// A worker that is replaced so soon after it has lost a broker may have been replaced by itself.
const AWAY_LATELY_MAX: Duration = Duration::from_secs(30);
/// A worker that is replaced twice within so long has a double, and leaves the place to it.
const REPLACED_AGAIN_MAX: Duration = Duration::from_secs(60);
/// A transaction of which nothing is heard for so long is given up. Below `max.poll.interval.ms`.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(60);
/// Pauses between attempts to go on after a failure: doubled each time, up to the longest.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// A worker, on the thread that runs it.
pub(super) struct Worker<P: Processor> {
    pub settings: WorkerSettings<P::Settings>,
    pub names: TopicNames,
    connection: Connection,
    pub consumer: BaseConsumer<GroupContext>,
    pub stop: Arc<AtomicBool>,
    pub owned: Owned<P>,
    pub committer: Option<Committer>,
    pub changelog: Option<ChangelogReader>,
    pub freshness: Freshness,
    /// Input records of the transaction that is under way.
    under_way: Option<u64>,
    /// What is read before all else.
    pub head_start: Option<HeadStart>,
    /// Partitions to take over.
    pub pending: Option<Pending>,
    /// When a broker could not be reached last.
    away_at: Cell<Option<Instant>>,
    /// Errors that the consumer told of while something long was under way.
    unjudged: RefCell<Vec<KafkaError>>,
    /// Failures since the last commit.
    failures: u32,
}

/// Partitions that are this worker's but not restored yet.
pub(super) struct Pending {
    pub partitions: Vec<i32>,
    /// librdkafka waits to be told where to begin; else it reads already, and has to be told where to go back to.
    pub is_new: bool,
    pub since: Instant,
}

/// Runs a worker on this thread until `stop` is set, which it sees within a second, or it can't go on.
///
/// # Errors
///
/// Why it can't go on, and what would help. What was committed stays.
pub fn run<P: Processor>(settings: WorkerSettings<P::Settings>, stop: Arc<AtomicBool>) -> Result<(), WorkerError> {
    let mut replaced_at: Option<Instant> = None;
    loop {
        let mut worker = Worker::<P>::open(settings.clone(), Arc::clone(&stop))?;
        let result = worker.run();
        if result.is_err() {
            worker.forget(); // A record may be half decided: closing must not commit it.
        }
        let is_broker_to_blame = worker.away_at.get().is_some_and(|at| at.elapsed() < AWAY_LATELY_MAX);
        worker.close();
        match result {
            Err(WorkerError::Client(ClientError::Stopped)) => return Ok(()),
            // A member whose request or answer was lost, with its broker, is replaced by itself.
            Err(error @ WorkerError::Replaced(_))
                if is_broker_to_blame || replaced_at.is_none_or(|at| at.elapsed() > REPLACED_AGAIN_MAX) =>
            {
                if !is_broker_to_blame {
                    replaced_at = Some(Instant::now());
                }
                (settings.observer)(&WorkerEvent::Noted { what: &error.to_string() });
            }
            result => return result,
        }
    }
}

impl<P: Processor> Worker<P> {
    fn open(settings: WorkerSettings<P::Settings>, stop: Arc<AtomicBool>) -> Result<Self, WorkerError> {
        let connection = Connection::new(&settings.kafka, "award worker");
        let mut config = settings.kafka.award_consumer();
        config.set("group.instance.id", &settings.instance_id);
        if config.get("heartbeat.interval.ms").is_none() {
            // How soon it hears that the group is being rebalanced, which all members wait for.
            config.set("heartbeat.interval.ms", "1000");
        }
        // A committed position that is not there any more must not become another one in silence.
        config.set("auto.offset.reset", "error");
        let consumer: BaseConsumer<GroupContext> =
            config.create_with_context(GroupContext::new(connection.clone())).map_err(ClientError::Setup)?;
        let freshness = Freshness::new(&settings.folder, settings.kafka.retention.tombstones)
            .map_err(|source| WorkerError::Folder { path: settings.folder.display().to_string(), source })?;
        let names = TopicNames::of(&settings.kafka);
        Ok(Worker {
            owned: Owned::none(names.clone()),
            settings,
            names,
            connection,
            consumer,
            stop,
            committer: None,
            changelog: None,
            freshness,
            under_way: None,
            head_start: None,
            pending: None,
            away_at: Cell::default(),
            unjudged: RefCell::default(),
            failures: 0,
        })
    }

    fn run(&mut self) -> Result<(), WorkerError> {
        self.await_topics()?;
        let inputs: Vec<&str> = self.names.inputs().collect();
        let subscribing = |source| WorkerError::Kafka { doing: "subscribing to the input topics", source };
        self.consumer.subscribe(&inputs).map_err(subscribing)?;
        while !self.is_stopping() {
            match self.step() {
                Ok(()) | Err(Trouble::Interrupted) => {}
                Err(Trouble::Restart(reason)) => self.restart(&reason),
                Err(Trouble::Stop(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until Kafka answers, and a moment for topics that were made just now.
    fn await_topics(&self) -> Result<(), WorkerError> {
        let serve = || drop(self.consumer.poll(Duration::ZERO));
        let mut until = None;
        loop {
            let client = self.consumer.client();
            let metadata = self.connection.metadata(client, None, &serve, &|| self.is_stopping())?;
            let Err(problem) = partition_count(&metadata, &self.names) else { return Ok(()) };
            if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + TOPICS_WAIT_MAX) {
                return Err(WorkerError::Topics(problem));
            }
            let _ = self.consumer.poll(IDLE_WAIT);
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn observe(&self, event: &WorkerEvent<'_>) {
        (self.settings.observer)(event);
    }

    /// Does the next thing.
    fn step(&mut self) -> Result<(), Trouble> {
        for error in self.unjudged.take() {
            self.judge(error)?;
        }
        if let Some(news) = self.consumer.context().news() {
            return self.follow(news);
        }
        if self.pending.is_some() {
            return self.take_over();
        }
        if self.owned.is_closing() {
            return self.close_days();
        }
        if self.head_start.is_some() {
            self.end_head_start().map_err(|source| WorkerError::Kafka { doing: "reading input", source })?;
        }
        let polled = match self.consumer.poll(Duration::ZERO) {
            None if self.consumer.context().has_news() => return Ok(()),
            // `Duration::ZERO` apart, since a wait that is over costs librdkafka's binding up to a millisecond of spinning.
            None => Some(self.idle_wait()).filter(|wait| !wait.is_zero()).and_then(|wait| self.consumer.poll(wait)),
            polled => polled,
        };
        match polled {
            Some(Ok(message)) => {
                if let Some(head_start) = &mut self.head_start {
                    head_start.progress_at = Instant::now();
                }
                if self.owned.take(&message, &self.settings.bounds)? {
                    drop(message);
                    self.commit()?;
                }
                Ok(())
            }
            Some(Err(error)) => self.judge(error),
            None if self.consumer.context().has_news() => Ok(()),
            None if !self.idle_wait().is_zero() => Ok(()),
            None if self.owned.is_open() => self.commit(),
            None => self.await_commit(COMMIT_WAIT_MAX),
        }
    }

    /// How long to wait for records when there are none.
    fn idle_wait(&self) -> Duration {
        match self.owned.open_for() {
            Some(open_for) => self.settings.bounds.idle_interval.saturating_sub(open_for),
            None if self.under_way.is_some() => Duration::ZERO,
            None => IDLE_WAIT,
        }
    }

    /// Closes days, some members at a time, in transactions of bounded size. Between two of them a stop is possible: the
    /// state says how far the close has come.
    fn close_days(&mut self) -> Result<(), Trouble> {
        self.owned.close_some()?;
        if self.owned.is_due(&self.settings.bounds) { self.commit() } else { Ok(()) }
    }

    /// Hands over what is open, after the transaction before it has come about.
    fn commit(&mut self) -> Result<(), Trouble> {
        self.await_commit(COMMIT_WAIT_MAX)?;
        if !self.owned.is_open() {
            return Ok(());
        }
        // Fresh every time: it says of which generation of the group this worker is a member. Of a membership that is
        // lost it would say nothing, so that is asked afterwards.
        let group = self.consumer.group_metadata();
        let (Some(group), false, Some(committer)) = (group, self.consumer.assignment_lost(), &self.committer) else {
            self.forget();
            return Ok(()); // The coordinator's word on it is on its way.
        };
        let staged = self.owned.stage();
        self.under_way = Some(staged.records);
        committer.commit(Batch {
            parts: staged.parts,
            positions: staged.positions,
            group,
            handed_over_at: Instant::now(),
        });
        Ok(())
    }

    /// Waits for the transaction that is under way, if there is one.
    fn await_commit(&mut self, wait_max: Duration) -> Result<(), Trouble> {
        let (Some(records), Some(committer)) = (self.under_way, &self.committer) else { return Ok(()) };
        let done = match committer.wait(wait_max) {
            Some(answer) => answer.map_err(Trouble::from)?,
            None => return Err(Trouble::Restart(format!("no answer to a commit for {} s", wait_max.as_secs()))),
        };
        self.under_way = None;
        self.failures = 0;
        let flushed = self.owned.committed(done.parts, &done.changelog_ends, self.settings.flush_interval)?;
        for partition in flushed {
            self.note_fresh(partition)?;
        }
        self.observe(&WorkerEvent::Committed { records, took: done.took });
        Ok(())
    }

    pub(super) fn note_fresh(&self, partition: i32) -> Result<(), WorkerError> {
        let path = || self.settings.folder.display().to_string();
        self.freshness.note(partition).map_err(|source| WorkerError::Folder { path: path(), source })
    }

    /// Drops the partitions with all that is not committed, and the producer with the transaction that it may have open.
    pub(super) fn forget(&mut self) {
        self.owned.forget();
        self.committer = None;
        self.under_way = None;
    }

    /// Goes on from what is committed.
    fn restart(&mut self, reason: &str) {
        self.observe(&WorkerEvent::Restarted { reason });
        if self.pending.is_none() && !self.consumer.assignment_lost() {
            self.pending = Some(Pending { partitions: self.owned.numbers(), is_new: false, since: Instant::now() });
        }
        self.forget();
        let wait = RETRY_WAIT_MIN.saturating_mul(1 << self.failures.min(8)).min(RETRY_WAIT_MAX);
        self.failures += 1;
        let until = Instant::now() + wait;
        while self.go_on() && Instant::now() < until {
            self.serve_group(wait.min(IDLE_WAIT));
        }
    }

    /// Whether to go on with something long: serves the group, so that the worker keeps its place in it.
    pub(super) fn go_on(&self) -> bool {
        if !self.owned.is_open() && self.under_way.is_none() && self.owned.numbers().is_empty() {
            self.serve_group(Duration::ZERO);
        }
        let is_calm = self.unjudged.borrow().is_empty() && !self.consumer.context().has_news();
        is_calm && !self.is_stopping()
    }

    /// Polls while no partition is owned: records that come are read again, errors are judged by the next step.
    fn serve_group(&self, wait: Duration) {
        if let Some(Err(error)) = self.consumer.poll(wait) {
            if error::is_passing(&error) {
                self.away_at.set(Some(Instant::now()));
            } else {
                self.unjudged.borrow_mut().push(error);
            }
        }
    }

    /// Does what the coordinator says.
    fn follow(&mut self, news: GroupNews) -> Result<(), Trouble> {
        match news {
            GroupNews::Assigned(assigned) => {
                let partitions = co_partitioned(&assigned, &self.names).map_err(WorkerError::Topics)?;
                self.pending = Some(Pending { partitions, is_new: true, since: Instant::now() });
                Ok(())
            }
            GroupNews::Revoked => {
                let is_lost = self.consumer.assignment_lost();
                let result = if is_lost { Ok(()) } else { self.settle(COMMIT_WAIT_MAX) };
                let partitions = self.owned.numbers();
                self.pending = None;
                self.head_start = None;
                if is_lost || result.is_err() {
                    self.forget();
                }
                self.owned.forget();
                self.observe(&WorkerEvent::Revoked { partitions: &partitions, is_lost });
                self.consumer
                    .unassign()
                    .map_err(|source| WorkerError::Kafka { doing: "giving partitions back", source })?;
                match result {
                    // They are given back either way.
                    Err(Trouble::Restart(reason)) => {
                        self.observe(&WorkerEvent::Restarted { reason: &reason });
                        Ok(())
                    }
                    result => result,
                }
            }
        }
    }

    /// Commits everything that was decided, and writes the state to disk.
    pub(super) fn settle(&mut self, wait_max: Duration) -> Result<(), Trouble> {
        self.await_commit(wait_max)?;
        self.commit()?;
        self.await_commit(wait_max)?;
        self.owned.flush()?;
        self.owned.numbers().into_iter().try_for_each(|partition| self.note_fresh(partition))?;
        Ok(())
    }

    /// Judges what the consumer says instead of a record.
    pub(super) fn judge(&self, error: KafkaError) -> Result<(), Trouble> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::FencedInstanceId) => {
                return Err(WorkerError::Replaced(self.settings.instance_id.clone()).into());
            }
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                return Err(WorkerError::InputLost(error.to_string()).into());
            }
            Some(Code::BrokerTransportFailure | Code::AllBrokersDown) => {
                self.away_at.set(Some(Instant::now()));
                return Ok(()); // The connection has told of it.
            }
            _ if error::is_passing(&error) => {}
            _ => {
                if let Some(remedy) = error::remedy(&error) {
                    return Err(WorkerError::Refused { doing: "reading input", source: error, remedy }.into());
                }
                if let KafkaError::MessageConsumptionFatal(_) = error {
                    return Err(WorkerError::Kafka { doing: "reading input", source: error }.into());
                }
            }
        }
        self.observe(&WorkerEvent::Noted { what: &error.to_string() });
        Ok(())
    }
}

impl From<TransactionError> for Trouble {
    fn from(error: TransactionError) -> Self {
        match error.remedy() {
            Some(remedy) => Trouble::Stop(WorkerError::Refused { doing: error.doing, source: error.source, remedy }),
            None => Trouble::Restart(error.to_string()),
        }
    }
}

/// The connection of one of the worker's other clients, which finds the same trouble as the consumer does and need not say
/// it again.
pub(super) fn quiet_connection(kafka: &KafkaConfig, name: &'static str) -> Connection {
    Connection::saying(kafka, name, |_| {})
}

/// A list of input partitions with the positions to read from.
pub(super) fn list_of<'a>(
    positions: impl Iterator<Item = (&'a str, i32, rdkafka::Offset)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in positions {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}
