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

mod conn;
mod inbound;
mod net_limits;
mod outbound;
mod table;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use onrush_core::effect::{Close, Note};
use onrush_core::input::Input;
use onrush_core::types::limits;
use onrush_core::types::{ConnId, ListenerId, Millis, Monotonic};

use self::conn::{Conn, Life, Sending};
use self::inbound::Room;
use self::outbound::Next;
use self::table::Table;
use crate::io::pool::{BLOCK_BYTES_MIN, Pool, Purpose};
use crate::io::ring::{Done, Lent, Ring};
use crate::io::socket::{Listener, prepare_accepted, shutdown};
use crate::io::splice::{Pipe, PipePool, is_resident};

pub use inbound::BadLength;
pub use net_limits::NetLimits;
pub use outbound::OutPart;

/// Bytes of files spliced for one connection before others have their turn.
const SPLICE_BYTES_PER_TURN: usize = 1 << 20;
/// How often connections are looked over for deadlines.
const SCAN_MS: Millis = Millis(500);
/// The same while somebody waits for receive memory.
const SCAN_STARVED_MS: Millis = Millis(20);

/// Memory of tails, beyond which responses that wait for slow peers give theirs up for the file: what the core may keep, and as much
/// again for those that read it.
const TAIL_BYTES_MAX: u64 = limits::UNWRITTEN_BYTES_MAX + 2 * limits::HOT_TAIL_BYTES_MAX;

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
            pipes: PipePool::default(),
            runnable: VecDeque::new(),
            starved: VecDeque::new(),
            granted: None,
            stuck_at: None,
            held_back: false,
            deferred: Vec::new(),
            scan_at: Monotonic(0),
            counts: NetCounts::default(),
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

    fn arm_accept<T: From<NetOp> + Clone>(&mut self, index: u16, cx: &mut Cx<'_, T>) {
        if let Some(listener) = self.listeners.get(usize::from(index)) {
            let listener: Rc<OwnedFd> = Rc::clone(listener);
            cx.ring.accept(listener, NetOp::Accept(index).into());
        }
    }

    fn on_accept<T: From<NetOp> + Clone>(&mut self, index: u16, done: Done<T>, cx: &mut Cx<'_, T>) {
        match done.result {
            Ok(_) => {
                if let Lent::Accepted(socket) = done.lent {
                    self.let_in(index, socket, cx);
                }
                if !done.more {
                    self.arm_accept(index, cx);
                }
            }
            Err(error) => {
                if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                    cx.notes.push(Note::Warn(String::from(
                        "no descriptor is left for a new connection: raise the limit with `ulimit -n 100000` or \
                         LimitNOFILE=100000",
                    )));
                }
                if !done.more {
                    // Tried again at the next scan: at once it would only fail again.
                    self.to_accept.push(index);
                }
            }
        }
    }

    fn let_in<T: From<NetOp> + Clone>(&mut self, index: u16, socket: OwnedFd, cx: &mut Cx<'_, T>) {
        // An error here means that the peer is gone already.
        let Ok((socket, peer)) = prepare_accepted(socket) else {
            return;
        };
        if self.table.alive() >= self.limits.connections_max
            || self.table.alive_from(peer) >= self.limits.connections_per_ip_max
        {
            self.counts.refused += 1;
            return;
        }
        let Some(id) = self.table.reserve() else {
            self.counts.refused += 1;
            return;
        };
        if self.table.alive() == 0 {
            self.scan_at = cx.now.after(SCAN_MS);
        }
        self.counts.accepted += 1;
        self.table.insert(Conn::new(id, socket, peer, cx.now));
        cx.inbox.push_back(Input::Opened {
            conn: id,
            peer,
            listener: ListenerId(index),
        });
        self.read_on(id, cx);
    }

    fn on_received<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        done: Done<T>,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        conn.receiving = false;
        if let Some(block) = done.lent.into_filling() {
            conn.inbound.give_back(block);
        }
        if !self.op_ended(id) {
            return;
        }
        match done.result {
            Ok(0) => self.kill(id, cx),
            Ok(_) => {
                if let Some(conn) = self.table.get(id) {
                    conn.active = cx.now;
                }
                self.read_on(id, cx);
            }
            Err(error) if is_transient(&error) => self.read_on(id, cx),
            Err(_) => self.kill(id, cx),
        }
    }

    /// Delivers what is whole and has a credit, then receives more.
    fn read_on<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id).filter(|c| c.life == Life::Open) else {
            return;
        };
        if conn.receiving || conn.starved || conn.deferred {
            return;
        }
        while conn.credit > 0 && !self.held_back {
            match conn.inbound.next_frame(self.limits.request_bytes_max) {
                Ok(Some(frame)) => {
                    conn.credit -= 1;
                    conn.frame_since = None;
                    cx.inbox.push_back(Input::Frame { conn: id, frame });
                }
                Ok(None) => break,
                Err(bad) => {
                    cx.notes.push(Note::Info(format!(
                        "connection of {} closed: {bad}",
                        conn.peer
                    )));
                    self.kill(id, cx);
                    return;
                }
            }
        }
        if self.held_back {
            conn.deferred = true;
            self.deferred.push(id);
            return;
        }
        if conn.inbound.has_frame(self.limits.request_bytes_max) {
            return;
        }
        if self.granted == Some(id) && conn.inbound.pending() == 0 {
            self.granted = None;
        }
        self.receive(id, cx);
    }

    fn receive<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if let Room::Needs(bytes) = conn.inbound.room() {
            let beyond =
                cx.pool.in_use(Purpose::Receive) + bytes as u64 > self.limits.queued_bytes_max;
            if bytes > BLOCK_BYTES_MIN && beyond && self.granted != Some(id) {
                conn.starved = true;
                conn.frame_since = None;
                self.counts.starved += 1;
                self.starved.push_back(id);
                self.scan_at = self.scan_at.min(cx.now.after(SCAN_STARVED_MS));
                return;
            }
            if let Err(error) = conn.inbound.replace(cx.pool, bytes) {
                cx.notes
                    .push(Note::Error(format!("no memory for a request: {error}")));
                self.kill(id, cx);
                return;
            }
        }
        if conn.inbound.pending() > 0 && conn.frame_since.is_none() {
            conn.frame_since = Some(cx.now);
        }
        conn.frame_bytes = conn.inbound.expected();
        if let Some(block) = conn.inbound.lend() {
            conn.receiving = true;
            conn.ops += 1;
            cx.ring
                .receive(conn.socket.clone(), block, NetOp::Receive(id).into());
        }
    }

    /// Lets those go on that wait for receive memory, as far as there is some.
    fn feed<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        if self.starved.is_empty() {
            return;
        }
        cx.pool.collect();
        for _ in 0..self.starved.len() {
            if cx.pool.in_use(Purpose::Receive) >= self.limits.queued_bytes_max {
                break;
            }
            let Some(id) = self.starved.pop_front() else {
                break;
            };
            self.wake_starved(id, cx);
        }
    }

    fn wake_starved<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        if let Some(conn) = self.table.get(id) {
            conn.starved = false;
            self.read_on(id, cx);
        }
    }

    /// Who waits while nothing comes free may be waiting for himself: the first in line goes on beyond the budget.
    fn unstick<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        let Some(first) = self.starved.front().copied() else {
            self.stuck_at = None;
            return;
        };
        if let Some(id) = self.granted
            && self.table.get(id).is_none_or(|c| c.life == Life::Dead)
        {
            self.granted = None;
        }
        let held = cx.pool.in_use(Purpose::Receive);
        if self.granted.is_none() && self.stuck_at == Some(held) {
            self.granted = Some(first);
            self.starved.pop_front();
            self.wake_starved(first, cx);
        }
        self.stuck_at = Some(held);
    }

    fn on_sent<T: From<NetOp> + Clone>(&mut self, id: ConnId, done: Done<T>, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if let Some(mut vectors) = done.lent.into_vectors() {
            vectors.clear();
            conn.vectors = vectors;
        }
        conn.sending = Sending::Idle;
        if !self.op_ended(id) {
            return;
        }
        match done.result {
            Ok(bytes) => {
                self.account_sent(id, u64::from(bytes), cx);
                self.write_on(id, cx);
            }
            Err(error) if is_transient(&error) => self.write_on(id, cx),
            Err(_) => self.kill(id, cx),
        }
    }

    fn on_filled<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        result: &io::Result<u32>,
        cx: &mut Cx<'_, T>,
    ) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if let Sending::Filling(mut pipe) = std::mem::replace(&mut conn.sending, Sending::Idle) {
            pipe.filled(result.as_ref().map_or(0, |bytes| *bytes as usize));
            conn.sending = Sending::Blocked(pipe);
        }
        if !self.op_ended(id) {
            return;
        }
        match result {
            Ok(bytes) if *bytes > 0 => self.write_on(id, cx),
            Err(error) if is_transient(error) => self.write_on(id, cx),
            result => self.lost_file(id, result.as_ref().err(), cx),
        }
    }

    /// A range that a response names cannot be read: the peer must not get half a frame as if it were whole.
    fn lost_file<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        error: Option<&io::Error>,
        cx: &mut Cx<'_, T>,
    ) {
        let why = error.map_or_else(|| String::from("the file ends"), ToString::to_string);
        cx.notes.push(Note::Error(format!(
            "a log file could not be read for a response: {why}"
        )));
        self.kill(id, cx);
    }

    fn write_on<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) {
        let mut spliced = 0;
        loop {
            let Some(conn) = self.table.get(id).filter(|c| c.life != Life::Dead) else {
                return;
            };
            if conn.polling {
                return;
            }
            match std::mem::replace(&mut conn.sending, Sending::Idle) {
                Sending::Idle => {}
                Sending::Blocked(pipe) if pipe.held() == 0 => self.pipes.give_back(pipe),
                Sending::Blocked(mut pipe) => {
                    let moved = pipe.drain(&conn.socket, false);
                    conn.sending = Sending::Blocked(pipe);
                    match moved {
                        Ok(bytes) => {
                            spliced += bytes;
                            self.account_sent(id, bytes as u64, cx);
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            if self.pipes.is_crowded()
                                && let Sending::Blocked(pipe) =
                                    std::mem::replace(&mut conn.sending, Sending::Idle)
                            {
                                // Its pages are dropped; the range is spliced again when there is room.
                                self.pipes.give_back(pipe);
                            }
                            conn.ops += 1;
                            conn.polling = true;
                            let socket = conn.socket.clone();
                            cx.ring.poll_writable(socket, NetOp::Writable(id).into());
                            return;
                        }
                        Err(_) => {
                            self.kill(id, cx);
                            return;
                        }
                    }
                    continue;
                }
                busy @ (Sending::Memory | Sending::Filling(_)) => {
                    conn.sending = busy;
                    return;
                }
            }
            if spliced >= SPLICE_BYTES_PER_TURN {
                self.make_runnable(id);
                return;
            }
            if !self.begin_next(id, cx) {
                return;
            }
        }
    }

    /// Begins with the next part. True if a pipe was filled and is to be drained at once.
    fn begin_next<T: From<NetOp> + Clone>(&mut self, id: ConnId, cx: &mut Cx<'_, T>) -> bool {
        let Some(conn) = self.table.get(id) else {
            return false;
        };
        match conn.outbound.next(&mut conn.vectors) {
            Next::Nothing => {
                if conn.life == Life::Flushing {
                    self.kill(id, cx);
                }
                false
            }
            Next::Memory { more } => {
                conn.sending = Sending::Memory;
                conn.ops += 1;
                let vectors = std::mem::take(&mut conn.vectors);
                let socket = conn.socket.clone();
                cx.ring.send(socket, vectors, more, NetOp::Send(id).into());
                false
            }
            Next::File {
                file,
                position,
                bytes,
            } => {
                let pipe = match self.pipes.take() {
                    Ok(pipe) => pipe,
                    Err(error) => {
                        cx.notes
                            .push(Note::Error(format!("no pipe for a response: {error}")));
                        self.kill(id, cx);
                        return false;
                    }
                };
                self.fill(id, pipe, &file, position, bytes, cx)
            }
        }
    }

    fn fill<T: From<NetOp> + Clone>(
        &mut self,
        id: ConnId,
        mut pipe: Pipe,
        file: &crate::io::ring::Keep,
        position: u64,
        bytes: u64,
        cx: &mut Cx<'_, T>,
    ) -> bool {
        let Some(conn) = self.table.get(id) else {
            return false;
        };
        // A range that begins inside a page needs one page more than its length says.
        let room = pipe.capacity() - usize::try_from(position % 4096).unwrap_or(0);
        let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(room);
        if is_resident(file, position, count as u64) {
            let filled = pipe.fill(file, position, count);
            conn.sending = Sending::Blocked(pipe);
            return match filled {
                Ok(moved) if moved > 0 => true,
                result => {
                    self.lost_file(id, result.as_ref().err(), cx);
                    false
                }
            };
        }
        conn.ops += 1;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let tag = NetOp::Splice(id).into();
        cx.ring
            .splice(file.clone(), position, pipe.write_end(), count, tag);
        conn.sending = Sending::Filling(pipe);
        false
    }

    fn account_sent<T: From<NetOp> + Clone>(&mut self, id: ConnId, bytes: u64, cx: &mut Cx<'_, T>) {
        let Some(conn) = self.table.get(id) else {
            return;
        };
        if bytes > 0 {
            conn.active = cx.now;
        }
        for _ in 0..conn.outbound.sent(bytes) {
            cx.inbox.push_back(Input::Sent { conn: id });
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
        let (peer, ops) = (conn.peer, conn.ops);
        self.table.died(peer);
        if ops == 0 {
            self.table.remove(id);
        }
        cx.inbox.push_back(Input::Closed { conn: id });
    }

    fn scan<T: From<NetOp> + Clone>(&mut self, cx: &mut Cx<'_, T>) {
        cx.pool.collect();
        if cx.pool.in_use(Purpose::Tail) > TAIL_BYTES_MAX {
            self.table
                .iter_mut()
                .for_each(|c| c.outbound.yield_memory());
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
