//! The records that a node writes when it comes up: a new cluster's first, its registration, the leadership of its partitions.
//!
//! Source: Kafka's `ActivationRecordsGenerator`, `ClusterControlManager.registerBroker`,
//! `ReplicationControlManager.handleBrokerUnfenced`, `PartitionChangeBuilder`.

use std::sync::Arc;

use crate::metadata::features;
use crate::metadata::record::{
    ConfigChange, FeatureLevel, PartitionChange, Record, RegisterBroker, RegistrationChange,
    TransactionNote,
};
use crate::metadata::{BrokerEndpoint, Image, PartitionState};
use crate::types::{DirectoryId, NodeId, Offset, PartitionIndex, TopicId};

/// First `metadata.version` (3.6-IV1) whose readers understand transactions.
const TRANSACTIONS_SINCE: i16 = 13;

/// The first records of an empty log: features (from `bootstrap.checkpoint`, or those of a new cluster if there is none) and, with
/// eligible leader replicas, the cluster-wide `min.insync.replicas` that they need (KIP-966).
#[must_use]
pub fn bootstrap_records(checkpoint: Vec<Record>, min_insync_replicas: &str) -> Vec<Record> {
    let features: Vec<Record> = if checkpoint.is_empty() {
        features_of_new_cluster()
    } else {
        checkpoint
    };
    let level = |wanted: &str| {
        let levels = features.iter().filter_map(|record| match record {
            Record::FeatureLevel(f) if &*f.name == wanted => Some(f.level),
            _ => None,
        });
        levels.last().unwrap_or(0)
    };
    let elr = level(features::ELR_NAME) >= 1;
    let transactions = level(features::METADATA_VERSION_NAME) >= TRANSACTIONS_SINCE;
    let mut records = Vec::new();
    if transactions {
        let text = Some("Bootstrap records".into());
        records.push(Record::BeginTransaction(TransactionNote { text }));
    }
    records.extend(features);
    if elr {
        records.push(Record::Config(ConfigChange {
            resource_type: 4,
            resource_name: "".into(),
            name: "min.insync.replicas".into(),
            value: Some(min_insync_replicas.into()),
        }));
    }
    if transactions {
        records.push(Record::EndTransaction);
    }
    records
}

/// One record per feature that a new cluster has.
pub(crate) fn features_of_new_cluster() -> Vec<Record> {
    features::OF_NEW_CLUSTER
        .iter()
        .map(|(name, level)| {
            Record::FeatureLevel(FeatureLevel {
                name: (*name).into(),
                level: *level,
            })
        })
        .collect()
}

/// What this process registers.
#[derive(Clone, Debug)]
pub struct Registration {
    /// This node.
    pub node: NodeId,
    /// This process.
    pub incarnation: TopicId,
    /// Advertised listeners.
    pub endpoints: Vec<BrokerEndpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Its only log directory.
    pub directory: DirectoryId,
}

impl Registration {
    /// The registration, to be appended at `offset`, which becomes the broker's epoch; and what unfences it.
    #[must_use]
    pub fn records(&self, offset: Offset) -> (Record, Record) {
        let register = RegisterBroker {
            id: self.node,
            migrating_zk: false,
            incarnation: self.incarnation,
            epoch: offset.0,
            endpoints: self.endpoints.clone(),
            features: features::SUPPORTED
                .iter()
                .map(|(name, min, max)| ((*name).into(), *min, *max))
                .collect(),
            rack: self.rack.clone(),
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: vec![self.directory],
        };
        let unfence = RegistrationChange {
            id: self.node,
            epoch: offset.0,
            fenced: Some(false),
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
        };
        (
            Record::RegisterBroker(register),
            Record::RegistrationChange(unfence),
        )
    }
}

/// Makes `node` leader of every partition that has none and whose data it holds; ends recovery of those it leads.
///
/// A Kafka that stops leaves its partitions so: no leader, itself as eligible or last known.
#[must_use]
pub fn election_records(image: &Image, node: NodeId) -> Vec<Record> {
    each_partition(image, |topic, index, state| {
        let mut change = PartitionChange::of(topic, index);
        if state.leader.is_none() && may_lead(state, node) {
            change.leader = Some(Some(node));
            change.isr = (state.isr != [node]).then(|| vec![node]);
            change.elr = (!state.elr.is_empty()).then(Vec::new);
            change.last_known_elr = (!state.last_known_elr.is_empty()).then(Vec::new);
        }
        let leads = state.leader == Some(node) || change.leader.is_some();
        if leads && state.leader_recovery_state != 0 {
            change.leader_recovery_state = Some(0);
        }
        (change != PartitionChange::of(topic, index)).then_some(change)
    })
}

/// Raises the leader epoch of every partition that `node` leads: after an unclean stop its log may have lost records that a
/// consumer saw, and the new epoch is how that consumer finds out.
#[must_use]
pub fn bump_records(image: &Image, node: NodeId) -> Vec<Record> {
    each_partition(image, |topic, index, state| {
        (state.leader == Some(node)).then(|| {
            let mut change = PartitionChange::of(topic, index);
            change.leader = Some(Some(node));
            change
        })
    })
}

/// A node other than `node` that the metadata counts on: one that holds replicas, or a broker that is not fenced.
#[must_use]
pub fn foreign_node(image: &Image, node: NodeId) -> Option<NodeId> {
    let brokers = image.brokers.iter().filter(|(_, broker)| !broker.fenced);
    let partitions = image.topics.values().flat_map(|topic| &topic.partitions);
    let replicas = partitions.flat_map(|partition| &partition.replicas);
    brokers
        .map(|(id, _)| *id)
        .chain(replicas.copied())
        .find(|id| *id != node)
}

/// The last one to have been in sync may lead; so may the only replica there is.
fn may_lead(state: &PartitionState, node: NodeId) -> bool {
    let known = [&state.isr, &state.elr, &state.last_known_elr];
    let was_in_sync = known.iter().any(|nodes| nodes.contains(&node));
    state.replicas == [node] || state.replicas.contains(&node) && was_in_sync
}

fn each_partition(
    image: &Image,
    change: impl Fn(TopicId, PartitionIndex, &PartitionState) -> Option<PartitionChange>,
) -> Vec<Record> {
    let mut records = Vec::new();
    for topic in image.topics.values() {
        for (index, state) in (0..).zip(&topic.partitions) {
            let change = change(topic.id, PartitionIndex(index), state);
            records.extend(change.map(Record::PartitionChange));
        }
    }
    records
}
