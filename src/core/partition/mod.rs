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

mod table;

pub use table::{Table, Tenant};

use bytes::Bytes;

use crate::effect::{DiskOut, DiskResult};
use crate::log::{LogConfig, LogError, ReadError, ReadId, ReadPlan, ReadSpec, ScanId, TimeQuery};
use crate::types::{
    LeaderEpoch, Millis, Now, Offset, ProducerEpoch, ProducerId, Token, TopicId, TopicPartition,
};
use crate::wire::batch::BatchHeader;

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
    /// Batches asked for by [`Partition::find_time`].
    ReadDone {
        /// As given by the call.
        read: ReadId,
        /// One whole batch, or nothing if none matches.
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
    /// Not open, closing, deleted or failed.
    #[error("the partition's log is not usable")]
    Offline,
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

/// A partition.
#[derive(Debug)]
pub struct Partition {
    name: TopicPartition,
}

impl Partition {
    /// Starts to open the partition, or to give birth to it if its directory is absent.
    pub fn open(now: Now, spec: PartitionSpec, out: &mut DiskOut) -> Self {
        todo!()
    }
    /// Takes a completion of one of this partition's operations.
    pub fn on_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) {
        todo!()
    }
    /// Passing of time: `flush.ms`, producers that expire, deleted directories. Once a second is often enough.
    pub fn on_tick(&mut self, now: Now, out: &mut DiskOut, events: &mut Vec<PartitionEvent>) {
        todo!()
    }
    /// This broker leads the partition in `epoch` from its present end on. An epoch that is not newer changes nothing.
    pub fn lead(&mut self, epoch: LeaderEpoch) {
        todo!()
    }
    /// Appends one validated batch: `header` as it is to be stored but for base offset and leader epoch, which are set here; `records` is the rest of the batch.
    pub fn append(
        &mut self,
        now: Now,
        header: BatchHeader,
        records: Bytes,
        out: &mut DiskOut,
        events: &mut Vec<PartitionEvent>,
    ) -> Result<Appended, AppendError> {
        todo!()
    }
    /// Where the bytes of a fetch are. The bound is at most the high watermark.
    pub fn plan_read(&mut self, spec: &ReadSpec, out: &mut DiskOut) -> ReadPlan {
        todo!()
    }
    /// Reads the one batch that a search by time wants (bounded by the high watermark). [`PartitionEvent::ReadDone`] follows.
    pub fn find_time(&mut self, query: TimeQuery, out: &mut DiskOut) -> ReadId {
        todo!()
    }
    /// OffsetForLeaderEpoch: the largest epoch not above `epoch` and its end; `None` is Kafka's -1, -1.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        todo!()
    }
    /// The leader epoch of a record at this offset.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        todo!()
    }
    /// Its name.
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }
    /// Its topic's id.
    pub fn topic_id(&self) -> TopicId {
        todo!()
    }
    /// True between Opened and Closed, Deleted or Offline.
    pub fn is_online(&self) -> bool {
        todo!()
    }
    /// First offset.
    pub fn log_start(&self) -> Offset {
        todo!()
    }
    /// Exclusive end of what consumers see.
    pub fn high_watermark(&self) -> Offset {
        todo!()
    }
    /// Exclusive end of what was appended.
    pub fn log_end(&self) -> Offset {
        todo!()
    }
    /// The epoch it leads in, -1 before [`Partition::lead`].
    pub fn leader_epoch(&self) -> LeaderEpoch {
        todo!()
    }
    /// For the recovery-point checkpoint.
    pub fn recovery_point(&self) -> Offset {
        todo!()
    }
    /// The log start if the checkpoint needs it: only when it is above the first segment's base.
    pub fn log_start_checkpoint(&self) -> Option<Offset> {
        todo!()
    }
    /// Bytes appended and not yet written.
    pub fn unwritten_bytes(&self) -> u64 {
        todo!()
    }
    /// Bytes of the tail kept in memory.
    pub fn hot_bytes(&self) -> u64 {
        todo!()
    }
    /// Sets how many written bytes stay in memory for readers; 0 leaves the open sector.
    pub fn set_hot_bytes(&mut self, bytes: u64, out: &mut DiskOut) {
        todo!()
    }
    /// New settings, from the next append on.
    pub fn set_config(&mut self, config: PartitionConfig) {
        todo!()
    }
    /// Finishes: pending writes, flush, exact sizes, index files, producer snapshot, epochs. [`PartitionEvent::Closed`] follows.
    pub fn close_clean(&mut self, out: &mut DiskOut) {
        todo!()
    }
    /// The topic is deleted: renames the directory ([`PartitionEvent::Deleted`]), removes it after the delay ([`PartitionEvent::Removed`]).
    pub fn delete(&mut self, now: Now, out: &mut DiskOut) {
        todo!()
    }
}
