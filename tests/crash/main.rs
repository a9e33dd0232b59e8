//! kill -9 of the real process under load: everything acknowledged is there, once and in order.
//!
//! This process starts and kills the broker; a second one, the ledger (`ledger.rs`), produces with more
//! than a hundred requests unanswered and remembers what was promised. Rounds kill at a random moment, at
//! a roll of a segment, and in the recovery after that. The seed is printed; `ONRUSH_SEED` sets it,
//! `ONRUSH_CRASH_ROUNDS` the number of rounds. With `ONRUSH_TEST_BROKER` another broker is produced to and
//! nobody is killed: a check of the ledger itself.
#![allow(unreachable_pub, reason = "the modules of a test are its own")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod ledger;
mod ledger_process;
mod producer;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use onrush_testkit::broker::{Broker, Setup};
use onrush_testkit::client::Client;
use onrush_testkit::random::Random;

use ledger_process::{Down, Ledger, PARTITIONS, TOPIC, UNANSWERED_MIN};

const ROUNDS: u64 = 10;

/// When the broker is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    AnyTime,
    AtARoll,
    InRecovery,
}

fn main() {
    if ledger_process::serve_if_asked() {
        return;
    }
    let seed = Random::seed_of_run();
    println!("crash test: seed {seed}");
    if std::env::var("ONRUSH_TEST_BROKER").is_ok() {
        without_kills(seed);
    } else {
        with_kills(seed);
    }
}

fn without_kills(seed: u64) {
    let broker = Broker::any(env!("CARGO_BIN_EXE_onrush"));
    let topic = format!("{TOPIC}-{}", Random::new(seed).next_u64());
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(&topic, PARTITIONS, &[]);
    Ledger::start(broker.address(), &topic, seed).finish();
}

fn with_kills(seed: u64) {
    let rounds = std::env::var("ONRUSH_CRASH_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |count| count.parse().unwrap());
    let mut random = Random::new(seed);
    let mut broker = Setup::new(env!("CARGO_BIN_EXE_onrush")).start();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "1048576")]);
    let mut ledger = Ledger::start(broker.address(), TOPIC, seed);
    let mut table =
        String::from("round  kill        after ms  unanswered  acknowledged  ready ms\n");
    for round in 1..=rounds {
        let kill = match round % 3 {
            0 => Kill::AnyTime,
            1 => Kill::AtARoll,
            _ => Kill::InRecovery,
        };
        let began = Instant::now();
        ledger.connect();
        wait_for_the_moment(kill, &broker, &mut random);
        let after = began.elapsed().as_millis();
        broker.kill();
        let Down {
            acknowledged,
            unanswered,
            refused,
        } = ledger.down();
        assert_eq!(refused, 0, "this disk does not fail");
        assert!(unanswered >= UNANSWERED_MIN, "only {unanswered} unanswered");
        if matches!(kill, Kill::InRecovery) {
            for _ in 0..random.range(1, 4) {
                broker.spawn();
                std::thread::sleep(Duration::from_micros(random.range(100, 60_000)));
                broker.kill();
            }
        }
        let began = Instant::now();
        broker.start_again();
        let ready = began.elapsed().as_millis();
        let kill = format!("{kill:?}");
        writeln!(
            table,
            "{round:>5}  {kill:<10}  {after:>8}  {unanswered:>10}  {acknowledged:>12}  {ready:>8}"
        )
        .unwrap();
    }
    let (records, retries) = ledger.finish();
    println!("{table}{records} records acknowledged, each there once and in order");
    println!("{retries} requests sent again after a kill");
    let (status, _) = broker.stop();
    assert_eq!(status.code(), Some(0), "{}", broker.output());
}

fn wait_for_the_moment(kill: Kill, broker: &Broker, random: &mut Random) {
    std::thread::sleep(Duration::from_millis(random.range(1, 800)));
    if let Kill::AtARoll = kill {
        let before = ledger_process::segments(&broker.data());
        let began = Instant::now();
        while ledger_process::segments(&broker.data()) == before {
            assert!(began.elapsed() < Duration::from_secs(30), "no roll");
        }
        std::thread::sleep(Duration::from_micros(random.range(0, 3000)));
    }
}
