//! Decides what an upload's statements change in a day: which reports are kept, and whether anything was new.

use smallvec::smallvec;

use super::{Arrival, Day, Report, Reported, Run, Statement, is_newer};
use crate::calendar::Instant;
use crate::codec::CorruptState;

/// A day that is being reported on. Its memory is used again from upload to upload.
#[derive(Debug, Default)]
pub struct Reporting {
    /// The day.
    pub day: Day,
    /// The upload that reports.
    arrival: u16,
    /// (run before, run with this arrival added): reports that shared a run share it again.
    extended: Vec<(u16, u16)>,
    alone: Option<u16>,
    is_changed: bool,
}

impl Reporting {
    /// Takes up another day: as it was written down, or one of which nothing is known.
    pub fn open(&mut self, stored: Option<&[u8]>) -> Result<(), CorruptState> {
        self.is_changed = false;
        match stored {
            Some(bytes) => self.day.decode(bytes),
            None => {
                self.day.clear();
                Ok(())
            }
        }
    }

    /// Begins the reports of one upload. [`Reporting::end`] must follow.
    pub fn begin(&mut self, received_at: Instant, upload: &str) {
        let arrivals = &mut self.day.arrivals;
        let known = arrivals.iter().position(|arrival| arrival.order() == (received_at, upload));
        let arrival = known.unwrap_or_else(|| {
            arrivals.push(Arrival { received_at, upload: upload.into() });
            arrivals.len() - 1
        });
        self.arrival = arrival as u16;
        self.extended.clear();
        self.alone = None;
    }

    /// Ends the reports of one upload: forgets what is not referred to any more.
    pub fn end(&mut self) {
        self.day.tidy();
    }

    /// Whether the day is another than before, if only by being told the same again later.
    pub const fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Adds a statement about a sample of which nothing has been said yet; `None`, and nothing is done, if something has.
    #[inline]
    pub fn report_first(&mut self, statement: Statement) -> Option<Reported> {
        let reports = &self.day.reports;
        // Samples usually come in order, so the end is the first place to look.
        let place = match reports.last() {
            Some(last) if last.statement.identity_cmp(&statement).is_ge() => {
                let place = reports.partition_point(|report| report.statement.identity_cmp(&statement).is_lt());
                if reports[place].statement.identity_cmp(&statement).is_eq() {
                    return None;
                }
                place
            }
            _ => reports.len(),
        };
        self.is_changed = true;
        let run = self.run_alone();
        self.day.reports.insert(place, Report { statement, run });
        Some(Reported::New)
    }

    /// Adds a statement, whose rank among those of the same upload is set.
    pub fn report(&mut self, statement: Statement) -> Reported {
        if let Some(reported) = self.report_first(statement) {
            return reported;
        }
        let reports = &self.day.reports;
        let begin = reports.partition_point(|report| report.statement.identity_cmp(&statement).is_lt());
        let same = reports[begin..].iter().take_while(|report| report.statement.identity_cmp(&statement).is_eq());
        let end = begin + same.count();
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
        let day = &self.day;
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
            let day = &self.day;
            let this = &day.arrivals[self.arrival as usize];
            let outdated = |&arrival: &u16| {
                let arrival = &day.arrivals[arrival as usize];
                arrival.date() >= this.date() && !is_newer(&report.statement, arrival, statement, this)
            };
            let run = &day.runs[report.run as usize];
            if run.iter().any(outdated) {
                let remaining: Run = run.iter().copied().filter(|arrival| !outdated(arrival)).collect();
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
        let run = self.run_of(smallvec![self.arrival]);
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
    fn run_of(&mut self, arrivals: Run) -> u16 {
        let runs = &mut self.day.runs;
        if let Some(known) = runs.iter().position(|run| *run == arrivals) {
            return known as u16;
        }
        runs.push(arrivals);
        (runs.len() - 1) as u16
    }
}
