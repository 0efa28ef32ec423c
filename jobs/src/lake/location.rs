//! Decides where a lake's tables lie: a folder each, named like the table, under one root.

use std::path::{Path, absolute};

use deltalake_core::{DeltaTable, DeltaTableBuilder};
use url::Url;

use super::error::LakeError;
use super::tables::TableId;

/// The root of a lake.
#[derive(Clone, Debug)]
pub(super) struct Location(Url);

impl Location {
    /// Takes a URL, or the path of a folder that need not exist.
    pub fn parse(text: &str) -> Result<Location, LakeError> {
        let refuse = |problem: String| LakeError::Location { location: text.to_owned(), problem };
        // A one-letter scheme is a drive of Windows.
        let mut url = match Url::parse(text) {
            Ok(url) if url.scheme().len() > 1 => url,
            _ if text.is_empty() => return Err(refuse("it is empty".to_owned())),
            _ => {
                let path = absolute(Path::new(text)).map_err(|error| refuse(error.to_string()))?;
                Url::from_directory_path(&path).map_err(|()| refuse("it is not a path".to_owned()))?
            }
        };
        if url.cannot_be_a_base() {
            return Err(refuse("tables cannot lie under it".to_owned()));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Location(url))
    }

    /// The location as a URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A handle on one table, which may not exist and is not loaded.
    pub fn table(&self, table: TableId) -> Result<DeltaTable, LakeError> {
        let refuse = |problem: String| LakeError::Location { location: self.0.to_string(), problem };
        let url = self.0.join(&format!("{}/", table.name())).map_err(|error| refuse(error.to_string()))?;
        DeltaTableBuilder::from_url(url)
            .and_then(DeltaTableBuilder::build)
            .map_err(LakeError::table(table, "finding its storage"))
    }

    /// The table, loaded as it is now; `None` if it does not exist.
    pub async fn load(&self, table: TableId) -> Result<Option<DeltaTable>, LakeError> {
        let mut handle = self.table(table)?;
        let is_there = handle.verify_deltatable_existence().await.map_err(LakeError::table(table, "looking for it"))?;
        if !is_there {
            return Ok(None);
        }
        handle.load().await.map_err(LakeError::table(table, "reading its log"))?;
        Ok(Some(handle))
    }

    /// Makes the folder of a table where the storage has folders.
    pub fn make_folder(&self, table: TableId) -> Result<(), LakeError> {
        let Ok(root) = self.0.to_file_path() else { return Ok(()) };
        let path = root.join(table.name());
        std::fs::create_dir_all(&path).map_err(|source| LakeError::File { action: "making the folder", path, source })
    }
}
