//! SyncGroup (key 14): the leader brings everybody's assignment, the others wait for theirs.
//!
//! Versions 0–5, flexible from 4. 1: throttle time. 3: static members. 5: protocol type and name, both ways; both must be there.
//! Gaps: none of the classic protocol.
//! Source: `KafkaApis.handleSyncGroupRequest`; KIP-345, KIP-559.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::context::{Plan, arc, text};
use crate::group::reply::SyncReply;
use crate::group::request::Sync;
use crate::types::ErrorCode;

/// What the coordinator is to be asked, or the refusal.
#[must_use]
pub fn plan(version: i16, request: &SyncGroupRequest) -> Plan<SyncGroupResponse, Sync, ()> {
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= 5 && !named {
        let error = ErrorCode::InconsistentGroupProtocol;
        return Plan::Reply(SyncGroupResponse::default().with_error_code(error.code()));
    }
    let assignments = request.assignments.iter();
    let assignments = assignments.map(|of| (arc(&of.member_id), of.assignment.clone()));
    let sync = Sync {
        group_id: arc(&request.group_id),
        generation: request.generation_id,
        member_id: arc(&request.member_id),
        instance_id: request.group_instance_id.as_deref().map(arc),
        protocol_type: request.protocol_type.as_deref().map(arc),
        protocol_name: request.protocol_name.as_deref().map(arc),
        assignments: assignments.collect(),
    };
    Plan::Ask(sync, ())
}

/// The answer.
#[must_use]
pub fn finish(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_protocol_type(reply.protocol_type.as_deref().map(text))
        .with_protocol_name(reply.protocol_name.as_deref().map(text))
        .with_assignment(reply.assignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;
    use bytes::Bytes;
    use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

    fn asked(version: i16) -> SyncGroupRequest {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(text("m"))
            .with_assignment(Bytes::from_static(b"t-0"));
        let request = SyncGroupRequest::default()
            .with_group_id(text("g").into())
            .with_generation_id(4)
            .with_member_id(text("m"))
            .with_assignments(vec![assignment]);
        if version < 5 {
            return recoded(&request, version);
        }
        let request = request.with_protocol_type(Some(text("consumer")));
        recoded(&request.with_protocol_name(Some(text("range"))), version)
    }

    #[test]
    fn every_version_asks_and_answers() {
        for version in 0..=5 {
            let Plan::Ask(sync, ()) = plan(version, &asked(version)) else {
                panic!("v{version} says what it must");
            };
            assert_eq!((&*sync.group_id, sync.generation), ("g", 4));
            assert_eq!(sync.assignments, [("m".into(), Bytes::from_static(b"t-0"))]);
            assert_eq!(sync.protocol_name.is_some(), version >= 5);
            let got = finish(SyncReply {
                error: ErrorCode::None,
                protocol_type: Some("consumer".into()),
                protocol_name: Some("range".into()),
                assignment: Bytes::from_static(b"t-0"),
            });
            let got = recoded(&got, version);
            assert_eq!(&got.assignment[..], b"t-0");
            assert_eq!(got.protocol_type.is_some(), version >= 5);
        }
    }

    #[test]
    fn version_5_must_name_its_protocol() {
        let request = asked(5).with_protocol_name(None);
        let Plan::Reply(response) = plan(5, &request) else {
            panic!("no name");
        };
        assert_eq!(response.error_code, 23);
    }
}
