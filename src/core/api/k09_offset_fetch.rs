//! OffsetFetch (key 9): the positions that a group has stored.
//!
//! Versions 1–9, flexible from 6. 2: all topics (null), an error for the whole. 3: throttle time. 5: leader epochs. 7: only
//! offsets that no open transaction may change. 8: several groups at once. 9: members of the new protocol (KIP-848), which
//! a classic group does not look at.
//! Gaps: version 10, which names topics by id: the protocol crate cannot read it.
//! Source: `KafkaApis.handleOffsetFetchRequest`, `OffsetFetchResponse`; KIP-447, KIP-709.

use std::sync::Arc;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::context::{arc, text, topic_name};
use crate::group::reply::{FetchReply, FetchedPartition, FetchedTopic};
use crate::group::request::Fetch;
use crate::types::{ErrorCode, LeaderEpoch, Offset, PartitionIndex};

/// The first version with an error for the whole answer.
const TOP_LEVEL_ERROR_SINCE: i16 = 2;
/// The first version that asks about several groups.
const GROUPS_SINCE: i16 = 8;

type Topics = Vec<(Arc<str>, Vec<PartitionIndex>)>;

/// What version 1 needs to tell an error: there it stands beside each partition.
#[derive(Debug)]
pub struct Pending {
    topics: Topics,
}

/// What each group's coordinator is to be asked, in the order of the request.
#[must_use]
pub fn plan(version: i16, request: &OffsetFetchRequest) -> (Vec<Fetch>, Pending) {
    let require_stable = request.require_stable;
    if version >= GROUPS_SINCE {
        let fetches = request.groups.iter().map(|group| {
            let topics = group.topics.as_ref().map(|topics| {
                let topics = topics.iter();
                topics.map(|t| (arc(&t.name), indexes(&t.partition_indexes)))
            });
            Fetch {
                group_id: arc(&group.group_id),
                member_id: group.member_id.as_deref().map(arc),
                member_epoch: group.member_epoch,
                topics: topics.map(Iterator::collect),
                require_stable,
            }
        });
        let pending = Pending {
            topics: Topics::new(),
        };
        return (fetches.collect(), pending);
    }
    let topics: Option<Topics> = request.topics.as_ref().map(|topics| {
        let topics = topics.iter();
        topics
            .map(|t| (arc(&t.name), indexes(&t.partition_indexes)))
            .collect()
    });
    let pending = Pending {
        topics: match &topics {
            Some(topics) if version < TOP_LEVEL_ERROR_SINCE => topics.clone(),
            _ => Topics::new(),
        },
    };
    let fetch = Fetch {
        group_id: arc(&request.group_id),
        member_id: None,
        member_epoch: -1,
        topics,
        require_stable,
    };
    (vec![fetch], pending)
}

fn indexes(partitions: &[i32]) -> Vec<PartitionIndex> {
    partitions.iter().copied().map(PartitionIndex).collect()
}

/// The answer, with one reply for each question of the plan.
#[must_use]
pub fn finish(version: i16, pending: Pending, replies: Vec<FetchReply>) -> OffsetFetchResponse {
    if version >= GROUPS_SINCE {
        let groups = replies.into_iter().map(group_of).collect();
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let Some(reply) = replies.into_iter().next() else {
        return OffsetFetchResponse::default();
    };
    let topics = if reply.error != ErrorCode::None && version < TOP_LEVEL_ERROR_SINCE {
        beside_each(pending.topics, reply.error)
    } else {
        reply.topics
    };
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition.0)
                .with_committed_offset(partition.offset.0)
                .with_committed_leader_epoch(partition.leader_epoch.0)
                .with_metadata(Some(text(&partition.metadata)))
                .with_error_code(partition.error.code())
        });
        OffsetFetchResponseTopic::default()
            .with_name(topic_name(&topic.topic))
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default()
        .with_topics(topics.collect())
        .with_error_code(reply.error.code())
}

fn group_of(reply: FetchReply) -> OffsetFetchResponseGroup {
    let topics = reply.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(partition.partition.0)
                .with_committed_offset(partition.offset.0)
                .with_committed_leader_epoch(partition.leader_epoch.0)
                .with_metadata(Some(text(&partition.metadata)))
                .with_error_code(partition.error.code())
        });
        OffsetFetchResponseTopics::default()
            .with_name(topic_name(&topic.topic))
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(text(&reply.group_id).into())
        .with_topics(topics.collect())
        .with_error_code(reply.error.code())
}

fn beside_each(topics: Topics, error: ErrorCode) -> Vec<FetchedTopic> {
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|partition| FetchedPartition {
            partition,
            offset: Offset::NONE,
            leader_epoch: LeaderEpoch::NONE,
            metadata: "".into(),
            error,
        });
        FetchedTopic {
            topic,
            partitions: partitions.collect(),
        }
    });
    topics.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;
    use crate::group::Request;
    use kafka_protocol::messages::offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };

    fn asked(version: i16, all: bool) -> OffsetFetchRequest {
        if version < GROUPS_SINCE {
            let topic = OffsetFetchRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![0, 4]);
            let request = OffsetFetchRequest::default()
                .with_group_id(text("g").into())
                .with_topics((!all).then(|| vec![topic]))
                .with_require_stable(version >= 7);
            return recoded(&request, version);
        }
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0, 4]);
        let group = |name: &str| {
            OffsetFetchRequestGroup::default()
                .with_group_id(text(name).into())
                .with_topics((!all).then(|| vec![topic.clone()]))
        };
        let request = OffsetFetchRequest::default().with_groups(vec![group("g"), group("h")]);
        recoded(&request, version)
    }

    fn found() -> FetchReply {
        FetchReply {
            group_id: "g".into(),
            error: ErrorCode::None,
            topics: vec![FetchedTopic {
                topic: "t".into(),
                partitions: vec![FetchedPartition {
                    partition: PartitionIndex(4),
                    offset: Offset(70),
                    leader_epoch: LeaderEpoch(2),
                    metadata: "words".into(),
                    error: ErrorCode::None,
                }],
            }],
        }
    }

    #[test]
    fn every_version_asks_and_answers() {
        for version in 1..=9 {
            let (fetches, pending) = plan(version, &asked(version, false));
            assert_eq!(fetches.len(), if version >= 8 { 2 } else { 1 });
            assert_eq!(&*fetches[0].group_id, "g");
            assert_eq!(fetches[0].require_stable, version == 7);
            let wanted = vec![PartitionIndex(0), PartitionIndex(4)];
            assert_eq!(fetches[0].topics, Some(vec![("t".into(), wanted)]));
            let got = recoded(&finish(version, pending, vec![found()]), version);
            let (offset, epoch, words) = if version >= 8 {
                let p = &got.groups[0].topics[0].partitions[0];
                (
                    p.committed_offset,
                    p.committed_leader_epoch,
                    p.metadata.clone(),
                )
            } else {
                let p = &got.topics[0].partitions[0];
                (
                    p.committed_offset,
                    p.committed_leader_epoch,
                    p.metadata.clone(),
                )
            };
            let known = if version >= 5 { 2 } else { -1 };
            assert_eq!((offset, epoch), (70, known), "v{version}");
            assert_eq!(words.unwrap().as_str(), "words");
        }
    }

    #[test]
    fn null_means_all_topics() {
        for version in 2..=9 {
            let (fetches, _) = plan(version, &asked(version, true));
            assert_eq!(fetches[0].topics, None, "v{version}");
        }
    }

    #[test]
    fn an_error_stands_where_the_version_has_room() {
        for version in 1..=9 {
            let (fetches, pending) = plan(version, &asked(version, false));
            let replies = fetches.into_iter().map(|fetch| {
                let refusal = Request::Fetch(fetch).refuse(ErrorCode::NotCoordinator);
                let crate::group::Reply::Fetch(reply) = refusal else {
                    panic!("a fetch is refused as a fetch");
                };
                reply
            });
            let got = recoded(&finish(version, pending, replies.collect()), version);
            match version {
                1 => {
                    let codes: Vec<_> = got.topics[0]
                        .partitions
                        .iter()
                        .map(|p| p.error_code)
                        .collect();
                    assert_eq!(codes, [16, 16]);
                    assert_eq!(got.topics[0].partitions[0].committed_offset, -1);
                }
                2..=7 => assert_eq!((got.error_code, got.topics.len()), (16, 0)),
                _ => {
                    let codes: Vec<_> = got.groups.iter().map(|g| g.error_code).collect();
                    assert_eq!(codes, [16, 16]);
                }
            }
        }
    }
}
