//! What shards ask the controller for, and its answers.

use std::sync::Arc;

use super::ProducerIdBlock;
use crate::types::{ErrorCode, NodeId, TopicId};

/// A decision wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CtlRequest {
    /// Create topics.
    CreateTopics {
        /// Which; a name that stands twice is refused for both.
        topics: Vec<NewTopic>,
        /// Check only.
        validate_only: bool,
    },
    /// Delete topics.
    DeleteTopics {
        /// Which.
        topics: Vec<TopicRef>,
    },
    /// A block of producer ids.
    ProducerIds,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name, unchecked.
    pub name: String,
    /// -1: `num.partitions`.
    pub partitions: i32,
    /// -1: `default.replication.factor`.
    pub replication_factor: i16,
    /// Manual assignment: partition index → replicas. Empty: none.
    pub assignments: Vec<(i32, Vec<NodeId>)>,
    /// Topic configs; a null value is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic to delete, by name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRef {
    /// Name, if given.
    pub name: Option<String>,
    /// Id, zero if not given.
    pub id: TopicId,
}

/// The controller's answer, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CtlReply {
    /// To `CreateTopics`.
    CreateTopics(Vec<NewTopicResult>),
    /// To `DeleteTopics`.
    DeleteTopics(Vec<DeletedTopic>),
    /// To `ProducerIds`.
    ProducerIds(Result<ProducerIdBlock, ErrorCode>),
}

/// What became of a topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopicResult {
    /// As asked.
    pub name: String,
    /// `None` is success.
    pub error: ErrorCode,
    /// A sentence for people.
    pub message: Option<String>,
    /// Zero on failure or when only validated.
    pub topic_id: TopicId,
    /// Partitions it has.
    pub partitions: i32,
    /// Replicas each has.
    pub replication_factor: i16,
    /// All effective configs.
    pub configs: Vec<EffectiveConfig>,
}

/// A config value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveConfig {
    /// Key.
    pub name: Arc<str>,
    /// Value; `None` when sensitive or unset.
    pub value: Option<Arc<str>>,
    /// Kafka's source number: 1 topic, 2 dynamic broker, 3 dynamic default broker, 4 static broker, 5 default.
    pub source: i8,
    /// Cannot be changed at run time.
    pub read_only: bool,
    /// Never shown.
    pub sensitive: bool,
}

/// What became of a topic to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name, if known.
    pub name: Option<Arc<str>>,
    /// Its id, zero if unknown.
    pub id: TopicId,
    /// `None` is success.
    pub error: ErrorCode,
    /// A sentence for people.
    pub message: Option<String>,
}
