//! Produce (key 0), versions 3–13; 0–2 are advertised for old librdkafka and not served (KAFKA-18659).
//!
//! | version | change |
//! |---|---|
//! | 3 | v2 batches, transactional_id |
//! | 7 | zstd |
//! | 9 | flexible |
//! | 13 | topic ids |
//!
//! A request goes through three phases, each visible to the shard: *check* (bounded, resumable: headers, checksums,
//! every record), *append* (at once for all partitions; the order is fixed then and the connection's next request may
//! come), *wait* (for the high watermark of each partition, which is what the durability promise moves).
//!
//! acks=0 waits for nothing, and no request has less than a second to become durable: Kafka with one replica never waits.
//!
//! Deliberately absent: transactional records (InitProducerId grants no transactional id, so that none can be valid),
//! authorization, quotas.
//! Source: `ReplicaManager.appendRecords`, `KafkaApis.handleProduceRequest`, `ProduceRequest.validateRecords`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;

use super::k00_produce_reply::{PartitionReply, TopicReply, encode};
use crate::effect::Gather;
use crate::metadata::Image;
use crate::metadata::topic_config::TopicConfigs;
use crate::partition::{AppendError, Appended, Table};
use crate::types::limits;
use crate::types::{
    ErrorCode, Millis, Monotonic, Now, Offset, OwnerId, PartitionIndex, TopicId, WallMillis,
};
use crate::wire::batch::BatchHeader;
use crate::wire::validate::{
    Prepared, RecordRejects, Reject, Step, ValidateRules, Validator, single_batch,
};

/// Topics that only the broker writes; Kafka's own admin tools are let through by their client id.
const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// A produce request on its way.
#[derive(Debug)]
pub struct Produce {
    version: i16,
    correlation_id: i32,
    acks: i16,
    /// When it is answered with what is there.
    pub deadline: Monotonic,
    topics: Vec<TopicPlan>,
    waiting: usize,
}

#[derive(Debug)]
struct TopicPlan {
    name: Arc<str>,
    id: TopicId,
    partitions: Vec<PartitionPlan>,
}

#[derive(Debug)]
struct PartitionPlan {
    state: State,
    reply: PartitionReply,
}

#[derive(Debug)]
enum State {
    /// With the log's start, for the answer to a refusal.
    Check(OwnerId, Offset, Box<Validator>),
    Checked(OwnerId, Box<Prepared>),
    Wait,
    Done,
}

/// What became of one batch: where it lies and its partition's high watermark, or why not and the log's start.
pub type AppendResult = Result<(Appended, Offset), (AppendError, Offset)>;

/// What the request is judged by.
#[derive(Debug)]
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// The metadata.
    pub image: &'a Image,
    /// The partitions here.
    pub table: &'a Table,
    /// The configs in force, by topic.
    pub configs: &'a BTreeMap<TopicId, TopicConfigs>,
    /// As in the request's header.
    pub client_id: Option<&'a str>,
}

/// A partition's place in the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    topic: usize,
    partition: usize,
}

/// An appended batch that is not safe yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// Its partition.
    pub owner: OwnerId,
    /// Its last offset: safe once the high watermark lies above it.
    pub last: Offset,
    /// Where it stands in the request.
    pub place: Place,
}

impl Produce {
    /// Takes a request in: everything that can be refused without looking at records is refused here.
    #[must_use]
    pub fn new(
        cx: &Context<'_>,
        version: i16,
        correlation_id: i32,
        request: ProduceRequest,
    ) -> Self {
        // Kafka with one replica never waits, so that a client may well send 0 and expect success.
        let wait = u64::try_from(request.timeout_ms).unwrap_or(0);
        let wait = wait.max(limits::PRODUCE_WAIT_MS_MIN);
        let mut produce = Self {
            version,
            correlation_id,
            acks: request.acks,
            deadline: cx.now.mono.after(Millis(wait)),
            topics: Vec::with_capacity(request.topic_data.len()),
            waiting: 0,
        };
        let transactional = request.transactional_id.is_some();
        // The same partition twice: the last one counts and there is one answer (measured on 4.2).
        let mut places: BTreeMap<(TopicId, Arc<str>), BTreeMap<i32, usize>> = BTreeMap::new();
        for topic in request.topic_data {
            let id = TopicId(*topic.topic_id.as_bytes());
            let name: Arc<str> = topic.name.as_str().into();
            let place = places.entry((id, name.clone())).or_default();
            if place.is_empty() {
                produce.topics.push(TopicPlan {
                    name: name.clone(),
                    id,
                    partitions: Vec::new(),
                });
            }
            let found = find_topic(cx, version, id, &name);
            let Some(plan) = produce
                .topics
                .iter_mut()
                .rev()
                .find(|t| t.id == id && t.name == name)
            else {
                continue;
            };
            for partition in topic.partition_data {
                let input = Given {
                    acks: request.acks,
                    version,
                    transactional,
                    index: partition.index,
                    records: partition.records,
                };
                let entry = plan_partition(cx, &found, input);
                if let Some(&at) = place.get(&partition.index) {
                    plan.partitions[at] = entry;
                } else {
                    place.insert(partition.index, plan.partitions.len());
                    plan.partitions.push(entry);
                }
            }
        }
        produce
    }

    /// Checks records for about `budget` bytes. True when all are checked.
    pub fn check(&mut self, budget: usize) -> bool {
        let mut left = budget;
        for plan in self.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            let State::Check(owner, log_start, validator) = &mut plan.state else {
                continue;
            };
            let (owner, log_start) = (*owner, *log_start);
            if left == 0 {
                return false;
            }
            match validator.step(left) {
                Step::More => return false,
                Step::Done(Ok(prepared)) => {
                    left = left.saturating_sub(prepared.body.len());
                    plan.state = State::Checked(owner, Box::new(prepared));
                }
                Step::Done(Err(reject)) => {
                    plan.state = State::Done;
                    fill_reject(&mut plan.reply, log_start, &reject);
                }
            }
        }
        true
    }

    /// Appends everything that was checked, in the order of the request: afterwards the order is fixed. `append` is
    /// given each batch with its partition and says how far that partition is safe.
    /// Returns what has to become safe before the answer.
    pub fn append(
        &mut self,
        mut append: impl FnMut(OwnerId, Box<Prepared>) -> AppendResult,
    ) -> Vec<Wait> {
        let mut waits = Vec::new();
        for (place, plan) in places(&mut self.topics) {
            let State::Checked(owner, prepared) = std::mem::replace(&mut plan.state, State::Done)
            else {
                continue;
            };
            match append(owner, prepared) {
                Ok((appended, high_watermark)) => {
                    plan.reply.base_offset = appended.base_offset;
                    plan.reply.log_append_time = WallMillis(appended.log_append_time);
                    plan.reply.log_start_offset = appended.log_start;
                    let last = appended.last_offset;
                    if last >= high_watermark {
                        plan.state = State::Wait;
                        waits.push(Wait { owner, last, place });
                        self.waiting += 1;
                    }
                }
                Err((error, log_start)) => fill_append_error(&mut plan.reply, log_start, &error),
            }
        }
        waits
    }

    /// The batch at this place is safe. True when nothing is waited for any more.
    pub fn on_safe(&mut self, place: Place) -> bool {
        self.settle(place, None)
    }

    /// The batch at this place will never be safe: its partition went away or offline. True when nothing is waited for.
    pub fn on_lost(&mut self, place: Place, error: ErrorCode) -> bool {
        self.settle(place, Some(error))
    }

    /// The request's time is up: what is not safe yet is answered so; its data stays.
    pub fn on_deadline(&mut self) {
        for plan in self.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            if let State::Wait = plan.state {
                plan.state = State::Done;
                lose(&mut plan.reply, ErrorCode::RequestTimedOut);
            }
        }
        self.waiting = 0;
    }

    /// True when nothing is waited for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.waiting == 0
    }

    /// acks=0: there is no answer.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.acks == 0
    }

    /// True if any partition failed; with acks=0 closing the connection is the only way to say so.
    #[must_use]
    pub fn any_failed(&self) -> bool {
        let mut plans = self.topics.iter().flat_map(|t| &t.partitions);
        plans.any(|p| p.reply.error != ErrorCode::None)
    }

    /// The answer.
    #[must_use]
    pub fn reply(self) -> Gather {
        let replies: Vec<TopicReply> = self
            .topics
            .into_iter()
            // A topic named without partitions is not answered (measured on 4.2).
            .filter(|topic| !topic.partitions.is_empty())
            .map(|topic| TopicReply {
                name: topic.name,
                id: topic.id,
                partitions: topic.partitions.into_iter().map(|p| p.reply).collect(),
            })
            .collect();
        encode(self.version, self.correlation_id, &replies)
    }

    fn settle(&mut self, place: Place, error: Option<ErrorCode>) -> bool {
        let topic = self.topics.get_mut(place.topic);
        let plan = topic.and_then(|t| t.partitions.get_mut(place.partition));
        if let Some(plan) = plan
            && matches!(plan.state, State::Wait)
        {
            plan.state = State::Done;
            self.waiting -= 1;
            if let Some(error) = error {
                lose(&mut plan.reply, error);
            }
        }
        self.waiting == 0
    }
}

/// Every partition of a request with its place.
fn places(topics: &mut [TopicPlan]) -> impl Iterator<Item = (Place, &mut PartitionPlan)> {
    topics.iter_mut().enumerate().flat_map(|(topic, t)| {
        let plans = t.partitions.iter_mut().enumerate();
        plans.map(move |(partition, plan)| (Place { topic, partition }, plan))
    })
}

/// One partition of the request as given.
struct Given {
    acks: i16,
    version: i16,
    transactional: bool,
    index: i32,
    records: Option<Bytes>,
}

/// A topic as the request names it: its id here, or why it is not served.
struct Found {
    id: Result<TopicId, ErrorCode>,
    internal: bool,
}

fn find_topic(cx: &Context<'_>, version: i16, id: TopicId, name: &str) -> Found {
    if version >= 13 {
        let topic = cx.image.topics.get(&id);
        let internal = topic.is_some_and(|t| INTERNAL_TOPICS.contains(&&*t.name));
        return Found {
            id: topic.map(|t| t.id).ok_or(ErrorCode::UnknownTopicId),
            internal,
        };
    }
    let known = cx.image.topics_by_name.get(name).copied();
    Found {
        id: known.ok_or(ErrorCode::UnknownTopicOrPartition),
        internal: INTERNAL_TOPICS.contains(&name),
    }
}

/// Checks that need no look at records, in Kafka's order as far as a client can tell.
fn plan_partition(cx: &Context<'_>, found: &Found, given: Given) -> PartitionPlan {
    let refuse = |error, message: Option<&str>| PartitionPlan {
        state: State::Done,
        reply: PartitionReply {
            message: message.map(str::to_string),
            ..PartitionReply::failed(given.index, error)
        },
    };
    let id = match found.id {
        Ok(id) => id,
        Err(error) => return refuse(error, None),
    };
    let Some(owner) = cx.table.find(id, PartitionIndex(given.index)) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, None);
    };
    if !matches!(given.acks, -1..=1) {
        return refuse(ErrorCode::InvalidRequiredAcks, None);
    }
    if found.internal && cx.client_id != Some(ADMIN_CLIENT_ID) {
        return refuse(ErrorCode::InvalidTopicException, None);
    }
    let Some(partition) = cx.table.get(owner) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, None);
    };
    if !partition.is_online() {
        return refuse(ErrorCode::KafkaStorageError, None);
    }
    let Some(records) = given.records else {
        return refuse(
            ErrorCode::InvalidRecord,
            Some("the partition has no records"),
        );
    };
    let Some(config) = cx.configs.get(&id) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, None);
    };
    let mut reply = PartitionReply::failed(given.index, ErrorCode::None);
    let batch = match single_batch(&records, given.version) {
        Ok(batch) => batch,
        Err(reject) => {
            fill_reject(&mut reply, partition.log_start(), &reject);
            return PartitionPlan {
                state: State::Done,
                reply,
            };
        }
    };
    if BatchHeader::decode(&batch).is_ok_and(|header| header.is_transactional()) {
        return refuse(
            transactional_error(given.version, given.transactional),
            None,
        );
    }
    let validator = Box::new(Validator::new(batch, rules(config, cx.now)));
    PartitionPlan {
        state: State::Check(owner, partition.log_start(), validator),
        reply,
    }
}

/// What the topic says about its batches.
fn rules(config: &TopicConfigs, now: Now) -> ValidateRules {
    ValidateRules {
        compact: config.cleanup_compact,
        timestamp_type: config.timestamp_type,
        before_ms_max: i64::try_from(config.timestamp_before_max.0).unwrap_or(i64::MAX),
        after_ms_max: i64::try_from(config.timestamp_after_max.0).unwrap_or(i64::MAX),
        now: now.wall,
        message_bytes_max: u64::from(config.max_message_bytes),
    }
}

/// No producer has a transaction open here, as none can begin one (measured on 4.2 for such a producer).
fn transactional_error(version: i16, names_a_transaction: bool) -> ErrorCode {
    match (names_a_transaction, version) {
        (false, _) => ErrorCode::TransactionalIdAuthorizationFailed,
        (true, ..=10) => ErrorCode::InvalidTxnState,
        (true, 11) => ErrorCode::TransactionAbortable,
        (true, _) => ErrorCode::InvalidProducerIdMapping,
    }
}

/// The one place where a rejected batch becomes a code. Kafka names the log's start only where it had looked at the log
/// before it refused (measured on 4.2).
fn fill_reject(reply: &mut PartitionReply, log_start: Offset, reject: &Reject) {
    let (code, late) = match reject {
        Reject::NoBatch | Reject::OldMagic(_) | Reject::MoreThanOneBatch => {
            (ErrorCode::InvalidRecord, false)
        }
        Reject::ZstdTooEarly => (ErrorCode::UnsupportedCompressionType, false),
        Reject::NotABatch(_) | Reject::Checksum { .. } => (ErrorCode::CorruptMessage, false),
        Reject::TooLarge { .. } => (ErrorCode::MessageTooLarge, false),
        Reject::UnknownCodec(_) | Reject::Undecodable(_) | Reject::InnerOffsets => {
            (ErrorCode::UnknownServerError, true)
        }
        Reject::BaseOffset(_)
        | Reject::OffsetRange { .. }
        | Reject::ControlBatch
        | Reject::Sequence(_)
        | Reject::Malformed(_)
        | Reject::Records(RecordRejects {
            timestamp: false, ..
        }) => (ErrorCode::InvalidRecord, true),
        Reject::Records(RecordRejects {
            timestamp: true, ..
        }) => (ErrorCode::InvalidTimestamp, true),
    };
    reply.error = code;
    if late {
        reply.log_start_offset = log_start;
    }
    if let Reject::Records(records) = reject {
        reply.message = Some(records.to_string());
        let entries = records.errors.iter();
        reply.record_errors = entries
            .map(|e| (e.batch_index, e.fault.to_string()))
            .collect();
    }
}

/// The one place where a refused append becomes a code.
fn fill_append_error(reply: &mut PartitionReply, log_start: Offset, error: &AppendError) {
    let (code, late) = match error {
        AppendError::Offline | AppendError::NoSpace => (ErrorCode::KafkaStorageError, false),
        AppendError::Deleted => (ErrorCode::UnknownTopicOrPartition, false),
        AppendError::LargerThanSegment => (ErrorCode::RecordListTooLarge, false),
        AppendError::OutOfOrderSequence { .. } => (ErrorCode::OutOfOrderSequenceNumber, true),
        AppendError::OldProducerEpoch { .. } => (ErrorCode::InvalidProducerEpoch, true),
    };
    reply.error = code;
    reply.log_start_offset = if late { log_start } else { Offset::NONE };
    reply.message = Some(error.to_string());
}

/// An answer that promised an offset no longer does.
fn lose(reply: &mut PartitionReply, error: ErrorCode) {
    *reply = PartitionReply::failed(reply.index, error);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_log_start_once_the_log_was_looked_at() {
        let answer = |reject: &Reject| {
            let mut reply = PartitionReply::failed(0, ErrorCode::None);
            fill_reject(&mut reply, Offset(7), reject);
            (reply.error, reply.log_start_offset)
        };
        let undecodable = (ErrorCode::UnknownServerError, Offset(7));
        assert_eq!(answer(&Reject::InnerOffsets), undecodable);
        let no_batch = (ErrorCode::InvalidRecord, Offset::NONE);
        assert_eq!(answer(&Reject::NoBatch), no_batch);
    }

    #[test]
    fn a_topic_named_without_partitions_is_not_answered() {
        let plan = |name: &str, partitions| TopicPlan {
            name: name.into(),
            id: TopicId::METADATA,
            partitions,
        };
        let done = PartitionPlan {
            state: State::Done,
            reply: PartitionReply::failed(3, ErrorCode::None),
        };
        let produce = |topics| Produce {
            version: 9,
            correlation_id: 1,
            acks: -1,
            deadline: Monotonic(0),
            topics,
            waiting: 0,
        };
        let bytes = |topics| format!("{:?}", produce(topics).reply());
        let nothing = bytes(Vec::new());
        assert_eq!(bytes(vec![plan("none", Vec::new())]), nothing);
        assert_ne!(bytes(vec![plan("t", vec![done])]), nothing);
    }
}
