//! What the lossy disk is worth: it loses what was not flushed and keeps what was, under both file systems.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Run, SECTOR_BYTES};

/// Cuts of each kind. A cut shows no loss in about one of four: so many show none in one of 65,000 runs.
const CUTS: u64 = 8;
/// Cuts after a flush: each must show it.
const CUTS_FLUSHED: u64 = 4;
const FILE_BYTES: usize = 256 * 1024;

/// How the new bytes are written over the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Past the page cache to the disk, which is not asked to flush.
    Unflushed,
    /// `O_DSYNC`, what RWF_DSYNC is for one write.
    Dsync,
    /// `fsync` afterwards.
    Fsync,
}

/// Writes over old bytes, cuts the power, and looks which are there.
pub fn unflushed_bytes_are_lost(run: &Run) {
    for way in [Way::Unflushed, Way::Dsync, Way::Fsync] {
        let (mut old, mut new, mut torn) = (0, 0, 0);
        let cuts = match way {
            Way::Unflushed => CUTS,
            Way::Dsync | Way::Fsync => CUTS_FLUSHED,
        };
        for cut in 0..cuts {
            let mut computer = run.computer(cut);
            computer.power_on();
            let path = computer.root().join("file");
            let mut file = File::create(&path).unwrap();
            file.write_all(&vec![b'o'; FILE_BYTES]).unwrap();
            file.sync_all().unwrap();
            File::open(computer.root()).unwrap().sync_all().unwrap();
            drop(file);
            overwrite(&path, way);
            computer.power_off();
            computer.power_on();
            let found = fs::read(&path).unwrap();
            assert_eq!(found.len(), FILE_BYTES);
            // The bytes are o or n, in whole sectors.
            let (news, olds) = found.chunks(SECTOR_BYTES).fold((0, 0), |(n, o), sector| {
                let is = |byte: u8| usize::from(sector.iter().all(|&b| b == byte));
                (n + is(b'n') * SECTOR_BYTES, o + is(b'o') * SECTOR_BYTES)
            });
            assert_eq!(news + olds, FILE_BYTES, "bytes that nobody wrote");
            old += u32::from(olds == FILE_BYTES);
            new += u32::from(news == FILE_BYTES);
            torn += u32::from(news > 0 && olds > 0);
        }
        println!("  {way:?}: {cuts} cuts, old {old}, new {new}, torn {torn}");
        match way {
            Way::Unflushed => assert!(old + torn > 0, "this disk loses nothing"),
            Way::Dsync | Way::Fsync => assert_eq!(u64::from(new), cuts, "flushed and lost"),
        }
    }
}

fn overwrite(path: &Path, way: Way) {
    let flags = match way {
        Way::Unflushed => libc::O_DIRECT,
        Way::Dsync => libc::O_DSYNC,
        Way::Fsync => 0,
    };
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path);
    let file = file.unwrap();
    // Direct I/O wants memory that is aligned.
    let memory = vec![b'n'; FILE_BYTES + 4096];
    let from = memory.as_ptr().align_offset(4096);
    file.write_all_at(&memory[from..from + FILE_BYTES], 0)
        .unwrap();
    if way == Way::Fsync {
        file.sync_all().unwrap();
    }
}

/// A new file of whose directory nobody flushed the entry is lost, one that was flushed with its directory is there.
pub fn unflushed_names_are_lost(run: &Run) {
    let mut lost = 0;
    for cut in 0..CUTS {
        let mut computer = run.computer(cut);
        computer.power_on();
        let root = computer.root();
        let mut safe = File::create(root.join("safe")).unwrap();
        safe.write_all(b"safe").unwrap();
        safe.sync_all().unwrap();
        File::open(&root).unwrap().sync_all().unwrap();
        fs::write(root.join("hope"), "hope").unwrap();
        drop(safe);
        computer.power_off();
        computer.power_on();
        assert_eq!(fs::read(root.join("safe")).unwrap(), b"safe");
        lost += u64::from(!root.join("hope").exists());
        computer.shut_down();
        computer.check();
    }
    println!("  a name that nobody flushed: lost in {lost} of {CUTS} cuts");
    assert!(lost > 0, "this disk loses no names");
}
