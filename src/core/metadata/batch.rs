//! Batches of the metadata log and its snapshots.
//!
//! Invariants: 1. Every batch is uncompressed, without producer, and its records share the append time. 2. A batch that fails its
//! checksum or its counts is refused whole.
//! Source: Kafka's `BatchAccumulator`, `RecordsIterator`.

use bytes::Bytes;

use super::control::ControlRecord;
use super::record::Record;
use super::record::codec::{DecodeError, Reader, Writer};
use crate::types::{LeaderEpoch, Offset, WallMillis};

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
    /// Not a whole, intact v2 batch.
    #[error("batch at offset {0} is damaged: {1}")]
    Damaged(Offset, &'static str),
    /// A record in it cannot be decoded.
    #[error("record at offset {0}: {1}")]
    Record(Offset, DecodeError),
}

/// Encodes a batch of metadata records.
///
/// Panics if there is none: an empty batch has no place in the log.
#[must_use]
pub fn encode_records(base: Offset, epoch: LeaderEpoch, now: WallMillis, all: &[Record]) -> Bytes {
    let values: Vec<_> = all.iter().map(|r| (None, r.encode())).collect();
    encode(base, epoch, now, 0, &values)
}

/// Encodes a batch of control records. Panics if there is none.
#[must_use]
pub fn encode_controls(
    base: Offset,
    epoch: LeaderEpoch,
    now: WallMillis,
    all: &[ControlRecord],
) -> Bytes {
    let values: Vec<_> = all
        .iter()
        .map(|r| {
            let (key, value) = r.encode();
            (Some(key), value)
        })
        .collect();
    encode(base, epoch, now, 1 << 5, &values)
}

fn encode(
    base: Offset,
    epoch: LeaderEpoch,
    now: WallMillis,
    attributes: i16,
    records: &[(Option<Bytes>, Bytes)],
) -> Bytes {
    assert!(!records.is_empty(), "a batch holds at least one record");
    let count = i32::try_from(records.len()).expect("a batch holds fewer than 2^31 records");
    let summed = Writer::body(|w| {
        w.i16(attributes);
        w.i32(count - 1);
        w.i64(now.0);
        w.i64(now.0);
        w.i64(-1);
        w.i16(-1);
        w.i32(-1);
        w.i32(count);
        for (delta, (key, value)) in records.iter().enumerate() {
            let body = Writer::body(|w| {
                w.i8(0);
                w.zigzag(0);
                w.zigzag(i32::try_from(delta).expect("below the count"));
                for part in [key.as_ref(), Some(value)] {
                    match part {
                        None => w.zigzag(-1),
                        Some(bytes) => {
                            w.zigzag(i32::try_from(bytes.len()).expect("records are small"));
                            w.raw(bytes);
                        }
                    }
                }
                w.zigzag(0);
            });
            w.zigzag(i32::try_from(body.len()).expect("records are small"));
            w.raw(&body);
        }
    });
    Writer::body(|w| {
        w.i64(base.0);
        w.i32(i32::try_from(summed.len() + 9).expect("a batch is below 2 GiB"));
        w.i32(epoch.0);
        w.i8(2);
        w.raw(&crc32c::crc32c(&summed).to_be_bytes());
        w.raw(&summed);
    })
}

/// A decoded batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataBatch {
    /// Offset of the first record.
    pub base: Offset,
    /// Leader epoch of the append.
    pub epoch: LeaderEpoch,
    /// Append time.
    pub time: WallMillis,
    /// Its records with their offsets.
    pub entries: Vec<(Offset, Entry)>,
}

/// Decodes the batch at the front of `bytes`; returns it and its length. `None` if the bytes end before it does.
pub fn decode_front(bytes: &[u8]) -> Result<Option<(MetadataBatch, usize)>, BatchFault> {
    let mut head = Reader::new(bytes);
    let (Ok(base), Ok(length)) = (head.i64(), head.i32()) else {
        return Ok(None);
    };
    let base = Offset(base);
    let damaged = |what| BatchFault::Damaged(base, what);
    let length = usize::try_from(length)
        .ok()
        .filter(|l| *l >= 49)
        .ok_or(damaged("its length cannot be"))?;
    let Ok(body) = head.take(length) else {
        return Ok(None);
    };
    let batch = decode_body(base, body)?;
    Ok(Some((batch, 12 + length)))
}

fn decode_body(base: Offset, body: &[u8]) -> Result<MetadataBatch, BatchFault> {
    let damaged = |what| BatchFault::Damaged(base, what);
    let cut = |_| BatchFault::Damaged(base, "it is cut short");
    let mut r = Reader::new(body);
    let epoch = LeaderEpoch(r.i32().map_err(cut)?);
    if r.i8().map_err(cut)? != 2 {
        return Err(damaged("its magic is not 2"));
    }
    let crc = r.i32().map_err(cut)?.cast_unsigned();
    if crc != crc32c::crc32c(r.remaining()) {
        return Err(damaged("its checksum is wrong"));
    }
    let attributes = r.i16().map_err(cut)?;
    if attributes & 0b111 != 0 {
        return Err(damaged("it is compressed"));
    }
    let _last_delta = r.i32().map_err(cut)?;
    let _base_time = r.i64().map_err(cut)?;
    let time = WallMillis(r.i64().map_err(cut)?);
    r.take(14).map_err(cut)?;
    let count = r.i32().map_err(cut)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (delta, key, value) = decode_parts(&mut r).map_err(|e| BatchFault::Record(base, e))?;
        let offset = Offset(base.0.saturating_add(i64::from(delta)));
        let entry = if attributes & (1 << 5) == 0 {
            Record::decode(value).map(Entry::Data)
        } else {
            ControlRecord::decode(key, value).map(Entry::Control)
        };
        entries.push((offset, entry.map_err(|e| BatchFault::Record(offset, e))?));
    }
    if !r.remaining().is_empty() {
        return Err(damaged("bytes follow its last record"));
    }
    Ok(MetadataBatch {
        base,
        epoch,
        time,
        entries,
    })
}

/// Offset delta, key (empty if null) and value (empty if null) of one record.
fn decode_parts<'a>(r: &mut Reader<'a>) -> Result<(i32, &'a [u8], &'a [u8]), DecodeError> {
    let length = r.zigzag_length()?;
    let mut r = Reader::new(r.take(length)?);
    r.i8()?;
    r.zigzag_long()?;
    let delta = i32::try_from(r.zigzag_long()?).map_err(|_| DecodeError::Range("offset delta"))?;
    let mut part = || -> Result<&'a [u8], DecodeError> {
        match r.zigzag_long()? {
            -1 => Ok(&[]),
            length => {
                let fits = usize::try_from(length).map_err(|_| DecodeError::Length(length))?;
                r.take(fits)
            }
        }
    };
    Ok((delta, part()?, part()?))
}
