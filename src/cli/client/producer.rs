//! Sends records: partitions chosen as Kafka's producer does, batches per partition, idempotent with acks=all.
//!
//! Invariants: 1. A batch that is tried again is the same bytes with the same sequence, so that the broker stores it once.
//! 2. A partition has one batch in flight. 3. Memory is bounded: [`BATCH_BYTES`] per partition, then it is sent.
//! Source: Kafka's `BuiltInPartitioner`, `Utils.murmur2`, `Sender`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use onrush_core::types::{ErrorCode, ProducerEpoch, ProducerId};
use onrush_core::wire::build::BatchBuilder;
use onrush_core::wire::codec::Codec;

use super::{Client, ClientError, Leader, topic_name};

/// Bytes of records, not compressed, at which a batch is sent: half of what a broker takes by default.
const BATCH_BYTES: usize = 512 * 1024;

/// How to send.
#[derive(Clone, Copy, Debug)]
pub struct ProducerOptions {
    /// 0, 1 or -1.
    pub acks: i16,
    /// How batches are compressed.
    pub codec: Codec,
    /// Send everything here.
    pub partition: Option<i32>,
}

/// A record to send.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewRecord {
    /// Decides the partition if there.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A partition's batch in the making.
#[derive(Debug)]
struct Open {
    batch: BatchBuilder,
    sequence: i32,
}

/// The producer of one topic.
#[derive(Debug)]
pub struct Producer {
    topic: String,
    options: ProducerOptions,
    leaders: BTreeMap<i32, Leader>,
    open: BTreeMap<i32, Open>,
    id: Option<(ProducerId, ProducerEpoch)>,
    /// Where records without a key go until the next batch.
    sticky: usize,
}

impl Producer {
    /// Looks up the topic (creating it where the broker does so) and, with acks=all, gets a producer id.
    pub fn new(
        client: &mut Client,
        topic: &str,
        options: ProducerOptions,
    ) -> Result<Self, ClientError> {
        let leaders = client.retry(|c| c.leaders(topic, true))?;
        if let Some(partition) = options.partition
            && !leaders.contains_key(&partition)
        {
            let what = format!("partition {topic}-{partition}");
            return Err(ClientError::broker(&what, 3, None));
        }
        let id = match options.acks {
            -1 => client.retry(producer_id)?,
            _ => None,
        };
        Ok(Self {
            topic: topic.to_owned(),
            options,
            leaders,
            open: BTreeMap::new(),
            id,
            sticky: 0,
        })
    }

    /// Takes a record; sends its partition's batch if that is full.
    pub fn push(&mut self, client: &mut Client, record: &NewRecord) -> Result<(), ClientError> {
        let partition = self.partition_of(record);
        let open = self.open.entry(partition).or_insert_with(|| Open {
            batch: BatchBuilder::new(),
            sequence: 0,
        });
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
            .collect();
        open.batch.push(
            wall_millis(),
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
        if open.batch.record_bytes() >= BATCH_BYTES {
            self.send(client, partition)?;
        }
        Ok(())
    }

    /// Sends everything that is gathered and waits for the answers.
    pub fn flush(&mut self, client: &mut Client) -> Result<(), ClientError> {
        for partition in self.open.keys().copied().collect::<Vec<_>>() {
            self.send(client, partition)?;
        }
        Ok(())
    }

    fn partition_of(&self, record: &NewRecord) -> i32 {
        let count = self.leaders.len();
        let index = match (self.options.partition, &record.key) {
            (Some(partition), _) => return partition,
            (None, Some(key)) => {
                let hash = usize::try_from(murmur2(key) & 0x7fff_ffff).unwrap_or(0);
                hash % count
            }
            (None, None) => self.sticky % count,
        };
        // Partitions are numbered from 0 without gaps.
        i32::try_from(index).unwrap_or(0)
    }

    fn send(&mut self, client: &mut Client, partition: i32) -> Result<(), ClientError> {
        let Some(open) = self.open.get_mut(&partition) else {
            return Ok(());
        };
        let count = open.batch.record_count();
        if count == 0 {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut open.batch);
        batch.codec(self.options.codec);
        if let Some((id, epoch)) = self.id {
            batch.producer(id, epoch, open.sequence);
            // Sequences go around after 2^31 - 1.
            open.sequence = open.sequence.wrapping_add(count) & i32::MAX;
        }
        self.sticky = self.sticky.wrapping_add(1);
        let bytes = batch.build();
        client.retry(|client| self.deliver(client, partition, &bytes))
    }

    fn deliver(
        &mut self,
        client: &mut Client,
        partition: i32,
        batch: &Bytes,
    ) -> Result<(), ClientError> {
        let Some(leader) = self.leaders.get(&partition).cloned() else {
            let what = format!("partition {}-{partition}", self.topic);
            return Err(ClientError::broker(&what, 3, None));
        };
        let result = self.deliver_to(client, &leader, partition, batch);
        if result.as_ref().is_err_and(ClientError::is_retriable) {
            // The leader may have moved; a lookup that fails leaves the old one for the next try.
            if let Ok(leaders) = client.leaders(&self.topic, false) {
                self.leaders = leaders;
            }
        }
        result
    }

    fn deliver_to(
        &self,
        client: &mut Client,
        leader: &Leader,
        partition: i32,
        batch: &Bytes,
    ) -> Result<(), ClientError> {
        let timeout_ms = i32::try_from(client.patience().as_millis()).unwrap_or(i32::MAX);
        let request = |_version| {
            let data = PartitionProduceData::default()
                .with_index(partition)
                .with_records(Some(batch.clone()));
            let topic = TopicProduceData::default()
                .with_name(topic_name(&self.topic))
                .with_partition_data(vec![data]);
            ProduceRequest::default()
                .with_transactional_id(None)
                .with_acks(self.options.acks)
                .with_timeout_ms(timeout_ms)
                .with_topic_data(vec![topic])
        };
        // Up to 12: from 13 on topics have ids instead of names.
        if self.options.acks == 0 {
            return client.send_only(&leader.address, 12, request);
        }
        let answer = client.call(&leader.address, 12, request)?;
        let what = format!("partition {}-{partition}", self.topic);
        let found = answer
            .responses
            .into_iter()
            .flat_map(|topic| topic.partition_responses)
            .find(|p| p.index == partition);
        let Some(found) = found else {
            return Err(ClientError::broker(&what, -1, None));
        };
        match ErrorCode::from_code(found.error_code) {
            // The broker has it already: the answer to an earlier try was lost.
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => Ok(()),
            _ => Err(ClientError::broker(
                &what,
                found.error_code,
                found.error_message,
            )),
        }
    }
}

impl Client {
    fn send_only<R: kafka_protocol::protocol::Request>(
        &mut self,
        address: &str,
        version_max: i16,
        request: impl Fn(i16) -> R,
    ) -> Result<(), ClientError> {
        let mut connection = match self.connections.remove(address) {
            Some(connection) => connection,
            None => super::Connection::open(address, super::CONNECT_MAX, self.patience)?,
        };
        let sent = connection.send_only(version_max, request);
        if sent.is_ok() {
            self.connections.insert(address.to_owned(), connection);
        }
        sent
    }
}

/// An id for idempotence; `None` where the broker does not hand out any.
fn producer_id(client: &mut Client) -> Result<Option<(ProducerId, ProducerEpoch)>, ClientError> {
    let answer = client.call_any(4, |_| {
        InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
    });
    match answer {
        Ok(answer) if answer.error_code == 0 => Ok(Some((
            ProducerId(answer.producer_id.0),
            ProducerEpoch(answer.producer_epoch),
        ))),
        Ok(answer) => Err(ClientError::broker("producer id", answer.error_code, None)),
        Err(ClientError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn wall_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// MurmurHash2 as Kafka's clients use it for keys: the same key goes to the same partition from every client.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (index, byte) in tail.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_kafka() {
        // From Kafka's own test of Utils.murmur2.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }
}
