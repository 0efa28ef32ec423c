//! Ayumi's core: facts in, effects out.
//!
//! A pure state machine. It has no clock, no randomness and no I/O; that a day is over is one of its inputs. In reading
//! order: what is counted, what days are, what comes in, what a programme says, what is refused, what goes out.
#![forbid(unsafe_code)]

pub mod calendar;
pub mod fact;
pub mod ledger;
pub mod programme;
pub mod quantity;
pub mod rejection;
