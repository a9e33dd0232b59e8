//! Kafka's error codes where a client expects them.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, ProduceRequest};
use onrush_testkit::broker::Broker;
use onrush_testkit::client::{self, Client, FETCH_VERSION, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};
use rdkafka::error::RDKafkaErrorCode;

use crate::librdkafka::{create_topic, delete_topic, produce};
use crate::{BINARY, unique};

fn one_batch() -> bytes::Bytes {
    records::batch(NO_PRODUCER, &[b"value".to_vec()])
}

/// Error code of a Produce of this batch.
fn produce_error(
    client: &mut Client,
    topic: &str,
    partition: i32,
    acks: i16,
    batch: bytes::Bytes,
) -> i16 {
    let request = client::produce_request(topic, partition, acks, batch);
    let response = client.call(&request, PRODUCE_VERSION);
    response.responses[0].partition_responses[0].error_code
}

#[test]
fn unknown_topics_and_partitions_are_named_so() {
    let broker = Broker::any(BINARY);
    let topic = unique("errors");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&topic, 1, &[]);
    let mut error = |topic: &str, partition, acks| {
        produce_error(&mut client, topic, partition, acks, one_batch())
    };
    assert_eq!(error(&unique("absent"), 0, -1), 3);
    assert_eq!(error(&topic, 7, -1), 3);
    assert_eq!(error(&topic, 0, 2), 21, "INVALID_REQUIRED_ACKS");
    assert_eq!(error(&topic, 0, -1), 0);

    let response = client.call(&client::fetch_request(&topic, 7, 0), FETCH_VERSION);
    assert_eq!(response.responses[0].partitions[0].error_code, 3);
    let response = client.call(&client::fetch_request(&topic, 0, 99), FETCH_VERSION);
    assert_eq!(
        response.responses[0].partitions[0].error_code, 1,
        "OFFSET_OUT_OF_RANGE"
    );
}

#[test]
fn damaged_batches_are_refused() {
    let broker = Broker::any(BINARY);
    let topic = unique("damaged");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&topic, 1, &[]);
    let mut flipped = one_batch().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(
        produce_error(&mut client, &topic, 0, -1, flipped.into()),
        2,
        "CORRUPT_MESSAGE"
    );
    let mut old = one_batch().to_vec();
    old[16] = 9;
    let error = produce_error(&mut client, &topic, 0, -1, old.into());
    assert_ne!(error, 0, "a magic byte of 9");
    let mut garbage = one_batch().to_vec();
    garbage[22] = 4; // claims zstd
    let crc = crc32c::crc32c(&garbage[21..]);
    garbage[17..21].copy_from_slice(&crc.to_be_bytes());
    let error = produce_error(&mut client, &topic, 0, -1, garbage.into());
    assert_eq!(error, -1, "what is no zstd frame");
    assert_eq!(produce_error(&mut client, &topic, 0, -1, one_batch()), 0);
    assert_eq!(
        client.fetch_all(&topic, 0, 0).len(),
        1,
        "nothing else was stored"
    );
}

#[test]
fn a_message_above_the_topics_limit_is_refused() {
    let broker = Broker::any(BINARY);
    let topic = unique("large");
    create_topic(
        broker.address(),
        &topic,
        1,
        &[("max.message.bytes", "1000")],
    )
    .unwrap();
    let sent = [("k".to_owned(), vec![7; 5000])];
    let deliveries = produce(broker.address(), &[], &topic, &sent);
    assert_eq!(deliveries, [Err(RDKafkaErrorCode::MessageSizeTooLarge)]);
}

#[test]
fn admin_errors_are_kafkas() {
    let broker = Broker::any(BINARY);
    let topic = unique("admin-errors");
    create_topic(broker.address(), &topic, 1, &[]).unwrap();
    assert_eq!(
        create_topic(broker.address(), &topic, 1, &[]),
        Err(RDKafkaErrorCode::TopicAlreadyExists)
    );
    assert_eq!(
        create_topic(broker.address(), "bad/name", 1, &[]),
        Err(RDKafkaErrorCode::InvalidTopic)
    );
    assert_eq!(
        create_topic(
            broker.address(),
            &unique("config"),
            1,
            &[("retention.ms", "soon")]
        ),
        Err(RDKafkaErrorCode::InvalidConfig)
    );
    assert_eq!(
        delete_topic(broker.address(), &unique("absent")),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition)
    );
}

#[test]
fn metadata_of_an_unknown_topic_says_so() {
    let broker = Broker::any(BINARY);
    let mut client = Client::connect(broker.address()).unwrap();
    let absent = unique("absent");
    let topic = MetadataRequestTopic::default().with_name(Some(client::topic_name(&absent)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    let response = client.call(&request, 12);
    assert_eq!(response.topics[0].error_code, 3);
    assert_eq!(response.brokers.len(), 1);
}

#[test]
fn acks_0_answers_errors_by_closing() {
    let broker = Broker::any(BINARY);
    let mut client = Client::connect(broker.address()).unwrap();
    let request = client::produce_request(&unique("absent"), 0, 0, one_batch());
    client
        .send::<ProduceRequest>(&request, PRODUCE_VERSION)
        .unwrap();
    assert!(client.is_closed_by_broker());
}
