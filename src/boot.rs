//! From a configuration to a serving broker, and back to a clean stop.
//!
//! Order: limits → sockets (a port in use is found before anything is written) → directory (lock, format or check) → flush
//! measured → start screen → cores → ready → signal → stop. Any failure is one sentence: what, where, what to do.
//!
//! Invariants: 1. The directory's lock is held from before the first write to the end of the process. 2. After SIGTERM the process ends
//! within [`STOP_MAX`]; with code 0 only if everything was flushed and marked clean. 3. The main thread only waits.

mod directory;
mod screen;
mod system;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use onrush_core::ctl::{Ctl, CtlConfig};
use onrush_core::effect::Note;
use onrush_core::metadata::BrokerEndpoint;
use onrush_core::metadata::properties::MetaPropertiesError;
use onrush_core::shard::{Shard, ShardConfig};
use onrush_core::types::{BrokerConfigView, CoreId, Millis, NodeId, TopicId};

pub use directory::{Directory, prepare, random_id};

use crate::config::{BrokerConfig, Durability};
use crate::io::clock::Clock;
use crate::io::process::StopSignals;
use crate::io::socket::Listener;
use crate::mesh;
use crate::net::NetLimits;
use crate::observe::{self, Logging};
use crate::shard_loop::{CoreHandle, CoreSpec, Outcome, allowed_cpus, run_core};
use screen::Screen;

/// The core of ctl, and the only shard of today.
const CTL: CoreId = CoreId(0);
const SHARD: CoreId = CoreId(1);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How long the last log lines may take to be written.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// Why a broker cannot start: one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data directory cannot be used.
    #[error(
        "cannot use the data directory {path}: {error}; check that it exists on a healthy disk and that this user may write there, or set log.dirs"
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another process holds it.
    #[error(
        "the data directory {path} is locked by another broker that runs on it: stop that one, or set log.dirs to another directory"
    )]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// `meta.properties` makes no sense.
    #[error(
        "{path} cannot be understood ({error}): restore it from a backup, or set log.dirs to another directory"
    )]
    MetaProperties {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: MetaPropertiesError,
    },
    /// Formatted for another node.
    #[error(
        "the data directory {path} belongs to node {found}, and this is node {wanted}: set node.id={found}, or set log.dirs to another directory"
    )]
    OtherNode {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who we are.
        wanted: NodeId,
    },
    /// Formatted for another cluster.
    #[error(
        "the data directory {path} belongs to cluster {found}, and this node to cluster {wanted}: set onrush.cluster.id={found}, or set log.dirs to another directory"
    )]
    OtherCluster {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose we are.
        wanted: String,
    },
    /// Not empty and not a Kafka directory.
    #[error(
        "the data directory {path} is not formatted (there is no meta.properties) and holds {stranger}: set log.dirs to an empty directory"
    )]
    NotFormatted {
        /// Which.
        path: PathBuf,
        /// Something that is in it.
        stranger: String,
    },
    /// Somebody listens there.
    #[error(
        "port in use: listener {name} cannot be opened on {at}, another process has it (as a listener, or for a connection); stop it, or set listeners to another port"
    )]
    PortInUse {
        /// The listener.
        name: String,
        /// Where.
        at: String,
    },
    /// It cannot be bound for another reason.
    #[error(
        "listener {name} cannot be opened on {at}: {error}; set listeners to an address of this machine"
    )]
    Bind {
        /// The listener.
        name: String,
        /// Where.
        at: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// io_uring or a limit of the process; the text has the fix.
    #[error("{0}")]
    Limit(String),
    /// A thread or descriptor could not be made.
    #[error("cannot start the cores: {0}; raise the limits of threads and open files")]
    Cores(std::io::Error),
}

/// What the main thread waits for.
enum Event {
    Ready,
    Ended(CoreId, Outcome),
    Signal(&'static str),
}

/// Starts a broker and stays until it has ended; the process is to end with this code. `signals` were blocked before any thread was made.
#[must_use]
pub fn run(config: &BrokerConfig, logging: Logging, signals: StopSignals) -> ExitCode {
    let started = Instant::now();
    let code = match start(config, signals, started) {
        Ok(running) => running.wait(),
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            ExitCode::FAILURE
        }
    };
    logging.finish(LOG_PATIENCE);
    code
}

/// The last word of a process, past the log: it must arrive even when the log's filter is off.
fn complain(sentence: &str) {
    let line = format!("onrush: {sentence}\n");
    // Without stderr there is nobody to tell.
    std::io::stderr()
        .write_all(line.as_bytes())
        .unwrap_or_default();
}

/// A broker whose cores run.
struct Running {
    ctl: CoreHandle,
    shard: CoreHandle,
    events: mpsc::Receiver<Event>,
    started: Instant,
    address: String,
    /// Held until the process ends.
    _directory: Directory,
}

fn start(
    config: &BrokerConfig,
    signals: StopSignals,
    started: Instant,
) -> Result<Running, BootError> {
    let clock = Clock::start();
    let mut warnings = Vec::new();
    let room = system::check_limits(&mut warnings)?;
    let mut sockets = Vec::new();
    let mut endpoints = Vec::new();
    for listener in &config.listeners.clients {
        let socket = system::bind(listener, &config.net)?;
        let port = match listener.advertised.port {
            0 => socket.local_addr().port(),
            port => port,
        };
        endpoints.push(BrokerEndpoint {
            listener: listener.name.as_str().into(),
            host: listener.advertised.host.as_str().into(),
            port,
            security_protocol: 0,
        });
        sockets.push(socket);
    }
    let directory = directory::prepare(config, clock.now().wall)?;
    let cost = system::check_disk(&directory.path, &mut warnings)?;
    if config.durability == Durability::Flushed && cost.median > Duration::from_millis(20) {
        warnings.push(
            "this disk is slow to flush; onrush.durability=written answers without waiting, at the price of what a power cut takes"
                .to_owned(),
        );
    }
    let cpus = allowed_cpus();
    let shard_cpu = shard_cpu(&cpus);
    let screen = Screen {
        node_id: config.node_id.0,
        cluster_id: directory.cluster_id.to_string(),
        listeners: sockets
            .iter()
            .zip(&endpoints)
            .map(|(socket, endpoint)| {
                let bound = socket.local_addr().to_string();
                (endpoint.listener.to_string(), bound, advertised(endpoint))
            })
            .collect(),
        data: directory.path.display().to_string(),
        is_new: directory.is_new,
        shard_cpus: vec![shard_cpu],
        cpus: cpus.len(),
        durability: config.durability,
        flush: cost.median,
        flush_worst: cost.worst,
        warnings,
        notices: config.notices.clone(),
    };
    show(&screen.text());
    let address = endpoints.first().map(advertised).unwrap_or_default();
    let cores = Cores {
        config,
        directory: &directory,
        endpoints,
        clock,
        shard_cpu,
        limits: limits(config, room),
    };
    let (ctl, shard, events) = cores.spawn(sockets, signals)?;
    Ok(Running {
        ctl,
        shard,
        events,
        started,
        address,
        _directory: directory,
    })
}

/// The shard gets the last CPU, since interrupts and other processes prefer the first ones; with a single CPU nothing is
/// pinned.
fn shard_cpu(cpus: &[usize]) -> Option<usize> {
    match cpus {
        [] | [_] => None,
        [.., last] => Some(*last),
    }
}

fn advertised(endpoint: &BrokerEndpoint) -> String {
    crate::config::listeners::HostPort {
        host: endpoint.host.to_string(),
        port: endpoint.port,
    }
    .to_string()
}

fn show(text: &str) {
    let mut stdout = std::io::stdout();
    // A closed stdout is no reason not to serve.
    let shown = stdout.write_all(text.as_bytes());
    shown.and_then(|()| stdout.flush()).unwrap_or_default();
}

/// What the cores are made of.
struct Cores<'a> {
    config: &'a BrokerConfig,
    directory: &'a Directory,
    endpoints: Vec<BrokerEndpoint>,
    clock: Clock,
    shard_cpu: Option<usize>,
    limits: NetLimits,
}

type Spawned = (CoreHandle, CoreHandle, mpsc::Receiver<Event>);

impl Cores<'_> {
    fn spawn(&self, sockets: Vec<Listener>, signals: StopSignals) -> Result<Spawned, BootError> {
        let mut ends = mesh::connect(2).map_err(BootError::Cores)?.into_iter();
        let (Some(ctl_mesh), Some(shard_mesh)) = (ends.next(), ends.next()) else {
            unreachable!("two ends were asked for");
        };
        let (events, received) = mpsc::channel();
        let (done, outcomes) = mpsc::channel();
        forward(&events, outcomes, signals).map_err(BootError::Cores)?;
        let view = Arc::new(self.config.view.clone());
        let incarnation = random_id();
        let ctl_config = self.ctl_config(incarnation, Arc::clone(&view));
        let shard_config = self.shard_config(incarnation, view);
        let ctl = self.spec("ctl", ctl_mesh, &done, move || Ctl::new(ctl_config))?;
        let ctl = run_core(ctl).map_err(BootError::Cores)?;
        let shard = move || Shard::new(shard_config);
        let shard = run_core(CoreSpec {
            cpu: self.shard_cpu,
            listeners: sockets,
            notes: Box::new(move |note| {
                observe::note(SHARD, &note);
                if note == Note::Ready {
                    // The main thread is gone only when the process is ending.
                    events.send(Event::Ready).unwrap_or_default();
                }
            }),
            ..self.spec("shard-1", shard_mesh, &done, shard)?
        })
        .map_err(BootError::Cores)?;
        Ok((ctl, shard, received))
    }

    /// A core without listeners that is not pinned and only logs its notes.
    fn spec<F>(
        &self,
        name: &str,
        mesh: mesh::MeshEnd,
        done: &mpsc::Sender<(CoreId, Outcome)>,
        machine: F,
    ) -> Result<CoreSpec<F>, BootError> {
        let core = mesh.core();
        Ok(CoreSpec {
            name: name.to_owned(),
            cpu: None,
            machine,
            mesh,
            listeners: Vec::new(),
            dir: self.directory.path.clone(),
            lock: Some(self.directory.lock.try_clone().map_err(BootError::Cores)?),
            limits: self.limits,
            clock: self.clock,
            notes: Box::new(move |note| observe::note(core, &note)),
            done: done.clone(),
        })
    }

    fn ctl_config(&self, incarnation: TopicId, view: Arc<BrokerConfigView>) -> CtlConfig {
        CtlConfig {
            node_id: self.config.node_id,
            cluster_id: self.directory.cluster_id.clone(),
            directory_id: self.directory.directory_id,
            incarnation,
            endpoints: self.endpoints.clone(),
            rack: self.config.rack.clone(),
            configs: view,
            shards: vec![SHARD],
        }
    }

    fn shard_config(&self, incarnation: TopicId, view: Arc<BrokerConfigView>) -> ShardConfig {
        let listeners = self.config.listeners.clients.iter();
        ShardConfig {
            core: SHARD,
            ctl: CTL,
            node_id: self.config.node_id,
            incarnation: incarnation.0,
            broker: view,
            listeners: listeners.map(|l| l.name.as_str().into()).collect(),
            fetch_bytes_max: self.config.fetch_bytes_max,
            producer_id_expiration_ms: self.config.producer_id_expiration,
        }
    }
}

/// Threads that only wait: for signals, and for the ends of cores.
fn forward(
    events: &mpsc::Sender<Event>,
    outcomes: mpsc::Receiver<(CoreId, Outcome)>,
    signals: StopSignals,
) -> std::io::Result<()> {
    let ended = events.clone();
    std::thread::Builder::new()
        .name("outcomes".to_owned())
        .spawn(move || {
            for (core, outcome) in outcomes {
                ended.send(Event::Ended(core, outcome)).unwrap_or_default();
            }
        })?;
    let signalled = events.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(
            move || {
                while signalled.send(Event::Signal(signals.wait())).is_ok() {}
            },
        )?;
    Ok(())
}

/// The configured bounds; `room` is how many connections the process's open files allow.
fn limits(config: &BrokerConfig, room: u64) -> NetLimits {
    let net = &config.net;
    let defaults = NetLimits::default();
    let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    NetLimits {
        connections_max: count(net.connections_max)
            .min(usize::try_from(room).unwrap_or(usize::MAX)),
        connections_per_ip_max: count(net.connections_per_ip_max),
        request_bytes_max: net.request_bytes_max,
        idle_ms_max: net.idle_max.unwrap_or(Millis(u64::MAX)),
        queued_bytes_max: net.queued_bytes_max.unwrap_or(defaults.queued_bytes_max),
        ..defaults
    }
}

impl Running {
    /// Waits for the end, whoever wants it.
    fn wait(self) -> ExitCode {
        let mut deadline: Option<Instant> = None;
        let mut stopped = 0;
        loop {
            let event = match deadline {
                None => self.events.recv().ok(),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    self.events.recv_timeout(left).ok()
                }
            };
            match event {
                Some(Event::Ready) => {
                    let program = std::env::args().next();
                    let program = program.as_deref().unwrap_or("onrush");
                    show(&screen::ready(
                        self.started.elapsed(),
                        &self.address,
                        program,
                    ));
                }
                Some(Event::Signal(name)) if deadline.is_none() => {
                    tracing::info!("{name}: stopping");
                    deadline = Some(Instant::now() + STOP_MAX);
                    // Ctl tells the shards.
                    self.ctl.stopper().stop();
                }
                // `timeout` and terminals send twice; the deadline is near anyway.
                Some(Event::Signal(_)) => {}
                Some(Event::Ended(_, Outcome::Halted(why))) => {
                    complain(&why);
                    return ExitCode::FAILURE;
                }
                Some(Event::Ended(core, Outcome::Stopped)) => {
                    tracing::debug!("core {core} has stopped");
                    stopped += 1;
                    if stopped == 2 {
                        return self.end();
                    }
                }
                None => {
                    complain(&format!(
                        "not stopped after {}: ended without a clean stop, the next start recovers",
                        screen::for_people(STOP_MAX)
                    ));
                    return ExitCode::FAILURE;
                }
            }
        }
    }

    fn end(self) -> ExitCode {
        let joined = self.ctl.join().is_ok() && self.shard.join().is_ok();
        tracing::info!("stopped cleanly");
        if joined {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
