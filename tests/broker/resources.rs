//! An idle broker is quiet and small, and an output that nobody reads stops nothing.

use std::time::{Duration, Instant};

use onrush_testkit::broker::Setup;
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::process;
use onrush_testkit::records::{self, NO_PRODUCER};

use crate::BINARY;

#[test]
fn an_idle_broker_is_quiet_and_small() {
    let broker = Setup::new(BINARY).start();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic("idle", 4, &[]);
    let begun = Instant::now();
    let ticks = process::cpu_ticks(broker.pid());
    // The time itself is what is measured here, nothing is waited for.
    std::thread::sleep(Duration::from_secs(4));
    let used = process::cpu_ticks(broker.pid()) - ticks;
    let hundredths = begun.elapsed().as_millis() / 10;
    let resident = process::resident_bytes(broker.pid());
    println!("idle: {used} of {hundredths} ticks, {} MiB", resident >> 20);
    assert!(
        u128::from(used) * 100 <= hundredths,
        "{used} ticks of {hundredths}"
    );
    assert!(resident < 150_000_000, "{resident} bytes resident");
}

#[test]
fn a_blocked_error_output_delays_no_request() {
    let mut broker = Setup::new(BINARY).start();
    broker.kill();
    broker.spawn_unheard();
    broker.wait_until_ready();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic("unheard", 1, &[]);
    // Each closed connection is worth a line in the log: more than a pipe holds.
    for _ in 0..2000 {
        let mut other = Client::connect(broker.address()).unwrap();
        other.send_bytes(&[0xff; 8]).unwrap();
        assert!(other.is_closed_by_broker());
    }
    let begun = Instant::now();
    for index in 0..50 {
        let batch = records::batch(NO_PRODUCER, &[format!("{index}").into_bytes()]);
        let request = client::produce_request("unheard", 0, -1, batch);
        let response = client.call(&request, PRODUCE_VERSION);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}
