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
//! every record), *ask* (one message to each owner core, whose order is the order of the log: the connection's next request may
//! come), *wait* (for the owners' answers, which come when every batch is as safe as the durability promise says).
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

use super::context::Owners;
use super::k00_produce_reply::{PartitionReply, TopicReply, encode};
use crate::ask::{AppendAsk, AppendBatch, AppendOutcome, AppendResult, Place};
use crate::effect::Gather;
use crate::metadata::topic_config::TopicConfigs;
use crate::partition::{AppendError, Appended};
use crate::types::limits;
use crate::types::{
    CoreId, ErrorCode, Millis, Monotonic, Now, Offset, PartitionIndex, TopicId, WallMillis,
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
    /// The records are being looked at.
    Check(Owned, Box<Validator>),
    /// To be appended.
    Checked(Owned, Box<Prepared>),
    /// Refused, and the answer names the log's start, which its owner knows.
    Refused(Owned),
    /// Its owner was asked.
    Asked,
    Done,
}

/// Which partition a batch is for, and whose that is.
#[derive(Clone, Copy, Debug)]
struct Owned {
    core: CoreId,
    topic: TopicId,
    partition: PartitionIndex,
}

/// What the request is judged by.
#[derive(Debug)]
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// The partitions of this broker.
    pub owners: Owners<'a>,
    /// The configs in force, by topic.
    pub configs: &'a BTreeMap<TopicId, TopicConfigs>,
    /// As in the request's header.
    pub client_id: Option<&'a str>,
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
            let State::Check(owned, validator) = &mut plan.state else {
                continue;
            };
            let owned = *owned;
            if left == 0 {
                return false;
            }
            match validator.step(left) {
                Step::More => return false,
                Step::Done(Ok(prepared)) => {
                    left = left.saturating_sub(prepared.body.len());
                    plan.state = State::Checked(owned, Box::new(prepared));
                }
                Step::Done(Err(reject)) => plan.refuse(owned, &reject),
            }
        }
        true
    }

    /// What to ask of whom, once everything is checked: one ask per owner, batches in the order of the request.
    pub fn asks(&mut self) -> BTreeMap<CoreId, AppendAsk> {
        let wait = !self.is_silent();
        let mut asks: BTreeMap<CoreId, AppendAsk> = BTreeMap::new();
        for (place, plan) in places(&mut self.topics) {
            let (owned, batch) = match std::mem::replace(&mut plan.state, State::Asked) {
                State::Checked(owned, prepared) => (owned, Some(prepared)),
                State::Refused(owned) => (owned, None),
                other => {
                    plan.state = other;
                    continue;
                }
            };
            let batches = Vec::new();
            let ask = asks.entry(owned.core);
            let ask = ask.or_insert(AppendAsk { wait, batches });
            ask.batches.push(AppendBatch {
                place,
                topic: owned.topic,
                partition: owned.partition,
                batch,
            });
        }
        self.waiting = asks.len();
        asks
    }

    /// An owner has answered. True when nothing is waited for any more.
    pub fn on_answer(&mut self, outcomes: Vec<AppendOutcome>) -> bool {
        self.waiting = self.waiting.saturating_sub(1);
        for outcome in outcomes {
            let topic = self.topics.get_mut(outcome.place.topic);
            let plan = topic.and_then(|t| t.partitions.get_mut(outcome.place.partition));
            if let Some(plan) = plan
                && matches!(plan.state, State::Asked)
            {
                plan.state = State::Done;
                fill_outcome(&mut plan.reply, &outcome);
            }
        }
        self.waiting == 0
    }

    /// The request's time is up: what is not safe yet is answered so; its data stays.
    pub fn on_deadline(&mut self) {
        for plan in self.topics.iter_mut().flat_map(|t| &mut t.partitions) {
            if let State::Asked = plan.state {
                plan.state = State::Done;
                // One that was refused anyway stays so.
                if plan.reply.error == ErrorCode::None {
                    lose(&mut plan.reply, ErrorCode::RequestTimedOut);
                }
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
}

impl PartitionPlan {
    /// The batch is not appended; if the answer names the log's start its owner is asked for it.
    fn refuse(&mut self, owned: Owned, reject: &Reject) {
        let late = fill_reject(&mut self.reply, reject);
        self.state = if late {
            State::Refused(owned)
        } else {
            State::Done
        };
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
        let topic = cx.owners.image.topics.get(&id);
        let internal = topic.is_some_and(|t| INTERNAL_TOPICS.contains(&&*t.name));
        return Found {
            id: topic.map(|t| t.id).ok_or(ErrorCode::UnknownTopicId),
            internal,
        };
    }
    let known = cx.owners.topic_id(name);
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
    let partition = PartitionIndex(given.index);
    let Some(core) = cx.owners.find(id, partition) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, None);
    };
    let owned = Owned {
        core,
        topic: id,
        partition,
    };
    if !matches!(given.acks, -1..=1) {
        return refuse(ErrorCode::InvalidRequiredAcks, None);
    }
    if found.internal && cx.client_id != Some(ADMIN_CLIENT_ID) {
        return refuse(ErrorCode::InvalidTopicException, None);
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
    let mut plan = PartitionPlan {
        state: State::Done,
        reply: PartitionReply::failed(given.index, ErrorCode::None),
    };
    let batch = match single_batch(&records, given.version) {
        Ok(batch) => batch,
        Err(reject) => {
            plan.refuse(owned, &reject);
            return plan;
        }
    };
    if BatchHeader::decode(&batch).is_ok_and(|header| header.is_transactional()) {
        return refuse(
            transactional_error(given.version, given.transactional),
            None,
        );
    }
    let validator = Box::new(Validator::new(batch, rules(config, cx.now)));
    plan.state = State::Check(owned, validator);
    plan
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

/// The one place where a rejected batch becomes a code. True if the answer names the log's start: Kafka does so only where it had
/// looked at the log before it refused (measured on 4.2).
fn fill_reject(reply: &mut PartitionReply, reject: &Reject) -> bool {
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
    if let Reject::Records(records) = reject {
        reply.message = Some(records.to_string());
        let entries = records.errors.iter();
        reply.record_errors = entries
            .map(|e| (e.batch_index, e.fault.to_string()))
            .collect();
    }
    late
}

fn fill_outcome(reply: &mut PartitionReply, outcome: &AppendOutcome) {
    match &outcome.result {
        AppendResult::Appended(appended) => fill_appended(reply, appended),
        AppendResult::Nothing => reply.log_start_offset = outcome.log_start,
        AppendResult::Refused(error) => fill_append_error(reply, outcome.log_start, error),
        AppendResult::Lost(error) => lose(reply, *error),
    }
}

fn fill_appended(reply: &mut PartitionReply, appended: &Appended) {
    reply.base_offset = appended.base_offset;
    reply.log_append_time = WallMillis(appended.log_append_time);
    reply.log_start_offset = appended.log_start;
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
            let late = fill_reject(&mut reply, reject);
            (reply.error, late)
        };
        let undecodable = (ErrorCode::UnknownServerError, true);
        assert_eq!(answer(&Reject::InnerOffsets), undecodable);
        let no_batch = (ErrorCode::InvalidRecord, false);
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
