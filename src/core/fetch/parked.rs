//! Fetches that wait for new data, by the partitions they wait for.
//!
//! Invariants: 1. A fetch is listed under exactly the partitions it was parked on last. 2. Moves of high watermarks wake them,
//! appends do not (the caller looks up readers only then).
//! Source: rule 3.4; Kafka's `DelayedFetch` and its purgatory, without watcher lists that grow.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{OwnerId, WorkId};

/// All parked fetches of a shard.
#[derive(Debug, Default)]
pub struct Parked {
    on: BTreeMap<WorkId, Vec<OwnerId>>,
    readers: BTreeMap<OwnerId, BTreeSet<WorkId>>,
}

impl Parked {
    /// Parks a fetch on these partitions instead of where it was before.
    pub fn park(&mut self, fetch: WorkId, owners: Vec<OwnerId>) {
        self.unpark(fetch);
        for owner in &owners {
            self.readers.entry(*owner).or_default().insert(fetch);
        }
        self.on.insert(fetch, owners);
    }

    /// The fetch waits no more.
    pub fn unpark(&mut self, fetch: WorkId) {
        for owner in self.on.remove(&fetch).unwrap_or_default() {
            if let Some(fetches) = self.readers.get_mut(&owner) {
                fetches.remove(&fetch);
                if fetches.is_empty() {
                    self.readers.remove(&owner);
                }
            }
        }
    }

    /// The fetches that wait for this partition.
    pub fn readers(&self, owner: OwnerId) -> impl Iterator<Item = WorkId> + '_ {
        self.readers.get(&owner).into_iter().flatten().copied()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = WorkId> + '_ {
        self.on.keys().copied()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.on.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(parked: &Parked, owner: u32) -> Vec<u64> {
        parked.readers(OwnerId(owner)).map(|work| work.0).collect()
    }

    #[test]
    fn a_fetch_waits_where_it_was_parked_last() {
        let mut parked = Parked::default();
        parked.park(WorkId(1), vec![OwnerId(7), OwnerId(8)]);
        parked.park(WorkId(2), vec![OwnerId(8)]);
        assert_eq!(readers(&parked, 8), [1, 2]);
        parked.park(WorkId(1), vec![OwnerId(9)]);
        assert_eq!(readers(&parked, 7), [0u64; 0]);
        assert_eq!(readers(&parked, 8), [2]);
        assert_eq!(readers(&parked, 9), [1]);
        parked.unpark(WorkId(1));
        parked.unpark(WorkId(1));
        assert_eq!(parked.all().collect::<Vec<_>>(), [WorkId(2)]);
        assert_eq!(parked.count(), 1);
    }
}
