//! The metadata as of one offset of the metadata log: what every shard reads and nobody changes.
//!
//! Invariants: 1. `topics_by_name` and `topics` describe the same topics. 2. A topic's partitions are numbered from 0 without gaps.
//! Source: Kafka's `MetadataImage`, `PartitionRegistration`, `BrokerRegistration`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{DirectoryId, LeaderEpoch, NodeId, Offset, ProducerId, TopicId};

/// Everything the cluster has agreed on, up to and including `offset`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The cluster's id, 22 characters.
    pub cluster_id: Arc<str>,
    /// Offset of the last record in it, -1 when empty.
    pub offset: Offset,
    /// Finalized feature levels by name (`metadata.version` and so on). Level 0 is absent.
    pub features: BTreeMap<Arc<str>, i16>,
    /// Registered brokers.
    pub brokers: BTreeMap<NodeId, Broker>,
    /// Topics by id.
    pub topics: BTreeMap<TopicId, Arc<Topic>>,
    /// Topic ids by name.
    pub topics_by_name: BTreeMap<Arc<str>, TopicId>,
    /// Dynamic configs: resource → key → value.
    pub configs: BTreeMap<ConfigResource, BTreeMap<Arc<str>, Arc<str>>>,
    /// First producer id that was never handed out.
    pub producer_id_next: ProducerId,
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Offset of its registration record (Kafka's broker epoch).
    pub epoch: i64,
    /// Chosen anew at every start of the process.
    pub incarnation: TopicId,
    /// Where clients reach it, by listener name.
    pub endpoints: Vec<BrokerEndpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// A fenced broker leads nothing.
    pub fenced: bool,
    /// It is shutting down in a controlled way.
    pub in_controlled_shutdown: bool,
    /// Supported features: name → (min, max).
    pub features: BTreeMap<Arc<str>, (i16, i16)>,
    /// Its log directories.
    pub log_dirs: Vec<DirectoryId>,
}

/// An advertised address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// Listener name, `PLAINTEXT` and the like.
    pub listener: Arc<str>,
    /// Host name or address as advertised.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// Security protocol: 0 PLAINTEXT, 1 SSL, 2 `SASL_PLAINTEXT`, 3 `SASL_SSL`.
    pub security_protocol: i16,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions; the index is the partition's.
    pub partitions: Vec<PartitionState>,
}

/// A partition as the controller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// Assignment, first is preferred.
    pub replicas: Vec<NodeId>,
    /// In-sync replicas.
    pub isr: Vec<NodeId>,
    /// Being removed by a reassignment.
    pub removing_replicas: Vec<NodeId>,
    /// Being added by a reassignment.
    pub adding_replicas: Vec<NodeId>,
    /// Eligible leader replicas (KIP-966).
    pub elr: Vec<NodeId>,
    /// Last known members of the ELR.
    pub last_known_elr: Vec<NodeId>,
    /// Log directory of each replica.
    pub directories: Vec<DirectoryId>,
    /// `None`: no leader.
    pub leader: Option<NodeId>,
    /// 0 recovered, 1 recovering (after an unclean election).
    pub leader_recovery_state: i8,
    /// Raised with every leader change.
    pub leader_epoch: LeaderEpoch,
    /// Raised with every change.
    pub partition_epoch: i32,
}

/// What a dynamic config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name (type 2).
    Topic(Arc<str>),
    /// A broker (type 4); `None` is the cluster-wide default.
    Broker(Option<NodeId>),
    /// Another type that onrush only keeps: Kafka's type number and the name.
    Other(i8, Arc<str>),
}

/// What changed between two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Topics created, or given partitions or another leader.
    pub topics_changed: Vec<TopicId>,
    /// Topics removed: id, name, number of partitions.
    pub topics_removed: Vec<(TopicId, Arc<str>, u32)>,
    /// Resources whose configs changed.
    pub configs_changed: Vec<ConfigResource>,
    /// True if brokers, features or anything else changed.
    pub cluster_changed: bool,
}

/// A range of producer ids for one shard to hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first.
    pub first: ProducerId,
    /// How many.
    pub count: i32,
}
