//! Decides how an upload stands in the lake: every field as it came, its samples nested. The volume is here.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, StringBuilder};
use pipeline::fact::{Sample, SampleTime, Upload};
use schemas::Origin;

use super::column::{Columns, Dates, Instants, Months, Origins, group, stated};
use super::effects::list;
use super::names;
use crate::lake::tables::TableId;

/// Rows of `facts_uploads`.
#[derive(Debug, Default)]
pub struct UploadRows {
    id: StringBuilder,
    programme: StringBuilder,
    member: StringBuilder,
    received_at: Instants,
    login_at: Instants,
    channel: StringBuilder,
    platform: StringBuilder,
    source_origin: StringBuilder,
    device: StringBuilder,
    device_kind: StringBuilder,
    sample_counts: Vec<usize>,
    samples: Samples,
    origin: Origins,
    month: Months,
}

impl UploadRows {
    /// Appends one upload; returns about how many bytes it takes.
    pub fn append(&mut self, upload: &Upload<'_>, origin: &Origin) -> usize {
        self.id.append_value(upload.id);
        self.programme.append_option(stated(upload.programme));
        self.member.append_option(stated(upload.member));
        self.received_at.push(upload.received_at);
        self.login_at.push(upload.login_at);
        self.channel.append_value(names::channel(upload.channel));
        self.platform.append_value(upload.source.platform);
        self.source_origin.append_value(upload.source.origin);
        self.device.append_value(upload.source.device);
        self.device_kind.append_value(names::device_kind(upload.source.device_kind));
        self.sample_counts.push(upload.samples.len());
        let sample_bytes: usize = upload.samples.iter().map(|sample| self.samples.push(sample)).sum();
        let origin_bytes = self.origin.push(origin);
        self.month.push_instant(upload.received_at);
        128 + upload.id.len() + upload.member.len() + sample_bytes + origin_bytes
    }

    pub(super) fn finish(&mut self) -> Columns {
        let source: Vec<ArrayRef> = vec![
            Arc::new(self.platform.finish()),
            Arc::new(self.source_origin.finish()),
            Arc::new(self.device.finish()),
            Arc::new(self.device_kind.finish()),
        ];
        let lengths = std::mem::take(&mut self.sample_counts);
        Ok(vec![
            Arc::new(self.id.finish()),
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            self.received_at.finish(),
            self.login_at.finish(),
            Arc::new(self.channel.finish()),
            group(TableId::FactsUploads, &["source"], source)?,
            list(TableId::FactsUploads, "samples", lengths, self.samples.finish())?,
            self.origin.finish(TableId::FactsUploads)?,
            self.month.finish(),
        ])
    }
}

#[derive(Debug, Default)]
struct Samples {
    kind: StringBuilder,
    start: Instants,
    end: Instants,
    date: Dates,
    steps: Int64Builder,
    recording: StringBuilder,
    op: StringBuilder,
    id: StringBuilder,
    version: Int64Builder,
    modified_at: Instants,
}

impl Samples {
    fn push(&mut self, sample: &Sample<'_>) -> usize {
        let (kind, start, end, date) = match sample.time {
            SampleTime::Interval { start, end } => (Some("INTERVAL"), Some(start), Some(end), None),
            SampleTime::DailyTotal(date) => (Some("DAILY_TOTAL"), None, None, Some(date)),
            SampleTime::MergedTotal(date) => (Some("MERGED_TOTAL"), None, None, Some(date)),
            SampleTime::Unstated => (None, None, None, None),
        };
        self.kind.append_option(kind);
        self.start.push(start);
        self.end.push(end);
        self.date.push(date);
        self.steps.append_value(sample.steps);
        self.recording.append_value(names::recording(sample.recording));
        self.op.append_value(names::operation(sample.operation));
        self.id.append_option(stated(sample.id));
        self.version.append_value(sample.version);
        self.modified_at.push(sample.modified_at);
        80 + sample.id.len()
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.kind.finish()),
            self.start.finish(),
            self.end.finish(),
            self.date.finish(),
            Arc::new(self.steps.finish()),
            Arc::new(self.recording.finish()),
            Arc::new(self.op.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.version.finish()),
            self.modified_at.finish(),
        ]
    }
}
