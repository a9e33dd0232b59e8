//! Members that go: by themselves, or because their time is up.
//!
//! Source: `GroupMetadataManager.classicGroupLeaveToClassicGroup`, `expireClassicGroupMemberHeartbeat`,
//! `expirePendingSync`.

use std::sync::Arc;

use super::coordinator::Coordinator;
use super::draft::Draft;
use super::event::{Change, Event};
use super::reply::{LeaveReply, LeftMember, Reply};
use super::request::{Leave, LeavingMember, Request};
use super::types::{Answer, CallId, Decision, GroupState};
use crate::types::{ErrorCode, Monotonic, Now};

impl Coordinator {
    pub(super) fn leave(&self, now: Now, call: CallId, request: &Leave) -> Decision {
        if request.group_id.is_empty() {
            let reply = Request::Leave(request.clone()).refuse(ErrorCode::InvalidGroupId);
            return Decision::answer(call, false, reply);
        }
        if !self.groups.contains_key(&request.group_id) {
            // As if it were there and had none of them.
            let error = ErrorCode::UnknownMemberId;
            let members = request.members.iter();
            let reply = Reply::Leave(LeaveReply {
                error: ErrorCode::None,
                members: members.map(|it| LeftMember::new(it, error)).collect(),
            });
            return Decision::answer(call, false, reply);
        }
        let mut draft = Draft::new(self, now, &request.group_id);
        let members = request.members.iter().map(|member| {
            let error = draft.leave_one(member).err().unwrap_or_default();
            LeftMember::new(member, error)
        });
        let members: Vec<LeftMember> = members.collect();
        if members.iter().any(|it| it.error == ErrorCode::None) {
            draft.somebody_went();
        }
        let error = ErrorCode::None;
        let reply = Reply::Leave(LeaveReply { error, members });
        let waits = !draft.decision.records.is_empty();
        draft.decision.answers.push(Answer { call, waits, reply });
        draft.finish()
    }

    /// Decides what the passing of time means for a group.
    pub(super) fn tick_group(&self, now: Now, group_id: &Arc<str>) -> Decision {
        let deadline = (self.groups.get(group_id)).and_then(|it| it.live.deadline());
        if deadline.is_none_or(|at| at > now.mono) {
            let group_id = group_id.clone();
            return Decision {
                events: vec![Event(Change::Rearm { group_id })],
                ..Decision::default()
            };
        }
        let mut draft = Draft::new(self, now, group_id);
        draft.end_sessions();
        let due = |at: Option<Monotonic>| at.is_some_and(|at| at <= now.mono);
        if due(draft.live.join_timer.map(|it| it.at)) {
            draft.join_time_is_up();
        }
        if due(draft.live.sync_ends) {
            draft.sync_time_is_up();
        }
        draft.finish()
    }
}

impl Draft<'_> {
    fn leave_one(&mut self, leaving: &LeavingMember) -> Result<(), ErrorCode> {
        let instance_id = leaving.instance_id.as_ref();
        let member_id = if leaving.member_id.is_empty() {
            // An administrator takes a static member out.
            let owner = instance_id.and_then(|id| self.live.statics.get(id));
            owner.ok_or(ErrorCode::UnknownMemberId)?.clone()
        } else {
            leaving.member_id.clone()
        };
        if self.live.pending.remove(&member_id).is_none() {
            self.live.check_member(&member_id, instance_id)?;
            self.remove(&member_id);
        }
        Ok(())
    }

    /// A group that has fewer members now needs a generation without them.
    fn somebody_went(&mut self) {
        match self.live.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(),
            GroupState::PreparingRebalance => self.maybe_complete(),
            GroupState::Empty | GroupState::Dead => {}
        }
    }

    /// Ids that nobody came back with lapse, and members that did not show that they live are removed.
    fn end_sessions(&mut self) {
        let now = self.now.mono;
        self.live.pending.retain(|_, lapses| *lapses > now);
        let members = self.live.members.values();
        let silent = members.filter(|it| it.deadline().is_some_and(|at| at <= now));
        let silent: Vec<Arc<str>> = silent.map(|it| it.id.clone()).collect();
        for member_id in &silent {
            self.remove(member_id);
        }
        if silent.is_empty() {
            self.maybe_complete();
        } else {
            self.somebody_went();
        }
    }

    /// Members that joined and never asked for their assignment are removed.
    fn sync_time_is_up(&mut self) {
        self.live.sync_ends = None;
        for member_id in std::mem::take(&mut self.live.unsynced) {
            self.remove(&member_id);
        }
        self.prepare_rebalance();
    }
}
