//! Topics: create, list, describe, delete; offsets of partitions.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, ListOffsetsRequest,
};
use kafka_protocol::protocol::StrBytes;
use serde::Serialize;

use super::{Client, ClientError, Leader, topic_name};

/// A topic as metadata tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TopicLine {
    /// Its name.
    pub name: String,
    /// Its id as text.
    pub id: String,
    /// Kafka's own topic.
    pub internal: bool,
    /// Its partitions by index.
    pub partitions: Vec<PartitionLine>,
}

/// A partition as metadata tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PartitionLine {
    /// Its index.
    pub partition: i32,
    /// Its leader, -1 for none.
    pub leader: i32,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// All replicas.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
}

/// A config of a topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConfigLine {
    /// The key.
    pub name: String,
    /// Its value, if it may be shown.
    pub value: Option<String>,
    /// True if the topic itself sets it.
    pub of_topic: bool,
}

/// Milliseconds that the broker may work on a change.
const CHANGE_MS_MAX: i32 = 30_000;
/// Kafka's number for topics in DescribeConfigs.
const RESOURCE_TOPIC: i8 = 2;
/// Kafka's number for "the topic sets it".
const SOURCE_TOPIC: i8 = 1;

impl Client {
    /// Creates a topic. -1 asks for the broker's default number. Returns its id.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &[(String, String)],
    ) -> Result<String, ClientError> {
        let configs: Vec<_> = configs
            .iter()
            .map(|(key, value)| {
                CreatableTopicConfig::default()
                    .with_name(StrBytes::from_string(key.clone()))
                    .with_value(Some(StrBytes::from_string(value.clone())))
            })
            .collect();
        // A second try after a broken connection could meet the topic that the first one made; so there is none.
        let answer = self.call_any(7, |_| {
            let topic = CreatableTopic::default()
                .with_name(topic_name(name))
                .with_num_partitions(partitions)
                .with_replication_factor(replication_factor)
                .with_configs(configs.clone());
            CreateTopicsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(CHANGE_MS_MAX)
        })?;
        let what = format!("topic {name}");
        match answer.topics.into_iter().next() {
            Some(result) if result.error_code == 0 => Ok(id_text(result.topic_id.as_bytes())),
            Some(result) => Err(ClientError::broker(
                &what,
                result.error_code,
                result.error_message,
            )),
            None => Err(ClientError::broker(&what, -1, None)),
        }
    }

    /// Deletes a topic.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let answer = self.call_any(6, |version| {
            let request = DeleteTopicsRequest::default().with_timeout_ms(CHANGE_MS_MAX);
            if version >= 6 {
                let state = DeleteTopicState::default().with_name(Some(topic_name(name)));
                request.with_topics(vec![state])
            } else {
                request.with_topic_names(vec![topic_name(name)])
            }
        })?;
        match answer.responses.into_iter().next() {
            Some(result) if result.error_code == 0 => Ok(()),
            Some(result) => Err(ClientError::broker(
                &format!("topic {name}"),
                result.error_code,
                result.error_message,
            )),
            None => Err(ClientError::broker(&format!("topic {name}"), -1, None)),
        }
    }

    /// All topics, or one, sorted by name. A topic that is not there is an error.
    pub fn topics(&mut self, only: Option<&str>) -> Result<Vec<TopicLine>, ClientError> {
        let one = only.map(|name| [name]);
        let metadata = self.metadata(one.as_ref().map(<[_; 1]>::as_slice), false)?;
        let mut lines = Vec::new();
        for topic in &metadata.topics {
            if topic.error_code != 0 {
                let name = topic.name.as_ref().map_or("", |n| n.0.as_str());
                let what = format!("topic {name}");
                return Err(ClientError::broker(&what, topic.error_code, None));
            }
            lines.push(topic_line(topic));
        }
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(lines)
    }

    /// A topic's configs, sorted by key.
    pub fn topic_configs(&mut self, name: &str) -> Result<Vec<ConfigLine>, ClientError> {
        let answer = self.call_any(4, |_| {
            let resource = DescribeConfigsResource::default()
                .with_resource_type(RESOURCE_TOPIC)
                .with_resource_name(StrBytes::from_string(name.to_owned()))
                .with_configuration_keys(None);
            DescribeConfigsRequest::default().with_resources(vec![resource])
        })?;
        let mut lines = Vec::new();
        for result in answer.results {
            if result.error_code != 0 {
                let what = format!("topic {name}");
                return Err(ClientError::broker(
                    &what,
                    result.error_code,
                    result.error_message,
                ));
            }
            lines.extend(result.configs.into_iter().map(|config| ConfigLine {
                name: config.name.to_string(),
                value: config.value.map(|v| v.to_string()),
                of_topic: config.config_source == SOURCE_TOPIC,
            }));
        }
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(lines)
    }

    /// The offsets at a time of several partitions of one topic: -2 the first, -1 the one after the last.
    pub fn offsets(
        &mut self,
        topic: &str,
        partitions: &BTreeMap<i32, Leader>,
        timestamp: i64,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let mut offsets = BTreeMap::new();
        for (&index, leader) in partitions {
            let answer = self.call(&leader.address, 10, |version| {
                let partition = ListOffsetsPartition::default()
                    .with_partition_index(index)
                    .with_timestamp(timestamp);
                let asked = ListOffsetsTopic::default()
                    .with_name(topic_name(topic))
                    .with_partitions(vec![partition]);
                let request = ListOffsetsRequest::default()
                    .with_replica_id(BrokerId(-1))
                    .with_topics(vec![asked]);
                if version >= 10 {
                    request.with_timeout_ms(CHANGE_MS_MAX)
                } else {
                    request
                }
            })?;
            let what = format!("partition {topic}-{index}");
            let found = answer.topics.first().and_then(|t| t.partitions.first());
            match found {
                Some(found) if found.error_code == 0 => {
                    offsets.insert(index, found.offset);
                }
                Some(found) => return Err(ClientError::broker(&what, found.error_code, None)),
                None => return Err(ClientError::broker(&what, -1, None)),
            }
        }
        Ok(offsets)
    }
}

fn id_text(bytes: &[u8; 16]) -> String {
    onrush_core::types::TopicId(*bytes).to_string()
}

fn topic_line(topic: &MetadataResponseTopic) -> TopicLine {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    let mut partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| PartitionLine {
            partition: p.partition_index,
            leader: p.leader_id.0,
            leader_epoch: p.leader_epoch,
            replicas: ids(&p.replica_nodes),
            isr: ids(&p.isr_nodes),
        })
        .collect();
    partitions.sort_by_key(|p| p.partition);
    TopicLine {
        name: topic
            .name
            .as_ref()
            .map(|n| n.0.to_string())
            .unwrap_or_default(),
        id: id_text(topic.topic_id.as_bytes()),
        internal: topic.is_internal,
        partitions,
    }
}
