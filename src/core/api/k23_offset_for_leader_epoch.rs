//! OffsetForLeaderEpoch (key 23), versions 2–4.
//!
//! | version | change |
//! |---|---|
//! | 2 | current_leader_epoch |
//! | 3 | replica_id |
//! | 4 | flexible |
//!
//! Answers where an epoch ended in this partition's log: the start of the next larger epoch, or the log's end for the
//! latest. An epoch that is not known: -1 and -1, error 0. A consumer sees the high watermark as the end.
//! Source: KIP-320, `ReplicaManager.lastOffsetForLeaderEpoch`, `Partition.lastOffsetForLeaderEpoch`.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::fencing::fenced;
use crate::metadata::Image;
use crate::partition::Table;
use crate::types::{ErrorCode, LeaderEpoch, PartitionIndex, TopicId};

/// Answers for every partition asked for.
#[must_use]
pub fn handle(
    image: &Image,
    table: &Table,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let id = image.topics_by_name.get(topic.topic.as_str()).copied();
        let ends = topic
            .partitions
            .iter()
            .map(|asked| answer(id, table, asked));
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(ends.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn answer(id: Option<TopicId>, table: &Table, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let end = EpochEndOffset::default()
        .with_partition(asked.partition)
        .with_leader_epoch(-1)
        .with_end_offset(-1);
    let owner = id.and_then(|id| table.find(id, PartitionIndex(asked.partition)));
    let Some(partition) = owner.and_then(|owner| table.get(owner)) else {
        return end.with_error_code(ErrorCode::UnknownTopicOrPartition.code());
    };
    if !partition.is_online() {
        return end.with_error_code(ErrorCode::KafkaStorageError.code());
    }
    if let Some(error) = fenced(
        LeaderEpoch(asked.current_leader_epoch),
        partition.leader_epoch(),
    ) {
        return end.with_error_code(error.code());
    }
    match partition.end_offset_for_epoch(LeaderEpoch(asked.leader_epoch)) {
        Some((epoch, offset)) => end.with_leader_epoch(epoch.0).with_end_offset(offset.0),
        None => end,
    }
}
