//! The group coordinator of one partition of `__consumer_offsets`: consumer groups of the classic protocol, and offsets.
//!
//! Source: KIP-62 (sessions and rebalances), KIP-345 (static members), KIP-394 (member id first), KIP-429 (cooperative
//! clients: the coordinator does not notice), KIP-800 (reasons), KIP-814 (static leader keeps the assignment);
//! `GroupMetadataManager`, `OffsetMetadataManager`.

mod codec;
mod event;
mod record;
pub mod reply;
pub mod request;
mod types;

pub use codec::DecodeError;
pub use event::Event;
pub use record::{Entry, OffsetKey, StoredGroup, StoredMember, StoredOffset};
pub use reply::Reply;
pub use request::Request;
pub use types::{
    Answer, CallId, Decision, GroupConfig, GroupState, Record, append_error, partition_of,
};
