use super::*;
use crate::metadata::record::{PartitionRecord, TopicRecord};
use crate::metadata::{NewTopic, Replay, TopicRef};
use crate::types::{
    BrokerConfigEntry, ConfigDef, ConfigDynamic, ConfigKind, ConfigSource, LeaderEpoch, Offset,
    PartitionIndex,
};

static DELETE_ENABLE: ConfigDef = ConfigDef {
    name: "delete.topic.enable",
    kind: ConfigKind::Boolean,
    default: Some("true"),
    dynamic: ConfigDynamic::ReadOnly,
    internal: false,
    doc: "",
};

/// A cluster of one registered broker, node 1, with some topics of one partition.
struct Cluster {
    replay: Replay,
    configs: BrokerConfigView,
    ids: IdSource,
    next: i64,
}

impl Cluster {
    fn with(topics: &[&str]) -> Self {
        let mut cluster = Self {
            replay: Replay::new("c".into()),
            configs: BrokerConfigView::default(),
            ids: IdSource::new(TopicId([3; 16])),
            next: 0,
        };
        let registration = Registration {
            node: NodeId(1),
            incarnation: TopicId([4; 16]),
            endpoints: Vec::new(),
            rack: None,
            directory: TopicId([5; 16]),
        };
        let (register, unfence) = registration.records(Offset(0));
        cluster.apply(vec![register, unfence]);
        for name in topics {
            let reply = cluster.create(&[topic(name)]);
            assert_eq!(reply[0].error, ErrorCode::None, "{reply:?}");
        }
        cluster
    }

    fn apply(&mut self, records: Vec<Record>) {
        for record in records {
            let encoded = Record::decode(&record.encode());
            assert_eq!(encoded, Ok(record.clone()), "survives the disk");
            self.replay.apply(Offset(self.next), record).unwrap();
            self.next += 1;
        }
    }

    fn decide(&mut self, request: &CtlRequest) -> Decision {
        let controller = Controller {
            image: self.replay.image(),
            configs: &self.configs,
            node: NodeId(1),
        };
        controller.handle(request, &mut self.ids)
    }

    fn create(&mut self, topics: &[NewTopic]) -> Vec<NewTopicResult> {
        let decision = self.decide(&CtlRequest::CreateTopics {
            topics: topics.to_vec(),
            validate_only: false,
        });
        self.apply(decision.records);
        match decision.reply {
            CtlReply::CreateTopics(results) => results,
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self, topics: &[TopicRef]) -> Vec<DeletedTopic> {
        let decision = self.decide(&CtlRequest::DeleteTopics {
            topics: topics.to_vec(),
        });
        self.apply(decision.records);
        match decision.reply {
            CtlReply::DeleteTopics(results) => results,
            other => panic!("{other:?}"),
        }
    }

    fn id(&self, name: &str) -> TopicId {
        self.replay.image().topics_by_name[name]
    }
}

fn topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

fn by_name(name: &str) -> TopicRef {
    TopicRef {
        name: Some(name.to_owned()),
        id: TopicId::ZERO,
    }
}

fn by_id(id: TopicId) -> TopicRef {
    TopicRef { name: None, id }
}

/// Asks for one topic on a cluster that has `a.b`; expects this refusal.
fn check_refused(wanted: NewTopic, error: ErrorCode, message: &str) {
    let mut cluster = Cluster::with(&["a.b"]);
    let before = cluster.next;
    let reply = cluster.create(&[wanted]);
    assert_eq!(reply.len(), 1);
    assert_eq!(reply[0].error, error, "{reply:?}");
    assert_eq!(reply[0].message.as_deref(), Some(message));
    assert_eq!(reply[0].topic_id, TopicId::ZERO);
    assert_eq!(cluster.next, before, "nothing is written");
}

#[test]
fn a_topic_is_created_as_kafka_writes_it() {
    let mut cluster = Cluster::with(&[]);
    let wanted = NewTopic {
        partitions: 2,
        replication_factor: 1,
        configs: vec![
            ("retention.ms".to_owned(), Some("1000000".to_owned())),
            ("cleanup.policy".to_owned(), Some("compact".to_owned())),
        ],
        ..topic("plain")
    };
    let decision = cluster.decide(&CtlRequest::CreateTopics {
        topics: vec![wanted],
        validate_only: false,
    });
    let kinds: Vec<u32> = decision
        .records
        .iter()
        .map(|record| record.type_and_version().0)
        .collect();
    assert_eq!(kinds, [2, 4, 4, 3, 3], "topic, configs, partitions");
    let Record::Topic(TopicRecord { id, .. }) = &decision.records[0] else {
        panic!("{decision:?}");
    };
    let expected = PartitionRecord {
        version: 2,
        partition: PartitionIndex(1),
        topic: *id,
        replicas: vec![NodeId(1)],
        isr: vec![NodeId(1)],
        removing: Vec::new(),
        adding: Vec::new(),
        leader: Some(NodeId(1)),
        leader_recovery_state: 0,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        directories: vec![TopicId([5; 16])],
        elr: None,
        last_known_elr: None,
    };
    assert_eq!(decision.records[4], Record::Partition(expected));
    let CtlReply::CreateTopics(results) = &decision.reply else {
        panic!("{decision:?}");
    };
    let result = &results[0];
    assert_eq!(result.topic_id, *id);
    assert_eq!((result.partitions, result.replication_factor), (2, 1));
    let config = |name: &str| {
        let found = result.configs.iter().find(|c| &*c.name == name).unwrap();
        (found.value.clone(), found.source)
    };
    assert_eq!(config("cleanup.policy"), (Some("compact".into()), 1));
    assert_eq!(config("min.insync.replicas").1, 5);
}

#[test]
fn validate_only_answers_the_same_and_writes_nothing() {
    let mut cluster = Cluster::with(&["a"]);
    let decision = cluster.decide(&CtlRequest::CreateTopics {
        topics: vec![topic("b"), topic("a")],
        validate_only: true,
    });
    assert!(decision.records.is_empty());
    let CtlReply::CreateTopics(results) = decision.reply else {
        panic!("an answer of another kind");
    };
    assert_eq!(results[0].error, ErrorCode::None);
    assert_eq!(results[0].partitions, 1);
    assert_eq!(results[1].error, ErrorCode::TopicAlreadyExists);
}

#[test]
fn rule_10_1_names() {
    check_refused(
        topic("a.b"),
        ErrorCode::TopicAlreadyExists,
        "Topic 'a.b' already exists.",
    );
    check_refused(
        topic("a_b"),
        ErrorCode::InvalidTopicException,
        "Topic 'a_b' collides with existing topic: a.b",
    );
    check_refused(
        topic(".."),
        ErrorCode::InvalidTopicException,
        "Topic name is invalid: '..' is not allowed",
    );
    check_refused(
        topic("__cluster_metadata"),
        ErrorCode::InvalidRequest,
        "Creation of internal topic __cluster_metadata is prohibited.",
    );
    // Two new names that collide with each other are both created.
    let mut cluster = Cluster::with(&[]);
    let reply = cluster.create(&[topic("x.y"), topic("x_y")]);
    assert!(
        reply.iter().all(|r| r.error == ErrorCode::None),
        "{reply:?}"
    );
}

#[test]
fn rule_10_2_numbers() {
    let with = |partitions, replication_factor| NewTopic {
        partitions,
        replication_factor,
        ..topic("n")
    };
    for partitions in [0, -2] {
        check_refused(
            with(partitions, 1),
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        );
    }
    for factor in [0, -2] {
        check_refused(
            with(1, factor),
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        );
    }
    check_refused(
        with(1, 3),
        ErrorCode::InvalidReplicationFactor,
        "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
    );
}

#[test]
fn rule_10_2_manual_assignment() {
    let with = |assignments: &[(i32, &[i32])]| NewTopic {
        assignments: assignments
            .iter()
            .map(|(index, ids)| (*index, ids.iter().copied().map(NodeId).collect()))
            .collect(),
        ..topic("m")
    };
    let bad = ErrorCode::InvalidReplicaAssignment;
    let includes = "The manual partition assignment includes";
    check_refused(
        with(&[(0, &[1]), (2, &[1])]),
        bad,
        "partitions should be a consecutive 0-based integer sequence",
    );
    check_refused(
        with(&[(0, &[1]), (0, &[1])]),
        bad,
        "Found multiple manual partition assignments for partition 0",
    );
    check_refused(
        with(&[(0, &[])]),
        bad,
        &format!("{includes} an empty replica list."),
    );
    check_refused(
        with(&[(0, &[7])]),
        bad,
        &format!("{includes} broker 7, but no such broker is registered."),
    );
    check_refused(
        with(&[(0, &[1, 1])]),
        bad,
        &format!("{includes} the broker 1 more than once."),
    );
    check_refused(
        NewTopic {
            partitions: 1,
            ..with(&[(0, &[1])])
        },
        ErrorCode::InvalidRequest,
        "A manual partition assignment was specified, but numPartitions was not set to -1.",
    );
    check_refused(
        NewTopic {
            replication_factor: 1,
            ..with(&[(0, &[1])])
        },
        ErrorCode::InvalidRequest,
        "A manual partition assignment was specified, but replication factor was not set to -1.",
    );
    let mut cluster = Cluster::with(&[]);
    let reply = cluster.create(&[with(&[(1, &[1]), (0, &[1])])]);
    assert_eq!((reply[0].error, reply[0].partitions), (ErrorCode::None, 2));
}

#[test]
fn rule_10_2_configs() {
    let with = |key: &str, value: Option<&str>| NewTopic {
        configs: vec![(key.to_owned(), value.map(str::to_owned))],
        ..topic("c")
    };
    check_refused(
        with("no.such.key", Some("1")),
        ErrorCode::InvalidConfig,
        "Unknown topic config name: no.such.key",
    );
    check_refused(
        with("retention.ms", None),
        ErrorCode::InvalidConfig,
        "Null value not supported for topic configs: retention.ms",
    );
}

#[test]
fn rule_10_2_duplicates_are_answered_once_and_the_others_go_through() {
    let mut cluster = Cluster::with(&[]);
    let reply = cluster.create(&[topic("d"), topic("e"), topic("d")]);
    let told: Vec<_> = reply.iter().map(|r| (r.name.as_str(), r.error)).collect();
    assert_eq!(
        told,
        [("d", ErrorCode::InvalidRequest), ("e", ErrorCode::None)]
    );
    assert_eq!(reply[0].message.as_deref(), Some("Duplicate topic name."));
    assert!(!cluster.replay.image().topics_by_name.contains_key("d"));
}

#[test]
fn rule_10_5_too_many_partitions_in_one_request() {
    let mut cluster = Cluster::with(&[]);
    let with = |name: &str, partitions| NewTopic {
        partitions,
        ..topic(name)
    };
    let reply = cluster.create(&[with("p", 9_999), with("q", 2)]);
    for result in &reply {
        assert_eq!(result.error, ErrorCode::PolicyViolation);
        assert_eq!(
            result.message.as_deref(),
            Some("Excessively large number of partitions per request.")
        );
    }
    let reply = cluster.create(&[with("p", 10_000), with("q", 0)]);
    assert_eq!(reply[0].error, ErrorCode::None);
    assert_eq!(reply[1].error, ErrorCode::InvalidPartitions);
}

#[test]
fn rule_10_6_deletion() {
    let mut cluster = Cluster::with(&["a", "b", "c", "d"]);
    let (b, c) = (cluster.id("b"), cluster.id("c"));
    let mut reply = cluster.delete(&[
        by_name("a"),
        by_id(b),
        by_name("nosuch"),
        by_id(TopicId([9; 16])),
        by_name("c"),
        by_id(c),
        by_name("d"),
        by_name("d"),
        by_id(TopicId::ZERO),
        TopicRef {
            name: Some("a".to_owned()),
            id: b,
        },
    ]);
    reply.sort_by_key(|r| (r.error.code(), r.name.clone(), r.id));
    let told: Vec<_> = reply
        .iter()
        .map(|r| (r.error.code(), r.name.as_deref(), r.message.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (0, Some("a"), None),
            (0, Some("b"), None),
            (
                3,
                Some("nosuch"),
                Some("This server does not host this topic-partition.")
            ),
            (42, None, Some("Neither topic name nor id were specified.")),
            (
                42,
                Some("a"),
                Some("You may not specify both topic name and topic id.")
            ),
            (
                42,
                Some("c"),
                Some("The provided topic name maps to an ID that was already supplied.")
            ),
            (42, Some("d"), Some("Duplicate topic name.")),
            (100, None, Some("This server does not host this topic ID.")),
        ]
    );
    let left: Vec<_> = cluster.replay.image().topics_by_name.keys().collect();
    assert_eq!(left, [&"c".into(), &"d".into()]);
}

#[test]
fn rule_10_6_deletion_may_be_off() {
    let mut cluster = Cluster::with(&["a"]);
    let entry = BrokerConfigEntry {
        def: &DELETE_ENABLE,
        value: Some("false".into()),
        source: ConfigSource::StaticBroker,
    };
    cluster.configs = BrokerConfigView::new(vec![entry], std::collections::BTreeMap::new());
    let reply = cluster.delete(&[by_name("a")]);
    assert_eq!(reply[0].error, ErrorCode::TopicDeletionDisabled);
    assert_eq!(cluster.replay.image().topics.len(), 1);
}

#[test]
fn producer_ids_come_in_blocks_and_end() {
    let mut cluster = Cluster::with(&[]);
    for first in [0, 1000] {
        let decision = cluster.decide(&CtlRequest::ProducerIds);
        let expected = ProducerIdBlock {
            first: ProducerId(first),
            count: 1000,
        };
        assert_eq!(decision.reply, CtlReply::ProducerIds(Ok(expected)));
        cluster.apply(decision.records);
    }
    cluster.apply(vec![Record::ProducerIds(ProducerIds {
        broker: NodeId(1),
        broker_epoch: 0,
        next: ProducerId(i64::MAX - 10),
    })]);
    let decision = cluster.decide(&CtlRequest::ProducerIds);
    let refused = Err(ErrorCode::UnknownServerError);
    assert_eq!(decision.reply, CtlReply::ProducerIds(refused));
    assert!(decision.records.is_empty());
}

#[test]
fn elections_take_back_what_a_stopped_kafka_left() {
    let mut cluster = Cluster::with(&["a", "b"]);
    let (a, b) = (cluster.id("a"), cluster.id("b"));
    let stopped = |topic| {
        let mut change = crate::metadata::record::PartitionChange::of(topic, PartitionIndex(0));
        change.leader = Some(None);
        change.isr = Some(Vec::new());
        change.elr = Some(vec![NodeId(1)]);
        change.last_known_elr = Some(vec![NodeId(1)]);
        Record::PartitionChange(change)
    };
    cluster.apply(vec![stopped(a)]);
    let records = election_records(cluster.replay.image(), NodeId(1));
    assert_eq!(records.len(), 1);
    cluster.apply(records);
    let state = &cluster.replay.image().topics[&a].partitions[0];
    assert_eq!(state.leader, Some(NodeId(1)));
    assert_eq!(state.isr, [NodeId(1)]);
    assert!(state.elr.is_empty());
    assert!(state.last_known_elr.is_empty());
    assert_eq!(state.leader_epoch, LeaderEpoch(2));
    assert!(election_records(cluster.replay.image(), NodeId(1)).is_empty());

    let records = bump_records(cluster.replay.image(), NodeId(1));
    assert_eq!(records.len(), 2);
    cluster.apply(records);
    let epoch = |id| cluster.replay.image().topics[&id].partitions[0].leader_epoch;
    assert_eq!((epoch(a), epoch(b)), (LeaderEpoch(3), LeaderEpoch(1)));
}

#[test]
fn another_node_is_noticed() {
    let cluster = Cluster::with(&["a"]);
    assert_eq!(foreign_node(cluster.replay.image(), NodeId(1)), None);
    assert_eq!(
        foreign_node(cluster.replay.image(), NodeId(2)),
        Some(NodeId(1))
    );
}

#[test]
fn a_new_clusters_records_are_those_of_kafka() {
    let records = bootstrap_records(Vec::new(), "1");
    let golden =
        include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-cluster-metadata.log");
    let (batches, _) = crate::metadata::batch::decode_all(golden).unwrap();
    let expected: Vec<_> = batches[1]
        .entries
        .iter()
        .map(|(_, entry)| entry.clone())
        .collect();
    let ours: Vec<_> = records
        .into_iter()
        .map(crate::metadata::batch::Entry::Data)
        .collect();
    assert_eq!(ours, expected);
}
