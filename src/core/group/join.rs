//! JoinGroup: who may be part of the next generation.
//!
//! Invariants: 1. A member has at most one JoinGroup that waits; one that is repeated answers the former with
//! REBALANCE_IN_PROGRESS. 2. An instance id belongs to one member id; who held it before is fenced.
//!
//! Differs from Kafka: a group that a refused JoinGroup would have been the first of is not created.
//!
//! Source: `GroupMetadataManager.classicGroupJoinToClassicGroup` and what it calls; KIP-345, KIP-394, KIP-814.

use std::sync::Arc;

use bytes::Bytes;

use super::coordinator::Coordinator;
use super::draft::Draft;
use super::event::{Change, Event};
use super::live::{Live, Member, millis};
use super::record::StoredGroup;
use super::reply::{JoinReply, SyncReply};
use super::request::{Join, Protocol};
use super::types::{CallId, Decision, GroupConfig, GroupState};
use crate::types::{ErrorCode, Millis, Now, limits};

/// A member whose first JoinGroup waits longer than this is given up: it cannot show that it lives meanwhile, and clients
/// that gave up and came again would pile up (Kafka: `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
const FRESH_MEMBER_TIMEOUT: Millis = Millis(5 * 60 * 1000);

impl Coordinator {
    pub(super) fn join(&self, now: Now, call: CallId, request: &Join) -> Decision {
        let refuse = |error| Draft::refuse_join(call, error, &request.member_id);
        if let Some(error) = self.join_error(request) {
            return refuse(error);
        }
        let group = self.groups.get(&request.group_id);
        if group.is_none() && !request.member_id.is_empty() {
            return refuse(ErrorCode::UnknownMemberId);
        }
        let mut draft = Draft::new(self, now, &request.group_id);
        if !accepts(&draft.live, &request.member_id, self.config.size_max) {
            draft.remove(&request.member_id);
            draft.maybe_complete();
            let error = ErrorCode::GroupMaxSizeReached;
            draft.answer_join(call, JoinReply::error(error, "".into()));
            return draft.finish();
        }
        let supports = (draft.live).supports(&request.protocol_type, &request.protocols);
        if !supports {
            return refuse(ErrorCode::InconsistentGroupProtocol);
        }
        let known = if request.member_id.is_empty() {
            self.join_unknown(&mut draft, call, request);
            Ok(())
        } else {
            draft.join_known(call, request)
        };
        if let Err(error) = known {
            return refuse(error);
        }
        if draft.group.is_none() && draft.decision.records.is_empty() {
            // The group is to be there after a restart, too, with or without its members.
            draft.record(&StoredGroup {
                since: Some(now.wall),
                ..StoredGroup::default()
            });
        }
        draft.finish()
    }

    fn join_error(&self, request: &Join) -> Option<ErrorCode> {
        if request.group_id.is_empty() {
            return Some(ErrorCode::InvalidGroupId);
        }
        let config: &GroupConfig = &self.config;
        let timeout = millis(request.session_timeout_ms);
        let allowed = config.session_timeout_min..=config.session_timeout_max;
        if request.session_timeout_ms < 0 || !allowed.contains(&timeout) {
            return Some(ErrorCode::InvalidSessionTimeout);
        }
        let is_new = !self.groups.contains_key(&request.group_id);
        let groups_full = is_new && self.groups.len() >= limits::GROUPS_PER_COORDINATOR_MAX;
        let bytes_full = self.metadata_bytes >= limits::GROUP_METADATA_BYTES_MAX;
        (groups_full || bytes_full).then_some(ErrorCode::CoordinatorNotAvailable)
    }

    /// Somebody without an id.
    fn join_unknown(&self, draft: &mut Draft<'_>, call: CallId, request: &Join) {
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let member_id: Arc<str> = self.ids.next(prefix).into();
        draft.decision.events.push(Event(Change::IdDrawn));
        let instance_id = request.instance_id.as_ref();
        if let Some(former) = instance_id.and_then(|id| draft.live.statics.get(id)) {
            let former = former.clone();
            draft.replace_static(call, request, &former, &member_id);
        } else if request.member_id_required && instance_id.is_none() {
            let lapses = draft.now.mono.after(millis(request.session_timeout_ms));
            draft.live.pending.insert(member_id.clone(), lapses);
            let error = ErrorCode::MemberIdRequired;
            draft.answer_join(call, JoinReply::error(error, member_id));
        } else {
            draft.add(call, request, &member_id);
        }
    }
}

/// The group has a place for it. While a rebalance is prepared, those that have joined count: the last that come are kept
/// out if the group has become too large.
fn accepts(live: &Live, member_id: &str, size_max: usize) -> bool {
    let size_max = size_max.min(limits::GROUP_MEMBERS_MAX);
    let member = live.members.get(member_id);
    let new_id = member_id.is_empty() && live.pending.len() >= limits::GROUP_MEMBERS_MAX;
    match live.state {
        GroupState::Empty | GroupState::Dead => !new_id,
        GroupState::PreparingRebalance => {
            member.is_some_and(|it| it.joining.is_some()) || live.joining() < size_max && !new_id
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            member.is_some() || live.members.len() < size_max && !new_id
        }
    }
}

/// Protocols with memory of their own: a request's bytes belong to the buffer that it came in.
fn owned(protocols: &[Protocol]) -> Vec<Protocol> {
    let owned = protocols.iter().map(|it| Protocol {
        name: it.name.clone(),
        metadata: Bytes::copy_from_slice(&it.metadata),
    });
    owned.collect()
}

impl Draft<'_> {
    /// Somebody who says who it is.
    fn join_known(&mut self, call: CallId, request: &Join) -> Result<(), ErrorCode> {
        let member_id = &request.member_id;
        if self.live.pending.contains_key(member_id) {
            if request.instance_id.is_some() {
                // Ids that were handed out beforehand are for dynamic members.
                return Err(ErrorCode::UnknownServerError);
            }
            self.add(call, request, member_id);
            return Ok(());
        }
        let instance_id = request.instance_id.as_ref();
        let member = self.live.check_member(member_id, instance_id)?;
        let same = member.protocols == request.protocols;
        let stays = match self.live.state {
            GroupState::Empty | GroupState::Dead => return Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => false,
            // Perhaps the answer to its first JoinGroup was lost.
            GroupState::CompletingRebalance => same,
            // A leader that joins wants a rebalance: the topics may have changed.
            GroupState::Stable => same && !self.live.is_leader(member_id),
        };
        if stays {
            self.answer_join(call, self.joined(member_id));
        } else {
            self.update(call, request, member_id);
            self.rebalance_or_complete();
        }
        Ok(())
    }

    /// A new member.
    fn add(&mut self, call: CallId, request: &Join, member_id: &Arc<str>) {
        let member = Member {
            id: member_id.clone(),
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: owned(&request.protocols),
            joining: Some(call),
            syncing: None,
            fresh: true,
            session_ends: self.now.mono.after(FRESH_MEMBER_TIMEOUT),
        };
        if self.live.state == GroupState::PreparingRebalance && self.live.initial {
            self.live.somebody_new = true;
        }
        self.live.add(member, &request.protocol_type);
        self.rebalance_or_complete();
    }

    /// A member as its newest JoinGroup has it, which waits from now on.
    fn update(&mut self, call: CallId, request: &Join, member_id: &Arc<str>) {
        let Some(member) = self.live.member_mut(member_id) else {
            return;
        };
        member.protocols = owned(&request.protocols);
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        if let Some(former) = member.joining.replace(call) {
            let error = ErrorCode::RebalanceInProgress;
            self.answer_join(former, JoinReply::error(error, member_id.clone()));
        }
    }

    /// A static member is back with no id: it takes the place of the one before, which is fenced.
    fn replace_static(&mut self, call: CallId, request: &Join, former: &Arc<str>, id: &Arc<str>) {
        let former_leader = self.live.leader.clone().unwrap_or_default();
        self.rename(former, id);
        self.update(call, request, id);
        match self.live.state {
            GroupState::Stable if self.live.protocol == self.live.elect_protocol() => {
                self.keep_generation(call, request, id, former, former_leader);
            }
            GroupState::Stable | GroupState::Empty | GroupState::Dead => {
                self.rebalance_or_complete();
            }
            // The leader may be assigning to the former id.
            GroupState::CompletingRebalance => self.prepare_rebalance(),
            GroupState::PreparingRebalance => self.maybe_complete(),
        }
    }

    fn rename(&mut self, former: &Arc<str>, id: &Arc<str>) {
        let Some(member) = self.live.members.remove(former) else {
            return;
        };
        let mut member = Arc::unwrap_or_clone(member);
        member.id = id.clone();
        member.fresh = false;
        member.renew(self.now.mono);
        let error = ErrorCode::FencedInstanceId;
        if let Some(call) = member.joining.take() {
            self.answer_join(call, JoinReply::error(error, former.clone()));
        }
        if let Some(call) = member.syncing.take() {
            self.answer_sync(call, SyncReply::error(error));
        }
        if let Some(instance_id) = &member.instance_id {
            self.live.statics.insert(instance_id.clone(), id.clone());
        }
        if self.live.is_leader(former) {
            self.live.leader = Some(id.clone());
        }
        if self.live.unsynced.remove(former) {
            self.live.unsynced.insert(id.clone());
        }
        self.live.members.insert(id.clone(), Arc::new(member));
    }

    /// The group keeps its generation: the newcomer has the assignment of the one before.
    fn keep_generation(
        &mut self,
        call: CallId,
        request: &Join,
        id: &Arc<str>,
        former: &Arc<str>,
        former_leader: Arc<str>,
    ) {
        if let Some(member) = self.live.member_mut(id) {
            member.joining = None;
        }
        let group = self.group;
        self.store(|member_id| {
            let known = if member_id == &**id {
                former
            } else {
                member_id
            };
            group.map(|it| it.assignment(known)).unwrap_or_default()
        });
        let mut reply = self.joined(id);
        if request.can_skip_assignment {
            reply.skip_assignment = self.live.is_leader(id);
        } else {
            // An older leader would assign anew and be alone with it: it is told that another leads.
            reply.leader = former_leader;
            reply.members = Vec::new();
        }
        self.answer_join(call, reply);
    }
}
