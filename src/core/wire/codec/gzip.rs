//! Gzip: headers and trailers by hand around raw deflate, because the pure Rust deflate has no gzip mode of its own.
//!
//! Invariants:
//! 1. Each member's CRC and length are checked.
//! 2. What follows a member and is no header is ignored, as Java's reader does.
//!
//! Source: RFC 1952; `java.util.zip.GZIPInputStream`.

use bytes::{Buf, Bytes};
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Codec, CodecError, Progress};

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;

#[derive(Debug)]
pub(super) struct Gzip {
    input: Bytes,
    inflate: Decompress,
    crc: Crc,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    FirstHeader,
    Body,
    LaterHeader,
}

const CUT: CodecError = CodecError::Cut(Codec::Gzip);

fn corrupt(why: &'static str) -> CodecError {
    let codec = Codec::Gzip;
    CodecError::Corrupt { codec, why }
}

impl Gzip {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            input,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            at: At::FirstHeader,
        }
    }

    pub(super) fn step(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Result<Progress, CodecError> {
        match self.at {
            At::FirstHeader => {
                self.input = header(self.input.clone())?;
                self.at = At::Body;
                Ok(Progress::More)
            }
            At::LaterHeader => match header(self.input.clone()) {
                Ok(body) => {
                    self.input = body;
                    self.inflate.reset(false);
                    self.crc.reset();
                    self.at = At::Body;
                    Ok(Progress::More)
                }
                Err(_) => Ok(Progress::Done),
            },
            At::Body => self.body(out, budget),
        }
    }

    fn body(&mut self, out: &mut Vec<u8>, budget: usize) -> Result<Progress, CodecError> {
        let had = out.len();
        out.resize(had + budget, 0);
        // Empty blocks produce nothing: the input of a step is bounded as well as its output.
        let input = self
            .input
            .get(..self.input.len().min(budget))
            .unwrap_or_default();
        let space = out.get_mut(had..).unwrap_or_default();
        let (read_before, written_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, space, FlushDecompress::None)
            .map_err(|_| corrupt("invalid deflate stream"));
        let read = small(self.inflate.total_in() - read_before);
        let written = small(self.inflate.total_out() - written_before);
        out.truncate(had + written.min(budget));
        let status = status?;
        self.crc.update(out.get(had..).unwrap_or_default());
        self.input.advance(read.min(self.input.len()));
        match status {
            Status::StreamEnd => self.trailer(),
            Status::Ok | Status::BufError if read > 0 || written > 0 => Ok(Progress::More),
            Status::Ok | Status::BufError => Err(CUT),
        }
    }

    fn trailer(&mut self) -> Result<Progress, CodecError> {
        let crc = self.input.try_get_u32_le().map_err(|_| CUT)?;
        let len = self.input.try_get_u32_le().map_err(|_| CUT)?;
        if crc != self.crc.sum() || len != self.crc.amount() {
            return Err(corrupt("wrong checksum or length in the trailer"));
        }
        self.at = At::LaterHeader;
        if self.input.is_empty() {
            return Ok(Progress::Done);
        }
        Ok(Progress::More)
    }
}

fn small(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Reads a member's header; gives what follows it.
fn header(mut input: Bytes) -> Result<Bytes, CodecError> {
    let cut = |_| CUT;
    if input.try_get_u16().map_err(cut)? != 0x1f8b {
        return Err(corrupt("no gzip magic"));
    }
    if input.try_get_u8().map_err(cut)? != 8 {
        return Err(corrupt("unknown compression method"));
    }
    let flags = input.try_get_u8().map_err(cut)?;
    if flags & FLAGS_RESERVED != 0 {
        return Err(corrupt("reserved flags are set"));
    }
    skip(&mut input, 6)?;
    if flags & FLAG_EXTRA != 0 {
        let len = input.try_get_u16_le().map_err(cut)?;
        skip(&mut input, usize::from(len))?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let end = input.iter().position(|&byte| byte == 0).ok_or(CUT)?;
            skip(&mut input, end + 1)?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        skip(&mut input, 2)?;
    }
    Ok(input)
}

fn skip(input: &mut Bytes, bytes: usize) -> Result<(), CodecError> {
    if input.len() < bytes {
        return Err(CUT);
    }
    input.advance(bytes);
    Ok(())
}
