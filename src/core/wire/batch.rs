//! The head of a record batch (magic 2): 61 bytes read and written without touching the records behind them.
//!
//! Invariants:
//! 1. A decoded header has magic 2 and a length of at least 49, so `total_bytes` is at least 61.
//! 2. `encode` after `decode` gives the same 61 bytes.
//! 3. A walk never goes past the bytes it was given, and always moves forward.
//!
//! Deliberately absent: batches of magic 0 and 1. They are recognised ([`Walked::Old`]) and skipped over, not read.
//!
//! Source: `DefaultRecordBatch`, `ByteBufferLogInputStream` (what ends a walk and what is corruption).

use bytes::Bytes;

use crate::types::limits::{BATCH_HEADER_BYTES, BATCH_LENGTH_MIN, BATCH_PREFIX_BYTES};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::wire::codec::Codec;

/// Bytes needed to know a batch's length and magic; with fewer a walk ends.
pub const PEEK_BYTES: usize = 17;
/// The smallest length field that any magic has; below it the bytes are no batch.
const ANY_LENGTH_MIN: i32 = 14;
/// Where the checksummed part starts.
const CRC_FROM: usize = 21;

const TIMESTAMP_TYPE_BIT: u16 = 1 << 3;
const TRANSACTIONAL_BIT: u16 = 1 << 4;
const CONTROL_BIT: u16 = 1 << 5;
const DELETE_HORIZON_BIT: u16 = 1 << 6;
const CODEC_BITS: u16 = 0b111;

/// Who set a batch's timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The producer, each record its own.
    #[default]
    CreateTime,
    /// The broker: every record reports the batch's max timestamp.
    LogAppendTime,
}

/// Why bytes are not the head of a v2 batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// Fewer than 61 bytes.
    #[error("a batch header needs {BATCH_HEADER_BYTES} bytes, there are {0}")]
    Cut(usize),
    /// The length field is smaller than a header or negative.
    #[error("batch length {0} is smaller than a batch's header")]
    Length(i32),
    /// A batch of an older format (magic 0 or 1): valid on disk, not readable here.
    #[error("batch has the old magic {0}")]
    OldMagic(i8),
    /// A magic that no Kafka has written.
    #[error("batch has the unknown magic {0}")]
    UnknownMagic(i8),
}

/// The 61 bytes before the records of a v2 batch, magic left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record; the leader assigns it. Not checksummed.
    pub base_offset: Offset,
    /// Bytes after this field: 49 and up.
    pub batch_length: u32,
    /// Leader epoch of the append, -1 from producers. Not checksummed.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C over everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon; see the methods.
    pub attributes: u16,
    /// Last offset minus base offset; kept by compaction. Negative only in bytes that no producer should send.
    pub last_offset_delta: i32,
    /// The first record's timestamp in ms, or the delete horizon if that attribute is set.
    pub base_timestamp: i64,
    /// The largest timestamp in ms, or the append time; -1 for none.
    pub max_timestamp: i64,
    /// -1 if the producer is not idempotent.
    pub producer_id: ProducerId,
    /// -1 if the producer is not idempotent.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Records in the batch; smaller than the offset range after compaction, 0 in an emptied batch.
    pub record_count: i32,
}

/// Reads `N` bytes at a position, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl BatchHeader {
    /// Reads the head of a v2 batch. Needs 61 bytes; says nothing on the records or the checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        Self::decode_fields(bytes).ok_or(BatchError::Cut(bytes.len()))?
    }

    fn decode_fields(bytes: &[u8]) -> Option<Result<Self, BatchError>> {
        let length = i32::from_be_bytes(array_at(bytes, 8)?);
        match i8::from_be_bytes(array_at(bytes, 16)?) {
            2 => {}
            old @ 0..=1 => return Some(Err(BatchError::OldMagic(old))),
            unknown => return Some(Err(BatchError::UnknownMagic(unknown))),
        }
        let batch_length = match u32::try_from(length) {
            Ok(fits) if fits >= BATCH_LENGTH_MIN => fits,
            _ => return Some(Err(BatchError::Length(length))),
        };
        Some(Ok(Self {
            base_offset: Offset(i64::from_be_bytes(array_at(bytes, 0)?)),
            batch_length,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(array_at(bytes, 12)?)),
            crc: u32::from_be_bytes(array_at(bytes, 17)?),
            attributes: u16::from_be_bytes(array_at(bytes, 21)?),
            last_offset_delta: i32::from_be_bytes(array_at(bytes, 23)?),
            base_timestamp: i64::from_be_bytes(array_at(bytes, 27)?),
            max_timestamp: i64::from_be_bytes(array_at(bytes, 35)?),
            producer_id: ProducerId(i64::from_be_bytes(array_at(bytes, 43)?)),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(array_at(bytes, 51)?)),
            base_sequence: i32::from_be_bytes(array_at(bytes, 53)?),
            record_count: i32::from_be_bytes(array_at(bytes, 57)?),
        }))
    }

    /// The header as it stands before its records.
    #[must_use]
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut head = [0; BATCH_HEADER_BYTES];
        let fields: [&[u8]; 13] = [
            &self.base_offset.0.to_be_bytes(),
            &self.batch_length.to_be_bytes(),
            &self.leader_epoch.0.to_be_bytes(),
            &[2],
            &self.crc.to_be_bytes(),
            &self.attributes.to_be_bytes(),
            &self.last_offset_delta.to_be_bytes(),
            &self.base_timestamp.to_be_bytes(),
            &self.max_timestamp.to_be_bytes(),
            &self.producer_id.0.to_be_bytes(),
            &self.producer_epoch.0.to_be_bytes(),
            &self.base_sequence.to_be_bytes(),
            &self.record_count.to_be_bytes(),
        ];
        let mut rest = head.iter_mut();
        for byte in fields.into_iter().flatten() {
            *rest.next().expect("the fields are 61 bytes long") = *byte;
        }
        assert!(rest.next().is_none(), "the fields fill the head");
        head
    }

    /// The whole batch in bytes, header included.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        12 + u64::from(self.batch_length)
    }

    /// Offset of the last record, or what it was before compaction.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .saturating_add(i64::from(self.last_offset_delta)),
        )
    }

    /// The first offset after this batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// Sequence of the last record: after 2147483647 comes 0. -1 if the batch has none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        match self.base_sequence.checked_add(self.last_offset_delta) {
            Some(last) => last,
            // Sequences count modulo 2^31: the sum as an unsigned number without its top bit.
            None => self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX,
        }
    }

    /// The codec of the records; `None` for the numbers 5 to 7, which mean nothing.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_number(self.attributes & CODEC_BITS)
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Part of a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Holds control records, which no application sees.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The base timestamp field holds the delete horizon of tombstones.
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// The producer is idempotent: id, epoch and sequence count.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// The timestamp of a record with this delta. Wraps as Java does: a client may send any two numbers.
    #[must_use]
    pub fn record_timestamp(&self, timestamp_delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }

    /// CRC-32C of the checksummed part of the header alone (attributes to count).
    pub(crate) fn crc_of_head(&self) -> u32 {
        crc32c::crc32c(self.encode().get(CRC_FROM..).unwrap_or_default())
    }
}

/// The attribute bits for a batch to be written.
#[must_use]
pub(crate) fn attributes(
    codec: Codec,
    timestamp_type: TimestampType,
    transactional: bool,
    control: bool,
    delete_horizon: bool,
) -> u16 {
    let mut bits = codec.number();
    for (set, bit) in [
        (
            timestamp_type == TimestampType::LogAppendTime,
            TIMESTAMP_TYPE_BIT,
        ),
        (transactional, TRANSACTIONAL_BIT),
        (control, CONTROL_BIT),
        (delete_horizon, DELETE_HORIZON_BIT),
    ] {
        if set {
            bits |= bit;
        }
    }
    bits
}

/// CRC-32C of one whole batch (from its base offset on): over byte 21 to the end. 0 for fewer bytes than that.
#[must_use]
pub fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CRC_FROM..).unwrap_or_default())
}

/// True if these bytes are one whole v2 batch whose checksum is right.
#[must_use]
pub fn is_valid(batch: &[u8]) -> bool {
    BatchHeader::decode(batch).is_ok_and(|header| {
        u64::try_from(batch.len()).is_ok_and(|len| len == header.total_bytes())
            && header.crc == crc_of(batch)
    })
}

/// One batch met on a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walked<'a> {
    /// A whole v2 batch; its checksum is not looked at.
    Batch {
        /// Where it starts in the walked bytes.
        position: usize,
        /// Its head.
        header: BatchHeader,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A whole message of magic 0 or 1.
    Old {
        /// Where it starts in the walked bytes.
        position: usize,
        /// 0 or 1.
        magic: i8,
        /// Its offset field: of a compressed message, the last one inside.
        offset: Offset,
        /// All of it.
        bytes: &'a [u8],
    },
}

/// Why a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WalkEnd {
    /// Every byte belongs to a batch.
    Complete,
    /// From this position on fewer than 17 bytes, or a batch that claims more than there is: a normal end.
    CutAt(usize),
    /// What starts at this position is no batch.
    Corrupt {
        /// Where.
        position: usize,
        /// Why.
        why: BatchError,
    },
}

/// Walks over the batches in some bytes, which may end anywhere. Ask [`BatchWalk::end`] once it gives no more.
#[derive(Clone, Debug)]
pub struct BatchWalk<'a> {
    bytes: &'a [u8],
    position: usize,
    end: Option<WalkEnd>,
}

impl<'a> BatchWalk<'a> {
    /// A walk from the first byte, which must be the start of a batch.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            end: None,
        }
    }

    /// Why the walk ended; `None` while it has not.
    #[must_use]
    pub fn end(&self) -> Option<WalkEnd> {
        self.end
    }

    /// The position after the last batch that was given out.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    fn advance(&mut self) -> Result<Walked<'a>, WalkEnd> {
        let position = self.position;
        let rest = self.bytes.get(position..).unwrap_or_default();
        if rest.is_empty() {
            return Err(WalkEnd::Complete);
        }
        let cut = WalkEnd::CutAt(position);
        let corrupt = |why| WalkEnd::Corrupt { position, why };
        if rest.len() < PEEK_BYTES {
            return Err(cut);
        }
        let length = i32::from_be_bytes(array_at(rest, 8).ok_or(cut)?);
        if length < ANY_LENGTH_MIN {
            return Err(corrupt(BatchError::Length(length)));
        }
        let magic = i8::from_be_bytes(array_at(rest, 16).ok_or(cut)?);
        if !(0..=2).contains(&magic) {
            return Err(corrupt(BatchError::UnknownMagic(magic)));
        }
        let claimed = usize::try_from(length).map_err(|_| cut)? + BATCH_PREFIX_BYTES;
        let bytes = rest.get(..claimed).ok_or(cut)?;
        self.position = position + claimed;
        if magic < 2 {
            let offset = Offset(i64::from_be_bytes(array_at(rest, 0).ok_or(cut)?));
            return Ok(Walked::Old {
                position,
                magic,
                offset,
                bytes,
            });
        }
        match BatchHeader::decode(bytes) {
            Ok(header) => Ok(Walked::Batch {
                position,
                header,
                bytes,
            }),
            Err(why) => {
                self.position = position;
                // A length between 14 and 48 passes the first check but cannot hold a v2 header.
                let why = match why {
                    BatchError::Cut(_) => BatchError::Length(length),
                    other => other,
                };
                Err(corrupt(why))
            }
        }
    }
}

impl<'a> Iterator for BatchWalk<'a> {
    type Item = Walked<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        match self.advance() {
            Ok(walked) => Some(walked),
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}

/// The records of a batch as they are stored: everything after the 61-byte head, possibly compressed.
#[must_use]
pub fn body_of(batch: &Bytes) -> Bytes {
    batch.slice(BATCH_HEADER_BYTES.min(batch.len())..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::build::BatchBuilder;
    use proptest::prelude::*;

    fn header() -> BatchHeader {
        BatchHeader {
            base_offset: Offset(7),
            batch_length: 49,
            leader_epoch: LeaderEpoch(3),
            crc: 0xdead_beef,
            attributes: 0b0111_1100,
            last_offset_delta: 4,
            base_timestamp: 1_000,
            max_timestamp: 2_000,
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(1),
            base_sequence: i32::MAX - 1,
            record_count: 5,
        }
    }

    #[test]
    fn every_field_stands_where_kafka_puts_it() {
        let bytes = header().encode();
        assert_eq!(bytes[0..8], 7i64.to_be_bytes());
        assert_eq!(bytes[8..12], 49i32.to_be_bytes());
        assert_eq!(bytes[12..16], 3i32.to_be_bytes());
        assert_eq!(bytes[16], 2);
        assert_eq!(bytes[17..21], 0xdead_beefu32.to_be_bytes());
        assert_eq!(bytes[21..23], [0, 0b0111_1100]);
        assert_eq!(bytes[23..27], 4i32.to_be_bytes());
        assert_eq!(bytes[27..35], 1_000i64.to_be_bytes());
        assert_eq!(bytes[35..43], 2_000i64.to_be_bytes());
        assert_eq!(bytes[43..51], 9i64.to_be_bytes());
        assert_eq!(bytes[51..53], 1i16.to_be_bytes());
        assert_eq!(bytes[53..57], (i32::MAX - 1).to_be_bytes());
        assert_eq!(bytes[57..61], 5i32.to_be_bytes());
        assert_eq!(BatchHeader::decode(&bytes), Ok(header()));
    }

    #[test]
    fn derived_values() {
        let header = header();
        assert_eq!(header.total_bytes(), 61);
        assert_eq!(header.last_offset(), Offset(11));
        assert_eq!(header.next_offset(), Offset(12));
        // MAX-1, MAX, 0, 1, 2
        assert_eq!(header.last_sequence(), 2);
        assert_eq!(header.codec(), Some(Codec::Zstd));
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert!(header.is_transactional());
        assert!(header.is_control());
        assert!(header.has_delete_horizon());
        assert_eq!(header.record_timestamp(55), 2_000);
        let plain = BatchHeader {
            attributes: 5,
            base_sequence: -1,
            ..header
        };
        assert_eq!(plain.codec(), None);
        assert_eq!(plain.last_sequence(), -1);
        assert_eq!(plain.record_timestamp(55), 1_055);
    }

    #[test]
    fn what_is_no_v2_batch() {
        let good = header().encode();
        assert_eq!(BatchHeader::decode(&good[..60]), Err(BatchError::Cut(60)));
        assert_eq!(BatchHeader::decode(&[]), Err(BatchError::Cut(0)));
        let mut old = good;
        old[16] = 1;
        assert_eq!(BatchHeader::decode(&old), Err(BatchError::OldMagic(1)));
        old[16] = 3;
        assert_eq!(BatchHeader::decode(&old), Err(BatchError::UnknownMagic(3)));
        let mut short = good;
        short[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(BatchHeader::decode(&short), Err(BatchError::Length(48)));
        short[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(BatchHeader::decode(&short), Err(BatchError::Length(-1)));
    }

    fn two_batches() -> Vec<u8> {
        let mut bytes = Vec::new();
        for base in [0, 1] {
            let mut builder = BatchBuilder::new();
            builder.base_offset(Offset(base));
            builder.push(5, None, Some(b"value"), &[]);
            bytes.extend_from_slice(&builder.build());
        }
        bytes
    }

    #[test]
    fn a_walk_ends_where_kafka_ends_it() {
        let bytes = two_batches();
        let one = bytes.len() / 2;
        let check = |bytes: &[u8], batches: usize, end: WalkEnd| {
            let mut walk = BatchWalk::new(bytes);
            assert_eq!(walk.by_ref().count(), batches);
            assert_eq!(walk.end(), Some(end));
            assert_eq!(walk.next(), None);
        };
        check(&bytes, 2, WalkEnd::Complete);
        check(&[], 0, WalkEnd::Complete);
        check(&bytes[..one + 16], 1, WalkEnd::CutAt(one));
        check(&bytes[..bytes.len() - 1], 1, WalkEnd::CutAt(one));
        let mut zeros = bytes.clone();
        zeros.extend_from_slice(&[0; 16]);
        check(&zeros, 2, WalkEnd::CutAt(bytes.len()));
        zeros.push(0);
        let why = BatchError::Length(0);
        let position = bytes.len();
        check(&zeros, 2, WalkEnd::Corrupt { position, why });
        let mut odd = bytes.clone();
        odd[one + 16] = 9;
        let why = BatchError::UnknownMagic(9);
        check(&odd, 1, WalkEnd::Corrupt { position: one, why });
        let mut small = vec![0; 40];
        small[11] = 20;
        small[16] = 2;
        let why = BatchError::Length(20);
        check(&small, 0, WalkEnd::Corrupt { position: 0, why });
    }

    #[test]
    fn old_messages_are_recognised_and_stepped_over() {
        let mut bytes = vec![0; 30];
        bytes[7] = 42;
        bytes[11] = 18;
        bytes[16] = 1;
        bytes.extend_from_slice(&two_batches());
        let met: Vec<_> = BatchWalk::new(&bytes).collect();
        assert_eq!(met.len(), 3);
        assert!(matches!(
            met[0],
            Walked::Old {
                position: 0,
                magic: 1,
                offset: Offset(42),
                ..
            }
        ));
        assert!(matches!(met[1], Walked::Batch { position: 30, .. }));
    }

    #[test]
    fn checksums_cover_byte_21_to_the_end() {
        let bytes = two_batches();
        let mut one = bytes[..bytes.len() / 2].to_vec();
        assert!(is_valid(&one));
        one[0] = 1;
        one[15] = 7;
        assert!(is_valid(&one), "offset and leader epoch are not covered");
        *one.last_mut().unwrap() ^= 1;
        assert!(!is_valid(&one));
        assert!(!is_valid(&[]));
    }

    proptest! {
        #[test]
        fn any_61_bytes_come_back(mut bytes in proptest::collection::vec(any::<u8>(), 61), length in 49i32..) {
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            let header = BatchHeader::decode(&bytes).unwrap();
            prop_assert_eq!(&header.encode()[..], &bytes[..]);
            let _ = (header.last_offset(), header.next_offset(), header.last_sequence());
        }

        #[test]
        fn any_bytes_can_be_walked(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut walk = BatchWalk::new(&bytes);
            let met = walk.by_ref().count();
            prop_assert!(met <= bytes.len());
            prop_assert!(walk.end().is_some());
        }
    }
}
