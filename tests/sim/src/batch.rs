//! Record batches as clients write and read them, written here a second time on purpose: the checkers must not trust the
//! core's own idea of a batch.
//!
//! Deliberately absent: codecs other than gzip, headers, control batches (no client here makes them).
//! Source: Kafka's record batch format v2.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Its value; keys are absent.
    pub value: Bytes,
}

/// Who produces idempotently, and the sequence of a batch's first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
}

/// A batch as read.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// The epoch of the leader that took it.
    pub leader_epoch: i32,
    /// Its records, at `base_offset` and on without gaps.
    pub records: Vec<Record>,
}

impl Batch {
    /// Offset after the last record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.base_offset + i64::try_from(self.records.len()).expect("few records")
    }
}

const HEADER: usize = 61;
const PREFIX: usize = 12;
const GZIP: i16 = 1;

/// Encodes a batch of at least one record.
#[must_use]
pub fn encode(records: &[Record], identity: Option<Identity>, gzip: bool) -> Bytes {
    let base = records[0].timestamp;
    let latest = records.iter().map(|r| r.timestamp).max().unwrap_or(base);
    let count = i32::try_from(records.len()).expect("few records");
    let mut body = Vec::new();
    for (delta, record) in records.iter().enumerate() {
        let mut one = Vec::new();
        one.put_i8(0);
        put_varint(&mut one, record.timestamp - base);
        put_varint(&mut one, i64::try_from(delta).expect("few records"));
        put_varint(&mut one, -1);
        put_varint(&mut one, i64::try_from(record.value.len()).expect("small"));
        one.put_slice(&record.value);
        put_varint(&mut one, 0);
        put_varint(&mut body, i64::try_from(one.len()).expect("small"));
        body.put_slice(&one);
    }
    if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).expect("memory takes it");
        body = encoder.finish().expect("memory takes it");
    }
    let mut rest = BytesMut::with_capacity(HEADER + body.len());
    rest.put_i16(if gzip { GZIP } else { 0 });
    rest.put_i32(count - 1);
    rest.put_i64(base);
    rest.put_i64(latest);
    rest.put_i64(identity.map_or(-1, |i| i.producer_id));
    rest.put_i16(identity.map_or(-1, |i| i.epoch));
    rest.put_i32(identity.map_or(-1, |i| i.base_sequence));
    rest.put_i32(count);
    rest.put_slice(&body);
    let mut batch = BytesMut::with_capacity(HEADER + body.len());
    batch.put_i64(0);
    batch.put_i32(i32::try_from(rest.len() + 9).expect("small"));
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&rest));
    batch.put_slice(&rest);
    batch.freeze()
}

/// Decodes batches back to back. A last one that is cut is left out, as every consumer does; anything else wrong is an error.
pub fn decode(mut bytes: Bytes) -> Result<Vec<Batch>, String> {
    let mut batches = Vec::new();
    while bytes.len() >= PREFIX {
        let length = i32::from_be_bytes(bytes[8..12].try_into().expect("4 bytes"));
        let length = usize::try_from(length).map_err(|_| format!("batch length {length}"))?;
        if length + PREFIX < HEADER {
            return Err(format!("batch length {length}"));
        }
        if length + PREFIX > bytes.len() {
            break;
        }
        batches.push(decode_one(bytes.split_to(length + PREFIX))?);
    }
    Ok(batches)
}

/// What a log file holds, one batch a line, up to the first thing that is none.
#[must_use]
pub fn describe(bytes: &Bytes) -> Vec<String> {
    let mut lines = Vec::new();
    let mut position = 0;
    while bytes.len() >= position + HEADER {
        let at = |from: usize| bytes.slice(position + from..position + HEADER);
        let length = at(8).get_i32();
        let Some(end) = usize::try_from(length).ok().map(|l| position + PREFIX + l) else {
            break;
        };
        if length < 49 || end > bytes.len() {
            break;
        }
        lines.push(format!(
            "@{position} base {} records {} producer {} sequence {} crc {}",
            at(0).get_i64(),
            at(57).get_i32(),
            at(43).get_i64(),
            at(53).get_i32(),
            at(17).get_u32() == crc32c::crc32c(&bytes[position + 21..end])
        ));
        position = end;
    }
    lines.push(format!("@{position} of {}", bytes.len()));
    lines
}

fn decode_one(mut bytes: Bytes) -> Result<Batch, String> {
    let base_offset = bytes.get_i64();
    bytes.advance(4);
    let epoch = bytes.get_i32();
    let magic = bytes.get_i8();
    let crc = bytes.get_u32();
    if magic != 2 || epoch < 0 {
        return Err(format!(
            "batch {base_offset}: magic {magic}, leader epoch {epoch}"
        ));
    }
    if crc != crc32c::crc32c(&bytes) {
        return Err(format!("batch {base_offset}: wrong CRC"));
    }
    let attributes = bytes.get_i16();
    let last_delta = bytes.get_i32();
    let base_timestamp = bytes.get_i64();
    bytes.advance(8 + 8 + 2 + 4);
    let count = bytes.get_i32();
    if count != last_delta + 1 || attributes & !7 != 0 {
        return Err(format!(
            "batch {base_offset}: {count} records, last {last_delta}, attributes {attributes}"
        ));
    }
    let mut body = if attributes == GZIP {
        let mut plain = Vec::new();
        let read = GzDecoder::new(&bytes[..]).read_to_end(&mut plain);
        read.map_err(|e| format!("batch {base_offset}: {e}"))?;
        Bytes::from(plain)
    } else {
        bytes
    };
    let mut records = Vec::new();
    for delta in 0..i64::from(count) {
        let record = decode_record(&mut body, base_timestamp, delta);
        records.push(record.ok_or_else(|| format!("batch {base_offset}: bad record {delta}"))?);
    }
    if !body.is_empty() {
        return Err(format!("batch {base_offset}: bytes after the last record"));
    }
    Ok(Batch {
        base_offset,
        leader_epoch: epoch,
        records,
    })
}

fn decode_record(body: &mut Bytes, base_timestamp: i64, delta: i64) -> Option<Record> {
    let length = usize::try_from(get_varint(body)?).ok()?;
    if length > body.len() || length == 0 {
        return None;
    }
    let mut one = body.split_to(length);
    one.advance(1);
    let timestamp = base_timestamp + get_varint(&mut one)?;
    if get_varint(&mut one)? != delta || get_varint(&mut one)? != -1 {
        return None;
    }
    let value_len = usize::try_from(get_varint(&mut one)?).ok()?;
    if value_len > one.len() {
        return None;
    }
    let value = one.split_to(value_len);
    (get_varint(&mut one)? == 0 && one.is_empty()).then_some(Record { timestamp, value })
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.push(u8::try_from(bits & 0x7f).expect("7 bits") | 0x80);
        bits >>= 7;
    }
    out.push(u8::try_from(bits).expect("7 bits"));
}

fn get_varint(from: &mut Bytes) -> Option<i64> {
    let mut bits = 0u64;
    for shift in (0..64).step_by(7) {
        if from.is_empty() {
            return None;
        }
        let byte = from.get_u8();
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_cut_end_is_left_out() {
        let records: Vec<Record> = (0..300)
            .map(|i| Record {
                timestamp: 1_000 + i,
                value: Bytes::from(vec![u8::try_from(i % 200).unwrap(); 70]),
            })
            .collect();
        for gzip in [false, true] {
            let mut bytes = BytesMut::from(&encode(&records, None, gzip)[..]);
            bytes[12..16].copy_from_slice(&0i32.to_be_bytes());
            let whole = bytes.len();
            let copy = bytes.clone();
            bytes.extend_from_slice(&copy[..whole - 1]);
            let batches = decode(bytes.freeze()).unwrap();
            assert_eq!(batches.len(), 1);
            assert_eq!(batches[0].records, records);
            assert_eq!(batches[0].end(), 300);
        }
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let record = Record {
            timestamp: 5,
            value: Bytes::from_static(b"value"),
        };
        let mut bytes = BytesMut::from(&encode(&[record], None, false)[..]);
        bytes[12..16].copy_from_slice(&0i32.to_be_bytes());
        bytes[65] ^= 1;
        assert!(decode(bytes.freeze()).is_err());
    }
}
