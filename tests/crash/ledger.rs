//! The ledger: produces to every partition, remembers each promise, and checks them all.
//!
//! Commands on stdin, answers on stdout: `connect` → `running` once enough is unanswered, then
//! `down <records acknowledged> <requests unanswered>` when the broker is gone; `finish` → what is
//! unanswered is sent again and settled, everything is read back, `verified <records> <requests sent again>`.
//! Each command begins by reading back what was promised so far.

use std::collections::BTreeMap;
use std::io::stdin;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use onrush_testkit::client::Client;
use onrush_testkit::records;

use crate::PARTITIONS;
use crate::producer::{Writer, number_in};

/// `running` is said when so many requests are unanswered.
const UNANSWERED_BEFORE_RUNNING: u64 = 120;

/// What the threads of the writers share with the main one.
#[derive(Default)]
pub struct Shared {
    /// Requests sent and not answered.
    pub unanswered: AtomicU64,
    /// No more new requests.
    pub finishing: AtomicBool,
}

pub fn serve(address: SocketAddr, topic: &str, seed: u64) {
    let shared = Arc::new(Shared::default());
    let mut client = Client::connect(address).unwrap();
    let mut writers: Vec<Writer> = (0..PARTITIONS)
        .map(|partition| Writer::new(&mut client, topic, partition, seed))
        .collect();
    drop(client);
    for command in stdin().lines() {
        let finish = match command.unwrap().as_str() {
            "connect" => false,
            "finish" => true,
            other => panic!("no such command: {other}"),
        };
        verify(address, topic, &writers);
        shared.finishing.store(finish, Ordering::SeqCst);
        writers = run_all(writers, address, &shared);
        let acknowledged: u64 = writers.iter().map(Writer::acknowledged).sum();
        let unanswered: usize = writers.iter().map(Writer::unanswered).sum();
        if finish {
            assert_eq!(unanswered, 0, "the broker went away");
            verify(address, topic, &writers);
            let again: u64 = writers.iter().map(|writer| writer.sent_again).sum();
            println!("verified {acknowledged} {again}");
            return;
        }
        println!("down {acknowledged} {unanswered}");
    }
}

/// Runs every writer on a thread of its own until it ends: with its broker or, when finishing, with
/// its last answer.
fn run_all(writers: Vec<Writer>, address: SocketAddr, shared: &Arc<Shared>) -> Vec<Writer> {
    shared.unanswered.store(0, Ordering::SeqCst);
    let threads: Vec<_> = writers
        .into_iter()
        .map(|mut writer| {
            let shared = Arc::clone(shared);
            thread::spawn(move || {
                writer.run(address, &shared);
                writer
            })
        })
        .collect();
    if !shared.finishing.load(Ordering::SeqCst) {
        while shared.unanswered.load(Ordering::SeqCst) < UNANSWERED_BEFORE_RUNNING {
            thread::yield_now();
        }
        println!("running");
    }
    let ended = threads.into_iter().map(|thread| thread.join().unwrap());
    ended.collect()
}

/// Reads everything back: offsets without gap, each producer's records once and in order, each
/// acknowledged one at the offset that was promised.
fn verify(address: SocketAddr, topic: &str, writers: &[Writer]) {
    let mut client = Client::connect(address).unwrap();
    for writer in writers {
        let partition = writer.partition();
        let mut next: BTreeMap<i64, u64> = BTreeMap::new();
        let mut found: BTreeMap<i64, (i64, u64)> = BTreeMap::new();
        let mut end = 0;
        for bytes in client.fetch_all(topic, partition, 0) {
            for (offset, value) in records::values(&bytes) {
                let (producer, number) = number_in(&value);
                assert_eq!(
                    offset, end,
                    "partition {partition}: a gap or a repeated offset"
                );
                end += 1;
                let expected = next.entry(producer).or_default();
                assert_eq!(
                    number, *expected,
                    "partition {partition} offset {offset}: lost or twice"
                );
                *expected += 1;
                found.insert(offset, (producer, number));
            }
        }
        for (offset, promise) in writer.promises() {
            let there = found.get(offset);
            assert_eq!(
                there,
                Some(promise),
                "partition {partition} offset {offset}: not as promised"
            );
        }
    }
}
