//! The files that a log directory has once, whatever the number of shards: the marker of an orderly stop, the three checkpoints, and
//! the names of partitions' directories.
//!
//! The checkpoints are hints that shorten recovery, never promises: the recovery point says what need not be scanned, the log start
//! what was deleted, the high watermark what followers had.
//!
//! Invariants:
//! 1. The marker is removed, durably, before anything is published, and written last of all, only if every partition closed well.
//! 2. Before anything is published, directories of partitions that the metadata does not know have other names (Kafka: `-stray`).
//! 3. A name that was given up is out of the checkpoints, durably, before anyone takes it again: a new partition must not be
//!    recovered by the offsets of its predecessor. Reports name topics by id, so a late one cannot bring a name back.
//!
//! Source: Kafka's `OffsetCheckpointFile`, `LogManager`, `ReplicaManager`, `CleanShutdownFileHandler`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Fatal;
use crate::effect::{DiskError, DiskOk, DiskOp, DiskOut, DiskResult, Note};
use crate::log::checkpoint::{self, DirectoryState, PartitionKey, PartitionOffsets};
use crate::log::layout;
use crate::metadata::{CLUSTER_METADATA_TOPIC, Image};
use crate::types::limits::SMALL_FILE_BYTES_MAX;
use crate::types::{
    Millis, Monotonic, Now, Offset, PartitionIndex, Token, TopicId, TopicPartition,
};

/// Between two writes (Kafka: 5 s for high watermarks, 60 s for recovery points; one period serves both here).
const PERIOD: Millis = Millis(5_000);
/// Until names that must be forgotten are tried again on a full disk.
const FORGET_RETRY: Millis = Millis(1_000);

/// A checkpoint file's content.
type Offsets = BTreeMap<TopicPartition, Offset>;

/// Why an operation was asked for; part of the sentence if it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Own {
    Marker,
    MarkerGone,
    RecoveryPoints,
    LogStarts,
    HighWatermarks,
    Names,
    Removed,
    Stray,
    Checkpoint,
    FinalCheckpoint,
    FinalMarker,
}

/// See the module head.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts: what was found, and why the files are written"
)]
pub(super) struct Directory {
    disk: DiskOut,
    asked: BTreeMap<u64, Own>,
    /// First looks that are still to come.
    looks: usize,
    clean: bool,
    /// Directories of partitions by name, and what the checkpoints said of them; empty once they are adopted.
    names: BTreeSet<String>,
    recovery_points: Offsets,
    log_starts: Offsets,
    high_watermarks: Offsets,
    adopted: bool,
    /// Of partitions that exist.
    offsets: BTreeMap<PartitionKey, PartitionOffsets>,
    /// Directories on their way to another name.
    strays: usize,
    moved: bool,
    /// Names were given up and are in the files.
    forget: bool,
    /// The files that are being written leave them out.
    forgetting: bool,
    writing: usize,
    write_at: Monotonic,
    forget_at: Monotonic,
    /// The epoch for the marker that follows the last checkpoints.
    mark: Option<i64>,
}

impl Directory {
    pub(super) fn new(disk: DiskOut) -> Self {
        Self {
            disk,
            asked: BTreeMap::new(),
            looks: 0,
            clean: false,
            names: BTreeSet::new(),
            recovery_points: Offsets::new(),
            log_starts: Offsets::new(),
            high_watermarks: Offsets::new(),
            adopted: false,
            offsets: BTreeMap::new(),
            strays: 0,
            moved: false,
            forget: false,
            forgetting: false,
            writing: 0,
            write_at: Monotonic::default(),
            forget_at: Monotonic::default(),
            mark: None,
        }
    }

    /// Where its disk operations are gathered.
    pub(super) fn disk(&mut self) -> &mut DiskOut {
        &mut self.disk
    }

    fn ask(&mut self, op: DiskOp, why: Own) {
        let token = self.disk.push(op);
        self.asked.insert(token.seq, why);
    }

    /// Asks for everything that the directory says by itself.
    pub(super) fn start(&mut self) {
        let read = |path: &str| DiskOp::ReadFile {
            path: path.into(),
            bytes_max: SMALL_FILE_BYTES_MAX,
        };
        self.ask(read(layout::CLEAN_SHUTDOWN), Own::Marker);
        self.ask(read(layout::RECOVERY_POINTS), Own::RecoveryPoints);
        self.ask(read(layout::LOG_STARTS), Own::LogStarts);
        self.ask(read(layout::HIGH_WATERMARKS), Own::HighWatermarks);
        self.ask(DiskOp::List { path: "".into() }, Own::Names);
        self.looks = 5;
    }

    /// True once everything was read and the marker is gone.
    pub(super) fn is_read(&self) -> bool {
        self.looks == 0
    }

    /// True while names that were given up are in use or may be in the files.
    pub(super) fn is_untidy(&self) -> bool {
        self.strays > 0 || self.forget || self.forgetting
    }

    /// True while the last files are being written.
    pub(super) fn is_finishing(&self) -> bool {
        let mut asked = self.asked.values();
        asked.any(|why| matches!(why, Own::FinalCheckpoint | Own::FinalMarker))
    }

    pub(super) fn on_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        notes: &mut Vec<Note>,
    ) -> Result<(), Fatal> {
        let why = self.asked.remove(&token.seq);
        let why = why.expect("every operation is asked once");
        let ok = match result {
            Ok(ok) => ok,
            // The old file is still there and shortens the next recovery less; the next period tries again.
            Err(DiskError::NoSpace(_)) if why == Own::Checkpoint => {
                self.moved = true;
                if self.forgetting && !self.forget {
                    self.forget = true;
                    self.forget_at = now.mono.after(FORGET_RETRY);
                    let text = "no space left for the checkpoints: names that were given up are free when there is";
                    notes.push(Note::Warn(text.to_string()));
                }
                self.on_written();
                return Ok(());
            }
            Err(error) => return Err(format!("the log directory is offline: {why:?}: {error}")),
        };
        match why {
            Own::Marker => {
                self.clean = matches!(ok, DiskOk::Bytes(_));
                // Removed even when absent: one path, and an absent file is a success.
                let path = layout::CLEAN_SHUTDOWN.into();
                self.ask(DiskOp::Remove { path }, Own::MarkerGone);
            }
            Own::MarkerGone => self.looks -= 1,
            Own::RecoveryPoints | Own::LogStarts | Own::HighWatermarks => {
                self.on_checkpoint_read(why, &ok, notes);
                self.looks -= 1;
            }
            Own::Names => {
                self.on_names(ok);
                self.looks -= 1;
            }
            Own::Stray => self.strays -= 1,
            Own::Checkpoint => self.on_written(),
            Own::FinalCheckpoint => self.on_final_checkpoint(),
            Own::Removed | Own::FinalMarker => {}
        }
        Ok(())
    }

    fn on_checkpoint_read(&mut self, why: Own, ok: &DiskOk, notes: &mut Vec<Note>) {
        let DiskOk::Bytes(bytes) = ok else { return };
        let offsets = match checkpoint::decode_offsets(bytes) {
            Ok(offsets) => offsets,
            Err(error) => {
                // As Kafka: an unreadable checkpoint means to trust nothing and recover everything.
                let text = format!("{why:?} checkpoint is unreadable and is ignored: {error}");
                notes.push(Note::Warn(text));
                return;
            }
        };
        match why {
            Own::RecoveryPoints => self.recovery_points = offsets,
            Own::LogStarts => self.log_starts = offsets,
            _ => self.high_watermarks = offsets,
        }
    }

    fn on_names(&mut self, ok: DiskOk) {
        let DiskOk::Names(entries) = ok else { return };
        for entry in entries.into_iter().filter(|e| e.is_dir) {
            if layout::is_deleted_dir(&entry.name) {
                let path = entry.name.into();
                self.ask(DiskOp::Remove { path }, Own::Removed);
            } else if layout::parse_partition_dir(&entry.name)
                .is_some_and(|name| &*name.topic != CLUSTER_METADATA_TOPIC)
            {
                self.names.insert(entry.name);
            }
        }
    }

    /// Holds what was found against the first image: strays are set aside, what is not in the image is forgotten. Says whether
    /// partitions were left behind by a process that did not stop in an orderly way.
    pub(super) fn adopt(
        &mut self,
        now: Now,
        image: &Image,
        incarnation: TopicId,
        notes: &mut Vec<Note>,
    ) -> bool {
        assert!(self.is_read() && !self.adopted, "adopted once, when read");
        self.adopted = true;
        self.set_strays_aside(image, incarnation, notes);
        let unclean = !self.clean && !self.names.is_empty();
        self.names.clear();
        for (tp, offset) in std::mem::take(&mut self.recovery_points) {
            self.adopt_offset(image, &tp, |offsets| offsets.recovery_point = offset);
        }
        for (tp, offset) in std::mem::take(&mut self.high_watermarks) {
            self.adopt_offset(image, &tp, |offsets| offsets.high_watermark = offset);
        }
        for (tp, offset) in std::mem::take(&mut self.log_starts) {
            self.adopt_offset(image, &tp, |offsets| offsets.log_start = Some(offset));
        }
        self.write(now, image);
        unclean
    }

    fn adopt_offset(
        &mut self,
        image: &Image,
        tp: &TopicPartition,
        set: impl FnOnce(&mut PartitionOffsets),
    ) {
        match key_of(image, tp) {
            Some(key) => set(self.offsets.entry(key).or_default()),
            None => self.forget = true,
        }
    }

    /// Directories of partitions that the metadata does not know are renamed, never deleted.
    fn set_strays_aside(&mut self, image: &Image, incarnation: TopicId, notes: &mut Vec<Note>) {
        let names: Vec<String> = self.names.iter().cloned().collect();
        for (count, name) in names.into_iter().enumerate() {
            let Some(tp) = layout::parse_partition_dir(&name) else {
                continue;
            };
            if key_of(image, &tp).is_some() {
                continue;
            }
            let mut unique = incarnation.0;
            let salt = u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
            unique
                .iter_mut()
                .zip(salt)
                .for_each(|(byte, salt)| *byte ^= salt);
            let to = layout::stray_dir(&name, TopicId(unique));
            let text = format!("{name} is not in the metadata: renamed to {to}; remove it by hand");
            notes.push(Note::Warn(text));
            self.names.remove(&name);
            let from = name.into();
            self.ask(DiskOp::Rename { from, to }, Own::Stray);
            self.strays += 1;
        }
    }

    /// What shards are told, once.
    pub(super) fn state(&self) -> Arc<DirectoryState> {
        Arc::new(DirectoryState {
            clean: self.clean,
            offsets: self.offsets.clone(),
        })
    }

    /// What a shard reports. What it says of topics that are gone comes too late.
    pub(super) fn learn(&mut self, offsets: Vec<(PartitionKey, PartitionOffsets)>, image: &Image) {
        let known = offsets
            .into_iter()
            .filter(|((topic, _), _)| image.topics.contains_key(topic));
        self.offsets.extend(known);
        self.moved = true;
    }

    /// These topics are gone from the image: their names are forgotten.
    pub(super) fn forget(&mut self, now: Now, topics: &BTreeSet<TopicId>, image: &Image) {
        self.offsets.retain(|(topic, _), _| !topics.contains(topic));
        self.forget = true;
        self.write(now, image);
    }

    /// When time matters next.
    pub(super) fn wake_at(&self) -> Option<Monotonic> {
        let forget = self.forget.then_some(self.forget_at);
        let moved = self.moved.then_some(self.write_at);
        let idle = self.adopted && self.writing == 0 && !self.is_finishing();
        forget.into_iter().chain(moved).min().filter(|_| idle)
    }

    /// Writes the files if it is time.
    pub(super) fn write(&mut self, now: Now, image: &Image) {
        if self.wake_at().is_none_or(|at| at > now.mono) {
            return;
        }
        self.forgetting = std::mem::take(&mut self.forget);
        self.moved = false;
        self.write_at = now.mono.after(PERIOD);
        self.writing = self.write_files(image, Own::Checkpoint);
    }

    fn on_written(&mut self) {
        self.writing -= 1;
        self.forgetting &= self.writing > 0;
    }

    /// The last files, and the marker if all went well. Nothing if the directory was never adopted: what was not recovered is
    /// found by the next start.
    pub(super) fn finish(&mut self, image: &Image, well: bool, broker_epoch: i64) {
        if self.adopted {
            self.mark = well.then_some(broker_epoch);
            self.write_files(image, Own::FinalCheckpoint);
        }
    }

    fn on_final_checkpoint(&mut self) {
        let more = self.asked.values().any(|why| *why == Own::FinalCheckpoint);
        if !more && let Some(epoch) = self.mark.take() {
            let path = layout::CLEAN_SHUTDOWN.into();
            let bytes = checkpoint::encode_clean_shutdown(epoch);
            self.ask(DiskOp::WriteFile { path, bytes }, Own::FinalMarker);
        }
    }

    fn write_files(&mut self, image: &Image, why: Own) -> usize {
        let files = self.files(image);
        let count = files.len();
        for (path, bytes) in files {
            let path = path.into();
            self.ask(DiskOp::WriteFile { path, bytes }, why);
        }
        count
    }

    /// The files' present content.
    fn files(&self, image: &Image) -> [(&'static str, Bytes); 3] {
        let mut recovery = Offsets::new();
        let mut starts = Offsets::new();
        let mut high_watermarks = Offsets::new();
        for ((id, partition), offsets) in &self.offsets {
            let Some(topic) = image.topics.get(id) else {
                continue;
            };
            let tp = TopicPartition {
                topic: topic.name.clone(),
                partition: *partition,
            };
            recovery.insert(tp.clone(), offsets.recovery_point);
            high_watermarks.insert(tp.clone(), offsets.high_watermark);
            if let Some(start) = offsets.log_start {
                starts.insert(tp, start);
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

/// The partition that has this name.
fn key_of(image: &Image, tp: &TopicPartition) -> Option<PartitionKey> {
    let id = image.topics_by_name.get(&tp.topic)?;
    let topic = image.topics.get(id)?;
    let index = usize::try_from(tp.partition.0).ok()?;
    (index < topic.partitions.len()).then_some((*id, PartitionIndex(tp.partition.0)))
}
