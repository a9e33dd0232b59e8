//! Builds batches of magic 2 as Kafka's own client writes them.
//!
//! Invariants:
//! 1. The base timestamp is the first record's, the max timestamp the largest; offset deltas count from 0.
//! 2. The result passes [`crate::wire::batch::is_valid`].
//!
//! Used by the metadata log, the command line, the simulator and tests; batches of clients are never rebuilt.
//!
//! Source: `MemoryRecordsBuilder`, `DefaultRecord.writeTo`, `DefaultRecordBatch.writeHeader`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::limits::{BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::wire::batch::{BatchHeader, TimestampType, attributes};
use crate::wire::codec::{self, Codec};

/// Collects records and makes one batch of them.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    timestamp_type: TimestampType,
    transactional: bool,
    control: bool,
    records: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// A builder of an uncompressed, non-idempotent batch at offset 0 with leader epoch -1: what a plain producer sends.
    #[must_use]
    pub fn new() -> Self {
        Self {
            header: BatchHeader {
                base_offset: Offset(0),
                batch_length: 0,
                leader_epoch: LeaderEpoch::NONE,
                crc: 0,
                attributes: 0,
                last_offset_delta: -1,
                base_timestamp: -1,
                max_timestamp: -1,
                producer_id: ProducerId::NONE,
                producer_epoch: ProducerEpoch(-1),
                base_sequence: -1,
                record_count: 0,
            },
            codec: Codec::None,
            timestamp_type: TimestampType::CreateTime,
            transactional: false,
            control: false,
            records: Vec::new(),
        }
    }

    /// Compresses the records.
    pub fn codec(&mut self, codec: Codec) -> &mut Self {
        self.codec = codec;
        self
    }

    /// The offset of the first record.
    pub fn base_offset(&mut self, base_offset: Offset) -> &mut Self {
        self.header.base_offset = base_offset;
        self
    }

    /// The leader epoch to be stored.
    pub fn leader_epoch(&mut self, leader_epoch: LeaderEpoch) -> &mut Self {
        self.header.leader_epoch = leader_epoch;
        self
    }

    /// Makes the batch idempotent: producer id, epoch and the first record's sequence.
    pub fn producer(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        base_sequence: i32,
    ) -> &mut Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(&mut self) -> &mut Self {
        self.transactional = true;
        self
    }

    /// Marks the batch as holding control records.
    pub fn control(&mut self) -> &mut Self {
        self.control = true;
        self
    }

    /// Marks the timestamps as the broker's.
    pub fn log_append_time(&mut self) -> &mut Self {
        self.timestamp_type = TimestampType::LogAppendTime;
        self
    }

    /// Adds a record. `timestamp` in ms, -1 for none. Panics beyond 2^31-1 records or bytes: our own fault.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> &mut Self {
        if self.header.record_count == 0 {
            self.header.base_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        let mut fields = vec![0];
        put_varlong(
            &mut fields,
            timestamp.wrapping_sub(self.header.base_timestamp),
        );
        put_varint(&mut fields, self.header.record_count);
        put_nullable(&mut fields, key);
        put_nullable(&mut fields, value);
        put_varint(&mut fields, length(headers.len()));
        for (key, value) in headers {
            put_nullable(&mut fields, Some(key));
            put_nullable(&mut fields, *value);
        }
        put_varint(&mut self.records, length(fields.len()));
        self.records.extend_from_slice(&fields);
        self.header.last_offset_delta = self.header.record_count;
        self.header.record_count = self
            .header
            .record_count
            .checked_add(1)
            .expect("a batch holds fewer than 2^31 records");
        self
    }

    /// Records so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Size of the records so far in bytes, not compressed, without the batch's head.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.records.len()
    }

    /// The batch. Panics without records: an empty batch is never written.
    #[must_use]
    pub fn build(&self) -> Bytes {
        assert!(
            self.header.record_count > 0,
            "a batch holds at least one record"
        );
        let packed;
        let body = if self.codec == Codec::None {
            &self.records
        } else {
            packed = codec::compress(self.codec, &self.records);
            &packed
        };
        let mut header = self.header;
        header.attributes = attributes(
            self.codec,
            self.timestamp_type,
            self.transactional,
            self.control,
            false,
        );
        let after_length = BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES + body.len();
        header.batch_length = length(after_length).unsigned_abs();
        header.crc = crc32c::crc32c_append(header.crc_of_head(), body);
        let mut batch = BytesMut::with_capacity(BATCH_HEADER_BYTES + body.len());
        batch.put_slice(&header.encode());
        batch.put_slice(body);
        batch.freeze()
    }
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a batch is smaller than 2 GiB")
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

/// Appends a zigzag number of at most five bytes.
pub fn put_varint(out: &mut Vec<u8>, number: i32) {
    put_varlong(out, i64::from(number));
}

/// Appends a zigzag number of at most ten bytes.
pub fn put_varlong(out: &mut Vec<u8>, number: i64) {
    let mut value = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch;
    use crate::wire::records::Records;
    use kafka_protocol::records::RecordBatchDecoder;

    #[test]
    fn the_head_says_what_the_records_say() {
        let mut builder = BatchBuilder::new();
        builder
            .base_offset(Offset(100))
            .leader_epoch(LeaderEpoch(4))
            .producer(ProducerId(5), ProducerEpoch(2), 9)
            .transactional();
        builder
            .push(50, Some(b"a"), None, &[])
            .push(40, None, Some(b"b"), &[(b"h", None)])
            .push(60, None, None, &[]);
        let bytes = builder.build();
        assert!(batch::is_valid(&bytes));
        let header = BatchHeader::decode(&bytes).unwrap();
        assert_eq!((header.base_timestamp, header.max_timestamp), (50, 60));
        assert_eq!((header.last_offset_delta, header.record_count), (2, 3));
        assert_eq!(header.last_offset(), Offset(102));
        assert_eq!(header.last_sequence(), 11);
        assert!(header.is_transactional() && !header.is_control());
        let body = batch::body_of(&bytes);
        let deltas: Vec<i64> = Records::new(&body)
            .map(|record| record.unwrap().timestamp_delta)
            .collect();
        assert_eq!(deltas, [0, -10, 10]);
    }

    #[test]
    fn another_reader_agrees() {
        let mut builder = BatchBuilder::new();
        builder
            .base_offset(Offset(3))
            .push(7, Some(b"key"), Some(b"value"), &[(b"h", Some(b"x"))])
            .push(9, None, Some(b""), &[]);
        let mut bytes = builder.build();
        let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
        assert_eq!(set.records.len(), 2);
        assert_eq!(set.records[0].offset, 3);
        assert_eq!(set.records[0].timestamp, 7);
        assert_eq!(set.records[0].key.as_deref(), Some(&b"key"[..]));
        assert_eq!(set.records[0].headers.len(), 1);
        assert_eq!(set.records[1].value.as_deref(), Some(&b""[..]));
        assert_eq!(set.records[1].timestamp, 9);
    }

    #[test]
    fn records_without_timestamps() {
        let mut builder = BatchBuilder::new();
        builder
            .control()
            .push(-1, Some(&[0, 0, 0, 2]), Some(&[0]), &[]);
        let header = BatchHeader::decode(&builder.build()).unwrap();
        assert_eq!((header.base_timestamp, header.max_timestamp), (-1, -1));
        assert!(header.is_control());
    }
}
