//! What a coordinator answers.
//!
//! Invariants: 1. Replies name no version of the wire: the API files map what an older version cannot say.
//! 2. Everything here is `Send`: replies cross cores.
//! Source: `JoinGroupResponse.json` and its kin.

use std::sync::Arc;

use bytes::Bytes;

use super::GroupState;
use super::request::LeavingMember;
use crate::types::{ErrorCode, LeaderEpoch, Offset, PartitionIndex};

/// The answer to a [`super::Request`], of the same kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// To a join.
    Join(JoinReply),
    /// To a sync.
    Sync(SyncReply),
    /// To a heartbeat.
    Heartbeat(ErrorCode),
    /// To members that leave.
    Leave(LeaveReply),
    /// To a commit.
    Commit(CommitReply),
    /// To a fetch of offsets.
    Fetch(FetchReply),
    /// To a description.
    Describe(DescribeReply),
    /// To a list; the error is for the whole answer.
    List(Result<Vec<ListedGroup>, ErrorCode>),
    /// To the deletion of a group.
    Delete(ErrorCode),
    /// To the deletion of offsets.
    OffsetDelete(OffsetDeleteReply),
}

/// JoinGroup's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinReply {
    /// `None` is success.
    pub error: ErrorCode,
    /// The generation joined, -1 on failure.
    pub generation: i32,
    /// `None` on failure.
    pub protocol_type: Option<Arc<str>>,
    /// The assignor chosen; `None` on failure (v0 to v6 spell that as empty text).
    pub protocol_name: Option<Arc<str>>,
    /// Member id of the leader, empty on failure.
    pub leader: Arc<str>,
    /// The leader keeps the assignment that the group has (v9+, KIP-814).
    pub skip_assignment: bool,
    /// The member's id; with MEMBER_ID_REQUIRED the one to come back with.
    pub member_id: Arc<str>,
    /// For the leader: everybody, with metadata for the assignor chosen. Else empty.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    /// For the assignor chosen.
    pub metadata: Bytes,
}

impl JoinReply {
    /// A failure.
    pub(super) fn error(error: ErrorCode, member_id: Arc<str>) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: "".into(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

/// SyncGroup's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncReply {
    /// `None` is success.
    pub error: ErrorCode,
    /// `None` on failure.
    pub protocol_type: Option<Arc<str>>,
    /// `None` on failure.
    pub protocol_name: Option<Arc<str>>,
    /// What the leader gave this member; empty on failure.
    pub assignment: Bytes,
}

impl SyncReply {
    /// A failure.
    pub(super) fn error(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

/// LeaveGroup's answer. Versions 0 to 2 tell the error of the whole, or else the one of their only member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveReply {
    /// Of the whole; no members are told then.
    pub error: ErrorCode,
    /// In the order of the request.
    pub members: Vec<LeftMember>,
}

/// What became of a member that was to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftMember {
    /// As asked.
    pub member_id: Arc<str>,
    /// As asked.
    pub instance_id: Option<Arc<str>>,
    /// `None` is success.
    pub error: ErrorCode,
}

impl LeftMember {
    /// What became of a member of a request.
    pub(super) fn new(member: &LeavingMember, error: ErrorCode) -> Self {
        Self {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            error,
        }
    }
}

/// OffsetCommit's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitReply {
    /// In the order of the request.
    pub topics: Vec<TopicErrors>,
}

/// An error for each partition of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicErrors {
    /// The topic's name.
    pub topic: Arc<str>,
    /// In the order of the request; `None` is success.
    pub partitions: Vec<(PartitionIndex, ErrorCode)>,
}

/// OffsetFetch's answer for one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchReply {
    /// The group.
    pub group_id: Arc<str>,
    /// Of the whole.
    pub error: ErrorCode,
    /// In the order of the request, or by name when all were asked for.
    pub topics: Vec<FetchedTopic>,
}

impl FetchReply {
    /// A failure.
    pub(super) fn error(group_id: Arc<str>, error: ErrorCode) -> Self {
        Self {
            group_id,
            error,
            topics: Vec::new(),
        }
    }
}

/// Stored offsets of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedTopic {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// A stored offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// Which.
    pub partition: PartitionIndex,
    /// -1: none is stored.
    pub offset: Offset,
    /// -1: unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's words, empty if there are none.
    pub metadata: Arc<str>,
    /// `None` also where nothing is stored.
    pub error: ErrorCode,
}

/// DescribeGroups' answer for one group. An unknown group has the error GROUP_ID_NOT_FOUND and the state Dead: versions
/// 0 to 5 do not tell the error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribeReply {
    /// The group.
    pub group_id: Arc<str>,
    /// `None` is success.
    pub error: ErrorCode,
    /// A sentence for people (v6+).
    pub message: Option<String>,
    /// `None` when it could not be looked up.
    pub state: Option<GroupState>,
    /// Empty if it has none.
    pub protocol_type: Arc<str>,
    /// The assignor, empty unless the group is stable.
    pub protocol_name: Arc<str>,
    /// By member id.
    pub members: Vec<DescribedMember>,
}

impl DescribeReply {
    /// A failure.
    pub(super) fn error(group_id: Arc<str>, error: ErrorCode) -> Self {
        Self {
            group_id,
            error,
            message: None,
            state: None,
            protocol_type: "".into(),
            protocol_name: "".into(),
            members: Vec::new(),
        }
    }
}

/// A member as people are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    /// As it joined.
    pub client_id: Arc<str>,
    /// As it joined.
    pub client_host: Arc<str>,
    /// For the assignor chosen; empty unless the group is stable.
    pub metadata: Bytes,
    /// Empty unless the group is stable.
    pub assignment: Bytes,
}

/// A group in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// Its id.
    pub group_id: Arc<str>,
    /// Empty if it has none.
    pub protocol_type: Arc<str>,
    /// v4+.
    pub state: GroupState,
}

/// OffsetDelete's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetDeleteReply {
    /// Of the whole; no topics are told then.
    pub error: ErrorCode,
    /// In the order of the request.
    pub topics: Vec<TopicErrors>,
}
