//! Decides how the lake explains itself: the data dictionary, made from the tables' schemas and the views' statements.
//!
//! Nothing is written down twice: a column is in the dictionary because it is in the schema.

use std::fmt::Write;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::Serialize;

use super::error::LakeError;
use super::query;
use super::tables::{TableId, comment};
use super::views::VIEWS;

/// A table or view, described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Its name in SQL.
    pub name: &'static str,
    /// `table` or `view`.
    pub kind: &'static str,
    /// What one row is.
    pub grain: &'static str,
    /// The columns that name the folders of its files.
    pub partitioned_by: &'static [&'static str],
    /// Its columns; those of structs and lists follow theirs.
    pub columns: Vec<Column>,
}

/// A column, described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name; inside a struct `reason.steps`, inside a list of structs `samples[].steps`.
    pub name: String,
    /// Its type, in words that SQL and Parquet share.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it may be null.
    pub is_nullable: bool,
    /// What it means.
    pub description: String,
}

/// Describes every table and view.
pub async fn describe() -> Result<Vec<Described>, LakeError> {
    let mut described: Vec<Described> = TableId::ALL.into_iter().map(describe_table).collect();
    let session = query::empty_session().await?;
    for view in VIEWS {
        let frame = query::plan(&session, &format!("SELECT * FROM {}", view.name)).await?;
        let mut columns = Vec::new();
        for field in frame.schema().fields() {
            let meaning = view.columns.iter().find(|(name, _)| name == field.name());
            columns.push(column(field.name(), field, meaning.map_or_else(|| comment(field), |(_, meaning)| *meaning)));
            nested(field.name(), field.data_type(), &mut columns);
        }
        described.push(Described { name: view.name, kind: "view", grain: view.grain, partitioned_by: &[], columns });
    }
    Ok(described)
}

fn describe_table(id: TableId) -> Described {
    let mut columns = Vec::new();
    append("", id.schema().fields(), &mut columns);
    Described { name: id.name(), kind: "table", grain: id.grain(), partitioned_by: id.partition_columns(), columns }
}

fn append(prefix: &str, fields: &Fields, columns: &mut Vec<Column>) {
    for field in fields {
        let name = format!("{prefix}{}", field.name());
        columns.push(column(&name, field, comment(field)));
        nested(&name, field.data_type(), columns);
    }
}

fn nested(name: &str, kind: &DataType, columns: &mut Vec<Column>) {
    match kind {
        DataType::Struct(fields) => append(&format!("{name}."), fields, columns),
        DataType::List(element) => {
            if let DataType::Struct(fields) = element.data_type() {
                append(&format!("{name}[]."), fields, columns);
            }
        }
        _ => {}
    }
}

fn column(name: &str, field: &Field, description: &str) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind(field.data_type()),
        is_nullable: field.is_nullable(),
        description: description.to_owned(),
    }
}

fn kind(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp (microseconds, UTC)".to_owned(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "binary".to_owned(),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::List(_) => "list of structs".to_owned(),
        other => other.to_string(),
    }
}

/// The dictionary as Markdown, one section a table.
pub fn markdown(described: &[Described]) -> String {
    let mut text = String::from("# Data dictionary\n");
    for table in described {
        let partitions = match table.partitioned_by {
            [] => String::new(),
            columns => format!(" In the lake partitioned by {}.", columns.join(", ")),
        };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n## {} ({})\n\n{}{partitions}\n\n", table.name, table.kind, table.grain);
        text.push_str("| column | type | null | meaning |\n|---|---|---|---|\n");
        for column in &table.columns {
            let null = if column.is_nullable { "yes" } else { "no" };
            let _ = writeln!(text, "| `{}` | {} | {null} | {} |", column.name, column.kind, column.description);
        }
    }
    text
}
