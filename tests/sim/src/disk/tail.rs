//! The memory of a log file's tail as the edge would hold it, with the rules of its use asserted.
//!
//! Invariants, each an assertion on the core: appends are contiguous; nothing is read, sent or written that was not appended or was
//! released; two writes in flight share no sector; an extent names only bytes whose write completed, never the open sector.

use bytes::Bytes;

use super::inode::{SECTOR, at};

/// The tail and the write state of one open file.
#[derive(Debug, Default)]
pub struct Tail {
    /// Position of the first byte held; meaningful once started.
    base: u64,
    bytes: Vec<u8>,
    started: bool,
    /// Writes in flight, in whole sectors.
    writing: Vec<(u64, u64)>,
    /// Bytes an extent may name: sorted, disjoint.
    written: Vec<(u64, u64)>,
}

impl Tail {
    /// Of a file that is opened with this size: what is there counts as written.
    #[must_use]
    pub fn of_file(size: u64) -> Self {
        let mut tail = Self::default();
        tail.add_written(0, size);
        tail
    }

    /// Position after the last byte appended.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Appends in memory.
    pub fn append(&mut self, position: u64, parts: &[Bytes]) {
        if self.started {
            assert_eq!(position, self.end(), "an append continues the tail");
        } else {
            assert_eq!(position % SECTOR, 0, "the first append starts a sector");
            self.base = position;
            self.started = true;
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Bytes to send from memory.
    #[must_use]
    pub fn slice(&self, position: u64, len: u64) -> Bytes {
        assert!(self.started, "a tail is read before anything was appended");
        assert!(
            position >= self.base,
            "released memory is read: {position} below {}",
            self.base
        );
        assert!(
            position + len <= self.end(),
            "unwritten memory is read: {} above {}",
            position + len,
            self.end()
        );
        let from = at(position - self.base);
        Bytes::copy_from_slice(&self.bytes[from..from + at(len)])
    }

    /// Begins a write and returns whole sectors, the last one filled up with zeros.
    pub fn begin_write(&mut self, from: u64, to: u64) -> Bytes {
        assert_eq!(from % SECTOR, 0, "a write starts a sector");
        assert!(from < to, "a write is not empty");
        let sectors_end = to.next_multiple_of(SECTOR);
        for &(other_from, other_to) in &self.writing {
            assert!(
                sectors_end <= other_from || other_to <= from,
                "two writes in flight share a sector: {from}..{sectors_end} and {other_from}..{other_to}"
            );
        }
        self.writing.push((from, sectors_end));
        let mut image = self.slice(from, to - from).to_vec();
        image.resize(at(sectors_end - from), 0);
        Bytes::from(image)
    }

    /// A write ended.
    pub fn end_write(&mut self, from: u64, to: u64, written: bool) {
        let sectors_end = to.next_multiple_of(SECTOR);
        self.writing.retain(|&range| range != (from, sectors_end));
        if written {
            self.add_written(from, to);
        }
    }

    /// True while writes are in flight.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }

    /// Lets memory go.
    pub fn release(&mut self, below: u64) {
        if !self.started {
            return;
        }
        assert!(below <= self.end(), "memory never appended is released");
        for &(from, _) in &self.writing {
            assert!(
                below <= from,
                "memory of a write in flight is released: below {below}, write from {from}"
            );
        }
        if below > self.base {
            self.bytes.drain(..at(below - self.base));
            self.base = below;
        }
    }

    /// The file was cut: the tail goes.
    pub fn truncate(&mut self, to: u64) {
        assert!(!self.is_writing(), "a file is cut under a write in flight");
        self.bytes.clear();
        self.started = false;
        self.base = 0;
        for range in &mut self.written {
            range.1 = range.1.min(to);
        }
        self.written.retain(|&(from, end)| from < end);
    }

    /// Asserts that an extent may be sent from the file.
    pub fn check_extent(&self, position: u64, len: u64) {
        let end = position + len;
        assert!(
            self.written
                .iter()
                .any(|&(from, to)| from <= position && end <= to),
            "an extent names bytes whose write has not completed: {position}..{end} of {:?}",
            self.written
        );
        // Released to its end: no write follows, the last sector is as stable as the others.
        if self.started && !self.bytes.is_empty() {
            let open = self.end() / SECTOR * SECTOR;
            assert!(
                end <= open,
                "an extent reaches into the open sector: {end} above {open}"
            );
        }
    }

    fn add_written(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let mut merged = (from, to);
        self.written.retain(|&(a, b)| {
            let apart = b < merged.0 || merged.1 < a;
            if !apart {
                merged = (merged.0.min(a), merged.1.max(b));
            }
            apart
        });
        self.written.push(merged);
        self.written.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(len: usize) -> Tail {
        let mut tail = Tail::default();
        tail.append(0, &[Bytes::from(vec![1; len])]);
        tail
    }

    #[test]
    fn a_write_is_padded_and_makes_an_extent_of_whole_sectors() {
        let mut tail = filled(5000);
        let image = tail.begin_write(0, 5000);
        assert_eq!((image.len(), image[4999], image[5000]), (8192, 1, 0));
        tail.end_write(0, 5000, true);
        tail.check_extent(100, 3996);
        tail.release(4096);
        assert_eq!(tail.slice(4096, 904).len(), 904);
    }

    #[test]
    #[should_panic(expected = "share a sector")]
    fn two_writes_of_one_sector_are_seen() {
        let mut tail = filled(5000);
        tail.begin_write(0, 5000);
        tail.begin_write(4096, 5000);
    }

    #[test]
    #[should_panic(expected = "released memory")]
    fn a_read_of_released_memory_is_seen() {
        let mut tail = filled(5000);
        tail.release(4096);
        drop(tail.slice(0, 10));
    }

    #[test]
    #[should_panic(expected = "open sector")]
    fn an_extent_into_the_open_sector_is_seen() {
        let mut tail = filled(5000);
        tail.begin_write(0, 5000);
        tail.end_write(0, 5000, true);
        tail.check_extent(0, 4500);
    }

    #[test]
    #[should_panic(expected = "not completed")]
    fn an_extent_before_its_write_completed_is_seen() {
        let mut tail = filled(5000);
        tail.begin_write(0, 5000);
        tail.check_extent(0, 4000);
    }
}
