//! Requests of this shard's clients that are under way: what was asked of owners, and until when.
//!
//! Invariants:
//! 1. One call per open request, and sessions bound those.
//! 2. Asks that are not answered are counted per owner core until their answer comes, whether or not their call still exists:
//!    `ask`, invariants 1 and 3.

use std::collections::{BTreeMap, BTreeSet};

use super::dispatch::Asked;
use super::group_calls::GroupCall;
use crate::api::k00_produce::Produce;
use crate::api::k01_fetch::Fetch;
use crate::api::k02_list_offsets::ListOffsets;
use crate::api::k23_offset_for_leader_epoch::EpochEnds;
use crate::session::ReplySlot;
use crate::types::limits::{MESH_ASKS_MAX, MESH_FETCHES_WAITING_MAX, MESH_GROUPS_WAITING_MAX};
use crate::types::{ConnId, CoreId, Monotonic, WorkId};

/// What a client asked for.
#[derive(Debug)]
pub(super) enum Op {
    Produce(Produce),
    Fetch(Fetch),
    ListOffsets(Asked, ListOffsets),
    EpochEnds(Asked, EpochEnds),
    Groups(Asked, GroupCall),
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: ReplySlot,
    pub(super) op: Op,
    deadline: Option<Monotonic>,
    /// Owners that have not answered, for calls that wait for all of them.
    pub(super) left: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: BTreeMap<WorkId, Call>,
    by_conn: BTreeMap<ConnId, BTreeSet<WorkId>>,
    deadlines: BTreeSet<(Monotonic, WorkId)>,
    /// Asks without an answer, by owner core.
    unanswered: BTreeMap<CoreId, usize>,
}

impl Calls {
    pub(super) fn insert(&mut self, id: WorkId, slot: ReplySlot, op: Op, left: usize) {
        let call = Call {
            slot,
            op,
            deadline: None,
            left,
        };
        self.open.insert(id, call);
        self.by_conn.entry(slot.conn).or_default().insert(id);
    }

    pub(super) fn get_mut(&mut self, id: WorkId) -> Option<&mut Call> {
        self.open.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: WorkId) -> Option<Call> {
        let call = self.open.remove(&id)?;
        if let Some(deadline) = call.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(ids) = self.by_conn.get_mut(&call.slot.conn) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_conn.remove(&call.slot.conn);
            }
        }
        Some(call)
    }

    /// The calls of a connection.
    pub(super) fn of_conn(&self, conn: ConnId) -> Vec<WorkId> {
        let ids = self.by_conn.get(&conn);
        ids.map(|ids| ids.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Calls that wait for new data.
    pub(super) fn fetches(&self) -> Vec<WorkId> {
        let fetches = self.open.iter();
        let fetches = fetches.filter(|(_, call)| matches!(call.op, Op::Fetch(_)));
        fetches.map(|(id, _)| *id).collect()
    }

    /// True when no client waits for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Sets a call's deadline once.
    pub(super) fn set_deadline(&mut self, id: WorkId, deadline: Monotonic) {
        if let Some(call) = self.open.get_mut(&id)
            && call.deadline.is_none()
        {
            call.deadline = Some(deadline);
            self.deadlines.insert((deadline, id));
        }
    }

    /// The earliest deadline.
    pub(super) fn first_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Takes one call whose deadline has passed off the deadlines.
    pub(super) fn pop_expired(&mut self, now: Monotonic) -> Option<WorkId> {
        let &(at, id) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        if let Some(call) = self.open.get_mut(&id) {
            call.deadline = None;
        }
        Some(id)
    }

    /// Another core was asked.
    pub(super) fn on_ask(&mut self, core: CoreId) {
        *self.unanswered.entry(core).or_default() += 1;
    }

    /// It has answered.
    pub(super) fn on_answer(&mut self, core: CoreId) {
        let count = self.unanswered.get_mut(&core);
        let count = count.expect("an answer follows an ask");
        *count = count.checked_sub(1).expect("an answer follows an ask");
    }

    /// True if some core may be asked no more: no request is taken in.
    pub(super) fn is_full(&self) -> bool {
        self.unanswered.values().any(|&n| n >= MESH_ASKS_MAX)
    }

    /// True if members must not wait for each other at other cores any more.
    pub(super) fn is_packed(&self) -> bool {
        let mut counts = self.unanswered.values();
        counts.any(|&n| n >= MESH_GROUPS_WAITING_MAX)
    }

    /// True if fetches must not wait at other cores any more.
    pub(super) fn is_crowded(&self) -> bool {
        let mut counts = self.unanswered.values();
        counts.any(|&n| n >= MESH_FETCHES_WAITING_MAX)
    }
}
