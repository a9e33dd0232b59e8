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

mod directory;
mod end;
mod segments;

use std::collections::{BTreeMap, VecDeque};

use super::epochs::LeaderEpochs;
use super::index::Indexes;
use super::layout::{self, Kind, Stage};
use super::scanner::Scanner;
use super::segment::Segment;
use super::{LogError, LogSpec, Opened};
use crate::effect::{DiskOp, DiskOut, DiskResult, RelPath};
use crate::types::{FileId, Millis, Now, Offset, Token};

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
    /// What will be reported.
    opened: Opened,
    scan_all: bool,
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
            opened: Opened {
                log_start: Offset(0),
                log_end: Offset(0),
                snapshots: Vec::new(),
                torn: false,
                born: false,
                took: Millis(0),
            },
            scan_all: false,
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
}
