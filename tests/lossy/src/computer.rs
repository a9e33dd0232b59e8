//! A computer with one lossy disk: a loop device and a file system on it, that lose their power together.
//!
//! Invariants: 1. Every return of the power attaches and mounts anew, so nothing that a kernel cached outlives a cut. 2. A loop device is
//! given back while it is in use, so that it goes with its last user. 3. What is dropped is unmounted first; what dies with its process
//! is unmounted by a keeper.
//!
//! Processes that use the file system are the caller's: they are dead before [`Computer::power_off`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use fuser::BackgroundSession;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::room;
use crate::serve;

/// How long the kernel may take to let go of a device or mount.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// With its journal of metadata, data in order.
    Ext4,
    /// With its defaults.
    Xfs,
}

impl FileSystem {
    /// As `mount -t` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// See the head of the file.
#[derive(Debug)]
pub struct Computer {
    disk: Disk,
    file_system: FileSystem,
    session: Option<BackgroundSession>,
    mounted: bool,
    keeper: Child,
    dir: TempDir,
}

impl Computer {
    /// One with this disk, switched off.
    #[must_use]
    pub fn new(disk: Disk, file_system: FileSystem) -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["fuse", "mnt"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let keeper = room::keeper(dir.path()).unwrap();
        let session = serve::mount(disk.clone(), &dir.path().join("fuse")).unwrap();
        Self {
            disk,
            file_system,
            session: Some(session),
            mounted: false,
            keeper,
            dir,
        }
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What stands on its disk.
    #[must_use]
    pub fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// Where the file system is mounted while the power is on.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// Makes an empty file system.
    pub fn format(&self) {
        let device = self.attach();
        let made = match self.file_system {
            // Nothing is left for the kernel to do later: what it writes then is noise in the counts.
            FileSystem::Ext4 => run(
                "mkfs.ext4",
                &[
                    "-q",
                    "-F",
                    "-E",
                    "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
                    &device,
                ],
            ),
            FileSystem::Xfs => run("mkfs.xfs", &["-q", "-f", "-K", &device]),
        };
        self.detach(&device);
        made.unwrap();
    }

    /// Mounts the file system, which recovers by its own journal.
    pub fn power_on(&mut self) {
        assert!(!self.mounted, "it is on");
        self.disk.power_on();
        let device = self.attach();
        let root = self.root();
        let mounted = run(
            "mount",
            &[
                "-t",
                self.file_system.name(),
                &device,
                root.to_str().unwrap(),
            ],
        );
        self.mounted = mounted.is_ok();
        give_back(&device);
        mounted.unwrap();
    }

    /// Cuts the power (if the disk has not lost it already).
    pub fn power_off(&mut self) {
        self.disk.cut();
        self.unmount();
    }

    /// Unmounts in good order: everything is flushed.
    pub fn shut_down(&mut self) {
        self.unmount();
    }

    /// Lets the file system's own tool look for damage while it is off. Only after an orderly end: the tool replays no journal.
    pub fn check(&self) {
        assert!(!self.mounted, "only what is not mounted can be checked");
        self.disk.power_on();
        let device = self.attach();
        let found = match self.file_system {
            FileSystem::Ext4 => run("e2fsck", &["-f", "-n", &device]),
            FileSystem::Xfs => run("xfs_repair", &["-n", &device]),
        };
        self.detach(&device);
        found.unwrap();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("fuse").join(serve::FILE_NAME)
    }

    /// A loop device on the disk's file. It does direct I/O, so that no cache stands between.
    fn attach(&self) -> String {
        let sector = self.disk.sector_bytes().to_string();
        let file = self.file();
        run(
            "losetup",
            &[
                "--find",
                "--show",
                "--direct-io=on",
                "--sector-size",
                &sector,
                file.to_str().unwrap(),
            ],
        )
        .unwrap()
        .trim()
        .to_owned()
    }

    fn detach(&self, device: &str) {
        give_back(device);
        self.wait_until_gone();
    }

    fn unmount(&mut self) {
        if !std::mem::take(&mut self.mounted) {
            return;
        }
        let root = self.root();
        let begun = Instant::now();
        // A killed process's ring lets go of its files a little after the process is gone.
        while let Err(error) = run("umount", &[root.to_str().unwrap()]) {
            assert!(begun.elapsed() < PATIENCE, "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.wait_until_gone();
    }

    /// Waits until no loop device has the disk's file.
    fn wait_until_gone(&self) {
        let file = self.file();
        let begun = Instant::now();
        while is_attached(&file) {
            assert!(
                begun.elapsed() < PATIENCE,
                "a loop device keeps {}",
                file.display()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        self.disk.cut();
        if self.mounted {
            // At the end of a failed test a process may still use it; it is out of sight then and goes with its last user.
            let root = self.root();
            let lazily = ["--lazy", root.to_str().unwrap()];
            if let Err(error) = run("umount", &lazily) {
                eprintln!("{error}");
            }
        }
        drop(self.session.take());
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("the keeper: {error}");
        }
    }
}

/// The device goes with its last user, at once if it has none.
fn give_back(device: &str) {
    run("losetup", &["--detach", device]).unwrap();
}

fn is_attached(file: &Path) -> bool {
    let Ok(devices) = fs::read_dir("/sys/block") else {
        return false;
    };
    devices.flatten().any(|device| {
        let backing = fs::read_to_string(device.path().join("loop/backing_file"));
        backing.is_ok_and(|name| Path::new(name.trim_end()) == file)
    })
}

/// Runs a command; what it printed, or an error with that.
fn run(command: &str, arguments: &[&str]) -> Result<String, String> {
    let output = room::command(command).args(arguments).output();
    let output = output.map_err(|error| format!("{command}: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{command} {arguments:?}: {}: {complaint}{printed}",
        output.status
    ))
}
