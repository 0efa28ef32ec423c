//! Decides how input records become the tables that an audit reads.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use serde_json::{Value, json};

use crate::audit::{Recomputed, recompute};

/// A recorded programme's rules, as the repository has them.
pub fn rules(programme: &str) -> String {
    let path = format!("{}/../programmes/{programme}/programme.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the programme has a file")
}

/// Recorded facts, and what else an audit reads.
#[derive(Clone, Default)]
pub struct Town {
    pub records: Vec<Value>,
    pub programmes: Vec<Value>,
    pub closed_on: String,
    pub entries: Vec<Value>,
    pub totals: Vec<Value>,
    pub notices: Vec<Value>,
}

impl Town {
    /// A town with the repository's rules of one programme, and a last close.
    pub fn new(programme: &str, closed_on: &str) -> Self {
        Town { closed_on: closed_on.into(), ..Town::default() }.with_rules(programme, &rules(programme))
    }

    pub fn with_rules(mut self, programme: &str, source: &str) -> Self {
        let rules = json!({"programme": programme, "version": 1, "effective_on": "2025-04-01", "source": source});
        self.programmes.push(rules);
        self
    }

    /// The tables, facts twice over where `records` has them twice.
    pub fn tables(&self) -> SessionContext {
        let tables = SessionContext::new();
        let of = |kind: &str| self.records.iter().filter(|record| record["type"] == kind).cloned().collect::<Vec<_>>();
        let uploads: Vec<Value> = of("upload").into_iter().map(complete).collect();
        register(&tables, "facts_uploads", uploads_schema(), &uploads);
        register(&tables, "facts_members", members_schema(), &of("member"));
        register(&tables, "facts_programmes", programmes_schema(), &self.programmes);
        let clocks = [json!({"date": "2025-06-01"}), json!({"date": self.closed_on})];
        register(&tables, "facts_clocks", schema(&[("date", DataType::Date32)]), &clocks);
        register(&tables, "entries", entries_schema(), &self.entries);
        register(&tables, "daily_total_revisions", totals_schema(), &self.totals);
        register(&tables, "notices", notices_schema(), &self.notices);
        tables
    }

    /// What the rules say about the facts.
    pub fn recompute(&self) -> Recomputed {
        run(recompute(&self.tables())).expect("the facts can be recomputed")
    }
}

/// Runs a future to its end.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// A sample as the parser gives it: what the record leaves out has its default.
fn complete(mut upload: Value) -> Value {
    for sample in upload["samples"].as_array_mut().into_iter().flatten() {
        for (name, default) in [("recording", json!("AUTO")), ("op", json!("UPSERT")), ("version", json!(0))] {
            if sample.get(name).is_none() {
                sample[name] = default;
            }
        }
    }
    upload
}

fn register(tables: &SessionContext, name: &str, schema: SchemaRef, rows: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let reader = ReaderBuilder::new(schema.clone()).build(Cursor::new(lines)).expect("a reader");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows of the schema")).collect();
    let table = MemTable::try_new(schema, vec![batches]).expect("a table");
    tables.register_table(name, Arc::new(table)).expect("a new name");
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields(columns)))
}

fn fields(columns: &[(&str, DataType)]) -> Fields {
    columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect()
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn uploads_schema() -> SchemaRef {
    let text = DataType::Utf8;
    let source = fields(&[
        ("platform", text.clone()),
        ("origin", text.clone()),
        ("device", text.clone()),
        ("device_kind", text.clone()),
    ]);
    let sample = fields(&[
        ("kind", text.clone()),
        ("start", instant()),
        ("end", instant()),
        ("date", DataType::Date32),
        ("steps", DataType::Int64),
        ("recording", text.clone()),
        ("op", text.clone()),
        ("id", text.clone()),
        ("version", DataType::Int64),
        ("modified_at", instant()),
    ]);
    let samples = DataType::List(Arc::new(Field::new("item", DataType::Struct(sample), true)));
    schema(&[
        ("id", text.clone()),
        ("programme", text.clone()),
        ("member", text.clone()),
        ("received_at", instant()),
        ("login_at", instant()),
        ("channel", text),
        ("source", DataType::Struct(source)),
        ("samples", samples),
    ])
}

fn members_schema() -> SchemaRef {
    schema(&[
        ("id", DataType::Utf8),
        ("programme", DataType::Utf8),
        ("member", DataType::Utf8),
        ("received_at", instant()),
        ("op", DataType::Utf8),
        ("effective_on", DataType::Date32),
        ("birth_date", DataType::Date32),
    ])
}

fn programmes_schema() -> SchemaRef {
    schema(&[
        ("programme", DataType::Utf8),
        ("version", DataType::Int32),
        ("effective_on", DataType::Date32),
        ("source", DataType::Utf8),
    ])
}

fn entries_schema() -> SchemaRef {
    schema(&[
        ("entry_id", DataType::Utf8),
        ("sequence", DataType::Int64),
        ("programme", DataType::Utf8),
        ("member", DataType::Utf8),
        ("rule", DataType::Utf8),
        ("rule_version", DataType::Int32),
        ("item", DataType::Utf8),
        ("period", DataType::Utf8),
        ("revision", DataType::Int32),
        ("points", DataType::Int64),
        ("debit", DataType::Utf8),
        ("credit", DataType::Utf8),
        ("arrival_date", DataType::Date32),
        ("corrects", DataType::Utf8),
    ])
}

fn totals_schema() -> SchemaRef {
    schema(&[
        ("programme", DataType::Utf8),
        ("member", DataType::Utf8),
        ("date", DataType::Date32),
        ("revision", DataType::Int32),
        ("steps", DataType::Int64),
    ])
}

fn notices_schema() -> SchemaRef {
    schema(&[
        ("programme", DataType::Utf8),
        ("member", DataType::Utf8),
        ("rule", DataType::Utf8),
        ("kind", DataType::Utf8),
        ("date", DataType::Date32),
        ("revision", DataType::Int32),
        ("first_day", DataType::Date32),
        ("baseline_steps", DataType::Int64),
        ("is_older_class", DataType::Boolean),
    ])
}
