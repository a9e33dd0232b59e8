//! What the edge tells the core: the whole vocabulary in that direction, and the messages between cores.
//!
//! Invariants:
//! 1. One `step` per input, in the order things happened on this core; `Now` never goes back between steps.
//! 2. Every `Effect::Disk` with a completion is answered exactly once; completions come in any order.
//! 3. Frames of a connection come in the order received, each only after a credit (`Effect::ReadNext`; the first is free).
//! 4. After `Closed` nothing more comes from that connection; effects that still name it are dropped by the edge.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::ask::{Answer, Ask, Follow};
use crate::effect::{Close, DiskResult, Effect};
use crate::log::checkpoint::{DirectoryState, PartitionKey, PartitionOffsets};
use crate::metadata::{CtlReply, CtlRequest, Delta, Image};
use crate::types::{ConnId, CoreId, ListenerId, Offset, Token, WorkId};

/// The effects of one step.
pub type Effects = Vec<Effect<CoreMsg>>;

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// A client connected and was let in.
    Opened {
        /// Its handle.
        conn: ConnId,
        /// Its address.
        peer: IpAddr,
        /// Where it came in.
        listener: ListenerId,
    },
    /// One request, without its length prefix.
    Frame {
        /// From whom.
        conn: ConnId,
        /// The request; shares the memory it was received into.
        frame: Bytes,
    },
    /// The kernel took the oldest frame not yet reported of this connection.
    Sent {
        /// Which connection.
        conn: ConnId,
    },
    /// The connection is gone, by whichever side.
    Closed {
        /// Which connection.
        conn: ConnId,
    },
    /// A disk operation completed.
    Disk {
        /// Its token.
        token: Token,
        /// What it brought.
        result: DiskResult,
    },
    /// A message from another core.
    Mesh {
        /// The sender.
        from: CoreId,
        /// The message.
        msg: CoreMsg,
    },
    /// Work that asked to go on (`Effect::Again`).
    Again {
        /// Which work.
        work: WorkId,
    },
    /// The deadline of `Effect::Wake` passed. May also come without one.
    Tick,
    /// Begin: the first input of a machine's life; recovery starts here.
    Start,
    /// Finish what is under way, flush, mark the stop as clean, then emit `Effect::Stopped`.
    Stop,
}

/// A message between cores. `Send` values only.
#[derive(Debug)]
pub enum CoreMsg {
    /// Shard → ctl: decide this (create a topic, hand out producer ids). Answered by one `Reply` with the same id.
    Request {
        /// Chosen by the sender.
        id: u64,
        /// What to decide.
        request: CtlRequest,
    },
    /// Ctl → shard: the answer, after the records that it rests on are committed and every shard has applied them.
    Reply {
        /// As in the request.
        id: u64,
        /// The answer.
        reply: CtlReply,
    },
    /// Ctl → shards, once, before the first `Publish`: what the log directory says about partitions.
    Directory(Arc<DirectoryState>),
    /// Shard → ctl: what the checkpoints are to say about partitions of its own.
    Offsets(Vec<(PartitionKey, PartitionOffsets)>),
    /// Ctl → shards: the metadata up to `offset`, and what changed since the one before.
    Publish {
        /// The whole.
        image: Arc<Image>,
        /// The change; the first one after start adds everything.
        delta: Arc<Delta>,
        /// Offset of the last metadata record in it.
        offset: Offset,
    },
    /// Shard → ctl: everything of the publication up to `offset` is open here (or its directory is offline, and said so).
    Applied {
        /// As in `Publish`.
        offset: Offset,
    },
    /// Shard → shard: do this on partitions of yours. Answered by one `Answer` with the same id.
    Ask {
        /// Chosen by the sender.
        id: WorkId,
        /// What to do.
        ask: Ask,
    },
    /// Shard → shard: the answer to an ask.
    Answer {
        /// As in the ask.
        id: WorkId,
        /// The answer.
        answer: Answer,
    },
    /// Shard → shard: more about a fetch that was asked for; without effect if it is answered already.
    Follow {
        /// As in the ask.
        id: WorkId,
        /// What.
        follow: Follow,
    },
    /// Shard → shard: a fetch with `announce` has so many bytes, or an error, by now. Said once; again only after a `Follow::Wait`.
    Ready {
        /// As in the ask.
        id: WorkId,
        /// How many bytes there are.
        bytes: u64,
        /// There is something to be told at once, whatever the number of bytes.
        urgent: bool,
    },
    /// Shard → ctl, where connections are limited: these came and went. Answered by `Admitted` if any came.
    Connections {
        /// New ones, which are not read before ctl's answer.
        opened: Vec<(ConnId, IpAddr)>,
        /// Addresses of those that were let in and are gone, one for each.
        closed: Vec<IpAddr>,
    },
    /// Ctl → shard: all of the new connections may stay but these.
    Admitted {
        /// Which not, and why.
        refused: Vec<(ConnId, Close)>,
    },
    /// Ctl → shards: take no more requests in and finish those under way. Answered by `Drained`.
    Stop,
    /// Shard → ctl: no client waits for anything here any more. What other shards ask is still answered.
    Drained,
    /// Ctl → shards, when all are drained: close every partition. Answered by `Stopped`.
    Close,
    /// Shard → ctl: nothing is open here any more.
    Stopped {
        /// Of the partitions that closed well.
        offsets: Vec<(PartitionKey, PartitionOffsets)>,
        /// All of this shard's partitions were opened and closed well.
        well: bool,
    },
}
