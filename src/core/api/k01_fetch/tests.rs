//! How a fetch of several owners comes together.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition as Asked, FetchTopic};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::effect::Part;
use crate::metadata::{Image, PartitionState, Topic};
use crate::placement;
use crate::types::{FileId, NodeId, Position, WallMillis};

const ID: TopicId = TopicId([3; 16]);
const NODE: NodeId = NodeId(1);
const NOW: Now = Now {
    mono: Monotonic(1_000),
    wall: WallMillis(0),
};

fn image() -> Image {
    let state = PartitionState {
        replicas: vec![NODE],
        ..PartitionState::default()
    };
    let topic = Topic {
        id: ID,
        name: "t".into(),
        partitions: vec![state; 6],
    };
    let mut image = Image::default();
    image.topics_by_name.insert("t".into(), ID);
    image.topics.insert(ID, Arc::new(topic));
    image
}

fn owner(partition: i32, shards: u16) -> CoreId {
    placement::owner(ID, PartitionIndex(partition), shards)
}

/// The fetch of these partitions by a client on the core that owns the first of them.
struct World {
    image: Image,
    shards: u16,
}

impl World {
    fn new(shards: u16) -> Self {
        let image = image();
        Self { image, shards }
    }

    fn fetch(
        &self,
        partitions: &[i32],
        (bytes_min, wait, bytes_max): (i32, i32, i32),
    ) -> (Fetch, BTreeMap<CoreId, FetchAsk>) {
        let cx = Context {
            now: NOW,
            owners: Owners {
                image: &self.image,
                node: NODE,
                shards: self.shards,
            },
            own: owner(partitions[0], self.shards),
            bytes_max: 1 << 30,
            at_once: false,
        };
        let asked = partitions.iter().map(|p| {
            Asked::default()
                .with_partition(*p)
                .with_partition_max_bytes(1 << 20)
        });
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(asked.collect());
        let request = FetchRequest::default()
            .with_max_wait_ms(wait)
            .with_min_bytes(bytes_min)
            .with_max_bytes(bytes_max)
            .with_topics(vec![topic]);
        Fetch::new(&cx, 11, 7, request)
    }
}

/// What an owner gives: so many bytes of each partition it was asked for.
fn given(ask: &FetchAsk, bytes: u32) -> Vec<FetchedPartition> {
    let partitions = ask.partitions.iter();
    let given = partitions.map(|p| FetchedPartition {
        records: vec![Part::Extent {
            file: FileId(1),
            position: Position(0),
            len: bytes,
        }],
        high_watermark: Offset(9),
        ..FetchedPartition::failed(p.place, ErrorCode::None)
    });
    given.collect()
}

fn told(fetch: &mut Fetch) -> Vec<(u16, Follow)> {
    match fetch.advance() {
        Next::Tell(told) => told.into_iter().map(|(core, f)| (core.0, f)).collect(),
        Next::Reply => panic!("owners have not answered"),
    }
}

fn bytes_of(fetch: Fetch) -> Vec<u64> {
    let parts = fetch.reply().parts.into_iter();
    let extents = parts.filter(|part| matches!(part, Part::Extent { .. }));
    extents.map(|part| part.len()).collect()
}

#[test]
fn a_single_owner_decides_alone() {
    let world = World::new(1);
    let (mut fetch, asks) = world.fetch(&[0, 1], (100, 500, 1000));
    let ask = &asks[&CoreId(1)];
    assert_eq!(asks.len(), 1);
    assert_eq!(
        (ask.announce, ask.bytes_min, ask.partitions.len()),
        (false, 100, 2)
    );
    assert!(!fetch.has_deadline());
    assert_eq!(told(&mut fetch), []);
    fetch.on_answer(CoreId(1), given(ask, 60));
    assert!(matches!(fetch.advance(), Next::Reply));
    assert_eq!(bytes_of(fetch), [60, 60]);
}

#[test]
fn own_partitions_are_read_when_all_others_have_answered() {
    let world = World::new(2);
    let (mut fetch, asks) = world.fetch(&[0, 1], (1, 500, 1000));
    let (own, other) = (owner(0, 2), owner(1, 2));
    assert!(asks[&own].announce);
    assert!(
        !asks[&other].announce,
        "it answers as soon as it has anything"
    );
    assert!(fetch.has_deadline());
    assert_eq!(told(&mut fetch), []);
    fetch.on_ready(own, 10, false);
    assert_eq!(told(&mut fetch), [(other.0, Follow::Take)]);
    assert_eq!(told(&mut fetch), [], "said once");
    fetch.on_answer(other, given(&asks[&other], 5));
    assert_eq!(told(&mut fetch), [(own.0, Follow::Take)]);
    fetch.on_answer(own, given(&asks[&own], 12));
    assert!(matches!(fetch.advance(), Next::Reply));
    assert_eq!(bytes_of(fetch), [12, 5], "in the order of the request");
}

#[test]
fn another_core_with_data_is_reason_enough() {
    let world = World::new(3);
    let (mut fetch, asks) = world.fetch(&[0, 1, 2], (1, 500, 1000));
    let [own, second, third] = [0, 1, 2].map(|p| owner(p, 3));
    fetch.on_answer(second, given(&asks[&second], 5));
    assert_eq!(told(&mut fetch), [(third.0, Follow::Take)]);
    fetch.on_answer(third, given(&asks[&third], 0));
    assert_eq!(told(&mut fetch), [(own.0, Follow::Take)]);
}

#[test]
fn what_is_announced_adds_up() {
    let world = World::new(3);
    let (mut fetch, asks) = world.fetch(&[0, 1, 2], (1000, 500, 100_000));
    let [own, second, third] = [0, 1, 2].map(|p| owner(p, 3));
    assert!(asks.values().all(|ask| ask.announce && ask.bytes_min == 1));
    fetch.on_ready(second, 10, false);
    assert_eq!(told(&mut fetch), [(second.0, Follow::Wait { bytes: 10 })]);
    fetch.on_ready(own, 500, false);
    assert_eq!(told(&mut fetch), [(own.0, Follow::Wait { bytes: 500 })]);
    assert_eq!(told(&mut fetch), []);
    fetch.on_ready(second, 499, false);
    assert_eq!(told(&mut fetch), [(second.0, Follow::Wait { bytes: 499 })]);
    fetch.on_ready(second, 500, false);
    let mut all = told(&mut fetch);
    all.sort_by_key(|(core, _)| *core);
    let mut expected = vec![(second.0, Follow::Take), (third.0, Follow::Take)];
    expected.sort_by_key(|(core, _)| *core);
    assert_eq!(all, expected);
}

#[test]
fn an_error_at_one_owner_ends_the_wait() {
    let world = World::new(2);
    let (mut fetch, asks) = world.fetch(&[0, 1], (1000, 500, 100_000));
    let (own, other) = (owner(0, 2), owner(1, 2));
    fetch.on_ready(own, 0, true);
    assert_eq!(told(&mut fetch), [(other.0, Follow::Take)]);
    fetch.on_answer(other, given(&asks[&other], 0));
    assert_eq!(told(&mut fetch), [(own.0, Follow::Take)]);
}

#[test]
fn a_request_that_waits_for_nothing_takes_at_once() {
    let world = World::new(2);
    let (mut fetch, asks) = world.fetch(&[0, 1, 17], (1000, 500, 100_000));
    let (own, other) = (owner(0, 2), owner(1, 2));
    assert_eq!(fetch.deadline, NOW.mono, "one partition does not exist");
    assert!(!asks[&other].announce);
    assert_eq!(told(&mut fetch), [], "the other core answers by itself");
    fetch.on_answer(other, given(&asks[&other], 0));
    assert_eq!(told(&mut fetch), [(own.0, Follow::Take)]);
}

#[test]
fn what_does_not_fit_is_left_out_whole() {
    let world = World::new(3);
    let (mut fetch, asks) = world.fetch(&[0, 1, 2], (1, 500, 100));
    let [own, second, third] = [0, 1, 2].map(|p| owner(p, 3));
    fetch.on_answer(second, given(&asks[&second], 30));
    fetch.on_answer(third, given(&asks[&third], 20));
    fetch.on_answer(own, given(&asks[&own], 75));
    assert!(matches!(fetch.advance(), Next::Reply));
    assert_eq!(bytes_of(fetch), [75, 20]);
}

#[test]
fn owners_without_an_answer_are_known() {
    let world = World::new(2);
    let (mut fetch, asks) = world.fetch(&[0, 1], (1, 500, 100));
    let (own, other) = (owner(0, 2), owner(1, 2));
    fetch.on_answer(other, given(&asks[&other], 0));
    assert_eq!(fetch.unanswered().collect::<Vec<_>>(), [own]);
}
