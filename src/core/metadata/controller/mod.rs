//! The controller: decides, writes nothing and changes nothing.
//!
//! Invariants: 1. `handle` only reads; its records change the image by replay once they are committed, and the reply leaves
//! after that. 2. The records of one decision are written as one batch: they count together.
//! Deliberately absent: election among several brokers, quotas, policies (their plug-ins are Java), authorization (the API's).
//! Source: Kafka's `ControllerApis`, `ReplicationControlManager`, `ProducerIdControlManager`.

mod create;
mod delete;
mod ids;
mod startup;

pub use ids::IdSource;
pub(crate) use startup::features_of_new_cluster;
pub use startup::{Registration, bootstrap_records, bump_records, election_records, foreign_node};

use super::record::{ProducerIds, Record};
use super::{
    BrokerConfigs, CtlReply, CtlRequest, DeletedTopic, Image, NewTopicResult, ProducerIdBlock,
};
use crate::types::{BrokerConfigView, ErrorCode, NodeId, ProducerId, TopicId};

/// Producer ids handed out at once (Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_IDS_PER_BLOCK: i32 = 1000;

/// What the controller decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// To be committed together; may be none.
    pub records: Vec<Record>,
    /// To be sent once they are committed and applied everywhere.
    pub reply: CtlReply,
}

/// What the controller decides on: metadata and this node's configs.
#[derive(Clone, Copy, Debug)]
pub struct Controller<'a> {
    /// The committed metadata.
    pub image: &'a Image,
    /// Static configs of this node.
    pub configs: &'a BrokerConfigView,
    /// This node.
    pub node: NodeId,
}

impl Controller<'_> {
    /// Decides a request. `ids` makes the ids of new topics.
    #[must_use]
    pub fn handle(&self, request: &CtlRequest, ids: &mut IdSource) -> Decision {
        match request {
            CtlRequest::CreateTopics {
                topics,
                validate_only,
            } => self.create_topics(topics, *validate_only, ids),
            CtlRequest::DeleteTopics { topics } => self.delete_topics(topics),
            CtlRequest::ProducerIds => self.producer_ids(),
        }
    }

    fn broker_configs(&self) -> BrokerConfigs<'_> {
        BrokerConfigs::new(self.configs, self.image, self.node)
    }

    fn producer_ids(&self) -> Decision {
        let first = self.image.producer_id_next;
        let next = first.0.checked_add(i64::from(PRODUCER_IDS_PER_BLOCK));
        let broker = self.image.brokers.get(&self.node);
        let (Some(next), Some(broker)) = (next, broker) else {
            return Decision {
                records: Vec::new(),
                reply: CtlReply::ProducerIds(Err(ErrorCode::UnknownServerError)),
            };
        };
        Decision {
            records: vec![Record::ProducerIds(ProducerIds {
                broker: self.node,
                broker_epoch: broker.epoch,
                next: ProducerId(next),
            })],
            reply: CtlReply::ProducerIds(Ok(ProducerIdBlock {
                first,
                count: PRODUCER_IDS_PER_BLOCK,
            })),
        }
    }
}

/// The answer to a request that is refused as a whole, before anything was looked at.
#[must_use]
pub fn refuse(request: &CtlRequest, error: ErrorCode, message: &str) -> CtlReply {
    match request {
        CtlRequest::CreateTopics { topics, .. } => CtlReply::CreateTopics(
            topics
                .iter()
                .map(|topic| failed_topic(&topic.name, error, message.to_owned()))
                .collect(),
        ),
        CtlRequest::DeleteTopics { topics } => CtlReply::DeleteTopics(
            topics
                .iter()
                .map(|topic| DeletedTopic {
                    name: topic.name.as_deref().map(Into::into),
                    id: topic.id,
                    error,
                    message: Some(message.to_owned()),
                })
                .collect(),
        ),
        CtlRequest::ProducerIds => CtlReply::ProducerIds(Err(error)),
    }
}

fn failed_topic(name: &str, error: ErrorCode, message: String) -> NewTopicResult {
    NewTopicResult {
        name: name.to_owned(),
        error,
        message: Some(message),
        topic_id: TopicId::ZERO,
        partitions: -1,
        replication_factor: -1,
        configs: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
