//! The rounds of one core; see the parent module for the structure and its invariants.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use onrush_core::ask::Answer;
use onrush_core::effect::{Effect, Gather, Note, Part};
use onrush_core::input::{CoreMsg, Effects, Input};
use onrush_core::types::{Monotonic, Position, WorkId};

use super::fault::Fault;
use super::{CoreSpec, Machine, NoteSink, Outcome};
use crate::io::clock::Clock;
use crate::io::pool::Pool;
use crate::io::ring::{Done, Keep, Ring};
use crate::io::wake::{Event, Sleeper};
use crate::mesh::MeshEnd;
use crate::net::{self, Net, NetOp, OutPart};
use crate::store::{self, Store, StoreOp};

/// Completions taken in one round.
const COMPLETIONS_PER_ROUND: usize = 1024;
/// Messages from other cores taken in one round.
const MESSAGES_PER_ROUND: usize = 4096;
/// Steps of one round; the rest follows in the next, after new completions.
const STEPS_PER_ROUND: usize = 4096;
/// Longest sleep, when there is no deadline.
const SLEEP_MAX: Duration = Duration::from_hours(1);
/// Longest sleep while messages wait for room in a peer's queue.
const BACKED_UP_SLEEP: Duration = Duration::from_millis(1);
/// Longest sleep between two looks while the core says farewell.
const FAREWELL_SLEEP: Duration = Duration::from_millis(1);
/// How long the end waits for responses and messages that were handed over.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What an operation of the ring was about.
#[derive(Clone, Debug)]
enum Tag {
    Net(NetOp),
    Store(StoreOp),
    /// Somebody without a ring woke us.
    Woken,
}

impl From<NetOp> for Tag {
    fn from(op: NetOp) -> Self {
        Self::Net(op)
    }
}

impl From<StoreOp> for Tag {
    fn from(op: StoreOp) -> Self {
        Self::Store(op)
    }
}

/// One core.
pub(super) struct Pump<M> {
    machine: M,
    // Before the pool: operations in flight hold its memory.
    ring: Ring<Tag>,
    net: Net,
    store: Store,
    pool: Pool,
    mesh: MeshEnd,
    own: Arc<Sleeper>,
    woken: Keep,
    clock: Clock,
    sink: NoteSink,
    inbox: VecDeque<Input>,
    again: VecDeque<WorkId>,
    effects: Effects,
    completions: Vec<Done<Tag>>,
    notes: Vec<Note>,
    wake_at: Option<Monotonic>,
    stop_given: bool,
    /// The machine has said that it is ready.
    ready: bool,
    fault: Fault,
    outcome: Option<Outcome>,
}

/// The parts of a pump that network and store work with, borrowed apart from each other.
macro_rules! net_cx {
    ($pump:expr) => {
        &mut net::Cx {
            ring: &mut $pump.ring,
            pool: &mut $pump.pool,
            inbox: &mut $pump.inbox,
            notes: &mut $pump.notes,
            now: $pump.clock.mono(),
        }
    };
}
macro_rules! store_cx {
    ($pump:expr) => {
        &mut store::Cx {
            ring: &mut $pump.ring,
            pool: &mut $pump.pool,
            inbox: &mut $pump.inbox,
            notes: &mut $pump.notes,
        }
    };
}

impl<M: Machine> Pump<M> {
    /// Sets everything up on the core's own thread.
    ///
    /// Errors: a sentence that says what the system refuses.
    pub(super) fn new<F>(spec: CoreSpec<F>) -> Result<Self, String>
    where
        F: FnOnce() -> M,
    {
        let own = Arc::clone(spec.mesh.own());
        let mut ring = Ring::new()?;
        let mut notes = Vec::new();
        if let Err(error) = ring.bound_workers(spec.workers_max, &spec.helper_cpus) {
            notes.push(Note::Warn(format!(
                "the kernel's I/O workers stay unbounded: {error}"
            )));
        }
        let fail = |what: &str, error: std::io::Error| format!("{what} of {}: {error}", spec.name);
        if let Some(lock) = &spec.lock {
            ring.hold(lock)
                .map_err(|e| fail("holding the directory's lock", e))?;
        }
        let event = own.wake().event().try_clone();
        let woken: Rc<Event> = Rc::new(event.map_err(|e| fail("the wake-up event", e))?);
        ring.read_event(woken.clone(), Tag::Woken);
        let helper = format!("{}-files", spec.name);
        let store = Store::start(&helper, spec.dir, spec.helper_cpus, Arc::clone(&own))
            .map_err(|e| fail("the helper thread", e))?;
        own.wake().publish_ring(Some(ring.fd()));
        Ok(Self {
            machine: (spec.machine)(),
            ring,
            net: Net::new(spec.listeners, spec.limits),
            store,
            pool: Pool::new(),
            mesh: spec.mesh,
            own,
            woken,
            clock: spec.clock,
            sink: spec.notes,
            inbox: VecDeque::from([Input::Start]),
            again: VecDeque::new(),
            effects: Effects::new(),
            completions: Vec::new(),
            notes,
            wake_at: None,
            stop_given: false,
            ready: false,
            fault: Fault::of(&spec.name),
            outcome: None,
        })
    }

    /// Runs until the machine stops or halts.
    pub(super) fn run(mut self) -> Outcome {
        loop {
            let worked = self.round();
            if let Some(outcome) = self.outcome.take() {
                self.farewell();
                return outcome;
            }
            if !worked && !self.has_more() {
                self.sleep();
            }
        }
    }

    /// True if there is work that no completion will announce.
    fn has_more(&self) -> bool {
        !self.again.is_empty() || !self.inbox.is_empty() || self.net.is_runnable()
    }

    /// True if somebody else left something for us.
    fn is_called(&self) -> bool {
        !self.mesh.is_empty()
            || !self.store.is_quiet()
            || (!self.stop_given && self.own.is_asked_to_stop())
    }

    /// One round. True if anything happened.
    fn round(&mut self) -> bool {
        let mut worked = self.take_completions() > 0;
        worked |= self.store.poll(store_cx!(self)) > 0;
        worked |= self.take_messages() > 0;
        if !self.stop_given && self.own.is_asked_to_stop() {
            self.stop_given = true;
            self.inbox.push_back(Input::Stop);
        }
        if self.wake_at.is_some_and(|at| at <= self.clock.mono()) {
            self.wake_at = None;
            self.inbox.push_back(Input::Tick);
        }
        worked |= self.step_all();
        if self.ready && self.own.may_open() {
            self.net.open();
        }
        self.net.hold_back(self.mesh.is_backed_up(), net_cx!(self));
        self.net.tick(net_cx!(self));
        self.store.flush();
        self.wake_peers();
        for note in self.notes.drain(..) {
            (self.sink)(note);
        }
        self.ring.submit();
        worked
    }

    fn take_completions(&mut self) -> usize {
        let count = self
            .ring
            .drain(&mut self.completions, COMPLETIONS_PER_ROUND);
        let mut completions = std::mem::take(&mut self.completions);
        for mut done in completions.drain(..) {
            match std::mem::replace(&mut done.tag, Tag::Woken) {
                Tag::Net(op) => self.net.on_done(op, done, net_cx!(self)),
                Tag::Store(op) => self.store.on_done(op, done, store_cx!(self)),
                Tag::Woken => {
                    self.ring.read_event(Rc::clone(&self.woken), Tag::Woken);
                }
            }
        }
        self.completions = completions;
        count
    }

    fn take_messages(&mut self) -> usize {
        let inbox = &mut self.inbox;
        self.mesh.receive(MESSAGES_PER_ROUND, |from, msg| {
            inbox.push_back(Input::Mesh { from, msg });
        })
    }

    /// Steps the machine with all that is ready, then with the work that asked to go on.
    fn step_all(&mut self) -> bool {
        let mut steps = 0;
        while self.outcome.is_none() && steps < STEPS_PER_ROUND {
            let Some(input) = self.inbox.pop_front() else {
                break;
            };
            self.step(input);
            steps += 1;
        }
        if self.inbox.is_empty() {
            for _ in 0..self.again.len() {
                if self.outcome.is_some() {
                    break;
                }
                if let Some(work) = self.again.pop_front() {
                    self.step(Input::Again { work });
                    steps += 1;
                }
            }
        }
        steps > 0
    }

    fn step(&mut self, input: Input) {
        self.fault.on_input(&input);
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.step(self.clock.now(), input, &mut effects);
        for effect in effects.drain(..) {
            self.execute(effect);
        }
        self.effects = effects;
    }

    fn execute(&mut self, effect: Effect<CoreMsg>) {
        match effect {
            Effect::Disk { op, token } => self.store.execute(token, op, store_cx!(self)),
            Effect::Send { conn, gather } => {
                if self.net.is_open(conn) {
                    let parts = resolve(&mut self.store, gather);
                    self.net.send(conn, parts, net_cx!(self));
                }
            }
            Effect::ReadNext { conn } => self.net.read_next(conn, net_cx!(self)),
            Effect::Close { conn, why } => self.net.close(conn, &why, net_cx!(self)),
            Effect::Mesh { core, mut msg } => {
                lend(&mut self.store, &mut msg);
                self.mesh.send(core, msg);
            }
            Effect::Wake { at } => {
                self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
            }
            Effect::Again { work } => self.again.push_back(work),
            Effect::Note(note) => {
                self.fault.on_note(&note);
                self.ready |= note == Note::Ready;
                self.notes.push(note);
            }
            Effect::Halt(why) => self.end(Outcome::Halted(why)),
            Effect::Stopped => self.end(Outcome::Stopped),
        }
    }

    /// The first end counts.
    fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    fn wake_peers(&mut self) {
        let ring = &mut self.ring;
        self.mesh.flush(|sleeper| match sleeper.wake().ring() {
            Some(other) => ring.wake(other),
            None => sleeper.wake().event().signal(),
        });
    }

    /// The next moment at which something is to be done without being asked.
    fn deadline(&self) -> Option<Monotonic> {
        match (self.wake_at, self.net.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Sleeps until a completion, a call from another thread or the next deadline.
    fn sleep(&mut self) {
        let at_most = self
            .deadline()
            .map_or(SLEEP_MAX, |at| self.clock.until(at).min(SLEEP_MAX));
        let at_most = if self.mesh.is_backed_up() {
            // Nobody tells us when the peer has made room.
            at_most.min(BACKED_UP_SLEEP)
        } else {
            at_most
        };
        self.own.fall_asleep();
        if !self.is_called() && !self.ring.has_completions() {
            self.ring.submit_and_wait(at_most);
        }
        self.own.rise();
    }

    /// Lets messages to other cores and responses leave that were handed over before the end.
    fn farewell(&mut self) {
        let until = self.clock.mono().0 + u64::try_from(FAREWELL_MAX.as_nanos()).unwrap_or(0);
        while (self.mesh.is_backed_up() || self.net.is_sending()) && self.clock.mono().0 < until {
            self.take_completions();
            // Nobody is stepped any more.
            self.inbox.clear();
            self.net.tick(net_cx!(self));
            self.wake_peers();
            self.ring.submit_and_wait(FAREWELL_SLEEP);
        }
        self.wake_peers();
        self.ring.submit();
        for note in self.notes.drain(..) {
            (self.sink)(note);
        }
        self.own.wake().publish_ring(None);
    }
}

/// Finds the memory and the files that a gather names.
fn resolve(store: &mut Store, gather: Gather) -> Vec<OutPart> {
    let mut parts = Vec::with_capacity(gather.parts.len());
    for part in gather.parts {
        match part {
            Part::Head(bytes) => parts.push(OutPart::Bytes(bytes)),
            Part::Tail {
                file,
                position,
                len,
            } => {
                let mut position = position.0;
                for bytes in store.tail_slices(file, Position(position), len) {
                    let len = bytes.len() as u64;
                    parts.push(OutPart::Tail {
                        bytes,
                        file: store.splice_source(file),
                        position,
                        released: store.released(file),
                        lent: false,
                    });
                    position += len;
                }
            }
            Part::Extent {
                file,
                position,
                len,
            } => parts.push(OutPart::File {
                file: store.splice_source(file),
                position: position.0,
                bytes: u64::from(len),
            }),
            Part::Lent {
                loan,
                position,
                len,
            } => parts.push(out_part(store::borrowed(&loan), position, len)),
        }
    }
    parts
}

/// What another core lent, to be sent.
fn out_part(borrowed: store::Borrowed, position: Position, len: u32) -> OutPart {
    let (file, position) = (borrowed.file, position.0);
    match borrowed.tail {
        Some((bytes, released)) => OutPart::Tail {
            bytes,
            file,
            position,
            released,
            lent: true,
        },
        None => OutPart::File {
            file,
            position,
            bytes: u64::from(len),
        },
    }
}

/// Makes what a message names of this core's files fit for another core.
fn lend(store: &mut Store, msg: &mut CoreMsg) {
    if let CoreMsg::Answer {
        answer: Answer::Fetched(partitions),
        ..
    } = msg
    {
        for partition in partitions {
            store.lend(&mut partition.records);
        }
    }
}
