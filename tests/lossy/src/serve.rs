//! The disk as one file of a FUSE file system: what the loop device writes and flushes arrives here.
//!
//! Invariants: 1. Only `fsync` is a flush; closing the file is none. 2. No cache of the kernel lies above this file (direct I/O), so what
//! the loop device was told is what the disk was told. 3. One thread answers, one request after the other.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fuser::consts::FOPEN_DIRECT_IO;
use fuser::{
    BackgroundSession, FileAttr, FileType, Filesystem, KernelConfig, MountOption, ReplyAttr,
    ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
};

use crate::disk::Disk;

/// The file's name in the mount.
pub(crate) const FILE_NAME: &str = "disk";

const ROOT: u64 = 1;
const FILE: u64 = 2;
/// Nobody else changes names or sizes.
const VALID: Duration = Duration::from_hours(1);
/// Largest write that the kernel may send at once.
const WRITE_BYTES_MAX: u32 = 1 << 20;

struct Served {
    disk: Disk,
}

/// Mounts the disk's file in `mountpoint`; dropping the session unmounts it.
pub(crate) fn mount(disk: Disk, mountpoint: &Path) -> io::Result<BackgroundSession> {
    let options = [MountOption::FSName("lossy".to_owned())];
    fuser::spawn_mount2(Served { disk }, mountpoint, &options)
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn position(offset: i64) -> u64 {
    u64::try_from(offset).expect("the kernel checks offsets")
}

impl Served {
    fn attributes(&self, inode: u64) -> FileAttr {
        let is_file = inode == FILE;
        let bytes = if is_file { self.disk.bytes() } else { 0 };
        FileAttr {
            ino: inode,
            size: bytes,
            blocks: bytes / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file {
                FileType::RegularFile
            } else {
                FileType::Directory
            },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: u32::try_from(self.disk.sector_bytes()).unwrap(),
            flags: 0,
        }
    }
}

fn answer(result: io::Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(number(&error)),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request<'_>, config: &mut KernelConfig) -> Result<(), i32> {
        // A kernel that wants less gets less.
        config.set_max_write(WRITE_BYTES_MAX).unwrap_or_default();
        Ok(())
    }

    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        if parent == ROOT && name == FILE_NAME {
            reply.entry(&VALID, &self.attributes(FILE), 0);
        } else {
            reply.error(libc::ENOENT);
        }
    }

    fn getattr(&mut self, _: &Request<'_>, inode: u64, _: Option<u64>, reply: ReplyAttr) {
        reply.attr(&VALID, &self.attributes(inode));
    }

    fn open(&mut self, _: &Request<'_>, _: u64, _: i32, reply: ReplyOpen) {
        reply.opened(0, FOPEN_DIRECT_IO);
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        match self.disk.read(position(offset), u64::from(size)) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(number(&error)),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        match self.disk.write(position(offset), data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(error) => reply.error(number(&error)),
        }
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        // A close of a descriptor: no promise.
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, _: u64, _: u64, _: bool, reply: ReplyEmpty) {
        answer(self.disk.flush(), reply);
    }

    fn fallocate(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        length: i64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let zeroes = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE;
        if mode & zeroes == 0 {
            return reply.error(libc::EOPNOTSUPP);
        }
        answer(self.disk.zero(position(offset), position(length)), reply);
    }
}
