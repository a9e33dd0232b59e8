//! Heartbeat (key 12): a member is alive.
//!
//! Versions 0–4, flexible from 4. 1: throttle time. 3: static members.
//! Gaps: none of the classic protocol.
//! Source: `KafkaApis.handleHeartbeatRequest`, `GroupCoordinatorService.heartbeat`.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::context::arc;
use crate::group::request::Heartbeat;
use crate::types::ErrorCode;

/// What the coordinator is to be asked.
#[must_use]
pub fn plan(request: &HeartbeatRequest) -> Heartbeat {
    Heartbeat {
        group_id: arc(&request.group_id),
        generation: request.generation_id,
        member_id: arc(&request.member_id),
        instance_id: request.group_instance_id.as_deref().map(arc),
    }
}

/// The answer. While the coordinator loads, no session ends: a member is told that all is well.
#[must_use]
pub fn finish(error: ErrorCode) -> HeartbeatResponse {
    let error = match error {
        ErrorCode::CoordinatorLoadInProgress => ErrorCode::None,
        error => error,
    };
    HeartbeatResponse::default().with_error_code(error.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::context::text;
    use crate::api::testing::recoded;

    #[test]
    fn every_version_asks_and_answers() {
        for version in 0..=4 {
            let mut request = HeartbeatRequest::default()
                .with_group_id(text("g").into())
                .with_generation_id(4)
                .with_member_id(text("m"));
            if version >= 3 {
                request = request.with_group_instance_id(Some(text("i")));
            }
            let beat = plan(&recoded(&request, version));
            assert_eq!(
                (&*beat.group_id, beat.generation, &*beat.member_id),
                ("g", 4, "m")
            );
            assert_eq!(beat.instance_id.is_some(), version >= 3);
            let code = |error| recoded(&finish(error), version).error_code;
            assert_eq!(code(ErrorCode::RebalanceInProgress), 27);
            assert_eq!(code(ErrorCode::CoordinatorLoadInProgress), 0);
        }
    }
}
