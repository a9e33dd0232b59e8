//! A small blocking Kafka client for the command line. Works against onrush and against Apache Kafka.
//!
//! Purpose: one request at a time, versions negotiated, leaders looked up, retriable errors tried again with bounded rests.
//! Invariants: 1. Every wait is bounded by the client's `patience`. 2. A frame's length is checked before it is read.
//! Deliberately absent: pipelining, transactions, TLS and SASL.
//! Source: the Kafka protocol guide; `org.apache.kafka.clients.NetworkClient` for which errors are worth a retry.

mod admin;
mod conn;
pub mod consumer;
pub mod group;
pub mod member;
pub mod producer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use onrush_core::types::ErrorCode;

pub use admin::{ConfigLine, PartitionLine, TopicLine};
pub use conn::Connection;

/// First and longest rest between two tries.
const REST_FIRST: Duration = Duration::from_millis(50);
const REST_MAX: Duration = Duration::from_secs(1);
/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a client that never reached a broker goes on trying: long enough for one that is just being started, short enough for
/// somebody who waits for the answer.
const FIRST_CONTACT_MAX: Duration = Duration::from_secs(3);
/// How long a topic that nobody knows is asked for again: a new one spreads in less.
const UNKNOWN_TOPIC_MAX: Duration = Duration::from_secs(3);

/// Why a request did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was given is no address.
    #[error("{address:?} is not of the form host:port")]
    Address {
        /// As given.
        address: String,
    },
    /// No connection to any of the given addresses.
    #[error("cannot reach {address} ({error}): is a broker running there?")]
    Connect {
        /// Who was called.
        address: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to {address} broke ({})", reason(error))]
    Io {
        /// With whom.
        address: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The answer makes no sense.
    #[error("{address} sent an answer that cannot be understood: {what}")]
    Protocol {
        /// Who.
        address: String,
        /// What was wrong.
        what: String,
    },
    /// The broker does not know the request, or none of our versions of it.
    #[error("{address} does not serve this request (api key {api_key})")]
    Unsupported {
        /// Who.
        address: String,
        /// Kafka's number of the request.
        api_key: i16,
    },
    /// Kafka's error code.
    #[error("{what}: {}{}", code.name(), message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Broker {
        /// Of what: a topic or partition.
        what: String,
        /// The code.
        code: ErrorCode,
        /// What the broker says about it.
        message: Option<String>,
    },
}

/// A socket's timeout comes as "would block", which says nothing to people.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        std::io::ErrorKind::UnexpectedEof => "closed by the broker".to_owned(),
        _ => error.to_string(),
    }
}

impl ClientError {
    /// True if the same may go well a moment later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Io { .. } => true,
            Self::Address { .. } | Self::Protocol { .. } | Self::Unsupported { .. } => false,
            Self::Broker { code, .. } => matches!(
                code,
                ErrorCode::CorruptMessage
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::NotLeaderOrFollower
                    | ErrorCode::RequestTimedOut
                    | ErrorCode::NotEnoughReplicas
                    | ErrorCode::NotEnoughReplicasAfterAppend
                    | ErrorCode::NotController
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::NetworkException
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NotCoordinator
            ),
        }
    }

    pub(super) fn broker(what: &str, code: i16, message: Option<StrBytes>) -> Self {
        Self::Broker {
            what: what.to_owned(),
            code: ErrorCode::from_code(code),
            message: message
                .map(|m| m.to_string())
                .filter(|text| !text.is_empty()),
        }
    }
}

/// A topic's name as the protocol crate wants it.
pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A partition's leader: node id and `host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    /// The broker.
    pub node_id: i32,
    /// Where it is reached.
    pub address: String,
}

/// The client: where it began, and the connections it has.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<String>,
    connections: BTreeMap<String, Connection>,
    patience: Duration,
    /// Some broker was reached once.
    has_met: bool,
}

impl Client {
    /// A client that begins with `bootstrap` (`host:port,…`) and gives up after `patience`. Nothing is connected yet.
    #[must_use]
    pub fn new(bootstrap: &str, patience: Duration) -> Self {
        Self {
            bootstrap: bootstrap
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect(),
            connections: BTreeMap::new(),
            patience,
            has_met: false,
        }
    }

    /// How long one call may take in all.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends to a broker by address and waits for the answer. A connection that broke is forgotten.
    pub fn call<R: Request>(
        &mut self,
        address: &str,
        version_max: i16,
        request: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let mut connection = match self.connections.remove(address) {
            Some(connection) => connection,
            None => Connection::open(address, CONNECT_MAX, self.patience)?,
        };
        let answer = connection.call(version_max, request);
        self.has_met = true;
        if !matches!(
            answer,
            Err(ClientError::Io { .. } | ClientError::Protocol { .. })
        ) {
            self.connections.insert(address.to_owned(), connection);
        }
        answer
    }

    /// Sends to whichever bootstrap address answers first.
    pub fn call_any<R: Request>(
        &mut self,
        version_max: i16,
        request: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let mut last = ClientError::Address {
            address: String::new(),
        };
        for address in self.bootstrap.clone() {
            match self.call(&address, version_max, &request) {
                Err(error @ (ClientError::Connect { .. } | ClientError::Io { .. })) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// Tries again while the error is retriable and the patience lasts.
    pub fn retry<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let begun = Instant::now();
        let mut rest = REST_FIRST;
        loop {
            match attempt(self) {
                Err(error) if begun.elapsed() + rest < self.patience_for(&error) => {
                    tracing::debug!("trying again: {error}");
                    std::thread::sleep(rest);
                    rest = (rest * 2).min(REST_MAX);
                }
                other => return other,
            }
        }
    }

    /// How long one call may go on after this error.
    fn patience_for(&self, error: &ClientError) -> Duration {
        match error {
            error if !error.is_retriable() => Duration::ZERO,
            ClientError::Connect { .. } if !self.has_met => self.patience.min(FIRST_CONTACT_MAX),
            ClientError::Broker {
                code: ErrorCode::UnknownTopicOrPartition,
                ..
            } => self.patience.min(UNKNOWN_TOPIC_MAX),
            _ => self.patience,
        }
    }

    /// Metadata of these topics, or of all.
    pub fn metadata(
        &mut self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> Result<MetadataResponse, ClientError> {
        // Up to 12: 13 adds an error that only asks to start over.
        self.call_any(12, |version| {
            let asked = topics.map(|names| {
                let one =
                    |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
                names.iter().map(one).collect()
            });
            let request = MetadataRequest::default().with_topics(asked);
            if version >= 4 {
                request.with_allow_auto_topic_creation(create)
            } else {
                request
            }
        })
    }

    /// The leaders of a topic's partitions, by index. A topic or leader that is not there yet is a retriable error.
    pub fn leaders(
        &mut self,
        topic: &str,
        create: bool,
    ) -> Result<BTreeMap<i32, Leader>, ClientError> {
        let metadata = self.metadata(Some(&[topic]), create)?;
        let mut leaders = BTreeMap::new();
        for found in &metadata.topics {
            if found.error_code != 0 {
                let what = format!("topic {topic}");
                return Err(ClientError::broker(&what, found.error_code, None));
            }
            for partition in &found.partitions {
                let what = format!("partition {topic}-{}", partition.partition_index);
                let code = match partition.error_code {
                    // A replica that is down does not hinder who talks to the leader.
                    9 => 0,
                    code => code,
                };
                let leader = metadata
                    .brokers
                    .iter()
                    .find(|b| b.node_id == partition.leader_id);
                let (0, Some(broker)) = (code, leader) else {
                    let code = if code == 0 { 5 } else { code };
                    return Err(ClientError::broker(&what, code, None));
                };
                let leader = Leader {
                    node_id: broker.node_id.0,
                    address: address_of(&broker.host, broker.port),
                };
                leaders.insert(partition.partition_index, leader);
            }
        }
        if leaders.is_empty() {
            let what = format!("topic {topic}");
            return Err(ClientError::broker(&what, 3, None));
        }
        Ok(leaders)
    }
}

fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Addresses behind `host:port`; IPv4 first, as most brokers listen there.
fn resolve(address: &str) -> std::io::Result<Vec<SocketAddr>> {
    let mut found: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(address)?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

#[cfg(test)]
mod tests;
