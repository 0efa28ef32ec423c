//! Decides what a member's civil day comes to: a pure function of the set of reports about it (design, section 4).
//!
//! A *report* is one statement about one sample identity. Newer reports replace older ones, but what was known on an
//! earlier arrival date must stay computable, because a fact may be processed late and still count from the date on
//! which it arrived (law 2). So a day keeps, for each identity, every report that was the newest on some arrival date,
//! and the dates on which it was said again. Whether a sample may count at all is [`crate::intake`]'s.

use std::cmp::Ordering;

use crate::calendar::{CivilDate, DAY_MILLIS, Instant};
use crate::codec::{CorruptState, Reader, Writer};
use crate::fact::DeviceKind;
use crate::programme::{Combine, SourcePolicy};

/// Index of a source in its member's list.
pub type SourceIndex = u16;

/// What a report's figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Steps of an interval.
    Interval,
    /// The source's own total of the day.
    DailyTotal,
    /// The phone's total over all its sources.
    MergedTotal,
    /// No figure: the sample is on another day.
    Elsewhere,
}

/// What a report says of its sample on this day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The source.
    pub source: SourceIndex,
    /// Entered by hand: an identity space of its own.
    pub is_manual: bool,
    /// Hash of the sample's own id, 0 without one.
    pub id: u64,
    /// What the figure is.
    pub kind: Kind,
    /// Milliseconds from the day's start to the sample's; negative if it began the day before. 0 for totals.
    pub start: i32,
    /// Milliseconds from the day's start to the sample's end; beyond the day's length if it ends the day after.
    pub end: i32,
    /// The sample is not, or is no longer on this day.
    pub is_deletion: bool,
    /// Steps that fall on this day.
    pub steps: u32,
    /// First in deciding which report is newer.
    pub version: i64,
    /// Second; `i64::MIN` where there is none.
    pub modified_at: i64,
    /// Last, after the upload: how many samples of the same identity, version and `modified_at` came before it in its upload.
    pub rank: u16,
}

impl Statement {
    /// Whether it is a deletion that carries only the sample's id, and so says nothing of a day.
    pub fn is_deletion_by_id(&self) -> bool {
        self.is_deletion && self.kind == Kind::Interval && self.start == self.end
    }

    /// Same identity: the source's own id for the sample, else its kind and times.
    fn identity_cmp(&self, other: &Statement) -> Ordering {
        (self.source, self.is_manual, self.id).cmp(&(other.source, other.is_manual, other.id)).then_with(|| {
            if self.id == 0 {
                (self.kind, self.start, self.end).cmp(&(other.kind, other.start, other.end))
            } else {
                Ordering::Equal
            }
        })
    }
}

/// One upload that said something about this day.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrival {
    received_at: Instant,
    upload: Box<str>,
}

impl Arrival {
    fn date(&self) -> CivilDate {
        self.received_at.civil_date()
    }

    fn order(&self) -> (Instant, &str) {
        (self.received_at, &self.upload)
    }
}

/// A statement and the uploads that made it: an index into [`Day::runs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    statement: Statement,
    run: u16,
}

/// Whether a report told anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It did.
    New,
    /// It was known, or something newer was known no later.
    Known,
}

/// All that is known of one civil day of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    arrivals: Vec<Arrival>,
    /// Lists of indices into `arrivals`, in ascending order of receipt. Shared by the reports that were always said
    /// together, which is nearly all of them: a phone that sends its month again adds one number here, not one a sample.
    runs: Vec<Vec<u16>>,
    /// By identity; within one, in no particular order.
    reports: Vec<Report>,
}

/// Appends the reports of one upload to a day.
#[derive(Debug)]
pub struct Reporting<'d> {
    day: &'d mut Day,
    arrival: u16,
    /// (run before, run with this arrival added): reports that shared a run share it again.
    extended: Vec<(u16, u16)>,
    alone: Option<u16>,
    is_changed: bool,
}

impl Day {
    /// Begins the reports of one upload.
    pub fn reporting(&mut self, received_at: Instant, upload: &str) -> Reporting<'_> {
        let known = self.arrivals.iter().position(|arrival| arrival.order() == (received_at, upload));
        let arrival = known.unwrap_or_else(|| {
            self.arrivals.push(Arrival { received_at, upload: upload.into() });
            self.arrivals.len() - 1
        });
        Reporting { day: self, arrival: arrival as u16, extended: Vec::new(), alone: None, is_changed: false }
    }

    /// Statements about a sample id, as (statement, received, upload): what another day must know when the sample moves there.
    pub fn statements_of(&self, source: SourceIndex, id: u64) -> impl Iterator<Item = (Statement, Instant, &str)> {
        let reports = self.reports.iter().filter(move |r| r.statement.source == source && r.statement.id == id);
        reports.flat_map(|report| {
            self.runs[report.run as usize].iter().map(|&arrival| {
                let arrival = &self.arrivals[arrival as usize];
                (report.statement, arrival.received_at, &*arrival.upload)
            })
        })
    }

    /// When the first and the last upload came that told something of this day.
    pub fn arrival_bounds(&self) -> Option<(Instant, Instant)> {
        let instants = self.runs.iter().flatten().map(|&arrival| self.arrivals[arrival as usize].received_at);
        instants.fold(None, |bounds, at| {
            let (first, last) = bounds.unwrap_or((at, at));
            Some((first.min(at), last.max(at)))
        })
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Bytes that it occupies in memory, roughly.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Day>()
            + self.reports.capacity() * size_of::<Report>()
            + self.arrivals.len() * 64
            + self.runs.iter().map(|run| 32 + run.capacity() * 2).sum::<usize>()
    }

    /// The day's steps as they were known at the close of each arrival date on which they changed, ascending. Empty
    /// while no sample that counts has come. `kinds` are the member's sources' device kinds, by index.
    pub fn totals(
        &self,
        policy: &SourcePolicy,
        kinds: &[DeviceKind],
        scratch: &mut DayScratch,
        out: &mut Vec<(CivilDate, u32)>,
    ) {
        out.clear();
        scratch.dates.clear();
        for run in &self.runs {
            for &arrival in run {
                let date = self.arrivals[arrival as usize].date();
                if !scratch.dates.contains(&date) {
                    scratch.dates.push(date);
                }
            }
        }
        scratch.dates.sort_unstable();
        for index in 0..scratch.dates.len() {
            let as_of = scratch.dates[index];
            if let Some(steps) = self.total_as_of(as_of, policy, kinds, scratch) {
                if out.last().is_none_or(|&(_, last)| last != steps) {
                    out.push((as_of, steps));
                }
            } else if out.last().is_some_and(|&(_, last)| last != 0) {
                out.push((as_of, 0)); // All that had come was deleted: the day stays known, with no steps.
            }
        }
    }

    /// The day's steps by the facts that had arrived by `as_of`, and in `scratch` each source's.
    pub fn total_as_of(
        &self,
        as_of: CivilDate,
        policy: &SourcePolicy,
        kinds: &[DeviceKind],
        scratch: &mut DayScratch,
    ) -> Option<u32> {
        scratch.sources.clear();
        let mut rest = &self.reports[..];
        while let Some(first) = rest.first() {
            let source = first.statement.source;
            let length = rest.iter().take_while(|report| report.statement.source == source).count();
            let (reports, others) = rest.split_at(length);
            self.source_as_of(source, reports, as_of, policy, scratch);
            rest = others;
        }
        combine(&policy.combine, kinds, &scratch.sources)
    }

    /// Adds one source's day to `scratch.sources`: the larger of its total and its intervals, and its merged total apart.
    fn source_as_of(
        &self,
        source: SourceIndex,
        reports: &[Report],
        as_of: CivilDate,
        policy: &SourcePolicy,
        scratch: &mut DayScratch,
    ) {
        scratch.pieces.clear();
        let (mut daily, mut merged, mut any) = (None, None, false);
        let mut rest = reports;
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|r| r.statement.identity_cmp(&first.statement).is_eq()).count();
            let (identity, others) = rest.split_at(same);
            rest = others;
            let Some(winner) = self.newest(identity, as_of) else { continue };
            if winner.is_deletion || (winner.is_manual && !policy.manual_steps_earn) {
                continue;
            }
            match winner.kind {
                Kind::Interval => {
                    any = true;
                    scratch.pieces.push((winner.start.max(0), winner.end.min(DAY_MILLIS as i32), winner.steps));
                }
                Kind::DailyTotal => daily = daily.max(Some(winner.steps)),
                Kind::MergedTotal => merged = merged.max(Some(winner.steps)),
                Kind::Elsewhere => {}
            }
        }
        if any || daily.is_some() {
            let intervals = without_overlap(&mut scratch.pieces);
            let steps = u32::try_from(intervals).unwrap_or(u32::MAX).max(daily.unwrap_or(0));
            scratch.sources.push(SourceDay { source, is_merged: false, steps });
        }
        if let (Some(steps), true) = (merged, policy.merged_totals_count) {
            scratch.sources.push(SourceDay { source, is_merged: true, steps });
        }
    }

    /// The newest of the reports of one identity that had arrived by `as_of`.
    fn newest<'r>(&self, identity: &'r [Report], as_of: CivilDate) -> Option<&'r Statement> {
        let mut newest: Option<(&Statement, &Arrival)> = None;
        for report in identity {
            let run = &self.runs[report.run as usize];
            let last = run
                .iter()
                .rev()
                .map(|&arrival| &self.arrivals[arrival as usize])
                .find(|arrival| arrival.date() <= as_of);
            let Some(arrival) = last else { continue };
            if newest.is_none_or(|(statement, at)| is_newer(&report.statement, arrival, statement, at)) {
                newest = Some((&report.statement, arrival));
            }
        }
        newest.map(|(statement, _)| statement)
    }
}

impl Reporting<'_> {
    /// Whether the day is another than before, if only by being told the same again later.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Adds one statement of the upload.
    pub fn report(&mut self, statement: Statement) -> Reported {
        let reports = &self.day.reports;
        // Samples usually come in order, so the end is the first place to look.
        let begin = if reports.last().is_none_or(|last| last.statement.identity_cmp(&statement).is_lt()) {
            reports.len()
        } else {
            reports.partition_point(|report| report.statement.identity_cmp(&statement).is_lt())
        };
        let end = begin + reports[begin..].iter().take_while(|r| r.statement.identity_cmp(&statement).is_eq()).count();
        if begin == end {
            self.is_changed = true;
            let run = self.run_alone();
            self.day.reports.insert(begin, Report { statement, run });
            return Reported::New;
        }
        self.report_again(begin, end, statement)
    }

    /// Adds a statement to an identity that has some already.
    fn report_again(&mut self, begin: usize, end: usize, statement: Statement) -> Reported {
        let known = (begin..end).find(|&i| self.day.reports[i].statement == statement);
        if known.is_some_and(|i| self.day.runs[self.day.reports[i].run as usize].contains(&self.arrival)) {
            return Reported::Known;
        }
        if self.is_outdated(begin, end, &statement) {
            return Reported::Known;
        }
        self.is_changed = true;
        let end = self.forget_outdated(begin, end, &statement);
        match (begin..end).find(|&i| self.day.reports[i].statement == statement) {
            Some(i) => {
                self.day.reports[i].run = self.run_extended(self.day.reports[i].run);
                Reported::Known
            }
            None => {
                let run = self.run_alone();
                self.day.reports.insert(end, Report { statement, run });
                if known.is_some() { Reported::Known } else { Reported::New }
            }
        }
    }

    /// Whether something newer than this statement had arrived by its arrival date: then it was never the newest.
    ///
    /// A deletion by id alone outdates nothing: it may be too old for another day (IW-A4), which must hear of the rest.
    fn is_outdated(&self, begin: usize, end: usize, statement: &Statement) -> bool {
        let day = &*self.day;
        let this = &day.arrivals[self.arrival as usize];
        let others = day.reports[begin..end].iter().filter(|report| !report.statement.is_deletion_by_id());
        others.into_iter().any(|report| {
            day.runs[report.run as usize].iter().any(|&arrival| {
                let arrival = &day.arrivals[arrival as usize];
                arrival.date() <= this.date() && is_newer(&report.statement, arrival, statement, this)
            })
        })
    }

    /// Drops what the new statement outdates: older statements that arrived on its date or later. Gives the new end.
    fn forget_outdated(&mut self, begin: usize, end: usize, statement: &Statement) -> usize {
        if statement.is_deletion_by_id() {
            return end;
        }
        let mut kept = begin;
        for index in begin..end {
            let report = self.day.reports[index];
            let day = &*self.day;
            let this = &day.arrivals[self.arrival as usize];
            let outdated = |&arrival: &u16| {
                let arrival = &day.arrivals[arrival as usize];
                arrival.date() >= this.date() && !is_newer(&report.statement, arrival, statement, this)
            };
            let run = &day.runs[report.run as usize];
            if run.iter().any(outdated) {
                let remaining: Vec<u16> = run.iter().copied().filter(|arrival| !outdated(arrival)).collect();
                if remaining.is_empty() {
                    continue;
                }
                let run = self.run_of(remaining);
                self.day.reports[kept] = Report { run, ..report };
            } else {
                self.day.reports[kept] = report;
            }
            kept += 1;
        }
        self.day.reports.drain(kept..end);
        kept
    }

    fn run_alone(&mut self) -> u16 {
        if let Some(run) = self.alone {
            return run;
        }
        let run = self.run_of(vec![self.arrival]);
        self.alone = Some(run);
        run
    }

    fn run_extended(&mut self, run: u16) -> u16 {
        if let Some(&(_, extended)) = self.extended.iter().find(|&&(before, _)| before == run) {
            return extended;
        }
        let mut arrivals = self.day.runs[run as usize].clone();
        arrivals.push(self.arrival);
        arrivals.sort_by(|&a, &b| self.day.arrivals[a as usize].order().cmp(&self.day.arrivals[b as usize].order()));
        let extended = self.run_of(arrivals);
        self.extended.push((run, extended));
        extended
    }

    /// Runs and arrivals that no report uses any more go when the day is tidied, at the end of the upload.
    fn run_of(&mut self, arrivals: Vec<u16>) -> u16 {
        let runs = &mut self.day.runs;
        if let Some(known) = runs.iter().position(|run| *run == arrivals) {
            return known as u16;
        }
        runs.push(arrivals);
        (runs.len() - 1) as u16
    }
}

impl Drop for Reporting<'_> {
    fn drop(&mut self) {
        self.day.tidy();
    }
}

impl Day {
    /// Drops runs and arrivals that no report refers to.
    fn tidy(&mut self) {
        if self.arrivals.len() == 1 && self.runs.len() == 1 && !self.reports.is_empty() {
            return;
        }
        let mut used = vec![false; self.runs.len()];
        self.reports.iter().for_each(|report| used[report.run as usize] = true);
        if !used.iter().all(|&used| used) {
            let places = places_of(&used);
            self.reports.iter_mut().for_each(|report| report.run = places[report.run as usize]);
            let mut used = used.iter();
            self.runs.retain(|_| *used.next().unwrap_or(&false));
        }
        let mut heard = vec![false; self.arrivals.len()];
        self.runs.iter().flatten().for_each(|&arrival| heard[arrival as usize] = true);
        if !heard.iter().all(|&heard| heard) {
            let places = places_of(&heard);
            self.runs.iter_mut().flatten().for_each(|arrival| *arrival = places[*arrival as usize]);
            let mut heard = heard.iter();
            self.arrivals.retain(|_| *heard.next().unwrap_or(&false));
        }
    }

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
        let mut end_before = 0;
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
                w.0.extend_from_slice(&s.id.to_le_bytes());
            }
            if has_order {
                w.signed(s.version);
                w.option((s.modified_at != i64::MIN).then_some(s.modified_at), |w, at| w.signed(at));
                w.unsigned(u64::from(s.rank));
            }
            if s.kind == Kind::Interval {
                // Consecutive hours: 0 and the length.
                w.signed(i64::from(s.start) - i64::from(end_before));
                w.signed(i64::from(s.end) - i64::from(s.start));
                end_before = s.end;
            }
            w.unsigned(u64::from(s.steps));
        }
    }

    /// Reads a day back.
    pub fn decode(bytes: &[u8]) -> Result<Day, CorruptState> {
        let mut r = Reader::begin(bytes)?;
        let arrivals = r.list(|r| Ok(Arrival { received_at: r.instant()?, upload: r.text()?.into() }))?;
        let runs = r.list(|r| r.list(|r| r.small()))?;
        let mut end_before = 0;
        let reports = r.list(|r| {
            let flags = r.byte()?;
            let kind = match flags & 3 {
                0 => Kind::Interval,
                1 => Kind::DailyTotal,
                2 => Kind::MergedTotal,
                _ => Kind::Elsewhere,
            };
            let source = if flags & 0x80 != 0 { r.small()? } else { 0 };
            let run = if flags & 0x40 != 0 { r.small()? } else { 0 };
            let mut id = [0; 8];
            if flags & 0x10 != 0 {
                for byte in &mut id {
                    *byte = r.byte()?;
                }
            }
            let (version, modified_at, rank) = match flags & 0x20 {
                0 => (0, i64::MIN, 0),
                _ => (r.signed()?, r.option(Reader::signed)?.unwrap_or(i64::MIN), r.small()?),
            };
            let (mut start, mut end) = (0, 0);
            if kind == Kind::Interval {
                start = r.signed32()?.wrapping_add(end_before);
                end = r.signed32()?.wrapping_add(start);
                end_before = end;
            }
            let statement = Statement {
                source,
                is_manual: flags & 4 != 0,
                id: u64::from_le_bytes(id),
                kind,
                start,
                end,
                is_deletion: flags & 8 != 0,
                steps: r.small()?,
                version,
                modified_at,
                rank,
            };
            Ok(Report { statement, run })
        })?;
        r.end()?;
        let day = Day { arrivals, runs, reports };
        let in_range = day.runs.iter().flatten().all(|&a| (a as usize) < day.arrivals.len())
            && day.reports.iter().all(|report| (report.run as usize) < day.runs.len());
        if in_range {
            Ok(day)
        } else {
            Err(CorruptState { detail: "a day refers to an upload that it does not list".into() })
        }
    }
}

/// New places of the kept ones.
fn places_of(kept: &[bool]) -> Vec<u16> {
    let mut next = 0;
    kept.iter()
        .map(|&kept| {
            let place = next;
            next += u16::from(kept);
            place
        })
        .collect()
}

/// Whether the first statement replaces the second: by version, `modified_at`, receipt, upload id, place in the upload.
fn is_newer(a: &Statement, a_arrival: &Arrival, b: &Statement, b_arrival: &Arrival) -> bool {
    (a.version, a.modified_at, a_arrival.order(), a.rank) > (b.version, b.modified_at, b_arrival.order(), b.rank)
}

/// Buffers for [`Day::totals`], reused from day to day.
#[derive(Debug, Default)]
pub struct DayScratch {
    dates: Vec<CivilDate>,
    pieces: Vec<(i32, i32, u32)>,
    /// Each source's day, as of the last date asked for.
    pub sources: Vec<SourceDay>,
}

/// One source's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDay {
    /// The source.
    pub source: SourceIndex,
    /// Whether it is the phone's own total over all its sources.
    pub is_merged: bool,
    /// Steps.
    pub steps: u32,
}

/// How sources become a day; they are never summed.
fn combine(combine: &Combine, kinds: &[DeviceKind], sources: &[SourceDay]) -> Option<u32> {
    match combine {
        Combine::Best => sources.iter().map(|day| day.steps).max(),
        Combine::Priority(ranking) => {
            let rank = |day: &SourceDay| {
                let kind = kinds.get(day.source as usize).copied().unwrap_or(DeviceKind::Unknown);
                ranking.iter().position(|&ranked| ranked == kind).unwrap_or(ranking.len())
            };
            let first = sources.iter().map(rank).min()?;
            sources.iter().filter(|day| rank(day) == first).map(|day| day.steps).max()
        }
    }
}

/// The most steps that intervals of one source give without any moment counted twice: the heaviest set of intervals
/// that do not overlap. Usually none do, and it is their sum.
fn without_overlap(pieces: &mut [(i32, i32, u32)]) -> u64 {
    if !pieces.is_sorted_by_key(|&(start, ..)| start) {
        pieces.sort_unstable();
    }
    if pieces.windows(2).all(|pair| pair[0].1 <= pair[1].0) {
        return pieces.iter().map(|&(.., steps)| u64::from(steps)).sum();
    }
    // Weighted interval scheduling: by end, the best of leaving an interval out and of adding it to the best that ends before it.
    pieces.sort_unstable_by_key(|&(start, end, _)| (end, start));
    let mut best = vec![0u64; pieces.len() + 1];
    for (index, &(start, _, steps)) in pieces.iter().enumerate() {
        let before = pieces[..index].partition_point(|&(_, end, _)| end <= start);
        best[index + 1] = best[index].max(best[before] + u64::from(steps));
    }
    best[pieces.len()]
}
