//! A disk that forgets: what was written and not flushed is, after a power cut, there, gone or something between.
//!
//! `sectors` is the model and needs nothing; `disk` gives it power, faults and a clock; `serve` shows it to the kernel as one file
//! (FUSE); `computer` puts a loop device and a file system on that file and cuts the power. The latter two want root and Linux;
//! [`room::check`] says whether they can be had.
//!
//! Why not `FS_IOC_SHUTDOWN` or dropping the page cache: neither loses a direct write that reached the device's cache, so a
//! forgotten flush would not show.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and the place says why"
)]

pub mod computer;
pub mod disk;
pub mod room;
pub mod sectors;
mod serve;
