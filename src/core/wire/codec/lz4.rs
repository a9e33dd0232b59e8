//! LZ4 frames with independent blocks, decoded step by step, so that a block of 4 MiB is several steps.
//!
//! Invariants:
//! 1. The header's checksum and, where present, each block's checksum are checked. The content checksum is skipped
//!    unchecked, as Kafka does.
//! 2. A block gives at most the frame's block size; blocks that refer to each other are refused, as in Kafka.
//! 3. What follows the frame's end mark is ignored, as in Kafka.
//!
//! Source: lz4 `lz4_Frame_format.md`, `lz4_Block_format.md`; Kafka's `Lz4BlockInputStream`.

use bytes::{Buf, Bytes};

use super::window::Window;
use super::{Codec, CodecError, Progress};

const MAGIC: u32 = 0x184d_2204;
const FLAG_CONTENT_CHECKSUM: u8 = 1 << 2;
const FLAG_CONTENT_SIZE: u8 = 1 << 3;
const FLAG_BLOCK_CHECKSUM: u8 = 1 << 4;
const FLAG_INDEPENDENT: u8 = 1 << 5;
const FLAGS_RESERVED: u8 = 0b11;
const NOT_COMPRESSED: u32 = 1 << 31;
/// How far back a copy can reach: offsets have 16 bits.
const REACH_BYTES: usize = 64 * 1024;
/// The shortest copy; lengths count from here.
const COPY_BYTES_MIN: usize = 4;
/// A length of this in the token goes on in further bytes.
const LENGTH_GOES_ON: usize = 15;

#[derive(Debug)]
pub(super) struct Lz4 {
    input: Bytes,
    at: At,
    /// The present block's bytes that are not read yet.
    block: Bytes,
    /// What the present block may still give.
    block_left: usize,
    block_bytes_max: usize,
    block_checksums: bool,
    content_checksum: bool,
    window: Window,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Header,
    BlockStart,
    /// Copying a block that is not compressed.
    Stored,
    Token,
    /// Reading further bytes of a literal's length, which stands at `len`; the token's low half is `copy`.
    LiteralLength {
        len: usize,
        copy: usize,
    },
    Literal {
        left: usize,
        copy: usize,
    },
    Offset {
        copy: usize,
    },
    CopyLength {
        offset: usize,
        len: usize,
    },
    Copy {
        offset: usize,
        left: usize,
    },
    End,
}

const CUT: CodecError = CodecError::Cut(Codec::Lz4);

fn corrupt(why: &'static str) -> CodecError {
    let codec = Codec::Lz4;
    CodecError::Corrupt { codec, why }
}

impl Lz4 {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            input,
            at: At::Header,
            block: Bytes::new(),
            block_left: 0,
            block_bytes_max: 0,
            block_checksums: false,
            content_checksum: false,
            window: Window::new(REACH_BYTES),
        }
    }

    pub(super) fn step(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Result<Progress, CodecError> {
        let before = self.input.len() + self.block.len();
        while self.at != At::End {
            let read = before.saturating_sub(self.input.len() + self.block.len());
            if self.window.unsent() >= budget || read >= budget {
                break;
            }
            self.at = self.advance(budget)?;
        }
        self.window.flush(out);
        Ok(if self.at == At::End {
            Progress::Done
        } else {
            Progress::More
        })
    }

    /// One element of the format; writes no more than the budget leaves.
    fn advance(&mut self, budget: usize) -> Result<At, CodecError> {
        let room = budget - self.window.unsent().min(budget);
        match self.at {
            At::Header => self.header(),
            At::BlockStart => self.block_start(),
            At::Stored => {
                let now = room.min(self.block.len());
                self.give(now)?;
                self.window
                    .literal(self.block.get(..now).unwrap_or_default());
                self.block.advance(now);
                Ok(if self.block.is_empty() {
                    At::BlockStart
                } else {
                    At::Stored
                })
            }
            At::Token => {
                let token = usize::from(self.byte()?);
                let (len, copy) = (token >> 4, token & 0xf);
                Ok(if len == LENGTH_GOES_ON {
                    At::LiteralLength { len, copy }
                } else {
                    At::Literal { left: len, copy }
                })
            }
            At::LiteralLength { len, copy } => {
                let (left, complete) = self.longer(len)?;
                Ok(if complete {
                    At::Literal { left, copy }
                } else {
                    At::LiteralLength { len: left, copy }
                })
            }
            At::Literal { left, copy } => self.literal(left, copy, room),
            At::Offset { copy } => {
                let offset = usize::from(self.block.try_get_u16_le().map_err(|_| CUT)?);
                let len = copy + COPY_BYTES_MIN;
                Ok(if copy == LENGTH_GOES_ON {
                    At::CopyLength { offset, len }
                } else {
                    At::Copy { offset, left: len }
                })
            }
            At::CopyLength { offset, len } => {
                let (left, complete) = self.longer(len)?;
                Ok(if complete {
                    At::Copy { offset, left }
                } else {
                    At::CopyLength { offset, len: left }
                })
            }
            At::Copy { offset, left } => self.copy(offset, left, room),
            At::End => Ok(At::End),
        }
    }

    fn literal(&mut self, left: usize, copy: usize, room: usize) -> Result<At, CodecError> {
        if left > self.block.len() {
            return Err(CUT);
        }
        let now = left.min(room);
        self.give(now)?;
        self.window
            .literal(self.block.get(..now).unwrap_or_default());
        self.block.advance(now);
        let left = left - now;
        if left > 0 {
            return Ok(At::Literal { left, copy });
        }
        // Only after its last literals a block may end.
        Ok(if self.block.is_empty() {
            At::BlockStart
        } else {
            At::Offset { copy }
        })
    }

    fn copy(&mut self, offset: usize, left: usize, room: usize) -> Result<At, CodecError> {
        let now = left.min(room);
        self.give(now)?;
        if !self.window.reaches(offset) {
            return Err(corrupt("a copy reaches before its block"));
        }
        self.window.copy(offset, now);
        let left = left - now;
        Ok(if left == 0 {
            At::Token
        } else {
            At::Copy { offset, left }
        })
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        self.block.try_get_u8().map_err(|_| CUT)
    }

    /// The next byte of a length: the sum so far, and whether it is complete.
    fn longer(&mut self, len: usize) -> Result<(usize, bool), CodecError> {
        let byte = self.byte()?;
        Ok((len + usize::from(byte), byte != 255))
    }

    /// Counts bytes that the block is about to give.
    fn give(&mut self, bytes: usize) -> Result<(), CodecError> {
        self.block_left = self
            .block_left
            .checked_sub(bytes)
            .ok_or(corrupt("a block gives more than the frame's block size"))?;
        Ok(())
    }

    fn header(&mut self) -> Result<At, CodecError> {
        let cut = |_| CUT;
        if self.input.try_get_u32_le().map_err(cut)? != MAGIC {
            return Err(corrupt("no LZ4 frame magic"));
        }
        let described = self.input.clone();
        let flags = self.input.try_get_u8().map_err(cut)?;
        let sizes = self.input.try_get_u8().map_err(cut)?;
        if flags >> 6 != 1 || flags & FLAGS_RESERVED != 0 || sizes & 0b1000_1111 != 0 {
            return Err(corrupt("unknown frame version or reserved bits set"));
        }
        if flags & FLAG_INDEPENDENT == 0 {
            return Err(corrupt("blocks that depend on each other"));
        }
        self.block_bytes_max = match sizes >> 4 {
            size @ 4..=7 => 1 << (2 * u32::from(size) + 8),
            _ => return Err(corrupt("unknown block size")),
        };
        if flags & FLAG_CONTENT_SIZE != 0 {
            self.input.try_get_u64_le().map_err(cut)?;
        }
        let described = described
            .get(..described.len() - self.input.len())
            .unwrap_or_default();
        let wanted = u8::try_from(xxh32(described) >> 8 & 0xff).unwrap_or_default();
        if self.input.try_get_u8().map_err(cut)? != wanted {
            return Err(corrupt("wrong header checksum"));
        }
        self.block_checksums = flags & FLAG_BLOCK_CHECKSUM != 0;
        self.content_checksum = flags & FLAG_CONTENT_CHECKSUM != 0;
        Ok(At::BlockStart)
    }

    fn block_start(&mut self) -> Result<At, CodecError> {
        let cut = |_| CUT;
        let size = self.input.try_get_u32_le().map_err(cut)?;
        let len = usize::try_from(size & !NOT_COMPRESSED).map_err(|_| CUT)?;
        if len == 0 {
            if self.content_checksum {
                self.input.try_get_u32_le().map_err(cut)?;
            }
            return Ok(At::End);
        }
        if len > self.block_bytes_max {
            return Err(corrupt("a block is larger than the frame's block size"));
        }
        if len > self.input.len() {
            return Err(CUT);
        }
        self.block = self.input.split_to(len);
        if self.block_checksums {
            let sum = self.input.try_get_u32_le().map_err(cut)?;
            if sum != xxh32(&self.block) {
                return Err(corrupt("wrong block checksum"));
            }
        }
        self.block_left = self.block_bytes_max;
        self.window.forget();
        Ok(if size & NOT_COMPRESSED == 0 {
            At::Token
        } else {
            At::Stored
        })
    }
}

const PRIMES: [u32; 5] = [
    0x9e37_79b1,
    0x85eb_ca77,
    0xc2b2_ae3d,
    0x27d4_eb2f,
    0x1656_67b1,
];

/// xxHash32 with seed 0, the frame format's checksum.
fn xxh32(bytes: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let word = |chunk: &[u8]| chunk.try_into().map_or(0, u32::from_le_bytes);
    let round = |sum: u32, chunk: &[u8]| {
        sum.wrapping_add(word(chunk).wrapping_mul(p2))
            .rotate_left(13)
            .wrapping_mul(p1)
    };
    let mut stripes = bytes.chunks_exact(16);
    let mut hash = if bytes.len() < 16 {
        p5
    } else {
        let mut sums = [p1.wrapping_add(p2), p2, 0, 0u32.wrapping_sub(p1)];
        for stripe in stripes.by_ref() {
            for (sum, lane) in sums.iter_mut().zip(stripe.chunks_exact(4)) {
                *sum = round(*sum, lane);
            }
        }
        let [a, b, c, d] = sums;
        a.rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18))
    };
    let low = u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or_default();
    hash = hash.wrapping_add(low);
    let mut words = stripes.remainder().chunks_exact(4);
    for lane in words.by_ref() {
        hash = hash
            .wrapping_add(word(lane).wrapping_mul(p3))
            .rotate_left(17)
            .wrapping_mul(p4);
    }
    for &byte in words.remainder() {
        hash = hash
            .wrapping_add(u32::from(byte).wrapping_mul(p5))
            .rotate_left(11)
            .wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(p2);
    hash = (hash ^ hash >> 13).wrapping_mul(p3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::xxh32;

    #[test]
    fn known_checksums() {
        assert_eq!(xxh32(b""), 0x02cc_5d05);
        assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
        assert_eq!(
            xxh32(b"Nobody inspects the spammish repetition"),
            0xe229_3b2f
        );
    }
}
