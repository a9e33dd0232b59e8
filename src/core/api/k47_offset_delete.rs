//! OffsetDelete (key 47): some positions of a group go.
//!
//! Version 0, never flexible.
//! Gaps: none.
//! Source: `KafkaApis.handleOffsetDeleteRequest`; KIP-496.

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::context::{ApiContext, arc, topic_name};
use crate::group::reply::{OffsetDeleteReply, TopicErrors};
use crate::group::request::OffsetDelete;
use crate::types::{ErrorCode, PartitionIndex};

/// What was refused here and never reached the coordinator.
#[derive(Debug)]
pub struct Pending {
    refused: Vec<TopicErrors>,
}

/// Takes out what does not exist. The coordinator is asked even if nothing is left: there may be no such group.
#[must_use]
pub fn plan(cx: &ApiContext<'_>, request: &OffsetDeleteRequest) -> (OffsetDelete, Pending) {
    let mut refused = Vec::new();
    let mut topics = Vec::new();
    for asked in &request.topics {
        let count = cx.topic(&asked.name).map_or(0, |t| t.partitions.len());
        let indexes = asked
            .partitions
            .iter()
            .map(|p| PartitionIndex(p.partition_index));
        let exists = |p: &PartitionIndex| usize::try_from(p.0).is_ok_and(|index| index < count);
        let (good, bad): (Vec<_>, Vec<_>) = indexes.partition(exists);
        let topic = arc(&asked.name);
        if !bad.is_empty() {
            let error = ErrorCode::UnknownTopicOrPartition;
            let partitions = bad.into_iter().map(|index| (index, error)).collect();
            let topic = topic.clone();
            refused.push(TopicErrors { topic, partitions });
        }
        if !good.is_empty() {
            topics.push((topic, good));
        }
    }
    let group_id = arc(&request.group_id);
    (OffsetDelete { group_id, topics }, Pending { refused })
}

/// The answer. An error of the whole stands alone.
#[must_use]
pub fn finish(pending: Pending, reply: OffsetDeleteReply) -> OffsetDeleteResponse {
    if reply.error != ErrorCode::None {
        return respond(reply.error, Vec::new());
    }
    let mut topics = pending.refused;
    for mut topic in reply.topics {
        match topics.iter_mut().find(|other| other.topic == topic.topic) {
            Some(other) => other.partitions.append(&mut topic.partitions),
            None => topics.push(topic),
        }
    }
    respond(ErrorCode::None, topics)
}

fn respond(error: ErrorCode, topics: Vec<TopicErrors>) -> OffsetDeleteResponse {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|(index, error)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index.0)
                .with_error_code(error.code())
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic_name(&topic.topic))
            .with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default()
        .with_error_code(error.code())
        .with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::context::text;
    use crate::api::testing::{Fixture, recoded};
    use kafka_protocol::messages::offset_delete_request::{
        OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    };

    fn asked(topics: &[(&str, &[i32])]) -> OffsetDeleteRequest {
        let topics = topics.iter().map(|(name, indexes)| {
            let partitions = indexes.iter();
            let partitions = partitions
                .map(|i| OffsetDeleteRequestPartition::default().with_partition_index(*i));
            OffsetDeleteRequestTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions.collect())
        });
        let request = OffsetDeleteRequest::default()
            .with_group_id(text("g").into())
            .with_topics(topics.collect());
        recoded(&request, 0)
    }

    #[test]
    fn what_does_not_exist_is_refused_here() {
        let fixture = Fixture::new();
        let request = asked(&[("gone", &[0]), ("alpha", &[0, 7])]);
        let (delete, pending) = plan(&fixture.context(), &request);
        assert_eq!(delete.topics, [("alpha".into(), vec![PartitionIndex(0)])]);
        let reply = OffsetDeleteReply {
            error: ErrorCode::None,
            topics: vec![TopicErrors {
                topic: "alpha".into(),
                partitions: vec![(PartitionIndex(0), ErrorCode::GroupSubscribedToTopic)],
            }],
        };
        let got = recoded(&finish(pending, reply), 0);
        let rows: Vec<_> = got
            .topics
            .iter()
            .flat_map(|t| {
                t.partitions
                    .iter()
                    .map(|p| (p.partition_index, p.error_code))
            })
            .collect();
        assert_eq!(rows, [(0, 3), (7, 3), (0, 86)]);
    }

    #[test]
    fn an_error_of_the_whole_stands_alone() {
        let pending = Pending {
            refused: vec![TopicErrors {
                topic: "gone".into(),
                partitions: vec![(PartitionIndex(0), ErrorCode::UnknownTopicOrPartition)],
            }],
        };
        let reply = OffsetDeleteReply {
            error: ErrorCode::GroupIdNotFound,
            topics: Vec::new(),
        };
        let got = recoded(&finish(pending, reply), 0);
        assert_eq!((got.error_code, got.topics.len()), (69, 0));
    }
}
