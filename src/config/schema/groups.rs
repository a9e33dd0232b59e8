//! Consumer, share and streams groups, and their offsets.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{Honoured, NoEffect};
use super::Valid::{Any, AtLeast, Between, EachOf};

keys! {
    /// Assignment rules that the broker offers to consumer groups.
    "group.consumer.assignors": List, Some("uniform,range"), Any, ReadOnly, NoEffect;
    /// Heartbeat of members of consumer groups.
    "group.consumer.heartbeat.interval.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest heartbeat that a consumer group may set.
    "group.consumer.max.heartbeat.interval.ms": Int, Some("15000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest session that a consumer group may set.
    "group.consumer.max.session.timeout.ms": Int, Some("60000"), AtLeast(1), ReadOnly, NoEffect;
    /// Members that a consumer group may have.
    "group.consumer.max.size": Int, Some("2147483647"), AtLeast(1), ReadOnly, NoEffect;
    /// Whether groups may change between the classic and the consumer protocol.
    "group.consumer.migration.policy": String, Some("bidirectional"), Any, ReadOnly, NoEffect;
    /// Shortest heartbeat that a consumer group may set.
    "group.consumer.min.heartbeat.interval.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// Shortest session that a consumer group may set.
    "group.consumer.min.session.timeout.ms": Int, Some("45000"), AtLeast(1), ReadOnly, NoEffect;
    /// How often subscriptions by pattern are looked at again.
    "group.consumer.regex.refresh.interval.ms": Int, Some("600000"), AtLeast(10_000), ReadOnly, NoEffect, internal;
    /// Silence after which a member of a consumer group is removed.
    "group.consumer.session.timeout.ms": Int, Some("45000"), AtLeast(1), ReadOnly, NoEffect;
    /// How long the group coordinator gathers records before it writes; -1 adapts.
    "group.coordinator.append.linger.ms": Int, Some("-1"), AtLeast(-1), ReadOnly, NoEffect;
    /// Group protocols that the broker speaks.
    "group.coordinator.rebalance.protocols": List, Some("classic,consumer,streams"), EachOf(&["consumer", "classic", "share", "streams"]), ReadOnly, NoEffect;
    /// Threads of the group coordinator.
    "group.coordinator.threads": Int, Some("4"), AtLeast(1), ReadOnly, NoEffect;
    /// How long the first rebalance of a new classic group waits for members.
    "group.initial.rebalance.delay.ms": Int, Some("3000"), Any, ReadOnly, Honoured;
    /// Longest session that a member of a classic group may ask for.
    "group.max.session.timeout.ms": Int, Some("1800000"), Any, ReadOnly, Honoured;
    /// Members that a classic group may have.
    "group.max.size": Int, Some("2147483647"), AtLeast(1), ReadOnly, Honoured;
    /// Shortest session that a member of a classic group may ask for.
    "group.min.session.timeout.ms": Int, Some("6000"), Any, ReadOnly, Honoured;
    /// Assignment rules that the broker offers to share groups.
    "group.share.assignors": List, Some("simple"), Any, ReadOnly, NoEffect;
    /// Deliveries of a record before a share group gives it up.
    "group.share.delivery.count.limit": Int, Some("5"), Between(2, 10), ReadOnly, NoEffect;
    /// Switch of share groups for tests.
    "group.share.enable": Boolean, Some("false"), Any, ReadOnly, NoEffect, internal;
    /// Heartbeat of members of share groups.
    "group.share.heartbeat.interval.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// Rest before the state of a share group is set up again.
    "group.share.initialize.retry.interval.ms": Int, Some("30000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest heartbeat that a share group may set.
    "group.share.max.heartbeat.interval.ms": Int, Some("15000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest lock of a record that a share group may set.
    "group.share.max.record.lock.duration.ms": Int, Some("60000"), Between(30_000, 3_600_000), ReadOnly, NoEffect;
    /// Longest session that a share group may set.
    "group.share.max.session.timeout.ms": Int, Some("60000"), AtLeast(1), ReadOnly, NoEffect;
    /// Share sessions kept.
    "group.share.max.share.sessions": Int, Some("2000"), AtLeast(1), ReadOnly, NoEffect;
    /// Members that a share group may have.
    "group.share.max.size": Int, Some("200"), Between(1, 1000), ReadOnly, NoEffect;
    /// Shortest heartbeat that a share group may set.
    "group.share.min.heartbeat.interval.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// Shortest lock of a record that a share group may set.
    "group.share.min.record.lock.duration.ms": Int, Some("15000"), Between(1000, 30_000), ReadOnly, NoEffect;
    /// Shortest session that a share group may set.
    "group.share.min.session.timeout.ms": Int, Some("45000"), AtLeast(1), ReadOnly, NoEffect;
    /// Records of a partition that a share group may lock.
    "group.share.partition.max.record.locks": Int, Some("2000"), Between(100, 10_000), ReadOnly, NoEffect;
    /// Class that keeps the state of share groups.
    "group.share.persister.class.name": String, Some("org.apache.kafka.server.share.persister.DefaultStatePersister"), Any, ReadOnly, NoEffect, internal;
    /// How long a delivered record is locked in a share group.
    "group.share.record.lock.duration.ms": Int, Some("30000"), Between(1000, 3_600_000), ReadOnly, NoEffect;
    /// Silence after which a member of a share group is removed.
    "group.share.session.timeout.ms": Int, Some("45000"), AtLeast(1), ReadOnly, NoEffect;
    /// Heartbeat of members of streams groups.
    "group.streams.heartbeat.interval.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// How long the first rebalance of a streams group waits for members.
    "group.streams.initial.rebalance.delay.ms": Int, Some("3000"), AtLeast(0), ReadOnly, NoEffect;
    /// Longest heartbeat that a streams group may set.
    "group.streams.max.heartbeat.interval.ms": Int, Some("15000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest session that a streams group may set.
    "group.streams.max.session.timeout.ms": Int, Some("60000"), AtLeast(1), ReadOnly, NoEffect;
    /// Members that a streams group may have.
    "group.streams.max.size": Int, Some("2147483647"), AtLeast(1), ReadOnly, NoEffect;
    /// Most standby replicas that a streams group may set.
    "group.streams.max.standby.replicas": Int, Some("2"), AtLeast(0), ReadOnly, NoEffect;
    /// Shortest heartbeat that a streams group may set.
    "group.streams.min.heartbeat.interval.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// Shortest session that a streams group may set.
    "group.streams.min.session.timeout.ms": Int, Some("45000"), AtLeast(1), ReadOnly, NoEffect;
    /// Standby replicas of each task of a streams group.
    "group.streams.num.standby.replicas": Int, Some("0"), AtLeast(0), ReadOnly, NoEffect;
    /// Silence after which a member of a streams group is removed.
    "group.streams.session.timeout.ms": Int, Some("45000"), AtLeast(1), ReadOnly, NoEffect;
    /// Largest note that a consumer may commit with an offset.
    "offset.metadata.max.bytes": Int, Some("4096"), Any, ReadOnly, Honoured;
    /// How long a commit may wait for its replicas.
    "offsets.commit.timeout.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// Bytes read at a time when committed offsets are loaded.
    "offsets.load.buffer.size": Int, Some("5242880"), AtLeast(1), ReadOnly, NoEffect;
    /// How often is looked for offsets to forget.
    "offsets.retention.check.interval.ms": Long, Some("600000"), AtLeast(1), ReadOnly, Honoured;
    /// How long offsets outlive their group.
    "offsets.retention.minutes": Int, Some("10080"), AtLeast(1), ReadOnly, Honoured;
    /// Codec number of the offsets topic.
    "offsets.topic.compression.codec": Int, Some("0"), Between(0, 4), ReadOnly, Honoured;
    /// Partitions of the offsets topic.
    "offsets.topic.num.partitions": Int, Some("50"), AtLeast(1), ReadOnly, Honoured;
    /// Replicas of the offsets topic.
    "offsets.topic.replication.factor": Short, Some("1"), AtLeast(1), ReadOnly, Honoured;
    /// Segment size of the offsets topic.
    "offsets.topic.segment.bytes": Int, Some("104857600"), AtLeast(1), ReadOnly, Honoured;
}
