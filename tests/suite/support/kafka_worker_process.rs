//! Decides how tests run a Kafka worker as a process of its own, so that it can be killed: this test program once more, with
//! a single test that is the worker. What happens to it comes back as lines, and can be awaited.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jobs::kafka::config::{Config, KafkaConfig};
use jobs::kafka::owned::TransactionBounds;
use jobs::kafka::worker::{self, WorkerEvent, WorkerSettings};

use super::counting::Counting;

const VARIABLE: &str = "AYUMI_TEST_WORKER";
const LINE_START: &str = "worker: ";

/// Which worker of which group.
#[derive(Clone, Debug)]
pub struct WorkerPlace {
    /// The cluster's address.
    pub brokers: String,
    /// Group and prefix of the topics.
    pub name: String,
    /// The worker's id.
    pub instance: String,
    /// Its state.
    pub folder: PathBuf,
}

/// The configuration that a test's clients use.
pub fn kafka_config(brokers: &str, name: &str) -> KafkaConfig {
    let flags = [
        ("kafka.brokers", brokers.to_owned()),
        ("kafka.topic_prefix", format!("{name}.")),
        ("kafka.group_id", name.to_owned()),
    ];
    let mut kafka = Config::parse("", "", &[], &flags).unwrap().kafka;
    // The least that brokers allow: a worker that is suspended is soon given up.
    kafka.librdkafka.push(("session.timeout.ms".to_owned(), "6000".to_owned()));
    kafka
}

/// A running worker process. Killed when dropped.
pub struct WorkerProcess {
    process: Child,
    lines: Receiver<String>,
    /// When it was started.
    pub started_at: Instant,
}

impl WorkerProcess {
    /// Starts one; `test` is the full name of the test that calls [`run_if_asked`].
    pub fn start(test: &str, place: &WorkerPlace) -> WorkerProcess {
        let WorkerPlace { brokers, name, instance, folder } = place;
        let place = format!("{brokers} {name} {instance} {}", folder.display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(VARIABLE, place);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(event) = line.split(LINE_START).nth(1) {
                    _ = sender.send(event.to_owned());
                }
            }
        });
        WorkerProcess { process, lines, started_at: Instant::now() }
    }

    /// Waits for a line that begins so, and gives what follows.
    pub fn await_line(&self, start: &str) -> String {
        self.await_line_within(start, Duration::from_secs(90))
    }

    /// As [`WorkerProcess::await_line`], for so long.
    pub fn await_line_within(&self, start: &str, timeout: Duration) -> String {
        let until = Instant::now() + timeout;
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                panic!("no `{start}` within {timeout:?}, but {seen:?}");
            };
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
            seen.push(line);
        }
    }

    /// Lines so far, without waiting.
    pub fn lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Suspends it, or lets it go on.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Asks it to stop, and waits until it has; gives how long that took, and its last lines.
    pub fn stop(mut self) -> (Duration, Vec<String>) {
        let began = Instant::now();
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
        (began.elapsed(), self.lines.iter().collect())
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Is the worker, in a process that was started to be one; else does nothing.
pub fn run_if_asked() {
    let Ok(place) = std::env::var(VARIABLE) else { return };
    let [brokers, name, instance, folder] = place.split(' ').collect::<Vec<_>>()[..] else { panic!("{place}") };
    let stop = Arc::new(AtomicBool::new(false));
    stop_at_end_of_input(&stop);
    let result = worker::run::<Counting>(settings(brokers, name, instance, Path::new(folder)), stop);
    match result {
        Ok(()) => say("ended"),
        Err(error) => say(&format!("stopped: {error}")),
    }
}

/// The settings of a worker with small bounds, so that everything happens often.
pub fn settings(brokers: &str, name: &str, instance: &str, folder: &Path) -> WorkerSettings<()> {
    std::fs::create_dir_all(folder).unwrap();
    WorkerSettings {
        kafka: kafka_config(brokers, name),
        instance_id: instance.to_owned(),
        folder: folder.to_owned(),
        database: fjall::Database::builder(folder.join("store")).open().unwrap(),
        bounds: TransactionBounds {
            commit_interval: Duration::from_millis(50),
            idle_interval: Duration::from_millis(5),
            input_bytes_max: 64 << 10,
        },
        overlay_bytes_max: 1 << 20,
        flush_interval: Duration::from_secs(1),
        processing: (),
        observer: Arc::new(|event| say(&line_of(event))),
    }
}

fn line_of(event: &WorkerEvent<'_>) -> String {
    match event {
        WorkerEvent::Restored { partition, records } => format!("restored {partition} {records}"),
        WorkerEvent::Assigned { partitions, took } => format!("assigned {partitions:?} after {took:?}"),
        WorkerEvent::Revoked { partitions, is_lost } => format!("revoked {partitions:?} lost {is_lost}"),
        WorkerEvent::Committed { records, took } => format!("committed {records} in {took:?}"),
        WorkerEvent::Restarted { reason } => format!("restarted: {reason}"),
        WorkerEvent::Noted { what } => format!("noted: {what}"),
    }
}

fn say(line: &str) {
    // One write, as other threads print too.
    use std::io::Write;
    _ = std::io::stdout().lock().write_all(format!("\n{LINE_START}{line}\n").as_bytes());
}

/// The parent's end of the pipe closes when the parent asks for it, and when the parent dies.
fn stop_at_end_of_input(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.store(true, Ordering::Release);
    });
}
