//! DescribeConfigs' rules.

use super::*;
use crate::api::testing::{Fixture, through_wire, values};
use crate::types::{BrokerConfigView, ConfigDef, NodeId};

static HOURS: ConfigDef = ConfigDef {
    name: "log.retention.hours",
    kind: ConfigKind::Int,
    default: Some("168"),
    dynamic: ConfigDynamic::ReadOnly,
    internal: false,
    doc: "hours",
};
static MS: ConfigDef = ConfigDef {
    name: "log.retention.ms",
    kind: ConfigKind::Long,
    default: None,
    dynamic: ConfigDynamic::ClusterWide,
    internal: false,
    doc: "ms",
};
static SECRET: ConfigDef = ConfigDef {
    name: "ssl.key.password",
    kind: ConfigKind::Password,
    default: None,
    dynamic: ConfigDynamic::PerBroker,
    internal: false,
    doc: "",
};
static HIDDEN: ConfigDef = ConfigDef {
    name: "unstable.api.versions.enable",
    kind: ConfigKind::Boolean,
    default: Some("false"),
    dynamic: ConfigDynamic::ReadOnly,
    internal: true,
    doc: "",
};

fn fixture() -> Fixture {
    let entry = |def, value: Option<&str>, source| BrokerConfigEntry {
        def,
        value: value.map(Into::into),
        source,
    };
    let mut fixture = Fixture::new();
    fixture.config = BrokerConfigView::new(
        vec![
            entry(&HOURS, Some("24"), ConfigSource::StaticBroker),
            entry(&MS, None, ConfigSource::Default),
            entry(&SECRET, Some("hush"), ConfigSource::StaticBroker),
            entry(&HIDDEN, Some("false"), ConfigSource::Default),
        ],
        values(&[("my.plugin.key", "secret too")]),
    );
    fixture
}

fn ask_all(
    fixture: &Fixture,
    version: i16,
    resources: &[(i8, &str)],
    keys: Option<&[&str]>,
) -> DescribeConfigsResponse {
    let resources = resources.iter().map(|&(kind, name)| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()))
    });
    let request = DescribeConfigsRequest::default()
        .with_resources(resources.collect())
        .with_include_synonyms(true)
        .with_include_documentation(version >= 3);
    through_wire(version, &request, |request| {
        handle(&fixture.context(), &request)
    })
}

fn ask(
    fixture: &Fixture,
    version: i16,
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> DescribeConfigsResult {
    ask_all(fixture, version, &[(kind, name)], keys)
        .results
        .remove(0)
}

fn find<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    let mut rows = result.configs.iter();
    rows.find(|row| &*row.name == name).expect(name)
}

fn layers(row: &DescribeConfigsResourceResult) -> Vec<(&str, Option<&str>, i8)> {
    let rows = row.synonyms.iter();
    rows.map(|s| (&*s.name, s.value.as_deref(), s.source))
        .collect()
}

#[test]
fn every_version_describes_a_topic() {
    let mut fixture = fixture();
    fixture.image.configs.insert(
        ConfigResource::Topic("alpha".into()),
        values(&[("segment.bytes", " 2000000")]),
    );
    for version in 1..=4 {
        for keys in [None, Some(&[][..])] {
            let got = ask(&fixture, version, TOPIC, "alpha", keys);
            assert_eq!(
                (got.error_code, got.error_message.as_deref()),
                (0, Some(""))
            );
            assert_eq!(got.configs.len(), topic_config::TOPIC_CONFIGS.len() - 1);
            let own = find(&got, "segment.bytes");
            assert_eq!(
                (own.value.as_deref(), own.config_source),
                (Some("2000000"), 1)
            );
            assert!(!own.read_only && !own.is_sensitive);
            let broker = find(&got, "retention.ms");
            assert_eq!(
                (broker.value.as_deref(), broker.config_source),
                (Some("86400000"), 4)
            );
            assert_eq!(
                layers(broker),
                [
                    ("log.retention.hours", Some("24"), 4),
                    ("log.retention.hours", Some("168"), 5)
                ]
            );
            assert_eq!(find(&got, "preallocate").config_source, 5);
            if version >= 3 {
                assert_eq!(own.config_type, 3);
                assert!(
                    own.documentation
                        .as_deref()
                        .is_some_and(|doc| !doc.is_empty())
                );
            }
        }
    }
}

#[test]
fn keys_choose_and_extras_are_left_out_unless_asked() {
    let fixture = fixture();
    let got = ask(
        &fixture,
        4,
        TOPIC,
        "alpha",
        Some(&["retention.ms", "nonsense"]),
    );
    assert_eq!(got.configs.len(), 1);
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("alpha"))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let got = handle(&fixture.context(), &request);
    let rows = &got.results[0].configs;
    assert!(
        rows.iter()
            .all(|r| r.synonyms.is_empty() && r.documentation.is_none())
    );
}

#[test]
fn rule_10_11_topics_that_are_not_there() {
    let fixture = fixture();
    for (name, code, message) in [
        ("nope", 3, ""),
        (
            "",
            17,
            "Topic name is invalid: the empty string is not allowed",
        ),
    ] {
        let got = ask(&fixture, 4, TOPIC, name, None);
        assert_eq!(
            (got.error_code, got.error_message.as_deref()),
            (code, Some(message))
        );
        assert!(got.configs.is_empty());
    }
}

#[test]
fn rule_10_11_this_broker() {
    let mut fixture = fixture();
    fixture.image.configs.insert(
        ConfigResource::Broker(Some(NodeId(1))),
        values(&[("log.retention.ms", "7")]),
    );
    for version in 1..=4 {
        let got = ask(&fixture, version, BROKER, "1", None);
        assert_eq!(got.error_code, 0);
        let names: Vec<_> = got.configs.iter().map(|row| row.name.to_string()).collect();
        let want = [
            "log.retention.hours",
            "log.retention.ms",
            "ssl.key.password",
            "my.plugin.key",
        ];
        assert_eq!(names, want);
        let hours = find(&got, "log.retention.hours");
        assert_eq!(
            (hours.value.as_deref(), hours.config_source, hours.read_only),
            (Some("24"), 4, true)
        );
        assert_eq!(
            layers(hours),
            [
                ("log.retention.hours", Some("24"), 4),
                ("log.retention.hours", Some("168"), 5)
            ],
            "what is stronger by another name is not shown"
        );
        let ms = find(&got, "log.retention.ms");
        assert_eq!(
            (ms.value.as_deref(), ms.config_source, ms.read_only),
            (Some("7"), 2, false)
        );
        assert_eq!(ms.synonyms.len(), 3);
        for secret in ["ssl.key.password", "my.plugin.key"] {
            let row = find(&got, secret);
            assert_eq!(
                (row.value.as_deref(), row.is_sensitive, row.config_source),
                (None, true, 4)
            );
            assert!(row.synonyms.iter().all(|s| s.value.is_none()));
        }
        if version >= 3 {
            assert_eq!(find(&got, "my.plugin.key").config_type, 0);
            assert_eq!(find(&got, "ssl.key.password").config_type, 9);
        }
    }
}

#[test]
fn a_value_that_only_a_synonym_holds_is_null() {
    let got = ask(&fixture(), 4, BROKER, "1", Some(&["log.retention.ms"]));
    let row = &got.configs[0];
    assert_eq!((row.value.as_deref(), row.config_source), (None, 5));
    assert!(row.synonyms.is_empty());
}

#[test]
fn rule_10_11_all_brokers() {
    let mut fixture = fixture();
    assert!(ask(&fixture, 4, BROKER, "", None).configs.is_empty());
    fixture.image.configs.insert(
        ConfigResource::Broker(None),
        values(&[("log.retention.ms", "7"), ("my.unknown", "x")]),
    );
    let got = ask(&fixture, 4, BROKER, "", None);
    let ms = find(&got, "log.retention.ms");
    assert_eq!((ms.value.as_deref(), ms.config_source), (Some("7"), 3));
    assert_eq!(layers(ms), [("log.retention.ms", Some("7"), 3)]);
    let unknown = find(&got, "my.unknown");
    assert_eq!(
        (unknown.value.as_deref(), unknown.is_sensitive),
        (None, true)
    );
}

#[test]
fn rule_10_11_other_resources() {
    let mut fixture = fixture();
    fixture.image.configs.insert(
        ConfigResource::Other(CLIENT_METRICS, "m".into()),
        values(&[("interval.ms", "1000")]),
    );
    let got = ask(&fixture, 4, CLIENT_METRICS, "m", None);
    assert_eq!((got.error_code, got.configs[0].config_source), (0, 7));
    for (kind, name, message) in [
        (
            BROKER,
            "2",
            "Unexpected broker id, expected 1 or empty string, but received 2",
        ),
        (BROKER, "x", "Broker id must be an integer, but it is: x"),
        (BROKER_LOGGER, "1", "Broker loggers are not served"),
        (GROUP, "g", "Group configs are not served"),
        (
            CLIENT_METRICS,
            "",
            "Client metrics subscription name must not be empty",
        ),
        (3, "x", "Unexpected resource type 3"),
    ] {
        let got = ask(&fixture, 4, kind, name, None);
        assert_eq!(
            (got.error_code, got.error_message.as_deref()),
            (42, Some(message))
        );
    }
}

#[test]
fn a_strange_type_refuses_the_whole_request() {
    let got = ask_all(&fixture(), 4, &[(TOPIC, "alpha"), (0, "x")], None);
    let codes: Vec<_> = got.results.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [42, 42]);
}
