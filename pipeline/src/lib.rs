//! Ayumi's core: facts in, effects out.
//!
//! A pure state machine. It has no clock, no randomness and no I/O; that a day is over is one of its inputs. In reading
//! order: what is counted, what days are, what comes in, what a programme says, what is refused, what goes out.
#![forbid(unsafe_code)]
mod baseline;
mod cache;
pub mod calendar;
mod codec;
pub mod day;
mod due;
pub mod engine;
mod enrolment;
pub mod fact;
mod hash;
mod intake;
pub mod ledger;
pub mod member;
pub mod programme;
pub mod quantity;
pub mod rejection;
pub mod rules;
mod settle;
pub mod state;
mod upload;
