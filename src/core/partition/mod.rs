//! One partition as its leader sees it: the log, the high watermark, the producers that write to it, the leader epoch.
//!
//! Call order: [`Partition::open`], `on_disk` until [`PartitionEvent::Opened`], [`Partition::lead`], then appends and reads;
//! [`Partition::close_clean`] until [`PartitionEvent::Closed`]. After [`PartitionEvent::Offline`] everything answers
//! KAFKA_STORAGE_ERROR.
//!
//! Invariants:
//! 1. `log_start <= high_watermark <= log_end`; the high watermark never goes back.
//! 2. The high watermark never passes what the promise covers (`ACK_BEFORE_DURABLE` takes this rule away): whoever waits for it may answer.
//! 3. A batch that repeats one of a producer's last five is answered with that one's offset and written nowhere.
//! 4. Producer state after a restart is what a replay of the log gives (`LOSE_PRODUCER_STATE` takes this rule away).
//!
//! Deliberately absent: followers, ISR, transactions (a transactional batch is refused before it comes here).
//! Source: Kafka's `Partition`, `UnifiedLog`, `ProducerStateManager`.

mod life;
mod producers;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Table, Tenant};

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::effect::{DiskOut, RelPath};
use crate::log::{
    AppendRefused, Log, LogConfig, LogError, LogSpec, ReadError, ReadId, ReadPlan, ReadSpec,
    ScanId, TimeQuery, layout,
};
use crate::rule;
use crate::types::{
    LeaderEpoch, Millis, Monotonic, Now, Offset, ProducerEpoch, ProducerId, Token, TopicId,
    TopicPartition,
};
use crate::wire::batch::{BatchHeader, TimestampType};
use producers::Producers;

/// How often producers are looked over for silent ones.
const EXPIRE_EVERY: Millis = Millis(60_000);

/// What an operator may set about a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionConfig {
    /// About its log.
    pub log: LogConfig,
    /// How long a silent producer is remembered (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: Millis,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            producer_id_expiration_ms: Millis(86_400_000),
        }
    }
}

/// What a partition needs to be opened.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    /// Its name; gives its directory.
    pub name: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// Settings.
    pub config: PartitionConfig,
    /// The log directory was stopped in an orderly way.
    pub clean: bool,
    /// From the checkpoint; 0 if it has none.
    pub recovery_point: Offset,
    /// From the checkpoint, if it has one.
    pub log_start: Option<Offset>,
}

/// Something happened to the partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartitionEvent {
    /// Recovered; everything in it is on stable storage and visible.
    Opened {
        /// First offset.
        log_start: Offset,
        /// Exclusive end; the high watermark too.
        log_end: Offset,
        /// Recovery cut off a torn or lost end.
        torn: bool,
    },
    /// The high watermark moved: appends that end at or below it may be answered, fetches may see it.
    HighWatermark(Offset),
    /// A fetch that got [`ReadPlan::NeedScan`] should plan again, at once.
    ReadReady {
        /// As given by the plan.
        scan: ScanId,
        /// A failed read is answered with KAFKA_STORAGE_ERROR.
        result: Result<(), ReadError>,
    },
    /// Batches asked for by [`Partition::find_time`] or [`Partition::read_batches`].
    ReadDone {
        /// As given by the call.
        read: ReadId,
        /// Whole batches (one for a search by time), or nothing if none matches.
        result: Result<Bytes, ReadError>,
    },
    /// No space to grow: appends answer KAFKA_STORAGE_ERROR until [`PartitionEvent::SpaceOk`].
    SpaceLow,
    /// Appends go on.
    SpaceOk,
    /// Closed cleanly.
    Closed,
    /// The old name is free; see [`Partition::delete`].
    Deleted,
    /// The deleted directory is gone.
    Removed,
    /// The partition is lost for this run. If the error [is a disk's](LogError::is_disk), so is its log directory.
    Offline(LogError),
}

/// An accepted append. Its order is fixed; it is safe when the high watermark passes `last_offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// What Produce answers as log_append_time: the batch's time for LogAppendTime, -1 for CreateTime, and a duplicate's original max timestamp.
    pub log_append_time: i64,
    /// It was here before; nothing was written. The original may not be safe yet: wait for the high watermark all the same.
    pub duplicate: bool,
    /// First offset of the log.
    pub log_start: Offset,
}

/// Why an append was refused. Nothing was written. The API file chooses the error codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// Not open, closing or failed.
    #[error("the partition's log is not usable")]
    Offline,
    /// Its topic was deleted.
    #[error("the topic is deleted")]
    Deleted,
    /// The disk is full.
    #[error("no space left")]
    NoSpace,
    /// The batch is larger than a segment (RECORD_LIST_TOO_LARGE).
    #[error("the batch is larger than segment.bytes")]
    LargerThanSegment,
    /// Sequence numbers do not continue (OUT_OF_ORDER_SEQUENCE_NUMBER).
    #[error("sequence {sequence} of producer {producer_id} does not follow {last:?}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        sequence: i32,
        /// Last sequence known, if any.
        last: Option<i32>,
    },
    /// The producer was superseded (INVALID_PRODUCER_EPOCH).
    #[error("epoch {epoch} of producer {producer_id} is older than {current}")]
    OldProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        epoch: ProducerEpoch,
        /// Known epoch.
        current: ProducerEpoch,
    },
}

/// How far a partition has come.
#[derive(Debug)]
enum Phase {
    /// The log is being recovered.
    Log,
    /// A producer snapshot is being read.
    Snapshot {
        token: Token,
        at: Offset,
        torn: bool,
    },
    /// The log from the snapshot on is being replayed.
    Replay { torn: bool },
    /// Appends and reads.
    Online,
    /// No more of either.
    Closing,
    /// Closed or failed.
    Over,
    /// Its topic is deleted.
    Deleted,
}

/// A partition.
#[derive(Debug)]
pub struct Partition {
    name: TopicPartition,
    topic_id: TopicId,
    dir: RelPath,
    config: PartitionConfig,
    clean: bool,
    log: Log,
    phase: Phase,
    close_wanted: bool,
    log_closed: bool,
    epoch: LeaderEpoch,
    high_watermark: Offset,
    producers: Producers,
    /// Snapshots on disk.
    snapshots: BTreeSet<Offset>,
    snapshots_writing: BTreeMap<Token, Offset>,
    removing: BTreeSet<Token>,
    expire_at: Monotonic,
}

impl Partition {
    /// Starts to open the partition, or to give birth to it if its directory is absent.
    #[must_use]
    pub fn open(now: Now, spec: PartitionSpec, out: &mut DiskOut) -> Self {
        let dir = layout::partition_dir(&spec.name.topic, spec.name.partition);
        let log = LogSpec {
            dir: dir.clone(),
            topic_id: spec.topic_id,
            config: spec.config.log.clone(),
            clean: spec.clean,
            recovery_point: spec.recovery_point,
            log_start: spec.log_start,
        };
        Self {
            name: spec.name,
            topic_id: spec.topic_id,
            dir,
            config: spec.config,
            clean: spec.clean,
            log: Log::open(now, log, out),
            phase: Phase::Log,
            close_wanted: false,
            log_closed: false,
            epoch: LeaderEpoch::NONE,
            high_watermark: Offset(0),
            producers: Producers::default(),
            snapshots: BTreeSet::new(),
            snapshots_writing: BTreeMap::new(),
            removing: BTreeSet::new(),
            expire_at: now.mono.after(EXPIRE_EVERY),
        }
    }

    /// This broker leads the partition in `epoch` from its present end on. An epoch that is not newer changes nothing.
    pub fn lead(&mut self, epoch: LeaderEpoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.log.assign_epoch(epoch);
        }
    }

    /// Appends one validated batch: `header` as it is to be stored but for base offset and leader epoch, which are set here; `records` is the
    /// rest of the batch. The order is fixed on return; it is safe when the high watermark passes `last_offset`.
    pub fn append(
        &mut self,
        now: Now,
        mut header: BatchHeader,
        records: Bytes,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) -> Result<Appended, AppendError> {
        if matches!(self.phase, Phase::Deleted) {
            return Err(AppendError::Deleted);
        }
        if !self.is_online() {
            return Err(AppendError::Offline);
        }
        let log_start = self.log.log_start();
        if header.has_producer_id()
            && let Some(duplicate) = self.producers.check(&header)?
        {
            return Ok(Appended {
                base_offset: duplicate.base_offset,
                last_offset: duplicate.last_offset,
                log_append_time: duplicate.max_timestamp,
                duplicate: true,
                log_start,
            });
        }
        header.base_offset = self.log.log_end();
        header.leader_epoch = self.epoch;
        let parts = [Bytes::copy_from_slice(&header.encode()), records];
        let mut told = Vec::new();
        let placed = self.log.append(now, parts, &header, out, &mut told);
        if placed == Err(AppendRefused::NoSpace) {
            self.producers.refuse(&header);
        }
        placed.map_err(|refused| match refused {
            AppendRefused::NotOpen => AppendError::Offline,
            AppendRefused::NoSpace => AppendError::NoSpace,
            AppendRefused::LargerThanSegment => AppendError::LargerThanSegment,
        })?;
        // A roll's snapshot stands before this batch, so it is made before the batch is applied.
        self.on_log(now, told, out, events);
        self.producers.apply(&header);
        if !rule!(ACK_BEFORE_DURABLE) {
            self.raise_high_watermark(self.log.log_end(), events);
        }
        let by_broker = header.timestamp_type() == TimestampType::LogAppendTime;
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time: if by_broker { header.max_timestamp } else { -1 },
            duplicate: false,
            log_start,
        })
    }

    /// Where the bytes of a fetch are. The bound is at most the high watermark.
    pub fn plan_read(&mut self, spec: &ReadSpec, out: &mut DiskOut) -> ReadPlan {
        let upper_bound = spec.upper_bound.min(self.high_watermark);
        let bounded = ReadSpec {
            upper_bound,
            ..*spec
        };
        self.log.plan_read(&bounded, out)
    }

    /// Reads the one batch that a search by time wants (bounded by the high watermark). [`PartitionEvent::ReadDone`] follows; `None`
    /// if there is no such batch.
    pub fn find_time(&mut self, query: TimeQuery, out: &mut DiskOut) -> Option<ReadId> {
        self.log.find_time(query, self.high_watermark, out)
    }

    /// Reads whole batches from the one that holds `offset` on: at most `bytes_max` bytes but at least one batch, none at or above the
    /// high watermark. [`PartitionEvent::ReadDone`] follows; `None` if there is nothing to read.
    pub fn read_batches(
        &mut self,
        offset: Offset,
        bytes_max: u32,
        out: &mut DiskOut,
    ) -> Option<ReadId> {
        self.log.read(offset, bytes_max, self.high_watermark, out)
    }

    /// OffsetForLeaderEpoch: the largest epoch not above `epoch` and its end; `None` is Kafka's -1, -1.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.log.epochs().end_offset(epoch, self.log.log_end())
    }

    /// The leader epoch of a record at this offset.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.log.epochs().epoch_at(offset)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// Its topic's id.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// True between Opened and Closed, Deleted or Offline.
    #[must_use]
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }

    /// True once it is closed, deleted or failed: nothing more comes of it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::Deleted)
    }

    /// First offset.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log.log_start()
    }

    /// Exclusive end of what consumers see.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Exclusive end of what was appended.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log.log_end()
    }

    /// The epoch it leads in, -1 before [`Partition::lead`].
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// For the recovery-point checkpoint.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        self.log.recovery_point()
    }

    /// The log start if the checkpoint needs it: only when it is above the first segment's base.
    #[must_use]
    pub fn log_start_checkpoint(&self) -> Option<Offset> {
        let start = self.log.log_start();
        (start > self.log.first_base()).then_some(start)
    }

    /// Size of its segments in bytes, without preallocation.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Bytes appended and not yet written.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.log.unwritten_bytes()
    }

    /// Bytes of the tail kept in memory.
    #[must_use]
    pub fn hot_bytes(&self) -> u64 {
        self.log.hot_bytes()
    }

    /// Sets how many written bytes stay in memory for readers; 0 leaves the open sector.
    pub fn set_hot_bytes(&mut self, bytes: u64, out: &mut DiskOut) {
        self.log.set_hot_bytes(bytes, out);
    }

    /// New settings, from the next append on.
    pub fn set_config(&mut self, config: PartitionConfig) {
        self.log.set_config(config.log.clone());
        self.config = config;
    }
}
