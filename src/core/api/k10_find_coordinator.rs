//! FindCoordinator (key 10): which broker keeps a group.
//!
//! Versions 0–6, flexible from 3. 1: types of coordinators, throttle time, a message. 4: several keys at once. 6: share groups.
//! Gaps: transactions and share groups have no coordinator here. A transactional id is answered by UNSUPPORTED_VERSION, as
//! InitProducerId does: a retriable code would have the producer ask for ever.
//! Source: `KafkaApis.handleFindCoordinatorRequest`; KIP-699.

use std::sync::Arc;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::context::{ApiContext, text};
use crate::group::partition_of;
use crate::metadata::{GROUP_METADATA_TOPIC, NewTopic, Topic};
use crate::types::ErrorCode;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// The first version that asks for several keys.
const KEYS_SINCE: i16 = 4;

/// The answer, and the topic of the groups if it is to be created: the client asks again meanwhile.
#[derive(Debug)]
pub struct Found {
    /// To be sent at once.
    pub response: FindCoordinatorResponse,
    /// The topic, if it does not exist yet.
    pub create: Option<NewTopic>,
}

/// Where a coordinator is, or why it is nowhere.
type Place = Result<(BrokerId, Arc<str>, u16), ErrorCode>;

/// Answers a request.
#[must_use]
pub fn handle(cx: &ApiContext<'_>, version: i16, request: &FindCoordinatorRequest) -> Found {
    let topic = cx.topic(GROUP_METADATA_TOPIC);
    let find = |key: &str| match request.key_type {
        GROUP => coordinator_of(cx, topic, key),
        TRANSACTION => Err(ErrorCode::UnsupportedVersion),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let response = if version >= KEYS_SINCE {
        // Kafka has words here only for what it refuses before it looks at a key.
        let message = match request.key_type {
            GROUP | SHARE => "",
            TRANSACTION => sentence(ErrorCode::UnsupportedVersion),
            _ => sentence(ErrorCode::InvalidRequest),
        };
        let rows = request.coordinator_keys.iter().map(|key| {
            row(find(key))
                .with_key(key.clone())
                .with_error_message(Some(text(message)))
        });
        FindCoordinatorResponse::default().with_coordinators(rows.collect())
    } else {
        let place = find(&request.key);
        let error = place.as_ref().err().copied().unwrap_or_default();
        let row = row(place);
        let response = FindCoordinatorResponse::default()
            .with_error_code(row.error_code)
            .with_node_id(row.node_id)
            .with_host(row.host)
            .with_port(row.port);
        if version >= 1 {
            response.with_error_message(Some(text(sentence(error))))
        } else {
            response
        }
    };
    let asked = version < KEYS_SINCE || !request.coordinator_keys.is_empty();
    let wanted = request.key_type == GROUP && topic.is_none() && asked;
    let create = wanted.then(|| cx.offsets_topic());
    Found { response, create }
}

fn coordinator_of(cx: &ApiContext<'_>, topic: Option<&Topic>, group: &str) -> Place {
    let nowhere = ErrorCode::CoordinatorNotAvailable;
    let topic = topic.ok_or(nowhere)?;
    let count = u32::try_from(topic.partitions.len()).unwrap_or(0);
    if count == 0 {
        return Err(nowhere);
    }
    let index = usize::try_from(partition_of(group, count).0).unwrap_or(0);
    let leader = topic.partitions.get(index).and_then(|state| state.leader);
    let leader = leader.filter(|node| cx.is_alive(*node)).ok_or(nowhere)?;
    let endpoint = cx.endpoint_of(leader).ok_or(nowhere)?;
    Ok((
        BrokerId(leader.0),
        endpoint.host.as_ref().into(),
        endpoint.port,
    ))
}

fn row(place: Place) -> Coordinator {
    match place {
        Ok((node, host, port)) => Coordinator::default()
            .with_node_id(node)
            .with_host(text(&host))
            .with_port(port.into()),
        Err(error) => Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code()),
    }
}

fn sentence(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::None => "NONE",
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        ErrorCode::UnsupportedVersion => "Transactions are not served.",
        _ => {
            "This most likely occurs because of a request being malformed by the client library \
             or the message was sent to an incompatible broker. See the broker logs for more details."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Fixture, through_wire};
    use crate::metadata::Image;

    fn asked(version: i16, key: &str, key_type: i8) -> FindCoordinatorRequest {
        let request = FindCoordinatorRequest::default();
        let request = if version >= 1 {
            request.with_key_type(key_type)
        } else {
            request
        };
        if version >= KEYS_SINCE {
            request.with_coordinator_keys(vec![text(key), text("other")])
        } else {
            request.with_key(text(key))
        }
    }

    fn ask(fixture: &Fixture, version: i16, key_type: i8) -> (FindCoordinatorResponse, bool) {
        let mut create = false;
        let request = asked(version, "group", key_type);
        let response = through_wire(version, &request, |request: FindCoordinatorRequest| {
            let found = handle(&fixture.context(), version, &request);
            create = found.create.is_some();
            found.response
        });
        (response, create)
    }

    #[test]
    fn a_group_is_kept_by_the_leader_of_its_partition() {
        let fixture = Fixture::new();
        for version in 0..=6 {
            let (got, create) = ask(&fixture, version, GROUP);
            assert!(!create);
            if version >= KEYS_SINCE {
                assert_eq!(got.coordinators.len(), 2);
                let first = &got.coordinators[0];
                assert_eq!(first.key.as_str(), "group");
                assert_eq!(
                    (first.error_code, first.node_id.0, first.port),
                    (0, 1, 9092)
                );
                assert_eq!(first.error_message.as_deref(), Some(""));
            } else {
                assert_eq!((got.error_code, got.node_id.0, got.port), (0, 1, 9092));
                let message = got.error_message.as_deref();
                assert_eq!(
                    message.unwrap_or_default(),
                    if version >= 1 { "NONE" } else { "" }
                );
            }
        }
    }

    #[test]
    fn without_the_topic_the_client_is_to_come_again() {
        let mut fixture = Fixture::new();
        fixture.image = Image {
            brokers: fixture.image.brokers.clone(),
            ..Image::default()
        };
        for version in 0..=6 {
            let (got, create) = ask(&fixture, version, GROUP);
            assert!(create, "v{version}");
            let code = got
                .coordinators
                .first()
                .map_or(got.error_code, |c| c.error_code);
            assert_eq!(code, 15);
        }
    }

    #[test]
    fn other_coordinators_do_not_exist() {
        let fixture = Fixture::new();
        for (key_type, code) in [(TRANSACTION, 35), (2, 42), (9, 42)] {
            assert_eq!(ask(&fixture, 3, key_type).0.error_code, code);
            let (got, create) = ask(&fixture, 6, key_type);
            assert!(!create);
            assert_eq!(got.coordinators[1].error_code, code);
            assert_eq!(got.coordinators[1].node_id.0, -1);
        }
    }
}
