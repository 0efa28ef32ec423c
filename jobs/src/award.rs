//! Decides the award worker's loop for one partition: read a stretch of input, have the core decide, commit outputs,
//! state and position together.
//!
//! Guarantees: every record read is accounted for (law 5); outputs and state never disagree, whatever crashes. Does not
//! guarantee: anything about when a commit happens; nothing that is decided depends on it. On failure: the loop ends with
//! the reason, and a new worker goes on from what was committed.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use pipeline::calendar::Instant;
use pipeline::engine::{Disposition, Effects, Engine, Input};
use pipeline::programme::Programme;
use pipeline::rejection::{Rejection, RejectionReason};
use pipeline::state::Fault;
use schemas::{AccountingRecord, Origin, Record, RejectionRecord, Scratch};
use thiserror::Error;

use crate::parked::Parked;
use crate::transport::{Format, InputRecord, OutputTopic, TooLarge, Transaction, Transport, TransportError};

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

/// Processes one partition.
pub struct AwardWorker<T> {
    transport: T,
    engine: Engine,
    settings: AwardSettings,
    offset: i64,
    scratch: Scratch,
    /// The records of one poll, copied so that deciding may read the state.
    polled: Polled,
    open: Open,
}

/// The transaction that is being filled.
#[derive(Default)]
struct Open {
    outputs: Vec<(OutputTopic, Vec<u8>)>,
    effects: Effects,
    accounting: AccountingRecord,
    input_bytes: usize,
    began: Option<Moment>,
}

/// Input records in one piece of memory.
#[derive(Default)]
struct Polled {
    bytes: Vec<u8>,
    records: Vec<PolledRecord>,
    next: usize,
}

struct PolledRecord {
    offset: i64,
    format: Format,
    payload: std::ops::Range<usize>,
    file: Option<Arc<str>>,
    line: Option<i64>,
}

/// What is known of a record besides its contents.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// Its place in the partition.
    pub offset: i64,
    /// The file it was replayed from.
    pub file: Option<Arc<str>>,
    /// Its line there.
    pub line: Option<i64>,
}

/// The name under which the input of the embedded log appears in `origin`.
pub const INPUT_TOPIC: &str = "inputs";

impl<T: Transport> AwardWorker<T> {
    /// A worker that goes on from what is committed.
    pub fn start(transport: T, settings: AwardSettings) -> Result<Self, AwardError> {
        let mut parse = |source: &str| {
            schemas::programme_file::parse(source).map_err(|_| Fault("a programme in the state can't be read".into()))
        };
        let engine = Engine::restore(transport.store(), &mut parse)?;
        let offset = transport.position()?;
        Ok(AwardWorker {
            transport,
            engine,
            settings,
            offset,
            scratch: Scratch::default(),
            polled: Polled::default(),
            open: Open::default(),
        })
    }

    /// The core, to ask what is due.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The offset of the next record.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Takes one stretch of input. `false` if there was none, and then nothing is left uncommitted.
    pub fn step(&mut self) -> Result<bool, AwardError> {
        if self.engine.is_closing() {
            self.close()?;
        }
        if self.polled.next == self.polled.records.len() {
            self.poll()?;
        }
        if self.polled.records.is_empty() {
            self.commit()?;
            return Ok(false);
        }
        while self.polled.next < self.polled.records.len() {
            self.process_next()?;
            if self.is_full() {
                self.commit()?;
                break;
            }
        }
        Ok(true)
    }

    fn poll(&mut self) -> Result<(), AwardError> {
        let polled = &mut self.polled;
        polled.bytes.clear();
        polled.records.clear();
        polled.next = 0;
        let mut file: Option<Arc<str>> = None;
        self.transport.poll(self.offset, self.settings.transaction_bytes_max / 4, &mut |record: InputRecord<'_>| {
            let start = polled.bytes.len();
            polled.bytes.extend_from_slice(record.payload);
            if file.as_deref() != record.file {
                file = record.file.map(Arc::from);
            }
            polled.records.push(PolledRecord {
                offset: record.offset,
                format: record.format,
                payload: start..polled.bytes.len(),
                file: file.clone(),
                line: record.line,
            });
        })?;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.open.input_bytes >= self.settings.transaction_bytes_max
            || self.open.began.is_some_and(|began| began.elapsed() >= self.settings.commit_interval)
    }

    fn process_next(&mut self) -> Result<(), AwardError> {
        let polled = std::mem::take(&mut self.polled);
        let record = &polled.records[polled.next];
        let payload = &polled.bytes[record.payload.clone()];
        let provenance = Provenance { offset: record.offset, file: record.file.clone(), line: record.line };
        if self.open.began.is_none() {
            self.open.began = Some(Moment::now());
            self.open.accounting.first_offset = record.offset;
        }
        self.open.accounting.records_read += 1;
        self.open.input_bytes += payload.len();
        let result = self.process(record.format, payload, &provenance);
        self.offset = record.offset + 1;
        self.polled = Polled { next: polled.next + 1, ..polled };
        let disposition = result?;
        self.count(disposition);
        if self.engine.is_closing() {
            self.close()?;
        }
        self.release()
    }

    fn count(&mut self, disposition: Disposition) {
        let accounting = &mut self.open.accounting;
        match disposition {
            Disposition::Accepted => accounting.records_accepted += 1,
            Disposition::Duplicate => accounting.records_duplicate += 1,
            Disposition::Rejected => accounting.records_rejected += 1,
            Disposition::Parked => accounting.records_parked += 1,
        }
    }

    /// Has the core decide on one record, and writes out what it decided.
    fn process(&mut self, format: Format, payload: &[u8], provenance: &Provenance) -> Result<Disposition, AwardError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let decoded = match format {
            Format::Avro => scratch.decode_avro(payload),
            Format::Json => scratch.decode_json(payload),
            Format::TooLarge => {
                self.scratch = scratch;
                return Ok(self.refuse_too_large(payload, provenance));
            }
            Format::Broken => {
                self.scratch = scratch;
                return Ok(self.refuse_broken(payload, provenance));
            }
        };
        let result = match decoded {
            Ok(record) => self.decide(&record, format, payload, provenance),
            Err(error) => {
                let rejection =
                    Rejection { reason: error.reason, sample: None, activity_date: None, detail: error.detail };
                self.reject(rejection, &Described::default(), provenance, payload);
                Ok(Disposition::Rejected)
            }
        };
        self.scratch = scratch;
        result
    }

    /// Only the clock and `publish` declare days over and publish programmes: they go to every partition, as Avro.
    fn refuse_declaration(&mut self, record: &Record<'_>, payload: &[u8], provenance: &Provenance) -> Disposition {
        let detail = "a file can declare neither a day over nor a programme; days end by what is replayed".to_owned();
        let rejection = Rejection { reason: RejectionReason::Malformed, sample: None, activity_date: None, detail };
        self.reject(rejection, &Described::of(record), provenance, payload);
        Disposition::Rejected
    }

    fn decide(
        &mut self,
        record: &Record<'_>,
        format: Format,
        payload: &[u8],
        provenance: &Provenance,
    ) -> Result<Disposition, AwardError> {
        if provenance.file.is_some() && matches!(record, Record::DayClosed(_) | Record::Programme(_)) {
            return Ok(self.refuse_declaration(record, payload, provenance));
        }
        let parsed;
        let input = match record {
            Record::Upload(upload) => Input::Upload(*upload),
            Record::Member(member) => Input::Member(member.change),
            Record::DayClosed(clock) => Input::DayClosed { date: clock.date, parked_wait: clock.parked_wait },
            Record::Programme(programme) => {
                parsed = match schemas::programme_file::parse(programme.source) {
                    Ok(parsed) => Arc::new(parsed),
                    Err(problems) => return Ok(self.refuse_programme(&problems, record, payload, provenance)),
                };
                Input::Programme { programme: Arc::<Programme>::clone(&parsed), source: programme.source }
            }
            Record::Other { type_name, .. } => {
                let detail =
                    format!("records of type {type_name:?} are not processed yet; they are kept in facts_records");
                let rejection = Rejection {
                    reason: RejectionReason::UnsupportedRecordType,
                    sample: None,
                    activity_date: None,
                    detail,
                };
                self.reject(rejection, &Described::of(record), provenance, payload);
                return Ok(Disposition::Rejected);
            }
        };
        // A copy of the original is only needed for a fact that is parked, which the core knows to be rare.
        let original = || Parked::encode(format, payload, provenance);
        let disposition = self.engine.apply(&input, &original, self.transport.store(), &mut self.open.effects)?;
        if !self.open.effects.rejections.is_empty() {
            let described = Described::of(record);
            for rejection in std::mem::take(&mut self.open.effects.rejections) {
                let sample = match (record, rejection.sample) {
                    (Record::Upload(upload), Some(index)) => upload.samples.get(index as usize),
                    _ => None,
                };
                match sample {
                    Some(sample) => {
                        let index = rejection.sample.unwrap_or(0) as usize;
                        let original = crate::sample_text::as_it_came(format, payload, index);
                        let text = original.unwrap_or_else(|| crate::sample_text::to_json(sample));
                        self.reject(rejection, &described, provenance, &text);
                    }
                    None => self.reject(rejection, &described, provenance, payload),
                }
            }
        }
        self.write_effects();
        Ok(disposition)
    }

    /// Facts that waited for an enrolment: they are applied, or refused, as if they came now.
    fn release(&mut self) -> Result<(), AwardError> {
        for released in std::mem::take(&mut self.open.effects.released) {
            let Some(parked) = Parked::decode(&released.original) else {
                return Err(TransportError::Damaged("a parked record".to_owned()).into());
            };
            self.open.accounting.records_unparked += 1;
            let before = self.open.effects.samples;
            let disposition = self.process(parked.format, &parked.payload, &parked.provenance)?;
            self.count(disposition);
            // Its samples were read, and counted as parked, when it came.
            let samples = &mut self.open.effects.samples;
            let again = samples.read - before.read;
            samples.read = before.read;
            self.open.accounting.samples_parked -= again as i64;
        }
        Ok(())
    }

    /// Closes a day, member by member, in transactions of bounded size.
    fn close(&mut self) -> Result<(), AwardError> {
        loop {
            let members_max = self.settings.close_members_max;
            let is_done = self.engine.close_some(members_max, self.transport.store(), &mut self.open.effects)?;
            self.write_effects();
            self.release()?;
            if is_done {
                return Ok(());
            }
            self.commit()?;
        }
    }

    /// Encodes what the core decided for the output topics.
    fn write_effects(&mut self) {
        let Open { outputs, effects, .. } = &mut self.open;
        let mut write = |topic, encode: &dyn Fn(&mut Vec<u8>)| {
            let mut payload = Vec::with_capacity(192);
            encode(&mut payload);
            outputs.push((topic, payload));
        };
        for entry in effects.entries.drain(..) {
            write(OutputTopic::Entries, &|out| schemas::encode_entry(&entry, out));
        }
        for total in effects.daily_totals.drain(..) {
            write(OutputTopic::DailyTotals, &|out| schemas::encode_daily_total(&total, out));
        }
        for notice in effects.notices.drain(..) {
            write(OutputTopic::Notices, &|out| schemas::encode_notice(&notice, out));
        }
    }

    fn refuse_too_large(&mut self, payload: &[u8], provenance: &Provenance) -> Disposition {
        let what = TooLarge::decode(payload);
        let (detail, beginning) = match &what {
            Some(what) => (
                format!(
                    "{} bytes where a record has at most {}; SHA-256 {}",
                    what.length,
                    crate::transport::RECORD_BYTES_MAX,
                    what.sha256
                ),
                &what.beginning[..],
            ),
            None => ("a record that is too large, without its length".to_owned(), payload),
        };
        let rejection =
            Rejection { reason: RejectionReason::RecordTooLarge, sample: None, activity_date: None, detail };
        self.reject(rejection, &Described::default(), provenance, beginning);
        Disposition::Rejected
    }

    fn refuse_broken(&mut self, payload: &[u8], provenance: &Provenance) -> Disposition {
        let end = payload.iter().position(|&byte| byte == b'\n').unwrap_or(payload.len());
        let why = String::from_utf8_lossy(&payload[..end]);
        let held = payload.get(end + 1..).unwrap_or_default();
        let detail = format!("the file can't be read here: {why}");
        let rejection = Rejection { reason: RejectionReason::Malformed, sample: None, activity_date: None, detail };
        self.reject(rejection, &Described::default(), provenance, held);
        Disposition::Rejected
    }

    fn refuse_programme(
        &mut self,
        problems: &[schemas::programme_file::Problem],
        record: &Record<'_>,
        payload: &[u8],
        provenance: &Provenance,
    ) -> Disposition {
        let detail = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let rejection = Rejection { reason: RejectionReason::Malformed, sample: None, activity_date: None, detail };
        self.reject(rejection, &Described::of(record), provenance, payload);
        Disposition::Rejected
    }

    fn reject(&mut self, rejection: Rejection, described: &Described<'_>, provenance: &Provenance, payload: &[u8]) {
        let record = RejectionRecord {
            rejection,
            revision: 0,
            withdrawn: false,
            record_type: described.record_type.to_owned(),
            record_id: described.id.to_owned(),
            programme: described.programme.to_owned(),
            member: described.member.to_owned(),
            received_at: described.received_at,
            origin: Origin {
                topic: INPUT_TOPIC.to_owned(),
                partition: self.transport.partition(),
                offset: provenance.offset,
                file: provenance.file.as_deref().map(str::to_owned),
                line: provenance.line,
            },
            payload: payload.to_vec(),
        };
        let mut out = Vec::with_capacity(256 + payload.len());
        schemas::encode_rejection(&record, &mut out);
        self.open.outputs.push((OutputTopic::Rejections, out));
    }

    /// Commits what has been decided, before the worker stops.
    pub fn finish(&mut self) -> Result<(), AwardError> {
        self.commit()
    }

    /// Makes everything decided so far durable, in one transaction.
    fn commit(&mut self) -> Result<(), AwardError> {
        if self.open.began.is_none() && self.open.outputs.is_empty() {
            return Ok(());
        }
        let mut open = std::mem::take(&mut self.open);
        let samples = std::mem::take(&mut open.effects.samples);
        if open.accounting.records_read == 0 {
            open.accounting.first_offset = self.offset; // A close that went on: an empty stretch.
        }
        let accounting = AccountingRecord {
            partition: self.transport.partition(),
            last_offset: self.offset - 1,
            samples_read: samples.read as i64,
            samples_accepted: samples.accepted as i64,
            samples_rejected: samples.rejected as i64,
            samples_duplicate: samples.duplicate as i64,
            samples_parked: samples.parked as i64 + open.accounting.samples_parked,
            ..open.accounting
        };
        let mut transaction = Transaction { outputs: open.outputs, changes: Vec::new(), next_offset: self.offset };
        let mut out = Vec::with_capacity(64);
        schemas::encode_accounting(&accounting, &mut out);
        transaction.outputs.push((OutputTopic::Accounting, out));
        self.engine.stage(&mut transaction.changes);
        self.transport.commit(transaction)?;
        self.engine.trim(self.settings.cache_bytes_max);
        self.open.effects = open.effects; // Its buffers.
        Ok(())
    }
}

/// What a rejection says of its record.
#[derive(Clone, Copy, Debug, Default)]
struct Described<'a> {
    record_type: &'a str,
    id: &'a str,
    programme: &'a str,
    member: &'a str,
    received_at: Option<Instant>,
}

impl<'a> Described<'a> {
    fn of(record: &Record<'a>) -> Self {
        match *record {
            Record::Upload(upload) => Described {
                record_type: "upload",
                id: upload.id,
                programme: upload.programme,
                member: upload.member,
                received_at: Some(upload.received_at),
            },
            Record::Member(schemas::MemberRecord { change, .. }) => Described {
                record_type: "member",
                id: change.id,
                programme: change.programme,
                member: change.member,
                received_at: Some(change.received_at),
            },
            Record::DayClosed(_) => Described { record_type: "clock", ..Described::default() },
            Record::Programme(programme) => {
                Described { record_type: "programme", programme: programme.id, ..Described::default() }
            }
            Record::Other { type_name, id, programme, member, received_at } => {
                Described { record_type: type_name, id, programme, member, received_at }
            }
        }
    }
}
