//! What ctl writes into the checkpoints of the log directory, told when something moved; and the ticks of partitions.

use super::Shard;
use crate::effect::Effect;
use crate::input::{CoreMsg, Effects};
use crate::log::checkpoint::{PartitionKey, PartitionOffsets};
use crate::types::{Millis, Monotonic, Now, OwnerId};

/// Between two reports.
const PERIOD: Millis = Millis(5_000);
/// Between two ticks of partitions.
const TICK: Millis = Millis(100);
/// Ticks until every partition had one.
const TICKS_PER_ROUND: usize = 10;

/// When ctl is told next.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    moved: bool,
    next_report: Monotonic,
    next_tick: Monotonic,
    ticked: usize,
}

impl Checkpoints {
    /// A high watermark moved.
    pub(super) fn on_moved(&mut self) {
        self.moved = true;
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

    /// Tells ctl if anything moved since the last time.
    pub(super) fn report_offsets(&mut self, now: Now, out: &mut Effects) {
        let state = &mut self.checkpoints;
        if !state.moved || now.mono < state.next_report || self.is_stopping() {
            return;
        }
        self.checkpoints.moved = false;
        self.checkpoints.next_report = now.mono.after(PERIOD);
        let online = self.table.iter().filter(|(_, _, owner)| {
            let partition = self.table.get(*owner);
            partition.is_some_and(crate::partition::Partition::is_online)
        });
        let offsets = online.filter_map(|(_, _, owner)| self.offsets_of(owner));
        let msg = CoreMsg::Offsets(offsets.collect());
        let core = self.config.ctl;
        out.push(Effect::Mesh { core, msg });
    }

    /// What the checkpoints are to say about a partition.
    pub(super) fn offsets_of(&self, owner: OwnerId) -> Option<(PartitionKey, PartitionOffsets)> {
        let partition = self.table.get(owner)?;
        let offsets = PartitionOffsets {
            recovery_point: partition.recovery_point(),
            high_watermark: partition.high_watermark(),
            log_start: partition.log_start_checkpoint(),
        };
        Some(((partition.topic_id(), partition.name().partition), offsets))
    }
}
