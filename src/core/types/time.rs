//! Time as an input: the core never asks a clock, every step is told.

use std::fmt;

/// Nanoseconds since the process started. Only differences mean anything; never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub u64);

/// Milliseconds since 1970 by the wall clock: Kafka's timestamps. May jump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallMillis(pub i64);

/// A duration in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

/// Both clocks, read once by the edge before a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For deadlines.
    pub mono: Monotonic,
    /// For timestamps of records, snapshots and retention.
    pub wall: WallMillis,
}

impl Monotonic {
    /// The moment `wait` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.0.saturating_mul(1_000_000)))
    }

    /// Milliseconds since `earlier`, 0 if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0) / 1_000_000)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
