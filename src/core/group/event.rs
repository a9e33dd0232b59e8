//! The part of a coordinator's state that is not stored: who is joining, who waits for an answer, when which time is up.
//!
//! Invariant: an event never changes what records say (offsets, and a group as its last record has it).

use std::sync::Arc;

use super::live::Live;
use crate::types::Monotonic;

/// A change that no record tells; made by a coordinator for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event(pub(super) Change);

/// What changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// A new member id was made.
    IdDrawn,
    /// A member showed that it lives: its session ends at `until`, unless it does again.
    Alive {
        group_id: Arc<str>,
        member_id: Arc<str>,
        until: Monotonic,
    },
    /// What the group does now. If it is Empty or Stable, the records before it said so.
    Live { group_id: Arc<str>, live: Box<Live> },
    /// A timer rang too early, because its time had been put off: it is set again.
    Rearm { group_id: Arc<str> },
}
