//! One partition's log: segments on disk, where each batch is, what is safe, and how a directory becomes a log again.
//!
//! The log decides and the edge executes: every position, order, roll, cut and index entry is chosen here and comes out as a
//! [`DiskOp`](crate::effect::DiskOp); completions come back through [`Log::on_disk`], which reports [`LogEvent`]s.
//!
//! Call order: [`Log::open`], then `on_disk` until [`LogEvent::Opened`]; then appends and reads; [`Log::close_clean`] until
//! [`LogEvent::Closed`], or [`Log::delete`] until [`LogEvent::Removed`]. After [`LogEvent::Failed`] only dropping is left.
//!
//! Invariants:
//! 1. Batches lie back to back; offsets grow; a segment's bytes past its end are zeros.
//! 2. `log_start <= written_end <= log_end`, and `written_end` never goes back but by truncation.
//! 3. At most one write is in flight per file, so no two share a sector (R4); a write never reaches into space that is not reserved (R16).
//! 4. [`LogEvent::Written`] covers only bytes whose write completed in the sense of the promise (R11), in all files before it too.
//! 5. The recovery point never passes what is not flushed, the index files of a rolled segment, or the leader-epoch file (R15).
//! 6. A failed write, flush, truncation or rename ends the log (R12): nothing is tried again.
//!
//! Rules that a mutant may remove: `SKIP_FLUSH` (a write of a flushed log is asked without durability), `IGNORE_FAILED_FLUSH` (a failed write or
//! flush counts as done). `ACK_BEFORE_DURABLE` and `LOSE_PRODUCER_STATE` are in `partition`.
//!
//! Deliberately absent: retention and compaction, transactions' abort index, truncation by followers, batches of magic 0 and 1
//! (a directory with them is reported and stays offline).
//! Source: Kafka's `UnifiedLog`, `LocalLog`, `LogSegment`, `LogLoader`.

mod append;
pub mod checkpoint;
mod complete;
pub mod epochs;
pub mod index;
pub mod layout;
mod read;
mod recover;
mod scanner;
mod seal;
mod search;
mod segment;
mod writer;

#[cfg(test)]
pub(crate) mod testdisk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::effect::{DiskError, DiskOut, Part, RelPath};
use crate::types::{FileId, LeaderEpoch, Millis, Monotonic, Now, Offset, Token, TopicId};
use crate::wire::batch::BatchHeader;
use epochs::{EpochStart, LeaderEpochs};
use read::Cursor;
use recover::Recovery;
use search::Search;
use segment::Segment;

/// When an append counts as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// On stable storage: survives a power cut.
    #[default]
    Flushed,
    /// A direct write completed: survives the end of the process.
    Written,
}

/// What an operator may set about a log; Kafka's names in brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// Largest segment (`segment.bytes`).
    pub segment_bytes: u64,
    /// Longest time between a segment's first batch and its roll (`segment.ms`).
    pub segment_ms: Millis,
    /// Taken off `segment_ms`: a number below `segment.jitter.ms` that the caller draws for each partition.
    pub segment_jitter_ms: Millis,
    /// Bytes between index entries (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// Largest index file (`segment.index.bytes`).
    pub index_bytes_max: u64,
    /// Records after which a flush must come, `u64::MAX` for never (`flush.messages`).
    pub flush_messages: u64,
    /// Time after which a flush must come, `u64::MAX` for never (`flush.ms`).
    pub flush_ms: Millis,
    /// The promise (`onrush.durability`).
    pub durability: Durability,
    /// How long a deleted directory stays (`file.delete.delay.ms`).
    pub file_delete_delay_ms: Millis,
    /// Batches may be missing on purpose (`cleanup.policy` has compact): a gap between segments is then no sign of a loss.
    pub compacted: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: Millis(604_800_000),
            segment_jitter_ms: Millis(0),
            index_interval_bytes: 4096,
            index_bytes_max: 10 * 1024 * 1024,
            flush_messages: u64::MAX,
            flush_ms: Millis(u64::MAX),
            durability: Durability::Flushed,
            file_delete_delay_ms: Millis(60_000),
            compacted: false,
        }
    }
}

/// What a log needs to be opened.
#[derive(Clone, Debug)]
pub struct LogSpec {
    /// Its directory below the log directory. If absent it is made: the birth of a partition.
    pub dir: RelPath,
    /// The topic's id; the directory must carry the same. Zero: not checked and not written.
    pub topic_id: TopicId,
    /// Settings.
    pub config: LogConfig,
    /// The log directory was stopped in an orderly way.
    pub clean: bool,
    /// From the checkpoint; 0 if it has none. Offsets below it need no scan.
    pub recovery_point: Offset,
    /// From the checkpoint, if it has one.
    pub log_start: Option<Offset>,
}

/// Something happened to the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogEvent {
    /// The log is recovered, everything below `log_end` is on stable storage, appends and reads may come.
    Opened(Opened),
    /// The promise is kept for everything below `end`.
    Written {
        /// Exclusive end.
        end: Offset,
    },
    /// What [`Log::plan_read`] was waiting for: plan it again, at once.
    ScanDone {
        /// As given by the plan.
        scan: ScanId,
        /// A read that failed is Kafka's KAFKA_STORAGE_ERROR.
        result: Result<(), ReadError>,
    },
    /// Heads of the batches that [`Log::walk`] goes over.
    Walked {
        /// As given by the call.
        read: ReadId,
        /// In order.
        headers: Vec<BatchHeader>,
        /// `None`: more follow. Then whether the walk reached its end.
        end: Option<Result<(), ReadError>>,
    },
    /// Batches that [`Log::read`] or [`Log::find_time`] asked for.
    ReadDone {
        /// As given by the call.
        read: ReadId,
        /// Whole batches, the first of which holds the offset or timestamp asked for; empty if there is none.
        result: Result<Bytes, ReadError>,
    },
    /// A new segment took over; producer state up to `base` is to be kept beside it.
    Rolled {
        /// Its base offset.
        base: Offset,
    },
    /// The files of a rolled segment are final.
    Sealed {
        /// Its base offset.
        base: Offset,
    },
    /// There is no space to grow into: appends are refused until [`LogEvent::SpaceOk`].
    SpaceLow,
    /// Appends go on.
    SpaceOk,
    /// Closed cleanly: flushed, trimmed, indexes written.
    Closed,
    /// Deleted: the directory has its `-delete` name, the old name is free.
    Deleted,
    /// The deleted directory is gone.
    Removed,
    /// The log is unusable.
    Failed(LogError),
}

/// What recovery found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// First offset that may be read.
    pub log_start: Offset,
    /// Exclusive end.
    pub log_end: Offset,
    /// Offsets of the producer snapshots that are there, at or below the end, ascending.
    pub snapshots: Vec<Offset>,
    /// A torn or lost end was cut off (the zeros of preallocation alone do not count).
    pub torn: bool,
    /// The directory did not exist before.
    pub born: bool,
    /// How long it took.
    pub took: Millis,
}

/// Why a log is unusable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// A write, flush, rename or truncation failed: the whole log directory is to be taken offline.
    #[error("{dir}: {error}")]
    Disk {
        /// The log.
        dir: RelPath,
        /// What the kernel said.
        error: DiskError,
    },
    /// There was no space to open or create it; the next start tries again.
    #[error("{dir}: no space left to open it")]
    NoSpace {
        /// The log.
        dir: RelPath,
    },
    /// The directory belongs to another topic of the same name.
    #[error("{dir}: topic id {found} on disk, {expected} in the metadata")]
    InconsistentTopicId {
        /// The log.
        dir: RelPath,
        /// What partition.metadata says.
        found: TopicId,
        /// What the metadata says.
        expected: TopicId,
    },
    /// A file that must be readable is not.
    #[error("{file}: {what}")]
    Corrupt {
        /// The file.
        file: RelPath,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A segment holds batches of magic 0 or 1, which onrush does not serve.
    #[error("{file}: message format {magic} is not supported")]
    OldFormat {
        /// The file.
        file: RelPath,
        /// The format.
        magic: i8,
    },
}

impl LogError {
    /// True if the log directory as a whole is lost, false if this partition alone is.
    #[must_use]
    pub fn is_disk(&self) -> bool {
        matches!(self, Self::Disk { .. })
    }
}

/// Why a read failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The kernel refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What was read is no batch where one must be.
    #[error("corrupt batch at {position} of segment {base}")]
    Corrupt {
        /// The segment.
        base: Offset,
        /// The position in it.
        position: u64,
    },
}

/// Why an append was refused. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendRefused {
    /// Not open, closing or failed.
    #[error("the log is not open")]
    NotOpen,
    /// The disk is full; see [`LogEvent::SpaceOk`].
    #[error("no space left")]
    NoSpace,
    /// Larger than a segment may be.
    #[error("the batch is larger than a segment")]
    LargerThanSegment,
}

/// A search that goes on in the background.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ScanId(pub u64);

/// A read that goes on in the background.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReadId(pub u64);

/// What a fetch wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadSpec {
    /// First offset wanted.
    pub offset: Offset,
    /// Most bytes.
    pub bytes_max: u32,
    /// The first batch comes whole even if it is larger than `bytes_max`.
    pub at_least_one_batch: bool,
    /// Exclusive end of what may be seen: the high watermark. Never above the log's end.
    pub upper_bound: Offset,
}

/// The answer to a [`ReadSpec`].
#[derive(Clone, Debug)]
pub enum ReadPlan {
    /// Send these parts. They begin with the batch that holds the offset and may end in the middle of a batch.
    Parts {
        /// Where the bytes are.
        parts: Vec<Part>,
        /// Their sum.
        bytes: u32,
    },
    /// The position is not known yet: wait for [`LogEvent::ScanDone`].
    NeedScan(ScanId),
    /// Nothing to read: at or beyond the bound, or the first batch is larger than `bytes_max` and need not come whole.
    Empty,
    /// Below the log's start or above its end.
    OutOfRange,
}

/// A search by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeQuery {
    /// The first batch at or after `from` whose max timestamp is at least this.
    AtLeast {
        /// Milliseconds since 1970.
        timestamp: i64,
        /// Batches that end below this are skipped.
        from: Offset,
    },
    /// The first batch with the largest timestamp of the log.
    Max,
}

/// Where a log is in its life.
#[derive(Debug)]
enum State {
    Opening(Box<Recovery>),
    Open,
    Closing,
    Closed,
    /// To be deleted once nothing is in flight: a name given away too early would be found by an operation on its way. Holds the files
    /// that are being opened.
    Draining {
        opening: Vec<(Token, FileId)>,
        since: Monotonic,
    },
    Renaming {
        token: Token,
        since: Monotonic,
        /// Nothing is left to be removed afterwards.
        last: bool,
    },
    /// Under its `-delete` name since this moment.
    Deleted {
        path: RelPath,
        since: Monotonic,
    },
    Removing(Token),
    Removed,
    Failed {
        /// The directory is another topic's.
        foreign: bool,
    },
}

/// What to do as soon as recovery ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Serve,
    Close,
    Delete,
}

/// A partition's log.
#[derive(Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "log_start and log_end are Kafka's words"
)]
pub struct Log {
    dir: RelPath,
    topic_id: TopicId,
    config: LogConfig,
    state: State,
    next: Next,
    segments: Vec<Segment>,
    /// So many of the first segments are final; the rest may be under way.
    finished: usize,
    log_start: Offset,
    log_end: Offset,
    promised: Offset,
    /// What the checkpoint said, until the log is open.
    recovery_point: Offset,
    epochs: LeaderEpochs,
    epochs_saving: Option<(Token, Vec<EpochStart>)>,
    hot_bytes_max: u64,
    space_low: bool,
    closing_flush: Option<Token>,
    /// Since when something is written and not flushed, for `flush.ms`.
    unflushed_since: Option<Monotonic>,
    cursors: VecDeque<Cursor>,
    searches: BTreeMap<u64, Search>,
    search_tokens: BTreeMap<Token, u64>,
    search_next: u64,
    use_clock: u64,
    opened_at: Monotonic,
}

impl Log {
    /// Starts to open the log: recovery, or the birth of a new one. [`LogEvent::Opened`] or [`LogEvent::Failed`] follows.
    #[must_use]
    pub fn open(now: Now, spec: LogSpec, out: &mut DiskOut) -> Self {
        Self {
            dir: spec.dir.clone(),
            topic_id: spec.topic_id,
            config: spec.config.clone(),
            recovery_point: spec.recovery_point,
            log_start: spec.log_start.unwrap_or(Offset(0)),
            state: State::Opening(Box::new(Recovery::start(spec, out))),
            next: Next::Serve,
            segments: Vec::new(),
            finished: 0,
            log_end: Offset(0),
            promised: Offset(0),
            epochs: LeaderEpochs::default(),
            epochs_saving: None,
            hot_bytes_max: 0,
            space_low: false,
            closing_flush: None,
            opened_at: now.mono,
            unflushed_since: None,
            cursors: VecDeque::new(),
            searches: BTreeMap::new(),
            search_tokens: BTreeMap::new(),
            search_next: 0,
            use_clock: 0,
        }
    }

    /// True while appends and reads may come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// First offset that may be read.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Base of the first segment; a log start above it belongs into the checkpoint.
    #[must_use]
    pub fn first_base(&self) -> Offset {
        self.segments
            .first()
            .map_or(self.log_start, |segment| segment.base)
    }

    /// Exclusive end of what was appended.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Exclusive end of what the promise is kept for.
    #[must_use]
    pub fn written_end(&self) -> Offset {
        self.promised
    }

    /// What the recovery-point checkpoint may say: all below is safe, with everything that a recovery would have to find out by a scan.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        let unfinished = self.segments.iter().skip(self.finished);
        let Some(at) = unfinished.clone().position(Segment::is_unfinished) else {
            return self.recovery_point;
        };
        let at = self.finished + at;
        let segment = self.segments.get(at).expect("just found");
        let next = self.segments.get(at + 1).map(|next| next.base);
        let durable = segment
            .writer
            .as_ref()
            .map(|writer| writer.durable().offset);
        // A recovery begins with the segment that holds the point: an unfinished one must be that.
        let point = match (durable, next) {
            (Some(durable), None) => durable,
            (Some(durable), Some(next)) => durable.min(Offset(next.0 - 1)),
            (None, Some(next)) => Offset(next.0 - 1),
            (None, None) => self.promised,
        };
        self.epochs
            .dirty_from()
            .map_or(point, |dirty| point.min(dirty))
    }

    /// Bytes appended and not yet written.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.writers().map(writer::Writer::unwritten_bytes).sum()
    }

    /// Bytes of the tail kept in memory.
    #[must_use]
    pub fn hot_bytes(&self) -> u64 {
        self.writers().map(writer::Writer::hot_bytes).sum()
    }

    /// Number of segments.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Bases of the segments, ascending.
    pub fn segment_bases(&self) -> impl Iterator<Item = Offset> + '_ {
        self.segments.iter().map(|segment| segment.base)
    }

    /// Size of all segments in bytes, without preallocation.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn writers(&self) -> impl Iterator<Item = &writer::Writer> {
        self.segments
            .iter()
            .filter_map(|segment| segment.writer.as_deref())
    }

    /// Sets how many written bytes stay in memory for readers.
    pub fn set_hot_bytes(&mut self, bytes: u64, out: &mut DiskOut) {
        self.hot_bytes_max = bytes;
        if !self.is_open() {
            return;
        }
        for segment in &mut self.segments {
            if let Some(writer) = &mut segment.writer {
                writer.release(bytes, true, out);
            }
        }
    }

    /// This broker leads with `epoch` from the present end on. The file follows with the first append.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) {
        self.epochs.assign(epoch, self.log_end);
    }

    /// The leader epochs and where they start.
    #[must_use]
    pub fn epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// Settings in force.
    #[must_use]
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// New settings; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }
}
