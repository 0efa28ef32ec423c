//! Decides how a command reads a few rows of the lake: as JSON objects, so that it can say them in words.

use datafusion::prelude::SessionContext;
use pipeline::calendar::Instant;
use serde_json::{Map, Value};

use super::Failure;
use crate::lake::output::Format;
use crate::lake::query;

/// One row.
pub type Row = Map<String, Value>;

/// The rows of a query. For small results.
pub async fn rows(context: &SessionContext, sql: &str) -> Result<Vec<Row>, Failure> {
    let mut text = Vec::new();
    query::run(context, sql, Format::JsonLines, &mut text).await?;
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(Failure::from)).collect()
}

/// A text of a row; empty if it is null.
pub fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// An instant of a row as people in Japan read it: `2025-06-04 07:30`.
pub fn local_time(row: &Row, column: &str) -> String {
    let text = text(row, column);
    let at = chrono::DateTime::parse_from_rfc3339(text).map(|at| Instant::from_epoch_millis(at.timestamp_millis()));
    at.map_or_else(|_| text.to_owned(), |at| at.to_string().chars().take(16).collect::<String>().replace('T', " "))
}

/// A number of a row.
pub fn number(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}

/// A text as a SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A number as people write it: `1,234,567`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}
