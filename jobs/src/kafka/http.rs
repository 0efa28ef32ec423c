//! Decides how Ayumi speaks HTTP to others than Kafka: with a limit of time, and with an authority of one's own if need
//! be. Blocking, for threads without an asynchronous runtime.

use std::path::Path;
use std::time::Duration;

use reqwest::Certificate;
use reqwest::blocking::Client;
use thiserror::Error;

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The authority's file.
    #[error("{path} can't be used as an authority: {detail}; it must hold certificates in PEM")]
    Authority {
        /// The file.
        path: String,
        /// Why not.
        detail: String,
    },
    /// Anything else.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// A client whose requests end after `timeout`.
///
/// # Errors
///
/// If the authority's file can't be used.
pub fn client(ca_file: Option<&Path>, timeout: Duration) -> Result<Client, HttpError> {
    let mut builder = Client::builder().timeout(timeout);
    if let Some(path) = ca_file {
        let wrong = |detail: String| HttpError::Authority { path: path.display().to_string(), detail };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(reason(error)))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| HttpError::Client(reason(error)))
}

/// What went wrong, to its root: the outermost error says only that something did.
pub fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
