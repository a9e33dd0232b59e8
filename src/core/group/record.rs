//! Records of `__consumer_offsets`: what they mean, and their bytes.
//!
//! | key | record | key version written | value versions read | written |
//! |---|---|---|---|---|
//! | 0, 1 | offset of a group, topic and partition | 1 | 0 to 4 | 4; 1 with a time to expire |
//! | 2 | a group of the classic protocol | 2 | 0 to 4 | 3 |
//! | other | groups of later protocols | none | none | none |
//!
//! Invariants: 1. Records of other key types are [`Entry::Other`]: they are neither an error nor touched, so that a log
//! that a Kafka with newer groups wrote survives. A later protocol adds its types here. 2. Bytes never panic. 3. What is
//! written is what Kafka 4.2 writes, byte for byte.
//!
//! Absent: offsets committed in a transaction. They have this same form, in batches with a producer id, and count once
//! the transaction's marker is read: whoever replays must hold them back until then.
//!
//! Source: `OffsetCommitKey.json`, `OffsetCommitValue.json`, `GroupMetadataKey.json`, `GroupMetadataValue.json`,
//! `GroupCoordinatorRecordHelpers`.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{DecodeError, Reader, Writer};
use super::types::Record;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, TopicId, WallMillis};

/// A record understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A stored offset; `None` deletes it.
    Offset(OffsetKey, Option<StoredOffset>),
    /// A group; `None` deletes it.
    Group(Arc<str>, Option<StoredGroup>),
    /// A key type that is not ours; its number.
    Other(i16),
}

/// What a stored offset is of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OffsetKey {
    /// The group.
    pub group_id: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionIndex,
}

/// A stored offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOffset {
    /// Id of the topic that it was committed for; zero unless the client named it so (OffsetCommit v10).
    pub topic_id: TopicId,
    /// The next record to read.
    pub offset: Offset,
    /// Epoch of the last record read, -1 for unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's words.
    pub metadata: Arc<str>,
    /// When it was stored.
    pub committed: WallMillis,
    /// When it goes, if the client said so (OffsetCommit v2 to v4).
    pub expires: Option<WallMillis>,
}

/// A group as its last record has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoredGroup {
    /// `consumer`, `connect` …; empty if it has none.
    pub protocol_type: Arc<str>,
    /// Its generation.
    pub generation: i32,
    /// The assignor chosen.
    pub protocol: Option<Arc<str>>,
    /// The leader's member id.
    pub leader: Option<Arc<str>>,
    /// When it came into its state; `None` for unknown.
    pub since: Option<WallMillis>,
    /// Its members.
    pub members: Vec<StoredMember>,
}

/// A member as its group's record has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    /// As it joined.
    pub client_id: Arc<str>,
    /// As it joined.
    pub client_host: Arc<str>,
    /// Milliseconds; that of the session where an old record has none.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the assignor chosen.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
/// The highest version of both values.
const VALUE_VERSION_MAX: i16 = 4;
/// The first version with compact lengths and tags, of both values.
const VALUE_VERSION_FLEXIBLE: i16 = 4;
/// Tag of the topic's id in an offset's value.
const TOPIC_ID_TAG: u32 = 0;

impl Record {
    /// What a record says.
    pub fn decode(&self) -> Result<Entry, DecodeError> {
        let mut key = Reader::new(&self.key);
        let key_type = key.i16()?;
        match key_type {
            0 | OFFSET_KEY => {
                let key = OffsetKey {
                    group_id: key.text()?,
                    topic: key.text()?,
                    partition: PartitionIndex(key.i32()?),
                };
                let value = self.value.as_ref().map(StoredOffset::decode).transpose()?;
                Ok(Entry::Offset(key, value))
            }
            GROUP_KEY => {
                let group_id = key.text()?;
                let value = self.value.as_ref().map(StoredGroup::decode).transpose()?;
                Ok(Entry::Group(group_id, value))
            }
            other => Ok(Entry::Other(other)),
        }
    }

    /// A record that stores an offset, or deletes it.
    #[must_use]
    pub fn offset(key: &OffsetKey, value: Option<&StoredOffset>) -> Self {
        let mut w = Writer::default();
        w.i16(OFFSET_KEY);
        w.text(&key.group_id);
        w.text(&key.topic);
        w.i32(key.partition.0);
        Self {
            key: w.finish(),
            value: value.map(StoredOffset::encode),
        }
    }

    /// A record that stores a group, or deletes it.
    #[must_use]
    pub fn group(group_id: &str, value: Option<&StoredGroup>) -> Self {
        let mut w = Writer::default();
        w.i16(GROUP_KEY);
        w.text(group_id);
        Self {
            key: w.finish(),
            value: value.map(StoredGroup::encode),
        }
    }
}

/// Reads a value's version and makes the reader fit it.
fn versioned(value: &Bytes) -> Result<(Reader, i16), DecodeError> {
    let mut r = Reader::new(value);
    let version = r.i16()?;
    if !(0..=VALUE_VERSION_MAX).contains(&version) {
        return Err(DecodeError::Version(version));
    }
    r.flexible = version >= VALUE_VERSION_FLEXIBLE;
    Ok((r, version))
}

impl StoredOffset {
    fn decode(value: &Bytes) -> Result<Self, DecodeError> {
        let (mut r, version) = versioned(value)?;
        let offset = Offset(r.i64()?);
        let leader_epoch = if version >= 3 { r.i32()? } else { -1 };
        let metadata = r.text()?;
        let committed = WallMillis(r.i64()?);
        let expires = if version == 1 { r.i64()? } else { -1 };
        let mut topic_id = TopicId::ZERO;
        r.tags(|tag, bytes| {
            if tag == TOPIC_ID_TAG {
                let bytes = <[u8; 16]>::try_from(&**bytes);
                topic_id = TopicId(bytes.map_err(|_| DecodeError::Truncated)?);
            }
            Ok(())
        })?;
        Ok(Self {
            topic_id,
            offset,
            leader_epoch: LeaderEpoch(leader_epoch),
            metadata,
            committed,
            expires: (expires != -1).then_some(WallMillis(expires)),
        })
    }

    fn encode(&self) -> Bytes {
        match self.expires {
            None => self.encode_flexible(),
            Some(expires) => self.encode_expiring(expires),
        }
    }

    /// Version 4.
    fn encode_flexible(&self) -> Bytes {
        let mut w = Writer::default();
        w.i16(4);
        w.i64(self.offset.0);
        w.i32(self.leader_epoch.0);
        w.compact_text(&self.metadata);
        w.i64(self.committed.0);
        let topic_id = (TOPIC_ID_TAG, &self.topic_id.0[..]);
        w.tag((!self.topic_id.is_zero()).then_some(topic_id));
        w.finish()
    }

    /// Version 1: no other can say when the offset expires, and it cannot say the epoch.
    fn encode_expiring(&self, expires: WallMillis) -> Bytes {
        let mut w = Writer::default();
        w.i16(1);
        w.i64(self.offset.0);
        w.text(&self.metadata);
        w.i64(self.committed.0);
        w.i64(expires.0);
        w.finish()
    }
}

impl StoredGroup {
    fn decode(value: &Bytes) -> Result<Self, DecodeError> {
        let (mut r, version) = versioned(value)?;
        let protocol_type = r.text()?;
        let generation = r.i32()?;
        let protocol = r.opt_text()?;
        let leader = r.opt_text()?;
        let since = if version >= 2 { r.i64()? } else { -1 };
        let count = r.count()?;
        // The count is at most the bytes left, yet a member in memory is larger than the least in a record.
        let mut members = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            members.push(StoredMember::decode(&mut r, version)?);
        }
        r.no_tags()?;
        Ok(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            since: (since != -1).then_some(WallMillis(since)),
            members,
        })
    }

    /// Version 3.
    fn encode(&self) -> Bytes {
        let mut w = Writer::default();
        w.i16(3);
        w.text(&self.protocol_type);
        w.i32(self.generation);
        w.opt_text(self.protocol.as_deref());
        w.opt_text(self.leader.as_deref());
        w.i64(self.since.map_or(-1, |since| since.0));
        w.count(self.members.len());
        for member in &self.members {
            member.encode(&mut w);
        }
        w.finish()
    }

    /// The member of that id.
    #[must_use]
    pub fn member(&self, member_id: &str) -> Option<&StoredMember> {
        self.members.iter().find(|it| &*it.member_id == member_id)
    }
}

impl StoredMember {
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let member_id = r.text()?;
        let instance_id = if version >= 3 { r.opt_text()? } else { None };
        let client_id = r.text()?;
        let client_host = r.text()?;
        let rebalance_timeout_ms = if version >= 1 { r.i32()? } else { -1 };
        let session_timeout_ms = r.i32()?;
        let subscription = r.bytes()?;
        let assignment = r.bytes()?;
        r.no_tags()?;
        Ok(Self {
            member_id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms: if rebalance_timeout_ms == -1 {
                session_timeout_ms
            } else {
                rebalance_timeout_ms
            },
            session_timeout_ms,
            subscription,
            assignment,
        })
    }

    fn encode(&self, w: &mut Writer) {
        w.text(&self.member_id);
        w.opt_text(self.instance_id.as_deref());
        w.text(&self.client_id);
        w.text(&self.client_host);
        w.i32(self.rebalance_timeout_ms);
        w.i32(self.session_timeout_ms);
        w.bytes(&self.subscription);
        w.bytes(&self.assignment);
    }
}
