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
//! The owners of the partitions read (`fetch::Portion`); here a request is taken apart and its answer put together.
//!
//! *One owner*: it decides by itself when to answer, and its answer is the client's.
//! *Several*: the own core's partitions only announce what they have and are read last, in the step that sends the answer, since
//! memory that was not lent is named only as long as nothing else happens. Other owners answer as soon as they have anything (if
//! the client waits for no more than a byte) or announce as well. When it is enough all are told to hand over what they have.
//!
//! Deliberately absent: fetches of followers (answered NOT_LEADER_OR_FOLLOWER), preferred replicas, record bytes.
//! Source: `ReplicaManager.fetchMessages`, `DelayedFetch`, `FetchSession`; rules 3.1–3.21 as measured on 4.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition as WirePartition;

use super::context::Owners;
use super::k01_fetch_reply::{PartitionReply, TopicReply, encode};
use crate::ask::{FetchAsk, FetchPartition, FetchedPartition, Follow, Place};
use crate::effect::Gather;
use crate::types::{
    CoreId, ErrorCode, LeaderEpoch, Millis, Monotonic, Now, Offset, PartitionIndex, TopicId,
};

/// What a fetch is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// The partitions of this broker.
    pub owners: Owners<'a>,
    /// The core that puts the answer together.
    pub own: CoreId,
    /// `fetch.max.bytes`.
    pub bytes_max: u64,
    /// Nothing is waited for.
    pub at_once: bool,
}

/// A fetch request on its way.
#[derive(Debug)]
pub struct Fetch {
    version: i16,
    correlation_id: i32,
    own: CoreId,
    bytes_min: u64,
    bytes_max: u64,
    /// When it is answered with what is there.
    pub deadline: Monotonic,
    read_committed: bool,
    refused: Option<ErrorCode>,
    topics: Vec<TopicReply>,
    owners: BTreeMap<CoreId, Owner>,
    taking: bool,
}

/// What is known of one owner.
#[derive(Debug)]
enum Owner {
    /// It was asked. It has announced so many bytes so far, and now waits for our word if `said`.
    Waiting { bytes: u64, said: bool },
    /// It was told to hand over what it has.
    Taken,
    /// It has answered.
    Done,
}

/// What to do after something was heard.
#[derive(Debug)]
pub enum Next {
    /// Tell the owners this, and wait.
    Tell(Vec<(CoreId, Follow)>),
    /// Everything is here: [`Fetch::reply`].
    Reply,
}

impl Fetch {
    /// Takes a request in: what to ask of whom.
    #[must_use]
    pub fn new(
        cx: &Context<'_>,
        version: i16,
        correlation_id: i32,
        request: FetchRequest,
    ) -> (Self, BTreeMap<CoreId, FetchAsk>) {
        let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let bytes_max = u64::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(cx.bytes_max);
        let mut fetch = Self {
            version,
            correlation_id,
            own: cx.own,
            bytes_min: u64::try_from(request.min_bytes).unwrap_or(0).min(bytes_max),
            bytes_max,
            deadline: cx.now.mono.after(Millis(wait)),
            read_committed: request.isolation_level == 1,
            refused: None,
            topics: Vec::with_capacity(request.topics.len()),
            owners: BTreeMap::new(),
            taking: false,
        };
        if request.session_id != 0 {
            // No session was ever handed out.
            fetch.refused = Some(ErrorCode::FetchSessionIdNotFound);
            return (fetch, BTreeMap::new());
        }
        let parts = fetch.take_apart(cx, request);
        let failed = fetch.topics.iter().flat_map(|t| &t.partitions);
        let any_failed = failed.clone().any(|p| p.error != ErrorCode::None);
        if any_failed || cx.at_once || fetch.bytes_min == 0 {
            fetch.deadline = cx.now.mono;
        }
        let asks = fetch.asks(cx.now, parts);
        (fetch, asks)
    }

    /// Fills `topics` with one reply per partition and returns what to read of whom.
    fn take_apart(
        &mut self,
        cx: &Context<'_>,
        request: FetchRequest,
    ) -> BTreeMap<CoreId, Vec<FetchPartition>> {
        let replica = if self.version >= 15 {
            request.replica_state.replica_id
        } else {
            request.replica_id
        };
        let follower = replica.0 >= 0;
        // The same partition twice: the last one counts and there is one answer (measured on 4.2).
        let mut places: BTreeMap<(TopicId, Arc<str>, i32), Place> = BTreeMap::new();
        let mut wanted: BTreeMap<Place, (CoreId, FetchPartition)> = BTreeMap::new();
        for topic in request.topics {
            let id = TopicId(*topic.topic_id.as_bytes());
            let name: Arc<str> = topic.topic.as_str().into();
            let found = if follower {
                Err(ErrorCode::NotLeaderOrFollower)
            } else {
                find_topic(&cx.owners, self.version, id, &name)
            };
            let at = self.topics.len();
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let index = asked.partition;
                let key = (id, name.clone(), index);
                let place = *places.entry(key).or_insert(Place {
                    topic: at,
                    partition: partitions.len(),
                });
                let (error, want) = match plan(cx, found, place, &asked) {
                    Ok(want) => (ErrorCode::None, Some(want)),
                    Err(error) => (error, None),
                };
                match want {
                    Some(want) => wanted.insert(place, want),
                    None => wanted.remove(&place),
                };
                let reply = PartitionReply::failed(index, error);
                if place.topic < at {
                    self.topics[place.topic].partitions[place.partition] = reply;
                } else if place.partition < partitions.len() {
                    partitions[place.partition] = reply;
                } else {
                    partitions.push(reply);
                }
            }
            if !partitions.is_empty() {
                self.topics.push(TopicReply {
                    name,
                    id,
                    partitions,
                });
            }
        }
        let mut parts: BTreeMap<CoreId, Vec<FetchPartition>> = BTreeMap::new();
        for (core, partition) in wanted.into_values() {
            parts.entry(core).or_default().push(partition);
        }
        parts
    }

    fn asks(
        &mut self,
        now: Now,
        parts: BTreeMap<CoreId, Vec<FetchPartition>>,
    ) -> BTreeMap<CoreId, FetchAsk> {
        let several = parts.len() > 1;
        self.taking = several && now.mono >= self.deadline;
        let mut asks = BTreeMap::new();
        for (core, partitions) in parts {
            let own = core == self.own;
            // Of several, each is heard of as soon as it has anything: only the sum says whether it is enough.
            let bytes_min = if several {
                self.bytes_min.min(1)
            } else {
                self.bytes_min
            };
            let ask = FetchAsk {
                bytes_max: self.bytes_max,
                bytes_min,
                announce: several && (own || (self.bytes_min > 1 && !self.taking)),
                deadline: self.deadline,
                partitions,
            };
            asks.insert(core, ask);
            let owner = if self.taking && !own {
                Owner::Taken
            } else {
                Owner::Waiting {
                    bytes: 0,
                    said: false,
                }
            };
            self.owners.insert(core, owner);
        }
        asks
    }

    /// True if the request's own deadline is to be watched: a single owner watches it.
    #[must_use]
    pub fn has_deadline(&self) -> bool {
        self.owners.len() > 1
    }

    /// An owner announces what it has.
    pub fn on_ready(&mut self, core: CoreId, bytes: u64, urgent: bool) {
        self.taking |= urgent;
        if let Some(owner @ Owner::Waiting { .. }) = self.owners.get_mut(&core) {
            *owner = Owner::Waiting { bytes, said: true };
        }
    }

    /// An owner has answered. Whatever the reason, it is time to answer the client.
    pub fn on_answer(&mut self, core: CoreId, fetched: Vec<FetchedPartition>) {
        self.taking = true;
        self.owners.insert(core, Owner::Done);
        for one in fetched {
            let topic = self.topics.get_mut(one.place.topic);
            let slot = topic.and_then(|t| t.partitions.get_mut(one.place.partition));
            if let Some(reply) = slot {
                fill(reply, self.version, self.read_committed, one);
            }
        }
    }

    /// Time is up, or the broker stops: the client is answered with what is there.
    pub fn take(&mut self) {
        self.taking = true;
    }

    /// What to do now.
    pub fn advance(&mut self) -> Next {
        let announced: u64 = self.owners.values().map(Owner::announced).sum();
        // Nothing announced is no reason, even if nothing is the least that is wanted: then the deadline has passed already.
        self.taking |= announced > 0 && announced >= self.bytes_min;
        let mut tell = Vec::new();
        let mut others_left = false;
        for (core, owner) in &mut self.owners {
            if *core == self.own {
                continue;
            }
            others_left |= !matches!(owner, Owner::Done);
            tell.extend(owner.tell(self.taking).map(|follow| (*core, follow)));
        }
        // The own core's are read last, in the step that answers.
        if !(self.taking && others_left)
            && let Some(owner) = self.owners.get_mut(&self.own)
        {
            tell.extend(owner.tell(self.taking).map(|follow| (self.own, follow)));
        }
        let all_done = self.owners.values().all(|o| matches!(o, Owner::Done));
        if all_done {
            Next::Reply
        } else {
            Next::Tell(tell)
        }
    }

    /// Owners that have not answered yet.
    pub fn unanswered(&self) -> impl Iterator<Item = CoreId> + '_ {
        let left = self.owners.iter();
        left.filter(|(_, o)| !matches!(o, Owner::Done))
            .map(|(core, _)| *core)
    }

    /// The answer.
    #[must_use]
    pub fn reply(mut self) -> Gather {
        if let Some(error) = self.refused {
            return encode(self.version, self.correlation_id, error, 0, Vec::new());
        }
        self.keep_within_bytes_max();
        let none = ErrorCode::None;
        encode(self.version, self.correlation_id, none, 0, self.topics)
    }

    /// Several owners may have given more than the client takes: what does not fit is left out and asked for again. The first
    /// partition with data stays, however large.
    fn keep_within_bytes_max(&mut self) {
        let mut left = self.bytes_max;
        let mut any = false;
        for reply in self.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            let bytes: u64 = reply.records.iter().map(crate::effect::Part::len).sum();
            if any && bytes > left {
                reply.records.clear();
            } else {
                left = left.saturating_sub(bytes);
                any |= bytes > 0;
            }
        }
    }
}

impl Owner {
    fn announced(&self) -> u64 {
        match self {
            Self::Waiting { bytes, .. } => *bytes,
            Self::Taken | Self::Done => 0,
        }
    }

    /// What to tell it now, if anything.
    fn tell(&mut self, taking: bool) -> Option<Follow> {
        match *self {
            Self::Waiting { .. } if taking => {
                *self = Self::Taken;
                Some(Follow::Take)
            }
            Self::Waiting { bytes, said: true } => {
                *self = Self::Waiting { bytes, said: false };
                Some(Follow::Wait { bytes })
            }
            Self::Waiting { .. } | Self::Taken | Self::Done => None,
        }
    }
}

fn plan(
    cx: &Context<'_>,
    topic: Result<TopicId, ErrorCode>,
    place: Place,
    asked: &WirePartition,
) -> Result<(CoreId, FetchPartition), ErrorCode> {
    let topic = topic?;
    let partition = PartitionIndex(asked.partition);
    let core = cx
        .owners
        .find(topic, partition)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = FetchPartition {
        place,
        topic,
        partition,
        offset: Offset(asked.fetch_offset),
        bytes_max: u64::try_from(asked.partition_max_bytes).unwrap_or(0),
        current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
    };
    Ok((core, partition))
}

fn find_topic(
    owners: &Owners<'_>,
    version: i16,
    id: TopicId,
    name: &str,
) -> Result<TopicId, ErrorCode> {
    if version >= 13 {
        return if owners.image.topics.contains_key(&id) {
            Ok(id)
        } else {
            Err(ErrorCode::UnknownTopicId)
        };
    }
    owners
        .topic_id(name)
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn fill(reply: &mut PartitionReply, version: i16, read_committed: bool, one: FetchedPartition) {
    if one.error != ErrorCode::None {
        *reply = PartitionReply::failed(reply.index, of_version(version, one.error));
        return;
    }
    *reply = PartitionReply {
        index: reply.index,
        error: ErrorCode::None,
        high_watermark: one.high_watermark,
        last_stable_offset: one.last_stable_offset,
        log_start_offset: one.log_start,
        diverging: one.diverging,
        aborted_list: read_committed,
        records: one.records,
    };
}

/// Fetchers up to v5 do not know the storage error (rule 3.16).
fn of_version(version: i16, error: ErrorCode) -> ErrorCode {
    if version <= 5 && error == ErrorCode::KafkaStorageError {
        ErrorCode::NotLeaderOrFollower
    } else {
        error
    }
}

#[cfg(test)]
mod tests;
