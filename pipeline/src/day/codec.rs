//! Decides how a day is written down: a few bytes a report, because a worker writes one day an upload.

use super::{Arrival, Day, Kind, Report, Statement};
use crate::codec::{CorruptState, Reader, Writer};

impl Day {
    /// Writes the day down.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        w.count(self.arrivals.len());
        for arrival in &self.arrivals {
            w.instant(arrival.received_at);
            w.bytes(arrival.upload.as_bytes());
        }
        w.count(self.runs.len());
        for run in &self.runs {
            w.count(run.len());
            run.iter().for_each(|&arrival| w.unsigned(u64::from(arrival)));
        }
        w.count(self.reports.len());
        let (mut end_before, mut length_before) = (0, 0);
        for Report { statement: s, run } in &self.reports {
            let has_order = s.version != 0 || s.modified_at != i64::MIN || s.rank != 0;
            let flags = s.kind as u8
                | u8::from(s.is_manual) << 2
                | u8::from(s.is_deletion) << 3
                | u8::from(s.id != 0) << 4
                | u8::from(has_order) << 5
                | u8::from(*run != 0) << 6
                | u8::from(s.source != 0) << 7;
            w.0.push(flags);
            if s.source != 0 {
                w.unsigned(u64::from(s.source));
            }
            if *run != 0 {
                w.unsigned(u64::from(*run));
            }
            if s.id != 0 {
                w.hash(s.id);
            }
            if has_order {
                w.signed(s.version);
                w.option((s.modified_at != i64::MIN).then_some(s.modified_at), |w, at| w.signed(at));
                w.unsigned(u64::from(s.rank));
            }
            if s.kind == Kind::Interval {
                // Consecutive hours: 0 and 0.
                let length = i64::from(s.end) - i64::from(s.start);
                w.signed(i64::from(s.start) - i64::from(end_before));
                w.signed(length - length_before);
                (end_before, length_before) = (s.end, length);
            }
            w.unsigned(u64::from(s.steps));
        }
    }

    /// Reads a day back, in place of what this one holds.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        self.clear();
        let mut r = Reader::begin(bytes)?;
        for _ in 0..r.count()? {
            self.arrivals.push(Arrival { received_at: r.instant()?, upload: r.text()?.into() });
        }
        for _ in 0..r.count()? {
            let count = r.count()?;
            self.runs.push((0..count).map(|_| r.small()).collect::<Result<_, _>>()?);
        }
        let mut before = (0, 0);
        for _ in 0..r.count()? {
            let report = decode_report(&mut r, &mut before)?;
            self.reports.push(report);
        }
        r.end()?;
        let in_range = self.runs.iter().flatten().all(|&a| (a as usize) < self.arrivals.len())
            && self.reports.iter().all(|report| (report.run as usize) < self.runs.len());
        if in_range {
            Ok(())
        } else {
            Err(CorruptState { detail: "a day refers to an upload that it does not list".into() })
        }
    }
}

/// Reads one report. `before` are the end and the length of the interval before it.
fn decode_report(r: &mut Reader<'_>, before: &mut (i32, i32)) -> Result<Report, CorruptState> {
    let flags = r.byte()?;
    let kind = match flags & 3 {
        0 => Kind::Interval,
        1 => Kind::DailyTotal,
        2 => Kind::MergedTotal,
        _ => Kind::Elsewhere,
    };
    let source = if flags & 0x80 != 0 { r.small()? } else { 0 };
    let run = if flags & 0x40 != 0 { r.small()? } else { 0 };
    let id = if flags & 0x10 != 0 { r.hash()? } else { 0 };
    let (version, modified_at, rank) = match flags & 0x20 {
        0 => (0, i64::MIN, 0),
        _ => (r.signed()?, r.option(Reader::signed)?.unwrap_or(i64::MIN), r.small()?),
    };
    let (mut start, mut end) = (0, 0);
    if kind == Kind::Interval {
        start = r.signed32()?.wrapping_add(before.0);
        let length = r.signed32()?.wrapping_add(before.1);
        end = start.wrapping_add(length);
        *before = (end, length);
    }
    let (is_manual, is_deletion, steps) = (flags & 4 != 0, flags & 8 != 0, r.small()?);
    let statement =
        Statement { source, is_manual, id, kind, start, end, is_deletion, steps, version, modified_at, rank };
    Ok(Report { statement, run })
}
