//! Decides how a worker takes partitions over: nothing is read before their state and their positions are known to be all
//! that was ever committed.
//!
//! First a marker goes into each changelog, which the worker's own producer commits: initialising it has ended the open
//! transaction of the worker's former self. Then the state is restored up to the markers, then the positions are asked for;
//! the coordinator gives them only when no transaction that could change them is open. From here on nobody else can commit
//! for these partitions: whoever had them before is of an older generation of the group.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::util::Timeout;

use crate::state_store::StateStore;
use crate::transport::InputTopic;

use super::changelog::{ChangelogReader, Restore, RestoreError};
use super::client::ClientError;
use super::committer::Committer;
use super::error::{self, WorkerError};
use super::partition::{Partition, Positions, Processor};
use super::topic_names::INPUTS;
use super::worker::{Pending, Trouble, Worker, WorkerEvent, list_of, quiet_connection};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether to go on.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

impl<P: Processor> Worker<P> {
    /// Takes the pending partitions over, and begins to read them.
    pub(super) fn take_over(&mut self) -> Result<(), Trouble> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let result = self.restore_and_read(&pending);
        match result {
            Ok(()) => {
                self.observe(&WorkerEvent::Assigned { partitions: &pending.partitions, took: pending.since.elapsed() });
            }
            Err(_) => {
                self.changelog = None;
                self.committer = None;
                self.pending = Some(pending);
            }
        }
        result
    }

    fn restore_and_read(&mut self, pending: &Pending) -> Result<(), Trouble> {
        let mut partitions = Vec::new();
        let mut restores = self.restore(&pending.partitions)?;
        let positions = self.positions(&pending.partitions)?;
        for (restore, positions) in restores.drain(..).zip(&positions) {
            let Restore { partition, store, end, .. } = restore;
            let restored = Partition::restored(partition, store, end, *positions, &self.settings.processing)
                .map_err(|source| WorkerError::Processing { partition, source: Box::new(source) })?;
            partitions.push(restored);
        }
        let numbered = pending.partitions.iter().zip(&positions);
        let offsets = numbered.flat_map(|(&partition, positions)| {
            InputTopic::ALL.map(|topic| (self.names.input(topic), partition, Offset::Offset(positions[topic as usize])))
        });
        let reading = |source| WorkerError::Kafka { doing: "beginning to read", source };
        let list = list_of(offsets).map_err(reading)?;
        if pending.is_new {
            self.consumer.assign(&list).map_err(reading)?;
        } else if list.count() > 0 {
            self.consumer
                .seek_partitions(list, REQUEST_TIMEOUT)
                .map_err(|error| Trouble::Restart(error.to_string()))?;
        }
        self.give_head_start(&pending.partitions, &positions).map_err(|error| Trouble::Restart(error.to_string()))?;
        self.owned.replace(partitions);
        Ok(())
    }

    /// Brings the local stores up to what is committed now.
    fn restore(&mut self, partitions: &[i32]) -> Result<Vec<Restore>, Trouble> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let ends = self.mark(partitions)?;
        let overlay_bytes_max = self.settings.overlay_bytes_max / partitions.len();
        let mut restores = Vec::new();
        for &(partition, end) in &ends {
            let store = StateStore::open(&self.settings.database, partition, overlay_bytes_max)?;
            let restore = Restore::new(partition, store, end, self.freshness.is_fresh(partition))?;
            restores.push(restore);
        }
        let changelog = match self.changelog.take() {
            Some(changelog) => changelog,
            None => {
                let config = self.settings.kafka.partition_reader();
                let group_id = &self.settings.kafka.group_id;
                let connection = quiet_connection(&self.settings.kafka, "changelog reader");
                ChangelogReader::open(&config, group_id, self.names.changelog(), connection)
                    .map_err(ClientError::Setup)?
            }
        };
        changelog.run(&mut restores, &mut || self.go_on()).map_err(trouble)?;
        self.changelog = Some(changelog);
        for Restore { partition, records, .. } in &restores {
            self.observe(&WorkerEvent::Restored { partition: *partition, records: *records });
        }
        Ok(restores)
    }

    /// Commits a marker into each changelog, and gives the offsets after them.
    fn mark(&mut self, partitions: &[i32]) -> Result<Vec<(i32, i64)>, Trouble> {
        if self.committer.is_none() {
            let id = format!("{}-{}", self.settings.kafka.group_id, self.settings.instance_id);
            let config = self.settings.kafka.transactional_producer(&id);
            let connection = quiet_connection(&self.settings.kafka, "award producer");
            let committer = Committer::start(config, self.names.clone(), connection);
            self.committer = Some(committer.map_err(WorkerError::Thread)?);
        }
        let Some(committer) = &self.committer else { return Err(Trouble::Interrupted) };
        committer.mark(partitions.to_vec());
        let answer = loop {
            match committer.wait(POLL_INTERVAL) {
                Some(answer) => break answer,
                None if self.go_on() => {}
                None => return Err(Trouble::Interrupted),
            }
        };
        let mut ends = answer.map_err(Trouble::from)?.changelog_ends;
        ends.sort_unstable();
        if ends.iter().map(|(partition, _)| partition).ne(partitions) {
            return Err(Trouble::Restart("the markers' offsets are not known".to_owned()));
        }
        Ok(ends)
    }

    /// Where to read on, for each partition and topic: what is committed, else the beginning.
    fn positions(&self, partitions: &[i32]) -> Result<Vec<Positions>, Trouble> {
        let asking = |source| trouble(RestoreError::Kafka("asking for the committed positions", source));
        let all = partitions
            .iter()
            .flat_map(|&partition| InputTopic::ALL.map(|topic| (self.names.input(topic), partition, Offset::Invalid)));
        let mut list = rdkafka::TopicPartitionList::new();
        for (topic, partition, _) in all {
            list.add_partition(topic, partition);
        }
        let began = Instant::now();
        let committed = loop {
            match self.consumer.committed_offsets(list.clone(), Timeout::After(REQUEST_TIMEOUT)) {
                Ok(committed) => break committed,
                Err(_) if began.elapsed() < REQUEST_TIMEOUT && self.go_on() => {}
                Err(error) => return Err(asking(error)),
            }
        };
        let mut positions = vec![[0; INPUTS]; partitions.len()];
        for element in committed.elements() {
            element.error().map_err(asking)?;
            let Some(topic) = self.names.input_of(element.topic()) else { continue };
            let Ok(place) = partitions.binary_search(&element.partition()) else { continue };
            positions[place][topic as usize] = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => {
                    let timeout = REQUEST_TIMEOUT;
                    self.consumer.fetch_watermarks(element.topic(), element.partition(), timeout).map_err(asking)?.0
                }
            };
        }
        Ok(positions)
    }
}

fn trouble(error: RestoreError) -> Trouble {
    match error {
        RestoreError::Interrupted => Trouble::Interrupted,
        RestoreError::State(error) => Trouble::Stop(error.into()),
        RestoreError::Kafka(doing, source) => match error::remedy(&source) {
            Some(remedy) => Trouble::Stop(WorkerError::Refused { doing, source, remedy }),
            None => Trouble::Restart(describe(doing, &source)),
        },
    }
}

fn describe(doing: &str, source: &KafkaError) -> String {
    format!("{doing}: {source}")
}
