//! The group coordinator of one partition of `__consumer_offsets`: consumer groups of the classic protocol, and offsets.
//!
//! A pure machine: [`Coordinator::handle`] and its kin only read and return a [`Decision`]; [`Coordinator::replay`] and
//! [`Coordinator::apply`] alone change. What must outlive a restart is in records of the decision, and a reload replays
//! them; events carry what does not outlive it: who is joining, who waits, which time runs.
//!
//! | file | what |
//! |---|---|
//! | `types`, `request`, `reply` | what the host sees |
//! | `record`, `codec` | records of `__consumer_offsets`, byte for byte Kafka's |
//! | `coordinator` | the state; `replay` and `apply` |
//! | `live`, `event` | the part of it that is not stored |
//! | `draft`, `rebalance`, `join`, `sync`, `leave` | members and generations |
//! | `offsets`, `describe`, `sweep`, `subscription`, `bounds` | the rest |
//!
//! Invariants: 1. A member of an old generation is fenced (rule TWO_GENERATIONS). 2. An assignment or offset is told when
//! its record cannot be lost any more (rule COMMIT_BEFORE_DURABLE, which is the host's: `Answer::waits`). 3. Everything
//! that clients make it keep is bounded (`types/limits.rs`).
//!
//! Absent: groups of KIP-848 and later (their records are passed over, see `record`), transactional commits (see
//! `offsets`).
//!
//! Source: KIP-62 (sessions and rebalances), KIP-345 (static members), KIP-394 (member id first), KIP-429 (cooperative
//! clients: the coordinator does not notice), KIP-800 (reasons), KIP-814 (static leader keeps the assignment);
//! `GroupMetadataManager`, `OffsetMetadataManager`.

mod bounds;
mod codec;
mod coordinator;
mod describe;
mod draft;
mod event;
mod ids;
mod join;
mod leave;
mod live;
mod offsets;
mod rebalance;
mod record;
pub mod reply;
pub mod request;
mod subscription;
mod sweep;
mod sync;
#[cfg(test)]
mod tests;
mod types;

pub use codec::DecodeError;
pub use coordinator::Coordinator;
pub use event::Event;
pub use ids::seed;
pub use record::{Entry, OffsetKey, StoredGroup, StoredMember, StoredOffset};
pub use reply::Reply;
pub use request::Request;
pub use types::{
    Answer, CallId, Decision, GroupConfig, GroupState, Record, append_error, partition_of,
};
