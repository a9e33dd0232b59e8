//! Control records of the metadata log and its snapshots: who leads, who votes, where a snapshot begins and ends.
//!
//! A control record's key is two 16 bit numbers, version and type; its value is a message in the flexible format that begins with
//! its own version. Types of data partitions (transaction markers) never stand in this log.
//! Source: Kafka's `ControlRecordUtils`, `LeaderChangeMessage.json`, `VotersRecord.json` and their neighbours; KIP-595, KIP-853.

use std::sync::Arc;

use bytes::Bytes;

use super::record::codec::{DecodeError, Reader, Writer};
use crate::types::{DirectoryId, NodeId, WallMillis};

/// A control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// Type 2: a new leader epoch begins.
    LeaderChange {
        /// Who leads.
        leader: NodeId,
        /// Who votes.
        voters: Vec<NodeId>,
        /// Who voted for it.
        granting: Vec<NodeId>,
    },
    /// Type 3: a snapshot begins.
    SnapshotHeader {
        /// Append time of the last record of the log that is in it.
        last_contained: WallMillis,
    },
    /// Type 4: a snapshot is whole.
    SnapshotFooter,
    /// Type 5: the level of `kraft.version`.
    KRaftVersion(i16),
    /// Type 6: the voters from here on.
    Voters(Vec<Voter>),
    /// A type that is none of these; readers skip it, as Kafka does.
    Unknown(i16),
}

/// A member of the metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Which node.
    pub id: NodeId,
    /// Its metadata log directory's id: a node with a new disk is another voter.
    pub directory: DirectoryId,
    /// Where it is reached: listener name, host, port.
    pub endpoints: Vec<VoterEndpoint>,
    /// Lowest and highest `kraft.version` it supports.
    pub kraft_versions: (i16, i16),
}

/// Where a voter is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// Listener name.
    pub listener: Arc<str>,
    /// Host name or address.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
}

impl ControlRecord {
    /// Decodes key and value.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
        let mut key = Reader::new(key);
        let _key_version = key.i16()?;
        let kind = key.i16()?;
        if !(2..=6).contains(&kind) {
            return Ok(Self::Unknown(kind));
        }
        let mut r = Reader::new(value);
        let version = r.i16()?;
        let record = match kind {
            2 => {
                let leader = NodeId(r.i32()?);
                let mut voters = || {
                    r.vec("voters", |r| {
                        let id = NodeId(r.i32()?);
                        if version >= 1 {
                            r.uuid()?;
                        }
                        r.no_tags()?;
                        Ok(id)
                    })
                };
                Self::LeaderChange {
                    leader,
                    voters: voters()?,
                    granting: voters()?,
                }
            }
            3 => Self::SnapshotHeader {
                last_contained: WallMillis(r.i64()?),
            },
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion(r.i16()?),
            _ => Self::Voters(r.vec("voters", Voter::decode)?),
        };
        r.no_tags()?;
        Ok(record)
    }

    /// Key and value, in the versions that Kafka 4.2 writes.
    ///
    /// Panics for `Unknown`: nobody writes what nobody understands.
    #[must_use]
    pub fn encode(&self) -> (Bytes, Bytes) {
        let kind: i16 = match self {
            Self::LeaderChange { .. } => 2,
            Self::SnapshotHeader { .. } => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion(_) => 5,
            Self::Voters(_) => 6,
            Self::Unknown(_) => panic!("an unknown control record is never written"),
        };
        let key = Writer::body(|w| {
            w.i16(0);
            w.i16(kind);
        });
        let mut w = Writer::default();
        w.i16(0);
        match self {
            Self::LeaderChange {
                leader,
                voters,
                granting,
            } => {
                w.i32(leader.0);
                for nodes in [voters, granting] {
                    w.vec(nodes, |w, id| {
                        w.i32(id.0);
                        w.no_tags();
                    });
                }
            }
            Self::SnapshotHeader { last_contained } => w.i64(last_contained.0),
            Self::SnapshotFooter | Self::Unknown(_) => {}
            Self::KRaftVersion(level) => w.i16(*level),
            Self::Voters(voters) => w.vec(voters, Voter::encode),
        }
        w.no_tags();
        (key, w.finish())
    }
}

impl Voter {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = NodeId(r.i32()?);
        let directory = r.uuid()?;
        let endpoints = r.vec("endpoints", |r| {
            let endpoint = VoterEndpoint {
                listener: r.string("listener name")?,
                host: r.string("host")?,
                port: r.u16()?,
            };
            r.no_tags()?;
            Ok(endpoint)
        })?;
        let kraft_versions = (r.i16()?, r.i16()?);
        r.no_tags()?;
        r.no_tags()?;
        Ok(Self {
            id,
            directory,
            endpoints,
            kraft_versions,
        })
    }

    fn encode(w: &mut Writer, voter: &Self) {
        w.i32(voter.id.0);
        w.uuid(&voter.directory);
        w.vec(&voter.endpoints, |w, e| {
            w.string(&e.listener);
            w.string(&e.host);
            w.u16(e.port);
            w.no_tags();
        });
        w.i16(voter.kraft_versions.0);
        w.i16(voter.kraft_versions.1);
        w.no_tags();
        w.no_tags();
    }
}
