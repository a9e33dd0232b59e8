//! The metadata records with few fields.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{DecodeError, Reader, Writer};
use crate::types::{NodeId, ProducerId};

/// A broker in one of its lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRef {
    /// Which broker.
    pub id: NodeId,
    /// Its epoch: the offset of the registration that is meant.
    pub epoch: i64,
}

impl BrokerRef {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = Self {
            id: NodeId(r.i32()?),
            epoch: r.i64()?,
        };
        r.no_tags()?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i32(self.id.0);
        w.i64(self.epoch);
        w.no_tags();
    }
}

/// A dynamic config, set or (value `None`) removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// Kafka's resource type: 2 topic, 4 broker, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Topic name, broker id, or "" for the default of all brokers.
    pub resource_name: Arc<str>,
    /// The key.
    pub name: Arc<str>,
    /// The value.
    pub value: Option<Arc<str>>,
}

impl ConfigChange {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = Self {
            resource_type: r.i8()?,
            resource_name: r.string("resource name")?,
            name: r.string("config name")?,
            value: r.opt_string()?,
        };
        r.no_tags()?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.string(&self.name);
        w.opt_string(self.value.as_deref());
        w.no_tags();
    }
}

/// A feature's finalized level; 0 turns it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureLevel {
    /// The feature.
    pub name: Arc<str>,
    /// Its level.
    pub level: i16,
}

impl FeatureLevel {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = Self {
            name: r.string("feature name")?,
            level: r.i16()?,
        };
        r.no_tags()?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.string(&self.name);
        w.i16(self.level);
        w.no_tags();
    }
}

/// A block of producer ids was handed to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerIds {
    /// To whom.
    pub broker: NodeId,
    /// In which of its lives.
    pub broker_epoch: i64,
    /// First id after the block.
    pub next: ProducerId,
}

impl ProducerIds {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = Self {
            broker: NodeId(r.i32()?),
            broker_epoch: r.i64()?,
            next: ProducerId(r.i64()?),
        };
        r.no_tags()?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i32(self.broker.0);
        w.i64(self.broker_epoch);
        w.i64(self.next.0);
        w.no_tags();
    }
}

/// What a metadata transaction is for, or why it was given up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TransactionNote {
    /// Text for people (tag 0).
    pub text: Option<Arc<str>>,
}

impl TransactionNote {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut text = None;
        r.tags(|tag, r| {
            if tag == 0 {
                text = r.opt_string()?;
            }
            Ok(())
        })?;
        Ok(Self { text })
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        let mut tags = Vec::new();
        if let Some(text) = &self.text {
            tags.push((0, Writer::body(|w| w.string(text))));
        }
        w.tags(tags);
    }
}

/// A record that onrush carries without looking inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecord {
    /// Kafka's type number.
    pub key: u32,
    /// Its version.
    pub version: u32,
    /// Everything after the version.
    pub body: Bytes,
}

impl KeptRecord {
    pub(super) fn decode(key: u32, version: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let body = r.take(r.remaining().len())?;
        Ok(Self {
            key,
            version,
            body: Bytes::copy_from_slice(body),
        })
    }
}
