use proptest::prelude::*;

use super::*;
use crate::metadata::batch::{self, Entry};
use crate::metadata::snapshot::decode_snapshot;

/// Written by `kafka-storage format --standalone` of Apache Kafka 4.2.0.
const BOOTSTRAP: &[u8] =
    include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-bootstrap.checkpoint");
const VOTERS: &[u8] =
    include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-voters.checkpoint");

/// Decodes every batch and encodes it again: the bytes must be Kafka's. Returns all entries.
fn check_bytes(golden: &[u8]) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut rest = golden;
    while let Some((decoded, length)) = batch::decode_front(rest).unwrap() {
        let mut data = Vec::new();
        let mut controls = Vec::new();
        for (_, entry) in &decoded.entries {
            match entry {
                Entry::Data(record) => data.push(record.clone()),
                Entry::Control(record) => controls.push(record.clone()),
            }
        }
        let (base, epoch, time) = (decoded.base, decoded.epoch, decoded.time);
        let again = if controls.is_empty() {
            batch::encode_records(base, epoch, time, &data)
        } else {
            batch::encode_controls(base, epoch, time, &controls)
        };
        assert_eq!(again, &rest[..length], "batch at {base}: {decoded:?}");
        all.extend(decoded.entries.into_iter().map(|(_, entry)| entry));
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
    all
}

#[test]
fn kafkas_checkpoints_come_back_byte_for_byte() {
    assert_eq!(check_bytes(BOOTSTRAP).len(), 8);
    assert_eq!(check_bytes(VOTERS).len(), 4);
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

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = Record::decode(&bytes);
        let _ = batch::decode_front(&bytes);
        let _ = decode_snapshot(&bytes);
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
