use proptest::prelude::*;

use super::*;
use crate::metadata::batch::{self, Entry};
use crate::metadata::snapshot::decode_snapshot;
use crate::metadata::{ConfigResource, Replay};
use crate::types::NodeId;

/// Written by `kafka-storage format --standalone` of Apache Kafka 4.2.0.
const BOOTSTRAP: &[u8] =
    include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-bootstrap.checkpoint");
const VOTERS: &[u8] =
    include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-voters.checkpoint");
/// The metadata log of a node of Apache Kafka 4.2.0 over three lives (a clean stop, a kill): topics created and deleted, configs, a producer,
/// a SCRAM user, a quota. Most `NoOp` batches were cut out.
const LOG: &[u8] =
    include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-cluster-metadata.log");
/// A snapshot that a Kafka 4.2.0 made of a log begun by onrush: two plain topics and `__consumer_offsets`.
const SNAPSHOT: &[u8] =
    include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-snapshot-589-5.checkpoint");

/// Decodes every batch and encodes it again: the bytes must be Kafka's. Returns all entries.
fn check_bytes(golden: &[u8]) -> Vec<Entry> {
    let (batches, complete) = batch::decode_all(golden).unwrap();
    assert!(complete);
    let mut again = Vec::new();
    for decoded in &batches {
        let mut data = Vec::new();
        let mut controls = Vec::new();
        for (_, entry) in &decoded.entries {
            match entry {
                Entry::Data(record) => data.push(record.clone()),
                Entry::Control(record) => controls.push(record.clone()),
            }
        }
        let (base, epoch, time) = (decoded.base, decoded.epoch, decoded.time);
        again.extend_from_slice(&if controls.is_empty() {
            batch::encode_records(base, epoch, time, &data)
        } else {
            batch::encode_controls(base, epoch, time, &controls)
        });
        assert_eq!(
            again,
            &golden[..again.len()],
            "batch at {base}: {decoded:?}"
        );
    }
    assert_eq!(again.len(), golden.len());
    let entries = batches.into_iter().flat_map(|batch| batch.entries);
    entries.map(|(_, entry)| entry).collect()
}

#[test]
fn kafkas_checkpoints_come_back_byte_for_byte() {
    assert_eq!(check_bytes(BOOTSTRAP).len(), 8);
    assert_eq!(check_bytes(VOTERS).len(), 4);
    assert!(check_bytes(SNAPSHOT).len() > 60);
    let bootstrap = decode_snapshot(BOOTSTRAP).unwrap();
    let levels: Vec<_> = bootstrap
        .records
        .iter()
        .map(|record| match record {
            Record::FeatureLevel(level) => (&*level.name, level.level),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(levels, crate::metadata::features::OF_NEW_CLUSTER);
    let voters = decode_snapshot(VOTERS).unwrap();
    assert_eq!(voters.kraft_version, 1);
    assert_eq!(voters.voters.unwrap().len(), 1);
}

#[test]
fn kafkas_log_comes_back_byte_for_byte() {
    let entries = check_bytes(LOG);
    let kinds: std::collections::BTreeSet<u32> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Data(record) => Some(record.type_and_version().0),
            Entry::Control(_) => None,
        })
        .collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [0, 2, 3, 4, 5, 9, 11, 12, 14, 15, 17, 20, 23, 24, 27]
    );
}

#[test]
fn kafkas_log_adds_up() {
    let mut replay = Replay::new("VrTG-c28Qj2ZFzmW6S6MHg".into());
    let (batches, _) = batch::decode_all(LOG).unwrap();
    for (offset, entry) in batches.into_iter().flat_map(|batch| batch.entries) {
        match entry {
            Entry::Data(record) => replay.apply(offset, record).unwrap(),
            Entry::Control(_) => replay.skip(offset),
        }
    }
    let image = replay.image();
    assert_eq!(image.features.len(), 6);
    assert_eq!(image.producer_id_next.0, 1000);
    assert_eq!(
        image.topics_by_name.keys().collect::<Vec<_>>(),
        [&"plain".into()]
    );
    let topic = image.topics.values().next().unwrap();
    assert_eq!(topic.partitions.len(), 3);
    let broker = &image.brokers[&NodeId(1)];
    assert_eq!(broker.endpoints.len(), 1);
    assert_eq!(broker.features.len(), 7);
    let configs = &image.configs[&ConfigResource::Topic("plain".into())];
    assert_eq!(configs.len(), 1, "{configs:?}");
}

#[test]
fn what_kafka_4_2_does_not_have_is_refused() {
    let check = |value: &[u8], expected| assert_eq!(Record::decode(value), Err(expected));
    check(&[], DecodeError::Truncated);
    check(&[2, 20, 0, 0], DecodeError::FrameVersion(2));
    check(&[1, 99, 0, 0], DecodeError::UnknownType(99));
    check(&[1, 6, 0, 0], DecodeError::UnknownType(6));
    check(
        &[1, 20, 1, 0],
        DecodeError::UnknownVersion {
            key: 20,
            version: 1,
        },
    );
    check(
        &[1, 3, 3, 0],
        DecodeError::UnknownVersion { key: 3, version: 3 },
    );
    check(&[1, 20, 0, 0, 0], DecodeError::Trailing(1));
    assert_eq!(Record::decode(&[1, 20, 0, 0]), Ok(Record::NoOp));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let refused = (Record::decode(&bytes).is_err(), batch::decode_all(&bytes).is_err());
        prop_assert!(decode_snapshot(&bytes).is_err(), "no footer: {:?}", refused);
    }

    #[test]
    fn any_body_of_any_type_is_refused_or_read(key in 0u8..32, version in 0u8..5, body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut value = vec![1, key, version];
        value.extend_from_slice(&body);
        if let Ok(record) = Record::decode(&value) {
            let again = Record::decode(&record.encode());
            prop_assert_eq!(again, Ok(record));
        }
    }
}
