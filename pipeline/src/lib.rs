//! Ayumi's core: facts in, effects out.
//!
//! A pure state machine. It has no clock, no randomness and no I/O; that a day is over is one of its inputs. In reading
//! order: what is counted, what days are, what comes in, what a programme says, what is refused, what goes out.
#![forbid(unsafe_code)]
pub mod quantity;
pub mod calendar;
pub mod fact;
pub mod programme;
pub mod rejection;
pub mod ledger;
pub mod engine;
mod upload;
mod enrolment;
mod intake;
pub mod day;
pub mod rules;
mod baseline;
mod settle;
pub mod member;
mod cache;
mod due;
pub mod state;
mod codec;
mod hash;
