//! Decides how one partition's records become outputs and state changes: decode, have the core decide, write out what it
//! decided, and account for every record (law 5).
//!
//! Which records come, and when what was decided is committed, is the transport's loop to know: [`crate::workers`] on the
//! embedded default. Guarantees: what [`AwardPartition::stage`] gives is all that was decided since the last time, and
//! nothing else; nothing that is decided depends on when it is called. On failure: the partition is of no more use; a
//! new one, restored from what was committed, goes on.

mod refuse;

use std::sync::Arc;
use std::time::Duration;

use pipeline::engine::{Disposition, Effects, Engine, Input};
use pipeline::rejection::{Rejection, RejectionReason};
use pipeline::state::{Fault, Store};
use schemas::{AccountingRecord, Record, Scratch};
use thiserror::Error;

use crate::parked::Parked;
use crate::transport::{Format, InputRecord, InputTopic, OutputTopic, Outputs, Transaction, TransportError};
use refuse::Described;

/// What bounds a worker.
#[derive(Clone, Copy, Debug)]
pub struct AwardSettings {
    /// A transaction is committed so long after it began, or sooner when there is nothing to read.
    pub commit_interval: Duration,
    /// A transaction takes at most about so many bytes of input.
    pub transaction_bytes_max: usize,
    /// State held in memory.
    pub cache_bytes_max: usize,
    /// Members looked at in one transaction while a day is closed.
    pub close_members_max: usize,
}

impl Default for AwardSettings {
    fn default() -> Self {
        AwardSettings {
            commit_interval: Duration::from_millis(100),
            transaction_bytes_max: 4 << 20,
            cache_bytes_max: 128 << 20,
            close_members_max: 2_000,
        }
    }
}

/// Why a worker stopped.
#[derive(Debug, Error)]
pub enum AwardError {
    /// The transport does not work any more.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The state can't be read.
    #[error("the state can't be read: {0}")]
    State(#[from] Fault),
}

/// What is known of a record besides its contents.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The topic that it is in.
    pub topic: InputTopic,
    /// Its place in the topic's partition.
    pub offset: i64,
    /// The file it was replayed from.
    pub file: Option<Arc<str>>,
    /// Its line there.
    pub line: Option<i64>,
}

/// Where a record comes from, borrowed.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    topic: InputTopic,
    offset: i64,
    file: Option<&'a str>,
    line: Option<i64>,
}

/// Processes one partition.
pub struct AwardPartition {
    partition: i32,
    engine: Engine,
    settings: AwardSettings,
    scratch: Scratch,
    effects: Effects,
    outputs: Outputs,
    /// Of the topics that something was read of since the last stage.
    accounting: Vec<(InputTopic, AccountingRecord)>,
}

impl AwardPartition {
    /// A partition as it was committed.
    pub fn restore(partition: i32, store: &dyn Store, settings: AwardSettings) -> Result<Self, AwardError> {
        let mut parse = |source: &str| {
            schemas::programme_file::parse(source).map_err(|_| Fault("a programme in the state can't be read".into()))
        };
        Ok(AwardPartition {
            partition,
            engine: Engine::restore(store, &mut parse)?,
            settings,
            scratch: Scratch::default(),
            effects: Effects::default(),
            outputs: Outputs::default(),
            accounting: Vec::new(),
        })
    }

    /// The core, to ask what is due.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Processes the next record of a topic.
    pub fn process(&mut self, record: &InputRecord<'_>, store: &dyn Store) -> Result<(), AwardError> {
        let InputRecord { topic, offset, file, line, .. } = *record;
        let accounting = self.accounting(topic, offset);
        if accounting.records_read == 0 {
            accounting.first_offset = offset;
        }
        accounting.records_read += 1;
        accounting.last_offset = offset;
        let place = Place { topic, offset, file, line };
        let disposition = self.process_at(record.format, record.payload, place, store)?;
        self.count(topic, offset, disposition);
        self.release(store)
    }

    /// Whether a day is being closed: commit, then [`AwardPartition::close_some`], until it is done, before the next record.
    pub fn is_closing(&self) -> bool {
        self.engine.is_closing()
    }

    /// Goes on closing a day, for a bounded number of members.
    pub fn close_some(&mut self, store: &dyn Store) -> Result<(), AwardError> {
        self.engine.close_some(self.settings.close_members_max, store, &mut self.effects)?;
        self.write_effects();
        self.release(store)
    }

    /// Bytes of outputs and state decided since the last stage.
    pub fn open_bytes(&self) -> usize {
        self.outputs.bytes()
    }

    /// Moves everything decided since the last time into `transaction`, in place of what that holds.
    pub fn stage(&mut self, transaction: &mut Transaction) {
        for (topic, record) in self.accounting.drain(..) {
            let key = topic.name().as_bytes();
            self.outputs.push(OutputTopic::Accounting, key, |out| schemas::encode_accounting(&record, out));
        }
        transaction.outputs.clear();
        std::mem::swap(&mut transaction.outputs, &mut self.outputs); // The memory of the one before is used for the next.
        self.engine.stage(&mut transaction.changes);
    }

    /// What was staged is durable: memory may be given back.
    pub fn committed(&mut self) {
        self.engine.trim(self.settings.cache_bytes_max);
    }

    /// The account of a topic. A new one is of a stretch of none, before `offset`.
    fn accounting(&mut self, topic: InputTopic, offset: i64) -> &mut AccountingRecord {
        let known = self.accounting.iter().position(|&(known, _)| known == topic);
        let place = known.unwrap_or_else(|| {
            let record = AccountingRecord {
                topic: topic.name().to_owned(),
                partition: self.partition,
                first_offset: offset,
                last_offset: offset - 1,
                ..AccountingRecord::default()
            };
            self.accounting.push((topic, record));
            self.accounting.len() - 1
        });
        &mut self.accounting[place].1
    }

    /// Counts what became of a record and of its samples.
    fn count(&mut self, topic: InputTopic, offset: i64, disposition: Disposition) {
        let samples = std::mem::take(&mut self.effects.samples);
        let accounting = self.accounting(topic, offset);
        match disposition {
            Disposition::Accepted => accounting.records_accepted += 1,
            Disposition::Duplicate => accounting.records_duplicate += 1,
            Disposition::Rejected => accounting.records_rejected += 1,
            Disposition::Parked => accounting.records_parked += 1,
        }
        accounting.samples_read += samples.read as i64;
        accounting.samples_accepted += samples.accepted as i64;
        accounting.samples_rejected += samples.rejected as i64;
        accounting.samples_duplicate += samples.duplicate as i64;
        accounting.samples_parked += samples.parked as i64;
    }

    /// Has the core decide on one record, and writes out what it decided.
    fn process_at(
        &mut self,
        format: Format,
        payload: &[u8],
        place: Place<'_>,
        store: &dyn Store,
    ) -> Result<Disposition, AwardError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let decoded = match format {
            Format::Avro => scratch.decode_avro(payload),
            Format::Json => scratch.decode_json(payload),
            Format::TooLarge | Format::Broken => {
                self.scratch = scratch;
                return Ok(self.refuse_undecodable(format, payload, place));
            }
        };
        let result = match decoded {
            Ok(record) => self.decide(&record, format, payload, place, store),
            Err(error) => {
                let rejection =
                    Rejection { reason: error.reason, sample: None, activity_date: None, detail: error.detail };
                Ok(self.reject(rejection, &Described::default(), place, payload))
            }
        };
        self.scratch = scratch;
        result
    }

    fn decide(
        &mut self,
        record: &Record<'_>,
        format: Format,
        payload: &[u8],
        place: Place<'_>,
        store: &dyn Store,
    ) -> Result<Disposition, AwardError> {
        let input = match record {
            Record::Upload(upload) => Input::Upload(*upload),
            Record::Member(member) => Input::Member(member.change),
            Record::DayClosed(_) | Record::Programme(_) if place.file.is_some() => {
                return Ok(self.refuse_declaration(record, payload, place));
            }
            Record::DayClosed(clock) => Input::DayClosed { date: clock.date, parked_wait: clock.parked_wait },
            Record::Programme(programme) => match schemas::programme_file::parse(programme.source) {
                Ok(parsed) => Input::Programme { programme: Arc::new(parsed), source: programme.source },
                Err(problems) => return Ok(self.refuse_programme(&problems, record, payload, place)),
            },
            Record::Other { type_name, .. } => {
                let detail =
                    format!("records of type {type_name:?} are not processed yet; they are kept in facts_records");
                let reason = RejectionReason::UnsupportedRecordType;
                let rejection = Rejection { reason, sample: None, activity_date: None, detail };
                return Ok(self.reject(rejection, &Described::of(record), place, payload));
            }
        };
        // A copy of the original is only needed for a fact that is parked, which the core knows to be rare.
        let original = || Parked::encode(format, payload, &place.to_provenance());
        let disposition = self.engine.apply(&input, &original, store, &mut self.effects)?;
        if !self.effects.rejections.is_empty() {
            self.write_rejections(record, format, payload, place);
        }
        self.write_effects();
        Ok(disposition)
    }

    /// Facts that waited for an enrolment: they are applied, or refused, as if they came now.
    fn release(&mut self, store: &dyn Store) -> Result<(), AwardError> {
        for released in std::mem::take(&mut self.effects.released) {
            let Some(Parked { format, payload, provenance }) = Parked::decode(&released.original) else {
                return Err(TransportError::Damaged("a parked record".to_owned()).into());
            };
            let (topic, offset) = (provenance.topic, provenance.offset);
            let disposition = self.process_at(format, &payload, Place::of(&provenance), store)?;
            // Its samples were read, and counted as parked, when it came.
            let again = std::mem::take(&mut self.effects.samples.read);
            self.count(topic, offset, disposition);
            let accounting = self.accounting(topic, offset);
            accounting.records_unparked += 1;
            accounting.samples_parked -= again as i64;
        }
        Ok(())
    }

    /// Encodes what the core decided for the output topics.
    fn write_effects(&mut self) {
        let AwardPartition { outputs, effects, .. } = self;
        for entry in effects.entries.drain(..) {
            outputs.push(OutputTopic::Entries, entry.member.as_bytes(), |out| schemas::encode_entry(&entry, out));
        }
        for total in effects.daily_totals.drain(..) {
            let key = total.member.as_bytes();
            outputs.push(OutputTopic::DailyTotals, key, |out| schemas::encode_daily_total(&total, out));
        }
        for notice in effects.notices.drain(..) {
            outputs.push(OutputTopic::Notices, notice.member.as_bytes(), |out| schemas::encode_notice(&notice, out));
        }
    }
}

impl Place<'_> {
    fn of(provenance: &Provenance) -> Place<'_> {
        let Provenance { topic, offset, ref file, line } = *provenance;
        Place { topic, offset, file: file.as_deref(), line }
    }

    fn to_provenance(self) -> Provenance {
        Provenance { topic: self.topic, offset: self.offset, file: self.file.map(Arc::from), line: self.line }
    }
}
