//! Kafka's metadata records, byte for byte: what stands in the values of `__cluster_metadata-0`.
//!
//! A value is a frame: unsigned varint 1, type, version, body in the flexible format. What onrush acts on is decoded;
//! records of parts that it does not serve yet (ACLs, SCRAM, quotas, tokens, controllers) are checked for type and version and kept as
//! they are, so that they survive in the log and in the image's readers that come later.
//!
//! Invariants: 1. Decoding never panics, whatever the bytes. 2. What Kafka 4.2 wrote and we decode encodes to the same bytes.
//! 3. A type or version that Kafka 4.2 does not have is refused: skipping it would silently change the cluster's state.
//! Source: `metadata/src/main/resources/common/metadata/*.json`, `AbstractApiMessageSerde`.

mod broker;
pub(crate) mod codec;
mod small;
mod topic;

use bytes::Bytes;

pub use broker::{RegisterBroker, RegistrationChange};
pub use codec::DecodeError;
use codec::{Reader, Writer};
pub use small::{BrokerRef, ConfigChange, FeatureLevel, KeptRecord, ProducerIds, TransactionNote};
pub use topic::{PartitionChange, PartitionRecord, RemoveTopic, TopicRecord};

use std::sync::Arc;

/// Frame version of metadata records.
const FRAME_VERSION: u32 = 1;

/// One metadata record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// 0: a broker process came up.
    RegisterBroker(RegisterBroker),
    /// 1: a broker was removed from the cluster.
    UnregisterBroker(BrokerRef),
    /// 2: a topic exists.
    Topic(TopicRecord),
    /// 3: a partition exists.
    Partition(PartitionRecord),
    /// 4: a dynamic config was set or removed.
    Config(ConfigChange),
    /// 5: a partition changed.
    PartitionChange(PartitionChange),
    /// 7: a broker may lead nothing from here on.
    FenceBroker(BrokerRef),
    /// 8: a broker may lead.
    UnfenceBroker(BrokerRef),
    /// 9: a topic with all partitions is gone.
    RemoveTopic(RemoveTopic),
    /// 12: a feature's finalized level.
    FeatureLevel(FeatureLevel),
    /// 15: a block of producer ids was handed out.
    ProducerIds(ProducerIds),
    /// 17: a registered broker's state changed.
    RegistrationChange(RegistrationChange),
    /// 20: nothing.
    NoOp,
    /// 23: the records up to `EndTransaction` count together or not at all.
    BeginTransaction(TransactionNote),
    /// 24: see `BeginTransaction`.
    EndTransaction,
    /// 25: the records since `BeginTransaction` do not count.
    AbortTransaction(TransactionNote),
    /// 28: eligible leader replicas are forgotten, of one topic or (empty name) of all.
    ClearElr(Arc<str>),
    /// Any other type that Kafka 4.2 has, as it stands.
    Kept(KeptRecord),
}

/// Types that are kept without being decoded, with their highest version: delegation token (10), SCRAM credential (11), client
/// quota (14), ACL (18, 19), ZooKeeper migration state (21), SCRAM removal (22), token removal (26), controller registration (27).
const KEPT: &[(u32, u32)] = &[
    (10, 0),
    (11, 0),
    (14, 0),
    (18, 0),
    (19, 0),
    (21, 0),
    (22, 0),
    (26, 0),
    (27, 0),
];

impl Record {
    /// Decodes a record's value, all of it.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(value);
        let frame = r.varint()?;
        if frame != FRAME_VERSION {
            return Err(DecodeError::FrameVersion(frame));
        }
        let key = r.varint()?;
        let version = r.varint()?;
        let record = Self::decode_body(key, version, &mut r)?;
        match r.remaining().len() {
            0 => Ok(record),
            more => Err(DecodeError::Trailing(more)),
        }
    }

    fn decode_body(key: u32, version: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let upto = |max: u32| {
            if version <= max {
                Ok(())
            } else {
                Err(DecodeError::UnknownVersion { key, version })
            }
        };
        upto(match key {
            0 => 3,
            3 | 5 | 17 => 2,
            _ => 0,
        })?;
        Ok(match key {
            0 => Self::RegisterBroker(RegisterBroker::decode(version, r)?),
            1 => Self::UnregisterBroker(BrokerRef::decode(r)?),
            2 => Self::Topic(TopicRecord::decode(r)?),
            3 => Self::Partition(PartitionRecord::decode(version, r)?),
            4 => Self::Config(ConfigChange::decode(r)?),
            5 => Self::PartitionChange(PartitionChange::decode(version, r)?),
            7 => Self::FenceBroker(BrokerRef::decode(r)?),
            8 => Self::UnfenceBroker(BrokerRef::decode(r)?),
            9 => Self::RemoveTopic(RemoveTopic::decode(r)?),
            12 => Self::FeatureLevel(FeatureLevel::decode(r)?),
            15 => Self::ProducerIds(ProducerIds::decode(r)?),
            17 => Self::RegistrationChange(RegistrationChange::decode(version, r)?),
            20 => {
                r.no_tags()?;
                Self::NoOp
            }
            23 => Self::BeginTransaction(TransactionNote::decode(r)?),
            24 => {
                r.no_tags()?;
                Self::EndTransaction
            }
            25 => Self::AbortTransaction(TransactionNote::decode(r)?),
            28 => {
                let topic = r.string("topic name")?;
                r.no_tags()?;
                Self::ClearElr(topic)
            }
            _ => match KEPT.iter().find(|(known, _)| *known == key) {
                Some(_) => Self::Kept(KeptRecord::decode(key, version, r)?),
                None => return Err(DecodeError::UnknownType(key)),
            },
        })
    }

    /// Type and version that [`Self::encode`] writes: the lowest version that can say it, as Kafka does, except
    /// where Kafka at metadata.version 4.2-IV1 always writes a higher one.
    #[must_use]
    pub fn type_and_version(&self) -> (u32, u32) {
        match self {
            Self::RegisterBroker(_) => (0, 3),
            Self::UnregisterBroker(_) => (1, 0),
            Self::Topic(_) => (2, 0),
            Self::Partition(r) => (3, r.version),
            Self::Config(_) => (4, 0),
            Self::PartitionChange(r) => (5, r.version),
            Self::FenceBroker(_) => (7, 0),
            Self::UnfenceBroker(_) => (8, 0),
            Self::RemoveTopic(_) => (9, 0),
            Self::FeatureLevel(_) => (12, 0),
            Self::ProducerIds(_) => (15, 0),
            Self::RegistrationChange(r) => (17, r.version()),
            Self::NoOp => (20, 0),
            Self::BeginTransaction(_) => (23, 0),
            Self::EndTransaction => (24, 0),
            Self::AbortTransaction(_) => (25, 0),
            Self::ClearElr(_) => (28, 0),
            Self::Kept(r) => (r.key, r.version),
        }
    }

    /// The record's value: frame and body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut w = Writer::default();
        let (key, version) = self.type_and_version();
        w.varint(FRAME_VERSION);
        w.varint(key);
        w.varint(version);
        match self {
            Self::RegisterBroker(r) => r.encode(&mut w),
            Self::UnregisterBroker(r) | Self::FenceBroker(r) | Self::UnfenceBroker(r) => {
                r.encode(&mut w);
            }
            Self::Topic(r) => r.encode(&mut w),
            Self::Partition(r) => r.encode(&mut w),
            Self::Config(r) => r.encode(&mut w),
            Self::PartitionChange(r) => r.encode(&mut w),
            Self::RemoveTopic(r) => r.encode(&mut w),
            Self::FeatureLevel(r) => r.encode(&mut w),
            Self::ProducerIds(r) => r.encode(&mut w),
            Self::RegistrationChange(r) => r.encode(&mut w),
            Self::NoOp | Self::EndTransaction => w.no_tags(),
            Self::BeginTransaction(r) | Self::AbortTransaction(r) => r.encode(&mut w),
            Self::ClearElr(topic) => {
                w.string(topic);
                w.no_tags();
            }
            Self::Kept(r) => w.raw(&r.body),
        }
        w.finish()
    }
}

#[cfg(test)]
mod tests;
