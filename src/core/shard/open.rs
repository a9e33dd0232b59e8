//! Start and metadata: what is on disk, what ctl publishes, and the partitions that follow from both.
//!
//! Invariants:
//! 1. Publications are applied one after the other, in order; each is answered with `Applied` when every partition it adds
//!    here is open (or known to be offline) and every one it removes has its directory renamed.
//! 2. The image that requests see is swapped only then: what Metadata shows of this shard can be produced to.
//! 3. Configs are resolved for all topics, wherever their partitions live: requests for them are checked here.
//! 4. At most [`OPENING_MAX`] partitions are being opened at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Phase, Shard};
use crate::effect::{Effect, Note};
use crate::input::{CoreMsg, Effects};
use crate::log::checkpoint::DirectoryState;
use crate::metadata::topic_config::TopicConfigs;
use crate::metadata::{BrokerConfigs, ConfigResource, Delta, Image};
use crate::partition::{Partition, PartitionConfig, PartitionSpec};
use crate::placement;
use crate::types::{
    ErrorCode, LeaderEpoch, Millis, Now, Offset, OwnerId, PartitionIndex, TopicId, TopicPartition,
};

/// Partitions being opened at a time: each may hold a read buffer of recovery.
const OPENING_MAX: usize = 64;

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
    /// What ctl found; let go when the first publication is applied.
    directory: Arc<DirectoryState>,
    clean: bool,
    waiting: VecDeque<Publication>,
    current: Option<Publication>,
    queue: VecDeque<(TopicId, PartitionIndex)>,
    under_way: BTreeMap<OwnerId, LeaderEpoch>,
    renaming: BTreeSet<OwnerId>,
    applied_any: bool,
}

impl Opening {
    /// True once the first publication was applied: every partition was opened, or found broken.
    pub(super) fn applied_any(&self) -> bool {
        self.applied_any
    }
}

impl Shard {
    /// What the log directory says, before the first publication.
    pub(super) fn on_directory(&mut self, state: Arc<DirectoryState>) {
        self.opening.clean = state.clean;
        self.opening.directory = state;
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

    /// The shard closes: no partition is opened any more.
    pub(super) fn open_no_more(&mut self) {
        self.opening.waiting.clear();
        self.opening.queue.clear();
    }

    fn next_publication(&mut self, now: Now, out: &mut Effects) {
        if self.opening.current.is_some() {
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
                if placement::owner(*id, index, self.config.shards) != self.config.core {
                    continue;
                }
                if let Some(owner) = self.table.find(*id, index) {
                    let epoch = state.leader_epoch;
                    self.with_tenant(owner, out, |p, _| p.lead(epoch));
                } else {
                    self.opening.queue.push_back((*id, index));
                }
            }
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
            let known = self.opening.directory.offsets.get(&(id, index));
            let spec = PartitionSpec {
                topic_id: id,
                config: self.partition_config(id, index),
                clean: self.opening.clean,
                recovery_point: known.map_or(Offset(0), |offsets| offsets.recovery_point),
                log_start: known.and_then(|offsets| offsets.log_start),
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
        {
            return;
        }
        let Some(publication) = opening.current.take() else {
            return;
        };
        opening.applied_any = true;
        opening.directory = Arc::default();
        self.image = publication.image;
        let offset = publication.offset;
        out.push(Effect::Mesh {
            core: self.config.ctl,
            msg: CoreMsg::Applied { offset },
        });
        if self.phase == Phase::Starting {
            self.phase = Phase::Serving;
            Self::note(out, Note::Ready);
        }
        // Topics that were removed or created change what waiting fetches see.
        self.dirty.extend(self.serving.parked.all());
        self.next_publication(now, out);
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
