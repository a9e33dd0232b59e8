//! The broker's configuration: Kafka's keys, Kafka's file syntax, the defaults of Kafka's single-node file.
//!
//! Invariant: whoever holds a [`BrokerConfig`] holds one that was checked whole.
//! Deliberately absent: values that change at run time; they are metadata records.

pub mod listeners;
mod load;
pub mod properties;
pub mod schema;
mod typed;
mod validate;

pub use load::{ConfigError, Notices, Origin, load};
pub use typed::{BrokerConfig, Durability, NetConfig};
