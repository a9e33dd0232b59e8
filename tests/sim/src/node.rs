//! A node of the real core: how its directory is formatted and its machines are made at every start.
//!
//! Source: what the broker's own boot does, less the parts of the operating system.

use std::collections::BTreeMap;
use std::sync::Arc;

use onrush_core::ctl::{ConnectionLimits, Ctl, CtlConfig};
use onrush_core::input::{Effects, Input};
use onrush_core::metadata::BrokerEndpoint;
use onrush_core::metadata::control::VoterEndpoint;
use onrush_core::metadata::format::{FormatSpec, plan_format};
use onrush_core::shard::{Shard, ShardConfig};
use onrush_core::types::{
    BrokerConfigEntry, BrokerConfigView, ConfigDef, ConfigDynamic, ConfigKind, ConfigSource,
    CoreId, DirectoryId, Millis, NodeId, Now, TopicId, WallMillis,
};

use crate::disk::Disk;
use crate::world::{Machine, Machines};

const NODE: NodeId = NodeId(1);
const DIRECTORY: DirectoryId = TopicId([7; 16]);
const CLUSTER: &str = "c2ltdWxhdGVkLWNsdXN0ZQ";

const fn number(name: &'static str) -> ConfigDef {
    ConfigDef {
        name,
        kind: ConfigKind::Int,
        default: None,
        dynamic: ConfigDynamic::ReadOnly,
        internal: false,
        doc: "",
    }
}

/// Groups are quick here, and few partitions keep them.
const GROUP_SETTINGS: [(&ConfigDef, &str); 4] = [
    (&number("group.initial.rebalance.delay.ms"), "20"),
    (&number("group.min.session.timeout.ms"), "10"),
    (&number("offsets.topic.num.partitions"), "4"),
    (&number("offsets.topic.replication.factor"), "1"),
];

impl Machine for Ctl {
    fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        Self::step(self, now, input, out);
    }
}

impl Machine for Shard {
    fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        Self::step(self, now, input, out);
    }
}

/// Puts the files of a freshly formatted directory on the disk.
pub fn format(disk: &mut Disk) {
    let files = plan_format(&FormatSpec {
        cluster_id: CLUSTER.into(),
        node_id: NODE,
        directory_id: DIRECTORY,
        controller: VoterEndpoint {
            listener: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        },
        now: WallMillis(1_790_000_000_000),
    });
    for file in files {
        disk.plant(&file.path, &file.bytes);
    }
}

/// The machines of a new process with so many shards.
#[must_use]
pub fn boot(incarnation: [u8; 16], shards: u16) -> Machines {
    let entries = GROUP_SETTINGS.iter().map(|(def, value)| BrokerConfigEntry {
        def,
        value: Some((*value).into()),
        source: ConfigSource::StaticBroker,
    });
    let broker = Arc::new(BrokerConfigView::new(entries.collect(), BTreeMap::new()));
    let ctl = Ctl::new(CtlConfig {
        node_id: NODE,
        cluster_id: CLUSTER.into(),
        directory_id: DIRECTORY,
        incarnation: TopicId(incarnation),
        endpoints: vec![BrokerEndpoint {
            listener: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: None,
        connections: ConnectionLimits::default(),
        configs: Arc::clone(&broker),
        shards: (1..=shards).map(CoreId).collect(),
    });
    let mut machines: Machines = vec![Box::new(ctl)];
    for core in 1..=shards {
        machines.push(Box::new(Shard::new(ShardConfig {
            core: CoreId(core),
            shards,
            ctl: CoreId(0),
            node_id: NODE,
            incarnation,
            broker: Arc::clone(&broker),
            listeners: vec!["PLAINTEXT".into()],
            fetch_bytes_max: 55 * 1024 * 1024,
            producer_id_expiration_ms: Millis(86_400_000),
            unwritten_bytes_max: onrush_core::types::limits::UNWRITTEN_BYTES_MAX,
            asks_admission: false,
            hot_tail_bytes_max: onrush_core::types::limits::HOT_TAIL_BYTES_MAX,
        })));
    }
    machines
}
