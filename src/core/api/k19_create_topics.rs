//! CreateTopics (key 19): asks the controller for new topics, or whether they could be had.
//!
//! Versions 2–7, flexible from 5.
//! * 4: -1 partitions or replicas means the broker's default (accepted in all). 5: the answer tells partitions, replicas and configs.
//! * 6: a client may be told to slow down (quotas are not served). 7: topic ids in the answer.
//!
//! Checked here: the deadline, names that stand twice, the metadata log's own topic. Everything else is the controller's.
//! Gaps: no authorizer, no quotas, no policy class.
//! Source: KIP-4, KIP-464, KIP-525; Kafka's `ControllerApis.createTopics`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};

use super::context::{Plan, text, topic_name, uuid};
use crate::metadata::{CLUSTER_METADATA_TOPIC, CtlReply, CtlRequest, NewTopic, NewTopicResult};
use crate::types::{ErrorCode, NodeId};

/// What is known before the controller answers: topics that are refused here.
#[derive(Debug)]
pub struct Pending {
    refused: Vec<CreatableTopicResult>,
}

/// Decides what the controller is asked.
#[must_use]
pub fn plan(request: &CreateTopicsRequest) -> Plan<CreateTopicsResponse, CtlRequest, Pending> {
    if request.timeout_ms <= 0 {
        // Kafka's controller finds the deadline passed before it looks at anything.
        let all = request.topics.iter().map(|topic| {
            refusal(
                &topic.name,
                ErrorCode::RequestTimedOut,
                "The request timed out.",
            )
        });
        return Plan::Reply(CreateTopicsResponse::default().with_topics(all.collect()));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *counts.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut refused = Vec::new();
    let mut wanted = Vec::new();
    let mut told = BTreeSet::new();
    for topic in &request.topics {
        let name = topic.name.as_str();
        if counts.get(name).is_some_and(|&count| count > 1) {
            if told.insert(name) {
                refused.push(refusal(
                    &topic.name,
                    ErrorCode::InvalidRequest,
                    "Duplicate topic name.",
                ));
            }
        } else if name == CLUSTER_METADATA_TOPIC {
            refused.push(refusal(
                &topic.name,
                ErrorCode::InvalidRequest,
                "Creation of internal topic __cluster_metadata is prohibited.",
            ));
        } else {
            wanted.push(new_topic(topic));
        }
    }
    if wanted.is_empty() {
        return Plan::Reply(CreateTopicsResponse::default().with_topics(refused));
    }
    let ask = CtlRequest::CreateTopics {
        topics: wanted,
        validate_only: request.validate_only,
    };
    Plan::Ask(ask, Pending { refused })
}

/// The answer to the client once the controller has answered. Another kind of reply is our own fault.
#[must_use]
pub fn finish(pending: Pending, reply: CtlReply) -> CreateTopicsResponse {
    let CtlReply::CreateTopics(results) = reply else {
        panic!("the controller answered CreateTopics with {reply:?}");
    };
    let rows = results.iter().map(result).chain(pending.refused);
    CreateTopicsResponse::default().with_topics(rows.collect())
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| {
        let replicas = assignment.broker_ids.iter().map(|id| NodeId(id.0));
        (assignment.partition_index, replicas.collect())
    });
    let configs = topic.configs.iter().map(|config| {
        let value = config.value.as_ref().map(ToString::to_string);
        (config.name.to_string(), value)
    });
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn refusal(name: &TopicName, error: ErrorCode, message: &str) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(error.code())
        .with_error_message(Some(text(message)))
}

fn result(result: &NewTopicResult) -> CreatableTopicResult {
    let row = CreatableTopicResult::default()
        .with_name(topic_name(&result.name))
        .with_error_code(result.error.code())
        .with_error_message(result.message.as_deref().map(text));
    if result.error != ErrorCode::None {
        // The crate's defaults: no id, -1 partitions, -1 replicas, no configs.
        return row;
    }
    let configs = result.configs.iter().map(|config| {
        CreatableTopicConfigs::default()
            .with_name(text(&config.name))
            .with_value(config.value.as_deref().map(text))
            .with_read_only(config.read_only)
            .with_config_source(config.source)
            .with_is_sensitive(config.sensitive)
    });
    row.with_topic_id(uuid(result.topic_id))
        .with_num_partitions(result.partitions)
        .with_replication_factor(result.replication_factor)
        .with_configs(Some(configs.collect()))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::create_topics_request::{
        CreatableReplicaAssignment, CreatableTopicConfig,
    };

    use super::*;
    use crate::api::testing::through_wire;
    use crate::metadata::EffectiveConfig;
    use crate::types::TopicId;

    fn topic(name: &str) -> CreatableTopic {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(3)
            .with_replication_factor(1)
    }

    fn asked(names: &[&str]) -> CreateTopicsRequest {
        CreateTopicsRequest::default()
            .with_topics(names.iter().map(|name| topic(name)).collect())
            .with_timeout_ms(1000)
    }

    fn created(name: &str) -> NewTopicResult {
        NewTopicResult {
            name: name.to_owned(),
            error: ErrorCode::None,
            message: None,
            topic_id: TopicId([3; 16]),
            partitions: 3,
            replication_factor: 1,
            configs: vec![EffectiveConfig {
                name: "retention.ms".into(),
                value: Some("5".into()),
                source: 1,
                read_only: false,
                sensitive: false,
            }],
        }
    }

    #[test]
    fn every_version_asks_and_answers() {
        for version in 2..=7 {
            let assignment = CreatableReplicaAssignment::default()
                .with_partition_index(0)
                .with_broker_ids(vec![BrokerId(1)]);
            let config = CreatableTopicConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("5")));
            let one = topic("t")
                .with_assignments(vec![assignment])
                .with_configs(vec![
                    config,
                    CreatableTopicConfig::default().with_value(None),
                ]);
            let request = asked(&[]).with_topics(vec![one]).with_validate_only(true);
            let got = through_wire(version, &request, |request| {
                let Plan::Ask(ask, pending) = plan(&request) else {
                    panic!("must ask")
                };
                let want = CtlRequest::CreateTopics {
                    topics: vec![NewTopic {
                        name: "t".to_owned(),
                        partitions: 3,
                        replication_factor: 1,
                        assignments: vec![(0, vec![NodeId(1)])],
                        configs: vec![
                            ("retention.ms".to_owned(), Some("5".to_owned())),
                            (String::new(), None),
                        ],
                    }],
                    validate_only: true,
                };
                assert_eq!(ask, want);
                finish(pending, CtlReply::CreateTopics(vec![created("t")]))
            });
            let row = &got.topics[0];
            assert_eq!((row.name.as_str(), row.error_code), ("t", 0));
            assert_eq!(row.error_message, None);
            if version >= 5 {
                assert_eq!((row.num_partitions, row.replication_factor), (3, 1));
                let configs = row.configs.as_ref().unwrap();
                assert_eq!(configs[0].name.as_str(), "retention.ms");
                assert_eq!(configs[0].config_source, 1);
            }
            assert_eq!(row.topic_id.is_nil(), version < 7);
        }
    }

    #[test]
    fn measured_duplicates_are_refused_once_and_others_go_through() {
        let Plan::Ask(ask, pending) = plan(&asked(&["a", "b", "a", "__cluster_metadata", "a"]))
        else {
            panic!("must ask")
        };
        let CtlRequest::CreateTopics { topics, .. } = &ask else {
            panic!("{ask:?}")
        };
        assert_eq!(topics.len(), 1);
        let got = finish(pending, CtlReply::CreateTopics(vec![created("b")]));
        let rows: Vec<_> = got
            .topics
            .iter()
            .map(|t| (t.name.as_str(), t.error_code))
            .collect();
        assert_eq!(rows, [("b", 0), ("a", 42), ("__cluster_metadata", 42)]);
        let Plan::Reply(got) = plan(&asked(&["a", "a"])) else {
            panic!("nothing to ask")
        };
        assert_eq!(got.topics.len(), 1);
    }

    #[test]
    fn measured_without_time_even_an_invalid_topic_times_out() {
        for timeout_ms in [0, -1] {
            for version in 2..=7 {
                let request = asked(&["", "a"]).with_timeout_ms(timeout_ms);
                let got = through_wire(version, &request, |request| match plan(&request) {
                    Plan::Reply(reply) => reply,
                    Plan::Ask(ask, _) => panic!("{ask:?}"),
                });
                let codes: Vec<_> = got.topics.iter().map(|t| t.error_code).collect();
                assert_eq!(codes, [7, 7]);
            }
        }
    }

    #[test]
    fn a_refused_topic_tells_nothing_but_why() {
        let refused = NewTopicResult {
            error: ErrorCode::InvalidConfig,
            message: Some("Unknown topic config name: x".to_owned()),
            ..created("t")
        };
        let Plan::Ask(_, pending) = plan(&asked(&["t"])) else {
            panic!("must ask")
        };
        let got = finish(pending, CtlReply::CreateTopics(vec![refused]));
        let row = &got.topics[0];
        assert_eq!(row.error_code, 40);
        assert_eq!(
            row.error_message.as_deref(),
            Some("Unknown topic config name: x")
        );
        assert_eq!((row.num_partitions, row.replication_factor), (-1, -1));
        assert!(row.topic_id.is_nil());
    }
}
