//! Start and metadata: what is on disk, what ctl publishes, and the partitions that follow from both.
//!
//! Invariants:
//! 1. Publications are applied one after the other, in order; each is answered with `Applied` when every partition it adds is
//!    open (or known to be offline) and every one it removes has its directory renamed, as have strays.
//! 2. The image that requests see is swapped only then: what Metadata shows can be produced to.
//! 3. The marker of a clean stop is removed, durably, before the first publication is applied.
//! 4. At most [`OPENING_MAX`] partitions are being opened at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Phase, Shard};
use crate::effect::{DiskError, DiskOk, DiskOp, DiskResult, Effect, Note};
use crate::input::{CoreMsg, Effects};
use crate::log::{checkpoint, layout};
use crate::metadata::topic_config::TopicConfigs;
use crate::metadata::{BrokerConfigs, CLUSTER_METADATA_TOPIC, ConfigResource, Delta, Image};
use crate::partition::{Partition, PartitionConfig, PartitionSpec};
use crate::types::limits::SMALL_FILE_BYTES_MAX;
use crate::types::{
    ErrorCode, LeaderEpoch, Millis, Now, Offset, OwnerId, PartitionIndex, Token, TopicId,
    TopicPartition,
};

/// Partitions being opened at a time: each may hold a read buffer of recovery.
const OPENING_MAX: usize = 64;

/// A checkpoint file's content.
type Offsets = BTreeMap<TopicPartition, Offset>;

/// What the shard itself asked the disk for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    Marker,
    MarkerGone,
    RecoveryPoints,
    LogStarts,
    Names,
    Removed,
    Stray,
    Checkpoint,
    FinalCheckpoint,
    FinalMarker,
}

/// A publication that waits or is being applied.
#[derive(Debug)]
struct Publication {
    image: Arc<Image>,
    delta: Arc<Delta>,
    offset: Offset,
}

/// See the module head.
#[derive(Debug, Default)]
pub(super) struct Opening {
    asked: BTreeMap<u64, Own>,
    boot_left: usize,
    booted: bool,
    clean: bool,
    recovery_points: Offsets,
    log_starts: Offsets,
    directories: BTreeSet<String>,
    waiting: VecDeque<Publication>,
    current: Option<Publication>,
    queue: VecDeque<(TopicId, PartitionIndex)>,
    under_way: BTreeMap<OwnerId, LeaderEpoch>,
    renaming: BTreeSet<OwnerId>,
    /// Directories on their way to another name: their own may be needed soon.
    strays: usize,
    applied_any: bool,
}

impl Shard {
    pub(super) fn on_start(&mut self, out: &mut Effects) {
        let read = |path: &str| DiskOp::ReadFile {
            path: path.into(),
            bytes_max: SMALL_FILE_BYTES_MAX,
        };
        self.ask(read(layout::CLEAN_SHUTDOWN), Own::Marker);
        self.ask(read(layout::RECOVERY_POINTS), Own::RecoveryPoints);
        self.ask(read(layout::LOG_STARTS), Own::LogStarts);
        self.ask(DiskOp::List { path: "".into() }, Own::Names);
        self.opening.boot_left = 4;
        self.drain_own(out);
    }

    pub(super) fn ask(&mut self, op: DiskOp, why: Own) {
        let token = self.own_disk.push(op);
        self.opening.asked.insert(token.seq, why);
    }

    pub(super) fn on_own_disk(
        &mut self,
        now: Now,
        token: Token,
        result: DiskResult,
        out: &mut Effects,
    ) {
        let why = self
            .opening
            .asked
            .remove(&token.seq)
            .expect("every operation is asked once");
        let ok = match result {
            Ok(ok) => ok,
            // The old file is still there and shortens the next recovery less; the next period tries again.
            Err(DiskError::NoSpace(_)) if why == Own::Checkpoint => {
                self.checkpoints.on_moved();
                self.checkpoints.on_written();
                self.finish_publication(now, out);
                return;
            }
            Err(error) => {
                self.halt(
                    format!("the log directory is offline: {why:?}: {error}"),
                    out,
                );
                return;
            }
        };
        match why {
            Own::Marker => self.on_marker(&ok),
            Own::MarkerGone => self.boot_step(now, out),
            Own::RecoveryPoints | Own::LogStarts => {
                self.on_checkpoint_read(why, &ok, out);
                self.boot_step(now, out);
            }
            Own::Names => {
                self.on_names(ok);
                self.boot_step(now, out);
            }
            Own::Removed => {}
            Own::Stray => {
                self.opening.strays -= 1;
                self.finish_publication(now, out);
            }
            Own::Checkpoint => {
                self.checkpoints.on_written();
                self.finish_publication(now, out);
            }
            Own::FinalCheckpoint | Own::FinalMarker => self.on_final_write(why, out),
        }
    }

    fn on_marker(&mut self, ok: &DiskOk) {
        self.opening.clean = matches!(ok, DiskOk::Bytes(_));
        // Removed even when absent: one path, and an absent file is a success.
        let path = layout::CLEAN_SHUTDOWN.into();
        self.ask(DiskOp::Remove { path }, Own::MarkerGone);
    }

    fn on_checkpoint_read(&mut self, why: Own, ok: &DiskOk, out: &mut Effects) {
        let DiskOk::Bytes(bytes) = ok else { return };
        let offsets = match checkpoint::decode_offsets(bytes) {
            Ok(offsets) => offsets,
            Err(error) => {
                // As Kafka: an unreadable checkpoint means to trust nothing and recover everything.
                let text = format!("{why:?} checkpoint is unreadable and is ignored: {error}");
                Self::note(out, Note::Warn(text));
                return;
            }
        };
        match why {
            Own::RecoveryPoints => self.opening.recovery_points = offsets,
            _ => self.opening.log_starts = offsets,
        }
    }

    fn on_names(&mut self, ok: DiskOk) {
        let DiskOk::Names(entries) = ok else { return };
        for entry in entries.into_iter().filter(|e| e.is_dir) {
            if layout::is_deleted_dir(&entry.name) {
                self.ask(
                    DiskOp::Remove {
                        path: entry.name.into(),
                    },
                    Own::Removed,
                );
            } else if layout::parse_partition_dir(&entry.name)
                .is_some_and(|name| &*name.topic != CLUSTER_METADATA_TOPIC)
            {
                self.opening.directories.insert(entry.name);
            }
        }
    }

    fn boot_step(&mut self, now: Now, out: &mut Effects) {
        self.opening.boot_left -= 1;
        if self.opening.boot_left == 0 {
            self.opening.booted = true;
            self.next_publication(now, out);
        }
    }

    pub(super) fn on_publish(
        &mut self,
        now: Now,
        image: Arc<Image>,
        delta: Arc<Delta>,
        offset: Offset,
        out: &mut Effects,
    ) {
        self.opening.waiting.push_back(Publication {
            image,
            delta,
            offset,
        });
        self.next_publication(now, out);
    }

    /// The shard stops: no partition is opened any more. False if the first publication was not applied, so that some may
    /// never have been recovered.
    pub(super) fn open_no_more(&mut self) -> bool {
        self.opening.waiting.clear();
        self.opening.queue.clear();
        self.opening.applied_any
    }

    fn next_publication(&mut self, now: Now, out: &mut Effects) {
        if !self.opening.booted || self.opening.current.is_some() {
            return;
        }
        let Some(publication) = self.opening.waiting.pop_front() else {
            return;
        };
        let (image, delta) = (publication.image.clone(), publication.delta.clone());
        self.opening.current = Some(publication);
        self.remove_topics(now, &delta, out);
        self.change_configs(&image, &delta, out);
        for id in &delta.topics_changed {
            let Some(topic) = image.topics.get(id) else {
                continue;
            };
            for (index, state) in topic.partitions.iter().enumerate() {
                if !state.replicas.contains(&self.config.node_id) {
                    continue;
                }
                let index = PartitionIndex(i32::try_from(index).expect("partitions fit 31 bits"));
                if let Some(owner) = self.table.find(*id, index) {
                    let epoch = state.leader_epoch;
                    self.with_tenant(owner, out, |p, _| p.lead(epoch));
                } else {
                    self.opening.queue.push_back((*id, index));
                }
            }
        }
        if !self.opening.applied_any {
            self.set_strays_aside(&image, out);
        }
        self.open_more(now, out);
        self.finish_publication(now, out);
    }

    fn remove_topics(&mut self, now: Now, delta: &Delta, out: &mut Effects) {
        let gone = delta.topics_removed.iter();
        self.forget_topics(gone.map(|(_, name, _)| name.clone()).collect());
        for (id, _name, partitions) in &delta.topics_removed {
            self.topic_configs.remove(id);
            for index in 0..*partitions {
                let index = PartitionIndex(i32::try_from(index).expect("partitions fit 31 bits"));
                let Some(owner) = self.table.forget(*id, index) else {
                    continue;
                };
                self.lose(now, owner, ErrorCode::UnknownTopicOrPartition, out);
                self.opening.renaming.insert(owner);
                self.with_tenant(owner, out, |p, disk| p.delete(now, disk));
                self.checkpoints.on_forgotten();
            }
        }
    }

    /// Resolves the configs of topics that are new or whose configs changed, and tells their partitions.
    fn change_configs(&mut self, image: &Image, delta: &Delta, out: &mut Effects) {
        let mut topics: BTreeSet<TopicId> = delta.topics_changed.iter().copied().collect();
        for resource in &delta.configs_changed {
            match resource {
                ConfigResource::Topic(name) => topics.extend(image.topics_by_name.get(name)),
                // Broker defaults reach every topic.
                ConfigResource::Broker(_) => topics.extend(image.topics.keys()),
                ConfigResource::Other(..) => {}
            }
        }
        let none = BTreeMap::new();
        for id in topics {
            let Some(topic) = image.topics.get(&id) else {
                continue;
            };
            let resource = ConfigResource::Topic(topic.name.clone());
            let overrides = image.configs.get(&resource).unwrap_or(&none);
            let broker = BrokerConfigs::new(&self.config.broker, image, self.config.node_id);
            self.topic_configs
                .insert(id, TopicConfigs::resolve(overrides, &broker));
            for index in 0..topic.partitions.len() {
                let index = PartitionIndex(i32::try_from(index).expect("fits 31 bits"));
                if let Some(owner) = self.table.find(id, index) {
                    let config = self.partition_config(id, index);
                    self.with_tenant(owner, out, |partition, _| partition.set_config(config));
                }
            }
        }
    }

    fn open_more(&mut self, now: Now, out: &mut Effects) {
        let Some(publication) = &self.opening.current else {
            return;
        };
        let image = publication.image.clone();
        while self.opening.under_way.len() < OPENING_MAX {
            let Some((id, index)) = self.opening.queue.pop_front() else {
                break;
            };
            let Some(topic) = image.topics.get(&id) else {
                continue;
            };
            let Some(state) = usize::try_from(index.0)
                .ok()
                .and_then(|i| topic.partitions.get(i))
            else {
                continue;
            };
            let name = TopicPartition {
                topic: topic.name.clone(),
                partition: index,
            };
            let spec = PartitionSpec {
                topic_id: id,
                config: self.partition_config(id, index),
                clean: self.opening.clean,
                recovery_point: self
                    .opening
                    .recovery_points
                    .get(&name)
                    .copied()
                    .unwrap_or(Offset(0)),
                log_start: self.opening.log_starts.get(&name).copied(),
                name,
            };
            let epoch = state.leader_epoch;
            let owner = self
                .table
                .insert(id, index, |disk| Partition::open(now, spec, disk));
            self.opening.under_way.insert(owner, epoch);
            self.drain(owner, out);
        }
    }

    /// A partition's share of its topic's configs.
    fn partition_config(&self, id: TopicId, index: PartitionIndex) -> PartitionConfig {
        let Some(topic) = self.topic_configs.get(&id) else {
            return PartitionConfig::default();
        };
        PartitionConfig {
            log: topic.log_config(segment_jitter(id, index, topic.segment_jitter)),
            producer_id_expiration_ms: self.config.producer_id_expiration_ms,
        }
    }

    /// A partition came up or was found broken: the publication may go on.
    pub(super) fn on_opened(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        if let Some(epoch) = self.opening.under_way.remove(&owner) {
            self.with_tenant(owner, out, |partition, _| {
                if partition.is_online() {
                    partition.lead(epoch);
                }
            });
            self.open_more(now, out);
            self.finish_publication(now, out);
        }
    }

    /// A deleted partition's directory has its new name.
    pub(super) fn on_set_aside(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        if self.opening.renaming.remove(&owner) {
            self.finish_publication(now, out);
        }
    }

    fn finish_publication(&mut self, now: Now, out: &mut Effects) {
        let opening = &mut self.opening;
        if !opening.queue.is_empty()
            || !opening.under_way.is_empty()
            || !opening.renaming.is_empty()
            || opening.strays > 0
            || opening.current.is_none()
        {
            return;
        }
        // Every partition is in the table now, so that nothing is lost but what is gone.
        if self.checkpoints.is_forgetting() {
            self.write_checkpoints(now);
            self.drain_own(out);
            return;
        }
        let Some(publication) = opening.current.take() else {
            return;
        };
        let unclean = !opening.applied_any && !opening.clean && !opening.directories.is_empty();
        let first = !opening.applied_any;
        opening.applied_any = true;
        self.image = publication.image;
        let msg = CoreMsg::Applied {
            offset: publication.offset,
            unclean,
        };
        out.push(Effect::Mesh {
            core: self.config.ctl,
            msg,
        });
        if first {
            self.opening.directories.clear();
            self.opening.recovery_points = Offsets::new();
            self.opening.log_starts = Offsets::new();
        }
        // After an unclean stop ctl raises the leader epochs first: what is appended from now on must carry the new ones.
        if self.phase == Phase::Starting && !unclean {
            self.phase = Phase::Serving;
            Self::note(out, Note::Ready);
        }
        // Topics that were removed or created change what waiting fetches see.
        self.dirty.extend(self.serving.parked.all());
        self.next_publication(now, out);
    }

    /// Directories of partitions that the metadata does not know are renamed, never deleted (Kafka: `-stray`).
    fn set_strays_aside(&mut self, image: &Image, out: &mut Effects) {
        let names: Vec<String> = self.opening.directories.iter().cloned().collect();
        for (count, name) in names.into_iter().enumerate() {
            let Some(tp) = layout::parse_partition_dir(&name) else {
                continue;
            };
            let known = image
                .topics_by_name
                .get(&tp.topic)
                .and_then(|id| image.topics.get(id));
            let index = usize::try_from(tp.partition.0).unwrap_or(usize::MAX);
            if known.is_some_and(|topic| index < topic.partitions.len()) {
                continue;
            }
            let mut unique = self.config.incarnation;
            let salt = u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
            unique
                .iter_mut()
                .zip(salt)
                .for_each(|(byte, salt)| *byte ^= salt);
            let to = layout::stray_dir(&name, TopicId(unique));
            let text = format!("{name} is not in the metadata: renamed to {to}; remove it by hand");
            Self::note(out, Note::Warn(text));
            self.opening.directories.remove(&name);
            self.ask(
                DiskOp::Rename {
                    from: name.into(),
                    to,
                },
                Own::Stray,
            );
            self.opening.strays += 1;
            self.checkpoints.on_forgotten();
        }
    }
}

/// A number below `segment.jitter.ms`, the same for a partition at every start: partitions that were made together do not roll
/// together.
fn segment_jitter(id: TopicId, index: PartitionIndex, max: Millis) -> Millis {
    let mut bytes = id.0.to_vec();
    bytes.extend(index.0.to_be_bytes());
    Millis(
        u64::from(crc32c::crc32c(&bytes))
            .checked_rem(max.0)
            .unwrap_or(0),
    )
}
