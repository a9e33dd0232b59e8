//! Broker registration records.

use std::sync::Arc;

use super::codec::{DecodeError, Reader, Writer};
use crate::metadata::BrokerEndpoint;
use crate::types::{DirectoryId, NodeId, TopicId};

/// A broker process came up (RegisterBrokerRecord v0–3, written as v3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    /// Which broker.
    pub id: NodeId,
    /// A broker of a ZooKeeper cluster under migration (v2+).
    pub migrating_zk: bool,
    /// Chosen by the process at start.
    pub incarnation: TopicId,
    /// Offset of this record: the broker's epoch.
    pub epoch: i64,
    /// Where clients reach it.
    pub endpoints: Vec<BrokerEndpoint>,
    /// What it supports: name, lowest, highest level. In the order given.
    pub features: Vec<(Arc<str>, i16, i16)>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Whether it starts fenced, as all do.
    pub fenced: bool,
    /// Stopping in a controlled way (v1+).
    pub in_controlled_shutdown: bool,
    /// Its log directories (v3+).
    pub log_dirs: Vec<DirectoryId>,
}

impl RegisterBroker {
    pub(super) fn decode(version: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = NodeId(r.i32()?);
        let migrating_zk = if version >= 2 { r.bool()? } else { false };
        let incarnation = r.uuid()?;
        let epoch = r.i64()?;
        let endpoints = r.vec("endpoints", |r| {
            let endpoint = BrokerEndpoint {
                listener: r.string("listener name")?,
                host: r.string("host")?,
                port: r.u16()?,
                security_protocol: r.i16()?,
            };
            r.no_tags()?;
            Ok(endpoint)
        })?;
        let features = r.vec("features", |r| {
            let feature = (r.string("feature name")?, r.i16()?, r.i16()?);
            r.no_tags()?;
            Ok(feature)
        })?;
        let rack = r.opt_string()?;
        let fenced = r.bool()?;
        let in_controlled_shutdown = if version >= 1 { r.bool()? } else { false };
        let mut log_dirs = Vec::new();
        r.tags(|tag, r| {
            if tag == 0 && version >= 3 {
                log_dirs = r.vec("log directories", Reader::uuid)?;
            }
            Ok(())
        })?;
        Ok(Self {
            id,
            migrating_zk,
            incarnation,
            epoch,
            endpoints,
            features,
            rack,
            fenced,
            in_controlled_shutdown,
            log_dirs,
        })
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i32(self.id.0);
        w.bool(self.migrating_zk);
        w.uuid(&self.incarnation);
        w.i64(self.epoch);
        w.vec(&self.endpoints, |w, e| {
            w.string(&e.listener);
            w.string(&e.host);
            w.u16(e.port);
            w.i16(e.security_protocol);
            w.no_tags();
        });
        w.vec(&self.features, |w, (name, min, max)| {
            w.string(name);
            w.i16(*min);
            w.i16(*max);
            w.no_tags();
        });
        w.opt_string(self.rack.as_deref());
        w.bool(self.fenced);
        w.bool(self.in_controlled_shutdown);
        let mut tags = Vec::new();
        if !self.log_dirs.is_empty() {
            tags.push((0, Writer::body(|w| w.vec(&self.log_dirs, Writer::uuid))));
        }
        w.tags(tags);
    }
}

/// A registered broker's state changed (BrokerRegistrationChangeRecord v0–2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationChange {
    /// Which broker.
    pub id: NodeId,
    /// In which of its lives.
    pub epoch: i64,
    /// `Some(true)`: fenced from here on; `Some(false)`: unfenced.
    pub fenced: Option<bool>,
    /// True if it began to stop in a controlled way.
    pub in_controlled_shutdown: bool,
    /// Its log directories, if they changed.
    pub log_dirs: Vec<DirectoryId>,
}

impl RegistrationChange {
    /// The lowest version that can say it, as Kafka writes.
    pub(super) fn version(&self) -> u32 {
        if self.log_dirs.is_empty() {
            u32::from(self.in_controlled_shutdown)
        } else {
            2
        }
    }

    pub(super) fn decode(version: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut record = Self {
            id: NodeId(r.i32()?),
            epoch: r.i64()?,
            fenced: None,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
        };
        r.tags(|tag, r| {
            match tag {
                0 => {
                    record.fenced = match r.i8()? {
                        -1 => Some(false),
                        0 => None,
                        1 => Some(true),
                        _ => return Err(DecodeError::Range("fenced")),
                    };
                }
                1 if version >= 1 => {
                    record.in_controlled_shutdown = match r.i8()? {
                        0 => false,
                        1 => true,
                        _ => return Err(DecodeError::Range("in controlled shutdown")),
                    };
                }
                2 if version >= 2 => record.log_dirs = r.vec("log directories", Reader::uuid)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i32(self.id.0);
        w.i64(self.epoch);
        let mut tags = Vec::new();
        if let Some(fenced) = self.fenced {
            tags.push((0, Writer::body(|w| w.i8(if fenced { 1 } else { -1 }))));
        }
        if self.in_controlled_shutdown {
            tags.push((1, Writer::body(|w| w.i8(1))));
        }
        if !self.log_dirs.is_empty() {
            tags.push((2, Writer::body(|w| w.vec(&self.log_dirs, Writer::uuid))));
        }
        w.tags(tags);
    }
}
