//! Every name in a log directory that belongs to logs, and how to read it back.
//!
//! Invariants: 1. No other file of the core spells a name of a log's files. 2. Parsing accepts exactly what formatting
//! produces; any other name is `Other` and is left alone.
//! Deliberately absent: `meta.properties`, `bootstrap.checkpoint`, snapshots of the metadata log (`metadata/layout.rs`).
//! Source: Kafka's `LogFileUtils`, `UnifiedLog.parseTopicPartitionName`, `LocalLog.logDeleteDirName`.

use crate::effect::RelPath;
use crate::types::{Offset, PartitionIndex, TopicId, TopicPartition};

/// Present while the directory was stopped in an orderly way.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// First offset not known to be on stable storage, per partition.
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Log start offsets that are above the first segment's base.
pub const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// In a partition's directory: where each leader epoch starts.
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// In a partition's directory: its topic's id.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// Longest name of a directory entry that Linux file systems take, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

const DELETE: &str = "-delete";
const FUTURE: &str = "-future";
const STRAY: &str = "-stray";
const OFFSET_DIGITS: usize = 20;

/// What a file in a partition's directory is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Batches.
    Log,
    /// Offset → position.
    Index,
    /// Timestamp → offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer state before an offset.
    Snapshot,
}

/// How far a file got on its way in or out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// In use.
    Live,
    /// Waits to be removed.
    Deleted,
    /// Output of an unfinished cleaning: worthless.
    Cleaned,
    /// Output of a finished cleaning that was not yet put in place.
    Swap,
}

/// A name in a partition's directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// A segment's file.
    Segment {
        /// The segment's base offset (for a snapshot: the offset it stands before).
        base: Offset,
        /// Which file.
        kind: Kind,
        /// Which stage.
        stage: Stage,
    },
    /// Something else.
    Other,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Log,
        Self::Index,
        Self::TimeIndex,
        Self::TxnIndex,
        Self::Snapshot,
    ];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::Index => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TxnIndex => ".txnindex",
            Self::Snapshot => ".snapshot",
        }
    }
}

impl Stage {
    const ALL: [Self; 4] = [Self::Deleted, Self::Cleaned, Self::Swap, Self::Live];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// The directory of a partition.
#[must_use]
pub fn partition_dir(topic: &str, partition: PartitionIndex) -> RelPath {
    format!("{topic}-{partition}").into()
}

/// The name a partition's directory gets when its topic is deleted: `<topic>-<p>.<32 hex>-delete`, the topic cut so that it fits a directory entry.
///
/// The hexadecimal part is the topic's id, so that a topic that was deleted, created and deleted again never collides.
#[must_use]
pub fn deleted_dir(dir: &str, topic_id: TopicId) -> RelPath {
    marked_dir(dir, topic_id, DELETE)
}

/// The name the directory of a partition gets that the metadata does not know: `<topic>-<p>.<32 hex>-stray`. `unique` differs
/// for every directory set aside.
#[must_use]
pub fn stray_dir(dir: &str, unique: TopicId) -> RelPath {
    marked_dir(dir, unique, STRAY)
}

fn marked_dir(dir: &str, unique: TopicId, suffix: &str) -> RelPath {
    use std::fmt::Write as _;
    let mut tail = String::with_capacity(48);
    tail.push('.');
    for byte in unique.0 {
        write!(tail, "{byte:02x}").expect("a String takes every write");
    }
    tail.push_str(suffix);
    let (topic, partition) = dir.rsplit_once('-').unwrap_or((dir, "0"));
    let room = NAME_BYTES_MAX - tail.len() - partition.len() - 1;
    let cut = (0..=room)
        .rev()
        .find(|&at| topic.is_char_boundary(at.min(topic.len())));
    let topic = topic
        .get(..cut.unwrap_or(0).min(topic.len()))
        .unwrap_or_default();
    format!("{topic}-{partition}{tail}").into()
}

/// True for the directory of a deleted partition that waits to be removed.
#[must_use]
pub fn is_deleted_dir(name: &str) -> bool {
    marked(name, DELETE)
}

/// True for a directory that Kafka set aside and that holds no partition in use (`-future`, `-stray`).
#[must_use]
pub fn is_aside_dir(name: &str) -> bool {
    marked(name, FUTURE) || marked(name, STRAY)
}

fn marked(name: &str, suffix: &str) -> bool {
    let Some((rest, hex)) = name
        .strip_suffix(suffix)
        .and_then(|name| name.rsplit_once('.'))
    else {
        return false;
    };
    hex.len() == 32
        && hex.bytes().all(|c| c.is_ascii_hexdigit())
        && parse_partition_dir(rest).is_some()
}

/// Reads a partition directory's name back. `None` for any other name.
#[must_use]
pub fn parse_partition_dir(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = !partition.is_empty() && partition.bytes().all(|c| c.is_ascii_digit());
    let canonical = partition == "0" || !partition.starts_with('0');
    if topic.is_empty() || topic.contains('/') || !digits || !canonical {
        return None;
    }
    Some(TopicPartition {
        topic: topic.into(),
        partition: PartitionIndex(partition.parse().ok()?),
    })
}

/// Path of a segment's file within the log directory.
#[must_use]
pub fn segment_file(dir: &str, base: Offset, kind: Kind, stage: Stage) -> RelPath {
    assert!(base.0 >= 0, "a segment starts at an offset, got {base}");
    format!("{dir}/{:020}{}{}", base.0, kind.suffix(), stage.suffix()).into()
}

/// Path of the file with the leader epochs.
#[must_use]
pub fn leader_epochs(dir: &str) -> RelPath {
    format!("{dir}/{LEADER_EPOCHS}").into()
}

/// Path of the file with the topic's id.
#[must_use]
pub fn partition_metadata(dir: &str) -> RelPath {
    format!("{dir}/{PARTITION_METADATA}").into()
}

/// Path of an entry of a partition's directory.
#[must_use]
pub fn entry(dir: &str, name: &str) -> RelPath {
    format!("{dir}/{name}").into()
}

/// Reads a name of a partition's directory back.
#[must_use]
pub fn parse(name: &str) -> Name {
    for stage in Stage::ALL {
        let Some(rest) = name.strip_suffix(stage.suffix()) else {
            continue;
        };
        for kind in Kind::ALL {
            let Some(digits) = rest.strip_suffix(kind.suffix()) else {
                continue;
            };
            let plain = digits.len() == OFFSET_DIGITS && digits.bytes().all(|c| c.is_ascii_digit());
            if let (true, Ok(base)) = (plain, digits.parse()) {
                return Name::Segment {
                    base: Offset(base),
                    kind,
                    stage,
                };
            }
        }
    }
    Name::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_names_go_there_and_back() {
        for kind in Kind::ALL {
            for stage in Stage::ALL {
                let path = segment_file("a-b-7", Offset(42), kind, stage);
                let name = path.strip_prefix("a-b-7/").expect("in the directory");
                let base = Offset(42);
                assert_eq!(parse(name), Name::Segment { base, kind, stage });
            }
        }
        let name = &segment_file("t-0", Offset(i64::MAX), Kind::Log, Stage::Live);
        assert_eq!(&**name, "t-0/09223372036854775807.log");
    }

    #[test]
    fn foreign_names_are_left_alone() {
        for name in [
            "",
            ".log",
            "42.log",
            "0000000000000000004x.log",
            "00000000000000000042",
            "00000000000000000042.logs",
            "00000000000000000042-0000000003.checkpoint",
            "99999999999999999999.log",
            "+0000000000000000042.log",
            "leader-epoch-checkpoint",
        ] {
            assert_eq!(parse(name), Name::Other, "{name}");
        }
    }

    #[test]
    fn directories_go_there_and_back() {
        let dir = partition_dir("my-topic-1", PartitionIndex(12));
        assert_eq!(&*dir, "my-topic-1-12");
        let parsed = parse_partition_dir(&dir).expect("a partition");
        assert_eq!((&*parsed.topic, parsed.partition.0), ("my-topic-1", 12));
        for name in [
            "x",
            "x-",
            "-1",
            "x-01",
            "x-1a",
            "x--",
            "x-99999999999",
            "x-+1",
        ] {
            assert_eq!(parse_partition_dir(name), None, "{name}");
        }
    }

    #[test]
    fn deleted_directories_fit_a_name() {
        let dir = partition_dir(&"t".repeat(249), PartitionIndex(9999));
        let deleted = deleted_dir(&dir, TopicId([0xab; 16]));
        assert!(deleted.len() <= NAME_BYTES_MAX);
        assert!(is_deleted_dir(&deleted));
        assert!(parse_partition_dir(&deleted).is_none());
        assert!(!is_deleted_dir("t-delete"));
        assert!(is_aside_dir(&format!("t-0.{}-stray", "0".repeat(32))));
        let short = deleted_dir("t-3", TopicId([1; 16]));
        assert_eq!(&*short, &format!("t-3.{}-delete", "01".repeat(16)));
    }
}
