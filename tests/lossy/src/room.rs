//! Whether this process may have a lossy disk, and who clears up if it dies.
//!
//! The keeper is a shell that waits for the end of the process and then unmounts. No mount namespace does that instead: the
//! disk's own process would be its last one, and wait in its exit for a flush of the disk that it was.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Commands that are used.
const COMMANDS: [&str; 7] = [
    "losetup",
    "mount",
    "umount",
    "mkfs.ext4",
    "e2fsck",
    "mkfs.xfs",
    "xfs_repair",
];

/// What the keeper does once its input ends: an attempt on what is unmounted already fails, which is as well.
const KEEPER: &str = "cat; umount --lazy \"$1/mnt\"; umount --lazy \"$1/fuse\"; \
    rmdir \"$1/mnt\" \"$1/fuse\" \"$1\"";

/// What is missing here for a lossy disk, as a sentence.
pub fn check() -> Result<(), String> {
    if effective_user() != Some(0) {
        return Err("only root may mount file systems and make loop devices".to_owned());
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            return Err(format!("there is no {device}"));
        }
    }
    for command in COMMANDS {
        if !folders().any(|folder| folder.join(command).exists()) {
            return Err(format!(
                "the command {command} is missing (packages util-linux, e2fsprogs, xfsprogs)"
            ));
        }
    }
    Ok(())
}

/// A command, found in the folders of the system's too: not every root has them in its path.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", std::env::join_paths(folders()).unwrap_or_default());
    command
}

/// Starts the keeper of what will be mounted in `dir`. It stays when a terminal interrupts this process.
pub(crate) fn keeper(dir: &Path) -> io::Result<Child> {
    command("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// The effective user, from `/proc`: there is no safe call for it in the standard library.
fn effective_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn folders() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    path.into_iter()
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
}
