//! ListOffsets (key 2), versions 1–10.
//!
//! | version | change |
//! |---|---|
//! | 2 | isolation level |
//! | 4 | leader epochs |
//! | 6 | flexible |
//! | 7 | -3: the record with the largest timestamp |
//! | 8 | -4: the first local offset |
//! | 9 | -5: the last offset in tiered storage (there is none: -1) |
//! | 10 | timeout_ms for tiered storage, without effect here |
//!
//! The owner of each partition searches (`fetch::OffsetSearch`).
//! Gaps: version 11 (-6) is not carried by the protocol crate.
//! Source: KIP-79, KIP-734, `KafkaApis.handleListOffsetRequest`.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

use super::context::Owners;
use crate::ask::{FoundOffset, OffsetAsk, OffsetTarget, Place};
use crate::types::{CoreId, ErrorCode, LeaderEpoch, PartitionIndex};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// A request on its way.
#[derive(Debug)]
pub struct ListOffsets {
    version: i16,
    topics: Vec<ListOffsetsTopicResponse>,
}

impl ListOffsets {
    /// Takes a request in: what to ask of whom. What is wrong with the request itself is answered here.
    #[must_use]
    pub fn new(
        owners: &Owners<'_>,
        version: i16,
        request: ListOffsetsRequest,
    ) -> (Self, BTreeMap<CoreId, Vec<OffsetAsk>>) {
        let mut seen: BTreeMap<(TopicName, i32), u32> = BTreeMap::new();
        for topic in &request.topics {
            for p in &topic.partitions {
                let key = (topic.name.clone(), p.partition_index);
                *seen.entry(key).or_default() += 1;
            }
        }
        let mut asks: BTreeMap<CoreId, Vec<OffsetAsk>> = BTreeMap::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for (at, topic) in request.topics.into_iter().enumerate() {
            let mut replies = Vec::with_capacity(topic.partitions.len());
            for (place, asked) in topic.partitions.iter().enumerate() {
                let place = Place {
                    topic: at,
                    partition: place,
                };
                let key = (topic.name.clone(), asked.partition_index);
                let planned = if seen.get(&key).is_some_and(|&count| count > 1) {
                    Err(ErrorCode::InvalidRequest)
                } else {
                    plan(owners, version, place, topic.name.as_str(), asked)
                };
                let mut reply = ListOffsetsPartitionResponse::default()
                    .with_partition_index(asked.partition_index)
                    .with_timestamp(-1)
                    .with_offset(-1)
                    .with_leader_epoch(-1);
                match planned {
                    Ok((core, ask)) => asks.entry(core).or_default().push(ask),
                    Err(error) => reply.error_code = error.code(),
                }
                replies.push(reply);
            }
            topics.push(
                ListOffsetsTopicResponse::default()
                    .with_name(topic.name)
                    .with_partitions(replies),
            );
        }
        (Self { version, topics }, asks)
    }

    /// An owner has answered.
    pub fn on_answer(&mut self, found: Vec<FoundOffset>) {
        for one in found {
            let topic = self.topics.get_mut(one.place.topic);
            if let Some(reply) = topic.and_then(|t| t.partitions.get_mut(one.place.partition)) {
                reply.error_code = one.error.code();
                reply.timestamp = one.timestamp;
                reply.offset = one.offset.0;
                // The crate refuses a field that the version lacks.
                if self.version >= 4 {
                    reply.leader_epoch = one.leader_epoch.0;
                }
            }
        }
    }

    /// The answer, once every owner has answered.
    #[must_use]
    pub fn response(self) -> ListOffsetsResponse {
        ListOffsetsResponse::default().with_topics(self.topics)
    }
}

fn plan(
    owners: &Owners<'_>,
    version: i16,
    place: Place,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<(CoreId, OffsetAsk), ErrorCode> {
    let partition = PartitionIndex(asked.partition_index);
    let (id, core) = owners
        .topic_id(topic)
        .and_then(|id| Some((id, owners.find(id, partition)?)))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let lowest = match version {
        ..=6 => EARLIEST,
        7 => MAX_TIMESTAMP,
        8 => EARLIEST_LOCAL,
        _ => LATEST_TIERED,
    };
    if asked.timestamp < lowest {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let target = match asked.timestamp {
        LATEST => OffsetTarget::Latest,
        EARLIEST | EARLIEST_LOCAL => OffsetTarget::Earliest,
        LATEST_TIERED => OffsetTarget::LatestTiered,
        MAX_TIMESTAMP => OffsetTarget::MaxTimestamp,
        timestamp => OffsetTarget::AtLeast(timestamp),
    };
    let ask = OffsetAsk {
        place,
        topic: id,
        partition,
        current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
        target,
    };
    Ok((core, ask))
}
