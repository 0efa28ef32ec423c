//! Decides what a record that cannot be read says about itself.
//!
//! A broken record is data, not a failure of Ayumi: whoever decodes it turns this into a rejection and goes on.

use std::fmt;

use pipeline::rejection::RejectionReason;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// `Malformed`, as long as every record type of the contract can at least be told apart.
    pub reason: RejectionReason,
    /// The field, the byte offset or column, what was found and what would have been right.
    pub detail: String,
}

impl DecodeError {
    /// Not a record, for this reason.
    #[cold]
    pub(crate) fn malformed(detail: impl fmt::Display) -> Self {
        DecodeError { reason: RejectionReason::Malformed, detail: detail.to_string() }
    }
}

impl fmt::Display for DecodeError {
    /// `MALFORMED: member at byte 14: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}

impl std::error::Error for DecodeError {}

/// Foreign text as a detail may show it: in backquotes, and cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("`{}…`", &text[..cut]),
        None => format!("`{text}`"),
    }
}
