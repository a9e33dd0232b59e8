//! Frames of real clients and of Apache Kafka 4.2.0 (`tests/golden/frames`, recorded by `capture.py` there):
//! every request that we serve passes the guard, is decoded whole and encodes to the same bytes; Kafka's
//! answers encode to the same bytes again, those to Produce and Fetch by our own encoders.
//!
//! Absent: what we would answer, which depends on the broker's state; `tests/broker` asks that.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fmt::Debug;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use onrush_core::api::{k00_produce_reply, k01_fetch_reply};
use onrush_core::effect::{Gather, Part};
use onrush_core::types::{ErrorCode, Offset, TopicId, WallMillis};
use onrush_core::wire::frame;
use onrush_core::wire::guard::{self, Fitness};
use onrush_testkit::fixtures::{self, Exchange};

fn exchanges() -> Vec<Exchange> {
    fixtures::exchanges(env!("CARGO_MANIFEST_DIR"))
}

/// True if we serve this API in this version. ListOffsets 11 alone is above what the crate carries.
fn is_served(exchange: &Exchange) -> bool {
    let served = frame::parse(exchange.request.clone()).is_ok();
    assert!(
        served || (exchange.key, exchange.version) == (2, 11),
        "{} is not served",
        exchange.name
    );
    served
}

/// Calls a function generic over the request type with the type of the exchange's API.
macro_rules! for_api {
    ($exchange:expr, $function:ident) => {
        match $exchange.key {
            0 => $function::<m::ProduceRequest>($exchange),
            1 => $function::<m::FetchRequest>($exchange),
            2 => $function::<m::ListOffsetsRequest>($exchange),
            3 => $function::<m::MetadataRequest>($exchange),
            8 => $function::<m::OffsetCommitRequest>($exchange),
            9 => $function::<m::OffsetFetchRequest>($exchange),
            10 => $function::<m::FindCoordinatorRequest>($exchange),
            11 => $function::<m::JoinGroupRequest>($exchange),
            12 => $function::<m::HeartbeatRequest>($exchange),
            13 => $function::<m::LeaveGroupRequest>($exchange),
            14 => $function::<m::SyncGroupRequest>($exchange),
            15 => $function::<m::DescribeGroupsRequest>($exchange),
            16 => $function::<m::ListGroupsRequest>($exchange),
            18 => $function::<m::ApiVersionsRequest>($exchange),
            19 => $function::<m::CreateTopicsRequest>($exchange),
            20 => $function::<m::DeleteTopicsRequest>($exchange),
            22 => $function::<m::InitProducerIdRequest>($exchange),
            32 => $function::<m::DescribeConfigsRequest>($exchange),
            42 => $function::<m::DeleteGroupsRequest>($exchange),
            47 => $function::<m::OffsetDeleteRequest>($exchange),
            60 => $function::<m::DescribeClusterRequest>($exchange),
            75 => $function::<m::DescribeTopicPartitionsRequest>($exchange),
            other => panic!("{}: no API {other} here", $exchange.name),
        }
    };
}

fn check_request<R: Request + Debug>(exchange: &Exchange) {
    let (header, body) = frame::parse(exchange.request.clone()).unwrap();
    assert_eq!(header.version, exchange.version, "{}", exchange.name);
    let fitness = guard::check(exchange.key, exchange.version, &body);
    let whole = Fitness::Plain {
        consumed: body.len(),
    };
    assert_eq!(fitness, Ok(whole), "{}", exchange.name);
    let request: R = guard::decode_request(exchange.version, body.clone()).unwrap();
    let mut encoded = BytesMut::new();
    request.encode(&mut encoded, exchange.version).unwrap();
    assert_eq!(encoded, body, "{}: {request:?}", exchange.name);
}

/// The answer's body as the crate understands it, and what of the frame stands before it.
fn decode_response<R: Request>(exchange: &Exchange) -> Option<(Bytes, R::Response)> {
    let frame = exchange.response.clone()?;
    let mut rest = frame.clone();
    let header_version = R::Response::header_version(exchange.version);
    m::ResponseHeader::decode(&mut rest, header_version).unwrap();
    let head = frame.slice(..frame.len() - rest.len());
    let response = R::Response::decode(&mut rest, exchange.version).unwrap();
    assert!(!rest.has_remaining(), "{}", exchange.name);
    Some((head, response))
}

fn check_response<R: Request>(exchange: &Exchange)
where
    R::Response: Debug,
{
    let Some((head, response)) = decode_response::<R>(exchange) else {
        return;
    };
    let mut encoded = BytesMut::from(&head[..]);
    response.encode(&mut encoded, exchange.version).unwrap();
    assert_eq!(
        encoded,
        exchange.response.clone().unwrap(),
        "{}",
        exchange.name
    );
}

#[test]
fn requests_pass_the_guard_and_are_decoded_whole() {
    let served: Vec<Exchange> = exchanges().into_iter().filter(is_served).collect();
    for exchange in &served {
        for_api!(exchange, check_request);
    }
    let kinds: BTreeSet<(i16, i16)> = served.iter().map(|e| (e.key, e.version)).collect();
    println!(
        "{} requests, {} kinds: {kinds:?}",
        served.len(),
        kinds.len()
    );
    assert!(kinds.len() >= 40);
}

#[test]
fn answers_of_kafka_encode_to_the_same_bytes() {
    for exchange in exchanges().iter().filter(|e| is_served(e)) {
        for_api!(exchange, check_response);
    }
}

/// A frame from its parts, without its length.
fn joined(gather: &Gather) -> Bytes {
    let mut frame = BytesMut::new();
    for part in &gather.parts {
        match part {
            Part::Head(bytes) => frame.extend_from_slice(bytes),
            other => panic!("a part of a file: {other:?}"),
        }
    }
    let length = frame.get_u32();
    assert_eq!(usize::try_from(length).unwrap(), frame.len());
    frame.freeze()
}

#[test]
fn produce_replies_are_encoded_as_kafka_does() {
    let mut checked = 0;
    for exchange in exchanges().iter().filter(|e| e.key == 0) {
        let Some((head, response)) = decode_response::<m::ProduceRequest>(exchange) else {
            continue;
        };
        let topics: Vec<_> = response.responses.iter().map(produced_topic).collect();
        let correlation_id = i32::from_be_bytes(head[..4].try_into().unwrap());
        let ours = k00_produce_reply::encode(exchange.version, correlation_id, &topics);
        assert_eq!(
            joined(&ours),
            exchange.response.clone().unwrap(),
            "{}",
            exchange.name
        );
        checked += 1;
    }
    assert!(checked >= 5);
}

fn produced_topic(
    topic: &m::produce_response::TopicProduceResponse,
) -> k00_produce_reply::TopicReply {
    let partitions = topic.partition_responses.iter().map(|partition| {
        assert_eq!(partition.error_code, 0);
        k00_produce_reply::PartitionReply {
            index: partition.index,
            error: ErrorCode::None,
            base_offset: Offset(partition.base_offset),
            log_append_time: WallMillis(partition.log_append_time_ms),
            log_start_offset: Offset(partition.log_start_offset),
            record_errors: Vec::new(),
            message: None,
        }
    });
    k00_produce_reply::TopicReply {
        name: topic.name.as_str().into(),
        id: TopicId(topic.topic_id.as_u128().to_be_bytes()),
        partitions: partitions.collect(),
    }
}

#[test]
fn fetch_replies_are_encoded_as_kafka_does() {
    let mut checked = 0;
    for exchange in exchanges().iter().filter(|e| e.key == 1) {
        let Some((head, response)) = decode_response::<m::FetchRequest>(exchange) else {
            continue;
        };
        let topics: Vec<_> = response.responses.iter().map(fetched_topic).collect();
        let correlation_id = i32::from_be_bytes(head[..4].try_into().unwrap());
        assert_eq!(response.error_code, 0);
        let session = response.session_id;
        let version = exchange.version;
        let error = ErrorCode::None;
        let ours = k01_fetch_reply::encode(version, correlation_id, error, session, topics);
        assert_eq!(
            joined(&ours),
            exchange.response.clone().unwrap(),
            "{}",
            exchange.name
        );
        checked += 1;
    }
    assert!(checked >= 5);
}

fn fetched_topic(topic: &m::fetch_response::FetchableTopicResponse) -> k01_fetch_reply::TopicReply {
    let partitions = topic.partitions.iter().map(|partition| {
        assert_eq!(partition.error_code, 0);
        let records = partition.records.clone().unwrap_or_default();
        k01_fetch_reply::PartitionReply {
            index: partition.partition_index,
            error: ErrorCode::None,
            high_watermark: Offset(partition.high_watermark),
            last_stable_offset: Offset(partition.last_stable_offset),
            log_start_offset: Offset(partition.log_start_offset),
            diverging: None,
            aborted_list: partition.aborted_transactions.is_some(),
            records: vec![Part::Head(records)],
        }
    });
    k01_fetch_reply::TopicReply {
        name: topic.topic.as_str().into(),
        id: TopicId(topic.topic_id.as_u128().to_be_bytes()),
        partitions: partitions.collect(),
    }
}
