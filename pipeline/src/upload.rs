//! Decides what an upload changes: which days it reports on, what they come to, what posts at once.
//!
//! A sample with an id may come again with other times, so all days that ever held a report of an id know all its
//! reports: on the days where the sample is not, as deletions. That makes the newest report win wherever it lies.

use std::sync::Arc;

use crate::cache::Load;
use crate::calendar::{CivilDate, CivilMonth, Instant};
use crate::day::{DayScratch, Kind, Reported, Reporting, SourceIndex, Statement};
use crate::engine::Effects;
use crate::fact::{Channel, DeviceKind, Operation, Recording, Sample, SampleTime, Source, Upload};
use crate::hash::Hash64;
use crate::intake::{self, Pieces};
use crate::ledger::{DailyTotal, SourceName, SourceSteps};
use crate::member::Member;
use crate::month::{Known, Month, bit};
use crate::quantity::Steps;
use crate::rejection::Rejection;
use crate::settle::{Running, Settlement};
use crate::state::{Changes, Fault, What};
use crate::summary::IdDeletion;

/// Buffers of [`UploadScratch::apply`], reused from upload to upload.
#[derive(Debug, Default)]
pub struct UploadScratch {
    /// The days that the upload is about, and memory for more: only the first `days_open` are in use.
    days: Vec<OpenDay>,
    days_open: usize,
    /// The last day on which a sample of this upload may count, and its place; nearly always it is the next one's too.
    admitted: Option<Admitted>,
    /// The times of the samples so far, if they ascend: then none came twice.
    ascending: Option<(u8, i64)>,
    /// What becomes of the sample at hand.
    fate: Fate,
    /// Days to settle.
    dates: Vec<CivilDate>,
    known: Vec<Known>,
    kinds: Vec<DeviceKind>,
    totals: DayScratch,
    has_new_refusal: bool,
    /// A login that was known turned out to have been told of earlier.
    has_earlier_login: bool,
}

/// A day that an upload is about.
#[derive(Debug)]
struct OpenDay {
    date: CivilDate,
    reporting: Reporting,
    /// Something that was said of it was new.
    has_news: bool,
    /// It was told of a sample that was on another day before.
    has_imports: bool,
}

impl OpenDay {
    const fn is_touched(&self) -> bool {
        self.reporting.is_changed() || self.has_imports
    }
}

/// An open day on which the upload's samples may count.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    date: CivilDate,
    /// Its place among the open days.
    place: usize,
}

/// A sample's identity and order, but for the upload: (manual, id, times, version, `modified_at`). Of a sample with an id,
/// neither its being entered by hand nor its times are part of it.
type Said = (bool, u64, SampleTime, i64, i64);

/// What became of a sample; the greatest of its pieces' fates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    #[default]
    Duplicate,
    Accepted,
    Rejected,
}

/// What an upload did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Whether it told anything that was not known.
    pub is_new: bool,
    /// Whether anything may be due: a repeat too may show that something was known earlier.
    pub may_settle: bool,
}

/// What an upload is applied with.
pub struct Context<'c, 'l> {
    /// The programme.
    pub running: &'c Running,
    /// Where the member's values are.
    pub load: &'c mut Load<'l>,
    /// What is decided.
    pub effects: &'c mut Effects,
    /// The days that it writes.
    pub changes: &'c mut Changes,
}

/// The upload, its member and what they need, passed along together.
struct Work<'w, 'l> {
    member: &'w mut Member,
    upload: &'w Upload<'w>,
    source: SourceIndex,
    running: &'w Running,
    load: &'w mut Load<'l>,
    effects: &'w mut Effects,
    changes: &'w mut Changes,
}

impl UploadScratch {
    /// Applies an upload of an enrolled member.
    pub fn apply(
        &mut self,
        member: &mut Member,
        upload: &Upload<'_>,
        context: Context<'_, '_>,
    ) -> Result<Outcome, Fault> {
        self.days_open = 0;
        self.admitted = None;
        self.ascending = Some((0, i64::MIN));
        self.has_new_refusal = false;
        let source = source_index(member, &upload.source);
        let Context { running, load, effects, changes } = context;
        let mut work = Work { member, upload, source, running, load, effects, changes };
        let attendance = note_attendance(&mut work)?;
        self.has_earlier_login = attendance == Attendance::Earlier;
        self.take_samples(&mut work)?;
        self.close_days(&mut work)?;
        let is_new_attendance = attendance != Attendance::Known;
        let touched = self.days[..self.days_open].iter().filter(|day| day.is_touched());
        let (days_touched, has_news) = touched.fold((0, false), |(n, news), day| (n + 1, news | day.has_news));
        Ok(Outcome {
            is_new: is_new_attendance || self.has_new_refusal || has_news,
            may_settle: is_new_attendance || days_touched > 0,
        })
    }

    fn take_samples(&mut self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        let upload = work.upload;
        let mut of_date = upload.received_at.civil_date();
        let mut programme = work.running.versions.on(of_date);
        for (index, sample) in upload.samples.iter().enumerate() {
            let index = index as u32; // A record has at most 1 MiB.
            self.fate = Fate::Duplicate;
            self.note_ascent(sample);
            // The version is that of the activity date; nearly always it is that of the sample before.
            if let Some(date) = date_of(sample).filter(|&date| date != of_date) {
                programme = work.running.versions.on(date);
                of_date = date;
            }
            match self.admitted.filter(|admitted| admitted.date == of_date && sample.id.is_empty()) {
                Some(admitted) if let Some(piece) = intake::ordinary_piece(sample, of_date, programme) => {
                    let statement = self.statement(work, sample, 0);
                    self.report_at(admitted.place, work, index, piece.of(statement));
                }
                _ => match intake::pieces(index, sample, programme) {
                    Ok(pieces) => self.place(work, index, sample, pieces)?,
                    Err(rejection) => self.refuse(work, sample, rejection)?,
                },
            }
            match self.fate {
                Fate::Duplicate => work.effects.samples.duplicate += 1,
                Fate::Accepted => work.effects.samples.accepted += 1,
                Fate::Rejected => work.effects.samples.rejected += 1,
            }
        }
        Ok(())
    }

    /// Notes whether the samples still ascend, so that none can have come twice in the upload.
    #[inline]
    fn note_ascent(&mut self, sample: &Sample<'_>) {
        let time = match sample.time {
            SampleTime::Interval { start, .. } => (1, start.epoch_millis()),
            SampleTime::DailyTotal(date) => (2, date.epoch_days().into()),
            SampleTime::MergedTotal(date) => (3, date.epoch_days().into()),
            SampleTime::Unstated => (4, 0),
        };
        let ascends = sample.id.is_empty() && self.ascending.is_some_and(|before| before < time);
        self.ascending = ascends.then_some(time);
    }

    /// Reports the pieces of a sample to their days.
    fn place(&mut self, work: &mut Work<'_, '_>, index: u32, sample: &Sample<'_>, pieces: Pieces) -> Result<(), Fault> {
        let mut accepted: Pieces = [None, None];
        for (slot, piece) in accepted.iter_mut().zip(pieces) {
            let Some(piece) = piece else { continue };
            match intake::refuse_piece(index, piece.date, work.upload, work.running.versions.on(piece.date)) {
                None => {
                    *slot = Some(piece);
                    self.admitted = Some(Admitted { date: piece.date, place: self.open_day(work, piece.date)? });
                }
                Some(rejection) => self.refuse(work, sample, rejection)?,
            }
        }
        if !sample.id.is_empty() {
            return self.place_with_id(work, index, sample, accepted);
        }
        let statement = self.statement(work, sample, 0);
        for piece in accepted.into_iter().flatten() {
            self.report(work, piece.date, index, piece.of(statement))?;
        }
        Ok(())
    }

    /// Reports a sample that has an id: on its days, and on the days where it was before as being elsewhere.
    fn place_with_id(
        &mut self,
        work: &mut Work<'_, '_>,
        index: u32,
        sample: &Sample<'_>,
        pieces: Pieces,
    ) -> Result<(), Fault> {
        work.member.load_ids(work.load)?;
        let id = Hash64::of_id(sample.id);
        let before = work.member.days_of_id(work.source, id);
        let is_deletion = sample.operation == Operation::Delete;
        if pieces.iter().all(Option::is_none) && !(is_deletion && date_of(sample).is_none()) {
            return Ok(()); // Refused on every day.
        }
        if pieces.iter().all(Option::is_none) && is_after_the_last_transmission(work) {
            let arrived_on = work.upload.received_at.civil_date();
            let refused = intake::refuse_piece(index, arrived_on, work.upload, work.running.versions.on(arrived_on));
            return refused.map_or(Ok(()), |rejection| self.refuse(work, sample, rejection));
        }
        let said = self.statement(work, sample, id);
        if pieces.iter().all(Option::is_none) {
            let rank = self.rank(work, index, id);
            self.note_id_deletion(work, Statement { rank, ..said });
        }
        for piece in pieces.iter().flatten().filter(|piece| !before.contains(&piece.date)) {
            self.import(work, piece.date, id, before.first().copied())?;
            work.member.index_id(work.source, id, piece.date);
        }
        // A deletion by id is of whatever has the id, entered by hand or not.
        let spaces: &[bool] = if is_deletion { &[false, true] } else { &[sample.recording == Recording::Manual] };
        for &is_manual in spaces {
            let statement = Statement { is_manual, ..said };
            for piece in pieces.iter().flatten() {
                self.report(work, piece.date, index, piece.of(statement))?;
            }
            for &date in before.iter().filter(|&&date| pieces.iter().flatten().all(|piece| piece.date != date)) {
                let logged_in_on = work.upload.login().civil_date();
                let refused = intake::refuse_too_old(index, date, logged_in_on, work.running.versions.on(date));
                match refused.filter(|_| date_of(sample).is_none()) {
                    Some(rejection) if !is_manual => self.refuse(work, sample, rejection)?,
                    Some(_) => {}
                    None if date_of(sample).is_none() => self.report(work, date, index, statement)?,
                    None => self.report(work, date, index, elsewhere(statement))?,
                }
            }
        }
        Ok(())
    }

    /// Keeps a deletion by id alone.
    fn note_id_deletion(&mut self, work: &mut Work<'_, '_>, statement: Statement) {
        let deletion = IdDeletion {
            source: statement.source,
            id: statement.id,
            version: statement.version,
            modified_at: statement.modified_at,
            rank: statement.rank,
            received_at: work.upload.received_at,
            logged_in_on: work.upload.login().civil_date(),
            upload: work.upload.id.into(),
        };
        if !work.member.summary.value.id_deletions.contains(&deletion) {
            work.member.summary.change().id_deletions.push(deletion);
            self.fate = self.fate.max(Fate::Accepted);
        }
    }

    /// Tells a day all that is known of a sample id that is new there.
    fn import(
        &mut self,
        work: &mut Work<'_, '_>,
        date: CivilDate,
        id: u64,
        from: Option<CivilDate>,
    ) -> Result<(), Fault> {
        let source = work.source;
        let mut known: Vec<(Statement, Instant, String)> = Vec::new();
        if let Some(from) = from {
            let place = self.open_day(work, from)?;
            let statements = self.days[place].reporting.day.statements_of(source, id);
            let statements = statements.filter(|(statement, ..)| !statement.is_deletion_by_id());
            known.extend(statements.map(|(statement, at, upload)| (elsewhere(statement), at, upload.to_owned())));
        }
        let programme = work.running.versions.on(date);
        let is_too_old = |early: &&IdDeletion| intake::refuse_too_old(0, date, early.logged_in_on, programme).is_some();
        let id_deletions = work.member.summary.value.id_deletions.iter();
        for early in
            id_deletions.filter(|early| (early.source, early.id) == (source, id)).filter(|early| !is_too_old(early))
        {
            let (version, modified_at, rank) = (early.version, early.modified_at, early.rank);
            for is_manual in [false, true] {
                let statement = Statement { source, id, is_manual, version, modified_at, rank, ..NOTHING };
                known.push((statement, early.received_at, early.upload.clone()));
            }
        }
        if known.is_empty() {
            return Ok(());
        }
        let place = self.open_day(work, date)?;
        let day = &mut self.days[place];
        (day.has_imports, day.has_news) = (true, true);
        day.reporting.end();
        for (statement, received_at, upload) in known {
            day.reporting.begin(received_at, &upload);
            day.reporting.report(statement);
            day.reporting.end();
        }
        day.reporting.begin(work.upload.received_at, work.upload.id);
        Ok(())
    }

    /// What a sample says, besides its time, its steps and its rank in the upload.
    #[inline]
    fn statement(&self, work: &Work<'_, '_>, sample: &Sample<'_>, id: u64) -> Statement {
        Statement {
            source: work.source,
            is_manual: sample.recording == Recording::Manual,
            id,
            is_deletion: sample.operation == Operation::Delete,
            version: sample.version,
            modified_at: sample.modified_at.map_or(i64::MIN, Instant::epoch_millis),
            ..NOTHING
        }
    }

    /// How many samples of the same identity and order came before one in its upload.
    fn rank(&self, work: &Work<'_, '_>, index: u32, id: u64) -> u16 {
        if self.ascending.is_some() {
            return 0;
        }
        let (before, rest) = work.upload.samples.split_at(index as usize);
        let said_of = |sample: &Sample<'_>| said(sample, id);
        let same = before.iter().filter(|before| before.id == rest[0].id && said_of(before) == said_of(&rest[0]));
        same.count() as u16
    }

    /// Reports a statement to a day.
    fn report(
        &mut self,
        work: &mut Work<'_, '_>,
        date: CivilDate,
        index: u32,
        statement: Statement,
    ) -> Result<(), Fault> {
        let place = self.open_day(work, date)?;
        self.report_at(place, work, index, statement);
        Ok(())
    }

    /// Reports a statement to an open day.
    #[inline]
    fn report_at(&mut self, place: usize, work: &Work<'_, '_>, index: u32, statement: Statement) {
        let reporting = &mut self.days[place].reporting;
        let reported = match reporting.report_first(statement) {
            Some(reported) => reported,
            None => {
                let rank = self.rank(work, index, statement.id);
                self.days[place].reporting.report(Statement { rank, ..statement })
            }
        };
        if reported == Reported::New {
            self.days[place].has_news = true;
            self.fate = self.fate.max(Fate::Accepted);
        }
    }

    /// The place of a day among those that are open: it is read if it is known, else begun.
    fn open_day(&mut self, work: &mut Work<'_, '_>, date: CivilDate) -> Result<usize, Fault> {
        if let Some(place) = self.days[..self.days_open].iter().position(|day| day.date == date) {
            return Ok(place);
        }
        let place = self.days_open;
        if place == self.days.len() {
            let reporting = Reporting::default();
            self.days.push(OpenDay { date, reporting, has_news: false, has_imports: false });
        }
        let day = &mut self.days[place];
        (day.date, day.has_news, day.has_imports) = (date, false, false);
        let month = work.member.load_month(date, work.load)?;
        let is_known = month.has_day(month.day_of(date));
        let fresh = work.member.fresh_days.iter().find(|&&(fresh, _)| fresh == date);
        match fresh.and_then(|&(_, index)| work.changes.value(index)) {
            Some(bytes) => day.reporting.open(Some(bytes))?,
            None if is_known => day.reporting.open(Some(&work.load.read(&work.member.key, What::Day(date))?))?,
            None => day.reporting.open(None)?,
        }
        day.reporting.begin(work.upload.received_at, work.upload.id);
        self.days_open += 1;
        Ok(place)
    }

    /// Refuses a sample, unless it is a repeat: then it was refused before, or is known from a time when it could count.
    fn refuse(&mut self, work: &mut Work<'_, '_>, sample: &Sample<'_>, rejection: Rejection) -> Result<(), Fault> {
        let hash = Hash64::of_refused(&work.upload.source, sample, &rejection);
        let date = rejection.activity_date.filter(|date| date.is_accepted());
        let date = date.unwrap_or(work.upload.received_at.civil_date());
        if work.member.load_month(date, work.load)?.note_refused(hash) {
            self.fate = Fate::Rejected;
            self.has_new_refusal = true;
            work.effects.rejections.push(rejection);
        }
        Ok(())
    }

    /// Ends the reports: works out what the days come to, gives out their totals and writes them down, in their order.
    fn close_days(&mut self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        self.days[..self.days_open].sort_unstable_by_key(|day| day.date);
        self.kinds.clear();
        self.kinds.extend(work.member.summary.value.sources.iter().map(|source| source.device_kind));
        for place in 0..self.days_open {
            self.days[place].reporting.end();
            if self.days[place].is_touched() {
                self.total(work, place)?;
                write_day(work, &self.days[place]);
            }
        }
        Ok(())
    }

    /// Works out what a day comes to, and gives out its total if that is news.
    fn total(&mut self, work: &mut Work<'_, '_>, place: usize) -> Result<(), Fault> {
        let OpenDay { date, reporting, has_news, .. } = &self.days[place];
        let (date, day) = (*date, &reporting.day);
        let version = work.running.versions.on(date);
        let month = work.member.load_month(date, work.load)?;
        let day_of_month = month.day_of(date);
        day.totals(day_of_month, &version.sources, &self.kinds, &mut self.totals, &mut self.known);
        let steps_now = self.known.last().map(|known| known.steps);
        // A repeat may bring back an earlier figure, so a total is given out for that too.
        let has_news = *has_news || month.known(day_of_month).last().map(|known| known.steps) != steps_now;
        let is_changed = month.set_known(day_of_month, &self.known);
        let revision = month.revisions(day_of_month);
        let is_told = has_news && (revision > 0 || steps_now.is_some());
        month.note_day(day_of_month, revision + u32::from(is_told));
        if is_changed && work.running.has_delayed_rules {
            let number = month.month;
            work.member.settled.change().unsettle(number, bit(day_of_month));
        }
        if let (Some((first_arrival_at, last_arrival_at)), true) = (day.arrival_bounds(), is_told) {
            let steps = steps_now.unwrap_or(0);
            work.effects.daily_totals.push(DailyTotal {
                programme: Arc::clone(&work.running.id),
                member: Arc::clone(&work.member.id),
                date,
                revision,
                steps: Steps::new(steps),
                source_steps: source_steps(&work.member.summary.value.sources, &self.totals),
                wear: steps >= version.wear_steps_min,
                first_arrival_at,
                last_arrival_at,
            });
        }
        Ok(())
    }

    /// Settles what posts on arrival: for the days touched, for the arrival and the login themselves, and for days that
    /// waited for a login.
    pub fn settle_on_arrival(
        &mut self,
        member: &mut Member,
        upload: &Upload<'_>,
        settlement: &mut Settlement<'_>,
        load: &mut Load<'_>,
    ) -> Result<(), Fault> {
        let (arrived_on, logged_in_on) = (upload.received_at.civil_date(), upload.login().civil_date());
        self.dates.clear();
        if !member.settled.value.awaiting_login.is_empty() {
            self.dates.append(&mut member.settled.change().awaiting_login);
        }
        let touched = self.days[..self.days_open].iter().filter(|day| day.is_touched());
        self.dates.extend(touched.map(|day| day.date).chain([arrived_on, logged_in_on]));
        let has_login_rules = settlement.running.has_login_rules;
        if has_login_rules && (self.has_earlier_login || has_later_login(member, arrived_on, load)?) {
            // Processed out of order: days up to this login may have been paid as of a later one.
            member.load_months(load)?;
            let dates = member.months.iter().flat_map(Month::dates_with_samples);
            self.dates.extend(dates.filter(|&date| date <= logged_in_on));
        }
        self.dates.sort_unstable();
        self.dates.dedup();
        for &date in &self.dates {
            if has_login_rules {
                member.load_months_from(date, load)?;
            }
            if !settlement.settle_on_arrival(member, date) {
                member.settled.change().awaiting_login.push(date);
            }
        }
        Ok(())
    }
}

/// Writes a day down, in the place of what this transaction wrote of it before.
fn write_day(work: &mut Work<'_, '_>, day: &OpenDay) {
    let Member { key, fresh_days, .. } = &mut *work.member;
    let write_key = |out: &mut Vec<u8>| What::Day(day.date).write_key(key.bytes(), out);
    let write = |out: &mut Vec<u8>| day.reporting.day.encode(out);
    match fresh_days.iter().find(|&&(fresh, _)| fresh == day.date) {
        Some(&(_, index)) => work.changes.replace(index, write_key, write),
        None => fresh_days.push((day.date, work.changes.put(write_key, write))),
    }
}

fn said(sample: &Sample<'_>, id: u64) -> Said {
    let is_manual = sample.recording == Recording::Manual;
    let modified_at = sample.modified_at.map_or(i64::MIN, Instant::epoch_millis);
    let time = if id == 0 { sample.time } else { SampleTime::Unstated };
    (is_manual && id == 0, id, time, sample.version, modified_at)
}

/// Whether the upload came after the last day on which data for the season count (KU-02).
fn is_after_the_last_transmission(work: &Work<'_, '_>) -> bool {
    let arrived_on = work.upload.received_at.civil_date();
    work.running.versions.on(arrived_on).season.is_some_and(|season| arrived_on > season.arrival_ends_on)
}

/// A deletion that says nothing yet.
const NOTHING: Statement = Statement {
    source: 0,
    is_manual: false,
    id: 0,
    kind: Kind::Interval,
    start: 0,
    end: 0,
    is_deletion: true,
    steps: 0,
    version: 0,
    modified_at: i64::MIN,
    rank: 0,
};

/// The same report on a day where the sample is not.
fn elsewhere(statement: Statement) -> Statement {
    Statement { kind: Kind::Elsewhere, start: 0, end: 0, steps: 0, is_deletion: true, ..statement }
}

fn date_of(sample: &Sample<'_>) -> Option<CivilDate> {
    match sample.time {
        SampleTime::Interval { start, .. } => Some(start.civil_date()),
        SampleTime::DailyTotal(date) | SampleTime::MergedTotal(date) => Some(date),
        SampleTime::Unstated => None,
    }
}

/// The place of a source in its member's list; a new one goes to the end.
fn source_index(member: &mut Member, source: &Source<'_>) -> SourceIndex {
    let sources = &member.summary.value.sources;
    let known = sources.iter().position(|known| {
        (&*known.device, &*known.origin, &*known.platform) == (source.device, source.origin, source.platform)
    });
    let index = known.unwrap_or_else(|| {
        let name = SourceName {
            platform: source.platform.into(),
            origin: source.origin.into(),
            device: source.device.into(),
            device_kind: source.device_kind,
        };
        let sources = &mut member.summary.change().sources;
        sources.push(Arc::new(name));
        sources.len() - 1
    });
    index as SourceIndex
}

/// What an upload tells of the member having been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attendance {
    /// Nothing new.
    Known,
    /// A transmission or login that was not known.
    New,
    /// A login that was known to have been told of later.
    Earlier,
}

/// Notes that something was sent, and that the member logged in.
fn note_attendance(work: &mut Work<'_, '_>) -> Result<Attendance, Fault> {
    let (arrived_on, logged_in_on) = (work.upload.received_at.civil_date(), work.upload.login().civil_date());
    let mut told = Attendance::Known;
    let month = work.member.load_month(arrived_on, work.load)?;
    let (number, day) = (month.month, month.day_of(arrived_on));
    if !month.has_transmission(day) {
        told = Attendance::New;
        let is_first = month.note_transmission(day);
        if work.running.has_delayed_rules {
            let settled = work.member.settled.change();
            settled.unsettle(number, bit(day));
            if is_first && work.running.has_rules_over_days {
                settled.first_transmissions.push(arrived_on);
            }
        }
    }
    if work.upload.channel != Channel::App {
        return Ok(told);
    }
    let month = work.member.load_month(logged_in_on, work.load)?;
    let day = month.day_of(logged_in_on);
    let before = month.login_arrival(day);
    if before.is_none_or(|before| arrived_on < before) {
        month.note_login(day, arrived_on);
        told = if before.is_some() { Attendance::Earlier } else { Attendance::New };
    }
    Ok(told)
}

/// Whether a login is known that was told of later. It took place in the month before or after at the earliest.
fn has_later_login(member: &mut Member, arrived_on: CivilDate, load: &mut Load<'_>) -> Result<bool, Fault> {
    let from = CivilMonth::from_number(arrived_on.month().number() - 2).first_day();
    member.load_months_from(from, load)?;
    let mut logins = member.months_from(from).flat_map(Month::login_dates);
    Ok(logins.any(|(_, other)| other > arrived_on))
}

/// Each source's day, as [`crate::day::Day::totals`] left it.
fn source_steps(sources: &[Arc<SourceName>], days: &DayScratch) -> Vec<SourceSteps> {
    let source_steps = days.sources.iter().map(|day| SourceSteps {
        source: Arc::clone(&sources[day.source as usize]),
        is_merged: day.is_merged,
        steps: Steps::new(day.steps),
    });
    source_steps.collect()
}
