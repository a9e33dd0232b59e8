//! The orderly stop: requests under way, partitions, checkpoints, the marker, the metadata log.
//!
//! Order (each step waits for the one before): every shard finishes what its clients wait for, while it still answers what other
//! shards ask; every shard closes its partitions; the last checkpoints are written, then the marker, unless a partition was not
//! opened or not closed well; the record that says so; the log is closed.

use std::collections::BTreeSet;

use super::{Ctl, Fatal, Phase};
use crate::input::{CoreMsg, Effects};
use crate::log::checkpoint::{PartitionKey, PartitionOffsets};
use crate::metadata::record::{Record, RegistrationChange};
use crate::types::{CoreId, Now};

impl Ctl {
    fn all_shards(&self) -> BTreeSet<CoreId> {
        self.config.shards.iter().copied().collect()
    }

    pub(super) fn on_drained(&mut self, from: CoreId, out: &mut Effects) {
        if let Phase::Draining(waiting) = &mut self.phase {
            waiting.remove(&from);
            if waiting.is_empty() {
                self.phase = Phase::Stopping(self.all_shards());
                self.tell_shards(out, || CoreMsg::Close);
            }
        }
    }

    pub(super) fn on_shard_stopped(
        &mut self,
        from: CoreId,
        offsets: Vec<(PartitionKey, PartitionOffsets)>,
        well: bool,
    ) {
        self.directory.learn(offsets, self.replay.image());
        self.well &= well;
        if let Phase::Stopping(waiting) = &mut self.phase {
            waiting.remove(&from);
        }
    }

    /// Takes the next step of an orderly stop.
    pub(super) fn stop_on(&mut self, now: Now, out: &mut Effects) -> Result<(), Fatal> {
        if self.stop_wanted && matches!(self.phase, Phase::Serving) {
            self.phase = Phase::Draining(self.all_shards());
            self.tell_shards(out, || CoreMsg::Stop);
        }
        match &self.phase {
            Phase::Stopping(waiting) if waiting.is_empty() && !self.journal.is_committing() => {}
            _ => return Ok(()),
        }
        self.phase = Phase::Marking;
        let image = self.replay.image();
        let own = image.brokers.get(&self.config.node_id);
        let epoch = own.map_or(-1, |broker| broker.epoch);
        self.directory.finish(image, self.well, epoch);
        self.mark_on(now)
    }

    /// Goes on once the directory's files are written.
    pub(super) fn mark_on(&mut self, now: Now) -> Result<(), Fatal> {
        if !matches!(self.phase, Phase::Marking) || self.directory.is_finishing() {
            return Ok(());
        }
        self.phase = Phase::Closing;
        // A Kafka that starts on this directory would otherwise wait for the old registration's session to end.
        let fenced = self.fenced_record();
        if !self.journal.try_append(now, fenced)? {
            self.journal.close();
        }
        Ok(())
    }

    fn fenced_record(&self) -> Vec<Record> {
        let brokers = &self.replay.image().brokers;
        let own = brokers.get(&self.config.node_id);
        own.map(|broker| {
            Record::RegistrationChange(RegistrationChange {
                id: self.config.node_id,
                epoch: broker.epoch,
                fenced: Some(true),
                in_controlled_shutdown: false,
                log_dirs: Vec::new(),
            })
        })
        .into_iter()
        .collect()
    }
}
