//! Decides what is kept of how far a member is settled: what every posting moves, and what must be looked at next.
//!
//! It is small, because it is written with nearly every upload and every close.

use crate::calendar::{CivilDate, CivilMonth};
use crate::codec::{CorruptState, Reader, Writer};

/// The baseline as it was fixed (KU-42, KU-A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrozenBaseline {
    /// At the close of this day.
    pub on: CivilDate,
    /// D0.
    pub first_day: CivilDate,
    /// After the floor.
    pub steps: u32,
    /// The age class on D0.
    pub is_older: bool,
}

/// How far a member is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Number of entries posted.
    pub sequence: u64,
    /// Days whose postings, or those of whose week or month, may not be what they should be: bit d − 1 of their month.
    pub unsettled: Vec<(CivilMonth, u32)>,
    /// Transmissions that are the first of their month, and not looked at yet: with them earlier months may fall due.
    pub first_transmissions: Vec<CivilDate>,
    /// `None` until frozen.
    pub frozen: Option<FrozenBaseline>,
    /// Notices of the baseline given so far.
    pub baseline_notices: u32,
    /// The close that is due only because a baseline must be frozen then.
    pub freeze_due_on: Option<CivilDate>,
    /// A fact came for a day that was closed: what was known on each date must be worked out again.
    pub has_late_facts: bool,
    /// Days whose points wait for a login on that day or later (HI-A11).
    pub awaiting_login: Vec<CivilDate>,
}

impl Settled {
    /// Marks days of a month for the next settlement.
    pub fn unsettle(&mut self, month: CivilMonth, bits: u32) {
        match self.unsettled.iter_mut().find(|(known, _)| *known == month) {
            Some((_, known)) => *known |= bits,
            None => self.unsettled.push((month, bits)),
        }
    }

    /// The first day to settle.
    pub fn first_unsettled(&self) -> Option<CivilDate> {
        let open = self.unsettled.iter().filter(|&&(_, bits)| bits != 0);
        let &(month, bits) = open.min_by_key(|&&(month, _)| month)?;
        Some(month.first_day().plus_days(bits.trailing_zeros() as i32))
    }

    /// Writes it down.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        w.unsigned(self.sequence);
        w.count(self.unsettled.len());
        for &(month, bits) in &self.unsettled {
            w.signed(i64::from(month.number()));
            w.unsigned(u64::from(bits));
        }
        w.count(self.first_transmissions.len());
        self.first_transmissions.iter().for_each(|&date| w.date(date));
        w.option(self.frozen, |w, frozen| {
            w.date(frozen.on);
            w.date(frozen.first_day);
            w.unsigned(u64::from(frozen.steps));
            w.flag(frozen.is_older);
        });
        w.unsigned(u64::from(self.baseline_notices));
        w.option(self.freeze_due_on, Writer::date);
        w.flag(self.has_late_facts);
        w.count(self.awaiting_login.len());
        self.awaiting_login.iter().for_each(|&date| w.date(date));
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Settled, CorruptState> {
        let mut r = Reader::begin(bytes)?;
        let settled = Settled {
            sequence: r.unsigned()?,
            unsettled: r.list(|r| Ok((CivilMonth::from_number(r.signed32()?), r.small()?)))?,
            first_transmissions: r.list(Reader::date)?,
            frozen: r.option(|r| {
                Ok(FrozenBaseline { on: r.date()?, first_day: r.date()?, steps: r.small()?, is_older: r.flag()? })
            })?,
            baseline_notices: r.small()?,
            freeze_due_on: r.option(Reader::date)?,
            has_late_facts: r.flag()?,
            awaiting_login: r.list(Reader::date)?,
        };
        r.end()?;
        Ok(settled)
    }
}
