//! A simulated file: what a read sees, what a power cut leaves.
//!
//! Invariants:
//! 1. A sector is atomic: after a power cut it holds one of the images it had since it was last flushed.
//! 2. Sectors survive independently of each other and of the order they were written in: the drive's cache has no order.
//! 3. The size survives as one of the sizes since the last flush; data beyond it is gone.
//!
//! Deliberately absent: a page cache. Log files are written directly, small files are flushed by their own operation.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::rng::Rng;

/// Bytes of a sector.
pub const SECTOR: u64 = onrush_core::types::limits::SECTOR_BYTES;

/// Converts a position or length that fits memory.
pub(crate) fn at(position: u64) -> usize {
    usize::try_from(position).expect("simulated files fit memory")
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Inode {
    size: u64,
    /// What a read sees; an absent sector is zeros.
    sectors: BTreeMap<u64, Bytes>,
    stable_size: u64,
    stable: BTreeMap<u64, Bytes>,
    /// Images written since the sector was last flushed, oldest first, with the number of their write.
    dirty: BTreeMap<u64, Vec<(u64, Bytes)>>,
    /// Sizes taken since the size was last flushed, with the number of their change.
    sizes: Vec<(u64, u64)>,
    /// Numbers writes and size changes.
    clock: u64,
}

impl Inode {
    /// A file with this content, on stable storage.
    #[must_use]
    pub fn stable(content: &[u8]) -> Self {
        let mut file = Self::default();
        file.write(0, content, true);
        file
    }

    /// Present size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes from `position`, at most `len`, shorter at the file's end.
    #[must_use]
    pub fn read(&self, position: u64, len: u64) -> Bytes {
        let end = self.size.min(position.saturating_add(len));
        let mut out = BytesMut::new();
        let mut from = position;
        while from < end {
            let sector = from / SECTOR;
            let offset = from % SECTOR;
            let take = (SECTOR - offset).min(end - from);
            match self.sectors.get(&sector) {
                Some(image) => {
                    out.extend_from_slice(&image[at(offset)..at(offset + take)]);
                }
                None => out.resize(out.len() + at(take), 0),
            }
            from += take;
        }
        out.freeze()
    }

    /// Writes one sector's image. `durable`: on stable storage when this returns.
    pub fn write_sector(&mut self, sector: u64, image: Bytes, durable: bool) {
        assert_eq!(image.len() as u64, SECTOR);
        self.clock += 1;
        if durable {
            self.stable.insert(sector, image.clone());
            self.dirty.remove(&sector);
        } else {
            self.dirty
                .entry(sector)
                .or_default()
                .push((self.clock, image.clone()));
        }
        self.sectors.insert(sector, image);
    }

    /// Writes bytes at a sector's first byte, the rest of the last sector zeros, and grows the file to hold whole sectors
    /// (a direct write), or to the exact content when it starts a small file.
    fn write(&mut self, position: u64, content: &[u8], durable: bool) {
        assert_eq!(position % SECTOR, 0);
        for (index, chunk) in content.chunks(at(SECTOR)).enumerate() {
            let mut image = BytesMut::zeroed(at(SECTOR));
            image[..chunk.len()].copy_from_slice(chunk);
            self.write_sector(position / SECTOR + index as u64, image.freeze(), durable);
        }
        self.grow(position + content.len() as u64, durable);
    }

    /// Sets the size if it is larger than the present one.
    pub fn grow(&mut self, to: u64, durable: bool) {
        self.clock += 1;
        if to > self.size {
            self.size = to;
            self.sizes.push((self.clock, to));
        }
        if durable && to > self.stable_size {
            self.stable_size = to;
            self.sizes.retain(|&(_, size)| size > to);
        }
    }

    /// A moment to flush up to: only what completed before a flush began is covered by it.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.clock
    }

    /// Makes everything up to `moment` stable.
    pub fn flush(&mut self, moment: u64) {
        let Self {
            stable,
            dirty,
            sizes,
            stable_size,
            ..
        } = self;
        dirty.retain(|&sector, images| {
            let covered = images.partition_point(|&(written, _)| written <= moment);
            if covered > 0 {
                stable.insert(sector, images[covered - 1].1.clone());
                images.drain(..covered);
            }
            !images.is_empty()
        });
        sizes.retain(|&(changed, size)| {
            if changed <= moment {
                *stable_size = (*stable_size).max(size);
            }
            changed > moment
        });
    }

    /// The flush failed: the drive dropped some of what it held, and a read sees that at once. Later flushes know nothing of it.
    pub fn fail_flush(&mut self, rng: &mut Rng) {
        for (sector, images) in std::mem::take(&mut self.dirty) {
            self.settle_sector(sector, &images, rng);
        }
    }

    /// Cuts or extends to this size; done and stable at once (one journalled operation).
    pub fn truncate(&mut self, to: u64) {
        let keep = to.div_ceil(SECTOR);
        for map in [&mut self.sectors, &mut self.stable] {
            map.split_off(&keep);
            if let Some(image) = map.get_mut(&(to / SECTOR)) {
                *image = cut(image, to % SECTOR);
            }
        }
        self.dirty.split_off(&keep);
        if let Some(images) = self.dirty.get_mut(&(to / SECTOR)) {
            for (_, image) in images {
                *image = cut(image, to % SECTOR);
            }
        }
        self.size = to;
        self.stable_size = to;
        self.sizes.clear();
        self.clock += 1;
    }

    /// The power went: unflushed sectors and sizes survive or not, at random.
    pub fn power_cut(&mut self, rng: &mut Rng) {
        // The mood of the cut: everything lost, everything kept and mixtures of all kinds have their share of seeds.
        let lost_percent = *rng.pick(&[0, 20, 50, 80, 100]);
        for (sector, images) in std::mem::take(&mut self.dirty) {
            if rng.percent(lost_percent) {
                match self.stable.get(&sector) {
                    Some(image) => self.sectors.insert(sector, image.clone()),
                    None => self.sectors.remove(&sector),
                };
            } else {
                self.settle_sector(sector, &images, rng);
            }
        }
        let sizes = std::mem::take(&mut self.sizes);
        let kept = rng.index(sizes.len() + 1);
        self.size = if kept == 0 {
            self.stable_size
        } else {
            sizes[kept - 1].1
        };
        let keep = self.size.div_ceil(SECTOR);
        self.sectors.split_off(&keep);
        if let Some(image) = self.sectors.get_mut(&(self.size / SECTOR)) {
            *image = cut(image, self.size % SECTOR);
        }
        self.stable = self.sectors.clone();
        self.stable_size = self.size;
    }

    /// Decides which of its images a sector has from now on.
    fn settle_sector(&mut self, sector: u64, images: &[(u64, Bytes)], rng: &mut Rng) {
        let kept = rng.index(images.len() + 1);
        let image = if kept == 0 {
            self.stable.get(&sector).cloned()
        } else {
            Some(images[kept - 1].1.clone())
        };
        match image {
            Some(image) => {
                self.stable.insert(sector, image.clone());
                self.sectors.insert(sector, image);
            }
            None => {
                self.sectors.remove(&sector);
            }
        }
    }
}

/// The sector with everything from `keep` on zeroed, as a file system does with the rest of a cut block.
fn cut(image: &Bytes, keep: u64) -> Bytes {
    let mut bytes = BytesMut::from(&image[..at(keep)]);
    bytes.resize(at(SECTOR), 0);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(fill: u8) -> Bytes {
        Bytes::from(vec![fill; at(SECTOR)])
    }

    #[test]
    fn a_flush_covers_what_completed_before_it_began_and_nothing_else() {
        for seed in 0..50 {
            let mut file = Inode::default();
            file.write_sector(0, sector(1), false);
            file.grow(SECTOR, false);
            let moment = file.moment();
            file.write_sector(1, sector(2), false);
            file.grow(2 * SECTOR, false);
            file.flush(moment);
            file.power_cut(&mut Rng::new(seed));
            assert!(file.size() >= SECTOR, "seed {seed}");
            assert_eq!(file.read(0, SECTOR), sector(1), "seed {seed}");
        }
    }

    #[test]
    fn unflushed_sectors_survive_in_every_combination() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let mut file = Inode::default();
            file.truncate(2 * SECTOR);
            file.write_sector(0, sector(1), false);
            file.write_sector(1, sector(2), false);
            file.power_cut(&mut Rng::new(seed));
            seen.insert((file.read(0, 1)[0], file.read(SECTOR, 1)[0]));
        }
        let all = [(0, 0), (0, 2), (1, 0), (1, 2)];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_durable_write_survives_and_covers_only_itself() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut file = Inode::default();
            file.write_sector(0, sector(1), false);
            file.write_sector(1, sector(2), true);
            file.grow(2 * SECTOR, true);
            file.power_cut(&mut Rng::new(seed));
            assert_eq!(file.read(SECTOR, SECTOR), sector(2), "seed {seed}");
            lost += u32::from(file.read(0, 1)[0] == 0);
        }
        assert!(lost > 0);
    }

    #[test]
    fn a_failed_flush_loses_data_for_good() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut file = Inode::stable(&[9; 4096]);
            file.write_sector(0, sector(1), false);
            file.fail_flush(&mut Rng::new(seed));
            let seen = file.read(0, SECTOR);
            lost += u32::from(seen[0] == 9);
            file.flush(file.moment());
            file.power_cut(&mut Rng::new(seed));
            assert_eq!(file.read(0, SECTOR), seen, "seed {seed}");
        }
        assert!((10..90).contains(&lost));
    }

    #[test]
    fn truncation_zeroes_the_rest_of_the_sector() {
        let mut file = Inode::default();
        file.write_sector(0, sector(7), true);
        file.grow(SECTOR, true);
        file.truncate(10);
        file.grow(SECTOR, true);
        assert_eq!(&file.read(0, 12)[..], &[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0]);
    }
}
