//! Decides how a secured test broker knows its clients: SCRAM users, unsecured bearer tokens, and certificates made anew
//! for each cluster.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Someone whom a secured broker knows.
pub struct User {
    /// The name, also of the certificate: `User:award`.
    pub name: &'static str,
    /// The SCRAM password.
    pub password: &'static str,
}

/// One user for each role that has rights of its own, and one that is never given any.
pub fn users() -> &'static [User] {
    const USERS: [User; 7] = [
        User { name: "award", password: "award-secret" },
        User { name: "lake", password: "lake-secret" },
        User { name: "clock", password: "clock-secret" },
        User { name: "gateway", password: "gateway-secret" },
        User { name: "replay", password: "replay-secret" },
        User { name: "topics", password: "topics-secret" },
        User { name: "nobody", password: "nobody-secret" },
    ];
    &USERS
}

/// The files that clients of a secured cluster need, in PEM.
pub struct Secured {
    folder: PathBuf,
    broker: String,
}

impl Secured {
    /// Makes an authority, a certificate for the brokers, and one for each user.
    pub fn make(folder: &Path) -> Secured {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "Ayumi tests");
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        fs::write(folder.join("ca.pem"), authority_certificate.pem()).unwrap();
        let issuer = Issuer::new(authority, authority_key);

        let certify = |name: &str, addresses: &[String]| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(addresses).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &issuer).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        for user in users() {
            let (certificate, key) = certify(user.name, &[]);
            fs::write(folder.join(format!("{}-certificate.pem", user.name)), certificate).unwrap();
            fs::write(folder.join(format!("{}-key.pem", user.name)), key).unwrap();
        }
        // Kafka wants key and certificate in one file.
        let (certificate, key) = certify("broker", &["127.0.0.1".to_owned(), "localhost".to_owned()]);
        Secured { folder: folder.to_owned(), broker: key + &certificate }
    }

    /// The authority that signed everything.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A user's certificate.
    pub fn certificate(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}-certificate.pem"))
    }

    /// The key of a user's certificate.
    pub fn key(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}-key.pem"))
    }
}

/// What a broker needs to serve its secured listeners and to let nobody do what they have no right to.
pub fn broker_settings(secured: &Secured) -> Vec<(&'static str, String)> {
    let keystore = secured.folder.join("broker.pem");
    fs::write(&keystore, &secured.broker).unwrap();
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    // Unsecured tokens are for tests: the broker believes whatever name they carry.
    let bearer = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                  unsecuredLoginStringClaim_sub=\"broker\";";
    let mut settings = vec![
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
        ("super.users", "User:ANONYMOUS".to_owned()),
        ("allow.everyone.if.no.acl.found", "false".to_owned()),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512,OAUTHBEARER".to_owned()),
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", keystore.display().to_string()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", secured.ca().display().to_string()),
        ("listener.name.tls.ssl.client.auth", "required".to_owned()),
        ("ssl.principal.mapping.rules", "RULE:^CN=([^,]+).*$/$1/".to_owned()),
    ];
    settings.extend([
        ("listener.name.sasl.scram-sha-512.sasl.jaas.config", scram.to_owned()),
        ("listener.name.sasl_tls.scram-sha-512.sasl.jaas.config", scram.to_owned()),
        ("listener.name.sasl.oauthbearer.sasl.jaas.config", bearer.to_owned()),
        ("listener.name.sasl_tls.oauthbearer.sasl.jaas.config", bearer.to_owned()),
    ]);
    settings
}
