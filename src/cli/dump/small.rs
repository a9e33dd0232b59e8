//! The small files of data and partition directories: text as it stands, and whether it can be read.

use std::path::Path;

use onrush_core::log::checkpoint;
use onrush_core::log::layout;
use onrush_core::metadata::layout as metadata_layout;
use onrush_core::metadata::properties::MetaProperties;
use onrush_core::metadata::quorum::QuorumState;

use super::{CliError, Dump, read};

/// Prints a small file, if it is one that belongs here; others are named only.
pub(super) fn dump(dump: &mut Dump<'_>, path: &Path, name: &str) -> Result<(), CliError> {
    let quorum_state = metadata_layout::QUORUM_STATE.rsplit('/').next();
    let bytes = match name {
        layout::CLEAN_SHUTDOWN
        | layout::RECOVERY_POINTS
        | layout::LOG_STARTS
        | layout::HIGH_WATERMARKS
        | layout::LEADER_EPOCHS
        | layout::PARTITION_METADATA
        | metadata_layout::META_PROPERTIES => read(path)?,
        _ if Some(name) == quorum_state => read(path)?,
        _ => return dump.heading(path, "not looked into"),
    };
    let text = String::from_utf8_lossy(&bytes);
    let fault = match name {
        layout::RECOVERY_POINTS | layout::LOG_STARTS | layout::HIGH_WATERMARKS => {
            checkpoint::decode_offsets(&bytes)
                .err()
                .map(|e| e.0.to_owned())
        }
        layout::LEADER_EPOCHS => checkpoint::decode_epochs(&bytes)
            .err()
            .map(|e| e.0.to_owned()),
        layout::PARTITION_METADATA => checkpoint::decode_partition_metadata(&bytes)
            .err()
            .map(|e| e.0.to_owned()),
        metadata_layout::META_PROPERTIES => {
            MetaProperties::decode(&text).err().map(|e| e.to_string())
        }
        layout::CLEAN_SHUTDOWN => None,
        _ => QuorumState::decode(&text).err().map(|e| e.to_string()),
    };
    dump.heading(path, "text")?;
    if dump.json {
        let file = path.display().to_string();
        dump.out
            .json(&serde_json::json!({ "file": file, "text": text }))?;
    } else {
        for line in text.lines() {
            dump.out.line(line)?;
        }
    }
    match fault {
        Some(fault) => dump.problem(path, &fault),
        None => Ok(()),
    }
}
