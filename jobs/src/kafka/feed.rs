//! Decides how facts, programmes and the ends of days get into the input topics.
//!
//! Guarantees: what [`Feed::finish`] returned for is acknowledged by all copies, in order for each member. Does not
//! guarantee that nothing is there twice: a replay that is run again sends everything again, and the award workers know
//! repeats. A day's end is written after everything sent before it is acknowledged, with the offsets that its workers must
//! have reached. On failure: the first record that could not be written is told, and nothing more is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use pipeline::calendar::CivilDate;
use rdkafka::client::{Client, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use schemas::{ClockRecord, ProgrammeRecord, Record, Scratch};
use thiserror::Error;

use super::client::{ClientError, Connection};
use super::config::KafkaConfig;
use super::headers;
use super::topic_names::{INPUTS, TopicNames};
use super::topics::{self, TopicsError};
use crate::publish::{self, PublishError};
use crate::transport::{Format, InputTopic};

/// Why nothing more is sent.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The cluster does not let it in, or no client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The topics are not as they must be.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// A record could not be written.
    #[error("a record could not be written to {topic}: {source}; send the same again, repeats are recognised")]
    Delivery {
        /// The topic.
        topic: String,
        /// What Kafka says.
        source: KafkaError,
    },
    /// Kafka can't be used.
    #[error("{doing}: {source}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// What it says.
        source: KafkaError,
    },
    /// A programme.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// How long a full queue or the last records are waited for at a time.
const WAIT: Duration = Duration::from_millis(50);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes into the input topics.
pub struct Feed {
    config: KafkaConfig,
    producer: ThreadedProducer<FeedContext>,
    names: TopicNames,
    partitions: i32,
}

/// A record to send.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    /// The topic of its kind.
    pub topic: InputTopic,
    /// Its key; empty where it could not be told.
    pub member: &'a str,
    /// How to read it.
    pub format: Format,
    /// The file that it comes from.
    pub file: Option<&'a str>,
    /// Its line there.
    pub line: Option<i64>,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Feed {
    /// Waits for the cluster, and makes sure that the input topics are there.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do about it.
    pub fn open(config: &KafkaConfig) -> Result<Feed, FeedError> {
        let connection = Connection::new(config, "producer");
        let context = FeedContext { connection: connection.clone(), failure: Arc::default() };
        let producer: ThreadedProducer<FeedContext> =
            config.input_producer().create_with_context(context).map_err(ClientError::Setup)?;
        let names = TopicNames::of(config);
        let inputs: Vec<&str> = names.inputs().collect();
        let partitions = topics::require(&connection, producer.client(), &inputs, &|| {}, &|| false)?;
        Ok(Feed { config: config.clone(), producer, names, partitions })
    }

    /// Sends a fact. It is acknowledged when [`Feed::finish`] returns.
    pub fn send(&self, fact: &Fact<'_>) -> Result<(), FeedError> {
        let headers = headers::description(fact.format, fact.file, fact.line);
        let key = (!fact.member.is_empty()).then_some(fact.member);
        self.put(fact.topic, None, key, headers, fact.payload)
    }

    fn put(
        &self,
        topic: InputTopic,
        partition: Option<i32>,
        key: Option<&str>,
        headers: Option<OwnedHeaders>,
        payload: &[u8],
    ) -> Result<(), FeedError> {
        let name = self.names.input(topic);
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(name).payload(payload);
        record.partition = partition;
        record.key = key;
        record.headers = headers;
        loop {
            match self.producer.send(record) {
                Ok(()) => return self.failure(),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    self.producer.poll(WAIT);
                }
                Err((source, _)) => return Err(FeedError::Delivery { topic: name.to_owned(), source }),
            }
        }
    }

    /// Waits until everything sent is acknowledged.
    pub fn finish(&self) -> Result<(), FeedError> {
        while self.producer.in_flight_count() > 0 {
            match self.producer.flush(WAIT) {
                Ok(()) | Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => self.failure()?,
                Err(source) => return Err(FeedError::Kafka { doing: "waiting for acknowledgements", source }),
            }
        }
        self.failure()
    }

    fn failure(&self) -> Result<(), FeedError> {
        let failure = &self.producer.context().failure;
        match failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some((topic, source)) => Err(FeedError::Delivery { topic, source }),
            None => Ok(()),
        }
    }

    /// Publishes programme versions, file and text of each, that are not there yet: into every partition.
    pub fn publish(&self, files: &[(String, String)]) -> Result<(), FeedError> {
        let published = self.published()?;
        for (file, source) in files {
            let programme = publish::parse(file, source)?;
            match published.get(&(programme.id.to_string(), programme.version)) {
                Some(known) if known == source => continue,
                Some(_) => {
                    let (programme, version) = (programme.id.to_string(), programme.version);
                    return Err(PublishError::Changed { file: file.clone(), programme, version }.into());
                }
                None => {}
            }
            let (id, version, effective_on) = (&*programme.id, programme.version, programme.effective_on);
            let mut payload = Vec::new();
            schemas::encode_programme(&ProgrammeRecord { id, version, effective_on, source }, &mut payload);
            for partition in 0..self.partitions {
                self.put(InputTopic::Programmes, Some(partition), None, None, &payload)?;
            }
        }
        self.finish()
    }

    /// The versions that every partition has, by programme and number. One that a killed `publish` left in some partitions
    /// only is written again: a worker takes it once.
    fn published(&self) -> Result<BTreeMap<(String, u32), String>, FeedError> {
        let mut found: BTreeMap<(String, u32), (String, i32)> = BTreeMap::new();
        let mut scratch = Scratch::default();
        self.read(InputTopic::Programmes, false, &mut |_, payload| {
            if let Ok(Record::Programme(programme)) = scratch.decode_avro(payload) {
                let key = (programme.id.to_owned(), programme.version);
                found.entry(key).or_insert_with(|| (programme.source.to_owned(), 0)).1 += 1;
            }
        })?;
        let everywhere = found.into_iter().filter(|(_, (_, partitions))| *partitions >= self.partitions);
        Ok(everywhere.map(|(key, (source, _))| (key, source)).collect())
    }

    /// The last day that each partition knows to be over.
    pub fn closed(&self) -> Result<Vec<Option<CivilDate>>, FeedError> {
        let mut closed = vec![None; usize::try_from(self.partitions).unwrap_or(0)];
        let mut scratch = Scratch::default();
        self.read(InputTopic::Clock, true, &mut |partition, payload| {
            if let (Ok(Record::DayClosed(clock)), Ok(place)) =
                (scratch.decode_avro(payload), usize::try_from(partition))
            {
                closed[place] = closed[place].max(Some(clock.date));
            }
        })?;
        Ok(closed)
    }

    /// Declares days over in every partition, each once: those after the last that a partition knows to be over, up to
    /// `last`; where none is, from `first` on. Everything sent before is waited for.
    pub fn close_days(&self, first: CivilDate, last: CivilDate) -> Result<u64, FeedError> {
        self.finish()?;
        let closed = self.closed()?;
        let mut written = 0;
        for (partition, closed) in (0..self.partitions).zip(closed) {
            let from = closed.map_or(first, |closed| closed.plus_days(1));
            let ends = self.ends(partition)?;
            for day in (from.epoch_days()..=last.epoch_days()).map(CivilDate::from_epoch_days) {
                let mut payload = Vec::new();
                schemas::encode_clock(ClockRecord { date: day, parked_wait: false }, &mut payload);
                let key = format!("clock-{day}");
                let headers = Some(headers::write_input_ends(&ends));
                self.put(InputTopic::Clock, Some(partition), Some(&key), headers, &payload)?;
                written += 1;
            }
        }
        self.finish()?;
        Ok(written)
    }

    /// The offsets after the last records of a partition, of every input topic but the clock itself.
    fn ends(&self, partition: i32) -> Result<[Option<i64>; INPUTS], FeedError> {
        let mut ends = [None; INPUTS];
        for topic in InputTopic::ALL.into_iter().filter(|&topic| topic != InputTopic::Clock) {
            let (_, end) = watermarks(self.producer.client(), self.names.input(topic), partition)?;
            ends[topic as usize] = Some(end);
        }
        Ok(ends)
    }

    /// Reads a small topic to its end, or only the last record of each partition.
    fn read(&self, topic: InputTopic, only_last: bool, each: &mut dyn FnMut(i32, &[u8])) -> Result<(), FeedError> {
        let reading = |source| FeedError::Kafka { doing: "reading what is there already", source };
        let context = self.producer.context().connection.clone();
        let consumer: BaseConsumer<Connection> =
            self.config.partition_reader().create_with_context(context).map_err(ClientError::Setup)?;
        let name = self.names.input(topic);
        let (mut list, mut left) = (TopicPartitionList::new(), 0);
        for partition in 0..self.partitions {
            let (low, high) = watermarks(consumer.client(), name, partition)?;
            let from = if only_last { low.max(high - 1) } else { low };
            if from < high {
                list.add_partition_offset(name, partition, Offset::Offset(from)).map_err(reading)?;
                left += 1;
            }
        }
        consumer.assign(&list).map_err(reading)?;
        while left > 0 {
            match consumer.poll(REQUEST_TIMEOUT) {
                Some(Ok(message)) => each(message.partition(), message.payload().unwrap_or_default()),
                Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
                Some(Err(error)) if super::error::is_passing(&error) => {}
                Some(Err(error)) => return Err(reading(error)),
                None => {}
            }
        }
        Ok(())
    }
}

/// Where a partition begins and ends. A topic that was just made has no leader for a moment.
fn watermarks<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Result<(i64, i64), FeedError> {
    let until = Moment::now() + REQUEST_TIMEOUT;
    loop {
        match client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
            Ok(watermarks) => return Ok(watermarks),
            Err(error) if super::error::is_passing(&error) && Moment::now() < until => std::thread::sleep(WAIT),
            Err(source) => return Err(FeedError::Kafka { doing: "asking where a topic begins and ends", source }),
        }
    }
}

/// A producer's context, which keeps the first failure.
struct FeedContext {
    connection: Connection,
    failure: Arc<Mutex<Option<(String, KafkaError)>>>,
}

impl ProducerContext for FeedContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        if let Err((error, message)) = result {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
        }
    }
}

impl ClientContext for FeedContext {
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
