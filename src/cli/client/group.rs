//! Consumer groups as an operator sees them: list, describe, delete; what they have committed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    ListGroupsRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::{Decodable, StrBytes};
use serde::Serialize;

use super::{Client, ClientError, address_of};

/// A topic's name and a partition of it.
pub type Partition = (String, i32);

/// Kafka's number for groups in FindCoordinator.
const KEY_TYPE_GROUP: i8 = 0;

/// A group in a list.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct GroupLine {
    /// Its id.
    pub group: String,
    /// `consumer` and the like, empty if it never had a member.
    pub protocol: String,
    /// Its state, empty if the broker does not tell.
    pub state: String,
}

/// A group and its members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupInfo {
    /// Its state.
    pub state: String,
    /// Its members, by id.
    pub members: Vec<MemberInfo>,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberInfo {
    /// Its id.
    pub id: String,
    /// Its client's id.
    pub client_id: String,
    /// Its client's address.
    pub host: String,
    /// What it was given, if the group is one of consumers.
    pub partitions: BTreeSet<Partition>,
}

/// Text as the protocol crate wants it.
pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

impl Client {
    /// The address of the broker that keeps a group. One that is not ready yet is a retriable error.
    pub fn coordinator(&mut self, group: &str) -> Result<String, ClientError> {
        let answer = self.call_any(6, |version| {
            let request = FindCoordinatorRequest::default();
            let request = if version >= 1 {
                request.with_key_type(KEY_TYPE_GROUP)
            } else {
                request
            };
            if version >= 4 {
                request.with_coordinator_keys(vec![text(group)])
            } else {
                request.with_key(text(group))
            }
        })?;
        let (code, host, port) = match answer.coordinators.first() {
            Some(found) => (found.error_code, &found.host, found.port),
            None => (answer.error_code, &answer.host, answer.port),
        };
        if code != 0 {
            let what = format!("the coordinator of group {group}");
            return Err(ClientError::broker(&what, code, None));
        }
        Ok(address_of(host, port))
    }

    /// All groups of the cluster, by id.
    pub fn groups(&mut self) -> Result<Vec<GroupLine>, ClientError> {
        let metadata = self.metadata(Some(&[]), false)?;
        let mut lines = BTreeSet::new();
        for broker in &metadata.brokers {
            let address = address_of(&broker.host, broker.port);
            let answer = self.call(&address, 5, |_| ListGroupsRequest::default())?;
            if answer.error_code != 0 {
                let what = format!("the groups of {address}");
                return Err(ClientError::broker(&what, answer.error_code, None));
            }
            lines.extend(answer.groups.into_iter().map(|group| GroupLine {
                group: group.group_id.to_string(),
                protocol: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
            }));
        }
        Ok(lines.into_iter().collect())
    }

    /// A group's state and members. A group that is not there is an error.
    pub fn describe_group(&mut self, group: &str) -> Result<GroupInfo, ClientError> {
        let address = self.coordinator(group)?;
        let answer = self.call(&address, 6, |_| {
            DescribeGroupsRequest::default().with_groups(vec![text(group).into()])
        })?;
        let what = format!("group {group}");
        let Some(found) = answer.groups.into_iter().next() else {
            return Err(ClientError::broker(&what, -1, None));
        };
        // Before version 6 a group that is not there is one that is dead.
        let code = match found.group_state.as_str() {
            "Dead" if found.error_code == 0 => GROUP_ID_NOT_FOUND,
            _ => found.error_code,
        };
        if code != 0 {
            return Err(ClientError::broker(&what, code, found.error_message));
        }
        let mut members: Vec<MemberInfo> = found.members.into_iter().map(member).collect();
        members.sort_by(|one, other| one.id.cmp(&other.id));
        let state = found.group_state.to_string();
        Ok(GroupInfo { state, members })
    }

    /// What a group has committed.
    pub fn committed(&mut self, group: &str) -> Result<BTreeMap<Partition, i64>, ClientError> {
        let address = self.coordinator(group)?;
        let answer = self.call(&address, 9, |version| {
            let request = OffsetFetchRequest::default();
            if version >= 8 {
                let asked = OffsetFetchRequestGroup::default()
                    .with_group_id(text(group).into())
                    .with_topics(None);
                request.with_groups(vec![asked])
            } else {
                request.with_group_id(text(group).into()).with_topics(None)
            }
        })?;
        let mut found = BTreeMap::new();
        let mut code = answer.error_code;
        for topic in answer.topics {
            for partition in topic.partitions {
                let key = (topic.name.to_string(), partition.partition_index);
                found.insert(key, partition.committed_offset);
            }
        }
        for group in answer.groups {
            code = group.error_code;
            for topic in group.topics {
                for partition in topic.partitions {
                    let key = (topic.name.to_string(), partition.partition_index);
                    found.insert(key, partition.committed_offset);
                }
            }
        }
        if code != 0 {
            return Err(ClientError::broker(&format!("group {group}"), code, None));
        }
        found.retain(|_, offset| *offset >= 0);
        Ok(found)
    }

    /// Deletes a group without members, and its offsets.
    pub fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        let address = self.coordinator(group)?;
        let answer = self.call(&address, 2, |_| {
            DeleteGroupsRequest::default().with_groups_names(vec![text(group).into()])
        })?;
        let code = answer.results.first().map_or(-1, |row| row.error_code);
        if code != 0 {
            return Err(ClientError::broker(&format!("group {group}"), code, None));
        }
        Ok(())
    }
}

const GROUP_ID_NOT_FOUND: i16 = 69;

fn member(found: DescribedGroupMember) -> MemberInfo {
    MemberInfo {
        id: found.member_id.to_string(),
        client_id: found.client_id.to_string(),
        host: found.client_host.to_string(),
        partitions: assigned(found.member_assignment).unwrap_or_default(),
    }
}

/// What a consumer was given; `None` if these bytes are none of a consumer's.
pub(super) fn assigned(mut bytes: Bytes) -> Option<BTreeSet<Partition>> {
    let version = bytes.try_get_i16().ok()?;
    let assignment = ConsumerProtocolAssignment::decode(&mut bytes, version.clamp(0, 3)).ok()?;
    let topics = assignment.assigned_partitions.into_iter();
    let partitions = topics.flat_map(|topic| {
        let name = topic.topic.to_string();
        let indexes = topic.partitions.into_iter();
        indexes.map(move |index| (name.clone(), index))
    });
    Some(partitions.collect())
}
