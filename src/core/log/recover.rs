//! From a directory to a log: what a start finds, case by case, and what it does about it.
//!
//! One operation is in flight at a time; dying at any point and starting over gives the same log.
//!
//! | found | done |
//! |---|---|
//! | no directory | birth: directory, partition.metadata, first segment, each flushed before the next (R8) |
//! | `.deleted`, `.cleaned` | removed |
//! | `.swap` | at or above the lowest `.cleaned`: removed; else the segments it replaces are removed, it takes its name, and the look begins anew |
//! | index without log | removed |
//! | partition.metadata of another topic | the partition stays offline |
//! | no partition.metadata | written |
//! | leader-epoch-checkpoint unreadable | every segment is scanned, which finds the epochs again |
//! | no segments | one is made at the log start |
//! | unclean stop | segments from the one that holds the recovery point on are scanned: checksums, order, indexes, epochs |
//! | clean stop | the last segment is scanned from its last index entry; sizes are trusted, missing or odd index files mean a scan |
//! | a scan ends before the file does | the file is cut there; segments that do not follow on are removed |
//! | the same after a clean stop, and not just zeros | corruption of what was safe: the partition stays offline, nothing is cut |
//! | an unclean stop and a segment that does not follow on, in a log that is not compacted | it and those after it are removed |
//! | the end lies below the checkpointed log start | all segments are removed, one is made at the log start |
//! | snapshots above the end | removed |
//! | messages of magic 0 or 1 | the partition stays offline |
//!
//! Before the log is open, what was scanned is flushed: it may have been in the disk's cache only.
//! Source: Kafka's `LogLoader`.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint;
use super::epochs::LeaderEpochs;
use super::index::{Indexed, Indexes, OFFSET_ENTRY_BYTES, TIME_ENTRY_BYTES};
use super::layout::{self, Kind, Name, Stage};
use super::scanner::{Scanner, Stop};
use super::segment::Segment;
use super::writer::{Mark, Writer, sector_floor};
use super::{LogError, LogSpec, Opened};
use crate::effect::{DirEntry, DiskOk, DiskOp, DiskOut, DiskResult, RelPath};
use crate::types::limits::{BATCH_HEADER_BYTES, RECOVERY_READ_BYTES, SMALL_FILE_BYTES_MAX};
use crate::types::{FileId, Millis, Now, Offset, Position, Token};
use crate::wire::batch::BatchHeader;

/// How much of a segment is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Nothing: its size and its indexes are right.
    Trust,
    /// From the last index entry on.
    Tail,
    /// All of it.
    Scan,
    /// All of it, to learn where a cleaned segment that waits to be put in place ends.
    Swap,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    base: Offset,
    bytes: u64,
    mode: Mode,
}

/// The segment being looked at.
#[derive(Debug)]
struct Current {
    plan: Plan,
    file: FileId,
    file_bytes: u64,
    indexes: Indexes,
    scanner: Scanner,
    first_timestamp: Option<i64>,
    /// The batch of the last index entry: it is in the indexes already.
    resume_at: Option<(Offset, u64)>,
    resume_failed: bool,
    cut: bool,
}

#[derive(Debug)]
enum Step {
    List,
    MakeDir,
    ReadMetadata,
    WriteMetadata,
    ReadEpochs,
    /// Removals and renames, one after the other.
    Tidy(After),
    Open,
    ReadIndex,
    ReadTimes {
        offsets: Option<bytes::Bytes>,
    },
    Scan,
    Settle,
    WriteIndex,
    WriteTimes,
    Create,
    Carry,
    FirstHead,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    List,
    ReadMetadata,
    Settle,
    Create,
    Snapshots,
}

/// The names found in the directory.
#[derive(Debug, Default)]
struct Found {
    logs: BTreeMap<Offset, u64>,
    indexes: BTreeMap<Offset, u64>,
    times: BTreeMap<Offset, u64>,
    txn_indexes: BTreeMap<Offset, u64>,
    snapshots: Vec<Offset>,
    swaps: Vec<(Offset, Kind)>,
    cleaned_min: Option<Offset>,
    remove: Vec<RelPath>,
}

/// A log that is ready.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) epochs: LeaderEpochs,
    pub(super) opened: Opened,
}

/// The start of a log.
#[derive(Debug)]
pub(super) struct Recovery {
    spec: LogSpec,
    step: Step,
    token: Token,
    tidy: VecDeque<DiskOp>,
    found: Found,
    plans: VecDeque<Plan>,
    swap_end: Offset,
    current: Option<Current>,
    done: Vec<Segment>,
    epochs: LeaderEpochs,
    scan_all: bool,
    torn: bool,
    born: bool,
    ready: bool,
    /// Nothing on disk counts: the log begins anew at its start.
    start_over: bool,
}

impl Recovery {
    pub(super) fn start(spec: LogSpec, out: &mut DiskOut) -> Self {
        let token = out.push(DiskOp::List {
            path: spec.dir.clone(),
        });
        Self {
            spec,
            step: Step::List,
            token,
            tidy: VecDeque::new(),
            found: Found::default(),
            plans: VecDeque::new(),
            swap_end: Offset(0),
            current: None,
            done: Vec::new(),
            epochs: LeaderEpochs::default(),
            scan_all: false,
            torn: false,
            born: false,
            ready: false,
            start_over: false,
        }
    }

    pub(super) fn owns(&self, token: Token) -> bool {
        self.token == token
    }

    /// Takes the completion of the operation in flight. The log when it is ready.
    pub(super) fn on_disk(
        &mut self,
        now: Now,
        result: DiskResult,
        out: &mut DiskOut,
    ) -> Result<Option<Recovered>, LogError> {
        let ok = result.map_err(|error| LogError::Disk {
            dir: self.spec.dir.clone(),
            error,
        })?;
        match std::mem::replace(&mut self.step, Step::List) {
            Step::List => self.on_names(ok, out)?,
            Step::MakeDir => self.write_metadata(out),
            Step::ReadMetadata => self.on_metadata(ok, out)?,
            Step::WriteMetadata => self.read_epochs(out),
            Step::ReadEpochs => {
                self.on_epochs(&ok);
                self.plan_segments();
                self.next_segment(out)?;
            }
            Step::Tidy(after) => self.tidy_on(after, out)?,
            Step::Open => self.on_open(&ok, out)?,
            Step::ReadIndex => self.on_index(ok, out),
            Step::ReadTimes { offsets } => self.on_times(offsets, ok, out),
            Step::Scan => self.on_piece(&ok, out)?,
            Step::Settle => self.on_settled(out)?,
            Step::WriteIndex => self.write_times(out),
            Step::WriteTimes => self.keep_sealed(out)?,
            Step::Create => self.tidy_snapshots(out)?,
            Step::Carry => self.on_carry(ok, out)?,
            Step::FirstHead => self.on_first_head(&ok),
        }
        Ok(self.finished(now))
    }

    fn ask(&mut self, step: Step, op: DiskOp, out: &mut DiskOut) {
        self.step = step;
        self.token = out.push(op);
    }

    fn corrupt(&self, file: RelPath, what: &'static str) -> LogError {
        debug_assert!(file.starts_with(&*self.spec.dir), "a file of this log");
        LogError::Corrupt { file, what }
    }

    fn path(&self, base: Offset, kind: Kind, stage: Stage) -> RelPath {
        layout::segment_file(&self.spec.dir, base, kind, stage)
    }

    // ---- the directory ----

    fn on_names(&mut self, ok: DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let DiskOk::Names(names) = ok else {
            self.born = true;
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

    fn sort_names(&self, names: &[DirEntry]) -> Found {
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

    fn tidy_on(&mut self, after: After, out: &mut DiskOut) -> Result<(), LogError> {
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

    fn on_metadata(&mut self, ok: DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
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

    fn write_metadata(&mut self, out: &mut DiskOut) {
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

    fn read_epochs(&mut self, out: &mut DiskOut) {
        let op = DiskOp::ReadFile {
            path: layout::leader_epochs(&self.spec.dir),
            bytes_max: SMALL_FILE_BYTES_MAX,
        };
        self.ask(Step::ReadEpochs, op, out);
    }

    fn on_epochs(&mut self, ok: &DiskOk) {
        let DiskOk::Bytes(bytes) = ok else { return };
        match checkpoint::decode_epochs(bytes) {
            Ok(entries) => self.epochs = LeaderEpochs::from_entries(entries),
            Err(_) => self.scan_all = true,
        }
    }

    fn plan_segments(&mut self) {
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

    // ---- the segments ----

    fn next_segment(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        while let Some(plan) = self.plans.front().copied() {
            if plan.mode == Mode::Trust {
                self.plans.pop_front();
                self.done.push(Segment::sealed(plan.base, plan.bytes));
                continue;
            }
            let file = out.next_file();
            self.plans.pop_front();
            self.current = Some(Current {
                plan,
                file,
                file_bytes: 0,
                indexes: Indexes::new(plan.base),
                scanner: Scanner::new(plan.base, 0, 0, plan.base),
                first_timestamp: None,
                resume_at: None,
                resume_failed: false,
                cut: false,
            });
            let stage = if plan.mode == Mode::Swap {
                Stage::Swap
            } else {
                Stage::Live
            };
            let op = DiskOp::Open {
                path: self.path(plan.base, Kind::Log, stage),
                file,
                create: false,
            };
            self.ask(Step::Open, op, out);
            return Ok(());
        }
        if !self.found.swaps.is_empty() {
            return self.put_swaps_in_place(out);
        }
        if self.done.is_empty() {
            self.create(out);
        }
        Ok(())
    }

    /// The cleaned segments replace those that begin within their range; then the look begins anew.
    fn put_swaps_in_place(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let swaps = std::mem::take(&mut self.found.swaps);
        let logs = swaps.iter().filter(|(_, kind)| *kind == Kind::Log);
        if let Some(from) = logs.map(|&(base, _)| base).min() {
            for (&base, _) in self.found.logs.range(from..self.swap_end.max(from)) {
                for kind in [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::TxnIndex] {
                    let path = self.path(base, kind, Stage::Live);
                    self.tidy.push_back(DiskOp::Remove { path });
                }
            }
        }
        for (base, kind) in swaps {
            self.tidy.push_back(DiskOp::Rename {
                from: self.path(base, kind, Stage::Swap),
                to: self.path(base, kind, Stage::Live),
            });
        }
        self.tidy_on(After::List, out)
    }

    fn on_open(&mut self, ok: &DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_mut().expect("a segment is being opened");
        let DiskOk::Opened { bytes } = *ok else {
            let path = self.path(self.current_base(), Kind::Log, Stage::Live);
            return Err(self.corrupt(path, "the segment vanished while it was opened"));
        };
        current.file_bytes = bytes;
        let base = current.plan.base;
        current.scanner = Scanner::new(base, bytes, 0, base);
        if current.plan.mode == Mode::Tail {
            let op = self.read_small(base, Kind::Index);
            self.ask(Step::ReadIndex, op, out);
            return Ok(());
        }
        self.next_piece(out)
    }

    fn current_base(&self) -> Offset {
        self.current
            .as_ref()
            .map_or(Offset(0), |current| current.plan.base)
    }

    fn read_small(&self, base: Offset, kind: Kind) -> DiskOp {
        DiskOp::ReadFile {
            path: self.path(base, kind, Stage::Live),
            bytes_max: SMALL_FILE_BYTES_MAX,
        }
    }

    fn on_index(&mut self, ok: DiskOk, out: &mut DiskOut) {
        let offsets = match ok {
            DiskOk::Bytes(bytes) => Some(bytes),
            _ => None,
        };
        let op = self.read_small(self.current_base(), Kind::TimeIndex);
        self.ask(Step::ReadTimes { offsets }, op, out);
    }

    fn on_times(&mut self, offsets: Option<bytes::Bytes>, ok: DiskOk, out: &mut DiskOut) {
        let times = match ok {
            DiskOk::Bytes(bytes) => bytes,
            _ => bytes::Bytes::new(),
        };
        let current = self.current.as_mut().expect("its indexes were read");
        let (base, bytes) = (current.plan.base, current.file_bytes);
        let decoded =
            offsets.and_then(|offsets| Indexes::decode(base, bytes, None, &offsets, &times));
        match decoded {
            Some(indexes) => {
                if let Some((last_offset, position)) = indexes.last_entry() {
                    current.resume_at = Some((last_offset, position.0));
                    // The batch of the entry may begin anywhere up to its last offset.
                    current.scanner = Scanner::new(base, bytes, position.0, base);
                }
                current.indexes = indexes;
            }
            None => current.plan.mode = Mode::Scan,
        }
        self.next_piece(out)
            .expect("a scan that has not begun cannot fail");
    }

    fn next_piece(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("a segment is scanned");
        let Some(position) = current.scanner.wants() else {
            return self.on_scanned(out);
        };
        let len = RECOVERY_READ_BYTES.min(current.file_bytes - position);
        let op = DiskOp::Read {
            file: current.file,
            position: Position(position),
            len: u32::try_from(len).expect("RECOVERY_READ_BYTES fits"),
        };
        self.ask(Step::Scan, op, out);
        Ok(())
    }

    fn on_piece(&mut self, ok: &DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let DiskOk::Bytes(bytes) = ok else {
            panic!("a read is answered with bytes");
        };
        let interval = self.spec.config.index_interval_bytes;
        let (current, epochs) = (
            self.current.as_mut().expect("a segment is scanned"),
            &mut self.epochs,
        );
        if bytes.is_empty() {
            let path = self.path(self.current_base(), Kind::Log, Stage::Live);
            return Err(self.corrupt(path, "the segment is shorter than its size"));
        }
        let swap = current.plan.mode == Mode::Swap;
        let Current {
            scanner,
            indexes,
            first_timestamp,
            resume_at,
            resume_failed,
            ..
        } = current;
        scanner.feed(bytes, |header, position| {
            let batch = Indexed {
                last_offset: header.last_offset(),
                position: Position(position),
                bytes: header.total_bytes(),
                max_timestamp: header.max_timestamp,
            };
            if position == 0 {
                *first_timestamp = Some(header.max_timestamp);
            }
            match resume_at.take() {
                Some((last_offset, _)) => {
                    *resume_failed |= last_offset != batch.last_offset;
                    indexes.resume(batch);
                }
                None => indexes.on_batch(batch, interval),
            }
            if !swap {
                epochs.assign(header.leader_epoch, header.base_offset);
            }
        });
        self.next_piece(out)
    }

    fn on_scanned(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let (base, file) = {
            let current = self.current.as_mut().expect("a segment was scanned");
            // The index did not lead to the batch it named: it is not this segment's.
            if current.resume_failed || current.resume_at.is_some() {
                let (base, bytes) = (current.plan.base, current.file_bytes);
                current.plan.mode = Mode::Scan;
                current.resume_failed = false;
                current.resume_at = None;
                current.indexes = Indexes::new(base);
                current.scanner = Scanner::new(base, bytes, 0, base);
                return self.next_piece(out);
            }
            (current.plan.base, current.file)
        };
        let current = self.current.as_ref().expect("a segment was scanned");
        let (end, next_offset) = (current.scanner.end(), current.scanner.next_offset());
        if current.plan.mode == Mode::Swap {
            self.swap_end = self.swap_end.max(next_offset);
            out.push(DiskOp::Close { file });
            self.current = None;
            return self.next_segment(out);
        }
        let log = self.path(base, Kind::Log, Stage::Live);
        match current.scanner.outcome() {
            Some(Stop::Old(magic)) => return Err(LogError::OldFormat { file: log, magic }),
            Some(Stop::Bad { zeros: false }) if self.spec.clean => {
                return Err(self.corrupt(log, "a batch that was safe is corrupt"));
            }
            Some(Stop::Bad { zeros }) => self.torn |= !zeros,
            None => {}
        }
        // What does not follow on goes first, from the end: dying in between leaves the cut to be found again.
        if let Some(next) = self.plans.front().map(|plan| plan.base) {
            // A file that lost its end together with its size ends well, but a later one may have survived.
            let gap = next > next_offset && !self.spec.clean && !self.spec.config.compacted;
            if gap || (end < current.file_bytes && next != next_offset) {
                self.torn = true;
                for plan in std::mem::take(&mut self.plans).into_iter().rev() {
                    self.remove_segment(plan.base);
                }
            } else if next < next_offset {
                let path = self.path(next, Kind::Log, Stage::Live);
                return Err(self.corrupt(path, "it begins before the segment before it ends"));
            }
        }
        self.tidy_on(After::Settle, out)
    }

    fn settle(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_mut().expect("a segment was scanned");
        let (file, end) = (current.file, current.scanner.end());
        let cut = end < current.file_bytes;
        current.file_bytes = end;
        current.cut = cut;
        if cut {
            let to = Position(end);
            self.ask(Step::Settle, DiskOp::Truncate { file, to }, out);
            Ok(())
        } else if self.spec.clean {
            self.on_settled(out)
        } else {
            // What was scanned may be in the disk's cache only.
            self.ask(Step::Settle, DiskOp::Flush { file }, out);
            Ok(())
        }
    }

    fn on_settled(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        if self.plans.is_empty() {
            return self.on_last(out);
        }
        self.write_index(out);
        Ok(())
    }

    fn remove_segment(&mut self, base: Offset) {
        for kind in [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::TxnIndex] {
            let path = self.path(base, kind, Stage::Live);
            self.tidy.push_back(DiskOp::Remove { path });
        }
    }

    fn write_index(&mut self, out: &mut DiskOut) {
        let current = self.current.as_mut().expect("a segment was settled");
        current.indexes.seal();
        let (base, bytes) = (current.plan.base, current.indexes.encode_offsets());
        let path = self.path(base, Kind::Index, Stage::Live);
        self.ask(Step::WriteIndex, DiskOp::WriteFile { path, bytes }, out);
    }

    fn write_times(&mut self, out: &mut DiskOut) {
        let current = self.current.as_ref().expect("a segment was settled");
        let (base, bytes) = (current.plan.base, current.indexes.encode_times());
        let path = self.path(base, Kind::TimeIndex, Stage::Live);
        self.ask(Step::WriteTimes, DiskOp::WriteFile { path, bytes }, out);
    }

    fn keep_sealed(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.take().expect("a segment was settled");
        let mut segment = Segment::sealed(current.plan.base, current.file_bytes);
        segment.max_timestamp = Some(current.indexes.max_timestamp());
        self.done.push(segment);
        out.push(DiskOp::Close { file: current.file });
        self.next_segment(out)
    }

    // ---- the end ----

    fn on_last(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("the last segment was settled");
        let (file, end) = (current.file, current.scanner.next_offset());
        if self.spec.log_start.is_some_and(|start| end < start) {
            out.push(DiskOp::Close { file });
            let base = current.plan.base;
            self.current = None;
            self.start_over = true;
            self.epochs.cut_end(Offset(0));
            self.remove_segment(base);
            for segment in std::mem::take(&mut self.done).into_iter().rev() {
                self.remove_segment(segment.base);
            }
            return self.tidy_on(After::Create, out);
        }
        self.tidy_snapshots(out)
    }

    fn create(&mut self, out: &mut DiskOut) {
        let base = self.spec.log_start.unwrap_or(Offset(0)).max(Offset(0));
        let file = out.next_file();
        self.current = Some(Current {
            plan: Plan {
                base,
                bytes: 0,
                mode: Mode::Scan,
            },
            file,
            file_bytes: 0,
            indexes: Indexes::new(base),
            scanner: Scanner::new(base, 0, 0, base),
            first_timestamp: None,
            resume_at: None,
            resume_failed: false,
            cut: false,
        });
        let op = DiskOp::Open {
            path: self.path(base, Kind::Log, Stage::Live),
            file,
            create: true,
        };
        self.ask(Step::Create, op, out);
    }

    /// Snapshots above the end belong to records that are no more.
    fn tidy_snapshots(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("the last segment is open");
        let end = current.scanner.next_offset();
        let found = std::mem::take(&mut self.found.snapshots);
        let (keep, drop): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|&at| at <= end && !self.start_over);
        self.found.snapshots = keep;
        for at in drop {
            let path = self.path(at, Kind::Snapshot, Stage::Live);
            self.tidy.push_back(DiskOp::Remove { path });
        }
        self.tidy_on(After::Snapshots, out)
    }

    /// The first bytes of an append must fill the open sector from its start on: what is in it already goes into memory first.
    fn carry(&mut self, out: &mut DiskOut) {
        let current = self.current.as_ref().expect("the last segment is open");
        let end = current.scanner.end();
        let from = sector_floor(end);
        if from == end {
            self.first_head(out);
            return;
        }
        let op = DiskOp::Read {
            file: current.file,
            position: Position(from),
            len: u32::try_from(end - from).expect("less than a sector"),
        };
        self.ask(Step::Carry, op, out);
    }

    fn on_carry(&mut self, ok: DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("the last segment is open");
        let end = current.scanner.end();
        let from = sector_floor(end);
        match ok {
            DiskOk::Bytes(bytes) if bytes.len() as u64 == end - from => {
                out.push(DiskOp::Append {
                    file: current.file,
                    position: Position(from),
                    parts: vec![bytes],
                });
                self.first_head(out);
                Ok(())
            }
            _ => {
                let path = self.path(self.current_base(), Kind::Log, Stage::Live);
                Err(self.corrupt(path, "the segment is shorter than its size"))
            }
        }
    }

    /// A roll by time counts from the first batch, which a short scan has not seen.
    fn first_head(&mut self, out: &mut DiskOut) {
        let current = self.current.as_ref().expect("the last segment is open");
        if current.first_timestamp.is_some() || current.scanner.end() == 0 {
            self.ready = true;
            return;
        }
        let op = DiskOp::Read {
            file: current.file,
            position: Position(0),
            len: u32::try_from(BATCH_HEADER_BYTES).expect("61"),
        };
        self.ask(Step::FirstHead, op, out);
    }

    fn on_first_head(&mut self, ok: &DiskOk) {
        let current = self.current.as_mut().expect("the last segment is open");
        if let DiskOk::Bytes(bytes) = ok
            && let Ok(header) = BatchHeader::decode(bytes)
        {
            current.first_timestamp = Some(header.max_timestamp);
        }
        self.ready = true;
    }

    fn finished(&mut self, now: Now) -> Option<Recovered> {
        if !self.ready {
            return None;
        }
        let current = self.current.take()?;
        let end = Mark {
            offset: current.scanner.next_offset(),
            position: current.scanner.end(),
        };
        let writer = Writer::at(current.file, end);
        let mut active = Segment::active(current.indexes, writer, now.wall);
        active.first_timestamp = current.first_timestamp;
        active.final_on_disk = current.plan.mode == Mode::Tail && !current.cut;
        let mut segments = std::mem::take(&mut self.done);
        segments.push(active);
        let first = segments.first().map_or(end.offset, |segment| segment.base);
        let log_start = self.spec.log_start.map_or(first, |start| start.max(first));
        let mut epochs = std::mem::take(&mut self.epochs);
        epochs.cut_end(end.offset);
        epochs.cut_start(log_start);
        Some(Recovered {
            segments,
            epochs,
            opened: Opened {
                log_start,
                log_end: end.offset,
                snapshots: std::mem::take(&mut self.found.snapshots),
                torn: self.torn,
                born: self.born,
                took: Millis(0),
            },
        })
    }
}
