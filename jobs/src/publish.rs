//! Decides which programme versions a data folder has: each is written once, as text, into every partition.

use std::path::{Path, PathBuf};

use pipeline::programme::Programme;
use schemas::ProgrammeRecord;
use thiserror::Error;

use crate::producer::Producer;
use crate::transport::TransportError;
use crate::transport::local::Local;

/// The programmes that come with Ayumi: file and text.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("programmes/hirosaki/programme.toml", include_str!("../../programmes/hirosaki/programme.toml")),
    ("programmes/iwamizawa/programme.toml", include_str!("../../programmes/iwamizawa/programme.toml")),
    ("programmes/kunitachi/programme.toml", include_str!("../../programmes/kunitachi/programme.toml")),
];

/// Why a programme can't be published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The file says something that is no programme.
    #[error("{0}")]
    Refused(String),
    /// The file can't be read.
    #[error("{path} can't be read: {source}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The version is out already, with another text.
    #[error(
        "{file}: version {version} of {programme} is published already with another text; give it the next version number and an effective_on after the last closed day"
    )]
    Changed {
        /// The file.
        file: String,
        /// The programme.
        programme: String,
        /// The version.
        version: u32,
    },
    /// The folder has no programme.
    #[error("{0} has no */programme.toml")]
    None(PathBuf),
    /// The embedded log.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Publishes the programmes of a folder, or the built-in ones, unless they are published.
pub fn publish(local: &Local, producer: &mut Producer, folder: Option<&Path>) -> Result<(), PublishError> {
    for (file, source) in files(folder)? {
        let programme = parse(&file, &source)?;
        let key = format!("programme/{}/{}", programme.id, programme.version);
        match local.progress(&key)? {
            Some(known) if known == source.as_bytes() => continue,
            Some(_) => {
                return Err(PublishError::Changed {
                    file,
                    programme: programme.id.to_string(),
                    version: programme.version,
                });
            }
            None => {}
        }
        let record = ProgrammeRecord {
            id: &programme.id,
            version: programme.version,
            effective_on: programme.effective_on,
            source: &source,
        };
        let mut payload = Vec::new();
        schemas::encode_programme(&record, &mut payload);
        producer.broadcast(&payload);
        producer.note(&key, source.into_bytes());
    }
    Ok(producer.append()?)
}

/// The programme files of a folder, or the built-in ones: name and text.
pub fn files(folder: Option<&Path>) -> Result<Vec<(String, String)>, PublishError> {
    match folder {
        Some(folder) => read_folder(folder),
        None => Ok(BUILT_IN.map(|(file, source)| (file.to_owned(), source.to_owned())).to_vec()),
    }
}

/// The most days after a fact's arrival that something of a programme can fall due by itself.
pub fn due_days_max(programme: &Programme) -> u32 {
    let freeze = programme.baseline.as_ref().map_or(0, |baseline| baseline.days + baseline.freeze_days_max);
    let posting = programme.rules.iter().map(|rule| rule.posting_delay_days).max().unwrap_or(0);
    freeze.max(posting).max(programme.park_days_max) + 1
}

/// Reads a programme's text, or says all that is wrong with it.
pub fn parse(file: &str, source: &str) -> Result<Programme, PublishError> {
    schemas::programme_file::parse(source).map_err(|problems| {
        let shown: Vec<String> = problems.iter().map(|problem| problem.shown(file, source)).collect();
        PublishError::Refused(shown.join("\n"))
    })
}

fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, PublishError> {
    let unreadable = |path: &Path, source| PublishError::Unreadable { path: path.to_owned(), source };
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))?;
    for entry in entries {
        let path = entry.map_err(|source| unreadable(folder, source))?.path().join("programme.toml");
        if path.is_file() {
            let source = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
            files.push((path.to_string_lossy().into_owned(), source));
        }
    }
    files.sort();
    if files.is_empty() { Err(PublishError::None(folder.to_owned())) } else { Ok(files) }
}
