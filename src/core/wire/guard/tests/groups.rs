//! The requests about groups and their offsets.

use super::{all, name, one, text};
use crate::wire::guard::DecodeError;
use crate::wire::versions;
use bytes::Bytes;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, join_group_request as join,
    leave_group_request as leave, offset_commit_request as commit, offset_delete_request as delete,
    offset_fetch_request as fetch, sync_group_request as sync,
};
use kafka_protocol::protocol::StrBytes;

fn group() -> GroupId {
    GroupId(text("group-ä"))
}

fn every_other(version: i16, value: &'static str) -> Option<StrBytes> {
    (version % 2 == 0).then(|| text(value))
}

fn offset_commit(version: i16) -> OffsetCommitRequest {
    let mut partition = commit::OffsetCommitRequestPartition::default()
        .with_partition_index(3)
        .with_committed_offset(77);
    if version >= 6 {
        partition = partition.with_committed_leader_epoch(5);
    }
    let bare = partition.clone().with_committed_metadata(None);
    let noted = partition.with_committed_metadata(Some(text("note")));
    let topic = commit::OffsetCommitRequestTopic::default()
        .with_name(name())
        .with_partitions(vec![bare, noted]);
    let mut request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(4)
        .with_member_id(text("member"))
        .with_topics(vec![topic; 2]);
    if version >= 7 {
        request = request.with_group_instance_id(every_other(version, "instance"));
    }
    if version <= 4 {
        request = request.with_retention_time_ms(1000);
    }
    request
}

fn offset_fetch(version: i16) -> OffsetFetchRequest {
    let request = OffsetFetchRequest::default().with_require_stable(version >= 7);
    if version < 8 {
        let topic = fetch::OffsetFetchRequestTopic::default()
            .with_name(name())
            .with_partition_indexes(vec![1, 2]);
        let topics = (version < 2 || version % 2 == 0).then(|| vec![topic; 2]);
        return request.with_group_id(group()).with_topics(topics);
    }
    let topic = fetch::OffsetFetchRequestTopics::default()
        .with_name(name())
        .with_partition_indexes(vec![1, 2]);
    let mut some = fetch::OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(Some(vec![topic; 2]));
    if version >= 9 {
        some = some
            .with_member_id(Some(text("member")))
            .with_member_epoch(3);
    }
    let every = fetch::OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(None);
    request.with_groups(vec![some, every])
}

fn find_coordinator(version: i16) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default().with_key_type(i8::from(version >= 1));
    if version < 4 {
        request.with_key(text("key"))
    } else {
        request.with_coordinator_keys(vec![text("a"), text("b")])
    }
}

fn join_group(version: i16) -> JoinGroupRequest {
    let protocol = join::JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(&[1; 40]));
    let mut request = JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(6000)
        .with_member_id(text("member"))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol; 2]);
    if version >= 1 {
        request = request.with_rebalance_timeout_ms(7000);
    }
    if version >= 5 {
        request = request.with_group_instance_id(every_other(version, "instance"));
    }
    if version >= 8 {
        request = request.with_reason(every_other(version, "because"));
    }
    request
}

fn heartbeat(version: i16) -> HeartbeatRequest {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(9)
        .with_member_id(text("member"));
    if version >= 3 {
        request.with_group_instance_id(every_other(version, "instance"))
    } else {
        request
    }
}

fn leave_group(version: i16) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group());
    if version < 3 {
        return request.with_member_id(text("member"));
    }
    let mut member = leave::MemberIdentity::default()
        .with_member_id(text("member"))
        .with_group_instance_id(every_other(version, "instance"));
    if version >= 5 {
        member = member.with_reason(Some(text("because")));
    }
    request.with_members(vec![member; 2])
}

fn sync_group(version: i16) -> SyncGroupRequest {
    let assignment = sync::SyncGroupRequestAssignment::default()
        .with_member_id(text("member"))
        .with_assignment(Bytes::from_static(&[7; 20]));
    let mut request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(2)
        .with_member_id(text("member"))
        .with_assignments(vec![assignment; 2]);
    if version >= 3 {
        request = request.with_group_instance_id(every_other(version, "instance"));
    }
    if version >= 5 {
        request = request
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
    }
    request
}

fn describe_groups(version: i16) -> DescribeGroupsRequest {
    DescribeGroupsRequest::default()
        .with_groups(vec![group(); 2])
        .with_include_authorized_operations(version >= 3)
}

fn list_groups(version: i16) -> ListGroupsRequest {
    let mut request = ListGroupsRequest::default();
    if version >= 4 {
        request = request.with_states_filter(vec![text("Stable"), text("Empty")]);
    }
    if version >= 5 {
        request = request.with_types_filter(vec![text("classic")]);
    }
    request
}

fn delete_groups(_version: i16) -> DeleteGroupsRequest {
    DeleteGroupsRequest::default().with_groups_names(vec![group(); 2])
}

fn offset_delete(_version: i16) -> OffsetDeleteRequest {
    let partition = delete::OffsetDeleteRequestPartition::default().with_partition_index(4);
    let topic = delete::OffsetDeleteRequestTopic::default()
        .with_name(name())
        .with_partitions(vec![partition; 2]);
    OffsetDeleteRequest::default()
        .with_group_id(group())
        .with_topics(vec![topic; 2])
}

pub(super) fn for_each(visit: &mut dyn FnMut(i16, i16, Bytes)) {
    all(offset_commit, visit);
    all(offset_fetch, visit);
    all(find_coordinator, visit);
    all(join_group, visit);
    all(heartbeat, visit);
    all(leave_group, visit);
    all(sync_group, visit);
    all(describe_groups, visit);
    all(list_groups, visit);
    all(delete_groups, visit);
    all(offset_delete, visit);
}

pub(super) fn decode(key: i16, version: i16, body: &Bytes) -> Result<(), DecodeError> {
    match key {
        versions::OFFSET_COMMIT => one::<OffsetCommitRequest>(version, body),
        versions::OFFSET_FETCH => one::<OffsetFetchRequest>(version, body),
        versions::FIND_COORDINATOR => one::<FindCoordinatorRequest>(version, body),
        versions::JOIN_GROUP => one::<JoinGroupRequest>(version, body),
        versions::HEARTBEAT => one::<HeartbeatRequest>(version, body),
        versions::LEAVE_GROUP => one::<LeaveGroupRequest>(version, body),
        versions::SYNC_GROUP => one::<SyncGroupRequest>(version, body),
        versions::DESCRIBE_GROUPS => one::<DescribeGroupsRequest>(version, body),
        versions::LIST_GROUPS => one::<ListGroupsRequest>(version, body),
        versions::DELETE_GROUPS => one::<DeleteGroupsRequest>(version, body),
        versions::OFFSET_DELETE => one::<OffsetDeleteRequest>(version, body),
        other => panic!("no request for key {other}"),
    }
}
