//! Decides how the last committed record of each partition of a topic is found: behind it there may be marks of
//! transactions, and records of transactions that came to nothing.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;

use super::client::Connection;
use super::error;
use super::worker::list_of;

/// The last record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastRecord {
    /// Its offset.
    pub offset: i64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one look at the ends of all partitions may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Looking further back each time.
const STEP_FACTOR: i64 = 16;

/// Finds the last record of each partition, `None` where there is none. `reader` tells of partitions' ends, and reads only
/// what is committed.
pub(super) fn last_records(
    reader: &BaseConsumer<Connection>,
    topic: &str,
    partitions: i32,
) -> KafkaResult<Vec<Option<LastRecord>>> {
    let mut found: Vec<Option<LastRecord>> = (0..partitions).map(|_| None).collect();
    let mut open = Vec::new();
    for partition in 0..partitions {
        let (low, high) = reader.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
        if low < high {
            open.push((partition, low, high));
        }
    }
    let mut step = 2;
    while !open.is_empty() {
        let starts =
            open.iter().map(|&(partition, low, high)| (topic, partition, Offset::Offset(low.max(high - step))));
        reader.assign(&list_of(starts)?)?;
        let (mut ended, until) = (Vec::new(), Instant::now() + READ_TIMEOUT);
        while ended.len() < open.len() {
            match reader.poll(until.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    if let Some(place) = usize::try_from(message.partition()).ok().and_then(|at| found.get_mut(at)) {
                        let payload = message.payload().unwrap_or_default().to_vec();
                        *place = Some(LastRecord { offset: message.offset(), payload });
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if !ended.contains(&partition) => ended.push(partition),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if !error::is_passing(&error) => return Err(error),
                _ if Instant::now() >= until => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                _ => {}
            }
        }
        open.retain(|&(partition, low, high)| {
            let is_found = usize::try_from(partition).is_ok_and(|at| found[at].is_some());
            !is_found && high - step > low
        });
        step = step.saturating_mul(STEP_FACTOR);
    }
    reader.unassign()?;
    Ok(found)
}
