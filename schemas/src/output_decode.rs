//! Decides how outputs are read back: by the lake, the console and whoever explains an entry.
//!
//! What is not written by this version or one before it is refused, never guessed at.

use std::sync::Arc;

use pipeline::calendar::Period;
use pipeline::ledger::{DailyTotal, Entry, EntryId, Notice, NoticeKind, Reason, SourceName, SourceSteps};
use pipeline::quantity::{Points, Steps};
use pipeline::rejection::{Rejection, RejectionReason};

use crate::binary::{Read, Reader};
use crate::error::{DecodeError, quoted};
use crate::output::{AccountingRecord, Origin, RejectionRecord};
use crate::output_encode::BASELINE_FROZEN;
use crate::schema::{Schema, SchemaIds};
use crate::symbols::{ACCOUNT, DEVICE_KIND};

/// Three texts and a kind of at least one byte each, a truth value and a number.
const SOURCE_STEPS_BYTES_MIN: usize = 6;

fn decode<'p, T>(
    payload: &'p [u8],
    expected: Schema,
    read: impl FnOnce(&mut Reader<'p>) -> Read<T>,
) -> Result<T, DecodeError> {
    let (schema, header_bytes) = SchemaIds::default().open(payload)?;
    if schema != expected {
        return Err(DecodeError::malformed(format_args!("{}, where {} belongs", schema.name(), expected.name())));
    }
    let mut reader = Reader::new(payload, header_bytes);
    read(&mut reader).and_then(|value| reader.end().map(|()| value)).map_err(|error| *error)
}

/// Reads an entry.
///
/// # Errors
///
/// `Malformed`, if these bytes are not an entry in the single-object encoding.
pub fn decode_entry(payload: &[u8]) -> Result<Entry, DecodeError> {
    decode(payload, Schema::Entry, |reader| {
        Ok(Entry {
            id: EntryId::from_bytes(reader.sixteen("entry_id")?),
            sequence: reader.number("sequence")?,
            programme: shared(reader, "programme")?,
            member: shared(reader, "member")?,
            rule: shared(reader, "rule")?,
            rule_version: reader.number("rule_version")?,
            item: item(reader)?,
            period: period(reader)?,
            revision: reader.number("revision")?,
            points: reader.long("points").map(Points::new)?,
            debit: reader.name("debit", ACCOUNT)?,
            credit: reader.name("credit", ACCOUNT)?,
            activity_date: reader.date("activity_date")?,
            arrival_date: reader.date("arrival_date")?,
            posting_date: reader.date("posting_date")?,
            expires_on: reader.nullable("expires_on", Reader::date)?,
            corrects: reader.nullable("corrects", Reader::sixteen)?.map(EntryId::from_bytes),
            reason: reason(reader)?,
        })
    })
}

fn reason(reader: &mut Reader<'_>) -> Read<Reason> {
    Ok(Reason {
        steps: reader.nullable("reason.steps", Reader::number)?,
        days: reader.nullable("reason.days", Reader::number)?,
        steps_min: reader.nullable("reason.steps_min", Reader::number)?,
        baseline_steps: reader.nullable("reason.baseline_steps", Reader::number)?,
        is_older_class: reader.nullable("reason.is_older_class", Reader::boolean)?,
        points_max: reader.nullable("reason.points_max", Reader::long)?,
        entitled: reader.long("reason.entitled").map(Points::new)?,
    })
}

fn shared(reader: &mut Reader<'_>, field: &str) -> Read<Arc<str>> {
    reader.text(field).map(Arc::from)
}

fn owned(reader: &mut Reader<'_>, field: &str) -> Read<String> {
    reader.text(field).map(str::to_owned)
}

/// No rule kind of this version has several items under one rule.
fn item(reader: &mut Reader<'_>) -> Read<&'static str> {
    match reader.text("item")? {
        "" => Ok(""),
        other => Err(reader.wrong("item", format_args!("{} is no item that this version knows", quoted(other)))),
    }
}

fn period(reader: &mut Reader<'_>) -> Read<Period> {
    let text = reader.text("period")?;
    Period::parse(text).ok_or_else(|| {
        reader.wrong("period", format_args!("{} is none of 2025-06-03, 2025-W23, 2025-06", quoted(text)))
    })
}

/// Reads a daily total.
///
/// # Errors
///
/// `Malformed`, if these bytes are not a daily total in the single-object encoding.
pub fn decode_daily_total(payload: &[u8]) -> Result<DailyTotal, DecodeError> {
    decode(payload, Schema::DailyTotal, |reader| {
        Ok(DailyTotal {
            programme: shared(reader, "programme")?,
            member: shared(reader, "member")?,
            date: reader.date("date")?,
            revision: reader.number("revision")?,
            steps: reader.number("steps").map(Steps::new)?,
            source_steps: source_steps(reader)?,
            wear: reader.boolean("wear")?,
            first_arrival_at: reader.instant("first_arrival_at")?,
            last_arrival_at: reader.instant("last_arrival_at")?,
        })
    })
}

fn source_steps(reader: &mut Reader<'_>) -> Read<Vec<SourceSteps>> {
    let mut days = Vec::new();
    loop {
        let count = reader.block("source_steps", SOURCE_STEPS_BYTES_MIN)?;
        if count == 0 {
            return Ok(days);
        }
        for _ in 0..count {
            days.push(SourceSteps {
                source: Arc::new(SourceName {
                    platform: owned(reader, "source_steps.platform")?,
                    origin: owned(reader, "source_steps.origin")?,
                    device: owned(reader, "source_steps.device")?,
                    device_kind: reader.name("source_steps.device_kind", DEVICE_KIND)?,
                }),
                is_merged: reader.boolean("source_steps.is_merged")?,
                steps: reader.number("source_steps.steps").map(Steps::new)?,
            });
        }
    }
}

/// Reads a notice.
///
/// # Errors
///
/// `Malformed`, if these bytes are not a notice in the single-object encoding, or of a kind that this version does not know.
pub fn decode_notice(payload: &[u8]) -> Result<Notice, DecodeError> {
    decode(payload, Schema::Notice, |reader| {
        let programme = shared(reader, "programme")?;
        let member = shared(reader, "member")?;
        let rule = shared(reader, "rule")?;
        let kind = reader.text("kind")?;
        if kind != BASELINE_FROZEN {
            return Err(reader.wrong("kind", format_args!("{} is not {BASELINE_FROZEN}", quoted(kind))));
        }
        let date = reader.date("date")?;
        let revision = reader.number("revision")?;
        let first_day = reader.nullable("first_day", Reader::date)?;
        let baseline_steps = reader.nullable("baseline_steps", Reader::number)?;
        let is_older_class = reader.nullable("is_older_class", Reader::boolean)?;
        let (Some(first_day), Some(baseline_steps), Some(is_older_class)) = (first_day, baseline_steps, is_older_class)
        else {
            return Err(reader.wrong("kind", format_args!("{BASELINE_FROZEN} without its figures")));
        };
        let kind = NoticeKind::BaselineFrozen { first_day, baseline_steps, is_older_class };
        Ok(Notice { programme, member, rule, kind, date, revision })
    })
}

/// Reads a rejection.
///
/// # Errors
///
/// `Malformed`, if these bytes are not a rejection in the single-object encoding, or its reason is not known.
pub fn decode_rejection(payload: &[u8]) -> Result<RejectionRecord, DecodeError> {
    decode(payload, Schema::Rejection, |reader| {
        let code = reader.text("reason")?;
        let reason = RejectionReason::ALL.into_iter().find(|reason| reason.code() == code).ok_or_else(|| {
            reader.wrong("reason", format_args!("{} is no code that this version knows", quoted(code)))
        })?;
        Ok(RejectionRecord {
            rejection: Rejection {
                reason,
                sample: reader.nullable("sample", Reader::number)?,
                activity_date: reader.nullable("activity_date", Reader::date)?,
                detail: owned(reader, "detail")?,
            },
            revision: reader.number("revision")?,
            withdrawn: reader.boolean("withdrawn")?,
            record_type: owned(reader, "record_type")?,
            record_id: owned(reader, "record_id")?,
            programme: owned(reader, "programme")?,
            member: owned(reader, "member")?,
            received_at: reader.nullable("received_at", Reader::instant)?,
            origin: origin(reader)?,
            payload: reader.bytes("payload")?.to_vec(),
        })
    })
}

fn origin(reader: &mut Reader<'_>) -> Read<Origin> {
    Ok(Origin {
        topic: owned(reader, "origin.topic")?,
        partition: reader.number("origin.partition")?,
        offset: reader.long("origin.offset")?,
        file: reader.nullable("origin.file", owned)?,
        line: reader.nullable("origin.line", Reader::long)?,
    })
}

/// Reads what became of the records of a stretch.
///
/// # Errors
///
/// `Malformed`, if these bytes are not an accounting record in the single-object encoding.
pub fn decode_accounting(payload: &[u8]) -> Result<AccountingRecord, DecodeError> {
    decode(payload, Schema::Accounting, |reader| {
        Ok(AccountingRecord {
            topic: reader.text("topic")?.to_owned(),
            partition: reader.number("partition")?,
            first_offset: reader.long("first_offset")?,
            last_offset: reader.long("last_offset")?,
            records_read: reader.long("records_read")?,
            records_accepted: reader.long("records_accepted")?,
            records_rejected: reader.long("records_rejected")?,
            records_duplicate: reader.long("records_duplicate")?,
            records_parked: reader.long("records_parked")?,
            records_unparked: reader.long("records_unparked")?,
            samples_read: reader.long("samples_read")?,
            samples_accepted: reader.long("samples_accepted")?,
            samples_rejected: reader.long("samples_rejected")?,
            samples_duplicate: reader.long("samples_duplicate")?,
            samples_parked: reader.long("samples_parked")?,
        })
    })
}
