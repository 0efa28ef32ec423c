//! Decides what is kept of one civil month of a member: what its days came to, when something was sent, what was posted.
//!
//! The lists are flat and sorted, one piece of memory each, because a town's months are most of what a worker holds: a
//! list for each day would be thirty pieces, and a miss of the processor's cache for each. What the figures mean for
//! points is decided in [`crate::settle`].
//!
//! A month is stored in parts, of eight days each and one of refusals, so that what changes one day writes a quarter of it.

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
    days: Vec<DayLine>,
    /// By (day, arrival date).
    known: Vec<Known>,
    /// Bit d − 1: something was sent on day d.
    transmissions: u32,
    /// (day of login, first arrival date of an upload that tells it), ascending.
    logins: Vec<(u8, CivilDate)>,
    /// By (day, rule, posting date).
    posted: Vec<Posting>,
    /// Hashes of refused samples, ascending: a repeat is not refused again.
    refused: Vec<u64>,
    /// Bit p: part p differs from what is stored.
    changed: u8,
}

/// Parts that a month is stored in.
pub const PARTS: u8 = 5;

/// Days of a part.
const PART_DAYS: u8 = 8;

/// The part with the refusals.
const REFUSED_PART: u8 = 4;

/// The part that a day of the month, or the month itself (0), belongs to.
const fn part_of(day: u8) -> u8 {
    day.saturating_sub(1) / PART_DAYS
}

/// The run of sorted lines that belong to a part.
fn of_part<T>(lines: &[T], part: u8, day_of: impl Fn(&T) -> u8) -> &[T] {
    let end = lines.iter().rposition(|line| part_of(day_of(line)) <= part).map_or(0, |place| place + 1);
    let begin = lines[..end].iter().rposition(|line| part_of(day_of(line)) < part).map_or(0, |place| place + 1);
    &lines[begin..end]
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
            changed: 0,
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
        self.change(day);
        true
    }

    /// Whether samples of a day have been heard, so that it has a value of its own.
    pub fn has_day(&self, day: u8) -> bool {
        self.days.iter().rev().any(|line| line.day == day)
    }

    /// Daily totals of a day given out so far.
    pub fn revisions(&self, day: u8) -> u32 {
        self.days.iter().rev().find(|line| line.day == day).map_or(0, |line| line.revisions)
    }

    /// Notes that samples of a day have been heard, and so many daily totals given out.
    pub fn note_day(&mut self, day: u8, revisions: u32) {
        let place = self.days.partition_point(|line| line.day < day);
        match self.days.get_mut(place) {
            Some(line) if line.day == day => line.revisions = revisions,
            _ => self.days.insert(place, DayLine { day, revisions }),
        }
        self.change(day);
    }

    /// The days of which samples have been heard.
    pub fn dates_with_samples(&self) -> impl Iterator<Item = CivilDate> {
        self.days.iter().map(|line| self.date_of(line.day))
    }

    /// Whether something was sent on day `day`.
    pub const fn has_transmission(&self, day: u8) -> bool {
        self.transmissions & bit(day) != 0
    }

    /// Notes that something was sent on a day. `true` if nothing was on an earlier one of the month, as far as is known.
    pub fn note_transmission(&mut self, day: u8) -> bool {
        let is_first = self.transmissions & (bit(day) - 1) == 0;
        self.transmissions |= bit(day);
        self.change(day);
        is_first
    }

    /// Dates on which something was sent.
    pub fn transmission_dates(&self) -> impl Iterator<Item = CivilDate> + use<> {
        dates_of(self.first_day, self.transmissions)
    }

    /// The first arrival date of an upload that tells of a login on day `day`.
    pub fn login_arrival(&self, day: u8) -> Option<CivilDate> {
        self.logins.iter().find(|&&(login, _)| login == day).map(|&(_, arrived_on)| arrived_on)
    }

    /// Notes a login, of which an upload that arrived on this date tells first.
    pub fn note_login(&mut self, day: u8, arrived_on: CivilDate) {
        match self.logins.binary_search_by_key(&day, |&(day, _)| day) {
            Ok(place) => self.logins[place].1 = arrived_on,
            Err(place) => self.logins.insert(place, (day, arrived_on)),
        }
        self.change(day);
    }

    /// Notes a refused sample by its hash. `false` if it was refused before.
    pub fn note_refused(&mut self, hash: u64) -> bool {
        let place = self.refused.binary_search(&hash);
        if let Err(place) = place {
            self.refused.insert(place, hash);
            self.changed |= 1 << REFUSED_PART;
        }
        place.is_err()
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
        self.change(day);
    }

    fn change(&mut self, day: u8) {
        self.changed |= 1 << part_of(day);
    }

    /// The parts that differ from what is stored. From here on they do not.
    pub fn take_changed(&mut self) -> impl Iterator<Item = u8> + use<> {
        let changed = std::mem::take(&mut self.changed);
        (0..PARTS).filter(move |part| changed & (1 << part) != 0)
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

    /// Writes a part down. Dates near each other are written as differences.
    pub fn encode(&self, part: u8, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        if part == REFUSED_PART {
            self.refused.iter().for_each(|&hash| w.hash(hash));
            return;
        }
        let mut before = self.first_day.epoch_days();
        let mut near = |w: &mut Writer<'_>, date: CivilDate| {
            w.signed(i64::from(date.epoch_days()) - i64::from(before));
            before = date.epoch_days();
        };
        let days = of_part(&self.days, part, |line| line.day);
        w.count(days.len());
        for line in days {
            w.0.push(line.day);
            w.unsigned(u64::from(line.revisions));
        }
        let known = of_part(&self.known, part, |known| known.day);
        w.count(known.len());
        for known in known {
            w.0.push(known.day);
            near(&mut w, known.arrived_on);
            w.unsigned(u64::from(known.steps));
        }
        w.0.push((self.transmissions >> (part * PART_DAYS)) as u8); // One bit a day of the part.
        let logins = of_part(&self.logins, part, |&(day, _)| day);
        w.count(logins.len());
        for &(day, arrived_on) in logins {
            w.0.push(day);
            near(&mut w, arrived_on);
        }
        let posted = of_part(&self.posted, part, |posting| posting.day);
        w.count(posted.len());
        for posting in posted {
            w.0.push(posting.rule);
            w.0.push(posting.day);
            near(&mut w, posting.on);
            w.unsigned(u64::from(posting.entries));
            w.signed(posting.points);
        }
    }

    /// Reads a part back. Parts come in order.
    pub fn decode(&mut self, part: u8, bytes: &[u8]) -> Result<(), CorruptState> {
        let mut r = Reader::begin(bytes)?;
        if part == REFUSED_PART {
            while !r.is_empty() {
                self.refused.push(r.hash()?);
            }
            return Ok(());
        }
        let mut before = self.first_day.epoch_days();
        let mut near = |r: &mut Reader<'_>| {
            before = before.wrapping_add(r.signed32()?);
            Ok::<_, CorruptState>(CivilDate::from_epoch_days(before))
        };
        for _ in 0..r.count()? {
            self.days.push(DayLine { day: day_of_month(&mut r)?, revisions: r.small()? });
        }
        for _ in 0..r.count()? {
            let day = day_of_month(&mut r)?;
            self.known.push(Known { day, arrived_on: near(&mut r)?, steps: r.small()? });
        }
        self.transmissions |= u32::from(r.byte()?) << (part * PART_DAYS);
        for _ in 0..r.count()? {
            self.logins.push((day_of_month(&mut r)?, near(&mut r)?));
        }
        for _ in 0..r.count()? {
            let (rule, day) = (r.byte()?, r.byte()?);
            self.posted.push(Posting { rule, day, on: near(&mut r)?, entries: r.small()?, points: r.signed()? });
        }
        r.end()
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
