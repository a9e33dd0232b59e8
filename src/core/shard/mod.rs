//! A shard: the partitions it owns, the connections it serves, stepped by the edge of its core.
//!
//! Call order: `Start` once; everything else in any order; ctl's messages say when to stop; after `Effect::Stopped` or
//! `Effect::Halt` no more steps.
//!
//! Invariants:
//! 1. An answer is handed to its session only when everything it promises is covered: a produce by the high watermarks of
//!    its partitions, a metadata change by ctl's reply, what a group stores by the high watermark of its partition.
//! 2. Disk operations of a partition leave in the order it made them, and before any answer that names its memory.
//! 3. Nothing is served before the first publication of metadata is applied and after a log directory failed.
//! 4. Every step is bounded: checking records stops at a budget and goes on in a later step (`Effect::Again`).
//!
//! The parts: `dispatch` (frames to APIs), `data` (requests on partitions, taken apart into asks), `calls` (those under way),
//! `serve` (asks of partitions here), `serving` (those under way), `group_requests` and `group_calls` (requests about groups),
//! `groups` (coordinators here), `admin` (what ctl decides), `open` (start, publications),
//! `checkpoint`, `stop`.

mod admin;
mod calls;
mod checkpoint;
mod data;
mod dispatch;
mod group_calls;
mod group_requests;
mod groups;
mod open;
mod serve;
mod serving;
mod stop;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::effect::{Close, DiskOut, Effect, Note};
use crate::input::{CoreMsg, Effects, Input};
use crate::metadata::Image;
use crate::metadata::topic_config::TopicConfigs;
use crate::partition::{Partition, Table};
use crate::session::{Admission, Sessions};
use crate::types::{
    BrokerConfigView, ConnId, CoreId, Millis, Monotonic, NodeId, Now, OwnerId, TopicId, WorkId,
};

use admin::Admin;
use calls::Calls;
use checkpoint::Checkpoints;
use groups::Groups;
use open::Opening;
use serving::{Caller, Serving};
use stop::Stopping;

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// This core.
    pub core: CoreId,
    /// How many shards this process has: they are the cores from 1 on.
    pub shards: u16,
    /// The core of ctl.
    pub ctl: CoreId,
    /// `node.id`.
    pub node_id: NodeId,
    /// Random at every start of the process; member ids of groups are drawn from it.
    pub incarnation: [u8; 16],
    /// All static configs.
    pub broker: Arc<BrokerConfigView>,
    /// Names of the listeners, by `ListenerId`.
    pub listeners: Vec<Arc<str>>,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: u64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: Millis,
    /// Bytes appended but not yet written; beyond it produce waits. At most `limits::UNWRITTEN_BYTES_MAX`.
    pub unwritten_bytes_max: u64,
    /// Connections are limited: ctl is asked before one is read.
    pub asks_admission: bool,
    /// Written bytes kept in memory for readers of tails. At most `limits::HOT_TAIL_BYTES_MAX`.
    pub hot_tail_bytes_max: u64,
}

/// Who gives requests and takes answers at this stage of the shard's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Recovering; no client is served.
    Starting,
    Serving,
    /// Finishing what is open.
    Stopping,
    /// Stopped or halted: nothing counts any more.
    Over,
}

/// The machine. See the module head for the order of calls.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    phase: Phase,
    image: Arc<Image>,
    table: Table,
    /// The configs in force, by topic.
    topic_configs: BTreeMap<TopicId, TopicConfigs>,
    sessions: Sessions,
    admission: Admission,
    calls: Calls,
    serving: Serving,
    groups: Groups,
    /// Names given to calls and tasks.
    works: u64,
    admin: Admin,
    opening: Opening,
    checkpoints: Checkpoints,
    stopping: Stopping,
    /// Bytes appended and not yet written, of all partitions.
    unwritten_bytes: u64,
    /// Connections to look after at the end of the step.
    touched: BTreeSet<ConnId>,
    /// Connections that are not looked after because another core has too much to answer.
    crowded: BTreeSet<ConnId>,
    /// Tasks to look at again at the end of the step.
    dirty: BTreeSet<WorkId>,
    wake_at: Option<Monotonic>,
}

impl Shard {
    /// A shard that has done nothing yet.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        Self {
            config,
            phase: Phase::Starting,
            image: Arc::default(),
            table: Table::default(),
            topic_configs: BTreeMap::new(),
            sessions: Sessions::default(),
            admission: Admission::default(),
            calls: Calls::default(),
            serving: Serving::default(),
            groups: Groups::default(),
            works: 0,
            admin: Admin::default(),
            opening: Opening::default(),
            checkpoints: Checkpoints::default(),
            stopping: Stopping::default(),
            unwritten_bytes: 0,
            touched: BTreeSet::new(),
            crowded: BTreeSet::new(),
            dirty: BTreeSet::new(),
            wake_at: None,
        }
    }

    /// Takes one input in and says what to do. Synchronous and bounded.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            Input::Opened {
                conn,
                peer,
                listener,
            } => {
                let asks = self.config.asks_admission;
                self.sessions.open(conn, peer, listener, asks);
                if asks {
                    self.admission.opened(conn, peer);
                }
            }
            Input::Frame { conn, frame } => {
                self.sessions.on_frame(conn, frame);
                self.touched.insert(conn);
            }
            Input::Sent { conn } => {
                self.sessions.sent(conn);
                self.touched.insert(conn);
            }
            Input::Closed { conn } => self.on_closed(now, conn, out),
            Input::Disk { token, result } => {
                self.on_partition_disk(now, token, result, out);
            }
            Input::Mesh { from, msg } => self.on_mesh(now, from, msg, out),
            Input::Again { work } => self.go_on(now, work, out),
            Input::Tick => self.on_tick(now, out),
            // Ctl says what there is, and decides when a shard stops.
            Input::Start | Input::Stop => {}
        }
        self.settle(now, out);
    }

    fn on_mesh(&mut self, now: Now, from: CoreId, msg: CoreMsg, out: &mut Effects) {
        match msg {
            CoreMsg::Directory(state) => self.on_directory(state),
            CoreMsg::Publish {
                image,
                delta,
                offset,
            } => {
                self.on_publish(now, image, delta, offset, out);
            }
            CoreMsg::Reply { id, reply } => self.on_ctl_reply(id, reply, out),
            CoreMsg::Stop => self.begin_stop(now, out),
            CoreMsg::Admitted { refused } => self.on_admitted(refused, out),
            CoreMsg::Close => self.close_partitions(out),
            CoreMsg::Connections { .. }
            | CoreMsg::Request { .. }
            | CoreMsg::Applied { .. }
            | CoreMsg::Offsets(_)
            | CoreMsg::Drained
            | CoreMsg::Stopped { .. } => unreachable!("only ctl is told"),
            CoreMsg::Ask { id, ask } => self.serve(now, Caller { core: from, id }, ask, out),
            CoreMsg::Answer { id, answer } => self.on_answer(now, from, id, answer, out),
            CoreMsg::Follow { id, follow } => {
                self.follow(now, Caller { core: from, id }, follow, out);
            }
            CoreMsg::Ready { id, bytes, urgent } => {
                self.on_ready(now, from, id, (bytes, urgent), out);
            }
        }
    }

    /// The end of every step: what the input made possible is done, in an order that keeps invariant 2.
    fn settle(&mut self, now: Now, out: &mut Effects) {
        while self.phase != Phase::Over {
            if let Some(task) = self.dirty.pop_first() {
                self.look(now, task, out);
            } else if let Some(conn) = self.touched.pop_first() {
                self.attend(now, conn, out);
            } else {
                break;
            }
        }
        if let Some(msg) = self.admission.report() {
            let core = self.config.ctl;
            out.push(Effect::Mesh { core, msg });
        }
        self.stop_step(out);
        self.set_wake(now, out);
    }

    /// Sends what is ready on a connection and takes in what it may ask.
    fn attend(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        loop {
            if self.calls.is_full() {
                // Looked after again when the next answer comes.
                self.sessions.send_ready(conn, out);
                self.crowded.insert(conn);
                return;
            }
            let Some(admitted) = self.sessions.pump(conn, out) else {
                return;
            };
            self.dispatch(now, admitted, out);
        }
    }

    /// Ctl has counted: these may not stay, all others that waited may.
    fn on_admitted(&mut self, refused: Vec<(ConnId, Close)>, out: &mut Effects) {
        let verdict = self.admission.on_answer(refused);
        for (conn, why) in verdict.refused {
            self.sessions.close(conn, why, out);
        }
        for conn in verdict.admitted {
            self.sessions.admit(conn);
            self.touched.insert(conn);
        }
    }

    fn on_tick(&mut self, now: Now, out: &mut Effects) {
        self.wake_at = None;
        while let Some(call) = self.calls.pop_expired(now.mono) {
            self.on_call_deadline(now, call, out);
        }
        while let Some(task) = self.serving.pop_expired(now.mono) {
            self.on_task_deadline(task);
        }
        self.tick_partitions(now, out);
        self.tick_groups(now, out);
        self.report_offsets(now, out);
    }

    fn on_closed(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        self.sessions.closed(conn);
        self.admission.closed(conn);
        self.touched.remove(&conn);
        self.crowded.remove(&conn);
        for call in self.calls.of_conn(conn) {
            self.abandon(now, call, out);
        }
    }

    /// Runs `act` on a tenant, keeps the count of unwritten bytes and hands its disk operations over.
    fn with_tenant<T>(
        &mut self,
        owner: OwnerId,
        out: &mut Effects,
        act: impl FnOnce(&mut Partition, &mut DiskOut) -> T,
    ) -> Option<T> {
        let tenant = self.table.get_mut(owner)?;
        let before = tenant.partition.unwritten_bytes();
        let result = act(&mut tenant.partition, &mut tenant.disk);
        let after = tenant.partition.unwritten_bytes();
        self.unwritten_bytes = self.unwritten_bytes + after - before;
        let ops = tenant.disk.drain();
        out.extend(ops.map(|(token, op)| Effect::Disk { op, token }));
        Some(result)
    }

    fn set_wake(&mut self, now: Now, out: &mut Effects) {
        if self.phase == Phase::Over {
            return;
        }
        let deadlines = [
            self.calls.first_deadline(),
            self.serving.first_deadline(),
            self.groups.first_deadline(now),
            self.next_tick(now),
        ];
        let first = deadlines.into_iter().flatten().min();
        if first.is_some() && first != self.wake_at {
            self.wake_at = first;
            if let Some(at) = first {
                out.push(Effect::Wake { at });
            }
        }
    }

    /// The log directory is lost, or a promise of our own is broken: nothing may be served any more.
    fn halt(&mut self, why: String, out: &mut Effects) {
        self.phase = Phase::Over;
        out.push(Effect::Halt(why));
    }

    fn note(out: &mut Effects, note: Note) {
        out.push(Effect::Note(note));
    }
}
