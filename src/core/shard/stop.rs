//! The orderly stop: finish what is open, close every partition, tell ctl.
//!
//! Order (each step waits for the one before): no request is taken in; members that wait for others are sent away; what is being
//! stored, records and groups, becomes durable and is answered; parked fetches are answered with what is there; ctl is told
//! (`Drained`) and says when all shards have come so far (`Close`), because other shards may ask until then; partitions close; ctl
//! is told their offsets and whether all of them were opened and closed well. Ctl writes the last checkpoints and the marker.

use super::{Phase, Shard};
use crate::effect::{Effect, Note};
use crate::input::{CoreMsg, Effects};
use crate::log::checkpoint::{PartitionKey, PartitionOffsets};
use crate::types::{Now, OwnerId};
use std::collections::BTreeSet;

/// How far the stop has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Stopping {
    #[default]
    No,
    Draining,
    /// Ctl was told.
    Drained,
    Closing(Closing),
}

/// What is being closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closing {
    /// Partitions that are not closed yet.
    left: BTreeSet<OwnerId>,
    /// Of those that closed well.
    offsets: Vec<(PartitionKey, PartitionOffsets)>,
    well: bool,
}

impl Shard {
    pub(super) fn begin_stop(&mut self, now: Now, out: &mut Effects) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.phase = Phase::Stopping;
        self.stopping = Stopping::Draining;
        self.sessions.quiesce();
        self.stop_groups(now, out);
        self.dirty.extend(self.serving.parked.all());
        for fetch in self.calls.fetches() {
            // Those of other cores: their owners are told to answer.
            self.on_call_deadline(now, fetch, out);
        }
        Self::note(
            out,
            Note::Info("stopping: finishing requests under way".to_string()),
        );
    }

    /// True while fetches are to be answered with what is there.
    pub(super) fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Moves the stop on; called at the end of every step.
    pub(super) fn stop_step(&mut self, out: &mut Effects) {
        if self.stopping == Stopping::Draining
            && self.calls.is_empty()
            && !self.serving.any_append()
            && !self.groups.any_held()
        {
            self.stopping = Stopping::Drained;
            self.tell_ctl(CoreMsg::Drained, out);
        }
        if let Stopping::Closing(closing) = &mut self.stopping
            && closing.left.is_empty()
        {
            let offsets = std::mem::take(&mut closing.offsets);
            let well = closing.well;
            if !well && self.opening.applied_any() {
                let text = "a partition is offline: the stop is not marked as clean";
                Self::note(out, Note::Warn(text.to_string()));
            }
            self.phase = Phase::Over;
            self.tell_ctl(CoreMsg::Stopped { offsets, well }, out);
            out.push(Effect::Stopped);
        }
    }

    /// All shards are drained: nobody asks any more.
    pub(super) fn close_partitions(&mut self, out: &mut Effects) {
        let mut closing = Closing {
            left: BTreeSet::new(),
            offsets: Vec::new(),
            well: true,
        };
        self.open_no_more();
        if self.opening.applied_any() {
            for (_, _, owner) in self.table.iter().collect::<Vec<_>>() {
                let lost = self.with_tenant(owner, out, |partition, disk| {
                    partition.close_clean(disk);
                    partition.is_lost()
                });
                if lost == Some(true) {
                    closing.well = false;
                } else {
                    closing.left.insert(owner);
                }
            }
        } else {
            closing.well = false;
            let text = "stopped before recovery was complete: the next start recovers";
            Self::note(out, Note::Warn(text.into()));
        }
        self.stopping = Stopping::Closing(closing);
    }

    /// A partition's files are closed, or it was lost.
    pub(super) fn on_partition_closed(&mut self, owner: OwnerId, well: bool) {
        let offsets = self.offsets_of(owner);
        if let Stopping::Closing(closing) = &mut self.stopping {
            closing.left.remove(&owner);
            closing.well &= well;
            closing.offsets.extend(offsets.filter(|_| well));
        }
    }

    fn tell_ctl(&self, msg: CoreMsg, out: &mut Effects) {
        let core = self.config.ctl;
        out.push(Effect::Mesh { core, msg });
    }
}
