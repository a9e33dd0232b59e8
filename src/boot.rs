//! From a configuration to a serving broker, and back to a clean stop.
//!
//! Order: limits → sockets (a port in use is found before anything is written) → directory (lock, format or check) → flush
//! measured → start screen → cores → all of them ready → connections are accepted → signal → stop. Any failure is one sentence:
//! what, where, what to do.
//!
//! Connections that come before all shards are ready, and those that a stopping broker does not accept any more, wait in the
//! kernel: the former are served then, the latter are reset, and their clients try again.
//!
//! Invariants: 1. The directory's lock is held from before the first write to the end of the process. 2. After SIGTERM the process ends
//! within [`STOP_MAX`]; with code 0 only if everything was flushed and marked clean. 3. The main thread only waits. 4. A panic on
//! any thread ends the process at once: nobody acknowledges anything after our own fault.

mod budget;
mod cgroup;
mod cores;
mod crashes;
mod directory;
mod error;
mod placement;
mod screen;
mod system;

use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use onrush_core::metadata::BrokerEndpoint;
use onrush_core::types::{CoreId, Millis};

pub use directory::{Directory, prepare, random_id};
pub use error::BootError;

use crate::config::{BrokerConfig, Durability};
use crate::io::clock::Clock;
use crate::io::process::StopSignals;
use crate::io::socket::Listener;
use crate::net::NetLimits;
use crate::observe::Logging;
use crate::shard_loop::{Outcome, allowed_cpus};
use budget::Budget;
use cgroup::Machine;
use cores::{Cores, Handles};
use crashes::Starts;
use placement::Placement;
use screen::Screen;

/// How long a stop may take: well above what it needs, and below the 90 s after which systemd kills. Sealing takes some
/// milliseconds a partition on a busy machine; 800 of them once took longer than 5 s.
const STOP_MAX: Duration = Duration::from_secs(45);
/// How long the last log lines may take to be written.
const LOG_PATIENCE: Duration = Duration::from_millis(500);
/// The exit code of a broker that does not start because it has died too often.
const CRASH_LOOP: u8 = 70;

/// What the main thread waits for.
enum Event {
    /// A shard is.
    Ready,
    Ended(CoreId, Outcome),
    Signal(&'static str),
}

/// Starts a broker and stays until it has ended; the process is to end with this code. `signals` were blocked before any thread was made.
#[must_use]
pub fn run(config: &BrokerConfig, logging: Logging, signals: StopSignals) -> ExitCode {
    let started = Instant::now();
    end_with_a_panic();
    let code = match start(config, signals, started) {
        Ok(running) => running.wait(),
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            match error {
                BootError::CrashLoop { .. } => ExitCode::from(CRASH_LOOP),
                _ => ExitCode::FAILURE,
            }
        }
    };
    logging.finish(LOG_PATIENCE);
    code
}

/// Also in builds that unwind: a shard that has panicked must not leave the others running.
fn end_with_a_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        complain(
            "this is a fault of onrush itself: the broker ends at once, what was acknowledged is safe",
        );
        std::process::abort();
    }));
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
    cores: Handles,
    events: mpsc::Receiver<Event>,
    started: Instant,
    starts: Starts,
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
    let placement = Placement::plan(allowed_cpus(), config.shards);
    let machine = Machine::look();
    let shards = placement.shards.len();
    let listeners = config.listeners.clients.len();
    let budget = system::check_limits(shards, listeners, &machine, &mut warnings)?;
    let (sockets, endpoints) = bind(config, shards)?;
    let connections = system::connection_limits(&config.net, &budget)?;
    let directory = directory::prepare(config, clock.now().wall)?;
    let starts = Starts::read(&directory.path, config.crash_loop_limit)?;
    let cost = system::check_disk(&directory.path, &mut warnings)?;
    if config.durability == Durability::Flushed && cost.median > Duration::from_millis(20) {
        warnings.push(
            "this disk is slow to flush; onrush.durability=written answers without waiting, at the price of what a power cut takes"
                .to_owned(),
        );
    }
    let listening = sockets.iter().flatten().map(Listener::local_addr);
    let screen = Screen {
        node_id: config.node_id.0,
        cluster_id: directory.cluster_id.to_string(),
        listeners: listening
            .zip(&endpoints)
            .map(|(bound, endpoint)| {
                let bound = bound.to_string();
                (endpoint.listener.to_string(), bound, advertised(endpoint))
            })
            .collect(),
        data: directory.path.display().to_string(),
        is_new: directory.is_new,
        cores: placement.text(),
        memory: budget.text(&machine),
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
        placement: &placement,
        limits: limits(config, &budget, shards, connections.any()),
        connections,
        budget,
    };
    starts.count();
    let (cores, events) = cores.spawn(sockets, signals)?;
    Ok(Running {
        cores,
        events,
        started,
        starts,
        address,
        _directory: directory,
    })
}

/// The sockets of each shard, one per listener, and what clients are told of the listeners.
fn bind(
    config: &BrokerConfig,
    shards: usize,
) -> Result<(Vec<Vec<Listener>>, Vec<BrokerEndpoint>), BootError> {
    let mut sockets: Vec<Vec<Listener>> = (0..shards).map(|_| Vec::new()).collect();
    let mut endpoints = Vec::new();
    for listener in &config.listeners.clients {
        let bound = system::bind(listener, &config.net, shards)?;
        let port = match (listener.advertised.port, bound.first()) {
            (0, Some(socket)) => socket.local_addr().port(),
            (port, _) => port,
        };
        endpoints.push(BrokerEndpoint {
            listener: listener.name.as_str().into(),
            host: listener.advertised.host.as_str().into(),
            port,
            security_protocol: 0,
        });
        for (shard, socket) in sockets.iter_mut().zip(bound) {
            shard.push(socket);
        }
    }
    Ok((sockets, endpoints))
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

/// The bounds of each of so many shards: its share of what is configured for the process and of what the budget allows. Where
/// connections are limited ctl counts them all; a shard's own bound is then only what descriptors allow.
fn limits(config: &BrokerConfig, budget: &Budget, shards: usize, asks: bool) -> NetLimits {
    let net = &config.net;
    let share = |whole: u64| (whole / shards as u64).max(1);
    let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let (memory, receive) = (budget.shares, budget.shares.receive);
    NetLimits {
        connections_max: count(match net.connections_max {
            Some(_) => budget.connections,
            None => share(budget.connections),
        }),
        asks_admission: asks,
        request_bytes_max: net.request_bytes_max,
        idle_ms_max: net.idle_max.unwrap_or(Millis(u64::MAX)),
        queued_bytes_max: net
            .queued_bytes_max
            .map_or(receive, |all| share(all).min(receive)),
        tail_bytes_max: memory.unwritten + 2 * memory.hot,
        pipes_max: count(budget.pipes),
        ..NetLimits::default()
    }
}

impl Running {
    /// Waits for the end, whoever wants it.
    fn wait(self) -> ExitCode {
        let mut stop_by: Option<Instant> = None;
        // A broker that has lived so long did not die of its start.
        let mut settled_at = Some(self.started + crashes::SETTLED);
        let (mut ready, mut stopped) = (0, 0);
        loop {
            let event = match stop_by.or(settled_at) {
                None => self.events.recv().ok(),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    self.events.recv_timeout(left).ok()
                }
            };
            match event {
                Some(Event::Ready) => {
                    ready += 1;
                    if ready == self.cores.shards() {
                        self.open();
                    }
                }
                Some(Event::Signal(name)) if stop_by.is_none() => {
                    tracing::info!("{name}: stopping");
                    stop_by = Some(Instant::now() + STOP_MAX);
                    // Whoever stops it wants it to end, however it ends.
                    self.starts.forget();
                    self.cores.stop();
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
                    if stopped == self.cores.count() {
                        return self.end();
                    }
                }
                None if stop_by.is_none() => {
                    settled_at = None;
                    self.starts.forget();
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

    /// All shards are ready: from now on clients are served.
    fn open(&self) {
        self.cores.let_open();
        let program = std::env::args().next();
        let program = program.as_deref().unwrap_or("onrush");
        show(&screen::ready(
            self.started.elapsed(),
            &self.address,
            program,
        ));
    }

    fn end(self) -> ExitCode {
        let joined = self.cores.join();
        tracing::info!("stopped cleanly");
        if joined {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
