//! Decides how a bearer token is obtained for OAUTHBEARER: from a file that something else keeps fresh, or from an OAuth 2
//! token endpoint with client credentials (RFC 6749, section 4.4).
//!
//! librdkafka asks for a token when it connects and again after four fifths of its lifetime, on the thread that polls the
//! client; so an endpoint has [`ANSWER_TIMEOUT`] to answer. librdkafka's own way to such an endpoint would bring a second
//! HTTP client, in C.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use thiserror::Error;

use super::config::TokenSource;
use super::http;

/// How long a token endpoint may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A bearer token, and what the client must know of it.
pub struct Token {
    /// The token as it is sent.
    pub text: String,
    /// Whom it stands for.
    pub principal: String,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_millis: i64,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// librdkafka asks for one, but none is configured.
    #[error("no token is configured; add `token_file` or `token_endpoint` to [kafka.sasl]")]
    NotConfigured,
    /// The file can't be read.
    #[error("the token file {path} can't be read: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The endpoint did not give one.
    #[error("the token endpoint {url} gives no token: {detail}")]
    Endpoint {
        /// Its address.
        url: String,
        /// What it said, without any secret.
        detail: String,
    },
    /// It is none that says when it ends.
    #[error("the token is no JWT with `exp` and `sub`: {0}")]
    Form(String),
}

/// What is read of a token endpoint's answer. The rest stands in the token.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
}

/// What is read of a token.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    sub: String,
}

/// Reads or fetches a token. May block for [`ANSWER_TIMEOUT`]; not to be called from asynchronous code.
///
/// # Errors
///
/// Why there is none. Never shows a secret or the token.
pub fn obtain(source: &TokenSource) -> Result<Token, TokenError> {
    let text = match source {
        TokenSource::File(path) => read(path)?,
        TokenSource::Endpoint { .. } => fetch(source)?,
    };
    let claims = claims(&text)?;
    Ok(Token { text, principal: claims.sub, expires_at_millis: (claims.exp * 1000.0) as i64 })
}

fn read(path: &Path) -> Result<String, TokenError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| TokenError::File { path: path.display().to_string(), source })?;
    Ok(text.trim().to_owned())
}

fn fetch(source: &TokenSource) -> Result<String, TokenError> {
    let TokenSource::Endpoint { url, client_id, client_secret, scope, ca_file } = source else {
        return Err(TokenError::NotConfigured);
    };
    let failed = |detail: String| TokenError::Endpoint { url: url.clone(), detail };
    let client = http::client(ca_file.as_deref(), ANSWER_TIMEOUT).map_err(|error| failed(error.to_string()))?;
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(scope.as_deref().map(|scope| ("scope", scope)));
    let request = client.post(url).basic_auth(client_id, Some(client_secret.expose())).form(&form);
    let response = request.send().map_err(|error| failed(http::reason(error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(failed(format!("it answers {status}; check `client_id`, `client_secret_file` and `scope`")));
    }
    let answer: Answer = response.json().map_err(|error| failed(http::reason(error)))?;
    Ok(answer.access_token)
}

/// What a JWT says of itself. The broker is who checks it.
fn claims(token: &str) -> Result<Claims, TokenError> {
    let payload = token.split('.').nth(1).ok_or_else(|| TokenError::Form("it has no second part".to_owned()))?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
    let json = json.map_err(|error| TokenError::Form(format!("its second part is not base64: {error}")))?;
    serde_json::from_slice(&json).map_err(|error| TokenError::Form(error.to_string()))
}
