//! Ayumi's wire: bytes in, the core's types out, and back.
//!
//! Decides how records are framed, encoded and checked for being well-formed at all, and what a programme file may say.
//! What a well-formed fact is worth is the core's to decide; reading and writing streams and files is the jobs'. In
//! reading order: the records, how they are read from Avro and from JSON, how they are written, what goes out, and the
//! programme file.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic is a bug: errors say what is wrong.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod binary;
pub mod container;
mod encode;
mod error;
mod input;
mod input_avro;
mod input_json;
mod input_json_member;
mod input_json_upload;
mod json_value;
mod output;
mod output_decode;
mod output_encode;
pub mod programme_file;
mod sample_buffer;
mod schema;
mod symbols;
mod time_text;

pub use encode::{encode_clock, encode_member, encode_programme, encode_upload};
pub use error::DecodeError;
pub use input::{ClockRecord, MemberRecord, ProgrammeRecord, Record, Scratch};
pub use output::{AccountingRecord, Origin, RejectionRecord};
pub use output_decode::{decode_accounting, decode_daily_total, decode_entry, decode_notice, decode_rejection};
pub use output_encode::{encode_accounting, encode_daily_total, encode_entry, encode_notice, encode_rejection};
pub use schema::{Schema, SchemaIds};
pub use time_text::parse_instant;
