//! Transactions and the state of share groups.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{Honoured, NoEffect};
use super::Valid::{Any, AtLeast};

keys! {
    /// How long the broker retries to add a partition to a transaction.
    "add.partitions.to.txn.retry.backoff.max.ms": Int, Some("100"), AtLeast(0), ReadOnly, NoEffect;
    /// Rest between the broker's tries to add a partition to a transaction.
    "add.partitions.to.txn.retry.backoff.ms": Int, Some("20"), AtLeast(1), ReadOnly, NoEffect;
    /// How long the share coordinator gathers records before it writes; -1 adapts.
    "share.coordinator.append.linger.ms": Int, Some("-1"), AtLeast(-1), ReadOnly, NoEffect;
    /// How often a quiet share partition is written down whole.
    "share.coordinator.cold.partition.snapshot.interval.ms": Int, Some("300000"), AtLeast(1), ReadOnly, NoEffect, internal;
    /// Bytes read at a time when the state of share groups is loaded.
    "share.coordinator.load.buffer.size": Int, Some("5242880"), AtLeast(1), ReadOnly, NoEffect;
    /// Updates of a share partition between two whole records.
    "share.coordinator.snapshot.update.records.per.snapshot": Int, Some("500"), AtLeast(0), ReadOnly, NoEffect;
    /// Codec number of the share state topic.
    "share.coordinator.state.topic.compression.codec": Int, Some("0"), Any, ReadOnly, NoEffect;
    /// In-sync replicas that the share state topic asks for.
    "share.coordinator.state.topic.min.isr": Short, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Partitions of the share state topic.
    "share.coordinator.state.topic.num.partitions": Int, Some("50"), AtLeast(1), ReadOnly, NoEffect;
    /// How often old records of the share state topic are removed.
    "share.coordinator.state.topic.prune.interval.ms": Int, Some("300000"), AtLeast(1), ReadOnly, NoEffect, internal;
    /// Replicas of the share state topic.
    "share.coordinator.state.topic.replication.factor": Short, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Segment size of the share state topic.
    "share.coordinator.state.topic.segment.bytes": Int, Some("104857600"), AtLeast(1), ReadOnly, NoEffect;
    /// Threads of the share coordinator.
    "share.coordinator.threads": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// How long a write of the share coordinator may wait for its replicas.
    "share.coordinator.write.timeout.ms": Int, Some("5000"), AtLeast(1), ReadOnly, NoEffect;
    /// When Kafka tidies its list of waiting share fetches.
    "share.fetch.purgatory.purge.interval.requests": Int, Some("1000"), Any, ReadOnly, NoEffect;
    /// How often is looked for transactions to abort.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int, Some("10000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest timeout that a transactional producer may ask for.
    "transaction.max.timeout.ms": Int, Some("900000"), AtLeast(1), ReadOnly, Honoured;
    /// Whether a partition is checked to be part of a transaction before it is written.
    "transaction.partition.verification.enable": Boolean, Some("true"), Any, ClusterWide, NoEffect;
    /// How often is looked for transactional ids to forget.
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int, Some("3600000"), AtLeast(1), ReadOnly, NoEffect;
    /// Bytes read at a time when transactions are loaded.
    "transaction.state.log.load.buffer.size": Int, Some("5242880"), AtLeast(1), ReadOnly, NoEffect;
    /// In-sync replicas that the transaction topic asks for.
    "transaction.state.log.min.isr": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Partitions of the transaction topic.
    "transaction.state.log.num.partitions": Int, Some("50"), AtLeast(1), ReadOnly, NoEffect;
    /// Replicas of the transaction topic.
    "transaction.state.log.replication.factor": Short, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Segment size of the transaction topic.
    "transaction.state.log.segment.bytes": Int, Some("104857600"), AtLeast(1), ReadOnly, NoEffect;
    /// Whether transactions may be prepared and decided by an outside coordinator.
    "transaction.two.phase.commit.enable": Boolean, Some("false"), Any, ReadOnly, NoEffect;
    /// Silence after which a transactional id is forgotten.
    "transactional.id.expiration.ms": Int, Some("604800000"), AtLeast(1), ReadOnly, NoEffect;
}
