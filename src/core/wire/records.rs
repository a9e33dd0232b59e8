//! Records inside a batch, once decompressed: a view over bytes that are all there, and a scanner for bytes that come in pieces.
//!
//! Invariants:
//! 1. No bytes panic; each record's declared length must be used up exactly.
//! 2. The scanner keeps nothing of keys, values and headers: its memory does not depend on the records' size.
//! 3. Both accept the same bytes.
//!
//! Deliberately absent: offsets and timestamps as absolute numbers; they need the batch's head.
//!
//! Source: `DefaultRecord` (`readFrom`, `readPartiallyFrom`), `ByteUtils` (varints: zigzag, at most 5 or 10 bytes).

/// Why bytes are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes end inside a record, or a field claims more than its record holds.
    #[error("a record is cut short")]
    Cut,
    /// The record's declared length is not what its fields need, or is negative.
    #[error("a record's length does not fit its fields")]
    Length,
    /// A number longer than its type allows.
    #[error("a variable-length number is too long")]
    Varint,
    /// A negative number of headers or a header without a key.
    #[error("a record's headers are malformed")]
    Headers,
}

/// What is known of a record without its key, value and headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecordMeta {
    /// The record's attribute byte; unused, 0.
    pub attributes: i8,
    /// Timestamp minus the batch's base timestamp, in ms.
    pub timestamp_delta: i64,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// The key is not null.
    pub has_key: bool,
}

/// One record, borrowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordView<'a> {
    /// The record's attribute byte; unused, 0.
    pub attributes: i8,
    /// Timestamp minus the batch's base timestamp, in ms.
    pub timestamp_delta: i64,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// The key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for null (a tombstone).
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    header_count: u32,
}

/// A record's header: key (by rule UTF-8, not checked) and value.
pub type HeaderView<'a> = (&'a [u8], Option<&'a [u8]>);

impl<'a> RecordView<'a> {
    /// The headers in order; the same key may come more than once.
    pub fn headers(&self) -> impl Iterator<Item = HeaderView<'a>> + use<'a> {
        let mut rest = Cursor {
            bytes: self.headers,
        };
        // The headers were walked when the record was read: no step fails before the count is reached.
        (0..self.header_count).map_while(move |_| rest.header().ok())
    }

    /// How many headers there are.
    #[must_use]
    pub fn header_count(&self) -> u32 {
        self.header_count
    }
}

/// Bytes still to be read.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Result<u8, RecordError> {
        let (first, rest) = self.bytes.split_first().ok_or(RecordError::Cut)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(RecordError::Cut)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// One byte holds most numbers of most records: worth a way of its own.
    fn short(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        if *first >= 0x80 {
            return None;
        }
        self.bytes = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Result<i32, RecordError> {
        if let Some(byte) = self.short() {
            return Ok(int(u64::from(byte)));
        }
        let mut number = Varint::default();
        loop {
            if let Some(value) = number.push(self.byte()?, INT_BITS)? {
                return Ok(int(value));
            }
        }
    }

    fn varlong(&mut self) -> Result<i64, RecordError> {
        if let Some(byte) = self.short() {
            return Ok(unzigzag(u64::from(byte)));
        }
        let mut number = Varint::default();
        loop {
            if let Some(value) = number.push(self.byte()?, LONG_BITS)? {
                return Ok(unzigzag(value));
            }
        }
    }

    /// Bytes after their length; any negative length is null, as Kafka reads it.
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn header(&mut self) -> Result<HeaderView<'a>, RecordError> {
        let key = self.nullable()?.ok_or(RecordError::Headers)?;
        Ok((key, self.nullable()?))
    }
}

const INT_BITS: u32 = 32;
const LONG_BITS: u32 = 64;

/// A zigzag number that arrives byte by byte.
#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    value: u64,
    shift: u32,
}

impl Varint {
    /// Takes the next byte; the whole number once complete. Bits beyond the type are dropped, as Java drops them.
    fn push(&mut self, byte: u8, bits: u32) -> Result<Option<u64>, RecordError> {
        if self.shift >= bits {
            return Err(RecordError::Varint);
        }
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 == 0 {
            Ok(Some(std::mem::take(self).value))
        } else {
            Ok(None)
        }
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn int(value: u64) -> i32 {
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    (low >> 1).cast_signed() ^ -(low & 1).cast_signed()
}

/// Iterates over whole, decompressed record bytes. After an error it gives nothing more.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// `bytes`: a batch's records from the first one's length on, not compressed.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn read(&mut self) -> Result<RecordView<'a>, RecordError> {
        let mut outer = Cursor { bytes: self.bytes };
        let len = usize::try_from(outer.varint()?).map_err(|_| RecordError::Length)?;
        let mut record = Cursor {
            bytes: outer.take(len)?,
        };
        let attributes = i8::from_be_bytes([record.byte()?]);
        let timestamp_delta = record.varlong()?;
        let offset_delta = record.varint()?;
        let key = record.nullable()?;
        let value = record.nullable()?;
        let header_count = u32::try_from(record.varint()?).map_err(|_| RecordError::Headers)?;
        let headers = record.bytes;
        for _ in 0..header_count {
            record.header()?;
        }
        if !record.bytes.is_empty() {
            return Err(RecordError::Length);
        }
        self.bytes = outer.bytes;
        Ok(RecordView {
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers,
            header_count,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.bytes = &[];
        }
        Some(read)
    }
}

/// Reads a whole record from the front, if it is all there and good.
fn skim(input: &mut &[u8]) -> Option<RecordMeta> {
    let mut records = Records { bytes: input };
    let record = records.read().ok()?;
    *input = records.bytes;
    Some(RecordMeta {
        attributes: record.attributes,
        timestamp_delta: record.timestamp_delta,
        offset_delta: record.offset_delta,
        has_key: record.key.is_some(),
    })
}

/// What the scanner expects next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Want {
    #[default]
    Length,
    Attributes,
    TimestampDelta,
    OffsetDelta,
    KeyLength,
    Key,
    ValueLength,
    Value,
    HeaderCount,
    HeaderKeyLength,
    HeaderKey,
    HeaderValueLength,
    HeaderValue,
}

/// Reads records that arrive in pieces, skipping keys, values and headers.
#[derive(Clone, Debug, Default)]
pub struct RecordScanner {
    want: Want,
    number: Varint,
    /// Bytes of the present record that are not consumed yet.
    left: u32,
    /// Bytes of the present field to be skipped.
    skip: u32,
    headers_left: u32,
    meta: RecordMeta,
}

impl RecordScanner {
    /// A scanner that expects a record's first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True between two records.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.want == Want::Length && self.number.shift == 0
    }

    /// Consumes bytes from the front of `input` until a record is complete (`Some`) or the bytes are used up (`None`).
    pub fn scan(&mut self, input: &mut &[u8]) -> Result<Option<RecordMeta>, RecordError> {
        // A record that is all there and good is read in one go; any other byte by byte, which finds what is wrong.
        if self.at_boundary()
            && let Some(meta) = skim(input)
        {
            return Ok(Some(meta));
        }
        loop {
            match self.want {
                Want::Key | Want::Value | Want::HeaderKey | Want::HeaderValue => {
                    let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
                    let now = skip.min(input.len());
                    *input = input.get(now..).unwrap_or_default();
                    let now = u32::try_from(now).unwrap_or(u32::MAX);
                    self.skip -= now;
                    self.left -= now;
                    if self.skip > 0 {
                        return Ok(None);
                    }
                    if self.field_done()? {
                        return Ok(Some(std::mem::take(&mut self.meta)));
                    }
                }
                _ => {
                    let Some((&byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    if self.want != Want::Length {
                        self.left = self.left.checked_sub(1).ok_or(RecordError::Cut)?;
                    }
                    if self.on_byte(byte)? {
                        return Ok(Some(std::mem::take(&mut self.meta)));
                    }
                }
            }
        }
    }

    /// One byte of a number. True if it completes the record.
    fn on_byte(&mut self, byte: u8) -> Result<bool, RecordError> {
        if self.want == Want::Attributes {
            self.meta.attributes = i8::from_be_bytes([byte]);
            self.want = Want::TimestampDelta;
            return Ok(false);
        }
        let bits = if self.want == Want::TimestampDelta {
            LONG_BITS
        } else {
            INT_BITS
        };
        let Some(value) = self.number.push(byte, bits)? else {
            return Ok(false);
        };
        if self.want == Want::TimestampDelta {
            self.meta.timestamp_delta = unzigzag(value);
            self.want = Want::OffsetDelta;
            return Ok(false);
        }
        self.on_number(int(value))
    }

    fn on_number(&mut self, number: i32) -> Result<bool, RecordError> {
        match self.want {
            Want::Length => {
                self.left = u32::try_from(number).map_err(|_| RecordError::Length)?;
                self.want = Want::Attributes;
            }
            Want::OffsetDelta => {
                self.meta.offset_delta = number;
                self.want = Want::KeyLength;
            }
            Want::KeyLength => {
                self.meta.has_key = number >= 0;
                self.skip_field(number, Want::Key)?;
            }
            Want::ValueLength => self.skip_field(number, Want::Value)?,
            Want::HeaderCount => {
                self.headers_left = u32::try_from(number).map_err(|_| RecordError::Headers)?;
                // A header takes at least two bytes; said here, a huge count fails at once.
                if self.headers_left > self.left / 2 {
                    return Err(RecordError::Cut);
                }
                return self.next_header();
            }
            Want::HeaderKeyLength => {
                if number < 0 {
                    return Err(RecordError::Headers);
                }
                self.skip_field(number, Want::HeaderKey)?;
            }
            Want::HeaderValueLength => self.skip_field(number, Want::HeaderValue)?,
            Want::Attributes
            | Want::TimestampDelta
            | Want::Key
            | Want::Value
            | Want::HeaderKey
            | Want::HeaderValue => unreachable!("these are no 32-bit numbers"),
        }
        Ok(false)
    }

    /// Sets out to skip a field; null (negative) and empty ones are skipped with no byte.
    fn skip_field(&mut self, len: i32, want: Want) -> Result<(), RecordError> {
        self.skip = u32::try_from(len).unwrap_or(0);
        self.want = want;
        if self.skip > self.left {
            return Err(RecordError::Cut);
        }
        Ok(())
    }

    /// After a skipped field. True if that was the record's last.
    fn field_done(&mut self) -> Result<bool, RecordError> {
        self.want = match self.want {
            Want::Key => Want::ValueLength,
            Want::Value => Want::HeaderCount,
            Want::HeaderKey => Want::HeaderValueLength,
            _ => {
                self.headers_left -= 1;
                return self.next_header();
            }
        };
        Ok(false)
    }

    fn next_header(&mut self) -> Result<bool, RecordError> {
        if self.headers_left > 0 {
            self.want = Want::HeaderKeyLength;
            return Ok(false);
        }
        if self.left != 0 {
            return Err(RecordError::Length);
        }
        self.want = Want::Length;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch::body_of;
    use crate::wire::build::BatchBuilder;
    use proptest::prelude::*;

    /// Key, value and number of headers.
    type Shape = (Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn body(records: &[Shape]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for (index, (key, value, headers)) in records.iter().enumerate() {
            let headers: Vec<(&[u8], Option<&[u8]>)> = (0..*headers)
                .map(|n| (&b"same"[..], (n % 2 == 0).then_some(&b"v"[..])))
                .collect();
            let timestamp = 1_000 - i64::try_from(index).unwrap() * 77;
            builder.push(timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        body_of(&builder.build()).to_vec()
    }

    fn scan(bytes: &[u8], pieces: usize) -> Result<Vec<RecordMeta>, RecordError> {
        let mut scanner = RecordScanner::new();
        let mut found = Vec::new();
        for mut piece in bytes.chunks(pieces) {
            while let Some(meta) = scanner.scan(&mut piece)? {
                found.push(meta);
            }
            assert!(piece.is_empty());
        }
        if scanner.at_boundary() {
            Ok(found)
        } else {
            Err(RecordError::Cut)
        }
    }

    fn view(bytes: &[u8]) -> Result<Vec<RecordMeta>, RecordError> {
        Records::new(bytes)
            .map(|record| {
                let record = record?;
                assert_eq!(
                    record.headers().count(),
                    usize::try_from(record.header_count()).unwrap()
                );
                Ok(RecordMeta {
                    attributes: record.attributes,
                    timestamp_delta: record.timestamp_delta,
                    offset_delta: record.offset_delta,
                    has_key: record.key.is_some(),
                })
            })
            .collect()
    }

    #[test]
    fn a_record_by_hand() {
        // length 16, attributes 0, timestamp +1, offset +2, key "k", value null, two headers "h" with null and "x"
        let bytes = [32, 0, 2, 4, 2, b'k', 1, 4, 2, b'h', 1, 2, b'h', 2, b'x'];
        let mut exact = bytes.to_vec();
        exact[0] = 28;
        let record = Records::new(&exact).next().unwrap().unwrap();
        assert_eq!(record.timestamp_delta, 1);
        assert_eq!(record.offset_delta, 2);
        assert_eq!(record.key, Some(&b"k"[..]));
        assert_eq!(record.value, None);
        let headers: Vec<_> = record.headers().collect();
        assert_eq!(headers, [(&b"h"[..], None), (&b"h"[..], Some(&b"x"[..]))]);
        assert_eq!(scan(&exact, 1).unwrap().len(), 1);
        assert_eq!(view(&bytes), Err(RecordError::Cut));
    }

    #[test]
    fn malformed_records() {
        let check = |bytes: &[u8], why: RecordError| {
            assert_eq!(view(bytes), Err(why), "{bytes:?}");
            for pieces in 1..=bytes.len() {
                assert_eq!(scan(bytes, pieces), Err(why), "{bytes:?}");
            }
        };
        check(&[1], RecordError::Length);
        // Length 7 where the fields need 6.
        check(&[14, 0, 0, 0, 1, 1, 0, 0], RecordError::Length);
        // A number of six bytes.
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0], RecordError::Varint);
        // Key longer than the record, negative header count, header without key.
        check(&[12, 0, 0, 0, 80, 1, 0], RecordError::Cut);
        check(&[12, 0, 0, 0, 1, 1, 1], RecordError::Headers);
        check(&[16, 0, 0, 0, 1, 1, 2, 1, 1], RecordError::Headers);
    }

    #[test]
    fn numbers_at_their_ends() {
        for number in [0, 1, -1, 63, -64, 64, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            crate::wire::build::put_varint(&mut out, number);
            assert_eq!(Cursor { bytes: &out }.varint(), Ok(number));
        }
        for number in [0, 1, -1, i64::MAX, i64::MIN, 1 << 40] {
            let mut out = Vec::new();
            crate::wire::build::put_varlong(&mut out, number);
            assert_eq!(Cursor { bytes: &out }.varlong(), Ok(number));
        }
    }

    fn shapes() -> impl Strategy<Value = Vec<Shape>> {
        let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
        proptest::collection::vec((bytes(), bytes(), 0usize..4), 1..10)
    }

    proptest! {
        #[test]
        fn view_and_scanner_agree_on_good_records(records in shapes(), pieces in 1usize..50) {
            let bytes = body(&records);
            let seen = view(&bytes).unwrap();
            prop_assert_eq!(seen.len(), records.len());
            for (index, (meta, (key, _, _))) in seen.iter().zip(&records).enumerate() {
                let index = i32::try_from(index).unwrap();
                prop_assert_eq!(meta.offset_delta, index);
                prop_assert_eq!(meta.timestamp_delta, -77 * i64::from(index));
                prop_assert_eq!(meta.has_key, key.is_some());
            }
            prop_assert_eq!(scan(&bytes, pieces).unwrap(), seen);
        }

        #[test]
        fn view_and_scanner_agree_on_bad_ones(records in shapes(), pieces in 1usize..50, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = body(&records);
            let place = at.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            prop_assert_eq!(view(&bytes).is_ok(), scan(&bytes, pieces).is_ok());
        }
    }
}
