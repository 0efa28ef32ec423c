//! Decides what is kept of one civil month of a member: what its days came to, when something was sent, what was posted.
//!
//! The lists are flat and sorted, one piece of memory each, because a town's months are most of what a worker holds: a
//! list for each day would be thirty pieces, and a miss of the processor's cache for each. What the figures mean for
//! points is decided in [`crate::settle`].

use crate::calendar::{CivilDate, CivilMonth};
use crate::codec::{CorruptState, Reader, Writer};

/// What a day came to by what was known at the close of an arrival date on which that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The arrival date.
    pub arrived_on: CivilDate,
    /// Steps.
    pub steps: u32,
    /// Day of the month, from 1.
    day: u8,
}

impl Known {
    /// Steps of a day as known from an arrival date on.
    pub const fn new(day: u8, arrived_on: CivilDate, steps: u32) -> Self {
        Known { arrived_on, steps, day }
    }
}

/// The last of the ascending known figures of a day that is not after `as_of`.
pub fn known_as_of(known: &[Known], as_of: CivilDate) -> Option<u32> {
    known.iter().rev().find(|known| known.arrived_on <= as_of).map(|known| known.steps)
}

/// A day of which samples have been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayLine {
    /// Day of the month, from 1.
    pub day: u8,
    /// Daily totals given out so far.
    pub revisions: u32,
}

/// What was posted for one rule and period on one date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The sum of points. May be 0, of entries that cancel out.
    pub points: i64,
    /// The posting date.
    pub on: CivilDate,
    /// Entries that make it up.
    pub entries: u32,
    /// Index of the rule among the programme's.
    rule: u8,
    /// Day of the month; of a week's Monday; 0 for the month itself.
    day: u8,
}

/// What is kept of one civil month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Month {
    /// The month.
    pub month: CivilMonth,
    /// Its first day, so that no calendar is needed to find a day in it.
    pub first_day: CivilDate,
    /// Its last day.
    pub last_day: CivilDate,
    /// Days with samples, ascending.
    pub days: Vec<DayLine>,
    /// By (day, arrival date).
    known: Vec<Known>,
    /// Bit d − 1: something was sent on day d.
    pub transmissions: u32,
    /// (day of login, first arrival date of an upload that tells it), ascending.
    pub logins: Vec<(u8, CivilDate)>,
    /// By (day, rule, posting date).
    posted: Vec<Posting>,
    /// Hashes of refused samples, ascending: a repeat is not refused again.
    pub refused: Vec<u64>,
}

impl Month {
    /// A month of which nothing is known.
    pub fn new(month: CivilMonth) -> Self {
        Month {
            month,
            first_day: month.first_day(),
            last_day: month.last_day(),
            days: Vec::new(),
            known: Vec::new(),
            transmissions: 0,
            logins: Vec::new(),
            posted: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The day of the month, from 1, of a date that lies in it.
    pub const fn day_of(&self, date: CivilDate) -> u8 {
        (date.days_since(self.first_day) + 1) as u8
    }

    /// The date of a day of the month.
    pub const fn date_of(&self, day: u8) -> CivilDate {
        self.first_day.plus_days(day as i32 - 1)
    }

    /// What day `day` of the month came to on the dates on which that changed.
    pub fn known(&self, day: u8) -> &[Known] {
        // The days asked for are mostly the last ones.
        let end = self.known.iter().rposition(|known| known.day <= day).map_or(0, |place| place + 1);
        let begin = self.known[..end].iter().rposition(|known| known.day < day).map_or(0, |place| place + 1);
        &self.known[begin..end]
    }

    /// The days with figures, each with what it came to, ascending.
    pub fn known_days(&self) -> impl DoubleEndedIterator<Item = (CivilDate, &[Known])> {
        let first_day = self.first_day;
        self.known
            .chunk_by(|a, b| a.day == b.day)
            .map(move |known| (first_day.plus_days(i32::from(known[0].day) - 1), known))
    }

    /// Replaces what a day came to. `false` if it is what it was.
    pub fn set_known(&mut self, day: u8, figures: &[Known]) -> bool {
        let end = self.known.iter().rposition(|known| known.day <= day).map_or(0, |place| place + 1);
        let begin = self.known[..end].iter().rposition(|known| known.day < day).map_or(0, |place| place + 1);
        if self.known[begin..end] == *figures {
            return false;
        }
        self.known.splice(begin..end, figures.iter().copied());
        true
    }

    /// Whether samples of a day have been heard, so that it has a value of its own.
    pub fn has_day(&self, day: u8) -> bool {
        self.days.iter().rev().any(|line| line.day == day)
    }

    /// The line of a day, made anew if need be.
    pub fn day_line(&mut self, day: u8) -> &mut DayLine {
        let place = self.days.partition_point(|line| line.day < day);
        if self.days.get(place).is_none_or(|line| line.day != day) {
            self.days.insert(place, DayLine { day, revisions: 0 });
        }
        &mut self.days[place]
    }

    /// Whether something was sent on day `day`.
    pub const fn has_transmission(&self, day: u8) -> bool {
        self.transmissions & bit(day) != 0
    }

    /// Dates on which something was sent.
    pub fn transmission_dates(&self) -> impl Iterator<Item = CivilDate> + use<> {
        dates_of(self.first_day, self.transmissions)
    }

    /// The first arrival date of an upload that tells of a login on day `day`.
    pub fn login_arrival(&self, day: u8) -> Option<CivilDate> {
        self.logins.iter().find(|&&(login, _)| login == day).map(|&(_, arrived_on)| arrived_on)
    }

    /// Dates of login, each with the first arrival date of an upload that tells it.
    pub fn login_dates(&self) -> impl Iterator<Item = (CivilDate, CivilDate)> {
        self.logins.iter().map(|&(day, arrived_on)| (self.date_of(day), arrived_on))
    }

    /// What was posted for a rule and day, by posting date.
    pub fn posted(&self, rule: u8, day: u8) -> &[Posting] {
        &self.posted[self.posted_range(rule, day)]
    }

    /// Notes an entry of `points` for a rule and day.
    pub fn post(&mut self, rule: u8, day: u8, on: CivilDate, points: i64) {
        let range = self.posted_range(rule, day);
        let place = range.start + self.posted[range.clone()].partition_point(|posting| posting.on < on);
        match self.posted[..range.end].get_mut(place) {
            Some(posting) if posting.on == on => {
                posting.points += points;
                posting.entries += 1;
            }
            _ => self.posted.insert(place, Posting { points, on, entries: 1, rule, day }),
        }
    }

    fn posted_range(&self, rule: u8, day: u8) -> std::ops::Range<usize> {
        // From the end: what is asked for is mostly of the last days, and the rest need not come into the processor's
        // cache (a binary search here was a seventh of the core's time over a town of 5,000).
        let end = self.posted.iter().rposition(|posting| (posting.day, posting.rule) <= (day, rule));
        let end = end.map_or(0, |place| place + 1);
        let same = self.posted[..end].iter().rev().take_while(|posting| (posting.day, posting.rule) == (day, rule));
        end - same.count()..end
    }

    /// Bits of the days of which anything is known: samples, transmissions or logins.
    pub fn days_heard_of(&self) -> u32 {
        let logins = self.logins.iter().fold(0, |bits, &(day, _)| bits | bit(day));
        self.days_with_samples() | logins | self.transmissions
    }

    /// Bits of the days of which samples have been heard.
    pub fn days_with_samples(&self) -> u32 {
        self.days.iter().fold(0, |bits, line| bits | bit(line.day))
    }

    /// Bits of the days whose figures changed by something that arrived after a date.
    pub fn days_known_after(&self, date: CivilDate) -> u32 {
        self.known.iter().filter(|known| known.arrived_on > date).fold(0, |bits, known| bits | bit(known.day))
    }

    /// Bytes that it occupies in memory, roughly.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Month>()
            + self.days.capacity() * size_of::<DayLine>()
            + self.known.capacity() * size_of::<Known>()
            + self.logins.capacity() * size_of::<(u8, CivilDate)>()
            + self.posted.capacity() * size_of::<Posting>()
            + self.refused.capacity() * 8
    }

    /// Writes it down. Dates near each other are written as differences.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        let mut before = self.first_day.epoch_days();
        let mut near = |w: &mut Writer<'_>, date: CivilDate| {
            w.signed(i64::from(date.epoch_days()) - i64::from(before));
            before = date.epoch_days();
        };
        w.count(self.days.len());
        for line in &self.days {
            w.0.push(line.day);
            w.unsigned(u64::from(line.revisions));
        }
        w.count(self.known.len());
        for known in &self.known {
            w.0.push(known.day);
            near(&mut w, known.arrived_on);
            w.unsigned(u64::from(known.steps));
        }
        w.unsigned(u64::from(self.transmissions));
        w.count(self.logins.len());
        for &(day, arrived_on) in &self.logins {
            w.0.push(day);
            near(&mut w, arrived_on);
        }
        w.count(self.posted.len());
        for posting in &self.posted {
            w.0.push(posting.rule);
            w.0.push(posting.day);
            near(&mut w, posting.on);
            w.unsigned(u64::from(posting.entries));
            w.signed(posting.points);
        }
        w.count(self.refused.len());
        self.refused.iter().for_each(|&hash| w.hash(hash));
    }

    /// Reads it back.
    pub fn decode(month: CivilMonth, bytes: &[u8]) -> Result<Month, CorruptState> {
        let mut r = Reader::begin(bytes)?;
        let first_day = month.first_day();
        let mut before = first_day.epoch_days();
        let mut near = |r: &mut Reader<'_>| {
            before = before.wrapping_add(r.signed32()?);
            Ok::<_, CorruptState>(CivilDate::from_epoch_days(before))
        };
        let value = Month {
            month,
            first_day,
            last_day: month.last_day(),
            days: r.list(|r| Ok(DayLine { day: day_of_month(r)?, revisions: r.small()? }))?,
            known: r.list(|r| Ok(Known { day: day_of_month(r)?, arrived_on: near(r)?, steps: r.small()? }))?,
            transmissions: r.small()?,
            logins: r.list(|r| Ok((day_of_month(r)?, near(r)?)))?,
            posted: r.list(|r| {
                Ok(Posting { rule: r.byte()?, day: r.byte()?, on: near(r)?, entries: r.small()?, points: r.signed()? })
            })?,
            refused: r.list(Reader::hash)?,
        };
        r.end()?;
        Ok(value)
    }
}

/// The bit of a day of the month.
pub const fn bit(day: u8) -> u32 {
    1 << (day - 1)
}

/// The dates whose bits are set, in a month with this first day.
pub fn dates_of(first_day: CivilDate, bits: u32) -> impl Iterator<Item = CivilDate> + use<> {
    let mut left = bits;
    std::iter::from_fn(move || {
        let day = (left != 0).then(|| left.trailing_zeros())?;
        left &= left - 1;
        Some(first_day.plus_days(day as i32))
    })
}

fn day_of_month(r: &mut Reader<'_>) -> Result<u8, CorruptState> {
    match r.byte()? {
        day @ 1..=31 => Ok(day),
        day => Err(CorruptState { detail: format!("day {day} of a month") }),
    }
}
