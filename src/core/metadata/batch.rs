//! Batches of the metadata log and its snapshots.
//!
//! Invariants: 1. Every batch is uncompressed, without producer, and its records share the append time. 2. A batch that fails its
//! checksum or its counts is refused whole.
//! Source: Kafka's `BatchAccumulator`, `RecordsIterator`.

use bytes::Bytes;

use super::control::ControlRecord;
use super::record::{DecodeError, Record};
use crate::types::limits::BATCH_HEADER_BYTES;
use crate::types::{LeaderEpoch, Offset, WallMillis};
use crate::wire::batch::{BatchWalk, WalkEnd, Walked, is_valid};
use crate::wire::build::BatchBuilder;
use crate::wire::codec::Codec;
use crate::wire::records::{RecordError, Records};

/// A record of the metadata log: of the cluster or of the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A metadata record.
    Data(Record),
    /// A control record.
    Control(ControlRecord),
}

/// Why a batch cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// Not an intact, uncompressed v2 batch.
    #[error("batch at offset {0} is damaged: {1}")]
    Damaged(Offset, &'static str),
    /// The frame of a record in it is not right.
    #[error("batch at offset {0}: {1}")]
    Framing(Offset, RecordError),
    /// A record in it cannot be decoded.
    #[error("record at offset {0}: {1}")]
    Record(Offset, DecodeError),
}

/// A decoded batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataBatch {
    /// Offset of the first record.
    pub base: Offset,
    /// First offset after it.
    pub next: Offset,
    /// Leader epoch of the append.
    pub epoch: LeaderEpoch,
    /// Append time.
    pub time: WallMillis,
    /// Its records with their offsets.
    pub entries: Vec<(Offset, Entry)>,
}

/// Encodes a batch of metadata records.
///
/// Panics if there is none: an empty batch has no place in the log.
#[must_use]
pub fn encode_records(base: Offset, epoch: LeaderEpoch, now: WallMillis, all: &[Record]) -> Bytes {
    let mut batch = BatchBuilder::new();
    batch.base_offset(base).leader_epoch(epoch);
    for record in all {
        batch.push(now.0, None, Some(&record.encode()), &[]);
    }
    batch.build()
}

/// Encodes a batch of control records. Panics if there is none.
#[must_use]
pub fn encode_controls(
    base: Offset,
    epoch: LeaderEpoch,
    now: WallMillis,
    all: &[ControlRecord],
) -> Bytes {
    let mut batch = BatchBuilder::new();
    batch.base_offset(base).leader_epoch(epoch).control();
    for record in all {
        let (key, value) = record.encode();
        batch.push(now.0, Some(&key), Some(&value), &[]);
    }
    batch.build()
}

/// Decodes all whole batches at the front of `bytes`; the second value says that nothing was left over.
pub fn decode_all(bytes: &[u8]) -> Result<(Vec<MetadataBatch>, bool), BatchFault> {
    let mut walk = BatchWalk::new(bytes);
    let mut batches: Vec<MetadataBatch> = Vec::new();
    for walked in walk.by_ref() {
        match walked {
            Walked::Batch { bytes, header, .. } => batches.push(decode(&header, bytes)?),
            Walked::Old { offset, .. } => {
                return Err(BatchFault::Damaged(offset, "its format is too old"));
            }
        }
    }
    match walk.end() {
        Some(WalkEnd::Complete) => Ok((batches, true)),
        Some(WalkEnd::Corrupt { .. }) => {
            let next = batches.last().map_or(Offset(0), |batch| batch.next);
            Err(BatchFault::Damaged(next, "it is no batch"))
        }
        Some(WalkEnd::CutAt(_)) | None => Ok((batches, false)),
    }
}

fn decode(
    header: &crate::wire::batch::BatchHeader,
    bytes: &[u8],
) -> Result<MetadataBatch, BatchFault> {
    let base = header.base_offset;
    if !is_valid(bytes) {
        return Err(BatchFault::Damaged(base, "its checksum is wrong"));
    }
    if header.codec() != Some(Codec::None) {
        return Err(BatchFault::Damaged(base, "it is compressed"));
    }
    let mut entries = Vec::new();
    let body = bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    for record in Records::new(body) {
        let record = record.map_err(|fault| BatchFault::Framing(base, fault))?;
        let offset = Offset(base.0.saturating_add(i64::from(record.offset_delta)));
        let value = record.value.unwrap_or_default();
        let entry = if header.is_control() {
            ControlRecord::decode(record.key.unwrap_or_default(), value).map(Entry::Control)
        } else {
            Record::decode(value).map(Entry::Data)
        };
        let entry = entry.map_err(|fault| BatchFault::Record(offset, fault))?;
        entries.push((offset, entry));
    }
    if i32::try_from(entries.len()) != Ok(header.record_count) {
        return Err(BatchFault::Damaged(base, "its count is wrong"));
    }
    Ok(MetadataBatch {
        base,
        next: header.next_offset(),
        epoch: header.leader_epoch,
        time: WallMillis(header.max_timestamp),
        entries,
    })
}
