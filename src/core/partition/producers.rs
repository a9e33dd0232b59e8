//! What a partition remembers of the producers that write to it: idempotence.
//!
//! Invariants:
//! 1. At most five batches per producer are kept, all of its present epoch; a batch with the epoch and the sequence range of one of them is a duplicate.
//! 2. [`Producers::check`] changes nothing; [`Producers::apply`] follows the append, in the log's order, and never refuses.
//! 3. A replay of the log from a snapshot's offset gives the state that was lost.
//! 4. At most `PRODUCERS_PER_PARTITION_MAX` producers; when full, the sixteenth part that wrote longest ago is forgotten. A forgotten
//!    producer is an unknown one: its next batch is accepted with any sequence, as after its expiry.
//!
//! Deliberately absent: transactions. What snapshots and batches of a Kafka say on open transactions is passed on, not acted on.
//! Source: Kafka's `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`; KIP-98, KIP-360.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::AppendError;
use crate::log::checkpoint::BadFile;
use crate::types::limits::{PRODUCER_BATCHES_KEPT, PRODUCERS_PER_PARTITION_MAX};
use crate::types::{Millis, Offset, ProducerEpoch, ProducerId, WallMillis};
use crate::wire::batch::BatchHeader;

const SNAPSHOT_VERSION: i16 = 1;
const SNAPSHOT_HEAD_BYTES: usize = 6;
const SNAPSHOT_ENTRY_BYTES: usize = 46;
const NONE: i64 = -1;

/// A batch of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Batch {
    last_sequence: i32,
    last_offset: Offset,
    offset_delta: i32,
    max_timestamp: i64,
}

impl Batch {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            max_timestamp: header.max_timestamp,
        }
    }

    /// Sequences count modulo 2^31.
    fn first_sequence(&self) -> i32 {
        self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    epoch: ProducerEpoch,
    batches: VecDeque<Batch>,
    last_timestamp: i64,
    coordinator_epoch: i32,
    txn_first_offset: i64,
    /// Order of the last write among all producers.
    written: u64,
}

impl Entry {
    fn is_expired(&self, now: WallMillis, expiration: Millis) -> bool {
        let silent_ms = now.0.saturating_sub(self.last_timestamp);
        self.txn_first_offset == NONE && u64::try_from(silent_ms).is_ok_and(|ms| ms >= expiration.0)
    }
}

/// A batch that was here before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Duplicate {
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) max_timestamp: i64,
}

/// The producers of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Producers {
    entries: BTreeMap<ProducerId, Entry>,
    writes: u64,
    /// First batches of unknown producers that found no space: what follows them must not go first.
    refused: BTreeMap<ProducerId, (ProducerEpoch, i32)>,
}

impl Producers {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// May this batch of an idempotent producer be appended? `Some` if it was already.
    pub(super) fn check(&self, header: &BatchHeader) -> Result<Option<Duplicate>, AppendError> {
        let Some(entry) = self.entries.get(&header.producer_id) else {
            // Unknown, or forgotten after a long silence: any sequence may be right, but not one that overtakes.
            return match self.refused.get(&header.producer_id) {
                Some(&(epoch, first))
                    if epoch == header.producer_epoch && header.base_sequence > first =>
                {
                    Err(AppendError::OutOfOrderSequence {
                        producer_id: header.producer_id,
                        sequence: header.base_sequence,
                        last: None,
                    })
                }
                _ => Ok(None),
            };
        };
        if let Some(batch) = find_duplicate(entry, header) {
            return Ok(Some(batch));
        }
        if header.producer_epoch < entry.epoch {
            return Err(AppendError::OldProducerEpoch {
                producer_id: header.producer_id,
                epoch: header.producer_epoch,
                current: entry.epoch,
            });
        }
        let last = entry.batches.back().map(|batch| batch.last_sequence);
        let follows = if header.producer_epoch > entry.epoch {
            // A new epoch starts over, unless no epoch was ever known.
            header.base_sequence == 0 || entry.epoch.0 < 0
        } else {
            // Without a batch the epoch came from a marker: nothing says where the sequence is.
            let expected = last.map_or(0, |last| last.wrapping_add(1) & i32::MAX);
            header.base_sequence == expected || entry.epoch.0 < 0
        };
        if follows {
            Ok(None)
        } else {
            Err(AppendError::OutOfOrderSequence {
                producer_id: header.producer_id,
                sequence: header.base_sequence,
                last,
            })
        }
    }

    /// Takes note of a batch that passed [`Producers::check`] and found no space.
    pub(super) fn refuse(&mut self, header: &BatchHeader) {
        let known = self.entries.contains_key(&header.producer_id);
        if header.has_producer_id() && !known && self.refused.len() < PRODUCERS_PER_PARTITION_MAX {
            let first = (header.producer_epoch, header.base_sequence);
            self.refused.insert(header.producer_id, first);
        }
    }

    /// Takes note of a batch that is in the log.
    pub(super) fn apply(&mut self, header: &BatchHeader) {
        if !header.has_producer_id() {
            return;
        }
        if self.entries.len() >= PRODUCERS_PER_PARTITION_MAX
            && !self.entries.contains_key(&header.producer_id)
        {
            self.forget_oldest();
        }
        self.refused.remove(&header.producer_id);
        self.writes += 1;
        let entry = self.entries.entry(header.producer_id).or_insert(Entry {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            last_timestamp: header.max_timestamp,
            coordinator_epoch: -1,
            txn_first_offset: NONE,
            written: 0,
        });
        entry.written = self.writes;
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        entry.last_timestamp = header.max_timestamp;
        if header.is_control() {
            entry.txn_first_offset = NONE;
            return;
        }
        if header.is_transactional() && entry.txn_first_offset == NONE {
            entry.txn_first_offset = header.base_offset.0;
        }
        if header.base_sequence >= 0 {
            if entry.batches.len() == PRODUCER_BATCHES_KEPT {
                entry.batches.pop_front();
            }
            entry.batches.push_back(Batch::of(header));
        }
    }

    fn forget_oldest(&mut self) {
        let mut order: Vec<u64> = self.entries.values().map(|entry| entry.written).collect();
        let count = (order.len() / 16).max(1);
        let (_, bound, _) = order.select_nth_unstable(count - 1);
        let bound = *bound;
        self.entries.retain(|_, entry| entry.written > bound);
    }

    /// Forgets producers that were silent for so long.
    pub(super) fn expire(&mut self, now: WallMillis, expiration: Millis) {
        self.entries
            .retain(|_, entry| !entry.is_expired(now, expiration));
        self.refused.clear();
    }

    /// The content of a snapshot: each producer once for each batch kept, oldest first. A Kafka keeps the last of several entries, so that it
    /// reads what it would have written; without the older ones a repeat of an unanswered batch, sent again after a restart, would
    /// be refused although it is in the log.
    pub(super) fn encode(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(4 + self.entries.len() * SNAPSHOT_ENTRY_BYTES);
        let count: usize = self.entries.values().map(|e| e.batches.len().max(1)).sum();
        body.put_i32(i32::try_from(count).expect("the count is bounded"));
        for (producer_id, entry) in &self.entries {
            let last = entry.batches.len().saturating_sub(1);
            for batch in entry.batches.iter().take(last) {
                let timestamp = batch.max_timestamp;
                encode_entry(*producer_id, entry, Some(batch), timestamp, NONE, &mut body);
            }
            let batch = entry.batches.back();
            let (timestamp, txn) = (entry.last_timestamp, entry.txn_first_offset);
            encode_entry(*producer_id, entry, batch, timestamp, txn, &mut body);
        }
        let mut file = BytesMut::with_capacity(SNAPSHOT_HEAD_BYTES + body.len());
        file.put_i16(SNAPSHOT_VERSION);
        file.put_u32(crc32c::crc32c(&body));
        file.extend_from_slice(&body);
        file.freeze()
    }

    /// Reads a snapshot, without the producers that expired since.
    pub(super) fn decode(
        bytes: &[u8],
        now: WallMillis,
        expiration: Millis,
    ) -> Result<Self, BadFile> {
        let mut bytes = bytes;
        if bytes.len() < SNAPSHOT_HEAD_BYTES + 4 {
            return Err(BadFile("a snapshot is longer"));
        }
        if bytes.get_i16() != SNAPSHOT_VERSION {
            return Err(BadFile("version is not 1"));
        }
        if bytes.get_u32() != crc32c::crc32c(bytes) {
            return Err(BadFile("checksum is wrong"));
        }
        let count = usize::try_from(bytes.get_i32()).map_err(|_| BadFile("negative count"))?;
        if count.checked_mul(SNAPSHOT_ENTRY_BYTES) != Some(bytes.len()) {
            return Err(BadFile("the count is not the number of entries"));
        }
        let mut producers = Self::default();
        for _ in 0..count {
            producers.decode_entry(&mut bytes);
        }
        producers.expire(now, expiration);
        Ok(producers)
    }

    /// The caller saw to it that the bytes are there.
    fn decode_entry(&mut self, bytes: &mut &[u8]) {
        let producer_id = ProducerId(bytes.get_i64());
        let epoch = ProducerEpoch(bytes.get_i16());
        let last_sequence = bytes.get_i32();
        let last_offset = Offset(bytes.get_i64());
        let offset_delta = bytes.get_i32();
        let last_timestamp = bytes.get_i64();
        let coordinator_epoch = bytes.get_i32();
        let txn_first_offset = bytes.get_i64();
        let known = last_offset.0 >= 0 && last_sequence >= 0 && offset_delta >= 0;
        let batch = known.then_some(Batch {
            last_sequence,
            last_offset,
            offset_delta,
            max_timestamp: last_timestamp,
        });
        self.writes += 1;
        // Entries of one producer and epoch are its batches, oldest first.
        let mut batches = match self.entries.remove(&producer_id) {
            Some(before) if before.epoch == epoch => before.batches,
            _ => VecDeque::new(),
        };
        batches.extend(batch);
        while batches.len() > PRODUCER_BATCHES_KEPT {
            batches.pop_front();
        }
        self.entries.insert(
            producer_id,
            Entry {
                epoch,
                batches,
                last_timestamp,
                coordinator_epoch,
                txn_first_offset,
                written: self.writes,
            },
        );
    }
}

fn encode_entry(
    producer_id: ProducerId,
    entry: &Entry,
    batch: Option<&Batch>,
    timestamp: i64,
    txn_first_offset: i64,
    body: &mut BytesMut,
) {
    body.put_i64(producer_id.0);
    body.put_i16(entry.epoch.0);
    body.put_i32(batch.map_or(-1, |batch| batch.last_sequence));
    body.put_i64(batch.map_or(NONE, |batch| batch.last_offset.0));
    body.put_i32(batch.map_or(0, |batch| batch.offset_delta));
    body.put_i64(timestamp);
    body.put_i32(entry.coordinator_epoch);
    body.put_i64(txn_first_offset);
}

fn find_duplicate(entry: &Entry, header: &BatchHeader) -> Option<Duplicate> {
    if header.producer_epoch != entry.epoch {
        return None;
    }
    let same = |batch: &&Batch| {
        batch.first_sequence() == header.base_sequence
            && batch.last_sequence == header.last_sequence()
    };
    entry.batches.iter().find(same).map(|batch| Duplicate {
        base_offset: Offset(batch.last_offset.0 - i64::from(batch.offset_delta)),
        last_offset: batch.last_offset,
        max_timestamp: batch.max_timestamp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LeaderEpoch;

    fn batch(producer: i64, epoch: i16, sequence: i32, count: i32, offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset: Offset(offset),
            batch_length: 49,
            leader_epoch: LeaderEpoch(0),
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 1000 + offset,
            max_timestamp: 1000 + offset,
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence: sequence,
            record_count: count,
        }
    }

    /// What a batch is answered: `ok`, `dup <base offset>`, `45`, `47`; an accepted one is applied.
    fn answer(producers: &mut Producers, header: &BatchHeader) -> String {
        match producers.check(header) {
            Ok(None) => {
                producers.apply(header);
                "ok".to_owned()
            }
            Ok(Some(duplicate)) => format!("dup {}", duplicate.base_offset),
            Err(AppendError::OutOfOrderSequence { .. }) => "45".to_owned(),
            Err(AppendError::OldProducerEpoch { .. }) => "47".to_owned(),
            Err(other) => panic!("{other}"),
        }
    }

    fn check(script: &[((i16, i32, i32), &str)]) {
        let mut producers = Producers::default();
        let mut offset = 0;
        for (step, &((epoch, sequence, count), expected)) in script.iter().enumerate() {
            let header = batch(7, epoch, sequence, count, offset);
            assert_eq!(answer(&mut producers, &header), expected, "step {step}");
            offset += i64::from(count);
        }
    }

    #[test]
    fn sequences_as_kafka_takes_them() {
        // An unknown producer may start anywhere; then it must go on.
        check(&[
            ((0, 5, 2), "ok"),
            ((0, 7, 1), "ok"),
            ((0, 9, 1), "45"),
            ((0, 6, 1), "45"),
            ((0, 8, 1), "ok"),
        ]);
        // Duplicates: the exact range only, the last five only.
        check(&[
            ((0, 0, 2), "ok"),
            ((0, 0, 2), "dup 0"),
            ((0, 0, 1), "45"),
            ((0, 1, 1), "45"),
            ((0, 2, 1), "ok"),
            ((0, 3, 1), "ok"),
            ((0, 4, 1), "ok"),
            ((0, 5, 1), "ok"),
            ((0, 0, 2), "dup 0"),
            ((0, 6, 1), "ok"),
            ((0, 0, 2), "45"),
        ]);
        // A new epoch starts at 0 and forgets the batches of the old one.
        check(&[
            ((1, 0, 1), "ok"),
            ((0, 1, 1), "47"),
            ((2, 1, 1), "45"),
            ((2, 0, 1), "ok"),
            ((1, 0, 1), "47"),
        ]);
        // After 2147483647 comes 0, within a batch, too.
        check(&[
            ((0, i32::MAX - 1, 2), "ok"),
            ((0, 0, 1), "ok"),
            ((0, i32::MAX - 1, 2), "dup 0"),
        ]);
        check(&[
            ((0, i32::MAX, 3), "ok"),
            ((0, i32::MAX, 3), "dup 0"),
            ((0, 2, 1), "ok"),
        ]);
    }

    #[test]
    fn snapshots_keep_the_last_batches() {
        let mut producers = Producers::default();
        for header in [
            batch(7, 1, 0, 3, 0),
            batch(7, 1, 3, 2, 3),
            batch(9, 0, 0, 1, 5),
        ] {
            producers.apply(&header);
        }
        let bytes = producers.encode();
        assert_eq!(bytes.len(), 6 + 4 + 3 * 46);
        assert_eq!(bytes[..2], [0, 1]);
        let now = WallMillis(2000);
        let mut read = Producers::decode(&bytes, now, Millis(86_400_000)).expect("a snapshot");
        assert_eq!(answer(&mut read, &batch(7, 1, 3, 2, 6)), "dup 3");
        assert_eq!(answer(&mut read, &batch(7, 1, 0, 3, 6)), "dup 0");
        assert_eq!(read, producers);
        assert_eq!(answer(&mut read, &batch(9, 0, 1, 1, 6)), "ok");
        assert_eq!(
            Producers::decode(&bytes, WallMillis(1005), Millis(1))
                .expect("a snapshot")
                .entries
                .len(),
            1
        );
    }

    #[test]
    fn damaged_snapshots_are_refused() {
        let mut producers = Producers::default();
        producers.apply(&batch(7, 1, 0, 3, 0));
        let good = producers.encode();
        let decode = |bytes: &[u8]| Producers::decode(bytes, WallMillis(0), Millis(1));
        assert!(decode(&good).is_ok());
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_err(), "cut to {len}");
        }
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x40;
            assert!(decode(&bad).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn the_longest_silent_are_forgotten_when_full() {
        let mut producers = Producers::default();
        let full = i64::try_from(PRODUCERS_PER_PARTITION_MAX).expect("fits");
        for id in 0..full {
            producers.apply(&batch(id, 0, 0, 1, id));
        }
        producers.apply(&batch(0, 0, 1, 1, full));
        producers.apply(&batch(full, 0, 0, 1, full + 1));
        assert!(producers.entries.len() < PRODUCERS_PER_PARTITION_MAX);
        assert!(producers.entries.contains_key(&ProducerId(0)));
        assert!(!producers.entries.contains_key(&ProducerId(1)));
        assert!(producers.entries.contains_key(&ProducerId(full)));
    }
}
