//! One partition's writer: producers on one connection, and what they were promised.
//!
//! Eight are idempotent, each with as many requests unanswered as Kafka's window of five allows, sent again under
//! the same sequence after a crash. Two are plain: what they had unanswered is never sent again, so it is there
//! once or not at all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use kafka_protocol::messages::ProduceRequest;
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::random::Random;
use onrush_testkit::records;

use crate::ledger::Shared;

const IDEMPOTENT: usize = 8;
const PLAIN: usize = 2;
const PRODUCERS: usize = IDEMPOTENT + PLAIN;
/// Batches of one idempotent producer that a broker remembers.
const WINDOW: usize = 5;
/// Unanswered requests of a plain producer.
const PLAIN_WINDOW: usize = 8;
/// New requests that each producer still sends when finishing, so that its state is used once more.
const LAST_REQUESTS: usize = 20;

/// KAFKA_STORAGE_ERROR.
const STORAGE_ERROR: i16 = 56;

/// A request that may or may not be stored.
#[derive(Clone, Debug)]
struct Request {
    first: u64,
    values: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Producer {
    /// Below 0: a plain one, and only we know it by this.
    id: i64,
    epoch: i16,
    next: u64,
    unanswered: VecDeque<Request>,
    /// Of a plain one: what each life of a connection left unanswered, in the order sent.
    undecided: Vec<Vec<Request>>,
}

impl Producer {
    fn new(id: i64, epoch: i16) -> Self {
        Self {
            id,
            epoch,
            next: 0,
            unanswered: VecDeque::new(),
            undecided: Vec::new(),
        }
    }

    fn is_plain(&self) -> bool {
        self.id < 0
    }

    fn window(&self) -> usize {
        if self.is_plain() {
            PLAIN_WINDOW
        } else {
            WINDOW
        }
    }

    /// A broker keeps the order of a connection and a crash leaves a log's beginning: of the unanswered requests the
    /// first so many are there.
    fn judge_undecided(&self, found: &BTreeSet<u64>) -> Result<(), String> {
        for life in &self.undecided {
            let mut absent = None;
            for request in life {
                let numbers = (request.first..).take(request.values.len());
                let there = numbers.filter(|number| found.contains(number)).count();
                let what = format!("producer {}: unanswered request {}", self.id, request.first);
                if there == 0 {
                    absent.get_or_insert(request.first);
                } else if there < request.values.len() {
                    return Err(format!("{what} is there in part"));
                } else if let Some(absent) = absent {
                    return Err(format!("{what} is there and {absent} before it is not"));
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub struct Writer {
    topic: String,
    partition: i32,
    producers: Vec<Producer>,
    random: Random,
    /// By offset: producer and number of the record.
    promises: BTreeMap<i64, (i64, u64)>,
    /// The same, of all that was ever read: it stays, acknowledged or not.
    read: BTreeMap<i64, (i64, u64)>,
    /// Requests sent again after a crash.
    pub sent_again: u64,
    /// Lives that ended with a refusal.
    pub refused: u64,
}

/// The producer and the number that a record's value carries.
pub fn number_in(value: &[u8]) -> (i64, u64) {
    let text = std::str::from_utf8(value).unwrap();
    let mut parts = text.split(':');
    let mut part = || parts.next().unwrap();
    (part().parse().unwrap(), part().parse().unwrap())
}

impl Writer {
    pub fn new(client: &mut Client, topic: &str, partition: i32, seed: u64) -> Self {
        let mut producers = Vec::new();
        for _ in 0..IDEMPOTENT {
            let (id, epoch) = client.init_producer_id();
            producers.push(Producer::new(id, epoch));
        }
        producers.extend((1..).map(|n| Producer::new(-n, -1)).take(PLAIN));
        Self {
            topic: topic.to_owned(),
            partition,
            producers,
            random: Random::new(seed ^ u64::from(partition.unsigned_abs())),
            promises: BTreeMap::new(),
            read: BTreeMap::new(),
            sent_again: 0,
            refused: 0,
        }
    }

    /// Ids of its idempotent producers.
    pub fn ids(&self) -> impl Iterator<Item = i64> {
        let ids = self.producers.iter().map(|producer| producer.id);
        ids.filter(|id| *id >= 0)
    }

    pub fn partition(&self) -> i32 {
        self.partition
    }

    pub fn acknowledged(&self) -> u64 {
        self.promises.len() as u64
    }

    pub fn unanswered(&self) -> usize {
        self.producers
            .iter()
            .map(|producer| producer.unanswered.len())
            .sum()
    }

    /// One life of a connection: until the broker is gone or, when finishing, all is answered.
    pub fn run(&mut self, address: SocketAddr, shared: &Shared) {
        // The ledger judges before every life, which settles what plain producers had left.
        let plain = self.producers.iter().filter(|p| p.is_plain());
        assert!(plain.map(|p| p.unanswered.len()).sum::<usize>() == 0);
        let Ok(mut client) = Client::connect(address) else {
            return;
        };
        let mut order = VecDeque::new();
        let mut new_left = [usize::MAX; PRODUCERS];
        if shared.finishing.load(Ordering::SeqCst) {
            new_left = [LAST_REQUESTS; PRODUCERS];
        }
        for index in 0..PRODUCERS {
            for request in self.producers[index].unanswered.clone() {
                self.sent_again += 1;
                if self.send(&mut client, index, &request).is_err() {
                    return;
                }
                shared.unanswered.fetch_add(1, Ordering::SeqCst);
                order.push_back(index);
            }
        }
        loop {
            for (index, left) in new_left.iter_mut().enumerate() {
                while *left > 0
                    && self.producers[index].unanswered.len() < self.producers[index].window()
                {
                    *left -= 1;
                    let request = self.new_request(index);
                    self.producers[index].unanswered.push_back(request.clone());
                    if self.send(&mut client, index, &request).is_err() {
                        return;
                    }
                    shared.unanswered.fetch_add(1, Ordering::SeqCst);
                    order.push_back(index);
                }
            }
            let Some(index) = order.pop_front() else {
                return;
            };
            let Ok((_, response)) = client.receive_as::<ProduceRequest>(PRODUCE_VERSION) else {
                return;
            };
            let answer = &response.responses[0].partition_responses[0];
            if answer.error_code == STORAGE_ERROR {
                // No promise; a broker that lost its disk says so and ends.
                self.refused += 1;
                return;
            }
            assert_eq!(answer.error_code, 0, "{answer:?}");
            self.on_answer(index, answer.base_offset);
            shared.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Holds what is in the log, by offset, against what was promised, read and sent.
    pub fn judge(&mut self, found: BTreeMap<i64, (i64, u64)>) -> Result<(), String> {
        for kept in [&self.promises, &self.read] {
            for (offset, (producer, number)) in kept {
                if found.get(offset) != Some(&(*producer, *number)) {
                    return Err(format!(
                        "offset {offset}: record {number} of producer {producer} is lost"
                    ));
                }
            }
        }
        let mut numbers: BTreeMap<i64, BTreeSet<u64>> = BTreeMap::new();
        for (offset, (producer, number)) in &found {
            let before = numbers.entry(*producer).or_default();
            let last = before.last().copied();
            let follows = match last {
                // A plain producer's gaps are judged below.
                Some(last) if *producer < 0 => *number > last,
                None if *producer < 0 => true,
                last => *number == last.map_or(0, |last| last + 1),
            };
            if !follows {
                return Err(format!(
                    "offset {offset}: record {number} of producer {producer} behind {last:?}"
                ));
            }
            before.insert(*number);
        }
        for producer in self.producers.iter_mut().filter(|p| p.is_plain()) {
            let left = std::mem::take(&mut producer.unanswered);
            producer.undecided.push(left.into());
            let found = numbers.entry(producer.id).or_default();
            producer.judge_undecided(found)?;
        }
        self.read = found;
        Ok(())
    }

    fn new_request(&mut self, index: usize) -> Request {
        let count = self.random.range(1, 4);
        let producer = &mut self.producers[index];
        let first = producer.next;
        producer.next += count;
        let values = (first..first + count).map(|number| {
            let padding = usize::try_from(self.random.range(0, 3000)).unwrap();
            format!("{}:{number}:{}", producer.id, "x".repeat(padding)).into_bytes()
        });
        Request {
            first,
            values: values.collect(),
        }
    }

    fn send(&self, client: &mut Client, index: usize, request: &Request) -> std::io::Result<i32> {
        let producer = &self.producers[index];
        let identity = if producer.is_plain() {
            records::NO_PRODUCER
        } else {
            records::Producer {
                id: producer.id,
                epoch: producer.epoch,
                sequence: i32::try_from(request.first).unwrap(),
            }
        };
        let batch = records::batch(identity, &request.values);
        let produce = client::produce_request(&self.topic, self.partition, -1, batch);
        client.send(&produce, PRODUCE_VERSION)
    }

    fn on_answer(&mut self, index: usize, base_offset: i64) {
        let producer = &mut self.producers[index];
        let request = producer.unanswered.pop_front().unwrap();
        assert!(base_offset >= 0, "a promise without an offset");
        for (offset, number) in (base_offset..)
            .zip(request.first..)
            .take(request.values.len())
        {
            let before = self.promises.insert(offset, (producer.id, number));
            assert_eq!(before, None, "offset {offset} was promised twice");
        }
    }
}
