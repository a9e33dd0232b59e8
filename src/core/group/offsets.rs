//! OffsetCommit, OffsetFetch, OffsetDelete.
//!
//! Invariants: 1. Who is a member commits for the present generation alone; who is none commits only while the group is
//! empty. 2. A commit shows that the member lives. 3. An offset may go back, and beyond the log's end: it is the client's.
//!
//! Absent: commits within a transaction. Pending ones will stand beside the stored ones, `require_stable` asks about
//! them; until then every stored offset is stable.
//!
//! Source: `OffsetMetadataManager`, `ClassicGroup.validateOffsetCommit`.

use std::sync::Arc;

use super::coordinator::{Coordinator, Group};
use super::record::{OffsetKey, StoredOffset};
use super::reply::{
    CommitReply, FetchReply, FetchedPartition, FetchedTopic, OffsetDeleteReply, Reply, TopicErrors,
};
use super::request::{Commit, CommitPartition, CommitTopic, Fetch, OffsetDelete, Request};
use super::types::{CallId, Decision, GroupState, Record};
use crate::types::{ErrorCode, LeaderEpoch, Now, Offset, PartitionIndex, WallMillis, limits};

/// Bytes of text that a record can hold, whatever the config allows.
const METADATA_BYTES_MAX: usize = 32_767;

impl Coordinator {
    pub(super) fn commit(&self, now: Now, call: CallId, request: &Commit) -> Decision {
        let group = self.groups.get(&request.group_id);
        if let Err(error) = self.commit_check(group, request) {
            let request = Request::Commit(request.clone());
            return Decision::answer(call, false, request.refuse(error));
        }
        let mut decision = Decision::default();
        if let Some(live) = group.map(|it| &it.live) {
            let keeps = [GroupState::Stable, GroupState::PreparingRebalance].contains(&live.state);
            if let Some(member) = live.members.get(&request.member_id).filter(|_| keeps) {
                decision.alive(now, &request.group_id, member);
            }
        }
        let mut room =
            limits::OFFSETS_PER_GROUP_MAX.saturating_sub(group.map_or(0, |it| it.offsets_count));
        let topics = request.topics.iter().map(|topic| TopicErrors {
            topic: topic.topic.clone(),
            partitions: (topic.partitions.iter())
                .map(|it| {
                    let known =
                        group.is_some_and(|g| g.offset(&topic.topic, it.partition).is_some());
                    let error = self.commit_error(it, known, &mut room);
                    if error == ErrorCode::None {
                        let record = commit_record(now, request, topic, it);
                        decision.records.push(record);
                    }
                    (it.partition, error)
                })
                .collect(),
        });
        let reply = CommitReply {
            topics: topics.collect(),
        };
        let answer = Decision::answer(call, true, Reply::Commit(reply));
        decision.answers = answer.answers;
        decision
    }

    fn commit_check(&self, group: Option<&Group>, request: &Commit) -> Result<(), ErrorCode> {
        let Some(group) = group else {
            if request.generation >= 0 {
                return Err(ErrorCode::GroupIdNotFound);
            }
            let full = self.groups.len() >= limits::GROUPS_PER_COORDINATOR_MAX;
            return if full {
                Err(ErrorCode::CoordinatorNotAvailable)
            } else {
                Ok(())
            };
        };
        let live = &group.live;
        if request.generation < 0 && live.state == GroupState::Empty {
            return Ok(());
        }
        let names_member = !request.member_id.is_empty() || request.instance_id.is_some();
        if request.generation < 0 && !names_member {
            return Err(ErrorCode::UnknownMemberId);
        }
        live.check_member(&request.member_id, request.instance_id.as_ref())?;
        live.check_generation(request.generation)?;
        if live.state == GroupState::CompletingRebalance {
            // The member knows of the generation and not yet what is its own in it.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    fn commit_error(&self, commit: &CommitPartition, known: bool, room: &mut usize) -> ErrorCode {
        let metadata = commit.metadata.as_deref().unwrap_or_default();
        // Java counts UTF-16 units; there are never more of them than bytes.
        let max = self.config.offset_metadata_bytes_max;
        let long = metadata.len() > max && metadata.encode_utf16().count() > max;
        if long || metadata.len() > METADATA_BYTES_MAX {
            return ErrorCode::OffsetMetadataTooLarge;
        }
        if known {
            return ErrorCode::None;
        }
        match room.checked_sub(1) {
            Some(rest) => {
                *room = rest;
                ErrorCode::None
            }
            None => ErrorCode::InvalidCommitOffsetSize,
        }
    }

    pub(super) fn fetch(&self, call: CallId, request: &Fetch) -> Decision {
        let group = self.groups.get(&request.group_id);
        let topics = match &request.topics {
            Some(topics) => topics.iter().map(|it| fetch_named(group, it)).collect(),
            None => group.map(fetch_all).unwrap_or_default(),
        };
        let reply = FetchReply {
            group_id: request.group_id.clone(),
            error: ErrorCode::None,
            topics,
        };
        Decision::answer(call, true, Reply::Fetch(reply))
    }

    pub(super) fn offset_delete(&self, call: CallId, request: &OffsetDelete) -> Decision {
        let group = match self.offset_delete_group(request) {
            Ok(group) => group,
            Err(error) => {
                let request = Request::OffsetDelete(request.clone());
                return Decision::answer(call, true, request.refuse(error));
            }
        };
        let subscribed = group.subscribed();
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|(topic, partitions)| {
            let error = if subscribed.contains(topic) {
                ErrorCode::GroupSubscribedToTopic
            } else {
                ErrorCode::None
            };
            for partition in partitions {
                if error == ErrorCode::None && group.offset(topic, *partition).is_some() {
                    records.push(tombstone(&request.group_id, topic, *partition));
                }
            }
            TopicErrors {
                topic: topic.clone(),
                partitions: partitions.iter().map(|it| (*it, error)).collect(),
            }
        });
        let reply = Reply::OffsetDelete(OffsetDeleteReply {
            error: ErrorCode::None,
            topics: topics.collect(),
        });
        Decision {
            records,
            ..Decision::answer(call, true, reply)
        }
    }

    fn offset_delete_group(&self, request: &OffsetDelete) -> Result<&Group, ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let group = self.groups.get(&request.group_id);
        let group = group.ok_or(ErrorCode::GroupIdNotFound)?;
        if group.live.state != GroupState::Empty && !group.uses_consumer_protocol() {
            // What its members read is not known.
            return Err(ErrorCode::NonEmptyGroup);
        }
        Ok(group)
    }
}

/// A record that deletes an offset.
pub(super) fn tombstone(
    group_id: &Arc<str>,
    topic: &Arc<str>,
    partition: PartitionIndex,
) -> Record {
    let key = OffsetKey {
        group_id: group_id.clone(),
        topic: topic.clone(),
        partition,
    };
    Record::offset(&key, None)
}

fn commit_record(now: Now, request: &Commit, topic: &CommitTopic, it: &CommitPartition) -> Record {
    let key = OffsetKey {
        group_id: request.group_id.clone(),
        topic: topic.topic.clone(),
        partition: it.partition,
    };
    let expires = request.retention_ms.map(|ms| now.wall.0.saturating_add(ms));
    let value = StoredOffset {
        topic_id: topic.topic_id,
        offset: it.offset,
        leader_epoch: it.leader_epoch,
        metadata: it.metadata.clone().unwrap_or_default(),
        committed: now.wall,
        expires: expires.map(WallMillis),
    };
    Record::offset(&key, Some(&value))
}

fn fetch_named(group: Option<&Group>, topic: &(Arc<str>, Vec<PartitionIndex>)) -> FetchedTopic {
    let (topic, partitions) = topic;
    let partitions = partitions.iter().map(|partition| {
        let offset = group.and_then(|it| it.offset(topic, *partition));
        fetched(*partition, offset)
    });
    FetchedTopic {
        topic: topic.clone(),
        partitions: partitions.collect(),
    }
}

fn fetch_all(group: &Group) -> Vec<FetchedTopic> {
    let topics = group.offsets.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter();
        FetchedTopic {
            topic: topic.clone(),
            partitions: partitions
                .map(|(it, offset)| fetched(*it, Some(offset)))
                .collect(),
        }
    });
    topics.collect()
}

fn fetched(partition: PartitionIndex, stored: Option<&StoredOffset>) -> FetchedPartition {
    FetchedPartition {
        partition,
        offset: stored.map_or(Offset::NONE, |it| it.offset),
        leader_epoch: stored.map_or(LeaderEpoch::NONE, |it| it.leader_epoch),
        metadata: stored.map(|it| it.metadata.clone()).unwrap_or_default(),
        error: ErrorCode::None,
    }
}
