//! Decides how input records are read from Avro. Reading an upload is the hottest path of all.
//!
//! The order of the reads is the order of the fields in `avro/*.avsc`; the tests hold it against apache-avro. What a
//! sample may say is the core's to decide: here it only has to be readable.

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{MemberChange, MemberOperation, Sample, SampleTime, Source, Upload};

use crate::binary::{Read, Reader};
use crate::error::DecodeError;
use crate::input::{MemberRecord, ProgrammeRecord, Record};
use crate::sample_buffer::SampleBuffer;
use crate::schema::Schema;
use crate::symbols::SampleKind;
use crate::symbols::{self, CHANNEL, DEVICE_KIND, MEMBER_OPERATION, OPERATION, PLATFORM, RECORDING, SAMPLE_KIND, SEX};

/// Ten fields, of which each is at least one byte.
const SAMPLE_BYTES_MIN: usize = 10;

pub(crate) fn decode<'s>(
    schema: Schema,
    payload: &'s [u8],
    header_bytes: usize,
    samples: &'s mut SampleBuffer,
) -> Result<Record<'s>, DecodeError> {
    let mut reader = Reader::new(payload, header_bytes);
    let record = match schema {
        Schema::Upload => upload(&mut reader, samples.lend()).map(Record::Upload),
        Schema::Member => member(&mut reader).map(Record::Member),
        Schema::Clock => reader.date("date").map(Record::DayClosed),
        Schema::Programme => programme(&mut reader).map(Record::Programme),
        Schema::Entry | Schema::DailyTotal | Schema::Rejection | Schema::Notice | Schema::Accounting => {
            return Err(DecodeError::malformed(format_args!("{} is an output, not an input", schema.name())));
        }
    };
    record.and_then(|record| reader.end().map(|()| record)).map_err(|error| *error)
}

fn upload<'s>(reader: &mut Reader<'s>, samples: &'s mut Vec<Sample<'s>>) -> Read<Upload<'s>> {
    let id = reader.text("id")?;
    let programme = reader.text("programme")?;
    let member = reader.text("member")?;
    let received_at = reader.instant("received_at")?;
    let login_at = reader.nullable("login_at", Reader::instant)?;
    let channel = reader.symbol("channel", CHANNEL)?;
    let source = Source {
        platform: reader.symbol("source.platform", PLATFORM)?,
        origin: reader.text("source.origin")?,
        device: reader.text("source.device")?,
        device_kind: reader.symbol("source.device_kind", DEVICE_KIND)?,
    };
    loop {
        let count = reader.block("samples", SAMPLE_BYTES_MIN)?;
        if count == 0 {
            break;
        }
        samples.reserve(count);
        for _ in 0..count {
            samples.push(sample(reader).map_err(|error| in_sample(samples.len(), error))?);
        }
    }
    Ok(Upload { id, programme, member, received_at, login_at, channel, source, samples })
}

#[cold]
fn in_sample(index: usize, mut error: Box<DecodeError>) -> Box<DecodeError> {
    error.detail.insert_str(0, &format!("samples[{index}]."));
    error
}

#[inline(always)]
fn sample<'s>(reader: &mut Reader<'s>) -> Read<Sample<'s>> {
    let kind = reader.nullable("kind", |reader, field| reader.symbol(field, SAMPLE_KIND))?;
    let start = reader.nullable("start", Reader::instant)?;
    let end = reader.nullable("end", Reader::instant)?;
    let date = reader.nullable("date", Reader::date)?;
    Ok(Sample {
        time: sample_time(kind, start, end, date),
        steps: reader.long("steps")?,
        recording: reader.symbol("recording", RECORDING)?,
        operation: reader.symbol("op", OPERATION)?,
        id: reader.nullable("id", Reader::text)?.unwrap_or(""),
        version: reader.long("version")?,
        modified_at: reader.nullable("modified_at", Reader::instant)?,
    })
}

/// What a sample measures; `Unstated` if it lacks the times that its kind needs, so that the core refuses it alone.
#[inline(always)]
pub(crate) fn sample_time(
    kind: Option<SampleKind>,
    start: Option<Instant>,
    end: Option<Instant>,
    date: Option<CivilDate>,
) -> SampleTime {
    match (kind, start, end, date) {
        (Some(SampleKind::Interval), Some(start), Some(end), _) => SampleTime::Interval { start, end },
        (Some(SampleKind::DailyTotal), _, _, Some(date)) => SampleTime::DailyTotal(date),
        (Some(SampleKind::MergedTotal), _, _, Some(date)) => SampleTime::MergedTotal(date),
        _ => SampleTime::Unstated,
    }
}

/// What an operation's name means to this version.
pub(crate) fn member_operation(name: &str) -> MemberOperation {
    symbols::value(MEMBER_OPERATION, name).unwrap_or(MemberOperation::Unsupported)
}

fn member<'s>(reader: &mut Reader<'s>) -> Read<MemberRecord<'s>> {
    let id = reader.text("id")?;
    let programme = reader.text("programme")?;
    let member = reader.text("member")?;
    let received_at = reader.instant("received_at")?;
    let operation_name = reader.text("op")?;
    let effective_on = reader.date("effective_on")?;
    let personal = reader.nullable("personal", |reader, _| {
        Ok((
            reader.nullable("personal.birth_date", Reader::date)?,
            reader.nullable("personal.birth_date_quality", Reader::text)?,
            reader.nullable("personal.sex", |reader, field| reader.symbol(field, SEX))?,
        ))
    })?;
    let (birth_date, birth_date_quality, sex) = personal.unwrap_or_default();
    let operation = member_operation(operation_name);
    Ok(MemberRecord {
        change: MemberChange {
            id,
            programme,
            member,
            received_at,
            operation,
            operation_name,
            effective_on,
            birth_date,
        },
        birth_date_quality,
        sex,
        course: reader.nullable("course", Reader::text)?,
        residence: reader.nullable("residence", Reader::text)?,
        insurance: reader.nullable("insurance", Reader::text)?,
        identity_route: reader.nullable("identity_route", Reader::text)?,
    })
}

fn programme<'s>(reader: &mut Reader<'s>) -> Read<ProgrammeRecord<'s>> {
    Ok(ProgrammeRecord {
        id: reader.text("id")?,
        version: reader.number("version")?,
        effective_on: reader.date("effective_on")?,
        source: reader.text("source")?,
    })
}
