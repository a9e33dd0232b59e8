//! OffsetCommit (key 8): a group's positions are stored.
//!
//! Versions 2–9, flexible from 8. 2–4: the client says for how long. 3: throttle time. 6: leader epochs. 7: static members.
//! 9: for members of the new protocol (KIP-848), which is not served; GROUP_ID_NOT_FOUND instead of ILLEGAL_GENERATION.
//! Gaps: version 10, which names topics by id: the protocol crate cannot read it.
//! Source: `KafkaApis.handleOffsetCommitRequest`, `OffsetMetadataManager`; KIP-211, KIP-320, KIP-345.

use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::context::{ApiContext, Plan, arc, topic_name};
use crate::group::reply::{CommitReply, TopicErrors};
use crate::group::request::{Commit, CommitPartition, CommitTopic};
use crate::metadata::Topic;
use crate::types::{ErrorCode, LeaderEpoch, Offset, PartitionIndex};

/// The first version that knows GROUP_ID_NOT_FOUND.
const GROUP_ID_NOT_FOUND_SINCE: i16 = 9;

/// What was refused here and never reached the coordinator.
#[derive(Debug)]
pub struct Pending {
    refused: Vec<TopicErrors>,
}

/// Takes out what does not exist. Nobody is asked if nothing is left.
#[must_use]
pub fn plan(
    cx: &ApiContext<'_>,
    request: &OffsetCommitRequest,
) -> Plan<OffsetCommitResponse, Commit, Pending> {
    let mut refused = Vec::new();
    let mut topics = Vec::new();
    for asked in &request.topics {
        let known = cx.topic(&asked.name);
        let (good, bad) = sort_out(asked, known);
        if !bad.partitions.is_empty() {
            refused.push(bad);
        }
        if !good.partitions.is_empty() {
            topics.push(good);
        }
    }
    if topics.is_empty() {
        return Plan::Reply(respond(refused));
    }
    let retention_ms = (request.retention_time_ms >= 0).then_some(request.retention_time_ms);
    let commit = Commit {
        group_id: arc(&request.group_id),
        generation: request.generation_id_or_member_epoch,
        member_id: arc(&request.member_id),
        instance_id: request.group_instance_id.as_deref().map(arc),
        retention_ms,
        topics,
    };
    Plan::Ask(commit, Pending { refused })
}

/// The partitions of a topic that exist, and those that do not.
fn sort_out(asked: &OffsetCommitRequestTopic, known: Option<&Topic>) -> (CommitTopic, TopicErrors) {
    let topic = arc(&asked.name);
    let mut good = CommitTopic {
        topic: topic.clone(),
        topic_id: known.map(|topic| topic.id).unwrap_or_default(),
        partitions: Vec::new(),
    };
    let mut bad = TopicErrors {
        topic,
        partitions: Vec::new(),
    };
    let count = known.map_or(0, |topic| topic.partitions.len());
    for partition in &asked.partitions {
        let index = PartitionIndex(partition.partition_index);
        if usize::try_from(index.0).is_ok_and(|index| index < count) {
            good.partitions.push(CommitPartition {
                partition: index,
                offset: Offset(partition.committed_offset),
                leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                metadata: partition.committed_metadata.as_deref().map(arc),
            });
        } else {
            let error = ErrorCode::UnknownTopicOrPartition;
            bad.partitions.push((index, error));
        }
    }
    (good, bad)
}

/// The answer, once the coordinator has spoken: what was refused here comes first, as in Kafka.
#[must_use]
pub fn finish(version: i16, pending: Pending, reply: CommitReply) -> OffsetCommitResponse {
    let mut topics = pending.refused;
    for mut topic in reply.topics {
        for (_, error) in &mut topic.partitions {
            if *error == ErrorCode::GroupIdNotFound && version < GROUP_ID_NOT_FOUND_SINCE {
                *error = ErrorCode::IllegalGeneration;
            }
        }
        match topics.iter_mut().find(|other| other.topic == topic.topic) {
            Some(other) => other.partitions.append(&mut topic.partitions),
            None => topics.push(topic),
        }
    }
    respond(topics)
}

fn respond(topics: Vec<TopicErrors>) -> OffsetCommitResponse {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|(index, error)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(index.0)
                .with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic_name(&topic.topic))
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Fixture, recoded};
    use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;

    fn asked(version: i16, topics: &[(&str, &[i32])]) -> OffsetCommitRequest {
        let topics = topics.iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(|&index| {
                let partition = OffsetCommitRequestPartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(7)
                    .with_committed_metadata(None);
                if version >= 6 {
                    partition.with_committed_leader_epoch(3)
                } else {
                    partition
                }
            });
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions.collect())
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(super::super::context::text("g").into())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.collect());
        recoded(&request, version)
    }

    fn codes(response: &OffsetCommitResponse) -> Vec<(String, Vec<(i32, i16)>)> {
        let topics = response.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let codes = partitions.map(|p| (p.partition_index, p.error_code));
            (topic.name.to_string(), codes.collect())
        });
        topics.collect()
    }

    #[test]
    fn what_does_not_exist_is_refused_here() {
        let fixture = Fixture::new();
        for version in 2..=9 {
            let request = asked(
                version,
                &[("gone", &[0, 1]), ("alpha", &[9, 0]), ("beta", &[])],
            );
            let Plan::Ask(commit, pending) = plan(&fixture.context(), &request) else {
                panic!("alpha-0 exists");
            };
            assert_eq!(commit.topics.len(), 1);
            assert_eq!(&*commit.topics[0].topic, "alpha");
            let stored = &commit.topics[0].partitions;
            assert_eq!(stored.len(), 1);
            let epoch = if version >= 6 { 3 } else { -1 };
            assert_eq!(stored[0].leader_epoch, LeaderEpoch(epoch), "v{version}");
            assert_eq!(commit.retention_ms, None);
            let reply = CommitReply {
                topics: vec![TopicErrors {
                    topic: "alpha".into(),
                    partitions: vec![(PartitionIndex(0), ErrorCode::GroupIdNotFound)],
                }],
            };
            let got = recoded(&finish(version, pending, reply), version);
            let code = if version >= 9 { 69 } else { 22 };
            let expected = [
                ("gone".to_owned(), vec![(0, 3), (1, 3)]),
                ("alpha".to_owned(), vec![(9, 3), (0, code)]),
            ];
            assert_eq!(codes(&got), expected, "v{version}");
        }
    }

    #[test]
    fn nobody_is_asked_when_nothing_is_left() {
        let fixture = Fixture::new();
        let request = asked(9, &[("gone", &[0])]);
        let Plan::Reply(response) = plan(&fixture.context(), &request) else {
            panic!("there is no such topic");
        };
        assert_eq!(codes(&response), [("gone".to_owned(), vec![(0, 3)])]);
    }
}
