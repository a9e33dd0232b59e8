//! Which APIs onrush serves, in which versions, and what it tells clients about that.
//!
//! Invariants:
//! 1. The table is sorted by key and holds each key once.
//! 2. A served version can be decoded and encoded by the protocol crate in both directions.
//! 3. What is advertised contains what is served.
//!
//! Gaps: ListOffsets 11 (Kafka 4.2) is not served, the crate ends at 10. InitProducerId stays at 5: version 6 is unstable
//! in Kafka, and the crate's own range for it is wrong. OffsetCommit and OffsetFetch end at 9: their version 10 names topics by
//! id, which the crate's requests cannot.
//!
//! Source: `ApiKeys`, the message schemas' `validVersions` and `flexibleVersions`, KAFKA-18659 (Produce advertised from 0).

/// One API that onrush serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Api {
    /// The key on the wire.
    pub key: i16,
    /// Kafka's name.
    pub name: &'static str,
    /// Lowest version served.
    pub min: i16,
    /// Highest version served and advertised.
    pub max: i16,
    /// Lowest version advertised: differs for Produce alone, because old librdkafka looks for version 0 there.
    pub advertised_min: i16,
    /// First version with compact types and tagged fields; its requests have header v2.
    pub first_flexible: i16,
}

/// Produce.
pub const PRODUCE: i16 = 0;
/// Fetch.
pub const FETCH: i16 = 1;
/// ListOffsets.
pub const LIST_OFFSETS: i16 = 2;
/// Metadata.
pub const METADATA: i16 = 3;
/// OffsetCommit.
pub const OFFSET_COMMIT: i16 = 8;
/// OffsetFetch.
pub const OFFSET_FETCH: i16 = 9;
/// FindCoordinator.
pub const FIND_COORDINATOR: i16 = 10;
/// JoinGroup.
pub const JOIN_GROUP: i16 = 11;
/// Heartbeat.
pub const HEARTBEAT: i16 = 12;
/// LeaveGroup.
pub const LEAVE_GROUP: i16 = 13;
/// SyncGroup.
pub const SYNC_GROUP: i16 = 14;
/// DescribeGroups.
pub const DESCRIBE_GROUPS: i16 = 15;
/// ListGroups.
pub const LIST_GROUPS: i16 = 16;
/// ApiVersions.
pub const API_VERSIONS: i16 = 18;
/// CreateTopics.
pub const CREATE_TOPICS: i16 = 19;
/// DeleteTopics.
pub const DELETE_TOPICS: i16 = 20;
/// InitProducerId.
pub const INIT_PRODUCER_ID: i16 = 22;
/// OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// DescribeConfigs.
pub const DESCRIBE_CONFIGS: i16 = 32;
/// DeleteGroups.
pub const DELETE_GROUPS: i16 = 42;
/// OffsetDelete.
pub const OFFSET_DELETE: i16 = 47;
/// DescribeCluster.
pub const DESCRIBE_CLUSTER: i16 = 60;
/// DescribeTopicPartitions.
pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

/// No version of the API is flexible.
const NEVER: i16 = i16::MAX;

const fn api(key: i16, name: &'static str, min: i16, max: i16, first_flexible: i16) -> Api {
    Api {
        key,
        name,
        min,
        max,
        advertised_min: if key == PRODUCE { 0 } else { min },
        first_flexible,
    }
}

/// Every API served, by rising key.
pub const APIS: &[Api] = &[
    api(PRODUCE, "Produce", 3, 13, 9),
    api(FETCH, "Fetch", 4, 18, 12),
    api(LIST_OFFSETS, "ListOffsets", 1, 10, 6),
    api(METADATA, "Metadata", 0, 13, 9),
    api(OFFSET_COMMIT, "OffsetCommit", 2, 9, 8),
    api(OFFSET_FETCH, "OffsetFetch", 1, 9, 6),
    api(FIND_COORDINATOR, "FindCoordinator", 0, 6, 3),
    api(JOIN_GROUP, "JoinGroup", 0, 9, 6),
    api(HEARTBEAT, "Heartbeat", 0, 4, 4),
    api(LEAVE_GROUP, "LeaveGroup", 0, 5, 4),
    api(SYNC_GROUP, "SyncGroup", 0, 5, 4),
    api(DESCRIBE_GROUPS, "DescribeGroups", 0, 6, 5),
    api(LIST_GROUPS, "ListGroups", 0, 5, 3),
    api(API_VERSIONS, "ApiVersions", 0, 4, 3),
    api(CREATE_TOPICS, "CreateTopics", 2, 7, 5),
    api(DELETE_TOPICS, "DeleteTopics", 1, 6, 4),
    api(INIT_PRODUCER_ID, "InitProducerId", 0, 5, 2),
    api(OFFSET_FOR_LEADER_EPOCH, "OffsetForLeaderEpoch", 2, 4, 4),
    api(DESCRIBE_CONFIGS, "DescribeConfigs", 1, 4, 4),
    api(DELETE_GROUPS, "DeleteGroups", 0, 2, 2),
    api(OFFSET_DELETE, "OffsetDelete", 0, 0, NEVER),
    api(DESCRIBE_CLUSTER, "DescribeCluster", 0, 2, 0),
    api(
        DESCRIBE_TOPIC_PARTITIONS,
        "DescribeTopicPartitions",
        0,
        0,
        0,
    ),
];

/// The API with this key, if onrush serves it.
#[must_use]
pub fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}

impl Api {
    /// True if requests of this version are answered.
    #[must_use]
    pub fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// Version of the request header before a body of this version.
    #[must_use]
    pub fn request_header_version(&self, version: i16) -> i16 {
        if version >= self.first_flexible { 2 } else { 1 }
    }

    /// Version of the response header: ApiVersions keeps 0 for ever, because a client reads it before it knows the broker.
    #[must_use]
    pub fn response_header_version(&self, version: i16) -> i16 {
        i16::from(self.key != API_VERSIONS && version >= self.first_flexible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ApiKey;

    #[test]
    fn the_table_is_sorted_and_within_the_crate() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for api in APIS {
            let key = ApiKey::try_from(api.key).unwrap();
            let range = key.valid_versions();
            assert!(api.min >= range.min && api.max <= range.max, "{}", api.name);
            assert!(api.advertised_min <= api.min);
            assert_eq!(format!("{key:?}"), api.name);
            for version in api.min..=api.max {
                assert_eq!(
                    key.request_header_version(version),
                    api.request_header_version(version),
                    "{} {version}",
                    api.name
                );
                assert_eq!(
                    key.response_header_version(version),
                    api.response_header_version(version),
                    "{} {version}",
                    api.name
                );
            }
        }
    }

    #[test]
    fn produce_is_advertised_from_zero_and_served_from_three() {
        let produce = find(PRODUCE).unwrap();
        assert_eq!((produce.advertised_min, produce.min), (0, 3));
        assert!(!produce.serves(2));
        assert!(produce.serves(13));
        assert!(!produce.serves(14));
        assert_eq!(find(4), None);
    }
}
