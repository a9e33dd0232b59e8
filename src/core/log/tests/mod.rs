//! Scripts that step a log by hand against a small disk.

mod random;
mod recovery;
mod serving;

use bytes::Bytes;

use super::testdisk::TestDisk;
use super::{
    AppendRefused, Durability, Log, LogConfig, LogEvent, LogSpec, Opened, ReadPlan, ReadSpec,
    TimeQuery,
};
use crate::effect::DiskOut;
use crate::types::{LeaderEpoch, Millis, Monotonic, Now, Offset, OwnerId, TopicId, WallMillis};
use crate::wire::batch::BatchHeader;
use crate::wire::build::BatchBuilder;

const DIR: &str = "t-0";
const ID: TopicId = TopicId([5; 16]);

/// One batch of `count` records of `bytes` value bytes each.
fn batch(base: i64, count: i32, bytes: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder
        .base_offset(Offset(base))
        .leader_epoch(LeaderEpoch(3));
    for _ in 0..count {
        builder.push(timestamp, None, Some(&vec![b'x'; bytes]), &[]);
    }
    builder.build()
}

/// A log, its disk and everything that happened.
struct World {
    disk: TestDisk,
    out: DiskOut,
    log: Log,
    config: LogConfig,
    now: Now,
    events: Vec<LogEvent>,
    lives: u32,
    /// Every batch appended, by base offset.
    appended: Vec<(Offset, Bytes)>,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        file_delete_delay_ms: Millis(100),
        ..LogConfig::default()
    }
}

impl World {
    /// A disk without the log's directory; nothing happened yet.
    fn new(config: LogConfig) -> Self {
        let mut disk = TestDisk::default();
        let mut out = DiskOut::new(OwnerId(1), 1);
        let now = Now {
            mono: Monotonic(1),
            wall: WallMillis(1_000_000),
        };
        let log = Log::open(now, spec(&config, true, 0, None), &mut out);
        disk.take(&mut out);
        Self {
            disk,
            out,
            log,
            config,
            now,
            events: Vec::new(),
            lives: 1,
            appended: Vec::new(),
        }
    }

    /// A log that was born and is open.
    fn open(config: LogConfig) -> Self {
        let mut world = Self::new(config);
        world.settle();
        assert!(world.log.is_open(), "{:?}", world.events);
        world
    }

    fn step(&mut self, (token, result): (crate::types::Token, crate::effect::DiskResult)) {
        self.log
            .on_disk(self.now, token, result, &mut self.out, &mut self.events);
        self.disk.take(&mut self.out);
    }

    /// The first operation of that name happens.
    fn done(&mut self, what: &str) {
        let completion = self.disk.complete(what);
        self.step(completion);
    }

    fn fails(&mut self, what: &str) {
        let completion = self.disk.fail(what);
        self.step(completion);
    }

    /// Everything happens until nothing is left to happen.
    fn settle(&mut self) {
        while let Some(completion) = self.disk.complete_any() {
            self.step(completion);
        }
    }

    fn tick(&mut self, ms: u64) {
        self.now.mono = self.now.mono.after(Millis(ms));
        self.now.wall.0 += i64::try_from(ms).expect("small");
        self.log.on_tick(self.now, &mut self.out);
        self.disk.take(&mut self.out);
    }

    fn append(&mut self, count: i32, bytes: usize, timestamp: i64) -> Result<(), AppendRefused> {
        let base = self.log.log_end();
        let bytes = batch(base.0, count, bytes, timestamp);
        let header = BatchHeader::decode(&bytes).expect("a batch");
        let parts = [bytes.slice(..61), bytes.slice(61..)];
        self.log
            .append(self.now, parts, &header, &mut self.out, &mut self.events)?;
        self.disk.take(&mut self.out);
        self.appended.push((base, bytes));
        Ok(())
    }

    /// Appends batches of about `bytes` bytes until the log ends at or above `end`, letting everything happen.
    fn fill(&mut self, end: i64, bytes: usize) {
        while self.log.log_end().0 < end {
            let timestamp = 1_000_000 + self.log.log_end().0;
            self.append(2, bytes / 2, timestamp).expect("accepted");
            self.settle();
        }
    }

    fn close(&mut self) {
        self.log.close_clean(&mut self.out);
        self.disk.take(&mut self.out);
        self.settle();
        assert_eq!(self.events.last(), Some(&LogEvent::Closed));
    }

    /// A new life on the same disk.
    fn restart(&mut self, clean: bool, recovery_point: i64, log_start: Option<i64>) {
        self.lives += 1;
        self.out = DiskOut::new(OwnerId(1), self.lives);
        let spec = spec(&self.config, clean, recovery_point, log_start);
        self.log = Log::open(self.now, spec, &mut self.out);
        self.events.clear();
        self.disk.take(&mut self.out);
        self.settle();
    }

    fn opened(&self) -> &Opened {
        let opened = self.events.iter().find_map(|event| match event {
            LogEvent::Opened(opened) => Some(opened),
            _ => None,
        });
        opened.unwrap_or_else(|| panic!("not opened: {:?}", self.events))
    }

    fn written(&self) -> Option<i64> {
        self.events.iter().rev().find_map(|event| match event {
            LogEvent::Written { end } => Some(end.0),
            _ => None,
        })
    }

    /// The bytes a fetch gets, after the searches it needs.
    fn fetch(&mut self, spec: ReadSpec) -> Vec<u8> {
        for _ in 0..3 {
            match self.log.plan_read(&spec, &mut self.out) {
                ReadPlan::Parts { parts, bytes } => {
                    self.disk.take(&mut self.out);
                    let got = self.disk.gather(&parts);
                    assert_eq!(got.len(), usize::try_from(bytes).expect("fits"));
                    return got;
                }
                ReadPlan::NeedScan(scan) => {
                    self.disk.take(&mut self.out);
                    self.settle();
                    let result = Ok(());
                    assert!(
                        self.events.contains(&LogEvent::ScanDone { scan, result }),
                        "{:?}",
                        self.events
                    );
                }
                ReadPlan::Empty => return Vec::new(),
                ReadPlan::OutOfRange => panic!("{spec:?} is out of range"),
            }
        }
        panic!("{spec:?} is searched for again and again")
    }

    fn fetch_at(&mut self, offset: i64) -> Vec<u8> {
        self.fetch(ReadSpec {
            offset: Offset(offset),
            bytes_max: 1 << 20,
            at_least_one_batch: true,
            upper_bound: self.log.written_end(),
        })
    }

    /// Every batch that was promised can be read, byte for byte, by its first offset.
    fn check_reads(&mut self) {
        let start = self.log.log_start();
        let end = self.log.written_end();
        for (base, bytes) in self.appended.clone() {
            let header = BatchHeader::decode(&bytes).expect("a batch");
            if base >= start && header.last_offset() < end {
                let got = self.fetch_at(base.0);
                assert!(got.starts_with(&bytes), "batch at {base} of {end}");
            }
        }
    }

    fn log_file(&self, base: i64) -> &[u8] {
        self.disk
            .get(&format!("{DIR}/{base:020}.log"))
            .expect("there")
    }
}

fn spec(config: &LogConfig, clean: bool, recovery_point: i64, log_start: Option<i64>) -> LogSpec {
    LogSpec {
        dir: DIR.into(),
        topic_id: ID,
        config: config.clone(),
        clean,
        recovery_point: Offset(recovery_point),
        log_start: log_start.map(Offset),
    }
}
