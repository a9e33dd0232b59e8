//! What clients were told, and whether it stays true.
//!
//! Invariants checked, by what clients see alone:
//! 1. An acknowledged record is at its offset, unchanged, for ever; so is a record that was served.
//! 2. An idempotent record is there at most once and in its producer's order; a plain one at most once per attempt.
//! 3. Nothing is there that was not sent to this partition in this life of its topic; offsets have no gaps.
//! 4. The high watermark seen in the answer to a request is at least the one known when the request was sent.
//! 5. An acknowledged topic exists with its id; a topic whose deletion was acknowledged does not come back.
//! 6. A search by time finds the first record that is as late, or none if no known one is; leader epochs do not fall along a log.
//!
//! A power cut takes unflushed data of a `written` topic, which promises no more: what such a partition held before
//! is then only required to be valid.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::batch::{Batch, Record};
use crate::groups::Groups;
use crate::rng::mix;

/// One life of a topic of some name.
pub type Life = u32;
/// A partition of a life.
pub type Place = (Life, i32);
/// A record's identity: writer in the upper bits, its count below.
pub type RecordId = u64;

/// What is known of a topic's existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// Not created, or its deletion was acknowledged.
    Absent,
    /// Its creation was asked for, or its deletion, and nothing came back.
    Unknown,
    /// Its creation was acknowledged; its id is not known yet.
    Created,
    /// It was seen with its id.
    Live,
}

/// A topic that clients work on.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Partitions it has.
    pub partitions: i32,
    /// True: survives a power cut.
    pub flushed: bool,
    /// Topic configs to create it with.
    pub configs: Vec<(String, String)>,
    /// Is it there?
    pub existence: Existence,
    /// Its id, once known.
    pub id: Uuid,
    /// Counts its lives.
    pub life: Life,
}

impl Topic {
    /// Its name as the wire has it.
    #[must_use]
    pub fn wire_name(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.name.clone()))
    }
}

#[derive(Clone, Debug)]
struct Sent {
    place: Place,
    len: usize,
    timestamp: i64,
    attempts: u32,
    idempotent: bool,
}

/// A partition's promises.
#[derive(Clone, Debug, Default)]
struct Promises {
    at: BTreeMap<i64, RecordId>,
    acked_somewhere: Vec<RecordId>,
    high_watermark: i64,
    /// Counts power cuts that may have taken data.
    losses: u32,
}

/// All promises.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The topics, in a fixed order.
    pub topics: Vec<Topic>,
    sent: BTreeMap<RecordId, Sent>,
    places: BTreeMap<Place, Promises>,
    life_next: Life,
    failure: Option<String>,
    /// What members of groups were told.
    pub groups: Groups,
    /// Records acknowledged.
    pub acked: u64,
    /// Records served to consumers.
    pub served: u64,
}

impl Ledger {
    /// No promises yet about these topics.
    #[must_use]
    pub fn new(topics: Vec<Topic>) -> Self {
        Self {
            topics,
            ..Self::default()
        }
    }

    /// Notes the first broken promise; later ones follow from it.
    pub fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// The first broken promise.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Begins a new life of a topic, whose creation is about to be asked for.
    pub fn begin_life(&mut self, topic: usize) {
        self.life_next += 1;
        let topic = &mut self.topics[topic];
        topic.life = self.life_next;
        topic.id = Uuid::nil();
        topic.existence = Existence::Unknown;
    }

    /// The topic that lives this life, if it surely does.
    #[must_use]
    pub fn live(&self, life: Life) -> Option<&Topic> {
        self.topics
            .iter()
            .find(|t| t.life == life && t.existence == Existence::Live)
    }

    /// True unless the topic's life surely is over.
    #[must_use]
    pub fn may_exist(&self, life: Life) -> bool {
        let mut topics = self.topics.iter();
        topics.any(|t| t.life == life && t.existence != Existence::Absent)
    }

    /// True while it is not known of every topic whether it exists.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        let mut topics = self.topics.iter();
        topics.any(|t| matches!(t.existence, Existence::Unknown | Existence::Created))
    }

    /// All partitions that surely exist.
    #[must_use]
    pub fn live_places(&self) -> Vec<Place> {
        let live = self
            .topics
            .iter()
            .filter(|t| t.existence == Existence::Live);
        live.flat_map(|t| (0..t.partitions).map(|p| (t.life, p)))
            .collect()
    }

    /// How often a power cut took data from a partition that does not promise to keep it.
    #[must_use]
    pub fn losses(&self, place: Place) -> u32 {
        self.places.get(&place).map_or(0, |p| p.losses)
    }

    /// The highest high watermark that a client has seen.
    #[must_use]
    pub fn high_watermark(&self, place: Place) -> i64 {
        self.places.get(&place).map_or(0, |p| p.high_watermark)
    }

    /// A record about to be sent for the first time.
    pub fn make(
        &mut self,
        id: RecordId,
        place: Place,
        len: usize,
        timestamp: i64,
        once: bool,
    ) -> Record {
        let sent = Sent {
            place,
            len,
            timestamp,
            attempts: 0,
            idempotent: once,
        };
        self.sent.insert(id, sent);
        Record {
            timestamp,
            value: value_of(id, len),
        }
    }

    /// Records go out once more.
    pub fn attempt(&mut self, ids: &[RecordId]) {
        for id in ids {
            if let Some(sent) = self.sent.get_mut(id) {
                sent.attempts += 1;
            }
        }
    }

    /// These records lost their protection against duplicates: they are sent again under another producer id.
    pub fn unprotect(&mut self, ids: &[RecordId]) {
        for id in ids {
            if let Some(sent) = self.sent.get_mut(id) {
                sent.idempotent = false;
            }
        }
    }

    /// The broker acknowledged these records, from this offset on (-1: it did not say where).
    pub fn on_acked(&mut self, place: Place, ids: &[RecordId], base_offset: i64) {
        self.acked += ids.len() as u64;
        let promises = self.places.entry(place).or_default();
        if base_offset < 0 {
            promises.acked_somewhere.extend_from_slice(ids);
            return;
        }
        let mut offset = base_offset;
        let mut broken = None;
        for &id in ids {
            if let Some(before) = promises.at.insert(offset, id)
                && before != id
            {
                broken = Some(format!(
                    "acknowledged {id:x} at {place:?}@{offset}, where {before:x} is"
                ));
            }
            offset += 1;
        }
        promises.high_watermark = promises.high_watermark.max(offset);
        if let Some(what) = broken {
            self.fail(what);
        }
    }

    /// A high watermark in an answer to a request sent when `known` was.
    pub fn on_high_watermark(&mut self, place: Place, seen: i64, known: i64) {
        if seen < known {
            self.fail(format!("{place:?}: high watermark {seen} after {known}"));
        }
        let promises = self.places.entry(place).or_default();
        promises.high_watermark = promises.high_watermark.max(seen);
    }

    /// A search by time, asked for when the high watermark was `known`, found this offset and timestamp, or -1 and -1.
    pub fn on_time(&mut self, place: Place, wanted: i64, known: i64, offset: i64, timestamp: i64) {
        let Some(promises) = self.places.get(&place) else {
            return;
        };
        let bound = if offset < 0 { known } else { offset };
        let missed = promises
            .at
            .range(..bound)
            .find(|(_, id)| self.sent[id].timestamp >= wanted)
            .map(|(offset, _)| *offset);
        let found = promises.at.get(&offset).map(|id| self.sent[id].timestamp);
        if let Some(missed) = missed {
            self.fail(format!(
                "{place:?}: {offset} for time {wanted}, but {missed} comes first"
            ));
        } else if found.is_some_and(|found| found != timestamp || found < wanted) {
            self.fail(format!(
                "{place:?}@{offset}: time {timestamp} for {wanted}, it has {found:?}"
            ));
        }
    }

    /// Batches were served in the answer to a fetch from `fetch_offset`, with this high watermark.
    pub fn on_served(
        &mut self,
        place: Place,
        batches: &[Batch],
        fetch_offset: i64,
        high_watermark: i64,
    ) {
        let mut expected = None;
        for pair in batches.windows(2) {
            if pair[1].leader_epoch < pair[0].leader_epoch {
                self.fail(format!(
                    "{place:?}@{}: the leader epoch falls",
                    pair[1].base_offset
                ));
            }
        }
        for batch in batches {
            let fits = match expected {
                None => batch.base_offset <= fetch_offset && fetch_offset < batch.end(),
                Some(offset) => batch.base_offset == offset,
            };
            if !fits || batch.end() > high_watermark {
                self.fail(format!(
                    "{place:?}: served {}..{} for {fetch_offset}, after {expected:?}, high watermark {high_watermark}",
                    batch.base_offset,
                    batch.end()
                ));
            }
            expected = Some(batch.end());
            for (offset, record) in (batch.base_offset..).zip(&batch.records) {
                self.on_record(place, offset, record);
            }
        }
    }

    fn on_record(&mut self, place: Place, offset: i64, record: &Record) {
        self.served += 1;
        let Some(id) = self.identify(place, record) else {
            self.fail(format!(
                "{place:?}@{offset}: a record that was not sent there"
            ));
            return;
        };
        let promises = self.places.entry(place).or_default();
        if let Some(before) = promises.at.insert(offset, id)
            && before != id
        {
            self.fail(format!("{place:?}@{offset}: {id:x}, where {before:x} was"));
        }
    }

    /// The record's identity, if it was sent to this place and is unchanged.
    fn identify(&self, place: Place, record: &Record) -> Option<RecordId> {
        let id = RecordId::from_be_bytes(record.value.get(..8)?.try_into().ok()?);
        let sent = self.sent.get(&id)?;
        let same = sent.place == place
            && sent.timestamp == record.timestamp
            && record.value == value_of(id, sent.len);
        same.then_some(id)
    }

    /// The power went: partitions that do not promise to survive that start over.
    pub fn on_power_cut(&mut self) {
        for topic in &self.topics {
            if topic.flushed {
                continue;
            }
            for partition in 0..topic.partitions {
                let promises = self.places.entry((topic.life, partition)).or_default();
                promises.at.clear();
                promises.acked_somewhere.clear();
                promises.high_watermark = 0;
                promises.losses += 1;
            }
        }
    }

    /// Judges a partition by all of its records, in order.
    pub fn finish(&mut self, place: Place, all: &[(i64, Record)], high_watermark: i64) {
        let lossy = self.losses(place) > 0;
        let mut found: BTreeMap<RecordId, u32> = BTreeMap::new();
        let mut latest: BTreeMap<u64, RecordId> = BTreeMap::new();
        let mut next = 0;
        for (offset, record) in all {
            if *offset != next {
                self.fail(format!("{place:?}: offset {offset} where {next} was due"));
            }
            next = offset + 1;
            let Some(id) = self.identify(place, record) else {
                self.fail(format!(
                    "{place:?}@{offset}: a record that was not sent there"
                ));
                return;
            };
            *found.entry(id).or_default() += 1;
            let promised = self.places.get(&place).and_then(|p| p.at.get(offset));
            if let Some(&promised) = promised
                && promised != id
            {
                self.fail(format!(
                    "{place:?}@{offset}: {id:x}, where {promised:x} was"
                ));
            }
            let before = latest.insert(id >> 40, id);
            let once = self.sent[&id].idempotent;
            if once && !lossy && before.is_some_and(|before| before > id) {
                self.fail(format!("{place:?}@{offset}: {id:x} after {before:x?}"));
            }
        }
        if next != high_watermark {
            self.fail(format!(
                "{place:?}: {next} records, high watermark {high_watermark}"
            ));
        }
        for (id, count) in &found {
            let sent = &self.sent[id];
            let allowed = if sent.idempotent { 1 } else { sent.attempts };
            if *count > allowed && !lossy {
                self.fail(format!(
                    "{place:?}: {id:x} is there {count} times, {allowed} allowed"
                ));
            }
        }
        let promises = self.places.entry(place).or_default().clone();
        if next < promises.high_watermark {
            self.fail(format!(
                "{place:?}: ends at {next}, a client saw {}",
                promises.high_watermark
            ));
        }
        for (offset, id) in promises.at {
            if offset >= next {
                self.fail(format!("{place:?}@{offset}: {id:x} is lost"));
            }
        }
        for id in promises.acked_somewhere {
            if !found.contains_key(&id) {
                self.fail(format!("{place:?}: {id:x} is lost"));
            }
        }
    }
}

/// The value of a record: its identity and bytes that follow from it.
fn value_of(id: RecordId, len: usize) -> Bytes {
    let mut value = BytesMut::with_capacity(len.max(8));
    value.put_u64(id);
    let mut word = id;
    while value.len() < len {
        word = mix(word);
        let bytes = word.to_be_bytes();
        let take = bytes.len().min(len - value.len());
        value.put_slice(&bytes[..take]);
    }
    value.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (1, 0);

    fn ledger() -> (Ledger, Vec<(i64, Record)>) {
        let mut ledger = Ledger::default();
        ledger.topics.push(Topic {
            name: "t".into(),
            partitions: 1,
            flushed: true,
            configs: Vec::new(),
            existence: Existence::Absent,
            id: Uuid::nil(),
            life: 0,
        });
        ledger.begin_life(0);
        let all: Vec<(i64, Record)> = (0..3u32)
            .map(|i| {
                let id = u64::from(i);
                let record = ledger.make(id, PLACE, 20, 77, true);
                ledger.attempt(&[id]);
                (i64::from(i), record)
            })
            .collect();
        ledger.on_acked(PLACE, &[0, 1, 2], 0);
        (ledger, all)
    }

    #[test]
    fn a_true_history_passes() {
        let (mut ledger, all) = ledger();
        ledger.finish(PLACE, &all, 3);
        assert_eq!(ledger.failure(), None);
    }

    #[test]
    fn a_lost_a_doubled_a_changed_and_a_swapped_record_are_seen() {
        type Break = fn(&mut Vec<(i64, Record)>);
        let breaks: [Break; 4] = [
            |all| {
                all.pop();
            },
            |all| {
                let last = all[2].1.clone();
                all.push((3, last));
            },
            |all| all[1].1.value = Bytes::from(vec![0; 20]),
            |all| {
                let (a, b) = (all[0].1.clone(), all[1].1.clone());
                (all[0].1, all[1].1) = (b, a);
            },
        ];
        for (index, break_it) in breaks.iter().enumerate() {
            let (mut ledger, mut all) = ledger();
            break_it(&mut all);
            let high_watermark = i64::try_from(all.len()).unwrap();
            ledger.finish(PLACE, &all, high_watermark);
            assert!(ledger.failure().is_some(), "break {index}");
        }
    }

    #[test]
    fn a_power_cut_frees_written_topics_only() {
        for flushed in [false, true] {
            let (mut ledger, all) = ledger();
            ledger.topics[0].flushed = flushed;
            ledger.on_power_cut();
            ledger.finish(PLACE, &all[..1], 1);
            assert_eq!(ledger.failure().is_some(), flushed);
        }
    }
}
