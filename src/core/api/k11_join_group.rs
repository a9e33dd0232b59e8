//! JoinGroup (key 11): a member wants to be part of a group's next generation. Answered when all have joined.
//!
//! Versions 0–9, flexible from 6. 1: a time for rebalances of its own. 2: throttle time. 4: a member without an id is first
//! told one. 5: static members. 7: the answer says the protocol type, and null instead of no protocol. 8: a reason.
//! 9: a returning static leader keeps the assignment.
//! Gaps: none of the classic protocol.
//! Source: `KafkaApis.handleJoinGroupRequest`; KIP-62, KIP-345, KIP-394, KIP-800, KIP-814.

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::context::{Client, arc, text};
use crate::group::reply::JoinReply;
use crate::group::request::{Join, Protocol};

/// What the coordinator is to be asked.
#[must_use]
pub fn plan(version: i16, request: &JoinGroupRequest, client: &Client<'_>) -> Join {
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: arc(&protocol.name),
        metadata: protocol.metadata.clone(),
    });
    Join {
        group_id: arc(&request.group_id),
        member_id: arc(&request.member_id),
        instance_id: request.group_instance_id.as_deref().map(arc),
        client_id: arc(client.id),
        client_host: client.host.clone(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: arc(&request.protocol_type),
        protocols: protocols.collect(),
        member_id_required: version >= 4,
        can_skip_assignment: version >= 9,
        reason: request.reason.as_deref().map(arc),
    }
}

/// The answer.
#[must_use]
pub fn finish(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let members = reply.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_metadata(member.metadata)
    });
    let protocol = reply.protocol_name.as_deref().map(text);
    JoinGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_generation_id(reply.generation)
        .with_protocol_type(reply.protocol_type.as_deref().map(text))
        .with_protocol_name(match version {
            0..=6 => Some(protocol.unwrap_or_default()),
            _ => protocol,
        })
        .with_leader(text(&reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(text(&reply.member_id))
        .with_members(members.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;
    use crate::group::{Reply, Request, reply::JoinedMember};
    use crate::types::ErrorCode;
    use bytes::Bytes;
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;

    fn asked(version: i16) -> Join {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"topics"));
        let mut request = JoinGroupRequest::default()
            .with_group_id(text("g").into())
            .with_session_timeout_ms(6000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        if version >= 1 {
            request = request.with_rebalance_timeout_ms(9000);
        }
        if version >= 5 {
            request = request.with_group_instance_id(Some(text("i")));
        }
        let client = Client {
            id: "rdkafka",
            host: "/127.0.0.1".into(),
        };
        plan(version, &recoded(&request, version), &client)
    }

    #[test]
    fn every_version_asks() {
        for version in 0..=9 {
            let join = asked(version);
            assert_eq!((&*join.group_id, &*join.member_id), ("g", ""));
            assert_eq!(
                (&*join.client_id, &*join.client_host),
                ("rdkafka", "/127.0.0.1")
            );
            let rebalance = if version >= 1 { 9000 } else { 6000 };
            assert_eq!(join.rebalance_timeout_ms, rebalance, "v{version}");
            assert_eq!(join.member_id_required, version >= 4);
            assert_eq!(join.can_skip_assignment, version >= 9);
            assert_eq!(join.instance_id.is_some(), version >= 5);
            assert_eq!(&join.protocols[0].metadata[..], b"topics");
        }
    }

    #[test]
    fn every_version_answers() {
        for version in 0..=9 {
            let reply = JoinReply {
                error: ErrorCode::None,
                generation: 3,
                protocol_type: Some("consumer".into()),
                protocol_name: Some("range".into()),
                leader: "a".into(),
                skip_assignment: version >= 9,
                member_id: "a".into(),
                members: vec![JoinedMember {
                    member_id: "a".into(),
                    instance_id: Some("i".into()),
                    metadata: Bytes::from_static(b"topics"),
                }],
            };
            let got = recoded(&finish(version, reply), version);
            assert_eq!((got.error_code, got.generation_id), (0, 3));
            assert_eq!(got.protocol_name.as_deref(), Some("range"));
            assert_eq!(got.protocol_type.is_some(), version >= 7);
            assert_eq!(got.members[0].group_instance_id.is_some(), version >= 5);
        }
    }

    #[test]
    fn no_protocol_is_empty_first_and_null_later() {
        for version in 0..=9 {
            let Reply::Join(reply) =
                Request::Join(asked(version)).refuse(ErrorCode::NotCoordinator)
            else {
                panic!("a join is refused as a join");
            };
            let got = recoded(&finish(version, reply), version);
            let name = got.protocol_name.as_deref();
            assert_eq!(name, if version < 7 { Some("") } else { None });
            assert_eq!((got.error_code, got.generation_id), (16, -1));
        }
    }
}
