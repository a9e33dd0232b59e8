//! Log directories, segments, flushes, retention and cleaning.
//!
//! Names, types, defaults and bounds are those of Kafka 4.2 (its `ConfigDef`s) except where
//! `schema/mod.rs` says otherwise; the descriptions are our own.

use super::ConfigKey;
use super::Status::{Honoured, NoEffect};
use super::Valid::{Any, AtLeast, Between, BetweenOr, BetweenReal, EachOf, OneOf};

keys! {
    /// Level when the broker itself compresses with gzip.
    "compression.gzip.level": Int, Some("-1"), BetweenOr(1, 9, -1), ClusterWide, NoEffect;
    /// Level when the broker itself compresses with lz4.
    "compression.lz4.level": Int, Some("9"), Between(1, 17), ClusterWide, NoEffect;
    /// Codec that stored batches have; producer keeps what the producer chose.
    "compression.type": String, Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, NoEffect;
    /// Level when the broker itself compresses with zstd.
    "compression.zstd.level": Int, Some("3"), Between(-131_072, 22), ClusterWide, NoEffect;
    /// Rest of the cleaner when nothing is to be cleaned.
    "log.cleaner.backoff.ms": Long, Some("15000"), AtLeast(0), ClusterWide, NoEffect;
    /// Memory for the key map of all cleaner threads.
    "log.cleaner.dedupe.buffer.size": Long, Some("134217728"), Any, ClusterWide, NoEffect;
    /// How long a compacted topic keeps its tombstones.
    "log.cleaner.delete.retention.ms": Long, Some("86400000"), AtLeast(0), ClusterWide, NoEffect;
    /// Whether compaction runs.
    "log.cleaner.enable": Boolean, Some("true"), Any, ReadOnly, NoEffect;
    /// How full the cleaner's key map may get.
    "log.cleaner.io.buffer.load.factor": Double, Some("0.9"), Any, ClusterWide, NoEffect;
    /// Read and write buffers of all cleaner threads.
    "log.cleaner.io.buffer.size": Int, Some("524288"), AtLeast(0), ClusterWide, NoEffect;
    /// Bytes a second that cleaning may read and write.
    "log.cleaner.io.max.bytes.per.second": Double, Some("1.7976931348623157E308"), Any, ClusterWide, NoEffect;
    /// Longest time that a record may stay uncompacted.
    "log.cleaner.max.compaction.lag.ms": Long, Some("9223372036854775807"), AtLeast(1), ClusterWide, NoEffect;
    /// Share of uncleaned bytes at which a log is worth cleaning.
    "log.cleaner.min.cleanable.ratio": Double, Some("0.5"), BetweenReal(0.0, 1.0), ClusterWide, NoEffect;
    /// Shortest time that a record stays uncompacted.
    "log.cleaner.min.compaction.lag.ms": Long, Some("0"), AtLeast(0), ClusterWide, NoEffect;
    /// Threads that compact logs.
    "log.cleaner.threads": Int, Some("1"), AtLeast(0), ClusterWide, NoEffect;
    /// What becomes of old segments: delete, compact or both.
    "log.cleanup.policy": List, Some("delete"), EachOf(&["compact", "delete"]), ClusterWide, NoEffect;
    /// The data directory when log.dirs is not set.
    "log.dir": List, Some("data"), Any, ReadOnly, Honoured;
    /// How long the controller may be out of reach after a directory failed before the broker exits.
    "log.dir.failure.timeout.ms": Long, Some("30000"), AtLeast(1), ReadOnly, NoEffect;
    /// The data directories; onrush takes one.
    "log.dirs": List, None, Any, ReadOnly, Honoured;
    /// Records of a partition after which it is flushed. With onrush.durability=flushed every acknowledged record is.
    "log.flush.interval.messages": Long, Some("9223372036854775807"), AtLeast(1), ClusterWide, Honoured;
    /// Age of a record at which it is flushed. With onrush.durability=flushed every acknowledged record is.
    "log.flush.interval.ms": Long, None, Any, ClusterWide, Honoured;
    /// How often recovery points are written down.
    "log.flush.offset.checkpoint.interval.ms": Int, Some("60000"), AtLeast(0), ReadOnly, NoEffect;
    /// How often is looked for logs to flush by age.
    "log.flush.scheduler.interval.ms": Long, Some("9223372036854775807"), Any, ReadOnly, Honoured;
    /// How often log start offsets are written down.
    "log.flush.start.offset.checkpoint.interval.ms": Int, Some("60000"), AtLeast(0), ReadOnly, NoEffect;
    /// Bytes of records between two entries of the offset index.
    "log.index.interval.bytes": Int, Some("4096"), AtLeast(0), ClusterWide, Honoured;
    /// Largest size of an index file; a full index rolls the segment.
    "log.index.size.max.bytes": Int, Some("10485760"), AtLeast(4), ClusterWide, Honoured;
    /// Delay of the first retention pass after the start.
    "log.initial.task.delay.ms": Long, Some("30000"), AtLeast(0), ReadOnly, NoEffect, internal;
    /// Local part of a tiered log in bytes; -2 follows retention.bytes.
    "log.local.retention.bytes": Long, Some("-2"), AtLeast(-2), ClusterWide, NoEffect;
    /// Local part of a tiered log in time; -2 follows retention.ms.
    "log.local.retention.ms": Long, Some("-2"), AtLeast(-2), ClusterWide, NoEffect;
    /// How far ahead of the broker's clock a record's timestamp may lie.
    "log.message.timestamp.after.max.ms": Long, Some("3600000"), AtLeast(0), ClusterWide, Honoured;
    /// How far behind the broker's clock a record's timestamp may lie.
    "log.message.timestamp.before.max.ms": Long, Some("9223372036854775807"), AtLeast(0), ClusterWide, Honoured;
    /// Whether records keep the producer's time or get the broker's.
    "log.message.timestamp.type": String, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, Honoured;
    /// Whether segments get all their space at once; onrush allocates ahead of the writer by itself.
    "log.preallocate": Boolean, Some("false"), Any, ClusterWide, NoEffect;
    /// Bytes that a partition keeps; -1 is no bound.
    "log.retention.bytes": Long, Some("-1"), Any, ClusterWide, NoEffect;
    /// How often is looked for segments to delete.
    "log.retention.check.interval.ms": Long, Some("300000"), AtLeast(1), ReadOnly, NoEffect;
    /// Hours that a partition keeps its records, when neither minutes nor ms are set.
    "log.retention.hours": Int, Some("168"), Any, ReadOnly, NoEffect;
    /// Minutes that a partition keeps its records, when ms is not set.
    "log.retention.minutes": Int, None, Any, ReadOnly, NoEffect;
    /// Milliseconds that a partition keeps its records; -1 is for ever.
    "log.retention.ms": Long, None, Any, ClusterWide, NoEffect;
    /// Age in hours at which a segment is closed, when log.roll.ms is not set.
    "log.roll.hours": Int, Some("168"), AtLeast(1), ReadOnly, Honoured;
    /// Random hours taken off the age of a roll, when log.roll.jitter.ms is not set.
    "log.roll.jitter.hours": Int, Some("0"), AtLeast(0), ReadOnly, Honoured;
    /// Random milliseconds taken off the age of a roll.
    "log.roll.jitter.ms": Long, None, Any, ClusterWide, Honoured;
    /// Age in milliseconds at which a segment is closed.
    "log.roll.ms": Long, None, Any, ClusterWide, Honoured;
    /// Size at which a segment is closed.
    "log.segment.bytes": Int, Some("1073741824"), AtLeast(1_048_576), ClusterWide, Honoured;
    /// How long a deleted segment's files stay on the disk.
    "log.segment.delete.delay.ms": Long, Some("60000"), AtLeast(0), ClusterWide, Honoured;
    /// Largest batch of records that is accepted.
    "message.max.bytes": Int, Some("1048588"), AtLeast(0), ClusterWide, Honoured;
    /// Recovery threads in Kafka; onrush recovers on the owning core.
    "num.recovery.threads.per.data.dir": Int, Some("2"), AtLeast(1), ClusterWide, NoEffect;
}
