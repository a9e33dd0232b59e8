//! SyncGroup and Heartbeat: members of the present generation.
//!
//! Invariant: an assignment is told only after it was stored: it is read from what `replay` made of the record, or goes
//! into the record of the same decision.
//!
//! Source: `GroupMetadataManager.classicGroupSyncToClassicGroup`, `classicGroupHeartbeatToClassicGroup`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::coordinator::{Coordinator, Group};
use super::draft::Draft;
use super::reply::{Reply, SyncReply};
use super::request::{Heartbeat, Sync};
use super::types::{CallId, Decision, GroupState};
use crate::types::{ErrorCode, Now};

impl Coordinator {
    pub(super) fn sync(&self, now: Now, call: CallId, request: &Sync) -> Decision {
        let refuse = |error| Decision::answer(call, false, Reply::Sync(SyncReply::error(error)));
        let group = match self.sync_group(request) {
            Ok(group) => group,
            Err(error) => return refuse(error),
        };
        match group.live.state {
            GroupState::Empty | GroupState::Dead => refuse(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => refuse(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance => {
                let mut draft = Draft::new(self, now, &request.group_id);
                draft.sync_new(call, request);
                draft.finish()
            }
            GroupState::Stable => {
                let mut draft = Draft::new(self, now, &request.group_id);
                draft.synchronised(&request.member_id);
                let assignment = group.assignment(&request.member_id);
                draft.answer_sync(call, draft.synced(assignment));
                draft.finish()
            }
        }
    }

    fn sync_group(&self, request: &Sync) -> Result<&Group, ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let group = self.groups.get(&request.group_id);
        let group = group.ok_or(ErrorCode::UnknownMemberId)?;
        let live = &group.live;
        live.check_member(&request.member_id, request.instance_id.as_ref())?;
        live.check_generation(request.generation)?;
        let differs = |said: &Option<Arc<str>>, is: &Option<Arc<str>>| {
            said.is_some() && is.is_some() && said != is
        };
        let type_differs = differs(&request.protocol_type, &live.protocol_type);
        if type_differs || differs(&request.protocol_name, &live.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(group)
    }

    pub(super) fn heartbeat(&self, now: Now, call: CallId, request: &Heartbeat) -> Decision {
        let mut decision = Decision::default();
        let error = self.beat(now, request, &mut decision);
        let error = error.err().unwrap_or_default();
        let answer = Decision::answer(call, false, Reply::Heartbeat(error));
        decision.answers = answer.answers;
        decision
    }

    fn beat(
        &self,
        now: Now,
        request: &Heartbeat,
        decision: &mut Decision,
    ) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let group = self.groups.get(&request.group_id);
        let live = &group.ok_or(ErrorCode::UnknownMemberId)?.live;
        let member = live.check_member(&request.member_id, request.instance_id.as_ref())?;
        live.check_generation(request.generation)?;
        match live.state {
            GroupState::Empty | GroupState::Dead => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => {
                decision.alive(now, &request.group_id, member);
                Err(ErrorCode::RebalanceInProgress)
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                decision.alive(now, &request.group_id, member);
                Ok(())
            }
        }
    }
}

impl Draft<'_> {
    /// A member has asked for its assignment.
    fn synchronised(&mut self, member_id: &str) {
        self.live.unsynced.remove(member_id);
        if self.live.unsynced.is_empty() {
            self.live.sync_ends = None;
        }
    }

    /// A member waits for its assignment; if it is the leader, everybody gets one.
    fn sync_new(&mut self, call: CallId, request: &Sync) {
        self.synchronised(&request.member_id);
        let member = self.live.member_mut(&request.member_id);
        let former = member.and_then(|it| it.syncing.replace(call));
        if let Some(former) = former {
            let error = ErrorCode::RebalanceInProgress;
            self.answer_sync(former, SyncReply::error(error));
        }
        if self.live.is_leader(&request.member_id) {
            self.assign(&request.assignments);
        }
    }

    /// Stores the leader's assignments and tells those who wait. Who was forgotten has nothing to do.
    fn assign(&mut self, assignments: &[(Arc<str>, Bytes)]) {
        let assigned: BTreeMap<&str, &Bytes> = (assignments.iter())
            .map(|(member_id, bytes)| (&**member_id, bytes))
            .collect();
        let assigned = |member_id: &str| {
            let bytes = assigned.get(member_id);
            bytes.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes))
        };
        self.store(assigned);
        // The time stays that of the record: a reload knows no other.
        self.live.state = GroupState::Stable;
        let members = self.live.members.values();
        let waiting = members.filter_map(|it| Some((it.id.clone(), it.syncing?)));
        let waiting: Vec<(Arc<str>, CallId)> = waiting.collect();
        for (member_id, call) in waiting {
            let now = self.now.mono;
            if let Some(member) = self.live.member_mut(&member_id) {
                member.syncing = None;
                member.renew(now);
            }
            self.answer_sync(call, self.synced(assigned(&member_id)));
        }
    }
}
