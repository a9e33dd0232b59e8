//! The world and its clients against a small broker in memory, honest or lying in one way: what the checkers are worth.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    FetchRequest, FetchResponse, InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, ProducerId, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use onrush_core::effect::{Effect, Gather, Note};
use onrush_core::input::CoreMsg;
use onrush_core::types::CoreId;
use uuid::Uuid;

use super::*;

/// How a broker may lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lie {
    #[default]
    None,
    ForgetsABatch,
    WritesARepeatAgain,
    FlipsABit,
    ForgetsATopic,
    HidesTheEnd,
}

#[derive(Debug, Default)]
struct Log {
    batches: Vec<(i64, Bytes)>,
    end: i64,
    seen: BTreeMap<(i64, i32), i64>,
}

#[derive(Debug, Default)]
struct Store {
    lie: Lie,
    topics: BTreeMap<TopicName, (Uuid, i32)>,
    logs: BTreeMap<(Uuid, i32), Log>,
    made: u128,
    starts: u32,
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

/// Knows how many shards there are.
struct FakeCtl(u16);
struct FakeShard;

impl Machine for FakeCtl {
    fn step(&mut self, _: Now, input: Input, out: &mut Effects) {
        if matches!(input, Input::Stop) {
            out.extend((1..=self.0).map(|core| Effect::Mesh {
                core: CoreId(core),
                msg: CoreMsg::Stop,
            }));
            out.push(Effect::Stopped);
        }
    }
}

impl Machine for FakeShard {
    fn step(&mut self, _: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Start => out.push(Effect::Note(Note::Ready)),
            Input::Mesh { .. } => out.push(Effect::Stopped),
            Input::Frame { conn, frame } => {
                out.push(Effect::ReadNext { conn });
                if let Some(bytes) = STORE.with_borrow_mut(|store| store.answer(frame)) {
                    let gather = Gather::from_bytes(bytes);
                    out.push(Effect::Send { conn, gather });
                }
            }
            _ => {}
        }
    }
}

fn reply<R: Encodable + HeaderVersion>(header: &RequestHeader, response: &R) -> Bytes {
    let version = header.request_api_version;
    let mut body = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(header.correlation_id)
        .encode(&mut body, R::header_version(version))
        .unwrap();
    response.encode(&mut body, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.put_slice(&body);
    frame.freeze()
}

impl Log {
    /// Offset and timestamp of the first record that is as late.
    fn find(&self, wanted: i64) -> Option<(i64, i64)> {
        let batches = self.batches.iter();
        let mut records = batches
            .flat_map(|(_, bytes)| crate::batch::decode(bytes.clone()).unwrap_or_default())
            .flat_map(|batch| (batch.base_offset..).zip(batch.records));
        let found = records.find(|(_, record)| record.timestamp >= wanted);
        found.map(|(offset, record)| (offset, record.timestamp))
    }
}

impl Store {
    fn answer(&mut self, mut frame: Bytes) -> Option<Bytes> {
        let key = ApiKey::try_from(i16::from_be_bytes([frame[0], frame[1]])).unwrap();
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let header =
            RequestHeader::decode(&mut frame, key.request_header_version(version)).unwrap();
        let bytes = match key {
            ApiKey::InitProducerId => {
                self.made += 1;
                let id = i64::try_from(self.made).unwrap();
                let response = InitProducerIdResponse::default().with_producer_id(ProducerId(id));
                reply(&header, &response.with_producer_epoch(0))
            }
            ApiKey::Produce => {
                let request = ProduceRequest::decode(&mut frame, version).unwrap();
                let response = self.produce(&request);
                if request.acks == 0 {
                    return None;
                }
                reply(&header, &response)
            }
            ApiKey::Fetch => {
                let request = FetchRequest::decode(&mut frame, version).unwrap();
                reply(&header, &self.fetch(&request))
            }
            ApiKey::ListOffsets => {
                let request = ListOffsetsRequest::decode(&mut frame, version).unwrap();
                reply(&header, &self.list_offsets(&request))
            }
            ApiKey::Metadata => {
                let request = MetadataRequest::decode(&mut frame, version).unwrap();
                reply(&header, &self.metadata(&request))
            }
            ApiKey::CreateTopics => {
                let request = CreateTopicsRequest::decode(&mut frame, version).unwrap();
                self.made += 1;
                let topic = &request.topics[0];
                let entry = (Uuid::from_u128(self.made), topic.num_partitions);
                self.topics.insert(topic.name.clone(), entry);
                let result = CreatableTopicResult::default().with_name(topic.name.clone());
                let response = CreateTopicsResponse::default().with_topics(vec![result]);
                reply(&header, &response)
            }
            ApiKey::DeleteTopics => {
                let request = DeleteTopicsRequest::decode(&mut frame, version).unwrap();
                let by_state = request.topics.first();
                let id = by_state.map_or(Uuid::nil(), |t| t.topic_id);
                let name = by_state.and_then(|t| t.name.clone());
                let name = name.or(request.topic_names.first().cloned());
                self.topics
                    .retain(|n, t| t.0 != id && name.as_ref() != Some(n));
                let result =
                    DeletableTopicResult::default().with_name(name.or(Some(TopicName::default())));
                reply(
                    &header,
                    &DeleteTopicsResponse::default().with_responses(vec![result]),
                )
            }
            other => panic!("no client asks {other:?}"),
        };
        Some(bytes)
    }

    fn find(&self, name: &TopicName, id: Uuid) -> Option<Uuid> {
        let mut topics = self.topics.iter();
        let found = topics.find(|(n, t)| *n == name || t.0 == id);
        found.map(|(_, t)| t.0)
    }

    fn produce(&mut self, request: &ProduceRequest) -> ProduceResponse {
        let mut responses = Vec::new();
        for topic in &request.topic_data {
            let id = self.find(&topic.name, topic.topic_id);
            let mut parts = Vec::new();
            for part in &topic.partition_data {
                let answer = PartitionProduceResponse::default().with_index(part.index);
                parts.push(match id {
                    None => answer.with_error_code(3),
                    Some(id) => {
                        let batch = part.records.clone().unwrap();
                        answer.with_base_offset(self.append(id, part.index, &batch))
                    }
                });
            }
            responses.push(
                TopicProduceResponse::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partition_responses(parts),
            );
        }
        ProduceResponse::default().with_responses(responses)
    }

    fn append(&mut self, id: Uuid, index: i32, batch: &Bytes) -> i64 {
        let log = self.logs.entry((id, index)).or_default();
        let mut fields = batch.slice(43..);
        let (producer, _, sequence, count) = (
            fields.get_i64(),
            fields.get_i16(),
            fields.get_i32(),
            fields.get_i32(),
        );
        if producer >= 0
            && self.lie != Lie::WritesARepeatAgain
            && let Some(&offset) = log.seen.get(&(producer, sequence))
        {
            return offset;
        }
        let base = log.end;
        log.end += i64::from(count);
        log.seen.insert((producer, sequence), base);
        let mut bytes = BytesMut::from(&batch[..]);
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[12..16].copy_from_slice(&0i32.to_be_bytes());
        if self.lie == Lie::FlipsABit && base > 20 {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        log.batches.push((base, bytes.freeze()));
        base
    }

    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let mut responses = Vec::new();
        for topic in &request.topics {
            let id = self.find(&topic.topic, topic.topic_id);
            let mut parts = Vec::new();
            for part in &topic.partitions {
                let answer = PartitionData::default().with_partition_index(part.partition);
                let Some(id) = id else {
                    parts.push(answer.with_error_code(3));
                    continue;
                };
                let log = self.logs.get(&(id, part.partition));
                let end = log.map_or(0, |log| log.end);
                let mut bytes = BytesMut::new();
                for (index, (base, batch)) in log.iter().flat_map(|l| l.batches.iter().enumerate())
                {
                    let next = log
                        .and_then(|l| l.batches.get(index + 1))
                        .map_or(end, |b| b.0);
                    if next > part.fetch_offset && *base < end {
                        bytes.extend_from_slice(batch);
                    }
                }
                let keep = bytes.len().min(1 << 20);
                parts.push(
                    answer
                        .with_high_watermark(end)
                        .with_last_stable_offset(end)
                        .with_records(Some(bytes.freeze().slice(..keep))),
                );
            }
            responses.push(
                FetchableTopicResponse::default()
                    .with_topic(topic.topic.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(parts),
            );
        }
        FetchResponse::default().with_responses(responses)
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topic = &request.topics[0];
        let part = &topic.partitions[0];
        let id = self.find(&topic.name, Uuid::nil());
        let log = id.and_then(|id| self.logs.get(&(id, part.partition_index)));
        let end = log.map_or(0, |log| log.end);
        let lies = self.lie == Lie::HidesTheEnd && end > 10;
        let (offset, timestamp) = match part.timestamp {
            -1 => (if lies { end - 2 } else { end }, -1),
            -2 => (0, -1),
            wanted => log.and_then(|log| log.find(wanted)).unwrap_or((-1, -1)),
        };
        let answer = ListOffsetsPartitionResponse::default()
            .with_partition_index(part.partition_index)
            .with_timestamp(timestamp)
            .with_offset(offset);
        ListOffsetsResponse::default().with_topics(vec![
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(vec![answer]),
        ])
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let asked = request.topics.iter().flatten();
        let topics = asked.map(|asked| {
            let name = asked.name.clone().unwrap_or_default();
            let answer = MetadataResponseTopic::default().with_name(Some(name.clone()));
            match self.topics.get(&name) {
                None => answer.with_error_code(3),
                Some(&(id, partitions)) => {
                    let parts = (0..partitions)
                        .map(|p| MetadataResponsePartition::default().with_partition_index(p));
                    answer.with_topic_id(id).with_partitions(parts.collect())
                }
            }
        });
        MetadataResponse::default().with_topics(topics.collect())
    }
}

/// A process of the fake broker; what it lies about, it forgets at a start.
fn boot(_: [u8; 16], shards: u16) -> Machines {
    STORE.with_borrow_mut(|store| {
        store.starts += 1;
        if store.starts > 2 && store.lie == Lie::ForgetsABatch {
            for log in store.logs.values_mut() {
                if let Some((base, _)) = log.batches.pop() {
                    log.end = base;
                }
            }
        }
        if store.starts > 2 && store.lie == Lie::ForgetsATopic {
            store.topics.pop_first();
        }
    });
    let mut machines: Machines = vec![Box::new(FakeCtl(shards))];
    machines.extend((0..shards).map(|_| Box::new(FakeShard) as Box<dyn Machine>));
    machines
}

fn run(seed: u64, lie: Lie) -> Result<Report, String> {
    STORE.set(Store {
        lie,
        ..Store::default()
    });
    World::without_groups(seed, boot).run()
}

#[test]
fn an_honest_broker_passes_and_a_seed_repeats_itself() {
    for seed in 0..10 {
        let report = run(seed, Lie::None).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(report.operations >= 500, "seed {seed}: {report:?}");
        assert!(report.faults >= 3, "seed {seed}: {report:?}");
        assert!(
            report.acked > 100 && report.served > 100,
            "seed {seed}: {report:?}"
        );
        assert_eq!(Ok(report), run(seed, Lie::None), "seed {seed}");
    }
}

#[test]
fn every_lie_is_found() {
    let lies = [
        Lie::ForgetsABatch,
        Lie::WritesARepeatAgain,
        Lie::FlipsABit,
        Lie::ForgetsATopic,
        Lie::HidesTheEnd,
    ];
    for lie in lies {
        let found = (0..10).find(|&seed| run(seed, lie).is_err());
        assert!(found.is_some(), "{lie:?} is not found");
    }
}
