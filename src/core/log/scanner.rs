//! Goes over a segment's bytes in order, whatever pieces they come in, and says where the last valid batch ends.
//!
//! Invariants: 1. A batch is reported after all its bytes were seen and its checksum was right. 2. Memory is one header, whatever a length field
//! claims: bodies only pass through the checksum. 3. What follows the first bad byte is never looked at.
//!
//! What may be bad: a length below a header's or beyond the file, an unknown magic, a checksum, an offset that goes back or leaves the segment. All of
//! these are what a torn write leaves, so all mean "the log ends here". A batch of an older format at a segment's start is not that: it is
//! reported apart.
//! Source: `LogSegment.recover`, `DefaultRecordBatch.ensureValid`.

use crate::types::Offset;
use crate::types::limits::BATCH_HEADER_BYTES;
use crate::wire::batch::{BatchError, BatchHeader};

const CRC_FROM: usize = 21;

/// Why a scan went no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// The bytes at the scanner's end are not a batch; `zeros` if all of the header that could be seen is zero.
    Bad { zeros: bool },
    /// The segment starts with a message of this older format.
    Old(i8),
}

#[derive(Debug)]
struct Body {
    header: BatchHeader,
    crc: u32,
    left: u64,
}

/// The state between two pieces.
#[derive(Debug)]
pub(super) struct Scanner {
    base: Offset,
    file_bytes: u64,
    /// Start of the batch that is being looked at: everything before it is valid.
    position: u64,
    next_offset: Offset,
    head: Vec<u8>,
    body: Option<Body>,
    stopped: Option<Stop>,
}

impl Scanner {
    /// Scans a file of this size from a batch's first byte; no batch there starts below `next_offset`.
    pub(super) fn new(base: Offset, file_bytes: u64, position: u64, next_offset: Offset) -> Self {
        Self {
            base,
            file_bytes,
            position,
            next_offset,
            head: Vec::with_capacity(BATCH_HEADER_BYTES),
            body: None,
            stopped: None,
        }
    }

    /// End of the valid batches.
    pub(super) fn end(&self) -> u64 {
        self.position
    }

    /// The offset after the last valid batch.
    pub(super) fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Where the next piece starts; `None` when there is nothing more to look at.
    pub(super) fn wants(&self) -> Option<u64> {
        let seen = match &self.body {
            Some(body) => body.header.total_bytes() - body.left,
            None => self.head.len() as u64,
        };
        let position = self.position + seen;
        (self.stopped.is_none() && position < self.file_bytes).then_some(position)
    }

    /// Takes the next piece; calls `each` with every batch that is complete and valid, and its position.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&BatchHeader, u64)) {
        while self.stopped.is_none() && !bytes.is_empty() {
            if self.body.is_none() {
                bytes = self.feed_head(bytes);
            }
            let Some(body) = &mut self.body else {
                continue;
            };
            let take = usize::try_from(body.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, rest) = bytes.split_at(take);
            body.crc = crc32c::crc32c_append(body.crc, now);
            body.left -= take as u64;
            bytes = rest;
            self.finish_batch(&mut each);
        }
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let take = (BATCH_HEADER_BYTES - self.head.len()).min(bytes.len());
        let (now, rest) = bytes.split_at(take);
        self.head.extend_from_slice(now);
        if self.head.len() == BATCH_HEADER_BYTES {
            match self.check_head() {
                Ok(header) => {
                    let crc = crc32c::crc32c(self.head.get(CRC_FROM..).unwrap_or_default());
                    self.body = Some(Body {
                        header,
                        crc,
                        left: header.total_bytes() - BATCH_HEADER_BYTES as u64,
                    });
                }
                Err(stop) => self.stopped = Some(stop),
            }
        }
        rest
    }

    fn check_head(&self) -> Result<BatchHeader, Stop> {
        let bad = Stop::Bad {
            zeros: self.head.iter().all(|&byte| byte == 0),
        };
        let header = match BatchHeader::decode(&self.head) {
            Ok(header) => header,
            Err(BatchError::OldMagic(magic)) if self.position == 0 && self.looks_old() => {
                return Err(Stop::Old(magic));
            }
            Err(_) => return Err(bad),
        };
        let fits = header.total_bytes() <= self.file_bytes - self.position;
        let forward = header.base_offset >= self.next_offset && header.last_offset_delta >= 0;
        let inside = header.last_offset().0.saturating_sub(self.base.0) <= i64::from(i32::MAX);
        if fits && forward && inside {
            Ok(header)
        } else {
            Err(bad)
        }
    }

    /// A message of magic 0 or 1 has a length that fits and a checksum; what a torn write leaves at a file's start has neither.
    fn looks_old(&self) -> bool {
        let word = |at: usize| {
            let bytes = self.head.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let length_fits = word(8).is_some_and(|length| {
            (14..=self.file_bytes.saturating_sub(12)).contains(&u64::from(length))
        });
        length_fits && word(12).is_some_and(|crc| crc != 0)
    }

    fn finish_batch(&mut self, each: &mut impl FnMut(&BatchHeader, u64)) {
        let Some(Body { header, crc, .. }) = self.body.take_if(|body| body.left == 0) else {
            return;
        };
        if crc != header.crc {
            self.stopped = Some(Stop::Bad { zeros: false });
            return;
        }
        each(&header, self.position);
        self.position += header.total_bytes();
        self.next_offset = header.next_offset();
        self.head.clear();
    }

    /// How the scan ended, once [`wants`](Self::wants) is `None`: `None` if every byte belongs to a valid batch.
    pub(super) fn outcome(&self) -> Option<Stop> {
        let partial = Stop::Bad {
            zeros: self.head.iter().all(|&byte| byte == 0),
        };
        self.stopped
            .or_else(|| (self.position < self.file_bytes).then_some(partial))
    }
}
