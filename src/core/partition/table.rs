//! The partitions of a shard: slots that disk tokens name, found by topic id and index.
//!
//! Invariants:
//! 1. A slot's generation rises with every tenant, so that a completion for a former tenant is recognised and dropped.
//! 2. A partition is found by topic id and index exactly as long as its topic exists; its slot lives on until its files are
//!    closed and gone.
//! 3. Slot 0 never holds a partition: owner 0 is nobody.

use std::collections::BTreeMap;

use super::Partition;
use crate::effect::DiskOut;
use crate::types::{OwnerId, PartitionIndex, Token, TopicId};

/// All partitions of a shard.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Slot>,
    free: Vec<OwnerId>,
    by_topic: BTreeMap<(TopicId, PartitionIndex), OwnerId>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    tenant: Option<Tenant>,
}

/// A partition and where it puts its disk operations.
#[derive(Debug)]
pub struct Tenant {
    /// The partition.
    pub partition: Partition,
    /// Its operations, taken by the shard after each call.
    pub disk: DiskOut,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            slots: vec![Slot {
                generation: 0,
                tenant: None,
            }],
            free: Vec::new(),
            by_topic: BTreeMap::new(),
        }
    }
}

impl Table {
    /// Gives a partition a slot and makes it findable. `make` gets the disk outlet that stays with the slot.
    pub fn insert(
        &mut self,
        topic: TopicId,
        index: PartitionIndex,
        make: impl FnOnce(&mut DiskOut) -> Partition,
    ) -> OwnerId {
        let owner = self.free.pop().unwrap_or_else(|| {
            let next = u32::try_from(self.slots.len()).expect("fewer than 2^32 partitions");
            self.slots.push(Slot {
                generation: 0,
                tenant: None,
            });
            OwnerId(next)
        });
        let slot = self
            .slot_mut(owner)
            .expect("the slot was just made or was free");
        assert!(slot.tenant.is_none(), "a free slot has no tenant");
        slot.generation += 1;
        let mut disk = DiskOut::new(owner, slot.generation);
        let partition = make(&mut disk);
        slot.tenant = Some(Tenant { partition, disk });
        let before = self.by_topic.insert((topic, index), owner);
        assert!(before.is_none(), "a partition is opened once");
        owner
    }

    /// The slot of a partition.
    #[must_use]
    pub fn find(&self, topic: TopicId, index: PartitionIndex) -> Option<OwnerId> {
        self.by_topic.get(&(topic, index)).copied()
    }

    /// A slot's partition.
    #[must_use]
    pub fn get(&self, owner: OwnerId) -> Option<&Partition> {
        let slot = self.slots.get(usize::try_from(owner.0).ok()?)?;
        slot.tenant.as_ref().map(|t| &t.partition)
    }

    /// A slot's tenant, to change.
    pub fn get_mut(&mut self, owner: OwnerId) -> Option<&mut Tenant> {
        self.slot_mut(owner)?.tenant.as_mut()
    }

    /// The tenant a completion is for, unless it has moved out.
    pub fn by_token(&mut self, token: Token) -> Option<&mut Tenant> {
        let slot = self.slot_mut(token.owner)?;
        if slot.generation == token.generation {
            slot.tenant.as_mut()
        } else {
            None
        }
    }

    /// The partition is no longer found; its slot stays until [`Table::vacate`].
    pub fn forget(&mut self, topic: TopicId, index: PartitionIndex) -> Option<OwnerId> {
        self.by_topic.remove(&(topic, index))
    }

    /// Frees a slot. Its partition must have been forgotten before.
    pub fn vacate(&mut self, owner: OwnerId) {
        debug_assert!(
            self.by_topic.values().all(|&o| o != owner),
            "forgotten first"
        );
        if let Some(slot) = self.slot_mut(owner) {
            slot.tenant = None;
            self.free.push(owner);
        }
    }

    /// The partitions that can be found, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, OwnerId)> + '_ {
        self.by_topic
            .iter()
            .map(|(&(topic, index), &owner)| (topic, index, owner))
    }

    /// Slots, free ones and the shard's own included.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// All owners that have a tenant, findable or not.
    #[must_use]
    pub fn owners(&self) -> Vec<OwnerId> {
        let occupied = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, s)| s.tenant.is_some());
        occupied
            .filter_map(|(i, _)| u32::try_from(i).ok().map(OwnerId))
            .collect()
    }

    fn slot_mut(&mut self, owner: OwnerId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(owner.0).ok()?)
    }
}
