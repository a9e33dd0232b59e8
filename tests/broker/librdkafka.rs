//! librdkafka as the tests use it: produce a list, read a partition, create and delete topics.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

/// How long a client may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// How one record's delivery ended: partition and offset, or the error.
pub type Delivery = Result<(i32, i64), RDKafkaErrorCode>;

/// Collects deliveries in the order they are reported.
#[derive(Default)]
pub struct Reports(Mutex<Vec<Delivery>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let delivery = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
        };
        self.0.lock().unwrap().push(delivery);
    }
}

pub fn config(address: SocketAddr, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string());
    config.set("broker.address.family", "v4");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// Produces keys and values to a topic, waits for all reports, and returns them in their order.
pub fn produce(
    address: SocketAddr,
    settings: &[(&str, &str)],
    topic: &str,
    records: &[(String, Vec<u8>)],
) -> Vec<Delivery> {
    let producer: BaseProducer<Reports> = config(address, settings)
        .create_with_context(Reports::default())
        .unwrap();
    for (key, value) in records {
        let record = BaseRecord::to(topic).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
    let reports = producer.context().0.lock().unwrap();
    assert_eq!(reports.len(), records.len());
    reports.clone()
}

/// A consumer that is told what to read. The library wants a group all the same, and closes only after
/// that group's session time when no broker coordinates it: so that time is short.
pub fn consumer(address: SocketAddr) -> BaseConsumer {
    let settings = [
        ("group.id", "unused"),
        ("session.timeout.ms", "500"),
        ("heartbeat.interval.ms", "100"),
        ("check.crcs", "true"),
    ];
    config(address, &settings).create().unwrap()
}

/// Reads `count` records from the beginning of the given partitions.
pub fn consume(address: SocketAddr, topic: &str, partitions: i32, count: usize) -> Vec<Read> {
    let consumer = consumer(address);
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let begun = Instant::now();
    let mut found = Vec::new();
    while found.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count}", found.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        found.push(Read {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().unwrap_or_default().to_vec(),
        });
    }
    found
}

pub fn admin(address: SocketAddr) -> AdminClient<DefaultClientContext> {
    config(address, &[]).create().unwrap()
}

pub fn create_topic(
    address: SocketAddr,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<(), RDKafkaErrorCode> {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in configs {
        topic = topic.set(key, value);
    }
    let admin = admin(address);
    let pending = admin.create_topics([&topic], &AdminOptions::new());
    let results = futures_executor::block_on(pending).unwrap();
    results[0].clone().map(|_| ()).map_err(|(_, code)| code)
}

pub fn delete_topic(address: SocketAddr, name: &str) -> Result<(), RDKafkaErrorCode> {
    let admin = admin(address);
    let pending = admin.delete_topics(&[name], &AdminOptions::new());
    let results = futures_executor::block_on(pending).unwrap();
    results[0].clone().map(|_| ()).map_err(|(_, code)| code)
}
