//! Clients: state machines that speak Kafka's protocol to the node and enter what they are told in the ledger.
//!
//! Invariants: 1. A client has one connection and gets answers in the order of its requests, or it is a failure.
//! 2. After a lost connection whatever was unanswered may have happened or not; idempotent batches are sent again as they were.
//!
//! Deliberately absent: metadata routing (one node), transactions.

mod admin;
mod consumer;
mod member;
mod producer;

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::frames;
use crate::ledger::Ledger;
use crate::rng::Rng;

pub use admin::Admin;
pub use consumer::Consumer;
pub use member::{Habits, Member, PARTITIONS};
pub use producer::{Producer, Style};

/// What a client wants done.
#[derive(Debug)]
pub enum Action {
    /// Send a request.
    Send(Bytes),
    /// Call `on_timer` this many nanoseconds from now.
    Wake(u64),
}

/// What the whole workload is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Clients begin new work.
    Work,
    /// Clients finish what they began.
    Drain,
    /// One client reads everything.
    Verify,
}

/// A client's view of the world during one call.
#[derive(Debug)]
pub struct Context<'a> {
    /// Wall clock, milliseconds since 1970.
    pub wall: i64,
    /// Chance.
    pub rng: &'a mut Rng,
    /// The promises.
    pub ledger: &'a mut Ledger,
    /// What the client wants done.
    pub actions: Vec<Action>,
    /// What the workload is doing.
    pub phase: Phase,
    /// Counts requests answered, by every client.
    pub answered: &'a mut u64,
}

/// A client.
pub trait Client: std::fmt::Debug {
    /// The connection stands.
    fn on_connected(&mut self, context: &mut Context);
    /// The connection is gone.
    fn on_lost(&mut self, context: &mut Context);
    /// A response, its length prefix included.
    fn on_response(&mut self, context: &mut Context, frame: Bytes) -> Result<(), String>;
    /// The timer asked for.
    fn on_timer(&mut self, context: &mut Context);
    /// True if nothing is under way.
    fn is_idle(&self) -> bool;
}

/// A connection's requests that wait for their answers, oldest first, each with what the client must remember.
#[derive(Debug)]
pub struct Link<P> {
    up: bool,
    correlation_id: i32,
    waiting: VecDeque<(i32, P)>,
}

impl<P> Default for Link<P> {
    fn default() -> Self {
        Self {
            up: false,
            correlation_id: 0,
            waiting: VecDeque::new(),
        }
    }
}

impl<P> Link<P> {
    /// Sends a request; `memory` comes back with its answer. `None`: no answer will come.
    fn send<R: Encodable + HeaderVersion>(
        &mut self,
        context: &mut Context,
        key: ApiKey,
        version: i16,
        request: &R,
        memory: Option<P>,
    ) {
        assert!(self.up, "clients send on connections that stand");
        self.correlation_id += 1;
        let frame = frames::encode(key, version, self.correlation_id, request);
        context.actions.push(Action::Send(frame));
        match memory {
            Some(memory) => self.waiting.push_back((self.correlation_id, memory)),
            None => *context.answered += 1,
        }
    }

    /// Matches a response with the oldest request.
    fn receive(&mut self, context: &mut Context, frame: Bytes) -> Result<(P, Bytes), String> {
        let (correlation_id, frame) = frames::open(frame)?;
        let (expected, memory) = self
            .waiting
            .pop_front()
            .ok_or_else(|| format!("response {correlation_id} to no request"))?;
        if correlation_id != expected {
            return Err(format!(
                "response {correlation_id} where {expected} was due"
            ));
        }
        *context.answered += 1;
        Ok((memory, frame))
    }

    /// The connection is gone: what was waiting, oldest first.
    fn lose(&mut self) -> Vec<P> {
        self.up = false;
        self.waiting.drain(..).map(|(_, memory)| memory).collect()
    }
}
