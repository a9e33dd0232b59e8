//! What an operator may set about connections, and what is fixed.

use onrush_core::types::{Millis, limits};

/// Bounds of one shard's connections.
#[derive(Clone, Copy, Debug)]
pub struct NetLimits {
    /// What descriptors allow: one more is closed at once.
    pub connections_max: usize,
    /// The core is asked before a connection is read: it comes without a credit.
    pub asks_admission: bool,
    /// `socket.request.max.bytes`: a longer frame closes its connection before anything is allocated for it.
    pub request_bytes_max: u32,
    /// `connections.max.idle.ms`: a connection without a byte in either direction for so long is closed.
    pub idle_ms_max: Millis,
    /// A frame that has begun must be whole after this time plus one millisecond for every 8 bytes received of it: what it claims
    /// to be buys no time.
    pub frame_ms_max: Millis,
    /// Bytes of receive memory beyond the first block of each connection; when used up, reading waits. `queued.max.request.bytes`
    /// where set.
    pub queued_bytes_max: u64,
    /// Memory of tails, beyond which responses that wait for slow peers give theirs up for the file: what the core may keep, and as
    /// much again for those that read it.
    pub tail_bytes_max: u64,
    /// Pipes that may wait with pages in them for slow peers; a quarter of them is kept when empty.
    pub pipes_max: usize,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            connections_max: usize::MAX,
            asks_admission: false,
            request_bytes_max: 100 * 1024 * 1024,
            idle_ms_max: Millis(600_000),
            frame_ms_max: Millis(30_000),
            queued_bytes_max: 256 * 1024 * 1024,
            tail_bytes_max: limits::UNWRITTEN_BYTES_MAX + 2 * limits::HOT_TAIL_BYTES_MAX,
            pipes_max: 64,
        }
    }
}
