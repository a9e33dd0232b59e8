//! The records of one stored or sent batch, walked in steps, whatever their codec.
//!
//! Invariants:
//! 1. A step walks about its budget of record bytes and holds at most 64 KiB of them.
//! 2. `Done` without a stop means: as many records as the head says, and not a byte more.
//!
//! Source: `DefaultRecordBatch` (`streamingIterator`, `skipKeyValueIterator`, `RecordIterator.ensureNoneRemaining`).

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::types::limits::BATCH_HEADER_BYTES;
use crate::wire::batch::BatchHeader;
use crate::wire::codec::{Codec, CodecError, Decoder, Progress};
use crate::wire::records::{RecordError, RecordMeta, RecordScanner};

/// Decompressed bytes looked at in one go: they stay in the cache.
const PIECE_BYTES: usize = 64 * 1024;
/// A record costs as much as walking over this many bytes of one: measured on batches of records of 7 bytes.
const RECORD_COST_BYTES: usize = 24;
/// A decompressed byte costs as much as walking over this many: measured on data with many short repetitions.
const DECODE_COST: usize = 2;
/// What a call of a decoder costs at least, so that thousands of empty members or frames are many steps too.
const CALL_COST_BYTES: usize = 1024;

/// Why a batch's records cannot be walked to their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamError {
    /// The attributes name no codec.
    #[error("codec number {0} means nothing")]
    UnknownCodec(u16),
    /// The compressed data are bad.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A record is malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The bytes end before the declared number of records.
    #[error("fewer records than the batch declares")]
    TooFew,
    /// Bytes are left after the declared number of records.
    #[error("more bytes than the declared records need")]
    TooMany,
}

/// A walk over one batch's records.
#[derive(Debug)]
pub struct RecordStream {
    source: Source,
    scanner: RecordScanner,
    records_left: u32,
}

#[derive(Debug)]
enum Source {
    Plain { rest: Bytes, piece: Bytes },
    Packed { decoder: Decoder, piece: Vec<u8> },
}

impl Source {
    /// The next piece of record bytes, and whether it is the last. With an error the piece is what came before it.
    fn next(&mut self, bytes_max: usize) -> (&[u8], Result<Progress, CodecError>) {
        match self {
            Self::Plain { rest, piece } => {
                *piece = rest.split_to(bytes_max.min(rest.len()));
                let progress = if rest.is_empty() {
                    Progress::Done
                } else {
                    Progress::More
                };
                (piece, Ok(progress))
            }
            Self::Packed { decoder, piece } => {
                piece.clear();
                let progress = decoder.step(piece, bytes_max);
                (piece, progress)
            }
        }
    }

    /// What it cost to get a piece of this size and to walk over it.
    fn cost(&self, bytes: usize) -> usize {
        match self {
            Self::Plain { .. } => bytes,
            Self::Packed { .. } => DECODE_COST * bytes.max(CALL_COST_BYTES),
        }
    }
}

impl RecordStream {
    /// A walk over the records of this whole batch, whose head was decoded before.
    pub fn new(header: &BatchHeader, batch: &Bytes) -> Result<Self, StreamError> {
        let body = batch.slice(BATCH_HEADER_BYTES.min(batch.len())..);
        let source = match header.codec() {
            None => return Err(StreamError::UnknownCodec(header.attributes & 0b111)),
            Some(Codec::None) => Source::Plain {
                rest: body,
                piece: Bytes::new(),
            },
            Some(codec) => Source::Packed {
                decoder: Decoder::new(codec, body),
                piece: Vec::new(),
            },
        };
        Ok(Self {
            source,
            scanner: RecordScanner::new(),
            records_left: u32::try_from(header.record_count).unwrap_or(0),
        })
    }

    /// Walks on by about `budget_bytes` of record bytes, telling each record. `Done` at the end or when told to break;
    /// after that, or an error, it must not be called again.
    pub fn step(
        &mut self,
        budget_bytes: usize,
        mut on_record: impl FnMut(RecordMeta) -> ControlFlow<()>,
    ) -> Result<Progress, StreamError> {
        let mut budget = budget_bytes.max(1);
        while budget > 0 {
            let records_before = self.records_left;
            let (piece, progress) = self.source.next(budget.min(PIECE_BYTES));
            let bytes = piece.len();
            let flow = scan(
                &mut self.scanner,
                &mut self.records_left,
                piece,
                &mut on_record,
            )?;
            if flow.is_break() {
                return Ok(Progress::Done);
            }
            let complete = self.records_left == 0 && self.scanner.at_boundary();
            match progress {
                Ok(Progress::More) => {}
                Ok(Progress::Done) if complete => return Ok(Progress::Done),
                Ok(Progress::Done) => return Err(StreamError::TooFew),
                // Java's gzip reader meets a cut as it would meet the end of good data.
                Err(CodecError::Cut(Codec::Gzip)) if !complete => return Err(StreamError::TooFew),
                Err(why) => return Err(why.into()),
            }
            let records = usize::try_from(records_before - self.records_left).unwrap_or(0);
            budget = budget.saturating_sub(self.source.cost(bytes) + records * RECORD_COST_BYTES);
        }
        Ok(Progress::More)
    }
}

fn scan(
    scanner: &mut RecordScanner,
    records_left: &mut u32,
    mut piece: &[u8],
    on_record: &mut impl FnMut(RecordMeta) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StreamError> {
    while !piece.is_empty() {
        if *records_left == 0 {
            return Err(StreamError::TooMany);
        }
        if let Some(meta) = scanner.scan(&mut piece)? {
            *records_left -= 1;
            if on_record(meta).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}
