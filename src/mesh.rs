//! Messages between cores: one bounded single-producer single-consumer queue per pair and direction.
//!
//! How a sleeping receiver is woken, and why no wake-up is lost, is told in [`crate::io::wake`]. Messages of a round leave
//! together: a peer is woken at most once per [`MeshEnd::flush`].
//!
//! Why there is no deadlock: no core ever waits. A full queue stops nobody; what does not fit stays with its sender, in order,
//! and the sender goes on to take what others send it, so every queue is emptied by a core that is not waiting for anything.
//! Nor do requests wait for each other in a circle: an ask is a leaf (its owner answers it from what it has and asks no other core), and
//! ctl answers shards without asking them; so each chain of messages is two long.
//!
//! Why what stays with the sender is bounded: a message between shards belongs to an ask, of which a core has at most
//! [`MESH_ASKS_MAX`] unanswered at one owner, with at most [`MESH_MESSAGES_PER_ASK_MAX`] messages under way. A message to or from
//! ctl belongs to a client's request (a connection has one open that is ctl's business), to an automatic creation, to a
//! publication, of which there is at most one for each of these, to the start and stop of a shard, or tells what is summed up
//! while the one before is on its way (checkpoints, connections). [`waiting_max`] is the sum; more is our own fault and ends the process. Long before, [`MeshEnd::is_backed_up`] has the pump deliver no frame of any client: a full queue is back-pressure.
//!
//! Invariants:
//! 1. FIFO per pair of cores, also when a queue was full for a while: what does not fit waits in order in `overflow`, and
//!    nothing overtakes it.
//! 2. Peers are drained in turn, each at most [`TURN_MESSAGES`] at a time: a busy one does not keep others from being heard.
//! 3. A message costs the same with any number of cores; only a look for messages where there are none costs a step per peer.
//!
//! Memory: [`queue_messages`] shares [`MESH_BYTES`] among all queues, so that 129 cores have short queues and 2 cores long ones.
//!
//! Deliberately absent: priorities, broadcast, and any lock.

use std::collections::VecDeque;
use std::sync::Arc;

use onrush_core::input::CoreMsg;
use onrush_core::types::CoreId;
use onrush_core::types::limits::{
    AUTO_CREATES_MAX, MESH_ASKS_MAX, MESH_MESSAGES_PER_ASK_MAX, SHARDS_MAX,
};
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::io::wake::Sleeper;

/// Memory of all queues together, as long as each has room for [`QUEUE_MESSAGES_MIN`].
pub const MESH_BYTES: usize = 64 << 20;
/// Messages that a queue holds at least.
pub const QUEUE_MESSAGES_MIN: usize = 32;
/// Messages that a queue holds at most; a round drains all of them.
pub const QUEUE_MESSAGES_MAX: usize = 4096;
/// Messages taken from one peer before the next has its turn.
const TURN_MESSAGES: usize = 64;
/// Connections of one shard (the slots of its table).
const CONNECTIONS_PER_SHARD_MAX: usize = 1 << 20;

/// The core of ctl.
const CTL: CoreId = CoreId(0);

/// Messages that each queue of a process with so many cores holds.
#[must_use]
pub const fn queue_messages(cores: usize) -> usize {
    let queues = cores * cores.saturating_sub(1);
    if queues == 0 {
        return QUEUE_MESSAGES_MIN;
    }
    let fit = MESH_BYTES / queues / size_of::<CoreMsg>();
    if fit >= QUEUE_MESSAGES_MAX {
        QUEUE_MESSAGES_MAX
    } else if fit <= QUEUE_MESSAGES_MIN {
        QUEUE_MESSAGES_MIN
    } else {
        // The largest power of two that fits.
        1 << fit.ilog2()
    }
}

/// Memory of all queues of a process with so many cores.
#[must_use]
pub const fn queue_bytes(cores: usize) -> usize {
    cores * cores.saturating_sub(1) * queue_messages(cores) * size_of::<CoreMsg>()
}

/// Messages from one core to another that may wait at their sender, see the module's head.
const fn waiting_max(a: CoreId, b: CoreId) -> usize {
    if a.0 == CTL.0 || b.0 == CTL.0 {
        // Each connection's request, creation and what it publishes; ctl's publications come from all shards.
        2 * SHARDS_MAX * (CONNECTIONS_PER_SHARD_MAX + AUTO_CREATES_MAX)
    } else {
        MESH_ASKS_MAX * MESH_MESSAGES_PER_ASK_MAX
    }
}

struct Peer {
    core: CoreId,
    out: Producer<CoreMsg>,
    overflow: VecDeque<CoreMsg>,
    waiting_max: usize,
    /// Is on the list of those that got something since the last flush.
    dirty: bool,
    inward: Consumer<CoreMsg>,
    sleeper: Arc<Sleeper>,
}

/// One core's ends of all its queues.
pub struct MeshEnd {
    core: CoreId,
    own: Arc<Sleeper>,
    /// In the order of their cores, this one left out.
    peers: Vec<Peer>,
    /// Those that got something, or have something waiting, since the last flush.
    dirty: Vec<usize>,
    /// How many have something waiting.
    backed_up: usize,
    /// Whose turn it is to be heard.
    turn: usize,
}

/// Makes the ends for cores 0 to `count` - 1, all connected with each other.
///
/// Errors: no more descriptors.
pub fn connect(count: u16) -> std::io::Result<Vec<MeshEnd>> {
    connect_with(count, queue_messages(usize::from(count)))
}

fn connect_with(count: u16, messages: usize) -> std::io::Result<Vec<MeshEnd>> {
    let mut ends = Vec::new();
    for core in 0..count {
        ends.push(MeshEnd {
            core: CoreId(core),
            own: Arc::new(Sleeper::new()?),
            peers: Vec::new(),
            dirty: Vec::new(),
            backed_up: 0,
            turn: 0,
        });
    }
    // Each end gets its peers in ascending order: first those below it, as they come to it, then those above.
    for a in 0..ends.len() {
        for b in a + 1..ends.len() {
            let (to_b, from_a) = RingBuffer::new(messages);
            let (to_a, from_b) = RingBuffer::new(messages);
            let (core_a, core_b) = (ends[a].core, ends[b].core);
            let (sleeper_a, sleeper_b) = (Arc::clone(&ends[a].own), Arc::clone(&ends[b].own));
            let max = waiting_max(core_a, core_b);
            let peer = Peer::new(core_b, to_b, from_b, sleeper_b, max);
            ends[a].peers.push(peer);
            let peer = Peer::new(core_a, to_a, from_a, sleeper_a, max);
            ends[b].peers.push(peer);
        }
    }
    Ok(ends)
}

impl Peer {
    fn new(
        core: CoreId,
        out: Producer<CoreMsg>,
        inward: Consumer<CoreMsg>,
        sleeper: Arc<Sleeper>,
        waiting_max: usize,
    ) -> Self {
        Self {
            core,
            out,
            overflow: VecDeque::new(),
            waiting_max,
            dirty: false,
            inward,
            sleeper,
        }
    }

    /// Pushes what had to wait, as far as there is room.
    fn push_waiting(&mut self) {
        while let Some(msg) = self.overflow.pop_front() {
            if let Err(PushError::Full(msg)) = self.out.push(msg) {
                self.overflow.push_front(msg);
                return;
            }
        }
    }
}

impl MeshEnd {
    /// Whose end this is.
    #[must_use]
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// This core's own sleeping flag and wake-up.
    #[must_use]
    pub fn own(&self) -> &Arc<Sleeper> {
        &self.own
    }

    /// Queues a message. Receivers are woken by [`MeshEnd::flush`].
    ///
    /// Panics if the core named a peer that does not exist, or breaks the bound of what may wait.
    pub fn send(&mut self, to: CoreId, msg: CoreMsg) {
        assert!(to != self.core, "no core sends messages to itself");
        let index = usize::from(to.0) - usize::from(to.0 > self.core.0);
        let peer = self
            .peers
            .get_mut(index)
            .expect("messages go to cores of this process");
        if !std::mem::replace(&mut peer.dirty, true) {
            self.dirty.push(index);
        }
        let refused = if peer.overflow.is_empty() {
            peer.out.push(msg).err()
        } else {
            Some(PushError::Full(msg))
        };
        if let Some(PushError::Full(msg)) = refused {
            self.backed_up += usize::from(peer.overflow.is_empty());
            peer.overflow.push_back(msg);
            assert!(
                peer.overflow.len() <= peer.waiting_max,
                "what waits for core {to} is bounded by the asks and requests under way"
            );
        }
    }

    /// True while some peer's queue is full: no new client frame is to be taken.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        self.backed_up > 0
    }

    /// Pushes what had to wait and calls `wake` for every peer that sleeps and has got something since the last flush.
    pub fn flush(&mut self, mut wake: impl FnMut(&Arc<Sleeper>)) {
        let (peers, backed_up) = (&mut self.peers, &mut self.backed_up);
        self.dirty.retain(|index| {
            let peer = &mut peers[*index];
            if !peer.overflow.is_empty() {
                peer.push_waiting();
                *backed_up -= usize::from(peer.overflow.is_empty());
            }
            if peer.sleeper.must_wake() {
                wake(&peer.sleeper);
            }
            // Looked at again as long as something waits.
            peer.dirty = !peer.overflow.is_empty();
            peer.dirty
        });
    }

    /// Takes up to `count_max` messages and hands them over, peers in turn; returns how many there were.
    pub fn receive(&mut self, count_max: usize, mut take: impl FnMut(CoreId, CoreMsg)) -> usize {
        let mut count = 0;
        let mut silent = 0;
        while count < count_max && silent < self.peers.len() {
            let peer = &mut self.peers[self.turn];
            let room = TURN_MESSAGES.min(count_max - count);
            let mut heard = 0;
            while heard < room
                && let Ok(msg) = peer.inward.pop()
            {
                take(peer.core, msg);
                heard += 1;
            }
            count += heard;
            // One that had less than its turn is done for now.
            silent = if heard == room { 0 } else { silent + 1 };
            self.turn = (self.turn + 1) % self.peers.len();
        }
        count
    }

    /// True if nothing is to be received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.iter().all(|p| p.inward.is_empty())
    }
}

#[cfg(test)]
mod tests;
