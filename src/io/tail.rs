//! The end of a log file in memory: what was appended and not yet released.
//!
//! Invariants:
//! 1. Memory offset = file position modulo 4096, so whole sectors are written from here without another copy.
//! 2. The chunks are contiguous: each begins where the one before is full. Only the last one grows.
//! 3. A write takes whole sectors by reference, which no longer change; the open last sector it takes as a private copy, padded
//!    with zeros, so that appends may go on while it is in flight.
//! 4. The open sector stays in memory whatever is released: the next write of it starts at its first byte.
//!
//! Deliberately absent: any notion of what is durable; the core says what is written and released.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use onrush_core::types::limits::SECTOR_BYTES;

use super::pool::{BLOCK_BYTES_MIN, Filling, Pool, Purpose};

/// A chunk grows with the rate up to this size.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Chunks get so many times larger while a tail fills them without being released.
const CHUNK_GROWTH: usize = 4;

#[derive(Debug)]
struct Chunk {
    /// File position of the first byte, a multiple of the sector.
    base: u64,
    memory: Filling,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.base + self.memory.filled() as u64
    }
}

/// One file's tail.
#[derive(Debug, Default)]
pub struct Tail {
    chunks: VecDeque<Chunk>,
    /// Where the next append belongs; `None` before the first.
    end: Option<u64>,
}

impl Tail {
    /// Copies `parts` to `position`, which must be the tail's end or, for the first append, a sector's first byte.
    ///
    /// Errors: no more memory; the tail is then incomplete and the file must not be used further.
    pub fn append(&mut self, pool: &mut Pool, position: u64, parts: &[Bytes]) -> io::Result<()> {
        match self.end {
            Some(end) => assert!(position == end, "appends are contiguous"),
            None => assert!(
                position.is_multiple_of(SECTOR_BYTES),
                "a tail begins at a sector"
            ),
        }
        let mut left: usize = parts.iter().map(Bytes::len).sum();
        let mut end = position;
        for part in parts {
            let mut rest = &part[..];
            while !rest.is_empty() {
                if self.chunks.back().is_none_or(|c| c.memory.spare() == 0) {
                    self.grow(pool, end, left)?;
                }
                let Some(chunk) = self.chunks.back_mut() else {
                    break;
                };
                let count = chunk.memory.append(rest);
                rest = &rest[count..];
                left -= count;
                end += count as u64;
            }
        }
        self.end = Some(end);
        Ok(())
    }

    /// End of what was appended, `None` before the first append.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Bytes of memory it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.chunks.iter().map(|c| c.memory.capacity() as u64).sum()
    }

    /// The bytes [position, position + len) by reference.
    ///
    /// Panics if they are not in the tail: the core names only what it has appended and not released.
    #[must_use]
    pub fn slices(&self, position: u64, len: u64) -> Vec<Bytes> {
        let end = position + len;
        let mut at = position;
        let mut slices = Vec::new();
        let first = self.chunks.partition_point(|c| c.end() <= position);
        for chunk in self.chunks.range(first..) {
            if at == end {
                break;
            }
            assert!(chunk.base <= at, "the tail still holds what is named");
            let stop = chunk.end().min(end);
            slices.push(
                chunk
                    .memory
                    .bytes(index(at - chunk.base), index(stop - chunk.base)),
            );
            at = stop;
        }
        assert!(at == end, "the tail already holds what is named");
        slices
    }

    /// The bytes [from, to) for a direct write: whole sectors by reference, the open one as a padded copy.
    ///
    /// Errors: no memory for the copy. Panics like [`Tail::slices`].
    pub fn sectors(&self, pool: &mut Pool, from: u64, to: u64) -> io::Result<Vec<Bytes>> {
        assert!(
            from.is_multiple_of(SECTOR_BYTES),
            "writes begin at a sector"
        );
        assert!(from < to, "writes are not empty");
        let whole = to - to % SECTOR_BYTES;
        let mut parts = if whole > from {
            self.slices(from, whole - from)
        } else {
            Vec::new()
        };
        if whole < to {
            let mut copy = pool.take(BLOCK_BYTES_MIN, Purpose::Disk)?;
            for part in self.slices(whole, to - whole) {
                copy.append(&part);
            }
            copy.pad_to(BLOCK_BYTES_MIN);
            parts.push(copy.bytes(0, BLOCK_BYTES_MIN));
        }
        Ok(parts)
    }

    /// Lets memory below `below` go, whole chunks at a time; an idle tail is left with one smallest block at most.
    ///
    /// Errors: no memory for the smaller block; the tail is unchanged then.
    pub fn release(&mut self, pool: &mut Pool, below: u64) -> io::Result<()> {
        let Some(end) = self.end else {
            return Ok(());
        };
        let keep = below.min(end);
        let keep = keep - keep % SECTOR_BYTES;
        while self
            .chunks
            .front()
            .is_some_and(|c| c.end() <= keep && (c.memory.spare() == 0 || c.end() == end))
        {
            self.chunks.pop_front();
        }
        let open = end - end % SECTOR_BYTES;
        if let [only] = self.chunks.make_contiguous()
            && keep == open
            && only.memory.capacity() > BLOCK_BYTES_MIN
        {
            let mut small = pool.take(BLOCK_BYTES_MIN, Purpose::Tail)?;
            small.append(&only.memory.as_slice()[index(open - only.base)..]);
            only.base = open;
            only.memory = small;
        }
        Ok(())
    }

    fn grow(&mut self, pool: &mut Pool, base: u64, wanted: usize) -> io::Result<()> {
        let before = self.chunks.back().map_or(0, |c| c.memory.capacity());
        let bytes = (before * CHUNK_GROWTH)
            .max(wanted)
            .clamp(BLOCK_BYTES_MIN, CHUNK_BYTES_MAX);
        let memory = pool.take(bytes, Purpose::Tail)?;
        self.chunks.push_back(Chunk { base, memory });
        Ok(())
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("chunks fit memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(from: u64, len: usize) -> Bytes {
        (0..len)
            .map(|n| u8::try_from((from + n as u64) * 31 % 251).expect("below 251"))
            .collect::<Vec<u8>>()
            .into()
    }

    fn joined(parts: &[Bytes]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn sectors_are_the_bytes_and_their_padding() {
        let mut pool = Pool::new();
        let mut tail = Tail::default();
        let mut end = 8192;
        for len in [1, 5000, 17, 300_000, 2_000_000, 3] {
            tail.append(
                &mut pool,
                end,
                &[
                    pattern(end, len / 2),
                    pattern(end + len as u64 / 2, len - len / 2),
                ],
            )
            .expect("memory is there");
            end += len as u64;
        }
        assert_eq!(tail.end(), Some(end));
        let parts = tail.sectors(&mut pool, 8192, end).expect("memory is there");
        assert!(
            parts
                .iter()
                .all(|p| (p.as_ptr() as usize).is_multiple_of(4096))
        );
        assert!(parts.iter().all(|p| p.len().is_multiple_of(4096)));
        let len = index(end - 8192);
        let mut expected = pattern(8192, len).to_vec();
        expected.resize(len.next_multiple_of(4096), 0);
        assert!(joined(&parts) == expected);
        let some = tail.slices(9000, 1_500_000);
        assert!(joined(&some) == pattern(9000, 1_500_000));
    }

    #[test]
    fn a_write_in_flight_does_not_see_later_appends() {
        let mut pool = Pool::new();
        let mut tail = Tail::default();
        tail.append(&mut pool, 0, &[pattern(0, 100)])
            .expect("memory is there");
        let before = tail.sectors(&mut pool, 0, 100).expect("memory is there");
        tail.append(&mut pool, 100, &[pattern(100, 50)])
            .expect("memory is there");
        let mut expected = pattern(0, 100).to_vec();
        expected.resize(4096, 0);
        assert_eq!(joined(&before), expected);
        let mut expected = pattern(0, 150).to_vec();
        expected.resize(4096, 0);
        let after = tail.sectors(&mut pool, 0, 150).expect("memory is there");
        assert_eq!(joined(&after), expected);
    }

    #[test]
    fn an_idle_tail_holds_one_small_block() {
        let mut pool = Pool::new();
        let mut tail = Tail::default();
        tail.append(&mut pool, 0, &[pattern(0, 3_000_123)])
            .expect("memory is there");
        let held = tail.slices(1000, 10);
        tail.release(&mut pool, 2_000_000).expect("memory is there");
        assert_eq!(joined(&tail.slices(2_000_000, 10)), pattern(2_000_000, 10));
        tail.release(&mut pool, 3_000_123).expect("memory is there");
        assert_eq!(tail.memory_bytes(), 4096);
        assert_eq!(
            joined(&held),
            pattern(1000, 10),
            "a reader keeps what it holds"
        );
        let open = 3_000_123 - 3_000_123 % 4096;
        let parts = tail
            .sectors(&mut pool, open, 3_000_123)
            .expect("memory is there");
        assert_eq!(
            &joined(&parts)[..index(3_000_123 - open)],
            &pattern(open, index(3_000_123 - open))[..]
        );
        tail.append(&mut pool, 3_000_123, &[pattern(3_000_123, 9000)])
            .expect("memory is there");
        assert_eq!(joined(&tail.slices(open, 9000)), pattern(open, 9000));
    }

    #[test]
    fn a_tail_released_at_a_sectors_end_is_empty_and_goes_on() {
        let mut pool = Pool::new();
        let mut tail = Tail::default();
        tail.append(&mut pool, 4096, &[pattern(4096, 8192)])
            .expect("memory is there");
        tail.release(&mut pool, 12288).expect("memory is there");
        assert_eq!(tail.memory_bytes(), 0);
        tail.append(&mut pool, 12288, &[pattern(12288, 10)])
            .expect("memory is there");
        assert_eq!(joined(&tail.slices(12288, 10)), pattern(12288, 10));
    }
}
