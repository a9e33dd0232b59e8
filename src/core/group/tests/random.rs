//! Random histories of members that come, go, fall silent and come back, and of a coordinator that starts anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::script::Script;
use crate::group::request::Sync;
use crate::group::{CallId, GroupState, Reply, Request};
use crate::types::{ErrorCode, Millis};

const CLIENTS: [char; 5] = ['A', 'B', 'C', 'D', 'E'];
/// What is to be read, a letter for each partition.
const PARTITIONS: &str = "0123456";

#[derive(Clone, Copy, Debug)]
enum Act {
    Join(usize, bool),
    Changed(usize, bool),
    Sync(usize),
    Beat(usize),
    Leave(usize),
    Commit(usize, i64),
    /// The client's process dies and starts again: it knows nothing but its instance id.
    Crash(usize),
    /// What it does next, it does with what it knew long ago.
    Stale(usize),
    Wait(u64),
    Reload,
    Refuse,
}

fn act() -> impl Strategy<Value = Act> {
    let client = || 0..CLIENTS.len();
    prop_oneof![
        10 => (client(), any::<bool>()).prop_map(|(it, old)| Act::Join(it, old)),
        2 => (client(), any::<bool>()).prop_map(|(it, old)| Act::Changed(it, old)),
        10 => client().prop_map(Act::Sync),
        5 => client().prop_map(Act::Beat),
        2 => client().prop_map(Act::Leave),
        4 => (client(), 0..1000i64).prop_map(|(it, offset)| Act::Commit(it, offset)),
        2 => client().prop_map(Act::Crash),
        2 => client().prop_map(Act::Stale),
        6 => prop_oneof![0..100u64, 0..12_000u64].prop_map(Act::Wait),
        1 => Just(Act::Reload),
        1 => Just(Act::Refuse),
    ]
}

struct World {
    script: Script,
    /// The last offset committed for each client's partition.
    committed: BTreeMap<usize, i64>,
}

impl World {
    /// Clients with even numbers are static members.
    fn instance(client: usize) -> String {
        if client.is_multiple_of(2) {
            format!("static=i{client}")
        } else {
            String::new()
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Join(client, old) => self.join(client, old, "range/m,sticky/n"),
            Act::Changed(client, old) => self.join(client, old, "sticky/k,range/l"),
            Act::Sync(client) => self.sync(client),
            Act::Beat(client) => self.say(client, "beat"),
            Act::Leave(client) => self.say(client, "leave"),
            Act::Commit(client, offset) => self.commit(client, offset),
            Act::Crash(client) => {
                let client = self.script.clients.entry(CLIENTS[client]).or_default();
                *client = super::script::Client::default();
            }
            Act::Stale(client) => {
                let client = self.script.clients.entry(CLIENTS[client]).or_default();
                client.generation -= 1;
            }
            Act::Wait(ms) => self.script.word(&format!("wait {ms}")),
            Act::Reload => self.script.word("reload"),
            Act::Refuse => self.script.word("refuse"),
        }
        self.check();
    }

    fn say(&mut self, client: usize, words: &str) {
        let name = CLIENTS[client];
        let instance = Self::instance(client);
        self.script.word(&format!("{name} {words} {instance}"));
    }

    fn join(&mut self, client: usize, old: bool, protocols: &str) {
        let old = if old { "old" } else { "" };
        let words = format!("join p={protocols} session=9000 rebalance=7000 {old}");
        self.say(client, &words);
    }

    /// Whoever it is, it brings assignments for all; only the leader's may count.
    fn sync(&mut self, client: usize) {
        let name = CLIENTS[client];
        let group = self.script.coordinator.groups.get("g");
        let members: Vec<Arc<str>> = group
            .map(|it| it.live.members.keys().cloned().collect())
            .unwrap_or_default();
        let count = members.len();
        let assignments = members.into_iter().enumerate().map(|(index, id)| {
            let own = PARTITIONS.bytes().skip(index).step_by(count);
            (id, own.collect::<Bytes>())
        });
        let known = self.script.clients.entry(name).or_default().clone();
        let request = Sync {
            group_id: "g".into(),
            generation: known.generation,
            member_id: known.member_id,
            instance_id: client
                .is_multiple_of(2)
                .then(|| format!("i{client}").into()),
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.collect(),
        };
        self.script.ask(name, &Request::Sync(request));
        self.script.settle();
        self.script.check();
    }

    fn commit(&mut self, client: usize, offset: i64) {
        let before = self.script.log.len();
        self.say(client, &format!("commit t-{client}={offset}"));
        if self.script.log.len() > before {
            self.committed.insert(client, offset);
        }
    }

    /// What clients believe, and what they would be answered now.
    fn check(&mut self) {
        let Some(group) = self.script.coordinator.groups.get("g") else {
            assert!(self.committed.is_empty());
            return;
        };
        for client in 0..CLIENTS.len() {
            let index = crate::types::PartitionIndex(i32::try_from(client).expect("few"));
            let stored = group.offset("t", index).map(|it| it.offset.0);
            assert_eq!(stored, self.committed.get(&client).copied());
        }
        let mut owners: BTreeMap<u8, char> = BTreeMap::new();
        for (client, name) in CLIENTS.into_iter().enumerate() {
            let Some(known) = self.script.clients.get(&name) else {
                continue;
            };
            let request = super::requests::parse(
                &self.script,
                name,
                &format!("beat {}", Self::instance(client)),
            );
            let decision = (self.script.coordinator).handle(self.script.now, CallId(0), &request);
            if decision.answers[0].reply != Reply::Heartbeat(ErrorCode::None) {
                continue;
            }
            // It goes on reading: nobody else may read the same.
            assert_eq!(known.generation, group.live.generation);
            for partition in &known.owned {
                assert_eq!(owners.insert(*partition, name), None, "two own {partition}");
            }
            if group.live.state == GroupState::Stable && !known.owned.is_empty() {
                assert_eq!(known.owned, group.assignment(&known.member_id));
            }
        }
    }

    /// Nobody says anything any more: everybody is answered, and nobody is left.
    fn end(mut self) {
        self.script.word("wait 2000000");
        assert!(self.script.waiting.is_empty(), "somebody still waits");
        let groups = self.script.coordinator.groups.values();
        assert!(
            groups
                .into_iter()
                .all(super::super::coordinator::Group::is_deserted)
        );
    }
}

fn run(acts: Vec<Act>, delay: u64) {
    let mut config = super::config();
    config.initial_rebalance_delay = Millis(delay);
    let mut world = World {
        script: Script::new(config),
        committed: BTreeMap::new(),
    };
    for act in acts {
        world.act(act);
    }
    world.end();
}

fn history() -> impl Strategy<Value = (Vec<Act>, u64)> {
    let delay = prop_oneof![Just(0u64), Just(3000)];
    (proptest::collection::vec(act(), 1..150), delay)
}

proptest! {
    // proptest prints the seed and the smallest history of a failure.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_generation_owns_and_a_reload_knows_the_same((acts, delay) in history()) {
        run(acts, delay);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn without_the_rule_two_generations_own() {
    use proptest::test_runner::{TestError, TestRunner};

    crate::rule::remove(Some("TWO_GENERATIONS"));
    let mut runner = TestRunner::deterministic();
    let result = runner.run(&history(), |(acts, delay)| {
        run(acts, delay);
        Ok(())
    });
    crate::rule::remove(None);
    assert!(matches!(result, Err(TestError::Fail(..))), "{result:?}");
}
