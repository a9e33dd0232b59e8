//! The part of a fetch that one owner serves.
//!
//! It is looked at as a whole each time something may have changed: [`Portion::look`] plans a read of each partition in the order of
//! the request within the byte budget and says whether to answer, to wait for the disk to find a batch, or to wait for new
//! data. Looking moves no data: parts name bytes, the edge sends them.
//!
//! Two ways: a portion that is told to *answer* does so when it has enough; one that is told to *announce* says how much it has,
//! once, and keeps its data until it is told to hand it over. The second is for requests of several owners, where only all of
//! them together know whether it is enough.
//!
//! Source: `ReplicaManager.fetchMessages`, `DelayedFetch`; rules 3.1–3.21 as measured on 4.2.

use std::collections::BTreeSet;

use super::fencing::fenced;
use super::{Budget, find};
use crate::ask::{FetchAsk, FetchPartition, FetchedPartition, Follow};
use crate::log::{ReadPlan, ReadSpec, ScanId};
use crate::partition::Table;
use crate::types::{ErrorCode, LeaderEpoch, Monotonic, Now, OwnerId};

/// What to do after a look.
#[derive(Debug)]
pub enum Look {
    /// Answer with this; the portion is done.
    Answer(Vec<FetchedPartition>),
    /// Say that there is so much, and then wait to be told.
    Ready {
        /// Bytes there are.
        bytes: u64,
        /// Something else is to be told at once.
        urgent: bool,
    },
    /// Wait until these scans are done, then look again.
    Scanning(Vec<(OwnerId, ScanId)>),
    /// Wait until one of these partitions' high watermarks moves, or the deadline.
    Park(Vec<OwnerId>),
    /// Wait to be told: what there is was said already.
    Idle,
}

/// A fetch on its owner.
#[derive(Debug)]
pub struct Portion {
    ask: FetchAsk,
    state: State,
    /// Partitions whose files could not be read.
    unreadable: BTreeSet<OwnerId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Answers by itself.
    Answering,
    /// Speaks when there are so many bytes.
    Announcing(u64),
    /// Has spoken.
    Announced,
    /// Answers with what is there.
    Taken,
}

/// What one partition adds to an answer.
enum Piece {
    Fetched(FetchedPartition),
    Scan(OwnerId, ScanId),
}

impl Portion {
    /// Takes an ask in.
    #[must_use]
    pub fn new(ask: FetchAsk) -> Self {
        let state = if ask.announce {
            State::Announcing(ask.bytes_min)
        } else {
            State::Answering
        };
        Self {
            ask,
            state,
            unreadable: BTreeSet::new(),
        }
    }

    /// When it is to be looked at even if nothing happened; what announces waits to be told.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        (self.state == State::Answering).then_some(self.ask.deadline)
    }

    /// Something else was said about it: look again. A dropped one asks for nothing any more.
    pub fn follow(&mut self, follow: Follow) {
        match follow {
            Follow::Take => self.state = State::Taken,
            Follow::Wait { bytes } => {
                if self.state == State::Announced {
                    self.state = State::Announcing(bytes.saturating_add(1));
                }
            }
            Follow::Drop => {
                self.ask.partitions.clear();
                self.state = State::Taken;
            }
        }
    }

    /// A partition's files could not be read while its batch was looked for.
    pub fn on_read_failed(&mut self, owner: OwnerId) {
        self.unreadable.insert(owner);
    }

    /// Plans the answer from the partitions as they are now. With `at_once` nothing is waited for.
    pub fn look(&mut self, now: Now, table: &mut Table, at_once: bool) -> Look {
        if self.state == State::Announced && !at_once {
            return Look::Idle;
        }
        let mut budget = Budget::new(self.ask.bytes_max);
        let mut scans = Vec::new();
        let mut owners = Vec::new();
        let mut urgent = at_once;
        let mut bytes = 0;
        let mut fetched = Vec::with_capacity(self.ask.partitions.len());
        for partition in &self.ask.partitions {
            match self.look_at(partition, table, &mut budget, &mut owners) {
                Piece::Scan(owner, scan) => scans.push((owner, scan)),
                Piece::Fetched(one) => {
                    urgent |= one.error != ErrorCode::None || one.diverging.is_some();
                    bytes += one.bytes();
                    fetched.push(one);
                }
            }
        }
        if !scans.is_empty() {
            return Look::Scanning(scans);
        }
        match self.state {
            State::Taken => Look::Answer(fetched),
            State::Answering => {
                let enough = bytes >= self.ask.bytes_min || now.mono >= self.ask.deadline;
                if urgent || enough {
                    Look::Answer(fetched)
                } else {
                    Look::Park(owners)
                }
            }
            State::Announcing(bytes_min) => {
                if urgent || bytes >= bytes_min {
                    self.state = State::Announced;
                    Look::Ready { bytes, urgent }
                } else {
                    Look::Park(owners)
                }
            }
            State::Announced => Look::Idle,
        }
    }

    fn look_at(
        &self,
        asked: &FetchPartition,
        table: &mut Table,
        budget: &mut Budget,
        owners: &mut Vec<OwnerId>,
    ) -> Piece {
        let failed = |error| Piece::Fetched(FetchedPartition::failed(asked.place, error));
        let owner = match find(table, asked.topic, asked.partition) {
            Ok((owner, _)) if self.unreadable.contains(&owner) => {
                return failed(ErrorCode::KafkaStorageError);
            }
            Ok((owner, _)) => owner,
            Err(error) => return failed(error),
        };
        let Some(tenant) = table.get_mut(owner) else {
            return failed(ErrorCode::UnknownTopicOrPartition);
        };
        let partition = &mut tenant.partition;
        owners.push(owner);
        if let Some(error) = fenced(asked.current_leader_epoch, partition.leader_epoch()) {
            return failed(error);
        }
        let mut fetched = FetchedPartition {
            high_watermark: partition.high_watermark(),
            last_stable_offset: partition.high_watermark(),
            log_start: partition.log_start(),
            ..FetchedPartition::failed(asked.place, ErrorCode::None)
        };
        if asked.last_fetched_epoch > LeaderEpoch::NONE {
            match partition.end_offset_for_epoch(asked.last_fetched_epoch) {
                None => return failed(ErrorCode::OffsetOutOfRange),
                Some((epoch, end)) => {
                    if epoch < asked.last_fetched_epoch || end < asked.offset {
                        fetched.diverging = Some((epoch, end));
                        return Piece::Fetched(fetched);
                    }
                }
            }
        }
        let spec = ReadSpec {
            offset: asked.offset,
            bytes_max: budget.share(asked.bytes_max),
            at_least_one_batch: budget.at_least_one_batch(),
            upper_bound: partition.high_watermark(),
        };
        match partition.plan_read(&spec, &mut tenant.disk) {
            ReadPlan::Parts { parts, bytes } => {
                budget.take(u64::from(bytes));
                fetched.records = parts;
                Piece::Fetched(fetched)
            }
            ReadPlan::NeedScan(scan) => Piece::Scan(owner, scan),
            ReadPlan::Empty => Piece::Fetched(fetched),
            ReadPlan::OutOfRange => failed(ErrorCode::OffsetOutOfRange),
        }
    }
}
