//! The topic configs: Kafka's 34 and `onrush.durability`, sorted by name.
//!
//! Source: Kafka's `TopicConfig`, `LogConfig` and `ServerTopicConfigSynonyms`; the sentences are our own.

use super::value::ConfigCheck::{
    self, Any, AtLeast, Between, GzipLevel, ListOf, OneOf, Ratio, ThrottledReplicas,
};
use crate::types::ConfigKind::{self, Boolean, Double, Int, List, Long, String};

/// What a topic config is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicConfigDef {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigKind,
    /// The value when neither the topic nor the broker sets one; `None` is null.
    pub default: Option<&'static str>,
    /// What the value must be beyond its type.
    pub check: ConfigCheck,
    /// Broker keys that give topics without an own value theirs, strongest first; empty for none. Keys that end in
    /// `.hours` and `.minutes` count in these units where the topic config counts milliseconds.
    pub synonyms: &'static [&'static str],
    /// Listed only where it is set.
    pub internal: bool,
    /// What it means, for people.
    pub doc: &'static str,
}

/// All of them, sorted by name.
pub static TOPIC_CONFIGS: &[TopicConfigDef] = &[
    TopicConfigDef {
        name: "cleanup.policy",
        kind: List,
        default: Some("delete"),
        check: ListOf(&["compact", "delete"]),
        synonyms: &["log.cleanup.policy"],
        internal: false,
        doc: "What happens to old segments: `delete` drops them by age or size, `compact` keeps the newest record of each key, both may be combined; an empty list keeps everything.",
    },
    TopicConfigDef {
        name: "compression.gzip.level",
        kind: Int,
        default: Some("-1"),
        check: GzipLevel,
        synonyms: &["compression.gzip.level"],
        internal: false,
        doc: "Effort of gzip when the topic's compression type is gzip; -1 is the codec's own choice.",
    },
    TopicConfigDef {
        name: "compression.lz4.level",
        kind: Int,
        default: Some("9"),
        check: Between(1, 17),
        synonyms: &["compression.lz4.level"],
        internal: false,
        doc: "Effort of lz4 when the topic's compression type is lz4.",
    },
    TopicConfigDef {
        name: "compression.type",
        kind: String,
        default: Some("producer"),
        check: OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        synonyms: &["compression.type"],
        internal: false,
        doc: "Codec in which batches are stored; `producer` keeps them as they were sent.",
    },
    TopicConfigDef {
        name: "compression.zstd.level",
        kind: Int,
        default: Some("3"),
        check: Between(-131_072, 22),
        synonyms: &["compression.zstd.level"],
        internal: false,
        doc: "Effort of zstd when the topic's compression type is zstd.",
    },
    TopicConfigDef {
        name: "delete.retention.ms",
        kind: Long,
        default: Some("86400000"),
        check: AtLeast(0),
        synonyms: &["log.cleaner.delete.retention.ms"],
        internal: false,
        doc: "How long a compacted topic keeps tombstones, so that a reader that started at the beginning still sees the deletion.",
    },
    TopicConfigDef {
        name: "file.delete.delay.ms",
        kind: Long,
        default: Some("60000"),
        check: AtLeast(0),
        synonyms: &["log.segment.delete.delay.ms"],
        internal: false,
        doc: "How long the files of a deleted segment stay on disk.",
    },
    TopicConfigDef {
        name: "flush.messages",
        kind: Long,
        default: Some("9223372036854775807"),
        check: AtLeast(1),
        synonyms: &["log.flush.interval.messages"],
        internal: false,
        doc: "Records after which the log is flushed to stable storage at the latest.",
    },
    TopicConfigDef {
        name: "flush.ms",
        kind: Long,
        default: Some("9223372036854775807"),
        check: AtLeast(0),
        synonyms: &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        internal: false,
        doc: "Age after which an appended record is flushed to stable storage at the latest.",
    },
    TopicConfigDef {
        name: "follower.replication.throttled.replicas",
        kind: List,
        default: Some(""),
        check: ThrottledReplicas,
        synonyms: &[],
        internal: false,
        doc: "Replicas whose follower side counts against the replication quota: pairs of partition and broker, or `*` for all.",
    },
    TopicConfigDef {
        name: "index.interval.bytes",
        kind: Int,
        default: Some("4096"),
        check: AtLeast(0),
        synonyms: &["log.index.interval.bytes"],
        internal: false,
        doc: "Bytes of log between two entries of the offset index.",
    },
    TopicConfigDef {
        name: "internal.segment.bytes",
        kind: Int,
        default: None,
        check: Any,
        synonyms: &[],
        internal: true,
        doc: "Segment size below the lower bound of segment.bytes, for tests.",
    },
    TopicConfigDef {
        name: "leader.replication.throttled.replicas",
        kind: List,
        default: Some(""),
        check: ThrottledReplicas,
        synonyms: &[],
        internal: false,
        doc: "Replicas whose leader side counts against the replication quota: pairs of partition and broker, or `*` for all.",
    },
    TopicConfigDef {
        name: "local.retention.bytes",
        kind: Long,
        default: Some("-2"),
        check: AtLeast(-2),
        synonyms: &["log.local.retention.bytes"],
        internal: false,
        doc: "With tiered storage, bytes of a partition that stay on local disk; -2 follows retention.bytes.",
    },
    TopicConfigDef {
        name: "local.retention.ms",
        kind: Long,
        default: Some("-2"),
        check: AtLeast(-2),
        synonyms: &["log.local.retention.ms"],
        internal: false,
        doc: "With tiered storage, how long a segment stays on local disk; -2 follows retention.ms.",
    },
    TopicConfigDef {
        name: "max.compaction.lag.ms",
        kind: Long,
        default: Some("9223372036854775807"),
        check: AtLeast(1),
        synonyms: &["log.cleaner.max.compaction.lag.ms"],
        internal: false,
        doc: "Longest time a record of a compacted topic may stay out of compaction.",
    },
    TopicConfigDef {
        name: "max.message.bytes",
        kind: Int,
        default: Some("1048588"),
        check: AtLeast(0),
        synonyms: &["message.max.bytes"],
        internal: false,
        doc: "Largest batch, as sent, that the topic accepts.",
    },
    TopicConfigDef {
        name: "message.timestamp.after.max.ms",
        kind: Long,
        default: Some("3600000"),
        check: AtLeast(0),
        synonyms: &["log.message.timestamp.after.max.ms"],
        internal: false,
        doc: "How far a record's timestamp may lie ahead of the broker's clock; more is refused. Without effect for LogAppendTime.",
    },
    TopicConfigDef {
        name: "message.timestamp.before.max.ms",
        kind: Long,
        default: Some("9223372036854775807"),
        check: AtLeast(0),
        synonyms: &["log.message.timestamp.before.max.ms"],
        internal: false,
        doc: "How far a record's timestamp may lie behind the broker's clock; more is refused. Without effect for LogAppendTime.",
    },
    TopicConfigDef {
        name: "message.timestamp.type",
        kind: String,
        default: Some("CreateTime"),
        check: OneOf(&["CreateTime", "LogAppendTime"]),
        synonyms: &["log.message.timestamp.type"],
        internal: false,
        doc: "Whose clock stamps records: the producer's (CreateTime) or the broker's at append (LogAppendTime).",
    },
    TopicConfigDef {
        name: "min.cleanable.dirty.ratio",
        kind: Double,
        default: Some("0.5"),
        check: Ratio,
        synonyms: &["log.cleaner.min.cleanable.ratio"],
        internal: false,
        doc: "Share of not yet compacted bytes in a log above which compaction takes it up.",
    },
    TopicConfigDef {
        name: "min.compaction.lag.ms",
        kind: Long,
        default: Some("0"),
        check: AtLeast(0),
        synonyms: &["log.cleaner.min.compaction.lag.ms"],
        internal: false,
        doc: "Shortest time a record of a compacted topic stays out of compaction.",
    },
    TopicConfigDef {
        name: "min.insync.replicas",
        kind: Int,
        default: Some("1"),
        check: AtLeast(1),
        synonyms: &["min.insync.replicas"],
        internal: false,
        doc: "Replicas that must be in sync for acks=all to succeed, at most the replication factor.",
    },
    TopicConfigDef {
        name: "onrush.durability",
        kind: String,
        default: Some("flushed"),
        check: OneOf(&["flushed", "written"]),
        synonyms: &["onrush.durability"],
        internal: false,
        doc: "What an acknowledgement means: `flushed` is on stable storage, `written` outlives the process but not a power cut.",
    },
    TopicConfigDef {
        name: "preallocate",
        kind: Boolean,
        default: Some("false"),
        check: Any,
        synonyms: &["log.preallocate"],
        internal: false,
        doc: "Whether a new segment's file gets its full size at once.",
    },
    TopicConfigDef {
        name: "remote.log.copy.disable",
        kind: Boolean,
        default: Some("false"),
        check: Any,
        synonyms: &[],
        internal: false,
        doc: "With tiered storage, whether segments are no longer copied to it.",
    },
    TopicConfigDef {
        name: "remote.log.delete.on.disable",
        kind: Boolean,
        default: Some("false"),
        check: Any,
        synonyms: &[],
        internal: false,
        doc: "Whether switching tiered storage off deletes what was copied.",
    },
    TopicConfigDef {
        name: "remote.storage.enable",
        kind: Boolean,
        default: Some("false"),
        check: Any,
        synonyms: &[],
        internal: false,
        doc: "Whether the topic's segments are copied to tiered storage.",
    },
    TopicConfigDef {
        name: "retention.bytes",
        kind: Long,
        default: Some("-1"),
        check: Any,
        synonyms: &["log.retention.bytes"],
        internal: false,
        doc: "Size of a partition above which its oldest segments are deleted; negative is unlimited.",
    },
    TopicConfigDef {
        name: "retention.ms",
        kind: Long,
        default: Some("604800000"),
        check: AtLeast(-1),
        synonyms: &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
        internal: false,
        doc: "Age above which segments are deleted; -1 is unlimited.",
    },
    TopicConfigDef {
        name: "segment.bytes",
        kind: Int,
        default: Some("1073741824"),
        check: AtLeast(1_048_576),
        synonyms: &["log.segment.bytes"],
        internal: false,
        doc: "Size at which a partition starts a new segment.",
    },
    TopicConfigDef {
        name: "segment.index.bytes",
        kind: Int,
        default: Some("10485760"),
        check: AtLeast(4),
        synonyms: &["log.index.size.max.bytes"],
        internal: false,
        doc: "Largest index of a segment; a full index starts a new segment.",
    },
    TopicConfigDef {
        name: "segment.jitter.ms",
        kind: Long,
        default: Some("0"),
        check: AtLeast(0),
        synonyms: &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        internal: false,
        doc: "Upper bound of a random part taken off segment.ms, so that partitions do not start segments all at once.",
    },
    TopicConfigDef {
        name: "segment.ms",
        kind: Long,
        default: Some("604800000"),
        check: AtLeast(1),
        synonyms: &["log.roll.ms", "log.roll.hours"],
        internal: false,
        doc: "Age at which a partition starts a new segment even if it is not full.",
    },
    TopicConfigDef {
        name: "unclean.leader.election.enable",
        kind: Boolean,
        default: Some("false"),
        check: Any,
        synonyms: &["unclean.leader.election.enable"],
        internal: false,
        doc: "Whether a replica that is not in sync may become leader, at the price of lost records.",
    },
];

/// The definition of one name.
#[must_use]
pub fn topic_config_def(name: &str) -> Option<&'static TopicConfigDef> {
    let index = TOPIC_CONFIGS
        .binary_search_by(|def| def.name.cmp(name))
        .ok()?;
    TOPIC_CONFIGS.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::topic_config::value::parse;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        assert!(TOPIC_CONFIGS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(TOPIC_CONFIGS.len(), 34 + 1);
        for def in TOPIC_CONFIGS {
            assert_eq!(topic_config_def(def.name), Some(def));
            if let Some(default) = def.default {
                let value = parse(def.name, default, def.kind, def.check);
                assert_eq!(value.map(|v| v.to_string()), Ok(default.to_owned()));
            }
        }
        assert_eq!(topic_config_def("nonsense"), None);
    }
}
