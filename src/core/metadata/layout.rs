//! Names of the files that metadata lives in, relative to the log directory.
//!
//! Source: Kafka's `Snapshots`, `FileQuorumStateStore`, `MetaPropertiesEnsemble`.

use crate::types::{LeaderEpoch, Offset};

/// Cluster, node and directory id of a log directory; a directory without it is not formatted.
pub const META_PROPERTIES: &str = "meta.properties";
/// Records that an empty metadata log begins with.
pub const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";
/// The directory of the metadata log.
pub const METADATA_DIR: &str = "__cluster_metadata-0";
/// The metadata log's topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// The election state of the metadata quorum.
pub const QUORUM_STATE: &str = "__cluster_metadata-0/quorum-state";
/// The metadata topic's id.
pub const PARTITION_METADATA: &str = "__cluster_metadata-0/partition.metadata";

/// Path of the snapshot that ends before `end` and whose last record has `epoch`.
#[must_use]
pub fn snapshot_path(end: Offset, epoch: LeaderEpoch) -> String {
    format!("{METADATA_DIR}/{:020}-{:010}.checkpoint", end.0, epoch.0)
}

/// Offset and epoch of a snapshot's file name; `None` for any other name, unfinished and deleted ones included.
#[must_use]
pub fn parse_snapshot_name(name: &str) -> Option<(Offset, LeaderEpoch)> {
    let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(offset, 20) || !digits(epoch, 10) {
        return None;
    }
    Some((
        Offset(offset.parse().ok()?),
        LeaderEpoch(epoch.parse().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_names_go_both_ways() {
        let path = snapshot_path(Offset(1234), LeaderEpoch(7));
        assert_eq!(
            path,
            "__cluster_metadata-0/00000000000000001234-0000000007.checkpoint"
        );
        let name = path.strip_prefix("__cluster_metadata-0/").unwrap();
        assert_eq!(
            parse_snapshot_name(name),
            Some((Offset(1234), LeaderEpoch(7)))
        );
        for bad in [
            "00000000000000001234-0000000007.checkpoint.part",
            "00000000000000001234-0000000007.checkpoint.deleted",
            "1234-7.checkpoint",
            "99999999999999999999-0000000007.checkpoint",
            "-0000000000000000001-0000000007.checkpoint",
            "",
        ] {
            assert_eq!(parse_snapshot_name(bad), None, "{bad}");
        }
    }
}
