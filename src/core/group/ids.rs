//! Ids for new members, without a random number generator in the core.

use crate::types::{PartitionIndex, scramble};

/// Makes ids that look random and never repeat: a permutation of 128 bits, keyed by a seed, of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MemberIds {
    seed: u128,
    drawn: u64,
}

impl MemberIds {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self {
            seed: u128::from_be_bytes(seed),
            drawn: 0,
        }
    }

    /// The id after the last one drawn, behind `prefix`: a version 4 UUID as Kafka's are.
    pub(super) fn next(&self, prefix: &str) -> String {
        let bytes = scramble(self.seed, self.drawn).to_be_bytes();
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        format!("{prefix}-{}", id.hyphenated())
    }

    /// That id is taken.
    pub(super) fn draw(&mut self) {
        self.drawn += 1;
    }
}

/// A seed for the coordinator of `partition`, as this process loads it for the `load`-th time.
#[must_use]
pub fn seed(incarnation: [u8; 16], partition: PartitionIndex, load: u64) -> [u8; 16] {
    let wide = u128::from_be_bytes(incarnation);
    let partition = u64::from(partition.0.cast_unsigned());
    scramble(scramble(wide, partition), load).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_differ_within_and_between_coordinators() {
        let mut seen = BTreeSet::new();
        for (partition, load) in [(0, 0), (0, 1), (1, 0)] {
            let mut ids = MemberIds::new(seed([7; 16], PartitionIndex(partition), load));
            for _ in 0..1000 {
                let id = ids.next("client");
                assert_eq!((id.len(), &id[..7], &id[21..22]), (43, "client-", "4"));
                assert!(seen.insert(id));
                ids.draw();
            }
        }
    }
}
