//! The two clocks, read by the edge alone: the core is told.
//!
//! Invariant: every core of a process counts monotonic time from the same moment, so that their deadlines can be compared.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onrush_core::types::{Monotonic, Now, WallMillis};

/// Reads the clocks. Copies of one clock share their start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now. One per process.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Both clocks. The wall clock before 1970 counts as 1970.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            mono: self.mono(),
            wall: WallMillis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// The monotonic clock alone.
    #[must_use]
    pub fn mono(&self) -> Monotonic {
        Monotonic(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Time from now until `at`, zero if it has passed.
    #[must_use]
    pub fn until(&self, at: Monotonic) -> Duration {
        Duration::from_nanos(at.0.saturating_sub(self.mono().0))
    }
}
