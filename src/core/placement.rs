//! Which core owns a partition.
//!
//! A pure function of the partition and the number of shards: nothing about it is on disk, so that a restart with another
//! number of shards just places anew. Consecutive partitions of a topic go to consecutive shards; where a topic begins depends
//! on its id, so that many topics of one partition spread as well.

use crate::types::{CoreId, PartitionIndex, TopicId};

/// The first shard; ctl is core 0.
pub const FIRST_SHARD: CoreId = CoreId(1);

/// The shard that owns a partition, of `shards` in all (at least one).
#[must_use]
pub fn owner(topic: TopicId, partition: PartitionIndex, shards: u16) -> CoreId {
    let start = u64::from(crc32c::crc32c(&topic.0));
    let index = u64::from(partition.0.unsigned_abs());
    let at = (start + index) % u64::from(shards.max(1));
    CoreId(FIRST_SHARD.0 + u16::try_from(at).unwrap_or(0))
}

/// All shards.
pub fn shards(count: u16) -> impl Iterator<Item = CoreId> {
    (0..count).map(|n| CoreId(FIRST_SHARD.0 + n))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn partitions_of_a_topic_go_round_the_shards() {
        let topic = TopicId([7; 16]);
        let owners: Vec<u16> = (0..6)
            .map(|p| owner(topic, PartitionIndex(p), 3).0)
            .collect();
        assert_eq!(owners[..3], owners[3..]);
        let mut once = owners[..3].to_vec();
        once.sort_unstable();
        assert_eq!(once, [1, 2, 3]);
    }

    #[test]
    fn topics_of_one_partition_spread() {
        let mut counts: BTreeMap<CoreId, u32> = BTreeMap::new();
        for n in 0..1000u16 {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&n.to_be_bytes());
            *counts
                .entry(owner(TopicId(id), PartitionIndex(0), 4))
                .or_default() += 1;
        }
        assert_eq!(counts.len(), 4);
        assert!(
            counts.values().all(|&n| (200..300).contains(&n)),
            "{counts:?}"
        );
    }

    #[test]
    fn one_shard_owns_everything() {
        assert_eq!(owner(TopicId([9; 16]), PartitionIndex(5), 1), FIRST_SHARD);
        assert_eq!(shards(2).collect::<Vec<_>>(), [CoreId(1), CoreId(2)]);
    }
}
