//! The table against the crate's own encoder, for every version; and damage.

mod groups;

use super::*;
use bytes::BytesMut;
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeTopicPartitionsRequest, FetchRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest, TopicName,
    create_topics_request as create, delete_topics_request as delete,
    describe_configs_request as configs, describe_topic_partitions_request as describe,
    fetch_request as fetch, list_offsets_request as list, metadata_request as metadata,
    offset_for_leader_epoch_request as epochs, produce_request as produce,
};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;
use std::fmt::Debug;
use uuid::Uuid;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn name() -> TopicName {
    TopicName(text("topic-ä"))
}

fn id() -> Uuid {
    Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)
}

fn produce(version: i16) -> ProduceRequest {
    let partitions = vec![
        produce::PartitionProduceData::default()
            .with_index(3)
            .with_records(Some(Bytes::from_static(&[1; 200]))),
        produce::PartitionProduceData::default().with_records(None),
    ];
    let mut topic = produce::TopicProduceData::default().with_partition_data(partitions);
    if version >= 13 {
        topic = topic.with_topic_id(id());
    } else {
        topic = topic.with_name(name());
    }
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(9)
        .with_transactional_id((version % 2 == 0).then(|| text("tx").into()))
        .with_topic_data(vec![topic.clone(), topic])
}

fn fetch(version: i16) -> FetchRequest {
    let mut partition = fetch::FetchPartition::default()
        .with_partition(1)
        .with_fetch_offset(77)
        .with_partition_max_bytes(5);
    let mut topic = fetch::FetchTopic::default();
    let mut forgotten = fetch::ForgottenTopic::default().with_partitions(vec![1, 2, 3]);
    if version >= 13 {
        topic = topic.with_topic_id(id());
        forgotten = forgotten.with_topic_id(id());
    } else {
        topic = topic.with_topic(name());
        forgotten = forgotten.with_topic(name());
    }
    if version >= 9 {
        partition = partition.with_current_leader_epoch(4);
    }
    if version >= 12 {
        partition = partition.with_last_fetched_epoch(4);
    }
    if version >= 17 {
        partition = partition.with_replica_directory_id(id());
    }
    if version >= 18 {
        partition = partition.with_high_watermark(5);
    }
    let mut request = FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_topics(vec![topic.with_partitions(vec![partition; 3]); 2]);
    if version >= 7 {
        request = request
            .with_session_id(3)
            .with_session_epoch(4)
            .with_forgotten_topics_data(vec![forgotten; 2]);
    }
    if version >= 11 {
        request = request.with_rack_id(text("rack"));
    }
    if version >= 12 {
        request = request.with_cluster_id(Some(text("cluster")));
    }
    if version >= 15 {
        let state = fetch::ReplicaState::default()
            .with_replica_id(BrokerId(2))
            .with_replica_epoch(8);
        request = request.with_replica_state(state);
    }
    request
}

fn list_offsets(version: i16) -> ListOffsetsRequest {
    let mut partition = list::ListOffsetsPartition::default().with_timestamp(-3);
    if version >= 4 {
        partition = partition.with_current_leader_epoch(1);
    }
    let topic = list::ListOffsetsTopic::default()
        .with_name(name())
        .with_partitions(vec![partition; 2]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic; 2]);
    if version >= 2 {
        request.with_isolation_level(1)
    } else {
        request
    }
}

fn metadata(version: i16) -> MetadataRequest {
    let named = metadata::MetadataRequestTopic::default().with_name(Some(name()));
    let mut topics = vec![named; 2];
    if version >= 10 {
        topics.push(
            metadata::MetadataRequestTopic::default()
                .with_topic_id(id())
                .with_name(None),
        );
    }
    MetadataRequest::default().with_topics(Some(topics))
}

fn create_topics(_version: i16) -> CreateTopicsRequest {
    let config = |value| {
        create::CreatableTopicConfig::default()
            .with_name(text("key"))
            .with_value(value)
    };
    let assignment = create::CreatableReplicaAssignment::default()
        .with_partition_index(1)
        .with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
    let topic = create::CreatableTopic::default()
        .with_name(name())
        .with_num_partitions(-1)
        .with_assignments(vec![assignment; 2])
        .with_configs(vec![config(None), config(Some(text("value")))]);
    CreateTopicsRequest::default().with_topics(vec![topic; 2])
}

fn delete_topics(version: i16) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(5);
    if version < 6 {
        return request.with_topic_names(vec![name(); 3]);
    }
    let by_id = delete::DeleteTopicState::default().with_topic_id(id());
    let by_name = delete::DeleteTopicState::default().with_name(Some(name()));
    request.with_topics(vec![by_id, by_name])
}

fn init_producer_id(version: i16) -> InitProducerIdRequest {
    let request = InitProducerIdRequest::default()
        .with_transactional_id((version % 2 == 0).then(|| text("tx").into()));
    if version >= 3 {
        request.with_producer_id(7.into()).with_producer_epoch(1)
    } else {
        request
    }
}

fn offset_for_leader_epoch(_version: i16) -> OffsetForLeaderEpochRequest {
    let partition = epochs::OffsetForLeaderPartition::default().with_leader_epoch(3);
    let topic = epochs::OffsetForLeaderTopic::default()
        .with_topic(name())
        .with_partitions(vec![partition; 2]);
    OffsetForLeaderEpochRequest::default().with_topics(vec![topic; 2])
}

fn describe_configs(version: i16) -> DescribeConfigsRequest {
    let resource = configs::DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("name"));
    let some = resource
        .clone()
        .with_configuration_keys(Some(vec![text("a"), text("b")]));
    DescribeConfigsRequest::default()
        .with_resources(vec![resource.with_configuration_keys(None), some])
        .with_include_documentation(version >= 3)
}

fn describe_topic_partitions(_version: i16) -> DescribeTopicPartitionsRequest {
    let topic = describe::TopicRequest::default().with_name(name());
    let cursor = describe::Cursor::default().with_topic_name(name());
    DescribeTopicPartitionsRequest::default()
        .with_topics(vec![topic; 2])
        .with_cursor(Some(cursor))
}

fn api_versions(version: i16) -> ApiVersionsRequest {
    let request = ApiVersionsRequest::default();
    if version < 3 {
        return request;
    }
    request
        .with_client_software_name(text("client"))
        .with_client_software_version(text("1.0"))
}

fn describe_cluster(version: i16) -> DescribeClusterRequest {
    DescribeClusterRequest::default().with_include_fenced_brokers(version >= 2)
}

/// Runs something for each version of each API that is served, with a populated request.
fn for_each(visit: &mut dyn FnMut(i16, i16, Bytes)) {
    all(produce, visit);
    all(fetch, visit);
    all(list_offsets, visit);
    all(metadata, visit);
    all(api_versions, visit);
    all(create_topics, visit);
    all(delete_topics, visit);
    all(init_producer_id, visit);
    all(offset_for_leader_epoch, visit);
    all(describe_configs, visit);
    all(describe_cluster, visit);
    groups::for_each(visit);
    all(describe_topic_partitions, visit);
}

fn all<T: Request + Debug + PartialEq>(make: fn(i16) -> T, visit: &mut dyn FnMut(i16, i16, Bytes)) {
    let api = versions::find(T::KEY).unwrap();
    for version in api.min..=api.max {
        let request = make(version);
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        let body = body.freeze();
        let decoded: T = decode_request(version, body.clone()).unwrap();
        assert_eq!(decoded, request, "{} {version}", api.name);
        visit(T::KEY, version, body);
    }
}

/// Guard and crate together; the error the guard must never leave to the crate is a failure here.
fn decode(key: i16, version: i16, body: &Bytes) -> Result<(), DecodeError> {
    match key {
        versions::PRODUCE => one::<ProduceRequest>(version, body),
        versions::FETCH => one::<FetchRequest>(version, body),
        versions::LIST_OFFSETS => one::<ListOffsetsRequest>(version, body),
        versions::METADATA => one::<MetadataRequest>(version, body),
        versions::API_VERSIONS => one::<ApiVersionsRequest>(version, body),
        versions::CREATE_TOPICS => one::<CreateTopicsRequest>(version, body),
        versions::DELETE_TOPICS => one::<DeleteTopicsRequest>(version, body),
        versions::INIT_PRODUCER_ID => one::<InitProducerIdRequest>(version, body),
        versions::OFFSET_FOR_LEADER_EPOCH => one::<OffsetForLeaderEpochRequest>(version, body),
        versions::DESCRIBE_CONFIGS => one::<DescribeConfigsRequest>(version, body),
        versions::DESCRIBE_CLUSTER => one::<DescribeClusterRequest>(version, body),
        versions::DESCRIBE_TOPIC_PARTITIONS => one::<DescribeTopicPartitionsRequest>(version, body),
        other => groups::decode(other, version, body),
    }
}

fn one<T: Request>(version: i16, body: &Bytes) -> Result<(), DecodeError> {
    let outcome = decode_request::<T>(version, body.clone()).map(|_| ());
    let seen = T::KEY;
    assert_ne!(
        outcome,
        Err(DecodeError::Decoder),
        "{seen} {version} {body:?}"
    );
    outcome
}

/// What the guard accepts is decoded, what it refuses is not, and nothing panics.
fn guard_decides(key: i16, version: i16, body: &Bytes) {
    let accepted = check(key, version, body).is_ok();
    assert_eq!(
        decode(key, version, body).is_ok(),
        accepted,
        "{key} {version} {body:?}"
    );
}

#[test]
fn every_served_version_is_consumed_exactly() {
    let mut met = std::collections::BTreeSet::new();
    for_each(&mut |key, version, body| {
        let consumed = body.len();
        let fits = check(key, version, &body);
        assert_eq!(fits, Ok(Fitness::Plain { consumed }), "{key} {version}");
        met.insert(key);
    });
    assert!(versions::APIS.iter().all(|api| met.contains(&api.key)));
}

#[test]
fn a_rewritten_request_is_the_same_request() {
    for_each(&mut |key, version, body| {
        assert_eq!(
            repair(key, version, &body).unwrap(),
            body,
            "{key} {version}"
        );
    });
}

#[test]
fn trailing_bytes_are_ignored_and_missing_ones_are_not() {
    for_each(&mut |key, version, body| {
        let consumed = body.len();
        let more = [&body[..], b"trailing"].concat();
        let fits = check(key, version, &more);
        assert_eq!(fits, Ok(Fitness::Plain { consumed }), "{key} {version}");
        assert_eq!(decode(key, version, &Bytes::from(more)), Ok(()));
        for cut in 0..body.len() {
            assert!(decode(key, version, &body.slice(..cut)).is_err());
        }
    });
}

#[test]
fn versions_that_are_not_served() {
    assert!(matches!(
        decode_request::<ProduceRequest>(2, Bytes::new()),
        Err(DecodeError::NotServed { .. })
    ));
    assert!(matches!(
        check(99, 0, &[]),
        Err(DecodeError::NotServed { .. })
    ));
}

#[test]
fn bad_utf8_is_repaired() {
    // Metadata v1: one topic "a\xff".
    let classic = Bytes::from_static(&[0, 0, 0, 1, 0, 2, b'a', 0xff]);
    assert_eq!(check(3, 1, &classic), Ok(Fitness::Odd));
    let request: MetadataRequest = decode_request(1, classic).unwrap();
    let topics = request.topics.unwrap();
    assert_eq!(topics[0].name.as_ref().unwrap().as_str(), "a\u{fffd}");
    // ApiVersions v3 with a bad name, an unknown tag and something behind.
    let compact = Bytes::from_static(&[2, 0xfe, 2, b'1', 1, 9, 2, 0, 0, 77]);
    let request: ApiVersionsRequest = decode_request(3, compact).unwrap();
    assert_eq!(request.client_software_name.as_str(), "\u{fffd}");
    assert_eq!(request.client_software_version.as_str(), "1");
    // Produce v3: no transactional id, acks 0, timeout 0, one topic of a bad name, partition 0, large records.
    let mut large = vec![
        0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0xff, 0, 0, 0, 1,
    ];
    large.extend_from_slice(&[0, 0, 0, 0]);
    let bytes = REPAIR_BYTES_MAX + 1;
    large.extend_from_slice(&u32::try_from(bytes).unwrap().to_be_bytes());
    large.resize(large.len() + bytes, 0);
    let large = Bytes::from(large);
    assert_eq!(
        decode_request::<ProduceRequest>(3, large.clone()),
        Err(DecodeError::TooLargeToRepair(large.len()))
    );
}

#[test]
fn odd_nulls_count_as_null() {
    for length in [-1i32, -2, i32::MIN] {
        let body = Bytes::copy_from_slice(&length.to_be_bytes());
        let request: MetadataRequest = decode_request(1, body.clone()).unwrap();
        assert_eq!(request.topics, None);
        // Version 0 has no null here.
        assert_eq!(
            decode_request::<MetadataRequest>(0, body),
            Err(DecodeError::Null)
        );
    }
    // A compact count that is negative in Java.
    let wrapped = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0, 0]);
    let request: MetadataRequest = decode_request(9, wrapped).unwrap();
    assert_eq!(request.topics, None);
    assert!(request.allow_auto_topic_creation);
    // A null topic name closes before version 10.
    let null_name = Bytes::from_static(&[0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!(
        decode_request::<MetadataRequest>(1, null_name),
        Err(DecodeError::Null)
    );
}

#[test]
fn any_present_byte_that_is_not_negative_means_present() {
    let body = |present| Bytes::from(vec![1, 0, 0, 0, 9, present, 2, b't', 0, 0, 0, 5, 0, 0]);
    for present in [0, 1, 2, 127] {
        let request: DescribeTopicPartitionsRequest = decode_request(0, body(present)).unwrap();
        assert_eq!(request.cursor.unwrap().partition_index, 5);
    }
    let absent = Bytes::from_static(&[1, 0, 0, 0, 9, 0x80, 0]);
    let request: DescribeTopicPartitionsRequest = decode_request(0, absent).unwrap();
    assert_eq!(request.cursor, None);
}

#[test]
fn counts_beyond_the_bytes_close() {
    let check_body = |key, version, body: &[u8], why| {
        assert_eq!(check(key, version, body), Err(why));
    };
    // A count of 2^31-1, classic and compact.
    check_body(
        3,
        1,
        &[0x7f, 0xff, 0xff, 0xff, 0, 0],
        DecodeError::TooManyElements,
    );
    check_body(
        3,
        9,
        &[0xff, 0xff, 0xff, 0xff, 0x07, 0],
        DecodeError::TooManyElements,
    );
    // Three topics of at least two bytes in four.
    check_body(3, 1, &[0, 0, 0, 3, 0, 0, 0, 0], DecodeError::Cut);
    // A length of six bytes; a text that only a compact length can say.
    check_body(
        18,
        3,
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0, 0],
        DecodeError::Length,
    );
    let mut long = vec![0x81, 0x80, 0x02];
    long.resize(40_000, b'x');
    check_body(18, 3, &long, DecodeError::Length);
    // More tags than elements are allowed.
    let mut tags = vec![1, 1, 0xff, 0xff, 0xff, 0x7f];
    tags.resize(3 * REQUEST_ELEMENTS_MAX, 0);
    check_body(18, 3, &tags, DecodeError::TooManyElements);
    // A known tag in a version before it: Fetch v12 has no replica state.
    let mut fetch = vec![0; 25];
    fetch.extend_from_slice(&[1, 1, 1, 1, 1, 0]);
    check_body(1, 12, &fetch, DecodeError::Tag(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn damage_never_panics_and_never_reaches_the_crate(at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 1..6), cut in any::<prop::sample::Index>()) {
        for_each(&mut |key, version, body| {
            if body.is_empty() {
                return;
            }
            let mut damaged = body.to_vec();
            let place = at.index(damaged.len());
            for (old, new) in damaged[place..].iter_mut().zip(&bytes) {
                *old = *new;
            }
            let whole = Bytes::from(damaged.clone());
            guard_decides(key, version, &whole);
            damaged.truncate(cut.index(damaged.len()));
            guard_decides(key, version, &Bytes::from(damaged));
        });
    }

    #[test]
    fn noise_never_panics_and_never_reaches_the_crate(noise in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..120)) {
        let noise = Bytes::from(noise);
        for api in versions::APIS {
            for version in api.min..=api.max {
                guard_decides(api.key, version, &noise);
            }
        }
    }
}
