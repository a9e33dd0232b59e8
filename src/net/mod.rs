//! Client connections: bytes in, frames to the core; gathers from the core, bytes out.
//!
//! Invariants:
//! 1. Nothing here waits: every step either goes on at once or leaves an operation in the ring.
//! 2. Memory is bounded: one smallest block per connection, everything beyond it in one budget per shard. When the budget is used
//!    up, connections wait for it in the order they came; if it is held by frames that cannot complete, the first in line may
//!    go on beyond it, one at a time, so the excess is one frame and there is no deadlock.
//! 3. A connection is closed in bounded time if its peer starts a frame and does not go on, or lets a response lie.
//!
//! Deliberately absent: knowledge of what a frame means.

mod accepting;
mod conn;
mod inbound;
mod net_limits;
mod outbound;
mod reading;
mod table;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use onrush_core::effect::{Close, Note};
use onrush_core::input::Input;
use onrush_core::types::{ConnId, Millis, Monotonic};

use self::conn::{Conn, Life, Sending};
use self::table::Table;
use crate::io::pool::{Pool, Purpose};
use crate::io::ring::{Done, Ring};
use crate::io::socket::{Listener, shutdown};
use crate::io::splice::PipePool;

pub use inbound::BadLength;
pub use net_limits::NetLimits;
pub use outbound::OutPart;

/// How often connections are looked over for deadlines.
const SCAN_MS: Millis = Millis(500);
/// The same while somebody waits for receive memory.
const SCAN_STARVED_MS: Millis = Millis(20);

/// What an operation of the ring was about.
#[derive(Clone, Copy, Debug)]
pub enum NetOp {
    /// Accepting at the listener with this index.
    Accept(u16),
    /// Receiving.
    Receive(ConnId),
    /// Sending from memory.
    Send(ConnId),
    /// Filling the pipe.
    Splice(ConnId),
    /// Waiting until the socket takes more.
    Writable(ConnId),
}

/// What the network needs of the core's other parts for one call.
pub struct Cx<'a, T> {
    /// The core's ring.
    pub ring: &'a mut Ring<T>,
    /// The core's memory.
    pub pool: &'a mut Pool,
    /// What the machine is to be stepped with.
    pub inbox: &'a mut VecDeque<Input>,
    /// Events for people.
    pub notes: &'a mut Vec<Note>,
    /// Now.
    pub now: Monotonic,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounts {
    /// Connections let in.
    pub accepted: u64,
    /// Connections closed at once because of a limit.
    pub refused: u64,
    /// Times a connection had to wait for receive memory.
    pub starved: u64,
    /// Connections closed for a deadline.
    pub expired: u64,
}

/// All connections of one shard.
pub struct Net {
    limits: NetLimits,
    listeners: Vec<Rc<OwnedFd>>,
    /// Listeners whose accept must be armed (again).
    to_accept: Vec<u16>,
    opened: bool,
    table: Table,
    pipes: PipePool,
    runnable: VecDeque<ConnId>,
    starved: VecDeque<ConnId>,
    /// May go beyond the budget until its frame is whole.
    granted: Option<ConnId>,
    /// Receive memory at the last scan with somebody waiting.
    stuck_at: Option<u64>,
    held_back: bool,
    deferred: Vec<ConnId>,
    scan_at: Monotonic,
    counts: NetCounts,
    /// Of `counts.refused`, how many people have been told of.
    refused_told: u64,
}

impl Net {
    /// With bound listeners, which do not accept before [`Net::open`].
    #[must_use]
    pub fn new(listeners: Vec<Listener>, limits: NetLimits) -> Self {
        Self {
            limits,
            listeners: listeners
                .into_iter()
                .map(|l| Rc::new(l.into_fd()))
                .collect(),
            to_accept: Vec::new(),
            opened: false,
            table: Table::default(),
            pipes: PipePool::new(limits.pipes_max),
            runnable: VecDeque::new(),
            starved: VecDeque::new(),
            granted: None,
            stuck_at: None,
            held_back: false,
            deferred: Vec::new(),
            scan_at: Monotonic(0),
            counts: NetCounts::default(),
            refused_told: 0,
        }
    }

    /// Starts to accept; once.
    pub fn open(&mut self) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        self.to_accept = (0..self.listeners.len())
            .filter_map(|index| u16::try_from(index).ok())
            .collect();
        self.scan_at = Monotonic(0);
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> NetCounts {
        self.counts
    }

    /// When [`Net::tick`] wants to be called, if at all.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        (self.table.alive() > 0 || !self.to_accept.is_empty()).then_some(self.scan_at)
    }

    /// True if some connection wants to go on without any completion.
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// True if frames for this connection are still taken.
    pub fn is_open(&mut self, id: ConnId) -> bool {
        self.table.get(id).is_some_and(|c| c.life == Life::Open)
    }

    /// True if some response is under way.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.table
            .iter()
            .any(|c| c.life != Life::Dead && !c.outbound.is_empty())
    }

    /// While true no frame is delivered.
    pub fn hold_back<T: From<NetOp> + Clone>(&mut self, on: bool, cx: &mut Cx<'_, T>) {
        if self.held_back == on {
            return;
        }
        self.held_back = on;
        if !on {
            for id in std::mem::take(&mut self.deferred) {
                if let Some(conn) = self.table.get(id) {
                    conn.deferred = false;
                }
                self.read_on(id, cx);
            }
        }
    }

    /// Handles a completion.
    pub fn on_done<T: From<NetOp> + Clone>(
        &mut self,
        op: NetOp,
        done: Done<T>,
        cx: &mut Cx<'_, T>,
    ) {
        match op {
            NetOp::Accept(index) => self.on_accept(index, done, cx),
            NetOp::Receive(id) => self.on_received(id, done, cx),
            NetOp::Send(id) => self.on_sent(id, done, cx),
            NetOp::Splice(id) => self.on_filled(id, &done.result, cx),
            NetOp::Writable(id) => {
                if let Some(conn) = self.table.get(id) {
                    conn.polling = false;
                }
                if self.op_ended(id) {
                    self.write_on(id, cx);
                }
            }
        }
    }

    /// Sends one frame. Dropped if the connection is gone.
    pub fn send<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        parts: Vec<OutPart>,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(conn) = self.table.get(id).filter(|c| c.life == Life::Open) else {
            return;
        };
        if conn.outbound.is_empty() {
            // From now on its peer is expected to read.
            conn.active = cx.now;
        }
        conn.outbound.push(parts);
        // Frames of one step leave together: sending begins when the effects are done.
        self.make_runnable(id);
    }

    /// One more frame may be delivered.
    pub fn read_next<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id).filter(|c| c.life == Life::Open) else {
            return;
        };
        conn.credit += 1;
        conn.admitted = true;
        self.read_on(id, cx);
    }

    /// Closes after what was handed over is sent.
    pub fn close<T: From<NetOp> + Clone>(&mut self, id: ConnId, why: &Close, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id).filter(|c| c.life == Life::Open) else {
            return;
        };
        if *why != Close::Stopping {
            cx.notes.push(Note::Info(format!(
                "connection of {} closed: {why}",
                conn.peer
            )));
        }
        if conn.outbound.is_empty() {
            self.kill(id, cx);
        } else {
            conn.life = Life::Flushing;
            conn.flushing_since = cx.now;
        }
    }

    /// Goes on with sending where that was put off, gives out receive memory, closes what is over its time.
    pub fn tick<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        for _ in 0..self.runnable.len() {
            let Some(id) = self.runnable.pop_front() else {
                break;
            };
            if let Some(conn) = self.table.get(id) {
                conn.runnable = false;
                self.write_on(id, cx);
            }
        }
        self.feed(cx);
        if self.deadline().is_some() && cx.now >= self.scan_at {
            self.scan_at = cx.now.after(SCAN_MS);
            for index in std::mem::take(&mut self.to_accept) {
                self.arm_accept(index, cx);
            }
            self.scan(cx);
            if !self.starved.is_empty() {
                self.scan_at = cx.now.after(SCAN_STARVED_MS);
            }
        }
    }

    fn make_runnable(&mut self, id: ConnId) {
        if let Some(conn) = self.table.get(id)
            && !std::mem::replace(&mut conn.runnable, true)
        {
            self.runnable.push_back(id);
        }
    }

    /// An operation came back. False if the connection is dead; its slot is freed with the last one.
    fn op_ended(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.table.get(id) else {
            return false;
        };
        conn.ops -= 1;
        let dead = conn.life == Life::Dead;
        if dead && conn.ops == 0 {
            self.table.remove(id);
        }
        !dead
    }

    fn kill<T>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id).filter(|c| c.life != Life::Dead) else {
            return;
        };
        conn.life = Life::Dead;
        conn.outbound.clear();
        if !matches!(conn.sending, Sending::Filling(_)) {
            conn.sending = Sending::Idle;
        }
        shutdown(&conn.socket);
        let ops = conn.ops;
        self.table.died();
        if ops == 0 {
            self.table.remove(id);
        }
        cx.inbox.push_back(Input::Closed { conn: id });
    }

    fn scan<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        cx.pool.collect();
        // Whoever has not read since the last scan keeps no other core's memory, and ours only while there is enough.
        let own = cx.pool.in_use(Purpose::Tail) > self.limits.tail_bytes_max;
        self.table
            .iter_mut()
            .for_each(|c| c.outbound.yield_memory(own));
        if self.counts.refused > self.refused_told {
            // One line a scan: whoever is refused may try again at once.
            self.refused_told = self.counts.refused;
            cx.notes.push(Note::Warn(format!(
                "{} connections were refused since the start, {} are open: the limit of open files is \
                 reached; raise it with `ulimit -n 100000` or LimitNOFILE=100000",
                self.refused_told,
                self.table.alive()
            )));
        }
        let limits = self.limits;
        let expired: Vec<ConnId> = self
            .table
            .iter()
            .filter(|conn| is_expired(conn, &limits, cx.now))
            .map(|conn| conn.id)
            .collect();
        for id in expired {
            self.counts.expired += 1;
            self.kill(id, cx);
        }
        self.unstick(cx);
    }
}

/// True if the connection is over one of its times.
fn is_expired(conn: &Conn, limits: &NetLimits, now: Monotonic) -> bool {
    match conn.life {
        Life::Dead => false,
        Life::Flushing => now.since(conn.flushing_since) > limits.frame_ms_max,
        Life::Open => {
            let frame_ms = limits.frame_ms_max.0 + conn.frame_bytes as u64 / 8;
            now.since(conn.active) > limits.idle_ms_max
                || conn
                    .frame_since
                    .is_some_and(|since| now.since(since) > Millis(frame_ms))
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR))
}
