//! Decides how input records are written: Avro, in the single-object encoding.
//!
//! The gateway, the clock and the load generator write them. What is written here is read by [`crate::Scratch`].

use pipeline::fact::{Sample, SampleTime, Upload};

use crate::binary::{put_date, put_instant, put_long, put_named_symbol, put_nullable, put_symbol, put_text};
use crate::input::{ClockRecord, MemberRecord, ProgrammeRecord};
use crate::schema::Schema;
use crate::symbols::{CHANNEL, DEVICE_KIND, OPERATION, PLATFORM, RECORDING, SAMPLE_KIND, SEX, SampleKind};

/// Appends an upload.
///
/// # Panics
///
/// If the platform is not one of the contract's five: such an upload cannot have been read.
pub fn encode_upload(upload: &Upload<'_>, out: &mut Vec<u8>) {
    Schema::Upload.put_header(out);
    put_text(out, upload.id);
    put_text(out, upload.programme);
    put_text(out, upload.member);
    put_instant(out, upload.received_at);
    put_nullable(out, upload.login_at, put_instant);
    put_symbol(out, upload.channel, CHANNEL);
    put_named_symbol(out, upload.source.platform, PLATFORM);
    put_text(out, upload.source.origin);
    put_text(out, upload.source.device);
    put_symbol(out, upload.source.device_kind, DEVICE_KIND);
    if !upload.samples.is_empty() {
        put_long(out, upload.samples.len() as i64);
        upload.samples.iter().for_each(|sample| put_sample(out, sample));
    }
    put_long(out, 0);
}

fn put_sample(out: &mut Vec<u8>, sample: &Sample<'_>) {
    let (kind, start, end, date) = match sample.time {
        SampleTime::Interval { start, end } => (Some(SampleKind::Interval), Some(start), Some(end), None),
        SampleTime::DailyTotal(date) => (Some(SampleKind::DailyTotal), None, None, Some(date)),
        SampleTime::MergedTotal(date) => (Some(SampleKind::MergedTotal), None, None, Some(date)),
        SampleTime::Unstated => (None, None, None, None),
    };
    put_nullable(out, kind, |out, kind| put_symbol(out, kind, SAMPLE_KIND));
    put_nullable(out, start, put_instant);
    put_nullable(out, end, put_instant);
    put_nullable(out, date, put_date);
    put_long(out, sample.steps);
    put_symbol(out, sample.recording, RECORDING);
    put_symbol(out, sample.operation, OPERATION);
    put_nullable(out, Some(sample.id).filter(|id| !id.is_empty()), put_text);
    put_long(out, sample.version);
    put_nullable(out, sample.modified_at, put_instant);
}

/// Appends a change of a member.
///
/// # Panics
///
/// If `sex` is neither `F` nor `M`: such a change cannot have been read.
pub fn encode_member(member: &MemberRecord<'_>, out: &mut Vec<u8>) {
    let change = &member.change;
    Schema::Member.put_header(out);
    put_text(out, change.id);
    put_text(out, change.programme);
    put_text(out, change.member);
    put_instant(out, change.received_at);
    put_text(out, change.operation_name);
    put_date(out, change.effective_on);
    let is_personal = change.birth_date.is_some() || member.birth_date_quality.is_some() || member.sex.is_some();
    put_nullable(out, is_personal.then_some(()), |out, ()| {
        put_nullable(out, change.birth_date, put_date);
        put_nullable(out, member.birth_date_quality, put_text);
        put_nullable(out, member.sex, |out, sex| put_named_symbol(out, sex, SEX));
    });
    for text in [member.course, member.residence, member.insurance, member.identity_route] {
        put_nullable(out, text, put_text);
    }
}

/// Appends the word that a civil day is over.
pub fn encode_clock(clock: ClockRecord, out: &mut Vec<u8>) {
    Schema::Clock.put_header(out);
    put_date(out, clock.date);
    out.push(u8::from(clock.parked_wait));
}

/// Appends one version of a programme's rules.
pub fn encode_programme(programme: &ProgrammeRecord<'_>, out: &mut Vec<u8>) {
    Schema::Programme.put_header(out);
    put_text(out, programme.id);
    put_long(out, i64::from(programme.version));
    put_date(out, programme.effective_on);
    put_text(out, programme.source);
}
