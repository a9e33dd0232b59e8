//! LeaveGroup (key 13): members go.
//!
//! Versions 0–5, flexible from 4. 1: throttle time. 3: several members, static ones by their instance. 5: a reason.
//! Gaps: none of the classic protocol.
//! Source: `KafkaApis.handleLeaveGroupRequest`, `LeaveGroupResponse`; KIP-345, KIP-800.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::context::{arc, text};
use crate::group::reply::LeaveReply;
use crate::group::request::{Leave, LeavingMember};
use crate::types::ErrorCode;

/// The first version that names several members.
const MEMBERS_SINCE: i16 = 3;

/// What the coordinator is to be asked.
#[must_use]
pub fn plan(version: i16, request: &LeaveGroupRequest) -> Leave {
    let members = if version >= MEMBERS_SINCE {
        let members = request.members.iter().map(|member| LeavingMember {
            member_id: arc(&member.member_id),
            instance_id: member.group_instance_id.as_deref().map(arc),
            reason: member.reason.as_deref().map(arc),
        });
        members.collect()
    } else {
        vec![LeavingMember {
            member_id: arc(&request.member_id),
            instance_id: None,
            reason: None,
        }]
    };
    Leave {
        group_id: arc(&request.group_id),
        members,
    }
}

/// The answer.
#[must_use]
pub fn finish(version: i16, reply: &LeaveReply) -> LeaveGroupResponse {
    if version < MEMBERS_SINCE {
        let only = reply.members.first().map(|member| member.error);
        let error = match reply.error {
            ErrorCode::None => only.unwrap_or_default(),
            error => error,
        };
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let members = reply.members.iter().map(|member| {
        MemberResponse::default()
            .with_member_id(text(&member.member_id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_error_code(member.error.code())
    });
    // Kafka names no member beside an error of the whole.
    let members = match reply.error {
        ErrorCode::None => members.collect(),
        _ => Vec::new(),
    };
    LeaveGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_members(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;
    use crate::group::reply::LeftMember;
    use kafka_protocol::messages::leave_group_request::MemberIdentity;

    #[test]
    fn every_version_asks_and_answers() {
        for version in 0..=5 {
            let request = LeaveGroupRequest::default().with_group_id(text("g").into());
            let request = if version < 3 {
                request.with_member_id(text("m"))
            } else {
                let mut member = MemberIdentity::default()
                    .with_member_id(text("m"))
                    .with_group_instance_id(Some(text("i")));
                if version >= 5 {
                    member = member.with_reason(Some(text("why")));
                }
                request.with_members(vec![member])
            };
            let leave = plan(version, &recoded(&request, version));
            assert_eq!((&*leave.group_id, leave.members.len()), ("g", 1));
            assert_eq!(&*leave.members[0].member_id, "m");
            assert_eq!(leave.members[0].reason.is_some(), version >= 5);
            let reply = |error, of_member| LeaveReply {
                error,
                members: vec![LeftMember {
                    member_id: "m".into(),
                    instance_id: None,
                    error: of_member,
                }],
            };
            let unknown = reply(ErrorCode::None, ErrorCode::UnknownMemberId);
            let got = recoded(&finish(version, &unknown), version);
            if version < 3 {
                assert_eq!(got.error_code, 25);
            } else {
                assert_eq!((got.error_code, got.members[0].error_code), (0, 25));
            }
            let elsewhere = reply(ErrorCode::NotCoordinator, ErrorCode::None);
            let got = recoded(&finish(version, &elsewhere), version);
            assert_eq!((got.error_code, got.members.len()), (16, 0));
        }
    }
}
