//! The words of a script, and the world that carries them out.
//!
//! | word | what it does |
//! |---|---|
//! | `A join …` | client A (any capital) sends a JoinGroup, with the member id that it was told last |
//! | `A sync b1=x …`, `A beat`, `A leave` | in the generation that it joined last |
//! | `A commit t-0=5 …`, `A fetch t-0 …`, `A fetch` | offsets, with A's member id; of all partitions |
//! | `A drop t-0 …`, `A describe`, `A list …`, `A delete` | OffsetDelete and the rest |
//! | `wait 500` | so many milliseconds pass; timers ring at their time |
//! | `reload` | a new coordinator reads the log; who waits is forgotten |
//! | `refuse` | the log refuses the next records |
//! | `expire`, `forget t` | the host sweeps |
//! | `show` | from here on records are told, too |
//!
//! Words of the form `key=value` change a request, see `requests`. A member id is told as the client's name in lower case
//! and a number, in the order in which its ids were made.
//!
//! After each word the log is read by a second coordinator, which must know what the first knows, and each call must have
//! been answered at most once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::{invariants, requests, telling};
use bytes::Bytes;

use crate::group::reply::Reply;
use crate::group::{CallId, Coordinator, Decision, GroupConfig, Record, Request, append_error};
use crate::types::{ErrorCode, Millis, Monotonic, Now, WallMillis};

/// What time it is when a script begins.
const WALL: i64 = 1_700_000_000_000;

/// What a client was told last.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) member_id: Arc<str>,
    pub(super) generation: i32,
    /// The assignment that it got last.
    pub(super) owned: Bytes,
}

/// A coordinator and everything around it.
pub(super) struct Script {
    pub(super) coordinator: Coordinator,
    pub(super) config: GroupConfig,
    pub(super) log: Vec<Record>,
    pub(super) now: Now,
    pub(super) clients: BTreeMap<char, Client>,
    pub(super) names: telling::Names,
    calls: u64,
    pub(super) waiting: BTreeMap<CallId, char>,
    answered: BTreeSet<CallId>,
    refuses: bool,
    shows: bool,
    loads: u8,
    told: Vec<String>,
}

impl Script {
    pub(super) fn new(config: GroupConfig) -> Self {
        Self {
            coordinator: Coordinator::new(config, [0; 16]),
            config,
            log: Vec::new(),
            now: Now {
                mono: Monotonic(0),
                wall: WallMillis(WALL),
            },
            clients: BTreeMap::new(),
            names: telling::Names::default(),
            calls: 0,
            waiting: BTreeMap::new(),
            answered: BTreeSet::new(),
            refuses: false,
            shows: false,
            loads: 0,
            told: Vec::new(),
        }
    }

    /// Runs a script and compares.
    pub(super) fn run(&mut self, text: &str) {
        let mut expected = String::new();
        let mut said = String::new();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty()) {
            writeln!(expected, "{line}").expect("a String takes it");
            if line.starts_with('>') {
                continue;
            }
            writeln!(said, "{line}").expect("a String takes it");
            if !line.starts_with('#') {
                self.word(line);
            }
            for told in self.told.drain(..) {
                writeln!(said, "> {told}").expect("a String takes it");
            }
        }
        assert!(
            said == expected,
            "this was expected:\n{expected}\nthis was said:\n{said}"
        );
    }

    /// Carries out one line.
    pub(super) fn word(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "wait" => self.wait(Millis(rest.parse().expect("a number"))),
            "reload" => self.reload(),
            "refuse" => self.refuses = true,
            "show" => self.shows = true,
            "expire" => self.sweep(|script, from| script.coordinator.expire(script.now, from)),
            "forget" => {
                let topics = [Arc::from(rest)];
                self.sweep(|script, from| script.coordinator.forget(&topics, from));
            }
            _ => {
                let name = word.chars().next().expect("a client's name");
                assert!(name.is_ascii_uppercase(), "{line}: no such word");
                self.clients.entry(name).or_default();
                let request = requests::parse(self, name, rest);
                self.ask(name, &request);
            }
        }
        self.settle();
        self.check();
    }

    /// A client asks.
    pub(super) fn ask(&mut self, name: char, request: &Request) {
        self.calls += 1;
        let call = CallId(self.calls);
        self.waiting.insert(call, name);
        let before = self.coordinator.clone();
        let decision = self.coordinator.handle(self.now, call, request);
        invariants::same(&before, &self.coordinator);
        if self.refuses && !decision.records.is_empty() {
            self.refuses = false;
            let error = append_error(ErrorCode::NotEnoughReplicas);
            self.answer(call, &request.refuse(error));
        } else {
            self.take(decision);
        }
    }

    /// What the host does with a decision.
    fn take(&mut self, decision: Decision) {
        let stores = !decision.records.is_empty();
        for record in decision.records {
            self.coordinator.replay(&record).expect("our own record");
            if self.shows {
                let told = telling::record(&record, &self.names, WALL);
                self.told.push(told);
            }
            self.log.push(record);
        }
        for event in &decision.events {
            self.coordinator.apply(event);
        }
        for answer in decision.answers {
            let waits = telling::reveals(&answer.reply).unwrap_or(stores);
            assert!(answer.waits || !waits, "{:?} waits", answer.reply);
            self.answer(answer.call, &answer.reply);
        }
    }

    fn answer(&mut self, call: CallId, reply: &Reply) {
        assert!(self.answered.insert(call), "{call:?} is answered twice");
        // A call from before a reload is nobody's.
        let name = self.waiting.remove(&call).expect("who asked");
        let client = self.clients.get_mut(&name).expect("a client");
        match reply {
            Reply::Join(it) if it.error == ErrorCode::None => {
                self.names.learn(name, &it.member_id);
                client.member_id = it.member_id.clone();
                client.generation = it.generation;
                client.owned = Bytes::new();
            }
            Reply::Join(it) if it.error == ErrorCode::MemberIdRequired => {
                self.names.learn(name, &it.member_id);
                client.member_id = it.member_id.clone();
            }
            Reply::Sync(it) if it.error == ErrorCode::None => client.owned = it.assignment.clone(),
            _ => {}
        }
        let told = telling::reply(reply, &self.names);
        self.told.push(format!("{name} {told}"));
    }

    /// Timers that are due ring.
    pub(super) fn settle(&mut self) {
        while self
            .coordinator
            .deadline()
            .is_some_and(|at| at <= self.now.mono)
        {
            let decision = self.coordinator.tick(self.now);
            assert!(!decision.is_empty(), "a timer that rings for ever");
            self.take(decision);
        }
    }

    fn wait(&mut self, time: Millis) {
        let until = self.now.mono.after(time);
        while let Some(at) = self.coordinator.deadline().filter(|at| *at <= until) {
            self.pass(at);
            self.settle();
        }
        self.pass(until);
    }

    fn pass(&mut self, to: Monotonic) {
        let passed = to.since(self.now.mono).0;
        self.now.wall.0 += i64::try_from(passed).expect("a short time");
        self.now.mono = to;
    }

    fn sweep(&mut self, decide: impl Fn(&Self, Option<&Arc<str>>) -> Decision) {
        let mut from: Option<Arc<str>> = None;
        loop {
            let decision = decide(self, from.as_ref());
            from.clone_from(&decision.more);
            self.take(decision);
            if from.is_none() {
                break;
            }
        }
    }

    fn reload(&mut self) {
        self.loads += 1;
        self.coordinator = Coordinator::new(self.config, [self.loads; 16]);
        for record in &self.log {
            self.coordinator.replay(record).expect("our own record");
        }
        self.coordinator.loaded(self.now);
        self.waiting.clear();
    }

    pub(super) fn check(&self) {
        let mut other = Coordinator::new(self.config, [0xff; 16]);
        for record in &self.log {
            other.replay(record).expect("our own record");
        }
        invariants::same_stored(&self.coordinator, &other);
        invariants::hold(&self.coordinator);
    }
}
