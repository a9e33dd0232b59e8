//! The machine of core 0: it keeps the metadata log, decides as the controller and registers this node as a broker.
//!
//! A quorum of one: what its own flush has made safe is committed. Life: `Start` → load (newest snapshot, then the log) → lead (a new
//! epoch is made durable before its first record) → put the log directory in order → publish the whole image → serve → `Stop`.
//!
//! Invariants:
//! 1. The image changes only by replay of records that are on stable storage; shards never see anything else.
//! 2. A reply leaves after its records are committed and every shard has applied them, in the order of decisions.
//! 3. A leader epoch is used by one life of one process only: `quorum-state` is durable before the first record of it.
//! 4. A failed read, write or flush ends the machine with one sentence: nothing is tried again.
//! 5. A directory that belongs to a cluster with other voters or brokers is refused, untouched.
//!
//! Deliberately absent: elections among several voters, followers, metadata snapshots of our own (the log of one node grows by a few
//! hundred bytes with each start), `NoOp` records (Kafka's observers need them; there are none).
//! Source: Kafka's `QuorumController`, `KafkaRaftClient`, `BrokerLifecycleManager`; KIP-500, KIP-595, KIP-631, KIP-853.

mod activate;
mod admission;
mod directory;
mod journal;
mod load;
mod serve;
mod stop;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::effect::{DiskOut, DiskResult, Effect, Note};
use crate::input::{CoreMsg, Effects, Input};
use crate::metadata::batch::Entry;
use crate::metadata::controller::{IdSource, Registration};
use crate::metadata::{BrokerEndpoint, CtlReply, CtlRequest, Replay, ReplayError};
use crate::types::{
    BrokerConfigView, CoreId, DirectoryId, Millis, NodeId, Now, Offset, OwnerId, Token, TopicId,
};
pub use admission::ConnectionLimits;

use admission::Admissions;
use directory::Directory;
use journal::{Journal, JournalEvent};
use load::{Load, Loaded};

/// Who asked for a disk operation: the small files.
const FILES: OwnerId = OwnerId(0);
/// Who asked for a disk operation: the metadata log.
const LOG: OwnerId = OwnerId(1);
/// Who asked for a disk operation: the files of the log directory.
const DIRECTORY: OwnerId = OwnerId(2);
/// How long to wait before space for the log is looked for again.
const SPACE_RETRY: Millis = Millis(1000);

/// What the machine is told once.
#[derive(Clone, Debug)]
pub struct CtlConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// From `meta.properties`.
    pub cluster_id: Arc<str>,
    /// From `meta.properties`.
    pub directory_id: DirectoryId,
    /// Random, new with every start of the process.
    pub incarnation: TopicId,
    /// Advertised listeners, in the order of the config.
    pub endpoints: Vec<BrokerEndpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Static broker configs.
    pub configs: Arc<BrokerConfigView>,
    /// All shards of this process; at least one.
    pub shards: Vec<CoreId>,
    /// Limits of connections, over all shards.
    pub connections: ConnectionLimits,
}

/// Why the machine ends: the sentence for `Effect::Halt`.
type Fatal = String;

#[derive(Debug)]
enum Phase {
    /// Before `Start`.
    New,
    /// Reading what there is.
    Loading(Load),
    /// The new epoch is being made durable.
    Electing(Loaded),
    /// The first records of the epoch are on their way to stable storage.
    Activating,
    /// Nothing is published before the log directory is in order; true once it was held against the image.
    Settling(bool),
    /// Decisions are taken.
    Serving,
    /// Shards finish what is under way, these have not answered yet.
    Draining(BTreeSet<CoreId>),
    /// Shards close their partitions, these have not answered yet.
    Stopping(BTreeSet<CoreId>),
    /// The last checkpoints and the marker are being written.
    Marking,
    /// The log is being closed.
    Closing,
    /// Nothing happens any more.
    Ended,
}

/// A request and where its answer goes.
#[derive(Debug)]
struct Asked {
    core: CoreId,
    id: u64,
    request: CtlRequest,
}

/// An answer and what it waits for.
#[derive(Debug)]
struct Answer {
    /// Every shard must have applied this.
    applied: Offset,
    core: CoreId,
    id: u64,
    reply: CtlReply,
}

/// The machine.
#[derive(Debug)]
pub struct Ctl {
    config: CtlConfig,
    phase: Phase,
    files: DiskOut,
    admissions: Admissions,
    journal: Journal,
    replay: Replay,
    ids: IdSource,
    /// Not looked at yet.
    queue: VecDeque<Asked>,
    /// Decided, being committed.
    committing: Option<(Asked, CtlReply)>,
    /// Committed, not applied everywhere.
    answers: VecDeque<Answer>,
    applied: BTreeMap<CoreId, Offset>,
    directory: Directory,
    /// The last publication that took names away.
    removal: Offset,
    /// Every shard so far has closed its partitions well.
    well: bool,
    stop_wanted: bool,
}

impl Ctl {
    /// Before the first input, which must be `Start`, on a directory formatted by `metadata::format` or by Kafka.
    #[must_use]
    pub fn new(config: CtlConfig) -> Self {
        assert!(!config.shards.is_empty(), "a process has shards");
        Self {
            phase: Phase::New,
            files: DiskOut::new(FILES, 1),
            admissions: Admissions::new(config.connections.clone()),
            journal: Journal::new(DiskOut::new(LOG, 1)),
            replay: Replay::new(config.cluster_id.clone()),
            ids: IdSource::new(config.incarnation),
            queue: VecDeque::new(),
            committing: None,
            answers: VecDeque::new(),
            applied: BTreeMap::new(),
            directory: Directory::new(DiskOut::new(DIRECTORY, 1)),
            removal: Offset::NONE,
            well: true,
            stop_wanted: false,
            config,
        }
    }

    /// Takes one input.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if let Err(why) = self.on_input(now, input, out) {
            self.phase = Phase::Ended;
            out.push(Effect::Halt(why));
            return;
        }
        if self.journal.take_space_low() {
            let text = "No space left for the metadata log.".to_owned();
            out.push(Effect::Note(Note::Error(text)));
            out.push(wake_for_space(now));
        }
        let files = &mut self.files;
        for disk in [files, self.directory.disk(), self.journal.disk()] {
            out.extend(disk.drain().map(|(token, op)| Effect::Disk { op, token }));
        }
    }

    fn on_input(&mut self, now: Now, input: Input, out: &mut Effects) -> Result<(), Fatal> {
        match input {
            Input::Start => {
                assert!(matches!(self.phase, Phase::New), "a machine starts once");
                self.phase = Phase::Loading(Load::start(&mut self.files));
                self.directory.start();
                Ok(())
            }
            Input::Disk { token, result } if token.owner == FILES => {
                self.on_file(now, token, result)
            }
            Input::Disk { token, result } if token.owner == DIRECTORY => {
                self.on_directory(now, token, result, out)
            }
            Input::Disk { token, result } => self.on_log(now, token, result, out),
            Input::Mesh { from, msg } => self.on_message(now, from, msg, out),
            Input::Tick => {
                if self.journal.on_tick(now) {
                    out.push(wake_for_space(now));
                }
                self.write_directory(now, out);
                Ok(())
            }
            Input::Stop => {
                self.stop_wanted = true;
                self.go_on(now, out)
            }
            // Clients talk to shards only, and nothing here is resumed.
            Input::Opened { .. }
            | Input::Frame { .. }
            | Input::Sent { .. }
            | Input::Closed { .. }
            | Input::Again { .. } => Ok(()),
        }
    }

    fn on_file(&mut self, now: Now, token: Token, result: DiskResult) -> Result<(), Fatal> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Loading(mut load) => {
                if load.on_file(token, result, &mut self.files, &mut self.replay)? {
                    self.journal.open(now, load.snapshot_end());
                }
                self.phase = Phase::Loading(load);
                Ok(())
            }
            Phase::Electing(loaded) => {
                result
                    .map_err(|error| format!("The election state cannot be written: {error}."))?;
                self.activate(now, loaded)
            }
            other => {
                self.phase = other;
                Ok(())
            }
        }
    }

    fn on_log(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut Effects,
    ) -> Result<(), Fatal> {
        for event in self.journal.on_disk(now, token, result)? {
            match event {
                JournalEvent::Opened { start, end } => self.on_opened(start, end)?,
                JournalEvent::Read(bytes) => self.on_read(&bytes)?,
                JournalEvent::Committed(entries) => self.on_committed(now, entries, out)?,
                JournalEvent::Closed => {
                    self.phase = Phase::Ended;
                    out.push(Effect::Stopped);
                }
            }
        }
        Ok(())
    }

    fn on_opened(&mut self, start: Offset, end: Offset) -> Result<(), Fatal> {
        let Phase::Loading(load) = &mut self.phase else {
            panic!("the log is opened while loading");
        };
        load.on_opened(start, end)?;
        self.read_on()
    }

    fn on_read(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        let Phase::Loading(load) = &mut self.phase else {
            panic!("the log is read while loading");
        };
        load.on_read(bytes, &mut self.replay)?;
        self.read_on()
    }

    /// Reads the next piece of the log, or goes on with what was loaded.
    fn read_on(&mut self) -> Result<(), Fatal> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Loading(load) => match load.next_read() {
                Some(from) => {
                    self.journal.read(from);
                    self.phase = Phase::Loading(load);
                    Ok(())
                }
                None => self.elect(load.finish()),
            },
            _ => panic!("the log is read while loading"),
        }
    }

    fn on_committed(
        &mut self,
        now: Now,
        entries: Vec<(Offset, Entry)>,
        out: &mut Effects,
    ) -> Result<(), Fatal> {
        for (offset, entry) in entries {
            match entry {
                Entry::Control(_) => self.replay.skip(offset),
                Entry::Data(record) => {
                    let applied = self.replay.apply(offset, record);
                    applied.map_err(|why| does_not_fit(offset, &why))?;
                }
            }
        }
        match &self.phase {
            Phase::Activating => {
                self.phase = Phase::Settling(false);
                return self.settle(now, out);
            }
            // The raised epochs.
            Phase::Settling(_) => return self.settle(now, out),
            Phase::Serving | Phase::Draining(_) | Phase::Stopping(_) => {
                if let Some((asked, reply)) = self.committing.take() {
                    self.answer(&asked, reply);
                }
                self.publish(now, out);
            }
            Phase::Closing => {
                self.journal.close();
                return Ok(());
            }
            Phase::New | Phase::Loading(_) | Phase::Electing(_) | Phase::Marking | Phase::Ended => {
                panic!("nothing is being committed")
            }
        }
        self.go_on(now, out)
    }

    fn registration(&self) -> Registration {
        Registration {
            node: self.config.node_id,
            incarnation: self.config.incarnation,
            endpoints: self.config.endpoints.clone(),
            rack: self.config.rack.clone(),
            directory: self.config.directory_id,
        }
    }
}

fn wake_for_space(now: Now) -> Effect<CoreMsg> {
    Effect::Wake {
        at: now.mono.after(SPACE_RETRY),
    }
}

/// The sentence for a record that contradicts those before it.
fn does_not_fit(offset: Offset, why: &ReplayError) -> Fatal {
    format!("The metadata log is inconsistent at offset {offset}: {why}.")
}
