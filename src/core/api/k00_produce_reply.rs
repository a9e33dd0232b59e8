//! The Produce reply, encoded by hand.
//!
//! | version | change |
//! |---|---|
//! | 5 | log_start_offset |
//! | 8 | record_errors and error_message |
//! | 9 | flexible |
//! | 10 | current_leader and node_endpoints as tags, only with NOT_LEADER_OR_FOLLOWER |
//! | 13 | topic ids instead of names |
//!
//! Source: `ProduceResponse.json`, KIP-467, KIP-951.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::encode::Writer;
use crate::effect::Gather;
use crate::types::{ErrorCode, Offset, TopicId, WallMillis};

/// First version in the flexible form.
const FLEXIBLE_FROM: i16 = 9;

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

/// What became of one partition's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionReply {
    /// Its index.
    pub index: i32,
    /// Its error.
    pub error: ErrorCode,
    /// Offset of the first record, -1 on errors.
    pub base_offset: Offset,
    /// The broker's time for LogAppendTime, the first copy's maximum for a duplicate, else -1.
    pub log_append_time: WallMillis,
    /// -1 when the check that failed came before the log was looked at.
    pub log_start_offset: Offset,
    /// Records that made the batch fail: index in the batch and why.
    pub record_errors: Vec<(i32, String)>,
    /// A sentence for people.
    pub message: Option<String>,
}

impl PartitionReply {
    /// A failure without further detail.
    #[must_use]
    pub fn failed(index: i32, error: ErrorCode) -> Self {
        Self {
            index,
            error,
            base_offset: Offset::NONE,
            log_append_time: WallMillis(-1),
            log_start_offset: Offset::NONE,
            record_errors: Vec::new(),
            message: None,
        }
    }
}

/// Encodes the whole frame, length prefix and header included.
#[must_use]
pub fn encode(version: i16, correlation_id: i32, topics: &[TopicReply]) -> Gather {
    let mut w = Writer::new(version >= FLEXIBLE_FROM);
    w.i32(correlation_id);
    w.no_tags();
    w.array(topics.len());
    for topic in topics {
        if version >= 13 {
            w.uuid(topic.id);
        } else {
            w.string(&topic.name);
        }
        w.array(topic.partitions.len());
        for partition in &topic.partitions {
            encode_partition(version, partition, &mut w);
        }
        w.no_tags();
    }
    w.i32(0); // throttle_time_ms
    w.no_tags();
    let body = w.cut();
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_u32(u32::try_from(body.len()).expect("a reply is smaller than 4 GiB"));
    frame.put_slice(&body);
    Gather::from_bytes(frame.freeze())
}

fn encode_partition(version: i16, p: &PartitionReply, w: &mut Writer) {
    w.i32(p.index);
    w.i16(p.error.code());
    w.i64(p.base_offset.0);
    w.i64(p.log_append_time.0);
    if version >= 5 {
        w.i64(p.log_start_offset.0);
    }
    if version >= 8 {
        w.array(p.record_errors.len());
        for (index, why) in &p.record_errors {
            w.i32(*index);
            w.nullable_string(Some(why));
            w.no_tags();
        }
        w.nullable_string(p.message.as_deref());
    }
    w.no_tags();
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use kafka_protocol::messages::{ProduceResponse, ResponseHeader};
    use kafka_protocol::protocol::{Decodable, HeaderVersion};

    use super::*;
    use crate::effect::Part;

    #[test]
    fn every_version_decodes_to_what_was_meant() {
        let topics = vec![TopicReply {
            name: "logs".into(),
            id: TopicId::METADATA,
            partitions: vec![
                PartitionReply {
                    base_offset: Offset(41),
                    log_append_time: WallMillis(9),
                    log_start_offset: Offset(3),
                    ..PartitionReply::failed(0, ErrorCode::None)
                },
                PartitionReply {
                    record_errors: vec![(2, "no key".into())],
                    message: Some("rejected".into()),
                    ..PartitionReply::failed(1, ErrorCode::InvalidRecord)
                },
            ],
        }];
        for version in 3..=13 {
            let gather = encode(version, 5, &topics);
            let [Part::Head(frame)] = &gather.parts[..] else {
                panic!("one part")
            };
            let mut bytes = frame.clone();
            assert_eq!(bytes.get_u32() as usize, bytes.len());
            let header_version = ProduceResponse::header_version(version);
            ResponseHeader::decode(&mut bytes, header_version).unwrap();
            let body = ProduceResponse::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty(), "v{version}: all bytes are used");
            let [ok, bad] = &body.responses[0].partition_responses[..] else {
                panic!("two")
            };
            assert_eq!((ok.base_offset, ok.log_append_time_ms), (41, 9));
            assert_eq!(ok.log_start_offset, if version >= 5 { 3 } else { -1 });
            assert_eq!((bad.error_code, bad.base_offset), (87, -1));
            if version >= 8 {
                assert_eq!(bad.record_errors[0].batch_index, 2);
                assert_eq!(bad.error_message.as_ref().unwrap().as_str(), "rejected");
            }
        }
    }
}
