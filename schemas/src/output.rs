//! Decides what goes out beside the core's own types: where a refused record came from, and what became of all records.

use pipeline::calendar::Instant;
use pipeline::rejection::Rejection;

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The input topic.
    pub topic: String,
    /// The partition of the topic.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// The file that a replay read it from.
    pub file: Option<String>,
    /// The line in the file, from 1.
    pub line: Option<i64>,
}

/// A refused fact with all that is known of the record it came in. Text is empty where it could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectionRecord {
    /// What the core, or the decoder, says.
    pub rejection: Rejection,
    /// Counts from 0; the highest is current.
    pub revision: u32,
    /// Whether a later fact made the refusal void.
    pub withdrawn: bool,
    /// The record's type.
    pub record_type: String,
    /// The record's id.
    pub record_id: String,
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// When the gateway took it in.
    pub received_at: Option<Instant>,
    /// Where it came from.
    pub origin: Origin,
    /// The original bytes; of a record that is too large, the first 64 KiB.
    pub payload: Vec<u8>,
}

/// What became of the records of one stretch of a partition. All counts are from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountingRecord {
    /// The input topic.
    pub topic: String,
    /// The partition of the topic.
    pub partition: i32,
    /// The first offset of the stretch; of a stretch of none, one more than the last.
    pub first_offset: i64,
    /// The last offset of the stretch.
    pub last_offset: i64,
    /// Records read.
    pub records_read: i64,
    /// Records accepted.
    pub records_accepted: i64,
    /// Records rejected.
    pub records_rejected: i64,
    /// Records that said nothing new.
    pub records_duplicate: i64,
    /// Records that began to wait for an enrolment.
    pub records_parked: i64,
    /// Records that ceased to wait.
    pub records_unparked: i64,
    /// Samples of parsed uploads.
    pub samples_read: i64,
    /// Samples accepted.
    pub samples_accepted: i64,
    /// Samples rejected.
    pub samples_rejected: i64,
    /// Samples that said nothing new.
    pub samples_duplicate: i64,
    /// Samples of uploads that wait for an enrolment.
    pub samples_parked: i64,
}
