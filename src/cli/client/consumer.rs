//! Reads records of one topic's partitions from given offsets on, without a group.
//!
//! Invariants: 1. Records of a partition come in order, none below the offset asked for. 2. Control records and
//! checksums that do not hold are never shown. 3. Memory is bounded by one answer and [`BATCH_BYTES_MAX`] per batch.
//! Deliberately absent: fetch sessions, read_committed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::{BrokerId, FetchRequest};
use onrush_core::wire::batch::{self, BatchWalk, Walked};
use onrush_core::wire::codec;
use onrush_core::wire::records::{RecordView, Records};

use super::{Client, ClientError, Leader, topic_name};

/// Bytes that one answer may bring.
const FETCH_BYTES_MAX: i32 = 8 * 1024 * 1024;
/// Bytes of one partition in it.
const PARTITION_BYTES_MAX: i32 = 1024 * 1024;
/// A batch that grows larger than this when decompressed is refused.
const BATCH_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// How long the broker holds a fetch that has nothing to bring.
const WAIT_MS_MAX: i32 = 250;
/// Rest after a fetch that failed and is worth another try.
const REST: Duration = Duration::from_millis(100);

/// Where a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in ms, -1 for none.
    pub timestamp: i64,
}

/// A topic's partitions and the offsets to read next.
#[derive(Debug)]
pub struct Consumer {
    topic: String,
    leaders: BTreeMap<i32, Leader>,
    positions: BTreeMap<i32, i64>,
    failing_since: Option<Instant>,
}

impl Consumer {
    /// Begins at `positions`; partitions not in it are not read.
    #[must_use]
    pub fn new(topic: &str, leaders: BTreeMap<i32, Leader>, positions: BTreeMap<i32, i64>) -> Self {
        Self {
            topic: topic.to_owned(),
            leaders,
            positions,
            failing_since: None,
        }
    }

    /// The next offset of each partition.
    #[must_use]
    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// Fetches once from every leader and hands over what came; `on_record` says whether to go on. Returns the number of
    /// records handed over. With nothing to read it takes a fraction of a second per leader.
    pub fn poll<E: From<ClientError>>(
        &mut self,
        client: &mut Client,
        on_record: &mut dyn FnMut(Place, &RecordView<'_>) -> Result<bool, E>,
    ) -> Result<u64, E> {
        let mut by_leader: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in self.positions.keys() {
            if let Some(leader) = self.leaders.get(partition) {
                by_leader
                    .entry(leader.address.clone())
                    .or_default()
                    .push(*partition);
            }
        }
        let mut count = 0;
        for (address, partitions) in by_leader {
            let brought = match self.fetch(client, &address, &partitions) {
                Ok(brought) => brought,
                Err(error) if error.is_retriable() && self.has_patience(client) => {
                    std::thread::sleep(REST);
                    // The leader may have moved; a lookup that fails leaves the old one for the next poll.
                    if let Ok(leaders) = client.leaders(&self.topic, false) {
                        self.leaders = leaders;
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.failing_since = None;
            for (partition, records) in brought {
                let (seen, more) = self.hand_over(&address, partition, &records, on_record)?;
                count += seen;
                if !more {
                    return Ok(count);
                }
            }
        }
        Ok(count)
    }

    /// True while fetches have failed for less than the client's patience.
    fn has_patience(&mut self, client: &Client) -> bool {
        let since = self.failing_since.get_or_insert_with(Instant::now);
        since.elapsed() < client.patience()
    }

    fn fetch(
        &self,
        client: &mut Client,
        address: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, Bytes)>, ClientError> {
        // Up to 12: from 13 on topics have ids instead of names.
        let answer = client.call(address, 12, |_| self.request(partitions))?;
        let what = format!("topic {}", self.topic);
        if answer.error_code != 0 {
            return Err(ClientError::broker(&what, answer.error_code, None));
        }
        let mut brought = Vec::new();
        for partition in answer.responses.into_iter().flat_map(|t| t.partitions) {
            if partition.error_code != 0 {
                let what = format!("partition {}-{}", self.topic, partition.partition_index);
                return Err(ClientError::broker(&what, partition.error_code, None));
            }
            if let Some(records) = partition.records.filter(|r| !r.is_empty()) {
                brought.push((partition.partition_index, records));
            }
        }
        Ok(brought)
    }

    fn request(&self, partitions: &[i32]) -> FetchRequest {
        let asked = partitions
            .iter()
            .filter_map(|index| {
                let partition = FetchPartition::default()
                    .with_partition(*index)
                    .with_fetch_offset(*self.positions.get(index)?)
                    .with_current_leader_epoch(-1)
                    .with_log_start_offset(-1)
                    .with_partition_max_bytes(PARTITION_BYTES_MAX);
                Some(partition)
            })
            .collect();
        let topic = FetchTopic::default()
            .with_topic(topic_name(&self.topic))
            .with_partitions(asked);
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_replica_state(ReplicaState::default())
            .with_max_wait_ms(WAIT_MS_MAX)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES_MAX)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }

    fn hand_over<E: From<ClientError>>(
        &mut self,
        address: &str,
        partition: i32,
        bytes: &Bytes,
        on_record: &mut dyn FnMut(Place, &RecordView<'_>) -> Result<bool, E>,
    ) -> Result<(u64, bool), E> {
        let nonsense = |what: String| ClientError::Protocol {
            address: address.to_owned(),
            what,
        };
        let position = self.positions.entry(partition).or_insert(0);
        let mut count = 0;
        for walked in BatchWalk::new(bytes) {
            let Walked::Batch {
                header, bytes: raw, ..
            } = walked
            else {
                return Err(nonsense("records of a format before version 2".to_owned()).into());
            };
            if header.next_offset().0 <= *position {
                continue;
            }
            if !batch::is_valid(raw) {
                let at = header.base_offset;
                return Err(nonsense(format!("a wrong checksum at offset {at}")).into());
            }
            let codec = header
                .codec()
                .ok_or_else(|| nonsense("a codec that Kafka does not know".to_owned()))?;
            let body = batch::body_of(&bytes.slice_ref(raw));
            let plain = codec::decompress(codec, body, BATCH_BYTES_MAX)
                .map_err(|error| nonsense(error.to_string()))?;
            for record in Records::new(&plain) {
                let record = record.map_err(|error| nonsense(error.to_string()))?;
                let place = Place {
                    partition,
                    offset: header
                        .base_offset
                        .0
                        .saturating_add(record.offset_delta.into()),
                    timestamp: header.record_timestamp(record.timestamp_delta),
                };
                if place.offset < *position || header.is_control() {
                    continue;
                }
                *position = place.offset.saturating_add(1);
                count += 1;
                if !on_record(place, &record)? {
                    return Ok((count, false));
                }
            }
            *position = header.next_offset().0;
        }
        Ok((count, true))
    }
}
