//! Fetch (key 1), versions 4–18, by consumers.
//!
//! | version | change for the request |
//! |---|---|
//! | 7 | sessions (KIP-227): none is kept yet, every answer carries session id 0, so that clients send full requests |
//! | 9 | current_leader_epoch |
//! | 12 | flexible, last_fetched_epoch |
//! | 13 | topic ids |
//! | 15 | replica_state instead of replica_id |
//!
//! A request is looked at as a whole each time something may have changed: [`Fetch::look`] plans a read of each
//! partition in the order of the request within the byte budget and says whether to answer, to wait for the disk to
//! find a batch, or to wait for new data. Looking moves no data: parts name bytes, the edge sends them.
//!
//! Deliberately absent: fetches of followers (answered NOT_LEADER_OR_FOLLOWER), preferred replicas, record bytes.
//! Source: `ReplicaManager.fetchMessages`, `DelayedFetch`, `FetchSession`; rules 3.1–3.21 as measured on 4.2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::FetchRequest;

use super::fencing::fenced;
use super::k01_fetch_reply::{PartitionReply, TopicReply, encode};
use crate::effect::Gather;
use crate::fetch::Budget;
use crate::log::{ReadPlan, ReadSpec, ScanId};
use crate::metadata::Image;
use crate::partition::Table;
use crate::types::{
    ErrorCode, LeaderEpoch, Millis, Monotonic, Now, Offset, OwnerId, PartitionIndex, TopicId,
};

/// A fetch request on its way.
#[derive(Debug)]
pub struct Fetch {
    version: i16,
    correlation_id: i32,
    bytes_min: u64,
    bytes_max: u64,
    /// When it is answered with what is there.
    pub deadline: Monotonic,
    read_committed: bool,
    refused: Option<ErrorCode>,
    /// Partitions whose files could not be read.
    unreadable: BTreeSet<OwnerId>,
    topics: Vec<TopicPlan>,
}

#[derive(Debug)]
struct TopicPlan {
    name: Arc<str>,
    id: TopicId,
    partitions: Vec<PartitionPlan>,
}

#[derive(Debug)]
struct PartitionPlan {
    index: i32,
    /// The topic's id here, or why it is not served.
    topic: Result<TopicId, ErrorCode>,
    offset: Offset,
    bytes_max: u64,
    current_leader_epoch: LeaderEpoch,
    last_fetched_epoch: LeaderEpoch,
}

/// What to do with a fetch after a look.
#[derive(Debug)]
pub enum Look {
    /// Answer with this.
    Answer(Gather),
    /// Wait until these scans are done, then look again.
    Scanning(Vec<(OwnerId, ScanId)>),
    /// Wait until one of these partitions' high watermarks moves, or the deadline.
    Park(Vec<OwnerId>),
}

/// What one partition adds to an answer.
enum Piece {
    Reply(PartitionReply),
    Scan(OwnerId, ScanId),
}

impl Fetch {
    /// Takes a request in. `bytes_max` is the broker's `fetch.max.bytes`.
    #[must_use]
    pub fn new(
        now: Now,
        image: &Image,
        version: i16,
        correlation_id: i32,
        request: FetchRequest,
        bytes_max: u64,
    ) -> Self {
        let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let bytes_max = u64::try_from(request.max_bytes).unwrap_or(0).min(bytes_max);
        let mut fetch = Self {
            version,
            correlation_id,
            bytes_min: u64::try_from(request.min_bytes).unwrap_or(0).min(bytes_max),
            bytes_max,
            deadline: now.mono.after(Millis(wait)),
            read_committed: request.isolation_level == 1,
            refused: None,
            unreadable: BTreeSet::new(),
            topics: Vec::with_capacity(request.topics.len()),
        };
        if request.session_id != 0 {
            // No session was ever handed out.
            fetch.refused = Some(ErrorCode::FetchSessionIdNotFound);
            return fetch;
        }
        let replica = if version >= 15 {
            request.replica_state.replica_id
        } else {
            request.replica_id
        };
        let follower = replica.0 >= 0;
        // The same partition twice: the last one counts and there is one answer (measured on 4.2).
        let mut places: BTreeMap<(TopicId, Arc<str>, i32), (usize, usize)> = BTreeMap::new();
        for topic in request.topics {
            let id = TopicId(*topic.topic_id.as_bytes());
            let name: Arc<str> = topic.topic.as_str().into();
            let found = if follower {
                Err(ErrorCode::NotLeaderOrFollower)
            } else {
                find_topic(image, version, id, &name)
            };
            let at = fetch.topics.len();
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for p in topic.partitions {
                let plan = PartitionPlan {
                    index: p.partition,
                    topic: found,
                    offset: Offset(p.fetch_offset),
                    bytes_max: u64::try_from(p.partition_max_bytes).unwrap_or(0),
                    current_leader_epoch: LeaderEpoch(p.current_leader_epoch),
                    last_fetched_epoch: LeaderEpoch(p.last_fetched_epoch),
                };
                match places.get(&(id, name.clone(), p.partition)) {
                    Some(&(topic, place)) if topic < at => {
                        fetch.topics[topic].partitions[place] = plan;
                    }
                    Some(&(_, place)) => partitions[place] = plan,
                    None => {
                        places.insert((id, name.clone(), p.partition), (at, partitions.len()));
                        partitions.push(plan);
                    }
                }
            }
            if !partitions.is_empty() {
                fetch.topics.push(TopicPlan {
                    name,
                    id,
                    partitions,
                });
            }
        }
        fetch
    }

    /// Plans the answer from the partitions as they are now.
    /// With `at_once` the answer is what is there now.
    pub fn look(&self, now: Now, table: &mut Table, at_once: bool) -> Look {
        if let Some(error) = self.refused {
            return Look::Answer(encode(
                self.version,
                self.correlation_id,
                error,
                0,
                Vec::new(),
            ));
        }
        let mut budget = Budget::new(self.bytes_max);
        let mut scans = Vec::new();
        let mut owners = Vec::new();
        let mut answer_now = at_once || now.mono >= self.deadline || self.topics.is_empty();
        let mut bytes = 0;
        let mut replies = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for plan in &topic.partitions {
                match self.look_at(plan, table, &mut budget, &mut owners) {
                    Piece::Scan(owner, scan) => scans.push((owner, scan)),
                    Piece::Reply(reply) => {
                        answer_now |= reply.error != ErrorCode::None || reply.diverging.is_some();
                        bytes += reply
                            .records
                            .iter()
                            .map(crate::effect::Part::len)
                            .sum::<u64>();
                        partitions.push(reply);
                    }
                }
            }
            replies.push(TopicReply {
                name: topic.name.clone(),
                id: topic.id,
                partitions,
            });
        }
        if !scans.is_empty() {
            return Look::Scanning(scans);
        }
        if answer_now || bytes >= self.bytes_min {
            let none = ErrorCode::None;
            return Look::Answer(encode(self.version, self.correlation_id, none, 0, replies));
        }
        Look::Park(owners)
    }

    /// A partition's files could not be read while its batch was looked for.
    pub fn on_read_failed(&mut self, owner: OwnerId) {
        self.unreadable.insert(owner);
    }

    fn look_at(
        &self,
        plan: &PartitionPlan,
        table: &mut Table,
        budget: &mut Budget,
        owners: &mut Vec<OwnerId>,
    ) -> Piece {
        let failed = |error| Piece::Reply(PartitionReply::failed(plan.index, error));
        let id = match plan.topic {
            Ok(id) => id,
            Err(error) => return failed(error),
        };
        let Some(owner) = table.find(id, PartitionIndex(plan.index)) else {
            return failed(ErrorCode::UnknownTopicOrPartition);
        };
        let Some(tenant) = table.get_mut(owner) else {
            return failed(ErrorCode::UnknownTopicOrPartition);
        };
        let partition = &mut tenant.partition;
        if !partition.is_online() || self.unreadable.contains(&owner) {
            return failed(storage_error(self.version));
        }
        owners.push(owner);
        if let Some(error) = fenced(plan.current_leader_epoch, partition.leader_epoch()) {
            return failed(error);
        }
        let mut reply = PartitionReply {
            high_watermark: partition.high_watermark(),
            last_stable_offset: partition.high_watermark(),
            log_start_offset: partition.log_start(),
            aborted_list: self.read_committed,
            ..PartitionReply::failed(plan.index, ErrorCode::None)
        };
        if plan.last_fetched_epoch.0 >= 0 {
            match partition.end_offset_for_epoch(plan.last_fetched_epoch) {
                None => return failed(ErrorCode::OffsetOutOfRange),
                Some((epoch, end)) => {
                    if epoch < plan.last_fetched_epoch || end < plan.offset {
                        reply.diverging = Some((epoch, end));
                        return Piece::Reply(reply);
                    }
                }
            }
        }
        let spec = ReadSpec {
            offset: plan.offset,
            bytes_max: budget.share(plan.bytes_max),
            at_least_one_batch: budget.at_least_one_batch(),
            upper_bound: partition.high_watermark(),
        };
        match partition.plan_read(&spec, &mut tenant.disk) {
            ReadPlan::Parts { parts, bytes } => {
                budget.take(u64::from(bytes));
                reply.records = parts;
                Piece::Reply(reply)
            }
            ReadPlan::NeedScan(scan) => Piece::Scan(owner, scan),
            ReadPlan::Empty => Piece::Reply(reply),
            ReadPlan::OutOfRange => failed(ErrorCode::OffsetOutOfRange),
        }
    }
}

fn find_topic(image: &Image, version: i16, id: TopicId, name: &str) -> Result<TopicId, ErrorCode> {
    if version >= 13 {
        return if image.topics.contains_key(&id) {
            Ok(id)
        } else {
            Err(ErrorCode::UnknownTopicId)
        };
    }
    let known = image.topics_by_name.get(name).copied();
    known.ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Fetchers up to v5 do not know the storage error (rule 3.16).
fn storage_error(version: i16) -> ErrorCode {
    if version <= 5 {
        ErrorCode::NotLeaderOrFollower
    } else {
        ErrorCode::KafkaStorageError
    }
}
