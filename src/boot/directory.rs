//! The data directory: locked, formatted if it is new, and refused if it is somebody else's.
//!
//! Invariants: 1. Nothing is written before the lock is held. 2. A directory is formatted once its `meta.properties` is there, which is
//! written last; a format that was interrupted is done again. 3. A directory that is neither empty nor formatted is never touched.
//! Source: Kafka's `StorageTool`, `MetaPropertiesEnsemble`, `LogManager.lockLogDirs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use onrush_core::metadata::control::VoterEndpoint;
use onrush_core::metadata::format::{FormatSpec, NewFile, plan_format};
use onrush_core::metadata::layout::META_PROPERTIES;
use onrush_core::metadata::properties::MetaProperties;
use onrush_core::types::{DirectoryId, NodeId, TopicId, WallMillis};

use super::BootError;
use crate::config::BrokerConfig;
use crate::io::lock::DirLock;

/// A data directory that is ours.
#[derive(Debug)]
pub struct Directory {
    /// Its absolute path.
    pub path: PathBuf,
    /// From `meta.properties`.
    pub cluster_id: Arc<str>,
    /// From `meta.properties`.
    pub directory_id: DirectoryId,
    /// True if this call formatted it.
    pub is_new: bool,
    /// Held until the process ends.
    pub lock: DirLock,
}

/// A killed broker's last writes hold its lock until the disk is done with them.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What the directory must become if it is not formatted.
struct Wanted<'a> {
    node_id: NodeId,
    cluster_id: Option<&'a str>,
    controller: VoterEndpoint,
    now: WallMillis,
}

/// Makes the directory if it is absent, locks it, formats it if it is empty, checks whose it is.
pub fn prepare(config: &BrokerConfig, now: WallMillis) -> Result<Directory, BootError> {
    let at = &config.listeners.controller;
    let wanted = Wanted {
        node_id: config.node_id,
        cluster_id: config.cluster_id.as_deref(),
        controller: VoterEndpoint {
            listener: at.name.as_str().into(),
            host: at.advertised.host.as_str().into(),
            port: at.advertised.port,
        },
        now,
    };
    prepare_wanted(&config.data_dir, &wanted)
}

fn prepare_wanted(dir: &Path, wanted: &Wanted<'_>) -> Result<Directory, BootError> {
    let failed = |error: io::Error| BootError::Directory {
        path: dir.to_owned(),
        error,
    };
    let made = std::path::absolute(dir).and_then(|dir| make_dirs(&dir));
    made.map_err(|error| match error.kind() {
        // "File exists" says little to somebody who named a file.
        io::ErrorKind::AlreadyExists => failed(io::ErrorKind::NotADirectory.into()),
        _ => failed(error),
    })?;
    let path = dir.canonicalize().map_err(failed)?;
    let lock =
        DirLock::acquire_within(&path, LOCK_PATIENCE).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => BootError::Locked { path: path.clone() },
            _ => failed(error),
        })?;
    let text = match fs::read(path.join(META_PROPERTIES)) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let is_new = text.is_none();
    let properties = match text {
        Some(text) => check_owner(&path, &text, wanted)?,
        None => format(&path, wanted)?,
    };
    let directory_id = match properties.directory_id {
        Some(id) => id,
        None => name_directory(&path, &properties).map_err(failed)?,
    };
    Ok(Directory {
        path,
        cluster_id: properties.cluster_id.into(),
        directory_id,
        is_new,
        lock,
    })
}

/// Makes a directory and those above it that are absent, each flushed into its parent: a power cut right after the first start
/// must not take the name of a directory that holds what was acknowledged.
fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let Some(parent) = dir.parent() else {
        return fs::create_dir(dir);
    };
    make_dirs(parent)?;
    fs::create_dir(dir)?;
    File::open(parent)?.sync_all()
}

fn check_owner(path: &Path, text: &str, wanted: &Wanted<'_>) -> Result<MetaProperties, BootError> {
    let found = MetaProperties::decode(text).map_err(|error| BootError::MetaProperties {
        path: path.join(META_PROPERTIES),
        error,
    })?;
    if found.node_id != wanted.node_id {
        return Err(BootError::OtherNode {
            path: path.to_owned(),
            found: found.node_id,
            wanted: wanted.node_id,
        });
    }
    if let Some(cluster_id) = wanted.cluster_id
        && cluster_id != found.cluster_id
    {
        return Err(BootError::OtherCluster {
            path: path.to_owned(),
            found: found.cluster_id,
            wanted: cluster_id.to_owned(),
        });
    }
    Ok(found)
}

fn format(path: &Path, wanted: &Wanted<'_>) -> Result<MetaProperties, BootError> {
    let spec = FormatSpec {
        cluster_id: wanted
            .cluster_id
            .map_or_else(|| random_id().to_string(), str::to_owned)
            .into(),
        node_id: wanted.node_id,
        directory_id: random_id(),
        controller: wanted.controller.clone(),
        now: wanted.now,
    };
    let files = plan_format(&spec);
    let failed = |error| BootError::Directory {
        path: path.to_owned(),
        error,
    };
    let stranger = stranger(path, &files).map_err(failed)?;
    if let Some(stranger) = stranger {
        return Err(BootError::NotFormatted {
            path: path.to_owned(),
            stranger,
        });
    }
    for file in &files {
        write_whole(path, file).map_err(failed)?;
    }
    Ok(MetaProperties {
        cluster_id: spec.cluster_id.to_string(),
        node_id: spec.node_id,
        directory_id: Some(spec.directory_id),
    })
}

/// An entry that an interrupted format does not explain.
fn stranger(path: &Path, files: &[NewFile]) -> io::Result<Option<String>> {
    let mut todo = vec![String::new()];
    while let Some(inside) = todo.pop() {
        for entry in fs::read_dir(path.join(&inside))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let whole = match inside.as_str() {
                "" => name,
                inside => format!("{inside}/{name}"),
            };
            if entry.file_type()?.is_dir() {
                // A directory of the plan is looked into; `lost+found` belongs to the file system.
                if files
                    .iter()
                    .any(|f| f.path.starts_with(&format!("{whole}/")))
                {
                    todo.push(whole);
                } else if whole != "lost+found" {
                    return Ok(Some(whole));
                }
                continue;
            }
            let finished = whole.strip_suffix(TEMPORARY).unwrap_or(&whole);
            if whole != ".lock" && !files.iter().any(|f| *f.path == *finished) {
                return Ok(Some(whole));
            }
        }
    }
    Ok(None)
}

/// Ending of a file that is being written.
const TEMPORARY: &str = ".tmp";

/// Writes beside, flushes, renames, flushes the directory: the file is there whole or not at all, also after a power cut.
pub(super) fn write_whole(dir: &Path, file: &NewFile) -> io::Result<()> {
    let path = dir.join(&*file.path);
    let parent = path.parent().unwrap_or(dir);
    if parent != dir {
        fs::create_dir_all(parent)?;
        File::open(dir)?.sync_all()?;
    }
    let temporary = dir.join(format!("{}{TEMPORARY}", file.path));
    let mut written = File::create(&temporary)?;
    written.write_all(&file.bytes)?;
    written.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(parent)?.sync_all()
}

/// Directories formatted before Kafka 3.7 have no id; Kafka gives them one at the next start, and so do we.
fn name_directory(path: &Path, properties: &MetaProperties) -> io::Result<DirectoryId> {
    let id = random_id();
    let named = MetaProperties {
        directory_id: Some(id),
        ..properties.clone()
    };
    let file = NewFile {
        path: META_PROPERTIES.into(),
        bytes: named.encode(),
    };
    write_whole(path, &file)?;
    Ok(id)
}

/// A random id as Kafka makes them: not one that is reserved, and with no dash in front, which command lines take for an option.
#[must_use]
pub fn random_id() -> TopicId {
    loop {
        let id = TopicId(uuid::Uuid::new_v4().into_bytes());
        let reserved = u128::from_be_bytes(id.0) < 100;
        if !reserved && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(cluster_id: Option<&str>, node_id: i32) -> Wanted<'_> {
        Wanted {
            node_id: NodeId(node_id),
            cluster_id,
            controller: VoterEndpoint {
                listener: "CONTROLLER".into(),
                host: "localhost".into(),
                port: 9093,
            },
            now: WallMillis(1),
        }
    }

    fn refused(dir: &Path, wanted: &Wanted<'_>) -> String {
        prepare_wanted(dir, wanted)
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn a_new_directory_is_formatted_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let inside = dir.path().join("a/b");
        let first = prepare_wanted(&inside, &wanted(None, 1)).expect("formatted");
        assert!(first.is_new);
        assert_eq!(first.cluster_id.len(), 22);
        let (cluster, id) = (first.cluster_id.clone(), first.directory_id);
        let error = refused(&inside, &wanted(None, 1));
        assert!(error.contains("lock"), "{error}");
        drop(first);
        let second = prepare_wanted(&inside, &wanted(Some(&cluster), 1)).expect("known");
        assert!(!second.is_new);
        assert_eq!((second.cluster_id, second.directory_id), (cluster, id));
    }

    #[test]
    fn a_path_through_a_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, "mine").expect("written");
        for path in [file.clone(), file.join("a/b")] {
            refused(&path, &wanted(None, 1));
        }
        assert_eq!(fs::read(&file).expect("there"), b"mine");
    }

    #[test]
    fn others_directories_are_refused_untouched() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        drop(prepare_wanted(dir.path(), &wanted(None, 1)).expect("formatted"));
        let error = refused(dir.path(), &wanted(None, 4711));
        assert!(error.contains("4711"), "{error}");
        let error = refused(dir.path(), &wanted(Some("other"), 1));
        assert!(error.contains("cluster"), "{error}");
        fs::write(dir.path().join(META_PROPERTIES), "version=1\n").expect("written");
        let error = refused(dir.path(), &wanted(None, 1));
        assert!(error.contains("meta.properties"), "{error}");
    }

    #[test]
    fn a_directory_with_something_in_it_is_not_formatted() {
        for name in [
            "photo.jpg",
            "topic-0/x",
            "__cluster_metadata-0/00000000000000000000.log",
        ] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, "mine").expect("written");
            let error = refused(dir.path(), &wanted(None, 1));
            assert!(error.contains("not formatted"), "{error}");
            assert_eq!(fs::read(&path).expect("there"), b"mine");
            assert!(!dir.path().join(META_PROPERTIES).exists());
        }
    }

    #[test]
    fn an_interrupted_format_is_done_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        drop(prepare_wanted(dir.path(), &wanted(None, 1)).expect("formatted"));
        fs::remove_file(dir.path().join(META_PROPERTIES)).expect("removed");
        fs::write(dir.path().join("meta.properties.tmp"), "ver").expect("written");
        let again = prepare_wanted(dir.path(), &wanted(None, 1)).expect("formatted again");
        assert!(again.is_new);
    }

    #[test]
    fn a_directory_without_an_id_gets_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let text = "version=1\ncluster.id=old\nnode.id=1\n";
        fs::write(dir.path().join(META_PROPERTIES), text).expect("written");
        let first = prepare_wanted(dir.path(), &wanted(None, 1)).expect("known");
        let id = first.directory_id;
        drop(first);
        let second = prepare_wanted(dir.path(), &wanted(None, 1)).expect("known");
        assert_eq!(second.directory_id, id);
        assert_eq!(&*second.cluster_id, "old");
    }
}
