//! Power cuts: the real process on a disk that forgets what was not flushed.
#![allow(unreachable_pub, reason = "the modules of a test are its own")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod power {
    pub mod proof;
    pub struct Run {
        pub seed: u64,
        pub file_system: onrush_lossy::computer::FileSystem,
    }
}

use onrush_lossy::computer::{Computer, FileSystem};
use onrush_lossy::disk::Disk;

fn main() {
    if let Err(why) = onrush_lossy::room::check() {
        println!("SKIP power cuts: {why}");
        return;
    }
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        println!("{}", file_system.name());
        let disk = Disk::new(512 << 20, 4096, 1);
        let begun = std::time::Instant::now();
        Computer::new(disk.clone(), file_system).format();
        disk.power_on();
        println!("format {:?}", begun.elapsed());
        let run = power::Run {
            seed: 1,
            file_system,
        };
        power::proof::unflushed_is_lost_and_flushed_is_not(&run, &disk);
        println!("proof {:?}", begun.elapsed());
        power::proof::names_are_lost_like_bytes(&run, &disk);
        println!("proof {:?}", begun.elapsed());
    }
}
