//! Newtypes for everything that is a number on the wire or a handle between core and edge.
//!
//! Purpose: two numbers of different meaning never meet by accident.
//! Source: Kafka's protocol guide for the wire types; `org.apache.kafka.common.Uuid` for the text form of ids.

use std::fmt;
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A client connection, unique for the life of the process on its core; never reused.
    ConnId(u64)
}
number! {
    /// A listener, counted from 0 in the order of the `listeners` config.
    ListenerId(u16)
}
number! {
    /// A core of this process: 0 is ctl, shards count from 1.
    CoreId(u16)
}
number! {
    /// `node.id`.
    NodeId(i32)
}
number! {
    /// A partition's index within its topic, from 0.
    PartitionIndex(i32)
}
number! {
    /// A log position counted in records. -1 means "none" where Kafka's wire says so.
    Offset(i64)
}
number! {
    /// A partition's leader epoch. -1 means unknown.
    LeaderEpoch(i32)
}
number! {
    /// A producer's id, -1 for none.
    ProducerId(i64)
}
number! {
    /// A producer's epoch, -1 for none.
    ProducerEpoch(i16)
}
number! {
    /// A byte position in a file.
    Position(u64)
}
number! {
    /// The core's handle of an open log file; chosen by the core, never reused within a process.
    FileId(u64)
}
number! {
    /// The core's handle of a piece of work that it continues when the edge hands it back (`Effect::Again`).
    WorkId(u64)
}
number! {
    /// A slot of the shard's owner table: who asked for a disk operation (a partition, the boot, the metadata log).
    OwnerId(u32)
}

/// Names one disk operation: who asked, in which life of that slot, and which of its operations.
///
/// A completion whose generation is not the owner's present one belongs to a former tenant and is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token {
    /// The slot that asked.
    pub owner: OwnerId,
    /// The slot's life: raised when a slot gets a new tenant.
    pub generation: u32,
    /// Counts the owner's operations from 1, never reused.
    pub seq: u64,
}

impl Offset {
    /// "No offset" as Kafka's wire spells it.
    pub const NONE: Self = Self(-1);
    /// The offset `records` further on. Panics on overflow: the log would be 2^63 records long.
    #[must_use]
    pub fn plus(self, records: i64) -> Self {
        Self(self.0.checked_add(records).expect("offsets fit 63 bits"))
    }
}

impl LeaderEpoch {
    /// "No epoch" as Kafka's wire spells it.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// "No producer id": the batch is not idempotent.
    pub const NONE: Self = Self(-1);
}

impl Position {
    /// The position `bytes` further on. Panics on overflow: no file is 2^64 bytes long.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0.checked_add(bytes).expect("positions fit 64 bits"))
    }
}

/// A 16 byte id. Text form: base64url without padding, 22 characters (Kafka's `Uuid.toString`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

/// A log directory's id; same text form as a topic id. Values below 100 are reserved by Kafka.
pub type DirectoryId = TopicId;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl TopicId {
    /// All zero: "no id" on the wire.
    pub const ZERO: Self = Self([0; 16]);
    /// The id of `__cluster_metadata`.
    pub const METADATA: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// True for the id that means "none".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }

    /// Parses the 22 character text form. `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 22 {
            return None;
        }
        let mut bits: u32 = 0;
        let mut have = 0;
        let mut bytes = Vec::with_capacity(16);
        for c in text.bytes() {
            let value = ALPHABET.iter().position(|&a| a == c)?;
            bits = (bits << 6) | u32::try_from(value).ok()?;
            have += 6;
            if have >= 8 {
                have -= 8;
                bytes.push(u8::try_from((bits >> have) & 0xff).ok()?);
            }
        }
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = u128::from_be_bytes(self.0);
        // 22 characters carry 132 bits: the last 4 are padding.
        for index in 0..22u32 {
            let shift = 122_i64 - i64::from(index) * 6;
            let value = if shift >= 0 {
                wide >> shift
            } else {
                wide << -shift
            };
            let letter = ALPHABET[usize::try_from(value & 63).unwrap_or(0)];
            fmt::Write::write_char(f, char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A topic's name and a partition's index: how people and the wire name a partition.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_as_kafka_does() {
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(
            TopicId::parse("AAAAAAAAAAAAAAAAAAAAAQ"),
            Some(TopicId::METADATA)
        );
        let id = TopicId([
            0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255,
        ]);
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(TopicId::parse("short"), None);
        assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAA!Q"), None);
    }
}
