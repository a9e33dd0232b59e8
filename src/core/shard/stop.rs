//! The orderly stop: finish what is open, close every partition, mark the stop as clean.
//!
//! Order (each step waits for the one before): no request is taken in; produces under way become durable and are answered; parked
//! fetches are answered with what is there; partitions close; checkpoints are written; the marker is written last and only if
//! every partition closed well; ctl is told.

use super::open::Own;
use super::{Phase, Shard};
use crate::effect::{DiskOp, Effect, Note};
use crate::input::{CoreMsg, Effects};
use crate::log::{checkpoint, layout};
use crate::types::OwnerId;
use std::collections::BTreeSet;

/// How far the stop has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Stopping {
    #[default]
    No,
    Draining,
    Closing(BTreeSet<OwnerId>),
    Checkpoints(usize),
    Marker,
}

impl Shard {
    pub(super) fn begin_stop(&mut self, out: &mut Effects) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.phase = Phase::Stopping;
        self.stopping = Stopping::Draining;
        self.sessions.quiesce();
        self.dirty.extend(self.waiting.parked.all());
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
        if self.stopping == Stopping::Draining && !self.waiting.any_produce() {
            self.close_partitions(out);
        }
        if self.stopping == Stopping::Closing(BTreeSet::new()) {
            self.write_final_checkpoints(out);
        }
    }

    fn close_partitions(&mut self, out: &mut Effects) {
        let mut left = BTreeSet::new();
        for owner in self.table.owners() {
            let closing = self.with_tenant(owner, out, |partition, disk| {
                let online = partition.is_online();
                if online {
                    partition.close_clean(disk);
                }
                online
            });
            if closing == Some(true) {
                left.insert(owner);
            }
        }
        self.stopping = Stopping::Closing(left);
    }

    /// A partition's files are closed.
    pub(super) fn on_partition_closed(&mut self, owner: OwnerId) {
        if let Stopping::Closing(left) = &mut self.stopping {
            left.remove(&owner);
        }
    }

    fn write_final_checkpoints(&mut self, out: &mut Effects) {
        let files = self.checkpoint_files();
        self.stopping = Stopping::Checkpoints(files.len());
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
            (Stopping::Checkpoints(left), Own::FinalCheckpoint) => {
                *left -= 1;
                if *left == 0 {
                    self.stopping = Stopping::Marker;
                    let path = layout::CLEAN_SHUTDOWN.into();
                    let bytes = checkpoint::encode_clean_shutdown(self.broker_epoch());
                    self.ask(DiskOp::WriteFile { path, bytes }, Own::FinalMarker);
                    self.drain_own(out);
                }
            }
            (Stopping::Marker, Own::FinalMarker) => {
                self.phase = Phase::Over;
                out.push(Effect::Mesh {
                    core: self.config.ctl,
                    msg: CoreMsg::Stopped,
                });
                out.push(Effect::Stopped);
            }
            (state, why) => unreachable!("{why:?} while {state:?}"),
        }
    }

    fn broker_epoch(&self) -> i64 {
        self.image
            .brokers
            .get(&self.config.node_id)
            .map_or(-1, |b| b.epoch)
    }
}
