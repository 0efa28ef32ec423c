//! Decides how every input record but uploads stands in the lake.

use std::sync::Arc;

use arrow::array::{BinaryBuilder, Int32Builder, StringBuilder};
use pipeline::calendar::{CivilDate, Instant};
use schemas::Origin;
use schemas::{MemberRecord, ProgrammeRecord};

use super::column::{Columns, Dates, Instants, Months, Origins, int, stated};
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
    pub fn append(&mut self, record: &MemberRecord<'_>, origin: &Origin) -> usize {
        let change = &record.change;
        self.id.append_value(change.id);
        self.programme.append_option(stated(change.programme));
        self.member.append_option(stated(change.member));
        self.received_at.push(change.received_at);
        self.op.append_value(change.operation_name);
        self.effective_on.push(change.effective_on);
        self.birth_date.push(change.birth_date);
        self.birth_date_quality.append_option(record.birth_date_quality);
        self.sex.append_option(record.sex);
        self.course.append_option(record.course);
        self.residence.append_option(record.residence);
        self.insurance.append_option(record.insurance);
        self.identity_route.append_option(record.identity_route);
        let origin_bytes = self.origin.push(origin);
        self.month.push_instant(change.received_at);
        192 + origin_bytes + change.id.len() + change.member.len()
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

/// A parsed record of a type that has no table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherRecord<'a> {
    /// The record's type: `checkin`, `measurement`, ….
    pub type_name: &'a str,
    /// The record's id; empty if it has none.
    pub id: &'a str,
    /// The programme that it states; empty if none.
    pub programme: &'a str,
    /// The member that it states; empty if none.
    pub member: &'a str,
    /// When the gateway took it in.
    pub received_at: Option<Instant>,
    /// The record's bytes as they came.
    pub payload: &'a [u8],
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
    pub fn append(&mut self, row: &OtherRecord<'_>, origin: &Origin) -> usize {
        self.record_type.append_value(row.type_name);
        self.id.append_option(stated(row.id));
        self.programme.append_option(stated(row.programme));
        self.member.append_option(stated(row.member));
        self.received_at.push(row.received_at);
        self.payload.append_value(row.payload);
        let origin_bytes = self.origin.push(origin);
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
    pub fn append(&mut self, row: &ProgrammeRecord<'_>, origin: &Origin) -> usize {
        self.programme.append_value(row.id);
        self.version.append_value(int(row.version));
        self.effective_on.push(row.effective_on);
        self.source.append_value(row.source);
        32 + self.origin.push(origin) + row.source.len()
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
    pub fn append(&mut self, date: CivilDate, origin: &Origin) -> usize {
        self.date.push(date);
        4 + self.origin.push(origin)
    }

    pub(super) fn finish(&mut self) -> Columns {
        Ok(vec![self.date.finish(), self.origin.finish(TableId::FactsClocks)?])
    }
}
