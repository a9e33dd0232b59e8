//! The coordinator's state, how it is read and how it changes.
//!
//! Invariants: 1. `handle`, `tick`, `forget` and `expire` read; `replay` and `apply` alone change. 2. Everything that
//! outlives a restart changes in `replay` alone; loading is the same `replay`. 3. A group is here as long as it has a
//! record, an offset, a member or a pending id. 4. A group with a deadline stands in `timers`, not later than that.
//!
//! Source: `GroupCoordinatorShard`, `GroupMetadataManager.replay`, `OffsetMetadataManager.replay`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::codec::DecodeError;
use super::event::{Change, Event};
use super::ids::MemberIds;
use super::live::Live;
use super::record::{Entry, OffsetKey, StoredGroup, StoredOffset};
use super::request::Request;
use super::types::{CallId, Decision, GroupConfig, GroupState, Record};
use crate::types::{Monotonic, Now, PartitionIndex};

/// Stored offsets of a group: topic → partition → offset.
pub(super) type Offsets = BTreeMap<Arc<str>, BTreeMap<PartitionIndex, StoredOffset>>;

/// The coordinator of all groups that belong to one partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub(super) config: GroupConfig,
    pub(super) ids: MemberIds,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    timers: BTreeSet<(Monotonic, Arc<str>)>,
    /// Bytes of members' metadata, of all groups.
    pub(super) metadata_bytes: usize,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// As its last record has it.
    pub(super) stored: Option<StoredGroup>,
    /// Member id → assignment, of that record.
    pub(super) assigned: BTreeMap<Arc<str>, Bytes>,
    pub(super) offsets: Offsets,
    pub(super) offsets_count: usize,
    pub(super) live: Live,
    /// Where it stands among the timers.
    wake: Option<Monotonic>,
}

impl Group {
    /// What the leader gave a member.
    pub(super) fn assignment(&self, member_id: &str) -> Bytes {
        self.assigned.get(member_id).cloned().unwrap_or_default()
    }

    /// A stored offset.
    pub(super) fn offset(&self, topic: &str, partition: PartitionIndex) -> Option<&StoredOffset> {
        self.offsets.get(topic)?.get(&partition)
    }

    /// No member, and nobody is about to become one.
    pub(super) fn is_deserted(&self) -> bool {
        self.live.state == GroupState::Empty && self.live.pending.is_empty()
    }

    fn is_nothing(&self) -> bool {
        self.stored.is_none() && self.offsets.is_empty() && self.is_deserted()
    }

    fn put_offset(&mut self, key: &OffsetKey, offset: StoredOffset) {
        let topic = self.offsets.entry(key.topic.clone()).or_default();
        let former = topic.insert(key.partition, offset);
        self.offsets_count += usize::from(former.is_none());
    }

    fn drop_offset(&mut self, key: &OffsetKey) {
        if let Some(topic) = self.offsets.get_mut(&key.topic) {
            let former = topic.remove(&key.partition);
            self.offsets_count -= usize::from(former.is_some());
            if topic.is_empty() {
                self.offsets.remove(&key.topic);
            }
        }
    }
}

impl Coordinator {
    /// Without any group. `seed` makes member ids differ: it must never be the same for two coordinators or two lives of
    /// one (see [`super::seed`]).
    #[must_use]
    pub fn new(config: GroupConfig, seed: [u8; 16]) -> Self {
        Self {
            config,
            ids: MemberIds::new(seed),
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            metadata_bytes: 0,
        }
    }

    /// Decides on a request. Each call is answered once, by this decision or a later one.
    #[must_use]
    pub fn handle(&self, now: Now, call: CallId, request: &Request) -> Decision {
        if let Some(error) = super::bounds::check(request) {
            return Decision::answer(call, false, request.refuse(error));
        }
        match request {
            Request::Join(it) => self.join(now, call, it),
            Request::Sync(it) => self.sync(now, call, it),
            Request::Heartbeat(it) => self.heartbeat(now, call, it),
            Request::Leave(it) => self.leave(now, call, it),
            Request::Commit(it) => self.commit(now, call, it),
            Request::Fetch(it) => self.fetch(call, it),
            Request::Describe { group_id } => self.describe(call, group_id),
            Request::List(it) => self.list(call, it),
            Request::Delete { group_id } => self.delete(call, group_id),
            Request::OffsetDelete(it) => self.offset_delete(call, it),
        }
    }

    /// The first moment at which `tick` has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Decides what the passing of time means for one group whose deadline has come. Empty if there is none: otherwise
    /// the host asks again once the decision is applied.
    #[must_use]
    pub fn tick(&self, now: Now) -> Decision {
        match self.timers.first() {
            Some((at, group_id)) if *at <= now.mono => self.tick_group(now, group_id),
            _ => Decision::default(),
        }
    }

    /// Takes a record in: one of a decision that the log took, or one read back while loading. On an error nothing has
    /// changed. Types that are not known are passed over.
    pub fn replay(&mut self, record: &Record) -> Result<(), DecodeError> {
        match record.decode()? {
            Entry::Offset(key, Some(offset)) => {
                let group = self.groups.entry(key.group_id.clone()).or_default();
                group.put_offset(&key, offset);
            }
            Entry::Offset(key, None) => {
                if let Some(group) = self.groups.get_mut(&key.group_id) {
                    group.drop_offset(&key);
                }
                self.drop_nothing(&key.group_id);
            }
            Entry::Group(group_id, stored) => {
                let live = stored.as_ref().map(Live::stored).unwrap_or_default();
                let group = self.groups.entry(group_id.clone()).or_default();
                let members = stored.iter().flat_map(|it| &it.members);
                let assigned = members.map(|it| (it.member_id.clone(), it.assignment.clone()));
                group.assigned = assigned.collect();
                group.stored = stored;
                self.set_live(&group_id, live);
                self.drop_nothing(&group_id);
            }
            Entry::Other(_) => {}
        }
        Ok(())
    }

    /// Takes an event of a decision in, after the records of the same decision.
    pub fn apply(&mut self, event: &Event) {
        match &event.0 {
            Change::IdDrawn => self.ids.draw(),
            Change::Alive {
                group_id,
                member_id,
                until,
            } => {
                let group = self.groups.get_mut(group_id);
                let member = group.and_then(|it| it.live.member_mut(member_id));
                if let Some(member) = member {
                    member.session_ends = *until;
                    self.arm(group_id, Some(*until));
                }
            }
            Change::Live { group_id, live } => {
                if let Some(stored) = self.stored(group_id) {
                    let moving = [GroupState::Empty, GroupState::Stable].contains(&live.state);
                    debug_assert!(!moving || live.agrees(stored), "records come first");
                }
                self.set_live(group_id, Live::clone(live));
                self.rearm(group_id);
                self.drop_nothing(group_id);
            }
            Change::Rearm { group_id } => self.rearm(group_id),
        }
    }

    /// The log has been read: the sessions of all members begin anew.
    pub fn loaded(&mut self, now: Now) {
        let group_ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for group_id in group_ids {
            if let Some(group) = self.groups.get_mut(&group_id) {
                for member in group.live.members.values_mut() {
                    Arc::make_mut(member).renew(now.mono);
                }
            }
            self.rearm(&group_id);
        }
    }

    /// A group as its last record has it.
    #[must_use]
    pub fn stored(&self, group_id: &str) -> Option<&StoredGroup> {
        self.groups.get(group_id)?.stored.as_ref()
    }

    /// How many groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    fn set_live(&mut self, group_id: &Arc<str>, live: Live) {
        let group = self.groups.entry(group_id.clone()).or_default();
        self.metadata_bytes -= group.live.bytes();
        self.metadata_bytes += live.bytes();
        group.live = live;
    }

    fn drop_nothing(&mut self, group_id: &Arc<str>) {
        if self.groups.get(group_id).is_some_and(Group::is_nothing) {
            self.disarm(group_id);
            self.groups.remove(group_id);
        }
    }

    /// Sets a group's timer to its deadline.
    fn rearm(&mut self, group_id: &Arc<str>) {
        self.disarm(group_id);
        let deadline = self.groups.get(group_id).and_then(|it| it.live.deadline());
        self.arm(group_id, deadline);
    }

    /// A group has a deadline at `at`. A timer that rings earlier stays: it finds out.
    fn arm(&mut self, group_id: &Arc<str>, at: Option<Monotonic>) {
        let (Some(group), Some(at)) = (self.groups.get_mut(group_id), at) else {
            return;
        };
        if group.wake.is_some_and(|wake| wake <= at) {
            return;
        }
        if let Some(later) = group.wake.replace(at) {
            self.timers.remove(&(later, group_id.clone()));
        }
        self.timers.insert((at, group_id.clone()));
    }

    fn disarm(&mut self, group_id: &Arc<str>) {
        let group = self.groups.get_mut(group_id);
        if let Some(wake) = group.and_then(|it| it.wake.take()) {
            self.timers.remove(&(wake, group_id.clone()));
        }
    }
}
