//! The records of one stored or sent batch, walked in steps, whatever their codec.
//!
//! Invariants:
//! 1. A step walks about its budget of record bytes and holds at most [`PIECE_BYTES`] of them.
//! 2. `Done` without a stop means: as many records as the head says, and not a byte more.
//!
//! Source: `DefaultRecordBatch` (`streamingIterator`, `skipKeyValueIterator`, `RecordIterator.ensureNoneRemaining`).

use std::ops::ControlFlow;

use bytes::{Buf, Bytes};

use crate::types::limits::BATCH_HEADER_BYTES;
use crate::wire::batch::BatchHeader;
use crate::wire::codec::{Codec, CodecError, Decoder, Progress};
use crate::wire::records::{RecordError, RecordMeta, RecordScanner};

/// Decompressed bytes looked at in one go: they stay in the cache.
const PIECE_BYTES: usize = 64 * 1024;
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
    Plain(Bytes),
    Packed {
        decoder: Decoder,
        piece: Vec<u8>,
        codec: Codec,
    },
}

impl RecordStream {
    /// A walk over the records of this whole batch, whose head was decoded before.
    pub fn new(header: &BatchHeader, batch: &Bytes) -> Result<Self, StreamError> {
        let body = batch.slice(BATCH_HEADER_BYTES.min(batch.len())..);
        let source = match header.codec() {
            None => return Err(StreamError::UnknownCodec(header.attributes & 0b111)),
            Some(Codec::None) => Source::Plain(body),
            Some(codec) => Source::Packed {
                decoder: Decoder::new(codec, body),
                piece: Vec::new(),
                codec,
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
            let now = budget.min(PIECE_BYTES);
            let (cost, ended, flow) = match &mut self.source {
                Source::Plain(body) => {
                    let now = now.min(body.len());
                    let piece = body.get(..now).unwrap_or_default();
                    let flow = scan(
                        &mut self.scanner,
                        &mut self.records_left,
                        piece,
                        &mut on_record,
                    )?;
                    body.advance(now);
                    (now, body.is_empty(), flow)
                }
                Source::Packed {
                    decoder,
                    piece,
                    codec,
                } => {
                    piece.clear();
                    let progress = decoder.step(piece, now);
                    let flow = scan(
                        &mut self.scanner,
                        &mut self.records_left,
                        piece,
                        &mut on_record,
                    )?;
                    let progress = match progress {
                        // Java's gzip reader meets this end as it would meet the end of good data.
                        Err(CodecError::Cut(Codec::Gzip))
                            if *codec == Codec::Gzip && self.records_left > 0 =>
                        {
                            return Err(StreamError::TooFew);
                        }
                        other => other?,
                    };
                    let cost = piece.len().max(CALL_COST_BYTES);
                    (cost, progress == Progress::Done, flow)
                }
            };
            if flow.is_break() {
                return Ok(Progress::Done);
            }
            if ended {
                return if self.records_left > 0 || !self.scanner.at_boundary() {
                    Err(StreamError::TooFew)
                } else {
                    Ok(Progress::Done)
                };
            }
            budget = budget.saturating_sub(cost);
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
