//! Requests that are under way and what each waits for.
//!
//! Invariants:
//! 1. An operation is listed under each thing it waits for and under nothing else; removing it removes it everywhere.
//! 2. Waits for the high watermark of one partition are in the order of their offsets, since appends are.
//! 3. Bounded: one operation per open request, and sessions bound those; parked fetches have a bound of their own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::dispatch::Asked;
use crate::api::k00_produce::{Place, Produce, Wait};
use crate::api::k01_fetch::Fetch;
use crate::api::k02_list_offsets::ListOffsets;
use crate::fetch::Parked;
use crate::log::{ReadId, ScanId};
use crate::session::ReplySlot;
use crate::types::{ConnId, Monotonic, Offset, OwnerId, WorkId};

/// Something a partition does in the background.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Awaited {
    Scan(ScanId),
    Read(ReadId),
}

/// A request under way.
#[derive(Debug)]
pub(super) enum Op {
    Produce(Produce),
    Fetch(Fetch),
    ListOffsets(Asked, ListOffsets),
}

/// An operation and where its answer goes.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) slot: ReplySlot,
    /// `None` while it is being worked on.
    pub(super) op: Option<Op>,
    deadline: Option<Monotonic>,
    awaits: usize,
}

/// A produce's batch that waits for its partition's high watermark.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckWait {
    pub(super) last: Offset,
    pub(super) op: WorkId,
    pub(super) place: Place,
}

/// All operations of a shard.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    ops: BTreeMap<WorkId, Open>,
    next: u64,
    by_conn: BTreeMap<ConnId, BTreeSet<WorkId>>,
    deadlines: BTreeSet<(Monotonic, WorkId)>,
    acks: BTreeMap<OwnerId, VecDeque<AckWait>>,
    awaited: BTreeMap<(OwnerId, Awaited), Vec<WorkId>>,
    /// Fetches that wait for new data.
    pub(super) parked: Parked,
}

impl Waiting {
    /// Starts an operation.
    pub(super) fn insert(&mut self, slot: ReplySlot, op: Op) -> WorkId {
        self.next += 1;
        let id = WorkId(self.next);
        let open = Open {
            slot,
            op: Some(op),
            deadline: None,
            awaits: 0,
        };
        self.ops.insert(id, open);
        self.by_conn.entry(slot.conn).or_default().insert(id);
        id
    }

    pub(super) fn get_mut(&mut self, id: WorkId) -> Option<&mut Open> {
        self.ops.get_mut(&id)
    }

    /// Takes an operation out to work on it while the rest of the shard changes; to be put back or removed.
    pub(super) fn take(&mut self, id: WorkId) -> Option<(ReplySlot, Op)> {
        let open = self.ops.get_mut(&id)?;
        open.op.take().map(|op| (open.slot, op))
    }

    /// Puts an operation back.
    pub(super) fn put_back(&mut self, id: WorkId, op: Op) {
        if let Some(open) = self.ops.get_mut(&id) {
            open.op = Some(op);
        }
    }

    /// Ends an operation and takes it off every list but the acks', which skip what is gone.
    pub(super) fn remove(&mut self, id: WorkId) -> Option<Open> {
        self.parked.unpark(id);
        let open = self.ops.remove(&id)?;
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(ids) = self.by_conn.get_mut(&open.slot.conn) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_conn.remove(&open.slot.conn);
            }
        }
        Some(open)
    }

    /// The operations of a connection.
    pub(super) fn of_conn(&self, conn: ConnId) -> Vec<WorkId> {
        self.by_conn
            .get(&conn)
            .map(|ids| ids.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Sets an operation's deadline once.
    pub(super) fn set_deadline(&mut self, id: WorkId, deadline: Monotonic) {
        if let Some(open) = self.ops.get_mut(&id)
            && open.deadline.is_none()
        {
            open.deadline = Some(deadline);
            self.deadlines.insert((deadline, id));
        }
    }

    /// The earliest deadline.
    pub(super) fn first_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Takes one operation whose deadline has passed off the deadlines.
    pub(super) fn pop_expired(&mut self, now: Monotonic) -> Option<WorkId> {
        let &(at, id) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        if let Some(open) = self.ops.get_mut(&id) {
            open.deadline = None;
        }
        Some(id)
    }

    /// Lists a produce under the partitions it waits for.
    pub(super) fn await_acks(&mut self, id: WorkId, waits: &[Wait]) {
        for wait in waits {
            let list = self.acks.entry(wait.owner).or_default();
            let in_order = list.back().is_none_or(|before| before.last <= wait.last);
            // A duplicate of a batch that is itself not safe yet waits behind newer ones: put it where it belongs.
            let at = if in_order {
                list.len()
            } else {
                list.partition_point(|w| w.last <= wait.last)
            };
            list.insert(
                at,
                AckWait {
                    last: wait.last,
                    op: id,
                    place: wait.place,
                },
            );
        }
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

    /// True while any produce waits for durability.
    pub(super) fn any_produce(&self) -> bool {
        self.ops
            .values()
            .any(|open| matches!(open.op, Some(Op::Produce(_))))
    }

    /// An operation goes on when all of these are done.
    pub(super) fn await_all(&mut self, id: WorkId, what: &[(OwnerId, Awaited)]) {
        self.parked.unpark(id);
        for one in what {
            self.awaited.entry(*one).or_default().push(id);
        }
        if let Some(open) = self.ops.get_mut(&id) {
            open.awaits = what.len();
        }
    }

    /// One of them is done: all operations that wait for it, and whether it was the last each waits for.
    pub(super) fn done(&mut self, owner: OwnerId, what: Awaited) -> Vec<(WorkId, bool)> {
        let ids = self.awaited.remove(&(owner, what)).unwrap_or_default();
        let mut ready = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(open) = self.ops.get_mut(&id) {
                open.awaits = open.awaits.saturating_sub(1);
                ready.push((id, open.awaits == 0));
            }
        }
        ready
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
