//! The ends of a process: SIGTERM is orderly, kill -9 loses nothing acknowledged.

use std::time::Duration;

use onrush_testkit::broker::Setup;
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};

use crate::BINARY;

const TOPIC: &str = "survivor";

fn produce(client: &mut Client, from: usize, to: usize) {
    for index in from..to {
        let value = format!("value {index}").into_bytes();
        let batch = records::batch(NO_PRODUCER, &[value]);
        let request = client::produce_request(TOPIC, 0, -1, batch);
        let response = client.call(&request, PRODUCE_VERSION);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
}

fn assert_stored(client: &mut Client, count: usize) {
    let batches = client.fetch_all(TOPIC, 0, 0);
    let found: Vec<_> = batches.iter().flat_map(records::values).collect();
    assert_eq!(found.len(), count);
    for (index, (offset, value)) in found.iter().enumerate() {
        assert_eq!(*offset, i64::try_from(index).unwrap());
        assert_eq!(value, format!("value {index}").as_bytes());
    }
}

#[test]
fn sigterm_ends_in_time_with_clean_markers() {
    let mut broker = Setup::new(BINARY).start();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(TOPIC, 1, &[]);
    produce(&mut client, 0, 20);
    let (status, took) = broker.stop();
    assert_eq!(status.code(), Some(0), "{}", broker.output());
    assert!(took < Duration::from_secs(5), "took {took:?}");
    assert!(broker.data().join(".kafka_cleanshutdown").exists());
    broker.start_again();
    let mut client = Client::connect(broker.address()).unwrap();
    assert_stored(&mut client, 20);
    assert!(!broker.data().join(".kafka_cleanshutdown").exists());
}

#[test]
fn sigterm_with_a_parked_fetch_ends_in_time() {
    let mut broker = Setup::new(BINARY).start();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(TOPIC, 1, &[]);
    let request = client::fetch_request(TOPIC, 0, 0)
        .with_min_bytes(1)
        .with_max_wait_ms(60_000);
    client.send(&request, client::FETCH_VERSION).unwrap();
    let (status, took) = broker.stop();
    assert_eq!(status.code(), Some(0), "{}", broker.output());
    assert!(took < Duration::from_secs(5), "took {took:?}");
}

#[test]
fn kill_and_start_again_keeps_everything_acknowledged() {
    let mut broker = Setup::new(BINARY).start();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(TOPIC, 1, &[]);
    for round in 0..3 {
        produce(&mut client, round * 30, round * 30 + 30);
        broker.kill();
        broker.start_again();
        client = Client::connect(broker.address()).unwrap();
        assert_stored(&mut client, round * 30 + 30);
    }
}

#[test]
fn identity_survives_restarts() {
    let mut broker = Setup::new(BINARY).start();
    let cluster = |client: &mut Client| {
        let request = kafka_protocol::messages::DescribeClusterRequest::default();
        client.call(&request, 1).cluster_id
    };
    let mut client = Client::connect(broker.address()).unwrap();
    let before = cluster(&mut client);
    client.create_topic("kept", 3, &[]);
    broker.kill();
    broker.start_again();
    let mut client = Client::connect(broker.address()).unwrap();
    assert_eq!(cluster(&mut client), before);
    let request = kafka_protocol::messages::MetadataRequest::default().with_topics(None);
    let response = client.call(&request, 12);
    assert_eq!(response.topics.len(), 1);
    assert_eq!(response.topics[0].partitions.len(), 3);
}
