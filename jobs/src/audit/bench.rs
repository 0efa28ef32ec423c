//! Decides how a step of the audit is run: its SQL from the file of its name, the values it asks for as literals, its
//! result kept in memory under its name for the steps after it. What the steps say is in `sql/`, their order in
//! [`super::steps`].

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, SessionContext};

use super::error::AuditError;
use super::overlap::apart_steps;

/// One file under `sql/`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! step {
    ($name:literal) => {
        $crate::audit::bench::Step { name: $name, sql: include_str!(concat!("sql/", $name, ".sql")) }
    };
}
pub(super) use step;

/// A query session of the audit's own, over the caller's tables.
pub(super) struct Bench {
    session: SessionContext,
    values: BTreeMap<&'static str, String>,
}

const FACTS: [&str; 4] = ["facts_uploads", "facts_members", "facts_programmes", "facts_clocks"];
const LEDGER: [&str; 3] = ["entries", "daily_total_revisions", "notices"];

impl Bench {
    /// Opens a session that sees the recorded facts.
    pub(super) async fn over_facts(tables: &SessionContext) -> Result<Self, AuditError> {
        let bench = Bench { session: SessionContext::new(), values: BTreeMap::new() };
        bench.session.register_udaf(apart_steps());
        bench.take(tables, &FACTS).await?;
        bench.keep(step!("calendar")).await?;
        Ok(bench)
    }

    /// Lets the session see what the pipeline has put out as well.
    pub(super) async fn add_ledger(&self, tables: &SessionContext) -> Result<(), AuditError> {
        self.take(tables, &LEDGER).await
    }

    async fn take(&self, tables: &SessionContext, names: &[&'static str]) -> Result<(), AuditError> {
        for &table in names {
            let fail = |source: DataFusionError| AuditError::Table { table, source: Box::new(source) };
            let provider = tables.table_provider(table).await.map_err(fail)?;
            if let Ok(field) = provider.schema().field_with_name("received_at") {
                check_unit(table, field.data_type())?;
            }
            self.session.register_table(table, provider).map_err(fail)?;
        }
        Ok(())
    }

    pub(super) fn set(&mut self, name: &'static str, number: i64) {
        self.values.insert(name, number.to_string());
    }

    pub(super) fn set_flag(&mut self, name: &'static str, flag: bool) {
        self.values.insert(name, flag.to_string());
    }

    pub(super) fn set_null(&mut self, name: &'static str) {
        self.values.insert(name, "NULL".to_owned());
    }

    pub(super) fn set_text(&mut self, name: &'static str, text: &str) {
        self.values.insert(name, format!("'{}'", text.replace('\'', "''")));
    }

    /// Runs a step and keeps its rows as a table of its name.
    pub(super) async fn keep(&self, step: Step) -> Result<(), AuditError> {
        self.keep_as(step.name, step).await
    }

    /// Runs a step and keeps its rows as a table of another name.
    pub(super) async fn keep_as(&self, table: &'static str, step: Step) -> Result<(), AuditError> {
        let fail = |source| AuditError::Step { step: step.name, source: Box::new(source) };
        let frame = self.frame(step).await?;
        let mut schema = Arc::new(frame.schema().as_arrow().clone());
        let partitions = frame.collect_partitioned().await.map_err(fail)?;
        if let Some(batch) = partitions.iter().flatten().next() {
            schema = batch.schema();
        }
        self.replace(table, schema, partitions).map_err(fail)
    }

    /// Names a step's query, which then runs as part of the steps that read it.
    pub(super) async fn view(&self, step: Step) -> Result<(), AuditError> {
        let fail = |source| AuditError::Step { step: step.name, source: Box::new(source) };
        let view = self.frame(step).await?.into_view();
        self.session.deregister_table(step.name).map_err(fail)?;
        self.session.register_table(step.name, view).map_err(fail)?;
        Ok(())
    }

    /// Runs a step and gives its rows.
    pub(super) async fn rows(&self, step: Step) -> Result<Vec<Rows>, AuditError> {
        let batches = self.batches(step).await?;
        Ok(batches.into_iter().map(|batch| Rows { step: step.name, batch }).collect())
    }

    /// Runs a step and gives its rows as they are.
    pub(super) async fn batches(&self, step: Step) -> Result<Vec<RecordBatch>, AuditError> {
        let fail = |source| AuditError::Step { step: step.name, source: Box::new(source) };
        self.frame(step).await?.collect().await.map_err(fail)
    }

    /// Whether a kept table has no rows.
    pub(super) async fn is_empty(&self, table: &'static str) -> Result<bool, AuditError> {
        let fail = |source| AuditError::Step { step: table, source: Box::new(source) };
        let rows = self.session.table(table).await.map_err(fail)?.count().await.map_err(fail)?;
        Ok(rows == 0)
    }

    /// Drops a kept table.
    pub(super) fn forget(&self, table: &'static str) -> Result<(), AuditError> {
        let fail = |source| AuditError::Step { step: table, source: Box::new(source) };
        self.session.deregister_table(table).map(drop).map_err(fail)
    }

    /// Keeps rows that were put together outside SQL.
    pub(super) fn put(&self, name: &'static str, batches: Vec<RecordBatch>) -> Result<(), AuditError> {
        let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let fail = |source| AuditError::Step { step: name, source: Box::new(source) };
        self.replace(name, schema, vec![batches]).map_err(fail)
    }

    fn replace(
        &self,
        name: &'static str,
        schema: Arc<Schema>,
        partitions: Vec<Vec<RecordBatch>>,
    ) -> Result<(), DataFusionError> {
        self.session.deregister_table(name)?;
        self.session.register_table(name, Arc::new(MemTable::try_new(schema, partitions)?))?;
        Ok(())
    }

    async fn frame(&self, step: Step) -> Result<DataFrame, AuditError> {
        let sql = self.fill(step)?;
        self.session.sql(&sql).await.map_err(|source| AuditError::Step { step: step.name, source: Box::new(source) })
    }

    /// Puts the values in the place of their names: `$closed_on`.
    fn fill(&self, step: Step) -> Result<String, AuditError> {
        let mut parts = step.sql.split('$');
        let mut sql = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            let missing = || AuditError::Value { step: step.name, name: name.to_owned() };
            sql.push_str(self.values.get(name).ok_or_else(missing)?);
            sql.push_str(rest);
        }
        Ok(sql)
    }
}

fn check_unit(table: &'static str, found: &DataType) -> Result<(), AuditError> {
    match found {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(()),
        other => Err(AuditError::Unit { table, column: "received_at", found: other.to_string() }),
    }
}

/// Rows that a step gave, by column name.
pub(super) struct Rows {
    step: &'static str,
    batch: RecordBatch,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    fn column(&self, name: &str, wanted: &DataType) -> Result<ArrayRef, AuditError> {
        let found = self.batch.column_by_name(name).and_then(|column| cast(column, wanted).ok());
        found.ok_or_else(|| AuditError::Column { step: self.step, column: name.to_owned() })
    }

    pub(super) fn texts(&self, name: &str) -> Result<StringArray, AuditError> {
        Ok(self.column(name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    pub(super) fn numbers(&self, name: &str) -> Result<Int64Array, AuditError> {
        Ok(self.column(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    pub(super) fn flags(&self, name: &str) -> Result<BooleanArray, AuditError> {
        Ok(self.column(name, &DataType::Boolean)?.as_boolean().clone())
    }
}

/// A text where there is one.
pub(super) fn text_at(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

/// A number where there is one.
pub(super) fn number_at(column: &Int64Array, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row))
}
