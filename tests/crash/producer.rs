//! One partition's writer: eight idempotent producers on one connection, each with as many requests
//! unanswered as Kafka's window of five allows, sent again under the same sequence after a crash.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use kafka_protocol::messages::ProduceRequest;
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::random::Random;
use onrush_testkit::records;

use crate::ledger::Shared;

const PRODUCERS: usize = 8;
/// Batches of one producer that a broker remembers.
const WINDOW: usize = 5;
/// New requests that each producer still sends when finishing, so that its state is used once more.
const LAST_REQUESTS: usize = 20;

/// A request that may or may not be stored.
#[derive(Clone, Debug)]
struct Request {
    first: u64,
    values: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Producer {
    id: i64,
    epoch: i16,
    next: u64,
    unanswered: VecDeque<Request>,
}

#[derive(Debug)]
pub struct Writer {
    topic: String,
    partition: i32,
    producers: Vec<Producer>,
    random: Random,
    /// By offset: producer and number of the record.
    promises: BTreeMap<i64, (i64, u64)>,
    /// Requests sent again after a crash.
    pub sent_again: u64,
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
        let producers = (0..PRODUCERS).map(|_| {
            let (id, epoch) = client.init_producer_id();
            Producer {
                id,
                epoch,
                next: 0,
                unanswered: VecDeque::new(),
            }
        });
        Self {
            topic: topic.to_owned(),
            partition,
            producers: producers.collect(),
            random: Random::new(seed ^ u64::from(partition.unsigned_abs())),
            promises: BTreeMap::new(),
            sent_again: 0,
        }
    }

    pub fn partition(&self) -> i32 {
        self.partition
    }

    pub fn promises(&self) -> &BTreeMap<i64, (i64, u64)> {
        &self.promises
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
                while *left > 0 && self.producers[index].unanswered.len() < WINDOW {
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
            assert_eq!(answer.error_code, 0, "{answer:?}");
            self.on_answer(index, answer.base_offset);
            shared.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
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
        let batch = records::batch(
            records::Producer {
                id: producer.id,
                epoch: producer.epoch,
                sequence: i32::try_from(request.first).unwrap(),
            },
            &request.values,
        );
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
