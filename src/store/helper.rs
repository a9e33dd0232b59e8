//! The thread that does what the ring cannot: names and small files.
//!
//! Invariants: 1. Jobs are done one after the other in the order given, so a later one sees what an earlier one did. 2. What changes a
//! directory flushes it before it is reported. 3. Nothing waits for this thread but the job's owner.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use onrush_core::effect::{DirEntry, DiskError, DiskOk, DiskResult, RelPath};
use onrush_core::types::{FileId, Position, Token};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::io::names::{self, Opened};
use crate::io::wake::{Event, Sleeper};

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

/// The core's end of its helper.
pub(super) struct Helper {
    jobs: Option<Producer<Job>>,
    replies: Consumer<Reply>,
    wake: Event,
    waiting: VecDeque<Job>,
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
            waiting: VecDeque::new(),
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
            Job::List(token, path) => (token, names::list(&self.at(&path)).map(listed)),
            Job::MakeDir(token, path) => (token, names::make_dir(&self.at(&path)).map(done)),
            Job::Rename(token, from, to) => {
                let renamed = names::rename(&self.at(&from), &self.at(&to));
                (token, renamed.map(done))
            }
            Job::Remove(token, path) => (token, names::remove(&self.at(&path)).map(done)),
            Job::ReadFile(token, path, max) => {
                let content = names::read_file(&self.at(&path), max);
                (
                    token,
                    content.map(|c| c.map_or(DiskOk::Missing, DiskOk::Bytes)),
                )
            }
            Job::WriteFile(token, path, bytes) => {
                (token, names::write_file(&self.at(&path), &bytes).map(done))
            }
            Job::Truncate(token, file, fd, to) => {
                let result = names::truncate(fd, to.0)
                    .map(done)
                    .map_err(|e| disk_error(&e));
                return Some(Reply::Truncated(token, file, to, result));
            }
            Job::Open(token, path, file, create) => {
                let result = match names::open(&self.at(&path), create) {
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

fn done((): ()) -> DiskOk {
    DiskOk::Done
}

fn listed(entries: Option<Vec<names::Entry>>) -> DiskOk {
    let Some(entries) = entries else {
        return DiskOk::Missing;
    };
    let entry = |e: names::Entry| DirEntry {
        name: e.name,
        is_dir: e.is_dir,
        bytes: e.bytes,
    };
    DiskOk::Names(entries.into_iter().map(entry).collect())
}
