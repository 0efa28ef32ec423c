//! Decides what an upload changes: which days it reports on, what they come to, what posts at once.
//!
//! A sample with an id may come again with other times, so all days that ever held a report of an id know all its
//! reports: on the days where the sample is not, as deletions. That makes the newest report win wherever it lies.

use std::sync::Arc;

use crate::cache::Load;
use crate::calendar::{CivilDate, CivilMonth, Instant};
use crate::day::{DayScratch, Kind, Reported, SourceIndex, Statement};
use crate::engine::Effects;
use crate::fact::{Channel, DeviceKind, Operation, Recording, Sample, SampleTime, Source, Upload};
use crate::hash::Hash64;
use crate::intake::{self, Pieces};
use crate::ledger::{DailyTotal, SourceName, SourceSteps};
use crate::member::{DayLine, IdDeletion, Member, bit};
use crate::quantity::Steps;
use crate::rejection::Rejection;
use crate::settle::{Running, Settlement};
use crate::state::Fault;

/// Buffers of [`UploadScratch::apply`], reused from upload to upload.
#[derive(Debug, Default)]
pub struct UploadScratch {
    placed: Vec<Placed>,
    /// What identities the samples before had, to rank those that come twice in an upload.
    said: Vec<Said>,
    /// The greatest of them.
    said_last: Option<Said>,
    /// What became of each sample.
    fates: Vec<Fate>,
    /// Days on which something is said, and whether it was new.
    touched: Vec<(CivilDate, bool)>,
    known: Vec<(CivilDate, u32)>,
    kinds: Vec<DeviceKind>,
    has_new_refusal: bool,
    /// A login that was known turned out to have been told of earlier.
    has_earlier_login: bool,
}

/// A sample's identity and order, but for the upload: (manual, id, times, version, `modified_at`). Of a sample with an id,
/// neither its being entered by hand nor its times are part of it.
type Said = (bool, u64, SampleTime, i64, i64);

/// A statement and the day that it is about.
#[derive(Clone, Copy, Debug)]
struct Placed {
    date: CivilDate,
    sample: u32,
    statement: Statement,
}

/// What became of a sample; the greatest of its pieces' fates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
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
    arrived_on: CivilDate,
}

impl Outcome {
    /// Whether its arrival date was closed already.
    pub fn is_late_for(&self, closed: Option<CivilDate>) -> bool {
        closed.is_some_and(|closed| self.arrived_on <= closed)
    }
}

/// The upload, its member and what they need, passed along together.
struct Work<'w, 'l, 's> {
    key: &'w [u8],
    member: &'w mut Member,
    running: &'w Running,
    upload: &'w Upload<'w>,
    source: SourceIndex,
    load: &'w mut Load<'l>,
    effects: &'s mut Effects,
}

impl UploadScratch {
    /// Applies an upload of an enrolled member.
    #[expect(clippy::too_many_arguments, reason = "each is another part of the engine, borrowed apart")]
    pub fn apply(
        &mut self,
        key: &[u8],
        member: &mut Member,
        running: &Running,
        upload: &Upload<'_>,
        load: &mut Load<'_>,
        days: &mut DayScratch,
        effects: &mut Effects,
    ) -> Result<Outcome, Fault> {
        self.placed.clear();
        self.said.clear();
        self.said_last = None;
        self.touched.clear();
        self.fates.clear();
        self.fates.resize(upload.samples.len(), Fate::Duplicate);
        self.has_new_refusal = false;
        let source = source_index(member, &upload.source);
        let mut work = Work { key, member, running, upload, source, load, effects };
        let attendance = note_attendance(&mut work)?;
        self.has_earlier_login = attendance == Attendance::Earlier;
        let is_new_attendance = attendance != Attendance::Known;
        let mut programme = running.versions.on(upload.received_at.civil_date());
        let mut of_date = upload.received_at.civil_date();
        for (index, sample) in upload.samples.iter().enumerate() {
            let index = index as u32; // A record has at most 1 MiB.
            // The version is that of the activity date; nearly always it is that of the sample before.
            if let Some(date) = date_of(sample).filter(|&date| date != of_date) {
                programme = running.versions.on(date);
                of_date = date;
            }
            match intake::pieces(index, sample, programme) {
                Ok(pieces) => self.place(&mut work, index, sample, pieces)?,
                Err(rejection) => self.refuse(&mut work, sample, rejection)?,
            }
        }
        self.flush(&mut work)?;
        self.total(&mut work, days)?;
        for fate in &self.fates {
            match fate {
                Fate::Duplicate => work.effects.samples.duplicate += 1,
                Fate::Accepted => work.effects.samples.accepted += 1,
                Fate::Rejected => work.effects.samples.rejected += 1,
            }
        }
        let may_settle = is_new_attendance || !self.touched.is_empty();
        let is_new = is_new_attendance || self.has_new_refusal || self.touched.iter().any(|&(_, is_new)| is_new);
        Ok(Outcome { is_new, may_settle, arrived_on: upload.received_at.civil_date() })
    }

    /// Places the pieces of a sample on their days.
    fn place(
        &mut self,
        work: &mut Work<'_, '_, '_>,
        index: u32,
        sample: &Sample<'_>,
        pieces: Pieces,
    ) -> Result<(), Fault> {
        let mut accepted: Pieces = [None, None];
        for (slot, piece) in accepted.iter_mut().zip(pieces) {
            let Some(piece) = piece else { continue };
            match intake::refuse_piece(index, piece.date, work.upload, work.running.versions.on(piece.date)) {
                None => *slot = Some(piece),
                Some(rejection) => self.refuse(work, sample, rejection)?,
            }
        }
        if !sample.id.is_empty() {
            return self.place_with_id(work, index, sample, accepted);
        }
        let said = self.statement(work.source, sample, 0);
        for piece in accepted.into_iter().flatten() {
            let (kind, start, end, steps) = (piece.kind, piece.start, piece.end, piece.steps);
            let statement = Statement { kind, start, end, steps, ..said };
            self.placed.push(Placed { date: piece.date, sample: index, statement });
        }
        Ok(())
    }

    /// Places a sample that has an id: on its days, and on the days where it was before as being elsewhere.
    fn place_with_id(
        &mut self,
        work: &mut Work<'_, '_, '_>,
        index: u32,
        sample: &Sample<'_>,
        pieces: Pieces,
    ) -> Result<(), Fault> {
        work.member.load_ids(work.key, work.load)?;
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
        let said = self.statement(work.source, sample, id);
        if pieces.iter().all(Option::is_none) {
            self.note_id_deletion(work, index, said);
        }
        for piece in pieces.iter().flatten().filter(|piece| !before.contains(&piece.date)) {
            self.flush(work)?;
            self.import(work, piece.date, id, before.first().copied())?;
            work.member.index_id(work.source, id, piece.date);
        }
        // A deletion by id is of whatever has the id, entered by hand or not.
        let spaces: &[bool] = if is_deletion { &[false, true] } else { &[sample.recording == Recording::Manual] };
        for &is_manual in spaces {
            let statement = Statement { is_manual, ..said };
            for piece in pieces.iter().flatten() {
                let (kind, start, end, steps) = (piece.kind, piece.start, piece.end, piece.steps);
                let statement = Statement { kind, start, end, steps, ..statement };
                self.placed.push(Placed { date: piece.date, sample: index, statement });
            }
            for &date in before.iter().filter(|&&date| pieces.iter().flatten().all(|piece| piece.date != date)) {
                let logged_in_on = work.upload.login().civil_date();
                let refused = intake::refuse_too_old(index, date, logged_in_on, work.running.versions.on(date));
                match refused.filter(|_| date_of(sample).is_none()) {
                    Some(rejection) if !is_manual => self.refuse(work, sample, rejection)?,
                    Some(_) => {}
                    None if date_of(sample).is_none() => self.placed.push(Placed { date, sample: index, statement }),
                    None => self.placed.push(Placed { date, sample: index, statement: elsewhere(statement) }),
                }
            }
        }
        Ok(())
    }

    /// Keeps a deletion by id alone.
    fn note_id_deletion(&mut self, work: &mut Work<'_, '_, '_>, index: u32, statement: Statement) {
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
            self.fates[index as usize] = self.fates[index as usize].max(Fate::Accepted);
        }
    }

    /// Tells a day all that is known of a sample id that is new there.
    fn import(
        &mut self,
        work: &mut Work<'_, '_, '_>,
        date: CivilDate,
        id: u64,
        from: Option<CivilDate>,
    ) -> Result<(), Fault> {
        let source = work.source;
        let mut known: Vec<(Statement, Instant, String)> = Vec::new();
        if let Some(from) = from {
            let day = work.member.load_day(work.key, from, work.load)?;
            let statements =
                day.value.statements_of(source, id).filter(|(statement, ..)| !statement.is_deletion_by_id());
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
        let day = work.member.load_day(work.key, date, work.load)?;
        for (statement, received_at, upload) in known {
            day.change().reporting(received_at, &upload).report(statement);
        }
        self.touched.push((date, true));
        Ok(())
    }

    /// What a sample says, besides its time and steps. To be asked once a sample.
    fn statement(&mut self, source: SourceIndex, sample: &Sample<'_>, id: u64) -> Statement {
        let is_manual = sample.recording == Recording::Manual;
        let modified_at = sample.modified_at.map_or(i64::MIN, Instant::epoch_millis);
        let time = if id == 0 { sample.time } else { SampleTime::Unstated };
        let said = (is_manual && id == 0, id, time, sample.version, modified_at);
        // Nearly always samples come in order, and so none twice.
        let is_in_order = id == 0 && self.said_last.is_none_or(|last| last < said);
        let rank = if is_in_order { 0 } else { self.said.iter().filter(|&&before| before == said).count() };
        self.said_last = self.said_last.max(Some(said));
        self.said.push(said);
        Statement {
            source,
            is_manual,
            id,
            is_deletion: sample.operation == Operation::Delete,
            version: sample.version,
            modified_at,
            rank: rank as u16,
            ..NOTHING
        }
    }

    /// Reports what has been placed to its days.
    fn flush(&mut self, work: &mut Work<'_, '_, '_>) -> Result<(), Fault> {
        if !self.placed.is_sorted_by_key(|placed| placed.date) {
            self.placed.sort_by_key(|placed| placed.date);
        }
        let mut rest = &self.placed[..];
        while let Some(first) = rest.first() {
            let date = first.date;
            let length = rest.iter().take_while(|placed| placed.date == date).count();
            let kept = work.member.load_day(work.key, date, work.load)?;
            let mut reporting = kept.value.reporting(work.upload.received_at, work.upload.id);
            let mut is_new = false;
            for placed in &rest[..length] {
                if reporting.report(placed.statement) == Reported::New {
                    let fate = &mut self.fates[placed.sample as usize];
                    *fate = (*fate).max(Fate::Accepted);
                    is_new = true;
                }
            }
            let is_changed = reporting.is_changed();
            drop(reporting);
            kept.is_changed |= is_changed;
            if is_changed {
                self.touched.push((date, is_new));
            }
            rest = &rest[length..];
        }
        self.placed.clear();
        Ok(())
    }

    /// Refuses a sample, unless it is a repeat: then it was refused before, or is known from a time when it could count.
    fn refuse(&mut self, work: &mut Work<'_, '_, '_>, sample: &Sample<'_>, rejection: Rejection) -> Result<(), Fault> {
        let Some(index) = rejection.sample else { return Ok(()) };
        let hash = Hash64::of_refused(&work.upload.source, sample, &rejection);
        let date = rejection.activity_date.filter(|date| date.is_accepted());
        let month = date.unwrap_or(work.upload.received_at.civil_date()).month();
        let kept = work.member.load_month(work.key, month, work.load)?;
        if let Err(place) = kept.value.refused.binary_search(&hash) {
            kept.change().refused.insert(place, hash);
            self.fates[index as usize] = Fate::Rejected;
            self.has_new_refusal = true;
            work.effects.rejections.push(rejection);
        }
        Ok(())
    }

    /// Works out what the touched days come to, and gives out their totals.
    fn total(&mut self, work: &mut Work<'_, '_, '_>, days: &mut DayScratch) -> Result<(), Fault> {
        self.touched.sort_unstable_by_key(|&(date, is_new)| (date, !is_new));
        self.touched.dedup_by_key(|&mut (date, _)| date);
        self.kinds.clear();
        self.kinds.extend(work.member.summary.value.sources.iter().map(|source| source.device_kind));
        for &(date, is_new) in &self.touched {
            let policy = &work.running.versions.on(date).sources;
            let day = &work.member.load_day(work.key, date, work.load)?.value;
            day.totals(policy, &self.kinds, days, &mut self.known);
            let bounds = day.arrival_bounds();
            let month = work.member.load_month(work.key, date.month(), work.load)?.change();
            let day_of_month = date.day_of_month();
            let place = month.days.binary_search_by_key(&day_of_month, |line| line.day).unwrap_or_else(|place| {
                month.days.insert(place, DayLine { day: day_of_month, revisions: 0, known: Vec::new() });
                place
            });
            let line = &mut month.days[place];
            let is_changed = line.known != self.known;
            // A repeat may bring back an earlier figure, so a total is given out for that too.
            let is_new =
                is_new || line.known.last().map(|&(_, steps)| steps) != self.known.last().map(|&(_, steps)| steps);
            if is_changed {
                line.known.clone_from(&self.known);
            }
            let revision = line.revisions;
            line.revisions += u32::from(is_new && (revision > 0 || !self.known.is_empty()));
            if is_changed && work.running.has_delayed_rules {
                month.unsettle(day_of_month);
            }
            let is_heard_of = revision > 0 || !self.known.is_empty();
            if let (Some((first_arrival_at, last_arrival_at)), true) = (bounds, is_new && is_heard_of) {
                let steps = self.known.last().map_or(0, |&(_, steps)| steps);
                work.effects.daily_totals.push(DailyTotal {
                    programme: Arc::clone(&work.running.id),
                    member: Arc::clone(&work.member.id),
                    date,
                    revision,
                    steps: Steps::new(steps),
                    source_steps: source_steps(&work.member.summary.value.sources, days),
                    wear: steps >= work.running.versions.on(date).wear_steps_min,
                    first_arrival_at,
                    last_arrival_at,
                });
            }
        }
        Ok(())
    }

    /// Settles what posts on arrival: for the days touched, for the arrival and the login themselves, and for days that
    /// waited for a login.
    pub fn settle_on_arrival(
        &mut self,
        key: &[u8],
        member: &mut Member,
        upload: &Upload<'_>,
        settlement: &mut Settlement<'_>,
        load: &mut Load<'_>,
    ) -> Result<(), Fault> {
        let (arrived_on, logged_in_on) = (upload.received_at.civil_date(), upload.login().civil_date());
        let waited = if member.summary.value.awaiting_login.is_empty() {
            Vec::new()
        } else {
            std::mem::take(&mut member.summary.change().awaiting_login)
        };
        self.touched.extend(waited.into_iter().chain([arrived_on, logged_in_on]).map(|date| (date, false)));
        let has_login_rules = settlement.running.has_login_rules;
        if has_login_rules && (self.has_earlier_login || has_later_login(key, member, arrived_on, load)?) {
            // Processed out of order: days up to this login may have been paid as of a later one.
            member.load_months(key, load)?;
            let dates = member.months.iter().flat_map(|(month, kept)| {
                let first = month.first_day();
                kept.value.days.iter().map(move |line| first.plus_days(i32::from(line.day) - 1))
            });
            self.touched.extend(dates.filter(|&date| date <= logged_in_on).map(|date| (date, false)));
        }
        self.touched.sort_unstable();
        self.touched.dedup_by_key(|&mut (date, _)| date);
        for &(date, _) in &self.touched {
            if settlement.running.has_login_rules {
                let later: Vec<_> =
                    member.summary.value.months.iter().copied().filter(|&month| month >= date.month()).collect();
                for month in later {
                    member.load_month(key, month, load)?;
                }
            }
            if !settlement.settle_on_arrival(member, date) {
                member.summary.change().awaiting_login.push(date);
            }
        }
        Ok(())
    }
}

/// Whether the upload came after the last day on which data for the season count (KU-02).
fn is_after_the_last_transmission(work: &Work<'_, '_, '_>) -> bool {
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
        crate::fact::SampleTime::Interval { start, .. } => Some(start.civil_date()),
        crate::fact::SampleTime::DailyTotal(date) | crate::fact::SampleTime::MergedTotal(date) => Some(date),
        crate::fact::SampleTime::Unstated => None,
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
fn note_attendance(work: &mut Work<'_, '_, '_>) -> Result<Attendance, Fault> {
    let (arrived_on, logged_in_on) = (work.upload.received_at.civil_date(), work.upload.login().civil_date());
    let mut told = Attendance::Known;
    let day = arrived_on.day_of_month();
    let kept = work.member.load_month(work.key, arrived_on.month(), work.load)?;
    if !kept.value.has_transmission(day) {
        told = Attendance::New;
        let month = kept.change();
        month.has_new_transmission |= month.transmissions & (bit(day) - 1) == 0;
        month.transmissions |= bit(day);
        if work.running.has_delayed_rules {
            month.unsettle(day);
        }
    }
    if work.upload.channel != Channel::App {
        return Ok(told);
    }
    let day = logged_in_on.day_of_month();
    let kept = work.member.load_month(work.key, logged_in_on.month(), work.load)?;
    let place = kept.value.logins.binary_search_by_key(&day, |&(day, _)| day);
    match place {
        Ok(place) if kept.value.logins[place].1 <= arrived_on => {}
        Ok(place) => {
            kept.change().logins[place].1 = arrived_on;
            told = Attendance::Earlier;
        }
        Err(place) => {
            kept.change().logins.insert(place, (day, arrived_on));
            told = Attendance::New;
        }
    }
    Ok(told)
}

/// Whether a login is known that was told of later. It took place in the month before or after at the earliest.
fn has_later_login(key: &[u8], member: &mut Member, arrived_on: CivilDate, load: &mut Load<'_>) -> Result<bool, Fault> {
    let from = CivilMonth::from_number(arrived_on.month().number() - 2);
    let later: Vec<_> = member.summary.value.months.iter().copied().filter(|&month| month >= from).collect();
    for month in later {
        member.load_month(key, month, load)?;
    }
    let logins = member.months.values().flat_map(|kept| &kept.value.logins);
    Ok(logins.into_iter().any(|&(_, other)| other > arrived_on))
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
