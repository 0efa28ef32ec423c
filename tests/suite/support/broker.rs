//! Decides how the tests get a real Kafka: one broker, or several of one cluster, as processes of their own that can be
//! killed and started again.
//!
//! Guarantees: ports and folders of its own, so that test runs do not meet; a broker that is handed out answers; whatever
//! way the test process ends, its brokers end and their folders go. What a broker wrote to its log is shown when it
//! fails to start. Needs Java 17, Maven and a POSIX shell.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use tempfile::TempDir;

use super::kafka_jars::java;
use super::kafka_security::{self, Secured};
use super::maven::needed;

/// How long a broker may take to start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Any cluster id does; it has to be 16 bytes in base64.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// What kind of cluster a test wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many brokers; each is a controller too.
    pub brokers: usize,
    /// Listeners with SASL and TLS besides the plain one, and an authorizer. The plain listener's client is a super user.
    pub is_secured: bool,
    /// Further lines of `server.properties`.
    pub settings: Vec<(&'static str, String)>,
    /// Memory of each broker, in MiB.
    pub heap_mib: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { brokers: 1, is_secured: false, settings: Vec::new(), heap_mib: 512 }
    }
}

/// A Kafka cluster on this machine, gone when dropped.
pub struct Cluster {
    nodes: Vec<Node>,
    /// What clients of a secured cluster need.
    pub secured: Option<Secured>,
    folder: PathBuf,
    // Before the folder: it is the watch that reads the processes' ids there.
    _watch: Watch,
    _directory: TempDir,
}

struct Node {
    id: usize,
    folder: PathBuf,
    ports: Ports,
    heap_mib: u32,
    process: Mutex<Option<Child>>,
}

/// The ports of one broker.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Without any security.
    pub plain: u16,
    /// Between controllers.
    pub controller: u16,
    /// SASL without TLS.
    pub sasl: u16,
    /// TLS, with a certificate asked of the client.
    pub tls: u16,
    /// SASL over TLS.
    pub sasl_tls: u16,
}

impl Cluster {
    /// One broker without security that all tests of this run share: use topics, groups and transactional ids of your own,
    /// see [`unique`]. Nobody may stop it.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start(&Options::default()))
    }

    /// One broker with all kinds of security that all tests of this run share.
    pub fn shared_secured() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start(&Options { is_secured: true, ..Options::default() }))
    }

    /// Formats the folders of a new cluster and starts its brokers, all at once.
    pub fn start(options: &Options) -> Cluster {
        let directory = TempDir::with_prefix("ayumi-kafka-").unwrap();
        let folder = directory.path().to_owned();
        let secured = options.is_secured.then(|| Secured::make(&folder));
        let ports: Vec<Ports> = (0..options.brokers).map(|_| Ports::free()).collect();
        let nodes: Vec<Node> = (0..options.brokers)
            .map(|index| {
                let id = index + 1;
                let folder = folder.join(format!("broker-{id}"));
                fs::create_dir(&folder).unwrap();
                let text = properties(options, id, &ports, &folder, secured.as_ref());
                fs::write(folder.join("server.properties"), text).unwrap();
                Node { id, folder, ports: ports[index], heap_mib: options.heap_mib, process: Mutex::default() }
            })
            .collect();
        let cluster = Cluster { nodes, secured, _watch: Watch::over(&folder), folder, _directory: directory };
        cluster.at_once(|node| {
            node.format(cluster.secured.is_some());
            node.start();
        });
        cluster
    }

    /// The addresses of the plain listeners, as `bootstrap.servers` takes them.
    pub fn brokers(&self) -> String {
        self.addresses(|ports| ports.plain)
    }

    /// The addresses of some kind of listener.
    pub fn addresses(&self, port: impl Fn(&Ports) -> u16) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", port(&node.ports))).collect::<Vec<_>>().join(",")
    }

    /// Kills a broker, from 1, as `kill -9` does. Its folder stays.
    pub fn kill(&self, id: usize) {
        self.node(id).kill();
    }

    /// Starts a broker again that was killed or stopped, on its old ports and data, and waits until it answers.
    pub fn restart(&self, id: usize) {
        let node = self.node(id);
        node.kill();
        node.start();
    }

    /// Asks a broker to stop, and waits until it has: a bounce without a crash.
    pub fn stop(&self, id: usize) {
        self.node(id).stop();
    }

    /// Suspends a broker, as a machine that hangs: its connections stay, nothing is answered.
    pub fn pause(&self, id: usize) {
        self.node(id).signal("STOP");
    }

    /// Lets a suspended broker go on.
    pub fn resume(&self, id: usize) {
        self.node(id).signal("CONT");
    }

    /// What a broker has written to its log.
    pub fn log(&self, id: usize) -> String {
        fs::read_to_string(self.node(id).folder.join("broker.log")).unwrap_or_default()
    }

    /// The CPU time that a broker has used since it was started last, user and system, in seconds.
    pub fn cpu_seconds(&self, id: usize) -> f64 {
        let Some(pid) = self.node(id).pid() else { return 0.0 };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in brackets may hold blanks; the clock ticks, a hundred a second, are the 14th and 15th field.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
        ticks as f64 / 100.0
    }

    /// Runs one of Kafka's own commands against the plain listener and gives what it printed.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let brokers = self.brokers();
        let mut command = java(&["-Xmx256m"], class);
        command.args(["--bootstrap-server", &brokers]).args(arguments);
        let output = needed(command.output(), "java");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{class} {arguments:?}\n{said}");
        said
    }

    fn node(&self, id: usize) -> &Node {
        self.nodes.iter().find(|node| node.id == id).unwrap()
    }

    fn at_once(&self, each: impl Fn(&Node) + Sync) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = self.nodes.iter().map(|node| scope.spawn(|| each(node))).collect();
            for thread in threads {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter().for_each(Node::kill);
        if std::thread::panicking() {
            eprintln!("the cluster was in {}", self.folder.display());
        }
    }
}

impl Node {
    fn format(&self, is_secured: bool) {
        let mut command = java(&["-Xmx128m"], "kafka.tools.StorageTool");
        command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(self.folder.join("server.properties"));
        if is_secured {
            kafka_security::users().iter().for_each(|user| {
                command
                    .arg("--add-scram")
                    .arg(format!("SCRAM-SHA-512=[name={},password={}]", user.name, user.password));
            });
        }
        let output = needed(command.output(), "java");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "broker {} can't be formatted:\n{}", self.id, String::from_utf8_lossy(&said));
    }

    /// Starts the process and waits for its own word that it serves.
    fn start(&self) {
        let heap = format!("-Xmx{}m", self.heap_mib);
        let mut command = java(&[&heap, "-Dorg.slf4j.simpleLogger.showDateTime=true"], "kafka.Kafka");
        command.arg(self.folder.join("server.properties")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = needed(command.spawn(), "java");
        fs::write(self.folder.join("pid"), process.id().to_string()).unwrap();
        let errors = process.stderr.take().unwrap();
        let log = File::options().create(true).append(true).open(self.folder.join("broker.log")).unwrap();
        *self.process.lock().unwrap() = Some(process);

        let (started, is_started) = mpsc::channel();
        std::thread::spawn(move || follow(BufReader::new(errors), log, &started));
        if is_started.recv_timeout(START_TIMEOUT).is_err() {
            self.kill();
            let log = fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(40).collect();
            panic!("broker {} did not start:\n{}", self.id, end.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }

    fn kill(&self) {
        self.end(|process| _ = process.kill());
    }

    fn stop(&self) {
        self.signal("TERM");
        self.end(|_| ());
    }

    /// Takes the process, ends it, and waits until it is gone.
    fn end(&self, end: impl FnOnce(&mut Child)) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            end(&mut process);
            _ = process.wait();
            _ = fs::remove_file(self.folder.join("pid"));
        }
    }

    fn signal(&self, name: &str) {
        if let Some(pid) = self.pid() {
            let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
            assert!(needed(status, "kill").success(), "broker {} could not be signalled", self.id);
        }
    }

    fn pid(&self) -> Option<u32> {
        self.process.lock().unwrap().as_ref().map(Child::id)
    }
}

/// Copies a broker's log to its file, and says when the broker is there. Ends with the process, which closes the channel.
fn follow(lines: impl BufRead, mut log: File, started: &mpsc::Sender<()>) {
    for line in lines.split(b'\n').map_while(Result::ok) {
        // After `KafkaRaftServer` has said so the broker is registered, unfenced and listens.
        if line.windows(b"Kafka Server started".len()).any(|part| part == b"Kafka Server started") {
            _ = started.send(());
        }
        _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
    }
}

/// A process that outlives this one by a moment: when this one is gone, whatever way, it kills the brokers and removes
/// their folder. What is shared by all tests lies in a static, and those are never dropped.
struct Watch {
    process: Child,
    // Closed by the operating system when this process ends.
    _alive: ChildStdin,
}

impl Watch {
    fn over(folder: &Path) -> Watch {
        // A signal to the whole group, as from a keyboard or a time limit, must leave the watch alive. A broker that is
        // being killed may still write, so the folder is removed twice.
        let script = r#"trap '' INT TERM HUP; cat >/dev/null
            for pid in "$1"/*/pid; do kill -9 "$(cat "$pid")"; done 2>/dev/null; rm -rf "$1" || rm -rf "$1""#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "watch"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = needed(command.spawn(), "sh");
        Watch { _alive: process.stdin.take().unwrap(), process }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Ports {
    fn free() -> Ports {
        let [plain, controller, sasl, tls, sasl_tls] = std::array::from_fn(|_| free_port());
        Ports { plain, controller, sasl, tls, sasl_tls }
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing connections: among those, a client that
/// keeps trying a broker that is away could be given the broker's own port.
fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT / 50)) as u16 * 50;
    loop {
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A name that no other test uses, on this or any shared broker.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The text of one broker's `server.properties`.
fn properties(options: &Options, id: usize, ports: &[Ports], folder: &Path, secured: Option<&Secured>) -> String {
    let own = ports[id - 1];
    let voters: Vec<String> =
        ports.iter().enumerate().map(|(at, ports)| format!("{}@127.0.0.1:{}", at + 1, ports.controller)).collect();
    let replication = options.brokers.min(3);
    let mut listeners = vec![("PLAINTEXT", "PLAINTEXT", own.plain)];
    if secured.is_some() {
        listeners.extend([
            ("SASL", "SASL_PLAINTEXT", own.sasl),
            ("TLS", "SSL", own.tls),
            ("SASL_TLS", "SASL_SSL", own.sasl_tls),
        ]);
    }
    let addresses = |listener: &(&str, &str, u16)| format!("{}://127.0.0.1:{}", listener.0, listener.2);
    let advertised: Vec<String> = listeners.iter().map(addresses).collect();
    let protocols: Vec<String> = listeners.iter().map(|(name, protocol, _)| format!("{name}:{protocol}")).collect();
    let mut lines = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", id.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", format!("{},CONTROLLER://127.0.0.1:{}", advertised.join(","), own.controller)),
        ("advertised.listeners", advertised.join(",")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listener.security.protocol.map", format!("CONTROLLER:PLAINTEXT,{}", protocols.join(","))),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("log.dirs", folder.join("data").display().to_string()),
        ("offsets.topic.replication.factor", replication.to_string()),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", replication.to_string()),
        ("transaction.state.log.min.isr", replication.min(2).to_string()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("min.insync.replicas", replication.min(2).to_string()),
        ("default.replication.factor", replication.to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        // A broker that was killed may come back as soon as its old session is over.
        ("broker.session.timeout.ms", "3000".to_owned()),
        ("broker.heartbeat.interval.ms", "500".to_owned()),
    ];
    if let Some(secured) = secured {
        lines.extend(kafka_security::broker_settings(secured));
    }
    lines.extend(options.settings.iter().cloned());
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        _ = writeln!(text, "{name}={value}");
        text
    })
}
