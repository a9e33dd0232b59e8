//! What a script is told: replies and records in a line each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::group::reply::{
    DescribeReply, FetchReply, JoinReply, LeaveReply, Reply, SyncReply, TopicErrors,
};
use crate::group::{Entry, Record};
use crate::types::ErrorCode;

/// Member ids and how they are told.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    told: BTreeMap<Arc<str>, String>,
    ids: BTreeMap<String, Arc<str>>,
}

impl Names {
    /// A client was told an id.
    pub(super) fn learn(&mut self, client: char, id: &Arc<str>) {
        if id.is_empty() || self.told.contains_key(id) {
            return;
        }
        let client = client.to_ascii_lowercase();
        let mut count = 1;
        while self.ids.contains_key(&format!("{client}{count}")) {
            count += 1;
        }
        let told = format!("{client}{count}");
        self.told.insert(id.clone(), told.clone());
        self.ids.insert(told, id.clone());
    }

    pub(super) fn known(&self, told: &str) -> Option<Arc<str>> {
        self.ids.get(told).cloned()
    }

    /// The id, or what was said if it was never told.
    pub(super) fn id(&self, told: &str) -> Arc<str> {
        self.known(told).unwrap_or_else(|| told.into())
    }

    fn tell<'a>(&'a self, id: &'a str) -> &'a str {
        match self.told.get(id) {
            Some(told) => told,
            None if id.is_empty() => "nobody",
            // A member that is not yet answered.
            None => id.split('-').next().unwrap_or(id),
        }
    }
}

/// Whether a reply must wait until what it tells cannot be lost; `None` if that depends on the decision.
pub(super) fn reveals(reply: &Reply) -> Option<bool> {
    match reply {
        Reply::Join(it) => Some(it.error == ErrorCode::None),
        Reply::Sync(it) => Some(it.error == ErrorCode::None),
        Reply::Heartbeat(_) => Some(false),
        Reply::Leave(_) | Reply::Commit(_) => None,
        Reply::Fetch(_)
        | Reply::Describe(_)
        | Reply::List(_)
        | Reply::Delete(_)
        | Reply::OffsetDelete(_) => Some(true),
    }
}

pub(super) fn reply(reply: &Reply, names: &Names) -> String {
    match reply {
        Reply::Join(it) => join(it, names),
        Reply::Sync(it) => sync(it),
        Reply::Heartbeat(error) => format!("beat {}", error.code()),
        Reply::Leave(it) => leave(it, names),
        Reply::Commit(it) => format!("committed{}", errors(&it.topics)),
        Reply::Fetch(it) => fetch(it),
        Reply::Describe(it) => describe(it, names),
        Reply::List(Err(error)) => format!("list error {}", error.code()),
        Reply::List(Ok(groups)) => {
            let groups = groups.iter();
            let groups =
                groups.map(|it| format!(" {}:{}:{}", it.group_id, it.protocol_type, it.state));
            format!("list{}", groups.collect::<String>())
        }
        Reply::Delete(error) => format!("deleted {}", error.code()),
        Reply::OffsetDelete(it) if it.error != ErrorCode::None => {
            format!("dropped error {}", it.error.code())
        }
        Reply::OffsetDelete(it) => format!("dropped{}", errors(&it.topics)),
    }
}

fn join(it: &JoinReply, names: &Names) -> String {
    if it.error != ErrorCode::None {
        return format!(
            "join error {} {}",
            it.error.code(),
            names.tell(&it.member_id)
        );
    }
    let protocol = it.protocol_name.as_deref().unwrap_or("-");
    let mut told = format!(
        "joined {} as {} by {protocol} leader {}",
        it.generation,
        names.tell(&it.member_id),
        names.tell(&it.leader)
    );
    for member in &it.members {
        let metadata = String::from_utf8_lossy(&member.metadata);
        write!(told, " {}={metadata}", names.tell(&member.member_id)).expect("a String takes it");
        if let Some(instance) = &member.instance_id {
            write!(told, "({instance})").expect("a String takes it");
        }
    }
    if it.skip_assignment {
        told += " skip";
    }
    told
}

fn sync(it: &SyncReply) -> String {
    if it.error != ErrorCode::None {
        return format!("sync error {}", it.error.code());
    }
    assert!(it.protocol_type.is_some() && it.protocol_name.is_some());
    format!("synced {:?}", String::from_utf8_lossy(&it.assignment))
}

fn leave(it: &LeaveReply, names: &Names) -> String {
    let mut told = format!("left {}", it.error.code());
    for member in &it.members {
        let who = match &member.instance_id {
            Some(instance) => format!("{}({instance})", names.tell(&member.member_id)),
            None => names.tell(&member.member_id).to_owned(),
        };
        write!(told, " {who}:{}", member.error.code()).expect("a String takes it");
    }
    told
}

fn errors(topics: &[TopicErrors]) -> String {
    let mut told = String::new();
    for topic in topics {
        for (partition, error) in &topic.partitions {
            write!(told, " {}-{partition}:{}", topic.topic, error.code())
                .expect("a String takes it");
        }
    }
    told
}

fn fetch(it: &FetchReply) -> String {
    let mut told = "fetched".to_owned();
    for topic in &it.topics {
        for partition in &topic.partitions {
            assert_eq!(partition.error, ErrorCode::None);
            write!(
                told,
                " {}-{}={}",
                topic.topic, partition.partition, partition.offset
            )
            .expect("a String takes it");
            if !partition.metadata.is_empty() {
                write!(told, "/{}", partition.metadata).expect("a String takes it");
            }
        }
    }
    told
}

fn describe(it: &DescribeReply, names: &Names) -> String {
    let state = it.state.expect("a state");
    let mut told = format!(
        "describe {} {state} {}:{}",
        it.error.code(),
        it.protocol_type,
        it.protocol_name
    );
    for member in &it.members {
        let metadata = String::from_utf8_lossy(&member.metadata);
        let assignment = String::from_utf8_lossy(&member.assignment);
        write!(
            told,
            " {}={metadata}/{assignment}",
            names.tell(&member.member_id)
        )
        .expect("a String takes it");
    }
    told
}

/// A record; times are told in milliseconds since the script began.
pub(super) fn record(record: &Record, names: &Names, began: i64) -> String {
    match record.decode().expect("our own record") {
        Entry::Offset(key, None) => format!("- {} {}-{}", key.group_id, key.topic, key.partition),
        Entry::Offset(key, Some(it)) => format!(
            "+ {} {}-{}={} at {}",
            key.group_id,
            key.topic,
            key.partition,
            it.offset,
            it.committed.0 - began
        ),
        Entry::Group(group_id, None) => format!("- {group_id}"),
        Entry::Group(group_id, Some(it)) => {
            let leader = it.leader.as_deref().unwrap_or_default();
            let mut told = format!(
                "+ {group_id} gen {} {}:{} leader {} at {}",
                it.generation,
                it.protocol_type,
                it.protocol.as_deref().unwrap_or_default(),
                names.tell(leader),
                it.since.map_or(-1, |it| it.0 - began)
            );
            for member in &it.members {
                let assignment = String::from_utf8_lossy(&member.assignment);
                write!(told, " {}={assignment}", names.tell(&member.member_id))
                    .expect("a String takes it");
            }
            told
        }
        Entry::Other(key_type) => format!("? {key_type}"),
    }
}
