//! The byte budget of one fetch answer.
//!
//! Invariants: 1. The first partition with data gives one whole batch however large it is, so that a consumer always gets
//! on. 2. After that no partition gives more than its own bound or than what is left of the answer's.
//! Source: rules 3.1, 3.2 and 3.21; `ReplicaManager.readFromLog`.

/// What an answer may still hold.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: u64,
    any: bool,
}

impl Budget {
    /// For an answer of at most `bytes_max` of records.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            left: bytes_max,
            any: false,
        }
    }

    /// What a partition that asks for at most `bytes_max` may give.
    #[must_use]
    pub fn share(&self, bytes_max: u64) -> u32 {
        u32::try_from(bytes_max.min(self.left)).unwrap_or(u32::MAX)
    }

    /// True until some partition gave data: its first batch then comes whole.
    #[must_use]
    pub fn at_least_one_batch(&self) -> bool {
        !self.any
    }

    /// A partition gave this many bytes.
    pub fn take(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        self.any |= bytes > 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_batch_is_free_and_the_rest_is_bounded() {
        let mut budget = Budget::new(100);
        assert!(budget.at_least_one_batch());
        assert_eq!(budget.share(1_000), 100);
        budget.take(0);
        assert!(
            budget.at_least_one_batch(),
            "an empty partition does not use it up"
        );
        budget.take(5_000);
        assert!(!budget.at_least_one_batch());
        assert_eq!(budget.share(1_000), 0);
    }

    #[test]
    fn partitions_share_what_is_left() {
        let mut budget = Budget::new(100);
        assert_eq!(budget.share(60), 60);
        budget.take(60);
        assert_eq!(budget.share(60), 40);
    }
}
