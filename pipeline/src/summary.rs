//! Decides what is kept of a member whatever the day, and seldom changes: enrolment, sources, which values exist.

use std::sync::Arc;

use crate::calendar::{CivilDate, CivilMonth, Instant};
use crate::codec::{CorruptState, Reader, Writer};
use crate::day::SourceIndex;
use crate::fact::{DeviceKind, MemberOperation};
use crate::ledger::SourceName;

/// A change of the member that was accepted. Copies of one id are one fact: the smallest receipt counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFact {
    /// The record's id.
    pub id: String,
    /// Its receipt; nothing is known of it before that date.
    pub received_at: Instant,
    /// Hash of everything but the receipt: the same id with another content is another record (ID_REUSED).
    pub content: u64,
    /// What happened. `Unsupported` is never kept.
    pub operation: MemberOperation,
    /// From this day on it holds.
    pub effective_on: CivilDate,
    /// Decides the age class.
    pub birth_date: Option<CivilDate>,
}

/// A deletion by id alone. It is kept, because its sample may come later, or again on another day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdDeletion {
    /// The sample's source.
    pub source: SourceIndex,
    /// Hash of the sample's id.
    pub id: u64,
    /// As in [`crate::day::Statement`].
    pub version: i64,
    /// As in [`crate::day::Statement`].
    pub modified_at: i64,
    /// As in [`crate::day::Statement`].
    pub rank: u16,
    /// Receipt of the upload that told it.
    pub received_at: Instant,
    /// The day of the login that brought it.
    pub logged_in_on: CivilDate,
    /// Its id.
    pub upload: String,
}

/// What is kept of a member whatever the day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Enrolment, verification and every change, in the order in which they were processed.
    pub facts: Vec<MemberFact>,
    /// Sources, in the order in which they were first seen.
    pub sources: Vec<Arc<SourceName>>,
    /// The months that have a value, and which of their parts have: bit p.
    pub months: Vec<(CivilMonth, u8)>,
    /// The weeks, by their Monday, that have an index of sample ids.
    pub id_weeks: Vec<CivilDate>,
    /// Deletions by id alone.
    pub id_deletions: Vec<IdDeletion>,
    /// Facts that were parked, whether or not they still wait.
    pub parked: u32,
}

impl Summary {
    /// The first fact of an operation, by (receipt, id): the one that counts.
    pub fn first(&self, operation: MemberOperation) -> Option<&MemberFact> {
        let facts = self.facts.iter().filter(|fact| fact.operation == operation);
        facts.min_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)))
    }

    /// Writes it down.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        w.count(self.facts.len());
        for fact in &self.facts {
            w.bytes(fact.id.as_bytes());
            w.instant(fact.received_at);
            w.unsigned(fact.content);
            w.0.push(fact.operation as u8);
            w.date(fact.effective_on);
            w.option(fact.birth_date, Writer::date);
        }
        w.count(self.sources.len());
        for source in &self.sources {
            w.bytes(source.platform.as_bytes());
            w.bytes(source.origin.as_bytes());
            w.bytes(source.device.as_bytes());
            w.0.push(source.device_kind as u8);
        }
        w.count(self.months.len());
        for &(month, parts) in &self.months {
            w.signed(i64::from(month.number()));
            w.0.push(parts);
        }
        w.count(self.id_weeks.len());
        self.id_weeks.iter().for_each(|&week| w.date(week));
        w.count(self.id_deletions.len());
        for deletion in &self.id_deletions {
            w.unsigned(u64::from(deletion.source));
            w.unsigned(deletion.id);
            w.signed(deletion.version);
            w.signed(deletion.modified_at);
            w.unsigned(u64::from(deletion.rank));
            w.instant(deletion.received_at);
            w.date(deletion.logged_in_on);
            w.bytes(deletion.upload.as_bytes());
        }
        w.unsigned(u64::from(self.parked));
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Summary, CorruptState> {
        let mut r = Reader::begin(bytes)?;
        let summary = Summary {
            facts: r.list(|r| {
                Ok(MemberFact {
                    id: r.text()?.into(),
                    received_at: r.instant()?,
                    content: r.unsigned()?,
                    operation: if r.byte()? == 0 { MemberOperation::Enrol } else { MemberOperation::Verify },
                    effective_on: r.date()?,
                    birth_date: r.option(Reader::date)?,
                })
            })?,
            sources: r.list(decode_source)?,
            months: r.list(|r| Ok((CivilMonth::from_number(r.signed32()?), r.byte()?)))?,
            id_weeks: r.list(Reader::date)?,
            id_deletions: r.list(|r| {
                Ok(IdDeletion {
                    source: r.small()?,
                    id: r.unsigned()?,
                    version: r.signed()?,
                    modified_at: r.signed()?,
                    rank: r.small()?,
                    received_at: r.instant()?,
                    logged_in_on: r.date()?,
                    upload: r.text()?.into(),
                })
            })?,
            parked: r.small()?,
        };
        r.end()?;
        Ok(summary)
    }
}

fn decode_source(r: &mut Reader<'_>) -> Result<Arc<SourceName>, CorruptState> {
    Ok(Arc::new(SourceName {
        platform: r.text()?.into(),
        origin: r.text()?.into(),
        device: r.text()?.into(),
        device_kind: match r.byte()? {
            0 => DeviceKind::Watch,
            1 => DeviceKind::Phone,
            2 => DeviceKind::Pedometer,
            3 => DeviceKind::Scale,
            _ => DeviceKind::Unknown,
        },
    }))
}
