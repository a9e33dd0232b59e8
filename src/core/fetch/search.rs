//! The search for offsets on one owner: its part of ListOffsets.
//!
//! A search by time reads one batch and looks for the record in it, in bounded steps.
//! Source: KIP-79, KIP-734, `UnifiedLog.fetchOffsetByTimestamp`; measured on 4.2: the exact record inside a batch, -1 and -1 with
//! error 0 when there is none.

use bytes::Bytes;

use super::fencing::fenced;
use super::find;
use crate::ask::{FoundOffset, OffsetAsk, OffsetTarget};
use crate::log::{ReadId, TimeQuery};
use crate::partition::{Partition, Table};
use crate::types::{ErrorCode, LeaderEpoch, Offset, OwnerId};
use crate::wire::batch::BatchHeader;
use crate::wire::find_record::{FindError, FindRecord, FindStep};

/// Searches of one ask.
#[derive(Debug)]
pub struct OffsetSearch {
    plans: Vec<Plan>,
}

#[derive(Debug)]
struct Plan {
    state: State,
    found: FoundOffset,
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
    Answer(Vec<FoundOffset>),
    /// Call again in a later step.
    More,
    /// Wait for these reads.
    Reading(Vec<(OwnerId, ReadId)>),
}

impl OffsetSearch {
    /// Takes an ask in; what needs no search is found here.
    #[must_use]
    pub fn new(table: &Table, asks: &[OffsetAsk]) -> Self {
        Self {
            plans: asks.iter().map(|ask| plan(table, ask)).collect(),
        }
    }

    /// Goes on for about `budget` bytes of records.
    pub fn step(&mut self, table: &mut Table, budget: usize) -> Step {
        let mut reading = Vec::new();
        let mut left = budget;
        for plan in &mut self.plans {
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
            Step::Answer(self.plans.iter().map(|plan| plan.found).collect())
        } else {
            Step::Reading(reading)
        }
    }

    /// A batch that was asked for is there, or why it is not.
    pub fn on_read(&mut self, owner: OwnerId, read: ReadId, batch: Result<&Bytes, ErrorCode>) {
        for plan in &mut self.plans {
            if let State::Reading(at, id, query) = plan.state
                && (at, id) == (owner, read)
            {
                plan.on_read(owner, query, batch);
            }
        }
    }
}

/// How far one partition came.
enum Moved {
    On,
    More,
    Waits(OwnerId, ReadId),
    Done,
}

impl Plan {
    fn step(&mut self, table: &mut Table, budget: usize) -> Moved {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Done => Moved::Done,
            State::Reading(owner, read, query) => {
                self.state = State::Reading(owner, read, query);
                Moved::Waits(owner, read)
            }
            State::Seek(owner, query) => {
                let Some(tenant) = table.get_mut(owner).filter(|t| t.partition.is_online()) else {
                    self.found.error = ErrorCode::UnknownTopicOrPartition;
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
                    self.found.offset = found.offset;
                    self.found.timestamp = found.timestamp;
                    let epoch = table.get(owner).and_then(|p| p.epoch_at(found.offset));
                    self.found.leader_epoch = epoch.unwrap_or(LeaderEpoch::NONE);
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
                    self.found.error = ErrorCode::CorruptMessage;
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
                self.found.error = error;
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
            _ => self.found.error = ErrorCode::CorruptMessage,
        }
    }
}

fn plan(table: &Table, ask: &OffsetAsk) -> Plan {
    let found = FoundOffset {
        place: ask.place,
        error: ErrorCode::None,
        timestamp: -1,
        offset: Offset::NONE,
        leader_epoch: LeaderEpoch::NONE,
    };
    let failed = |error| Plan {
        state: State::Done,
        found: FoundOffset { error, ..found },
    };
    let (owner, partition) = match find(table, ask.topic, ask.partition) {
        Ok(here) => here,
        Err(error) => return failed(error),
    };
    if let Some(error) = fenced(ask.current_leader_epoch, partition.leader_epoch()) {
        return failed(error);
    }
    at_known_place(owner, partition, ask.target, found)
}

fn at_known_place(
    owner: OwnerId,
    partition: &Partition,
    target: OffsetTarget,
    found: FoundOffset,
) -> Plan {
    let from = partition.log_start();
    let known = |offset, epoch: Option<LeaderEpoch>| Plan {
        state: State::Done,
        found: FoundOffset {
            offset,
            leader_epoch: epoch.unwrap_or(LeaderEpoch::NONE),
            ..found
        },
    };
    let seek = |query| Plan {
        state: State::Seek(owner, query),
        found,
    };
    match target {
        OffsetTarget::Latest => known(partition.high_watermark(), Some(partition.leader_epoch())),
        OffsetTarget::Earliest => known(from, partition.epoch_at(from)),
        OffsetTarget::LatestTiered => known(Offset::NONE, None),
        OffsetTarget::MaxTimestamp => seek(TimeQuery::Max),
        OffsetTarget::AtLeast(timestamp) => seek(TimeQuery::AtLeast { timestamp, from }),
    }
}
