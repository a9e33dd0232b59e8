//! Decisions and what they are made of.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::event::Event;
use super::reply::Reply;
use crate::types::{ErrorCode, Millis, PartitionIndex};

/// The host's name for a request that it wants an answer to; never used twice for a coordinator.
///
/// A call whose client is gone needs no word to the coordinator: as in Kafka its member stays until its session ends, and
/// the host drops a reply to a call that it does not know any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub u64);

/// The configs that a coordinator needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Millis,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Millis,
    /// `group.initial.rebalance.delay.ms`: the first rebalance of an empty group waits so long for more members.
    pub initial_rebalance_delay: Millis,
    /// `group.max.size`: members of one group.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`: words of the client stored with an offset.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`: offsets of a group without members go after this.
    pub offsets_retention: Millis,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            session_timeout_min: Millis(6000),
            session_timeout_max: Millis(1_800_000),
            initial_rebalance_delay: Millis(3000),
            size_max: 2_147_483_647,
            offset_metadata_bytes_max: 4096,
            offsets_retention: Millis(10_080 * 60_000),
        }
    }
}

/// The states of a group of the classic protocol; Kafka's names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum GroupState {
    /// No members; there may be offsets.
    #[default]
    Empty,
    /// Members are joining the next generation.
    PreparingRebalance,
    /// All have joined; the leader's assignment is awaited.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
    /// Gone: only ever seen in a description.
    Dead,
}

impl GroupState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Empty,
        Self::PreparingRebalance,
        Self::CompletingRebalance,
        Self::Stable,
        Self::Dead,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }

    /// The state of that name, in whatever case; `None` if there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A record of `__consumer_offsets` as it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Type and key.
    pub key: Bytes,
    /// `None` deletes.
    pub value: Option<Bytes>,
}

/// What a coordinator decided. Nothing has changed yet.
///
/// The host appends `records`, best as one batch; each stands for itself. If the log refuses, it drops the decision and answers the call with
/// [`super::Request::refuse`]. Otherwise it gives the records to `replay`, then the events to `apply`, at once and in their
/// order, and sends the answers: those that do not wait at once, the others when the log's high watermark has reached the
/// log's end as it was after the append. This is the rule COMMIT_BEFORE_DURABLE, and the host's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decision {
    /// For the log; may be empty.
    pub records: Vec<Record>,
    /// What changes without being stored.
    pub events: Vec<Event>,
    /// To this call and to others that waited.
    pub answers: Vec<Answer>,
    /// Of a sweep (`forget`, `expire`): there is more to do, from this group on, once this is applied.
    pub more: Option<Arc<str>>,
}

impl Decision {
    /// True if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.events.is_empty() && self.answers.is_empty()
    }
}

/// An answer to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// To whom.
    pub call: CallId,
    /// It tells of state that must not be lost any more: it waits for the high watermark, see [`Decision`].
    pub waits: bool,
    /// What.
    pub reply: Reply,
}

/// The code for a client when the log did not take a decision's records.
///
/// Source: `CoordinatorOperationExceptionHelper`.
#[must_use]
pub fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}

/// The partition of `__consumer_offsets` that a group belongs to, of `partitions` > 0.
///
/// Source: `Utils.abs(groupId.hashCode()) % partitions`: Java hashes UTF-16 units, and `abs` of the least number is 0.
#[must_use]
pub fn partition_of(group_id: &str, partitions: u32) -> PartitionIndex {
    assert!(partitions > 0, "the topic has partitions");
    let hash = group_id.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let index = hash.checked_abs().unwrap_or(0).cast_unsigned() % partitions;
    PartitionIndex(i32::try_from(index).expect("less than 2^31"))
}
