//! Decides which civil day an instant belongs to. The only place that knows +09:00.
//!
//! A [`CivilDate`] is never made from an [`Instant`] anywhere else, and the two have no common arithmetic. Both are
//! plain numbers inside, because the state holds millions of them; `chrono` does the calendar's own arithmetic.

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, Weekday};

/// Milliseconds in a civil day in Asia/Tokyo. Japan has no daylight saving time, so every day has as many.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Asia/Tokyo is nine hours ahead of UTC all year.
const TOKYO_OFFSET_MILLIS: i64 = 9 * 3_600_000;

/// The first and the last date that Ayumi accepts in a fact. What lies outside is a broken clock.
pub const DATES_ACCEPTED: (i32, i32) = (2000, 2099);

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// An instant from milliseconds since the Unix epoch.
    pub const fn from_epoch_millis(millis: i64) -> Self {
        Instant(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn epoch_millis(self) -> i64 {
        self.0
    }

    /// The civil day in Asia/Tokyo that contains this instant (G1).
    pub const fn civil_date(self) -> CivilDate {
        CivilDate((self.0 + TOKYO_OFFSET_MILLIS).div_euclid(DAY_MILLIS) as i32)
    }

    /// Milliseconds from the start of `date` in Asia/Tokyo to this instant; negative before it.
    pub const fn millis_into(self, date: CivilDate) -> i64 {
        self.0 - date.start().0
    }
}

impl fmt::Display for Instant {
    /// RFC 3339 with the offset of Asia/Tokyo, to the millisecond where there are any: `2025-06-04T07:30:00+09:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0.saturating_add(TOKYO_OFFSET_MILLIS)) {
            Some(shifted) if self.0.rem_euclid(1000) == 0 => write!(f, "{}+09:00", shifted.format("%Y-%m-%dT%H:%M:%S")),
            Some(shifted) => write!(f, "{}+09:00", shifted.format("%Y-%m-%dT%H:%M:%S%.3f")),
            None => write!(f, "epoch{:+}ms", self.0),
        }
    }
}

/// A civil day in Asia/Tokyo, held as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate(i32);

impl CivilDate {
    /// The first date of all; no fact lies near it.
    pub const MIN: CivilDate = CivilDate(0);

    /// A date from days since 1970-01-01.
    pub const fn from_epoch_days(days: i32) -> Self {
        CivilDate(days)
    }

    /// Days since 1970-01-01, as Avro's and Arrow's `date` have it.
    pub const fn epoch_days(self) -> i32 {
        self.0
    }

    /// The date of a year, month (1–12) and day of the month, or `None` if there is no such date.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        NaiveDate::from_ymd_opt(year, month, day).map(|date| CivilDate(date.to_epoch_days()))
    }

    /// Reads `2025-06-03`: four, two and two digits, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| {
            bytes[range].iter().try_fold(0u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
        };
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        Self::from_ymd(digits(0..4)? as i32, digits(5..7)?, digits(8..10)?)
    }

    /// Midnight in Asia/Tokyo at which this day begins.
    pub const fn start(self) -> Instant {
        Instant(self.0 as i64 * DAY_MILLIS - TOKYO_OFFSET_MILLIS)
    }

    /// The date `days` later, or earlier if negative.
    pub const fn plus_days(self, days: i32) -> CivilDate {
        CivilDate(self.0 + days)
    }

    /// Days from `earlier` to this date.
    pub const fn days_since(self, earlier: CivilDate) -> i32 {
        self.0 - earlier.0
    }

    /// Whether a fact may carry this date at all (see [`DATES_ACCEPTED`]).
    pub fn is_accepted(self) -> bool {
        const FIRST: i32 = 10_957; // 2000-01-01
        const LAST: i32 = 47_481; // 2099-12-31
        (FIRST..=LAST).contains(&self.0)
    }

    /// The civil month that contains this day.
    pub fn month(self) -> CivilMonth {
        let date = self.chrono();
        CivilMonth(date.year() * 12 + date.month0() as i32)
    }

    /// The day of the month, from 1.
    pub fn day_of_month(self) -> u8 {
        self.chrono().day() as u8
    }

    /// The Monday on or before this day (KU-A5: a week runs from Monday to Sunday).
    pub const fn monday(self) -> CivilDate {
        // 1970-01-01 was a Thursday.
        CivilDate(self.0 - (self.0 + 3).rem_euclid(7))
    }

    /// Whole years of age on this date of someone born on `birth`. The birthday itself counts; who was born on
    /// 29 February turns a year older on 1 March in a common year (G7). Negative before birth.
    pub fn age_of(self, birth: CivilDate) -> i32 {
        let (on, born) = (self.chrono(), birth.chrono());
        on.year() - born.year() - i32::from((on.month(), on.day()) < (born.month(), born.day()))
    }

    fn chrono(self) -> NaiveDate {
        // Every date that gets here has come through `Instant` or `from_ymd`; chrono's range is wider than both.
        NaiveDate::from_epoch_days(self.0).unwrap_or(NaiveDate::MAX)
    }
}

impl fmt::Display for CivilDate {
    /// `2025-06-03`; beyond the years 0 to 9999, as chrono writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.chrono();
        match date.year() {
            0..=9999 => f.write_str(Period::Day(*self).text().as_str()),
            _ => date.fmt(f),
        }
    }
}

/// A civil month, held as years × 12 + months from January.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilMonth(i32);

impl CivilMonth {
    /// Reads `2025-06`: four and two digits, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_month = text.len() == 7;
        is_month.then(|| CivilDate::parse(&format!("{text}-01"))).flatten().map(CivilDate::month)
    }

    /// A month from its number, as [`CivilMonth::number`] gives it.
    pub const fn from_number(number: i32) -> Self {
        CivilMonth(number)
    }

    /// Years × 12 + months from January: consecutive months have consecutive numbers.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The first day.
    pub fn first_day(self) -> CivilDate {
        let date = NaiveDate::from_ymd_opt(self.0.div_euclid(12), self.0.rem_euclid(12) as u32 + 1, 1);
        CivilDate(date.unwrap_or(NaiveDate::MAX).to_epoch_days())
    }

    /// The last day.
    pub fn last_day(self) -> CivilDate {
        self.next().first_day().plus_days(-1)
    }

    /// The month after.
    pub const fn next(self) -> CivilMonth {
        CivilMonth(self.0 + 1)
    }
}

impl fmt::Display for CivilMonth {
    /// `2025-06`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// What an entitlement is for: a day, a week or a month. Written as it stands in the ledger's `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// One civil day: `2025-06-03`.
    Day(CivilDate),
    /// The ISO week that begins on this Monday: `2025-W23`.
    Week(CivilDate),
    /// One civil month: `2025-06`.
    Month(CivilMonth),
}

impl Period {
    /// Reads a period as the ledger writes it: `2025-06-03`, `2025-W23` or `2025-06`.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((year, week)) = text.split_once("-W") else {
            let day = CivilDate::parse(text).map(Period::Day);
            return day.or_else(|| CivilMonth::parse(text).map(Period::Month));
        };
        let number = |digits: &str, count| {
            let is_number = digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let monday = NaiveDate::from_isoywd_opt(number(year, 4)? as i32, number(week, 2)?, Weekday::Mon)?;
        Some(Period::Week(CivilDate(monday.to_epoch_days())))
    }

    /// The first and the last day.
    pub fn bounds(self) -> (CivilDate, CivilDate) {
        match self {
            Period::Day(date) => (date, date),
            Period::Week(monday) => (monday, monday.plus_days(6)),
            Period::Month(month) => (month.first_day(), month.last_day()),
        }
    }
}

impl Period {
    /// As the ledger writes it, without an allocation: an entry id is a hash of it.
    pub fn text(self) -> PeriodText {
        let mut text = PeriodText::default();
        match self {
            Period::Day(date) => {
                let date = date.chrono();
                text.number(date.year().unsigned_abs(), 4);
                text.push(b"-");
                text.number(date.month(), 2);
                text.push(b"-");
                text.number(date.day(), 2);
            }
            Period::Week(monday) => {
                let week = monday.chrono().iso_week();
                text.number(week.year().unsigned_abs(), 4);
                text.push(b"-W");
                text.number(week.week(), 2);
            }
            Period::Month(month) => {
                text.number(month.0.div_euclid(12).unsigned_abs(), 4);
                text.push(b"-");
                text.number(month.0.rem_euclid(12).unsigned_abs() + 1, 2);
            }
        }
        text
    }
}

/// A period as text. Years have four digits, as those of all accepted facts have.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeriodText {
    bytes: [u8; 10],
    length: usize,
}

impl PeriodText {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn number(&mut self, mut number: u32, digits: usize) {
        for place in (self.length..self.length + digits).rev() {
            self.bytes[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.length += digits;
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// `date` and `months` later, clamped to the last day of a shorter month.
pub fn plus_months(date: CivilDate, months: u32) -> CivilDate {
    CivilDate((date.chrono() + Months::new(months)).to_epoch_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    #[test]
    fn g1_the_day_turns_at_fifteen_hundred_utc() {
        let last = DateTime::parse_from_rfc3339("2025-06-03T14:59:59.999Z").unwrap().timestamp_millis();
        assert_eq!(Instant::from_epoch_millis(last).civil_date(), date("2025-06-03"));
        assert_eq!(Instant::from_epoch_millis(last + 1).civil_date(), date("2025-06-04"));
        assert_eq!(Instant::from_epoch_millis(last + 1).to_string(), "2025-06-04T00:00:00+09:00");
    }

    #[test]
    fn g7_the_birthday_counts_and_leap_births_wait_for_march() {
        assert_eq!(date("2025-09-14").age_of(date("1950-09-15")), 74);
        assert_eq!(date("2025-09-15").age_of(date("1950-09-15")), 75);
        assert_eq!(date("2025-02-28").age_of(date("2000-02-29")), 24);
        assert_eq!(date("2025-03-01").age_of(date("2000-02-29")), 25);
    }

    #[test]
    fn ku_a5_weeks_run_from_monday_to_sunday() {
        assert_eq!(date("2025-06-02").monday(), date("2025-06-02"));
        assert_eq!(date("2025-06-08").monday(), date("2025-06-02"));
        assert_eq!(Period::Week(date("2025-06-09")).to_string(), "2025-W24");
        assert_eq!(Period::Week(date("1969-12-29").monday()).bounds().0, date("1969-12-29"));
    }

    #[test]
    fn dates_that_are_none_do_not_parse() {
        for text in ["2025-02-30", "2025-6-3", "2025/06/03", "20250603", "2025-06-03T", "２０２５"] {
            assert_eq!(CivilDate::parse(text), None, "{text}");
        }
        assert!(date("2000-01-01").is_accepted() && date("2099-12-31").is_accepted());
        assert!(!date("1999-12-31").is_accepted() && !date("2100-01-01").is_accepted());
    }

    #[test]
    fn months_know_their_ends() {
        assert_eq!(date("2024-02-10").month().last_day(), date("2024-02-29"));
        assert_eq!(date("2025-12-10").month().next().first_day(), date("2026-01-01"));
        assert_eq!(plus_months(date("2025-08-31"), 1), date("2025-09-30"));
    }

    #[test]
    fn a_period_is_read_as_it_is_written() {
        for text in ["2025-06-03", "2025-W01", "2025-W23", "2020-W53", "2025-06", "2025-12"] {
            assert_eq!(Period::parse(text).map(|period| period.to_string()).as_deref(), Some(text));
        }
        // The week of 30 December 2024 is the first of 2025.
        assert_eq!(Period::parse("2025-W01"), Some(Period::Week(date("2024-12-30"))));
        for text in
            ["", "2025", "2025-13", "2025-W00", "2025-W53", "2025-W1", "2025-W+1", "2025-6", "2025-06-31", "2025-W23-1"]
        {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
