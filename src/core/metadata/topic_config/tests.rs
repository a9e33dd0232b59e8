//! What a topic's configs come to, and what is refused.

use super::*;
use crate::log::{Durability, LogConfig};
use crate::metadata::{ConfigResource, Image};
use crate::types::{
    BrokerConfigEntry, BrokerConfigView, ConfigDef, ConfigDynamic, ConfigKind, Millis, NodeId,
};
use crate::wire::batch::TimestampType;

static RETENTION_HOURS: ConfigDef = ConfigDef {
    name: "log.retention.hours",
    kind: ConfigKind::Int,
    default: Some("168"),
    dynamic: ConfigDynamic::ReadOnly,
    internal: false,
    doc: "",
};

fn file(hours: &str) -> BrokerConfigView {
    let entry = BrokerConfigEntry {
        def: &RETENTION_HOURS,
        value: Some(hours.into()),
        source: ConfigSource::StaticBroker,
    };
    BrokerConfigView::new(vec![entry], BTreeMap::new())
}

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|&(k, v)| (k.into(), v.into())).collect()
}

/// Configs as a client sends them.
type Wanted<'a> = &'a [(&'a str, Option<&'a str>)];

fn verdict(pairs: Wanted<'_>) -> Result<(), String> {
    let view = BrokerConfigView::default();
    let configs: Vec<_> = pairs
        .iter()
        .map(|&(k, v)| (k.to_owned(), v.map(str::to_owned)))
        .collect();
    validate(&configs, &BrokerConfigs::of_file(&view))
}

#[test]
fn rule_10_2_bad_configs_are_refused_in_kafkas_words() {
    let cases: [(Wanted<'_>, &str); 6] = [
        (&[("x", Some("1"))], "Unknown topic config name: x"),
        (
            &[("retention.ms", Some("abc"))],
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &[("retention.ms", None), ("a", None)],
            "Null value not supported for topic configs: retention.ms,a",
        ),
        (
            &[("segment.bytes", Some("1048575"))],
            "Invalid value 1048575 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            &[
                ("min.compaction.lag.ms", Some("5")),
                ("max.compaction.lag.ms", Some("4")),
            ],
            "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)",
        ),
        (
            &[("remote.storage.enable", Some("TRUE"))],
            "Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage.",
        ),
    ];
    for (pairs, want) in cases {
        assert_eq!(verdict(pairs), Err(want.to_owned()));
    }
}

#[test]
fn good_configs_pass() {
    assert_eq!(verdict(&[]), Ok(()));
    assert_eq!(verdict(&[("cleanup.policy", Some(""))]), Ok(()));
    assert_eq!(verdict(&[("onrush.durability", Some("written"))]), Ok(()));
    assert_eq!(verdict(&[("internal.segment.bytes", Some("1000"))]), Ok(()));
    // Measured: a key that stands twice is accepted; the last value counts.
    assert_eq!(
        verdict(&[("retention.ms", Some("abc")), ("retention.ms", Some("1"))]),
        Ok(())
    );
}

#[test]
fn defaults_are_kafkas() {
    let view = BrokerConfigView::default();
    let configs = TopicConfigs::resolve(&Overrides::new(), &BrokerConfigs::of_file(&view));
    assert_eq!(configs.segment_bytes, 1 << 30);
    assert_eq!(configs.retention_time, Some(Millis(604_800_000)));
    assert_eq!(configs.retention_bytes, None);
    assert_eq!(configs.compression, Compression::Producer);
    assert_eq!(configs.timestamp_type, TimestampType::CreateTime);
    assert_eq!(configs.timestamp_before_max.0, i64::MAX as u64);
    assert_eq!(configs.durability, Durability::Flushed);
    assert!(configs.cleanup_delete && !configs.cleanup_compact);
    assert_eq!(configs.max_message_bytes, 1_048_588);
    assert_eq!(configs.min_insync_replicas, 1);
}

#[test]
fn rule_10_12_the_strongest_layer_wins_in_the_topics_unit() {
    let view = file("2");
    let mut image = Image::default();
    let resolve = |image: &Image, own: &Overrides| {
        let broker = BrokerConfigs::new(&view, image, NodeId(1));
        TopicConfigs::resolve(own, &broker).retention_time
    };
    let none = Overrides::new();
    assert_eq!(resolve(&image, &none), Some(Millis(7_200_000)));
    image.configs.insert(
        ConfigResource::Broker(None),
        overrides(&[("log.retention.ms", "-7")]),
    );
    assert_eq!(resolve(&image, &none), None);
    let own = overrides(&[("retention.ms", " 9 ")]);
    assert_eq!(resolve(&image, &own), Some(Millis(9)));
    // Written by another program: not a reason to fail.
    let rotten = overrides(&[("retention.ms", "-9")]);
    assert_eq!(resolve(&image, &rotten), None);
}

#[test]
fn typed_values_follow_overrides() {
    let view = BrokerConfigView::default();
    let own = overrides(&[
        ("compression.type", "zstd"),
        ("compression.zstd.level", "-5"),
        ("cleanup.policy", "compact, delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("onrush.durability", "written"),
        ("internal.segment.bytes", "4096"),
        ("min.cleanable.dirty.ratio", "1"),
        ("preallocate", "True"),
    ]);
    let configs = TopicConfigs::resolve(&own, &BrokerConfigs::of_file(&view));
    assert_eq!(configs.compression, Compression::Zstd(-5));
    assert!(configs.cleanup_delete && configs.cleanup_compact);
    assert_eq!(configs.timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(configs.durability, Durability::Written);
    assert_eq!(configs.segment_bytes, 4096);
    assert!((configs.min_cleanable_dirty_ratio - 1.0).abs() < f64::EPSILON);
    assert!(configs.preallocate);
}

#[test]
fn described_configs_name_their_layers() {
    let view = file("2");
    let own = overrides(&[("retention.ms", " 9 ")]);
    let all = describe(&own, &BrokerConfigs::of_file(&view));
    assert_eq!(
        all.len(),
        TOPIC_CONFIGS.len() - 1,
        "internal ones are absent"
    );
    let one = all.iter().find(|c| c.def.name == "retention.ms").unwrap();
    assert_eq!(one.value.as_deref(), Some("9"));
    assert_eq!(one.source, ConfigSource::Topic);
    let layers: Vec<_> = one
        .synonyms
        .iter()
        .map(|l| (&*l.name, &*l.value, l.source.wire()))
        .collect();
    assert_eq!(
        layers,
        [
            ("retention.ms", "9", 1),
            ("log.retention.hours", "2", 4),
            ("log.retention.hours", "168", 5)
        ]
    );
    let listed = effective(&own, &BrokerConfigs::of_file(&view));
    let one = listed.iter().find(|c| &*c.name == "retention.ms").unwrap();
    assert_eq!((one.value.as_deref(), one.source), (Some("9"), 1));
    let other = listed.iter().find(|c| &*c.name == "segment.ms").unwrap();
    assert_eq!(
        (other.value.as_deref(), other.source),
        (Some("604800000"), 5)
    );
}

#[test]
fn a_log_gets_its_part() {
    let view = BrokerConfigView::default();
    let broker = BrokerConfigs::of_file(&view);
    let kafka = TopicConfigs::resolve(&Overrides::new(), &broker);
    assert_eq!(kafka.log_config(Millis(0)), LogConfig::default());
    let own = overrides(&[("flush.messages", "1"), ("segment.jitter.ms", "50")]);
    let configs = TopicConfigs::resolve(&own, &broker);
    assert_eq!(configs.segment_jitter, Millis(50));
    let log = configs.log_config(Millis(7));
    assert_eq!((log.flush_messages, log.segment_jitter_ms), (1, Millis(7)));
}
