//! What fetches share: how many bytes an answer may hold, and who waits for which partition.
//!
//! Deliberately absent: incremental sessions (KIP-227; every answer says that none is kept), record bytes.

mod budget;
mod parked;

pub use budget::Budget;
pub use parked::Parked;
