//! All that Ayumi does besides deciding: where facts come from, where effects go, and the `ayumi` command.
//!
//! In reading order: how records are carried, how files become records, how records get into the log and days end, how
//! one partition is decided, how they all run, how the lake is filled and asked, what a newcomer is shown.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic is a bug: errors say what is wrong.
#![forbid(unsafe_code)]

pub mod state_store;
pub mod transport;

pub mod input_file;
pub mod producer;
pub mod publish;

pub mod award;
mod parked;
mod sample_text;
pub mod workers;

pub mod lake;
pub mod lake_role;

pub mod admin;
pub mod kafka;

pub mod audit;

pub mod progress;
pub mod replay;
pub mod town;

pub mod commands;
