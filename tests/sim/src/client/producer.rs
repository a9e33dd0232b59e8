//! A client that produces: idempotently or not, pipelined, to several partitions.
//!
//! Invariants:
//! 1. A partition's unacknowledged batches of an idempotent producer are sent in order, and again after a loss in the same order
//!    with the same sequences; after a refusal nothing is sent to the partition until all answers for it are in.
//! 2. At most five batches of a partition are in flight: the window in which a broker recognises duplicates. Until the first one is acknowledged it
//!    is one: a broker takes any sequence from a producer it does not know, so that a second batch could pass a refused first one.
//!
//! Source: Kafka's `TransactionManager` and `Sender` for what a client does after each error.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
    ProducerId,
};
use onrush_core::types::ErrorCode;

use super::{Action, Client, Context, Link, Phase};
use crate::batch::{self, Identity, Record};
use crate::frames;
use crate::ledger::{Place, RecordId};

/// How a producer works.
#[derive(Clone, Debug)]
pub struct Style {
    /// Tells writers apart.
    pub writer: u64,
    /// With a producer id and sequences.
    pub idempotent: bool,
    /// -1, 1 or 0; idempotent producers use -1.
    pub acks: i16,
    /// Version of Produce.
    pub version: i16,
    /// Requests in flight, 1 to 5.
    pub in_flight_max: usize,
    /// Largest value of a record.
    pub value_bytes_max: u64,
    /// Most records in a batch.
    pub records_max: u64,
    /// Longest pause between requests.
    pub pause_us_max: u64,
    /// Some batches are compressed.
    pub gzip: bool,
}

#[derive(Clone, Debug)]
struct Unacked {
    ids: Vec<RecordId>,
    records: Vec<Record>,
    sequence: i32,
    gzip: bool,
    in_flight: bool,
}

#[derive(Debug, Default)]
struct Lane {
    unacked: VecDeque<Unacked>,
    sequence_next: i32,
    /// A batch was refused: nothing more until all answers are in.
    holding: bool,
    /// The ledger's count of losses when the producer id was taken.
    losses: u32,
    /// A batch was acknowledged under the present producer id.
    known: bool,
}

#[derive(Debug)]
enum Asked {
    ProducerId(i16),
    /// The batches sent, by place and first record.
    Produce(Vec<(Place, RecordId)>),
}

/// See the module.
#[derive(Debug)]
pub struct Producer {
    style: Style,
    link: Link<Asked>,
    identity: Option<(i64, i16)>,
    lanes: BTreeMap<Place, Lane>,
    made: u64,
    /// The latest answer was a refusal: a full disk must not become a storm.
    refused: bool,
}

impl Producer {
    /// A producer of this style.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self {
            style,
            link: Link::default(),
            identity: None,
            lanes: BTreeMap::new(),
            made: 0,
            refused: false,
        }
    }

    fn next(&mut self, context: &mut Context) {
        if !self.link.up || context.phase == Phase::Verify {
            return;
        }
        self.forget_dead(context);
        if self.style.idempotent && self.identity.is_none() {
            self.ask_for_id(context);
            return;
        }
        let mut sent = false;
        if self.link.waiting.len() < self.style.in_flight_max {
            let lanes = self.choose(context);
            if !lanes.is_empty() {
                self.produce(context, lanes);
                sent = true;
            }
        }
        // With nothing to send there is nothing to hurry for.
        let us = if sent { self.style.pause_us_max } else { 5_000 };
        let us = context.rng.between(1, us);
        context.actions.push(Action::Wake(us * 1_000));
    }

    /// Drops what is for topics that are gone, and starts over where a power cut took sequences with the data.
    fn forget_dead(&mut self, context: &mut Context) {
        let ledger = &mut *context.ledger;
        self.lanes.retain(|place, _| ledger.may_exist(place.0));
        let mut reset = false;
        for (place, lane) in &mut self.lanes {
            if lane.losses != ledger.losses(*place) {
                lane.losses = ledger.losses(*place);
                reset = true;
            }
        }
        if reset && self.style.idempotent {
            self.identity = None;
            for lane in self.lanes.values_mut() {
                lane.holding = false;
                lane.known = false;
                lane.sequence_next = 0;
                for unacked in &mut lane.unacked {
                    ledger.unprotect(&unacked.ids);
                    unacked.in_flight = false;
                    unacked.sequence = lane.sequence_next;
                    lane.sequence_next += i32::try_from(unacked.ids.len()).expect("few records");
                }
            }
        }
    }

    fn ask_for_id(&mut self, context: &mut Context) {
        if !self.link.waiting.is_empty() {
            return;
        }
        let version = i16::try_from(context.rng.between(0, 5)).expect("small");
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let asked = Some(Asked::ProducerId(version));
        self.link
            .send(context, ApiKey::InitProducerId, version, &request, asked);
    }

    /// The partitions of the next request: those with something to send again, or some at random for new batches.
    fn choose(&mut self, context: &mut Context) -> Vec<Place> {
        let live = context.ledger.live_places();
        let once = self.style.idempotent;
        let sendable = |lane: &Lane| {
            let in_flight_max = if lane.known || !once { 5 } else { 1 };
            !lane.holding && lane.in_flight() < in_flight_max
        };
        let again: Vec<Place> = self
            .lanes
            .iter()
            .filter(|(place, lane)| {
                live.contains(place) && sendable(lane) && lane.unacked.iter().any(|u| !u.in_flight)
            })
            .map(|(&place, _)| place)
            .collect();
        if !again.is_empty() || context.phase != Phase::Work || live.is_empty() {
            return again;
        }
        let mut places = Vec::new();
        for _ in 0..context.rng.between(1, 3) {
            let place = *context.rng.pick(&live);
            let losses = context.ledger.losses(place);
            let lane = self.lanes.entry(place).or_insert_with(|| Lane {
                losses,
                ..Lane::default()
            });
            if !places.contains(&place) && sendable(lane) {
                self.make_batch(context, place);
                places.push(place);
            }
        }
        places
    }

    fn make_batch(&mut self, context: &mut Context, place: Place) {
        let style = &self.style;
        let count = context.rng.between(1, style.records_max);
        let (mut ids, mut records) = (Vec::new(), Vec::new());
        for _ in 0..count {
            self.made += 1;
            let id = style.writer << 40 | self.made;
            let len = context.rng.between(8, style.value_bytes_max);
            let len = usize::try_from(len).expect("small");
            let made = context
                .ledger
                .make(id, place, len, context.wall, style.idempotent);
            ids.push(id);
            records.push(made);
        }
        let lane = self.lanes.entry(place).or_default();
        let sequence = lane.sequence_next;
        lane.sequence_next += i32::try_from(count).expect("few records");
        lane.unacked.push_back(Unacked {
            ids,
            records,
            sequence,
            gzip: style.gzip && context.rng.one_in(3),
            in_flight: false,
        });
    }

    /// One request with the first waiting batch of each of these partitions.
    fn produce(&mut self, context: &mut Context, places: Vec<Place>) {
        let mut memory = Vec::new();
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for place in places {
            let lane = self.lanes.get_mut(&place).expect("it was chosen");
            let Some(unacked) = lane.unacked.iter_mut().find(|u| !u.in_flight) else {
                continue;
            };
            unacked.in_flight = true;
            context.ledger.attempt(&unacked.ids);
            let identity = self.identity.map(|(producer_id, epoch)| Identity {
                producer_id,
                epoch,
                base_sequence: unacked.sequence,
            });
            let data = PartitionProduceData::default()
                .with_index(place.1)
                .with_records(Some(batch::encode(
                    &unacked.records,
                    identity,
                    unacked.gzip,
                )));
            memory.push((place, unacked.ids[0]));
            let topic = context
                .ledger
                .live(place.0)
                .expect("only live places are chosen");
            let (name, id) = (topic.wire_name(), topic.id);
            match topics.iter_mut().find(|t| t.name == name) {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(
                    TopicProduceData::default()
                        .with_name(name)
                        .with_topic_id(id)
                        .with_partition_data(vec![data]),
                ),
            }
        }
        for topic in &mut topics {
            // A version carries the name or the id, never both.
            if self.style.version >= 13 {
                topic.name = kafka_protocol::messages::TopicName::default();
            } else {
                topic.topic_id = uuid::Uuid::nil();
            }
        }
        let request = ProduceRequest::default()
            .with_acks(self.style.acks)
            .with_timeout_ms(30_000)
            .with_topic_data(topics);
        let asked = (self.style.acks != 0).then(|| Asked::Produce(memory.clone()));
        let version = self.style.version;
        self.link
            .send(context, ApiKey::Produce, version, &request, asked);
        if self.style.acks == 0 {
            for (place, first) in memory {
                self.take(place, first);
            }
        }
    }

    /// Takes a batch out of its lane.
    fn take(&mut self, place: Place, first: RecordId) -> Option<Unacked> {
        let lane = self.lanes.get_mut(&place)?;
        let index = lane.unacked.iter().position(|u| u.ids[0] == first)?;
        lane.unacked.remove(index)
    }

    fn on_produced(
        &mut self,
        context: &mut Context,
        memory: Vec<(Place, RecordId)>,
        response: &ProduceResponse,
    ) -> Result<(), String> {
        for (place, first) in memory {
            let Some(topic) = context.ledger.live(place.0) else {
                // The topic is going or gone: no answer is wrong. Should it stay after all, what was sent is sent again.
                if let Some(lane) = self.lanes.get_mut(&place) {
                    lane.release(first);
                }
                continue;
            };
            let (name, id) = (topic.wire_name(), topic.id);
            let by_id = self.style.version >= 13;
            let answer = response
                .responses
                .iter()
                .filter(|t| {
                    if by_id {
                        t.topic_id == id
                    } else {
                        t.name == name
                    }
                })
                .flat_map(|t| &t.partition_responses)
                .find(|p| p.index == place.1)
                .ok_or_else(|| format!("{place:?}: no answer for it"))?;
            let code = ErrorCode::from_code(answer.error_code);
            self.on_answer(context, place, first, code, answer.base_offset)?;
        }
        Ok(())
    }

    fn on_answer(
        &mut self,
        context: &mut Context,
        place: Place,
        first: RecordId,
        code: ErrorCode,
        base_offset: i64,
    ) -> Result<(), String> {
        let Some(lane) = self.lanes.get_mut(&place) else {
            return Ok(());
        };
        let Some(index) = lane.unacked.iter().position(|u| u.ids[0] == first) else {
            return Err(format!("{place:?}: {first:x} answered twice"));
        };
        lane.unacked[index].in_flight = false;
        match code {
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {
                if code == ErrorCode::None && base_offset < 0 {
                    return Err(format!(
                        "{place:?}: {first:x} acknowledged at {base_offset}"
                    ));
                }
                lane.known = true;
                let unacked = lane.unacked.remove(index).expect("it was found");
                let offset = if code == ErrorCode::None {
                    base_offset
                } else {
                    -1
                };
                context.ledger.on_acked(place, &unacked.ids, offset);
            }
            ErrorCode::KafkaStorageError
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::RequestTimedOut
            | ErrorCode::LeaderNotAvailable => {
                lane.holding = self.style.idempotent;
                self.refused = true;
            }
            // A batch before it was refused: this one comes again after that one.
            ErrorCode::OutOfOrderSequenceNumber if index > 0 => lane.holding = true,
            _ => {
                let unacked = &lane.unacked[index];
                return Err(format!(
                    "{place:?}: {first:x}, sequence {} of {:?}, batch {index} in line: {code:?}",
                    unacked.sequence, self.identity
                ));
            }
        }
        if lane.in_flight() == 0 {
            lane.holding = false;
        }
        Ok(())
    }
}

impl Lane {
    /// A batch got no answer that counts.
    fn release(&mut self, first: RecordId) {
        if let Some(unacked) = self.unacked.iter_mut().find(|u| u.ids[0] == first) {
            unacked.in_flight = false;
        }
        self.holding = self.in_flight() > 0;
    }

    fn in_flight(&self) -> usize {
        self.unacked.iter().filter(|u| u.in_flight).count()
    }
}

impl Client for Producer {
    fn on_connected(&mut self, context: &mut Context) {
        self.link.up = true;
        self.next(context);
    }

    fn on_lost(&mut self, context: &mut Context) {
        self.link.lose();
        for lane in self.lanes.values_mut() {
            lane.holding = false;
            for unacked in &mut lane.unacked {
                unacked.in_flight = false;
            }
            if !self.style.idempotent && context.rng.one_in(2) {
                lane.unacked.clear();
            }
        }
    }

    fn on_response(&mut self, context: &mut Context, frame: Bytes) -> Result<(), String> {
        let (asked, frame) = self.link.receive(context, frame)?;
        match asked {
            Asked::ProducerId(version) => {
                let response: InitProducerIdResponse = frames::decode(frame, version)?;
                if response.error_code == 0 {
                    self.identity = Some((response.producer_id.0, response.producer_epoch));
                }
            }
            Asked::Produce(memory) => {
                let response = frames::decode(frame, self.style.version)?;
                self.on_produced(context, memory, &response)?;
            }
        }
        let refused = std::mem::take(&mut self.refused);
        let ms = if refused { 20 } else { context.rng.below(2) };
        context.actions.push(Action::Wake(ms * 1_000_000));
        Ok(())
    }

    fn on_timer(&mut self, context: &mut Context) {
        self.next(context);
    }

    fn is_idle(&self) -> bool {
        self.link.waiting.is_empty() && self.lanes.values().all(|l| l.unacked.is_empty())
    }
}
