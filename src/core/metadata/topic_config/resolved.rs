//! A topic's configs as values: what the log and the partition work with.
//!
//! Source: Kafka's `LogConfig`.

use super::table::{TopicConfigDef, topic_config_def};
use super::value::{self, ConfigValue};
use super::{BrokerConfigs, Overrides};
use crate::log::{Durability, LogConfig};
use crate::types::{ConfigSource, Millis};
use crate::wire::batch::TimestampType;

/// Codec in which a topic's batches are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// As sent.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// With this level, -1 for the codec's own choice.
    Gzip(i32),
    /// Has no levels.
    Snappy,
    /// With this level.
    Lz4(i32),
    /// With this level.
    Zstd(i32),
}

/// All values in force for a topic; names follow the configs', durations are [`Millis`], `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a config of its own, as Kafka has it"
)]
pub struct TopicConfigs {
    /// `cleanup.policy` holds `compact`.
    pub cleanup_compact: bool,
    /// `cleanup.policy` holds `delete`.
    pub cleanup_delete: bool,
    /// `compression.type` with its level.
    pub compression: Compression,
    /// `delete.retention.ms`
    pub delete_retention: Millis,
    /// `file.delete.delay.ms`
    pub file_delete_delay: Millis,
    /// `flush.messages`, in records; `u64::MAX` is never.
    pub flush_records: u64,
    /// `flush.ms`; `u64::MAX` is never.
    pub flush_interval: Millis,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag: Millis,
    /// `max.message.bytes`: a batch with its headers.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max: Millis,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max: Millis,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag: Millis,
    /// `min.insync.replicas`
    pub min_insync_replicas: u32,
    /// `onrush.durability`
    pub durability: Durability,
    /// `preallocate`
    pub preallocate: bool,
    /// `retention.bytes`
    pub retention_bytes: Option<u64>,
    /// `retention.ms`
    pub retention_time: Option<Millis>,
    /// `segment.bytes`, or `internal.segment.bytes` where set.
    pub segment_bytes: u32,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `segment.jitter.ms`
    pub segment_jitter: Millis,
    /// `segment.ms`
    pub segment_time: Millis,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election: bool,
}

impl TopicConfigs {
    /// The values in force with a topic's overrides on this broker.
    #[must_use]
    pub fn resolve(overrides: &Overrides, broker: &BrokerConfigs<'_>) -> Self {
        let read = Reader { overrides, broker };
        let cleanup = read.list("cleanup.policy");
        Self {
            cleanup_compact: cleanup.iter().any(|policy| policy == "compact"),
            cleanup_delete: cleanup.iter().any(|policy| policy == "delete"),
            compression: read.compression(),
            delete_retention: read.millis("delete.retention.ms"),
            file_delete_delay: read.millis("file.delete.delay.ms"),
            flush_records: read.or_never("flush.messages"),
            flush_interval: Millis(read.or_never("flush.ms")),
            index_interval_bytes: read.unsigned("index.interval.bytes"),
            max_compaction_lag: read.millis("max.compaction.lag.ms"),
            max_message_bytes: read.unsigned("max.message.bytes"),
            timestamp_after_max: read.millis("message.timestamp.after.max.ms"),
            timestamp_before_max: read.millis("message.timestamp.before.max.ms"),
            timestamp_type: if read.text("message.timestamp.type") == "LogAppendTime" {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            min_cleanable_dirty_ratio: read.ratio("min.cleanable.dirty.ratio"),
            min_compaction_lag: read.millis("min.compaction.lag.ms"),
            min_insync_replicas: read.unsigned("min.insync.replicas"),
            durability: if read.text("onrush.durability") == "written" {
                Durability::Written
            } else {
                Durability::Flushed
            },
            preallocate: read.bool("preallocate"),
            retention_bytes: u64::try_from(read.number("retention.bytes")).ok(),
            retention_time: u64::try_from(read.number("retention.ms")).ok().map(Millis),
            segment_bytes: match read.unsigned("internal.segment.bytes") {
                0 => read.unsigned("segment.bytes"),
                bytes => bytes,
            },
            segment_index_bytes: read.unsigned("segment.index.bytes"),
            segment_jitter: read.millis("segment.jitter.ms"),
            segment_time: read.millis("segment.ms"),
            unclean_leader_election: read.bool("unclean.leader.election.enable"),
        }
    }
}

impl TopicConfigs {
    /// The part that a partition's log works with. `segment_jitter` is drawn by the caller, below [`Self::segment_jitter`].
    #[must_use]
    pub fn log_config(&self, segment_jitter: Millis) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes.into(),
            segment_ms: self.segment_time,
            segment_jitter_ms: segment_jitter,
            index_interval_bytes: self.index_interval_bytes.into(),
            index_bytes_max: self.segment_index_bytes.into(),
            flush_messages: self.flush_records,
            flush_ms: self.flush_interval,
            durability: self.durability,
            file_delete_delay_ms: self.file_delete_delay,
            compacted: self.cleanup_compact,
        }
    }
}

/// Reads typed values by name; every name and type asked for stands in the table (a test resolves them all).
struct Reader<'a> {
    overrides: &'a Overrides,
    broker: &'a BrokerConfigs<'a>,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Option<ConfigValue> {
        let def = topic_config_def(name).expect("a name of the table");
        parsed(def, self.overrides, self.broker).map(|(value, _)| value)
    }

    /// 0 for null.
    fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(ConfigValue::Number(number)) => number,
            _ => 0,
        }
    }

    fn millis(&self, name: &str) -> Millis {
        Millis(u64::try_from(self.number(name)).unwrap_or(0))
    }

    /// Java's largest number stands for never.
    fn or_never(&self, name: &str) -> u64 {
        match self.number(name) {
            i64::MAX => u64::MAX,
            number => u64::try_from(number).unwrap_or(0),
        }
    }

    fn unsigned(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(0)
    }

    fn bool(&self, name: &str) -> bool {
        matches!(self.value(name), Some(ConfigValue::Bool(true)))
    }

    fn ratio(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(ConfigValue::Double(ratio)) => ratio,
            _ => 0.0,
        }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Some(ConfigValue::Text(text)) => text,
            _ => String::new(),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(ConfigValue::List(list)) => list,
            _ => Vec::new(),
        }
    }

    fn compression(&self) -> Compression {
        let level = |name: &str| i32::try_from(self.number(name)).unwrap_or(0);
        match self.text("compression.type").as_str() {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip(level("compression.gzip.level")),
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4(level("compression.lz4.level")),
            "zstd" => Compression::Zstd(level("compression.zstd.level")),
            _ => Compression::Producer,
        }
    }
}

/// The strongest value that parses, and its layer; `None` is null.
pub(super) fn parsed(
    def: &TopicConfigDef,
    overrides: &Overrides,
    broker: &BrokerConfigs<'_>,
) -> Option<(ConfigValue, ConfigSource)> {
    let parse = |text: &str| value::parse(def.name, text, def.kind, def.check).ok();
    let own = overrides.get(def.name).and_then(|text| parse(text));
    if let Some(own) = own {
        return Some((own, ConfigSource::Topic));
    }
    for layer in broker.layers(def.synonyms) {
        if let Some(value) = in_topic_units(&layer.name, &layer.value).and_then(|t| parse(&t)) {
            return Some((value, layer.source));
        }
    }
    let default = def.default.and_then(parse)?;
    Some((default, ConfigSource::Default))
}

/// A broker key's value in the unit of the topic config: hours and minutes become milliseconds.
fn in_topic_units(broker_key: &str, text: &str) -> Option<String> {
    let unit_ms: i64 = match broker_key.rsplit('.').next() {
        Some("hours") => 3_600_000,
        Some("minutes") => 60_000,
        _ if broker_key == "log.retention.ms" => 1,
        _ => return Some(text.to_owned()),
    };
    let number: i64 = text.trim().parse().ok()?;
    // Kafka takes any negative retention as unlimited, in whatever unit.
    Some(number.saturating_mul(unit_ms).max(-1).to_string())
}
