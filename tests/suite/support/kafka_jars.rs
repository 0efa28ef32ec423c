//! Decides which Kafka the tests run against, and how its programs are started.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::maven::fetched;

/// The release of Apache Kafka under test.
pub const KAFKA_VERSION: &str = "4.2.1";

/// What Maven is asked for: the broker, its command-line tools, and a logger that writes to standard error.
fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    [
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>".to_owned(),
        "<groupId>ayumi</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>"
            .to_owned(),
        "<dependencies>".to_owned(),
        dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        dependency("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
        dependency("org.slf4j", "slf4j-simple", "1.7.36"),
        "</dependencies></project>".to_owned(),
    ]
    .join("\n")
}

/// The class path of Kafka's jars, fetched if they are not there yet.
pub fn class_path() -> &'static str {
    static CLASS_PATH: OnceLock<String> = OnceLock::new();
    CLASS_PATH.get_or_init(|| {
        let pom = pom();
        let jars = fetched(&format!("kafka-{KAFKA_VERSION}"), &pom, |contents| {
            let file = contents.with_file_name("pom.xml");
            fs::write(&file, &pom).unwrap();
            let into = format!("-DoutputDirectory={}", contents.display());
            vec!["-f".to_owned(), file.display().to_string(), "dependency:copy-dependencies".to_owned(), into]
        });
        format!("{}/*", jars.display())
    })
}

/// A Java command that runs a class of Kafka's.
pub fn java(options: &[&str], class: &str) -> Command {
    let mut command = Command::new("java");
    // Short-lived processes that share the machine with what is being tested: little compiling, few threads.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command.args(options).args(["-cp", class_path(), class]).stdin(Stdio::null());
    command
}
