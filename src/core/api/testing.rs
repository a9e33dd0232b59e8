//! A small cluster and the way through the wire, for the tests of the API files.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::context::ApiContext;
use crate::metadata::{Broker, BrokerEndpoint, Image, PartitionState, Topic};
use crate::types::{BrokerConfigView, DirectoryId, LeaderEpoch, NodeId, Now, Offset, TopicId};

/// A cluster of two brokers, the second fenced, with two topics.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) image: Image,
    pub(super) config: BrokerConfigView,
}

impl Fixture {
    pub(super) const CLUSTER_ID: &str = "abcdefghijklmnopqrstuA";
    pub(super) const LISTENER: &str = "PLAINTEXT";
    /// Two partitions, replicas on both brokers, led by 1 and by nobody.
    pub(super) const ALPHA: TopicId = TopicId([7; 16]);
    /// One partition on broker 1.
    pub(super) const OFFSETS: TopicId = TopicId([8; 16]);

    pub(super) fn new() -> Self {
        let mut image = Image {
            cluster_id: Self::CLUSTER_ID.into(),
            offset: Offset(42),
            features: [
                ("metadata.version".into(), 29),
                ("transaction.version".into(), 2),
            ]
            .into(),
            brokers: [
                (NodeId(1), broker(9092, false)),
                (NodeId(2), broker(9093, true)),
            ]
            .into(),
            ..Image::default()
        };
        let both = [NodeId(1), NodeId(2)];
        add(
            &mut image,
            Self::ALPHA,
            "alpha",
            &[(Some(1), &both), (None, &both)],
        );
        add(
            &mut image,
            Self::OFFSETS,
            "__consumer_offsets",
            &[(Some(1), &[NodeId(1)])],
        );
        Self {
            image,
            config: BrokerConfigView::default(),
        }
    }

    pub(super) fn context(&self) -> ApiContext<'_> {
        ApiContext {
            now: Now::default(),
            image: &self.image,
            node: NodeId(1),
            listener: Self::LISTENER,
            config: &self.config,
        }
    }
}

fn broker(port: u16, fenced: bool) -> Broker {
    Broker {
        epoch: 1,
        incarnation: TopicId([1; 16]),
        endpoints: vec![BrokerEndpoint {
            listener: Fixture::LISTENER.into(),
            host: "localhost".into(),
            port,
            security_protocol: 0,
        }],
        rack: Some("r1".into()),
        fenced,
        in_controlled_shutdown: false,
        features: [
            ("metadata.version".into(), (7, 29)),
            ("kraft.version".into(), (0, 1)),
            ("transaction.version".into(), (0, 2)),
        ]
        .into(),
        log_dirs: vec![DirectoryId::default()],
    }
}

/// Adds a topic; a partition is its leader and its replicas, the first of which is in sync.
fn add(image: &mut Image, id: TopicId, name: &str, partitions: &[(Option<i32>, &[NodeId])]) {
    let partitions = partitions
        .iter()
        .map(|(leader, replicas)| PartitionState {
            replicas: replicas.to_vec(),
            isr: vec![NodeId(1)],
            directories: vec![DirectoryId::default(); replicas.len()],
            leader: leader.map(NodeId),
            leader_epoch: LeaderEpoch(5),
            partition_epoch: 6,
            ..PartitionState::default()
        })
        .collect();
    let name: Arc<str> = name.into();
    image.topics_by_name.insert(name.clone(), id);
    let topic = Topic {
        id,
        name,
        partitions,
    };
    image.topics.insert(id, Arc::new(topic));
}

/// Sends the request through its encoding of this version, answers it, and sends the answer through its encoding.
/// Fails if a field is set that the version lacks, or if anything is lost on the way back.
pub(super) fn through_wire<Request, Response>(
    version: i16,
    request: &Request,
    answer: impl FnOnce(Request) -> Response,
) -> Response
where
    Request: Encodable + Decodable,
    Response: Encodable + Decodable + Debug,
{
    let request: Request = recoded(request, version);
    recoded(&answer(request), version)
}

/// The same after encoding and decoding; a second time changes nothing.
pub(super) fn recoded<T: Encodable + Decodable>(value: &T, version: i16) -> T {
    let encode = |value: &T| -> Bytes {
        let mut buf = BytesMut::new();
        value
            .encode(&mut buf, version)
            .unwrap_or_else(|e| panic!("v{version}: {e}"));
        buf.freeze()
    };
    let decode = |bytes: &Bytes| {
        let mut bytes = bytes.clone();
        let value = T::decode(&mut bytes, version).unwrap_or_else(|e| panic!("v{version}: {e}"));
        assert!(bytes.is_empty(), "v{version}: bytes are left");
        value
    };
    let first = encode(value);
    let back = decode(&first);
    assert_eq!(encode(&back), first, "v{version}");
    back
}

/// Config values for an image.
pub(super) fn values(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
    pairs.iter().map(|&(k, v)| (k.into(), v.into())).collect()
}
