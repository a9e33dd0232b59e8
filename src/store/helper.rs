//! The thread that does what the ring cannot: names and small files.
//!
//! Invariants: 1. Jobs are done one after the other in the order given, so a later one sees what an earlier one did. 2. What changes a
//! directory flushes it before it is reported. 3. Nothing waits for this thread but the job's owner.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use onrush_core::effect::{DirEntry, DiskError, DiskOk, DiskResult, RelPath};
use onrush_core::types::{FileId, Position, Token};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::io::file::open_direct;
use crate::io::wake::Event;
use crate::mesh::Sleeper;

/// Jobs and replies in a queue.
const QUEUE_JOBS: usize = 1024;

/// Something to do.
pub(super) enum Job {
    /// See `DiskOp::List`.
    List(Token, RelPath),
    /// See `DiskOp::MakeDir`.
    MakeDir(Token, RelPath),
    /// See `DiskOp::Rename`.
    Rename(Token, RelPath, RelPath),
    /// See `DiskOp::Remove`.
    Remove(Token, RelPath),
    /// See `DiskOp::ReadFile`.
    ReadFile(Token, RelPath, u64),
    /// See `DiskOp::WriteFile`.
    WriteFile(Token, RelPath, Bytes),
    /// See `DiskOp::Open`.
    Open(Token, RelPath, FileId, bool),
    /// Flush the file, cut it, flush it.
    Truncate(Token, FileId, OwnedFd, Position),
    /// Close these: the last close of a removed file frees its blocks, which may take long.
    Close(Vec<OwnedFd>),
}

/// What came of a job.
pub(super) enum Reply {
    /// An operation is done.
    Disk(Token, DiskResult),
    /// A file was cut, or not.
    Truncated(Token, FileId, Position, DiskResult),
    /// A file is absent or could not be opened.
    NotOpened(Token, FileId, DiskResult),
    /// A file is open.
    Opened {
        /// Who asked.
        token: Token,
        /// The core's handle.
        file: FileId,
        /// Its descriptors and size.
        opened: Opened,
    },
}

/// An open log file.
pub(super) struct Opened {
    /// For writes and flushes.
    pub(super) direct: OwnedFd,
    /// For reads and splices.
    pub(super) buffered: OwnedFd,
    /// False if the file system has no direct I/O.
    pub(super) is_direct: bool,
    /// Its size.
    pub(super) bytes: u64,
}

/// The core's end of its helper.
pub(super) struct Helper {
    jobs: Option<Producer<Job>>,
    replies: Consumer<Reply>,
    wake: Event,
    waiting: std::collections::VecDeque<Job>,
    signal: bool,
    thread: Option<thread::JoinHandle<()>>,
}

impl Helper {
    /// Starts the thread. It works in `dir`, wakes the core through `sleeper` and runs on `cpus` (anywhere if empty).
    pub(super) fn start(
        name: &str,
        dir: PathBuf,
        cpus: Vec<usize>,
        sleeper: Arc<Sleeper>,
    ) -> io::Result<Self> {
        let (jobs, inbox) = RingBuffer::new(QUEUE_JOBS);
        let (outbox, replies) = RingBuffer::new(QUEUE_JOBS);
        let wake = Event::new()?;
        let worker = Worker {
            dir,
            inbox,
            outbox,
            wake: wake.try_clone()?,
            sleeper,
        };
        let thread = thread::Builder::new()
            .name(name.chars().take(15).collect())
            .spawn(move || {
                if !cpus.is_empty() {
                    // Not being moved off the shard's core costs speed, not correctness.
                    let _pinned = affinity::set_thread_affinity(&cpus).is_ok();
                }
                worker.run();
            })?;
        Ok(Self {
            jobs: Some(jobs),
            replies,
            wake,
            waiting: std::collections::VecDeque::new(),
            signal: false,
            thread: Some(thread),
        })
    }

    /// Queues a job. What does not fit waits here; the core bounds it, since every job has an owner that waits for it.
    pub(super) fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Hands over what waits and wakes the thread if there was something.
    pub(super) fn flush(&mut self) {
        let Some(jobs) = &mut self.jobs else {
            return;
        };
        while !jobs.is_full() {
            let Some(job) = self.waiting.pop_front() else {
                break;
            };
            let pushed = jobs.push(job).is_ok();
            assert!(pushed, "a queue that is not full takes a job");
            self.signal = true;
        }
        if std::mem::take(&mut self.signal) {
            self.wake.signal();
        }
    }

    /// The next reply.
    pub(super) fn reply(&mut self) -> Option<Reply> {
        self.replies.pop().ok()
    }

    /// True if no reply is there.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The worker ends when its queue is abandoned and empty.
        self.flush();
        drop(self.jobs.take());
        self.wake.signal();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ended = thread.join().is_ok();
        }
    }
}

struct Worker {
    dir: PathBuf,
    inbox: Consumer<Job>,
    outbox: Producer<Reply>,
    wake: Event,
    sleeper: Arc<Sleeper>,
}

impl Worker {
    fn run(mut self) {
        loop {
            while let Ok(job) = self.inbox.pop() {
                if let Some(reply) = self.perform(job) {
                    self.answer(reply);
                }
            }
            if self.inbox.is_abandoned() && self.inbox.is_empty() {
                return;
            }
            self.wake.wait();
        }
    }

    fn answer(&mut self, mut reply: Reply) {
        while let Err(rtrb::PushError::Full(back)) = self.outbox.push(reply) {
            if self.outbox.is_abandoned() {
                return;
            }
            reply = back;
            self.wake_core();
            thread::yield_now();
        }
        self.wake_core();
    }

    fn wake_core(&self) {
        if self.sleeper.must_wake() {
            self.sleeper.wake().event().signal();
        }
    }

    fn perform(&self, job: Job) -> Option<Reply> {
        let (token, result) = match job {
            Job::List(token, path) => (token, list(&self.at(&path))),
            Job::MakeDir(token, path) => (token, make_dir(&self.at(&path))),
            Job::Rename(token, from, to) => (token, rename(&self.at(&from), &self.at(&to))),
            Job::Remove(token, path) => (token, remove(&self.at(&path))),
            Job::ReadFile(token, path, max) => (token, read_file(&self.at(&path), max)),
            Job::WriteFile(token, path, bytes) => (token, write_file(&self.at(&path), &bytes)),
            Job::Truncate(token, file, fd, to) => {
                let result = truncate(fd, to).map_err(|e| disk_error(&e));
                return Some(Reply::Truncated(token, file, to, result));
            }
            Job::Open(token, path, file, create) => {
                let result = match open(&self.at(&path), create) {
                    Ok(Some(opened)) => {
                        return Some(Reply::Opened {
                            token,
                            file,
                            opened,
                        });
                    }
                    Ok(None) => Ok(DiskOk::Missing),
                    Err(error) => Err(disk_error(&error)),
                };
                return Some(Reply::NotOpened(token, file, result));
            }
            Job::Close(files) => {
                drop(files);
                return None;
            }
        };
        // The path tells an operator where to look; the error alone would not.
        Some(Reply::Disk(token, result.map_err(|e| disk_error(&e))))
    }

    fn at(&self, path: &str) -> PathBuf {
        assert!(
            !path.starts_with('/') && !path.split('/').any(|part| part == ".."),
            "paths stay inside the log directory"
        );
        if path.is_empty() {
            self.dir.clone()
        } else {
            self.dir.join(path)
        }
    }
}

/// Says what went wrong in the core's words.
pub(super) fn disk_error(error: &io::Error) -> DiskError {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => DiskError::NoSpace(error.to_string()),
        _ => DiskError::Io(error.to_string()),
    }
}

type Outcome = io::Result<DiskOk>;

fn with_path<T>(path: &Path, what: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.raw_os_error() {
        // The number decides how the core takes it, so it is kept.
        Some(libc::ENOSPC | libc::EDQUOT) => error,
        _ => io::Error::new(error.kind(), format!("{what} {}: {error}", path.display())),
    })
}

fn list(path: &Path) -> Outcome {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DiskOk::Missing),
        Err(error) => return with_path(path, "list", Err(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = with_path(path, "list", entry)?;
        let meta = with_path(path, "list", entry.metadata())?;
        names.push(DirEntry {
            name: entry.file_name().to_string_lossy().into_owned(),
            is_dir: meta.is_dir(),
            bytes: if meta.is_dir() { 0 } else { meta.len() },
        });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(DiskOk::Names(names))
}

fn make_dir(path: &Path) -> Outcome {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return with_path(path, "make directory", Err(error)),
    }
    flush_parent(path)?;
    Ok(DiskOk::Done)
}

fn rename(from: &Path, to: &Path) -> Outcome {
    with_path(from, "rename", fs::rename(from, to))?;
    flush_parent(to)?;
    if from.parent() != to.parent() {
        flush_parent(from)?;
    }
    Ok(DiskOk::Done)
}

fn remove(path: &Path) -> Outcome {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DiskOk::Done),
        Err(error) => return with_path(path, "remove", Err(error)),
    }
    flush_parent(path)?;
    Ok(DiskOk::Done)
}

fn read_file(path: &Path, bytes_max: u64) -> Outcome {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DiskOk::Missing),
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
    Ok(DiskOk::Bytes(content.into()))
}

fn write_file(path: &Path, bytes: &Bytes) -> Outcome {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let mut file = with_path(&temporary, "create", File::create(&temporary))?;
    with_path(&temporary, "write", file.write_all(bytes))?;
    with_path(&temporary, "flush", file.sync_all())?;
    with_path(path, "replace", fs::rename(&temporary, path))?;
    flush_parent(path)?;
    Ok(DiskOk::Done)
}

fn truncate(file: OwnedFd, to: Position) -> Outcome {
    let file = File::from(file);
    // What stays must be on the disk before the size says so.
    file.sync_data()?;
    file.set_len(to.0)?;
    file.sync_all()?;
    Ok(DiskOk::Done)
}

fn open(path: &Path, create: bool) -> Result<Option<Opened>, io::Error> {
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
