//! Answers as text: what a test is about, and nothing that is as usual.
//!
//! Produce: `t-0 at 5`, or `t-0 error 87 start 0 (message) 2: why`. Fetch: `t-0 [5:a b] hw 7`, each batch with its base offset and values,
//! `+9 bytes` for a batch that is cut, `from file` if any byte came from there. ListOffsets: `t-0 at 5 ts 7 epoch 0`.

use std::fmt::Write as _;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{
    ApiVersionsResponse, FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse,
    ProduceResponse, ResponseHeader,
};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::records::RecordBatchDecoder;
use uuid::Uuid;

use super::requests::Due;
use crate::types::limits::BATCH_PREFIX_BYTES;
use crate::wire::versions;

/// One line for each partition, or for the whole if it has none.
pub(super) fn render(due: &Due, mut frame: Bytes, from_file: bool) -> Vec<String> {
    let length = usize::try_from(frame.get_i32()).expect("a length");
    assert_eq!(length, frame.len(), "the prefix counts what follows");
    // An unknown version of ApiVersions is answered in version 0.
    let api = versions::find(due.api_key).expect("served");
    let version = if api.serves(due.version) {
        due.version
    } else {
        0
    };
    let header = ResponseHeader::decode(&mut frame, api.response_header_version(version));
    let header = header.expect("a header");
    assert_eq!(header.correlation_id, due.correlation_id, "in order");
    let texts = match due.api_key {
        versions::PRODUCE => produce(due, &decode(&mut frame, version)),
        versions::FETCH => fetch(due, decode(&mut frame, version), from_file),
        versions::LIST_OFFSETS => list(&decode(&mut frame, version)),
        versions::OFFSET_FOR_LEADER_EPOCH => epochs(&decode(&mut frame, version)),
        versions::API_VERSIONS => {
            let response: ApiVersionsResponse = decode(&mut frame, version);
            let (error, count) = (response.error_code, response.api_keys.len());
            vec![format!("versions: error {error}, {count} keys")]
        }
        _ => super::group_words::render(due, &mut frame, version),
    };
    assert!(frame.is_empty(), "nothing follows the answer");
    texts
}

pub(super) fn decode<T: Decodable>(frame: &mut Bytes, version: i16) -> T {
    T::decode(frame, version).expect("an answer can be decoded")
}

fn name<'a>(due: &'a Due, name: &'a str, id: Uuid) -> &'a str {
    if id.is_nil() { name } else { &due.names[&id] }
}

fn produce(due: &Due, response: &ProduceResponse) -> Vec<String> {
    let mut texts = Vec::new();
    for topic in &response.responses {
        let name = name(due, &topic.name, topic.topic_id);
        for p in &topic.partition_responses {
            let index = p.index;
            let mut text = if p.error_code == 0 {
                format!("{name}-{index} at {}", p.base_offset)
            } else {
                assert_eq!(p.base_offset, -1, "no offset with an error");
                let (error, start) = (p.error_code, p.log_start_offset);
                format!("{name}-{index} error {error} start {start}")
            };
            if p.log_append_time_ms != -1 {
                write!(text, " time {}", p.log_append_time_ms).expect("a String takes it");
            }
            if let Some(message) = &p.error_message {
                write!(text, " ({})", message.as_str()).expect("a String takes it");
            }
            for error in &p.record_errors {
                let why = error.batch_index_error_message.as_ref();
                let why = why.map_or("", |why| why.as_str());
                write!(text, " {}: {why}", error.batch_index).expect("a String takes it");
            }
            texts.push(text);
        }
    }
    if texts.is_empty() {
        texts.push("produced nothing".to_string());
    }
    texts
}

fn fetch(due: &Due, response: FetchResponse, from_file: bool) -> Vec<String> {
    assert_eq!(response.session_id, 0, "no session is kept");
    let mut texts = Vec::new();
    for topic in response.responses {
        let name = name(due, &topic.topic, topic.topic_id);
        for p in topic.partitions {
            let index = p.partition_index;
            if p.error_code != 0 {
                let places = [p.high_watermark, p.last_stable_offset, p.log_start_offset];
                assert_eq!(places, [-1; 3], "no places with an error");
                texts.push(format!("{name}-{index} error {}", p.error_code));
                continue;
            }
            let diverging = &p.diverging_epoch;
            if diverging.epoch != -1 {
                let (epoch, end) = (diverging.epoch, diverging.end_offset);
                texts.push(format!("{name}-{index} parts from epoch {epoch} at {end}"));
                continue;
            }
            assert_eq!(p.last_stable_offset, p.high_watermark);
            let batches = batches(p.records.unwrap_or_default());
            let mut text = format!("{name}-{index} [{batches}] hw {}", p.high_watermark);
            if from_file && !batches.is_empty() {
                text.push_str(" from file");
            }
            texts.push(text);
        }
    }
    if texts.is_empty() {
        texts.push(format!("fetched nothing, error {}", response.error_code));
    }
    texts
}

fn batches(mut records: Bytes) -> String {
    let mut texts = Vec::new();
    while !records.is_empty() {
        let length = records.get(8..BATCH_PREFIX_BYTES).map(|mut b| b.get_u32());
        let whole = length.and_then(|length| usize::try_from(length).ok());
        let whole = whole.map(|length| length + BATCH_PREFIX_BYTES);
        let Some(whole) = whole.filter(|whole| *whole <= records.len()) else {
            texts.push(format!("+{} bytes", records.len()));
            break;
        };
        let mut batch = records.split_to(whole);
        let set = RecordBatchDecoder::decode(&mut batch).expect("a stored batch is sound");
        let first = set.records.first().map_or(-1, |record| record.offset);
        let values = set.records.iter().map(|record| {
            let value = record.value.as_deref().unwrap_or_default();
            match value {
                [letter, .., _] if value.len() > 9 => {
                    format!("{}*{}", char::from(*letter), value.len())
                }
                short => String::from_utf8_lossy(short).into_owned(),
            }
        });
        let values: Vec<String> = values.collect();
        texts.push(format!("{first}:{}", values.join(" ")));
    }
    texts.join(" ")
}

fn list(response: &ListOffsetsResponse) -> Vec<String> {
    let topics = response.topics.iter();
    let texts = topics.flat_map(|topic| {
        topic.partitions.iter().map(|p| {
            let (name, index) = (topic.name.as_str(), p.partition_index);
            if p.error_code != 0 {
                assert_eq!((p.offset, p.timestamp), (-1, -1));
                return format!("{name}-{index} error {}", p.error_code);
            }
            let (at, ts, epoch) = (p.offset, p.timestamp, p.leader_epoch);
            format!("{name}-{index} at {at} ts {ts} epoch {epoch}")
        })
    });
    texts.collect()
}

fn epochs(response: &OffsetForLeaderEpochResponse) -> Vec<String> {
    let topics = response.topics.iter();
    let texts = topics.flat_map(|topic| {
        topic.partitions.iter().map(|p| {
            let (name, index) = (topic.topic.as_str(), p.partition);
            if p.error_code != 0 {
                return format!("{name}-{index} error {}", p.error_code);
            }
            format!(
                "{name}-{index} epoch {} ends {}",
                p.leader_epoch, p.end_offset
            )
        })
    });
    texts.collect()
}
