//! The orderly stop: finish what is open, close every partition, mark the stop as clean.
//!
//! Order (each step waits for the one before): no request is taken in; members that wait for others are sent away; what is being
//! stored, records and groups, becomes durable and is answered; parked fetches are answered with what is there; partitions close; checkpoints are written; the marker is written last and only if
//! every partition closed well; ctl is told. A stop before the first publication was applied writes nothing: what was not
//! recovered is found by the next start.

use super::open::Own;
use super::{Phase, Shard};
use crate::effect::{DiskOp, Effect, Note};
use crate::input::{CoreMsg, Effects};
use crate::log::{checkpoint, layout};
use crate::types::{Now, OwnerId};
use std::collections::BTreeSet;

/// How far the stop has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Stopping {
    #[default]
    No,
    Draining,
    /// Partitions that are not closed yet, and whether all others closed well.
    Closing(BTreeSet<OwnerId>, bool),
    /// Files that are not written yet, and whether the marker follows.
    Checkpoints(usize, bool),
    Marker,
}

impl Shard {
    pub(super) fn begin_stop(&mut self, now: Now, out: &mut Effects) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.phase = Phase::Stopping;
        self.stopping = Stopping::Draining;
        self.sessions.quiesce();
        if !self.open_no_more() {
            Self::note(
                out,
                Note::Warn("stopped before recovery was complete: the next start recovers".into()),
            );
            self.end(out);
            return;
        }
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
            && !self.calls.any_produce()
            && !self.serving.any_append()
            && !self.groups.any_held()
        {
            self.close_partitions(out);
        }
        if let Stopping::Closing(left, all_well) = &self.stopping
            && left.is_empty()
        {
            let all_well = *all_well;
            self.write_final_checkpoints(all_well, out);
        }
    }

    fn close_partitions(&mut self, out: &mut Effects) {
        let mut left = BTreeSet::new();
        let mut all_well = true;
        let partitions: Vec<OwnerId> = self.table.iter().map(|(_, _, owner)| owner).collect();
        for owner in partitions {
            let lost = self.with_tenant(owner, out, |partition, disk| {
                partition.close_clean(disk);
                partition.is_lost()
            });
            if lost == Some(true) {
                all_well = false;
            } else {
                left.insert(owner);
            }
        }
        self.stopping = Stopping::Closing(left, all_well);
    }

    /// A partition's files are closed, or it was lost.
    pub(super) fn on_partition_closed(&mut self, owner: OwnerId, well: bool) {
        if let Stopping::Closing(left, all_well) = &mut self.stopping {
            left.remove(&owner);
            *all_well &= well;
        }
    }

    fn write_final_checkpoints(&mut self, all_well: bool, out: &mut Effects) {
        let files = self.checkpoint_files();
        self.stopping = Stopping::Checkpoints(files.len(), all_well);
        for (path, bytes) in files {
            self.ask(
                DiskOp::WriteFile {
                    path: path.into(),
                    bytes,
                },
                Own::FinalCheckpoint,
            );
        }
        self.drain_own(out);
    }

    pub(super) fn on_final_write(&mut self, why: Own, out: &mut Effects) {
        match (&mut self.stopping, why) {
            (Stopping::Checkpoints(left, all_well), Own::FinalCheckpoint) => {
                *left -= 1;
                if *left > 0 {
                    return;
                }
                if !*all_well {
                    let text = "a partition is offline: the stop is not marked as clean";
                    Self::note(out, Note::Warn(text.to_string()));
                    self.end(out);
                    return;
                }
                self.stopping = Stopping::Marker;
                let path = layout::CLEAN_SHUTDOWN.into();
                let bytes = checkpoint::encode_clean_shutdown(self.broker_epoch());
                self.ask(DiskOp::WriteFile { path, bytes }, Own::FinalMarker);
                self.drain_own(out);
            }
            (Stopping::Marker, Own::FinalMarker) => self.end(out),
            (state, why) => unreachable!("{why:?} while {state:?}"),
        }
    }

    fn end(&mut self, out: &mut Effects) {
        self.phase = Phase::Over;
        out.push(Effect::Mesh {
            core: self.config.ctl,
            msg: CoreMsg::Stopped,
        });
        out.push(Effect::Stopped);
    }

    fn broker_epoch(&self) -> i64 {
        self.image
            .brokers
            .get(&self.config.node_id)
            .map_or(-1, |b| b.epoch)
    }
}
