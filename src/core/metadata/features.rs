//! Features: what onrush supports, and what a new cluster starts with.
//!
//! The levels are those of Apache Kafka 4.2, because the log belongs to a cluster that a Kafka 4.2 can open. What clients are told
//! is another matter: ApiVersions names only what is served.
//! Source: Kafka's `MetadataVersion`, `Feature`, `StorageTool`.

/// `metadata.version` of Kafka 4.2 (4.2-IV1).
pub const METADATA_VERSION: i16 = 29;
/// Name of the feature that says how the metadata log is to be read.
pub const METADATA_VERSION_NAME: &str = "metadata.version";
/// Name of the feature that keeps eligible leader replicas (KIP-966).
pub const ELR_NAME: &str = "eligible.leader.replicas.version";

/// What a broker of this version supports: name, lowest, highest level. In the order in which Kafka 4.2 registers them.
pub const SUPPORTED: &[(&str, i16, i16)] = &[
    ("group.version", 0, 1),
    ("kraft.version", 0, 1),
    (METADATA_VERSION_NAME, 7, METADATA_VERSION),
    ("share.version", 0, 1),
    ("streams.version", 0, 1),
    ("transaction.version", 0, 2),
    (ELR_NAME, 0, 1),
];

/// Levels that a new cluster starts with, in the order in which Kafka 4.2 writes them. `kraft.version` is not among them: it
/// stands in a control record.
pub const OF_NEW_CLUSTER: &[(&str, i16)] = &[
    (METADATA_VERSION_NAME, METADATA_VERSION),
    (ELR_NAME, 1),
    ("group.version", 1),
    ("share.version", 1),
    ("streams.version", 1),
    ("transaction.version", 2),
];

/// `kraft.version` of a new cluster: 1, voters in the log (KIP-853).
pub const KRAFT_VERSION: i16 = 1;
