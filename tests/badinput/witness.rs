//! A broker under bad input, and a connection that must be served all the while.

use std::net::Shutdown;

use kafka_protocol::messages::{ApiVersionsRequest, ProduceRequest};
use onrush_testkit::broker::Broker;
use onrush_testkit::client::{self, Client, PRODUCE_VERSION};
use onrush_testkit::records::{self, NO_PRODUCER};

/// What a broker may grow by while a test runs: its pools fill on first use, bad input adds nothing.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// The broker and its good client.
pub struct Witness {
    broker: Broker,
    client: Client,
    topic: String,
    produced: i64,
    resident_before: Option<u64>,
}

/// How the broker met a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Closed,
}

impl Witness {
    pub fn new() -> Self {
        let broker = Broker::any(env!("CARGO_BIN_EXE_onrush"));
        let mut client = Client::connect(broker.address()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let topic = format!("witness-{}", now.unwrap().as_nanos());
        client.create_topic(&topic, 1, &[]);
        let mut witness = Self {
            resident_before: None,
            broker,
            client,
            topic,
            produced: 0,
        };
        for _ in 0..20 {
            witness.is_served();
        }
        witness.resident_before = witness.broker.resident_bytes();
        witness
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.broker.address()).unwrap()
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The good connection is still the same and served.
    pub fn is_served(&mut self) {
        let batch = records::batch(NO_PRODUCER, &[vec![b'w'; 100]]);
        let request = client::produce_request(&self.topic, 0, -1, batch);
        let response = self
            .client
            .call::<ProduceRequest>(&request, PRODUCE_VERSION);
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, self.produced));
        self.produced += 1;
    }

    /// The end of every test: served, alive, not grown, and open to new connections.
    pub fn finish(mut self) {
        self.is_served();
        let mut fresh = self.connect();
        let response = fresh.call(&ApiVersionsRequest::default(), 0);
        assert_eq!(response.error_code, 0);
        assert!(self.broker.is_alive());
        self.assert_not_grown();
    }

    pub fn assert_not_grown(&self) {
        if let (Some(before), Some(after)) = (self.resident_before, self.broker.resident_bytes()) {
            let (before_mib, after_mib) = (before >> 20, after >> 20);
            eprintln!("resident: {before_mib} MiB before, {after_mib} MiB after");
            assert!(
                after < before + GROWTH_BYTES_MAX,
                "{before_mib} MiB to {after_mib} MiB"
            );
        }
    }

    /// Sends bytes on a new connection, says that no more will come, and waits for its end.
    pub fn outcome(&self, bytes: &[u8]) -> Outcome {
        let mut peer = self.connect();
        // A broker may close before it has read all: then the rest is refused, which is as good.
        if peer.send_bytes(bytes).is_err() {
            return Outcome::Closed;
        }
        match peer.receive() {
            Ok(_) => Outcome::Answered,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither answered nor closed: {bytes:?}")
            }
            Err(_) => Outcome::Closed,
        }
    }

    /// As `outcome`, for bytes whose answer may rightly take forever: only the end is waited for.
    pub fn send_and_leave(&self, bytes: &[u8]) {
        let mut peer = self.connect();
        let sent = peer.send_bytes(bytes);
        if sent.is_ok() && peer.stream().shutdown(Shutdown::Write).is_ok() {
            assert!(peer.is_closed_by_broker(), "left open: {bytes:?}");
        }
    }
}

/// A frame of these bytes, length first.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}
