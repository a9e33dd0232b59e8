//! `quorum-state`: the election state that must not be forgotten.
//!
//! Source: Kafka's `FileQuorumStateStore`, `QuorumStateData.json` (versions 0 and 1; we write 1).

use bytes::Bytes;

use crate::types::{DirectoryId, LeaderEpoch, NodeId};

/// What a voter remembers of the last election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The highest epoch ever seen.
    pub epoch: LeaderEpoch,
    /// Its leader, if known.
    pub leader: Option<NodeId>,
    /// Whom this node voted for in it.
    pub voted: Option<NodeId>,
    /// The directory of the one voted for, zero if unknown.
    pub voted_directory: DirectoryId,
}

/// A `quorum-state` that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quorum-state does not hold a valid {0}")]
pub struct QuorumStateError(pub &'static str);

impl QuorumState {
    /// Nobody leads the epoch and nobody was voted for.
    #[must_use]
    pub fn unattached(epoch: LeaderEpoch) -> Self {
        Self {
            epoch,
            leader: None,
            voted: None,
            voted_directory: DirectoryId::ZERO,
        }
    }

    /// The file's text, version 1: one line of JSON.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let id = |node: Option<NodeId>| node.map_or(-1, |id| id.0);
        Bytes::from(format!(
            "{{\"leaderId\":{},\"leaderEpoch\":{},\"votedId\":{},\"votedDirectoryId\":\"{}\",\"data_version\":1}}",
            id(self.leader),
            self.epoch,
            id(self.voted),
            self.voted_directory,
        ))
    }

    /// Parses the file's text: a flat JSON object, of which only the fields named above are looked at.
    pub fn decode(text: &str) -> Result<Self, QuorumStateError> {
        let node = |key: &'static str| match int_field(text, key) {
            Some(-1) | None => Ok(None),
            Some(id) => i32::try_from(id)
                .ok()
                .filter(|id| *id >= 0)
                .map(|id| Some(NodeId(id)))
                .ok_or(QuorumStateError(key)),
        };
        let epoch = int_field(text, "leaderEpoch")
            .and_then(|epoch| i32::try_from(epoch).ok())
            .filter(|epoch| *epoch >= 0)
            .ok_or(QuorumStateError("leaderEpoch"))?;
        Ok(Self {
            epoch: LeaderEpoch(epoch),
            leader: node("leaderId")?,
            voted: node("votedId")?,
            voted_directory: string_field(text, "votedDirectoryId")
                .and_then(DirectoryId::parse)
                .unwrap_or(DirectoryId::ZERO),
        })
    }
}

/// What follows `"key":` in a JSON text without nested objects of the same key.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let quoted = format!("\"{key}\"");
    let (_, after) = text.split_once(&quoted)?;
    after.trim_start().strip_prefix(':').map(str::trim_start)
}

fn int_field(text: &str, key: &str) -> Option<i64> {
    let value = field(text, key)?;
    let end = value
        .find(|c: char| c != '-' && !c.is_ascii_digit())
        .unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

fn string_field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    field(text, key)?.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kafka_4_2_wrote_and_writes_the_same() {
        let text = "{\"leaderId\":1,\"leaderEpoch\":3,\"votedId\":-1,\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}";
        let state = QuorumState::decode(text).unwrap();
        assert_eq!(state.epoch, LeaderEpoch(3));
        assert_eq!(state.leader, Some(NodeId(1)));
        assert_eq!(state.voted, None);
        assert_eq!(state.encode(), text.as_bytes());
        let old = "{\"clusterId\":\"\",\"leaderId\":-1,\"leaderEpoch\":0,\"votedId\":-1,\"appliedOffset\":0,\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}";
        assert_eq!(
            QuorumState::decode(old),
            Ok(QuorumState::unattached(LeaderEpoch(0)))
        );
    }

    #[test]
    fn refuses_what_cannot_be() {
        for bad in [
            "",
            "{}",
            "{\"leaderEpoch\":-1}",
            "{\"leaderEpoch\":99999999999}",
            "{\"leaderEpoch\":\"x\"}",
        ] {
            assert_eq!(
                QuorumState::decode(bad),
                Err(QuorumStateError("leaderEpoch")),
                "{bad}"
            );
        }
        assert_eq!(
            QuorumState::decode("{\"leaderEpoch\":1,\"leaderId\":-7}"),
            Err(QuorumStateError("leaderId"))
        );
    }
}
