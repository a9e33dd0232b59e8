//! Requests as words of a script.
//!
//! | request | options and their defaults |
//! |---|---|
//! | `produce t-0:a,b t-1:c` | `v=9 acks=-1 timeout=1000 codec= pid= epoch=0 seq=0 client=test` |
//! | `fetch t-0@0 t-1@5` | `v=11 min=1 wait=0 max=1000000 pmax=1000000 epoch=-1 last=-1 session=0 replica=-1 committed=0` |
//! | `list t-0@-1` | `v=7 epoch=-1` |
//! | `epochs t-0@5` (the epoch asked for) | `v=4 epoch=-1` |
//! | `versions` | `v=3` |
//! | about groups | see `group_words` |
//! | `raw 0012…` | a whole frame in hexadecimal |
//!
//! A record is its value, `x*500` is 500 times x, `a@7` has timestamp 7 (otherwise the time when scripts begin). Instead of records: `null`, `none` (no bytes), `broken` (a bit is
//! flipped), `twice` (two batches), `bomb` (1 MB of records in a few KB).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, RequestHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use uuid::Uuid;

use super::script::WALL;
use crate::metadata::Image;
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::build::BatchBuilder;
use crate::wire::codec::Codec;
use crate::wire::versions;

/// What is needed to read an answer.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    /// Names of the topics asked for, by id.
    pub(super) names: BTreeMap<Uuid, String>,
}

/// A request's words, sorted.
pub(super) struct Words<'a> {
    pub(super) items: Vec<&'a str>,
    pub(super) options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let is_option =
            |word: &&str| word.contains('=') && !word.contains(':') && !word.contains('@');
        let (options, items) = text.split_whitespace().partition(is_option);
        let options: Vec<&str> = options;
        let options = options.into_iter().filter_map(|word| word.split_once('='));
        Self {
            items,
            options: options.collect(),
        }
    }

    pub(super) fn get<T: TryFrom<i64>>(&self, key: &str, default: i64) -> T {
        let number = self.options.get(key).map_or(default, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{key}={text}: a number"))
        });
        T::try_from(number)
            .ok()
            .unwrap_or_else(|| panic!("{key}={number} is out of range"))
    }

    /// Partitions with what follows them, by topic, in the order of the words.
    fn topics(&self, separator: char) -> Vec<(&'a str, Vec<(i32, &'a str)>)> {
        let mut topics: Vec<(&str, Vec<(i32, &str)>)> = Vec::new();
        for item in &self.items {
            let (partition, rest) = item.split_once(separator).expect("a partition and more");
            let (topic, index) = partition.rsplit_once('-').expect("topic-partition");
            let entry = (index.parse().expect("a partition's index"), rest);
            match topics.last_mut().filter(|(name, _)| *name == topic) {
                Some((_, partitions)) => partitions.push(entry),
                None => topics.push((topic, vec![entry])),
            }
        }
        topics
    }
}

/// Encodes a request; `None` is due for one that has no answer.
pub(super) fn encode(text: &str, correlation_id: i32, image: &Image) -> (Bytes, Option<Due>) {
    let (api, rest) = text.split_once(' ').unwrap_or((text, ""));
    let words = Words::new(rest);
    let encoder = Encoder {
        words: &words,
        correlation_id,
        image,
    };
    match api {
        "produce" => encoder.produce(),
        "fetch" => encoder.fetch(),
        "list" => encoder.list(),
        "epochs" => encoder.epochs(),
        "versions" => {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str("script"))
                .with_client_software_version(StrBytes::from_static_str("1"));
            let version = words.get("v", 3);
            encoder.frame(versions::API_VERSIONS, version, version.min(4), &request)
        }
        "raw" => (unhex(rest), None),
        other => super::group_words::encode(other, &encoder),
    }
}

pub(super) struct Encoder<'a> {
    pub(super) words: &'a Words<'a>,
    correlation_id: i32,
    image: &'a Image,
}

impl Encoder<'_> {
    /// `as_version` is how the body is encoded, where the version itself cannot be.
    pub(super) fn frame(
        &self,
        api_key: i16,
        version: i16,
        as_version: i16,
        body: &impl Encodable,
    ) -> (Bytes, Option<Due>) {
        let client = self.words.options.get("client").copied().unwrap_or("test");
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_string(client.to_string())));
        let api = versions::find(api_key).expect("served");
        let mut frame = BytesMut::new();
        let encoded = header.encode(&mut frame, api.request_header_version(version));
        encoded.expect("a header can be encoded");
        body.encode(&mut frame, as_version)
            .expect("the script asks for what the version has");
        let topics = self.words.items.iter();
        let topics = topics.filter_map(|item| item.split_once([':', '@']));
        let names = topics.filter_map(|(partition, _)| partition.rsplit_once('-'));
        let due = Due {
            api_key,
            version,
            correlation_id: self.correlation_id,
            names: names
                .map(|(name, _)| (self.id(name), name.into()))
                .collect(),
        };
        (frame.freeze(), Some(due))
    }

    fn id(&self, name: &str) -> Uuid {
        let known = self.image.topics_by_name.get(name);
        Uuid::from_bytes(known.map_or([0xee; 16], |id| id.0))
    }

    fn produce(&self) -> (Bytes, Option<Due>) {
        let version = self.words.get("v", 9);
        let acks = self.words.get("acks", -1);
        let transaction = self.words.options.get("txn");
        let topics = self.words.topics(':').into_iter().map(|(name, given)| {
            let partitions = given.into_iter().map(|(index, records)| {
                PartitionProduceData::default()
                    .with_index(index)
                    .with_records(self.records(records))
            });
            let topic = TopicProduceData::default().with_partition_data(partitions.collect());
            if version >= 13 {
                topic.with_topic_id(self.id(name))
            } else {
                topic.with_name(topic_name(name))
            }
        });
        let request = ProduceRequest::default()
            .with_transactional_id(
                transaction.map(|id| TransactionalId(StrBytes::from_string((*id).to_string()))),
            )
            .with_acks(acks)
            .with_timeout_ms(self.words.get("timeout", 1000))
            .with_topic_data(topics.collect());
        let (frame, due) = self.frame(versions::PRODUCE, version, version, &request);
        (frame, due.filter(|_| acks != 0))
    }

    fn records(&self, text: &str) -> Option<Bytes> {
        Some(match text {
            "null" => return None,
            "none" => Bytes::new(),
            "broken" => {
                let mut batch = BytesMut::from(&self.batch(&["a"])[..]);
                *batch.last_mut()? ^= 1;
                batch.freeze()
            }
            "twice" => [self.batch(&["a"]), self.batch(&["b"])].concat().into(),
            "bomb" => self.batch(&["z*1000"; 1000]),
            values => self.batch(&values.split(',').collect::<Vec<_>>()),
        })
    }

    fn batch(&self, values: &[&str]) -> Bytes {
        let words = self.words;
        let mut builder = BatchBuilder::new();
        builder.codec(match words.options.get("codec").copied() {
            Some("gzip") => Codec::Gzip,
            Some("lz4") => Codec::Lz4,
            Some("snappy") => Codec::Snappy,
            Some("zstd") => Codec::Zstd,
            _ => Codec::None,
        });
        if words.options.contains_key("pid") {
            let id = ProducerId(words.get("pid", 0));
            let epoch = ProducerEpoch(words.get("epoch", 0));
            builder.producer(id, epoch, words.get("seq", 0));
        }
        if words.options.contains_key("txn") {
            builder.transactional();
        }
        for value in values {
            let (value, timestamp) = value.split_once('@').unwrap_or((value, ""));
            let timestamp = timestamp.parse().unwrap_or(WALL);
            builder.push(timestamp, None, Some(expand(value).as_bytes()), &[]);
        }
        builder.build()
    }

    fn fetch(&self) -> (Bytes, Option<Due>) {
        let words = self.words;
        let version = words.get("v", 11);
        let topics = words.topics('@').into_iter().map(|(name, given)| {
            let partitions = given.into_iter().map(|(index, offset)| {
                let partition = FetchPartition::default()
                    .with_partition(index)
                    .with_fetch_offset(offset.parse().expect("an offset"))
                    .with_partition_max_bytes(words.get("pmax", 1_000_000));
                if version < 9 {
                    return partition;
                }
                let partition = partition.with_current_leader_epoch(words.get("epoch", -1));
                if version < 12 {
                    return partition;
                }
                partition.with_last_fetched_epoch(words.get("last", -1))
            });
            let topic = FetchTopic::default().with_partitions(partitions.collect());
            if version >= 13 {
                topic.with_topic_id(self.id(name))
            } else {
                topic.with_topic(topic_name(name))
            }
        });
        let replica = BrokerId(words.get("replica", -1));
        let request = FetchRequest::default()
            .with_max_wait_ms(words.get("wait", 0))
            .with_min_bytes(words.get("min", 1))
            .with_max_bytes(words.get("max", 1_000_000))
            .with_isolation_level(words.get("committed", 0))
            .with_session_id(words.get("session", 0))
            .with_session_epoch(-1)
            .with_topics(topics.collect());
        let request = if version >= 15 {
            request.with_replica_state(ReplicaState::default().with_replica_id(replica))
        } else {
            request.with_replica_id(replica)
        };
        self.frame(versions::FETCH, version, version, &request)
    }

    fn list(&self) -> (Bytes, Option<Due>) {
        let version = self.words.get("v", 7);
        let topics = self.words.topics('@').into_iter().map(|(name, given)| {
            let partitions = given.into_iter().map(|(index, timestamp)| {
                ListOffsetsPartition::default()
                    .with_partition_index(index)
                    .with_current_leader_epoch(self.words.get("epoch", -1))
                    .with_timestamp(timestamp.parse().expect("a timestamp"))
            });
            ListOffsetsTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions.collect())
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(topics.collect());
        self.frame(versions::LIST_OFFSETS, version, version, &request)
    }

    fn epochs(&self) -> (Bytes, Option<Due>) {
        let version = self.words.get("v", 4);
        let topics = self.words.topics('@').into_iter().map(|(name, given)| {
            let partitions = given.into_iter().map(|(index, epoch)| {
                OffsetForLeaderPartition::default()
                    .with_partition(index)
                    .with_current_leader_epoch(self.words.get("epoch", -1))
                    .with_leader_epoch(epoch.parse().expect("an epoch"))
            });
            OffsetForLeaderTopic::default()
                .with_topic(topic_name(name))
                .with_partitions(partitions.collect())
        });
        let request = OffsetForLeaderEpochRequest::default().with_topics(topics.collect());
        self.frame(
            versions::OFFSET_FOR_LEADER_EPOCH,
            version,
            version,
            &request,
        )
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_string()))
}

/// `x*3` is `xxx`.
fn expand(value: &str) -> String {
    match value.split_once('*') {
        Some((letter, count)) => letter.repeat(count.parse().expect("how many")),
        None => value.to_string(),
    }
}

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let mut bytes = BytesMut::new();
    for pair in digits.chunks_exact(2) {
        bytes.put_u8(u8::try_from(pair[0] * 16 + pair[1]).expect("two digits"));
    }
    bytes.freeze()
}
