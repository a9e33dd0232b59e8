//! onrush: a drop-in Kafka replacement, thread per core on io_uring. This package is the edge around `onrush-core`.

pub mod boot;
pub mod cli;
pub mod config;
pub mod io;
pub mod mesh;
pub mod net;
pub mod observe;
pub mod shard_loop;
pub mod store;
