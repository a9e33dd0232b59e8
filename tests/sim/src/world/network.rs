//! Connections between clients and the node.
//!
//! Invariants: 1. Frames arrive in order and reach the core one per credit. 2. Responses leave in order; what they name in files is
//! read only when they leave.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use onrush_core::effect::Gather;
use onrush_core::input::Input;
use onrush_core::types::{ConnId, ListenerId};

use super::{Event, World};
use crate::client::{Action, Client, Context};
use crate::disk::Held;
use crate::trace::print;

/// A connection as the node's kernel sees it.
#[derive(Debug)]
pub(super) struct Connection {
    seat: usize,
    /// The shard that accepted it.
    core: usize,
    /// The client still has its end.
    client_there: bool,
    credits: u32,
    inbox: VecDeque<Bytes>,
    outbox: VecDeque<Vec<Held>>,
    /// Latest arrivals, to keep order.
    in_last: u64,
    out_last: u64,
    response_last: u64,
    closing: bool,
}

impl World {
    pub(super) fn on_connect(&mut self, seat: usize) {
        if self.seats[seat].conn.is_some() {
            return;
        }
        let shards = match &self.process {
            Some(process) if process.is_ready() => process.shards(),
            _ => 0,
        };
        if shards == 0 {
            let after = self.rng.between(1_000_000, 20_000_000);
            self.at(after, Event::Connect { seat });
            return;
        }
        let core = 1 + self.rng.index(shards);
        let conn = ConnId(self.conn_next);
        self.conn_next += 1;
        self.seats[seat].conn = Some(conn);
        self.connections.insert(
            conn,
            Connection {
                seat,
                core,
                client_there: true,
                credits: 1,
                inbox: VecDeque::new(),
                outbox: VecDeque::new(),
                in_last: self.now,
                out_last: self.now,
                response_last: self.now,
                closing: false,
            },
        );
        self.trace.add(
            self.now,
            format_args!("client {seat} connects to {core} as {conn}"),
        );
        let opened = Input::Opened {
            conn,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener: ListenerId(0),
        };
        self.step(core, opened);
        if self.seats[seat].conn == Some(conn) {
            self.with_client(seat, |client, context| {
                client.on_connected(context);
                Ok(())
            });
        }
    }

    /// Calls a client and carries out what it wants.
    pub(super) fn with_client(
        &mut self,
        seat: usize,
        call: impl FnOnce(&mut dyn Client, &mut Context) -> Result<(), String>,
    ) {
        let phase = self.client_phase();
        let mut context = Context {
            wall: self.wall(),
            rng: &mut self.rng,
            ledger: &mut self.ledger,
            actions: Vec::new(),
            phase,
            answered: &mut self.answered,
        };
        let result = call(&mut *self.seats[seat].client, &mut context);
        let actions = context.actions;
        if let Err(what) = result {
            self.fail(format!("client {seat}: {what}"));
        }
        for action in actions {
            match action {
                Action::Send(frame) => self.send_frame(seat, frame),
                Action::Wake(after) => {
                    let at = self.now + after;
                    let timer = &mut self.seats[seat].timer;
                    if timer.is_none_or(|before| before > at) {
                        *timer = Some(at);
                        self.at_time(at, Event::Timer { seat, at });
                    }
                }
            }
        }
    }

    pub(super) fn on_timer(&mut self, seat: usize, at: u64) {
        if self.seats[seat].timer == Some(at) {
            self.seats[seat].timer = None;
            self.with_client(seat, |client, context| {
                client.on_timer(context);
                Ok(())
            });
        }
    }

    fn send_frame(&mut self, seat: usize, frame: Bytes) {
        let delay = self.network_delay();
        let conn = self.seats[seat].conn.expect("clients send when connected");
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let arrival = (self.now + delay).max(connection.in_last + 1);
        connection.in_last = arrival;
        self.at_time(arrival, Event::Frame { conn, frame });
    }

    pub(super) fn on_frame(&mut self, conn: ConnId, frame: Bytes) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.inbox.push_back(frame);
            self.pump(conn);
        }
    }

    pub(super) fn credit(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.credits += 1;
            // What waits is handed in by an event of its own: the machine is in the middle of a step.
            if !connection.inbox.is_empty() {
                let after = self.rng.between(1, 5_000);
                self.at(after, Event::Pump { conn });
            }
        }
    }

    pub(super) fn pump(&mut self, conn: ConnId) {
        loop {
            let Some(core) = self.connections.get(&conn).map(|c| c.core) else {
                return;
            };
            if self.is_backed_up(core) {
                let after = self.rng.between(10_000, 1_000_000);
                self.at(after, Event::Pump { conn });
                return;
            }
            let Some(connection) = self.connections.get_mut(&conn) else {
                return;
            };
            if connection.credits == 0 || connection.closing {
                return;
            }
            let Some(frame) = connection.inbox.pop_front() else {
                return;
            };
            connection.credits -= 1;
            self.trace
                .add(self.now, format_args!("{conn} asks {}", print(&frame)));
            self.step(core, Input::Frame { conn, frame });
        }
    }

    pub(super) fn send(&mut self, core: usize, conn: ConnId, gather: &Gather) {
        let core = u16::try_from(core).expect("few cores");
        // Held even if nobody listens any more: the core must not know.
        let disk = &mut self.disk;
        let held: Vec<Held> = gather.parts.iter().map(|p| disk.hold(core, p)).collect();
        let delay = self.network_delay();
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        assert!(!connection.closing, "nothing is sent after a close");
        connection.outbox.push_back(held);
        let leave = (self.now + delay).max(connection.out_last + 1);
        connection.out_last = leave;
        self.at_time(leave, Event::Out { conn });
    }

    pub(super) fn on_out(&mut self, conn: ConnId) {
        let delay = self.network_delay();
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let Some(held) = connection.outbox.pop_front() else {
            return;
        };
        let mut bytes = BytesMut::new();
        for part in &held {
            bytes.extend_from_slice(&self.disk.bytes_of(part));
        }
        let arrival = (self.now + delay).max(connection.response_last + 1);
        connection.response_last = arrival;
        let (seat, core) = (connection.seat, connection.core);
        let bytes = bytes.freeze();
        self.at_time(arrival, Event::Response { conn, seat, bytes });
        self.step(core, Input::Sent { conn });
    }

    /// The node closes a connection once what it sent is out.
    pub(super) fn close(&mut self, conn: ConnId) {
        let after = self.rng.between(1, 10_000);
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.closing = true;
            let last = connection.out_last.max(self.now + after) + 1;
            self.at_time(last, Event::Gone { conn });
        }
    }

    pub(super) fn on_gone(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.remove(&conn) else {
            return;
        };
        self.trace.add(self.now, format_args!("{conn} is gone"));
        if connection.client_there {
            let seat = connection.seat;
            let delay = self.network_delay();
            let arrival = (self.now + delay).max(connection.response_last + 1);
            self.at_time(arrival, Event::Hangup { conn, seat });
        }
        self.step(connection.core, Input::Closed { conn });
    }

    pub(super) fn on_response(&mut self, conn: ConnId, seat: usize, bytes: Bytes) {
        if self.seats[seat].conn != Some(conn) {
            return;
        }
        self.trace.add(
            self.now,
            format_args!("client {seat} is answered {}", print(&bytes)),
        );
        self.with_client(seat, |client, context| client.on_response(context, bytes));
        let one_in = self.swarm.connection_loss_one_in;
        if one_in > 0
            && self.seats[seat].may_lose_connection
            && self.seats[seat].conn.is_some()
            && self.is_working()
            && self.rng.one_in(one_in)
        {
            self.drop_connection(seat);
        }
    }

    /// The process died: what had left before still reaches some clients.
    pub(super) fn deliver_last_words(&mut self) {
        let mut by_connection = BTreeMap::new();
        let on_the_way: Vec<_> = self
            .events
            .iter()
            .filter_map(|(&key, event)| match event {
                Event::Response { conn, .. } => Some((key, *conn)),
                _ => None,
            })
            .collect();
        for (key, conn) in on_the_way {
            let rng = &mut self.rng;
            let arrives = *by_connection.entry(conn).or_insert_with(|| rng.one_in(2));
            if let Some(Event::Response { conn, seat, bytes }) = self.events.remove(&key)
                && arrives
            {
                self.on_response(conn, seat, bytes);
            }
        }
    }

    /// The client closes its end; what it sent before still arrives.
    fn drop_connection(&mut self, seat: usize) {
        let delay = self.network_delay();
        if let Some(conn) = self.seats[seat].conn
            && let Some(connection) = self.connections.get_mut(&conn)
        {
            connection.client_there = false;
            let arrival = (self.now + delay).max(connection.in_last + 1);
            self.at_time(arrival, Event::Gone { conn });
        }
        self.lose(seat);
    }

    pub(super) fn on_hangup(&mut self, conn: ConnId, seat: usize) {
        if self.seats[seat].conn == Some(conn) {
            self.lose(seat);
        }
    }

    /// A client's connection is gone; it tries again.
    pub(super) fn lose(&mut self, seat: usize) {
        if self.seats[seat].conn.take().is_some() {
            self.trace
                .add(self.now, format_args!("client {seat} lost its connection"));
            self.with_client(seat, |client, context| {
                client.on_lost(context);
                Ok(())
            });
            let after = self.network_delay();
            self.at(after, Event::Connect { seat });
        }
    }
}
