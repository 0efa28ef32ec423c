//! Decides when a civil day is declared over on Kafka, and what the record of it waits for.
//!
//! One process has the clock role. Each day's record goes into every partition of the clock topic, all in one transaction,
//! with the offsets up to which the input topics were written at that moment; a worker applies it once it has read that
//! far. Guarantees: each day once in each partition, in order, whatever crashes, and also if two have the role: the
//! records that are there are read first, and a clock that was replaced commits nothing. Does not guarantee: that it is
//! on time; days that were missed are caught up. On failure: [`Clock::close_until`] may be called again on a new clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::calendar::{CivilDate, Instant};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::BaseRecord;
use schemas::{ClockRecord, Record, Scratch};

use crate::transport::InputTopic;

use super::client::{ClientError, Connection};
use super::config::KafkaConfig;
use super::deliveries::UNTAGGED;
use super::error::WorkerError;
use super::headers;
use super::last_records::last_records;
use super::topic_names::{INPUTS, TopicNames};
use super::transaction::{TransactionError, TransactionalProducer};

/// After midnight in Japan, so that what gateways took in before it has arrived.
pub const CLOSE_DELAY: Duration = Duration::from_secs(5 * 60);
/// How often a waiting clock looks whether to stop, and at the time, which may be set.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Pauses between attempts after a failure.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// Declares days over.
pub struct Clock {
    reader: BaseConsumer<Connection>,
    producer: TransactionalProducer,
    names: TopicNames,
    partitions: i32,
    /// The last day that was declared over, in each partition.
    closed: Vec<Option<CivilDate>>,
}

impl Clock {
    /// Takes over the clock role, from whoever had it, as soon as Kafka answers.
    ///
    /// # Errors
    ///
    /// What Kafka refuses; or `is_stopping` said so.
    pub fn open(kafka: &KafkaConfig, is_stopping: &dyn Fn() -> bool) -> Result<Clock, WorkerError> {
        let connection = Connection::new(kafka, "clock");
        let mut config = kafka.partition_reader();
        config.set("group.id", &kafka.group_id);
        let reader: BaseConsumer<Connection> =
            config.create_with_context(connection.clone()).map_err(ClientError::Setup)?;
        let names = TopicNames::of(kafka);
        let serve = || drop(reader.poll(Duration::ZERO));
        let name = names.input(InputTopic::Clock);
        let metadata = connection.metadata(reader.client(), Some(name), &serve, is_stopping)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let partitions = i32::try_from(partitions).unwrap_or(0);
        if partitions == 0 {
            return Err(WorkerError::Topics(format!("{name} is missing, or this user may not see it")));
        }
        // First the role, then what was written under it before.
        let config = kafka.transactional_producer(&format!("{}-clock", kafka.group_id));
        let producer =
            TransactionalProducer::open(&config, connection, Arc::new(AtomicBool::new(false))).map_err(failed)?;
        let mut clock = Clock { reader, producer, names, partitions, closed: Vec::new() };
        clock.closed = clock.last_closed()?;
        Ok(clock)
    }

    /// The last day that was declared over in every partition.
    pub fn closed(&self) -> Option<CivilDate> {
        self.closed.iter().copied().min().flatten()
    }

    /// Declares all days up to `date` over, where they are not yet; the first time only `date`. `parked_wait`: more may
    /// come that was received by then. Gives how many days were declared over in some partition.
    ///
    /// # Errors
    ///
    /// What Kafka says; the clock is of no more use then.
    pub fn close_until(&mut self, date: CivilDate, parked_wait: bool) -> Result<u32, WorkerError> {
        let first = self.closed.iter().map(|closed| closed.map_or(date, |closed| closed.plus_days(1))).min();
        let (mut day, mut days) = (first.unwrap_or(date), 0);
        if day > date {
            return Ok(0);
        }
        let ends = self.input_ends()?;
        while day <= date {
            self.declare(day, parked_wait, &ends)?;
            day = day.plus_days(1);
            days += 1;
        }
        Ok(days)
    }

    /// Writes one day's record into every partition that lacks it.
    fn declare(
        &mut self,
        day: CivilDate,
        parked_wait: bool,
        ends: &[[Option<i64>; INPUTS]],
    ) -> Result<(), WorkerError> {
        let mut payload = Vec::new();
        schemas::encode_clock(ClockRecord { date: day, parked_wait }, &mut payload);
        self.producer.begin().map_err(failed)?;
        for ((partition, ends), closed) in (0..).zip(ends).zip(&mut self.closed) {
            if closed.is_none_or(|closed| closed < day) {
                let name = self.names.input(InputTopic::Clock);
                let record = BaseRecord::with_opaque_to(name, UNTAGGED).partition(partition).payload(&payload[..]);
                self.producer.send(record.headers(headers::write_input_ends(ends))).map_err(failed)?;
                *closed = Some(day);
            }
        }
        self.producer.commit().map(drop).map_err(failed)
    }

    /// The offset after the last record of each input topic, for each partition.
    fn input_ends(&self) -> Result<Vec<[Option<i64>; INPUTS]>, WorkerError> {
        let mut ends = vec![[None; INPUTS]; usize::try_from(self.partitions).unwrap_or(0)];
        for topic in InputTopic::ALL.into_iter().filter(|&topic| topic != InputTopic::Clock) {
            let last = last_records(&self.reader, self.names.input(topic), self.partitions)
                .map_err(|source| WorkerError::Kafka { doing: "asking where the inputs end", source })?;
            for (ends, last) in ends.iter_mut().zip(last) {
                ends[topic as usize] = last.map(|last| last.offset + 1);
            }
        }
        Ok(ends)
    }

    fn last_closed(&self) -> Result<Vec<Option<CivilDate>>, WorkerError> {
        let name = self.names.input(InputTopic::Clock);
        let last = last_records(&self.reader, name, self.partitions)
            .map_err(|source| WorkerError::Kafka { doing: "reading the last clock records", source })?;
        let mut scratch = Scratch::default();
        let mut dates = Vec::new();
        for (partition, last) in last.into_iter().enumerate() {
            let Some(last) = last else {
                dates.push(None);
                continue;
            };
            match scratch.decode_avro(&last.payload) {
                Ok(Record::DayClosed(clock)) => dates.push(Some(clock.date)),
                _ => {
                    return Err(WorkerError::Topics(format!(
                        "{name} holds something else than clock records (partition {partition}, offset {}): only the clock \
                         role may write it",
                        last.offset
                    )));
                }
            }
        }
        Ok(dates)
    }
}

/// Has the clock role until `stop` is set: declares each day over `close_delay` after its end, and at the start those that
/// were missed.
///
/// # Errors
///
/// What trying again does not mend, with the remedy.
pub fn run(kafka: &KafkaConfig, close_delay: Duration, stop: &AtomicBool) -> Result<(), WorkerError> {
    let is_stopping = || stop.load(Ordering::Acquire);
    while !is_stopping() {
        match run_once(kafka, close_delay, &is_stopping) {
            Err(WorkerError::Client(ClientError::Stopped)) => return Ok(()),
            Err(WorkerError::Kafka { .. }) => wait(RETRY_WAIT, &is_stopping),
            result => return result,
        }
    }
    Ok(())
}

fn run_once(kafka: &KafkaConfig, close_delay: Duration, is_stopping: &dyn Fn() -> bool) -> Result<(), WorkerError> {
    let mut clock = Clock::open(kafka, is_stopping)?;
    while !is_stopping() {
        clock.close_until(last_over(SystemTime::now(), close_delay), false)?;
        wait(LOOK_INTERVAL, is_stopping);
        drop(clock.reader.poll(Duration::ZERO)); // Serves the connection.
    }
    Ok(())
}

/// The last civil day that ended at least `close_delay` ago.
fn last_over(now: SystemTime, close_delay: Duration) -> CivilDate {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(close_delay);
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Instant::from_epoch_millis(millis).civil_date().plus_days(-1)
}

fn wait(time: Duration, is_stopping: &dyn Fn() -> bool) {
    let until = std::time::Instant::now() + time;
    while !is_stopping() && std::time::Instant::now() < until {
        std::thread::sleep(time.min(LOOK_INTERVAL)); // Time itself is what is waited for.
    }
}

fn failed(error: TransactionError) -> WorkerError {
    match error.remedy() {
        Some(remedy) => WorkerError::Refused { doing: error.doing, source: error.source, remedy },
        None => WorkerError::Kafka { doing: error.doing, source: error.source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_some_minutes_after_midnight_in_japan() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let midnight = 20_241 * 86_400 - 9 * 3_600; // 2025-06-02 in Japan.
        let date = |days| CivilDate::from_epoch_days(days);
        assert_eq!(last_over(at(midnight + 299), CLOSE_DELAY), date(20_239));
        assert_eq!(last_over(at(midnight + 300), CLOSE_DELAY), date(20_240));
    }
}
