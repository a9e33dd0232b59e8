//! What the owner of partitions does for readers: how many bytes an answer may hold, who waits for which partition, how an offset is found.
//!
//! Everything here works on the partitions of one core; what belongs to a whole request is in `api`.
//!
//! Deliberately absent: incremental sessions (KIP-227; every answer says that none is kept), record bytes.

mod budget;
mod epoch_ends;
mod fencing;
mod parked;
mod portion;
mod search;

pub use budget::Budget;
pub use epoch_ends::epoch_ends;
pub use parked::Parked;
pub use portion::{Look, Portion};
pub use search::{OffsetSearch, Step};

use crate::partition::{Partition, Table};
use crate::types::{ErrorCode, OwnerId, PartitionIndex, TopicId};

/// A partition that is here and open, or the code that says why not. One that is still being opened was not heard of yet: its
/// clients ask again.
fn find(
    table: &Table,
    topic: TopicId,
    index: PartitionIndex,
) -> Result<(OwnerId, &Partition), ErrorCode> {
    let owner = table
        .find(topic, index)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = table.get(owner).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    availability(partition).map_or(Ok((owner, partition)), Err)
}

/// Why a partition cannot be used now, if it cannot.
#[must_use]
pub fn availability(partition: &Partition) -> Option<ErrorCode> {
    if partition.is_online() {
        None
    } else if partition.is_lost() {
        Some(ErrorCode::KafkaStorageError)
    } else {
        Some(ErrorCode::NotLeaderOrFollower)
    }
}
