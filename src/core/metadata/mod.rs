//! The cluster's metadata: Kafka's records, the image they add up to, and who decides what is written next.

mod image;
mod request;

pub use image::{
    Broker, BrokerEndpoint, ConfigResource, Delta, Image, PartitionState, ProducerIdBlock, Topic,
};
pub use request::{
    CtlReply, CtlRequest, DeletedTopic, EffectiveConfig, NewTopic, NewTopicResult, TopicRef,
};
