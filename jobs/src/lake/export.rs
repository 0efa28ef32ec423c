//! Decides how the lake is handed to tools that do not read Delta: one Parquet file a table and view, and the dictionary.
//!
//! The snapshot is made in a folder beside its own and renamed when it is whole: who finds it finds all of it. All
//! tables are read as of one moment before the first is written.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::LakeError;
use super::output::Format;
use super::{dictionary, query};

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The table or view.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

/// Writes a snapshot of the lake at a URL or path into `out_dir`, which must not exist or be empty: `entries.parquet`
/// and its siblings, `data-dictionary.json` and `data-dictionary.md`.
pub async fn export(url: &str, out_dir: &Path) -> Result<Vec<Exported>, LakeError> {
    refuse_occupied(out_dir)?;
    let session = query::session(url).await?;
    let partial = partial_name(out_dir);
    // What lies there is of an export that was cut off.
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(file("removing an unfinished export", &partial))?;
    }
    fs::create_dir_all(&partial).map_err(file("making the folder", &partial))?;
    let mut exported = Vec::new();
    for table in query::names() {
        let path = partial.join(format!("{table}.parquet"));
        let mut out = BufWriter::new(File::create(&path).map_err(file("creating", &path))?);
        let rows = query::run(&session, &format!("SELECT * FROM {table}"), Format::Parquet, &mut out).await?;
        settle(out, &path)?;
        exported.push(Exported { table, rows });
    }
    write_dictionary(&partial).await?;
    if out_dir.exists() {
        fs::remove_dir(out_dir).map_err(file("replacing the empty folder", out_dir))?;
    }
    fs::rename(&partial, out_dir).map_err(file("renaming the finished export to", out_dir))?;
    Ok(exported)
}

async fn write_dictionary(folder: &Path) -> Result<(), LakeError> {
    let described = dictionary::describe().await?;
    let json = serde_json::to_string_pretty(&described)
        .map_err(|error| LakeError::Output { format: "json", problem: error.to_string() })?;
    for (name, text) in
        [("data-dictionary.json", json + "\n"), ("data-dictionary.md", dictionary::markdown(&described))]
    {
        let path = folder.join(name);
        let mut out = BufWriter::new(File::create(&path).map_err(file("creating", &path))?);
        out.write_all(text.as_bytes()).map_err(file("writing", &path))?;
        settle(out, &path)?;
    }
    Ok(())
}

/// Brings a file to the disk: a rename must not outlive what it names.
fn settle(out: BufWriter<File>, path: &Path) -> Result<(), LakeError> {
    let written = out.into_inner().map_err(|error| file("writing", path)(error.into_error()))?;
    written.sync_all().map_err(file("writing", path))
}

fn refuse_occupied(out_dir: &Path) -> Result<(), LakeError> {
    let is_occupied = match fs::read_dir(out_dir) {
        Ok(mut files) => files.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(file("looking into", out_dir)(error)),
    };
    if is_occupied {
        let full = std::io::Error::other("it is not empty; give a folder that does not exist yet");
        return Err(file("exporting to", out_dir)(full));
    }
    Ok(())
}

fn partial_name(out_dir: &Path) -> PathBuf {
    let name = out_dir.file_name().map_or_else(|| "export".into(), |name| name.to_string_lossy());
    out_dir.with_file_name(format!(".{name}.partial"))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LakeError {
    let path = path.to_owned();
    move |source| LakeError::File { action, path, source }
}
