//! The primitives of Kafka's message format, old and flexible, as records of `__consumer_offsets` use them.
//!
//! Invariants: 1. The reader never panics and never allocates more than the bytes that are left could hold.
//! 2. Unknown tagged fields are skipped: a later minor version may add them.
//! Source: Kafka's protocol guide, KIP-482 (compact types, tagged fields).

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("the record is cut short")]
    Truncated,
    /// A length that the remaining bytes cannot hold, or that is negative where none may be.
    #[error("a length of {0} does not fit")]
    Length(i64),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A version of a value that Kafka 4.2 does not have.
    #[error("version {0} of the value is not known")]
    Version(i16),
}

type Read<T> = Result<T, DecodeError>;

/// Reads primitives from the front of bytes; byte fields share their memory.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    rest: Bytes,
    /// Compact lengths and tagged fields.
    pub(super) flexible: bool,
}

impl Reader {
    pub(super) fn new(bytes: &Bytes) -> Self {
        Self {
            rest: bytes.clone(),
            flexible: false,
        }
    }

    pub(super) fn i16(&mut self) -> Read<i16> {
        self.rest.try_get_i16().map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn i32(&mut self) -> Read<i32> {
        self.rest.try_get_i32().map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn i64(&mut self) -> Read<i64> {
        self.rest.try_get_i64().map_err(|_| DecodeError::Truncated)
    }

    fn varint(&mut self) -> Read<u32> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8().map_err(|_| DecodeError::Truncated)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        u32::try_from(value).map_err(|_| DecodeError::Length(-1))
    }

    fn take(&mut self, length: usize) -> Read<Bytes> {
        if length > self.rest.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(self.rest.split_to(length))
    }

    /// A length before text (`wide` false) or bytes and arrays; `None` is null.
    fn length(&mut self, wide: bool) -> Read<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if wide {
            i64::from(self.i32()?)
        } else {
            i64::from(self.i16()?)
        };
        if length == -1 {
            return Ok(None);
        }
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.rest.len())
            .map(Some)
            .ok_or(DecodeError::Length(length))
    }

    pub(super) fn opt_text(&mut self) -> Read<Option<Arc<str>>> {
        let Some(length) = self.length(false)? else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| DecodeError::Utf8)?;
        Ok(Some(text.into()))
    }

    pub(super) fn text(&mut self) -> Read<Arc<str>> {
        self.opt_text()?.ok_or(DecodeError::Length(-1))
    }

    pub(super) fn bytes(&mut self) -> Read<Bytes> {
        let length = self.length(true)?.ok_or(DecodeError::Length(-1))?;
        self.take(length)
    }

    /// The count of an array whose elements take at least one byte each.
    pub(super) fn count(&mut self) -> Read<usize> {
        self.length(true)?.ok_or(DecodeError::Length(-1))
    }

    /// Tagged fields of a flexible struct: `field` gets each tag and its bytes, and passes over what it does not know.
    pub(super) fn tags(&mut self, mut field: impl FnMut(u32, &Bytes) -> Read<()>) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()?;
            let length =
                usize::try_from(length).map_err(|_| DecodeError::Length(i64::from(length)))?;
            field(tag, &self.take(length)?)?;
        }
        Ok(())
    }

    /// Tagged fields, none of which is known.
    pub(super) fn no_tags(&mut self) -> Read<()> {
        self.tags(|_, _| Ok(()))
    }
}

/// Writes primitives.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: BytesMut,
}

impl Writer {
    pub(super) fn finish(self) -> Bytes {
        self.out.freeze()
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub(super) fn opt_text(&mut self, text: Option<&str>) {
        match text {
            None => self.i16(-1),
            Some(text) => self.text(text),
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).expect("texts of requests are checked to fit"));
        self.out.put_slice(text.as_bytes());
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(low_seven(value) | 0x80);
            value >>= 7;
        }
        self.out.put_u8(low_seven(value));
    }

    /// Text of a flexible struct.
    pub(super) fn compact_text(&mut self, text: &str) {
        let length = i16::try_from(text.len()).expect("texts of requests are checked to fit");
        self.varint(u32::from(length.cast_unsigned()) + 1);
        self.out.put_slice(text.as_bytes());
    }

    /// The tagged fields of a struct, of which it has one at most.
    pub(super) fn tag(&mut self, field: Option<(u32, &[u8])>) {
        let Some((tag, bytes)) = field else {
            return self.varint(0);
        };
        self.varint(1);
        self.varint(tag);
        self.varint(u32::try_from(bytes.len()).expect("a few bytes"));
        self.out.put_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.put_slice(bytes);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).expect("bounded by limits"));
    }
}

fn low_seven(value: u32) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit a byte")
}
