//! A client of raw frames over a blocking socket: one request after the other, or many unanswered.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ProduceRequest, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// Versions that name topics by name and not by id.
pub const PRODUCE_VERSION: i16 = 12;
/// See [`PRODUCE_VERSION`].
pub const FETCH_VERSION: i16 = 12;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    sent: i32,
}

/// A string of the protocol.
#[must_use]
pub fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A topic's name.
#[must_use]
pub fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

/// A whole frame of one request, length first.
#[must_use]
pub fn frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text("testkit")));
    let mut body = BytesMut::new();
    header
        .encode(&mut body, R::header_version(version))
        .unwrap();
    request.encode(&mut body, version).unwrap();
    let mut out = BytesMut::new();
    out.put_u32(u32::try_from(body.len()).unwrap());
    out.put(body);
    out.freeze()
}

fn bad(what: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what:#}"))
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, sent: 0 })
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request and returns its correlation id.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> io::Result<i32> {
        self.sent += 1;
        self.send_bytes(&frame(request, version, self.sent))?;
        Ok(self.sent)
    }

    /// The next frame without its length. `UnexpectedEof` when the broker closed.
    pub fn receive(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// The next frame as the answer to a request of type `R`.
    pub fn receive_as<R: Request>(&mut self, version: i16) -> io::Result<(i32, R::Response)> {
        let mut frame = self.receive()?;
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version));
        let response = R::Response::decode(&mut frame, version).map_err(bad)?;
        if frame.has_remaining() {
            return Err(bad(format!("{} bytes behind the answer", frame.len())));
        }
        Ok((header.map_err(bad)?.correlation_id, response))
    }

    /// One request and its answer.
    pub fn try_call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        let sent = self.send(request, version)?;
        let (received, response) = self.receive_as::<R>(version)?;
        if received != sent {
            return Err(bad(format!("answer {received} to request {sent}")));
        }
        Ok(response)
    }

    /// One request and its answer; anything else fails the test.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.try_call(request, version).unwrap()
    }

    /// True once the broker has closed the connection (what it still sends is read away).
    #[must_use]
    pub fn is_closed_by_broker(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Creates a topic.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.call(&request, 5);
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        for partition in 0..partitions {
            self.wait_until_served(name, partition);
        }
    }

    /// Kafka answers CreateTopics a moment before the broker serves the partitions; clients retry.
    fn wait_until_served(&mut self, topic: &str, partition: i32) {
        let begun = Instant::now();
        loop {
            let response = self.call(&fetch_request(topic, partition, 0), FETCH_VERSION);
            match response.responses[0].partitions[0].error_code {
                0 => return,
                3 | 6 => assert!(begun.elapsed() < PATIENCE, "{topic}-{partition} not served"),
                other => panic!("{topic}-{partition}: error {other}"),
            }
        }
    }

    /// A producer id and epoch for an idempotent producer.
    pub fn init_producer_id(&mut self) -> (i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        let begun = Instant::now();
        loop {
            let response = self.call(&request, 4);
            match response.error_code {
                0 => return (response.producer_id.0, response.producer_epoch),
                // Still being loaded or allocated: clients retry.
                14..=16 => assert!(begun.elapsed() < PATIENCE, "no producer id"),
                other => panic!("InitProducerId: error {other}"),
            }
        }
    }

    /// Everything of a partition from `offset` up to the high watermark: raw batches.
    pub fn fetch_all(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<Bytes> {
        let mut offset = offset;
        let mut found = Vec::new();
        loop {
            let response = self.call(&fetch_request(topic, partition, offset), FETCH_VERSION);
            assert_eq!(response.error_code, 0, "{response:?}");
            let answer = &response.responses[0].partitions[0];
            assert_eq!(answer.error_code, 0, "{topic}-{partition} at {offset}");
            let bytes = answer.records.clone().unwrap_or_default();
            let next = crate::records::next_offset(&bytes);
            if let Some(next) = next {
                found.push(bytes);
                offset = next;
            }
            if offset >= answer.high_watermark {
                return found;
            }
            assert!(next.is_some(), "{topic}-{partition}: nothing at {offset}");
        }
    }
}

/// A Fetch of one partition, answered at once.
#[must_use]
pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(8 << 20);
    let topic = FetchTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(32 << 20)
        .with_topics(vec![topic])
}

/// A Produce of one batch.
#[must_use]
pub fn produce_request(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}
