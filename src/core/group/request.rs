//! What a coordinator is asked.
//!
//! Invariants: 1. A request holds what its handler needs and nothing of the wire's versions: where a version changes what
//! is decided, a field says so. 2. Everything here is `Send`: requests cross cores.
//! Absent: topic ids (the host resolves names), transactional commits (they will be a variant of their own).
//! Source: `JoinGroupRequest.json` and its kin, KIP-345, KIP-394, KIP-800, KIP-814.

use std::sync::Arc;

use bytes::Bytes;

use super::GroupState;
use super::reply::{
    CommitReply, DescribeReply, FetchReply, JoinReply, LeaveReply, OffsetDeleteReply, Reply,
    SyncReply, TopicErrors,
};
use crate::types::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId};

/// A request to the coordinator of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A member wants to be part of the next generation.
    Join(Join),
    /// A member wants its assignment; the leader brings all of them.
    Sync(Sync),
    /// A member is alive.
    Heartbeat(Heartbeat),
    /// Members go.
    Leave(Leave),
    /// Offsets are stored.
    Commit(Commit),
    /// Stored offsets are read.
    Fetch(Fetch),
    /// What a group is and who is in it.
    Describe {
        /// The group.
        group_id: Arc<str>,
    },
    /// Which groups this coordinator has.
    List(List),
    /// An empty group and its offsets go.
    Delete {
        /// The group.
        group_id: Arc<str>,
    },
    /// Some offsets of a group go.
    OffsetDelete(OffsetDelete),
}

/// JoinGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    /// The group; empty is refused.
    pub group_id: Arc<str>,
    /// Empty for a member that has no id yet.
    pub member_id: Arc<str>,
    /// `group.instance.id` of a static member (v5+).
    pub instance_id: Option<Arc<str>>,
    /// The client's id from the request's header: new member ids begin with it.
    pub client_id: Arc<str>,
    /// The client's address as Kafka writes it, `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// Milliseconds without a sign of life after which the member is removed; as the wire has it, unchecked.
    pub session_timeout_ms: i32,
    /// Milliseconds that a rebalance waits for this member (v0: the same as the session's).
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` …; empty is refused.
    pub protocol_type: Arc<str>,
    /// Names of assignors with the member's metadata for each, in the order of its preference; none is refused.
    pub protocols: Vec<Protocol>,
    /// v4+: a dynamic member without an id is first told one (KIP-394).
    pub member_id_required: bool,
    /// v9+: a returning static leader can be told to keep the assignment (KIP-814).
    pub can_skip_assignment: bool,
    /// v8+: why, for people (KIP-800).
    pub reason: Option<Arc<str>>,
}

/// An assignor that a member supports, and what it tells about itself for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// `range`, `cooperative-sticky` …
    pub name: Arc<str>,
    /// Opaque to the coordinator.
    pub metadata: Bytes,
}

/// SyncGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sync {
    /// The group.
    pub group_id: Arc<str>,
    /// As the JoinGroup answer said.
    pub generation: i32,
    /// As the JoinGroup answer said.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    /// v5+; checked when given.
    pub protocol_type: Option<Arc<str>>,
    /// v5+; checked when given.
    pub protocol_name: Option<Arc<str>>,
    /// By member id; only the leader's count.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group_id: Arc<str>,
    /// As the JoinGroup answer said.
    pub generation: i32,
    /// As the JoinGroup answer said.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
}

/// LeaveGroup; versions 0 to 2 name one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leave {
    /// The group.
    pub group_id: Arc<str>,
    /// Who goes.
    pub members: Vec<LeavingMember>,
}

/// Who leaves: by member id, or a static member by instance id with an empty member id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeavingMember {
    /// May be empty when an instance id is given.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    /// v5+: why, for people (KIP-800).
    pub reason: Option<Arc<str>>,
}

/// OffsetCommit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The group.
    pub group_id: Arc<str>,
    /// Negative, with an empty member id: a client that assigns its partitions itself.
    pub generation: i32,
    /// See `generation`.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    /// v2 to v4: keep for so many milliseconds; `None` for -1 and for other versions.
    pub retention_ms: Option<i64>,
    /// What to store. The host has taken out topics and partitions that do not exist.
    pub topics: Vec<CommitTopic>,
}

/// Offsets of one topic to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitTopic {
    /// Its name.
    pub topic: Arc<str>,
    /// Its id if the client named it so (v10+), else zero. Kept with the offset.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// An offset to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitPartition {
    /// Which.
    pub partition: PartitionIndex,
    /// The next record to read.
    pub offset: Offset,
    /// Epoch of the last record read, -1 for unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's words; null counts as empty.
    pub metadata: Option<Arc<str>>,
}

/// OffsetFetch for one group; the host splits a request for several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// The group.
    pub group_id: Arc<str>,
    /// v9+: of a member of the new protocol; a classic group does not look at it.
    pub member_id: Option<Arc<str>>,
    /// v9+: see `member_id`.
    pub member_epoch: i32,
    /// `None`: all that is stored.
    pub topics: Option<Vec<(Arc<str>, Vec<PartitionIndex>)>>,
    /// v7+: no answer for an offset that an open transaction is about to change.
    pub require_stable: bool,
}

/// ListGroups.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct List {
    /// States wanted, empty for all. The host leaves out names that no state has, unless none is left:
    /// then nothing is listed and nobody need be asked.
    pub states: Vec<GroupState>,
    /// Only groups of the classic protocol are here: false if the filter of types (v5+) names others alone.
    pub classic: bool,
}

/// OffsetDelete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetDelete {
    /// The group.
    pub group_id: Arc<str>,
    /// Which offsets.
    pub topics: Vec<(Arc<str>, Vec<PartitionIndex>)>,
}

impl Request {
    /// The group that is asked about; `None` for a list.
    #[must_use]
    pub fn group_id(&self) -> Option<&Arc<str>> {
        Some(match self {
            Self::Join(it) => &it.group_id,
            Self::Sync(it) => &it.group_id,
            Self::Heartbeat(it) => &it.group_id,
            Self::Leave(it) => &it.group_id,
            Self::Commit(it) => &it.group_id,
            Self::Fetch(it) => &it.group_id,
            Self::OffsetDelete(it) => &it.group_id,
            Self::Describe { group_id } | Self::Delete { group_id } => group_id,
            Self::List(_) => return None,
        })
    }

    /// The answer when nothing was done for the reason `error`: the coordinator is elsewhere or still loading, or the log
    /// refused the records of the decision (`append_error` says which code that is).
    #[must_use]
    pub fn refuse(&self, error: ErrorCode) -> Reply {
        match self {
            Self::Join(it) => Reply::Join(JoinReply::error(error, it.member_id.clone())),
            Self::Sync(_) => Reply::Sync(SyncReply::error(error)),
            Self::Heartbeat(_) => Reply::Heartbeat(error),
            Self::Leave(_) => Reply::Leave(LeaveReply {
                error,
                members: Vec::new(),
            }),
            Self::Commit(it) => Reply::Commit(CommitReply {
                topics: it.topics.iter().map(|t| t.all(error)).collect(),
            }),
            Self::Fetch(it) => Reply::Fetch(FetchReply::error(it.group_id.clone(), error)),
            Self::Describe { group_id } => {
                Reply::Describe(DescribeReply::error(group_id.clone(), error))
            }
            Self::List(_) => Reply::List(Err(error)),
            Self::Delete { .. } => Reply::Delete(error),
            Self::OffsetDelete(_) => Reply::OffsetDelete(OffsetDeleteReply {
                error,
                topics: Vec::new(),
            }),
        }
    }
}

impl CommitTopic {
    /// Every partition with the same error.
    pub(super) fn all(&self, error: ErrorCode) -> TopicErrors {
        let partitions = self.partitions.iter().map(|it| (it.partition, error));
        TopicErrors {
            topic: self.topic.clone(),
            partitions: partitions.collect(),
        }
    }
}
