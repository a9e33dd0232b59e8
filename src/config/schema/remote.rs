//! Tiered storage.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{NoEffect, RefusedIfSet};
use super::Valid::{Any, AtLeast, BetweenReal, NonEmpty};

keys! {
    /// How long a fetch waits for tiered data.
    "remote.fetch.max.wait.ms": Int, Some("500"), AtLeast(1), ClusterWide, NoEffect;
    /// How long a search for an offset in tiered data may take.
    "remote.list.offsets.request.timeout.ms": Long, Some("30000"), AtLeast(1), ClusterWide, NoEffect;
    /// Disk space for indexes of tiered segments.
    "remote.log.index.file.cache.total.size.bytes": Long, Some("1073741824"), AtLeast(1), ClusterWide, NoEffect;
    /// Threads that copy segments to the tier.
    "remote.log.manager.copier.thread.pool.size": Int, Some("10"), AtLeast(1), ClusterWide, NoEffect;
    /// Bytes a second copied to the tier.
    "remote.log.manager.copy.max.bytes.per.second": Long, Some("9223372036854775807"), AtLeast(1), ClusterWide, NoEffect;
    /// Samples kept for the bound on copies to the tier.
    "remote.log.manager.copy.quota.window.num": Int, Some("11"), AtLeast(1), ReadOnly, NoEffect;
    /// Length of a sample for the bound on copies to the tier.
    "remote.log.manager.copy.quota.window.size.seconds": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Threads that remove expired tiered segments.
    "remote.log.manager.expiration.thread.pool.size": Int, Some("10"), AtLeast(1), ClusterWide, NoEffect;
    /// Bytes a second read from the tier.
    "remote.log.manager.fetch.max.bytes.per.second": Long, Some("9223372036854775807"), AtLeast(1), ClusterWide, NoEffect;
    /// Samples kept for the bound on reads from the tier.
    "remote.log.manager.fetch.quota.window.num": Int, Some("11"), AtLeast(1), ReadOnly, NoEffect;
    /// Length of a sample for the bound on reads from the tier.
    "remote.log.manager.fetch.quota.window.size.seconds": Int, Some("1"), AtLeast(1), ReadOnly, NoEffect;
    /// Threads that do a follower's work on tiered logs.
    "remote.log.manager.follower.thread.pool.size": Int, Some("2"), AtLeast(1), ReadOnly, NoEffect;
    /// How often tiered logs are worked on.
    "remote.log.manager.task.interval.ms": Long, Some("30000"), AtLeast(1), ReadOnly, NoEffect;
    /// Longest rest after a failed task on the tier.
    "remote.log.manager.task.retry.backoff.max.ms": Long, Some("30000"), AtLeast(1), ReadOnly, NoEffect, internal;
    /// First rest after a failed task on the tier.
    "remote.log.manager.task.retry.backoff.ms": Long, Some("500"), AtLeast(1), ReadOnly, NoEffect, internal;
    /// Random share of the rest after a failed task on the tier.
    "remote.log.manager.task.retry.jitter": Double, Some("0.2"), BetweenReal(0.0, 0.5), ReadOnly, NoEffect, internal;
    /// Threads that work on tiered logs.
    "remote.log.manager.thread.pool.size": Int, Some("2"), AtLeast(1), ReadOnly, NoEffect;
    /// Bytes that a storage plug-in may add to a segment's metadata.
    "remote.log.metadata.custom.metadata.max.bytes": Int, Some("128"), AtLeast(0), ReadOnly, NoEffect;
    /// Class that keeps the metadata of tiered segments.
    "remote.log.metadata.manager.class.name": String, Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"), NonEmpty, ReadOnly, NoEffect;
    /// Where that class is found.
    "remote.log.metadata.manager.class.path": String, None, Any, ReadOnly, NoEffect;
    /// Prefix of that class's own configs.
    "remote.log.metadata.manager.impl.prefix": String, Some("rlmm.config."), NonEmpty, ReadOnly, NoEffect;
    /// Listener that the class uses to reach the brokers.
    "remote.log.metadata.manager.listener.name": String, None, NonEmpty, ReadOnly, NoEffect;
    /// Reads from the tier that may wait.
    "remote.log.reader.max.pending.tasks": Int, Some("100"), AtLeast(1), ReadOnly, NoEffect;
    /// Threads that read from the tier.
    "remote.log.reader.threads": Int, Some("10"), AtLeast(1), ClusterWide, NoEffect;
    /// Class that stores segments in the tier.
    "remote.log.storage.manager.class.name": String, None, NonEmpty, ReadOnly, NoEffect;
    /// Where that class is found.
    "remote.log.storage.manager.class.path": String, None, Any, ReadOnly, NoEffect;
    /// Prefix of that class's own configs.
    "remote.log.storage.manager.impl.prefix": String, Some("rsm.config."), NonEmpty, ReadOnly, NoEffect;
    /// Switch of tiered storage.
    "remote.log.storage.system.enable": Boolean, Some("false"), Any, ReadOnly, RefusedIfSet("tiered storage is not served, so segments that are meant to be kept there would not be");
}
