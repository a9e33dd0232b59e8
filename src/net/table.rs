//! The connections of a shard by handle.
//!
//! Invariant: a handle is never used again; its low bits name a slot, the rest counts connections.

use onrush_core::types::ConnId;

use super::conn::Conn;

/// Bits of a handle that name the slot: a million connections per shard.
const SLOT_BITS: u32 = 20;

/// Slots for connections.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Option<Box<Conn>>>,
    free: Vec<usize>,
    serial: u64,
    alive: usize,
}

impl Table {
    /// The connection, dead ones included.
    pub(super) fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        let slot = self.slots.get_mut(slot_of(id))?.as_deref_mut()?;
        (slot.id == id).then_some(slot)
    }

    /// A handle for a new connection; `None` when all slots are taken.
    pub(super) fn reserve(&mut self) -> Option<ConnId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < 1 << SLOT_BITS => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return None,
        };
        self.serial += 1;
        Some(ConnId(self.serial << SLOT_BITS | slot as u64))
    }

    /// Puts a connection into the slot of its handle.
    pub(super) fn insert(&mut self, conn: Conn) {
        self.alive += 1;
        let slot = slot_of(conn.id);
        assert!(self.slots[slot].is_none(), "a reserved slot is empty");
        self.slots[slot] = Some(Box::new(conn));
    }

    /// A connection died: it no longer counts.
    pub(super) fn died(&mut self) {
        self.alive -= 1;
    }

    /// Frees a dead connection's slot.
    pub(super) fn remove(&mut self, id: ConnId) {
        if self.get(id).is_some() {
            self.slots[slot_of(id)] = None;
            self.free.push(slot_of(id));
        }
    }

    /// Living connections.
    #[must_use]
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    /// All connections in the order of their slots, dead ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    /// As [`Table::iter`], to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.slots.iter_mut().filter_map(Option::as_deref_mut)
    }
}

fn slot_of(id: ConnId) -> usize {
    (id.0 & ((1 << SLOT_BITS) - 1)) as usize
}
