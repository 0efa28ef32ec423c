//! Decides what a member's civil day comes to: a pure function of the set of reports about it (design, section 4).
//!
//! A *report* is one statement about one sample identity. Newer reports replace older ones, but what was known on an
//! earlier arrival date must stay computable, because a fact may be processed late and still count from the date on
//! which it arrived (law 2). So a day keeps, for each identity, every report that was the newest on some arrival date,
//! and the dates on which it was said again. Whether a sample may count at all is [`crate::intake`]'s.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::calendar::{CivilDate, Instant};

mod codec;
mod report;
mod total;

pub use report::Reporting;
pub use total::{DayScratch, SourceDay};

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
    #[inline]
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

/// Indices into [`Day::arrivals`].
type Run = SmallVec<[u16; 6]>;

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
    runs: Vec<Run>,
    /// By identity; within one, in no particular order.
    reports: Vec<Report>,
}

impl Day {
    /// Forgets everything, but keeps the memory.
    pub fn clear(&mut self) {
        self.arrivals.clear();
        self.runs.clear();
        self.reports.clear();
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
