//! From records to the image: the only place where metadata changes.
//!
//! Invariants: 1. The same records in the same order give the same image, at start-up as while serving. 2. Records between
//! Begin- and EndTransaction count when the end is there, all at once; after an abort, none does. 3. A record that does not fit what
//! was there before is refused: the log is damaged or from a program that knows more.
//! Source: Kafka's `MetadataDelta`, `PartitionRegistration.merge`, `MetadataBatchLoader`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::record::{
    BrokerRef, ConfigChange, PartitionChange, PartitionRecord, Record, RegisterBroker,
    RegistrationChange,
};
use super::{Broker, ConfigResource, DIRECTORY_UNASSIGNED, Delta, Image, PartitionState, Topic};
use crate::types::{DirectoryId, LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};

/// Why a record does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It changes a topic that does not exist.
    #[error("topic {0} does not exist")]
    UnknownTopic(TopicId),
    /// It changes a partition that does not exist, or adds one that leaves a gap.
    #[error("partition {1} of topic {0} does not follow the ones there are")]
    UnknownPartition(TopicId, PartitionIndex),
    /// It creates a topic whose name or id exists.
    #[error("topic {0} exists already")]
    TopicExists(Arc<str>),
    /// It changes a broker that is not registered, or not in this life.
    #[error("broker {0} is not registered with epoch {1}")]
    UnknownBroker(NodeId, i64),
    /// A transaction begins within a transaction.
    #[error("a metadata transaction begins within another")]
    NestedTransaction,
    /// A transaction ends that has not begun.
    #[error("a metadata transaction ends that has not begun")]
    NoTransaction,
    /// An epoch is used up.
    #[error("partition {1} of topic {0} has used up its epochs")]
    EpochsUsedUp(TopicId, PartitionIndex),
}

/// The image and what changed in it since it was last taken.
#[derive(Debug)]
pub struct Replay {
    image: Image,
    /// Topics created since the last take: nobody knows of them yet.
    created: BTreeSet<TopicId>,
    changed: BTreeSet<TopicId>,
    configs: BTreeSet<ConfigResource>,
    removed: Vec<(TopicId, Arc<str>, u32)>,
    cluster_changed: bool,
    transaction: Option<Vec<Record>>,
}

impl Replay {
    /// An empty cluster.
    #[must_use]
    pub fn new(cluster_id: Arc<str>) -> Self {
        Self {
            image: Image {
                cluster_id,
                offset: Offset::NONE,
                ..Image::default()
            },
            created: BTreeSet::new(),
            changed: BTreeSet::new(),
            configs: BTreeSet::new(),
            removed: Vec::new(),
            cluster_changed: true,
            transaction: None,
        }
    }

    /// What the records so far add up to; those of an open transaction are not in it.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// True between Begin- and EndTransaction.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Takes the log's next offset into account without a metadata record (a control record).
    pub fn skip(&mut self, offset: Offset) {
        if self.transaction.is_none() {
            self.image.offset = offset;
        }
    }

    /// Applies the next record.
    pub fn apply(&mut self, offset: Offset, record: Record) -> Result<(), ReplayError> {
        match (&mut self.transaction, record) {
            (Some(_), Record::BeginTransaction(_)) => return Err(ReplayError::NestedTransaction),
            (None, Record::BeginTransaction(_)) => {
                self.transaction = Some(Vec::new());
                return Ok(());
            }
            (None, Record::EndTransaction | Record::AbortTransaction(_)) => {
                return Err(ReplayError::NoTransaction);
            }
            (Some(_), Record::AbortTransaction(_)) => self.transaction = None,
            (Some(_), Record::EndTransaction) => {
                for record in self.transaction.take().unwrap_or_default() {
                    self.change(record)?;
                }
            }
            (Some(records), record) => {
                records.push(record);
                return Ok(());
            }
            (None, record) => self.change(record)?,
        }
        self.image.offset = offset;
        Ok(())
    }

    /// The image as it is now and what changed since the last call; the first call names everything.
    #[must_use]
    pub fn take(&mut self) -> (Arc<Image>, Arc<Delta>) {
        self.created.clear();
        let delta = Delta {
            topics_changed: std::mem::take(&mut self.changed).into_iter().collect(),
            topics_removed: std::mem::take(&mut self.removed),
            configs_changed: std::mem::take(&mut self.configs).into_iter().collect(),
            cluster_changed: std::mem::take(&mut self.cluster_changed),
        };
        (Arc::new(self.image.clone()), Arc::new(delta))
    }

    fn change(&mut self, record: Record) -> Result<(), ReplayError> {
        match record {
            Record::Topic(r) => self.add_topic(r.id, r.name)?,
            Record::Partition(r) => self.add_partition(r)?,
            Record::PartitionChange(r) => self.change_partition(r)?,
            Record::RemoveTopic(r) => self.remove_topic(r.id)?,
            Record::Config(r) => self.change_config(r),
            Record::RegisterBroker(r) => self.register(r),
            Record::UnregisterBroker(r) => {
                self.broker(r.id, r.epoch)?;
                self.image.brokers.remove(&r.id);
            }
            Record::FenceBroker(r) => self.fence(&r, true)?,
            Record::UnfenceBroker(r) => self.fence(&r, false)?,
            Record::RegistrationChange(r) => self.change_registration(r)?,
            Record::FeatureLevel(r) => {
                self.cluster_changed = true;
                if r.level == 0 {
                    self.image.features.remove(&r.name);
                } else {
                    self.image.features.insert(r.name, r.level);
                }
            }
            Record::ProducerIds(r) => self.image.producer_id_next = r.next,
            Record::ClearElr(topic) => self.clear_elr(&topic),
            Record::NoOp
            | Record::Kept(_)
            | Record::BeginTransaction(_)
            | Record::EndTransaction
            | Record::AbortTransaction(_) => {}
        }
        Ok(())
    }

    fn add_topic(&mut self, id: TopicId, name: Arc<str>) -> Result<(), ReplayError> {
        if self.image.topics_by_name.contains_key(&name) || self.image.topics.contains_key(&id) {
            return Err(ReplayError::TopicExists(name));
        }
        let topic = Topic {
            id,
            name: name.clone(),
            partitions: Vec::new(),
        };
        self.image.topics.insert(id, Arc::new(topic));
        self.image.topics_by_name.insert(name, id);
        self.created.insert(id);
        self.changed.insert(id);
        Ok(())
    }

    fn topic(&mut self, id: TopicId) -> Result<&mut Topic, ReplayError> {
        self.changed.insert(id);
        self.image
            .topics
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or(ReplayError::UnknownTopic(id))
    }

    fn add_partition(&mut self, r: PartitionRecord) -> Result<(), ReplayError> {
        let (id, index) = (r.topic, r.partition);
        let gap = ReplayError::UnknownPartition(id, index);
        let topic = self.topic(id)?;
        let state = PartitionState {
            directories: if r.directories.len() == r.replicas.len() {
                r.directories
            } else {
                vec![DirectoryId::ZERO; r.replicas.len()]
            },
            replicas: r.replicas,
            isr: r.isr,
            removing_replicas: r.removing,
            adding_replicas: r.adding,
            elr: r.elr.unwrap_or_default(),
            last_known_elr: r.last_known_elr.unwrap_or_default(),
            leader: r.leader,
            leader_recovery_state: r.leader_recovery_state,
            leader_epoch: r.leader_epoch,
            partition_epoch: r.partition_epoch,
        };
        let at = usize::try_from(index.0).map_err(|_| gap.clone())?;
        let next = topic.partitions.len();
        match topic.partitions.get_mut(at) {
            Some(present) => *present = state,
            None if at == next => topic.partitions.push(state),
            None => return Err(gap),
        }
        Ok(())
    }

    fn change_partition(&mut self, r: PartitionChange) -> Result<(), ReplayError> {
        let (id, index) = (r.topic, r.partition);
        let used_up = || ReplayError::EpochsUsedUp(id, index);
        let topic = self.topic(id)?;
        let state = usize::try_from(index.0)
            .ok()
            .and_then(|at| topic.partitions.get_mut(at))
            .ok_or(ReplayError::UnknownPartition(id, index))?;
        if let Some(replicas) = r.replicas {
            state.directories = moved_directories(state, &replicas);
            state.replicas = replicas;
        }
        if let Some(directories) = r.directories
            && directories.len() == state.replicas.len()
        {
            state.directories = directories;
        }
        if let Some(leader) = r.leader {
            state.leader = leader;
            let next = state.leader_epoch.0.checked_add(1).ok_or_else(used_up)?;
            state.leader_epoch = LeaderEpoch(next);
        }
        set(&mut state.isr, r.isr);
        set(&mut state.removing_replicas, r.removing);
        set(&mut state.adding_replicas, r.adding);
        set(&mut state.elr, r.elr);
        set(&mut state.last_known_elr, r.last_known_elr);
        set(&mut state.leader_recovery_state, r.leader_recovery_state);
        state.partition_epoch = state.partition_epoch.checked_add(1).ok_or_else(used_up)?;
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let topic = self
            .image
            .topics
            .remove(&id)
            .ok_or(ReplayError::UnknownTopic(id))?;
        self.image.topics_by_name.remove(&topic.name);
        let configs = ConfigResource::Topic(topic.name.clone());
        self.image.configs.remove(&configs);
        self.configs.remove(&configs);
        self.changed.remove(&id);
        // A topic that came and went between two publications never was, for the shards.
        if !self.created.remove(&id) {
            let count = u32::try_from(topic.partitions.len()).expect("partitions fit 31 bits");
            self.removed.push((id, topic.name.clone(), count));
        }
        Ok(())
    }

    fn change_config(&mut self, r: ConfigChange) {
        let resource = match r.resource_type {
            2 => ConfigResource::Topic(r.resource_name),
            4 if r.resource_name.is_empty() => ConfigResource::Broker(None),
            4 if r.resource_name.parse::<i32>().is_ok() => {
                ConfigResource::Broker(r.resource_name.parse().ok().map(NodeId))
            }
            other => ConfigResource::Other(other, r.resource_name),
        };
        let values = self.image.configs.entry(resource.clone()).or_default();
        match r.value {
            Some(value) => {
                values.insert(r.name, value);
            }
            None => {
                values.remove(&r.name);
            }
        }
        if values.is_empty() {
            self.image.configs.remove(&resource);
        }
        self.configs.insert(resource);
    }

    fn register(&mut self, r: RegisterBroker) {
        self.cluster_changed = true;
        let broker = Broker {
            epoch: r.epoch,
            incarnation: r.incarnation,
            endpoints: r.endpoints,
            rack: r.rack,
            fenced: r.fenced,
            in_controlled_shutdown: r.in_controlled_shutdown,
            features: r
                .features
                .into_iter()
                .map(|(name, min, max)| (name, (min, max)))
                .collect(),
            log_dirs: r.log_dirs,
        };
        self.image.brokers.insert(r.id, broker);
    }

    fn broker(&mut self, id: NodeId, epoch: i64) -> Result<&mut Broker, ReplayError> {
        self.cluster_changed = true;
        self.image
            .brokers
            .get_mut(&id)
            .filter(|broker| broker.epoch == epoch)
            .ok_or(ReplayError::UnknownBroker(id, epoch))
    }

    fn fence(&mut self, r: &BrokerRef, fenced: bool) -> Result<(), ReplayError> {
        self.broker(r.id, r.epoch)?.fenced = fenced;
        Ok(())
    }

    fn change_registration(&mut self, r: RegistrationChange) -> Result<(), ReplayError> {
        let broker = self.broker(r.id, r.epoch)?;
        set(&mut broker.fenced, r.fenced);
        broker.in_controlled_shutdown |= r.in_controlled_shutdown;
        if !r.log_dirs.is_empty() {
            broker.log_dirs = r.log_dirs;
        }
        Ok(())
    }

    /// Of one topic, or with the empty name of all.
    fn clear_elr(&mut self, name: &str) {
        let ids: Vec<TopicId> = if name.is_empty() {
            self.image.topics.keys().copied().collect()
        } else {
            self.image
                .topics_by_name
                .get(name)
                .copied()
                .into_iter()
                .collect()
        };
        for id in ids {
            let Some(topic) = self.image.topics.get_mut(&id) else {
                continue;
            };
            let has_any = |p: &PartitionState| !p.elr.is_empty() || !p.last_known_elr.is_empty();
            if !topic.partitions.iter().any(has_any) {
                continue;
            }
            for partition in Arc::make_mut(topic)
                .partitions
                .iter_mut()
                .filter(|p| has_any(p))
            {
                partition.elr.clear();
                partition.last_known_elr.clear();
                partition.partition_epoch = partition.partition_epoch.saturating_add(1);
            }
            self.changed.insert(id);
        }
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Directories of a new assignment: a replica that stays keeps its own.
fn moved_directories(state: &PartitionState, replicas: &[NodeId]) -> Vec<DirectoryId> {
    replicas
        .iter()
        .map(|id| {
            let at = state.replicas.iter().position(|old| old == id);
            at.and_then(|at| state.directories.get(at).copied())
                .unwrap_or(DIRECTORY_UNASSIGNED)
        })
        .collect()
}

#[cfg(test)]
mod tests;
