//! The one comparison of leader epochs that Fetch, ListOffsets and OffsetForLeaderEpoch share (KIP-320).

use crate::types::{ErrorCode, LeaderEpoch};

/// The client's idea of the leader epoch against ours; -1 is no idea.
#[must_use]
pub(crate) fn fenced(theirs: LeaderEpoch, ours: LeaderEpoch) -> Option<ErrorCode> {
    if theirs == LeaderEpoch::NONE || theirs == ours {
        None
    } else if theirs < ours {
        Some(ErrorCode::FencedLeaderEpoch)
    } else {
        Some(ErrorCode::UnknownLeaderEpoch)
    }
}
