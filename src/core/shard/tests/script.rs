//! The words of a script, and the world that carries them out.
//!
//! | word | what it does |
//! |---|---|
//! | `A produce …`, `A fetch …` … | connection A (any capital) sends a request, see `requests`; it connects with its first |
//! | `A deaf`, `A hears` | answers to A are not taken by the kernel any more; all of them are |
//! | `A gone` | A disconnects |
//! | `create t 2 key=value …`, `delete t`, `config t key=value`, `epoch t 3` | ctl publishes it |
//! | `reborn t` | while no broker runs: t was deleted and created anew |
//! | `hold read write …` | disk operations of these kinds stay in flight; `again` holds back work that goes on, `all` everything |
//! | `release`, `release newest` | they complete, and nothing is held any more; the newest alone |
//! | `fail`, `full`, `space` | the oldest held one fails; nothing can be allocated; it can again |
//! | `wait 500` | so many milliseconds pass |
//! | `boot`, `first` | a new process starts on the disk; what ctl found there and its first publication come, with epochs raised if the process before was killed |
//! | `stop`, `kill` | ctl stops the shard; the process is gone |
//! | `show disk`, `show ctl` | from here on operations on names, messages to ctl are told, too |
//! | `ls` | names on the disk |
//! | `plant dir/file`, `flip dir/file 70` | a file, with its directory, was there before; a bit of a file's byte turns |
//!
//! Operations complete at once and in order unless held. Time stands still but for `wait`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::Disk;
use super::requests;
use crate::input::{CoreMsg, Input};
use crate::log::checkpoint::DirectoryState;
use crate::metadata::{ConfigResource, Delta, Image, PartitionState, Topic};
use crate::shard::{Shard, ShardConfig};
use crate::types::{
    BrokerConfigView, ConnId, CoreId, LeaderEpoch, ListenerId, Millis, Monotonic, NodeId, Now,
    TopicId, WallMillis, WorkId,
};

/// What time it is when a script begins.
pub(super) const WALL: i64 = 1_700_000_000_000;
const NODE: NodeId = NodeId(1);

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ConnId,
    pub(super) credit: bool,
    /// Sent and not yet taken in by the broker.
    pub(super) frames: VecDeque<Bytes>,
    /// Requests whose answers are due, in order.
    pub(super) due: VecDeque<requests::Due>,
    pub(super) deaf: bool,
    pub(super) untaken: usize,
}

/// A broker of one shard and everything around it.
pub(super) struct Script {
    pub(super) core: CoreId,
    /// How many shards the broker has, this one included; the others are in `several`.
    shards: u16,
    pub(super) shard: Shard,
    pub(super) disk: Disk,
    pub(super) now: Now,
    pub(super) wake: Option<Monotonic>,
    pub(super) again: VecDeque<WorkId>,
    /// What the edge has to tell the shard.
    pub(super) inbox: VecDeque<Input>,
    /// Messages to other shards.
    pub(super) outbox: Vec<(CoreId, CoreMsg)>,
    pub(super) held: BTreeSet<String>,
    pub(super) clients: BTreeMap<char, Client>,
    conns: u64,
    pub(super) image: Image,
    /// What ctl knows of the log directory.
    pub(super) directory: DirectoryState,
    topics_made: u8,
    pub(super) shown: BTreeSet<String>,
    /// What was told since the last word.
    pub(super) told: Vec<String>,
    correlation: i32,
    /// The member id that each connection was told last; `%A` in requests and answers.
    pub(super) members: BTreeMap<char, String>,
}

impl Script {
    /// A process on an empty disk that was not started yet.
    pub(super) fn new() -> Self {
        Self::of(CoreId(1), 1)
    }

    /// One shard of several, likewise.
    pub(super) fn of(core: CoreId, shards: u16) -> Self {
        let image = Image {
            cluster_id: "cluster".into(),
            ..Image::default()
        };
        Self {
            core,
            shards,
            shard: Shard::new(config(core, shards)),
            disk: Disk::default(),
            now: Now {
                mono: Monotonic(0),
                wall: WallMillis(WALL),
            },
            wake: None,
            again: VecDeque::new(),
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            held: BTreeSet::new(),
            clients: BTreeMap::new(),
            conns: 0,
            image,
            directory: DirectoryState::default(),
            // Of the ids that follow, the first shard owns partition 0.
            topics_made: if shards > 1 { 11 } else { 0 },
            shown: BTreeSet::new(),
            told: Vec::new(),
            correlation: 0,
            members: BTreeMap::new(),
        }
    }

    /// A broker that serves.
    pub(super) fn serving() -> Self {
        let mut script = Self::new();
        script.run("boot\nfirst\n> ready");
        script
    }

    /// Runs a script and compares.
    pub(super) fn run(&mut self, text: &str) {
        let (expected, said) = self.transcript(text);
        assert!(
            said == expected,
            "this was expected:\n{expected}\nthis was said:\n{said}"
        );
    }

    /// The script as it stands, and as it went.
    pub(super) fn transcript(&mut self, text: &str) -> (String, String) {
        let mut said = String::new();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let lines = lines.into_iter().filter(|line| !line.is_empty());
        let mut expected = String::new();
        for line in lines {
            writeln!(expected, "{line}").expect("a String takes it");
            if line.starts_with('>') || line.starts_with('#') {
                if line.starts_with('#') {
                    writeln!(said, "{line}").expect("a String takes it");
                }
                continue;
            }
            writeln!(said, "{line}").expect("a String takes it");
            self.word(line);
            for told in self.told.drain(..) {
                writeln!(said, "> {told}").expect("a String takes it");
            }
        }
        (expected, said)
    }

    /// Carries out one line.
    pub(super) fn word(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let args: Vec<&str> = rest.split_whitespace().collect();
        let first = args.first().copied().unwrap_or("");
        match word {
            "boot" => self.boot(),
            "first" => self.first(),
            "create" => self.create(first, &args[1..]),
            "delete" => self.delete(first),
            "config" => self.configure(first, &args[1..]),
            "epoch" => self.raise_epoch(first, number(args[1])),
            "reborn" => self.reborn(first),
            "hold" => self.held.extend(args.iter().map(ToString::to_string)),
            "release" if first == "newest" => self.complete(self.disk.in_flight.len() - 1),
            "release" => self.held.clear(),
            "fail" => self.fail(),
            "full" => self.disk.full = true,
            "space" => self.disk.full = false,
            "wait" => self.wait(number(first)),
            "stop" => self.mesh(CoreMsg::Stop),
            "kill" => self.kill(),
            "show" => self.shown.extend(args.iter().map(ToString::to_string)),
            "ls" => self.told.extend(self.disk.listing()),
            "plant" => self.disk.plant(first, b""),
            "flip" => {
                let place = usize::try_from(number(args[1])).expect("a place");
                self.disk.content(first)[place] ^= 1;
            }
            _ => self.client_word(word, first, rest),
        }
        self.settle();
    }

    fn client_word(&mut self, name: &str, word: &str, request: &str) {
        let name = name.chars().next().expect("a client's name");
        assert!(name.is_ascii_uppercase(), "{name} {request}: no such word");
        if !self.clients.contains_key(&name) {
            self.connect(name);
        }
        match word {
            "deaf" => self.client(name).deaf = true,
            "hears" => {
                let client = self.client(name);
                client.deaf = false;
                let (conn, count) = (client.id, std::mem::take(&mut client.untaken));
                (self.inbox).extend((0..count).map(|_| Input::Sent { conn }));
            }
            "gone" => {
                let conn = self.clients.remove(&name).expect("connected").id;
                self.inbox.push_back(Input::Closed { conn });
            }
            _ => {
                self.correlation += 1;
                let mut request = request.to_owned();
                for (member, id) in &self.members {
                    request = request.replace(&format!("%{member}"), id);
                }
                let (frame, due) = requests::encode(&request, self.correlation, &self.image);
                self.send(name, frame, due);
            }
        }
    }

    /// Connects a client if it is not.
    pub(super) fn connect(&mut self, name: char) {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let client = Client {
            id: conn,
            credit: true,
            frames: VecDeque::new(),
            due: VecDeque::new(),
            deaf: false,
            untaken: 0,
        };
        self.clients.insert(name, client);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listener = ListenerId(0);
        self.step(Input::Opened {
            conn,
            peer,
            listener,
        });
    }

    /// A client sends a frame; it is delivered when the broker reads on.
    pub(super) fn send(&mut self, name: char, frame: Bytes, due: Option<requests::Due>) {
        let client = self.client(name);
        client.frames.push_back(frame);
        client.due.extend(due);
    }

    /// Frames of a client that the broker has not taken in.
    pub(super) fn unread(&mut self, name: char) -> usize {
        self.client(name).frames.len()
    }

    fn client(&mut self, name: char) -> &mut Client {
        self.clients.get_mut(&name).expect("connected")
    }

    pub(super) fn client_of(&mut self, conn: ConnId) -> Option<(char, &mut Client)> {
        let mut clients = self.clients.iter_mut();
        clients
            .find(|(_, client)| client.id == conn)
            .map(|(name, client)| (*name, client))
    }

    // ---- ctl ----

    fn boot(&mut self) {
        self.shard = Shard::new(config(self.core, self.shards));
        self.step(Input::Start);
    }

    fn first(&mut self) {
        let state = Arc::new(self.directory.clone());
        if !self.directory.clean {
            for topic in self.image.topics.values_mut() {
                for state in &mut Arc::make_mut(topic).partitions {
                    state.leader_epoch.0 += 1;
                }
            }
        }
        self.directory.clean = false;
        self.mesh(CoreMsg::Directory(state));
        self.publish(self.everything());
    }

    fn kill(&mut self) {
        self.disk.crash();
        self.clients.clear();
        self.again.clear();
        self.inbox.clear();
        self.outbox.clear();
        self.wake = None;
        self.held.clear();
    }

    fn everything(&self) -> Delta {
        Delta {
            topics_changed: self.image.topics.keys().copied().collect(),
            cluster_changed: true,
            ..Delta::default()
        }
    }

    fn publish(&mut self, delta: Delta) {
        self.image.offset = self.image.offset.plus(1);
        let msg = CoreMsg::Publish {
            image: Arc::new(self.image.clone()),
            delta: Arc::new(delta),
            offset: self.image.offset,
        };
        self.mesh(msg);
    }

    fn mesh(&mut self, msg: CoreMsg) {
        let from = CoreId(0);
        self.step(Input::Mesh { from, msg });
    }

    fn create(&mut self, name: &str, args: &[&str]) {
        self.topics_made += 1;
        let id = TopicId([self.topics_made; 16]);
        let count = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(1);
        let state = PartitionState {
            replicas: vec![NODE],
            isr: vec![NODE],
            leader: Some(NODE),
            leader_epoch: LeaderEpoch(0),
            ..PartitionState::default()
        };
        let topic = Topic {
            id,
            name: name.into(),
            partitions: vec![state; count],
        };
        self.image.topics_by_name.insert(name.into(), id);
        self.image.topics.insert(id, Arc::new(topic));
        self.set_configs(name, args);
        self.publish(Delta {
            topics_changed: vec![id],
            ..Delta::default()
        });
    }

    fn set_configs(&mut self, name: &str, args: &[&str]) {
        let configs = self.image.configs.entry(ConfigResource::Topic(name.into()));
        let configs = configs.or_default();
        for (key, value) in args.iter().filter_map(|arg| arg.split_once('=')) {
            configs.insert(key.into(), value.into());
        }
    }

    fn configure(&mut self, name: &str, args: &[&str]) {
        self.set_configs(name, args);
        self.publish(Delta {
            configs_changed: vec![ConfigResource::Topic(name.into())],
            ..Delta::default()
        });
    }

    fn delete(&mut self, name: &str) {
        let id = self.image.topics_by_name.remove(name).expect("known");
        let topic = self.image.topics.remove(&id).expect("known");
        let count = u32::try_from(topic.partitions.len()).expect("few");
        self.publish(Delta {
            topics_removed: vec![(id, name.into(), count)],
            ..Delta::default()
        });
    }

    fn reborn(&mut self, name: &str) {
        let id = self.image.topics_by_name[name];
        let mut topic = Topic::clone(&self.image.topics.remove(&id).expect("known"));
        topic.id = TopicId([0x77; 16]);
        self.image.topics_by_name.insert(name.into(), topic.id);
        self.image.topics.insert(topic.id, Arc::new(topic));
    }

    fn raise_epoch(&mut self, name: &str, epoch: u64) {
        let id = self.image.topics_by_name[name];
        let mut topic = Topic::clone(&self.image.topics[&id]);
        for state in &mut topic.partitions {
            state.leader_epoch = LeaderEpoch(i32::try_from(epoch).expect("small"));
        }
        self.image.topics.insert(id, Arc::new(topic));
        self.publish(Delta {
            topics_changed: vec![id],
            ..Delta::default()
        });
    }
}

fn config(core: CoreId, shards: u16) -> ShardConfig {
    ShardConfig {
        core,
        shards,
        ctl: CoreId(0),
        node_id: NODE,
        incarnation: [0xab; 16],
        broker: Arc::new(BrokerConfigView::default()),
        listeners: vec!["PLAINTEXT".into()],
        fetch_bytes_max: 57_671_680,
        producer_id_expiration_ms: Millis(86_400_000),
        unwritten_bytes_max: crate::types::limits::UNWRITTEN_BYTES_MAX,
        asks_admission: false,
        hot_tail_bytes_max: crate::types::limits::HOT_TAIL_BYTES_MAX,
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text}: a number"))
}
