//! What a shard asks of the owner of a partition, and what the owner answers: the payload of the messages between shards.
//!
//! A connection lives on the shard that accepted it. That shard takes a request apart into one [`Ask`] per owner core and puts
//! the answers together; for its own partitions it serves the ask itself, by the same code and without a message.
//!
//! Invariants:
//! 1. Every ask gets exactly one [`Answer`], whatever happens to the client meanwhile.
//! 2. An ask is a leaf: its owner answers it from what it has and never asks another core. So no core ever waits, through
//!    whatever chain, for itself.
//! 3. Asks that are not answered yet are at most [`MESH_ASKS_MAX`](crate::types::limits::MESH_ASKS_MAX) per asking and owning core; a
//!    shard that has as many takes in no new request.
//! 4. In flight at any time belong to one ask at most three messages to its owner ([`Ask`], [`Follow::Take`] or
//!    [`Follow::Wait`], [`Follow::Drop`]) and two back ([`Answer`], one `Ready`).
//!
//! Deliberately absent: requests (decoded by `api`), anything about connections.

use crate::effect::Part;
use crate::group;
use crate::partition::{AppendError, Appended};
use crate::types::{ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionIndex, TopicId};
use crate::wire::validate::Prepared;

/// A partition's place in the client's request: which topic of it, and which partition of that topic, both counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The topic's place.
    pub topic: usize,
    /// The partition's place in its topic.
    pub partition: usize,
}

/// Something that only the owner of a partition can do.
#[derive(Debug)]
pub enum Ask {
    /// Append these batches, in this order.
    Append(AppendAsk),
    /// Read from partitions.
    Fetch(Box<FetchAsk>),
    /// Find offsets.
    Offsets(Vec<OffsetAsk>),
    /// Say where leader epochs ended.
    EpochEnds(Vec<EpochAsk>),
    /// Ask coordinators of groups.
    Groups(GroupAsk),
}

/// The answer to an ask of the same name.
#[derive(Debug)]
pub enum Answer {
    /// What became of each batch, in the order asked.
    Appended(Vec<AppendOutcome>),
    /// What each partition gave, in the order asked; nothing at all to a dropped fetch.
    Fetched(Vec<FetchedPartition>),
    /// In the order asked.
    Offsets(Vec<FoundOffset>),
    /// In the order asked.
    EpochEnds(Vec<EpochEnd>),
    /// In the order asked; one of each coordinator if all were.
    Groups(Vec<group::Reply>),
}

/// What else is said about a fetch that waits at its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// Answer with what is there.
    Take,
    /// Say so (`Ready`) when there are more bytes than this.
    Wait {
        /// What was reported.
        bytes: u64,
    },
    /// The client is gone: answer with nothing.
    Drop,
}

/// Batches for one owner.
#[derive(Debug)]
pub struct AppendAsk {
    /// Answer when all of them are as safe as their partitions promise; false: as soon as they are appended (acks=0).
    pub wait: bool,
    /// The batches.
    pub batches: Vec<AppendBatch>,
}

/// One batch.
#[derive(Debug)]
pub struct AppendBatch {
    /// Where it stands in the request.
    pub place: Place,
    /// Its topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: PartitionIndex,
    /// What to append; `None`: the batch was refused, and only the log's start is wanted for that answer.
    pub batch: Option<Box<Prepared>>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug)]
pub struct AppendOutcome {
    /// Where it stands in the request.
    pub place: Place,
    /// The log's start, -1 if the partition is not here.
    pub log_start: Offset,
    /// Where it lies, or why it does not.
    pub result: AppendResult,
}

/// See [`AppendOutcome`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendResult {
    /// Appended, and as safe as was asked for.
    Appended(Appended),
    /// Only the log's start was wanted.
    Nothing,
    /// The partition refused it.
    Refused(AppendError),
    /// There is no such partition here, or it went away or offline before the batch was safe.
    Lost(ErrorCode),
}

/// Partitions of one owner to be read.
#[derive(Clone, Debug)]
pub struct FetchAsk {
    /// For all of them together.
    pub bytes_max: u64,
    /// Answer when there are so many bytes (or an error, or the deadline has passed).
    pub bytes_min: u64,
    /// True: do not answer but say `Ready` when there are so many bytes, and wait for a [`Follow`].
    pub announce: bool,
    /// Answer with what is there at this time.
    pub deadline: Monotonic,
    /// What to read, in the order of the request.
    pub partitions: Vec<FetchPartition>,
}

/// One partition to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchPartition {
    /// Where it stands in the request.
    pub place: Place,
    /// Its topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: PartitionIndex,
    /// From here on.
    pub offset: Offset,
    /// At most so many bytes.
    pub bytes_max: u64,
    /// The client's idea of the leader epoch, -1 for none.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the record before `offset`, -1 if not known.
    pub last_fetched_epoch: LeaderEpoch,
}

/// What one partition gave.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    /// Where it stands in the request.
    pub place: Place,
    /// Its error; then the rest means nothing.
    pub error: ErrorCode,
    /// End of what consumers see.
    pub high_watermark: Offset,
    /// End of what read-committed consumers see.
    pub last_stable_offset: Offset,
    /// First offset.
    pub log_start: Offset,
    /// Where the log parted from the fetcher's.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// The records, as parts of log files. The edge of the owner lends what another core is to send.
    pub records: Vec<Part>,
}

impl FetchedPartition {
    /// A partition that gives nothing but this error.
    #[must_use]
    pub fn failed(place: Place, error: ErrorCode) -> Self {
        Self {
            place,
            error,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start: Offset::NONE,
            diverging: None,
            records: Vec::new(),
        }
    }

    /// Bytes of its records.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(Part::len).sum()
    }
}

/// Requests for coordinators of groups. A reply may take as long as members need to come together.
#[derive(Clone, Debug)]
pub enum GroupAsk {
    /// Each for the coordinator that is kept by a partition of the topic of groups.
    Each {
        /// The topic of groups.
        topic: TopicId,
        /// What is asked of which partition's coordinator.
        requests: Vec<(PartitionIndex, group::Request)>,
    },
    /// For every coordinator of the core.
    All(group::Request),
}

/// A search for an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetAsk {
    /// Where it stands in the request.
    pub place: Place,
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The client's idea of the leader epoch, -1 for none.
    pub current_leader_epoch: LeaderEpoch,
    /// What is looked for.
    pub target: OffsetTarget,
}

/// What to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetTarget {
    /// The high watermark.
    Latest,
    /// The log's start.
    Earliest,
    /// The last offset in tiered storage: there is none.
    LatestTiered,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first record with this timestamp or a later one.
    AtLeast(i64),
}

/// What a search found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    /// Where it stands in the request.
    pub place: Place,
    /// Its error; then the rest is -1.
    pub error: ErrorCode,
    /// The record's timestamp where one was searched for, else -1.
    pub timestamp: i64,
    /// -1: none.
    pub offset: Offset,
    /// Of that offset, -1: not known.
    pub leader_epoch: LeaderEpoch,
}

/// A question about a leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochAsk {
    /// Where it stands in the request.
    pub place: Place,
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The client's idea of the leader epoch, -1 for none.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch asked about.
    pub leader_epoch: LeaderEpoch,
}

/// Where an epoch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    /// Where it stands in the request.
    pub place: Place,
    /// Its error; then the rest is -1.
    pub error: ErrorCode,
    /// The largest epoch not above the one asked about, -1: none.
    pub leader_epoch: LeaderEpoch,
    /// Exclusive end, -1: none.
    pub end_offset: Offset,
}
