//! Decides which Kafka the tests run against and fetches it: the broker's jars from Maven Central, once for each user.
//!
//! Guarantees: two test runs at once fetch once, and a fetch that was cut short is begun anew. Needs `java` and `mvn` on
//! the path; without them a test fails and says so.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

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
    CLASS_PATH.get_or_init(|| format!("{}/*", fetch(&cache_folder(), &pom()).display()))
}

/// A Java command that runs a class of Kafka's.
pub fn java(heap: &[&str], class: &str) -> Command {
    let mut command = Command::new("java");
    // Short-lived processes that share two cores with what is being tested: little compiling, few threads.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command.args(heap).args(["-cp", class_path(), class]).stdin(Stdio::null());
    command
}

/// Starts a program that the tests need, or says how to get it.
pub fn needed<T>(result: std::io::Result<T>, program: &str) -> T {
    result.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            panic!("`{program}` is not on the path: the tests on a real Kafka need Java 17 and Maven")
        }
        _ => panic!("`{program}` could not be started: {error}"),
    })
}

fn cache_folder() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("ayumi").join(format!("kafka-{KAFKA_VERSION}"))
}

/// Fetches what the pom names into the folder, unless a complete fetch of the same pom is there.
fn fetch(folder: &Path, pom: &str) -> PathBuf {
    let jars = folder.join("jars");
    fs::create_dir_all(folder).unwrap();
    // Whoever comes second waits here, and then finds the marker. The lock goes with the file, also when a process dies.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|of| of == pom) {
        return jars;
    }
    _ = fs::remove_dir_all(&jars);
    fs::write(folder.join("pom.xml"), pom).unwrap();
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "-f"]).arg(folder.join("pom.xml")).arg("dependency:copy-dependencies");
    command.arg(format!("-DoutputDirectory={}", jars.display())).stdin(Stdio::null());
    let output = needed(command.output(), "mvn");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "Kafka's jars could not be fetched:\n{}", String::from_utf8_lossy(&said));
    fs::write(&complete, pom).unwrap();
    jars
}
