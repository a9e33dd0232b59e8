//! Asks that this shard serves as the owner of partitions, its own clients' and other cores', and what each waits for.
//!
//! Invariants:
//! 1. A task is listed under each thing it waits for and under nothing else; removing it removes it everywhere but from the
//!    acks, which skip what is gone.
//! 2. Waits for the high watermark of one partition are in the order of their offsets, since appends are.
//! 3. Bounded: one task per ask, and the asking cores bound those; parked fetches have a bound of their own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ask::{AppendAsk, AppendOutcome};
use crate::fetch::{OffsetSearch, Parked, Portion};
use crate::log::{ReadId, ScanId};
use crate::types::{CoreId, Monotonic, Offset, OwnerId, WorkId};

/// Something a partition does in the background.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Awaited {
    Scan(ScanId),
    Read(ReadId),
}

/// Who asked: a core, and its name for the ask.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Caller {
    pub(super) core: CoreId,
    pub(super) id: WorkId,
}

/// What is being done.
#[derive(Debug)]
pub(super) enum Task {
    Append(Appending),
    Fetch(Portion),
    Offsets(OffsetSearch),
}

/// Batches that were appended and are not all safe yet.
#[derive(Debug)]
pub(super) struct Appending {
    pub(super) outcomes: Vec<AppendOutcome>,
    /// How many of them are not safe yet.
    pub(super) waiting: usize,
}

/// A task and who asked for it.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) caller: Caller,
    pub(super) task: Task,
    deadline: Option<Monotonic>,
    awaits: usize,
}

/// A batch that waits for its partition's high watermark.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckWait {
    pub(super) last: Offset,
    pub(super) task: WorkId,
    /// Which of the task's outcomes.
    pub(super) at: usize,
}

/// All asks being served.
#[derive(Debug, Default)]
pub(super) struct Serving {
    tasks: BTreeMap<WorkId, Served>,
    by_caller: BTreeMap<Caller, WorkId>,
    deadlines: BTreeSet<(Monotonic, WorkId)>,
    acks: BTreeMap<OwnerId, VecDeque<AckWait>>,
    awaited: BTreeMap<(OwnerId, Awaited), Vec<WorkId>>,
    /// Appends that wait for room in the tails, in order.
    pub(super) stalled: VecDeque<(Caller, AppendAsk)>,
    /// Fetches that wait for new data.
    pub(super) parked: Parked,
}

impl Serving {
    /// Starts a task.
    pub(super) fn insert(&mut self, id: WorkId, caller: Caller, task: Task) {
        let served = Served {
            caller,
            task,
            deadline: None,
            awaits: 0,
        };
        self.tasks.insert(id, served);
        let before = self.by_caller.insert(caller, id);
        assert!(before.is_none(), "an ask has a name of its own");
    }

    pub(super) fn get_mut(&mut self, id: WorkId) -> Option<&mut Served> {
        self.tasks.get_mut(&id)
    }

    /// The task of an ask.
    pub(super) fn find(&self, caller: Caller) -> Option<WorkId> {
        self.by_caller.get(&caller).copied()
    }

    /// Ends a task.
    pub(super) fn remove(&mut self, id: WorkId) -> Option<Served> {
        self.parked.unpark(id);
        let served = self.tasks.remove(&id)?;
        self.by_caller.remove(&served.caller);
        if let Some(deadline) = served.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(served)
    }

    /// Sets a task's deadline once.
    pub(super) fn set_deadline(&mut self, id: WorkId, deadline: Monotonic) {
        if let Some(served) = self.tasks.get_mut(&id)
            && served.deadline.is_none()
        {
            served.deadline = Some(deadline);
            self.deadlines.insert((deadline, id));
        }
    }

    /// The earliest deadline.
    pub(super) fn first_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Takes one task whose deadline has passed off the deadlines.
    pub(super) fn pop_expired(&mut self, now: Monotonic) -> Option<WorkId> {
        let &(at, id) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        if let Some(served) = self.tasks.get_mut(&id) {
            served.deadline = None;
        }
        Some(id)
    }

    /// Lists a batch under the partition it waits for.
    pub(super) fn await_ack(&mut self, owner: OwnerId, wait: AckWait) {
        let list = self.acks.entry(owner).or_default();
        let in_order = list.back().is_none_or(|before| before.last <= wait.last);
        // A duplicate of a batch that is itself not safe yet waits behind newer ones: put it where it belongs.
        let at = if in_order {
            list.len()
        } else {
            list.partition_point(|w| w.last <= wait.last)
        };
        list.insert(at, wait);
    }

    /// Takes the first wait of a partition that lies below its high watermark.
    pub(super) fn pop_safe(&mut self, owner: OwnerId, high_watermark: Offset) -> Option<AckWait> {
        let list = self.acks.get_mut(&owner)?;
        if list.front()?.last >= high_watermark {
            return None;
        }
        list.pop_front()
    }

    /// Takes all waits of a partition: it is gone.
    pub(super) fn take_acks(&mut self, owner: OwnerId) -> VecDeque<AckWait> {
        self.acks.remove(&owner).unwrap_or_default()
    }

    /// True while any append waits, for room or for durability.
    pub(super) fn any_append(&self) -> bool {
        let mut tasks = self.tasks.values();
        !self.stalled.is_empty() || tasks.any(|served| matches!(served.task, Task::Append(_)))
    }

    /// A task goes on when all of these are done.
    pub(super) fn await_all(&mut self, id: WorkId, what: &[(OwnerId, Awaited)]) {
        self.parked.unpark(id);
        for one in what {
            self.awaited.entry(*one).or_default().push(id);
        }
        if let Some(served) = self.tasks.get_mut(&id) {
            served.awaits = what.len();
        }
    }

    /// One of them is done: all tasks that wait for it, and whether it was the last each waits for.
    pub(super) fn done(&mut self, owner: OwnerId, what: Awaited) -> Vec<(WorkId, bool)> {
        let ids = self.awaited.remove(&(owner, what)).unwrap_or_default();
        let mut ready = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(served) = self.tasks.get_mut(&id) {
                served.awaits = served.awaits.saturating_sub(1);
                ready.push((id, served.awaits == 0));
            }
        }
        ready
    }

    /// True while a task waits for the disk: it is looked at when that is done and not before.
    pub(super) fn is_waiting(&self, id: WorkId) -> bool {
        self.tasks.get(&id).is_some_and(|served| served.awaits > 0)
    }

    /// What a partition still owes, when it is gone.
    pub(super) fn owed_by(&self, owner: OwnerId) -> Vec<Awaited> {
        let from = (owner, Awaited::Scan(ScanId(0)));
        let mine = self
            .awaited
            .range(from..)
            .take_while(|((o, _), _)| *o == owner);
        mine.map(|((_, what), _)| *what).collect()
    }
}
