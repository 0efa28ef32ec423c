//! Decides how connections to Kafka are secured, and what must be given together: a login with its mechanism, a
//! certificate with its key.

use std::path::PathBuf;

use super::TEXT;
use super::secret::Secret;
use super::sources::{Form, Place, Sources};

/// How connections to the brokers are secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Not at all.
    #[default]
    Plaintext,
    /// TLS; who the client is says its certificate, if it has one.
    Ssl,
    /// A login, over a connection that anyone can read.
    SaslPlaintext,
    /// A login over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    const NAMES: [(&'static str, SecurityProtocol); 4] = [
        ("plaintext", SecurityProtocol::Plaintext),
        ("ssl", SecurityProtocol::Ssl),
        ("sasl_plaintext", SecurityProtocol::SaslPlaintext),
        ("sasl_ssl", SecurityProtocol::SaslSsl),
    ];

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, protocol)| *protocol == self).map_or("plaintext", |(name, _)| name)
    }

    /// Whether connections are encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
    }

    fn has_login(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }
}

/// Certificates, all in PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The authority that signed the brokers' certificates, if it is none that the system knows.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// What the key is encrypted with.
    pub key_password: Option<Secret>,
}

/// A login.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// Kafka's name of the mechanism.
    pub mechanism: &'static str,
    /// Who logs in.
    pub login: SaslLogin,
}

/// Who logs in.
#[derive(Clone, Debug)]
pub enum SaslLogin {
    /// SCRAM or PLAIN.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// OAUTHBEARER.
    Token(TokenSource),
}

/// Where bearer tokens come from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// A file that something else keeps fresh. It is read again before the token in it expires.
    File(PathBuf),
    /// An OAuth 2 token endpoint, asked with client credentials.
    Endpoint {
        /// Its address.
        url: String,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// What is asked for, if anything in particular.
        scope: Option<String>,
        /// The authority that signed the endpoint's certificate, if it is none that the system knows.
        ca_file: Option<PathBuf>,
    },
}

const PROTOCOL: Form<SecurityProtocol> = Form {
    belongs: "plaintext, ssl, sasl_plaintext or sasl_ssl",
    example: "\"sasl_ssl\"",
    read: |text| {
        SecurityProtocol::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, protocol)| *protocol)
    },
};

const MECHANISM: Form<&'static str> = Form {
    belongs: "SCRAM-SHA-512, SCRAM-SHA-256, OAUTHBEARER or PLAIN",
    example: "\"SCRAM-SHA-512\"",
    read: |text| ["SCRAM-SHA-512", "SCRAM-SHA-256", "OAUTHBEARER", "PLAIN"].into_iter().find(|name| *name == text),
};

const TOKEN_ENDPOINT: Form<String> = Form {
    belongs: "an https address (http only on this machine, since the client's secret is sent there)",
    example: "\"https://login.example/oauth2/token\"",
    read: |text| {
        let url = url::Url::parse(text).ok()?;
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        (url.scheme() == "https" || (url.scheme() == "http" && is_here)).then(|| text.to_owned())
    },
};

/// Reads all that concerns security.
pub(super) fn read(sources: &mut Sources<'_>) -> (SecurityProtocol, Tls, Option<Sasl>) {
    let protocol = sources.optional("kafka.security_protocol", &PROTOCOL);
    let place = protocol.as_ref().map_or(Place::Absent, |found| found.place.clone());
    let protocol = protocol.map_or(SecurityProtocol::default(), |found| found.value);
    let tls = tls(sources, protocol);
    let sasl = sasl(sources, protocol, &place);
    (protocol, tls, sasl)
}

fn tls(sources: &mut Sources<'_>, protocol: SecurityProtocol) -> Tls {
    let ca_file = sources.file("kafka.tls.ca_file");
    let certificate = sources.file("kafka.tls.certificate_file");
    let key = sources.file("kafka.tls.key_file");
    let key_password = sources.secret("kafka.tls.key_password", "kafka.tls.key_password_file");
    let given = [&ca_file, &certificate, &key].into_iter().flatten().next().map(|found| found.place.clone());
    if let Some(place) = given.filter(|_| !protocol.has_tls()) {
        let fix = "set `kafka.security_protocol` to \"ssl\" or \"sasl_ssl\", or remove [kafka.tls]";
        let message = format!("certificates are given, but the connection is {}", protocol.name());
        sources.add(&place, "kafka.tls", &message, fix);
    }
    if let (Some(found), None) | (None, Some(found)) = (&certificate, &key) {
        let fix = "give both `kafka.tls.certificate_file` and `kafka.tls.key_file`, or neither";
        sources.add(&found.place, "kafka.tls", "a certificate and its key belong together", fix);
    }
    Tls {
        ca_file: ca_file.map(|found| found.value),
        certificate: certificate.zip(key).map(|(certificate, key)| (certificate.value, key.value)),
        key_password,
    }
}

fn sasl(sources: &mut Sources<'_>, protocol: SecurityProtocol, at: &Place) -> Option<Sasl> {
    let mechanism = sources.optional("kafka.sasl.mechanism", &MECHANISM);
    let username = sources.optional("kafka.sasl.username", &TEXT);
    let password = sources.secret("kafka.sasl.password", "kafka.sasl.password_file");
    let token = token(sources);
    let Some(mechanism) = mechanism else {
        if protocol.has_login() {
            let message = format!("{} needs a login, and `kafka.sasl.mechanism` is missing", protocol.name());
            sources.add(at, "", &message, "add `mechanism = \"SCRAM-SHA-512\"` to [kafka.sasl]");
        }
        return None;
    };
    if !protocol.has_login() {
        let message = format!("a login is given, but the connection is {}", protocol.name());
        let fix = "set `kafka.security_protocol` to \"sasl_ssl\", or remove [kafka.sasl]";
        sources.add(&mechanism.place, "", &message, fix);
    }
    if mechanism.value == "PLAIN" && protocol == SecurityProtocol::SaslPlaintext {
        let message = "PLAIN would send the password where anyone can read it";
        sources.add(&mechanism.place, "", message, "use sasl_ssl, or SCRAM-SHA-512");
    }
    let login = match (mechanism.value, username, password, token) {
        ("OAUTHBEARER", _, _, Some(token)) => SaslLogin::Token(token),
        ("OAUTHBEARER", ..) => {
            let fix = "add `token_file`, or `token_endpoint`, `client_id` and `client_secret_file`, to [kafka.sasl]";
            sources.add(&mechanism.place, "", "OAUTHBEARER without a token", fix);
            return None;
        }
        (_, Some(username), Some(password), _) => SaslLogin::Password { username: username.value, password },
        (name, ..) => {
            let message = format!("{name} without name and password");
            let fix = "add `username` and `password_file` to [kafka.sasl], or set AYUMI_KAFKA_SASL_USERNAME and \
                       AYUMI_KAFKA_SASL_PASSWORD";
            sources.add(&mechanism.place, "", &message, fix);
            return None;
        }
    };
    Some(Sasl { mechanism: mechanism.value, login })
}

fn token(sources: &mut Sources<'_>) -> Option<TokenSource> {
    let file = sources.file("kafka.sasl.token_file");
    let endpoint = sources.optional("kafka.sasl.token_endpoint", &TOKEN_ENDPOINT);
    let client_id = sources.optional("kafka.sasl.client_id", &TEXT);
    let client_secret = sources.secret("kafka.sasl.client_secret", "kafka.sasl.client_secret_file");
    let scope = sources.optional("kafka.sasl.scope", &TEXT);
    let ca_file = sources.file("kafka.sasl.token_endpoint_ca_file");
    let Some(endpoint) = endpoint else {
        return file.map(|found| TokenSource::File(found.value));
    };
    if let Some(file) = file {
        let fix = "remove one of them";
        sources.add(&file.place, "", "both `token_file` and `token_endpoint` are given", fix);
        return None;
    }
    let (Some(client_id), Some(client_secret)) = (client_id, client_secret) else {
        let fix = "add `client_id` and `client_secret_file` to [kafka.sasl]";
        sources.add(&endpoint.place, "", "a token endpoint without client credentials", fix);
        return None;
    };
    Some(TokenSource::Endpoint {
        url: endpoint.value,
        client_id: client_id.value,
        client_secret,
        scope: scope.map(|found| found.value),
        ca_file: ca_file.map(|found| found.value),
    })
}
