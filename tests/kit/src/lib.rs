//! What the tests of the real process share: a broker on a free port and in a directory of its own,
//! a client that speaks raw frames, and a look at what a process uses.
//!
//! Written against the protocol crate and Kafka's rules, not against the core: a fault there must
//! not hide behind the same fault here. Absent: librdkafka, which only one test needs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and the place says why"
)]

pub mod broker;
pub mod client;
pub mod fixtures;
pub mod process;
pub mod random;
pub mod records;
