//! A client that fetches: from where it stopped or from anywhere, with and without waiting, and asks for offsets now and then.
//! In the end one of them reads every partition in full for the last judgement.
//!
//! Deliberately absent: fetch sessions (session id 0, epoch -1 throughout), groups.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    TopicName,
};
use onrush_core::types::ErrorCode;
use uuid::Uuid;

use super::{Action, Client, Context, Link, Phase};
use crate::batch::{self, Record};
use crate::frames;
use crate::ledger::Place;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

#[derive(Debug)]
struct Wanted {
    place: Place,
    offset: i64,
    /// The high watermark known when the request was sent.
    known: i64,
    losses: u32,
}

#[derive(Debug)]
enum Asked {
    Fetch(i16, Vec<Wanted>),
    Offset(i16, Place, i64, i64, u32),
}

#[derive(Debug, Default)]
struct Reading {
    records: Vec<(i64, Record)>,
    done: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Consumer {
    link: Link<Asked>,
    next: BTreeMap<Place, i64>,
    pause_us_max: u64,
    /// Present once this consumer reads everything.
    verify: Option<BTreeMap<Place, Reading>>,
}

impl Consumer {
    /// A consumer of this pace.
    #[must_use]
    pub fn new(pause_us_max: u64) -> Self {
        Self {
            link: Link::default(),
            next: BTreeMap::new(),
            pause_us_max,
            verify: None,
        }
    }

    /// One that reads these partitions in full.
    #[must_use]
    pub fn verifier(places: &[Place]) -> Self {
        let verify = places.iter().map(|&p| (p, Reading::default())).collect();
        Self {
            verify: Some(verify),
            ..Self::new(1_000)
        }
    }

    fn has_verified(&self) -> bool {
        self.verify
            .as_ref()
            .is_none_or(|v| v.values().all(|r| r.done))
    }

    fn next(&mut self, context: &mut Context) {
        if !self.link.up || !self.link.waiting.is_empty() {
            return;
        }
        if let Some(verify) = &self.verify {
            let left = verify.iter().find(|(_, reading)| !reading.done);
            if let Some((&place, reading)) = left {
                let offset = i64::try_from(reading.records.len()).expect("few records");
                let version = context.rng.between(4, 17);
                let version = i16::try_from(version).expect("small");
                self.fetch(context, version, &[(place, offset)], 0, 1 << 20);
            }
            return;
        }
        let live = context.ledger.live_places();
        if context.phase != Phase::Work || live.is_empty() {
            return;
        }
        if context.rng.one_in(6) {
            let place = *context.rng.pick(&live);
            self.ask_offset(context, place);
            return;
        }
        let mut wanted: Vec<(Place, i64)> = Vec::new();
        for _ in 0..context.rng.between(1, 4) {
            let place = *context.rng.pick(&live);
            let known = context.ledger.high_watermark(place);
            let offset = if context.rng.one_in(4) {
                i64::try_from(context.rng.below(known.unsigned_abs() + 1)).expect("an offset")
            } else {
                self.next.get(&place).copied().unwrap_or(0).min(known)
            };
            if wanted.iter().all(|&(other, _)| other != place) {
                wanted.push((place, offset));
            }
        }
        let version = i16::try_from(context.rng.between(4, 17)).expect("small");
        let wait_ms = *context.rng.pick(&[0, 1, 20, 500]);
        let bytes = *context.rng.pick(&[1, 2_000, 50_000, 1 << 20]);
        self.fetch(context, version, &wanted, wait_ms, bytes);
    }

    fn fetch(
        &mut self,
        context: &mut Context,
        version: i16,
        wanted: &[(Place, i64)],
        wait_ms: i32,
        bytes: i32,
    ) {
        let mut memory = Vec::new();
        let mut topics: Vec<FetchTopic> = Vec::new();
        for &(place, offset) in wanted {
            let Some(topic) = context.ledger.live(place.0) else {
                continue;
            };
            let partition = FetchPartition::default()
                .with_partition(place.1)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_fetch_offset(offset)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(bytes);
            let (name, id) = if version >= 13 {
                (TopicName::default(), topic.id)
            } else {
                (topic.wire_name(), Uuid::nil())
            };
            topics.push(
                FetchTopic::default()
                    .with_topic(name)
                    .with_topic_id(id)
                    .with_partitions(vec![partition]),
            );
            memory.push(Wanted {
                place,
                offset,
                known: context.ledger.high_watermark(place),
                losses: context.ledger.losses(place),
            });
        }
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(*context.rng.pick(&[0, 1, 5_000]))
            .with_max_bytes(*context.rng.pick(&[10_000, 1 << 22]))
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(topics);
        let asked = Some(Asked::Fetch(version, memory));
        self.link
            .send(context, ApiKey::Fetch, version, &request, asked);
    }

    fn ask_offset(&mut self, context: &mut Context, place: Place) {
        let Some(topic) = context.ledger.live(place.0) else {
            return;
        };
        let earlier = i64::try_from(context.rng.below(2_000)).expect("small");
        let timestamp = *context
            .rng
            .pick(&[EARLIEST, LATEST, context.wall - earlier]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![
                ListOffsetsTopic::default()
                    .with_name(topic.wire_name())
                    .with_partitions(vec![
                        ListOffsetsPartition::default()
                            .with_partition_index(place.1)
                            .with_current_leader_epoch(-1)
                            .with_timestamp(timestamp),
                    ]),
            ]);
        let version = i16::try_from(context.rng.between(1, 9)).expect("small");
        let known = context.ledger.high_watermark(place);
        let losses = context.ledger.losses(place);
        let asked = Some(Asked::Offset(version, place, timestamp, known, losses));
        self.link
            .send(context, ApiKey::ListOffsets, version, &request, asked);
    }

    fn on_fetched(
        &mut self,
        context: &mut Context,
        wanted: Vec<Wanted>,
        version: i16,
        response: &FetchResponse,
    ) -> Result<(), String> {
        if response.error_code != 0 {
            return Err(format!("a fetch got error {}", response.error_code));
        }
        for want in wanted {
            let place = want.place;
            let lossy = context.ledger.losses(place) != want.losses;
            let Some(topic) = context.ledger.live(place.0) else {
                continue;
            };
            if lossy {
                continue;
            }
            let name = topic.wire_name();
            let answer = response
                .responses
                .iter()
                .filter(|t| {
                    if version >= 13 {
                        t.topic_id == topic.id
                    } else {
                        t.topic == name
                    }
                })
                .flat_map(|t| &t.partitions)
                .find(|p| p.partition_index == place.1)
                .ok_or_else(|| format!("{place:?}: no answer to a fetch"))?;
            match ErrorCode::from_code(answer.error_code) {
                ErrorCode::None => {}
                // What a power cut took from a partition that promises less may have been known to this client.
                ErrorCode::OffsetOutOfRange if want.losses > 0 => {
                    self.next.remove(&place);
                    continue;
                }
                // The log directory failed, or the node is stopping.
                ErrorCode::KafkaStorageError | ErrorCode::NotLeaderOrFollower
                    if self.verify.is_none() =>
                {
                    continue;
                }
                code => return Err(format!("{place:?}: fetch from {}: {code:?}", want.offset)),
            }
            let high_watermark = answer.high_watermark;
            let batches = batch::decode(answer.records.clone().unwrap_or_default())
                .map_err(|e| format!("{place:?}: {e}"))?;
            let ledger = &mut *context.ledger;
            ledger.on_high_watermark(place, high_watermark, want.known);
            if answer.last_stable_offset != high_watermark {
                return Err(format!(
                    "{place:?}: a last stable offset without transactions"
                ));
            }
            ledger.on_served(place, &batches, want.offset, high_watermark);
            if let Some(last) = batches.last() {
                self.next.insert(place, last.end());
            }
            if let Some(verify) = &mut self.verify
                && let Some(reading) = verify.get_mut(&place)
            {
                reading.add(&batches, want.offset);
                let read = i64::try_from(reading.records.len()).expect("few records");
                if read >= high_watermark {
                    reading.done = true;
                    ledger.finish(place, &reading.records, high_watermark);
                } else if batches.is_empty() {
                    return Err(format!(
                        "{place:?}: nothing at {read} below {high_watermark}"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Reading {
    fn add(&mut self, batches: &[batch::Batch], from: i64) {
        for batch in batches {
            for (offset, record) in (batch.base_offset..).zip(&batch.records) {
                if offset >= from {
                    self.records.push((offset, record.clone()));
                }
            }
        }
    }
}

fn on_offset(
    context: &mut Context,
    place: Place,
    timestamp: i64,
    known: i64,
    response: &ListOffsetsResponse,
) -> Result<(), String> {
    let answer = response.topics.first().and_then(|t| t.partitions.first());
    let answer = answer.ok_or_else(|| format!("{place:?}: no answer to an offset request"))?;
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None => {}
        ErrorCode::KafkaStorageError | ErrorCode::NotLeaderOrFollower => return Ok(()),
        code => return Err(format!("{place:?}: offset for {timestamp}: {code:?}")),
    }
    if timestamp == LATEST {
        context
            .ledger
            .on_high_watermark(place, answer.offset, known);
    } else if timestamp != EARLIEST {
        let (offset, found) = (answer.offset, answer.timestamp);
        context
            .ledger
            .on_time(place, timestamp, known, offset, found);
    } else if answer.offset != 0 {
        return Err(format!("{place:?}: the log starts at {}", answer.offset));
    }
    Ok(())
}

impl Client for Consumer {
    fn on_connected(&mut self, context: &mut Context) {
        self.link.up = true;
        self.next(context);
    }

    fn on_lost(&mut self, _: &mut Context) {
        self.link.lose();
    }

    fn on_response(&mut self, context: &mut Context, frame: Bytes) -> Result<(), String> {
        let (asked, frame) = self.link.receive(context, frame)?;
        match asked {
            Asked::Fetch(version, wanted) => {
                let response = frames::decode(frame, version)?;
                self.on_fetched(context, wanted, version, &response)?;
            }
            Asked::Offset(version, place, timestamp, known, losses) => {
                let response = frames::decode(frame, version)?;
                let judged = context.ledger.live(place.0).is_some()
                    && context.ledger.losses(place) == losses;
                if judged {
                    on_offset(context, place, timestamp, known, &response)?;
                }
            }
        }
        let us = context.rng.between(1, self.pause_us_max);
        context.actions.push(Action::Wake(us * 1_000));
        Ok(())
    }

    fn on_timer(&mut self, context: &mut Context) {
        self.next(context);
        if self.link.up && self.link.waiting.is_empty() {
            context.actions.push(Action::Wake(10_000_000));
        }
    }

    fn is_idle(&self) -> bool {
        self.link.waiting.is_empty() && self.has_verified()
    }
}
