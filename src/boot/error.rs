//! Why a broker cannot start: one sentence each, with what, where and what to do.

use std::path::PathBuf;

use onrush_core::metadata::properties::MetaPropertiesError;
use onrush_core::types::NodeId;

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data directory cannot be used.
    #[error(
        "cannot use the data directory {path}: {error}; check that it exists on a healthy disk and that this user may write there, or set log.dirs"
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another process holds it.
    #[error(
        "the data directory {path} is locked by another broker that runs on it: stop that one, or set log.dirs to another directory"
    )]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// `meta.properties` makes no sense.
    #[error(
        "{path} cannot be understood ({error}): restore it from a backup, or set log.dirs to another directory"
    )]
    MetaProperties {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: MetaPropertiesError,
    },
    /// Formatted for another node.
    #[error(
        "the data directory {path} belongs to node {found}, and this is node {wanted}: set node.id={found}, or set log.dirs to another directory"
    )]
    OtherNode {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who we are.
        wanted: NodeId,
    },
    /// Formatted for another cluster.
    #[error(
        "the data directory {path} belongs to cluster {found}, and this node to cluster {wanted}: set onrush.cluster.id={found}, or set log.dirs to another directory"
    )]
    OtherCluster {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose we are.
        wanted: String,
    },
    /// Not empty and not a Kafka directory.
    #[error(
        "the data directory {path} is not formatted (there is no meta.properties) and holds {stranger}: set log.dirs to an empty directory"
    )]
    NotFormatted {
        /// Which.
        path: PathBuf,
        /// Something that is in it.
        stranger: String,
    },
    /// Somebody listens there.
    #[error(
        "port in use: listener {name} cannot be opened on {at}, another process has it (as a listener, or for a connection); stop it, or set listeners to another port"
    )]
    PortInUse {
        /// The listener.
        name: String,
        /// Where.
        at: String,
    },
    /// It cannot be bound for another reason.
    #[error(
        "listener {name} cannot be opened on {at}: {error}; set listeners to an address of this machine"
    )]
    Bind {
        /// The listener.
        name: String,
        /// Where.
        at: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It has died too often, too soon.
    #[error(
        "this broker has died {times} times in a row within a minute of its start: the log of the last start says why; once \
         the cause is gone, remove {path} and start again (or set onrush.crash.loop.limit, 0 for no limit)"
    )]
    CrashLoop {
        /// How often.
        times: u32,
        /// The file that counts.
        path: PathBuf,
    },
    /// io_uring or a limit of the process; the text has the fix.
    #[error("{0}")]
    Limit(String),
    /// A thread or descriptor could not be made.
    #[error("cannot start the cores: {0}; raise the limits of threads and open files")]
    Cores(std::io::Error),
}
