//! What the members of a consumer group read, as far as the coordinator must know: offsets of such topics are not taken
//! away under them.
//!
//! Source: `ClassicGroup.computeSubscribedTopics`, `ConsumerProtocolSubscription.json`: every version begins like 0, with
//! the version and the topics.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{DecodeError, Reader};
use super::coordinator::Group;

/// Topics that a group reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Subscribed {
    /// These.
    Topics(BTreeSet<Arc<str>>),
    /// Perhaps all: a member's metadata makes no sense.
    Unknown,
}

impl Subscribed {
    pub(super) fn contains(&self, topic: &str) -> bool {
        match self {
            Self::Topics(topics) => topics.contains(topic),
            Self::Unknown => true,
        }
    }
}

impl Group {
    /// Its members speak the consumers' protocol.
    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.live.protocol_type.as_deref() == Some("consumer")
    }

    /// What its members read; nothing that is known of groups that are not of consumers.
    pub(super) fn subscribed(&self) -> Subscribed {
        let mut topics = BTreeSet::new();
        if !self.uses_consumer_protocol() {
            return Subscribed::Topics(topics);
        }
        for member in self.live.members.values() {
            let protocol = self.live.protocol.as_deref();
            let metadata = protocol.and_then(|it| member.metadata(it));
            match metadata.map(topics_of) {
                Some(Ok(some)) => topics.extend(some),
                Some(Err(_)) | None => return Subscribed::Unknown,
            }
        }
        Subscribed::Topics(topics)
    }
}

fn topics_of(metadata: &Bytes) -> Result<Vec<Arc<str>>, DecodeError> {
    let mut r = Reader::new(metadata);
    let _version = r.i16()?;
    let count = r.count()?;
    // The count is at most the bytes left; a name takes two at least.
    let mut topics = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        topics.push(r.text()?);
    }
    Ok(topics)
}
