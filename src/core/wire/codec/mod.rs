//! The four compression codecs of record batches: resumable, bounded decompression, and compression in one go.
//!
//! Invariants:
//! 1. One step writes at most its budget (a snappy copy, 64 bytes, may end beyond it) and reads a bounded number of input
//!    bytes: a bomb costs many short steps.
//! 2. Memory is bounded by the codec's window, never by what the data claim: 32 KiB for gzip, 64 KiB for lz4 (and one
//!    compressed block is never copied), [`limits::SNAPPY_WINDOW_BYTES_MAX`] for snappy, 2^27 bytes for zstd (touched only as
//!    far as data were really produced).
//! 3. Corrupted input gives an error, never a panic and never an endless loop: a step that is not done has read or written.
//!
//! Deliberately absent: compression in steps (only our own tools compress), dictionaries, the lz4 frames with the wrong
//! header checksum that Kafka wrote for magic 0.
//!
//! Source: `CompressionType`, `Lz4BlockInputStream`, snappy-java's `SnappyInputStream`, `GzipInputStream`, zstd-jni.

mod gzip;
mod lz4;
mod snappy;
mod window;
mod zstd;

use std::io::Write;

use bytes::Bytes;

use crate::types::limits;

/// How a batch's records are compressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// Snappy blocks in xerial framing, or one bare block.
    Snappy,
    /// An LZ4 frame with independent blocks.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Codec {
    /// By the number in a batch's attributes.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd]
            .get(usize::from(number))
            .copied()
    }

    /// The number in a batch's attributes.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Kafka's name of it, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// By Kafka's name, as in `compression.type`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|codec| codec.name() == name)
    }
}

/// Why compressed bytes cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// The input ends before the compressed data do.
    #[error("{0:?} data are cut short")]
    Cut(Codec),
    /// The input is no valid data of this codec.
    #[error("{codec:?} data are corrupt: {why}")]
    Corrupt {
        /// Which codec.
        codec: Codec,
        /// What is wrong.
        why: &'static str,
    },
    /// Valid, but would need more memory than onrush gives.
    #[error("{codec:?} data need too much memory: {why}")]
    TooLarge {
        /// Which codec.
        codec: Codec,
        /// What is too large.
        why: &'static str,
    },
}

/// How far a step came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Call again.
    More,
    /// The end of the data.
    Done,
}

/// Decompresses the records of one batch piece by piece.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    None(Bytes),
    Gzip(Box<gzip::Gzip>),
    Snappy(snappy::Snappy),
    Lz4(lz4::Lz4),
    Zstd(zstd::Zstd),
}

impl Decoder {
    /// A decoder over the whole compressed input. Nothing is read yet.
    #[must_use]
    pub fn new(codec: Codec, input: Bytes) -> Self {
        let state = match codec {
            Codec::None => State::None(input),
            Codec::Gzip => State::Gzip(Box::new(gzip::Gzip::new(input))),
            Codec::Snappy => State::Snappy(snappy::Snappy::new(input)),
            Codec::Lz4 => State::Lz4(lz4::Lz4::new(input)),
            Codec::Zstd => State::Zstd(zstd::Zstd::new(input)),
        };
        Self { state }
    }

    /// Appends up to `budget_bytes` decompressed bytes to `out`. It may append none and still have more.
    /// After `Done` or an error it must not be called again.
    pub fn step(&mut self, out: &mut Vec<u8>, budget_bytes: usize) -> Result<Progress, CodecError> {
        let budget = budget_bytes.max(1);
        match &mut self.state {
            State::None(input) => {
                let now = input.split_to(budget.min(input.len()));
                out.extend_from_slice(&now);
                Ok(if input.is_empty() {
                    Progress::Done
                } else {
                    Progress::More
                })
            }
            State::Gzip(gzip) => gzip.step(out, budget),
            State::Snappy(snappy) => snappy.step(out, budget),
            State::Lz4(lz4) => lz4.step(out, budget),
            State::Zstd(zstd) => zstd.step(out, budget),
        }
    }
}

/// Decompresses everything at once, for tools: at most `bytes_max` bytes come out, more is an error.
pub fn decompress(codec: Codec, input: Bytes, bytes_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut decoder = Decoder::new(codec, input);
    let mut out = Vec::new();
    while decoder.step(&mut out, limits::WORK_BYTES_PER_STEP)? == Progress::More {
        if out.len() > bytes_max {
            break;
        }
    }
    if out.len() > bytes_max {
        let why = "more decompressed bytes than allowed";
        return Err(CodecError::TooLarge { codec, why });
    }
    Ok(out)
}

/// Kafka's snappy framing cuts the data into blocks of this size.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;

/// Compresses in one go, in the form Kafka's own clients write. For our own tools, not for the path of a client's record.
#[must_use]
pub fn compress(codec: Codec, input: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => input.to_vec(),
        Codec::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(input).expect("a Vec takes every write");
            encoder.finish().expect("a Vec takes every write")
        }
        Codec::Snappy => compress_snappy(input),
        Codec::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_mode(lz4_flex::frame::BlockMode::Independent)
                .block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(input).expect("a Vec takes every write");
            encoder.finish().expect("a Vec takes every write")
        }
        Codec::Zstd => ::zstd::stream::encode_all(input, 3).expect("zstd finds memory to compress"),
    }
}

fn compress_snappy(input: &[u8]) -> Vec<u8> {
    let mut out = snappy::XERIAL_HEADER.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(SNAPPY_BLOCK_BYTES) {
        let packed = encoder
            .compress_vec(block)
            .expect("a block of 32 KiB fits snappy");
        let len = u32::try_from(packed.len()).expect("a block of 32 KiB stays small");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

#[cfg(test)]
mod tests;
