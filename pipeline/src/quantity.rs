//! Decides what can be counted: steps and points, and that the two never mix.
//!
//! Only a rule turns [`Steps`] into [`Points`]; there is no conversion here on purpose.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};

/// Steps walked: a whole number from 0 to 4,294,967,295. A day's plausible maximum is the programme's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steps(u32);

impl Steps {
    /// No steps at all, which is a reading; a day without a reading has no `Steps`.
    pub const ZERO: Steps = Steps(0);

    /// A count of steps.
    pub const fn new(count: u32) -> Self {
        Steps(count)
    }

    /// The count.
    pub const fn count(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Points as the member sees them: whole and signed. A correction downward is negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Points(i64);

impl Points {
    /// Nothing earned.
    pub const ZERO: Points = Points(0);

    /// An amount of points.
    pub const fn new(amount: i64) -> Self {
        Points(amount)
    }

    /// The amount.
    pub const fn amount(self) -> i64 {
        self.0
    }

    /// Whether this is no points at all; such a difference is never posted.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add for Points {
    type Output = Points;
    fn add(self, other: Points) -> Points {
        Points(self.0 + other.0)
    }
}

impl AddAssign for Points {
    fn add_assign(&mut self, other: Points) {
        *self = *self + other;
    }
}

impl Sub for Points {
    type Output = Points;
    fn sub(self, other: Points) -> Points {
        Points(self.0 - other.0)
    }
}

impl Neg for Points {
    type Output = Points;
    fn neg(self) -> Points {
        Points(-self.0)
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Points>>(amounts: I) -> Points {
        amounts.fold(Points::ZERO, Add::add)
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
