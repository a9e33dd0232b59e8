//! Messages between the cores of a process.
//!
//! Invariants:
//! 1. FIFO per pair of cores; between pairs any order, each message with a delay of its own. Now and then a pair is held for long, as
//!    behind a full queue.
//! 2. While many messages of a core are on their way to one other, none of its clients is heard: a full queue is back-pressure.
//! 3. Checked on the core: what is in flight of one ask and of one pair is bounded as `core/ask.rs` and `src/mesh.rs` claim, and
//!    an ask gets one answer.
//!
//! With the mutant `LOSE_MESH_MESSAGE` one message of each process is lost.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use onrush_core::ask::Answer;
use onrush_core::effect::{Loan, Part};
use onrush_core::input::{CoreMsg, Input};
use onrush_core::types::limits::{MESH_ASKS_MAX, MESH_MESSAGES_PER_ASK_MAX};
use onrush_core::types::{CoreId, WorkId};

use super::{Event, World};
use crate::disk::Held;

/// Messages in flight from one core to another, beyond which its clients are not heard.
const QUEUE: u64 = 24;
/// Messages of one ask in flight to its owner.
const THERE_MAX: u32 = 3;
/// Messages of one ask in flight back.
const BACK_MAX: u32 = 2;
/// The lost message is one of the first so many between shards.
const LOST_AMONG: u64 = 60;

/// From one core to another.
#[derive(Debug, Default)]
struct Pair {
    /// Latest arrival.
    last: u64,
    in_flight: u64,
}

/// One ask: its messages in flight, there and back.
#[derive(Debug, Default)]
struct Asked {
    there: u32,
    back: u32,
    answered: bool,
}

/// All pairs of a process.
#[derive(Debug, Default)]
pub(super) struct Mesh {
    pairs: BTreeMap<(usize, usize), Pair>,
    /// By asking core, owner and name.
    asks: BTreeMap<(usize, usize, WorkId), Asked>,
    /// Asks without an answer, by asking core and owner.
    open: BTreeMap<(usize, usize), usize>,
    /// The message between shards that gets lost, counted from here.
    lose_after: Option<u64>,
}

/// The ask a message belongs to, and whether it goes to the owner.
fn ask_of(from: usize, to: usize, msg: &CoreMsg) -> Option<((usize, usize, WorkId), bool)> {
    match msg {
        CoreMsg::Ask { id, .. } | CoreMsg::Follow { id, .. } => Some(((from, to, *id), true)),
        CoreMsg::Answer { id, .. } | CoreMsg::Ready { id, .. } => Some(((to, from, *id), false)),
        _ => None,
    }
}

impl Mesh {
    /// Counts a message that leaves; what is wrong with it.
    fn leave(&mut self, from: usize, to: usize, msg: &CoreMsg) -> Result<(), String> {
        self.pairs.entry((from, to)).or_default().in_flight += 1;
        let Some((key, there)) = ask_of(from, to, msg) else {
            return Ok(());
        };
        let asked = self.asks.entry(key).or_default();
        let (count, most) = if there {
            (&mut asked.there, THERE_MAX)
        } else {
            (&mut asked.back, BACK_MAX)
        };
        *count += 1;
        if *count > most {
            return Err(format!("{count} messages of ask {key:?} are in flight"));
        }
        let open = self.open.entry((key.0, key.1)).or_default();
        match msg {
            CoreMsg::Ask { .. } => *open += 1,
            CoreMsg::Answer { .. } => {
                if std::mem::replace(&mut asked.answered, true) {
                    return Err(format!("ask {key:?} is answered twice"));
                }
                *open -= 1;
            }
            _ => {}
        }
        // One request may ask while the count is just below the bound.
        if *open > MESH_ASKS_MAX {
            return Err(format!("{open} asks of one core are open at another"));
        }
        let in_flight = self.pairs[&(from, to)].in_flight;
        let most = (MESH_ASKS_MAX * MESH_MESSAGES_PER_ASK_MAX) as u64;
        if from > 0 && to > 0 && in_flight > most {
            return Err(format!("{in_flight} messages are in flight to one core"));
        }
        Ok(())
    }

    fn arrive(&mut self, from: usize, to: usize, msg: &CoreMsg) {
        if let Some(pair) = self.pairs.get_mut(&(from, to)) {
            pair.in_flight -= 1;
        }
        let Some((key, there)) = ask_of(from, to, msg) else {
            return;
        };
        let Some(asked) = self.asks.get_mut(&key) else {
            return;
        };
        let count = if there {
            &mut asked.there
        } else {
            &mut asked.back
        };
        *count -= 1;
        if asked.answered && asked.there == 0 && asked.back == 0 {
            self.asks.remove(&key);
        }
    }

    fn is_backed_up(&self, core: usize) -> bool {
        let mut mine = self.pairs.range((core, 0)..(core + 1, 0));
        mine.any(|(_, pair)| pair.in_flight > QUEUE)
    }

    /// True for the one message that gets lost.
    fn loses(&mut self, from: usize, to: usize) -> bool {
        if from == 0 || to == 0 {
            return false;
        }
        let Some(left) = &mut self.lose_after else {
            return false;
        };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        self.lose_after = None;
        true
    }
}

impl World {
    pub(super) fn new_mesh(&mut self) -> Mesh {
        let lose_after = self.loses_messages.then(|| self.rng.between(1, LOST_AMONG));
        Mesh {
            lose_after,
            ..Mesh::default()
        }
    }

    pub(super) fn send_mesh(&mut self, from: usize, to: CoreId, mut msg: CoreMsg) {
        let to = usize::from(to.0);
        self.lend(from, &mut msg);
        let delay = self.rng.between(1, self.swarm.network_us * 100);
        let one_in = self.swarm.mesh_hold_one_in;
        let held = if one_in > 0 && self.rng.one_in(one_in) {
            self.rng.between(1_000_000, 300_000_000)
        } else {
            0
        };
        let process = self.process.as_mut().expect("it just stepped");
        assert!(
            to < process.machines.len() && to != from,
            "a core that is there"
        );
        let counted = process.mesh.leave(from, to, &msg);
        let pair = process.mesh.pairs.entry((from, to)).or_default();
        // Later than the one before by more than nothing: ties are in random order.
        let arrival = (self.now + delay + held).max(pair.last + 1);
        pair.last = arrival;
        let lost = process.mesh.loses(from, to);
        if let Err(what) = counted {
            self.fail(what);
        }
        if lost {
            self.trace
                .add(self.now, format_args!("lost from {from} to {to}: {msg:?}"));
            return;
        }
        let life = self.life;
        self.at_time(
            arrival,
            Event::Mesh {
                life,
                from,
                to,
                msg,
            },
        );
    }

    pub(super) fn on_mesh(&mut self, from: usize, to: usize, msg: CoreMsg) {
        let mut what = String::new();
        match &msg {
            CoreMsg::Publish { offset, .. } => write!(what, "publish {offset}"),
            CoreMsg::Ask { id, .. } => write!(what, "ask {id}"),
            CoreMsg::Answer { id, .. } => write!(what, "answer {id}"),
            other => write!(what, "{other:?}"),
        }
        .expect("a string takes it");
        self.trace
            .add(self.now, format_args!("core {to} gets {what} of {from}"));
        if let Some(process) = &mut self.process {
            process.mesh.arrive(from, to, &msg);
        }
        let from = CoreId(u16::try_from(from).expect("few cores"));
        self.step(to, Input::Mesh { from, msg });
    }

    /// True while clients of this core are not heard, because what it has to say to another is not taken.
    pub(super) fn is_backed_up(&self, core: usize) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| process.mesh.is_backed_up(core))
    }

    /// What another core is to send leaves its owner's files as a loan, or as bytes if it is in memory.
    fn lend(&mut self, from: usize, msg: &mut CoreMsg) {
        let CoreMsg::Answer {
            answer: Answer::Fetched(partitions),
            ..
        } = msg
        else {
            return;
        };
        let core = u16::try_from(from).expect("few cores");
        for part in partitions.iter_mut().flat_map(|p| p.records.iter_mut()) {
            let held = self.disk.hold(core, part);
            *part = match held {
                Held::Bytes(bytes) => Part::Head(bytes),
                Held::Extent { position, len, .. } => Part::Lent {
                    position: onrush_core::types::Position(position),
                    len: u32::try_from(len).expect("part of an answer"),
                    loan: Loan(Arc::new(held)),
                },
            };
        }
    }
}
