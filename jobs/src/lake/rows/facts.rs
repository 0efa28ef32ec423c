//! Decides how every input record but uploads stands in the lake.

use std::sync::Arc;

use arrow::array::{BinaryBuilder, Int32Builder, StringBuilder};

use super::column::{Columns, Dates, Instants, Months, Origins, int, stated};
use super::records::{ClockRow, MemberRow, ProgrammeRow, RecordRow};
use crate::lake::tables::TableId;

/// Rows of `facts_members`.
#[derive(Debug, Default)]
pub struct MemberRows {
    id: StringBuilder,
    programme: StringBuilder,
    member: StringBuilder,
    received_at: Instants,
    op: StringBuilder,
    effective_on: Dates,
    birth_date: Dates,
    birth_date_quality: StringBuilder,
    sex: StringBuilder,
    course: StringBuilder,
    residence: StringBuilder,
    insurance: StringBuilder,
    identity_route: StringBuilder,
    origin: Origins,
    month: Months,
}

impl MemberRows {
    /// Appends one change; returns about how many bytes it takes.
    pub fn append(&mut self, row: &MemberRow<'_>) -> usize {
        self.id.append_value(row.id);
        self.programme.append_option(stated(row.programme));
        self.member.append_option(stated(row.member));
        self.received_at.push(row.received_at);
        self.op.append_value(row.op);
        self.effective_on.push(row.effective_on);
        self.birth_date.push(row.birth_date);
        self.birth_date_quality.append_option(row.birth_date_quality);
        self.sex.append_option(row.sex);
        self.course.append_option(row.course);
        self.residence.append_option(row.residence);
        self.insurance.append_option(row.insurance);
        self.identity_route.append_option(row.identity_route);
        let origin_bytes = self.origin.push(&row.origin);
        self.month.push_instant(row.received_at);
        192 + origin_bytes + row.id.len() + row.member.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![
            Arc::new(self.id.finish()),
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            self.received_at.finish(),
            Arc::new(self.op.finish()),
            self.effective_on.finish(),
            self.birth_date.finish(),
            Arc::new(self.birth_date_quality.finish()),
            Arc::new(self.sex.finish()),
            Arc::new(self.course.finish()),
            Arc::new(self.residence.finish()),
            Arc::new(self.insurance.finish()),
            Arc::new(self.identity_route.finish()),
            self.origin.finish(TableId::FactsMembers)?,
            self.month.finish(),
        ])
    }
}

/// Rows of `facts_records`.
#[derive(Debug, Default)]
pub struct RecordRows {
    record_type: StringBuilder,
    id: StringBuilder,
    programme: StringBuilder,
    member: StringBuilder,
    received_at: Instants,
    payload: BinaryBuilder,
    origin: Origins,
    month: Months,
}

impl RecordRows {
    /// Appends one record; returns about how many bytes it takes.
    pub fn append(&mut self, row: &RecordRow<'_>) -> usize {
        self.record_type.append_value(row.record_type);
        self.id.append_option(row.id);
        self.programme.append_option(stated(row.programme));
        self.member.append_option(stated(row.member));
        self.received_at.push(row.received_at);
        self.payload.append_value(row.payload);
        let origin_bytes = self.origin.push(&row.origin);
        self.month.push_instant(row.received_at);
        96 + origin_bytes + row.payload.len() + row.member.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![
            Arc::new(self.record_type.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.programme.finish()),
            Arc::new(self.member.finish()),
            self.received_at.finish(),
            Arc::new(self.payload.finish()),
            self.origin.finish(TableId::FactsRecords)?,
            self.month.finish(),
        ])
    }
}

/// Rows of `facts_programmes`.
#[derive(Debug, Default)]
pub struct ProgrammeRows {
    programme: StringBuilder,
    version: Int32Builder,
    effective_on: Dates,
    source: StringBuilder,
    origin: Origins,
}

impl ProgrammeRows {
    /// Appends one version; returns about how many bytes it takes.
    pub fn append(&mut self, row: &ProgrammeRow<'_>) -> usize {
        self.programme.append_value(row.programme);
        self.version.append_value(int(row.version));
        self.effective_on.push(row.effective_on);
        self.source.append_value(row.source);
        32 + self.origin.push(&row.origin) + row.source.len()
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![
            Arc::new(self.programme.finish()),
            Arc::new(self.version.finish()),
            self.effective_on.finish(),
            Arc::new(self.source.finish()),
            self.origin.finish(TableId::FactsProgrammes)?,
        ])
    }
}

/// Rows of `facts_clocks`.
#[derive(Debug, Default)]
pub struct ClockRows {
    date: Dates,
    origin: Origins,
}

impl ClockRows {
    /// Appends one day; returns about how many bytes it takes.
    pub fn append(&mut self, row: &ClockRow<'_>) -> usize {
        self.date.push(row.date);
        4 + self.origin.push(&row.origin)
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![self.date.finish(), self.origin.finish(TableId::FactsClocks)?])
    }
}
