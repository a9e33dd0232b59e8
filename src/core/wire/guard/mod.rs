//! Stands before the protocol crate's decoder, which believes every length it reads.
//!
//! Invariants:
//! 1. A body that passes has no count or length beyond its bytes, at most [`REQUEST_ELEMENTS_MAX`] elements and tags, and
//!    nulls only where the version allows them: decoding it allocates in proportion to its size.
//! 2. The check itself allocates nothing, and its depth is the depth of the table.
//! 3. What the guard accepts the crate decodes.
//!
//! Kafka's tolerance is kept: trailing bytes are ignored; bad UTF-8 becomes U+FFFD; a nullable length below -1 is null; any
//! present byte that is not negative means present; tags come in any order. The crate's decoder is stricter in three of
//! these, so such a body is rewritten first, in canonical form and without unknown tags. That costs a copy.
//!
//! Gap: a body above [`REPAIR_BYTES_MAX`] that needs rewriting closes the connection instead.
//!
//! Source: Kafka's message schemas and generated `read` methods; KIP-482 (tagged fields).

mod shapes;

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::Request;

use crate::types::limits::{REPAIR_BYTES_MAX, REQUEST_ELEMENTS_MAX};
use crate::wire::frame::get_unsigned_varint;
use crate::wire::versions;

/// Why a body is not decoded. The connection is closed without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// No such API or version here.
    #[error("api key {api_key} version {version} is not served")]
    NotServed {
        /// Which API.
        api_key: i16,
        /// Which version.
        version: i16,
    },
    /// A field, length or count goes beyond the bytes.
    #[error("a field goes beyond the end of the request")]
    Cut,
    /// A null where this version has none.
    #[error("a field is null that must not be")]
    Null,
    /// A text longer than 32767 bytes or a number of more than five bytes.
    #[error("a length is malformed")]
    Length,
    /// A tag that this version does not have.
    #[error("tag {0} is not valid in this version")]
    Tag(u32),
    /// More than [`REQUEST_ELEMENTS_MAX`].
    #[error("more than {REQUEST_ELEMENTS_MAX} elements")]
    TooManyElements,
    /// The body is tolerable but needs rewriting and is too large for that.
    #[error("a malformed text in a body of {0} bytes")]
    TooLargeToRepair(usize),
    /// The crate refuses what the guard let pass: our own fault.
    #[error("the decoder refused the request")]
    Decoder,
}

/// Decodes a request's body (what stands behind the header). Fields of type bytes are slices of it.
pub fn decode_request<T: Request>(version: i16, body: Bytes) -> Result<T, DecodeError> {
    let mut body = match check(T::KEY, version, &body)? {
        Fitness::Plain { .. } => body,
        Fitness::Odd if body.len() > REPAIR_BYTES_MAX => {
            return Err(DecodeError::TooLargeToRepair(body.len()));
        }
        Fitness::Odd => repair(T::KEY, version, &body)?,
    };
    T::decode(&mut body, version).map_err(|_| DecodeError::Decoder)
}

/// What the guard says of a body it accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fitness {
    /// The crate decodes it as it is.
    Plain {
        /// How many bytes the request takes; what follows is ignored.
        consumed: usize,
    },
    /// Kafka takes it, the crate would not: it is to be rewritten.
    Odd,
}

/// Checks a body against the table of its API and version. Allocates nothing.
pub fn check(api_key: i16, version: i16, body: &[u8]) -> Result<Fitness, DecodeError> {
    let walk = walk(api_key, version, body, Discard)?;
    Ok(if walk.odd {
        Fitness::Odd
    } else {
        let consumed = body.len() - walk.input.len();
        Fitness::Plain { consumed }
    })
}

fn repair(api_key: i16, version: i16, body: &[u8]) -> Result<Bytes, DecodeError> {
    let walk = walk(api_key, version, body, Vec::with_capacity(body.len()))?;
    Ok(Bytes::from(walk.out))
}

fn walk<O: Out>(
    api_key: i16,
    version: i16,
    body: &[u8],
    out: O,
) -> Result<Walk<'_, O>, DecodeError> {
    let not_served = DecodeError::NotServed { api_key, version };
    let api = versions::find(api_key).ok_or(not_served)?;
    let shape = shapes::find(api_key).ok_or(not_served)?;
    if !api.serves(version) {
        return Err(not_served);
    }
    let mut walk = Walk {
        input: body,
        version,
        flexible: version >= api.first_flexible,
        elements: 0,
        odd: false,
        out,
    };
    walk.structure(shape)?;
    Ok(walk)
}

/// A struct: its fields in order, then, in flexible versions, its tags.
#[derive(Debug)]
struct Struct {
    fields: &'static [Field],
    tags: &'static [(u32, Field)],
}

/// A field and the versions that have it.
#[derive(Debug)]
struct Field {
    kind: Kind,
    from: i16,
    to: i16,
    null_from: i16,
}

#[derive(Debug)]
enum Kind {
    /// So many bytes, whatever they mean.
    Fixed(usize),
    Text,
    Bytes,
    Struct(&'static Struct),
    Array(&'static Kind),
}

impl Field {
    fn in_version(&self, version: i16) -> bool {
        (self.from..=self.to).contains(&version)
    }
}

impl Kind {
    /// The fewest bytes that a value takes: what a count is held against.
    fn bytes_min(&self, version: i16, flexible: bool) -> usize {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Text | Self::Bytes | Self::Array(_) if flexible => 1,
            Self::Text => 2,
            Self::Bytes | Self::Array(_) => 4,
            Self::Struct(of) => {
                let fields = of
                    .fields
                    .iter()
                    .filter(|field| field.in_version(version))
                    .map(|field| field.kind.bytes_min(version, flexible));
                fields.sum::<usize>() + usize::from(flexible)
            }
        }
    }
}

/// Where a canonical copy goes, or does not.
trait Out {
    /// Keeps nothing: the plain check.
    const REPAIRS: bool;
    fn put(&mut self, bytes: &[u8]);
    /// What was written since a mark, taken out again.
    fn take_from(&mut self, mark: usize) -> Vec<u8>;
    fn mark(&self) -> usize;
}

struct Discard;

impl Out for Discard {
    const REPAIRS: bool = false;
    fn put(&mut self, _bytes: &[u8]) {}
    fn take_from(&mut self, _mark: usize) -> Vec<u8> {
        Vec::new()
    }
    fn mark(&self) -> usize {
        0
    }
}

impl Out for Vec<u8> {
    const REPAIRS: bool = true;
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
    fn take_from(&mut self, mark: usize) -> Vec<u8> {
        self.split_off(mark.min(self.len()))
    }
    fn mark(&self) -> usize {
        self.len()
    }
}

struct Walk<'a, O> {
    input: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    /// Something that Kafka takes and the crate does not.
    odd: bool,
    out: O,
}

impl<'a, O: Out> Walk<'a, O> {
    fn structure(&mut self, of: &Struct) -> Result<(), DecodeError> {
        for field in of.fields {
            if field.in_version(self.version) {
                self.value(&field.kind, self.version >= field.null_from)?;
            }
        }
        if self.flexible {
            self.tags(of.tags)?;
        }
        Ok(())
    }

    fn value(&mut self, kind: &Kind, nullable: bool) -> Result<(), DecodeError> {
        match kind {
            Kind::Fixed(bytes) => {
                let value = self.take(*bytes)?;
                self.out.put(value);
            }
            Kind::Text => self.text(nullable)?,
            Kind::Bytes => {
                let len = self.length(Width::Int, nullable)?;
                self.put_length(len, Width::Int);
                let value = self.take(len.unwrap_or(0))?;
                self.out.put(value);
            }
            Kind::Struct(of) if nullable => self.nullable_struct(of)?,
            Kind::Struct(of) => self.structure(of)?,
            Kind::Array(of) => self.array(of, nullable)?,
        }
        Ok(())
    }

    fn text(&mut self, nullable: bool) -> Result<(), DecodeError> {
        let len = self.length(Width::Short, nullable)?;
        // Compact lengths could say more than the classic ones; Kafka refuses that.
        if len.is_some_and(|len| len > 0x7fff) {
            return Err(DecodeError::Length);
        }
        let value = self.take(len.unwrap_or(0))?;
        if std::str::from_utf8(value).is_ok() {
            self.put_length(len, Width::Short);
            self.out.put(value);
        } else {
            self.odd = true;
            if O::REPAIRS {
                let good = String::from_utf8_lossy(value);
                // Three bytes for one: a classic length may no longer hold it.
                if good.len() > 0x7fff {
                    return Err(DecodeError::Length);
                }
                self.put_length(Some(good.len()), Width::Short);
                self.out.put(good.as_bytes());
            }
        }
        Ok(())
    }

    fn nullable_struct(&mut self, of: &Struct) -> Result<(), DecodeError> {
        let present = i8::from_be_bytes([self.byte()?]);
        if present < 0 {
            self.out.put(&[0xff]);
            return Ok(());
        }
        // The crate takes 1 alone for present.
        self.odd |= present != 1;
        self.out.put(&[1]);
        self.structure(of)
    }

    fn array(&mut self, of: &Kind, nullable: bool) -> Result<(), DecodeError> {
        let count = self.length(Width::Int, nullable)?;
        self.put_length(count, Width::Int);
        let count = count.unwrap_or(0);
        self.count_elements(count)?;
        let least = count.saturating_mul(of.bytes_min(self.version, self.flexible));
        if least > self.input.len() {
            return Err(DecodeError::Cut);
        }
        for _ in 0..count {
            self.value(of, false)?;
        }
        Ok(())
    }

    fn count_elements(&mut self, more: usize) -> Result<(), DecodeError> {
        self.elements = self.elements.saturating_add(more);
        if self.elements > REQUEST_ELEMENTS_MAX {
            return Err(DecodeError::TooManyElements);
        }
        Ok(())
    }

    fn tags(&mut self, known: &[(u32, Field)]) -> Result<(), DecodeError> {
        let mark = self.out.mark();
        let mut kept = 0;
        for _ in 0..self.varint()? {
            self.count_elements(1)?;
            let tag = self.varint()?;
            let size = usize::try_from(self.varint()?).map_err(|_| DecodeError::Cut)?;
            let Some((_, field)) = known.iter().find(|(number, _)| *number == tag) else {
                self.take(size)?;
                continue;
            };
            if !field.in_version(self.version) {
                return Err(DecodeError::Tag(tag));
            }
            // Like Kafka's and the crate's readers, by the field's own length, whatever the size says.
            let start = self.out.mark();
            self.value(&field.kind, self.version >= field.null_from)?;
            if O::REPAIRS {
                let value = self.out.take_from(start);
                self.put_varint(usize::try_from(tag).unwrap_or_default());
                self.put_varint(value.len());
                self.out.put(&value);
            }
            kept += 1;
        }
        if O::REPAIRS {
            let written = self.out.take_from(mark);
            self.put_varint(kept);
            self.out.put(&written);
        }
        Ok(())
    }

    /// A length or count; `None` for null.
    fn length(&mut self, width: Width, nullable: bool) -> Result<Option<usize>, DecodeError> {
        let (length, canonical) = match width {
            _ if self.flexible => {
                let raw = self.varint()?;
                // Java counts with signed numbers: what wraps below zero is null.
                (raw.wrapping_sub(1).cast_signed(), raw == 0)
            }
            Width::Short => {
                let length = i16::from_be_bytes(self.array_of()?);
                (i32::from(length), length == -1)
            }
            Width::Int => {
                let length = i32::from_be_bytes(self.array_of()?);
                (length, length == -1)
            }
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if nullable => {
                self.odd |= !canonical;
                Ok(None)
            }
            Err(_) => Err(DecodeError::Null),
        }
    }

    fn put_length(&mut self, length: Option<usize>, width: Width) {
        if !O::REPAIRS {
            return;
        }
        match width {
            _ if self.flexible => self.put_varint(length.map_or(0, |length| length + 1)),
            Width::Short => {
                let length = length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX));
                self.out.put(&length.to_be_bytes());
            }
            Width::Int => {
                let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
                self.out.put(&length.to_be_bytes());
            }
        }
    }

    fn put_varint(&mut self, value: usize) {
        let mut bytes = Vec::with_capacity(5);
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        crate::wire::frame::put_unsigned_varint(&mut bytes, value);
        self.out.put(&bytes);
    }

    fn varint(&mut self) -> Result<u32, DecodeError> {
        let enough = self.input.remaining() >= 5;
        get_unsigned_varint(&mut self.input).ok_or(if enough {
            DecodeError::Length
        } else {
            DecodeError::Cut
        })
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array_of().map(|[byte]: [u8; 1]| byte)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Cut)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.input.split_at_checked(bytes).ok_or(DecodeError::Cut)?;
        self.input = rest;
        Ok(taken)
    }
}

/// How a length is written in versions that are not flexible.
#[derive(Clone, Copy, Debug)]
enum Width {
    Short,
    Int,
}

#[cfg(test)]
mod tests;
