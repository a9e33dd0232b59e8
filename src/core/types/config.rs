//! Configs as data: what a key is, what it is set to and by whom.
//!
//! Purpose: the edge reads files and knows the whole schema; the core answers DescribeConfigs from what the edge hands over
//! and reads the few values that decide something here.
//! Invariants: 1. An entry's value has the type of its definition (the edge refuses to start otherwise).
//! 2. Lists are comma-separated without blanks, as Kafka prints them.
//! Deliberately absent: parsing of files, dynamic values (they stand in the metadata image).
//! Source: Kafka's `ConfigDef`, `DescribeConfigsResponse.ConfigSource` and `ConfigType`.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The type of a config's value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// 32 bits, signed.
    Int,
    /// 16 bits, signed.
    Short,
    /// 64 bits, signed.
    Long,
    /// A floating point number.
    Double,
    /// Comma-separated.
    List,
    /// A Java class name, kept as text.
    Class,
    /// Text that is never shown.
    Password,
}

impl ConfigKind {
    /// Kafka's number on the wire (DescribeConfigs v3+).
    #[must_use]
    pub fn wire(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// Kafka's name of it, as its messages spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// Whether a broker config may be changed while the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConfigDynamic {
    /// Only by a restart.
    ReadOnly,
    /// For one broker (and listener) at a time.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

/// What a key is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConfigDef {
    /// The key.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigKind,
    /// The value when nobody sets one, as text; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Whether it may change at run time.
    pub dynamic: ConfigDynamic,
    /// Not shown in listings.
    pub internal: bool,
    /// What it means, for people.
    pub doc: &'static str,
}

/// Who set a value. The order is Kafka's precedence, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConfigSource {
    /// The topic's own override.
    Topic,
    /// Set at run time for one broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// The properties file or the command line.
    StaticBroker,
    /// Nobody.
    Default,
}

impl ConfigSource {
    /// Kafka's number on the wire (DescribeConfigs v1+).
    #[must_use]
    pub fn wire(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// A broker config: its definition and its static value.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfigEntry {
    /// What it is.
    pub def: &'static ConfigDef,
    /// Its value as text; `None` is null. Secrets are here in the clear and are never shown.
    pub value: Option<Arc<str>>,
    /// `StaticBroker` if a file or the command line set it, else `Default`.
    pub source: ConfigSource,
}

/// All static configs of this broker.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfigView {
    /// Known keys by name.
    entries: BTreeMap<&'static str, BrokerConfigEntry>,
    /// Keys that nobody knows, as set: Kafka accepts them and shows their names only.
    unknown: BTreeMap<Arc<str>, Arc<str>>,
    /// The values that the core reads itself.
    settings: BrokerSettings,
}

/// The broker configs that decide something in the core. Defaults are Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokerSettings {
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `num.partitions`: of a topic created without a number.
    pub num_partitions: i32,
    /// `default.replication.factor`: of a topic created without one.
    pub default_replication_factor: i16,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `max.request.partition.size.limit`: partitions in one answer to DescribeTopicPartitions.
    pub max_request_partition_size_limit: i32,
    /// `transaction.max.timeout.ms`.
    pub transaction_max_timeout_ms: i32,
    /// About consumer groups.
    pub groups: GroupSettings,
}

/// The broker configs about consumer groups and the topic that keeps them. Times are milliseconds where nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.max.size`.
    pub size_max: i32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: i32,
    /// `offsets.retention.minutes`.
    pub offsets_retention_minutes: i32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_ms: i64,
    /// `offsets.topic.num.partitions`.
    pub topic_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec`: the number of a codec.
    pub topic_codec: i32,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3000,
            session_timeout_ms_min: 6000,
            session_timeout_ms_max: 1_800_000,
            size_max: i32::MAX,
            offset_metadata_bytes_max: 4096,
            offsets_retention_minutes: 10_080,
            offsets_retention_check_ms: 600_000,
            topic_partitions: 50,
            topic_replication_factor: 3,
            topic_segment_bytes: 104_857_600,
            topic_codec: 0,
        }
    }
}

impl GroupSettings {
    fn of(view: &BrokerConfigView) -> Self {
        let kafka = Self::default();
        Self {
            initial_rebalance_delay_ms: view.parsed(
                "group.initial.rebalance.delay.ms",
                kafka.initial_rebalance_delay_ms,
            ),
            session_timeout_ms_min: view
                .parsed("group.min.session.timeout.ms", kafka.session_timeout_ms_min),
            session_timeout_ms_max: view
                .parsed("group.max.session.timeout.ms", kafka.session_timeout_ms_max),
            size_max: view.parsed("group.max.size", kafka.size_max),
            offset_metadata_bytes_max: view
                .parsed("offset.metadata.max.bytes", kafka.offset_metadata_bytes_max),
            offsets_retention_minutes: view
                .parsed("offsets.retention.minutes", kafka.offsets_retention_minutes),
            offsets_retention_check_ms: view.parsed(
                "offsets.retention.check.interval.ms",
                kafka.offsets_retention_check_ms,
            ),
            topic_partitions: view.parsed("offsets.topic.num.partitions", kafka.topic_partitions),
            topic_replication_factor: view.parsed(
                "offsets.topic.replication.factor",
                kafka.topic_replication_factor,
            ),
            topic_segment_bytes: view
                .parsed("offsets.topic.segment.bytes", kafka.topic_segment_bytes),
            topic_codec: view.parsed("offsets.topic.compression.codec", kafka.topic_codec),
        }
    }
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            auto_create_topics_enable: true,
            num_partitions: 1,
            default_replication_factor: 1,
            delete_topic_enable: true,
            max_request_partition_size_limit: 2000,
            transaction_max_timeout_ms: 900_000,
            groups: GroupSettings::default(),
        }
    }
}

impl Default for BrokerConfigView {
    /// Nothing is set: Kafka's defaults.
    fn default() -> Self {
        Self::new(Vec::new(), BTreeMap::new())
    }
}

impl BrokerConfigView {
    /// From checked entries and the keys that the schema does not know.
    #[must_use]
    pub fn new(entries: Vec<BrokerConfigEntry>, unknown: BTreeMap<Arc<str>, Arc<str>>) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().map(|e| (e.def.name, e)).collect();
        let mut view = Self {
            entries,
            unknown,
            settings: BrokerSettings::default(),
        };
        let kafka = view.settings;
        view.settings = BrokerSettings {
            auto_create_topics_enable: view
                .parsed("auto.create.topics.enable", kafka.auto_create_topics_enable),
            num_partitions: view.parsed("num.partitions", kafka.num_partitions),
            default_replication_factor: view.parsed(
                "default.replication.factor",
                kafka.default_replication_factor,
            ),
            delete_topic_enable: view.parsed("delete.topic.enable", kafka.delete_topic_enable),
            max_request_partition_size_limit: view.parsed(
                "max.request.partition.size.limit",
                kafka.max_request_partition_size_limit,
            ),
            transaction_max_timeout_ms: view.parsed(
                "transaction.max.timeout.ms",
                kafka.transaction_max_timeout_ms,
            ),
            groups: GroupSettings::of(&view),
        };
        view
    }

    /// The values that the core reads itself.
    #[must_use]
    pub fn settings(&self) -> &BrokerSettings {
        &self.settings
    }

    /// One key's entry.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&BrokerConfigEntry> {
        self.entries.get(name)
    }

    /// All known keys, sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = &BrokerConfigEntry> {
        self.entries.values()
    }

    /// Keys that are set but unknown, sorted by name.
    pub fn unknown(&self) -> impl Iterator<Item = &Arc<str>> {
        self.unknown.keys()
    }

    /// A typed value. Entries were checked by whoever made them, so that text of another type is our own fault.
    fn parsed<T: std::str::FromStr>(&self, name: &str, absent: T) -> T {
        match self.entries.get(name).and_then(|e| e.value.as_deref()) {
            Some(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("{name} was checked but does not parse: {text}")),
            None => absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NUM_PARTITIONS: ConfigDef = ConfigDef {
        name: "num.partitions",
        kind: ConfigKind::Int,
        default: Some("1"),
        dynamic: ConfigDynamic::ReadOnly,
        internal: false,
        doc: "",
    };

    #[test]
    fn settings_come_from_entries_or_are_kafkas() {
        let view = BrokerConfigView::new(
            vec![BrokerConfigEntry {
                def: &NUM_PARTITIONS,
                value: Some("6".into()),
                source: ConfigSource::StaticBroker,
            }],
            BTreeMap::new(),
        );
        assert_eq!(view.settings().num_partitions, 6);
        assert_eq!(view.settings().max_request_partition_size_limit, 2000);
        assert_eq!(view.get("num.partitions").map(|e| e.source.wire()), Some(4));
    }

    #[test]
    fn wire_numbers_are_kafkas() {
        assert_eq!(ConfigKind::Boolean.wire(), 1);
        assert_eq!(ConfigKind::Password.wire(), 9);
        assert_eq!(ConfigSource::Topic.wire(), 1);
        assert_eq!(ConfigSource::Default.wire(), 5);
    }
}
