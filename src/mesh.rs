//! Messages between cores: one bounded single-producer single-consumer queue per pair and direction.
//!
//! How a sleeping receiver is woken, and why no wake-up is lost, is told in [`crate::io::wake`].
//!
//! Invariants:
//! 1. FIFO per pair of cores, also when a queue was full for a while: what does not fit waits in order in `overflow`, and
//!    nothing overtakes it.
//! 2. `overflow` is bounded although it is a plain queue: while it is not empty the core takes no new client frame
//!    (`MeshEnd::is_backed_up`, obeyed by the pump), so it can only grow by answers to what was already under way, whose number
//!    the core bounds (one per connection, publication or disk operation). The peer always drains, so it empties.
//!
//! Deliberately absent: priorities, broadcast, and any lock.

use std::collections::VecDeque;
use std::sync::Arc;

use onrush_core::input::CoreMsg;
use onrush_core::types::CoreId;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::io::wake::Sleeper;

/// Messages that a queue holds; a tick drains all of them.
const QUEUE_MESSAGES: usize = 4096;

struct Peer {
    core: CoreId,
    out: Producer<CoreMsg>,
    overflow: VecDeque<CoreMsg>,
    dirty: bool,
    inward: Consumer<CoreMsg>,
    sleeper: Arc<Sleeper>,
}

/// One core's ends of all its queues.
pub struct MeshEnd {
    core: CoreId,
    own: Arc<Sleeper>,
    peers: Vec<Peer>,
}

/// Makes the ends for cores 0 to `count` - 1, all connected with each other.
///
/// Errors: no more descriptors.
pub fn connect(count: u16) -> std::io::Result<Vec<MeshEnd>> {
    let mut ends = Vec::new();
    for core in 0..count {
        ends.push(MeshEnd {
            core: CoreId(core),
            own: Arc::new(Sleeper::new()?),
            peers: Vec::new(),
        });
    }
    for a in 0..ends.len() {
        for b in a + 1..ends.len() {
            let (to_b, from_a) = RingBuffer::new(QUEUE_MESSAGES);
            let (to_a, from_b) = RingBuffer::new(QUEUE_MESSAGES);
            let (core_a, core_b) = (ends[a].core, ends[b].core);
            let (sleeper_a, sleeper_b) = (Arc::clone(&ends[a].own), Arc::clone(&ends[b].own));
            ends[a]
                .peers
                .push(Peer::new(core_b, to_b, from_b, sleeper_b));
            ends[b]
                .peers
                .push(Peer::new(core_a, to_a, from_a, sleeper_a));
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
    ) -> Self {
        Self {
            core,
            out,
            overflow: VecDeque::new(),
            dirty: false,
            inward,
            sleeper,
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
    /// Panics if the core named a peer that does not exist.
    pub fn send(&mut self, to: CoreId, msg: CoreMsg) {
        let peer = self
            .peers
            .iter_mut()
            .find(|p| p.core == to)
            .expect("messages go to cores of this process");
        peer.dirty = true;
        if !peer.overflow.is_empty() {
            peer.overflow.push_back(msg);
        } else if let Err(PushError::Full(msg)) = peer.out.push(msg) {
            peer.overflow.push_back(msg);
        }
    }

    /// True while some peer's queue is full: no new client frame is to be taken.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        self.peers.iter().any(|p| !p.overflow.is_empty())
    }

    /// Pushes what had to wait and calls `wake` for every peer that sleeps and has got something since the last flush.
    pub fn flush(&mut self, mut wake: impl FnMut(&Arc<Sleeper>)) {
        for peer in &mut self.peers {
            while let Some(msg) = peer.overflow.pop_front() {
                if let Err(PushError::Full(msg)) = peer.out.push(msg) {
                    peer.overflow.push_front(msg);
                    break;
                }
                peer.dirty = true;
            }
            if std::mem::take(&mut peer.dirty) && peer.sleeper.must_wake() {
                wake(&peer.sleeper);
            }
        }
    }

    /// Takes the next message from whichever peer, peers in turn order.
    pub fn receive(&mut self) -> Option<(CoreId, CoreMsg)> {
        self.peers
            .iter_mut()
            .find_map(|p| p.inward.pop().ok().map(|msg| (p.core, msg)))
    }

    /// True if nothing is to be received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.iter().all(|p| p.inward.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onrush_core::types::Offset;

    fn applied(n: i64) -> CoreMsg {
        CoreMsg::Applied {
            offset: Offset(n),
            unclean: false,
        }
    }

    fn number(msg: &CoreMsg) -> i64 {
        match msg {
            CoreMsg::Applied { offset, .. } => offset.0,
            other => panic!("unexpected message {other:?}"),
        }
    }

    #[test]
    fn order_survives_a_full_queue() {
        let mut ends = connect(2).expect("descriptors are there");
        let mut b = ends.pop().expect("two ends");
        let mut a = ends.pop().expect("two ends");
        let total = i64::try_from(QUEUE_MESSAGES).expect("fits") * 3;
        for n in 0..total {
            a.send(CoreId(1), applied(n));
        }
        assert!(a.is_backed_up());
        let mut seen = 0;
        while seen < total {
            a.flush(|_| ());
            while let Some((from, msg)) = b.receive() {
                assert_eq!(from, CoreId(0));
                assert_eq!(number(&msg), seen);
                seen += 1;
            }
        }
        assert!(!a.is_backed_up());
        assert!(b.is_empty());
    }

    #[test]
    fn only_a_sleeper_is_woken_and_only_once() {
        let mut ends = connect(2).expect("descriptors are there");
        let b = ends.pop().expect("two ends");
        let mut a = ends.pop().expect("two ends");
        let mut woken = 0;
        a.send(CoreId(1), applied(0));
        a.flush(|_| woken += 1);
        assert_eq!(woken, 0, "the peer is awake");
        b.own().fall_asleep();
        a.send(CoreId(1), applied(1));
        a.flush(|_| woken += 1);
        assert_eq!(woken, 1);
        a.send(CoreId(1), applied(2));
        a.flush(|_| woken += 1);
        assert_eq!(woken, 1, "woken already");
    }
}
