//! Decides how the rows of a query are written: as a table for eyes, as CSV, as JSON lines, as Parquet.
//!
//! Rows are written as they come, so the memory that it takes does not grow with the result. What is asked is decided
//! in [`super::query`].

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, LineDelimited, WriterBuilder, make_encoder};
use arrow::util::display::{DurationFormat, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures_util::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::error::LakeError;
use super::slot::writer_properties;

/// Rows of which a table for eyes takes its widths. A longer result is several tables under each other.
const TABLE_ROWS: usize = 2_000;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns with a frame.
    Table,
    /// Comma-separated, with a header; structs and lists are JSON texts.
    Csv,
    /// One JSON object a line, nulls included.
    JsonLines,
    /// One Parquet file.
    Parquet,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 4] = [Format::Table, Format::Csv, Format::JsonLines, Format::Parquet];

    /// The name by which a format is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Csv => "csv",
            Format::JsonLines => "json",
            Format::Parquet => "parquet",
        }
    }

    /// The format with this name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// Writes all rows of a query; returns their number. A reader that has seen enough and closes the pipe is no error.
pub(super) async fn write<W: Write + Send>(
    mut rows: SendableRecordBatchStream,
    format: Format,
    out: &mut W,
    readable: impl Fn(&DataFusionError) -> LakeError,
) -> Result<u64, LakeError> {
    let mut pipe = Pipe { out, is_closed: false };
    let mut count = 0;
    let mut writer = Writer::start(format, rows.schema(), &mut pipe)?;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| readable(&error))?;
        count += batch.num_rows() as u64;
        writer.write(&batch)?;
        if writer.is_closed() {
            return Ok(count);
        }
    }
    writer.finish()?;
    Ok(count)
}

/// The output. Once the other end is closed it swallows what comes, so that the writers' own errors stay out of it.
struct Pipe<'a, W> {
    out: &'a mut W,
    is_closed: bool,
}

impl<W: Write> Pipe<'_, W> {
    fn forgive(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Pipe<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = if self.is_closed { Ok(()) } else { self.out.write_all(bytes) };
        self.forgive(result).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = if self.is_closed { Ok(()) } else { self.out.flush() };
        self.forgive(result)
    }
}

/// A result that is being written.
enum Writer<'p, 'a, W: Write + Send> {
    Table { out: &'p mut Pipe<'a, W>, schema: SchemaRef, waiting: Vec<RecordBatch>, has_written: bool },
    Csv { out: csv::Writer<&'p mut Pipe<'a, W>> },
    Json { out: arrow::json::Writer<&'p mut Pipe<'a, W>, LineDelimited> },
    Parquet { out: Box<ArrowWriter<&'p mut Pipe<'a, W>>> },
}

impl<'p, 'a, W: Write + Send> Writer<'p, 'a, W> {
    fn start(format: Format, schema: SchemaRef, out: &'p mut Pipe<'a, W>) -> Result<Self, LakeError> {
        Ok(match format {
            Format::Table => Writer::Table { out, schema, waiting: Vec::new(), has_written: false },
            Format::Csv => {
                let mut out = csv::WriterBuilder::new().with_header(true).build(out);
                // An empty result still has its header.
                out.write(&flat(&RecordBatch::new_empty(schema)).map_err(failed("csv"))?).map_err(failed("csv"))?;
                Writer::Csv { out }
            }
            Format::JsonLines => Writer::Json { out: WriterBuilder::new().with_explicit_nulls(true).build(out) },
            Format::Parquet => Writer::Parquet {
                out: Box::new(ArrowWriter::try_new(out, schema, Some(writer_properties())).map_err(parquet_failed)?),
            },
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        match self {
            Writer::Table { out, waiting, has_written, .. } => {
                waiting.push(batch.clone());
                if waiting.iter().map(RecordBatch::num_rows).sum::<usize>() >= TABLE_ROWS {
                    *has_written = true;
                    print(out, &std::mem::take(waiting))?;
                }
                Ok(())
            }
            Writer::Csv { out } => flat(batch).and_then(|batch| out.write(&batch)).map_err(failed("csv")),
            Writer::Json { out } => out.write(batch).map_err(failed("json")),
            Writer::Parquet { out } => out.write(batch).map_err(parquet_failed),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Writer::Table { out, .. } => out.is_closed,
            Writer::Json { out } => out.get_ref().is_closed,
            Writer::Parquet { out } => out.inner().is_closed,
            // Its buffer tells only at the end.
            Writer::Csv { .. } => false,
        }
    }

    fn finish(self) -> Result<(), LakeError> {
        match self {
            Writer::Table { out, schema, mut waiting, has_written } => {
                if waiting.is_empty() && !has_written {
                    waiting.push(RecordBatch::new_empty(schema));
                }
                if !waiting.is_empty() {
                    print(out, &waiting)?;
                }
                out.flush().map_err(|error| failed("table")(error.into()))
            }
            Writer::Csv { out } => out.into_inner().flush().map_err(|error| failed("csv")(error.into())),
            Writer::Json { mut out } => {
                out.finish().map_err(failed("json"))?;
                out.into_inner().flush().map_err(|error| failed("json")(error.into()))
            }
            Writer::Parquet { out } => out.close().map(|_| ()).map_err(parquet_failed),
        }
    }
}

fn print<W: Write>(out: &mut Pipe<'_, W>, batches: &[RecordBatch]) -> Result<(), LakeError> {
    let options = FormatOptions::default().with_duration_format(DurationFormat::Pretty);
    let text = pretty_format_batches_with_options(batches, &options).map_err(failed("table"))?;
    writeln!(out, "{text}").map_err(|error| failed("table")(error.into()))
}

fn failed(format: &'static str) -> impl FnOnce(ArrowError) -> LakeError {
    move |error| LakeError::Output { format, problem: error.to_string() }
}

fn parquet_failed(error: ParquetError) -> LakeError {
    LakeError::Output { format: "parquet", problem: error.to_string() }
}

/// The batch with every struct and list as its JSON text: CSV has no nesting.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        if !field.data_type().is_nested() {
            return Ok((field.as_ref().clone(), column.clone()));
        }
        let text = json_texts(field, column)?;
        Ok((Field::new(field.name(), DataType::Utf8, true), text))
    });
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) =
        columns.collect::<Result<Vec<_>, ArrowError>>()?.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn json_texts(field: &Arc<Field>, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Arc::new(texts.finish()))
}
