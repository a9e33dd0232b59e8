use super::*;
use crate::metadata::record::{
    FeatureLevel, ProducerIds, RemoveTopic, TopicRecord, TransactionNote,
};
use crate::types::ProducerId;

const TOPIC: TopicId = TopicId([7; 16]);

fn topic(name: &str, id: TopicId) -> Record {
    Record::Topic(TopicRecord {
        name: name.into(),
        id,
    })
}

fn partition(id: TopicId, index: i32) -> Record {
    Record::Partition(PartitionRecord {
        version: 2,
        partition: PartitionIndex(index),
        topic: id,
        replicas: vec![NodeId(1)],
        isr: vec![NodeId(1)],
        removing: Vec::new(),
        adding: Vec::new(),
        leader: Some(NodeId(1)),
        leader_recovery_state: 0,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        directories: vec![TopicId([9; 16])],
        elr: None,
        last_known_elr: None,
    })
}

fn config(key: &str, value: Option<&str>) -> Record {
    Record::Config(ConfigChange {
        resource_type: 2,
        resource_name: "a".into(),
        name: key.into(),
        value: value.map(Into::into),
    })
}

/// Replays records at offsets 0, 1, ….
fn replay(records: Vec<Record>) -> Result<Replay, ReplayError> {
    let mut replay = Replay::new("cluster".into());
    for (offset, record) in (0..).zip(records) {
        replay.apply(Offset(offset), record)?;
    }
    Ok(replay)
}

#[test]
fn a_topic_comes_changes_and_goes() {
    let mut change = PartitionChange::of(TOPIC, PartitionIndex(1));
    change.leader = Some(None);
    change.isr = Some(Vec::new());
    change.elr = Some(vec![NodeId(1)]);
    let mut replay = replay(vec![
        topic("a", TOPIC),
        config("retention.ms", Some("5")),
        partition(TOPIC, 0),
        partition(TOPIC, 1),
        Record::PartitionChange(change),
    ])
    .unwrap();
    let (image, delta) = replay.take();
    assert_eq!(image.offset, Offset(4));
    assert_eq!(delta.topics_changed, [TOPIC]);
    assert_eq!(delta.configs_changed, [ConfigResource::Topic("a".into())]);
    let state = &image.topics[&TOPIC].partitions[1];
    assert_eq!(state.leader, None);
    assert_eq!(state.elr, [NodeId(1)]);
    assert_eq!(state.leader_epoch, LeaderEpoch(1));
    assert_eq!(state.partition_epoch, 1);
    assert_eq!(
        image.topics[&TOPIC].partitions[0].leader_epoch,
        LeaderEpoch(0)
    );

    replay
        .apply(Offset(5), Record::RemoveTopic(RemoveTopic { id: TOPIC }))
        .unwrap();
    let (image, delta) = replay.take();
    assert!(image.topics.is_empty());
    assert!(image.topics_by_name.is_empty());
    assert!(image.configs.is_empty());
    assert_eq!(delta.topics_removed, [(TOPIC, "a".into(), 2)]);
    assert!(delta.topics_changed.is_empty());
}

#[test]
fn the_same_leader_again_is_a_new_epoch() {
    let mut change = PartitionChange::of(TOPIC, PartitionIndex(0));
    change.leader = Some(Some(NodeId(1)));
    let replay = replay(vec![
        topic("a", TOPIC),
        partition(TOPIC, 0),
        Record::PartitionChange(change),
    ])
    .unwrap();
    let state = &replay.image().topics[&TOPIC].partitions[0];
    assert_eq!(state.leader, Some(NodeId(1)));
    assert_eq!(state.leader_epoch, LeaderEpoch(1));
}

#[test]
fn a_topic_that_came_and_went_was_never_there() {
    let mut replay = replay(vec![
        topic("a", TOPIC),
        partition(TOPIC, 0),
        Record::RemoveTopic(RemoveTopic { id: TOPIC }),
    ])
    .unwrap();
    let (_, delta) = replay.take();
    assert!(delta.topics_changed.is_empty());
    assert!(delta.topics_removed.is_empty());
}

#[test]
fn transactions_count_whole_or_not_at_all() {
    let begin = || Record::BeginTransaction(TransactionNote::default());
    let feature = |level| {
        Record::FeatureLevel(FeatureLevel {
            name: "f".into(),
            level,
        })
    };
    let mut replay = replay(vec![feature(1), begin(), feature(2)]).unwrap();
    assert!(replay.in_transaction());
    assert_eq!(replay.image().features["f"], 1);
    assert_eq!(replay.image().offset, Offset(0));
    replay.apply(Offset(3), Record::EndTransaction).unwrap();
    assert_eq!(replay.image().features["f"], 2);
    assert_eq!(replay.image().offset, Offset(3));
    replay.apply(Offset(4), begin()).unwrap();
    replay.apply(Offset(5), feature(0)).unwrap();
    assert_eq!(
        replay.apply(Offset(6), begin()),
        Err(ReplayError::NestedTransaction)
    );
    let abort = Record::AbortTransaction(TransactionNote::default());
    replay.apply(Offset(6), abort).unwrap();
    assert_eq!(replay.image().features["f"], 2);
    assert_eq!(
        replay.apply(Offset(7), Record::EndTransaction),
        Err(ReplayError::NoTransaction)
    );
    replay.apply(Offset(7), feature(0)).unwrap();
    assert!(replay.image().features.is_empty());
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let at = |index| (TOPIC, PartitionIndex(index));
    let error = |records| replay(records).unwrap_err();
    assert_eq!(
        error(vec![partition(TOPIC, 0)]),
        ReplayError::UnknownTopic(TOPIC)
    );
    let gap = vec![topic("a", TOPIC), partition(TOPIC, 1)];
    assert_eq!(error(gap), ReplayError::UnknownPartition(at(1).0, at(1).1));
    let change = PartitionChange::of(TOPIC, PartitionIndex(0));
    assert_eq!(
        error(vec![topic("a", TOPIC), Record::PartitionChange(change)]),
        ReplayError::UnknownPartition(at(0).0, at(0).1)
    );
    let twice = vec![topic("a", TOPIC), topic("a", TopicId([8; 16]))];
    assert_eq!(error(twice), ReplayError::TopicExists("a".into()));
    let fence = Record::FenceBroker(BrokerRef {
        id: NodeId(1),
        epoch: 3,
    });
    assert_eq!(error(vec![fence]), ReplayError::UnknownBroker(NodeId(1), 3));
}

#[test]
fn small_records_change_their_place_in_the_image() {
    let ids = Record::ProducerIds(ProducerIds {
        broker: NodeId(1),
        broker_epoch: 0,
        next: ProducerId(1000),
    });
    let replay = replay(vec![
        ids,
        config("b", Some("1")),
        config("b", None),
        Record::Config(ConfigChange {
            resource_type: 4,
            resource_name: "".into(),
            name: "min.insync.replicas".into(),
            value: Some("1".into()),
        }),
    ])
    .unwrap();
    let image = replay.image();
    assert_eq!(image.producer_id_next, ProducerId(1000));
    let resources: Vec<_> = image.configs.keys().collect();
    assert_eq!(resources, [&ConfigResource::Broker(None)]);
}
