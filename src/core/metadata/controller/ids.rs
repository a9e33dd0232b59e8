//! Ids for new topics, without a random number generator in the core.

use std::collections::BTreeMap;

use crate::types::{TopicId, scramble};

/// Makes ids that look random and never repeat: a permutation of 128 bits, keyed by the random id of this process, of a
/// counter.
#[derive(Clone, Debug)]
pub struct IdSource {
    seed: u128,
    count: u64,
}

impl IdSource {
    /// From the process's incarnation id, which the edge drew at random.
    #[must_use]
    pub fn new(incarnation: TopicId) -> Self {
        Self {
            seed: u128::from_be_bytes(incarnation.0),
            count: 0,
        }
    }

    /// The next id that is not among `taken`: a version 4 UUID, as Kafka's are, whose text does not begin with `-`
    /// (tools would take it for an option).
    pub fn next<V>(&mut self, taken: &BTreeMap<TopicId, V>) -> TopicId {
        loop {
            self.count += 1;
            let bytes = scramble(self.seed, self.count).to_be_bytes();
            let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
            let id = TopicId(id.into_bytes());
            if !taken.contains_key(&id) && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_within_and_between_processes() {
        let mut taken = BTreeMap::new();
        for process in 0..3u8 {
            let mut source = IdSource::new(TopicId([process; 16]));
            for _ in 0..1000 {
                let id = source.next(&taken);
                assert_eq!(id.0[6] >> 4, 4, "version 4");
                assert!(!id.to_string().starts_with('-'));
                assert_eq!(taken.insert(id, process), None);
            }
        }
        let same = |seed: [u8; 16]| IdSource::new(TopicId(seed)).next::<u8>(&BTreeMap::new());
        assert_eq!(same([7; 16]), same([7; 16]), "deterministic");
    }
}
