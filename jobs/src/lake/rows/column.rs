//! Decides how single values stand in columns: dates, instants, months, and the structs that several tables share.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Int32Builder, Int64Builder, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use pipeline::calendar::{CivilDate, CivilMonth, Instant};
use schemas::Origin;

use crate::lake::tables::{TableId, instant};

/// The columns of a batch, in the order of the table's schema.
pub(super) type Columns = Result<Vec<ArrayRef>, ArrowError>;

/// A column of civil dates.
#[derive(Debug, Default)]
pub(super) struct Dates(Date32Builder);

impl Dates {
    pub fn push(&mut self, date: impl Into<Option<CivilDate>>) {
        self.0.append_option(date.into().map(CivilDate::epoch_days));
    }

    pub fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// A column of instants, in microseconds.
#[derive(Debug)]
pub(super) struct Instants(TimestampMicrosecondBuilder);

impl Default for Instants {
    fn default() -> Self {
        Instants(TimestampMicrosecondBuilder::new().with_data_type(instant()))
    }
}

impl Instants {
    /// An instant beyond the 292,000 years that microseconds reach becomes the last or first of them: it is from a
    /// broken clock, intake refuses what hangs on it, and the rejection keeps the bytes.
    pub fn push(&mut self, at: impl Into<Option<Instant>>) {
        self.0.append_option(at.into().map(|at| at.epoch_millis().saturating_mul(1000)));
    }

    pub fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// The partition column `month`. Rows of one month follow each other, so its text is made once.
#[derive(Debug, Default)]
pub(super) struct Months {
    text: StringBuilder,
    last: Option<(CivilMonth, String)>,
}

impl Months {
    /// The month of a civil date.
    pub fn push(&mut self, date: impl Into<Option<CivilDate>>) {
        match date.into().filter(|date| has_four_digit_year(*date)) {
            None => self.text.append_null(),
            Some(date) => {
                let month = date.month();
                if self.last.as_ref().is_none_or(|(last, _)| *last != month) {
                    self.last = Some((month, month.to_string()));
                }
                self.text.append_option(self.last.as_ref().map(|(_, text)| text));
            }
        }
    }

    /// The month of the civil date in Asia/Tokyo of an instant.
    pub fn push_instant(&mut self, at: impl Into<Option<Instant>>) {
        self.push(civil_date(at.into()));
    }

    pub fn finish(&mut self) -> ArrayRef {
        Arc::new(self.text.finish())
    }
}

/// The civil date of an instant, if its year has four digits; further out, calendars and folder names end.
pub(super) fn civil_date(at: Option<Instant>) -> Option<CivilDate> {
    const YEARS_1_TO_9999_MILLIS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
    at.filter(|at| YEARS_1_TO_9999_MILLIS.contains(&at.epoch_millis())).map(Instant::civil_date)
}

fn has_four_digit_year(date: CivilDate) -> bool {
    const YEARS_1_TO_9999_DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
    YEARS_1_TO_9999_DAYS.contains(&date.epoch_days())
}

/// Text that a record may leave empty: a partition cannot tell empty from null, so no column does.
pub(super) fn stated(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A count that the lake holds in a signed column.
pub(super) fn long(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A small count that the lake holds in a signed column.
pub(super) fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A struct that is never null itself, out of its children. Its fields are those of the column at `path` of `table`.
pub(super) fn group(table: TableId, path: &[&str], children: Vec<ArrayRef>) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(StructArray::try_new(group_fields(table, path)?, children, None)?))
}

/// The fields of the struct (or of a list's structs) at `path` of `table`.
pub(super) fn group_fields(table: TableId, path: &[&str]) -> Result<Fields, ArrowError> {
    let mut fields = table.schema().fields().clone();
    for name in path {
        let found = fields.iter().find(|field| field.name() == name).map(|field| field.data_type().clone());
        fields = match found {
            Some(DataType::Struct(inner)) => inner,
            Some(DataType::List(element)) => match element.data_type() {
                DataType::Struct(inner) => inner.clone(),
                other => return Err(ArrowError::SchemaError(format!("{name} is a list of {other}, not of structs"))),
            },
            other => {
                return Err(ArrowError::SchemaError(format!("{name} of {} is {other:?}, not a struct", table.name())));
            }
        };
    }
    Ok(fields)
}

/// The column `origin`.
#[derive(Debug, Default)]
pub(super) struct Origins {
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    file: StringBuilder,
    line: Int64Builder,
}

impl Origins {
    /// Appends one; returns its bytes.
    pub fn push(&mut self, origin: &Origin) -> usize {
        self.topic.append_value(&origin.topic);
        self.partition.append_value(origin.partition);
        self.offset.append_value(origin.offset);
        self.file.append_option(origin.file.as_deref());
        self.line.append_option(origin.line);
        40 + origin.topic.len() + origin.file.as_ref().map_or(0, String::len)
    }

    pub fn finish(&mut self, table: TableId) -> Result<ArrayRef, ArrowError> {
        let children: Vec<ArrayRef> = vec![
            Arc::new(self.topic.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.file.finish()),
            Arc::new(self.line.finish()),
        ];
        group(table, &["origin"], children)
    }
}
