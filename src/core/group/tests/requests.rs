//! Requests of a script, from their words.
//!
//! `group=` (default g), `id=` (a member id as it is told, or none), `gen=`, `static=`; of a join `session=`,
//! `rebalance=`, `type=`, `p=range/x,sticky/y` (assignors with their metadata), `old` (before v4), `skip` (v9);
//! of a commit `keep=` (retention) and `topic-partition=offset/metadata`; of a list the states.

use std::sync::Arc;

use bytes::Bytes;

use super::script::Script;
use crate::group::request::{
    Commit, CommitPartition, CommitTopic, Fetch, Heartbeat, Join, Leave, LeavingMember, List,
    OffsetDelete, Protocol, Sync,
};
use crate::group::{GroupState, Request};
use crate::types::{LeaderEpoch, Offset, PartitionIndex, TopicId};

/// The words of a request.
struct Words<'a> {
    script: &'a Script,
    name: char,
    all: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let mut words = self.all.iter().filter_map(|word| word.split_once('='));
        words.find(|(it, _)| *it == key).map(|(_, value)| value)
    }

    fn has(&self, word: &str) -> bool {
        self.all.contains(&word)
    }

    fn text(&self, key: &str, default: &str) -> Arc<str> {
        self.get(key).unwrap_or(default).into()
    }

    fn opt(&self, key: &str) -> Option<Arc<str>> {
        self.get(key).map(Arc::from)
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.get(key).map_or(default, |text| {
            text.parse().unwrap_or_else(|_| panic!("{key}={text}"))
        })
    }

    fn member_id(&self) -> Arc<str> {
        match self.get("id") {
            Some("none") => "".into(),
            Some(told) => self.script.names.id(told),
            None => self.script.clients[&self.name].member_id.clone(),
        }
    }

    fn generation(&self) -> i32 {
        self.number("gen", self.script.clients[&self.name].generation)
    }

    fn group(&self) -> Arc<str> {
        self.text("group", "g")
    }

    /// `t-0=5` and `t-0`: the words that name partitions.
    fn partitions(&self) -> Vec<(Arc<str>, PartitionIndex, Option<&'a str>)> {
        let named = self.all.iter().filter_map(|word| {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (*word, None),
            };
            let (topic, index) = name.rsplit_once('-')?;
            let index = index.parse().ok()?;
            Some((Arc::from(topic), PartitionIndex(index), value))
        });
        named.collect()
    }

    fn topics(&self) -> Vec<(Arc<str>, Vec<PartitionIndex>)> {
        let named = self.partitions().into_iter();
        named
            .map(|(topic, index, _)| (topic, vec![index]))
            .collect()
    }
}

pub(super) fn parse(script: &Script, name: char, text: &str) -> Request {
    let mut all: Vec<&str> = text.split_whitespace().collect();
    let verb = all.remove(0);
    let words = Words { script, name, all };
    match verb {
        "join" => Request::Join(join(&words)),
        "sync" => Request::Sync(sync(&words)),
        "beat" => Request::Heartbeat(Heartbeat {
            group_id: words.group(),
            generation: words.generation(),
            member_id: words.member_id(),
            instance_id: words.opt("static"),
        }),
        "leave" => Request::Leave(leave(&words)),
        "commit" => Request::Commit(commit(&words)),
        "fetch" => Request::Fetch(Fetch {
            group_id: words.group(),
            member_id: None,
            member_epoch: -1,
            topics: Some(words.topics()).filter(|topics| !topics.is_empty()),
            require_stable: false,
        }),
        "drop" => Request::OffsetDelete(OffsetDelete {
            group_id: words.group(),
            topics: words.topics(),
        }),
        "describe" => Request::Describe {
            group_id: words.group(),
        },
        "delete" => Request::Delete {
            group_id: words.group(),
        },
        "list" => Request::List(List {
            states: (words.all.iter())
                .filter_map(|word| GroupState::parse(word))
                .collect(),
            classic: !words.has("consumer"),
        }),
        _ => panic!("{verb}: no such request"),
    }
}

fn join(words: &Words<'_>) -> Join {
    let protocols = words.get("p").unwrap_or("range/m").split(',');
    let protocols = protocols.filter_map(|it| it.split_once('/'));
    let session_timeout_ms = words.number("session", 10_000);
    Join {
        group_id: words.group(),
        member_id: words.member_id(),
        instance_id: words.opt("static"),
        client_id: words.name.to_string().into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms,
        rebalance_timeout_ms: words.number("rebalance", 60_000),
        protocol_type: words.text("type", "consumer"),
        protocols: protocols
            .map(|(name, metadata)| Protocol {
                name: name.into(),
                metadata: metadata_of(metadata),
            })
            .collect(),
        member_id_required: !words.has("old"),
        can_skip_assignment: words.has("skip"),
        reason: None,
    }
}

/// `@t+u` is a consumer's subscription to the topics t and u, anything else stands for itself.
fn metadata_of(text: &str) -> Bytes {
    let Some(topics) = text.strip_prefix('@') else {
        return Bytes::copy_from_slice(text.as_bytes());
    };
    let topics: Vec<&str> = topics.split('+').collect();
    let mut bytes = vec![0, 1];
    let count = i32::try_from(topics.len()).expect("few");
    bytes.extend(count.to_be_bytes());
    for topic in topics {
        let length = i16::try_from(topic.len()).expect("short");
        bytes.extend(length.to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

fn sync(words: &Words<'_>) -> Sync {
    let pairs = words.all.iter().filter_map(|word| word.split_once('='));
    let assignments = pairs.filter_map(|(told, bytes)| {
        let id = words.script.names.known(told)?;
        Some((id, Bytes::copy_from_slice(bytes.as_bytes())))
    });
    Sync {
        group_id: words.group(),
        generation: words.generation(),
        member_id: words.member_id(),
        instance_id: words.opt("static"),
        protocol_type: words.opt("type"),
        protocol_name: words.opt("name"),
        assignments: assignments.collect(),
    }
}

/// The client itself, or everybody named: `b1`, `i:instance`.
fn leave(words: &Words<'_>) -> Leave {
    let named = words.all.iter().filter(|word| !word.contains('='));
    let named = named.map(|word| match word.strip_prefix("i:") {
        Some(instance) => leaving("".into(), Some(instance.into())),
        None => leaving(words.script.names.id(word), None),
    });
    let mut members: Vec<LeavingMember> = named.collect();
    if members.is_empty() {
        members.push(leaving(words.member_id(), words.opt("static")));
    }
    Leave {
        group_id: words.group(),
        members,
    }
}

fn leaving(member_id: Arc<str>, instance_id: Option<Arc<str>>) -> LeavingMember {
    LeavingMember {
        member_id,
        instance_id,
        reason: None,
    }
}

fn commit(words: &Words<'_>) -> Commit {
    let partitions = words.partitions().into_iter();
    let topics = partitions.map(|(topic, partition, value)| {
        let value = value.expect("an offset");
        let (offset, metadata) = match value.split_once('/') {
            Some((offset, metadata)) => (offset, Some(metadata)),
            None => (value, None),
        };
        let commit = CommitPartition {
            partition,
            offset: Offset(offset.parse().expect("an offset")),
            leader_epoch: LeaderEpoch(4),
            metadata: metadata.map(Arc::from),
        };
        CommitTopic {
            topic,
            topic_id: TopicId::ZERO,
            partitions: vec![commit],
        }
    });
    Commit {
        group_id: words.group(),
        generation: words.generation(),
        member_id: words.member_id(),
        instance_id: words.opt("static"),
        retention_ms: words.get("keep").map(|text| text.parse().expect("ms")),
        topics: topics.collect(),
    }
}
