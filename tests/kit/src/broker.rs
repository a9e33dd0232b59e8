//! A broker process of a test: its own directory, a free port, killed when dropped.
//!
//! With `ONRUSH_TEST_BROKER=host:port` the tests that need no process of their own run against that
//! broker instead: a test that fails on Apache Kafka too is a fault of the test.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;
use tempfile::TempDir;

use crate::client::Client;
use crate::process;

/// How long a broker may take to start or to end before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// How to start one.
#[derive(Clone, Debug)]
pub struct Setup {
    binary: PathBuf,
    overrides: Vec<String>,
    arguments: Vec<String>,
    data: Option<PathBuf>,
    starts_with: Vec<String>,
    environment: Vec<(String, String)>,
    port: u16,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    setup: Setup,
    child: Option<Child>,
    address: SocketAddr,
    dir: Option<TempDir>,
}

/// How a broker that did not stay up ended.
#[derive(Debug)]
pub struct Refusal {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to both outputs.
    pub output: String,
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

impl Setup {
    /// The binary, with its defaults but for port and directory, and what `ONRUSH_TEST_OVERRIDES` sets
    /// (`key=value`, separated by spaces). Tests kill it many times in a row: it is told not to mind.
    #[must_use]
    pub fn new(binary: &str) -> Self {
        let overrides = std::env::var("ONRUSH_TEST_OVERRIDES").unwrap_or_default();
        let own = std::iter::once("onrush.crash.loop.limit=0".to_owned());
        Self {
            binary: binary.into(),
            overrides: own
                .chain(overrides.split_whitespace().map(str::to_owned))
                .collect(),
            arguments: Vec::new(),
            data: None,
            starts_with: Vec::new(),
            environment: Vec::new(),
            port: free_port(),
        }
    }

    /// Sets a config key, as `key=value`.
    #[must_use]
    pub fn set(mut self, key_and_value: &str) -> Self {
        self.overrides.push(key_and_value.to_owned());
        self
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Its log directory, instead of one beside its outputs.
    #[must_use]
    pub fn data(mut self, data: PathBuf) -> Self {
        self.data = Some(data);
        self
    }

    /// Config keys (`key=value`) of the starts from now on, over all others; those given here before are forgotten.
    pub fn start_with(&mut self, keys_and_values: &[&str]) {
        self.starts_with = keys_and_values.iter().map(|&o| o.to_owned()).collect();
    }

    fn data_in(&self, dir: &Path) -> PathBuf {
        self.data.clone().unwrap_or_else(|| dir.join("data"))
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("start").args(&self.arguments);
        let mut set = |text: String| {
            command.arg("--override").arg(text);
        };
        if !self.overrides.iter().any(|o| o.starts_with("listeners=")) {
            set(format!("listeners=PLAINTEXT://127.0.0.1:{}", self.port));
        }
        set(format!("log.dirs={}", self.data_in(dir).display()));
        let overrides = self.overrides.iter().chain(&self.starts_with);
        overrides.cloned().for_each(set);
        let environment = self.environment.iter();
        command.envs(environment.map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// One that is not started yet: `spawn` or `start_again` follow.
    #[must_use]
    pub fn unstarted(self) -> Broker {
        Broker {
            address: SocketAddr::from(([127, 0, 0, 1], self.port)),
            setup: self,
            child: None,
            dir: Some(TempDir::new().unwrap()),
        }
    }

    /// Starts it in a new directory.
    #[must_use]
    pub fn start(self) -> Broker {
        let mut broker = self.unstarted();
        broker.spawn();
        broker.wait_until_ready();
        broker
    }

    /// Starts it over `dir`, where it is expected to refuse.
    #[must_use]
    pub fn refuse(&self, dir: &Path) -> Refusal {
        let mut command = self.command(dir);
        let out = dir.join("refused.txt");
        let file = File::create(&out).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap();
        let status = wait(&mut child).unwrap_or_else(|| {
            child.kill().unwrap();
            child.wait().unwrap()
        });
        Refusal {
            status,
            output: fs::read_to_string(&out).unwrap(),
        }
    }
}

/// Waits for the end of a process, within patience.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

impl Broker {
    /// A broker with defaults, or the outside one that `ONRUSH_TEST_BROKER` names.
    #[must_use]
    pub fn any(binary: &str) -> Self {
        let Ok(outside) = std::env::var("ONRUSH_TEST_BROKER") else {
            return Setup::new(binary).start();
        };
        Self {
            setup: Setup::new(binary),
            child: None,
            address: outside.to_socket_addrs().unwrap().next().unwrap(),
            dir: None,
        }
    }

    /// Starts the process; `wait_until_ready` follows.
    pub fn spawn(&mut self) {
        let mut command = self.setup.command(self.dir());
        let open = |name: &str| {
            let path = self.dir().join(name);
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        command
            .stdout(open("stdout.txt"))
            .stderr(open("stderr.txt"));
        self.child = Some(command.spawn().unwrap());
    }

    /// Starts the process with an error output that nobody reads.
    pub fn spawn_unheard(&mut self) {
        let mut command = self.setup.command(self.dir());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until it answers ApiVersions.
    pub fn wait_until_ready(&mut self) {
        assert!(self.became_ready(), "broker ended:\n{}", self.output());
    }

    /// Waits until it answers, or is gone: then false.
    #[must_use]
    pub fn became_ready(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if !self.is_alive() {
                return false;
            }
            if self.answers() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("not ready in {PATIENCE:?}:\n{}", self.output());
    }

    /// True if it answers ApiVersions now.
    #[must_use]
    pub fn answers(&self) -> bool {
        let answer = Client::connect(self.address)
            .and_then(|mut client| client.try_call(&ApiVersionsRequest::default(), 0));
        answer.is_ok()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Resident memory in bytes; `None` for a broker that is not ours to measure.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        self.child
            .as_ref()
            .map(|child| process::resident_bytes(child.id()))
    }

    /// The directory that holds `data` and the outputs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    /// Its log directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.setup.data_in(self.dir())
    }

    /// How it is started; changes hold from the next `spawn`.
    pub fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// What it wrote so far.
    #[must_use]
    pub fn output(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.dir().join(name)).unwrap_or_default();
        format!("{}{}", read("stdout.txt"), read("stderr.txt"))
    }

    /// True while the process lives.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_none_or(|child| child.try_wait().unwrap().is_none())
    }

    /// kill -9, and the end of the process.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits for an end that comes by itself, within patience.
    #[must_use]
    pub fn wait_for_end(&mut self) -> Option<ExitStatus> {
        let status = wait(self.child.as_mut().unwrap());
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// SIGTERM; its status and how long it took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        process::signal(self.pid(), "TERM");
        let mut child = self.child.take().unwrap();
        let status = wait(&mut child);
        let output = self.output();
        let status = status.unwrap_or_else(|| {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("does not end after SIGTERM:\n{output}")
        });
        (status, begun.elapsed())
    }

    /// SIGTERM or kill -9 was before: starts it again over the same directory.
    pub fn start_again(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() && self.dir.is_some() {
            eprintln!("--- broker's output\n{}---", self.output());
        }
        self.kill();
    }
}
