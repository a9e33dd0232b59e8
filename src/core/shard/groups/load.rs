//! From the log of a partition of `__consumer_offsets` to its coordinator: every record from the log's start to its end, replayed.
//!
//! Invariants: 1. One read in flight per coordinator, of [`LOAD_BYTES`] or one batch. 2. Nothing is served before the end is
//! reached. 3. What a transaction stored counts when its marker says that it was committed, as in Kafka; what no marker follows
//! counts for nothing. 4. A log that cannot be read leaves the coordinator failed, not empty.
//! Source: `CoordinatorLoaderImpl`.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Hosted, Stage, config_of};
use crate::effect::Note;
use crate::group::{Coordinator, Record, seed};
use crate::input::Effects;
use crate::log::{ReadError, ReadId};
use crate::shard::Shard;
use crate::types::limits::GROUP_BATCH_BYTES_MAX;
use crate::types::{Millis, Now, Offset, OwnerId, ProducerId};
use crate::wire::batch::{self, BatchHeader, BatchWalk, Walked};
use crate::wire::codec;
use crate::wire::records::Records;

/// Read at once: what a step may walk.
const LOAD_BYTES: u32 = 256 * 1024;
/// The type of a control record that commits a transaction.
const COMMIT: [u8; 2] = 1i16.to_be_bytes();

/// How far a coordinator has come.
#[derive(Debug)]
pub(super) struct Loading {
    /// The next offset to replay.
    next: Offset,
    /// Exclusive end.
    end: Offset,
    read: Option<ReadId>,
    /// Records of transactions whose end was not seen yet.
    open: BTreeMap<ProducerId, Vec<Record>>,
}

impl Shard {
    /// A partition came online: if it keeps groups its coordinator is loaded.
    pub(in crate::shard) fn load_groups(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        if !self.keeps_groups(owner) {
            return;
        }
        let Some(partition) = self.table.get(owner) else {
            return;
        };
        let loading = Loading {
            next: partition.log_start(),
            end: partition.high_watermark(),
            read: None,
            open: BTreeMap::new(),
        };
        let index = partition.name().partition;
        self.groups.loads += 1;
        let seed = seed(self.config.incarnation, index, self.groups.loads);
        let hosted = Hosted {
            partition: index,
            coordinator: Coordinator::new(config_of(&self.config.broker), seed),
            stage: Stage::Loading(loading),
            held: VecDeque::new(),
            rests_until: None,
            chores: VecDeque::new(),
        };
        self.groups.hosted.insert(owner, hosted);
        self.load_more(now, owner, out);
    }

    /// Reads on, or begins to serve at the end.
    fn load_more(&mut self, now: Now, owner: OwnerId, out: &mut Effects) {
        let Some(Hosted {
            stage: Stage::Loading(loading),
            ..
        }) = self.groups.hosted.get(&owner)
        else {
            return;
        };
        let next = (loading.next < loading.end).then_some(loading.next);
        let read = next.and_then(|next| {
            self.with_tenant(owner, out, |partition, disk| {
                partition.read_batches(next, LOAD_BYTES, disk)
            })
        });
        match (self.groups.hosted.get_mut(&owner), read.flatten()) {
            (Some(hosted), Some(read)) => {
                if let Stage::Loading(loading) = &mut hosted.stage {
                    loading.read = Some(read);
                }
            }
            (Some(hosted), None) => {
                hosted.coordinator.loaded(now);
                hosted.stage = Stage::Active;
                self.groups.due = None;
                if !hosted.chores.is_empty() {
                    self.groups.busy.insert(owner);
                }
                let every = self
                    .config
                    .broker
                    .settings()
                    .groups
                    .offsets_retention_check_ms;
                let every = Millis(u64::try_from(every).unwrap_or(u64::MAX));
                let at = now.mono.after(every);
                self.groups.expire_at.get_or_insert(at);
            }
            (None, _) => {}
        }
    }

    /// Batches were read. False if nobody here waits for them.
    pub(in crate::shard) fn on_group_read(
        &mut self,
        now: Now,
        owner: OwnerId,
        read: ReadId,
        result: &Result<Bytes, ReadError>,
        out: &mut Effects,
    ) -> bool {
        let Some(hosted) = self.groups.hosted.get_mut(&owner) else {
            return false;
        };
        let Stage::Loading(loading) = &mut hosted.stage else {
            return false;
        };
        if loading.read != Some(read) {
            return false;
        }
        loading.read = None;
        let replayed = match result {
            Ok(bytes) => replay(&mut hosted.coordinator, loading, bytes),
            Err(error) => Err(error.to_string()),
        };
        match replayed {
            Ok(()) => self.load_more(now, owner, out),
            Err(why) => {
                hosted.stage = Stage::Failed;
                let index = hosted.partition;
                let text =
                    format!("the groups of __consumer_offsets-{index} are not served: {why}");
                Self::note(out, Note::Error(text));
            }
        }
        true
    }
}

/// Takes in what was read. The error is a sentence for people.
fn replay(
    coordinator: &mut Coordinator,
    loading: &mut Loading,
    bytes: &Bytes,
) -> Result<(), String> {
    let before = loading.next;
    for walked in BatchWalk::new(bytes) {
        let Walked::Batch {
            header, bytes: raw, ..
        } = walked
        else {
            return Err(format!("a batch at {} is of an old format", loading.next));
        };
        if header.next_offset() <= loading.next {
            continue;
        }
        let at = header.base_offset;
        if !batch::is_valid(raw) {
            return Err(format!("the checksum of the batch at {at} is wrong"));
        }
        replay_batch(coordinator, loading, &header, &bytes.slice_ref(raw))
            .map_err(|why| format!("the batch at {at}: {why}"))?;
        loading.next = header.next_offset();
    }
    if loading.next == before {
        // Nothing lies between here and the end.
        loading.next = loading.end;
    }
    Ok(())
}

fn replay_batch(
    coordinator: &mut Coordinator,
    loading: &mut Loading,
    header: &BatchHeader,
    raw: &Bytes,
) -> Result<(), String> {
    let codec = header.codec().ok_or("its codec is unknown")?;
    let body = batch::body_of(raw);
    let plain = codec::decompress(codec, body, GROUP_BATCH_BYTES_MAX);
    let plain = Bytes::from(plain.map_err(|error| error.to_string())?);
    for record in Records::new(&plain) {
        let record = record.map_err(|error| error.to_string())?;
        let offset = header
            .base_offset
            .0
            .saturating_add(record.offset_delta.into());
        let Some(key) = record.key.filter(|_| offset >= loading.next.0) else {
            continue;
        };
        if header.is_control() {
            let entries = loading.open.remove(&header.producer_id).unwrap_or_default();
            if key.get(2..4) == Some(&COMMIT[..]) {
                for entry in entries {
                    coordinator
                        .replay(&entry)
                        .map_err(|error| error.to_string())?;
                }
            }
            continue;
        }
        // A copy: the record must not keep the whole read in memory.
        let entry = Record {
            key: Bytes::copy_from_slice(key),
            value: record.value.map(Bytes::copy_from_slice),
        };
        if header.is_transactional() {
            let open = loading.open.entry(header.producer_id).or_default();
            open.push(entry);
        } else {
            coordinator
                .replay(&entry)
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
