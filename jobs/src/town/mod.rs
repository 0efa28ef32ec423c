//! A simulated town: what `ayumi demo` feeds to the pipeline and, in a plainer form, what the load test does.
//!
//! Decides what gateways would hand over, and nothing about what becomes of it. Everything is a function of a seed:
//! no clock, no shared randomness, no files. In reading order: [`Town`] is who sends when, [`Troubles`] what goes wrong
//! and how often, [`Load`] the plain form, [`TownRecord`] what both yield.
//!
//! A season is produced with the memory of a day: what has not been received yet is a few numbers on an agenda.

mod delivery;
mod load;
mod mishap;
mod person;
mod random;
mod record;
mod simulation;
#[cfg(test)]
mod tests;
mod trouble;
pub mod walk;

pub use load::{Load, LoadConfig};
pub use record::{OwnedMember, OwnedUpload, RecordSource, TownRecord};
pub use simulation::{Town, TownConfig};
pub use trouble::{Trouble, TroubleCounts, Troubles};
