//! Kafka's answers to good and bad batches, one by one.

use super::*;
use crate::types::limits::WORK_BYTES_PER_STEP;
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::batch::{crc_of, is_valid};
use crate::wire::build::BatchBuilder;
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000;

fn rules() -> ValidateRules {
    ValidateRules::defaults(WallMillis(NOW))
}

fn run_with(batch: &Bytes, rules: ValidateRules, budget: usize) -> Result<Prepared, Reject> {
    let mut validator = Validator::new(batch.clone(), rules);
    for _ in 0..1_000_000 {
        if let Step::Done(outcome) = validator.step(budget) {
            return outcome;
        }
    }
    panic!("the validator does not end");
}

fn run(batch: &Bytes) -> Result<Prepared, Reject> {
    run_with(batch, rules(), WORK_BYTES_PER_STEP)
}

fn builder(codec: Codec, timestamps: &[i64]) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    builder.codec(codec);
    for &timestamp in timestamps {
        builder.push(timestamp, Some(b"key"), Some(b"value"), &[]);
    }
    builder
}

fn plain() -> Bytes {
    builder(Codec::None, &[NOW, NOW + 5, NOW - 5]).build()
}

/// Changes bytes of a batch and makes its checksum right again.
fn altered(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut out = batch.to_vec();
    out[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc_of(&out);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(out)
}

/// A batch around hand-made record bytes.
fn around(codec: Codec, count: i32, body: &[u8]) -> Bytes {
    let head = builder(codec, &[NOW]).build();
    let mut out = head[..61].to_vec();
    out.extend_from_slice(body);
    let length = i32::try_from(out.len() - 12).unwrap();
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    out[57..61].copy_from_slice(&count.to_be_bytes());
    altered(&Bytes::from(out), 0, &[])
}

#[test]
fn a_good_batch_passes_unchanged() {
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let batch = builder(codec, &[NOW, NOW + 5, NOW - 5]).build();
        for budget in [1, 7, 100, WORK_BYTES_PER_STEP] {
            let prepared = run_with(&batch, rules(), budget).unwrap();
            assert!(!prepared.changed);
            assert_eq!(prepared.max_timestamp_delta, Some(1));
            assert_eq!(prepared.header.max_timestamp, NOW + 5);
            assert_eq!(prepared.offset_count(), 3);
            let [head, body] = prepared.seal(Offset(500), LeaderEpoch(9));
            let stored = [&head[..], &body[..]].concat();
            assert!(is_valid(&stored));
            let header = BatchHeader::decode(&stored).unwrap();
            assert_eq!(header.base_offset, Offset(500));
            assert_eq!(header.leader_epoch, LeaderEpoch(9));
            assert_eq!(stored[16..], batch[16..]);
            assert_eq!(stored.len() as u64, prepared.total_bytes());
        }
    }
}

#[test]
fn exactly_one_batch() {
    let one = plain();
    let join = |tail: &[u8]| Bytes::from([&one[..], tail].concat());
    assert_eq!(single_batch(&one, 9), Ok(one.clone()));
    assert_eq!(single_batch(&Bytes::new(), 9), Err(Reject::NoBatch));
    assert_eq!(
        single_batch(&one.slice(..one.len() - 1), 9),
        Err(Reject::NoBatch)
    );
    assert_eq!(single_batch(&join(&one), 9), Err(Reject::MoreThanOneBatch));
    // An incomplete second batch is ignored; zeros that could be a length are not.
    assert_eq!(
        single_batch(&join(&one[..one.len() - 1]), 9),
        Ok(one.clone())
    );
    assert_eq!(single_batch(&join(&[0; 16]), 9), Ok(one.clone()));
    assert_eq!(
        single_batch(&join(&[0; 17]), 9),
        Err(Reject::NotABatch(BatchError::Length(0)))
    );
    let mut old = one.to_vec();
    old[16] = 1;
    assert_eq!(
        single_batch(&Bytes::from(old.clone()), 9),
        Err(Reject::OldMagic(1))
    );
    old[16] = 7;
    assert_eq!(
        single_batch(&Bytes::from(old), 9),
        Err(Reject::NotABatch(BatchError::UnknownMagic(7)))
    );
    let zstd = builder(Codec::Zstd, &[NOW]).build();
    assert_eq!(single_batch(&zstd, 6), Err(Reject::ZstdTooEarly));
    assert_eq!(single_batch(&zstd, 7), Ok(zstd.clone()));
}

#[test]
fn the_head_is_checked_in_kafkas_order() {
    let batch = plain();
    let mut moved = batch.to_vec();
    moved[7] = 3;
    // A wrong checksum comes after the base offset and the size.
    moved[30] ^= 1;
    let moved = Bytes::from(moved);
    assert_eq!(run(&moved), Err(Reject::BaseOffset(3)));
    let mut damaged = batch.to_vec();
    damaged[30] ^= 1;
    let damaged = Bytes::from(damaged);
    let small = ValidateRules {
        message_bytes_max: 70,
        ..rules()
    };
    let bytes = batch.len() as u64;
    let too_large = Reject::TooLarge {
        bytes,
        bytes_max: 70,
    };
    assert_eq!(run_with(&damaged, small, 1_000), Err(too_large));
    assert!(matches!(run(&damaged), Err(Reject::Checksum { .. })));
    let exact = ValidateRules {
        message_bytes_max: bytes,
        ..rules()
    };
    assert!(run_with(&batch, exact, 1_000).is_ok());
    for codec in 5..8u16 {
        assert_eq!(
            run(&altered(&batch, 21, &codec.to_be_bytes())),
            Err(Reject::UnknownCodec(codec))
        );
    }
}

#[test]
fn counts_control_and_sequence() {
    let batch = plain();
    for (delta, count) in [(1, 3), (3, 3), (-1, 0), (-1, 3), (i32::MAX, 3), (2, -3)] {
        let odd = altered(&batch, 23, &i32::to_be_bytes(delta));
        let odd = altered(&odd, 57, &i32::to_be_bytes(count));
        assert_eq!(
            run(&odd),
            Err(Reject::OffsetRange {
                last_offset_delta: delta,
                record_count: count
            })
        );
    }
    let control = builder(Codec::None, &[NOW]).control().build();
    assert_eq!(run(&control), Err(Reject::ControlBatch));
    let producer = |sequence| {
        builder(Codec::None, &[NOW])
            .producer(ProducerId(1), ProducerEpoch(0), sequence)
            .build()
    };
    assert_eq!(run(&producer(-1)), Err(Reject::Sequence(-1)));
    assert!(run(&producer(0)).is_ok());
}

#[test]
fn records_must_fill_the_batch_exactly() {
    let body = plain().slice(61..);
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let packed = crate::wire::codec::compress(codec, &body);
        assert!(run(&around(codec, 3, &packed)).is_ok());
        let few = Err(Reject::Malformed(StreamError::TooFew));
        assert_eq!(run(&around(codec, 4, &packed)), few, "{codec:?}");
        let many = Err(Reject::Malformed(StreamError::TooMany));
        assert_eq!(run(&around(codec, 2, &packed)), many, "{codec:?}");
        let cut = crate::wire::codec::compress(codec, &body[..body.len() - 1]);
        assert_eq!(run(&around(codec, 3, &cut)), few, "{codec:?}");
        let mut odd = body.to_vec();
        odd[0] = 1;
        let odd = crate::wire::codec::compress(codec, &odd);
        assert!(matches!(
            run(&around(codec, 3, &odd)),
            Err(Reject::Malformed(StreamError::Record(_)))
        ));
    }
}

#[test]
fn unreadable_compressed_data() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let garbage = around(codec, 1, b"this is not compressed at all");
        assert!(
            matches!(run(&garbage), Err(Reject::Undecodable(_))),
            "{codec:?}"
        );
    }
}

/// Two records whose offset deltas are 0 and 5.
fn gap() -> Vec<u8> {
    vec![12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 10, 1, 1, 0]
}

#[test]
fn inner_offsets_count_in_compressed_batches_only() {
    assert!(run(&around(Codec::None, 2, &gap())).is_ok());
    let packed = crate::wire::codec::compress(Codec::Gzip, &gap());
    let batch = around(Codec::Gzip, 2, &packed);
    assert_eq!(run(&batch), Err(Reject::InnerOffsets));
    // Bad records win over bad offsets.
    let compact = ValidateRules {
        compact: true,
        ..rules()
    };
    assert!(matches!(
        run_with(&batch, compact, 100),
        Err(Reject::Records(_))
    ));
}

#[test]
fn compacted_topics_need_keys() {
    let mut builder = BatchBuilder::new();
    builder
        .push(NOW, Some(b""), None, &[])
        .push(NOW, None, Some(b"v"), &[])
        .push(NOW, Some(b"k"), Some(b"v"), &[])
        .push(NOW, None, None, &[]);
    let compact = ValidateRules {
        compact: true,
        ..rules()
    };
    let Err(Reject::Records(rejects)) = run_with(&builder.build(), compact, 10) else {
        panic!("records without keys pass");
    };
    assert!(!rejects.timestamp);
    assert_eq!(rejects.total, 2);
    let indexes: Vec<i32> = rejects.errors.iter().map(|e| e.batch_index).collect();
    assert_eq!(indexes, [1, 3]);
    assert!(rejects.to_string().contains("2 in total"));
}

#[test]
fn timestamps_too_far_from_the_clock() {
    let hour = 3_600_000;
    assert!(run(&builder(Codec::None, &[NOW + hour, 0, -1]).build()).is_ok());
    let Err(Reject::Records(rejects)) =
        run(&builder(Codec::Zstd, &[NOW, NOW + hour + 1, i64::MIN]).build())
    else {
        panic!("a timestamp in the far future passes");
    };
    assert!(rejects.timestamp);
    assert_eq!(rejects.total, 2);
    assert_eq!(
        rejects.errors[0],
        RecordReject {
            batch_index: 1,
            fault: RecordFault::Timestamp {
                timestamp: NOW + hour + 1,
                from: NOW.wrapping_sub(i64::MAX),
                to: NOW + hour,
            }
        }
    );
    let week = ValidateRules {
        before_ms_max: 604_800_000,
        ..rules()
    };
    let old = builder(Codec::None, &[NOW - 604_800_001, -1]).build();
    let Err(Reject::Records(rejects)) = run_with(&old, week, 1_000) else {
        panic!("a timestamp too old passes");
    };
    assert_eq!(rejects.total, 1, "no timestamp is allowed");
}

#[test]
fn a_key_fault_hides_the_records_timestamp_but_a_timestamp_decides_the_code() {
    let mut builder = BatchBuilder::new();
    builder
        .push(i64::MAX / 2, None, None, &[])
        .push(i64::MAX / 2, Some(b"k"), None, &[]);
    let compact = ValidateRules {
        compact: true,
        ..rules()
    };
    let Err(Reject::Records(rejects)) = run_with(&builder.build(), compact, 1_000) else {
        panic!("bad records pass");
    };
    assert_eq!(rejects.errors[0].fault, RecordFault::NoKey);
    assert!(matches!(
        rejects.errors[1].fault,
        RecordFault::Timestamp { .. }
    ));
    assert!(rejects.timestamp);
}

#[test]
fn the_max_timestamp_is_what_the_records_say() {
    let lying = altered(&plain(), 35, &(NOW + 99).to_be_bytes());
    let prepared = run(&lying).unwrap();
    assert!(prepared.changed);
    assert_eq!(prepared.header.max_timestamp, NOW + 5);
    let [head, body] = prepared.seal(Offset(0), LeaderEpoch(-1));
    assert_eq!([&head[..], &body[..]].concat(), plain());
    let none = builder(Codec::None, &[-1, -1]).build();
    let prepared = run(&none).unwrap();
    assert_eq!(prepared.max_timestamp_delta, None);
    assert_eq!(prepared.header.max_timestamp, -1);
    assert!(!prepared.changed);
}

#[test]
fn append_time_topics_stamp_the_batch() {
    let stamp = ValidateRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules()
    };
    for (codec, delta) in [(Codec::None, 2), (Codec::Lz4, 0)] {
        // The clock is not asked on such a topic.
        let batch = builder(codec, &[1, i64::MAX / 2, -1]).build();
        let prepared = run_with(&batch, stamp, 50).unwrap();
        assert!(prepared.changed);
        assert_eq!(prepared.max_timestamp_delta, Some(delta));
        let [head, body] = prepared.seal(Offset(7), LeaderEpoch(1));
        let stored = [&head[..], &body[..]].concat();
        assert!(is_valid(&stored));
        let header = BatchHeader::decode(&stored).unwrap();
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, NOW);
        assert_eq!(header.base_timestamp, 1);
        assert_eq!(header.codec(), Some(codec));
        assert_eq!(body[..], batch[61..]);
    }
}

#[test]
fn a_producer_that_claims_append_time() {
    let claim = |timestamp| {
        builder(Codec::None, &[timestamp, timestamp])
            .log_append_time()
            .build()
    };
    let stamp = ValidateRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules()
    };
    for (batch, rules) in [(claim(NOW), stamp), (claim(-1), rules())] {
        let Err(Reject::Records(rejects)) = run_with(&batch, rules, 1_000) else {
            panic!("the claim passes");
        };
        assert!(rejects.timestamp);
        assert_eq!(rejects.total, 2);
        assert_eq!(rejects.errors[0].fault, RecordFault::LogAppendTime);
    }
    let prepared = run(&claim(NOW)).unwrap();
    assert!(prepared.changed);
    assert_eq!(
        prepared.header.timestamp_type(),
        TimestampType::CreateTime,
        "the bit is cleared"
    );
    let [head, body] = prepared.seal(Offset(0), LeaderEpoch(0));
    assert!(is_valid(&[&head[..], &body[..]].concat()));
}

#[test]
fn only_so_many_records_are_named() {
    let mut builder = BatchBuilder::new();
    for _ in 0..RECORD_ERRORS_MAX + 5 {
        builder.push(NOW, None, None, &[]);
    }
    let compact = ValidateRules {
        compact: true,
        ..rules()
    };
    let Err(Reject::Records(rejects)) = run_with(&builder.build(), compact, 1_000) else {
        panic!("records without keys pass");
    };
    assert_eq!(rejects.errors.len(), RECORD_ERRORS_MAX);
    assert_eq!(rejects.total as usize, RECORD_ERRORS_MAX + 5);
}

#[test]
fn a_large_batch_takes_many_steps() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new();
        builder.codec(codec);
        let value = vec![b'x'; 1024 * 1024];
        for _ in 0..20 {
            builder.push(NOW, None, Some(&value), &[]);
        }
        let large = ValidateRules {
            message_bytes_max: 100_000_000,
            ..rules()
        };
        let mut validator = Validator::new(builder.build(), large);
        let mut steps = 1;
        while validator.step(WORK_BYTES_PER_STEP) == Step::More {
            steps += 1;
        }
        assert!(steps >= 20 * 1024 / 256, "{codec:?} took {steps} steps");
    }
    let value = vec![b'x'; 20_000_000];
    let mut builder = BatchBuilder::new();
    builder.push(NOW, None, Some(&value), &[]);
    let large = ValidateRules {
        message_bytes_max: 100_000_000,
        ..rules()
    };
    let mut validator = Validator::new(builder.build(), large);
    let mut steps = 1;
    while validator.step(WORK_BYTES_PER_STEP) == Step::More {
        steps += 1;
    }
    assert!(steps >= 20, "checksum and walk took {steps} steps");
}

proptest! {
    #[test]
    fn the_derived_checksum_is_the_computed_one(len in 0usize..3_000, stamp in any::<bool>(), base in any::<i64>()) {
        let mut builder = BatchBuilder::new();
        builder.push(NOW, None, Some(&vec![3; len]), &[]);
        let batch = altered(&builder.build(), 35, &base.to_be_bytes());
        let timestamp_type = if stamp { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
        let prepared = run_with(&batch, ValidateRules { timestamp_type, ..rules() }, 100).unwrap();
        let [head, body] = prepared.seal(Offset(1), LeaderEpoch(2));
        prop_assert!(is_valid(&[&head[..], &body[..]].concat()));
    }

    #[test]
    fn any_bytes_can_be_judged(noise in proptest::collection::vec(any::<u8>(), 0..200), attributes in 0u16..8, count in 1i32..4, budget in 1usize..500) {
        let mut batch = around(Codec::None, count, &noise).to_vec();
        batch[22] = u8::try_from(attributes).unwrap();
        let batch = altered(&Bytes::from(batch), 0, &[]);
        if let Ok(prepared) = run_with(&batch, rules(), budget) {
            let [head, body] = prepared.seal(Offset(1), LeaderEpoch(2));
            prop_assert!(is_valid(&[&head[..], &body[..]].concat()));
        }
        let bytes = noise.len();
        prop_assert!(single_batch(&Bytes::from(noise), 9).map_or(0, |batch| batch.len()) <= bytes);
    }
}
