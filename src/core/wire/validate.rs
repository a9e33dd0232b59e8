//! What a broker checks in a batch that a producer sent, before it gets offsets: resumable, in Kafka's order.
//!
//! Order of checks (as in `ProduceRequest.validateRecords`, then `UnifiedLog`, then `LogValidator`): exactly one batch, magic 2,
//! zstd's version ([`single_batch`]); base offset 0; size; checksum; codec number; offset range and count; no control batch;
//! sequence; then every record: form, key on a compacted topic, timestamp, inner offsets of compressed batches; then max
//! timestamp and timestamp type are set as the topic wants them.
//!
//! Invariants:
//! 1. A step costs about its budget, however large the batch or its decompressed records are.
//! 2. A batch that passes differs from what was sent in attributes, max timestamp and checksum at most; records never change.
//! 3. The new checksum is derived from the old one and the two heads, so sealing costs the same for every size.
//!
//! Gaps: recompression for a topic's `compression.type` other than `producer` is not done: the batch stays as sent.
//! A refused batch names at most [`RECORD_ERRORS_MAX`] records.
//!
//! Source: `LogValidator`, `DefaultRecordBatch.setMaxTimestamp`, `ProduceRequest`.

mod reject;

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::types::limits::{BATCH_HEADER_BYTES, RECORD_ERRORS_MAX};
use crate::types::{LeaderEpoch, Offset, WallMillis};
use crate::wire::batch::{
    BatchError, BatchHeader, BatchWalk, TimestampType, WalkEnd, Walked, attributes, body_of,
};
use crate::wire::codec::{Codec, Progress};
use crate::wire::records::RecordMeta;
use crate::wire::stream::{RecordStream, StreamError};

pub use reject::{RecordFault, RecordReject, RecordRejects, Reject};

/// Checksums run about this many times faster than records are walked.
const CHECKSUM_BYTES_PER_BUDGET_BYTE: usize = 4;
/// Where the checksummed part of a batch starts.
const CRC_FROM: usize = 21;
/// "No timestamp" on the wire.
const NO_TIMESTAMP: i64 = -1;

/// What the topic and the request say about a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValidateRules {
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compact: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_ms_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_ms_max: i64,
    /// The broker's wall clock: what timestamps are compared with, and the append time.
    pub now: WallMillis,
    /// `max.message.bytes`, compared with the whole batch as sent.
    pub message_bytes_max: u64,
}

impl ValidateRules {
    /// Kafka's defaults: not compacted, create time, no limit before and one hour after now, 1 MiB and 12 bytes.
    #[must_use]
    pub fn defaults(now: WallMillis) -> Self {
        Self {
            compact: false,
            timestamp_type: TimestampType::CreateTime,
            before_ms_max: i64::MAX,
            after_ms_max: 3_600_000,
            now,
            message_bytes_max: 1_048_588,
        }
    }
}

/// Finds the one batch in a partition's records as sent; the first check, before anything of the partition is looked at.
///
/// An incomplete second batch is ignored, as Kafka does.
pub fn single_batch(records: &Bytes, produce_version: i16) -> Result<Bytes, Reject> {
    let mut walk = BatchWalk::new(records);
    let no_batch = |end| match end {
        Some(WalkEnd::Corrupt { why, .. }) => Err(Reject::NotABatch(why)),
        _ => Err(Reject::NoBatch),
    };
    let (header, bytes) = match walk.next() {
        Some(Walked::Batch { header, bytes, .. }) => (header, bytes),
        Some(Walked::Old { magic, .. }) => return Err(Reject::OldMagic(magic)),
        None => return no_batch(walk.end()),
    };
    if produce_version < 7 && header.codec() == Some(Codec::Zstd) {
        return Err(Reject::ZstdTooEarly);
    }
    match (walk.next(), walk.end()) {
        (Some(_), _) => Err(Reject::MoreThanOneBatch),
        (None, Some(WalkEnd::Corrupt { why, .. })) => Err(Reject::NotABatch(why)),
        (None, _) => Ok(records.slice(..bytes.len())),
    }
}

/// A batch that may be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// The head as it will be stored, apart from base offset and leader epoch.
    pub header: BatchHeader,
    /// The records as sent.
    pub body: Bytes,
    /// Attributes, max timestamp and checksum are not what was sent.
    pub changed: bool,
    /// Offset delta of the record with the largest timestamp; `None` if no record has one.
    pub max_timestamp_delta: Option<i32>,
}

impl Prepared {
    /// The batch's size in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.header.total_bytes()
    }

    /// How many offsets the batch takes.
    #[must_use]
    pub fn offset_count(&self) -> i64 {
        i64::from(self.header.last_offset_delta) + 1
    }

    /// The head as stored at this offset.
    #[must_use]
    pub fn sealed_header(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchHeader {
        BatchHeader {
            base_offset,
            leader_epoch,
            ..self.header
        }
    }

    /// The bytes to be stored: the 61-byte head for this offset and epoch, and the records as sent.
    #[must_use]
    pub fn seal(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [Bytes; 2] {
        let head = self.sealed_header(base_offset, leader_epoch).encode();
        [Bytes::copy_from_slice(&head), self.body.clone()]
    }
}

/// How far a step came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Call again.
    More,
    /// The outcome.
    Done(Result<Prepared, Reject>),
}

/// The checks of one batch, in steps.
#[derive(Debug)]
pub struct Validator {
    rules: ValidateRules,
    batch: Bytes,
    phase: Phase,
    seen: Seen,
}

#[derive(Debug)]
enum Phase {
    Head,
    Checksum {
        header: BatchHeader,
        from: usize,
        sum: u32,
    },
    Records {
        header: BatchHeader,
        stream: Box<RecordStream>,
    },
}

/// What the records walked so far have shown.
#[derive(Debug)]
struct Seen {
    next_index: i32,
    max_timestamp: i64,
    max_timestamp_index: Option<i32>,
    inner_offsets_count: bool,
    rejects: RecordRejects,
}

impl Validator {
    /// `batch`: exactly one batch, from [`single_batch`]. Nothing is checked yet.
    #[must_use]
    pub fn new(batch: Bytes, rules: ValidateRules) -> Self {
        Self {
            rules,
            batch,
            phase: Phase::Head,
            seen: Seen {
                next_index: 0,
                max_timestamp: NO_TIMESTAMP,
                max_timestamp_index: None,
                inner_offsets_count: true,
                rejects: RecordRejects::default(),
            },
        }
    }

    /// Works on for about `budget_bytes` of record bytes ([`crate::types::limits::WORK_BYTES_PER_STEP`]: under a
    /// millisecond). After `Done` it must not be called again.
    pub fn step(&mut self, budget_bytes: usize) -> Step {
        match self.try_step(budget_bytes) {
            Ok(None) => Step::More,
            Ok(Some(prepared)) => Step::Done(Ok(prepared)),
            Err(reject) => Step::Done(Err(reject)),
        }
    }

    fn try_step(&mut self, budget_bytes: usize) -> Result<Option<Prepared>, Reject> {
        if matches!(self.phase, Phase::Head) {
            let header = self.check_head()?;
            self.phase = Phase::Checksum {
                header,
                from: CRC_FROM,
                sum: 0,
            };
        }
        if let Phase::Checksum { header, from, sum } = &mut self.phase {
            let work = budget_bytes.saturating_mul(CHECKSUM_BYTES_PER_BUDGET_BYTE);
            let to = from.saturating_add(work.max(1)).min(self.batch.len());
            *sum = crc32c::crc32c_append(*sum, self.batch.get(*from..to).unwrap_or_default());
            *from = to;
            if to < self.batch.len() {
                return Ok(None);
            }
            let (stored, computed) = (header.crc, *sum);
            if stored != computed {
                return Err(Reject::Checksum { stored, computed });
            }
            let header = *header;
            check_batch(&header)?;
            let stream = RecordStream::new(&header, &self.batch).map_err(of_stream)?;
            self.phase = Phase::Records {
                header,
                stream: Box::new(stream),
            };
            // A large batch's checksum is a step's work of its own.
            if self.batch.len() > budget_bytes {
                return Ok(None);
            }
        }
        let Phase::Records { header, stream } = &mut self.phase else {
            unreachable!("the phases follow each other");
        };
        let (header, rules, seen) = (*header, &self.rules, &mut self.seen);
        let progress = stream
            .step(budget_bytes, |meta| {
                seen.on_record(&header, rules, meta);
                ControlFlow::Continue(())
            })
            .map_err(of_stream)?;
        match progress {
            Progress::More => Ok(None),
            Progress::Done => self.prepare(header).map(Some),
        }
    }

    fn check_head(&self) -> Result<BatchHeader, Reject> {
        let header = BatchHeader::decode(&self.batch).map_err(Reject::NotABatch)?;
        if header.base_offset != Offset(0) {
            return Err(Reject::BaseOffset(header.base_offset.0));
        }
        let (bytes, bytes_max) = (header.total_bytes(), self.rules.message_bytes_max);
        if bytes > bytes_max {
            return Err(Reject::TooLarge { bytes, bytes_max });
        }
        if u64::try_from(self.batch.len()).ok() != Some(bytes) {
            return Err(Reject::NotABatch(BatchError::Cut(self.batch.len())));
        }
        Ok(header)
    }

    /// Everything was checked: refuses for its records, or sets timestamp type and max timestamp.
    fn prepare(&mut self, header: BatchHeader) -> Result<Prepared, Reject> {
        let rejects = std::mem::take(&mut self.seen.rejects);
        if rejects.total > 0 {
            return Err(Reject::Records(rejects));
        }
        let compressed = header.codec() != Some(Codec::None);
        if compressed && !self.seen.inner_offsets_count {
            return Err(Reject::InnerOffsets);
        }
        let (max_timestamp, max_timestamp_delta) = match self.rules.timestamp_type {
            TimestampType::CreateTime => (self.seen.max_timestamp, self.seen.max_timestamp_index),
            // All records share the append time; Kafka names the last one, or the first of a compressed batch.
            TimestampType::LogAppendTime if compressed => (self.rules.now.0, Some(0)),
            TimestampType::LogAppendTime => (self.rules.now.0, Some(header.last_offset_delta)),
        };
        let mut stored = header;
        let changed = header.timestamp_type() != self.rules.timestamp_type
            || header.max_timestamp != max_timestamp;
        if changed {
            stored.max_timestamp = max_timestamp;
            stored.attributes = attributes(
                header.codec().unwrap_or_default(),
                self.rules.timestamp_type,
                header.is_transactional(),
                header.is_control(),
                header.has_delete_horizon(),
            );
            stored.crc = reseal(&header, &stored, self.batch.len() - BATCH_HEADER_BYTES);
        }
        Ok(Prepared {
            header: stored,
            body: body_of(&self.batch),
            changed,
            max_timestamp_delta,
        })
    }
}

/// The checksum after the head changed: CRCs are linear, so the old head's share is taken out and the new one's put in.
fn reseal(old: &BatchHeader, new: &BatchHeader, body_bytes: usize) -> u32 {
    let share = |header: &BatchHeader| crc32c::crc32c_combine(header.crc_of_head(), 0, body_bytes);
    old.crc ^ share(old) ^ share(new)
}

fn check_batch(header: &BatchHeader) -> Result<(), Reject> {
    if header.codec().is_none() {
        return Err(Reject::UnknownCodec(header.attributes & 0b111));
    }
    let offsets = i64::from(header.last_offset_delta) + 1;
    if offsets <= 0 || offsets != i64::from(header.record_count) {
        return Err(Reject::OffsetRange {
            last_offset_delta: header.last_offset_delta,
            record_count: header.record_count,
        });
    }
    if header.is_control() {
        return Err(Reject::ControlBatch);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(Reject::Sequence(header.base_sequence));
    }
    Ok(())
}

fn of_stream(error: StreamError) -> Reject {
    match error {
        StreamError::UnknownCodec(number) => Reject::UnknownCodec(number),
        StreamError::Codec(why) => Reject::Undecodable(why),
        why @ (StreamError::Record(_) | StreamError::TooFew | StreamError::TooMany) => {
            Reject::Malformed(why)
        }
    }
}

impl Seen {
    fn on_record(&mut self, header: &BatchHeader, rules: &ValidateRules, meta: RecordMeta) {
        let batch_index = self.next_index;
        self.next_index += 1;
        let timestamp = header.record_timestamp(meta.timestamp_delta);
        if let Some(fault) = record_fault(header, rules, meta, timestamp) {
            self.rejects.total += 1;
            self.rejects.timestamp |= fault != RecordFault::NoKey;
            if self.rejects.errors.len() < RECORD_ERRORS_MAX {
                self.rejects
                    .errors
                    .push(RecordReject { batch_index, fault });
            }
            return;
        }
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
            self.max_timestamp_index = Some(batch_index);
        }
        self.inner_offsets_count &= meta.offset_delta == batch_index;
    }
}

fn record_fault(
    header: &BatchHeader,
    rules: &ValidateRules,
    meta: RecordMeta,
    timestamp: i64,
) -> Option<RecordFault> {
    if rules.compact && !meta.has_key {
        return Some(RecordFault::NoKey);
    }
    if rules.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
        // Wrapping, as in Java: a client may send any number.
        let age = rules.now.0.wrapping_sub(timestamp);
        if age > rules.before_ms_max || age.wrapping_neg() > rules.after_ms_max {
            return Some(RecordFault::Timestamp {
                timestamp,
                from: rules.now.0.wrapping_sub(rules.before_ms_max),
                to: rules.now.0.wrapping_add(rules.after_ms_max),
            });
        }
    } else if header.timestamp_type() == TimestampType::LogAppendTime {
        return Some(RecordFault::LogAppendTime);
    }
    None
}

#[cfg(test)]
mod tests;
