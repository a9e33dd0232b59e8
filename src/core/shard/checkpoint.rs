//! The three checkpoint files of a log directory, written when something moved and at the stop.
//!
//! They are hints that shorten recovery, never promises: the recovery point says what need not be scanned, the log start what was
//! deleted, the high watermark what followers had. Source: Kafka's `OffsetCheckpointFile`, `LogManager`, `ReplicaManager`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Shard;
use super::open::Own;
use crate::effect::DiskOp;
use crate::input::Effects;
use crate::log::{checkpoint, layout};
use crate::types::{Millis, Monotonic, Now, Offset, OwnerId, TopicPartition};

/// Between two writes (Kafka: 5 s for high watermarks, 60 s for recovery points; one period serves both here).
const PERIOD: Millis = Millis(5_000);
/// Between two ticks of partitions.
const TICK: Millis = Millis(100);
/// Ticks until every partition had one.
const TICKS_PER_ROUND: usize = 10;

/// When the files are written next.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    moved: bool,
    /// Names were given up: the files must forget them before anyone takes the names again, or a new partition would be recovered
    /// by the offsets of its predecessor.
    forget: bool,
    forgetting: bool,
    writing: usize,
    next_write: Monotonic,
    next_tick: Monotonic,
    ticked: usize,
}

impl Checkpoints {
    /// A high watermark moved.
    pub(super) fn on_moved(&mut self) {
        self.moved = true;
    }

    /// Partitions are gone from the table.
    pub(super) fn on_forgotten(&mut self) {
        self.forget = true;
    }

    /// True while the files may still name partitions that are gone.
    pub(super) fn is_forgetting(&self) -> bool {
        self.forget || self.forgetting
    }

    /// One of the files is written.
    pub(super) fn on_written(&mut self) {
        self.writing -= 1;
        self.forgetting &= self.writing > 0;
    }
}

impl Shard {
    /// When the shard wants to be ticked again, if it has anything that time changes.
    pub(super) fn next_tick(&self, now: Now) -> Option<Monotonic> {
        let any = self.table.slot_count() > 1;
        any.then(|| self.checkpoints.next_tick.max(now.mono))
    }

    /// Ticks a share of the partitions, so that each has its turn about once a second and no step takes long.
    pub(super) fn tick_partitions(&mut self, now: Now, out: &mut Effects) {
        if now.mono < self.checkpoints.next_tick {
            return;
        }
        self.checkpoints.next_tick = now.mono.after(TICK);
        let slots = self.table.slot_count();
        let hot_bytes = self.hot_bytes_each();
        for _ in 0..slots.div_ceil(TICKS_PER_ROUND) {
            self.checkpoints.ticked = (self.checkpoints.ticked + 1) % slots;
            let owner = OwnerId(u32::try_from(self.checkpoints.ticked).unwrap_or(0));
            let mut events = Vec::new();
            self.with_tenant(owner, out, |partition, disk| {
                partition.set_hot_bytes(hot_bytes, disk);
                partition.on_tick(now, disk, &mut events);
            });
            for event in events {
                self.on_event(now, owner, event, out);
            }
        }
    }

    /// A partition's share of the memory for readers of tails.
    fn hot_bytes_each(&self) -> u64 {
        use crate::types::limits::HOT_TAIL_BYTES_EACH_MAX;
        let partitions = u64::try_from(self.table.slot_count())
            .unwrap_or(u64::MAX)
            .max(1);
        (self.config.hot_tail_bytes_max / partitions).min(HOT_TAIL_BYTES_EACH_MAX)
    }

    /// Writes the files if anything moved since the last time.
    pub(super) fn write_checkpoints(&mut self, now: Now) {
        let state = &self.checkpoints;
        let due = state.forget || (state.moved && now.mono >= state.next_write);
        if !due || state.writing > 0 || self.is_stopping() {
            return;
        }
        self.checkpoints.forgetting = std::mem::take(&mut self.checkpoints.forget);
        let files = self.checkpoint_files();
        self.checkpoints.moved = false;
        self.checkpoints.writing = files.len();
        self.checkpoints.next_write = now.mono.after(PERIOD);
        for (path, bytes) in files {
            self.ask(
                DiskOp::WriteFile {
                    path: path.into(),
                    bytes,
                },
                Own::Checkpoint,
            );
        }
    }

    /// The files' present content.
    pub(super) fn checkpoint_files(&self) -> [(&'static str, Bytes); 3] {
        let mut recovery: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
        let mut starts = BTreeMap::new();
        let mut high_watermarks = BTreeMap::new();
        for (_, _, owner) in self.table.iter() {
            let Some(partition) = self.table.get(owner) else {
                continue;
            };
            recovery.insert(partition.name().clone(), partition.recovery_point());
            high_watermarks.insert(partition.name().clone(), partition.high_watermark());
            if let Some(start) = partition.log_start_checkpoint() {
                starts.insert(partition.name().clone(), start);
            }
        }
        [
            (
                layout::RECOVERY_POINTS,
                checkpoint::encode_offsets(&recovery),
            ),
            (layout::LOG_STARTS, checkpoint::encode_offsets(&starts)),
            (
                layout::HIGH_WATERMARKS,
                checkpoint::encode_offsets(&high_watermarks),
            ),
        ]
    }
}
