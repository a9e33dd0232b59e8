//! Metadata's rules, each through every version it speaks of.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;

use super::*;
use crate::api::testing::{Fixture, through_wire};
use crate::types::{
    BrokerConfigEntry, BrokerConfigView, ConfigDef, ConfigDynamic, ConfigKind, ConfigSource,
};

static AUTO_CREATE: ConfigDef = ConfigDef {
    name: "auto.create.topics.enable",
    kind: ConfigKind::Boolean,
    default: Some("true"),
    dynamic: ConfigDynamic::ReadOnly,
    internal: false,
    doc: "",
};

fn named(names: &[&str]) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn with_id(name: Option<&str>, id: TopicId) -> MetadataRequest {
    let topic = MetadataRequestTopic::default()
        .with_name(name.map(topic_name))
        .with_topic_id(uuid(id));
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

fn ask(fixture: &Fixture, version: i16, request: &MetadataRequest) -> MetadataResponse {
    through_wire(version, request, |request| {
        handle(&fixture.context(), version, &request).response
    })
}

fn names(response: &MetadataResponse) -> Vec<String> {
    let topics = response.topics.iter();
    topics
        .map(|t| {
            t.name
                .as_ref()
                .map_or(String::new(), |name| name.to_string())
        })
        .collect()
}

fn errors(response: &MetadataResponse) -> Vec<i16> {
    response.topics.iter().map(|t| t.error_code).collect()
}

#[test]
fn rule_5_1_all_and_none() {
    let fixture = Fixture::new();
    let none = MetadataRequest::default().with_topics(Some(Vec::new()));
    let all = MetadataRequest::default().with_topics(None);
    for version in 0..=13 {
        let everything = ["__consumer_offsets", "alpha"];
        let got = ask(&fixture, version, &none);
        if version == 0 {
            assert_eq!(names(&got), everything);
        } else {
            assert_eq!(names(&got), [""; 0]);
            assert_eq!(names(&ask(&fixture, version, &all)), everything);
        }
    }
}

#[test]
fn rule_5_7_every_version_describes_a_topic() {
    let fixture = Fixture::new();
    for version in 0..=13 {
        let got = ask(&fixture, version, &named(&["alpha", "alpha"]));
        assert_eq!(names(&got), ["alpha"], "asked twice, told once");
        assert_eq!(got.brokers.len(), 1, "a fenced broker is not told");
        assert_eq!(got.brokers[0].port, 9092);
        let topic = &got.topics[0];
        assert_eq!(topic.error_code, 0);
        let [first, second] = &topic.partitions[..] else {
            panic!("two partitions")
        };
        // Broker 2 is fenced: version 0 leaves it out and says so.
        assert_eq!(first.error_code, if version == 0 { 9 } else { 0 });
        assert_eq!(first.leader_id, BrokerId(1));
        let replicas: Vec<i32> = first.replica_nodes.iter().map(|b| b.0).collect();
        assert_eq!(replicas, if version == 0 { vec![1] } else { vec![1, 2] });
        assert_eq!((second.error_code, second.leader_id), (5, BrokerId(-1)));
        if version >= 1 {
            assert_eq!(got.controller_id, BrokerId(1));
            assert_eq!(got.brokers[0].rack.as_deref(), Some("r1"));
        }
        if version >= 2 {
            assert_eq!(got.cluster_id.as_deref(), Some(Fixture::CLUSTER_ID));
        }
        if version >= 5 {
            assert_eq!(first.offline_replicas, [BrokerId(2)]);
        }
        if version >= 7 {
            assert_eq!(first.leader_epoch, 5);
        }
        assert_eq!(topic.topic_id.is_nil(), version < 10);
    }
}

#[test]
fn rule_5_3_automatic_creation() {
    let mut fixture = Fixture::new();
    let request = named(&[
        "new",
        "b/d",
        "__transaction_state",
        "__cluster_metadata",
        "alpha",
    ]);
    let plan = handle(&fixture.context(), 13, &request);
    assert_eq!(errors(&plan.response), [3, 17, 3, 3, 0]);
    let created: Vec<_> = plan.create.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(created, ["new"]);
    assert_eq!(
        (plan.create[0].partitions, plan.create[0].replication_factor),
        (-1, -1)
    );

    let forbidden = request.clone().with_allow_auto_topic_creation(false);
    let plan = handle(&fixture.context(), 13, &forbidden);
    assert_eq!(errors(&plan.response), [3, 17, 3, 3, 0]);
    assert!(plan.create.is_empty());

    let entry = BrokerConfigEntry {
        def: &AUTO_CREATE,
        value: Some("false".into()),
        source: ConfigSource::StaticBroker,
    };
    fixture.config = BrokerConfigView::new(vec![entry], [].into());
    assert!(handle(&fixture.context(), 13, &request).create.is_empty());
}

#[test]
fn rule_5_4_ids() {
    let fixture = Fixture::new();
    for version in 12..=13 {
        let got = ask(&fixture, version, &with_id(None, Fixture::ALPHA));
        assert_eq!(names(&got), ["alpha"]);
        let got = ask(&fixture, version, &with_id(None, TopicId([9; 16])));
        assert_eq!(errors(&got), [100]);
        assert_eq!(got.topics[0].name, None);
        // Measured: with a name and an id, the id wins.
        let got = ask(&fixture, version, &with_id(Some("nope"), Fixture::ALPHA));
        assert_eq!(names(&got), ["alpha"]);
    }
}

#[test]
fn rule_5_5_measured_refusals_tell_nothing_else() {
    let fixture = Fixture::new();
    for (version, request, code) in [
        (10, with_id(Some("alpha"), Fixture::ALPHA), 42),
        (11, with_id(None, TopicId::ZERO), 42),
        (12, with_id(None, TopicId::ZERO), -1),
        (13, with_id(None, TopicId::ZERO), -1),
    ] {
        let got = ask(&fixture, version, &request);
        assert_eq!(errors(&got), [code]);
        assert!(got.brokers.is_empty());
        assert_eq!(got.cluster_id, None);
        assert_eq!(got.controller_id, BrokerId(-1));
    }
}

#[test]
fn rule_5_6_a_leader_without_the_listener() {
    let fixture = Fixture::new();
    let mut ctx = fixture.context();
    ctx.listener = "INTERNAL";
    for (version, code) in [(5, 5), (6, 72), (13, 72)] {
        let plan = handle(&ctx, version, &named(&["__consumer_offsets"]));
        let partition = &plan.response.topics[0].partitions[0];
        assert_eq!(
            (partition.error_code, partition.leader_id),
            (code, BrokerId(-1))
        );
        assert!(plan.response.brokers.is_empty());
        assert_eq!(plan.response.controller_id, BrokerId(-1));
    }
}

#[test]
fn rule_5_8_operations() {
    let fixture = Fixture::new();
    for version in 8..=13 {
        let request = named(&["alpha"])
            .with_include_topic_authorized_operations(true)
            .with_include_cluster_authorized_operations(version <= 10);
        let got = ask(&fixture, version, &request);
        assert_eq!(got.topics[0].topic_authorized_operations, 3576);
        let cluster = if version <= 10 { 8096 } else { i32::MIN };
        assert_eq!(got.cluster_authorized_operations, cluster);
        let got = ask(&fixture, version, &named(&["alpha"]));
        assert_eq!(got.topics[0].topic_authorized_operations, i32::MIN);
    }
}

#[test]
fn internal_topics_say_so() {
    let got = ask(&Fixture::new(), 9, &named(&["__consumer_offsets", "alpha"]));
    let internal: Vec<_> = got.topics.iter().map(|t| t.is_internal).collect();
    assert_eq!(internal, [true, false]);
}

#[test]
fn the_topic_of_the_groups_is_created_as_its_coordinator_wants_it() {
    let mut fixture = Fixture::new();
    fixture.image.topics_by_name.clear();
    let wanted = named(&["__consumer_offsets", "__transaction_state"]);
    let plan = handle(&fixture.context(), 12, &wanted);
    assert_eq!(errors(&plan.response), [3, 3]);
    assert_eq!(plan.create.len(), 1);
    let topic = &plan.create[0];
    assert_eq!((topic.partitions, topic.replication_factor), (50, 1));
    let configs: Vec<_> = topic
        .configs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_deref().unwrap_or("")))
        .collect();
    let expected = [
        ("cleanup.policy", "compact"),
        ("compression.type", "producer"),
        ("segment.bytes", "104857600"),
    ];
    assert_eq!(configs, expected);
}
