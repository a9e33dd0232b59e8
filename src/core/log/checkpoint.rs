//! The small text files of a log directory: offset checkpoints, leader epochs, a partition's topic id, the clean-stop marker.
//!
//! Invariants: what is encoded decodes to the same; bytes from disk never panic and are never half believed.
//! Source: Kafka's `CheckpointFile`, `OffsetCheckpointFile`, `LeaderEpochCheckpointFile`, `PartitionMetadataFile`,
//! `CleanShutdownFileHandler`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;

use super::epochs::EpochStart;
use crate::types::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};

/// Why a small file was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadFile(pub &'static str);

/// What the checkpoint files keep of a partition: hints that shorten its next recovery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionOffsets {
    /// What lies below need not be scanned.
    pub recovery_point: Offset,
    /// Exclusive end of what consumers saw.
    pub high_watermark: Offset,
    /// First offset, if the names of the files do not say it.
    pub log_start: Option<Offset>,
}

/// Names a partition of a topic for good: a successor of the same name has another id.
pub type PartitionKey = (TopicId, PartitionIndex);

/// What ctl found in the log directory at the start, for the partitions that exist.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirectoryState {
    /// The process before stopped in an orderly way.
    pub clean: bool,
    /// What the checkpoints say.
    pub offsets: BTreeMap<PartitionKey, PartitionOffsets>,
}

/// Text of an offset checkpoint (recovery points, log starts, high watermarks).
#[must_use]
pub fn encode_offsets(offsets: &BTreeMap<TopicPartition, Offset>) -> Bytes {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        writeln!(text, "{} {} {offset}", partition.topic, partition.partition)
            .expect("a String takes every write");
    }
    text.into()
}

/// Reads an offset checkpoint.
pub fn decode_offsets(bytes: &[u8]) -> Result<BTreeMap<TopicPartition, Offset>, BadFile> {
    let mut offsets = BTreeMap::new();
    for line in counted_lines(bytes)? {
        let mut words = line.split(' ');
        let parsed = (|| {
            let topic = words.next().filter(|topic| !topic.is_empty())?;
            let partition = PartitionIndex(words.next()?.parse().ok()?);
            let offset = Offset(words.next()?.parse().ok()?);
            let whole = words.next().is_none() && partition.0 >= 0;
            whole.then(|| {
                let topic = topic.into();
                (TopicPartition { topic, partition }, offset)
            })
        })();
        let (partition, offset) =
            parsed.ok_or(BadFile("a line is not 'topic partition offset'"))?;
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

/// Text of `leader-epoch-checkpoint`.
#[must_use]
pub fn encode_epochs(epochs: &[EpochStart]) -> Bytes {
    let mut text = format!("0\n{}\n", epochs.len());
    for entry in epochs {
        writeln!(text, "{} {}", entry.epoch, entry.start).expect("a String takes every write");
    }
    text.into()
}

/// Reads `leader-epoch-checkpoint`.
pub fn decode_epochs(bytes: &[u8]) -> Result<Vec<EpochStart>, BadFile> {
    let mut epochs = Vec::new();
    for line in counted_lines(bytes)? {
        let parsed = (|| {
            let (epoch, start) = line.split_once(' ')?;
            Some(EpochStart {
                epoch: LeaderEpoch(epoch.parse().ok()?),
                start: Offset(start.parse().ok()?),
            })
        })();
        epochs.push(parsed.ok_or(BadFile("a line is not 'epoch offset'"))?);
    }
    Ok(epochs)
}

/// The lines after version and count, if they are as many as the count says. None at all where Kafka has made the file and
/// not written it yet.
fn counted_lines(bytes: &[u8]) -> Result<Vec<&str>, BadFile> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BadFile("not UTF-8"))?;
    let mut lines = text.lines();
    match lines.next().map(str::parse::<i32>) {
        Some(Ok(0)) => {}
        _ => return Err(BadFile("version is not 0")),
    }
    let count: usize = match lines.next().map(str::parse) {
        Some(Ok(count)) => count,
        _ => return Err(BadFile("no count")),
    };
    let lines: Vec<&str> = lines.collect();
    if lines.len() == count {
        Ok(lines)
    } else {
        Err(BadFile("the count is not the number of lines"))
    }
}

/// Text of `partition.metadata`.
#[must_use]
pub fn encode_partition_metadata(topic_id: TopicId) -> Bytes {
    format!("version: 0\ntopic_id: {topic_id}").into()
}

/// Reads `partition.metadata`.
pub fn decode_partition_metadata(bytes: &[u8]) -> Result<TopicId, BadFile> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadFile("not UTF-8"))?;
    let (mut version, mut topic_id) = (None, None);
    for line in text.lines() {
        match line.split_once(':') {
            Some(("version", value)) => version = Some(value.trim()),
            Some(("topic_id", value)) => topic_id = TopicId::parse(value.trim()),
            _ => {}
        }
    }
    if version != Some("0") {
        return Err(BadFile("version is not 0"));
    }
    topic_id
        .filter(|id| !id.is_zero())
        .ok_or(BadFile("no topic id"))
}

/// Content of `.kafka_cleanshutdown`. `broker_epoch` is -1 if unknown.
#[must_use]
pub fn encode_clean_shutdown(broker_epoch: i64) -> Bytes {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}").into()
}

/// The broker epoch in `.kafka_cleanshutdown`; `None` if it cannot be read (the file's presence alone means a clean stop).
#[must_use]
pub fn decode_clean_shutdown(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("\"brokerEpoch\"")?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = value
        .find(|c: char| c != '-' && !c.is_ascii_digit())
        .unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition: PartitionIndex(partition),
        }
    }

    #[test]
    fn offset_checkpoints_are_kafkas() {
        let offsets = BTreeMap::from([
            (partition("a", 0), Offset(7)),
            (partition("b-c", 12), Offset(0)),
        ]);
        let text = encode_offsets(&offsets);
        assert_eq!(&text[..], b"0\n2\na 0 7\nb-c 12 0\n");
        assert_eq!(decode_offsets(&text), Ok(offsets));
        assert_eq!(decode_offsets(b"0\n0\n"), Ok(BTreeMap::new()));
        // Made by Kafka and not written yet.
        assert_eq!(decode_offsets(b""), Ok(BTreeMap::new()));
        for bad in [
            &b"0"[..],
            b"1\n0\n",
            b"0\n2\na 0 7\n",
            b"0\n1\na 0 7\nb 0 8\n",
            b"0\n1\na 0\n",
            b"0\n1\na 0 7 8\n",
            b"0\n1\na -1 7\n",
            b"0\n99999999999999999999\n",
            b"0\n1\n\xff 0 7\n",
        ] {
            assert!(decode_offsets(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn epoch_checkpoints_are_kafkas() {
        let entries = [(0, 0), (3, 17)].map(|(epoch, start)| EpochStart {
            epoch: LeaderEpoch(epoch),
            start: Offset(start),
        });
        let text = encode_epochs(&entries);
        assert_eq!(&text[..], b"0\n2\n0 0\n3 17\n");
        assert_eq!(decode_epochs(&text), Ok(entries.to_vec()));
        assert!(decode_epochs(b"0\n1\n3\n").is_err());
    }

    #[test]
    fn partition_metadata_is_kafkas() {
        let id = TopicId([7; 16]);
        let text = encode_partition_metadata(id);
        assert_eq!(text, format!("version: 0\ntopic_id: {id}"));
        assert_eq!(decode_partition_metadata(&text), Ok(id));
        for bad in [
            &b""[..],
            b"version: 1\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw",
            b"version: 0\ntopic_id: short",
            b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            b"\x00\x00\x00",
        ] {
            assert!(decode_partition_metadata(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn clean_shutdown_is_kafkas() {
        let text = encode_clean_shutdown(42);
        assert_eq!(&text[..], br#"{"version":0,"brokerEpoch":42}"#);
        assert_eq!(decode_clean_shutdown(&text), Some(42));
        let spaced = b"{ \"version\" : 0, \"brokerEpoch\" : -1 }";
        assert_eq!(decode_clean_shutdown(spaced), Some(-1));
        assert_eq!(decode_clean_shutdown(b"{}"), None);
        assert_eq!(decode_clean_shutdown(b""), None);
    }
}
