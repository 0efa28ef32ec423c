//! Decides what is held of one member in one programme: many small values, so that an upload rewrites its own day and
//! month, not a year (design, section 3).
//!
//! The *summary* ([`crate::summary`]) changes with enrolment and at a new source; what is *settled*
//! ([`crate::settled`]) with every posting; a *month* ([`crate::month`]) holds what its days came to and what was posted
//! for them. A day's samples ([`crate::day`]) are not held: they are read, changed and written by the upload that is
//! about them. How values are read and written is [`crate::cache`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::calendar::CivilDate;
use crate::day::SourceIndex;
use crate::month::{Known, Month, known_as_of};
use crate::settled::Settled;
use crate::state::{MemberKey, What};
use crate::summary::Summary;

/// A value and whether it differs from what is stored.
#[derive(Clone, Debug, Default)]
pub struct Kept<T> {
    /// The value.
    pub value: T,
    /// Must be written at the next commit.
    pub is_changed: bool,
}

impl<T> Kept<T> {
    /// A value as it is stored.
    pub const fn stored(value: T) -> Self {
        Kept { value, is_changed: false }
    }

    /// For changing it.
    pub fn change(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

/// Sample ids of one week: (source, hash of the sample's id, bits of the weekdays on which it has reports), ascending.
pub type WeekIds = Vec<(SourceIndex, u64, u8)>;

/// One member as held in memory: what has been needed so far.
#[derive(Debug)]
pub struct Member {
    /// Under which its values lie.
    pub key: MemberKey,
    /// The member's id.
    pub id: Arc<str>,
    /// Always there.
    pub summary: Kept<Summary>,
    /// Always there.
    pub settled: Kept<Settled>,
    /// Months that were needed, ascending.
    pub months: Vec<Month>,
    /// By the week's Monday. All weeks, or none yet.
    pub ids: Option<BTreeMap<CivilDate, Kept<WeekIds>>>,
    /// Days written since the last commit, by their place among the changes.
    pub fresh_days: SmallVec<[(CivilDate, usize); 1]>,
    /// Facts parked (with their value) or released (without) since the last commit.
    pub new_parked: Vec<(What, Option<Vec<u8>>)>,
    /// The close whose list of members it was put on last.
    pub due_on: Option<CivilDate>,
    /// Already in the list of members to write at the next commit.
    pub is_listed: bool,
    /// The last sweep of the cache during which it was used.
    pub used_in: u32,
}

impl Member {
    /// A member of whom nothing is held but these.
    pub fn new(key: MemberKey, summary: Kept<Summary>, settled: Kept<Settled>) -> Self {
        Member {
            id: key.ids().1.into(),
            key,
            summary,
            settled,
            months: Vec::new(),
            ids: None,
            fresh_days: SmallVec::new(),
            new_parked: Vec::new(),
            due_on: None,
            is_listed: false,
            used_in: 0,
        }
    }

    /// The place of the month of a date, if it is in memory. Mostly it is one of the last.
    pub fn month_place(&self, date: CivilDate) -> Option<usize> {
        let place = self.months.iter().rposition(|month| month.first_day <= date)?;
        (date <= self.months[place].last_day).then_some(place)
    }

    /// The month of a date, if it is in memory.
    pub fn month(&self, date: CivilDate) -> Option<&Month> {
        self.month_place(date).map(|place| &self.months[place])
    }

    /// The months in memory from that of a date on, ascending.
    pub fn months_from(&self, date: CivilDate) -> impl Iterator<Item = &Month> {
        self.months.iter().filter(move |month| month.last_day >= date)
    }

    /// What a day came to by what was known at the close of `as_of`. The month must be in memory if it exists.
    pub fn steps_as_of(&self, date: CivilDate, as_of: CivilDate) -> Option<u32> {
        known_as_of(self.known(date), as_of)
    }

    /// What a day came to on the dates on which that changed. The month must be in memory if it exists.
    pub fn known(&self, date: CivilDate) -> &[Known] {
        self.month(date).map_or(&[], |month| month.known(month.day_of(date)))
    }
}
