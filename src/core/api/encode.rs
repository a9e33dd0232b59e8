//! Writes response bodies by hand, for the two replies that carry record data (Produce and Fetch): the crate's encoder
//! would copy the records.
//!
//! Invariant: one writer writes either the classic or the flexible form throughout (KIP-482).
//! Source: Kafka's protocol guide, "Protocol Primitive Types".

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::TopicId;

/// A growing response body.
#[derive(Debug)]
pub struct Writer {
    buf: BytesMut,
    flexible: bool,
}

impl Writer {
    /// An empty body; `flexible` as the API's version demands.
    #[must_use]
    pub fn new(flexible: bool) -> Self {
        Self {
            buf: BytesMut::with_capacity(256),
            flexible,
        }
    }

    /// Bytes written since the last [`Writer::cut`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// True if nothing was written since the last cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Takes what was written so far: record data stands between two cuts.
    pub fn cut(&mut self) -> Bytes {
        self.buf.split().freeze()
    }

    /// A 16 bit number.
    pub fn i16(&mut self, value: i16) {
        self.buf.put_i16(value);
    }

    /// A 32 bit number.
    pub fn i32(&mut self, value: i32) {
        self.buf.put_i32(value);
    }

    /// A 64 bit number.
    pub fn i64(&mut self, value: i64) {
        self.buf.put_i64(value);
    }

    /// A topic id.
    pub fn uuid(&mut self, id: TopicId) {
        self.buf.put_slice(&id.0);
    }

    /// The count before an array's elements.
    pub fn array(&mut self, count: usize) {
        if self.flexible {
            self.unsigned_varint(count as u64 + 1);
        } else {
            self.buf.put_i32(bounded(count));
        }
    }

    /// The count of an array that is null.
    pub fn null_array(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        } else {
            self.buf.put_i32(-1);
        }
    }

    /// A string. At most 32,767 bytes in the classic form: names and messages are far shorter.
    pub fn string(&mut self, text: &str) {
        if self.flexible {
            self.unsigned_varint(text.len() as u64 + 1);
        } else {
            self.buf
                .put_i16(i16::try_from(text.len()).expect("strings we write are short"));
        }
        self.buf.put_slice(text.as_bytes());
    }

    /// A string or null.
    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None if self.flexible => self.unsigned_varint(0),
            None => self.buf.put_i16(-1),
        }
    }

    /// The length before record bytes, which the caller sends itself.
    pub fn records_len(&mut self, bytes: u64) {
        if self.flexible {
            self.unsigned_varint(bytes + 1);
        } else {
            self.buf
                .put_i32(i32::try_from(bytes).expect("a response is smaller than 2 GiB"));
        }
    }

    /// The empty tagged section at the end of a structure; nothing in the classic form.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.buf.put_u8(0);
        }
    }

    /// An unsigned varint, flexible form only.
    pub fn unsigned_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.buf.put_u8(low7(value) | 0x80);
            value >>= 7;
        }
        self.buf.put_u8(low7(value));
    }

    /// Raw bytes, already encoded.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.put_slice(bytes);
    }
}

fn low7(value: u64) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits")
}

fn bounded(count: usize) -> i32 {
    i32::try_from(count).expect("arrays we write are short")
}
