//! onrush-core: everything that decides, nothing that does.
//!
//! The core is stepped: `machine.step(now, input, &mut effects)` is synchronous and bounded. It holds no I/O,
//! no clock, no threads, no locks, no async, no `unsafe`, and iterates over nothing in hash order, so that the same
//! code runs in the broker, in the simulator and in a test that steps it by hand.
//!
//! Layers, lower first (a lower one never imports a higher one; `tests/layers.rs` checks it):
//! `types < wire < effect < log < partition, metadata, group, placement < ask < input < fetch < api < session < shard, ctl`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
pub mod ask;
pub mod ctl;
pub mod effect;
pub mod fetch;
pub mod group;
pub mod input;
pub mod log;
pub mod metadata;
pub mod partition;
pub mod placement;
pub mod rule;
pub mod session;
pub mod shard;
pub mod types;
pub mod wire;
