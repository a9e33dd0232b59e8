//! The client against a broker that is not always willing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, FetchResponse, InitProducerIdResponse, ListOffsetsResponse,
    ProduceRequest, ProduceResponse, ProducerId, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use onrush_core::wire::batch::BatchHeader;
use onrush_core::wire::codec::Codec;
use onrush_core::wire::records::RecordView;

use super::consumer::Consumer;
use super::producer::{NewRecord, Producer, ProducerOptions};
use kafka_protocol::messages::ApiKey;

use super::*;

/// Versions that the mock serves: key, min, max.
const SERVED: [(i16, i16, i16); 6] = [
    (0, 3, 9),
    (1, 4, 12),
    (2, 1, 7),
    (3, 0, 12),
    (18, 0, 0),
    (22, 0, 4),
];

/// What goes wrong, counted down.
#[derive(Default)]
struct Faults {
    /// Metadata answers without a leader.
    leaderless: u32,
    /// Produce answers with NOT_LEADER_OR_FOLLOWER.
    not_leader: u32,
    /// Connections that break after a produce was stored but before it is answered.
    lost_answers: u32,
}

struct Mock {
    port: u16,
    faults: Faults,
    /// The batch as stored, offsets assigned.
    log: Vec<u8>,
    end: i64,
    sequences: Vec<i32>,
    duplicates: u32,
}

/// Serves until the sender's end is dropped; then returns what happened.
fn serve(mut mock: Mock, listener: &TcpListener, stop: &mpsc::Receiver<()>) -> Mock {
    for stream in listener.incoming() {
        if stop.try_recv() != Err(mpsc::TryRecvError::Empty) {
            break;
        }
        // One connection at a time is all that the client needs.
        if let Ok(stream) = stream {
            mock.converse(stream);
        }
    }
    mock
}

impl Mock {
    fn converse(&mut self, mut stream: TcpStream) {
        loop {
            let mut prefix = [0; 4];
            if stream.read_exact(&mut prefix).is_err() {
                return;
            }
            let length = usize::try_from(i32::from_be_bytes(prefix)).expect("a length");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a whole frame");
            let Some(answer) = self.answer(Bytes::from(body)) else {
                return;
            };
            stream.write_all(&answer).expect("the client reads");
        }
    }

    fn answer(&mut self, mut body: Bytes) -> Option<Vec<u8>> {
        let key = i16::from_be_bytes([body[0], body[1]]);
        let version = i16::from_be_bytes([body[2], body[3]]);
        if key == 18 && version > 0 {
            // As an old broker: version 0 body with code 35.
            let correlation = i32::from_be_bytes([body[4], body[5], body[6], body[7]]);
            let answer = ApiVersionsResponse::default().with_error_code(35);
            return Some(frame(correlation, 0, 0, &answer));
        }
        let api = ApiKey::try_from(key).expect("a known key");
        let header = RequestHeader::decode(&mut body, api.request_header_version(version))
            .expect("a header");
        let id = header.correlation_id;
        let code = |left: &mut u32, code: i16| {
            let counts = *left > 0;
            *left -= u32::from(counts);
            if counts { code } else { 0 }
        };
        Some(match key {
            18 => respond(id, version, &versions()),
            3 => {
                let leader = code(&mut self.faults.leaderless, 5);
                respond(id, version, &self.metadata(leader))
            }
            22 => {
                let answer = InitProducerIdResponse::default()
                    .with_producer_id(ProducerId(4))
                    .with_producer_epoch(0);
                respond(id, version, &answer)
            }
            0 => {
                let request = ProduceRequest::decode(&mut body, version).expect("a request");
                let refused = code(&mut self.faults.not_leader, 6);
                let refused = match refused {
                    0 => self.store(&request),
                    code => code,
                };
                if code(&mut self.faults.lost_answers, 1) == 1 {
                    return None;
                }
                respond(id, version, &produced(refused))
            }
            2 => respond(id, version, &self.offsets(&body)),
            1 => respond(id, version, &self.fetched()),
            other => panic!("the client asked for {other}"),
        })
    }

    fn metadata(&self, code: i16) -> MetadataResponse {
        let partition = MetadataResponsePartition::default()
            .with_error_code(code)
            .with_leader_id(BrokerId(if code == 0 { 1 } else { -1 }));
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name("t")))
            .with_partitions(vec![partition]);
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(1))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(i32::from(self.port));
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_topics(vec![topic])
    }

    fn store(&mut self, request: &ProduceRequest) -> i16 {
        let data = &request.topic_data[0].partition_data[0];
        let mut batch = data.records.clone().expect("records").to_vec();
        let header = BatchHeader::decode(&batch).expect("a batch");
        assert!(onrush_core::wire::batch::is_valid(&batch));
        assert_eq!(header.producer_id.0, 4);
        if self.sequences.contains(&header.base_sequence) {
            self.duplicates += 1;
            return 46;
        }
        self.sequences.push(header.base_sequence);
        batch[..8].copy_from_slice(&self.end.to_be_bytes());
        self.end += i64::from(header.record_count);
        self.log.extend_from_slice(&batch);
        0
    }

    fn offsets(&self, body: &[u8]) -> ListOffsetsResponse {
        // The timestamp is near the end; -2 asks for the first offset.
        let earliest = body.windows(8).any(|w| w == (-2i64).to_be_bytes());
        let partition = ListOffsetsPartitionResponse::default().with_offset(if earliest {
            0
        } else {
            self.end
        });
        let topic = ListOffsetsTopicResponse::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        ListOffsetsResponse::default().with_topics(vec![topic])
    }

    fn fetched(&self) -> FetchResponse {
        let partition = PartitionData::default().with_records(Some(Bytes::from(self.log.clone())));
        let topic = FetchableTopicResponse::default()
            .with_topic(topic_name("t"))
            .with_partitions(vec![partition]);
        FetchResponse::default().with_responses(vec![topic])
    }
}

fn versions() -> ApiVersionsResponse {
    let keys = SERVED.iter().map(|&(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

fn produced(code: i16) -> ProduceResponse {
    let partition = PartitionProduceResponse::default().with_error_code(code);
    let topic = TopicProduceResponse::default()
        .with_name(topic_name("t"))
        .with_partition_responses(vec![partition]);
    ProduceResponse::default().with_responses(vec![topic])
}

fn respond<T: Encodable + HeaderVersion>(id: i32, version: i16, answer: &T) -> Vec<u8> {
    frame(id, T::header_version(version), version, answer)
}

fn frame<T: Encodable>(id: i32, header: i16, version: i16, answer: &T) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    ResponseHeader::default()
        .with_correlation_id(id)
        .encode(&mut bytes, header)
        .expect("encodes");
    answer.encode(&mut bytes, version).expect("encodes");
    let length = i32::try_from(bytes.len() - 4).expect("fits");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.to_vec()
}

/// Runs `work` against a mock with these faults.
fn with_mock(faults: Faults, work: impl FnOnce(&mut Client)) -> Mock {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    let mock = Mock {
        port: address.port(),
        faults,
        log: Vec::new(),
        end: 0,
        sequences: Vec::new(),
        duplicates: 0,
    };
    let (stop, stopped) = mpsc::channel();
    let server = std::thread::spawn(move || serve(mock, &listener, &stopped));
    let mut client = Client::new(&address.to_string(), Duration::from_secs(20));
    work(&mut client);
    drop(client);
    drop(stop);
    // Wakes the accept loop so that it sees the end.
    drop(TcpStream::connect(address));
    server.join().expect("the mock did not panic")
}

fn record(text: &str) -> NewRecord {
    NewRecord {
        value: Some(text.as_bytes().to_vec()),
        ..NewRecord::default()
    }
}

fn options() -> ProducerOptions {
    ProducerOptions {
        acks: -1,
        codec: Codec::Zstd,
        partition: None,
    }
}

fn read_all(client: &mut Client) -> Vec<(i64, String)> {
    let leaders = client.leaders("t", false).expect("leaders");
    let begin = client.offsets("t", &leaders, -2).expect("offsets");
    let mut consumer = Consumer::new("t", leaders, begin);
    let mut seen = Vec::new();
    consumer
        .poll::<ClientError>(client, &mut |place, record: &RecordView<'_>| {
            let value = String::from_utf8_lossy(record.value.unwrap_or(b"")).into_owned();
            seen.push((place.offset, value));
            Ok(true)
        })
        .expect("fetched");
    seen
}

#[test]
fn records_go_there_and_come_back() {
    let mut seen = Vec::new();
    let mock = with_mock(Faults::default(), |client| {
        let mut producer = Producer::new(client, "t", options()).expect("a producer");
        for batch in [&["a", "b"][..], &["c"]] {
            for text in batch {
                producer.push(client, &record(text)).expect("pushed");
            }
            producer.flush(client).expect("sent");
        }
        seen = read_all(client);
    });
    let expected = [(0, "a".to_owned()), (1, "b".into()), (2, "c".into())];
    assert_eq!(seen, expected);
    assert_eq!(mock.sequences, [0, 2]);
}

#[test]
fn what_may_go_well_later_is_tried_again_and_stored_once() {
    let faults = Faults {
        leaderless: 2,
        not_leader: 2,
        lost_answers: 1,
    };
    let mut seen = Vec::new();
    let mock = with_mock(faults, |client| {
        let mut producer = Producer::new(client, "t", options()).expect("a producer");
        producer.push(client, &record("once")).expect("pushed");
        producer.flush(client).expect("sent in the end");
        seen = read_all(client);
    });
    assert_eq!(seen, [(0, "once".to_owned())]);
    assert_eq!(mock.sequences, [0]);
    assert!(mock.faults.leaderless == 0 && mock.faults.not_leader == 0);
}

#[test]
fn a_lost_answer_does_not_store_twice() {
    let faults = Faults {
        lost_answers: 1,
        ..Faults::default()
    };
    let mock = with_mock(faults, |client| {
        let mut producer = Producer::new(client, "t", options()).expect("a producer");
        producer.push(client, &record("once")).expect("pushed");
        producer.flush(client).expect("sent in the end");
    });
    assert_eq!(mock.end, 1);
    assert_eq!(mock.duplicates, 1, "the second try was recognised");
}

#[test]
fn patience_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut client = Client::new(&address.to_string(), Duration::from_millis(300));
    let begin = Instant::now();
    let error = client
        .retry(|c| c.topics(None))
        .expect_err("nobody listens");
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_the_broker_does_not_serve_is_said() {
    with_mock(Faults::default(), |client| {
        let error = client
            .create_topic("x", 1, 1, &[])
            .expect_err("CreateTopics is not served");
        assert!(
            matches!(error, ClientError::Unsupported { api_key: 19, .. }),
            "{error}"
        );
    });
}

#[test]
fn what_is_no_address_is_told_at_once() {
    for text in ["", "garbage", "host:", "host:99999"] {
        let mut client = Client::new(text, Duration::from_mins(1));
        let begun = Instant::now();
        let error = client.retry(|c| c.topics(None)).expect_err("no address");
        assert!(matches!(error, ClientError::Address { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(30), "not tried again");
    }
}
