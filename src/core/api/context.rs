//! What an API file may look at while it answers, and the views of the cluster that several of them share.
//!
//! Invariants: 1. Nothing here changes anything. 2. Answers name only endpoints of the listener that the request came in on.
//! Deliberately absent: an authorizer (everything is allowed, and answers say so).
//! Source: Kafka's `KRaftMetadataCache`, `AuthHelper`, `AclEntry.supportedOperations`.

use std::sync::Arc;

use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::metadata::{
    Broker, BrokerConfigs, BrokerEndpoint, GROUP_METADATA_TOPIC, Image, NewTopic, PartitionState,
    Topic,
};
use crate::placement;
use crate::types::{BrokerConfigView, CoreId, DirectoryId, NodeId, Now, PartitionIndex, TopicId};

/// What every handler gets.
#[derive(Clone, Copy, Debug)]
pub struct ApiContext<'a> {
    /// Both clocks.
    pub now: Now,
    /// The metadata that this core has applied.
    pub image: &'a Image,
    /// This broker.
    pub node: NodeId,
    /// Name of the listener that the connection came in on.
    pub listener: &'a str,
    /// This broker's static configs.
    pub config: &'a BrokerConfigView,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// The client's id from the request's header, empty if it has none.
    pub id: &'a str,
    /// Its address as Kafka writes it, `/127.0.0.1`.
    pub host: Arc<str>,
}

/// Who of this broker's cores owns which partition.
#[derive(Clone, Copy, Debug)]
pub struct Owners<'a> {
    /// The metadata that this core has applied.
    pub image: &'a Image,
    /// This broker.
    pub node: NodeId,
    /// How many shards it has.
    pub shards: u16,
}

impl Owners<'_> {
    /// A topic's id.
    #[must_use]
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.image.topics_by_name.get(name).copied()
    }

    /// The core that owns a partition; `None` if it does not exist or is not kept on this broker.
    #[must_use]
    pub fn find(&self, topic: TopicId, partition: PartitionIndex) -> Option<CoreId> {
        let partitions = &self.image.topics.get(&topic)?.partitions;
        let state = partitions.get(usize::try_from(partition.0).ok()?)?;
        let here = state.replicas.contains(&self.node);
        here.then(|| placement::owner(topic, partition, self.shards))
    }
}

/// What a request that may need the controller comes to. The larger part waits in `Ask`.
#[derive(Debug)]
pub enum Plan<Response, Ask, Pending> {
    /// The answer.
    Reply(Response),
    /// Ask the controller, keep what is pending, and finish with its answer.
    Ask(Ask, Pending),
}

/// What Kafka sends for "not asked" instead of a set of operations.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// Every operation on a topic: read, write, create, delete, alter, describe, describe and alter configs.
pub const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// Every operation on the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent write.
pub const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

impl<'a> ApiContext<'a> {
    /// Brokers that serve and have an endpoint on the request's listener.
    pub fn alive_brokers(&self) -> impl Iterator<Item = (NodeId, &'a Broker, &'a BrokerEndpoint)> {
        let listener = self.listener;
        self.image
            .brokers
            .iter()
            .filter(|(_, broker)| !broker.fenced)
            .filter_map(move |(&id, broker)| Some((id, broker, endpoint(broker, listener)?)))
    }

    /// The broker's endpoint on the request's listener, fenced or not.
    #[must_use]
    pub fn endpoint_of(&self, node: NodeId) -> Option<&'a BrokerEndpoint> {
        endpoint(self.image.brokers.get(&node)?, self.listener)
    }

    /// True if the broker serves and has an endpoint on the request's listener.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        let broker = self.image.brokers.get(&node);
        broker.is_some_and(|b| !b.fenced && endpoint(b, self.listener).is_some())
    }

    /// Whom clients send what only a controller decides: this broker, which passes it on.
    #[must_use]
    pub fn controller_id(&self) -> i32 {
        if self.is_alive(self.node) {
            return self.node.0;
        }
        let other = self.alive_brokers().next();
        other.map_or(-1, |(id, _, _)| id.0)
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&'a Topic> {
        let id = self.image.topics_by_name.get(name)?;
        self.image.topics.get(id).map(AsRef::as_ref)
    }

    /// This broker's configs in all layers.
    #[must_use]
    pub fn broker_configs(&self) -> BrokerConfigs<'a> {
        BrokerConfigs::new(self.config, self.image, self.node)
    }

    /// The topic that keeps groups, as Kafka's coordinator asks for it; with fewer brokers than replicas wanted, one on each.
    #[must_use]
    pub fn offsets_topic(&self) -> NewTopic {
        let groups = &self.config.settings().groups;
        let brokers = i16::try_from(self.alive_brokers().count()).unwrap_or(i16::MAX);
        let configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", groups.topic_segment_bytes.to_string()),
        ];
        NewTopic {
            name: GROUP_METADATA_TOPIC.to_owned(),
            partitions: groups.topic_partitions,
            replication_factor: groups.topic_replication_factor.min(brokers.max(1)),
            assignments: Vec::new(),
            configs: configs
                .map(|(key, value)| (key.to_owned(), Some(value)))
                .into(),
        }
    }

    /// Replicas that cannot serve: unknown or fenced brokers, without this listener, or in a lost directory.
    #[must_use]
    pub fn offline_replicas(&self, partition: &PartitionState) -> Vec<BrokerId> {
        let replicas = partition.replicas.iter().enumerate();
        replicas
            .filter(|(index, node)| {
                let directory = partition.directories.get(*index);
                !self.is_alive(**node)
                    || directory.is_some_and(|dir| !self.directory_is_online(**node, *dir))
            })
            .map(|(_, node)| BrokerId(node.0))
            .collect()
    }

    fn directory_is_online(&self, node: NodeId, directory: DirectoryId) -> bool {
        // Kafka's reserved ids: 0 and 1 are not yet known, 2 is lost.
        const UNKNOWN: u128 = 0;
        const UNASSIGNED: u128 = 1;
        const LOST: u128 = 2;
        match u128::from_be_bytes(directory.0) {
            UNKNOWN | UNASSIGNED => true,
            LOST => false,
            _ => self.image.brokers.get(&node).is_some_and(|broker| {
                broker.log_dirs.is_empty() || broker.log_dirs.contains(&directory)
            }),
        }
    }
}

fn endpoint<'a>(broker: &'a Broker, listener: &str) -> Option<&'a BrokerEndpoint> {
    broker.endpoints.iter().find(|e| &*e.listener == listener)
}

/// Text as the protocol crate holds it.
#[must_use]
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// Text that is kept or goes to another core.
#[must_use]
pub fn arc(value: &str) -> Arc<str> {
    value.into()
}

/// A topic's name as the protocol crate holds it.
#[must_use]
pub fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

/// An id as the protocol crate holds it.
#[must_use]
pub fn uuid(id: TopicId) -> Uuid {
    Uuid::from_bytes(id.0)
}

/// An id as the core holds it.
#[must_use]
pub fn topic_id(id: Uuid) -> TopicId {
    TopicId(id.into_bytes())
}

/// Broker ids as the protocol crate holds them.
#[must_use]
pub fn node_ids(nodes: &[NodeId]) -> Vec<BrokerId> {
    nodes.iter().map(|node| BrokerId(node.0)).collect()
}
