//! What no client may ask of any coordinator: texts that a record cannot hold, and more than a member needs.
//!
//! The answer is INVALID_REQUEST. Bounds of what is kept (groups, members, offsets, their bytes) are checked where it
//! would be kept.

use std::sync::Arc;

use super::request::{Join, Leave, Request};
use crate::types::{ErrorCode, limits};

/// The error of a request that is out of bounds.
pub(super) fn check(request: &Request) -> Option<ErrorCode> {
    let fits = request.group_id().is_none_or(text_fits)
        && match request {
            Request::Join(it) => join_fits(it),
            Request::Leave(it) => leave_fits(it),
            Request::Commit(it) => it.topics.iter().all(|topic| text_fits(&topic.topic)),
            Request::OffsetDelete(it) => it.topics.iter().all(|(topic, _)| text_fits(topic)),
            Request::Sync(_)
            | Request::Heartbeat(_)
            | Request::Fetch(_)
            | Request::Describe { .. }
            | Request::List(_)
            | Request::Delete { .. } => true,
        };
    (!fits).then_some(ErrorCode::InvalidRequest)
}

fn text_fits(text: &Arc<str>) -> bool {
    text.len() <= limits::GROUP_TEXT_BYTES_MAX
}

fn join_fits(join: &Join) -> bool {
    let texts = [
        Some(&join.member_id),
        join.instance_id.as_ref(),
        Some(&join.client_id),
        Some(&join.client_host),
        Some(&join.protocol_type),
    ];
    let names = join.protocols.iter().map(|it| &it.name);
    let bytes = join.protocols.iter().map(|it| it.metadata.len());
    texts.into_iter().flatten().chain(names).all(text_fits)
        && join.protocols.len() <= limits::MEMBER_PROTOCOLS_MAX
        && bytes.sum::<usize>() <= limits::MEMBER_METADATA_BYTES_MAX
}

fn leave_fits(leave: &Leave) -> bool {
    leave.members.len() <= limits::GROUP_MEMBERS_MAX
}
