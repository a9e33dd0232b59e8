//! The directory: which names there are, what is tidied away, what the small files say, what is planned for each segment.

use std::collections::BTreeMap;

use super::{After, Found, Mode, Plan, Recovery, Step};
use crate::effect::{DirEntry, DiskOk, DiskOp, DiskOut};
use crate::log::epochs::LeaderEpochs;
use crate::log::index::{OFFSET_ENTRY_BYTES, TIME_ENTRY_BYTES};
use crate::log::layout::{self, Kind, Name, Stage};
use crate::log::{LogError, checkpoint};
use crate::types::Offset;
use crate::types::limits::SMALL_FILE_BYTES_MAX;

impl Recovery {
    pub(super) fn on_names(&mut self, ok: DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let DiskOk::Names(names) = ok else {
            self.opened.born = true;
            let path = self.spec.dir.clone();
            self.ask(Step::MakeDir, DiskOp::MakeDir { path }, out);
            return Ok(());
        };
        self.found = self.sort_names(&names);
        let worthless = |&(base, _): &(Offset, Kind)| {
            self.found
                .cleaned_min
                .is_some_and(|cleaned| base >= cleaned)
        };
        let (drop_swaps, swaps): (Vec<_>, Vec<_>) = std::mem::take(&mut self.found.swaps)
            .into_iter()
            .partition(worthless);
        for (base, kind) in drop_swaps {
            let path = self.path(base, kind, Stage::Swap);
            self.found.remove.push(path);
        }
        self.plans = swaps
            .iter()
            .filter(|(_, kind)| *kind == Kind::Log)
            .map(|&(base, _)| Plan {
                base,
                bytes: 0,
                mode: Mode::Swap,
            })
            .collect();
        self.found.swaps = swaps;
        let remove = std::mem::take(&mut self.found.remove);
        self.tidy = remove
            .into_iter()
            .map(|path| DiskOp::Remove { path })
            .collect();
        self.tidy_on(After::ReadMetadata, out)
    }

    pub(super) fn sort_names(&self, names: &[DirEntry]) -> Found {
        let mut found = Found::default();
        for entry in names.iter().filter(|entry| !entry.is_dir) {
            let Name::Segment { base, kind, stage } = layout::parse(&entry.name) else {
                continue;
            };
            match (stage, kind) {
                (Stage::Live, Kind::Log) => drop(found.logs.insert(base, entry.bytes)),
                (Stage::Live, Kind::Index) => drop(found.indexes.insert(base, entry.bytes)),
                (Stage::Live, Kind::TimeIndex) => drop(found.times.insert(base, entry.bytes)),
                (Stage::Live, Kind::TxnIndex) => drop(found.txn_indexes.insert(base, entry.bytes)),
                (Stage::Live, Kind::Snapshot) => found.snapshots.push(base),
                (Stage::Swap, _) => found.swaps.push((base, kind)),
                (Stage::Deleted | Stage::Cleaned, _) => {
                    if stage == Stage::Cleaned {
                        found.cleaned_min =
                            Some(found.cleaned_min.map_or(base, |min| min.min(base)));
                    }
                    found
                        .remove
                        .push(layout::entry(&self.spec.dir, &entry.name));
                }
            }
        }
        let swapped: Vec<Offset> = found.swaps.iter().map(|&(base, _)| base).collect();
        for (kind, files) in [
            (Kind::Index, &found.indexes),
            (Kind::TimeIndex, &found.times),
            (Kind::TxnIndex, &found.txn_indexes),
        ] {
            for &base in files.keys() {
                if !found.logs.contains_key(&base) && !swapped.contains(&base) {
                    found.remove.push(self.path(base, kind, Stage::Live));
                }
            }
        }
        found
    }

    pub(super) fn tidy_on(&mut self, after: After, out: &mut DiskOut) -> Result<(), LogError> {
        if let Some(op) = self.tidy.pop_front() {
            self.ask(Step::Tidy(after), op, out);
            return Ok(());
        }
        match after {
            After::List => {
                let path = self.spec.dir.clone();
                self.ask(Step::List, DiskOp::List { path }, out);
            }
            After::ReadMetadata if !self.found.swaps.is_empty() => self.next_segment(out)?,
            After::ReadMetadata => {
                let path = layout::partition_metadata(&self.spec.dir);
                let bytes_max = SMALL_FILE_BYTES_MAX;
                self.ask(
                    Step::ReadMetadata,
                    DiskOp::ReadFile { path, bytes_max },
                    out,
                );
            }
            After::Settle => self.settle(out)?,
            After::Create => self.create(out),
            After::Snapshots => self.carry(out),
        }
        Ok(())
    }

    pub(super) fn on_metadata(&mut self, ok: DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let expected = self.spec.topic_id;
        let DiskOk::Bytes(bytes) = ok else {
            self.write_metadata(out);
            return Ok(());
        };
        if !expected.is_zero() {
            let found = checkpoint::decode_partition_metadata(&bytes)
                .map_err(|bad| self.corrupt(layout::partition_metadata(&self.spec.dir), bad.0))?;
            if found != expected {
                return Err(LogError::InconsistentTopicId {
                    dir: self.spec.dir.clone(),
                    found,
                    expected,
                });
            }
        }
        self.read_epochs(out);
        Ok(())
    }

    pub(super) fn write_metadata(&mut self, out: &mut DiskOut) {
        if self.spec.topic_id.is_zero() {
            self.read_epochs(out);
            return;
        }
        let op = DiskOp::WriteFile {
            path: layout::partition_metadata(&self.spec.dir),
            bytes: checkpoint::encode_partition_metadata(self.spec.topic_id),
        };
        self.ask(Step::WriteMetadata, op, out);
    }

    pub(super) fn read_epochs(&mut self, out: &mut DiskOut) {
        let op = DiskOp::ReadFile {
            path: layout::leader_epochs(&self.spec.dir),
            bytes_max: SMALL_FILE_BYTES_MAX,
        };
        self.ask(Step::ReadEpochs, op, out);
    }

    pub(super) fn on_epochs(&mut self, ok: &DiskOk) {
        let DiskOk::Bytes(bytes) = ok else { return };
        match checkpoint::decode_epochs(bytes) {
            Ok(entries) => self.epochs = LeaderEpochs::from_entries(entries),
            Err(_) => self.scan_all = true,
        }
    }

    pub(super) fn plan_segments(&mut self) {
        let found = &self.found;
        let floor = found.logs.range(..=self.spec.recovery_point).next_back();
        let scan_from = floor.map(|(&base, _)| base);
        let last = found.logs.last_key_value().map(|(&base, _)| base);
        let whole = |files: &BTreeMap<Offset, u64>, base: &Offset, entry: u64| {
            files.get(base).map(|bytes| bytes % entry == 0)
        };
        self.plans = found
            .logs
            .iter()
            .map(|(&base, &bytes)| {
                let unclean = !self.spec.clean && scan_from.is_none_or(|from| base >= from);
                // A missing time index is an empty one; a missing offset index is rebuilt.
                let indexed = whole(&found.indexes, &base, OFFSET_ENTRY_BYTES) == Some(true)
                    && whole(&found.times, &base, TIME_ENTRY_BYTES) != Some(false);
                let mode = match (unclean || self.scan_all || !indexed, Some(base) == last) {
                    (true, _) => Mode::Scan,
                    (false, true) => Mode::Tail,
                    (false, false) => Mode::Trust,
                };
                Plan { base, bytes, mode }
            })
            .collect();
    }
}
