//! What stands in the files of a freshly formatted log directory.
//!
//! Pure: the edge writes the files in the order given (flushed, each by rename) before it starts the machines. A directory is
//! formatted once its `meta.properties` is there, which is therefore the last file.
//! Invariant: Apache Kafka 4.2 opens the result as the combined controller and broker `node_id` (docs/adr/0002-metadata-log.md).
//! Source: Kafka's `Formatter` (`kafka-storage format --standalone`).

use std::sync::Arc;

use bytes::Bytes;

use super::control::{Voter, VoterEndpoint};
use super::controller::features_of_new_cluster;
use super::features;
use super::layout;
use super::properties::MetaProperties;
use super::quorum::QuorumState;
use super::snapshot::encode_snapshot;
use crate::effect::RelPath;
use crate::types::{DirectoryId, LeaderEpoch, NodeId, Offset, TopicId, WallMillis};

/// What a new directory is to be.
#[derive(Clone, Debug)]
pub struct FormatSpec {
    /// The cluster's id.
    pub cluster_id: Arc<str>,
    /// `node.id`.
    pub node_id: NodeId,
    /// Random id of the directory.
    pub directory_id: DirectoryId,
    /// Where the controller would be reached: written into the voter set, as Kafka demands.
    pub controller: VoterEndpoint,
    /// Time of formatting.
    pub now: WallMillis,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Relative to the log directory; its parent is to be made if absent.
    pub path: RelPath,
    /// Its content.
    pub bytes: Bytes,
}

/// The files of a directory whose node is the only voter, in the order in which they must become durable.
#[must_use]
pub fn plan_format(spec: &FormatSpec) -> Vec<NewFile> {
    let voters = vec![Voter {
        id: spec.node_id,
        directory: spec.directory_id,
        endpoints: vec![spec.controller.clone()],
        kraft_versions: (0, features::KRAFT_VERSION),
    }];
    let bootstrap = features_of_new_cluster();
    let properties = MetaProperties {
        cluster_id: spec.cluster_id.to_string(),
        node_id: spec.node_id,
        directory_id: Some(spec.directory_id),
    };
    let file = |path: &str, bytes: Bytes| NewFile {
        path: path.into(),
        bytes,
    };
    vec![
        file(
            &layout::snapshot_path(Offset(0), LeaderEpoch(0)),
            encode_snapshot(
                spec.now,
                spec.now,
                Some((features::KRAFT_VERSION, &voters)),
                &[],
            ),
        ),
        file(
            layout::QUORUM_STATE,
            QuorumState::unattached(LeaderEpoch(0)).encode(),
        ),
        file(
            layout::PARTITION_METADATA,
            Bytes::from(format!("version: 0\ntopic_id: {}", TopicId::METADATA)),
        ),
        file(
            layout::BOOTSTRAP_CHECKPOINT,
            encode_snapshot(WallMillis(0), spec.now, None, &bootstrap),
        ),
        file(layout::META_PROPERTIES, properties.encode()),
    ]
}
