//! Client connections: bytes in, frames to the core; gathers from the core, bytes out.

mod limits;

pub use limits::NetLimits;
