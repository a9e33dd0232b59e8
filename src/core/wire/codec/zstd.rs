//! Zstandard through the library's streaming interface.
//!
//! Invariants:
//! 1. The window is at most 2^27 bytes (the format's recommended limit and zstd-jni's); a frame that wants more is refused.
//! 2. Input that ends inside a frame is an error; frames, also skippable ones, may follow each other.
//!
//! Source: RFC 8878; `ZstdInputStreamNoFinalizer`.

use bytes::{Buf, Bytes};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Codec, CodecError, Progress};

const WINDOW_LOG_MAX: u32 = 27;

pub(super) struct Zstd {
    input: Bytes,
    /// Made by the first step: it is the only part that can fail to be made.
    context: Option<Decoder<'static>>,
    in_frame: bool,
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd")
            .field("input_bytes", &self.input.len())
            .field("in_frame", &self.in_frame)
            .finish_non_exhaustive()
    }
}

fn corrupt(why: &'static str) -> CodecError {
    let codec = Codec::Zstd;
    CodecError::Corrupt { codec, why }
}

impl Zstd {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            input,
            context: None,
            in_frame: false,
        }
    }

    pub(super) fn step(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> Result<Progress, CodecError> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(new_context()?),
        };
        let had = out.len();
        out.resize(had + budget, 0);
        let input = self
            .input
            .get(..self.input.len().min(budget))
            .unwrap_or_default();
        let mut source = InBuffer::around(input);
        let mut space = OutBuffer::around(out.get_mut(had..).unwrap_or_default());
        let hint = context.run(&mut source, &mut space);
        let (read, written) = (source.pos(), space.pos());
        out.truncate(had + written);
        let hint = hint.map_err(|_| corrupt("invalid frame"))?;
        self.input.advance(read);
        self.in_frame = hint != 0;
        if self.input.is_empty() && !self.in_frame {
            return Ok(Progress::Done);
        }
        if read == 0 && written == 0 {
            return Err(CodecError::Cut(Codec::Zstd));
        }
        Ok(Progress::More)
    }
}

fn new_context() -> Result<Decoder<'static>, CodecError> {
    let codec = Codec::Zstd;
    let refused = |_| CodecError::TooLarge {
        codec,
        why: "no memory for a context",
    };
    let mut context = Decoder::new().map_err(refused)?;
    context
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        .map_err(refused)?;
    Ok(context)
}
