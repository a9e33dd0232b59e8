//! The primitives of Kafka's flexible message format, as metadata records use them.
//!
//! Invariants: 1. The reader never panics and never allocates more than the bytes that are left could hold.
//! 2. Unknown tagged fields are skipped: a later minor version may add them.
//! Source: Kafka's protocol guide, KIP-482 (compact types, tagged fields).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::TopicId;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("the record is cut short")]
    Truncated,
    /// A count or length that the remaining bytes cannot hold, or that is negative where none may be.
    #[error("a length of {0} does not fit")]
    Length(i64),
    /// A variable-length integer longer than its type.
    #[error("a variable-length integer is too long")]
    Varint,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// Null where a value must be.
    #[error("{0} is null")]
    Null(&'static str),
    /// The frame around metadata records has another version than 1.
    #[error("frame version {0} is not known")]
    FrameVersion(u32),
    /// A record type that Kafka 4.2 does not have.
    #[error("metadata record type {0} is not known")]
    UnknownType(u32),
    /// A version of a record type that Kafka 4.2 does not have.
    #[error("version {version} of metadata record type {key} is not known")]
    UnknownVersion {
        /// The type.
        key: u32,
        /// The version.
        version: u32,
    },
    /// Bytes follow where the record must end.
    #[error("{0} bytes follow the record")]
    Trailing(usize),
    /// A value out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// Reads primitives from the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, DecodeError>;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub(crate) fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn i8(&mut self) -> Read<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> Read<bool> {
        self.i8().map(|b| b != 0)
    }

    pub(crate) fn i16(&mut self) -> Read<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Read<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Read<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Read<TopicId> {
        self.array().map(TopicId)
    }

    /// An unsigned varint of at most 32 bits.
    pub(crate) fn varint(&mut self) -> Read<u32> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                return Err(DecodeError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// A compact length: 0 is null, else the length plus one; never more than the bytes left.
    fn compact_length(&mut self) -> Read<Option<usize>> {
        let raw = self.varint()?;
        let Some(length) = raw.checked_sub(1) else {
            return Ok(None);
        };
        let fits = usize::try_from(length)
            .ok()
            .filter(|&length| length <= self.rest.len());
        match fits {
            Some(length) => Ok(Some(length)),
            None => Err(DecodeError::Length(i64::from(length))),
        }
    }

    pub(crate) fn opt_string(&mut self) -> Read<Option<Arc<str>>> {
        let Some(length) = self.compact_length()? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Utf8)?;
        Ok(Some(text.into()))
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Read<Arc<str>> {
        self.opt_string()?.ok_or(DecodeError::Null(name))
    }

    /// An array whose elements take at least one byte each.
    pub(crate) fn opt_vec<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some(count) = self.compact_length()? else {
            return Ok(None);
        };
        // The count is at most the bytes left, yet an element in memory is larger than one on disk.
        let mut all = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            all.push(element(self)?);
        }
        Ok(Some(all))
    }

    pub(crate) fn vec<T>(
        &mut self,
        name: &'static str,
        element: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        self.opt_vec(element)?.ok_or(DecodeError::Null(name))
    }

    /// Tagged fields: `field` is called with each tag and a reader of exactly its bytes.
    pub(crate) fn tags(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Read<()>,
    ) -> Read<()> {
        let count = self.varint()?;
        for _ in 0..count {
            let tag = self.varint()?;
            let length = self.varint()?;
            let length =
                usize::try_from(length).map_err(|_| DecodeError::Length(i64::from(length)))?;
            let mut inner = Reader::new(self.take(length)?);
            field(tag, &mut inner)?;
        }
        Ok(())
    }

    /// Tagged fields of a struct that has none of its own.
    pub(crate) fn no_tags(&mut self) -> Read<()> {
        self.tags(|_, _| Ok(()))
    }
}

/// Writes primitives.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: BytesMut,
}

impl Writer {
    pub(crate) fn finish(self) -> Bytes {
        self.out.freeze()
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.put_i8(i8::from(value));
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub(crate) fn uuid(&mut self, value: &TopicId) {
        self.out.put_slice(&value.0);
    }

    pub(crate) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_slice(&[low_seven(value) | 0x80]);
            value >>= 7;
        }
        self.out.put_slice(&[low_seven(value)]);
    }

    fn compact_length(&mut self, length: usize) {
        let length = u32::try_from(length).expect("no metadata record is 4 GiB long");
        self.varint(length + 1);
    }

    pub(crate) fn opt_string(&mut self, value: Option<&str>) {
        match value {
            None => self.varint(0),
            Some(text) => self.string(text),
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.compact_length(text.len());
        self.raw(text.as_bytes());
    }

    pub(crate) fn vec<T>(&mut self, all: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.compact_length(all.len());
        for one in all {
            element(self, one);
        }
    }

    /// Tagged fields, which must be given in ascending order of their tags.
    pub(crate) fn tags(&mut self, fields: Vec<(u32, Bytes)>) {
        assert!(fields.is_sorted_by(|a, b| a.0 < b.0), "tags ascend");
        self.varint(u32::try_from(fields.len()).expect("a handful of tags"));
        for (tag, body) in fields {
            self.varint(tag);
            self.varint(u32::try_from(body.len()).expect("no metadata record is 4 GiB long"));
            self.raw(&body);
        }
    }

    pub(crate) fn no_tags(&mut self) {
        self.varint(0);
    }

    /// The bytes that `write` writes: the body of a tagged field.
    pub(crate) fn body(write: impl FnOnce(&mut Self)) -> Bytes {
        let mut inner = Self::default();
        write(&mut inner);
        inner.finish()
    }
}

fn low_seven(value: u32) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit a byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_bounded() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut w = Writer::default();
            w.varint(value);
            let bytes = w.finish();
            let mut r = Reader::new(&bytes);
            assert_eq!(r.varint(), Ok(value));
            assert!(r.remaining().is_empty());
        }
        assert_eq!(Reader::new(&[0x80; 5]).varint(), Err(DecodeError::Varint));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).varint(),
            Err(DecodeError::Varint)
        );
        assert_eq!(Reader::new(&[0x80]).varint(), Err(DecodeError::Truncated));
    }

    #[test]
    fn counts_above_the_bytes_left_are_refused_before_allocation() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(matches!(
            Reader::new(&huge).vec("x", Reader::i32),
            Err(DecodeError::Length(_))
        ));
        assert!(matches!(
            Reader::new(&huge).string("x"),
            Err(DecodeError::Length(_))
        ));
        assert_eq!(Reader::new(&[0]).string("x"), Err(DecodeError::Null("x")));
        assert_eq!(Reader::new(&[2, 0xff]).string("x"), Err(DecodeError::Utf8));
    }
}
