//! What goes in comes out: every codec, keys in order, idempotence, long polls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use onrush_testkit::broker::Broker;
use onrush_testkit::client::{self, Client, FETCH_VERSION, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};

use crate::librdkafka::{consume, create_topic, produce};
use crate::{BINARY, unique};

/// Records of many sizes, with keys that come again.
fn some_records(count: usize) -> Vec<(String, Vec<u8>)> {
    let value = |index: usize| format!("{index}:{}", "abcdefgh".repeat(index % 50));
    (0..count)
        .map(|index| (format!("key{}", index % 17), value(index).into_bytes()))
        .collect()
}

fn round_trip(settings: &[(&str, &str)]) {
    let broker = Broker::any(BINARY);
    let topic = unique("round-trip");
    create_topic(broker.address(), &topic, 3, &[]).unwrap();
    let sent = some_records(2000);
    let deliveries = produce(broker.address(), settings, &topic, &sent);
    assert!(deliveries.iter().all(Result::is_ok), "{deliveries:?}");
    let read = consume(broker.address(), &topic, 3, sent.len());

    let mut expected: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (key, value) in sent {
        expected.entry(key).or_default().push(value);
    }
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut next = [0; 3];
    for record in read {
        let slot = usize::try_from(record.partition).unwrap();
        assert_eq!(record.offset, next[slot], "offsets have no gap");
        next[slot] += 1;
        let key = String::from_utf8(record.key).unwrap();
        found.entry(key).or_default().push(record.value);
    }
    assert_eq!(found, expected, "each key's values in the order sent");
}

#[test]
fn uncompressed_records_come_back_in_order() {
    round_trip(&[("compression.type", "none")]);
}

#[test]
fn gzip_records_come_back_in_order() {
    round_trip(&[("compression.type", "gzip"), ("linger.ms", "20")]);
}

#[test]
fn snappy_records_come_back_in_order() {
    round_trip(&[("compression.type", "snappy"), ("linger.ms", "20")]);
}

#[test]
fn lz4_records_come_back_in_order() {
    round_trip(&[("compression.type", "lz4"), ("linger.ms", "20")]);
}

#[test]
fn zstd_records_come_back_in_order() {
    round_trip(&[("compression.type", "zstd"), ("linger.ms", "20")]);
}

#[test]
fn idempotent_producer_keeps_order() {
    round_trip(&[
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("batch.num.messages", "10"),
    ]);
}

#[test]
fn acks_1_and_0_are_served() {
    for acks in ["1", "0"] {
        let broker = Broker::any(BINARY);
        let topic = unique("acks");
        create_topic(broker.address(), &topic, 1, &[]).unwrap();
        let sent = some_records(100);
        produce(broker.address(), &[("acks", acks)], &topic, &sent);
        let read = consume(broker.address(), &topic, 1, sent.len());
        let values: Vec<Vec<u8>> = read.into_iter().map(|record| record.value).collect();
        let expected: Vec<Vec<u8>> = sent.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, expected);
    }
}

#[test]
fn a_repeated_batch_is_stored_once() {
    let broker = Broker::any(BINARY);
    let topic = unique("twice");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&topic, 1, &[]);
    let (id, epoch) = client.init_producer_id();
    let batch = |sequence, value: &str| {
        let producer = records::Producer {
            id,
            epoch,
            sequence,
        };
        records::batch(producer, &[value.as_bytes().to_vec()])
    };
    let mut send = |sequence, value| {
        let request = client::produce_request(&topic, 0, -1, batch(sequence, value));
        let response = client.call(&request, PRODUCE_VERSION);
        let answer = &response.responses[0].partition_responses[0];
        (answer.error_code, answer.base_offset)
    };
    assert_eq!(send(0, "a"), (0, 0));
    assert_eq!(send(1, "b"), (0, 1));
    assert_eq!(send(1, "b"), (0, 1), "a duplicate gets its first offset");
    assert_eq!(send(5, "gap"), (45, -1), "OUT_OF_ORDER_SEQUENCE_NUMBER");
    assert_eq!(send(2, "c"), (0, 2));
    let stored: Vec<_> = client
        .fetch_all(&topic, 0, 0)
        .iter()
        .flat_map(records::values)
        .map(|(_, value)| value)
        .collect();
    assert_eq!(stored, ["a", "b", "c"]);
}

#[test]
fn a_long_poll_is_answered_when_records_come() {
    let broker = Broker::any(BINARY);
    let topic = unique("long-poll");
    let mut reader = Client::connect(broker.address()).unwrap();
    let mut writer = Client::connect(broker.address()).unwrap();
    writer.create_topic(&topic, 1, &[]);

    let wait = client::fetch_request(&topic, 0, 0)
        .with_max_wait_ms(300)
        .with_min_bytes(1);
    let begun = Instant::now();
    let response = reader.call(&wait, FETCH_VERSION);
    let waited = begun.elapsed();
    let answer = &response.responses[0].partitions[0];
    assert_eq!(answer.records.as_ref().map_or(0, bytes::Bytes::len), 0);
    assert!(
        waited >= Duration::from_millis(290),
        "answered after {waited:?}"
    );
    assert!(
        waited < Duration::from_millis(1500),
        "answered after {waited:?}"
    );

    let request = wait.with_max_wait_ms(20_000);
    reader.send(&request, FETCH_VERSION).unwrap();
    // The poll is parked first: an answer to a later request of another connection proves nothing
    // about it, but whichever comes first, the record must be in the one answer.
    let batch = records::batch(NO_PRODUCER, &[b"wake".to_vec()]);
    let begun = Instant::now();
    writer.call(
        &client::produce_request(&topic, 0, -1, batch),
        PRODUCE_VERSION,
    );
    let (_, response) = reader
        .receive_as::<kafka_protocol::messages::FetchRequest>(FETCH_VERSION)
        .unwrap();
    let waited = begun.elapsed();
    let bytes = response.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(records::values(&bytes), [(0, "wake".into())]);
    assert!(waited < Duration::from_secs(5), "woken after {waited:?}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let broker = Broker::any(BINARY);
    let topic = unique("pipelined");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&topic, 1, &[]);
    let mut bytes = Vec::new();
    for index in 0..300 {
        let value = format!("{index}").into_bytes();
        let batch = records::batch(NO_PRODUCER, &[value]);
        let produce = client::produce_request(&topic, 0, -1, batch);
        bytes.extend_from_slice(&client::frame(&produce, PRODUCE_VERSION, 2 * index));
        let fetch = client::fetch_request(&topic, 0, i64::from(index));
        bytes.extend_from_slice(&client::frame(&fetch, FETCH_VERSION, 2 * index + 1));
    }
    client.send_bytes(&bytes).unwrap();
    for index in 0..300 {
        let produced =
            client.receive_as::<kafka_protocol::messages::ProduceRequest>(PRODUCE_VERSION);
        let (id, response) = produced.unwrap();
        assert_eq!(id, 2 * index);
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, i64::from(index))
        );
        let fetched = client.receive_as::<kafka_protocol::messages::FetchRequest>(FETCH_VERSION);
        let (id, response) = fetched.unwrap();
        assert_eq!(id, 2 * index + 1);
        let bytes = response.responses[0].partitions[0].records.clone().unwrap();
        assert_eq!(
            records::values(&bytes).len(),
            1,
            "the record just acknowledged"
        );
    }
}

#[test]
fn old_and_new_records_are_read_at_any_offset() {
    let broker = Broker::any(BINARY);
    let topic = unique("offsets");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&topic, 1, &[("segment.bytes", "1048576")]);
    for batch in 0..60 {
        let values: Vec<Vec<u8>> = (0..10)
            .map(|index| format!("{batch}/{index}/{}", "x".repeat(8000)).into_bytes())
            .collect();
        let request = client::produce_request(&topic, 0, -1, records::batch(NO_PRODUCER, &values));
        let response = client.call(&request, PRODUCE_VERSION);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    for offset in [0, 1, 9, 10, 111, 299, 300, 455, 599] {
        let request = client::fetch_request(&topic, 0, offset);
        let response = client.call(&request, FETCH_VERSION);
        let bytes = response.responses[0].partitions[0].records.clone().unwrap();
        let found = records::values(&bytes);
        let (_, value) = found.iter().find(|(at, _)| *at == offset).unwrap();
        let expected = format!("{}/{}/", offset / 10, offset % 10);
        assert!(value.starts_with(expected.as_bytes()), "offset {offset}");
    }
}
