//! Decides whether a sample may count, by the sample and its upload alone (design, section 4.7).
//!
//! What depends on other facts, such as enrolment or a newer report, is decided elsewhere and may be revised. A sample
//! across midnight becomes two pieces, and each stands alone before the season and the backfill limit.

use crate::calendar::{CivilDate, DAY_MILLIS, Instant};
use crate::day::{Kind, Statement};
use crate::fact::{Operation, Recording, Sample, SampleTime, Upload};
use crate::programme::Programme;
use crate::rejection::{Rejection, RejectionReason};

/// A sample's share of one civil day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The day.
    pub date: CivilDate,
    /// What the figure is.
    pub kind: Kind,
    /// Milliseconds from the day's start to the whole sample's start and end.
    pub start: i32,
    /// See `start`.
    pub end: i32,
    /// Steps that fall on the day.
    pub steps: u32,
}

impl Piece {
    /// A statement of this figure.
    #[inline]
    pub fn of(&self, statement: Statement) -> Statement {
        let Piece { kind, start, end, steps, .. } = *self;
        Statement { kind, start, end, steps, ..statement }
    }
}

/// A sample's one or two pieces.
pub type Pieces = [Option<Piece>; 2];

/// Why a whole upload is refused, if it is.
pub fn refuse_upload(upload: &Upload<'_>, programme: &Programme) -> Option<Rejection> {
    let arrived_on = upload.received_at.civil_date();
    let whole = |reason, detail| Some(Rejection { reason, sample: None, activity_date: None, detail });
    if !arrived_on.is_accepted() {
        return whole(
            RejectionReason::DateOutOfRange,
            format!("received_at {} is not between 2000 and 2099", upload.received_at),
        );
    }
    if upload.login() > upload.received_at {
        let detail = format!("login_at {} is after received_at {}", upload.login(), upload.received_at);
        return whole(RejectionReason::LoginAfterReceipt, detail);
    }
    let trailing_days = arrived_on.days_since(upload.login().civil_date());
    if i64::from(trailing_days) > i64::from(programme.arrival_days_max) {
        let detail =
            format!("it arrived {trailing_days} days after its login; {} are allowed", programme.arrival_days_max);
        return whole(RejectionReason::ArrivalLimit, detail);
    }
    None
}

/// The pieces of a sample, checked for what can be told from the sample alone.
pub fn pieces(index: u32, sample: &Sample<'_>, programme: &Programme) -> Result<Pieces, Rejection> {
    let refuse = |reason, activity_date, detail| Err(Rejection { reason, sample: Some(index), activity_date, detail });
    let is_deletion = sample.operation == Operation::Delete;
    match sample.time {
        SampleTime::Unstated if is_deletion && !sample.id.is_empty() => Ok([None, None]),
        SampleTime::Unstated => refuse(
            RejectionReason::SampleTimeMissing,
            None,
            "an interval needs start and end, a total needs date".into(),
        ),
        SampleTime::DailyTotal(date) | SampleTime::MergedTotal(date) => {
            if !date.is_accepted() {
                return refuse(RejectionReason::DateOutOfRange, None, format!("{date} is not between 2000 and 2099"));
            }
            let kind =
                if matches!(sample.time, SampleTime::DailyTotal(_)) { Kind::DailyTotal } else { Kind::MergedTotal };
            let steps = plausible_steps(index, sample, date, programme.plausibility.day_steps_max.into(), &"a day")?;
            Ok([Some(Piece { date, kind, start: 0, end: 0, steps }), None])
        }
        SampleTime::Interval { start, end } => interval_pieces(index, sample, start, end, programme),
    }
}

/// The only piece of an interval that lies within `date` and about which there is nothing to remark: nearly all are so,
/// and the rest is for [`pieces`] to look into.
#[inline]
pub fn ordinary_piece(sample: &Sample<'_>, date: CivilDate, programme: &Programme) -> Option<Piece> {
    let SampleTime::Interval { start, end } = sample.time else { return None };
    let (into, until) = (start.millis_into(date), end.millis_into(date));
    let minutes = (until - into + 59_999) / 60_000;
    let is_possible = 0 <= into && into < until && until <= DAY_MILLIS;
    let is_plausible =
        0 <= sample.steps && sample.steps <= minutes * i64::from(programme.plausibility.minute_steps_max);
    (is_possible && is_plausible && sample.operation == Operation::Upsert).then_some(Piece {
        date,
        kind: Kind::Interval,
        start: into as i32, // Within a day, as is the end; and a day's minutes have few steps.
        end: until as i32,
        steps: sample.steps as u32,
    })
}

fn interval_pieces(
    index: u32,
    sample: &Sample<'_>,
    start: Instant,
    end: Instant,
    programme: &Programme,
) -> Result<Pieces, Rejection> {
    let refuse = |reason, activity_date, detail| Err(Rejection { reason, sample: Some(index), activity_date, detail });
    let date = start.civil_date();
    if !date.is_accepted() || !end.civil_date().is_accepted() {
        let detail = format!("{start} to {end} is not between 2000 and 2099");
        return refuse(RejectionReason::DateOutOfRange, None, detail);
    }
    let duration = end.epoch_millis() - start.epoch_millis();
    if duration <= 0 {
        return refuse(RejectionReason::IntervalInvalid, Some(date), format!("it starts at {start} and ends at {end}"));
    }
    if duration > DAY_MILLIS {
        let detail = format!("{start} to {end} is more than 24 hours; send a DAILY_TOTAL for each day instead");
        return refuse(RejectionReason::IntervalInvalid, Some(date), detail);
    }
    let minutes = (duration + 59_999) / 60_000;
    let steps_max = minutes * i64::from(programme.plausibility.minute_steps_max);
    let steps = plausible_steps(index, sample, date, steps_max, &format_args!("{minutes} min"))?;
    let (into, until) = (start.millis_into(date), end.millis_into(date));
    let piece = |date, offset: i64, steps| Piece {
        date,
        kind: Kind::Interval,
        start: (into - offset) as i32, // Both lie within two days of the date's start.
        end: (until - offset) as i32,
        steps,
    };
    if until <= DAY_MILLIS {
        return Ok([Some(piece(date, 0, steps)), None]);
    }
    // G1: in proportion to duration, rounded down for the earlier day; the later has the rest.
    let earlier = (i64::from(steps) * (DAY_MILLIS - into) / duration) as u32;
    Ok([Some(piece(date, 0, earlier)), Some(piece(date.plus_days(1), DAY_MILLIS, steps - earlier))])
}

/// The steps, if they are possible. A deletion's are of no account.
fn plausible_steps(
    index: u32,
    sample: &Sample<'_>,
    date: CivilDate,
    steps_max: i64,
    span: &dyn std::fmt::Display,
) -> Result<u32, Rejection> {
    let refuse = |reason, detail| Err(Rejection { reason, sample: Some(index), activity_date: Some(date), detail });
    match sample.steps {
        _ if sample.operation == Operation::Delete => Ok(0),
        ..=-1 => refuse(RejectionReason::NegativeSteps, format!("{} steps", sample.steps)),
        steps if steps > steps_max => {
            let entered = if sample.recording == Recording::Manual { ", entered by hand" } else { "" };
            refuse(
                RejectionReason::Implausible,
                format!("{steps} steps in {span}{entered}; at most {steps_max} are held possible"),
            )
        }
        steps => {
            u32::try_from(steps).or_else(|_| refuse(RejectionReason::Implausible, format!("{steps} steps in {span}")))
        }
    }
}

/// Why a piece does not count on its day, if it does not: the season, and the limits between the day, its login and its arrival.
pub fn refuse_piece(index: u32, date: CivilDate, upload: &Upload<'_>, programme: &Programme) -> Option<Rejection> {
    let refuse = |reason, detail| Some(Rejection { reason, sample: Some(index), activity_date: Some(date), detail });
    let arrived_on = upload.received_at.civil_date();
    if date > arrived_on {
        return refuse(RejectionReason::ActivityAfterArrival, format!("{date} is after its arrival on {arrived_on}"));
    }
    if let Some(season) = &programme.season {
        if date < season.starts_on {
            return refuse(RejectionReason::SeasonNotStarted, format!("the season starts on {}", season.starts_on));
        }
        if date > season.ends_on {
            return refuse(RejectionReason::SeasonOver, format!("the season ended on {}", season.ends_on));
        }
        if arrived_on > season.arrival_ends_on {
            let detail = format!("it arrived on {arrived_on}; data counted until {}", season.arrival_ends_on);
            return refuse(RejectionReason::SeasonOver, detail);
        }
    }
    let logged_in_on = upload.login().civil_date();
    if programme.backfill_days_max.is_some() && date > logged_in_on {
        return refuse(RejectionReason::ActivityAfterLogin, format!("{date} is after the login on {logged_in_on}"));
    }
    refuse_too_old(index, date, logged_in_on, programme)
}

/// Why a day lies too far back for a login, if it does (IW-08). All that is asked of a deletion by id alone: it may come
/// before its sample.
pub fn refuse_too_old(
    index: u32,
    date: CivilDate,
    logged_in_on: CivilDate,
    programme: &Programme,
) -> Option<Rejection> {
    let refuse = |reason, detail| Some(Rejection { reason, sample: Some(index), activity_date: Some(date), detail });
    let days_max = programme.backfill_days_max?;
    let first = logged_in_on.plus_days(1 - days_max as i32);
    if date < first {
        let detail = format!("with the login on {logged_in_on} as day 1, day {days_max} is {first}");
        return refuse(RejectionReason::BackfillLimit, detail);
    }
    None
}
