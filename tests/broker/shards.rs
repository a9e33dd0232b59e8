//! One shard, several, more than CPUs: the same to clients, over the same directory; limits and faults of the whole process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;
use onrush_testkit::broker::{Broker, Setup};
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};
use tempfile::TempDir;

use crate::BINARY;

const TOPIC: &str = "spread";
const PARTITIONS: i32 = 6;
/// So many that each of five shards has one: the kernel spreads them by a hash.
const CLIENTS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(30);

fn shards(count: usize) -> Setup {
    Setup::new(BINARY).set(&format!("onrush.shards={count}"))
}

fn clients(address: SocketAddr) -> Vec<Client> {
    (0..CLIENTS)
        .map(|_| Client::connect(address).unwrap())
        .collect()
}

/// Every client sends a record to every partition; what was sent is added to `all`.
fn produce(clients: &mut [Client], round: usize, all: &mut BTreeMap<i32, Vec<String>>) {
    for (index, client) in clients.iter_mut().enumerate() {
        for partition in 0..PARTITIONS {
            let value = format!("round {round} client {index} to {partition}");
            let batch = records::batch(NO_PRODUCER, &[value.clone().into_bytes()]);
            let request = client::produce_request(TOPIC, partition, -1, batch);
            let response = client.call(&request, PRODUCE_VERSION);
            let answer = &response.responses[0].partition_responses[0];
            let sent = all.entry(partition).or_default();
            let expected = i64::try_from(sent.len()).unwrap();
            assert_eq!((answer.error_code, answer.base_offset), (0, expected));
            sent.push(value);
        }
    }
}

/// Some clients read everything, and find it once and in order.
fn check(clients: &mut [Client], all: &BTreeMap<i32, Vec<String>>) {
    for client in clients.iter_mut().step_by(5) {
        for (partition, sent) in all {
            let batches = client.fetch_all(TOPIC, *partition, 0);
            let found = batches.iter().flat_map(records::values);
            let found: Vec<_> = found.map(|(_, value)| value).collect();
            assert!(found == *sent, "partition {partition}");
        }
    }
}

fn serves(count: usize) {
    let broker = shards(count).start();
    let mut clients = clients(broker.address());
    clients[0].create_topic(TOPIC, PARTITIONS, &[]);
    let mut all = BTreeMap::new();
    for round in 0..3 {
        produce(&mut clients, round, &mut all);
    }
    check(&mut clients, &all);
    let output = broker.output();
    let plural = if count == 1 { "" } else { "s" };
    assert!(
        output.contains(&format!("{count} shard{plural} (")),
        "{output}"
    );
}

#[test]
fn one_shard_serves_all_partitions() {
    serves(1);
}

#[test]
fn two_shards_serve_all_partitions() {
    serves(2);
}

#[test]
fn more_shards_than_cpus_serve_all_partitions() {
    serves(5);
}

#[test]
fn another_number_of_shards_finds_everything() {
    let mut broker = shards(1).start();
    let mut connected = clients(broker.address());
    connected[0].create_topic(TOPIC, PARTITIONS, &[]);
    let mut all = BTreeMap::new();
    produce(&mut connected, 1, &mut all);
    for (round, count, orderly) in [(2, 3, true), (3, 2, false), (4, 5, true), (5, 1, false)] {
        if orderly {
            let (status, _) = broker.stop();
            assert_eq!(status.code(), Some(0), "{}", broker.output());
            assert!(broker.data().join(".kafka_cleanshutdown").exists());
        } else {
            broker.kill();
        }
        let setup = broker.setup();
        *setup = setup.clone().set(&format!("onrush.shards={count}"));
        broker.start_again();
        let mut connected = clients(broker.address());
        check(&mut connected, &all);
        produce(&mut connected, round, &mut all);
        check(&mut connected, &all);
    }
}

#[test]
fn a_process_on_one_cpu_has_one_shard() {
    let cpus = affinity::get_thread_affinity().unwrap();
    let everywhere = Setup::new(BINARY).start();
    let expected = if cpus.len() == 1 {
        "1 shard (the only CPU) of 1 CPU".to_owned()
    } else {
        format!("{0} shards (CPU", cpus.len())
    };
    assert!(
        everywhere.output().contains(&expected),
        "{}",
        everywhere.output()
    );
    // What taskset does: the process inherits it.
    let confined = std::thread::spawn(move || {
        affinity::set_thread_affinity([cpus[0]]).unwrap();
        Setup::new(BINARY).start()
    });
    let output = confined.join().unwrap().output();
    assert!(
        output.contains("1 shard (the only CPU) of 1 CPU"),
        "{output}"
    );
}

#[test]
fn a_port_in_use_is_refused_by_several_shards_too() {
    let broker = shards(3).start();
    let dir = TempDir::new().unwrap();
    let refusal = shards(3).port(broker.address().port()).refuse(dir.path());
    assert!(!refusal.status.success(), "{refusal:?}");
    assert!(refusal.output.contains("port in use"), "{refusal:?}");
    assert!(
        Client::connect(broker.address())
            .and_then(|mut client| client.try_call(&ApiVersionsRequest::default(), 0))
            .is_ok()
    );
}

/// Waits for a line of the log, which a thread of its own writes.
fn wait_for(broker: &Broker, says: &str) {
    let begun = Instant::now();
    while !broker.output().contains(says) {
        assert!(begun.elapsed() < PATIENCE, "{}", broker.output());
        std::thread::yield_now();
    }
}

/// Opens connections until so many are served; never may there be more. Returns them.
fn fill(broker: &Broker, most: usize) -> Vec<Client> {
    let begun = Instant::now();
    let mut served = Vec::new();
    let mut refused = 0;
    // A connection of the start may still be counted.
    while served.len() < most || refused < 10 {
        assert!(begun.elapsed() < PATIENCE, "{} served", served.len());
        let mut client = Client::connect(broker.address()).unwrap();
        match client.try_call(&ApiVersionsRequest::default(), 0) {
            Ok(_) => served.push(client),
            Err(_) => refused += 1,
        }
        assert!(served.len() <= most, "one too many");
    }
    served
}

#[test]
fn limits_of_connections_are_exact_over_all_shards() {
    for (setting, most, says) in [
        ("max.connections=7", 7, "max.connections is reached"),
        (
            "max.connections.per.ip=6",
            6,
            "max.connections.per.ip is reached",
        ),
        (
            "max.connections.per.ip.overrides=10.1.2.3:1,127.0.0.1:5",
            5,
            "max.connections.per.ip is reached",
        ),
    ] {
        let broker = shards(3).set(setting).start();
        let mut served = fill(&broker, most);
        wait_for(&broker, says);
        // Each that goes makes room for one.
        served.truncate(most - 2);
        let more = fill(&broker, 2);
        assert_eq!(more.len() + served.len(), most);
        for client in &mut served {
            client.call(&ApiVersionsRequest::default(), 0);
        }
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_shard_that_panics_ends_the_process_at_once() {
    let mut broker = shards(3).start();
    let mut connected = clients(broker.address());
    connected[0].create_topic(TOPIC, PARTITIONS, &[]);
    let mut all = BTreeMap::new();
    produce(&mut connected, 1, &mut all);
    broker.kill();
    let plain = broker.setup().clone();
    *broker.setup() = plain.clone().env("ONRUSH_FAULT_PANIC", "shard-2:opened");
    broker.spawn();
    let begun = Instant::now();
    while broker.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "it lives on");
        // Refused before it listens and after it ended.
        drop(Client::connect(broker.address()));
    }
    assert!(
        broker.output().contains("the broker ends at once"),
        "{}",
        broker.output()
    );
    *broker.setup() = plain;
    broker.start_again();
    check(&mut clients(broker.address()), &all);
}

#[cfg(debug_assertions)]
#[test]
fn a_broker_that_dies_again_and_again_stays_down() {
    let dir = TempDir::new().unwrap();
    let setup = shards(2).set("onrush.crash.loop.limit=5");
    let dying = setup.clone().env("ONRUSH_FAULT_PANIC", "shard-2:ready");
    for _ in 0..5 {
        let refusal = dying.refuse(dir.path());
        assert!(refusal.status.signal().is_some(), "{refusal:?}");
    }
    let refusal = setup.refuse(dir.path());
    assert_eq!(refusal.status.code(), Some(70), "{refusal:?}");
    assert!(refusal.output.contains("died 5 times"), "{refusal:?}");
    // What the sentence says helps, once.
    std::fs::remove_file(dir.path().join("data/.onrush_starts")).unwrap();
    let refusal = dying.refuse(dir.path());
    assert!(refusal.status.signal().is_some(), "{refusal:?}");
}

#[test]
fn kills_count_and_an_orderly_stop_begins_anew() {
    let mut broker = Setup::new(BINARY).set("onrush.crash.loop.limit=2").start();
    broker.kill();
    broker.start_again();
    let (status, _) = broker.stop();
    assert_eq!(status.code(), Some(0), "{}", broker.output());
    for _ in 0..2 {
        broker.start_again();
        broker.kill();
    }
    broker.spawn();
    assert!(!broker.became_ready(), "it has died twice");
    assert!(
        broker.output().contains("died 2 times"),
        "{}",
        broker.output()
    );
}
