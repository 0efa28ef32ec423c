//! Decides the shape in which rows that are not the core's own types are handed to the lake: borrowed, flat, decoded.

use pipeline::calendar::{CivilDate, Instant};

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The topic that it came on.
    pub topic: &'a str,
    /// The topic's partition.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// The file that it was read from, if it was read from one.
    pub file: Option<&'a str>,
    /// Its line or record in that file, from 1.
    pub line: Option<i64>,
}

/// A row of `rejections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectionRow<'a> {
    /// The stable code of the reason.
    pub reason: &'a str,
    /// Counts what was said about this fact from 0.
    pub revision: u32,
    /// Whether this revision takes the rejection back.
    pub withdrawn: bool,
    /// The record's type; empty if it could not be read.
    pub record_type: &'a str,
    /// The record's id; empty if it could not be read.
    pub record_id: &'a str,
    /// The programme that it states; empty if none.
    pub programme: &'a str,
    /// The member that it states; empty if none.
    pub member: &'a str,
    /// The civil day that the fact is about, where it has one.
    pub activity_date: Option<CivilDate>,
    /// When the gateway took it in.
    pub received_at: Option<Instant>,
    /// What was found and what would have been right.
    pub detail: &'a str,
    /// The sample's index in its upload; `None` when the whole record is refused.
    pub sample_index: Option<u32>,
    /// Where it came from.
    pub origin: Origin<'a>,
    /// The record's bytes as they came.
    pub payload: &'a [u8],
}

/// A row of `accounting`. The counts are those of [`super::super::tables::TableId::Accounting`]'s columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountingRow {
    /// The input partition.
    pub partition: i32,
    /// The first offset that the transaction read.
    pub first_offset: i64,
    /// The last.
    pub last_offset: i64,
    /// Records read.
    pub records_read: u64,
    /// Records taken as facts.
    pub records_accepted: u64,
    /// Records refused.
    pub records_rejected: u64,
    /// Records known already.
    pub records_duplicate: u64,
    /// Records that wait for an enrolment.
    pub records_parked: u64,
    /// Records of earlier transactions that wait no longer.
    pub records_unparked: u64,
    /// Samples of parsed uploads.
    pub samples_read: u64,
    /// Samples taken as facts.
    pub samples_accepted: u64,
    /// Samples refused.
    pub samples_rejected: u64,
    /// Samples known already.
    pub samples_duplicate: u64,
    /// Samples that wait for an enrolment.
    pub samples_parked: u64,
}

/// A row of `facts_members`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRow<'a> {
    /// The record's id.
    pub id: &'a str,
    /// The programme that it states.
    pub programme: &'a str,
    /// The member that it states.
    pub member: &'a str,
    /// When the gateway took it in.
    pub received_at: Instant,
    /// The operation's name as it came.
    pub op: &'a str,
    /// The civil day from which it holds.
    pub effective_on: CivilDate,
    /// The member's birth date.
    pub birth_date: Option<CivilDate>,
    /// How the birth date is known.
    pub birth_date_quality: Option<&'a str>,
    /// F or M.
    pub sex: Option<&'a str>,
    /// The course that the member chose.
    pub course: Option<&'a str>,
    /// The municipality of residence.
    pub residence: Option<&'a str>,
    /// The insurer.
    pub insurance: Option<&'a str>,
    /// How the identity was verified.
    pub identity_route: Option<&'a str>,
    /// Where it came from.
    pub origin: Origin<'a>,
}

/// A row of `facts_records`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRow<'a> {
    /// The record's type: `checkin`, `measurement`, ….
    pub record_type: &'a str,
    /// The record's id, if it has one.
    pub id: Option<&'a str>,
    /// The programme that it states; empty if none.
    pub programme: &'a str,
    /// The member that it states; empty if none.
    pub member: &'a str,
    /// When the gateway took it in.
    pub received_at: Option<Instant>,
    /// The record's bytes as they came.
    pub payload: &'a [u8],
    /// Where it came from.
    pub origin: Origin<'a>,
}

/// A row of `facts_programmes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgrammeRow<'a> {
    /// The programme's id.
    pub programme: &'a str,
    /// Counts the versions of this programme from 1.
    pub version: u32,
    /// The first activity date to which it applies.
    pub effective_on: CivilDate,
    /// The whole of its `programme.toml`.
    pub source: &'a str,
    /// Where it came from.
    pub origin: Origin<'a>,
}

/// A row of `facts_clocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRow<'a> {
    /// The civil day that is over.
    pub date: CivilDate,
    /// Where it came from.
    pub origin: Origin<'a>,
}
