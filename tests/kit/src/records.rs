//! Record batches for raw requests, and the way through those that a Fetch brought.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// Bytes of a batch before those that its length field counts.
const PREFIX_BYTES: usize = 12;

/// Who produces a batch: an idempotent producer or none.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    /// −1 for none.
    pub id: i64,
    /// −1 for none.
    pub epoch: i16,
    /// Sequence of the batch's first record, −1 for none.
    pub sequence: i32,
}

/// Not an idempotent producer.
pub const NO_PRODUCER: Producer = Producer {
    id: -1,
    epoch: -1,
    sequence: -1,
};

/// One uncompressed batch of these values, created now: a broker forgets a producer by the time its records
/// carry, so with an old one a restart would rightly lose what it knew of their sequence.
#[must_use]
pub fn batch(producer: Producer, values: &[Vec<u8>]) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    batch_at(i64::try_from(now.as_millis()).unwrap(), producer, values)
}

/// One uncompressed batch of these values, created at this time in milliseconds.
#[must_use]
pub fn batch_at(timestamp: i64, producer: Producer, values: &[Vec<u8>]) -> Bytes {
    let records: Vec<Record> = (0..)
        .zip(values)
        .map(|(index, value)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(index),
            // The encoder starts a new batch where the sequence does not run along.
            sequence: producer.sequence + index,
            timestamp,
            key: None,
            value: Some(Bytes::copy_from_slice(value)),
            headers: IndexMap::new(),
        })
        .collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    out.freeze()
}

/// Offsets and values of whole batches; a batch cut short at the end is left out.
#[must_use]
pub fn values(bytes: &Bytes) -> Vec<(i64, Bytes)> {
    let mut whole = bytes.slice(..whole_bytes(bytes));
    let sets = RecordBatchDecoder::decode_all(&mut whole).unwrap();
    sets.into_iter()
        .flat_map(|set| set.records)
        .map(|record| (record.offset, record.value.unwrap_or_default()))
        .collect()
}

/// The offset after the last whole batch.
#[must_use]
pub fn next_offset(bytes: &Bytes) -> Option<i64> {
    let mut at = 0;
    let mut next = None;
    while let Some(length) = batch_bytes(&bytes[at..]) {
        let field = |from: usize, count: usize| &bytes[at + from..at + from + count];
        let base = i64::from_be_bytes(field(0, 8).try_into().unwrap());
        let delta = i32::from_be_bytes(field(23, 4).try_into().unwrap());
        next = Some(base + i64::from(delta) + 1);
        at += length;
    }
    next
}

fn whole_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = batch_bytes(&bytes[at..]) {
        at += length;
    }
    at
}

fn batch_bytes(bytes: &[u8]) -> Option<usize> {
    let field = bytes.get(8..PREFIX_BYTES)?;
    let length = u32::from_be_bytes(field.try_into().unwrap());
    let total = PREFIX_BYTES + usize::try_from(length).unwrap();
    (total <= bytes.len()).then_some(total)
}
