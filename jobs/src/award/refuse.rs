//! Decides what a refusal says: the reason, what is known of the record, where it came from, and its original bytes.

use pipeline::calendar::Instant;
use pipeline::engine::Disposition;
use pipeline::rejection::{Rejection, RejectionReason};
use schemas::programme_file::Problem;
use schemas::{Origin, Record, RejectionRecord};

use super::{AwardPartition, Place};
use crate::transport::{Format, OutputTopic, TooLarge};

impl AwardPartition {
    /// Refuses a record of which there is nothing to decode.
    pub(super) fn refuse_undecodable(&mut self, format: Format, payload: &[u8], place: Place<'_>) -> Disposition {
        if format == Format::Broken {
            let end = payload.iter().position(|&byte| byte == b'\n').unwrap_or(payload.len());
            let why = String::from_utf8_lossy(&payload[..end]);
            let held = payload.get(end + 1..).unwrap_or_default();
            let detail = format!("the file can't be read here: {why}");
            return self.reject(whole(RejectionReason::Malformed, detail), &Described::default(), place, held);
        }
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
        self.reject(whole(RejectionReason::RecordTooLarge, detail), &Described::default(), place, beginning)
    }

    /// Only the clock and `publish` declare days over and publish programmes: they go to every partition, as Avro.
    pub(super) fn refuse_declaration(&mut self, record: &Record<'_>, payload: &[u8], place: Place<'_>) -> Disposition {
        let detail = "a file can declare neither a day over nor a programme; days end by what is replayed".to_owned();
        self.reject(whole(RejectionReason::Malformed, detail), &Described::of(record), place, payload)
    }

    pub(super) fn refuse_programme(
        &mut self,
        problems: &[Problem],
        record: &Record<'_>,
        payload: &[u8],
        place: Place<'_>,
    ) -> Disposition {
        let detail = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.reject(whole(RejectionReason::Malformed, detail), &Described::of(record), place, payload)
    }

    /// Writes out what the core refused: of a sample, its own text and not the whole upload's.
    pub(super) fn write_rejections(&mut self, record: &Record<'_>, format: Format, payload: &[u8], place: Place<'_>) {
        let described = Described::of(record);
        for rejection in std::mem::take(&mut self.effects.rejections) {
            let sample = match (record, rejection.sample) {
                (Record::Upload(upload), Some(index)) => upload.samples.get(index as usize),
                _ => None,
            };
            match sample {
                Some(sample) => {
                    let index = rejection.sample.unwrap_or(0) as usize;
                    let original = crate::sample_text::as_it_came(format, payload, index);
                    let text = original.unwrap_or_else(|| crate::sample_text::to_json(sample));
                    self.reject(rejection, &described, place, &text);
                }
                None => {
                    self.reject(rejection, &described, place, payload);
                }
            }
        }
    }

    /// Writes out one refusal.
    pub(super) fn reject(
        &mut self,
        rejection: Rejection,
        described: &Described<'_>,
        place: Place<'_>,
        payload: &[u8],
    ) -> Disposition {
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
                topic: place.topic.name().to_owned(),
                partition: self.partition,
                offset: place.offset,
                file: place.file.map(str::to_owned),
                line: place.line,
            },
            payload: payload.to_vec(),
        };
        let key = described.member.as_bytes();
        self.outputs.push(OutputTopic::Rejections, key, |out| schemas::encode_rejection(&record, out));
        Disposition::Rejected
    }
}

/// A refusal of a whole record.
fn whole(reason: RejectionReason, detail: String) -> Rejection {
    Rejection { reason, sample: None, activity_date: None, detail }
}

/// What a rejection says of its record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Described<'a> {
    pub(super) record_type: &'a str,
    pub(super) id: &'a str,
    pub(super) programme: &'a str,
    pub(super) member: &'a str,
    pub(super) received_at: Option<Instant>,
}

impl<'a> Described<'a> {
    pub(super) fn of(record: &Record<'a>) -> Self {
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
