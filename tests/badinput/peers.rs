//! Peers that behave badly over time: slow, deaf, greedy, many.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;
use onrush_testkit::client::{self, Client, FETCH_VERSION, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};

use crate::witness::Witness;

#[test]
fn one_byte_at_a_time_is_served_and_holds_nobody_up() {
    let mut witness = Witness::new();
    let mut slow = witness.connect();
    for byte in client::frame(&ApiVersionsRequest::default(), 0, 5) {
        slow.send_bytes(&[byte]).unwrap();
        let begun = Instant::now();
        // The pace of the peer is the input here.
        std::thread::sleep(Duration::from_millis(100));
        witness.is_served();
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    let (id, response) = slow.receive_as::<ApiVersionsRequest>(0).unwrap();
    assert_eq!((id, response.error_code), (5, 0));
    witness.finish();
}

#[test]
fn claimed_lengths_take_no_memory() {
    let mut witness = Witness::new();
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut peer = witness.connect();
        let claimed = 99 * 1024 * 1024_u32;
        peer.send_bytes(&claimed.to_be_bytes()).unwrap();
        peer.send_bytes(&[0, 18, 0, 0, 0, 0, 0, 1]).unwrap();
        peers.push(peer);
    }
    witness.is_served();
    witness.assert_not_grown();
    drop(peers);
    witness.finish();
}

#[test]
fn a_peer_that_never_reads_is_held_back() {
    let mut witness = Witness::new();
    let value = vec![b'v'; 500_000];
    for _ in 0..4 {
        let batch = records::batch(NO_PRODUCER, std::slice::from_ref(&value));
        let mut writer = witness.connect();
        let topic = format!("{}-deaf", witness.topic());
        create_once(&mut writer, &topic);
        let request = client::produce_request(&topic, 0, -1, batch);
        let response = writer.call(&request, PRODUCE_VERSION);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    let topic = format!("{}-deaf", witness.topic());
    let request = client::fetch_request(&topic, 0, 0);
    let frame = client::frame(&request, FETCH_VERSION, 1);
    let mut deaf: Vec<TcpStream> = Vec::new();
    for _ in 0..8 {
        let peer = witness.connect();
        let mut stream = peer.stream().try_clone().unwrap();
        stream.set_nonblocking(true).unwrap();
        // Two gigabytes of answers, or until nobody reads the requests any more.
        for _ in 0..1000 {
            if stream.write(&frame).is_err() {
                break;
            }
        }
        deaf.push(stream);
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        witness.is_served();
        witness.assert_not_grown();
    }
    drop(deaf);
    witness.finish();
}

fn create_once(client: &mut Client, topic: &str) {
    use kafka_protocol::messages::MetadataRequest;
    let all = client.call(&MetadataRequest::default().with_topics(None), 12);
    let name = client::topic_name(topic);
    if !all
        .topics
        .iter()
        .any(|found| found.name.as_ref() == Some(&name))
    {
        client.create_topic(topic, 1, &[]);
    }
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let witness = Witness::new();
    let mut peer = witness.connect();
    let mut bytes = Vec::new();
    for id in 0..1000 {
        bytes.extend_from_slice(&client::frame(&ApiVersionsRequest::default(), 0, id));
    }
    peer.send_bytes(&bytes).unwrap();
    for id in 0..1000 {
        let (found, response) = peer.receive_as::<ApiVersionsRequest>(0).unwrap();
        assert_eq!((found, response.error_code), (id, 0));
    }
    witness.finish();
}

#[test]
fn many_connections_come_and_go() {
    let mut witness = Witness::new();
    for _ in 0..10 {
        let mut peers: Vec<Client> = (0..100).map(|_| witness.connect()).collect();
        for peer in &mut peers {
            assert_eq!(peer.call(&ApiVersionsRequest::default(), 0).error_code, 0);
        }
        witness.is_served();
    }
    // Without a word, and in the middle of one.
    for index in 0..1000 {
        let mut peer = witness.connect();
        if index % 2 == 0 {
            peer.send_bytes(&[0, 0]).unwrap();
        }
    }
    witness.finish();
}
