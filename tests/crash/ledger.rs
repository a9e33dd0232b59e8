//! The ledger: produces to every partition, remembers each promise, and checks them all.
//!
//! Commands on stdin, answers on stdout: `connect` → `running` once enough is unanswered, then
//! `down <records acknowledged> <requests unanswered> <refusals>` when the broker is gone; `finish` → what is
//! unanswered is sent again and settled, everything is read back, `verified <records> <requests sent again>`.
//! Each command begins by reading back what was promised so far; if it is not there the
//! answer is `broken` and how, and the ledger ends.
//!
//! What is checked: offsets without a gap; each record once and in its producer's order; each acknowledged one,
//! and each that was read before, at its offset; of a plain producer's unanswered requests (which nobody sends
//! again) the first so many, each whole; no producer id given out twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::stdin;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use onrush_testkit::client::Client;
use onrush_testkit::records;

use crate::ledger_process::PARTITIONS;
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
    let mut ids: BTreeSet<i64> = writers.iter().flat_map(Writer::ids).collect();
    for command in stdin().lines() {
        let command = command.unwrap();
        if let Err(broken) = verify(address, topic, &mut writers, &mut ids) {
            println!("broken {broken}");
            return;
        }
        let finish = match command.as_str() {
            "connect" => false,
            "finish" => true,
            other => panic!("no such command: {other}"),
        };
        shared.finishing.store(finish, Ordering::SeqCst);
        writers = run_all(writers, address, &shared);
        let acknowledged: u64 = writers.iter().map(Writer::acknowledged).sum();
        let unanswered: usize = writers.iter().map(Writer::unanswered).sum();
        if finish {
            assert_eq!(unanswered, 0, "the broker went away");
            let again: u64 = writers.iter().map(|writer| writer.sent_again).sum();
            match verify(address, topic, &mut writers, &mut ids) {
                Ok(()) => println!("verified {acknowledged} {again}"),
                Err(broken) => println!("broken {broken}"),
            }
            return;
        }
        let refused: u64 = writers.iter().map(|writer| writer.refused).sum();
        println!("down {acknowledged} {unanswered} {refused}");
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

/// Reads everything back and says what is not as the head of this file has it.
fn verify(
    address: SocketAddr,
    topic: &str,
    writers: &mut [Writer],
    ids: &mut BTreeSet<i64>,
) -> Result<(), String> {
    let mut client = Client::connect(address).unwrap();
    let (id, _) = client.init_producer_id();
    if !ids.insert(id) {
        return Err(format!("producer id {id} was given out before"));
    }
    for writer in writers {
        let partition = writer.partition();
        let mut found = BTreeMap::new();
        for bytes in client.fetch_all(topic, partition, 0) {
            for (offset, value) in records::values(&bytes) {
                if offset != i64::try_from(found.len()).unwrap() {
                    return Err(format!(
                        "partition {partition} offset {offset}: behind a gap, or repeated"
                    ));
                }
                found.insert(offset, number_in(&value));
            }
        }
        let judged = writer.judge(found);
        judged.map_err(|broken| format!("partition {partition} {broken}"))?;
    }
    Ok(())
}
