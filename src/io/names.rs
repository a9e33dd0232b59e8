//! Names and small files: what blocks, for threads that may block.
//!
//! Invariant: what changes a directory has flushed it when it returns.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::file::open_direct;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, lossily decoded if not UTF-8.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
    /// Size of a file, 0 for a directory.
    pub bytes: u64,
}

/// An open log file.
#[derive(Debug)]
pub struct Opened {
    /// For writes and flushes.
    pub direct: OwnedFd,
    /// For reads and splices.
    pub buffered: OwnedFd,
    /// False if the file system has no direct I/O.
    pub is_direct: bool,
    /// Its size.
    pub bytes: u64,
}

fn with_path<T>(path: &Path, what: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.raw_os_error() {
        // The number decides how the core takes it, so it is kept.
        Some(libc::ENOSPC | libc::EDQUOT) => error,
        _ => io::Error::new(error.kind(), format!("{what} {}: {error}", path.display())),
    })
}

/// Entries of a directory sorted by name; `None` if it is absent.
pub fn list(path: &Path) -> io::Result<Option<Vec<Entry>>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return with_path(path, "list", Err(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = with_path(path, "list", entry)?;
        let meta = with_path(path, "list", entry.metadata())?;
        names.push(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            is_dir: meta.is_dir(),
            bytes: if meta.is_dir() { 0 } else { meta.len() },
        });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(names))
}

/// Makes a directory; present already is success.
pub fn make_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return with_path(path, "make directory", Err(error)),
    }
    flush_parent(path)
}

/// Renames; an existing file is replaced.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    with_path(from, "rename", fs::rename(from, to))?;
    flush_parent(to)?;
    if from.parent() != to.parent() {
        flush_parent(from)?;
    }
    Ok(())
}

/// Removes a file, or a directory with what is in it; absent already is success.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return with_path(path, "remove", Err(error)),
    }
    flush_parent(path)
}

/// A small file's content; `None` if it is absent, an error if it is larger than `bytes_max`.
pub fn read_file(path: &Path, bytes_max: u64) -> io::Result<Option<Bytes>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return with_path(path, "read", Err(error)),
    };
    let mut content = Vec::new();
    // One byte more than allowed shows that there is more; the size a file claims may be wrong.
    let read = file
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut content);
    with_path(path, "read", read)?;
    if content.len() as u64 > bytes_max {
        let error = io::Error::other(format!("larger than {bytes_max} bytes"));
        return with_path(path, "read", Err(error));
    }
    Ok(Some(content.into()))
}

/// Replaces a small file as a whole: temporary file, flush, rename, flush of the directory.
pub fn write_file(path: &Path, bytes: &Bytes) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let mut file = with_path(&temporary, "create", File::create(&temporary))?;
    with_path(&temporary, "write", file.write_all(bytes))?;
    with_path(&temporary, "flush", file.sync_all())?;
    with_path(path, "replace", fs::rename(&temporary, path))?;
    flush_parent(path)
}

/// Flushes a file, cuts it, flushes it.
pub fn truncate(file: OwnedFd, to: u64) -> io::Result<()> {
    let file = File::from(file);
    // What stays must be on the disk before the size says so.
    file.sync_data()?;
    file.set_len(to)?;
    file.sync_all()
}

/// Opens a log file twice, past the page cache and through it; `None` if it is absent and not to be created.
pub fn open(path: &Path, create: bool) -> io::Result<Option<Opened>> {
    let existed = path.exists();
    let (direct, is_direct) = match open_direct(path, create) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !create => return Ok(None),
        Err(error) => return with_path(path, "open", Err(error)),
    };
    if !existed {
        flush_parent(path)?;
    }
    let buffered = with_path(path, "open", File::open(path))?;
    let bytes = with_path(path, "size of", direct.metadata())?.len();
    Ok(Some(Opened {
        direct: direct.into(),
        buffered: buffered.into(),
        is_direct,
        bytes,
    }))
}

fn flush_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    with_path(
        parent,
        "flush",
        File::open(parent).and_then(|dir| dir.sync_all()),
    )
}
