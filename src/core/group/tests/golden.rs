//! Records that Kafka 4.2.0 wrote: decoded, and encoded again byte for byte.
//!
//! `consumer_offsets.log` is the first segment of a real `__consumer_offsets-0` after: a console consumer in a group of
//! its own, one as a static member, offsets set by `kafka-consumer-groups`, an OffsetCommit v2 with a retention, a group
//! deleted, two consumers in one group that leave, an OffsetCommit v10.

use std::sync::Arc;

use bytes::Bytes;

use crate::group::{
    Coordinator, Entry, GroupConfig, OffsetKey, Record, StoredOffset, partition_of,
};
use crate::types::{LeaderEpoch, Offset, PartitionIndex, TopicId, WallMillis};
use crate::wire::records::Records;

const SEGMENT: &[u8] = include_bytes!("consumer_offsets.log");
/// A batch's head, and where in it the bytes after the length are counted from.
const HEAD: usize = 61;
const PREFIX: usize = 12;

fn records() -> Vec<Record> {
    let mut rest = SEGMENT;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[8..PREFIX].try_into().expect("four bytes"));
        let end = PREFIX + usize::try_from(length).expect("a length");
        for record in Records::new(&rest[HEAD..end]) {
            let record = record.expect("Kafka's record");
            all.push(Record {
                key: Bytes::copy_from_slice(record.key.expect("a key")),
                value: record.value.map(Bytes::copy_from_slice),
            });
        }
        rest = &rest[end..];
    }
    all
}

#[test]
fn what_kafka_wrote_is_written_again_byte_for_byte() {
    let all = records();
    assert_eq!(all.len(), 25);
    for record in all {
        let again = match record.decode().expect("Kafka's record") {
            Entry::Offset(key, value) => Record::offset(&key, value.as_ref()),
            Entry::Group(group_id, value) => Record::group(&group_id, value.as_ref()),
            Entry::Other(key_type) => panic!("type {key_type}"),
        };
        assert_eq!(again, record);
    }
}

#[test]
fn a_log_of_kafka_is_loaded() {
    let mut coordinator = Coordinator::new(GroupConfig::default(), [0; 16]);
    for record in records() {
        coordinator.replay(&record).expect("Kafka's record");
    }
    let groups: Vec<&str> = coordinator.groups.keys().map(|id| &**id).collect();
    let all = ["group", "id", "keep", "pair", "simple", "static"].map(|it| format!("gold-{it}"));
    assert_eq!(groups, all);
    // Both consumers are gone, the static one because its session ended.
    for group_id in ["gold-group", "gold-static"] {
        let group = coordinator.stored(group_id).expect("stored");
        assert_eq!((group.generation, group.members.len()), (2, 0));
    }
    let offset = |group: &str, partition| {
        let group = &coordinator.groups[group];
        group.offset("gold", PartitionIndex(partition)).cloned()
    };
    assert_eq!(
        offset("gold-group", 0).map(|it| it.offset),
        Some(Offset(20))
    );
    let keep = offset("gold-keep", 1).expect("stored");
    assert_eq!(
        (&*keep.metadata, keep.leader_epoch),
        ("grüße", LeaderEpoch(-1))
    );
    assert_eq!(keep.expires, Some(WallMillis(keep.committed.0 + 60_000)));
    let id = offset("gold-id", 1).expect("stored");
    assert_eq!(
        (id.topic_id.to_string().as_str(), id.metadata.len()),
        ("AnUPY_IbQumlwSjWAvLc3w", 130)
    );
}

#[test]
fn a_log_of_kafka_with_a_static_member_is_loaded() {
    let mut coordinator = Coordinator::new(GroupConfig::default(), [0; 16]);
    for record in records().iter().take(9) {
        coordinator.replay(record).expect("Kafka's record");
    }
    let group = coordinator.stored("gold-static").expect("stored");
    assert_eq!((group.generation, group.members.len()), (1, 1));
    let member = &group.members[0];
    assert_eq!(member.instance_id.as_deref(), Some("one"));
    assert_eq!(group.leader.as_ref(), Some(&member.member_id));
    let timeouts = (member.session_timeout_ms, member.rebalance_timeout_ms);
    assert_eq!(timeouts, (45_000, 300_000));
}

#[test]
fn older_values_are_read() {
    let key = Bytes::from_static(b"\0\0\0\x01g\0\x01t\0\0\0\x05");
    let read = |value: &'static [u8]| {
        let value = Some(Bytes::from_static(value));
        let record = Record {
            key: key.clone(),
            value,
        };
        record.decode()
    };
    let expected = |leader_epoch, metadata: &str, expires: Option<i64>| {
        let key = OffsetKey {
            group_id: "g".into(),
            topic: "t".into(),
            partition: PartitionIndex(5),
        };
        let value = StoredOffset {
            topic_id: TopicId::ZERO,
            offset: Offset(7),
            leader_epoch: LeaderEpoch(leader_epoch),
            metadata: metadata.into(),
            committed: WallMillis(9),
            expires: expires.map(WallMillis),
        };
        Ok(Entry::Offset(key, Some(value)))
    };
    let v0 = b"\0\0\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x09";
    assert_eq!(read(v0), expected(-1, "m", None));
    let v1 = b"\0\x01\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x0b";
    assert_eq!(read(v1), expected(-1, "m", Some(11)));
    let v2 = b"\0\x02\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x09";
    assert_eq!(read(v2), expected(-1, "m", None));
    let v3 = b"\0\x03\0\0\0\0\0\0\0\x07\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x09";
    assert_eq!(read(v3), expected(2, "m", None));
    // A tag that is not known.
    let v4 = b"\0\x04\0\0\0\0\0\0\0\x07\0\0\0\x02\x02m\0\0\0\0\0\0\0\x09\x01\x07\x02zz";
    assert_eq!(read(v4), expected(2, "m", None));
}

#[test]
fn older_groups_are_read() {
    // Version 0: no times, no instance id, no rebalance timeout.
    let mut value = b"\0\0\0\x08consumer\0\0\0\x03\0\x01r\0\x01a\0\0\0\x01".to_vec();
    value.extend(b"\0\x01a\0\x01c\0\x01h\0\0\x27\x10\0\0\0\x01s\0\0\0\x02as");
    let record = Record {
        key: Bytes::from_static(b"\0\x02\0\x01g"),
        value: Some(value.into()),
    };
    let Ok(Entry::Group(group_id, Some(group))) = record.decode() else {
        panic!("a group");
    };
    assert_eq!((&*group_id, group.generation, group.since), ("g", 3, None));
    let member = &group.members[0];
    assert_eq!(
        (member.session_timeout_ms, member.rebalance_timeout_ms),
        (10_000, 10_000)
    );
    assert_eq!(
        (&member.subscription[..], &member.assignment[..]),
        (&b"s"[..], &b"as"[..])
    );
    // Version 4 has compact lengths and tags.
    let mut value = b"\0\x04\x09consumer\0\0\0\x03\x02r\x02a\0\0\0\0\0\0\0\x05\x02".to_vec();
    value.extend(b"\x02a\x02i\x02c\x02h\0\0\0\x01\0\0\x27\x10\x02s\x03as\0\0");
    let flexible = Record {
        value: Some(value.into()),
        ..record
    };
    let Ok(Entry::Group(_, Some(group))) = flexible.decode() else {
        panic!("a group");
    };
    assert_eq!(group.since, Some(WallMillis(5)));
    assert_eq!(group.members[0].instance_id.as_deref(), Some("i"));
    assert_eq!(&group.members[0].assignment[..], b"as");
}

#[test]
fn records_of_later_protocols_are_passed_over() {
    let mut coordinator = Coordinator::new(GroupConfig::default(), [0; 16]);
    for key_type in [3u8, 5, 8, 10, 16, 23, 99] {
        let record = Record {
            key: Bytes::from(vec![0, key_type, 0, 1, b'g']),
            value: Some(Bytes::from_static(b"\0\0anything")),
        };
        assert_eq!(record.decode(), Ok(Entry::Other(i16::from(key_type))));
        assert_eq!(coordinator.replay(&record), Ok(()));
    }
    assert_eq!(coordinator.group_count(), 0);
}

#[test]
fn no_bytes_panic() {
    for record in records() {
        for cut in 0..record.key.len() {
            let short = Record {
                key: record.key.slice(..cut),
                value: record.value.clone(),
            };
            assert!(short.decode().is_err(), "{short:?}");
        }
        let value = record.value.clone().unwrap_or_default();
        for cut in 0..value.len() {
            let short = Record {
                key: record.key.clone(),
                value: Some(value.slice(..cut)),
            };
            assert!(short.decode().is_err(), "{short:?}");
            for bad in [0x00, 0x7f, 0x80, 0xff] {
                let mut bytes = value.to_vec();
                bytes[cut] = bad;
                let bent = Record {
                    key: record.key.clone(),
                    value: Some(bytes.into()),
                };
                // Whatever it says, it says it without a panic.
                drop(bent.decode());
            }
        }
    }
}

#[test]
fn groups_belong_to_partitions_as_in_java() {
    // What `Utils.abs(id.hashCode()) % 50` gives in Java.
    let known = [
        ("", 0),
        ("a", 47),
        ("group", 47),
        ("my-group", 12),
        ("grüße", 23),
        ("😀 group", 6),
        ("console-consumer-12345", 6),
        ("connect-cluster", 13),
        // Its hash is the least number, whose absolute value does not fit.
        ("polygenelubricants", 0),
    ];
    for (group_id, partition) in known {
        let ours = partition_of(group_id, 50);
        assert_eq!(ours, PartitionIndex(partition), "{group_id}");
    }
    let id: Arc<str> = "anything".into();
    assert_eq!(partition_of(&id, 1), PartitionIndex(0));
}
