//! The lake: append-only Delta tables of facts and effects, and the only thing that queries read.
//!
//! In reading order: which tables there are ([`tables`]), how a row becomes columns ([`rows`]), how rows land exactly
//! once ([`writer`]), how small files become large ones ([`compact`]), how the lake is asked ([`query`], [`output`],
//! [`shell`]), and how it is handed on to tools that do not read Delta ([`export`]). What the rows say is decided in
//! the core; when to write is decided by the role that holds the writer.

mod error;
mod location;
mod slot;

pub mod compact;
pub mod dictionary;
pub mod export;
pub mod output;
pub mod query;
pub mod rows;
pub mod shell;
pub mod tables;
pub mod views;
pub mod writer;

#[cfg(test)]
mod tests;

pub use error::LakeError;
pub use tables::TableId;
pub use writer::{LakeWriter, Source};
