//! Requests about groups as words of a script, and their answers as text.
//!
//! | request | options and their defaults |
//! |---|---|
//! | `join g` | `v=5 id= instance= session=10000 rebalance=60000 proto=range` |
//! | `sync g` and, of a leader, `%A=x %B=y` | `v=3 id= gen=1` |
//! | `beat g` | `v=3 id= gen=1` |
//! | `leave g` | `v=2 id=` |
//! | `commit g t-0@5` (the offset) | `v=7 id= gen=-1` |
//! | `committed g`, `committed g t-0@` | `v=7` |
//! | `groups`, `whois g`, `drop g`, `coordinator g` | `v=4`, `v=5`, `v=1`, `v=2` |
//!
//! `%A` stands for the member id that connection A was told last.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::replies::decode;
use super::requests::{Due, Encoder, topic_name};
use crate::wire::versions;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// Encodes a request about a group.
pub(super) fn encode(api: &str, encoder: &Encoder<'_>) -> (Bytes, Option<Due>) {
    let words = encoder.words;
    let name = words.items.first().copied().unwrap_or("");
    let group = GroupId(text(name));
    let word = |key: &str| text(words.options.get(key).copied().unwrap_or(""));
    let (id, generation) = (word("id"), words.get("gen", 1));
    match api {
        "join" => {
            let version = words.get("v", 5);
            let instance = words.options.get("instance").map(|name| text(name));
            let proto = words.options.get("proto").copied().unwrap_or("range");
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(text(proto))
                .with_metadata(Bytes::from_static(b"m"));
            let request = JoinGroupRequest::default()
                .with_group_id(group)
                .with_member_id(id)
                .with_group_instance_id(instance)
                .with_session_timeout_ms(words.get("session", 10_000))
                .with_rebalance_timeout_ms(words.get("rebalance", 60_000))
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol]);
            encoder.frame(versions::JOIN_GROUP, version, version, &request)
        }
        "sync" => {
            let version = words.get("v", 3);
            let given = words.items.iter().filter_map(|item| item.split_once('='));
            let given = words.options.iter().map(|(k, v)| (*k, *v)).chain(given);
            let assignments = given.filter(|(member, _)| member.contains("test-"));
            let assignments = assignments.map(|(member, what)| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(text(member))
                    .with_assignment(Bytes::copy_from_slice(what.as_bytes()))
            });
            let request = SyncGroupRequest::default()
                .with_group_id(group)
                .with_member_id(id)
                .with_generation_id(generation)
                .with_assignments(assignments.collect());
            encoder.frame(versions::SYNC_GROUP, version, version, &request)
        }
        "beat" => {
            let version = words.get("v", 3);
            let request = HeartbeatRequest::default()
                .with_group_id(group)
                .with_member_id(id)
                .with_generation_id(generation);
            encoder.frame(versions::HEARTBEAT, version, version, &request)
        }
        "leave" => {
            let version = words.get("v", 2);
            let request = LeaveGroupRequest::default()
                .with_group_id(group)
                .with_member_id(id);
            encoder.frame(versions::LEAVE_GROUP, version, version, &request)
        }
        "commit" => commit(encoder, group, id),
        "committed" => committed(encoder, group),
        other => encode_about(other, encoder, group),
    }
}

fn encode_about(api: &str, encoder: &Encoder<'_>, group: GroupId) -> (Bytes, Option<Due>) {
    let words = encoder.words;
    match api {
        "groups" => {
            let version = words.get("v", 4);
            let request = ListGroupsRequest::default();
            encoder.frame(versions::LIST_GROUPS, version, version, &request)
        }
        "whois" => {
            let version = words.get("v", 5);
            let request = DescribeGroupsRequest::default().with_groups(vec![group]);
            encoder.frame(versions::DESCRIBE_GROUPS, version, version, &request)
        }
        "drop" => {
            let version = words.get("v", 1);
            let request = DeleteGroupsRequest::default().with_groups_names(vec![group]);
            encoder.frame(versions::DELETE_GROUPS, version, version, &request)
        }
        "coordinator" => {
            let version = words.get("v", 2);
            let request = FindCoordinatorRequest::default().with_key(group.0);
            encoder.frame(versions::FIND_COORDINATOR, version, version, &request)
        }
        other => panic!("{other}: no such request"),
    }
}

fn commit(encoder: &Encoder<'_>, group: GroupId, id: StrBytes) -> (Bytes, Option<Due>) {
    let words = encoder.words;
    let version = words.get("v", 7);
    let topics = partitions(encoder)
        .into_iter()
        .map(|(topic, index, offset)| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset.parse().expect("an offset"))
                .with_committed_metadata(None);
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(vec![partition])
        });
    let request = OffsetCommitRequest::default()
        .with_group_id(group)
        .with_member_id(id)
        .with_generation_id_or_member_epoch(words.get("gen", -1))
        .with_topics(topics.collect());
    encoder.frame(versions::OFFSET_COMMIT, version, version, &request)
}

fn committed(encoder: &Encoder<'_>, group: GroupId) -> (Bytes, Option<Due>) {
    let version = encoder.words.get("v", 7);
    let topics = partitions(encoder).into_iter().map(|(topic, index, _)| {
        OffsetFetchRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![index])
    });
    let topics: Vec<_> = topics.collect();
    let request = OffsetFetchRequest::default()
        .with_group_id(group)
        .with_topics((!topics.is_empty()).then_some(topics));
    encoder.frame(versions::OFFSET_FETCH, version, version, &request)
}

/// Topic, partition and what stands behind the `@`, of all words but the first.
fn partitions<'a>(encoder: &Encoder<'a>) -> Vec<(&'a str, i32, &'a str)> {
    let items = encoder.words.items.iter().skip(1);
    let items = items.map(|item| {
        let (partition, rest) = item.split_once('@').expect("a partition and more");
        let (topic, index) = partition.rsplit_once('-').expect("topic-partition");
        (topic, index.parse().expect("an index"), rest)
    });
    items.collect()
}

/// An answer about groups as text; a member id that is new to the client comes first.
pub(super) fn render(due: &Due, frame: &mut Bytes, version: i16) -> Vec<String> {
    match due.api_key {
        versions::JOIN_GROUP => {
            let got: JoinGroupResponse = decode(frame, version);
            if got.error_code != 0 {
                let said = format!("join error {} {}", got.error_code, got.member_id);
                return vec![said.trim_end().to_owned()];
            }
            let (generation, id, leader) = (got.generation_id, &got.member_id, &got.leader);
            let members = got
                .members
                .iter()
                .map(|member| member.member_id.to_string());
            let members: Vec<_> = members.collect();
            let mut said = format!("joined {generation} as {id} led by {leader}");
            if !members.is_empty() {
                said = format!("{said} with {}", members.join(" "));
            }
            vec![said]
        }
        versions::SYNC_GROUP => {
            let got: SyncGroupResponse = decode(frame, version);
            let given = String::from_utf8_lossy(&got.assignment).into_owned();
            vec![code_or("sync", got.error_code, &format!("given {given}"))]
        }
        versions::HEARTBEAT => {
            let got: HeartbeatResponse = decode(frame, version);
            vec![code_or("beat", got.error_code, "beat")]
        }
        versions::LEAVE_GROUP => {
            let got: LeaveGroupResponse = decode(frame, version);
            vec![code_or("leave", got.error_code, "left")]
        }
        versions::DELETE_GROUPS => {
            let got: DeleteGroupsResponse = decode(frame, version);
            let code = got.results.first().map_or(-1, |row| row.error_code);
            vec![code_or("drop", code, "dropped")]
        }
        versions::FIND_COORDINATOR => {
            let got: FindCoordinatorResponse = decode(frame, version);
            let at = format!("coordinator {}", got.node_id.0);
            vec![code_or("coordinator", got.error_code, &at)]
        }
        _ => render_tables(due, frame, version),
    }
}

fn render_tables(due: &Due, frame: &mut Bytes, version: i16) -> Vec<String> {
    match due.api_key {
        versions::OFFSET_COMMIT => {
            let got: OffsetCommitResponse = decode(frame, version);
            let topics = got.topics.iter();
            let rows = topics.flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
            rows.map(|(topic, p)| {
                let partition = format!("{}-{}", topic.name.as_str(), p.partition_index);
                let done = format!("{partition} committed");
                code_or(&partition, p.error_code, &done)
            })
            .collect()
        }
        versions::OFFSET_FETCH => {
            let got: OffsetFetchResponse = decode(frame, version);
            if got.error_code != 0 || got.topics.is_empty() {
                return vec![code_or("committed", got.error_code, "committed nothing")];
            }
            let topics = got.topics.iter();
            let rows = topics.flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
            rows.map(|(topic, p)| {
                let partition = format!("{}-{}", topic.name.as_str(), p.partition_index);
                let at = format!("{partition} is at {}", p.committed_offset);
                code_or(&partition, p.error_code, &at)
            })
            .collect()
        }
        versions::LIST_GROUPS => {
            let got: ListGroupsResponse = decode(frame, version);
            let rows = got.groups.iter();
            let rows = rows.map(|row| format!("{} {}", row.group_id.as_str(), row.group_state));
            let rows: Vec<_> = rows.collect();
            vec![code_or(
                "groups",
                got.error_code,
                &format!("groups [{}]", rows.join(", ")),
            )]
        }
        versions::DESCRIBE_GROUPS => {
            let got: DescribeGroupsResponse = decode(frame, version);
            let groups = got.groups.iter().map(|group| {
                let members = group.members.iter().map(|m| m.member_id.to_string());
                let members: Vec<_> = members.collect();
                let said = format!("{} [{}]", group.group_state, members.join(" "));
                code_or("whois", group.error_code, said.trim())
            });
            groups.collect()
        }
        key => panic!("answers of {key} are not rendered"),
    }
}

fn code_or(what: &str, code: i16, said: &str) -> String {
    if code == 0 {
        said.to_owned()
    } else {
        format!("{what} error {code}")
    }
}
