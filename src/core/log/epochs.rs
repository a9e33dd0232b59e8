//! Leader epochs and the offsets they start at.
//!
//! Invariants: 1. Epochs and start offsets both strictly increase. 2. `durable_to` says up to which offset the file on disk knows the
//! epochs: the recovery point may not pass it, because recovery learns the epochs above it from the batches it scans.
//! Source: Kafka's `LeaderEpochFileCache`, KIP-101, KIP-279.

use crate::types::{LeaderEpoch, Offset};

/// An epoch and the first offset written in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start: Offset,
}

/// The epochs of a log, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderEpochs {
    entries: Vec<EpochStart>,
    dirty_from: Option<Offset>,
}

impl LeaderEpochs {
    /// As read from the file; entries that do not increase are dropped as Kafka drops them.
    #[must_use]
    pub fn from_entries(entries: Vec<EpochStart>) -> Self {
        let mut epochs = Self::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start);
        }
        epochs.dirty_from = None;
        epochs
    }

    /// All entries, ascending.
    #[must_use]
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The latest epoch, if there is any.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that `epoch` starts at `start`. Entries at or above either are superseded. An epoch that is not newer changes nothing.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if epoch.0 < 0 || start.0 < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return;
        }
        self.entries.retain(|entry| entry.start < start);
        self.entries.push(EpochStart { epoch, start });
        self.dirty(start);
    }

    /// The log ends at `end` now: epochs that start there or later are forgotten.
    pub fn cut_end(&mut self, end: Offset) {
        if self.entries.last().is_some_and(|last| last.start >= end) {
            self.entries.retain(|entry| entry.start < end);
            self.dirty(end);
        }
    }

    /// The log starts at `start` now: the epoch in force there starts there, older ones are forgotten.
    pub fn cut_start(&mut self, start: Offset) {
        let after = self.entries.partition_point(|entry| entry.start <= start);
        let Some(first) = after.checked_sub(1) else {
            return;
        };
        // Nothing below the log's start is read, so the file on disk stays right for everything that is.
        self.entries.drain(..first);
        if let Some(entry) = self.entries.first_mut() {
            entry.start = entry.start.max(start);
        }
    }

    fn dirty(&mut self, from: Offset) {
        self.dirty_from = Some(self.dirty_from.map_or(from, |old| old.min(from)));
    }

    /// The offset from which on the file on disk does not know the epochs; `None` if it knows all.
    #[must_use]
    pub fn dirty_from(&self) -> Option<Offset> {
        self.dirty_from
    }

    /// The file was written with the present entries.
    pub fn on_saved(&mut self) {
        self.dirty_from = None;
    }

    /// The epoch of a record at `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        let at = after.checked_sub(1)?;
        self.entries.get(at).map(|entry| entry.epoch)
    }

    /// The largest epoch not above `epoch` and where it ends: the start of the next one, or `log_end` for the latest.
    /// `None` where Kafka answers epoch -1, offset -1.
    #[must_use]
    pub fn end_offset(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end));
        }
        let after = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(after)?;
        let floor = after.checked_sub(1).and_then(|at| self.entries.get(at));
        Some((floor.map_or(epoch, |entry| entry.epoch), next.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for &(epoch, start) in entries {
            epochs.assign(LeaderEpoch(epoch), Offset(start));
        }
        epochs
    }

    fn shown(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        let entries = epochs.entries().iter();
        entries
            .map(|entry| (entry.epoch.0, entry.start.0))
            .collect()
    }

    #[test]
    fn end_offsets_as_kafka_answers() {
        let epochs = epochs(&[(2, 0), (4, 10), (7, 30)]);
        let end = |epoch| {
            let found = epochs.end_offset(LeaderEpoch(epoch), Offset(50));
            found.map(|(epoch, end)| (epoch.0, end.0))
        };
        assert_eq!(end(-1), None);
        assert_eq!(end(0), Some((0, 0)));
        assert_eq!(end(2), Some((2, 10)));
        assert_eq!(end(3), Some((2, 10)));
        assert_eq!(end(4), Some((4, 30)));
        assert_eq!(end(6), Some((4, 30)));
        assert_eq!(end(7), Some((7, 50)));
        assert_eq!(end(8), None);
        assert_eq!(
            LeaderEpochs::default().end_offset(LeaderEpoch(0), Offset(0)),
            None
        );
        assert_eq!(epochs.epoch_at(Offset(9)), Some(LeaderEpoch(2)));
        assert_eq!(epochs.epoch_at(Offset(30)), Some(LeaderEpoch(7)));
    }

    #[test]
    fn entries_stay_increasing() {
        let mut kept = epochs(&[(1, 0), (3, 20)]);
        kept.assign(LeaderEpoch(2), Offset(30));
        assert_eq!(shown(&kept), [(1, 0), (3, 20)]);
        kept.assign(LeaderEpoch(5), Offset(20));
        assert_eq!(shown(&kept), [(1, 0), (5, 20)]);
        kept.assign(LeaderEpoch(6), Offset(0));
        assert_eq!(shown(&kept), [(6, 0)]);
        assert_eq!(kept.dirty_from(), Some(Offset(0)));
        kept.on_saved();
        assert_eq!(kept.dirty_from(), None);
    }

    #[test]
    fn both_ends_are_cut() {
        let mut kept = epochs(&[(1, 0), (3, 20), (5, 40)]);
        kept.on_saved();
        kept.cut_end(Offset(40));
        assert_eq!(shown(&kept), [(1, 0), (3, 20)]);
        assert_eq!(kept.dirty_from(), Some(Offset(40)));
        kept.cut_start(Offset(10));
        assert_eq!(shown(&kept), [(1, 10), (3, 20)]);
        kept.cut_start(Offset(20));
        assert_eq!(shown(&kept), [(3, 20)]);
        kept.cut_start(Offset(25));
        assert_eq!(shown(&kept), [(3, 25)]);
        kept.cut_end(Offset(0));
        assert_eq!(shown(&kept), []);
    }
}
