//! OffsetForLeaderEpoch (key 23), versions 2–4.
//!
//! | version | change |
//! |---|---|
//! | 2 | current_leader_epoch |
//! | 3 | replica_id |
//! | 4 | flexible |
//!
//! Answers where an epoch ended in this partition's log: the start of the next larger epoch, or the log's end for the
//! latest. An epoch that is not known: -1 and -1, error 0. A consumer sees the high watermark as the end. The owner of each
//! partition knows (`fetch::epoch_ends`).
//! Source: KIP-320, `ReplicaManager.lastOffsetForLeaderEpoch`, `Partition.lastOffsetForLeaderEpoch`.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::context::Owners;
use crate::ask::{EpochAsk, EpochEnd, Place};
use crate::types::{CoreId, ErrorCode, LeaderEpoch, PartitionIndex};

/// A request on its way.
#[derive(Debug)]
pub struct EpochEnds {
    topics: Vec<OffsetForLeaderTopicResult>,
}

impl EpochEnds {
    /// Takes a request in: what to ask of whom. A partition that does not exist is answered here.
    #[must_use]
    pub fn new(
        owners: &Owners<'_>,
        request: OffsetForLeaderEpochRequest,
    ) -> (Self, BTreeMap<CoreId, Vec<EpochAsk>>) {
        let mut asks: BTreeMap<CoreId, Vec<EpochAsk>> = BTreeMap::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for (at, topic) in request.topics.into_iter().enumerate() {
            let id = owners.topic_id(topic.topic.as_str());
            let mut ends = Vec::with_capacity(topic.partitions.len());
            for (place, asked) in topic.partitions.iter().enumerate() {
                let end = EpochEndOffset::default()
                    .with_partition(asked.partition)
                    .with_leader_epoch(-1)
                    .with_end_offset(-1);
                let index = PartitionIndex(asked.partition);
                let Some((id, core)) = id.and_then(|id| Some((id, owners.find(id, index)?))) else {
                    let unknown = ErrorCode::UnknownTopicOrPartition.code();
                    ends.push(end.with_error_code(unknown));
                    continue;
                };
                ends.push(end);
                asks.entry(core).or_default().push(EpochAsk {
                    place: Place {
                        topic: at,
                        partition: place,
                    },
                    topic: id,
                    partition: index,
                    current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
                    leader_epoch: LeaderEpoch(asked.leader_epoch),
                });
            }
            topics.push(
                OffsetForLeaderTopicResult::default()
                    .with_topic(topic.topic)
                    .with_partitions(ends),
            );
        }
        (Self { topics }, asks)
    }

    /// An owner has answered.
    pub fn on_answer(&mut self, ends: Vec<EpochEnd>) {
        for end in ends {
            let topic = self.topics.get_mut(end.place.topic);
            if let Some(slot) = topic.and_then(|t| t.partitions.get_mut(end.place.partition)) {
                slot.error_code = end.error.code();
                slot.leader_epoch = end.leader_epoch.0;
                slot.end_offset = end.end_offset.0;
            }
        }
    }

    /// The answer, once every owner has answered.
    #[must_use]
    pub fn response(self) -> OffsetForLeaderEpochResponse {
        OffsetForLeaderEpochResponse::default().with_topics(self.topics)
    }
}
