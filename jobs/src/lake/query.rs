//! Decides how the lake is asked: which tables and views stand in a session, what it may use of the machine, and that
//! a statement can only read. How a result is written is decided in [`super::output`].

use std::io::Write;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use super::error::LakeError;
use super::location::Location;
use super::output::{self, Format};
use super::tables::TableId;
use super::views::VIEWS;

/// What a query may hold in memory. What sorts and groups beyond it goes to temporary files.
pub const QUERY_MEMORY_BYTES_MAX: usize = 1 << 30;

/// A session over the lake at a URL or path, with all tables and views, as they are at this moment.
///
/// A table that an older version of Ayumi did not have is empty; a place without any table is an error.
pub async fn session(url: &str) -> Result<SessionContext, LakeError> {
    let location = Location::parse(url)?;
    let context = context()?;
    let mut is_lake = false;
    for id in TableId::ALL {
        is_lake |= register(&context, &location, id).await?;
    }
    if !is_lake {
        return Err(LakeError::NoLake { url: location.as_str().to_owned() });
    }
    register_views(&context).await?;
    Ok(context)
}

/// A session with all tables and views and not a single row: what they look like.
pub async fn empty_session() -> Result<SessionContext, LakeError> {
    let context = context()?;
    for id in TableId::ALL {
        let empty = Arc::new(EmptyTable::new(id.schema()));
        context.register_table(id.name(), empty).map_err(|error| readable(&error))?;
    }
    register_views(&context).await?;
    Ok(context)
}

/// Runs one reading statement and writes its result. Returns the number of rows.
pub async fn run<W: Write + Send>(
    context: &SessionContext,
    sql: &str,
    format: Format,
    out: &mut W,
) -> Result<u64, LakeError> {
    let rows = stream(context, sql).await?;
    output::write(rows, format, out, readable).await
}

/// Runs one reading statement; its rows come as they are computed.
pub async fn stream(context: &SessionContext, sql: &str) -> Result<SendableRecordBatchStream, LakeError> {
    let frame = plan(context, sql).await?;
    frame.execute_stream().await.map_err(|error| readable(&error))
}

/// Plans one reading statement.
pub async fn plan(context: &SessionContext, sql: &str) -> Result<DataFrame, LakeError> {
    let plan = context.state().create_logical_plan(sql).await.map_err(|error| readable(&error))?;
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(&plan).map_err(|error| LakeError::NotReading { statement: statement_of(&error) })?;
    context.execute_logical_plan(plan).await.map_err(|error| readable(&error))
}

/// DataFusion says `DML not supported: Insert Into`; what comes last is the statement.
fn statement_of(error: &DataFusionError) -> String {
    let text = error.find_root().to_string();
    text.rsplit(": ").next().unwrap_or(&text).trim().to_owned()
}

fn context() -> Result<SessionContext, LakeError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = SessionConfig::new().with_target_partitions(cores).with_information_schema(true);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(QUERY_MEMORY_BYTES_MAX)))
        .build_arc()
        .map_err(|error| LakeError::Query { message: format!("the query engine cannot start: {error}") })?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// Registers a table; returns whether it exists.
async fn register(context: &SessionContext, location: &Location, id: TableId) -> Result<bool, LakeError> {
    let Some(table) = location.load(id).await? else {
        let empty = Arc::new(EmptyTable::new(id.schema()));
        context.register_table(id.name(), empty).map_err(|error| readable(&error))?;
        return Ok(false);
    };
    let state = context.state();
    table.update_datafusion_session(&state).map_err(LakeError::table(id, "opening its storage"))?;
    let provider = table.table_provider().with_session(Arc::new(state)).await.map_err(|error| readable(&error))?;
    context.register_table(id.name(), provider).map_err(|error| readable(&error))?;
    Ok(true)
}

async fn register_views(context: &SessionContext) -> Result<(), LakeError> {
    for view in VIEWS {
        let frame = context.sql(view.sql).await.map_err(|error| readable(&error))?;
        context.register_table(view.name, frame.into_view()).map_err(|error| readable(&error))?;
    }
    Ok(())
}

/// The names of all tables and views.
pub fn names() -> Vec<&'static str> {
    TableId::ALL.into_iter().map(TableId::name).chain(VIEWS.iter().map(|view| view.name)).collect()
}

/// Says what DataFusion found without its layers, and which tables there are where one was not found.
pub(super) fn readable(error: &DataFusionError) -> LakeError {
    let text = error.find_root().strip_backtrace();
    let missing = text.split_once("table '").and_then(|(_, rest)| rest.split_once("' not found"));
    let message = match missing {
        Some((name, _)) => {
            let name = name.rsplit('.').next().unwrap_or(name);
            format!("there is no table {name}. There are: {}", names().join(", "))
        }
        None => text,
    };
    LakeError::Query { message }
}
