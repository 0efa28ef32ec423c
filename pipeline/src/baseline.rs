//! Decides a member's baseline (KU-42, KU-43), when it freezes (KU-A9), the age class that goes with it (KU-48, KU-A11),
//! and when a month's award falls due (KU-47).
//!
//! All of it asks what was known when, so everything here is a function of a date: the facts that had arrived by its close.

use smallvec::{SmallVec, smallvec};

use crate::calendar::{CivilDate, CivilMonth};
use crate::member::Member;
use crate::month::{Known, Month, known_as_of};
use crate::programme::{Baseline, Programme};
use crate::settled::FrozenBaseline;

/// From when a member's days earn, and since when that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The first day that earns.
    pub from: CivilDate,
    /// Nothing is known of the member before the close of this date.
    pub known_on: CivilDate,
    /// Decides the age class.
    pub birth_date: Option<CivilDate>,
}

/// A member with what decides about their baseline. All months of the season must be in memory.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The member.
    pub member: &'a Member,
    /// The version of the season.
    pub programme: &'a Programme,
    /// Its baseline.
    pub baseline: &'a Baseline,
    /// The member's opening.
    pub opening: Opening,
}

impl<'a> Standing<'a> {
    /// First day that can earn.
    fn start(&self) -> CivilDate {
        let season_start = self.programme.season.map_or(self.opening.from, |season| season.starts_on);
        self.opening.from.max(season_start)
    }

    /// Days that can earn, ascending, each with what it came to.
    fn days(&self) -> impl Iterator<Item = (CivilDate, &'a [Known])> + use<'a> {
        let start = self.start();
        self.member.months_from(start).flat_map(|month| month.known_days()).filter(move |&(date, _)| date >= start)
    }

    /// D0: the first day above the line, by what was known at the close of `as_of`.
    pub fn first_day(&self, as_of: CivilDate) -> Option<CivilDate> {
        if as_of < self.opening.known_on {
            return None;
        }
        let is_above =
            |known| known_as_of(known, as_of).is_some_and(|steps| steps > self.baseline.first_day_steps_above);
        self.days().find(|&(_, known)| is_above(known)).map(|(date, _)| date)
    }

    /// The age class that D0 gives.
    fn is_older(&self, first_day: CivilDate) -> bool {
        match (self.programme.age_class, self.opening.birth_date) {
            (Some(class), Some(birth)) => i64::from(first_day.age_of(birth)) >= i64::from(class.older_from_age),
            _ => false,
        }
    }

    /// The baseline as it would freeze at the close of `on`: the mean of the window's days of wear, rounded down, raised
    /// to the floor (KU-A8).
    fn freeze(&self, on: CivilDate, first_day: CivilDate) -> FrozenBaseline {
        let window_end = first_day.plus_days(self.baseline.days as i32);
        let worn = self.days().skip_while(|&(date, _)| date < first_day).take_while(|&(date, _)| date < window_end);
        let (mut steps, mut days) = (0u64, 0u64);
        for steps_known in worn.filter_map(|(_, known)| known_as_of(known, on)) {
            if steps_known >= self.programme.wear_steps_min {
                steps += u64::from(steps_known);
                days += 1;
            }
        }
        let is_older = self.is_older(first_day);
        let mean = steps.checked_div(days).unwrap_or(0) as u32; // A mean of u32s fits a u32.
        FrozenBaseline { on, first_day, steps: mean.max(self.baseline.floor_steps.of(is_older)), is_older }
    }

    /// The close at which a baseline with this D0 freezes if no award comes before.
    pub fn deadline(&self, first_day: CivilDate) -> CivilDate {
        first_day.plus_days((self.baseline.days - 1 + self.baseline.freeze_days_max) as i32)
    }

    /// Whether the transmission of `on` has a monthly award computed: some earlier month has a known day of wear, and the
    /// window is over.
    fn computes_award(&self, on: CivilDate, first_day: CivilDate) -> bool {
        if !self.is_transmission(on) || on < first_day.plus_days(self.baseline.days as i32) {
            return false;
        }
        let this_month = on.month().first_day();
        let earlier = self.days().take_while(|&(date, _)| date < this_month);
        let wear_steps_min = self.programme.wear_steps_min;
        let mut worn = earlier.filter_map(|(_, known)| known_as_of(known, on));
        worn.any(|steps| steps >= wear_steps_min)
    }

    fn is_transmission(&self, on: CivilDate) -> bool {
        let in_time = self.programme.season.is_none_or(|season| on <= season.arrival_ends_on);
        in_time && self.member.month(on).is_some_and(|month| month.has_transmission(month.day_of(on)))
    }

    /// When and with what the baseline froze, looking at the given dates, each until the next, and until `closed`.
    pub fn find_freeze(&self, dates: &[CivilDate], closed: CivilDate) -> Option<FrozenBaseline> {
        for (index, &on) in dates.iter().enumerate() {
            let Some(first_day) = self.first_day(on) else { continue };
            if self.computes_award(on, first_day) {
                return Some(self.freeze(on, first_day));
            }
            let until = dates.get(index + 1).map_or(closed, |next| next.plus_days(-1));
            let at = self.deadline(first_day).max(on);
            if at <= until {
                return Some(self.freeze(at, first_day));
            }
        }
        None
    }

    /// All dates up to `closed` on which something became known that may move D0 or have an award computed.
    pub fn dates_of_knowledge(&self, closed: CivilDate) -> Vec<CivilDate> {
        let known_on = self.opening.known_on;
        let arrivals = self.days().flat_map(|(_, known)| known.iter().map(|known| known.arrived_on));
        let transmissions = self.member.months.iter().flat_map(Month::transmission_dates);
        let mut dates: Vec<CivilDate> = arrivals.chain(transmissions).map(|date| date.max(known_on)).collect();
        dates.push(known_on);
        dates.retain(|&date| date <= closed);
        dates.sort_unstable();
        dates.dedup();
        dates
    }

    /// The age class, if it is the same whatever D0 is: the common case.
    pub fn constant_class(&self, closed: CivilDate) -> Option<bool> {
        let last_day = self.programme.season.map_or(closed, |season| season.ends_on);
        let (first, last) = (self.is_older(self.start()), self.is_older(last_day.max(self.start())));
        (first == last).then_some(first)
    }

    /// The age classes that held up to `closed`, each from the close of a date on. Empty while D0 is not known.
    pub fn classes(&self, closed: CivilDate) -> SmallVec<[(CivilDate, bool); 2]> {
        let frozen = self.member.settled.value.frozen.filter(|frozen| frozen.on <= closed);
        if let Some(class) = self.constant_class(closed) {
            return smallvec![(self.opening.known_on, class)];
        }
        let mut classes: SmallVec<[(CivilDate, bool); 2]> = SmallVec::new();
        let mut push = |from, class| {
            if classes.last().is_none_or(|&(_, last)| last != class) {
                classes.push((from, class));
            }
        };
        let freezes_on = frozen.map_or(closed, |frozen| frozen.on.plus_days(-1));
        for on in self.dates_of_knowledge(freezes_on) {
            if let Some(first_day) = self.first_day(on) {
                push(on, self.is_older(first_day));
            }
        }
        if let Some(frozen) = frozen {
            push(frozen.on, frozen.is_older);
        }
        classes
    }

    /// When the award of `month` fell due: the first transmission in a later month with the window over (KU-47, KU-A9).
    pub fn due_on(&self, month: CivilMonth, frozen: FrozenBaseline) -> Option<CivilDate> {
        let mut transmissions = self.member.months_from(month.next().first_day()).flat_map(Month::transmission_dates);
        transmissions
            .find(|&on| {
                let known_on = on.max(self.opening.known_on);
                let first_day = if known_on >= frozen.on { Some(frozen.first_day) } else { self.first_day(known_on) };
                self.is_transmission(on)
                    && first_day.is_some_and(|first| on >= first.plus_days(self.baseline.days as i32))
            })
            .map(|on| on.max(self.opening.known_on))
    }
}
