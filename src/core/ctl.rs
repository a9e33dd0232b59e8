//! The machine of core 0: metadata log, controller, registration of this broker.
//!
//! Source: Kafka's `QuorumController`, `KafkaRaftClient`, `BrokerLifecycleManager`, for a quorum of one.

use std::sync::Arc;

use crate::input::{Effects, Input};
use crate::metadata::BrokerEndpoint;
use crate::types::{BrokerConfigView, CoreId, DirectoryId, NodeId, Now, TopicId};

/// What the machine is told once.
#[derive(Clone, Debug)]
pub struct CtlConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// From `meta.properties`.
    pub cluster_id: Arc<str>,
    /// From `meta.properties`.
    pub directory_id: DirectoryId,
    /// Random, new with every start of the process.
    pub incarnation: TopicId,
    /// Advertised listeners, in the order of the config.
    pub endpoints: Vec<BrokerEndpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Static broker configs.
    pub configs: Arc<BrokerConfigView>,
    /// All shards of this process.
    pub shards: Vec<CoreId>,
}

/// The machine.
#[derive(Debug)]
pub struct Ctl {
    config: CtlConfig,
}

impl Ctl {
    /// Before the first input, which must be `Start`, on a directory formatted by `metadata::format` or by Kafka.
    #[must_use]
    pub fn new(config: CtlConfig) -> Self {
        Self { config }
    }

    /// Takes one input.
    pub fn step(&mut self, _now: Now, _input: Input, _out: &mut Effects) {
        assert!(!self.config.shards.is_empty());
    }
}
