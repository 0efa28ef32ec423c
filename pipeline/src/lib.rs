//! Ayumi's core: facts in, effects out.
//!
//! A pure state machine. It has no clock, no randomness and no I/O; that a day is over is one of its inputs. In reading
//! order: what is counted, what days are, what comes in, what a programme says, what is refused, what goes out.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic is a bug: errors say what is wrong.
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
pub mod month;
pub mod programme;
pub mod quantity;
pub mod rejection;
pub mod rules;
mod settle;
pub mod settled;
pub mod state;
pub mod summary;
mod upload;
