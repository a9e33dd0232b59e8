//! What the power cuts share: a broker on a computer of its own, and the settings of a run.

pub mod faults;
pub mod first_start;
pub mod proof;
pub mod rounds;

use std::time::{Duration, Instant};

use onrush_lossy::computer::{Computer, FileSystem};
use onrush_lossy::disk::Disk;
use onrush_testkit::broker::{Broker, Setup};
use onrush_testkit::client::Client;
use onrush_testkit::random::Random;

use crate::ledger_process::{Ledger, PARTITIONS, TOPIC};

/// Smallest that mkfs.xfs takes is 300 MiB.
pub const DISK_BYTES: u64 = 512 << 20;
/// What this disk writes or loses as a whole.
pub const SECTOR_BYTES: usize = 4096;
/// How long a planned cut may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// One run on one file system.
pub struct Run {
    pub seed: u64,
    pub cuts: u64,
    pub file_system: FileSystem,
    /// A disk with an empty file system.
    pub template: Disk,
}

/// A broker on a computer. The broker goes first.
pub struct Site {
    pub broker: Broker,
    pub computer: Computer,
}

impl Run {
    pub fn new(seed: u64, cuts: u64, file_system: FileSystem) -> Self {
        let template = Disk::new(DISK_BYTES, SECTOR_BYTES, seed);
        Computer::new(template.clone(), file_system).format();
        Self {
            seed,
            cuts,
            file_system,
            template,
        }
    }

    /// A switched off computer with an empty disk, whose cuts are decided by `number` and the run's seed.
    pub fn computer(&self, number: u64) -> Computer {
        let seed = Random::new(self.seed ^ (number << 20)).next_u64();
        Computer::new(self.template.copy(seed), self.file_system)
    }

    /// The same, switched on, with a broker that was never started.
    pub fn site(&self, number: u64, settings: &[&str]) -> Site {
        let mut computer = self.computer(number);
        computer.power_on();
        let mut setup = Setup::new(env!("CARGO_BIN_EXE_onrush"));
        for setting in settings {
            setup = setup.set(setting);
        }
        let setup = setup.data(computer.root().join("data"));
        Site {
            broker: setup.unstarted(),
            computer,
        }
    }

    /// The same, with a broker that runs and a ledger on it.
    pub fn site_with_ledger(&self, number: u64, settings: &[&str]) -> (Site, Ledger) {
        let mut site = self.site(number, settings);
        site.broker.start_again();
        let mut client = Client::connect(site.broker.address()).unwrap();
        client.create_topic(TOPIC, PARTITIONS, &[("segment.bytes", "1048576")]);
        let ledger = Ledger::start(site.broker.address(), TOPIC, self.seed ^ number);
        (site, ledger)
    }

    pub fn random(&self, what: u64) -> Random {
        Random::new(self.seed ^ what.rotate_left(40))
    }
}

impl Site {
    pub fn disk(&self) -> &Disk {
        self.computer.disk()
    }

    /// Cuts the power, gives the broker a moment to say something wrong, and takes it away.
    pub fn power_off(&mut self, random: &mut Random) {
        self.disk().cut();
        std::thread::sleep(Duration::from_millis(random.range(0, 20)));
        self.broker.kill();
        self.computer.power_off();
    }

    /// The power is back and the broker started; how long the broker took.
    pub fn power_on(&mut self) -> Duration {
        self.computer.power_on();
        let begun = Instant::now();
        self.broker.start_again();
        begun.elapsed()
    }

    /// Starts the broker and cuts the power after so many writes and flushes, or when it is ready before that.
    /// True if it came so far.
    pub fn start_until(&mut self, requests: u64, random: &mut Random) -> bool {
        let disk = self.disk().clone();
        disk.cut_after(requests);
        self.broker.spawn();
        let begun = Instant::now();
        let mut ready = false;
        while !ready && !disk.wait_for_cut(Duration::from_millis(2)) {
            let output = self.broker.output();
            assert!(self.broker.is_alive(), "ended before the cut:\n{output}");
            assert!(begun.elapsed() < PATIENCE, "neither cut nor ready");
            ready = self.broker.answers();
        }
        self.power_off(random);
        ready
    }

    /// Waits for a planned cut.
    pub fn wait_for_cut(&self) {
        assert!(self.disk().wait_for_cut(PATIENCE), "no cut");
    }

    /// An orderly end, and a look at the file system with its own tool.
    pub fn end(mut self) {
        let (status, _) = self.broker.stop();
        assert_eq!(status.code(), Some(0), "{}", self.broker.output());
        self.computer.shut_down();
        self.computer.check();
    }
}
