//! Decides how refused facts, and the count of all facts, stand in the lake.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder};
use schemas::{AccountingRecord, RejectionRecord};

use super::column::{Columns, Dates, Instants, Months, Origins, civil_date, int, stated};
use crate::lake::tables::TableId;

/// Rows of `rejections`.
#[derive(Debug, Default)]
pub struct RejectionRows {
    reason: StringBuilder,
    revision: Int32Builder,
    withdrawn: BooleanBuilder,
    record_type: StringBuilder,
    record_id: StringBuilder,
    programme: StringBuilder,
    member: StringBuilder,
    activity_date: Dates,
    received_at: Instants,
    detail: StringBuilder,
    sample_index: Int32Builder,
    origin: Origins,
    payload: BinaryBuilder,
    month: Months,
}

impl RejectionRows {
    /// Appends one rejection; returns about how many bytes it takes.
    pub fn append(&mut self, row: &RejectionRecord) -> usize {
        self.reason.append_value(row.rejection.reason.code());
        self.revision.append_value(int(row.revision));
        self.withdrawn.append_value(row.withdrawn);
        self.record_type.append_value(&row.record_type);
        self.record_id.append_value(&row.record_id);
        self.programme.append_option(stated(&row.programme));
        self.member.append_option(stated(&row.member));
        self.activity_date.push(row.rejection.activity_date);
        self.received_at.push(row.received_at);
        self.detail.append_value(&row.rejection.detail);
        self.sample_index.append_option(row.rejection.sample.map(int));
        let origin_bytes = self.origin.push(&row.origin);
        self.payload.append_value(&row.payload);
        self.month.push(row.rejection.activity_date.or_else(|| civil_date(row.received_at)));
        128 + origin_bytes + row.rejection.detail.len() + row.record_id.len() + row.member.len() + row.payload.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![
            Arc::new(self.reason.finish()),
            Arc::new(self.revision.finish()),
            Arc::new(self.withdrawn.finish()),
            Arc::new(self.record_type.finish()),
            Arc::new(self.record_id.finish()),
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            self.activity_date.finish(),
            self.received_at.finish(),
            Arc::new(self.detail.finish()),
            Arc::new(self.sample_index.finish()),
            self.origin.finish(TableId::Rejections)?,
            Arc::new(self.payload.finish()),
            self.month.finish(),
        ])
    }
}

/// Rows of `accounting`.
#[derive(Debug, Default)]
pub struct AccountingRows {
    topic: StringBuilder,
    partition: Int32Builder,
    counts: [Int64Builder; 13],
}

impl AccountingRows {
    /// Appends one transaction; returns about how many bytes it takes.
    pub fn append(&mut self, row: &AccountingRecord) -> usize {
        self.topic.append_value(&row.topic);
        self.partition.append_value(row.partition);
        let counts = [
            row.first_offset,
            row.last_offset,
            row.records_read,
            row.records_accepted,
            row.records_rejected,
            row.records_duplicate,
            row.records_parked,
            row.records_unparked,
            row.samples_read,
            row.samples_accepted,
            row.samples_rejected,
            row.samples_duplicate,
            row.samples_parked,
        ];
        self.counts.iter_mut().zip(counts).for_each(|(column, count)| column.append_value(count));
        row.topic.len() + 4 + 8 * counts.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        let place: [ArrayRef; 2] = [Arc::new(self.topic.finish()), Arc::new(self.partition.finish())];
        let counts = self.counts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        Ok(place.into_iter().chain(counts).collect())
    }
}
