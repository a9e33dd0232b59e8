//! What a group is doing right now: its members, who waits, which time runs. None of it is stored.
//!
//! Invariants: 1. Every member's instance id is in `statics` and names that member. 2. The leader is a member.
//! 3. A pending id is no member. 4. In the state Empty there is no member; in CompletingRebalance and Stable there is one
//! at least, and a leader and an assignor.
//!
//! Source: `ClassicGroup`, `ClassicGroupMember`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::record::{StoredGroup, StoredMember};
use super::request::Protocol;
use super::types::{CallId, GroupState};
use crate::types::{ErrorCode, Millis, Monotonic, WallMillis};

/// The volatile part of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Live {
    pub(super) state: GroupState,
    /// The rebalance under way began with an empty group.
    pub(super) initial: bool,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Arc<str>>,
    /// The assignor of the generation.
    pub(super) protocol: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    /// When it came into its state.
    pub(super) since: Option<WallMillis>,
    pub(super) members: BTreeMap<Arc<str>, Arc<Member>>,
    /// Instance id → member id.
    pub(super) statics: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids handed out and not yet come back with, and when they lapse (KIP-394).
    pub(super) pending: BTreeMap<Arc<str>, Monotonic>,
    /// Members that have joined this generation and not asked for their assignment yet.
    pub(super) unsynced: BTreeSet<Arc<str>>,
    /// Somebody came during the delay of an initial rebalance: it may be prolonged.
    pub(super) somebody_new: bool,
    pub(super) join_timer: Option<JoinTimer>,
    /// When members that have not synced are removed.
    pub(super) sync_ends: Option<Monotonic>,
}

/// When a rebalance stops to wait for members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct JoinTimer {
    pub(super) at: Monotonic,
    /// Of an initial rebalance: the present delay, and how much longer it may become.
    pub(super) delay: Option<(Millis, Millis)>,
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
    /// A JoinGroup that waits.
    pub(super) joining: Option<CallId>,
    /// A SyncGroup that waits.
    pub(super) syncing: Option<CallId>,
    /// Its first JoinGroup waits: it cannot show that it lives, so the session ends all the same.
    pub(super) fresh: bool,
    pub(super) session_ends: Monotonic,
}

/// A timeout as the wire has it; nothing below zero.
pub(super) fn millis(wire: i32) -> Millis {
    Millis(u64::try_from(wire).unwrap_or(0))
}

impl Member {
    /// As it was stored; its session begins when the coordinator has loaded.
    fn stored(stored: &StoredMember, protocol: Option<&Arc<str>>) -> Self {
        let protocols = protocol.map(|name| Protocol {
            name: name.clone(),
            metadata: stored.subscription.clone(),
        });
        Self {
            id: stored.member_id.clone(),
            instance_id: stored.instance_id.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            session_timeout_ms: stored.session_timeout_ms,
            protocols: protocols.into_iter().collect(),
            joining: None,
            syncing: None,
            fresh: false,
            session_ends: Monotonic(u64::MAX),
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// Its metadata for an assignor.
    pub(super) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let mut protocols = self.protocols.iter();
        let found = protocols.find(|it| &*it.name == protocol);
        found.map(|it| &it.metadata)
    }

    /// When its session ends; `None` while the coordinator owes it an answer that it waits for.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (self.fresh || !waits).then_some(self.session_ends)
    }

    /// The session begins anew.
    pub(super) fn renew(&mut self, now: Monotonic) {
        self.session_ends = now.after(millis(self.session_timeout_ms));
    }

    fn bytes(&self) -> usize {
        let protocols = self.protocols.iter();
        protocols.map(|it| it.name.len() + it.metadata.len()).sum()
    }
}

impl Live {
    /// As a group was stored: Empty or Stable.
    pub(super) fn stored(stored: &StoredGroup) -> Self {
        let protocol = stored.protocol.as_ref();
        let members = stored.members.iter().map(|it| {
            let member = Member::stored(it, protocol);
            (member.id.clone(), Arc::new(member))
        });
        let members: BTreeMap<Arc<str>, Arc<Member>> = members.collect();
        let statics = members.values().filter_map(|it| {
            let instance_id = it.instance_id.clone()?;
            Some((instance_id, it.id.clone()))
        });
        let leader = stored.leader.clone();
        let some_type = !stored.protocol_type.is_empty();
        Self {
            state: if members.is_empty() {
                GroupState::Empty
            } else {
                GroupState::Stable
            },
            generation: stored.generation,
            protocol_type: some_type.then(|| stored.protocol_type.clone()),
            protocol: stored.protocol.clone(),
            // A log that names a stranger as the leader is read as Kafka would write it next.
            leader: leader
                .filter(|it| members.contains_key(it))
                .or_else(|| members.keys().next().cloned()),
            since: stored.since,
            statics: statics.collect(),
            members,
            ..Self::default()
        }
    }

    /// As it is to be stored, each member with its assignment.
    pub(super) fn to_stored(&self, assigned: impl Fn(&str) -> Bytes) -> StoredGroup {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.values().map(|it| StoredMember {
            member_id: it.id.clone(),
            instance_id: it.instance_id.clone(),
            client_id: it.client_id.clone(),
            client_host: it.client_host.clone(),
            rebalance_timeout_ms: it.rebalance_timeout_ms,
            session_timeout_ms: it.session_timeout_ms,
            subscription: it.metadata(protocol).cloned().unwrap_or_default(),
            assignment: assigned(&it.id),
        });
        StoredGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: self.since,
            members: members.collect(),
        }
    }

    /// True if this, Empty or Stable, is what the record says.
    pub(super) fn agrees(&self, stored: &StoredGroup) -> bool {
        let fresh = Self::stored(stored);
        let same_members = self.members.keys().eq(fresh.members.keys());
        let same = self.state == fresh.state && self.generation == fresh.generation;
        same && same_members && self.protocol == fresh.protocol && self.leader == fresh.leader
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// UNKNOWN_MEMBER_ID unless it is a member; FENCED_INSTANCE_ID if another has its instance id.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&Arc<str>>,
    ) -> Result<&Arc<Member>, ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(owner) if **owner != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.members
            .get(member_id)
            .ok_or(ErrorCode::UnknownMemberId)
    }

    /// ILLEGAL_GENERATION unless the member speaks of the present one. Without this rule, members of an old generation
    /// and of the new one would take the same partitions for theirs.
    pub(super) fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if crate::rule!(TWO_GENERATIONS, generation == self.generation) {
            Ok(())
        } else {
            Err(ErrorCode::IllegalGeneration)
        }
    }

    /// Members whose JoinGroup waits.
    pub(super) fn joining(&self) -> usize {
        let members = self.members.values();
        members.filter(|it| it.joining.is_some()).count()
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.joining() == self.members.len()
    }

    /// The longest that a member wants to be waited for.
    pub(super) fn rebalance_timeout(&self) -> Millis {
        let members = self.members.values();
        let timeouts = members.map(|it| millis(it.rebalance_timeout_ms));
        timeouts.max().unwrap_or_default()
    }

    fn supported_by_all(&self, protocol: &str) -> bool {
        let mut members = self.members.values();
        members.all(|it| it.metadata(protocol).is_some())
    }

    /// A member with these assignors can be among the others.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let mut protocols = protocols.iter();
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.any(|it| self.supported_by_all(&it.name))
    }

    /// The assignor with the most votes: each member votes for the first of its own that all support. Of several, the
    /// first by name. `None` without members.
    pub(super) fn elect_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        let first = self.members.values().next()?;
        let all = first.protocols.iter().map(|it| &it.name);
        let common: BTreeSet<&Arc<str>> = all.filter(|it| self.supported_by_all(it)).collect();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|it| &it.name);
            if let Some(vote) = names.find(|it| common.contains(it)) {
                *votes.entry(vote).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let winner = votes.iter().find(|(_, count)| **count == most);
        winner.map(|(name, _)| Arc::clone(name))
    }

    /// A member to change.
    pub(super) fn member_mut(&mut self, member_id: &str) -> Option<&mut Member> {
        self.members.get_mut(member_id).map(Arc::make_mut)
    }

    /// Adds a member; the first of a group leads it and says what its type is.
    pub(super) fn add(&mut self, member: Member, protocol_type: &Arc<str>) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        if let Some(instance_id) = &member.instance_id {
            let known = (self.statics).insert(instance_id.clone(), member.id.clone());
            assert!(known.is_none(), "a known static member is replaced");
        }
        let member_id = member.id.clone();
        self.leader.get_or_insert_with(|| member_id.clone());
        self.pending.remove(&member_id);
        let known = self.members.insert(member_id, Arc::new(member));
        assert!(known.is_none(), "a known member is updated");
    }

    /// Takes a member, or an id that was handed out, away. Another leads if it did.
    pub(super) fn remove(&mut self, member_id: &str) -> Option<Arc<Member>> {
        let member = self.members.remove(member_id);
        if let Some(instance_id) = member.as_ref().and_then(|it| it.instance_id.as_ref()) {
            self.statics.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending.remove(member_id);
        self.unsynced.remove(member_id);
        member
    }

    /// Bytes that clients made it hold.
    pub(super) fn bytes(&self) -> usize {
        self.members.values().map(|it| it.bytes()).sum()
    }

    /// The first moment at which something has to be done.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let sessions = self.members.values().filter_map(|it| it.deadline());
        let pending = self.pending.values().copied();
        let join = self.join_timer.map(|it| it.at);
        (sessions.chain(pending).chain(join).chain(self.sync_ends)).min()
    }
}
