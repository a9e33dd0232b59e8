//! Keys that only onrush knows.

use super::ConfigKey;
use super::Status::Honoured;
use super::Valid::{Any, AtLeast, Between, OneOf};

keys! {
    /// The cluster that this node belongs to: the directory of another one is refused, a new directory is formatted for it.
    "onrush.cluster.id": String, None, Any, ReadOnly, Honoured;
    /// A broker that died so many times in a row within a minute of its start does not start again; 0 is no limit.
    "onrush.crash.loop.limit": Int, Some("5"), AtLeast(0), ReadOnly, Honoured;
    /// When acks=all is answered: flushed, after the data is on stable storage; written, after the kernel has it.
    "onrush.durability": String, Some("flushed"), OneOf(&["flushed", "written"]), ReadOnly, Honoured;
    /// Shards, each a thread that owns partitions and connections: one per CPU that the process may use when not set.
    "onrush.shards": Int, None, Between(1, 128), ReadOnly, Honoured;
}
