//! The kernel's side: rings, aligned memory, sockets, splice, clocks, locks. The only folder with `unsafe`.
//!
//! Invariants:
//! 1. Every `unsafe` block holds one operation and a proof; what a module exports is safe to call in any order.
//! 2. Memory and descriptors that the kernel works on are owned by the ring until the completion has been seen.
//! 3. Nothing here knows of partitions, requests or offsets.

pub mod clock;
pub mod file;
pub mod lent;
pub mod lock;
pub mod names;
pub mod pool;
pub mod probe;
pub mod process;
pub mod ring;
pub mod shared;
pub mod socket;
pub mod splice;
pub mod tail;
pub mod wake;
