//! Decides how the tests get a real schema registry that speaks Confluent's REST protocol: Apicurio Registry, in memory.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::maven::{fetched, needed};

/// The last release that runs on Java 17.
const ARTIFACT: &str = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all";
const RUNNER: &str = "apicurio-registry-app-2.6.13.Final-runner.jar";
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A registry process, ended when dropped.
pub struct Registry {
    process: Child,
    url: String,
}

impl Registry {
    /// Starts an empty one and waits until it serves.
    pub fn start() -> Registry {
        let folder = fetched("apicurio-registry-2.6.13", ARTIFACT, |contents| {
            let unpack = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack";
            let into = format!("-DoutputDirectory={}", contents.display());
            vec![unpack.to_owned(), format!("-Dartifact={ARTIFACT}"), into]
        });
        let mut command = Command::new("java");
        command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]);
        command.args(["-Dquarkus.http.port=0", "-jar"]).arg(folder.join(RUNNER));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = needed(command.spawn(), "java");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (listening, address) = mpsc::channel();
        std::thread::spawn(move || {
            // Read to the end, or the process would stand still once the pipe is full.
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("Listening on: ") {
                    _ = listening.send(address.trim().to_owned());
                }
            }
        });
        let Ok(address) = address.recv_timeout(START_TIMEOUT) else {
            _ = process.kill();
            panic!("the schema registry did not start");
        };
        Registry { process, url: format!("{address}/apis/ccompat/v7") }
    }

    /// Where it speaks Confluent's protocol.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
