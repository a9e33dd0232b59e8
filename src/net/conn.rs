//! One client connection: a state machine over its socket.
//!
//! Invariants:
//! 1. At most one receive and one of send, splice or poll are in flight; the slot lives until both are back.
//! 2. A frame is delivered only against a credit; while a whole frame waits for one, nothing more is received.
//! 3. A dead connection has reported `Closed` and reports nothing more.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use onrush_core::types::{ConnId, Monotonic};

use super::inbound::Inbound;
use super::outbound::Outbound;
use crate::io::lent::Vectors;
use crate::io::splice::Pipe;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Reads and writes.
    Open,
    /// Only writes what was handed over, then closes.
    Flushing,
    /// Closed; waits for operations in flight.
    Dead,
}

/// What the sending side waits for.
pub(super) enum Sending {
    /// Nothing is in flight.
    Idle,
    /// A send from memory.
    Memory,
    /// The ring fills the pipe.
    Filling(Pipe),
    /// The socket takes no more; the pipe still holds pages.
    Blocked(Pipe),
}

/// A connection.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about what is under way"
)]
pub(super) struct Conn {
    /// Its handle.
    pub(super) id: ConnId,
    /// Its socket.
    pub(super) socket: Rc<OwnedFd>,
    /// Its address.
    pub(super) peer: IpAddr,
    /// How far it is.
    pub(super) life: Life,
    /// Operations in flight.
    pub(super) ops: u32,
    /// Frames that may be delivered.
    pub(super) credit: u32,
    /// Had a credit once: before that it is not read at all.
    pub(super) admitted: bool,
    /// A receive is in flight.
    pub(super) receiving: bool,
    /// It waits for receive memory.
    pub(super) starved: bool,
    /// It waits for the core to take frames again.
    pub(super) deferred: bool,
    /// Received bytes.
    pub(super) inbound: Inbound,
    /// Since when the frame that has begun is incomplete.
    pub(super) frame_since: Option<Monotonic>,
    /// Bytes of that frame received so far.
    pub(super) frame_bytes: usize,
    /// Frames to send.
    pub(super) outbound: Outbound,
    /// What sending waits for.
    pub(super) sending: Sending,
    /// Room for describing a send, kept for the next.
    pub(super) vectors: Box<Vectors>,
    /// A poll for room in the socket is in flight.
    pub(super) polling: bool,
    /// It is on the list of those whose sending goes on in the next round.
    pub(super) runnable: bool,
    /// When a byte last went in or out.
    pub(super) active: Monotonic,
    /// Since when it only flushes.
    pub(super) flushing_since: Monotonic,
}

impl Conn {
    /// A connection just accepted.
    #[must_use]
    pub(super) fn new(
        id: ConnId,
        socket: OwnedFd,
        peer: IpAddr,
        credit: u32,
        now: Monotonic,
    ) -> Self {
        Self {
            id,
            socket: Rc::new(socket),
            peer,
            life: Life::Open,
            ops: 0,
            credit,
            admitted: credit > 0,
            receiving: false,
            starved: false,
            deferred: false,
            inbound: Inbound::default(),
            frame_since: None,
            frame_bytes: 0,
            outbound: Outbound::default(),
            sending: Sending::Idle,
            vectors: Box::default(),
            polling: false,
            runnable: false,
            active: now,
            flushing_since: now,
        }
    }
}
