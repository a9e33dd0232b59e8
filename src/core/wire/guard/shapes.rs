//! The requests that onrush serves, as far as the guard needs to know them: lengths, counts, nulls, versions.
//!
//! Source: Kafka 4.2's message schemas, cut at the versions in [`crate::wire::versions`].

use super::{Field, Kind, Struct};
use crate::wire::versions as v;

const LAST: i16 = i16::MAX;
const NEVER: i16 = i16::MAX;

const BOOL: Kind = Kind::Fixed(1);
const INT8: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
const TEXT: Kind = Kind::Text;

/// A field of all versions, never null.
const fn all(kind: Kind) -> Field {
    within(kind, 0, LAST)
}

/// A field since a version.
const fn since(kind: Kind, from: i16) -> Field {
    within(kind, from, LAST)
}

/// A field of the versions from `from` to `to`.
const fn within(kind: Kind, from: i16, to: i16) -> Field {
    Field {
        kind,
        from,
        to,
        null_from: NEVER,
    }
}

impl Field {
    const fn null_since(self, null_from: i16) -> Self {
        Self { null_from, ..self }
    }
}

const fn of(fields: &'static [Field]) -> Struct {
    Struct { fields, tags: &[] }
}

pub(super) fn find(api_key: i16) -> Option<&'static Struct> {
    SHAPES
        .iter()
        .find(|(key, _)| *key == api_key)
        .map(|(_, shape)| *shape)
}

const SHAPES: &[(i16, &Struct)] = &[
    (v::PRODUCE, &PRODUCE),
    (v::FETCH, &FETCH),
    (v::LIST_OFFSETS, &LIST_OFFSETS),
    (v::METADATA, &METADATA),
    (v::OFFSET_COMMIT, &OFFSET_COMMIT),
    (v::OFFSET_FETCH, &OFFSET_FETCH),
    (v::FIND_COORDINATOR, &FIND_COORDINATOR),
    (v::JOIN_GROUP, &JOIN_GROUP),
    (v::HEARTBEAT, &HEARTBEAT),
    (v::LEAVE_GROUP, &LEAVE_GROUP),
    (v::SYNC_GROUP, &SYNC_GROUP),
    (v::DESCRIBE_GROUPS, &DESCRIBE_GROUPS),
    (v::LIST_GROUPS, &LIST_GROUPS),
    (v::DELETE_GROUPS, &DELETE_GROUPS),
    (v::OFFSET_DELETE, &OFFSET_DELETE),
    (v::API_VERSIONS, &API_VERSIONS),
    (v::CREATE_TOPICS, &CREATE_TOPICS),
    (v::DELETE_TOPICS, &DELETE_TOPICS),
    (v::INIT_PRODUCER_ID, &INIT_PRODUCER_ID),
    (v::OFFSET_FOR_LEADER_EPOCH, &OFFSET_FOR_LEADER_EPOCH),
    (v::DESCRIBE_CONFIGS, &DESCRIBE_CONFIGS),
    (v::DESCRIBE_CLUSTER, &DESCRIBE_CLUSTER),
    (v::DESCRIBE_TOPIC_PARTITIONS, &DESCRIBE_TOPIC_PARTITIONS),
];

const PRODUCE: Struct = of(&[
    // transactional id, acks, timeout, topics
    all(TEXT).null_since(3),
    all(INT16),
    all(INT32),
    all(Kind::Array(&Kind::Struct(&PRODUCE_TOPIC))),
]);
const PRODUCE_TOPIC: Struct = of(&[
    // name, topic id, partitions
    within(TEXT, 0, 12),
    since(UUID, 13),
    all(Kind::Array(&Kind::Struct(&PRODUCE_PARTITION))),
]);
const PRODUCE_PARTITION: Struct = of(&[
    // index, records
    all(INT32),
    all(Kind::Bytes).null_since(0),
]);

const FETCH: Struct = Struct {
    fields: &[
        // replica id, max wait, min bytes, max bytes, isolation level
        within(INT32, 0, 14),
        all(INT32),
        all(INT32),
        all(INT32),
        all(INT8),
        // session id, session epoch, topics, forgotten topics, rack
        since(INT32, 7),
        since(INT32, 7),
        all(Kind::Array(&Kind::Struct(&FETCH_TOPIC))),
        since(Kind::Array(&Kind::Struct(&FORGOTTEN_TOPIC)), 7),
        since(TEXT, 11),
    ],
    tags: &[
        // cluster id
        (0, since(TEXT, 12).null_since(12)),
        (1, since(Kind::Struct(&REPLICA_STATE), 15)),
    ],
};
const FETCH_TOPIC: Struct = of(&[
    // name, topic id, partitions
    within(TEXT, 0, 12),
    since(UUID, 13),
    all(Kind::Array(&Kind::Struct(&FETCH_PARTITION))),
]);
const FETCH_PARTITION: Struct = Struct {
    fields: &[
        // index, current leader epoch, fetch offset, last fetched epoch, log start offset, max bytes
        all(INT32),
        since(INT32, 9),
        all(INT64),
        since(INT32, 12),
        since(INT64, 5),
        all(INT32),
    ],
    tags: &[
        // replica directory id, high watermark
        (0, since(UUID, 17)),
        (1, since(INT64, 18)),
    ],
};
const FORGOTTEN_TOPIC: Struct = of(&[
    // name, topic id, partitions
    within(TEXT, 0, 12),
    since(UUID, 13),
    all(Kind::Array(&INT32)),
]);
const REPLICA_STATE: Struct = of(&[
    // id, epoch
    all(INT32),
    all(INT64),
]);

const LIST_OFFSETS: Struct = of(&[
    // replica id, isolation level, topics, timeout
    all(INT32),
    since(INT8, 2),
    all(Kind::Array(&Kind::Struct(&LIST_OFFSETS_TOPIC))),
    since(INT32, 10),
]);
const LIST_OFFSETS_TOPIC: Struct = of(&[
    // name, partitions
    all(TEXT),
    all(Kind::Array(&Kind::Struct(&LIST_OFFSETS_PARTITION))),
]);
const LIST_OFFSETS_PARTITION: Struct = of(&[
    // index, current leader epoch, timestamp
    all(INT32),
    since(INT32, 4),
    all(INT64),
]);

const METADATA: Struct = of(&[
    // topics, allow auto creation, cluster and topic authorized operations
    all(Kind::Array(&Kind::Struct(&METADATA_TOPIC))).null_since(1),
    since(BOOL, 4),
    within(BOOL, 8, 10),
    since(BOOL, 8),
]);
const METADATA_TOPIC: Struct = of(&[
    // topic id, name
    since(UUID, 10),
    all(TEXT).null_since(10),
]);

const API_VERSIONS: Struct = of(&[
    // client software name, version
    since(TEXT, 3),
    since(TEXT, 3),
]);

const CREATE_TOPICS: Struct = of(&[
    // topics, timeout, validate only
    all(Kind::Array(&Kind::Struct(&CREATABLE_TOPIC))),
    all(INT32),
    all(BOOL),
]);
const CREATABLE_TOPIC: Struct = of(&[
    // name, partitions, replication factor, assignments, configs
    all(TEXT),
    all(INT32),
    all(INT16),
    all(Kind::Array(&Kind::Struct(&CREATABLE_ASSIGNMENT))),
    all(Kind::Array(&Kind::Struct(&CREATABLE_CONFIG))),
]);
const CREATABLE_ASSIGNMENT: Struct = of(&[
    // partition, brokers
    all(INT32),
    all(Kind::Array(&INT32)),
]);
const CREATABLE_CONFIG: Struct = of(&[
    // name, value
    all(TEXT),
    all(TEXT).null_since(0),
]);

const DELETE_TOPICS: Struct = of(&[
    // topics or names, timeout
    since(Kind::Array(&Kind::Struct(&DELETE_TOPIC)), 6),
    within(Kind::Array(&TEXT), 0, 5),
    all(INT32),
]);
const DELETE_TOPIC: Struct = of(&[
    // name, topic id
    all(TEXT).null_since(6),
    all(UUID),
]);

const INIT_PRODUCER_ID: Struct = of(&[
    // transactional id, timeout, producer id, producer epoch
    all(TEXT).null_since(0),
    all(INT32),
    since(INT64, 3),
    since(INT16, 3),
]);

const OFFSET_FOR_LEADER_EPOCH: Struct = of(&[
    // replica id, topics
    since(INT32, 3),
    all(Kind::Array(&Kind::Struct(&EPOCH_TOPIC))),
]);
const EPOCH_TOPIC: Struct = of(&[
    // name, partitions
    all(TEXT),
    all(Kind::Array(&Kind::Struct(&EPOCH_PARTITION))),
]);
const EPOCH_PARTITION: Struct = of(&[
    // index, current leader epoch, leader epoch
    all(INT32),
    all(INT32),
    all(INT32),
]);

const DESCRIBE_CONFIGS: Struct = of(&[
    // resources, include synonyms, include documentation
    all(Kind::Array(&Kind::Struct(&CONFIG_RESOURCE))),
    since(BOOL, 1),
    since(BOOL, 3),
]);
const CONFIG_RESOURCE: Struct = of(&[
    // type, name, keys
    all(INT8),
    all(TEXT),
    all(Kind::Array(&TEXT)).null_since(0),
]);

const OFFSET_COMMIT: Struct = of(&[
    // group, generation, member, instance, retention, topics
    all(TEXT),
    all(INT32),
    all(TEXT),
    since(TEXT, 7).null_since(7),
    within(INT64, 2, 4),
    all(Kind::Array(&Kind::Struct(&COMMITTED_TOPIC))),
]);
const COMMITTED_TOPIC: Struct = of(&[
    // name, partitions
    all(TEXT),
    all(Kind::Array(&Kind::Struct(&COMMITTED_PARTITION))),
]);
const COMMITTED_PARTITION: Struct = of(&[
    // index, offset, leader epoch, note
    all(INT32),
    all(INT64),
    since(INT32, 6),
    all(TEXT).null_since(0),
]);

const OFFSET_FETCH: Struct = of(&[
    // group, topics, groups, stable offsets only
    within(TEXT, 0, 7),
    within(Kind::Array(&Kind::Struct(&TOPIC_AND_INDEXES)), 0, 7).null_since(2),
    since(Kind::Array(&Kind::Struct(&OFFSET_FETCH_GROUP)), 8),
    since(BOOL, 7),
]);
const OFFSET_FETCH_GROUP: Struct = of(&[
    // group, member, member epoch, topics
    all(TEXT),
    since(TEXT, 9).null_since(9),
    since(INT32, 9),
    all(Kind::Array(&Kind::Struct(&TOPIC_AND_INDEXES))).null_since(8),
]);
const TOPIC_AND_INDEXES: Struct = of(&[
    // name, partitions
    all(TEXT),
    all(Kind::Array(&INT32)),
]);

const FIND_COORDINATOR: Struct = of(&[
    // key, type, keys
    within(TEXT, 0, 3),
    since(INT8, 1),
    since(Kind::Array(&TEXT), 4),
]);

const JOIN_GROUP: Struct = of(&[
    // group, session timeout, rebalance timeout, member, instance, protocol type, protocols, reason
    all(TEXT),
    all(INT32),
    since(INT32, 1),
    all(TEXT),
    since(TEXT, 5).null_since(5),
    all(TEXT),
    all(Kind::Array(&Kind::Struct(&NAME_AND_BYTES))),
    since(TEXT, 8).null_since(8),
]);
const NAME_AND_BYTES: Struct = of(&[
    // protocol or member, metadata or assignment
    all(TEXT),
    all(Kind::Bytes),
]);

const HEARTBEAT: Struct = of(&[
    // group, generation, member, instance
    all(TEXT),
    all(INT32),
    all(TEXT),
    since(TEXT, 3).null_since(3),
]);

const LEAVE_GROUP: Struct = of(&[
    // group, member, members
    all(TEXT),
    within(TEXT, 0, 2),
    since(Kind::Array(&Kind::Struct(&LEAVING_MEMBER)), 3),
]);
const LEAVING_MEMBER: Struct = of(&[
    // member, instance, reason
    all(TEXT),
    all(TEXT).null_since(3),
    since(TEXT, 5).null_since(5),
]);

const SYNC_GROUP: Struct = of(&[
    // group, generation, member, instance, protocol type, protocol, assignments
    all(TEXT),
    all(INT32),
    all(TEXT),
    since(TEXT, 3).null_since(3),
    since(TEXT, 5).null_since(5),
    since(TEXT, 5).null_since(5),
    all(Kind::Array(&Kind::Struct(&NAME_AND_BYTES))),
]);

const DESCRIBE_GROUPS: Struct = of(&[
    // groups, authorized operations
    all(Kind::Array(&TEXT)),
    since(BOOL, 3),
]);

const LIST_GROUPS: Struct = of(&[
    // states, types
    since(Kind::Array(&TEXT), 4),
    since(Kind::Array(&TEXT), 5),
]);

const DELETE_GROUPS: Struct = of(&[all(Kind::Array(&TEXT))]);

const OFFSET_DELETE: Struct = of(&[
    // group, topics
    all(TEXT),
    all(Kind::Array(&Kind::Struct(&DELETED_TOPIC))),
]);
const DELETED_TOPIC: Struct = of(&[
    // name, partitions
    all(TEXT),
    all(Kind::Array(&Kind::Struct(&DELETED_PARTITION))),
]);
const DELETED_PARTITION: Struct = of(&[all(INT32)]);

const DESCRIBE_CLUSTER: Struct = of(&[
    // authorized operations, endpoint type, fenced brokers
    all(BOOL),
    since(INT8, 1),
    since(BOOL, 2),
]);

const DESCRIBE_TOPIC_PARTITIONS: Struct = of(&[
    // topics, partition limit, cursor
    all(Kind::Array(&Kind::Struct(&DESCRIBED_TOPIC))),
    all(INT32),
    all(Kind::Struct(&CURSOR)).null_since(0),
]);
const DESCRIBED_TOPIC: Struct = of(&[all(TEXT)]);
const CURSOR: Struct = of(&[
    // topic, partition
    all(TEXT),
    all(INT32),
]);
