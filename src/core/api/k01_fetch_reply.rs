//! The Fetch reply, encoded by hand around untouched record data: heads of encoded bytes with parts of log files between.
//!
//! | version | change |
//! |---|---|
//! | 4 | last_stable_offset, aborted_transactions |
//! | 5 | log_start_offset |
//! | 7 | error_code and session_id at the top |
//! | 11 | preferred_read_replica |
//! | 12 | flexible; diverging_epoch, current_leader, snapshot_id as tags |
//! | 13 | topic ids instead of names |
//! | 16 | node_endpoints as a tag of the top level |
//!
//! Source: `FetchResponse.json`, KIP-98, KIP-227, KIP-392, KIP-516, KIP-595.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::encode::Writer;
use crate::effect::{Gather, Part};
use crate::types::{ErrorCode, LeaderEpoch, Offset, TopicId};

/// First version in the flexible form.
const FLEXIBLE_FROM: i16 = 12;

/// What to answer for one topic.
#[derive(Debug)]
pub struct TopicReply {
    /// Its name as asked, up to v12.
    pub name: Arc<str>,
    /// Its id as asked, from v13.
    pub id: TopicId,
    /// Its partitions, in the order of the request.
    pub partitions: Vec<PartitionReply>,
}

/// What to answer for one partition.
#[derive(Debug)]
pub struct PartitionReply {
    /// Its index.
    pub index: i32,
    /// Its error.
    pub error: ErrorCode,
    /// -1 on errors.
    pub high_watermark: Offset,
    /// -1 on errors.
    pub last_stable_offset: Offset,
    /// -1 on errors.
    pub log_start_offset: Offset,
    /// Where the log parted from the fetcher's, v12+.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// An empty list instead of null: for read_committed, and for unknown topics (measured on 4.2).
    pub aborted_list: bool,
    /// The records, as parts of log files in order.
    pub records: Vec<Part>,
}

impl PartitionReply {
    /// An answer without records.
    #[must_use]
    pub fn failed(index: i32, error: ErrorCode) -> Self {
        Self {
            index,
            error,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            diverging: None,
            aborted_list: matches!(
                error,
                ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId
            ),
            records: Vec::new(),
        }
    }
}

/// Encodes the whole frame, length prefix and header included. `session_id` 0: no session is kept.
#[must_use]
pub fn encode(
    version: i16,
    correlation_id: i32,
    error: ErrorCode,
    session_id: i32,
    topics: Vec<TopicReply>,
) -> Gather {
    let flexible = version >= FLEXIBLE_FROM;
    let mut w = Writer::new(flexible);
    let mut parts = Vec::new();
    w.i32(correlation_id);
    w.no_tags();
    w.i32(0); // throttle_time_ms
    if version >= 7 {
        w.i16(error.code());
        w.i32(session_id);
    }
    w.array(topics.len());
    for topic in topics {
        if version >= 13 {
            w.uuid(topic.id);
        } else {
            w.string(&topic.name);
        }
        w.array(topic.partitions.len());
        for partition in topic.partitions {
            encode_partition(version, partition, &mut w, &mut parts);
        }
        w.no_tags();
    }
    w.no_tags();
    parts.push(Part::Head(w.cut()));
    with_length(parts)
}

fn encode_partition(version: i16, p: PartitionReply, w: &mut Writer, parts: &mut Vec<Part>) {
    w.i32(p.index);
    w.i16(p.error.code());
    w.i64(p.high_watermark.0);
    w.i64(p.last_stable_offset.0);
    if version >= 5 {
        w.i64(p.log_start_offset.0);
    }
    if p.aborted_list {
        w.array(0);
    } else {
        w.null_array();
    }
    if version >= 11 {
        w.i32(-1); // preferred_read_replica
    }
    let bytes = p.records.iter().map(Part::len).sum();
    w.records_len(bytes);
    if bytes > 0 {
        parts.push(Part::Head(w.cut()));
        parts.extend(p.records);
    }
    if version >= FLEXIBLE_FROM {
        encode_tags(p.diverging, w);
    }
}

fn encode_tags(diverging: Option<(LeaderEpoch, Offset)>, w: &mut Writer) {
    let Some((epoch, end_offset)) = diverging else {
        w.no_tags();
        return;
    };
    w.unsigned_varint(1); // one tag
    w.unsigned_varint(0); // number 0: diverging_epoch
    w.unsigned_varint(4 + 8 + 1);
    w.i32(epoch.0);
    w.i64(end_offset.0);
    w.no_tags();
}

/// Puts the frame's length before its first part.
fn with_length(mut parts: Vec<Part>) -> Gather {
    let total: u64 = parts.iter().map(Part::len).sum();
    let length = u32::try_from(total).expect("a response is smaller than 4 GiB");
    let mut head = BytesMut::with_capacity(256);
    head.put_u32(length);
    if let Some(Part::Head(first)) = parts.first_mut() {
        head.put_slice(first);
        *first = head.freeze();
    } else {
        parts.insert(0, Part::Head(Bytes::from(head)));
    }
    Gather { parts }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use kafka_protocol::messages::{FetchResponse, ResponseHeader};
    use kafka_protocol::protocol::{Decodable, HeaderVersion};

    use super::*;
    use crate::types::{FileId, Position};

    /// Replaces file parts by bytes of their length, as an edge would.
    fn bytes_of(gather: &Gather) -> Bytes {
        let mut all = BytesMut::new();
        for part in &gather.parts {
            match part {
                Part::Head(bytes) => all.put_slice(bytes),
                other => all.put_bytes(0xab, usize::try_from(other.len()).unwrap()),
            }
        }
        all.freeze()
    }

    fn sample() -> Vec<TopicReply> {
        let tail = |len| Part::Tail {
            file: FileId(1),
            position: Position(0),
            len,
        };
        vec![TopicReply {
            name: "logs".into(),
            id: TopicId::METADATA,
            partitions: vec![
                PartitionReply {
                    index: 3,
                    error: ErrorCode::None,
                    high_watermark: Offset(10),
                    last_stable_offset: Offset(10),
                    log_start_offset: Offset(2),
                    diverging: None,
                    aborted_list: true,
                    records: vec![tail(70), tail(300)],
                },
                PartitionReply {
                    diverging: Some((LeaderEpoch(4), Offset(77))),
                    error: ErrorCode::None,
                    ..PartitionReply::failed(4, ErrorCode::None)
                },
                PartitionReply::failed(5, ErrorCode::UnknownTopicOrPartition),
            ],
        }]
    }

    #[test]
    fn every_version_decodes_to_what_was_meant() {
        for version in 4..=18 {
            let gather = encode(version, 77, ErrorCode::None, 0, sample());
            let mut bytes = bytes_of(&gather);
            assert_eq!(bytes.get_u32() as usize, bytes.len(), "v{version}");
            let header_version = FetchResponse::header_version(version);
            let header = ResponseHeader::decode(&mut bytes, header_version).unwrap();
            assert_eq!(header.correlation_id, 77);
            let body = FetchResponse::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty(), "v{version}: all bytes are used");
            let topic = &body.responses[0];
            if version >= 13 {
                assert_eq!(topic.topic_id.as_bytes(), &TopicId::METADATA.0);
            } else {
                assert_eq!(&*topic.topic, "logs");
            }
            let [first, second, third] = &topic.partitions[..] else {
                panic!("three")
            };
            assert_eq!((first.partition_index, first.high_watermark), (3, 10));
            assert_eq!(first.last_stable_offset, 10);
            assert_eq!(first.log_start_offset, if version >= 5 { 2 } else { -1 });
            assert_eq!(first.records.as_ref().unwrap().len(), 370);
            assert_eq!(first.aborted_transactions, Some(vec![]));
            assert_eq!(second.aborted_transactions, None);
            if version >= 12 {
                assert_eq!(second.diverging_epoch.epoch, 4);
                assert_eq!(second.diverging_epoch.end_offset, 77);
            }
            assert_eq!(third.error_code, 3);
            assert_eq!(third.records.as_ref().map(Bytes::len), Some(0));
        }
    }
}
