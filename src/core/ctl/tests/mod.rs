//! Lives of the machine: started, asked, stopped and killed on a disk in memory.

mod directory;
mod disk;

use std::collections::VecDeque;

use disk::Disk;

use super::*;
use crate::log::checkpoint::{DirectoryState, PartitionKey, PartitionOffsets};
use crate::metadata::control::VoterEndpoint;
use crate::metadata::format::{FormatSpec, plan_format};
use crate::metadata::record::Record;
use crate::metadata::{Delta, Image, NewTopic, NewTopicResult, TopicRef, layout};
use crate::types::limits::CTL_REQUESTS_MAX;
use crate::types::{ErrorCode, LeaderEpoch, Monotonic, WallMillis};

const SHARD: CoreId = CoreId(1);
const DIRECTORY: TopicId = TopicId([5; 16]);

/// What the edge or a shard saw.
#[derive(Debug)]
enum Seen {
    Publish(Arc<Image>, Arc<Delta>),
    Reply(u64, CtlReply),
    Stop,
    Close,
    Halt(String),
    Stopped,
}

/// One life of the machine on a disk.
struct Rig {
    ctl: Ctl,
    disk: Disk,
    now: Now,
    seen: VecDeque<Seen>,
    /// What the shard was told of the directory.
    state: Option<Arc<DirectoryState>>,
    notes: Vec<Note>,
}

fn formatted() -> Disk {
    let mut disk = Disk::default();
    let spec = FormatSpec {
        cluster_id: "VrTG-c28Qj2ZFzmW6S6MHg".into(),
        node_id: NodeId(1),
        directory_id: DIRECTORY,
        controller: VoterEndpoint {
            listener: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        },
        now: WallMillis(1_000),
    };
    for file in plan_format(&spec) {
        disk.files
            .insert(file.path.to_string(), file.bytes.to_vec());
    }
    disk
}

impl Rig {
    fn new(disk: Disk, incarnation: u8) -> Self {
        Self::with_node(disk, incarnation, NodeId(1))
    }

    fn with_node(disk: Disk, incarnation: u8, node_id: NodeId) -> Self {
        Self::with_ids(disk, incarnation, node_id, DIRECTORY)
    }

    fn with_ids(disk: Disk, incarnation: u8, node_id: NodeId, directory_id: DirectoryId) -> Self {
        let config = CtlConfig {
            node_id,
            cluster_id: "VrTG-c28Qj2ZFzmW6S6MHg".into(),
            directory_id,
            incarnation: TopicId([incarnation; 16]),
            endpoints: vec![BrokerEndpoint {
                listener: "PLAINTEXT".into(),
                host: "localhost".into(),
                port: 9092,
                security_protocol: 0,
            }],
            rack: None,
            connections: ConnectionLimits::default(),
            configs: Arc::new(BrokerConfigView::default()),
            shards: vec![SHARD],
        };
        Self {
            ctl: Ctl::new(config),
            disk,
            now: Now {
                mono: Monotonic(1),
                wall: WallMillis(2_000),
            },
            seen: VecDeque::new(),
            state: None,
            notes: Vec::new(),
        }
    }

    /// Steps once, then runs every disk operation until nothing is left to do.
    fn step(&mut self, input: Input) {
        let now = self.now;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.ctl.step(now, input, &mut out);
            for effect in out {
                match effect {
                    Effect::Disk { op, token } => {
                        if let Some(result) = self.disk.run(op) {
                            inputs.push_back(Input::Disk { token, result });
                        }
                    }
                    Effect::Mesh { core, msg } => {
                        assert_eq!(core, SHARD);
                        self.seen.push_back(match msg {
                            CoreMsg::Publish { image, delta, .. } => Seen::Publish(image, delta),
                            CoreMsg::Reply { id, reply } => Seen::Reply(id, reply),
                            CoreMsg::Stop => Seen::Stop,
                            CoreMsg::Close => Seen::Close,
                            CoreMsg::Directory(state) => {
                                assert!(self.state.replace(state).is_none(), "told once");
                                continue;
                            }
                            other => panic!("{other:?}"),
                        });
                    }
                    Effect::Halt(why) => self.seen.push_back(Seen::Halt(why)),
                    Effect::Stopped => self.seen.push_back(Seen::Stopped),
                    Effect::Note(note) => self.notes.push(note),
                    Effect::Wake { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn message(&mut self, msg: CoreMsg) {
        self.step(Input::Mesh { from: SHARD, msg });
    }

    fn request(&mut self, id: u64, request: CtlRequest) {
        self.message(CoreMsg::Request { id, request });
    }

    fn published(&mut self) -> (Arc<Image>, Arc<Delta>) {
        match self.seen.pop_front() {
            Some(Seen::Publish(image, delta)) => (image, delta),
            other => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, offset: Offset) {
        self.message(CoreMsg::Applied { offset });
    }

    /// Starts and applies the first publication; returns it.
    fn start(&mut self) -> Arc<Image> {
        self.step(Input::Start);
        let (image, _) = self.published();
        assert!(self.state.is_some(), "told before the first publication");
        self.apply(image.offset);
        image
    }

    /// Creates a topic; returns the image that has it.
    fn create(&mut self, name: &str) -> (Arc<Image>, NewTopicResult) {
        self.request(7, create(name));
        let (image, _) = self.published();
        assert!(self.seen.is_empty(), "no answer before it is applied");
        self.apply(image.offset);
        match self.seen.pop_front() {
            Some(Seen::Reply(7, CtlReply::CreateTopics(mut results))) => (image, results.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    /// Stops in an orderly way; returns the disk for the next life.
    fn stop(self) -> Disk {
        self.stop_with(Vec::new(), true)
    }

    fn stop_with(mut self, offsets: Vec<(PartitionKey, PartitionOffsets)>, well: bool) -> Disk {
        self.step(Input::Stop);
        assert!(matches!(self.seen.pop_front(), Some(Seen::Stop)));
        assert!(self.seen.is_empty(), "shards first");
        self.message(CoreMsg::Drained);
        assert!(matches!(self.seen.pop_front(), Some(Seen::Close)));
        assert!(self.seen.is_empty(), "shards first");
        self.message(CoreMsg::Stopped { offsets, well });
        assert!(matches!(self.seen.pop_front(), Some(Seen::Stopped)));
        assert!(self.seen.is_empty());
        self.disk.close_all();
        self.disk
    }

    /// Ends the process; returns the disk for the next life.
    fn kill(mut self) -> Disk {
        self.disk.close_all();
        self.disk
    }

    fn halted(&mut self) -> String {
        match self.seen.pop_back() {
            Some(Seen::Halt(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn quorum_state(&self) -> String {
        String::from_utf8(self.disk.files[layout::QUORUM_STATE].clone()).unwrap()
    }
}

fn create(name: &str) -> CtlRequest {
    CtlRequest::CreateTopics {
        topics: vec![NewTopic {
            name: name.to_owned(),
            partitions: 2,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }],
        validate_only: false,
    }
}

#[test]
fn a_new_node_registers_and_publishes() {
    let mut rig = Rig::new(formatted(), 1);
    let image = rig.start();
    let broker = &image.brokers[&NodeId(1)];
    assert!(!broker.fenced);
    assert_eq!(broker.incarnation, TopicId([1; 16]));
    assert_eq!(broker.endpoints[0].port, 9092);
    assert_eq!(broker.log_dirs, [DIRECTORY]);
    // 3 control records, 9 of the bootstrap transaction, then the registration.
    assert_eq!(broker.epoch, 12);
    assert_eq!(image.features["metadata.version"], 29);
    assert!(
        rig.quorum_state()
            .starts_with("{\"leaderId\":1,\"leaderEpoch\":1,")
    );
}

#[test]
fn a_topic_is_answered_after_it_is_applied_and_survives() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (image, result) = rig.create("a");
    assert_eq!(result.error, ErrorCode::None);
    assert_eq!(image.topics[&result.topic_id].partitions.len(), 2);

    let mut rig = Rig::new(rig.stop(), 2);
    let image = rig.start();
    let topic = &image.topics[&result.topic_id];
    assert_eq!(&*topic.name, "a");
    assert!(
        topic
            .partitions
            .iter()
            .all(|p| p.leader_epoch == LeaderEpoch(0))
    );
    assert_eq!(image.brokers[&NodeId(1)].incarnation, TopicId([2; 16]));
    assert!(rig.quorum_state().contains("\"leaderEpoch\":2,"));
    assert!(rig.seen.is_empty());
}

#[test]
fn a_kill_loses_nothing_and_an_unclean_stop_raises_the_epochs() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (_, result) = rig.create("a");
    let epochs = |image: &Image| -> Vec<i32> {
        let partitions = &image.topics[&result.topic_id].partitions;
        partitions.iter().map(|p| p.leader_epoch.0).collect()
    };
    // Nothing of it was on the disk yet: there is nothing to be told apart.
    let mut rig = Rig::new(rig.kill(), 2);
    assert_eq!(epochs(&rig.start()), [0, 0]);
    let mut disk = rig.kill();
    disk.plant("a-1/00000000000000000000.log");
    let mut rig = Rig::new(disk, 3);
    assert_eq!(epochs(&rig.start()), [1, 1]);
    assert!(rig.seen.is_empty());
    let mut rig = Rig::new(rig.stop(), 4);
    assert_eq!(epochs(&rig.start()), [1, 1]);
}

#[test]
fn answers_keep_the_order_of_the_questions() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    rig.request(1, create("a"));
    rig.request(2, create("a"));
    rig.request(3, CtlRequest::ProducerIds);
    let (first, _) = rig.published();
    let (second, _) = rig.published();
    assert!(rig.seen.is_empty());
    rig.apply(first.offset);
    let order = |rig: &mut Rig| -> Vec<u64> {
        rig.seen
            .drain(..)
            .map(|seen| match seen {
                Seen::Reply(id, _) => id,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(order(&mut rig), [1, 2]);
    rig.apply(second.offset);
    assert_eq!(order(&mut rig), [3]);
}

#[test]
fn deletion_is_published() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let (_, result) = rig.create("a");
    let topics = vec![TopicRef {
        name: None,
        id: result.topic_id,
    }];
    rig.request(9, CtlRequest::DeleteTopics { topics });
    let (image, delta) = rig.published();
    assert!(image.topics.is_empty());
    assert_eq!(delta.topics_removed, [(result.topic_id, "a".into(), 2)]);
}

#[test]
fn producer_ids_are_never_handed_out_twice() {
    let mut disk = formatted();
    let mut firsts = Vec::new();
    for life in 0..3 {
        let mut rig = Rig::new(disk, life);
        rig.start();
        for _ in 0..2 {
            rig.request(1, CtlRequest::ProducerIds);
            let (image, _) = rig.published();
            rig.apply(image.offset);
            match rig.seen.pop_front() {
                Some(Seen::Reply(1, CtlReply::ProducerIds(Ok(block)))) => {
                    firsts.push(block.first.0);
                }
                other => panic!("{other:?}"),
            }
        }
        disk = rig.kill();
    }
    assert_eq!(firsts, [0, 1000, 2000, 3000, 4000, 5000]);
}

#[test]
fn a_full_queue_is_answered_at_once() {
    let mut rig = Rig::new(formatted(), 1);
    for id in 0..=CTL_REQUESTS_MAX as u64 {
        rig.request(id, CtlRequest::ProducerIds);
    }
    let refused = CtlReply::ProducerIds(Err(ErrorCode::RequestTimedOut));
    match rig.seen.pop_front() {
        Some(Seen::Reply(id, reply)) => {
            assert_eq!((id, reply), (CTL_REQUESTS_MAX as u64, refused));
        }
        other => panic!("{other:?}"),
    }
    assert!(rig.seen.is_empty());
}

#[test]
fn a_failed_write_halts_and_answers_nothing() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    rig.disk.failing = true;
    rig.request(1, create("a"));
    assert_eq!(rig.seen.len(), 1, "{:?}", rig.seen);
    let why = rig.halted();
    assert!(why.starts_with("The metadata log failed: "), "{why}");
    rig.request(2, create("b"));
    assert!(rig.seen.is_empty());
}

#[test]
fn a_transaction_cut_short_does_not_count() {
    let mut rig = Rig::new(formatted(), 1);
    rig.start();
    let begin = Record::BeginTransaction(crate::metadata::record::TransactionNote::default());
    let feature = Record::FeatureLevel(crate::metadata::record::FeatureLevel {
        name: "metadata.version".into(),
        level: 28,
    });
    let now = Now::default();
    rig.ctl.journal.append(now, vec![begin, feature]).unwrap();
    rig.step(Input::Tick);
    let mut rig = Rig::new(rig.kill(), 2);
    let image = rig.start();
    assert_eq!(image.features["metadata.version"], 29);
    let mut rig = Rig::new(rig.stop(), 3);
    assert_eq!(rig.start().features["metadata.version"], 29);
}

/// The metadata directory of Apache Kafka 4.2.0 after a stop: see `metadata/record/tests.rs`.
fn kafkas_disk() -> Disk {
    let mut disk = Disk::default();
    let mut put = |path: &str, bytes: &[u8]| disk.files.insert(path.to_owned(), bytes.to_vec());
    put(
        "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint",
        include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-voters.checkpoint"),
    );
    put(
        "__cluster_metadata-0/00000000000000000000.log",
        include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-cluster-metadata.log"),
    );
    put(
        layout::QUORUM_STATE,
        b"{\"leaderId\":1,\"leaderEpoch\":3,\"votedId\":-1,\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}",
    );
    disk
}

#[test]
fn a_node_that_ran_kafka_goes_on_as_onrush() {
    let directory = TopicId::parse("PRNaPFNQT6mcLhcjxSXUyg").unwrap();
    let mut rig = Rig::with_ids(kafkas_disk(), 1, NodeId(1), directory);
    let image = rig.start();
    let topic = &image.topics[&image.topics_by_name["plain"]];
    assert_eq!(topic.partitions.len(), 3);
    for partition in &topic.partitions {
        assert_eq!(partition.leader, Some(NodeId(1)), "{partition:?}");
        assert_eq!(partition.isr, [NodeId(1)]);
        assert!(partition.elr.is_empty());
        assert_eq!(partition.leader_recovery_state, 0);
    }
    assert_eq!(image.producer_id_next.0, 1000);
    assert!(rig.quorum_state().contains("\"leaderEpoch\":4,"));
    let (_, result) = rig.create("b");
    assert_eq!(result.error, ErrorCode::None);
}

#[test]
fn a_snapshot_of_kafka_stands_for_the_log_before_it() {
    let mut disk = Disk::default();
    let mut put = |path: &str, bytes: &[u8]| {
        let path = format!("__cluster_metadata-0/{path}");
        disk.files.insert(path, bytes.to_vec());
    };
    put(
        "00000000000000000589-0000000005.checkpoint",
        include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-snapshot-589-5.checkpoint"),
    );
    put(
        "00000000000000000575-0000000005.checkpoint.part",
        b"worthless",
    );
    put(
        "00000000000000000585.log",
        include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-after-snapshot-585.log"),
    );
    put(
        "00000000000000000595.log",
        include_bytes!("../../../../tests/golden/metadata/kafka-4.2.0-after-snapshot-595.log"),
    );
    let directory = TopicId::parse("bTWttmYwQW6StGyTZORrSw").unwrap();
    let lives = [1, 2];
    for life in lives {
        let mut rig = Rig::with_ids(disk, life, NodeId(1), directory);
        let image = rig.start();
        assert_eq!(image.topics.len(), 3);
        let partitions = image.topics.values().flat_map(|topic| &topic.partitions);
        let leaders: Vec<_> = partitions.map(|partition| partition.leader).collect();
        assert_eq!(leaders, [Some(NodeId(1)); 55]);
        assert!(image.offset > Offset(600), "{}", image.offset);
        disk = rig.stop();
    }
}

#[test]
fn what_belongs_to_others_is_refused() {
    let mut rig = Rig::with_node(formatted(), 1, NodeId(2));
    rig.step(Input::Start);
    assert_eq!(
        rig.halted(),
        "The metadata log's only voter is node 1, but node.id is 2."
    );
    let mut damaged = formatted();
    damaged
        .files
        .insert(layout::QUORUM_STATE.to_owned(), b"nonsense".to_vec());
    let mut rig = Rig::new(damaged, 1);
    rig.step(Input::Start);
    assert!(rig.halted().contains("quorum-state is damaged"));
    let mut cut = formatted();
    let checkpoint = layout::snapshot_path(Offset(0), LeaderEpoch(0));
    cut.files.get_mut(&checkpoint).unwrap().truncate(200);
    let mut rig = Rig::new(cut, 1);
    rig.step(Input::Start);
    assert!(rig.halted().contains("it ends without a footer"));
}

#[test]
fn a_stop_before_service_is_orderly() {
    let mut rig = Rig::new(formatted(), 1);
    rig.ctl.stop_wanted = true;
    rig.step(Input::Start);
    assert!(matches!(rig.seen.pop_front(), Some(Seen::Stop)));
    rig.message(CoreMsg::Drained);
    assert!(matches!(rig.seen.pop_front(), Some(Seen::Close)));
    rig.message(CoreMsg::Stopped {
        offsets: Vec::new(),
        well: false,
    });
    assert!(matches!(rig.seen.pop_front(), Some(Seen::Stopped)));
    assert!(!rig.disk.files.contains_key(".kafka_cleanshutdown"));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let life = || {
        let mut rig = Rig::new(formatted(), 1);
        rig.start();
        rig.create("a");
        rig.stop().files
    };
    assert_eq!(life(), life());
}
