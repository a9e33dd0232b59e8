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
mod producer;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use onrush_testkit::broker::{Broker, Setup};
use onrush_testkit::client::Client;
use onrush_testkit::random::Random;

const ROUNDS: u64 = 10;
/// Unanswered requests at the moment of a kill, at least.
const UNANSWERED_MIN: u64 = 100;
const TOPIC: &str = "ledger";
pub const PARTITIONS: i32 = 4;

/// When the broker is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    AnyTime,
    AtARoll,
    InRecovery,
}

/// The ledger's process: a command in, an answer out.
struct Ledger {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Ledger {
    fn start(broker: &Broker, topic: &str, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["ledger", &broker.address().to_string(), topic])
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            commands: child.stdin.take().unwrap(),
            answers,
            child,
        }
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    /// The numbers of its next answer, which must begin with `word`.
    fn expect(&mut self, word: &str) -> Vec<u64> {
        let line = self.answers.next().expect("the ledger lives").unwrap();
        let mut parts = line.split(' ');
        assert_eq!(parts.next(), Some(word), "the ledger says: {line}");
        parts.map(|part| part.parse().unwrap()).collect()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "ledger") {
        let address = arguments[2].parse().unwrap();
        ledger::serve(address, &arguments[3], arguments[4].parse().unwrap());
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
    let mut ledger = Ledger::start(&broker, &topic, seed);
    finish(&mut ledger);
}

fn with_kills(seed: u64) {
    let rounds = std::env::var("ONRUSH_CRASH_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |count| count.parse().unwrap());
    let mut random = Random::new(seed);
    let mut broker = Setup::new(env!("CARGO_BIN_EXE_onrush")).start();
    let mut client = Client::connect(broker.address()).unwrap();
    client.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "1048576")]);
    let mut ledger = Ledger::start(&broker, TOPIC, seed);
    let mut table =
        String::from("round  kill        after ms  unanswered  acknowledged  ready ms\n");
    for round in 1..=rounds {
        let kill = match round % 3 {
            0 => Kill::AnyTime,
            1 => Kill::AtARoll,
            _ => Kill::InRecovery,
        };
        let began = Instant::now();
        ledger.tell("connect");
        ledger.expect("running");
        wait_for_the_moment(kill, &broker, &mut random);
        let after = began.elapsed().as_millis();
        broker.kill();
        let numbers = ledger.expect("down");
        let (acknowledged, unanswered) = (numbers[0], numbers[1]);
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
    let (records, retries) = finish(&mut ledger);
    println!("{table}{records} records acknowledged, each there once and in order");
    println!("{retries} requests sent again after a kill");
    let (status, _) = broker.stop();
    assert_eq!(status.code(), Some(0), "{}", broker.output());
}

fn finish(ledger: &mut Ledger) -> (u64, u64) {
    ledger.tell("finish");
    let numbers = ledger.expect("verified");
    println!("ledger: {} records verified", numbers[0]);
    (numbers[0], numbers[1])
}

fn wait_for_the_moment(kill: Kill, broker: &Broker, random: &mut Random) {
    std::thread::sleep(Duration::from_millis(random.range(1, 800)));
    if let Kill::AtARoll = kill {
        let before = segments(&broker.data());
        let began = Instant::now();
        while segments(&broker.data()) == before {
            assert!(began.elapsed() < Duration::from_secs(30), "no roll");
        }
        std::thread::sleep(Duration::from_micros(random.range(0, 3000)));
    }
}

/// How many segment files the topic has.
fn segments(data: &Path) -> usize {
    let partitions = (0..PARTITIONS).map(|index| data.join(format!("{TOPIC}-{index}")));
    let files = partitions.flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            Path::new(&name).extension().is_some_and(|ext| ext == "log")
        })
        .count()
}
