//! A light load for measuring shards: whole frames prepared once, answers looked at no further than their error code.
//!
//! ```text
//! scale create  ADDRESS TOPIC PARTITIONS DURABILITY
//! scale produce ADDRESS TOPIC PARTITIONS THREADS CONNECTIONS IN_FLIGHT BYTES SECONDS PID
//! scale fetch   ADDRESS TOPIC PARTITIONS THREADS CONNECTIONS IN_FLIGHT BYTES SECONDS PID
//! scale owner   ADDRESS TOPIC CONNECTIONS ROUNDS
//! ```
//!
//! `produce` and `fetch` print requests and bytes per second and the CPU time of process PID, over SECONDS after a warm-up of a
//! quarter as long. Each thread serves its connections in turn, IN_FLIGHT requests on each; every connection uses all partitions in turn.
//!
//! `owner` sends one request after the other to partitions 0 and 1 of a topic, which two shards own, over many connections. On each
//! connection one of the two is local and the other one remote: half of the rounds say which, the other half is measured.
//!
//! Written against the protocol crate alone, like the tests' kit that it uses. Absent: any rate but the highest.
#![allow(
    clippy::print_stdout,
    reason = "its results are for the script that started it"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on says where and ends"
)]

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use onrush_testkit::client::{Client, fetch_request, frame, produce_request};
use onrush_testkit::process::cpu_ticks;
use onrush_testkit::records::{NO_PRODUCER, batch};

/// Versions without flexible fields: the error code stands at a fixed place.
const PRODUCE_VERSION: i16 = 7;
const FETCH_VERSION: i16 = 7;
/// Record values of large batches; small ones are one record.
const RECORD_BYTES: usize = 1024;

/// What is sent, and where its answer says that it went well.
struct Plan {
    /// One frame for each partition.
    frames: Vec<Bytes>,
    error_at: usize,
}

impl Plan {
    fn produce(topic: &str, partitions: i32, bytes: usize) -> Self {
        let value = vec![b'x'; bytes.min(RECORD_BYTES)];
        let values = vec![value; bytes.div_ceil(RECORD_BYTES)];
        let records = batch(NO_PRODUCER, &values);
        let frames = (0..partitions).map(|partition| {
            let request = produce_request(topic, partition, -1, records.clone());
            frame(&request, PRODUCE_VERSION, 1)
        });
        Self {
            frames: frames.collect(),
            // Correlation id, number of topics, name, number of partitions, index.
            error_at: 4 + 4 + 2 + topic.len() + 4 + 4,
        }
    }

    fn fetch(topic: &str, partitions: i32, bytes: usize) -> Self {
        let bytes_max = i32::try_from(bytes).unwrap();
        let frames = (0..partitions).map(|partition| {
            let mut request = fetch_request(topic, partition, 0).with_max_bytes(bytes_max);
            request.topics[0].partitions[0].partition_max_bytes = bytes_max;
            frame(&request, FETCH_VERSION, 1)
        });
        Self {
            frames: frames.collect(),
            // Correlation id, throttle time, error code, session id, number of topics, name, number of partitions, index.
            error_at: 4 + 4 + 2 + 4 + 4 + 2 + topic.len() + 4 + 4,
        }
    }
}

/// A connection with its answers' buffer.
struct Conn {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    scratch: Vec<u8>,
    next: usize,
}

impl Conn {
    fn new(address: SocketAddr, first: usize) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let answers = BufReader::with_capacity(64 * 1024, stream.try_clone().unwrap());
        Self {
            stream,
            answers,
            scratch: Vec::new(),
            next: first,
        }
    }

    fn send(&mut self, plan: &Plan) {
        let frame = &plan.frames[self.next % plan.frames.len()];
        self.next += 1;
        self.stream.write_all(frame).unwrap();
    }

    /// Takes one answer; returns its bytes.
    fn take(&mut self, plan: &Plan) -> u64 {
        let mut length = [0; 4];
        self.answers.read_exact(&mut length).unwrap();
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        self.scratch.resize(length, 0);
        self.answers.read_exact(&mut self.scratch).unwrap();
        let code = &self.scratch[plan.error_at..plan.error_at + 2];
        assert_eq!(code, [0, 0], "the broker refused a request");
        length as u64
    }
}

/// What the threads have done so far.
#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    received: AtomicU64,
    stop: AtomicBool,
}

fn serve(mut conns: Vec<Conn>, plan: &Plan, in_flight: usize, counts: &Counts) {
    for conn in &mut conns {
        for _ in 0..in_flight {
            conn.send(plan);
        }
    }
    while !counts.stop.load(Ordering::Relaxed) {
        for conn in &mut conns {
            let received = conn.take(plan);
            conn.send(plan);
            counts.requests.fetch_add(1, Ordering::Relaxed);
            counts.received.fetch_add(received, Ordering::Relaxed);
        }
    }
}

fn load(address: SocketAddr, kind: &str, args: &[String]) {
    let topic = &args[0];
    let number = |at: usize| args[at].parse::<usize>().unwrap();
    let (partitions, threads, connections) = (number(1), number(2), number(3));
    let (in_flight, bytes, seconds) = (number(4), number(5), number(6));
    let pid: u32 = args[7].parse().unwrap();
    let count = i32::try_from(partitions).unwrap();
    let plan = if kind == "produce" {
        Plan::produce(topic, count, bytes)
    } else {
        Plan::fetch(topic, count, bytes)
    };
    let counts = Counts::default();
    thread::scope(|scope| {
        for thread in 0..threads {
            let mine = (thread..connections).step_by(threads);
            let conns: Vec<Conn> = mine.map(|n| Conn::new(address, n)).collect();
            let (plan, counts) = (&plan, &counts);
            scope.spawn(move || serve(conns, plan, in_flight, counts));
        }
        let window = Duration::from_secs(seconds as u64);
        thread::sleep(window / 4);
        let look = || {
            (
                Instant::now(),
                counts.requests.load(Ordering::Relaxed),
                counts.received.load(Ordering::Relaxed),
                cpu_ticks(pid),
            )
        };
        let before = look();
        thread::sleep(window);
        let after = look();
        counts.stop.store(true, Ordering::Relaxed);
        let elapsed = (after.0 - before.0).as_micros();
        let requests = after.1 - before.1;
        let sent = requests * if kind == "produce" { bytes as u64 } else { 0 };
        let moved = sent.max(after.2 - before.2);
        println!(
            "requests={requests} bytes={moved} micros={elapsed} cpu_micros={}",
            (after.3 - before.3) * 10_000
        );
    });
}

fn median(values: &mut [Duration]) -> f64 {
    values.sort_unstable();
    values[values.len() / 2].as_secs_f64() * 1e6
}

/// Median times of requests to partition 0 and 1, in µs, taken in turn.
fn rounds(conn: &mut Conn, plan: &Plan, count: usize) -> [f64; 2] {
    let mut times = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for _ in 0..count {
        for (partition, times) in times.iter_mut().enumerate() {
            conn.next = partition;
            let begun = Instant::now();
            conn.send(plan);
            conn.take(plan);
            times.push(begun.elapsed());
        }
    }
    times.map(|mut times| median(&mut times))
}

fn owner(address: SocketAddr, args: &[String]) {
    let topic = &args[0];
    let connections: usize = args[1].parse().unwrap();
    let count: usize = args[2].parse().unwrap();
    // The fetch is of the first batch, which is there once the produces are.
    let kinds = [
        ("produce", Plan::produce(topic, 2, 100)),
        ("fetch", Plan::fetch(topic, 2, 100)),
    ];
    let mut conns: Vec<Conn> = (0..connections).map(|_| Conn::new(address, 0)).collect();
    for (kind, plan) in kinds {
        let (mut local, mut remote, mut zero_is_local) = (Vec::new(), Vec::new(), 0);
        for conn in &mut conns {
            let first = rounds(conn, &plan, count / 2);
            let near = usize::from(first[1] < first[0]);
            zero_is_local += usize::from(near == 0);
            let second = rounds(conn, &plan, count / 2);
            local.push(Duration::from_secs_f64(second[near] / 1e6));
            remote.push(Duration::from_secs_f64(second[1 - near] / 1e6));
        }
        println!(
            "kind={kind} local={:.1} remote={:.1} connections={connections} first_shard={zero_is_local}",
            median(&mut local),
            median(&mut remote)
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, address, rest @ ..] = &args[..] else {
        panic!("what and an address: see the head of this file");
    };
    let address: SocketAddr = address.parse().unwrap();
    match what.as_str() {
        "create" => Client::connect(address).unwrap().create_topic(
            &rest[0],
            rest[1].parse().unwrap(),
            &[("onrush.durability", rest[2].as_str())],
        ),
        "produce" | "fetch" => load(address, what, rest),
        "owner" => owner(address, rest),
        other => panic!("{other}: see the head of this file"),
    }
}
