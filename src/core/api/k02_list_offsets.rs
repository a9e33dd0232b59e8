//! ListOffsets (key 2), versions 1–10.
//!
//! | version | change |
//! |---|---|
//! | 2 | isolation level |
//! | 4 | leader epochs |
//! | 6 | flexible |
//! | 7 | -3: the record with the largest timestamp |
//! | 8 | -4: the first local offset |
//! | 9 | -5: the last offset in tiered storage (there is none: -1) |
//! | 10 | timeout_ms for tiered storage, without effect here |
//!
//! A search by time reads one batch and looks for the record in it, in bounded steps.
//! Gaps: version 11 (-6) is not carried by the protocol crate.
//! Source: KIP-79, KIP-734, `UnifiedLog.fetchOffsetByTimestamp`; MEASURED on 4.2: the exact record inside a batch, -1 and -1 with
//! error 0 when there is none.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

use super::fencing::fenced;
use crate::log::{ReadId, TimeQuery};
use crate::metadata::Image;
use crate::partition::{Partition, Table};
use crate::types::{ErrorCode, LeaderEpoch, Offset, OwnerId, PartitionIndex, TopicId};
use crate::wire::batch::BatchHeader;
use crate::wire::find_record::{FindError, FindRecord, FindStep};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// A request on its way.
#[derive(Debug)]
pub struct ListOffsets {
    version: i16,
    topics: Vec<(TopicName, Vec<PartitionPlan>)>,
}

#[derive(Debug)]
struct PartitionPlan {
    state: State,
    reply: ListOffsetsPartitionResponse,
}

#[derive(Debug)]
enum State {
    /// Ask the partition for the batch.
    Seek(OwnerId, TimeQuery),
    /// It is being read.
    Reading(OwnerId, ReadId, TimeQuery),
    /// Look for the record in it.
    Search(OwnerId, TimeQuery, Box<FindRecord>, Offset),
    Done,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Answer with this.
    Answer(ListOffsetsResponse),
    /// Call again in a later step.
    More,
    /// Wait for these reads.
    Reading(Vec<(OwnerId, ReadId)>),
}

impl ListOffsets {
    /// Takes a request in; what needs no search is answered here.
    #[must_use]
    pub fn new(image: &Image, table: &Table, version: i16, request: ListOffsetsRequest) -> Self {
        let mut seen: BTreeMap<(TopicName, i32), u32> = BTreeMap::new();
        for topic in &request.topics {
            for p in &topic.partitions {
                *seen
                    .entry((topic.name.clone(), p.partition_index))
                    .or_default() += 1;
            }
        }
        let topics = request.topics.into_iter().map(|topic| {
            let id = image.topics_by_name.get(topic.name.as_str()).copied();
            let plans = topic.partitions.iter().map(|asked| {
                let key = (topic.name.clone(), asked.partition_index);
                if seen.get(&key).is_some_and(|&count| count > 1) {
                    return PartitionPlan::failed(asked, ErrorCode::InvalidRequest);
                }
                plan(id, table, version, asked)
            });
            let plans = plans.collect();
            (topic.name, plans)
        });
        Self {
            version,
            topics: topics.collect(),
        }
    }

    /// Goes on for about `budget` bytes of records.
    pub fn step(&mut self, table: &mut Table, budget: usize) -> Step {
        let mut reading = Vec::new();
        let mut left = budget;
        for plan in self.topics.iter_mut().flat_map(|(_, plans)| plans) {
            loop {
                match plan.step(table, left) {
                    Moved::On => left = left.saturating_sub(budget / 16),
                    Moved::More => return Step::More,
                    Moved::Waits(owner, read) => {
                        reading.push((owner, read));
                        break;
                    }
                    Moved::Done => break,
                }
                if left == 0 {
                    return Step::More;
                }
            }
        }
        if reading.is_empty() {
            Step::Answer(self.answer())
        } else {
            Step::Reading(reading)
        }
    }

    /// A batch that was asked for is there, or why it is not.
    pub fn on_read(&mut self, owner: OwnerId, read: ReadId, batch: Result<&Bytes, ErrorCode>) {
        for plan in self.topics.iter_mut().flat_map(|(_, plans)| plans) {
            if let State::Reading(at, id, query) = plan.state
                && (at, id) == (owner, read)
            {
                plan.on_read(owner, query, batch);
            }
        }
    }

    fn answer(&mut self) -> ListOffsetsResponse {
        let version = self.version;
        let topics = std::mem::take(&mut self.topics)
            .into_iter()
            .map(|(name, plans)| {
                let replies = plans.into_iter().map(|plan| {
                    let reply = plan.reply;
                    // The crate refuses a field that the version lacks.
                    if version < 4 {
                        reply.with_leader_epoch(-1)
                    } else {
                        reply
                    }
                });
                let replies = replies.collect();
                ListOffsetsTopicResponse::default()
                    .with_name(name)
                    .with_partitions(replies)
            });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

/// How far one partition came.
enum Moved {
    On,
    More,
    Waits(OwnerId, ReadId),
    Done,
}

impl PartitionPlan {
    fn empty(asked: &ListOffsetsPartition) -> ListOffsetsPartitionResponse {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(asked.partition_index)
            .with_timestamp(-1)
            .with_offset(-1)
            .with_leader_epoch(-1)
    }

    fn failed(asked: &ListOffsetsPartition, error: ErrorCode) -> Self {
        let reply = Self::empty(asked).with_error_code(error.code());
        Self {
            state: State::Done,
            reply,
        }
    }

    fn step(&mut self, table: &mut Table, budget: usize) -> Moved {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Done => Moved::Done,
            State::Reading(owner, read, query) => {
                self.state = State::Reading(owner, read, query);
                Moved::Waits(owner, read)
            }
            State::Seek(owner, query) => {
                let Some(tenant) = table.get_mut(owner).filter(|t| t.partition.is_online()) else {
                    self.reply.error_code = ErrorCode::UnknownTopicOrPartition.code();
                    return Moved::Done;
                };
                let Some(read) = tenant.partition.find_time(query, &mut tenant.disk) else {
                    return Moved::Done;
                };
                self.state = State::Reading(owner, read, query);
                Moved::Waits(owner, read)
            }
            State::Search(owner, query, mut find, next) => match find.step(budget) {
                Ok(FindStep::More) => {
                    self.state = State::Search(owner, query, find, next);
                    Moved::More
                }
                Ok(FindStep::Done(Some(found))) => {
                    self.reply.offset = found.offset.0;
                    self.reply.timestamp = found.timestamp;
                    let epoch = table.get(owner).and_then(|p| p.epoch_at(found.offset));
                    self.reply.leader_epoch = epoch.map_or(-1, |epoch| epoch.0);
                    Moved::Done
                }
                Ok(FindStep::Done(None)) => {
                    // Every match of this batch lies below the log's start: go on behind it.
                    if let TimeQuery::AtLeast { timestamp, .. } = query {
                        let from = next;
                        self.state = State::Seek(owner, TimeQuery::AtLeast { timestamp, from });
                        return Moved::On;
                    }
                    Moved::Done
                }
                Err(FindError::Batch(_) | FindError::Records(_)) => {
                    self.reply.error_code = ErrorCode::CorruptMessage.code();
                    Moved::Done
                }
            },
        }
    }

    fn on_read(&mut self, owner: OwnerId, query: TimeQuery, batch: Result<&Bytes, ErrorCode>) {
        self.state = State::Done;
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                self.reply.error_code = error.code();
                return;
            }
        };
        if batch.is_empty() {
            return;
        }
        let find = match query {
            TimeQuery::AtLeast { timestamp, from } => {
                FindRecord::at_or_after(batch, timestamp, from)
            }
            TimeQuery::Max => FindRecord::max_timestamp(batch),
        };
        match (BatchHeader::decode(batch), find) {
            (Ok(header), Ok(find)) => {
                let next = header.next_offset();
                self.state = State::Search(owner, query, Box::new(find), next);
            }
            _ => self.reply.error_code = ErrorCode::CorruptMessage.code(),
        }
    }
}

fn plan(
    id: Option<TopicId>,
    table: &Table,
    version: i16,
    asked: &ListOffsetsPartition,
) -> PartitionPlan {
    let owner = id.and_then(|id| table.find(id, PartitionIndex(asked.partition_index)));
    let Some((owner, partition)) = owner.and_then(|o| table.get(o).map(|p| (o, p))) else {
        return PartitionPlan::failed(asked, ErrorCode::UnknownTopicOrPartition);
    };
    if !partition.is_online() {
        return PartitionPlan::failed(asked, ErrorCode::KafkaStorageError);
    }
    let theirs = LeaderEpoch(asked.current_leader_epoch);
    if let Some(error) = fenced(theirs, partition.leader_epoch()) {
        return PartitionPlan::failed(asked, error);
    }
    let lowest = match version {
        ..=6 => EARLIEST,
        7 => MAX_TIMESTAMP,
        8 => EARLIEST_LOCAL,
        _ => LATEST_TIERED,
    };
    if asked.timestamp < lowest {
        return PartitionPlan::failed(asked, ErrorCode::UnsupportedVersion);
    }
    at_known_place(owner, partition, asked)
}

fn at_known_place(
    owner: OwnerId,
    partition: &Partition,
    asked: &ListOffsetsPartition,
) -> PartitionPlan {
    let from = partition.log_start();
    let known = |offset: Offset, epoch: Option<LeaderEpoch>| PartitionPlan {
        state: State::Done,
        reply: PartitionPlan::empty(asked)
            .with_offset(offset.0)
            .with_leader_epoch(epoch.map_or(-1, |epoch| epoch.0)),
    };
    let seek = |query| PartitionPlan {
        state: State::Seek(owner, query),
        reply: PartitionPlan::empty(asked),
    };
    match asked.timestamp {
        LATEST => known(partition.high_watermark(), Some(partition.leader_epoch())),
        EARLIEST | EARLIEST_LOCAL => known(from, partition.epoch_at(from)),
        LATEST_TIERED => known(Offset::NONE, None),
        MAX_TIMESTAMP => seek(TimeQuery::Max),
        timestamp => seek(TimeQuery::AtLeast { timestamp, from }),
    }
}
