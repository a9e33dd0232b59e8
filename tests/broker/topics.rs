//! Topics come and go, by request and on first use.

use std::time::{Duration, Instant};

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ApiVersionsRequest, DescribeClusterRequest, ListOffsetsRequest};
use onrush_testkit::broker::Broker;
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, Producer};

use crate::librdkafka::{self, PATIENCE, consume, create_topic, delete_topic, produce};
use crate::{BINARY, unique};

/// Names and partition counts as librdkafka sees them.
fn topics(broker: &Broker) -> Vec<(String, usize)> {
    let producer: BaseProducer = librdkafka::config(broker.address(), &[]).create().unwrap();
    let metadata = producer.client().fetch_metadata(None, PATIENCE).unwrap();
    let topics = metadata.topics().iter();
    topics
        .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
        .collect()
}

#[test]
fn topics_are_created_listed_and_deleted() {
    let broker = Broker::any(BINARY);
    let name = unique("life");
    create_topic(broker.address(), &name, 5, &[("retention.ms", "1000000")]).unwrap();
    assert!(topics(&broker).contains(&(name.clone(), 5)));
    let sent = [("k".to_owned(), b"v".to_vec())];
    assert!(produce(broker.address(), &[], &name, &sent)[0].is_ok());
    delete_topic(broker.address(), &name).unwrap();
    // A real Kafka publishes the change a moment after its answer.
    let begun = Instant::now();
    while topics(&broker).iter().any(|(other, _)| *other == name) {
        assert!(begun.elapsed() < PATIENCE);
    }
    create_topic(broker.address(), &name, 1, &[]).unwrap();
    let deliveries = produce(broker.address(), &[], &name, &sent);
    assert_eq!(
        deliveries,
        [Ok((0, 0))],
        "a new topic of the same name is empty"
    );
}

#[test]
fn a_topic_is_created_on_first_use() {
    let broker = Broker::any(BINARY);
    let name = unique("on-demand");
    let sent = [("k".to_owned(), b"v".to_vec())];
    assert!(produce(broker.address(), &[], &name, &sent)[0].is_ok());
    let partitions = topics(&broker)
        .into_iter()
        .find(|(other, _)| *other == name);
    let count = i32::try_from(partitions.unwrap().1).unwrap();
    assert_eq!(consume(broker.address(), &name, count, 1)[0].value, b"v");
}

#[test]
fn api_versions_and_cluster_are_described() {
    let broker = Broker::any(BINARY);
    let mut client = Client::connect(broker.address()).unwrap();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(client::text("testkit"))
        .with_client_software_version(client::text("1"));
    let versions = client.call(&request, 3);
    assert_eq!(versions.error_code, 0);
    let produce = versions
        .api_keys
        .iter()
        .find(|api| api.api_key == 0)
        .unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
    let cluster = client.call(&DescribeClusterRequest::default(), 1);
    assert_eq!(cluster.error_code, 0);
    assert_eq!(cluster.cluster_id.len(), 22);
    assert_eq!(cluster.brokers.len(), 1);
}

#[test]
fn offsets_are_found_by_time() {
    const CREATED: i64 = 1_700_000_000_000;
    let broker = Broker::any(BINARY);
    let name = unique("times");
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&name, 1, &[]);
    for _ in 0..3 {
        let batch = records::batch_at(CREATED, NO_PRODUCER, &[b"a".to_vec(), b"b".to_vec()]);
        client.call(
            &client::produce_request(&name, 0, -1, batch),
            PRODUCE_VERSION,
        );
    }
    let mut offset_at = |timestamp: i64| {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(0)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(client::topic_name(&name))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![topic]);
        let response = client.call(&request, 7);
        let answer = &response.topics[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        answer.offset
    };
    assert_eq!(offset_at(-2), 0, "earliest");
    assert_eq!(offset_at(-1), 6, "latest");
    assert_eq!(offset_at(CREATED - 1), 0, "the first at or after");
    assert_eq!(offset_at(CREATED + 1), -1, "none so late");
}

#[test]
fn watermarks_are_what_was_written() {
    let broker = Broker::any(BINARY);
    let name = unique("watermarks");
    create_topic(broker.address(), &name, 1, &[]).unwrap();
    let sent: Vec<_> = (0..40).map(|i| (format!("{i}"), vec![1])).collect();
    produce(broker.address(), &[], &name, &sent);
    let consumer = librdkafka::consumer(broker.address());
    let found = consumer.fetch_watermarks(&name, 0, Duration::from_secs(10));
    assert_eq!(found.unwrap(), (0, 40));
}
