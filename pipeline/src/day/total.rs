//! Decides the figure of a day: the newest report of each identity, a source's larger of total and intervals, one source
//! of several.

use super::{Arrival, Day, Kind, Report, SourceIndex, Statement, is_newer};
use crate::calendar::{CivilDate, DAY_MILLIS};
use crate::fact::DeviceKind;
use crate::month::Known;
use crate::programme::{Combine, SourcePolicy};

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

impl Day {
    /// The day's steps as they were known at the close of each arrival date on which they changed, ascending. Empty
    /// while no sample that counts has come. `day` is its day of the month; `kinds` are the member's sources' device
    /// kinds, by index.
    pub fn totals(
        &self,
        day: u8,
        policy: &SourcePolicy,
        kinds: &[DeviceKind],
        scratch: &mut DayScratch,
        out: &mut Vec<Known>,
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
                if out.last().is_none_or(|last| last.steps != steps) {
                    out.push(Known::new(day, as_of, steps));
                }
            } else if out.last().is_some_and(|last| last.steps != 0) {
                out.push(Known::new(day, as_of, 0)); // All that had come was deleted: the day stays known, with no steps.
            }
        }
    }

    /// The day's steps by the facts that had arrived by `as_of`, one of the arrival dates, and in `scratch` each source's.
    fn total_as_of(
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

    /// The newest of the reports of one identity that had arrived by `as_of`, which is one of the arrival dates.
    fn newest<'r>(&self, identity: &'r [Report], as_of: CivilDate) -> Option<&'r Statement> {
        if let ([only], [_]) = (identity, &self.arrivals[..]) {
            return Some(&only.statement); // One upload has told of the day.
        }
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
