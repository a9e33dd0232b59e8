//! Finds a record by timestamp inside one stored batch, in steps: the last leg of ListOffsets.
//!
//! Invariants:
//! 1. The batch may be of any codec and size; a step costs about its budget.
//! 2. The answer is the exact record, not the batch.
//!
//! Source: `FileRecords.searchForTimestamp`, `RecordBatch.offsetOfMaxTimestamp`; KIP-79, KIP-734.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::types::Offset;
use crate::types::limits::BATCH_HEADER_BYTES;
use crate::wire::batch::{BatchError, BatchHeader};
use crate::wire::codec::Progress;
use crate::wire::stream::{RecordStream, StreamError};

/// A record that was looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp in ms.
    pub timestamp: i64,
}

/// Why a stored batch cannot be searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FindError {
    /// The bytes are no whole v2 batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records cannot be read.
    #[error(transparent)]
    Records(#[from] StreamError),
}

/// How far a step came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FindStep {
    /// Call again.
    More,
    /// The outcome; `None` if no record of this batch is meant.
    Done(Option<Found>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    AtOrAfter { timestamp: i64, log_start: Offset },
    Max,
}

/// A search in one batch.
#[derive(Debug)]
pub struct FindRecord {
    header: BatchHeader,
    stream: RecordStream,
    target: Target,
}

impl FindRecord {
    /// Looks for the first record with a timestamp of at least `timestamp` ms and an offset of at least `log_start`.
    pub fn at_or_after(
        batch: &Bytes,
        timestamp: i64,
        log_start: Offset,
    ) -> Result<Self, FindError> {
        Self::new(
            batch,
            Target::AtOrAfter {
                timestamp,
                log_start,
            },
        )
    }

    /// Looks for the first record that has the batch's max timestamp.
    pub fn max_timestamp(batch: &Bytes) -> Result<Self, FindError> {
        Self::new(batch, Target::Max)
    }

    fn new(batch: &Bytes, target: Target) -> Result<Self, FindError> {
        let header = BatchHeader::decode(batch)?;
        let total = usize::try_from(header.total_bytes()).unwrap_or(usize::MAX);
        if batch.len() < total {
            return Err(BatchError::Cut(batch.len()).into());
        }
        assert!(total >= BATCH_HEADER_BYTES, "a decoded header is covered");
        Ok(Self {
            header,
            stream: RecordStream::new(&header, &batch.slice(..total))?,
            target,
        })
    }

    /// Looks on for about `budget_bytes` of record bytes. After `Done` or an error it must not be called again.
    pub fn step(&mut self, budget_bytes: usize) -> Result<FindStep, FindError> {
        let (header, target) = (self.header, self.target);
        let mut found = None;
        let progress = self.stream.step(budget_bytes, |meta| {
            let offset = Offset(
                header
                    .base_offset
                    .0
                    .saturating_add(i64::from(meta.offset_delta)),
            );
            let timestamp = header.record_timestamp(meta.timestamp_delta);
            let hit = match target {
                Target::AtOrAfter {
                    timestamp: wanted,
                    log_start,
                } => timestamp >= wanted && offset >= log_start,
                Target::Max => timestamp == header.max_timestamp,
            };
            if hit {
                found = Some(Found { offset, timestamp });
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(match progress {
            Progress::More => FindStep::More,
            Progress::Done => FindStep::Done(found),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::build::BatchBuilder;
    use crate::wire::codec::Codec;

    fn run(mut find: FindRecord, budget: usize) -> Option<Found> {
        loop {
            if let FindStep::Done(found) = find.step(budget).unwrap() {
                return found;
            }
        }
    }

    fn batch(codec: Codec, timestamps: &[i64]) -> BatchBuilder {
        let mut builder = BatchBuilder::new();
        builder.codec(codec).base_offset(Offset(100));
        for &timestamp in timestamps {
            builder.push(timestamp, None, Some(&[7; 300]), &[]);
        }
        builder
    }

    #[test]
    fn the_exact_record_in_every_codec() {
        for codec in [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            let bytes = batch(codec, &[10, 30, 20, 40, 40, 5]).build();
            let check = |timestamp, log_start, wanted: Option<(i64, i64)>| {
                for budget in [1, 100, 10_000] {
                    let find = FindRecord::at_or_after(&bytes, timestamp, Offset(log_start));
                    let found = run(find.unwrap(), budget);
                    let found = found.map(|found| (found.offset.0, found.timestamp));
                    assert_eq!(found, wanted, "{codec:?}");
                }
            };
            check(0, 0, Some((100, 10)));
            check(11, 0, Some((101, 30)));
            check(31, 0, Some((103, 40)));
            check(11, 102, Some((102, 20)));
            check(41, 0, None);
            check(10, 105, None);
            let max = run(FindRecord::max_timestamp(&bytes).unwrap(), 50);
            let wanted = Found {
                offset: Offset(103),
                timestamp: 40,
            };
            assert_eq!(max, Some(wanted));
        }
    }

    #[test]
    fn append_time_counts_for_every_record() {
        let bytes = batch(Codec::None, &[10, 30]).log_append_time().build();
        let found = run(
            FindRecord::at_or_after(&bytes, 25, Offset(0)).unwrap(),
            1_000,
        );
        let wanted = Found {
            offset: Offset(100),
            timestamp: 30,
        };
        assert_eq!(found, Some(wanted));
    }

    #[test]
    fn records_without_timestamps_and_damage() {
        let bytes = batch(Codec::None, &[-1, -1]).build();
        let found = run(FindRecord::max_timestamp(&bytes).unwrap(), 1_000).unwrap();
        assert_eq!((found.offset, found.timestamp), (Offset(100), -1));
        assert!(FindRecord::max_timestamp(&bytes.slice(..bytes.len() - 1)).is_err());
        assert!(FindRecord::max_timestamp(&Bytes::new()).is_err());
        let mut odd = bytes.to_vec();
        odd[61] = 1;
        let mut find = FindRecord::max_timestamp(&Bytes::from(odd)).unwrap();
        assert!(matches!(
            find.step(1_000),
            Err(FindError::Records(StreamError::Record(_)))
        ));
    }
}
