//! The wire: frames, request bodies, record batches and their codecs, as bytes that nobody vouches for.
//!
//! Invariants:
//! 1. No input panics, and no length field is believed before it was held against the bytes that are there.
//! 2. Work that grows with a client's bytes is resumable: it takes a budget and says when there is more.
//! 3. Record bytes are looked at, never rebuilt: a stored batch differs from the sent one in its 61-byte head alone.
//!
//! Deliberately absent: error codes (the API files choose them), logs, partitions, time.
//!
//! Source: Kafka's protocol guide; `org.apache.kafka.common.record`; KIP-98 (batch v2), KIP-482 (tagged fields).
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions))]

pub mod batch;
pub mod build;
pub mod codec;
pub mod find_record;
pub mod frame;
pub mod guard;
pub mod records;
pub mod stream;
pub mod validate;
pub mod versions;
