//! Metadata (key 3): brokers, topics, partitions and their leaders.
//!
//! Versions 0–13, flexible from 9.
//! * 0: an empty list of topics means all; a partition with an unreachable replica says REPLICA_NOT_AVAILABLE.
//! * 1: null means all, empty means none; controller, rack, `is_internal`. 2: cluster id. 3: throttle time.
//! * 4: the client may forbid automatic creation. 5: offline replicas. 6: a leader without this listener is LISTENER_NOT_FOUND.
//! * 7: leader epochs. 8: authorized operations; the cluster's only up to 10.
//! * 10: topic ids in answers. 12: topics may be asked for by id. 13: an error for the whole answer, which a broker never sets.
//!
//! Automatic creation: the answer is UNKNOWN_TOPIC_OR_PARTITION, and [`MetadataPlan::create`] is to be sent to the controller;
//! the client asks again.
//! Gaps: no authorizer; of the internal topics only `__consumer_offsets` is created here (docs/SKIPPED.md).
//! Source: KIP-516 (ids), KIP-430 (operations), Kafka's `KafkaApis.handleTopicMetadataRequest`.

use std::collections::BTreeSet;

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};

use super::context::{
    ApiContext, CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS, node_ids, text,
    topic_id, topic_name, uuid,
};
use crate::metadata::{
    CLUSTER_METADATA_TOPIC, GROUP_METADATA_TOPIC, NewTopic, PartitionState, Topic,
    is_internal_topic, validate_topic_name,
};
use crate::types::{ErrorCode, NodeId, TopicId};

/// The answer, and what is to be created meanwhile.
#[derive(Debug)]
pub struct MetadataPlan {
    /// Sent at once.
    pub response: MetadataResponse,
    /// For the controller, as a CreateTopics whose outcome nobody waits for.
    pub create: Vec<NewTopic>,
}

/// Answers a request.
#[must_use]
pub fn handle(ctx: &ApiContext<'_>, version: i16, request: &MetadataRequest) -> MetadataPlan {
    let mut create = Vec::new();
    let mut topics = match wanted(version, request) {
        Wanted::Refused(error) => {
            return MetadataPlan {
                response: refusal(request, error),
                create,
            };
        }
        Wanted::All => ctx
            .image
            .topics_by_name
            .values()
            .filter_map(|id| ctx.image.topics.get(id))
            .map(|topic| known(ctx, version, topic))
            .collect(),
        Wanted::Ids(ids) => ids.into_iter().map(|id| by_id(ctx, version, id)).collect(),
        Wanted::Names(names) => {
            let auto = request.allow_auto_topic_creation
                && ctx.config.settings().auto_create_topics_enable;
            names
                .into_iter()
                .map(|name| match ctx.topic(&name) {
                    Some(topic) => known(ctx, version, topic),
                    None => unknown(ctx, &name, auto, &mut create),
                })
                .collect::<Vec<_>>()
        }
    };
    if version >= 8 && request.include_topic_authorized_operations {
        // A topic that is not named is not described, and Kafka says nothing about it.
        for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let with_cluster = (8..=10).contains(&version) && request.include_cluster_authorized_operations;
    let response = MetadataResponse::default()
        .with_brokers(brokers(ctx))
        .with_cluster_id(Some(text(&ctx.image.cluster_id)))
        .with_controller_id(BrokerId(ctx.controller_id()))
        .with_topics(topics)
        .with_cluster_authorized_operations(if with_cluster {
            CLUSTER_OPERATIONS
        } else {
            OPERATIONS_NOT_ASKED
        });
    MetadataPlan { response, create }
}

/// What a request is about.
enum Wanted {
    All,
    Names(Vec<String>),
    Ids(Vec<TopicId>),
    Refused(ErrorCode),
}

fn wanted(version: i16, request: &MetadataRequest) -> Wanted {
    let Some(topics) = &request.topics else {
        return Wanted::All;
    };
    if topics.is_empty() && version == 0 {
        return Wanted::All;
    }
    let no_ids_yet = version < 12;
    if no_ids_yet
        && topics
            .iter()
            .any(|t| t.name.is_none() || !t.topic_id.is_nil())
    {
        return Wanted::Refused(ErrorCode::InvalidRequest);
    }
    let mut seen = BTreeSet::new();
    let ids: Vec<TopicId> = topics
        .iter()
        .map(|topic| topic_id(topic.topic_id))
        .filter(|id| !id.is_zero() && seen.insert(*id))
        .collect();
    if !ids.is_empty() {
        // One id makes it a request by ids: names beside it are not looked at, as in Kafka.
        return Wanted::Ids(ids);
    }
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for topic in topics {
        let Some(name) = &topic.name else {
            return Wanted::Refused(ErrorCode::UnknownServerError);
        };
        if seen.insert(name.as_str()) {
            names.push(name.to_string());
        }
    }
    Wanted::Names(names)
}

/// Kafka's answer to a request it cannot make sense of: every topic carries the error, nothing else is told.
fn refusal(request: &MetadataRequest, error: ErrorCode) -> MetadataResponse {
    let topics = request.topics.iter().flatten().map(|topic| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    });
    MetadataResponse::default()
        .with_cluster_id(None)
        .with_controller_id(BrokerId(-1))
        .with_error_code(error.code())
        .with_topics(topics.collect())
}

fn brokers(ctx: &ApiContext<'_>) -> Vec<MetadataResponseBroker> {
    ctx.alive_brokers()
        .map(|(id, broker, endpoint)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id.0))
                .with_host(text(&endpoint.host))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.as_deref().map(text))
        })
        .collect()
}

fn by_id(ctx: &ApiContext<'_>, version: i16, id: TopicId) -> MetadataResponseTopic {
    match ctx.image.topics.get(&id) {
        Some(topic) => known(ctx, version, topic),
        None => MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicId.code())
            .with_name(None)
            .with_topic_id(uuid(id)),
    }
}

fn unknown(
    ctx: &ApiContext<'_>,
    name: &str,
    auto: bool,
    create: &mut Vec<NewTopic>,
) -> MetadataResponseTopic {
    let error = if validate_topic_name(name).is_err() {
        ErrorCode::InvalidTopicException
    } else {
        if auto && name == GROUP_METADATA_TOPIC {
            create.push(ctx.offsets_topic());
        } else if auto && !is_internal_topic(name) && name != CLUSTER_METADATA_TOPIC {
            create.push(NewTopic {
                name: name.to_owned(),
                partitions: -1,
                replication_factor: -1,
                assignments: Vec::new(),
                configs: Vec::new(),
            });
        }
        ErrorCode::UnknownTopicOrPartition
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(topic_name(name)))
        .with_is_internal(is_internal_topic(name))
}

fn known(ctx: &ApiContext<'_>, version: i16, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions);
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(uuid(topic.id))
        .with_is_internal(is_internal_topic(&topic.name))
        .with_partitions(
            partitions
                .map(|(index, state)| partition(ctx, version, index, state))
                .collect(),
        )
}

fn partition(
    ctx: &ApiContext<'_>,
    version: i16,
    index: i32,
    state: &PartitionState,
) -> MetadataResponsePartition {
    // Version 0 clients cannot skip a broker they were not told: it is left out, and the partition says so.
    let shown = |nodes: &[NodeId]| match version {
        0 => nodes.iter().copied().filter(|n| ctx.is_alive(*n)).collect(),
        _ => nodes.to_vec(),
    };
    let (replicas, isr) = (shown(&state.replicas), shown(&state.isr));
    let leader = state.leader.filter(|&node| ctx.endpoint_of(node).is_some());
    let error = match (leader, state.leader) {
        (Some(_), _) if replicas.len() < state.replicas.len() || isr.len() < state.isr.len() => {
            ErrorCode::ReplicaNotAvailable
        }
        (Some(_), _) => ErrorCode::None,
        (None, Some(node)) if version >= 6 && ctx.image.brokers.contains_key(&node) => {
            ErrorCode::ListenerNotFound
        }
        (None, _) => ErrorCode::LeaderNotAvailable,
    };
    MetadataResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader.map_or(-1, |node| node.0)))
        .with_leader_epoch(state.leader_epoch.0)
        .with_replica_nodes(node_ids(&replicas))
        .with_isr_nodes(node_ids(&isr))
        .with_offline_replicas(ctx.offline_replicas(state))
}

#[cfg(test)]
mod tests;
