//! Decides how outputs are written: Avro, in the single-object encoding. Entries and daily totals are written by the
//! million, so this is by hand.
//!
//! Codes (accounts, reasons, kinds) are text, so that a new one breaks no reader. Counts are Avro longs, because an
//! unsigned 32-bit number does not fit Avro's int.

use std::fmt::Write as _;

use pipeline::ledger::{DailyTotal, Entry, Notice, NoticeKind, Reason};

use crate::binary::{put_boolean, put_bytes, put_date, put_instant, put_long, put_nullable, put_text};
use crate::output::{AccountingRecord, Origin, RejectionRecord};
use crate::schema::Schema;
use crate::symbols::{self, DEVICE_KIND};

/// What a notice of a frozen baseline is called.
pub(crate) const BASELINE_FROZEN: &str = "BASELINE_FROZEN";

/// Appends an entry.
pub fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    Schema::Entry.put_header(out);
    out.extend_from_slice(entry.id.bytes());
    put_long(out, entry.sequence as i64);
    put_text(out, &entry.programme);
    put_text(out, &entry.member);
    put_text(out, &entry.rule);
    put_long(out, i64::from(entry.rule_version));
    put_text(out, entry.item);
    put_display(out, &entry.period);
    put_long(out, i64::from(entry.revision));
    put_long(out, entry.points.amount());
    put_text(out, entry.debit.name());
    put_text(out, entry.credit.name());
    put_date(out, entry.activity_date);
    put_date(out, entry.arrival_date);
    put_date(out, entry.posting_date);
    put_nullable(out, entry.expires_on, put_date);
    put_nullable(out, entry.corrects, |out, id| out.extend_from_slice(id.bytes()));
    put_reason(out, &entry.reason);
}

fn put_reason(out: &mut Vec<u8>, reason: &Reason) {
    put_nullable(out, reason.steps, |out, steps| put_long(out, steps as i64));
    put_count(out, reason.days);
    put_count(out, reason.steps_min);
    put_count(out, reason.baseline_steps);
    put_nullable(out, reason.is_older_class, put_boolean);
    put_nullable(out, reason.points_max, put_long);
    put_long(out, reason.entitled.amount());
}

fn put_count(out: &mut Vec<u8>, count: Option<u32>) {
    put_nullable(out, count, |out, count| put_long(out, i64::from(count)));
}

/// Appends what something prints as, without a string in between.
fn put_display(out: &mut Vec<u8>, value: &impl std::fmt::Display) {
    struct Short {
        bytes: [u8; 24],
        length: usize,
    }
    impl std::fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            let end = self.length + text.len();
            self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
            self.length = end;
            Ok(())
        }
    }
    let mut short = Short { bytes: [0; 24], length: 0 };
    match write!(short, "{value}") {
        Ok(()) => put_bytes(out, &short.bytes[..short.length]),
        Err(_) => put_text(out, &value.to_string()),
    }
}

/// Appends a daily total.
pub fn encode_daily_total(total: &DailyTotal, out: &mut Vec<u8>) {
    Schema::DailyTotal.put_header(out);
    put_text(out, &total.programme);
    put_text(out, &total.member);
    put_date(out, total.date);
    put_long(out, i64::from(total.revision));
    put_long(out, i64::from(total.steps.count()));
    if !total.source_steps.is_empty() {
        put_long(out, total.source_steps.len() as i64);
    }
    for day in &total.source_steps {
        put_text(out, &day.source.platform);
        put_text(out, &day.source.origin);
        put_text(out, &day.source.device);
        put_text(out, symbols::name(DEVICE_KIND, day.source.device_kind));
        put_boolean(out, day.is_merged);
        put_long(out, i64::from(day.steps.count()));
    }
    put_long(out, 0);
    put_boolean(out, total.wear);
    put_instant(out, total.first_arrival_at);
    put_instant(out, total.last_arrival_at);
}

/// Appends a notice.
pub fn encode_notice(notice: &Notice, out: &mut Vec<u8>) {
    let NoticeKind::BaselineFrozen { first_day, baseline_steps, is_older_class } = notice.kind;
    Schema::Notice.put_header(out);
    put_text(out, &notice.programme);
    put_text(out, &notice.member);
    put_text(out, &notice.rule);
    put_text(out, BASELINE_FROZEN);
    put_date(out, notice.date);
    put_long(out, i64::from(notice.revision));
    put_nullable(out, Some(first_day), put_date);
    put_count(out, Some(baseline_steps));
    put_nullable(out, Some(is_older_class), put_boolean);
}

/// Appends a rejection.
pub fn encode_rejection(record: &RejectionRecord, out: &mut Vec<u8>) {
    Schema::Rejection.put_header(out);
    put_text(out, record.rejection.reason.code());
    put_count(out, record.rejection.sample);
    put_nullable(out, record.rejection.activity_date, put_date);
    put_text(out, &record.rejection.detail);
    put_long(out, i64::from(record.revision));
    put_boolean(out, record.withdrawn);
    for text in [&record.record_type, &record.record_id, &record.programme, &record.member] {
        put_text(out, text);
    }
    put_nullable(out, record.received_at, put_instant);
    put_origin(out, &record.origin);
    put_bytes(out, &record.payload);
}

fn put_origin(out: &mut Vec<u8>, origin: &Origin) {
    put_text(out, &origin.topic);
    put_long(out, i64::from(origin.partition));
    put_long(out, origin.offset);
    put_nullable(out, origin.file.as_deref(), put_text);
    put_nullable(out, origin.line, put_long);
}

/// Appends what became of the records of a stretch.
pub fn encode_accounting(record: &AccountingRecord, out: &mut Vec<u8>) {
    Schema::Accounting.put_header(out);
    put_text(out, &record.topic);
    put_long(out, i64::from(record.partition));
    for count in [
        record.first_offset,
        record.last_offset,
        record.records_read,
        record.records_accepted,
        record.records_rejected,
        record.records_duplicate,
        record.records_parked,
        record.records_unparked,
        record.samples_read,
        record.samples_accepted,
        record.samples_rejected,
        record.samples_duplicate,
        record.samples_parked,
    ] {
        put_long(out, count);
    }
}
