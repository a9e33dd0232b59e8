//! The model: sectors, each with what is safe and what was written since the last flush.
//!
//! Invariants: 1. A read sees the newest write. 2. A flush makes the newest writes safe, and nothing else does. 3. A cut chooses for each
//! sector on its own among what was safe and every unflushed write of it: a write of several sectors tears, writes change places.
//! 4. One sector is never half of one and half of the other; its size is a parameter. 5. The same seed, cut and writes give the same
//! choices, in whatever order the sectors are looked at.
//! Absent: bit rot and misdirected writes.

use std::collections::BTreeMap;

use onrush_testkit::random::Random;

/// Unflushed writes of one sector that are remembered; of more, the oldest are forgotten.
const VERSIONS_MAX: usize = 6;

type Content = Option<Box<[u8]>>;

/// One unflushed write of a sector.
#[derive(Clone, Debug)]
struct Version {
    /// Number of the request that wrote it.
    request: u64,
    content: Content,
}

/// What a cut does to unflushed sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing unflushed survives: a cache that had no time.
    Nothing,
    /// Everything survives: as if it had been flushed.
    Everything,
    /// Everything up to some request survives: a disk that keeps the order.
    InOrder,
    /// Each sector on its own, so many of 256 keep a new content.
    Each(u8),
}

/// What a cut did.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// How it chose.
    pub pattern: Pattern,
    /// Sectors with unflushed writes.
    pub unflushed: u64,
    /// Of them, those that have the newest content.
    pub kept: u64,
    /// Those that have the content of the last flush.
    pub dropped: u64,
    /// Those that have one between.
    pub between: u64,
}

/// A disk's content.
#[derive(Clone, Debug)]
pub struct Sectors {
    sector_bytes: usize,
    bytes: u64,
    safe: BTreeMap<u64, Box<[u8]>>,
    unflushed: BTreeMap<u64, Vec<Version>>,
    requests: u64,
}

impl Sectors {
    /// A disk of zeros. `sector_bytes` divides `bytes`.
    #[must_use]
    pub fn new(bytes: u64, sector_bytes: usize) -> Self {
        assert!(sector_bytes.is_power_of_two());
        assert!(bytes.is_multiple_of(sector_bytes as u64));
        Self {
            sector_bytes,
            bytes,
            safe: BTreeMap::new(),
            unflushed: BTreeMap::new(),
            requests: 0,
        }
    }

    /// Size of the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is written or torn as a whole.
    #[must_use]
    pub fn sector_bytes(&self) -> usize {
        self.sector_bytes
    }

    /// Sectors with unflushed writes.
    #[must_use]
    pub fn unflushed(&self) -> u64 {
        self.unflushed.len() as u64
    }

    fn newest(&self, sector: u64) -> Option<&[u8]> {
        match self.unflushed.get(&sector) {
            Some(versions) => versions.last().and_then(|v| v.content.as_deref()),
            None => self.safe.get(&sector).map(|content| &**content),
        }
    }

    /// The parts of `len` bytes at `position`: sector, first byte in it, how many.
    fn parts(&self, position: u64, len: u64) -> impl Iterator<Item = (u64, usize, usize)> + use<> {
        assert!(position + len <= self.bytes, "a request beyond the end");
        let unit = self.sector_bytes as u64;
        let end = position + len;
        let sectors = position / unit..end.div_ceil(unit);
        sectors.map(move |sector| {
            let from = position.max(sector * unit);
            let to = end.min((sector + 1) * unit);
            let within = usize::try_from(from - sector * unit).unwrap();
            (sector, within, usize::try_from(to - from).unwrap())
        })
    }

    /// Reads the newest content.
    #[must_use]
    pub fn read(&self, position: u64, len: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(len).unwrap());
        for (sector, within, count) in self.parts(position, len) {
            match self.newest(sector) {
                Some(content) => out.extend_from_slice(&content[within..within + count]),
                None => out.resize(out.len() + count, 0),
            }
        }
        out
    }

    /// Writes, without flushing.
    pub fn write(&mut self, position: u64, bytes: &[u8]) {
        self.requests += 1;
        let mut left = bytes;
        for (sector, within, count) in self.parts(position, bytes.len() as u64) {
            let (part, rest) = left.split_at(count);
            left = rest;
            let mut content = match self.newest(sector) {
                Some(content) => Box::from(content),
                None => vec![0; self.sector_bytes].into_boxed_slice(),
            };
            content[within..within + count].copy_from_slice(part);
            self.put(sector, Some(content));
        }
    }

    /// Zeroes, without flushing.
    pub fn zero(&mut self, position: u64, len: u64) {
        self.requests += 1;
        for (sector, within, count) in self.parts(position, len) {
            if count == self.sector_bytes {
                if self.newest(sector).is_some() {
                    self.put(sector, None);
                }
            } else if let Some(content) = self.newest(sector) {
                let mut content: Box<[u8]> = content.into();
                content[within..within + count].fill(0);
                self.put(sector, Some(content));
            }
        }
    }

    fn put(&mut self, sector: u64, content: Content) {
        let versions = self.unflushed.entry(sector).or_default();
        if versions.len() == VERSIONS_MAX {
            versions.remove(0);
        }
        versions.push(Version {
            request: self.requests,
            content,
        });
    }

    /// Makes everything written safe.
    pub fn flush(&mut self) {
        for (sector, mut versions) in std::mem::take(&mut self.unflushed) {
            let newest = versions.pop().expect("a sector is listed with a write");
            self.settle(sector, newest.content);
        }
    }

    fn settle(&mut self, sector: u64, content: Content) {
        match content {
            Some(content) => self.safe.insert(sector, content),
            None => self.safe.remove(&sector),
        };
    }

    /// Cuts the power: what is read from now on is what survived.
    pub fn cut(&mut self, seed: u64, cut: u64) -> Loss {
        let mut chance = Random::new(mixed(seed, cut, u64::MAX));
        let first = self.unflushed.values().map(|v| v[0].request).min();
        let first = first.unwrap_or(self.requests);
        let pattern = match chance.range(0, 8) {
            0 => Pattern::Nothing,
            1 => Pattern::Everything,
            2 | 3 => Pattern::InOrder,
            4 => Pattern::Each(16),
            5 => Pattern::Each(240),
            _ => Pattern::Each(128),
        };
        let last_kept = chance.range(first.saturating_sub(1), self.requests + 1);
        let mut loss = Loss {
            pattern,
            unflushed: self.unflushed(),
            kept: 0,
            dropped: 0,
            between: 0,
        };
        for (sector, versions) in std::mem::take(&mut self.unflushed) {
            let mut chance = Random::new(mixed(seed, cut, sector));
            let kept = match pattern {
                Pattern::Everything => versions.len(),
                Pattern::InOrder => versions.iter().filter(|v| v.request <= last_kept).count(),
                Pattern::Each(of_256) if chance.range(0, 256) < u64::from(of_256) => {
                    usize::try_from(chance.range(1, versions.len() as u64 + 1)).unwrap()
                }
                Pattern::Nothing | Pattern::Each(_) => 0,
            };
            match kept {
                0 => loss.dropped += 1,
                all if all == versions.len() => loss.kept += 1,
                _ => loss.between += 1,
            }
            if kept > 0 {
                self.settle(sector, versions[kept - 1].content.clone());
            }
        }
        loss
    }
}

/// A seed for one decision.
fn mixed(seed: u64, cut: u64, what: u64) -> u64 {
    let cut = Random::new(seed ^ cut.rotate_left(32)).next_u64();
    Random::new(cut ^ what).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: usize = 4096;

    fn filled(sectors: u64, byte: u8) -> Vec<u8> {
        vec![byte; UNIT * usize::try_from(sectors).unwrap()]
    }

    /// First byte of every sector.
    fn look(disk: &Sectors, count: u64) -> Vec<u8> {
        (0..count)
            .map(|sector| disk.read(sector * UNIT as u64, 1)[0])
            .collect()
    }

    #[test]
    fn what_was_flushed_survives_every_cut() {
        for seed in 0..200 {
            let mut disk = Sectors::new(1 << 20, UNIT);
            disk.write(0, &filled(8, 1));
            disk.flush();
            disk.cut(seed, 0);
            assert_eq!(look(&disk, 8), [1; 8], "seed {seed}");
        }
    }

    #[test]
    fn what_was_not_flushed_is_kept_dropped_or_torn() {
        let (mut all, mut none, mut torn, mut between) = (0, 0, 0, 0);
        for seed in 0..200 {
            let mut disk = Sectors::new(1 << 20, UNIT);
            disk.write(0, &filled(8, 1));
            disk.flush();
            disk.write(0, &filled(8, 2));
            disk.write(0, &filled(8, 3));
            assert_eq!(look(&disk, 8), [3; 8], "before the cut the newest is read");
            let loss = disk.cut(seed, 0);
            let found = look(&disk, 8);
            assert!(found.iter().all(|byte| (1..=3).contains(byte)), "{found:?}");
            let count = |byte: u8| found.iter().map(|b| u64::from(*b == byte)).sum::<u64>();
            assert_eq!((loss.dropped, loss.kept), (count(1), count(3)));
            assert_eq!(loss.between, count(2));
            all += u32::from(count(3) == 8);
            none += u32::from(count(1) == 8);
            between += u32::from(count(2) > 0);
            torn += u32::from(count(1) > 0 && count(1) < 8);
        }
        assert!(all > 10 && none > 10 && between > 10 && torn > 50);
    }

    #[test]
    fn a_disk_that_keeps_the_order_keeps_it() {
        let mut partly = 0;
        for seed in 0..400 {
            let mut disk = Sectors::new(1 << 20, UNIT);
            for sector in 0..20 {
                disk.write(sector * UNIT as u64, &filled(1, 1));
            }
            let loss = disk.cut(seed, 0);
            if loss.pattern == Pattern::InOrder {
                let found = look(&disk, 20);
                assert!(found.is_sorted_by(|a, b| a >= b), "{found:?}");
                partly += u32::from(loss.kept > 0 && loss.dropped > 0);
            }
        }
        assert!(partly > 10);
    }

    #[test]
    fn a_seed_repeats_its_choices() {
        let run = |seed| {
            let mut disk = Sectors::new(1 << 20, UNIT);
            for round in 0..10 {
                disk.write(round * 8192, &filled(40, u8::try_from(round).unwrap() + 1));
                disk.cut(seed, round);
            }
            look(&disk, 60)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn parts_of_sectors_and_zeros() {
        let mut disk = Sectors::new(1 << 20, UNIT);
        disk.write(4090, &[9; 12]);
        assert_eq!(disk.read(4088, 16)[..3], [0, 0, 9]);
        assert_eq!(disk.read(4101, 3), [9, 0, 0]);
        assert_eq!(disk.unflushed(), 2);
        disk.flush();
        disk.zero(0, 8192);
        assert_eq!(disk.read(4088, 16), [0; 16]);
        disk.zero(1 << 19, 1 << 19);
        assert_eq!(disk.unflushed(), 2, "zeros over zeros are nothing new");
    }
}
