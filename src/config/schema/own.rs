//! Keys that only onrush knows.

use super::ConfigKey;
use super::Status::Honoured;
use super::Valid::{Any, Between, OneOf};

keys! {
    /// The cluster that this node belongs to: the directory of another one is refused, a new directory is formatted for it.
    "onrush.cluster.id": String, None, Any, ReadOnly, Honoured;
    /// When acks=all is answered: flushed, after the data is on stable storage; written, after the kernel has it.
    "onrush.durability": String, Some("flushed"), OneOf(&["flushed", "written"]), ReadOnly, Honoured;
    /// Cores that own partitions and connections. One for now.
    "onrush.shards": Int, Some("1"), Between(1, 1), ReadOnly, Honoured;
}
