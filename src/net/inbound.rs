//! Bytes received on a connection, cut into frames.
//!
//! Invariants:
//! 1. A frame's length is judged before anything is allocated for it.
//! 2. Memory grows with bytes that have arrived, never with what a length prefix claims: beyond 64 KiB a block is at most four
//!    times what is there, except on a connection that has sent a frame of that size before.
//! 3. A frame is one piece of memory, received in place; bytes are copied only when a frame outgrows its block.
//! 4. Between frames a connection holds one smallest block.
//!
//! Copies: none for a frame that fits the block it began in; the 4 KiB that came before the length was known for a larger
//! one; at most a third of the frame for the first large frame of a connection.

use std::io;

use bytes::Bytes;

use crate::io::pool::{BLOCK_BYTES_MIN, Filling, Pool, Purpose};

/// The length prefix.
const PREFIX_BYTES: usize = 4;
/// Blocks up to this size are taken at once for a frame that claims to need them.
const TRUSTED_BYTES: usize = 64 * 1024;
/// A block with less room than this is replaced between frames.
const ROOM_MIN: usize = 512;

/// A length prefix that is negative or above the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request of {0} bytes is outside the bounds")]
pub struct BadLength(pub i32);

/// What must happen before more can be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Nothing: the block has room.
    Ready,
    /// A new block of this many bytes is needed.
    Needs(usize),
}

/// The receiving side of a connection.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    block: Option<Filling>,
    /// First byte of the block that belongs to no delivered frame.
    start: usize,
    /// Size of the largest frame completed so far.
    trusted: usize,
}

impl Inbound {
    /// The next whole frame without its prefix, if it is there.
    pub(super) fn next_frame(&mut self, bytes_max: u32) -> Result<Option<Bytes>, BadLength> {
        let Some(total) = self.frame_bytes(bytes_max)? else {
            return Ok(None);
        };
        let Some(block) = &self.block else {
            return Ok(None);
        };
        if block.filled() - self.start < total {
            return Ok(None);
        }
        let frame = block.bytes(self.start + PREFIX_BYTES, self.start + total);
        self.start += total;
        self.trusted = self.trusted.max(total);
        Ok(Some(frame))
    }

    /// True if the next frame is whole (and waits to be taken), or its length is bad.
    #[must_use]
    pub(super) fn has_frame(&self, bytes_max: u32) -> bool {
        match self.frame_bytes(bytes_max) {
            Ok(Some(total)) => self.pending() >= total,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Bytes received of a frame that is not whole, 0 between frames.
    #[must_use]
    pub(super) fn pending(&self) -> usize {
        self.block.as_ref().map_or(0, |b| b.filled() - self.start)
    }

    /// Size of the frame that has begun as far as it is known.
    fn expected(&self) -> usize {
        self.frame_bytes(u32::MAX).ok().flatten().unwrap_or(0)
    }

    /// What must happen before the next receive. To be asked when [`Inbound::next_frame`] has nothing.
    pub(super) fn room(&mut self) -> Room {
        let expected = self.expected();
        let Some(block) = &mut self.block else {
            return Room::Needs(BLOCK_BYTES_MIN);
        };
        let pending = block.filled() - self.start;
        if pending == 0 {
            if block.capacity() > BLOCK_BYTES_MIN {
                return Room::Needs(BLOCK_BYTES_MIN);
            }
            if block.try_reset() {
                self.start = 0;
            }
        }
        let wanted = expected.max(pending + ROOM_MIN);
        if self.start + wanted <= block.capacity() {
            return Room::Ready;
        }
        if wanted <= TRUSTED_BYTES.max(self.trusted) {
            return Room::Needs(wanted);
        }
        if block.spare() > 0 {
            return Room::Ready;
        }
        Room::Needs(wanted.min((pending * 4).max(TRUSTED_BYTES)))
    }

    /// Goes on in a new block of this size: what [`Inbound::room`] asked for.
    ///
    /// Errors: no more memory; nothing changed.
    pub(super) fn replace(&mut self, pool: &mut Pool, bytes: usize) -> io::Result<()> {
        let purpose = if bytes <= BLOCK_BYTES_MIN {
            Purpose::Header
        } else {
            Purpose::Receive
        };
        let mut block = pool.take(bytes, purpose)?;
        if let Some(old) = &self.block {
            block.append(&old.as_slice()[self.start..]);
        }
        self.block = Some(block);
        self.start = 0;
        Ok(())
    }

    /// Lends the block to the ring.
    pub(super) fn lend(&mut self) -> Option<Filling> {
        self.block.take()
    }

    /// Takes the block back after a receive.
    pub(super) fn give_back(&mut self, block: Filling) {
        self.block = Some(block);
    }

    fn frame_bytes(&self, bytes_max: u32) -> Result<Option<usize>, BadLength> {
        let Some(block) = &self.block else {
            return Ok(None);
        };
        let Some(prefix) = block.as_slice()[self.start..].first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        match u32::try_from(length) {
            Ok(bytes) if bytes <= bytes_max => Ok(Some(PREFIX_BYTES + bytes as usize)),
            _ => Err(BadLength(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = 100 << 20;

    /// Feeds bytes as a socket would that has `step` bytes ready each time; returns frames and the most memory held.
    fn feed(inbound: &mut Inbound, bytes: &[u8], step: usize) -> (Vec<Bytes>, u64) {
        let mut pool = Pool::new();
        let mut rest = bytes;
        let mut frames = Vec::new();
        let mut peak = 0;
        while !rest.is_empty() {
            while let Some(frame) = inbound.next_frame(MAX).expect("good lengths") {
                frames.push(frame);
            }
            if let Room::Needs(bytes) = inbound.room() {
                inbound.replace(&mut pool, bytes).expect("memory is there");
            }
            peak = peak.max(pool.in_use(Purpose::Receive));
            let mut block = inbound.lend().expect("there is room");
            let count = block.append(&rest[..step.min(rest.len())]);
            assert!(count > 0, "a receive never has no room");
            rest = &rest[count..];
            inbound.give_back(block);
        }
        while let Some(frame) = inbound.next_frame(MAX).expect("good lengths") {
            frames.push(frame);
        }
        (frames, peak)
    }

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut all = Vec::new();
        for body in bodies {
            all.extend(u32::try_from(body.len()).expect("small").to_be_bytes());
            all.extend(body);
        }
        all
    }

    #[test]
    fn frames_of_all_sizes_come_out_as_they_went_in() {
        let sizes = [
            0, 1, 100, 4092, 4093, 5000, 0, 65_532, 70_000, 300_000, 7, 1_048_700, 1_048_700,
            5_000_000, 3,
        ];
        let bodies: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| vec![u8::try_from(n).expect("few"); *size])
            .collect();
        for step in [1 << 30, 100_000, 4096, 999] {
            let (frames, _) = feed(&mut Inbound::default(), &framed(&bodies), step);
            assert_eq!(frames.len(), bodies.len());
            for (frame, body) in frames.iter().zip(&bodies) {
                assert!(frame[..] == body[..], "step {step}");
            }
        }
        let (frames, _) = feed(&mut Inbound::default(), &framed(&bodies[..6]), 1);
        assert_eq!(frames.len(), 6);
    }

    #[test]
    fn lengths_out_of_bounds_are_refused() {
        for (length, bad) in [(-1, true), (i32::MIN, true), (101, true), (100, false)] {
            let mut pool = Pool::new();
            let mut inbound = Inbound::default();
            inbound.replace(&mut pool, 4096).expect("memory is there");
            let mut block = inbound.lend().expect("just taken");
            block.append(&i32::to_be_bytes(length));
            inbound.give_back(block);
            assert_eq!(inbound.next_frame(100).is_err(), bad, "{length}");
        }
    }

    #[test]
    fn a_claim_costs_no_memory() {
        let mut claim = (100_u32 << 20).to_be_bytes().to_vec();
        claim.resize(100_004, 0);
        let (frames, peak) = feed(&mut Inbound::default(), &claim, 1000);
        assert!(frames.is_empty());
        assert!(peak <= 1 << 20, "{peak} bytes for 100,000 received");
    }
}
