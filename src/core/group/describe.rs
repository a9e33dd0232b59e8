//! DescribeGroups, ListGroups, DeleteGroups.
//!
//! Source: `GroupMetadataManager.describeGroups`, `listGroups`, `GroupCoordinatorShard.deleteGroups`.

use std::sync::Arc;

use super::coordinator::{Coordinator, Group};
use super::live::Member;
use super::offsets::tombstone;
use super::reply::{DescribeReply, DescribedMember, ListedGroup, Reply};
use super::request::List;
use super::types::{CallId, Decision, GroupState, Record};
use crate::types::ErrorCode;

impl Coordinator {
    pub(super) fn describe(&self, call: CallId, group_id: &Arc<str>) -> Decision {
        let reply = match self.groups.get(group_id) {
            Some(group) => group.describe(group_id),
            None => DescribeReply {
                message: Some(format!("Group {group_id} not found.")),
                state: Some(GroupState::Dead),
                ..DescribeReply::error(group_id.clone(), ErrorCode::GroupIdNotFound)
            },
        };
        Decision::answer(call, true, Reply::Describe(reply))
    }

    pub(super) fn list(&self, call: CallId, request: &List) -> Decision {
        let groups = self.groups.iter().filter(|(_, group)| {
            let state = group.live.state;
            request.classic && (request.states.is_empty() || request.states.contains(&state))
        });
        let listed = groups.map(|(group_id, group)| ListedGroup {
            group_id: group_id.clone(),
            protocol_type: group.live.protocol_type.clone().unwrap_or_default(),
            state: group.live.state,
        });
        Decision::answer(call, true, Reply::List(Ok(listed.collect())))
    }

    pub(super) fn delete(&self, call: CallId, group_id: &Arc<str>) -> Decision {
        let error = match self.groups.get(group_id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if group.live.state != GroupState::Empty => ErrorCode::NonEmptyGroup,
            Some(_) => ErrorCode::None,
        };
        let mut decision = Decision::answer(call, true, Reply::Delete(error));
        if let Some(group) = self
            .groups
            .get(group_id)
            .filter(|_| error == ErrorCode::None)
        {
            group.tombstones(group_id, &mut decision);
        }
        decision
    }
}

impl Group {
    fn describe(&self, group_id: &Arc<str>) -> DescribeReply {
        let live = &self.live;
        let protocol = live.protocol.as_ref();
        let protocol = protocol.filter(|_| live.state == GroupState::Stable);
        let members = live.members.values();
        DescribeReply {
            group_id: group_id.clone(),
            error: ErrorCode::None,
            message: None,
            state: Some(live.state),
            protocol_type: live.protocol_type.clone().unwrap_or_default(),
            protocol_name: protocol.cloned().unwrap_or_default(),
            members: members.map(|it| self.described(it, protocol)).collect(),
        }
    }

    fn described(&self, member: &Member, protocol: Option<&Arc<str>>) -> DescribedMember {
        let metadata = protocol.and_then(|it| member.metadata(it));
        DescribedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: metadata.cloned().unwrap_or_default(),
            // Until the next one is stored, the last one is what is known.
            assignment: self.assignment(&member.id),
        }
    }

    /// Deletes a group with its offsets. The group's own record comes last, so that a half of this leaves a group.
    pub(super) fn tombstones(&self, group_id: &Arc<str>, decision: &mut Decision) {
        for (topic, partitions) in &self.offsets {
            let partitions = partitions.keys();
            let records = partitions.map(|it| tombstone(group_id, topic, *it));
            decision.records.extend(records);
        }
        decision.records.push(Record::group(group_id, None));
    }
}
