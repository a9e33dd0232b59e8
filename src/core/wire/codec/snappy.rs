//! Snappy: xerial framing (Java) or one bare block (librdkafka, franz-go), decoded step by step.
//!
//! Invariants:
//! 1. A block gives exactly the length its preamble claims; a claim that its bytes cannot fill is refused at once.
//! 2. A copy reaches back at most [`SNAPPY_WINDOW_BYTES_MAX`]. Google's encoder stays within 64 KiB; the encoder of
//!    franz-go goes further, so the bound is far above any batch that a broker takes by default.
//!
//! Source: google/snappy `format_description.txt`; snappy-java's `SnappyInputStream` (framing, concatenated streams).

use bytes::{Buf, Bytes};

use super::window::Window;
use super::{Codec, CodecError, Progress};
use crate::types::limits::SNAPPY_WINDOW_BYTES_MAX;

/// Magic, version 1, compatible with version 1.
pub(super) const XERIAL_HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
const XERIAL_MAGIC_BYTES: usize = 8;
/// No element makes more of its bytes: a copy of three bytes gives at most 64.
const EXPANSION_MAX: usize = 22;

#[derive(Debug)]
pub(super) struct Snappy {
    /// What has not been cut into blocks yet.
    input: Bytes,
    framed: Option<bool>,
    /// The present block's elements.
    block: Bytes,
    /// What the present block still has to give.
    owed: usize,
    /// Literal bytes of the present element that are not written yet.
    literal: usize,
    window: Window,
}

const CUT: CodecError = CodecError::Cut(Codec::Snappy);

fn corrupt(why: &'static str) -> CodecError {
    let codec = Codec::Snappy;
    CodecError::Corrupt { codec, why }
}

impl Snappy {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            input,
            framed: None,
            block: Bytes::new(),
            owed: 0,
            literal: 0,
            window: Window::new(SNAPPY_WINDOW_BYTES_MAX),
        }
    }

    pub(super) fn step(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Result<Progress, CodecError> {
        if self.framed.is_none() {
            self.open()?;
        }
        let mut blocks = 0;
        let done = loop {
            if self.owed > 0 {
                self.elements(budget)?;
            } else if !self.block.is_empty() {
                return Err(corrupt("a block holds more than it claims"));
            } else if !self.next_block()? {
                break true;
            }
            blocks += 1;
            // Blocks may be empty: their number is part of the budget.
            if self.window.unsent() >= budget || blocks >= budget {
                break false;
            }
        };
        self.window.flush(out);
        Ok(if done { Progress::Done } else { Progress::More })
    }

    fn open(&mut self) -> Result<(), CodecError> {
        let magic = XERIAL_HEADER.get(..XERIAL_MAGIC_BYTES).unwrap_or_default();
        let framed = self.input.starts_with(magic);
        self.framed = Some(framed);
        if framed {
            if self.input.len() < XERIAL_HEADER.len() {
                return Err(CUT);
            }
            self.input.advance(XERIAL_HEADER.len());
        } else {
            let block = std::mem::take(&mut self.input);
            self.start_block(block)?;
        }
        Ok(())
    }

    /// Cuts the next block out of the framing. False at the end.
    fn next_block(&mut self) -> Result<bool, CodecError> {
        // Fewer than four bytes are the end for Java's reader too.
        let Ok(len) = self.input.clone().try_get_u32() else {
            return Ok(false);
        };
        let magic = XERIAL_HEADER.get(..XERIAL_MAGIC_BYTES).unwrap_or_default();
        if self.input.starts_with(magic) {
            if self.input.len() < XERIAL_HEADER.len() {
                return Err(CUT);
            }
            self.input.advance(XERIAL_HEADER.len());
            return Ok(true);
        }
        self.input.advance(4);
        let len = usize::try_from(len).map_err(|_| CUT)?;
        if len > self.input.len() {
            return Err(CUT);
        }
        let block = self.input.split_to(len);
        self.start_block(block)?;
        Ok(true)
    }

    fn start_block(&mut self, mut block: Bytes) -> Result<(), CodecError> {
        let claim = crate::wire::frame::get_unsigned_varint(&mut block).ok_or(CUT)?;
        let claim = usize::try_from(claim).map_err(|_| CUT)?;
        if claim / EXPANSION_MAX > block.len() {
            return Err(corrupt("a block claims more than its bytes can give"));
        }
        self.owed = claim;
        self.block = block;
        self.window.forget();
        Ok(())
    }

    /// Decodes elements until the block is complete or the budget is spent.
    fn elements(&mut self, budget: usize) -> Result<(), CodecError> {
        while self.owed > 0 && self.window.unsent() < budget {
            if self.literal > 0 {
                let room = budget - self.window.unsent();
                let now = self.literal.min(room).min(self.block.len());
                if now == 0 {
                    return Err(CUT);
                }
                self.window
                    .literal(self.block.get(..now).unwrap_or_default());
                self.block.advance(now);
                self.literal -= now;
                self.owed -= now;
                continue;
            }
            let tag = self.block.try_get_u8().map_err(|_| CUT)?;
            let kind = tag & 0b11;
            if kind == 0 {
                self.literal = self.literal_length(tag)?;
                if self.literal > self.owed {
                    return Err(corrupt("a literal is longer than its block"));
                }
            } else {
                self.copy(tag)?;
            }
        }
        Ok(())
    }

    fn literal_length(&mut self, tag: u8) -> Result<usize, CodecError> {
        let short = usize::from(tag >> 2);
        let len_bytes = match short {
            0..60 => return Ok(short + 1),
            more => more - 59,
        };
        let less_one = self.block.try_get_uint_le(len_bytes).map_err(|_| CUT)?;
        let less_one = usize::try_from(less_one).map_err(|_| CUT)?;
        Ok(less_one + 1)
    }

    /// A copy gives at most 64 bytes, so it is never cut into steps.
    fn copy(&mut self, tag: u8) -> Result<(), CodecError> {
        let high = usize::from(tag >> 2);
        let (len, offset) = match tag & 0b11 {
            1 => {
                let low = usize::from(self.block.try_get_u8().map_err(|_| CUT)?);
                ((high & 0b111) + 4, (high >> 3 << 8) | low)
            }
            2 => (
                high + 1,
                usize::from(self.block.try_get_u16_le().map_err(|_| CUT)?),
            ),
            _ => {
                let offset = self.block.try_get_u32_le().map_err(|_| CUT)?;
                (high + 1, usize::try_from(offset).map_err(|_| CUT)?)
            }
        };
        if len > self.owed {
            return Err(corrupt("a copy is longer than its block"));
        }
        if offset > SNAPPY_WINDOW_BYTES_MAX {
            return Err(CodecError::TooLarge {
                codec: Codec::Snappy,
                why: "a copy reaches too far back",
            });
        }
        if !self.window.reaches(offset) {
            return Err(corrupt("a copy reaches before its block"));
        }
        self.window.copy(offset, len);
        self.owed -= len;
        Ok(())
    }
}
