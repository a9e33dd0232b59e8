//! DescribeGroups (key 15): what groups are and who is in them.
//!
//! Versions 0–6, flexible from 5. 1: throttle time. 3: allowed operations. 4: static members. 6: a group that is not there is an
//! error with a message; before it is one in state Dead.
//! Gaps: groups come in the order asked for (Kafka's is its partitions').
//! Source: `KafkaApis.handleDescribeGroupsRequest`; KIP-1043.

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::context::{OPERATIONS_NOT_ASKED, arc, text};
use crate::group::Request;
use crate::group::reply::DescribeReply;
use crate::types::ErrorCode;

/// Every operation on a group: read, delete, describe, describe and alter configs.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// The first version that tells that a group is not there.
const NOT_FOUND_SINCE: i16 = 6;

/// What the answer needs of the request.
#[derive(Debug)]
pub struct Pending {
    operations: i32,
}

/// What each group's coordinator is to be asked, in the order of the request.
#[must_use]
pub fn plan(request: &DescribeGroupsRequest) -> (Vec<Request>, Pending) {
    let groups = request.groups.iter().map(|group| Request::Describe {
        group_id: arc(group),
    });
    let operations = if request.include_authorized_operations {
        GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    (groups.collect(), Pending { operations })
}

/// The answer, with one reply for each question of the plan.
#[must_use]
pub fn finish(
    version: i16,
    pending: &Pending,
    replies: Vec<DescribeReply>,
) -> DescribeGroupsResponse {
    let groups = replies.into_iter();
    let groups = groups.map(|reply| group_of(version, pending.operations, reply));
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn group_of(version: i16, operations: i32, reply: DescribeReply) -> DescribedGroup {
    let unknown = reply.error == ErrorCode::GroupIdNotFound;
    let error = if unknown && version < NOT_FOUND_SINCE {
        ErrorCode::None
    } else {
        reply.error
    };
    let members = reply.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    let message = reply.message.filter(|_| version >= NOT_FOUND_SINCE);
    DescribedGroup::default()
        .with_error_code(error.code())
        .with_error_message(message.as_deref().map(text))
        .with_group_id(text(&reply.group_id).into())
        .with_group_state(text(reply.state.map_or("", |state| state.name())))
        .with_protocol_type(text(&reply.protocol_type))
        .with_protocol_data(text(&reply.protocol_name))
        .with_members(members.collect())
        .with_authorized_operations(match error {
            ErrorCode::None => operations,
            _ => OPERATIONS_NOT_ASKED,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;
    use crate::group::GroupState;
    use crate::group::reply::DescribedMember;
    use bytes::Bytes;

    fn asked(version: i16) -> (Vec<Request>, Pending) {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![text("g").into(), text("h").into()])
            .with_include_authorized_operations(version >= 3);
        plan(&recoded(&request, version))
    }

    fn stable() -> DescribeReply {
        DescribeReply {
            group_id: "g".into(),
            error: ErrorCode::None,
            message: None,
            state: Some(GroupState::Stable),
            protocol_type: "consumer".into(),
            protocol_name: "range".into(),
            members: vec![DescribedMember {
                member_id: "m".into(),
                instance_id: Some("i".into()),
                client_id: "c".into(),
                client_host: "/127.0.0.1".into(),
                metadata: Bytes::from_static(b"topics"),
                assignment: Bytes::from_static(b"t-0"),
            }],
        }
    }

    #[test]
    fn every_version_asks_and_answers() {
        for version in 0..=6 {
            let (requests, pending) = asked(version);
            assert_eq!(requests.len(), 2);
            assert_eq!(requests[1].group_id().map(AsRef::as_ref), Some("h"));
            let got = recoded(&finish(version, &pending, vec![stable()]), version);
            let group = &got.groups[0];
            assert_eq!(
                (group.error_code, group.group_state.as_str()),
                (0, "Stable")
            );
            assert_eq!(group.protocol_data.as_str(), "range");
            assert_eq!(group.members[0].group_instance_id.is_some(), version >= 4);
            let operations = if version >= 3 { 3400 } else { i32::MIN };
            assert_eq!(group.authorized_operations, operations, "v{version}");
        }
    }

    #[test]
    fn a_group_that_is_not_there() {
        for version in 0..=6 {
            let (_, pending) = asked(version);
            let gone = DescribeReply {
                error: ErrorCode::GroupIdNotFound,
                message: Some("Group g not found.".to_owned()),
                state: Some(GroupState::Dead),
                protocol_type: "".into(),
                protocol_name: "".into(),
                members: Vec::new(),
                ..stable()
            };
            let got = recoded(&finish(version, &pending, vec![gone]), version);
            let group = &got.groups[0];
            assert_eq!(group.group_state.as_str(), "Dead");
            assert_eq!(group.error_code, if version >= 6 { 69 } else { 0 });
            assert_eq!(group.error_message.is_some(), version >= 6);
        }
    }
}
