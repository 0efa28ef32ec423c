//! Decides in which order a worker that takes partitions over begins to read their topics: what the programmes topic holds
//! at that moment, then what the members topic holds, then all the rest.
//!
//! Topics have no common order on Kafka. A record of a programme that is not known yet would be refused, so programmes come
//! first, however long it takes. Facts of members who are not known yet are parked, and written to the changelog whole: that
//! changes no decision, but a worker that is far behind would park nearly everything.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::transport::InputTopic;

use super::partition::{Positions, Processor};
use super::worker::{Worker, list_of};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The last thing in a members partition may be something other than a record, such as the end of a transaction, so that
/// its end is never reached by reading. Only Ayumi writes programmes, and without transactions.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// What is read before other things are.
pub(super) struct HeadStart {
    /// The topic that is being read, and the ends to reach.
    ahead: InputTopic,
    ends: Vec<(i32, i64)>,
    partitions: Vec<i32>,
    /// When a record came last.
    pub progress_at: Instant,
}

impl<P: Processor> Worker<P> {
    /// Begins to read these partitions by what must come first.
    pub(super) fn give_head_start(&mut self, partitions: &[i32], positions: &[Positions]) -> KafkaResult<()> {
        // One that was cut short has left some paused.
        self.consumer.resume(&self.partitions_of(&InputTopic::ALL, partitions)?)?;
        self.head_start = None;
        for (ahead, held) in
            [(InputTopic::Programmes, &HELD_FOR_PROGRAMMES[..]), (InputTopic::Members, &HELD_FOR_MEMBERS[..])]
        {
            let mut ends = Vec::new();
            for (&partition, positions) in partitions.iter().zip(positions) {
                let (_, end) = self.consumer.fetch_watermarks(self.names.input(ahead), partition, REQUEST_TIMEOUT)?;
                if positions[ahead as usize] < end {
                    ends.push((partition, end));
                }
            }
            if !ends.is_empty() {
                self.consumer.pause(&self.partitions_of(held, partitions)?)?;
                let partitions = partitions.to_vec();
                self.head_start = Some(HeadStart { ahead, ends, partitions, progress_at: Instant::now() });
                break;
            }
        }
        Ok(())
    }

    /// Lets the next topics come, if all that was to be read before them has been.
    pub(super) fn end_head_start(&mut self) -> KafkaResult<()> {
        let Some(HeadStart { ahead, ends, partitions, progress_at }) = &self.head_start else { return Ok(()) };
        let is_reached = |&(partition, end)| self.owned.position(partition, *ahead) >= Some(end);
        let is_quiet = *ahead == InputTopic::Members && progress_at.elapsed() >= QUIET_MAX;
        if ends.iter().all(is_reached) || is_quiet {
            let partitions = partitions.clone();
            if *ahead == InputTopic::Members {
                self.head_start = None;
                return self.consumer.resume(&self.partitions_of(&InputTopic::ALL, &partitions)?);
            }
            let positions: Vec<Positions> =
                partitions.iter().filter_map(|&partition| self.owned.positions(partition)).collect();
            return self.give_head_start(&partitions, &positions);
        }
        Ok(())
    }

    fn partitions_of(&self, topics: &[InputTopic], partitions: &[i32]) -> KafkaResult<TopicPartitionList> {
        list_of(topics.iter().flat_map(|&topic| {
            let name = self.names.input(topic);
            partitions.iter().map(move |&partition| (name, partition, Offset::Invalid))
        }))
    }
}

const HELD_FOR_PROGRAMMES: [InputTopic; 5] =
    [InputTopic::Steps, InputTopic::Checkins, InputTopic::Records, InputTopic::Members, InputTopic::Clock];
const HELD_FOR_MEMBERS: [InputTopic; 4] =
    [InputTopic::Steps, InputTopic::Checkins, InputTopic::Records, InputTopic::Clock];
