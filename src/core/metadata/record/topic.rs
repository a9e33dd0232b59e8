//! Topic and partition records.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{DecodeError, Reader, Writer};
use crate::types::{DirectoryId, LeaderEpoch, NodeId, PartitionIndex, TopicId};

/// A topic exists (TopicRecord v0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: TopicId,
}

impl TopicRecord {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = Self {
            name: r.string("topic name")?,
            id: r.uuid()?,
        };
        r.no_tags()?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.string(&self.name);
        w.uuid(&self.id);
        w.no_tags();
    }
}

/// A topic is gone (RemoveTopicRecord v0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveTopic {
    /// Its id.
    pub id: TopicId,
}

impl RemoveTopic {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = Self { id: r.uuid()? };
        r.no_tags()?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.uuid(&self.id);
        w.no_tags();
    }
}

/// A partition exists (PartitionRecord v0–2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Version on disk: 1 adds directories, 2 the ELR. New ones are written as 2.
    pub version: u32,
    /// Which partition.
    pub partition: PartitionIndex,
    /// Of which topic.
    pub topic: TopicId,
    /// Assignment, first is preferred.
    pub replicas: Vec<NodeId>,
    /// In-sync replicas.
    pub isr: Vec<NodeId>,
    /// Being removed by a reassignment.
    pub removing: Vec<NodeId>,
    /// Being added by a reassignment.
    pub adding: Vec<NodeId>,
    /// `None`: no leader.
    pub leader: Option<NodeId>,
    /// 0 recovered, 1 recovering.
    pub leader_recovery_state: i8,
    /// Raised with every leader change.
    pub leader_epoch: LeaderEpoch,
    /// Raised with every change.
    pub partition_epoch: i32,
    /// Log directory of each replica (v1+).
    pub directories: Vec<DirectoryId>,
    /// Eligible leader replicas (v2+); Kafka writes null for none.
    pub elr: Option<Vec<NodeId>>,
    /// Last known members of the ELR (v2+).
    pub last_known_elr: Option<Vec<NodeId>>,
}

impl PartitionRecord {
    pub(super) fn decode(version: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut record = Self {
            version,
            partition: partition_index(r)?,
            topic: r.uuid()?,
            replicas: r.vec("replicas", node)?,
            isr: r.vec("isr", node)?,
            removing: r.vec("removing replicas", node)?,
            adding: r.vec("adding replicas", node)?,
            leader: leader(r.i32()?)?,
            leader_recovery_state: 0,
            leader_epoch: LeaderEpoch(r.i32()?),
            partition_epoch: r.i32()?,
            directories: Vec::new(),
            elr: None,
            last_known_elr: None,
        };
        if version >= 1 {
            record.directories = r.vec("directories", Reader::uuid)?;
        }
        r.tags(|tag, r| {
            match tag {
                0 => record.leader_recovery_state = recovery_state(r)?,
                1 if version >= 2 => record.elr = r.opt_vec(node)?,
                2 if version >= 2 => record.last_known_elr = r.opt_vec(node)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i32(self.partition.0);
        w.uuid(&self.topic);
        for nodes in [&self.replicas, &self.isr, &self.removing, &self.adding] {
            put_nodes(w, nodes);
        }
        w.i32(self.leader.map_or(-1, |id| id.0));
        w.i32(self.leader_epoch.0);
        w.i32(self.partition_epoch);
        if self.version >= 1 {
            w.vec(&self.directories, Writer::uuid);
        }
        let mut tags = Vec::new();
        if self.leader_recovery_state != 0 {
            tags.push((0, Writer::body(|w| w.i8(self.leader_recovery_state))));
        }
        if self.version >= 2 {
            push_nodes(&mut tags, 1, self.elr.as_deref());
            push_nodes(&mut tags, 2, self.last_known_elr.as_deref());
        }
        w.tags(tags);
    }
}

/// A partition changed (PartitionChangeRecord v0–2). `None` everywhere means "as before".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChange {
    /// Version on disk: 1 adds directories, 2 the ELR. New ones are written as 2.
    pub version: u32,
    /// Which partition.
    pub partition: PartitionIndex,
    /// Of which topic.
    pub topic: TopicId,
    /// New in-sync replicas.
    pub isr: Option<Vec<NodeId>>,
    /// `Some(None)`: no leader from here on; `Some(id)`: this leader, in a new epoch even if it is the old one.
    pub leader: Option<Option<NodeId>>,
    /// New assignment.
    pub replicas: Option<Vec<NodeId>>,
    /// New replicas being removed.
    pub removing: Option<Vec<NodeId>>,
    /// New replicas being added.
    pub adding: Option<Vec<NodeId>>,
    /// New recovery state.
    pub leader_recovery_state: Option<i8>,
    /// New eligible leader replicas (v2+).
    pub elr: Option<Vec<NodeId>>,
    /// New last known members of the ELR (v2+).
    pub last_known_elr: Option<Vec<NodeId>>,
    /// New directories (v1+).
    pub directories: Option<Vec<DirectoryId>>,
}

impl PartitionChange {
    /// A change of this partition that changes nothing yet.
    #[must_use]
    pub fn of(topic: TopicId, partition: PartitionIndex) -> Self {
        Self {
            version: 2,
            partition,
            topic,
            isr: None,
            leader: None,
            replicas: None,
            removing: None,
            adding: None,
            leader_recovery_state: None,
            elr: None,
            last_known_elr: None,
            directories: None,
        }
    }

    pub(super) fn decode(version: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let partition = partition_index(r)?;
        let mut record = Self::of(r.uuid()?, partition);
        record.version = version;
        r.tags(|tag, r| {
            match tag {
                0 => record.isr = r.opt_vec(node)?,
                1 => {
                    record.leader = match r.i32()? {
                        -2 => None,
                        id => Some(leader(id)?),
                    };
                }
                2 => record.replicas = r.opt_vec(node)?,
                3 => record.removing = r.opt_vec(node)?,
                4 => record.adding = r.opt_vec(node)?,
                5 => {
                    record.leader_recovery_state = match r.i8()? {
                        -1 => None,
                        state @ 0..=1 => Some(state),
                        _ => return Err(DecodeError::Range("leader recovery state")),
                    };
                }
                6 if version >= 2 => record.elr = r.opt_vec(node)?,
                7 if version >= 2 => record.last_known_elr = r.opt_vec(node)?,
                8 if version >= 1 => record.directories = r.opt_vec(Reader::uuid)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.i32(self.partition.0);
        w.uuid(&self.topic);
        let mut tags = Vec::new();
        push_nodes(&mut tags, 0, self.isr.as_deref());
        if let Some(leader) = self.leader {
            tags.push((1, Writer::body(|w| w.i32(leader.map_or(-1, |id| id.0)))));
        }
        push_nodes(&mut tags, 2, self.replicas.as_deref());
        push_nodes(&mut tags, 3, self.removing.as_deref());
        push_nodes(&mut tags, 4, self.adding.as_deref());
        if let Some(state) = self.leader_recovery_state {
            tags.push((5, Writer::body(|w| w.i8(state))));
        }
        if self.version >= 2 {
            push_nodes(&mut tags, 6, self.elr.as_deref());
            push_nodes(&mut tags, 7, self.last_known_elr.as_deref());
        }
        if let (true, Some(directories)) = (self.version >= 1, &self.directories) {
            tags.push((8, Writer::body(|w| w.vec(directories, Writer::uuid))));
        }
        w.tags(tags);
    }
}

fn partition_index(r: &mut Reader<'_>) -> Result<PartitionIndex, DecodeError> {
    match r.i32()? {
        index @ 0.. => Ok(PartitionIndex(index)),
        _ => Err(DecodeError::Range("partition")),
    }
}

fn node(r: &mut Reader<'_>) -> Result<NodeId, DecodeError> {
    r.i32().map(NodeId)
}

fn put_nodes(w: &mut Writer, nodes: &[NodeId]) {
    w.vec(nodes, |w, node| w.i32(node.0));
}

fn leader(id: i32) -> Result<Option<NodeId>, DecodeError> {
    match id {
        -1 => Ok(None),
        0.. => Ok(Some(NodeId(id))),
        _ => Err(DecodeError::Range("leader")),
    }
}

fn recovery_state(r: &mut Reader<'_>) -> Result<i8, DecodeError> {
    match r.i8()? {
        state @ 0..=1 => Ok(state),
        _ => Err(DecodeError::Range("leader recovery state")),
    }
}

fn push_nodes(tags: &mut Vec<(u32, Bytes)>, tag: u32, nodes: Option<&[NodeId]>) {
    if let Some(nodes) = nodes {
        tags.push((tag, Writer::body(|w| put_nodes(w, nodes))));
    }
}
