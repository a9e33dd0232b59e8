//! A client connection as the core sees it: which requests are open, in what order they are answered, when the next is read.
//!
//! Invariants:
//! 1. Answers leave in the order of the requests, whatever order they become ready in.
//! 2. Only consecutive Produce requests overlap, and the next is read only when the order of the one before is fixed;
//!    any other request waits, unread by its handler, until everything before it is answered.
//! 3. At most [`PRODUCE_IN_FLIGHT_PER_CONN_MAX`] requests are open and at most [`UNSENT_FRAMES_MAX`] answers wait for the
//!    peer: a peer that never reads stops being read.
//! 4. At most one frame is held back per connection: the edge delivers one per credit.
//!
//! Deliberately absent: sockets, timeouts of idle peers and connection limits (edge), authentication.
//! Source: KIP-219 and `kafka.network.SocketServer` for the order; the overlap of produces is ours.

mod admission;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;

use crate::effect::{Close, Effect, Gather};
use crate::input::Effects;
use crate::types::limits::{PRODUCE_IN_FLIGHT_PER_CONN_MAX, UNSENT_BYTES_MAX, UNSENT_FRAMES_MAX};
use crate::types::{ConnId, ListenerId};

pub use admission::{Admission, Verdict};

/// The place of one answer in its connection's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReplySlot {
    /// The connection.
    pub conn: ConnId,
    /// Counts the connection's requests from 0.
    pub seq: u64,
}

/// A request that may be handled now.
#[derive(Debug)]
pub struct Admitted {
    /// Where its answer goes.
    pub slot: ReplySlot,
    /// The request.
    pub frame: Bytes,
}

/// All connections of a shard.
#[derive(Debug, Default)]
pub struct Sessions {
    quiet: bool,
    conns: BTreeMap<ConnId, Conn>,
}

#[derive(Debug)]
struct Conn {
    peer: IpAddr,
    listener: ListenerId,
    /// Open requests in order; the front has number `first_seq`.
    slots: VecDeque<Slot>,
    first_seq: u64,
    held: Option<Bytes>,
    /// The edge may deliver one more frame.
    credit_out: bool,
    /// Sizes of the answers handed to the edge and not yet taken by the kernel.
    unsent: VecDeque<u64>,
    unsent_bytes: u64,
    /// Is not read before it is let in.
    waiting: bool,
    closing: bool,
}

#[derive(Debug)]
enum Slot {
    /// A produce whose place in its partitions is not fixed yet.
    ProduceUnordered,
    /// A produce that waits for durability.
    ProduceOrdered,
    /// Any other request.
    Other,
    /// Answered, waits for those before it.
    Ready(Gather),
    /// Has no answer (acks=0).
    Silent,
}

/// The api key of Produce, the one request that may overlap with its like.
const PRODUCE: [u8; 2] = [0, 0];

impl Sessions {
    /// A client connected. With `waiting` it is not read before [`Sessions::admit`], and its first frame needs a credit.
    pub fn open(&mut self, conn: ConnId, peer: IpAddr, listener: ListenerId, waiting: bool) {
        let state = Conn {
            peer,
            listener,
            slots: VecDeque::new(),
            first_seq: 0,
            held: None,
            credit_out: !waiting,
            waiting,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            closing: false,
        };
        let before = self.conns.insert(conn, state);
        assert!(before.is_none(), "connection ids are never reused");
    }

    /// A connection that waited may be read from now on.
    pub fn admit(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.waiting = false;
        }
    }

    /// The connection is gone; answers that still come for it are dropped.
    pub fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// From now on no request is taken in: the shard stops. Answers still go out.
    pub fn quiesce(&mut self) {
        self.quiet = true;
    }

    /// Sends what is ready, in order, and nothing else. Does less than [`Sessions::pump`], which follows later.
    pub fn send_ready(&mut self, conn: ConnId, out: &mut Effects) {
        if let Some(state) = self.conns.get_mut(&conn)
            && !state.closing
        {
            state.send_ready(conn, out);
        }
    }

    /// The listener a connection came in on.
    #[must_use]
    pub fn listener(&self, conn: ConnId) -> Option<ListenerId> {
        self.conns.get(&conn).map(|c| c.listener)
    }

    /// The address of a connection's client.
    #[must_use]
    pub fn peer(&self, conn: ConnId) -> Option<IpAddr> {
        self.conns.get(&conn).map(|c| c.peer)
    }

    /// A frame came in; it is handed back by [`Sessions::pump`] when it may be handled.
    pub fn on_frame(&mut self, conn: ConnId, frame: Bytes) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        assert!(state.credit_out, "a frame needs a credit");
        assert!(state.held.is_none(), "one frame per credit");
        state.credit_out = false;
        if !state.closing {
            state.held = Some(frame);
        }
    }

    /// The order of a produce is fixed in all its partitions.
    pub fn ordered(&mut self, slot: ReplySlot) {
        if let Some(entry) = self.slot_mut(slot)
            && matches!(entry, Slot::ProduceUnordered)
        {
            *entry = Slot::ProduceOrdered;
        }
    }

    /// The answer is ready.
    pub fn reply(&mut self, slot: ReplySlot, gather: Gather) {
        if let Some(entry) = self.slot_mut(slot) {
            *entry = Slot::Ready(gather);
        }
    }

    /// The request is done and has no answer.
    pub fn silent(&mut self, slot: ReplySlot) {
        if let Some(entry) = self.slot_mut(slot) {
            *entry = Slot::Silent;
        }
    }

    /// Closes the connection: what comes in or becomes ready from now on is dropped.
    pub fn close(&mut self, conn: ConnId, why: Close, out: &mut Effects) {
        if let Some(state) = self.conns.get_mut(&conn)
            && !state.closing
        {
            state.closing = true;
            state.held = None;
            state.slots.clear();
            out.push(Effect::Close { conn, why });
        }
    }

    /// The kernel took the oldest unsent answer.
    pub fn sent(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn)
            && let Some(bytes) = state.unsent.pop_front()
        {
            state.unsent_bytes -= bytes;
        }
    }

    /// Moves a connection on after any change to it: sends what is ready in order, admits a held frame if it may run,
    /// else asks for the next frame if one may be read. Call again after handling what it admits.
    pub fn pump(&mut self, conn: ConnId, out: &mut Effects) -> Option<Admitted> {
        let state = self.conns.get_mut(&conn)?;
        if state.closing {
            return None;
        }
        state.send_ready(conn, out);
        if self.quiet {
            return None;
        }
        if let Some(admitted) = state.admit(conn) {
            return Some(admitted);
        }
        if !state.credit_out && state.may_read() {
            state.credit_out = true;
            out.push(Effect::ReadNext { conn });
        }
        None
    }

    fn slot_mut(&mut self, slot: ReplySlot) -> Option<&mut Slot> {
        let state = self.conns.get_mut(&slot.conn)?;
        let index = slot.seq.checked_sub(state.first_seq)?;
        state.slots.get_mut(usize::try_from(index).ok()?)
    }
}

impl Conn {
    fn send_ready(&mut self, conn: ConnId, out: &mut Effects) {
        while let Some(Slot::Ready(_) | Slot::Silent) = self.slots.front() {
            self.first_seq += 1;
            if let Some(Slot::Ready(gather)) = self.slots.pop_front() {
                let bytes = gather.len();
                self.unsent.push_back(bytes);
                self.unsent_bytes += bytes;
                out.push(Effect::Send { conn, gather });
            }
        }
    }

    fn admit(&mut self, conn: ConnId) -> Option<Admitted> {
        let frame = self.held.as_ref()?;
        let produce = frame.get(..2) == Some(&PRODUCE[..]);
        let free = if produce {
            self.produces_ordered()
        } else {
            self.slots.is_empty()
        };
        if !free {
            return None;
        }
        let frame = self.held.take()?;
        let seq = self.first_seq + self.slots.len() as u64;
        self.slots.push_back(if produce {
            Slot::ProduceUnordered
        } else {
            Slot::Other
        });
        Some(Admitted {
            slot: ReplySlot { conn, seq },
            frame,
        })
    }

    /// True if every open request is a produce whose order is fixed.
    fn produces_ordered(&self) -> bool {
        self.slots
            .iter()
            .all(|s| !matches!(s, Slot::ProduceUnordered | Slot::Other))
    }

    fn may_read(&self) -> bool {
        !self.waiting
            && self.held.is_none()
            && self.produces_ordered()
            && self.slots.len() < PRODUCE_IN_FLIGHT_PER_CONN_MAX
            && self.unsent.len() < UNSENT_FRAMES_MAX
            && self.unsent_bytes < UNSENT_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::effect::Part;

    const CONN: ConnId = ConnId(7);

    fn sessions() -> Sessions {
        let mut s = Sessions::default();
        s.open(CONN, IpAddr::from([127, 0, 0, 1]), ListenerId(0), false);
        s
    }

    fn produce() -> Bytes {
        Bytes::from_static(&[0, 0, 0, 9])
    }

    fn fetch() -> Bytes {
        Bytes::from_static(&[0, 1, 0, 9])
    }

    fn text(out: &Effects) -> String {
        out.iter()
            .map(|e| match e {
                Effect::ReadNext { .. } => "read".to_string(),
                Effect::Send { gather, .. } => match &gather.parts[0] {
                    Part::Head(b) => format!("send {}", b[0]),
                    other => format!("{other:?}"),
                },
                other => format!("{other:?}"),
            })
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn answer(n: u8) -> Gather {
        Gather::from_bytes(Bytes::copy_from_slice(&[n]))
    }

    /// Delivers a frame and expects it to be admitted.
    fn admit(s: &mut Sessions, frame: Bytes, out: &mut Effects) -> ReplySlot {
        s.on_frame(CONN, frame);
        let admitted = s.pump(CONN, out).expect("admitted");
        admitted.slot
    }

    #[test]
    fn produces_overlap_once_ordered_and_are_answered_in_order() {
        let (mut s, mut out) = (sessions(), Effects::new());
        let first = admit(&mut s, produce(), &mut out);
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "", "not read on before the order is fixed");
        s.ordered(first);
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "read");
        out.clear();
        let second = admit(&mut s, produce(), &mut out);
        s.ordered(second);
        s.reply(second, answer(2));
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "read", "the second answer waits for the first");
        out.clear();
        s.reply(first, answer(1));
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "send 1, send 2");
    }

    #[test]
    fn other_requests_wait_for_those_before_them() {
        let (mut s, mut out) = (sessions(), Effects::new());
        let first = admit(&mut s, produce(), &mut out);
        s.ordered(first);
        assert!(s.pump(CONN, &mut out).is_none());
        s.on_frame(CONN, fetch());
        assert!(s.pump(CONN, &mut out).is_none(), "held");
        out.clear();
        s.reply(first, answer(1));
        let second = s.pump(CONN, &mut out).expect("admitted now").slot;
        assert_eq!(text(&out), "send 1");
        assert!(s.pump(CONN, &mut out).is_none());
        s.reply(second, answer(2));
        out.clear();
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "send 2, read");
    }

    #[test]
    fn a_peer_that_never_reads_stops_being_read() {
        let (mut s, mut out) = (sessions(), Effects::new());
        let mut served = 0;
        loop {
            out.clear();
            let slot = admit(&mut s, fetch(), &mut out);
            s.reply(slot, answer(1));
            assert!(s.pump(CONN, &mut out).is_none());
            served += 1;
            if !text(&out).contains("read") {
                break;
            }
            assert!(served <= UNSENT_FRAMES_MAX);
        }
        assert_eq!(served, UNSENT_FRAMES_MAX);
        out.clear();
        s.sent(CONN);
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "read");
    }

    #[test]
    fn who_is_not_let_in_yet_is_not_read() {
        let (mut s, mut out) = (Sessions::default(), Effects::new());
        s.open(CONN, IpAddr::from([127, 0, 0, 1]), ListenerId(0), true);
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "");
        s.admit(CONN);
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "read");
        admit(&mut s, fetch(), &mut out);
    }

    #[test]
    fn acks_0_leaves_no_gap() {
        let (mut s, mut out) = (sessions(), Effects::new());
        let first = admit(&mut s, produce(), &mut out);
        s.ordered(first);
        assert!(s.pump(CONN, &mut out).is_none());
        let second = admit(&mut s, produce(), &mut out);
        s.ordered(second);
        s.reply(second, answer(2));
        s.silent(first);
        out.clear();
        assert!(s.pump(CONN, &mut out).is_none());
        assert_eq!(text(&out), "send 2, read");
    }
}
