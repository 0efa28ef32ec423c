//! Decides how the core's effects stand in the lake: entries, day totals and notices.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, ListArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use pipeline::ledger::{DailyTotal, Entry, Notice, NoticeKind, Reason, SourceSteps};

use super::column::{Columns, Dates, Instants, Months, group, group_fields, int, long};
use super::names;
use crate::lake::tables::TableId;

/// Rows of `entries`.
#[derive(Debug, Default)]
pub struct EntryRows {
    entry_id: StringBuilder,
    sequence: Int64Builder,
    programme: StringBuilder,
    member: StringBuilder,
    rule: StringBuilder,
    rule_version: Int32Builder,
    item: StringBuilder,
    period: StringBuilder,
    revision: Int32Builder,
    points: Int64Builder,
    debit: StringBuilder,
    credit: StringBuilder,
    activity_date: Dates,
    arrival_date: Dates,
    posting_date: Dates,
    expires_on: Dates,
    corrects: StringBuilder,
    reason: Reasons,
    month: Months,
    text: String,
}

impl EntryRows {
    /// Appends one entry; returns about how many bytes it takes.
    pub fn append(&mut self, entry: &Entry) -> usize {
        append_display(&mut self.entry_id, &mut self.text, &entry.id);
        self.sequence.append_value(long(entry.sequence));
        self.programme.append_value(&*entry.programme);
        self.member.append_value(&*entry.member);
        self.rule.append_value(&*entry.rule);
        self.rule_version.append_value(int(entry.rule_version));
        self.item.append_value(entry.item);
        append_display(&mut self.period, &mut self.text, &entry.period);
        self.revision.append_value(int(entry.revision));
        self.points.append_value(entry.points.amount());
        self.debit.append_value(entry.debit.name());
        self.credit.append_value(entry.credit.name());
        self.activity_date.push(entry.activity_date);
        self.arrival_date.push(entry.arrival_date);
        self.posting_date.push(entry.posting_date);
        self.expires_on.push(entry.expires_on);
        match &entry.corrects {
            Some(corrected) => append_display(&mut self.corrects, &mut self.text, corrected),
            None => self.corrects.append_null(),
        }
        self.reason.push(&entry.reason);
        self.month.push(entry.activity_date);
        256 + entry.member.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![
            Arc::new(self.entry_id.finish()),
            Arc::new(self.sequence.finish()),
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            Arc::new(self.rule.finish()),
            Arc::new(self.rule_version.finish()),
            Arc::new(self.item.finish()),
            Arc::new(self.period.finish()),
            Arc::new(self.revision.finish()),
            Arc::new(self.points.finish()),
            Arc::new(self.debit.finish()),
            Arc::new(self.credit.finish()),
            self.activity_date.finish(),
            self.arrival_date.finish(),
            self.posting_date.finish(),
            self.expires_on.finish(),
            Arc::new(self.corrects.finish()),
            self.reason.finish()?,
            self.month.finish(),
        ])
    }
}

/// Writes a value's text through one buffer that is used again and again.
fn append_display(builder: &mut StringBuilder, text: &mut String, value: &impl std::fmt::Display) {
    use std::fmt::Write;
    text.clear();
    // Writing to a `String` has no error of its own; what `Display` could not say is missing here as anywhere.
    let _ = write!(text, "{value}");
    builder.append_value(&*text);
}

#[derive(Debug, Default)]
struct Reasons {
    steps: Int64Builder,
    days: Int32Builder,
    steps_min: Int64Builder,
    baseline_steps: Int64Builder,
    is_older_class: BooleanBuilder,
    points_max: Int64Builder,
    entitled: Int64Builder,
}

impl Reasons {
    fn push(&mut self, reason: &Reason) {
        self.steps.append_option(reason.steps.map(long));
        self.days.append_option(reason.days.map(int));
        self.steps_min.append_option(reason.steps_min.map(i64::from));
        self.baseline_steps.append_option(reason.baseline_steps.map(i64::from));
        self.is_older_class.append_option(reason.is_older_class);
        self.points_max.append_option(reason.points_max);
        self.entitled.append_value(reason.entitled.amount());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children: Vec<ArrayRef> = vec![
            Arc::new(self.steps.finish()),
            Arc::new(self.days.finish()),
            Arc::new(self.steps_min.finish()),
            Arc::new(self.baseline_steps.finish()),
            Arc::new(self.is_older_class.finish()),
            Arc::new(self.points_max.finish()),
            Arc::new(self.entitled.finish()),
        ];
        group(TableId::Entries, &["reason"], children)
    }
}

/// Rows of `daily_total_revisions`.
#[derive(Debug, Default)]
pub struct DailyTotalRows {
    programme: StringBuilder,
    member: StringBuilder,
    date: Dates,
    steps: Int64Builder,
    source_counts: Vec<usize>,
    platform: StringBuilder,
    origin: StringBuilder,
    device: StringBuilder,
    device_kind: StringBuilder,
    is_merged: BooleanBuilder,
    source_steps: Int64Builder,
    wear: BooleanBuilder,
    first_arrival_at: Instants,
    last_arrival_at: Instants,
    revision: Int32Builder,
    month: Months,
}

impl DailyTotalRows {
    /// Appends one revision; returns about how many bytes it takes.
    pub fn append(&mut self, total: &DailyTotal) -> usize {
        self.programme.append_value(&*total.programme);
        self.member.append_value(&*total.member);
        self.date.push(total.date);
        self.steps.append_value(i64::from(total.steps.count()));
        self.source_counts.push(total.source_steps.len());
        total.source_steps.iter().for_each(|source| self.append_source(source));
        self.wear.append_value(total.wear);
        self.first_arrival_at.push(total.first_arrival_at);
        self.last_arrival_at.push(total.last_arrival_at);
        self.revision.append_value(int(total.revision));
        self.month.push(total.date);
        96 + total.member.len() + 96 * total.source_steps.len()
    }

    fn append_source(&mut self, steps: &SourceSteps) {
        self.platform.append_value(&steps.source.platform);
        self.origin.append_value(&steps.source.origin);
        self.device.append_value(&steps.source.device);
        self.device_kind.append_value(names::device_kind(steps.source.device_kind));
        self.is_merged.append_value(steps.is_merged);
        self.source_steps.append_value(i64::from(steps.steps.count()));
    }

    pub(super) fn finish(&mut self) -> Columns {
        let children: Vec<ArrayRef> = vec![
            Arc::new(self.platform.finish()),
            Arc::new(self.origin.finish()),
            Arc::new(self.device.finish()),
            Arc::new(self.device_kind.finish()),
            Arc::new(self.is_merged.finish()),
            Arc::new(self.source_steps.finish()),
        ];
        let lengths = std::mem::take(&mut self.source_counts);
        Ok(vec![
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            self.date.finish(),
            Arc::new(self.steps.finish()),
            list(TableId::DailyTotalRevisions, "source_steps", lengths, children)?,
            Arc::new(self.wear.finish()),
            self.first_arrival_at.finish(),
            self.last_arrival_at.finish(),
            Arc::new(self.revision.finish()),
            self.month.finish(),
        ])
    }
}

/// A list of structs, out of each row's length and the structs' children.
pub(super) fn list(
    table: TableId,
    column: &str,
    lengths: Vec<usize>,
    children: Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let fields = group_fields(table, &[column])?;
    let values = StructArray::try_new(fields.clone(), children, None)?;
    let element = Arc::new(Field::new("element", DataType::Struct(fields), false));
    Ok(Arc::new(ListArray::try_new(element, OffsetBuffer::from_lengths(lengths), Arc::new(values), None)?))
}

/// Rows of `notices`.
#[derive(Debug, Default)]
pub struct NoticeRows {
    programme: StringBuilder,
    member: StringBuilder,
    rule: StringBuilder,
    kind: StringBuilder,
    date: Dates,
    revision: Int32Builder,
    first_day: Dates,
    baseline_steps: Int64Builder,
    is_older_class: BooleanBuilder,
    month: Months,
}

impl NoticeRows {
    /// Appends one notice; returns about how many bytes it takes.
    pub fn append(&mut self, notice: &Notice) -> usize {
        self.programme.append_value(&*notice.programme);
        self.member.append_value(&*notice.member);
        self.rule.append_value(&*notice.rule);
        self.date.push(notice.date);
        self.revision.append_value(int(notice.revision));
        match notice.kind {
            NoticeKind::BaselineFrozen { first_day, baseline_steps, is_older_class } => {
                self.kind.append_value("BASELINE_FROZEN");
                self.first_day.push(first_day);
                self.baseline_steps.append_value(i64::from(baseline_steps));
                self.is_older_class.append_value(is_older_class);
            }
        }
        self.month.push(notice.date);
        96 + notice.member.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            Arc::new(self.rule.finish()),
            Arc::new(self.kind.finish()),
            self.date.finish(),
            Arc::new(self.revision.finish()),
            self.first_day.finish(),
            Arc::new(self.baseline_steps.finish()),
            Arc::new(self.is_older_class.finish()),
            self.month.finish(),
        ])
    }
}
