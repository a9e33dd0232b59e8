//! Membership in a consumer group of the classic protocol, over one topic.
//!
//! Invariants: 1. Offsets are committed only in the generation that the partitions were given in. 2. The leader gives each
//! partition to one member (Kafka's range assignment).
//! Deliberately absent: cooperative rebalances, static members, several topics, heartbeats while a record is being printed.
//! Source: `AbstractCoordinator`, `ConsumerCoordinator`, `RangeAssignor`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use onrush_core::types::ErrorCode;

use super::group::{assigned, text};
use super::{Client, ClientError, topic_name};

const PROTOCOL_TYPE: &str = "consumer";
const RANGE: &str = "range";
/// Without a heartbeat for so long the coordinator gives our partitions to others.
const SESSION_MS: i32 = 10_000;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
/// How long others may take to come to a rebalance; an answer that takes longer than a client's patience would be none.
const REBALANCE_MS: i32 = 15_000;

/// What the coordinator says to a member that shows that it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// All is well.
    Good,
    /// The members come together again: commit, then join.
    Rejoin,
    /// We are none of them any more: join, nothing can be committed.
    Lost,
}

/// A member of a group.
#[derive(Debug)]
pub struct Member {
    group: String,
    topic: String,
    address: String,
    id: String,
    generation: i32,
    heartbeat_at: Instant,
}

impl Member {
    /// Nobody yet: [`Member::join`] follows.
    #[must_use]
    pub fn new(group: &str, topic: &str) -> Self {
        Self {
            group: group.to_owned(),
            topic: topic.to_owned(),
            address: String::new(),
            id: String::new(),
            generation: -1,
            heartbeat_at: Instant::now(),
        }
    }

    /// Joins the next generation and returns the partitions given to us. `partitions`: how many the topic has.
    pub fn join(
        &mut self,
        client: &mut Client,
        partitions: usize,
    ) -> Result<BTreeSet<i32>, ClientError> {
        client.retry(|client| match self.try_join(client, partitions) {
            // Others came or went while we joined: nothing is wrong, and it is tried again.
            Err(ClientError::Broker { code, .. }) if self.begins_anew(code) => {
                Err(self.error(ErrorCode::CoordinatorLoadInProgress))
            }
            other => other,
        })
    }

    /// True if joining again is all that there is to do; an id that is not known any more is dropped.
    fn begins_anew(&mut self, code: ErrorCode) -> bool {
        if code == ErrorCode::UnknownMemberId {
            self.id.clear();
        }
        matches!(
            code,
            ErrorCode::UnknownMemberId
                | ErrorCode::MemberIdRequired
                | ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
        )
    }

    fn try_join(
        &mut self,
        client: &mut Client,
        partitions: usize,
    ) -> Result<BTreeSet<i32>, ClientError> {
        self.address = client.coordinator(&self.group)?;
        let subscription = ConsumerProtocolSubscription::default()
            .with_topics(vec![text(&self.topic)])
            .with_user_data(None);
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(RANGE))
            .with_metadata(versioned(&subscription, 0)?);
        let answer = client.call(&self.address, 9, |version| {
            let request = JoinGroupRequest::default()
                .with_group_id(text(&self.group).into())
                .with_session_timeout_ms(SESSION_MS)
                .with_member_id(text(&self.id))
                .with_protocol_type(text(PROTOCOL_TYPE))
                .with_protocols(vec![protocol.clone()]);
            if version >= 1 {
                request.with_rebalance_timeout_ms(REBALANCE_MS)
            } else {
                request
            }
        })?;
        if answer.error_code == 0 || answer.error_code == ErrorCode::MemberIdRequired.code() {
            self.id = answer.member_id.to_string();
        }
        self.check(answer.error_code)?;
        self.generation = answer.generation_id;
        let is_leader = answer.leader == answer.member_id;
        let assignments = if is_leader && !answer.skip_assignment {
            self.assign(&answer.members, partitions)?
        } else {
            Vec::new()
        };
        let answer = client.call(&self.address, 5, |version| {
            let request = SyncGroupRequest::default()
                .with_group_id(text(&self.group).into())
                .with_generation_id(self.generation)
                .with_member_id(text(&self.id))
                .with_assignments(assignments.clone());
            if version >= 5 {
                request
                    .with_protocol_type(Some(text(PROTOCOL_TYPE)))
                    .with_protocol_name(Some(text(RANGE)))
            } else {
                request
            }
        })?;
        self.check(answer.error_code)?;
        self.heartbeat_at = Instant::now() + HEARTBEAT_EVERY;
        let mine = assigned(answer.assignment).unwrap_or_default().into_iter();
        let mine = mine.filter(|(topic, _)| *topic == self.topic);
        Ok(mine.map(|(_, partition)| partition).collect())
    }

    fn assign(
        &self,
        members: &[JoinGroupResponseMember],
        partitions: usize,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let subscribed = members.iter().filter(|member| self.wants(member));
        let mut ids: Vec<&str> = subscribed.map(|member| member.member_id.as_str()).collect();
        ids.sort_unstable();
        let mut shares = range(&ids, partitions);
        let assignments = members.iter().map(|member| {
            let share = shares.remove(member.member_id.as_str()).unwrap_or_default();
            let topic = TopicPartition::default()
                .with_topic(topic_name(&self.topic))
                .with_partitions(share);
            let assignment = ConsumerProtocolAssignment::default()
                .with_assigned_partitions(vec![topic])
                .with_user_data(None);
            let assignment = versioned(&assignment, 0)?;
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(assignment))
        });
        assignments.collect()
    }

    fn wants(&self, member: &JoinGroupResponseMember) -> bool {
        let mut bytes = member.metadata.clone();
        let version = bytes.split_to(bytes.len().min(2));
        let version = i16::from(version.get(1).copied().unwrap_or(0) & 3);
        let subscription = ConsumerProtocolSubscription::decode(&mut bytes, version);
        subscription.is_ok_and(|it| it.topics.iter().any(|topic| **topic == *self.topic))
    }

    /// Tells the coordinator that we live, if it is time.
    pub fn heartbeat(&mut self, client: &mut Client) -> Result<Standing, ClientError> {
        if Instant::now() < self.heartbeat_at {
            return Ok(Standing::Good);
        }
        self.heartbeat_at = Instant::now() + HEARTBEAT_EVERY;
        let answer = client.call(&self.address, 4, |_| {
            HeartbeatRequest::default()
                .with_group_id(text(&self.group).into())
                .with_generation_id(self.generation)
                .with_member_id(text(&self.id))
        });
        match answer {
            Ok(answer) => self.standing(answer.error_code),
            // The session may outlive a broken connection; joining again finds out.
            Err(error) if error.is_retriable() => Ok(Standing::Lost),
            Err(error) => Err(error),
        }
    }

    /// Stores offsets: the next record to read of each partition.
    pub fn commit(
        &mut self,
        client: &mut Client,
        offsets: &BTreeMap<i32, i64>,
    ) -> Result<Standing, ClientError> {
        if offsets.is_empty() {
            return Ok(Standing::Good);
        }
        let answer = client.call(&self.address, 9, |_| {
            let partitions = offsets.iter().map(|(&partition, &offset)| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(offset)
                    .with_committed_metadata(Some(text("")))
            });
            let topic = OffsetCommitRequestTopic::default()
                .with_name(topic_name(&self.topic))
                .with_partitions(partitions.collect());
            OffsetCommitRequest::default()
                .with_group_id(text(&self.group).into())
                .with_generation_id_or_member_epoch(self.generation)
                .with_member_id(text(&self.id))
                .with_topics(vec![topic])
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.is_retriable() => return Ok(Standing::Lost),
            Err(error) => return Err(error),
        };
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let mut codes = partitions.map(|partition| partition.error_code);
        let code = codes.find(|code| *code != 0).unwrap_or(0);
        self.standing(code)
    }

    /// Leaves, so that others get our partitions at once.
    pub fn leave(&mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.id.is_empty() {
            return Ok(());
        }
        let answer = client.call(&self.address, 5, |version| {
            let request = LeaveGroupRequest::default().with_group_id(text(&self.group).into());
            if version >= 3 {
                let member = MemberIdentity::default().with_member_id(text(&self.id));
                request.with_members(vec![member])
            } else {
                request.with_member_id(text(&self.id))
            }
        })?;
        let of_member = answer.members.first().map_or(0, |member| member.error_code);
        let code = [answer.error_code, of_member]
            .into_iter()
            .find(|code| *code != 0);
        match code.map(ErrorCode::from_code) {
            // Removed meanwhile: that is what was wanted.
            None | Some(ErrorCode::UnknownMemberId) => Ok(()),
            Some(code) => Err(self.error(code)),
        }
    }

    fn standing(&mut self, code: i16) -> Result<Standing, ClientError> {
        match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(Standing::Good),
            ErrorCode::RebalanceInProgress => Ok(Standing::Rejoin),
            ErrorCode::UnknownMemberId => {
                self.id.clear();
                Ok(Standing::Lost)
            }
            ErrorCode::IllegalGeneration
            | ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress => Ok(Standing::Lost),
            code => Err(self.error(code)),
        }
    }

    fn check(&self, code: i16) -> Result<(), ClientError> {
        match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(()),
            code => Err(self.error(code)),
        }
    }

    fn error(&self, code: ErrorCode) -> ClientError {
        ClientError::broker(&format!("group {}", self.group), code.code(), None)
    }
}

/// A message of the consumers' own protocol, behind its version.
fn versioned(message: &impl Encodable, version: i16) -> Result<Bytes, ClientError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    let encoded = message.encode(&mut bytes, version);
    encoded.map_err(|error| ClientError::Protocol {
        address: "onrush".to_owned(),
        what: error.to_string(),
    })?;
    Ok(bytes.freeze())
}

/// Consecutive partitions for each member; the first ones get one more where it does not come out even.
fn range<'a>(ids: &[&'a str], partitions: usize) -> BTreeMap<&'a str, Vec<i32>> {
    let mut shares = BTreeMap::new();
    let mut next = 0;
    for (place, id) in ids.iter().enumerate() {
        let more = usize::from(place < partitions % ids.len());
        let end = next + partitions / ids.len() + more;
        let share = (next..end).map(|index| i32::try_from(index).unwrap_or(i32::MAX));
        shares.insert(*id, share.collect());
        next = end;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_member() {
        let shares = |ids: &[&'static str], partitions| {
            let shares = range(ids, partitions).into_iter();
            shares.collect::<Vec<(&str, Vec<i32>)>>()
        };
        assert_eq!(shares(&["a"], 3), [("a", vec![0, 1, 2])]);
        assert_eq!(
            shares(&["a", "b", "c"], 7),
            [("a", vec![0, 1, 2]), ("b", vec![3, 4]), ("c", vec![5, 6])]
        );
        assert_eq!(shares(&["a", "b"], 1), [("a", vec![0]), ("b", vec![])]);
    }

    #[test]
    fn what_is_given_is_understood() {
        let member = Member::new("g", "t");
        let subscription = ConsumerProtocolSubscription::default()
            .with_topics(vec![text("t")])
            .with_user_data(None);
        let other = ConsumerProtocolSubscription::default()
            .with_topics(vec![text("other")])
            .with_user_data(None);
        let of = |id: &str, subscription: &ConsumerProtocolSubscription| {
            JoinGroupResponseMember::default()
                .with_member_id(text(id))
                .with_metadata(versioned(subscription, 0).unwrap_or_default())
        };
        let members = [
            of("a", &subscription),
            of("b", &other),
            of("c", &subscription),
        ];
        let given = member.assign(&members, 3).unwrap_or_default();
        let shares = given.into_iter().map(|it| assigned(it.assignment));
        let t = |index| ("t".to_owned(), index);
        let expected = [
            Some([t(0), t(1)].into()),
            Some(BTreeSet::new()),
            Some([t(2)].into()),
        ];
        assert_eq!(shares.collect::<Vec<_>>(), expected);
        assert_eq!(assigned(Bytes::from_static(b"x")), None);
    }
}
