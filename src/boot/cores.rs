//! The cores of a process: ctl and the shards, made, started and held together.

use std::sync::{Arc, mpsc};

use onrush_core::ctl::{ConnectionLimits, Ctl, CtlConfig};
use onrush_core::effect::Note;
use onrush_core::metadata::BrokerEndpoint;
use onrush_core::shard::{Shard, ShardConfig};
use onrush_core::types::{BrokerConfigView, CoreId, TopicId};

use super::budget::Budget;
use super::directory::{Directory, random_id};
use super::placement::Placement;
use super::{BootError, Event};
use crate::config::BrokerConfig;
use crate::io::clock::Clock;
use crate::io::process::StopSignals;
use crate::io::socket::Listener;
use crate::mesh::{self, MeshEnd};
use crate::net::NetLimits;
use crate::observe;
use crate::shard_loop::{CoreHandle, CoreSpec, Outcome, run_core};

/// The core of ctl; shards are counted from 1.
const CTL: CoreId = CoreId(0);

/// What the cores are made of.
pub(super) struct Cores<'a> {
    pub(super) config: &'a BrokerConfig,
    pub(super) directory: &'a Directory,
    pub(super) endpoints: Vec<BrokerEndpoint>,
    pub(super) clock: Clock,
    pub(super) placement: &'a Placement,
    pub(super) limits: NetLimits,
    pub(super) budget: Budget,
    pub(super) connections: ConnectionLimits,
}

/// All cores, running.
pub(super) struct Handles {
    ctl: CoreHandle,
    shards: Vec<CoreHandle>,
}

impl Handles {
    /// How many cores there are.
    pub(super) fn count(&self) -> usize {
        1 + self.shards.len()
    }

    /// How many of them are shards.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Lets all shards accept connections.
    pub(super) fn let_open(&self) {
        self.shards.iter().for_each(CoreHandle::let_open);
    }

    /// Asks for the orderly stop: ctl tells the shards.
    pub(super) fn stop(&self) {
        self.ctl.stopper().stop();
    }

    /// Waits for all threads. True if all of them ended well.
    pub(super) fn join(self) -> bool {
        let mut well = self.ctl.join().is_ok();
        for shard in self.shards {
            well &= shard.join().is_ok();
        }
        well
    }
}

impl Cores<'_> {
    /// Starts everything; `sockets` are those of each shard, one per listener.
    pub(super) fn spawn(
        &self,
        sockets: Vec<Vec<Listener>>,
        signals: StopSignals,
    ) -> Result<(Handles, mpsc::Receiver<Event>), BootError> {
        let count = u16::try_from(self.placement.shards.len()).expect("few shards");
        let mut ends = mesh::connect(count + 1)
            .map_err(BootError::Cores)?
            .into_iter();
        let ctl_mesh = ends.next().expect("an end for every core was asked for");
        let (events, received) = mpsc::channel();
        let (done, outcomes) = mpsc::channel();
        forward(&events, outcomes, signals).map_err(BootError::Cores)?;
        let view = Arc::new(self.config.view.clone());
        let incarnation = random_id();
        let ctl_config = self.ctl_config(incarnation, Arc::clone(&view), count);
        let ctl = self.spec("ctl".to_owned(), ctl_mesh, &done, move || {
            Ctl::new(ctl_config)
        })?;
        let ctl = run_core(ctl).map_err(BootError::Cores)?;
        let mut shards = Vec::new();
        for ((mesh, listeners), cpu) in ends.zip(sockets).zip(&self.placement.shards) {
            let core = mesh.core();
            let config = self.shard_config(core, incarnation, Arc::clone(&view));
            let events = events.clone();
            let name = format!("shard-{core}");
            let spec = CoreSpec {
                cpu: *cpu,
                listeners,
                notes: Box::new(move |note| {
                    observe::note(core, &note);
                    if note == Note::Ready {
                        // The main thread is gone only when the process is ending.
                        events.send(Event::Ready).unwrap_or_default();
                    }
                }),
                ..self.spec(name, mesh, &done, move || Shard::new(config))?
            };
            shards.push(run_core(spec).map_err(BootError::Cores)?);
        }
        Ok((Handles { ctl, shards }, received))
    }

    /// A core without listeners that is not pinned and only logs its notes.
    fn spec<F>(
        &self,
        name: String,
        mesh: MeshEnd,
        done: &mpsc::Sender<(CoreId, Outcome)>,
        machine: F,
    ) -> Result<CoreSpec<F>, BootError> {
        let core = mesh.core();
        Ok(CoreSpec {
            name,
            cpu: None,
            helper_cpus: self.placement.helpers.clone(),
            workers_max: self.budget.workers,
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

    fn ctl_config(
        &self,
        incarnation: TopicId,
        view: Arc<BrokerConfigView>,
        shards: u16,
    ) -> CtlConfig {
        CtlConfig {
            node_id: self.config.node_id,
            cluster_id: self.directory.cluster_id.clone(),
            directory_id: self.directory.directory_id,
            incarnation,
            endpoints: self.endpoints.clone(),
            rack: self.config.rack.clone(),
            configs: view,
            shards: (1..=shards).map(CoreId).collect(),
            connections: self.connections.clone(),
        }
    }

    fn shard_config(
        &self,
        core: CoreId,
        incarnation: TopicId,
        view: Arc<BrokerConfigView>,
    ) -> ShardConfig {
        let listeners = self.config.listeners.clients.iter();
        ShardConfig {
            core,
            shards: u16::try_from(self.placement.shards.len()).expect("few shards"),
            ctl: CTL,
            node_id: self.config.node_id,
            incarnation: incarnation.0,
            broker: view,
            listeners: listeners.map(|l| l.name.as_str().into()).collect(),
            fetch_bytes_max: self.config.fetch_bytes_max,
            producer_id_expiration_ms: self.config.producer_id_expiration,
            asks_admission: self.connections.any(),
            unwritten_bytes_max: self.budget.shares.unwritten,
            hot_tail_bytes_max: self.budget.shares.hot,
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
