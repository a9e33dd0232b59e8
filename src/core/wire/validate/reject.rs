//! Why a batch is refused, with the code that Kafka answers for it. The API file does the mapping.
//!
//! Source: `LogValidator`, `UnifiedLog.analyzeAndValidateRecords`, `ProduceRequest.validateRecords`; what a running Kafka 4.2
//! answered where the sources leave it open (the codes -1).

use std::fmt;

use crate::wire::batch::BatchError;
use crate::wire::codec::CodecError;
use crate::wire::stream::StreamError;

/// What is wrong with one record. Displayed, it is the message of a record error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordFault {
    /// `INVALID_RECORD`: no key on a compacted topic.
    #[error("a compacted topic takes no record without a key")]
    NoKey,
    /// `INVALID_TIMESTAMP`: too far from the broker's clock.
    #[error("timestamp {timestamp} is not within [{from}, {to}]")]
    Timestamp {
        /// The record's timestamp in ms.
        timestamp: i64,
        /// Earliest allowed.
        from: i64,
        /// Latest allowed.
        to: i64,
    },
    /// `INVALID_TIMESTAMP`: the producer claims that the broker set the timestamps.
    #[error("a producer must not set the timestamp type to LogAppendTime")]
    LogAppendTime,
}

/// One record that makes its batch fail: an entry of `record_errors` (Produce 8 and up).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordReject {
    /// The record's place in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong.
    pub fault: RecordFault,
}

/// Why a batch is not appended. The code that Kafka answers stands with each; the API file maps it. Only
/// [`Reject::Records`] goes with `record_errors` and an `error_message`; all others have none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// `INVALID_RECORD` (87): null, empty, or the first batch is incomplete.
    #[error("no whole batch was sent")]
    NoBatch,
    /// `INVALID_RECORD` (87): a batch of magic 0 or 1.
    #[error("a batch of magic {0} was sent")]
    OldMagic(i8),
    /// `UNSUPPORTED_COMPRESSION_TYPE` (76): zstd before Produce version 7.
    #[error("zstd needs Produce version 7")]
    ZstdTooEarly,
    /// `INVALID_RECORD` (87): a second whole batch.
    #[error("more than one batch was sent")]
    MoreThanOneBatch,
    /// `CORRUPT_MESSAGE` (2): a length or magic that no batch has, in the first batch or behind it.
    #[error("no batch: {0}")]
    NotABatch(BatchError),
    /// `INVALID_RECORD` (87): a producer's base offset is 0.
    #[error("base offset {0} instead of 0")]
    BaseOffset(i64),
    /// `MESSAGE_TOO_LARGE` (10).
    #[error("a batch of {bytes} bytes where {bytes_max} are allowed")]
    TooLarge {
        /// The batch's size.
        bytes: u64,
        /// What is allowed.
        bytes_max: u64,
    },
    /// `CORRUPT_MESSAGE` (2).
    #[error("checksum {computed:#010x} where the batch says {stored:#010x}")]
    Checksum {
        /// What the batch says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// `UNKNOWN_SERVER_ERROR` (-1): the attributes name codec 5, 6 or 7.
    #[error("codec number {0} means nothing")]
    UnknownCodec(u16),
    /// `INVALID_RECORD` (87): count and offset range contradict each other or are not positive.
    #[error("last offset delta {last_offset_delta} and {record_count} records do not fit")]
    OffsetRange {
        /// The head's last offset delta.
        last_offset_delta: i32,
        /// The head's record count.
        record_count: i32,
    },
    /// `INVALID_RECORD` (87): clients write no control batches.
    #[error("a control batch from a client")]
    ControlBatch,
    /// `INVALID_RECORD` (87): a producer id without a sequence.
    #[error("a producer id with sequence {0}")]
    Sequence(i32),
    /// `INVALID_RECORD` (87): the records do not fill the batch exactly or are malformed.
    #[error("malformed records: {0}")]
    Malformed(StreamError),
    /// `UNKNOWN_SERVER_ERROR` (-1): the compressed data cannot be read.
    #[error("unreadable compressed records: {0}")]
    Undecodable(CodecError),
    /// `UNKNOWN_SERVER_ERROR` (-1): inner offsets of a compressed batch that do not count 0, 1, 2 …
    #[error("inner offsets of a compressed batch do not count from 0")]
    InnerOffsets,
    /// `INVALID_TIMESTAMP` (32) if any record has a bad timestamp, else `INVALID_RECORD` (87).
    #[error("{0}")]
    Records(RecordRejects),
}

/// All records that make a batch fail.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordRejects {
    /// Some record's timestamp is why: the code is `INVALID_TIMESTAMP`.
    pub timestamp: bool,
    /// The first [`crate::types::limits::RECORD_ERRORS_MAX`] of them.
    pub errors: Vec<RecordReject>,
    /// How many there are.
    pub total: u32,
}

/// The `error_message` of the partition.
impl fmt::Display for RecordRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.timestamp {
            "invalid timestamp"
        } else {
            "invalid record"
        };
        write!(
            f,
            "One or more records have been rejected: {why}, {} in total",
            self.total
        )
    }
}
