//! DescribeTopicPartitions (key 75): topics' partitions page by page, with eligible leader replicas.
//!
//! Version 0, flexible. Topics come sorted by name; a page holds at most `response_partition_limit` partitions (and no more than
//! `max.request.partition.size.limit`), and a cursor says where the next one begins.
//! Source: KIP-966, Kafka's `DescribeTopicPartitionsRequestHandler` and `KRaftMetadataCache`.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};

use super::context::{ApiContext, TOPIC_OPERATIONS, node_ids, topic_name, uuid};
use crate::metadata::{PartitionState, Topic, is_internal_topic, validate_topic_name};
use crate::types::ErrorCode;

/// Answers a request.
#[must_use]
pub fn handle(
    ctx: &ApiContext<'_>,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    if let Some(error) = refused(request) {
        return refusal(request, error);
    }
    let cursor = request.cursor.as_ref();
    let (first, first_index) = cursor.map_or(("", 0), |cursor| {
        let index = usize::try_from(cursor.partition_index).unwrap_or(0);
        (cursor.topic_name.as_str(), index)
    });
    let all = request.topics.is_empty();
    let names: BTreeSet<&str> = if all {
        let known = ctx.image.topics_by_name.keys();
        known.map(AsRef::as_ref).filter(|n| *n >= first).collect()
    } else {
        let asked = request.topics.iter().map(|topic| topic.name.as_str());
        asked.filter(|n| *n >= first).collect()
    };
    let limit = ctx.config.settings().max_request_partition_size_limit;
    let limit = limit.min(request.response_partition_limit).max(1);
    let mut left = usize::try_from(limit).unwrap_or(1);
    let mut rows = Vec::new();
    let mut next = None;
    for name in names {
        if left == 0 {
            next = Some((name, 0));
            break;
        }
        let Some(topic) = ctx.topic(name) else {
            rows.push(unknown(name));
            continue;
        };
        let from = if name == first { first_index } else { 0 };
        let to = topic.partitions.len().min(from.saturating_add(left));
        rows.push(known(ctx, topic, from, to));
        if to < topic.partitions.len() {
            next = Some((name, to));
            break;
        }
        left -= to.saturating_sub(from);
    }
    let next = next.map(|(name, index)| {
        Cursor::default()
            .with_topic_name(topic_name(name))
            .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
    });
    DescribeTopicPartitionsResponse::default()
        .with_topics(rows)
        .with_next_cursor(next)
}

/// Why a request is refused whole.
fn refused(request: &DescribeTopicPartitionsRequest) -> Option<ErrorCode> {
    if request.topics.iter().any(|topic| topic.name.is_empty()) {
        // Kafka stumbles over an empty name.
        return Some(ErrorCode::UnknownServerError);
    }
    let cursor = request.cursor.as_ref()?;
    let mut topics = request.topics.iter();
    let listed = request.topics.is_empty() || topics.any(|t| t.name == cursor.topic_name);
    (!listed || cursor.partition_index < 0).then_some(ErrorCode::InvalidRequest)
}

fn refusal(
    request: &DescribeTopicPartitionsRequest,
    error: ErrorCode,
) -> DescribeTopicPartitionsResponse {
    let rows = request.topics.iter().map(|topic| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(topic.name.clone()))
    });
    DescribeTopicPartitionsResponse::default()
        .with_topics(rows.collect())
        .with_next_cursor(None)
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(topic_name(name)))
        .with_is_internal(is_internal_topic(name))
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn known(
    ctx: &ApiContext<'_>,
    topic: &Topic,
    from: usize,
    to: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = (0..).zip(&topic.partitions).skip(from);
    let partitions = partitions.take(to.saturating_sub(from));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(uuid(topic.id))
        .with_is_internal(is_internal_topic(&topic.name))
        .with_partitions(
            partitions
                .map(|(index, state)| partition(ctx, index, state))
                .collect(),
        )
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn partition(
    ctx: &ApiContext<'_>,
    index: i32,
    state: &PartitionState,
) -> DescribeTopicPartitionsResponsePartition {
    // Other than Metadata, a missing leader is no error here.
    let leader = state.leader.filter(|&node| ctx.endpoint_of(node).is_some());
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader.map_or(-1, |node| node.0)))
        .with_leader_epoch(state.leader_epoch.0)
        .with_replica_nodes(node_ids(&state.replicas))
        .with_isr_nodes(node_ids(&state.isr))
        .with_eligible_leader_replicas(Some(node_ids(&state.elr)))
        .with_last_known_elr(Some(node_ids(&state.last_known_elr)))
        .with_offline_replicas(ctx.offline_replicas(state))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_topic_partitions_request::{
        Cursor as From, TopicRequest,
    };

    use super::*;
    use crate::api::testing::{Fixture, through_wire};

    fn asked(
        names: &[&str],
        limit: i32,
        from: Option<(&str, i32)>,
    ) -> DescribeTopicPartitionsRequest {
        let topics = names
            .iter()
            .map(|name| TopicRequest::default().with_name(topic_name(name)));
        let cursor = from.map(|(name, index)| {
            From::default()
                .with_topic_name(topic_name(name))
                .with_partition_index(index)
        });
        DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor)
    }

    /// Topic, error, partition indexes; and the cursor.
    type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

    fn page(request: &DescribeTopicPartitionsRequest) -> Page {
        let fixture = Fixture::new();
        let got = through_wire(0, request, |request| handle(&fixture.context(), &request));
        let rows = got.topics.iter().map(|topic| {
            let indexes = topic.partitions.iter().map(|p| p.partition_index);
            let name = topic.name.as_ref().unwrap().to_string();
            (name, topic.error_code, indexes.collect())
        });
        let cursor = got.next_cursor.as_ref();
        (
            rows.collect(),
            cursor.map(|c| (c.topic_name.to_string(), c.partition_index)),
        )
    }

    fn row(name: &str, error: i16, indexes: &[i32]) -> (String, i16, Vec<i32>) {
        (name.to_owned(), error, indexes.to_vec())
    }

    #[test]
    fn rule_5_11_pages_follow_the_cursor() {
        let offsets = row("__consumer_offsets", 0, &[0]);
        let (rows, next) = page(&asked(&[], 2, None));
        assert_eq!(rows, [offsets.clone(), row("alpha", 0, &[0])]);
        assert_eq!(next, Some(("alpha".to_owned(), 1)));
        let (rows, next) = page(&asked(&[], 2, Some(("alpha", 1))));
        assert_eq!((rows, next), (vec![row("alpha", 0, &[1])], None));
        // A page that ends with a topic points at the next one's first partition.
        let (rows, next) = page(&asked(&[], 1, None));
        assert_eq!((rows, next), (vec![offsets], Some(("alpha".to_owned(), 0))));
    }

    #[test]
    fn rule_5_11_measured_limits_below_one_act_as_one() {
        for limit in [0, -1, i32::MIN] {
            let (rows, next) = page(&asked(&["alpha"], limit, None));
            assert_eq!(rows, [row("alpha", 0, &[0])]);
            assert_eq!(next, Some(("alpha".to_owned(), 1)));
        }
    }

    #[test]
    fn named_topics_are_sorted_and_unknown_ones_told() {
        let (rows, next) = page(&asked(&["nope", "b/d", "alpha"], 2000, None));
        let want = [
            row("alpha", 0, &[0, 1]),
            row("b/d", 17, &[]),
            row("nope", 3, &[]),
        ];
        assert_eq!(rows, want);
        assert_eq!(next, None);
    }

    #[test]
    fn measured_bad_cursors_and_names_are_refused_per_topic() {
        for cursor in [("beta", 0), ("alpha", -1)] {
            let (rows, next) = page(&asked(&["alpha"], 2000, Some(cursor)));
            assert_eq!((rows, next), (vec![row("alpha", 42, &[])], None));
        }
        let (rows, _) = page(&asked(&[""], 2000, None));
        assert_eq!(rows, [row("", -1, &[])]);
        // Beyond the end: nothing left, no error.
        let (rows, next) = page(&asked(&["alpha"], 2000, Some(("alpha", 7))));
        assert_eq!((rows, next), (vec![row("alpha", 0, &[])], None));
    }

    #[test]
    fn partitions_are_told_without_errors() {
        let fixture = Fixture::new();
        let got = through_wire(0, &asked(&["alpha"], 2000, None), |request| {
            handle(&fixture.context(), &request)
        });
        let topic = &got.topics[0];
        assert_eq!(topic.topic_id, uuid(Fixture::ALPHA));
        assert_eq!(topic.topic_authorized_operations, 3576);
        let [first, second] = &topic.partitions[..] else {
            panic!("two partitions")
        };
        assert_eq!((first.leader_id, first.leader_epoch), (BrokerId(1), 5));
        assert_eq!((second.leader_id, second.error_code), (BrokerId(-1), 0));
        assert_eq!(first.offline_replicas, [BrokerId(2)]);
        assert_eq!(first.eligible_leader_replicas, Some(Vec::new()));
    }
}
