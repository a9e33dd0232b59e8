//! The cluster's metadata: Kafka's records, the image they add up to, and who decides what is written next.

pub mod batch;
mod broker_config;
pub mod control;
pub mod controller;
pub mod features;
pub mod format;
mod image;
pub mod layout;
pub mod properties;
pub mod quorum;
pub mod record;
mod replay;
mod request;
pub mod snapshot;
pub mod topic_config;
mod topic_name;

pub use broker_config::{BrokerConfigs, LayeredValue, broker_synonyms};
pub use image::{
    Broker, BrokerEndpoint, ConfigResource, Delta, Image, PartitionState, ProducerIdBlock, Topic,
};
pub use replay::{Replay, ReplayError};
pub use request::{
    CtlReply, CtlRequest, DeletedTopic, EffectiveConfig, NewTopic, NewTopicResult, TopicRef,
};
pub use topic_name::{
    CLUSTER_METADATA_TOPIC, GROUP_METADATA_TOPIC, TOPIC_NAME_BYTES_MAX, collision_form,
    is_internal_topic, validate_topic_name,
};

/// Log directory not chosen yet (Kafka's `DirectoryId.UNASSIGNED`).
pub const DIRECTORY_UNASSIGNED: crate::types::DirectoryId =
    crate::types::TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
