//! The world around a node: virtual time, the mesh, the network, the disk and the clients, in one queue of events.
//!
//! Invariants:
//! 1. Events happen in the order of (time, a random number, their making): what is due at the same moment is in random order.
//! 2. What belongs to a process ends with it: each event of a process carries its life and is dropped in a later one.
//! 3. Mesh messages between two cores, frames and responses of a connection keep their order; nothing else does.
//! 4. A process can die between any two effects of a step.
//!
//! The parts: `process` (steps and effects), `mesh`, `network`, `plan` (faults and phases).

mod mesh;
mod network;
mod plan;
mod process;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use onrush_core::input::{CoreMsg, Effects, Input};
use onrush_core::types::{ConnId, Now, WorkId};

use crate::client::{Admin, Client, Consumer, Member, Phase, Producer};
use crate::disk::{Crash, Disk};
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::swarm::{Fault, Swarm};
use crate::trace::Trace;
use mesh::Mesh;
use network::Connection;
use plan::Plan;

/// A machine of the core.
pub trait Machine {
    /// Takes one input.
    fn step(&mut self, now: Now, input: Input, out: &mut Effects);
}

/// The machines of a process: ctl, then the shards.
pub type Machines = Vec<Box<dyn Machine>>;

/// Makes the machines of a new process; the arguments are random bytes, and how many shards there are.
pub type Boot = fn([u8; 16], u16) -> Machines;

/// Milliseconds since 1970 when the world begins.
const BEGINNING_MS: u64 = 1_790_000_000_000;
/// More events than any healthy history has.
const EVENTS_MAX: u64 = 1_000_000;

#[derive(Debug)]
enum Event {
    /// A disk operation completes.
    Disk { life: u32, number: u64 },
    /// A message arrives from another core.
    Mesh {
        life: u32,
        from: usize,
        to: usize,
        msg: CoreMsg,
    },
    /// A deadline passed.
    Wake { life: u32, core: usize, at: u64 },
    /// Work goes on.
    Again {
        life: u32,
        work: WorkId,
        core: usize,
    },
    /// A client's attempt to connect.
    Connect { seat: usize },
    /// A request arrives.
    Frame { conn: ConnId, frame: Bytes },
    /// A connection has a credit again.
    Pump { conn: ConnId },
    /// The client's end of a connection arrives.
    Gone { conn: ConnId },
    /// The kernel takes the oldest response of a connection.
    Out { conn: ConnId },
    /// A response arrives.
    Response {
        conn: ConnId,
        seat: usize,
        bytes: Bytes,
    },
    /// The server's end of a connection arrives.
    Hangup { conn: ConnId, seat: usize },
    /// A client's timer.
    Timer { seat: usize, at: u64 },
    /// The process goes, unless it already did.
    Crash { life: u32, crash: Crash },
    /// A new process starts.
    Start,
    /// There is space again.
    Space { life: u32 },
    /// A start or an orderly stop should be over by now.
    Overdue { life: u32, starting: bool },
    /// A stage of the history should be over by now.
    Deadline { stage: u32 },
}

/// A client and its place in the world.
#[derive(Debug)]
struct Seat {
    client: Box<dyn Client>,
    conn: Option<ConnId>,
    timer: Option<u64>,
    may_lose_connection: bool,
}

/// A process.
struct Process {
    machines: Machines,
    born: u64,
    /// Shards that are ready: listeners accept when all of them are.
    ready: BTreeSet<usize>,
    stopped: Vec<bool>,
    wake: Vec<Option<u64>>,
    mesh: Mesh,
    /// Faults counted when it began.
    disk_faults: u64,
    /// A flush failed.
    cache_lost: bool,
    /// It reported an error, as for a partition that found no space to be born: its operator restarts it when there is space.
    wounded: bool,
}

/// See the module.
pub struct World {
    now: u64,
    events: BTreeMap<(u64, u64, u64), Event>,
    made: u64,
    rng: Rng,
    swarm: Swarm,
    boot: Boot,
    life: u32,
    process: Option<Process>,
    disk: Disk,
    seats: Vec<Seat>,
    connections: BTreeMap<ConnId, Connection>,
    conn_next: u64,
    answered: u64,
    plan: Plan,
    ledger: Ledger,
    trace: Trace,
    failure: Option<String>,
    /// The mutant `LOSE_MESH_MESSAGE`.
    loses_messages: bool,
}

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests answered, or sent if no answer comes.
    pub operations: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Records served to consumers.
    pub served: u64,
    /// Assignments told to members of groups.
    pub assigned: u64,
    /// Offsets whose commit was acknowledged.
    pub committed: u64,
    /// Crashes, failed flushes and writes, full disks.
    pub faults: u64,
    /// Crashes during recovery, on top of those planned.
    pub broken_starts: u64,
    /// Disk operations.
    pub disk_ops: u64,
    /// Fingerprint of everything that happened.
    pub trace_hash: u64,
}

impl World {
    /// A world of this seed with an empty node on the given disk.
    #[must_use]
    pub fn new(seed: u64, boot: Boot, keep_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let swarm = Swarm::draw(&mut rng);
        Self::of(swarm, rng, boot, keep_trace)
    }

    /// A world of this seed whose node keeps no groups.
    #[cfg(test)]
    fn without_groups(seed: u64, boot: Boot) -> Self {
        let mut rng = Rng::new(seed);
        let mut swarm = Swarm::draw(&mut rng);
        swarm.members.clear();
        Self::of(swarm, rng, boot, false)
    }

    fn of(swarm: Swarm, mut rng: Rng, boot: Boot, keep_trace: bool) -> Self {
        let ledger = Ledger::new(swarm.topics.clone());
        let disk = Disk::new(rng.fork());
        let mut world = Self {
            now: 0,
            events: BTreeMap::new(),
            made: 0,
            plan: Plan::new(swarm.faults.clone()),
            rng,
            boot,
            life: 1,
            process: None,
            disk,
            seats: Vec::new(),
            connections: BTreeMap::new(),
            conn_next: 1,
            answered: 0,
            ledger,
            trace: Trace::new(keep_trace),
            failure: None,
            loses_messages: false,
            swarm,
        };
        world.take_seats();
        world
    }

    /// The disk, to plant files on before the run or to look at after it.
    pub fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// From here on each process loses one message between its shards.
    pub fn lose_messages(&mut self) {
        self.loses_messages = true;
    }

    fn take_seats(&mut self) {
        let pause = *self.rng.pick(&[5, 50]);
        self.seat(Box::new(Admin::new(self.swarm.deletes, pause)), false);
        for style in self.swarm.producers.clone() {
            self.seat(Box::new(Producer::new(style)), true);
        }
        for pause_us_max in self.swarm.consumers.clone() {
            self.seat(Box::new(Consumer::new(pause_us_max)), true);
        }
        for habits in self.swarm.members.clone() {
            self.seat(Box::new(Member::new(habits)), true);
        }
    }

    fn seat(&mut self, client: Box<dyn Client>, may_lose_connection: bool) {
        self.seats.push(Seat {
            client,
            conn: None,
            timer: None,
            may_lose_connection,
        });
        let seat = self.seats.len() - 1;
        let after = self.network_delay();
        self.at(after, Event::Connect { seat });
    }

    /// The trace's lines so far if they were kept, and what is on the disk.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        let mut lines = self.trace.into_lines();
        if !lines.is_empty() {
            for (path, content) in self.disk.files() {
                lines.push(format!("{path}: {} bytes", content.len()));
                if path.strip_suffix(".log").is_some() {
                    lines.extend(crate::batch::describe(&content));
                }
            }
        }
        lines
    }

    /// Runs the history to its end: what it was, or the first promise that was broken.
    pub fn run(&mut self) -> Result<Report, String> {
        self.at(0, Event::Start);
        self.next_deadline();
        let mut count = 0;
        while self.failure.is_none() && self.plan.phase != plan::Stage::Done {
            let Some((&key, _)) = self.events.first_key_value() else {
                self.fail("nothing is left to happen".to_owned());
                break;
            };
            let event = self.events.remove(&key).expect("it was just seen");
            self.now = key.0;
            self.happen(event);
            self.advance();
            if let Some(broken) = self.ledger.failure() {
                self.failure = Some(broken.to_owned());
            }
            count += 1;
            if count > EVENTS_MAX {
                self.fail("the history does not end".to_owned());
            }
        }
        let report = Report {
            operations: self.answered,
            acked: self.ledger.acked,
            served: self.ledger.served,
            assigned: self.ledger.groups.assigned,
            committed: self.ledger.groups.committed,
            faults: self.plan.faults,
            broken_starts: self.plan.broken_starts,
            disk_ops: self.disk.counts.ops,
            trace_hash: self.trace.hash(),
        };
        match self.failure.take() {
            None => Ok(report),
            Some(failure) => Err(format!(
                "{failure} (at {} µs, life {})",
                self.now / 1_000,
                self.life
            )),
        }
    }

    fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// Plans an event so many nanoseconds from now.
    fn at(&mut self, after: u64, event: Event) {
        self.at_time(self.now + after, event);
    }

    fn at_time(&mut self, time: u64, event: Event) {
        self.made += 1;
        let order = self.rng.bits();
        self.events
            .insert((time.max(self.now), order, self.made), event);
    }

    fn network_delay(&mut self) -> u64 {
        self.rng.between(1_000, self.swarm.network_us * 1_000)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Disk { life, number } if life == self.life => self.on_disk(number),
            Event::Mesh {
                life,
                from,
                to,
                msg,
            } if life == self.life => self.on_mesh(from, to, msg),
            Event::Wake { life, core, at } if life == self.life => self.on_wake(core, at),
            Event::Again { life, core, work } if life == self.life => {
                self.step(core, Input::Again { work });
            }
            Event::Connect { seat } => self.on_connect(seat),
            Event::Frame { conn, frame } => self.on_frame(conn, frame),
            Event::Pump { conn } => self.pump(conn),
            Event::Gone { conn } => self.on_gone(conn),
            Event::Out { conn } => self.on_out(conn),
            Event::Response { conn, seat, bytes } => self.on_response(conn, seat, bytes),
            Event::Hangup { conn, seat } => self.on_hangup(conn, seat),
            Event::Timer { seat, at } => self.on_timer(seat, at),
            Event::Crash { life, crash } if life == self.life => self.crash(crash),
            Event::Start => self.start(),
            Event::Space { life } if life == self.life => self.disk.faults.full = false,
            Event::Overdue { life, starting } if life == self.life => self.on_overdue(starting),
            Event::Deadline { stage } => self.on_deadline(stage),
            // Of a process that is gone.
            Event::Disk { .. }
            | Event::Mesh { .. }
            | Event::Wake { .. }
            | Event::Again { .. }
            | Event::Crash { .. }
            | Event::Overdue { .. }
            | Event::Space { .. } => {}
        }
    }

    /// What clients may do now.
    fn client_phase(&self) -> Phase {
        match self.plan.phase {
            // Nobody runs ahead of a fault that is to come.
            plan::Stage::Work if self.plan.is_overtaken(self.answered) => Phase::Drain,
            plan::Stage::Work => Phase::Work,
            plan::Stage::Drain => Phase::Drain,
            plan::Stage::LastStop | plan::Stage::Verify | plan::Stage::Done => Phase::Verify,
        }
    }

    /// The faults a seed has drawn, for those who want to know.
    #[must_use]
    pub fn faults(&self) -> &[(u64, Fault)] {
        &self.swarm.faults
    }
}

#[cfg(test)]
mod tests;
