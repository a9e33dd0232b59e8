//! A decision in the making: a copy of what a group does, changed at will, which becomes one event.
//!
//! The copy shares the members; those that do not change are not copied.

use std::sync::Arc;

use bytes::Bytes;

use super::coordinator::{Coordinator, Group};
use super::event::{Change, Event};
use super::live::Live;
use super::record::StoredGroup;
use super::reply::{JoinReply, JoinedMember, Reply, SyncReply};
use super::types::{Answer, CallId, Decision, GroupConfig, GroupState, Record};
use crate::types::{ErrorCode, Now};

/// See the module.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) now: Now,
    pub(super) config: GroupConfig,
    pub(super) group_id: Arc<str>,
    /// The group as it stands; `None` for a new one.
    pub(super) group: Option<&'a Group>,
    pub(super) live: Live,
    pub(super) decision: Decision,
}

impl Decision {
    /// An answer and nothing else.
    pub(super) fn answer(call: CallId, waits: bool, reply: Reply) -> Self {
        Self {
            answers: vec![Answer { call, waits, reply }],
            ..Self::default()
        }
    }

    /// A member showed that it lives.
    pub(super) fn alive(&mut self, now: Now, group_id: &Arc<str>, member: &super::live::Member) {
        let timeout = super::live::millis(member.session_timeout_ms);
        self.events.push(Event(Change::Alive {
            group_id: group_id.clone(),
            member_id: member.id.clone(),
            until: now.mono.after(timeout),
        }));
    }
}

impl<'a> Draft<'a> {
    /// For a group that may not exist yet.
    pub(super) fn new(coordinator: &'a Coordinator, now: Now, group_id: &Arc<str>) -> Self {
        let group = coordinator.groups.get(group_id);
        Self {
            now,
            config: coordinator.config,
            group_id: group_id.clone(),
            group,
            live: group.map(|it| it.live.clone()).unwrap_or_default(),
            decision: Decision::default(),
        }
    }

    /// The decision, with what the group does from now on.
    pub(super) fn finish(mut self) -> Decision {
        self.decision.events.push(Event(Change::Live {
            group_id: self.group_id,
            live: Box::new(self.live),
        }));
        self.decision
    }

    /// Nothing changes after all: one answer.
    pub(super) fn refuse_join(call: CallId, error: ErrorCode, member_id: &Arc<str>) -> Decision {
        let reply = JoinReply::error(error, member_id.clone());
        Decision::answer(call, false, Reply::Join(reply))
    }

    pub(super) fn enter(&mut self, state: GroupState) {
        self.live.state = state;
        self.live.since = Some(self.now.wall);
    }

    /// Stores the group as it is now, with these assignments.
    pub(super) fn store(&mut self, assigned: impl Fn(&str) -> Bytes) {
        let stored = self.live.to_stored(assigned);
        self.record(&stored);
    }

    pub(super) fn record(&mut self, stored: &StoredGroup) {
        let record = Record::group(&self.group_id, Some(stored));
        self.decision.records.push(record);
    }

    /// Success tells of state, and state may not be lost once told; a failure need not wait.
    pub(super) fn answer_join(&mut self, call: CallId, reply: JoinReply) {
        let waits = reply.error == ErrorCode::None;
        let reply = Reply::Join(reply);
        self.decision.answers.push(Answer { call, waits, reply });
    }

    pub(super) fn answer_sync(&mut self, call: CallId, reply: SyncReply) {
        let waits = reply.error == ErrorCode::None;
        let reply = Reply::Sync(reply);
        self.decision.answers.push(Answer { call, waits, reply });
    }

    /// What a member is told that has joined the present generation; the leader learns of everybody.
    pub(super) fn joined(&self, member_id: &Arc<str>) -> JoinReply {
        let members = if self.live.is_leader(member_id) {
            self.everybody()
        } else {
            Vec::new()
        };
        JoinReply {
            error: ErrorCode::None,
            generation: self.live.generation,
            protocol_type: self.live.protocol_type.clone(),
            protocol_name: self.live.protocol.clone(),
            leader: self.live.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.clone(),
            members,
        }
    }

    fn everybody(&self) -> Vec<JoinedMember> {
        let protocol = self.live.protocol.as_deref().unwrap_or_default();
        let members = self.live.members.values().map(|it| JoinedMember {
            member_id: it.id.clone(),
            instance_id: it.instance_id.clone(),
            metadata: it.metadata(protocol).cloned().unwrap_or_default(),
        });
        members.collect()
    }

    /// A member got an assignment.
    pub(super) fn synced(&self, assignment: Bytes) -> SyncReply {
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.live.protocol_type.clone(),
            protocol_name: self.live.protocol.clone(),
            assignment,
        }
    }

    /// Takes a member away; what it waits for is refused. It will come again if it is still there.
    pub(super) fn remove(&mut self, member_id: &str) {
        let Some(member) = self.live.remove(member_id) else {
            return;
        };
        let error = ErrorCode::UnknownMemberId;
        if let Some(call) = member.joining {
            self.answer_join(call, JoinReply::error(error, "".into()));
        }
        if let Some(call) = member.syncing {
            self.answer_sync(call, SyncReply::error(error));
        }
    }
}
