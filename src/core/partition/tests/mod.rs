//! Scripts that step a partition by hand: promises, idempotence over restarts, snapshots, the ways out.

use bytes::Bytes;

use super::{AppendError, Appended, Partition, PartitionConfig, PartitionEvent, PartitionSpec};
use crate::effect::DiskOut;
use crate::log::testdisk::TestDisk;
use crate::log::{Durability, LogConfig, ReadPlan, ReadSpec};
use crate::types::{
    LeaderEpoch, Millis, Monotonic, Now, Offset, OwnerId, PartitionIndex, ProducerEpoch,
    ProducerId, TopicId, TopicPartition, WallMillis,
};
use crate::wire::batch::BatchHeader;
use crate::wire::build::BatchBuilder;

const DIR: &str = "t-0";

struct World {
    disk: TestDisk,
    out: DiskOut,
    partition: Partition,
    config: PartitionConfig,
    now: Now,
    events: Vec<PartitionEvent>,
    lives: u32,
}

fn spec(config: &PartitionConfig, clean: bool, recovery_point: i64) -> PartitionSpec {
    PartitionSpec {
        name: TopicPartition {
            topic: "t".into(),
            partition: PartitionIndex(0),
        },
        topic_id: TopicId([5; 16]),
        config: config.clone(),
        clean,
        recovery_point: Offset(recovery_point),
        log_start: None,
    }
}

impl World {
    fn open(config: PartitionConfig) -> Self {
        let mut out = DiskOut::new(OwnerId(1), 1);
        let now = Now {
            mono: Monotonic(1),
            wall: WallMillis(1_000_000),
        };
        let partition = Partition::open(now, spec(&config, true, 0), &mut out);
        let mut world = Self {
            disk: TestDisk::default(),
            out,
            partition,
            config,
            now,
            events: Vec::new(),
            lives: 1,
        };
        world.disk.take(&mut world.out);
        world.settle();
        world.partition.lead(LeaderEpoch(1));
        world
    }

    fn settle(&mut self) {
        while let Some((token, result)) = self.disk.complete_any() {
            self.partition
                .on_disk(self.now, token, result, &mut self.out, &mut self.events);
            self.disk.take(&mut self.out);
        }
    }

    fn done(&mut self, what: &str) {
        let (token, result) = self.disk.complete(what);
        self.partition
            .on_disk(self.now, token, result, &mut self.out, &mut self.events);
        self.disk.take(&mut self.out);
    }

    fn fails(&mut self, what: &str) {
        let (token, result) = self.disk.fail(what);
        self.partition
            .on_disk(self.now, token, result, &mut self.out, &mut self.events);
        self.disk.take(&mut self.out);
    }

    fn tick(&mut self, ms: u64) {
        self.now.mono = self.now.mono.after(Millis(ms));
        self.now.wall.0 += i64::try_from(ms).expect("small");
        self.partition
            .on_tick(self.now, &mut self.out, &mut self.events);
        self.disk.take(&mut self.out);
    }

    fn append(
        &mut self,
        producer: Option<(i64, i16, i32)>,
        count: i32,
    ) -> Result<Appended, AppendError> {
        let mut builder = BatchBuilder::new();
        if let Some((id, epoch, sequence)) = producer {
            builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        }
        for _ in 0..count {
            builder.push(self.now.wall.0, None, Some(&[b'x'; 500]), &[]);
        }
        let bytes = builder.build();
        let header = BatchHeader::decode(&bytes).expect("a batch");
        let appended = self.partition.append(
            self.now,
            header,
            bytes.slice(61..),
            &mut self.out,
            &mut self.events,
        );
        self.disk.take(&mut self.out);
        appended
    }

    /// `base` of an accepted batch, `dup base`, or the error's number; everything is let happen.
    fn answer(&mut self, producer: (i64, i16, i32), count: i32) -> String {
        let answer = match self.append(Some(producer), count) {
            Ok(appended) if appended.duplicate => format!("dup {}", appended.base_offset),
            Ok(appended) => appended.base_offset.to_string(),
            Err(AppendError::OutOfOrderSequence { .. }) => "45".to_owned(),
            Err(AppendError::OldProducerEpoch { .. }) => "47".to_owned(),
            Err(other) => panic!("{other}"),
        };
        self.settle();
        answer
    }

    fn close(&mut self) {
        self.partition.close_clean(&mut self.out);
        self.disk.take(&mut self.out);
        self.settle();
        assert_eq!(self.events.last(), Some(&PartitionEvent::Closed));
    }

    fn restart(&mut self, clean: bool, recovery_point: i64) {
        self.lives += 1;
        self.out = DiskOut::new(OwnerId(1), self.lives);
        let spec = spec(&self.config, clean, recovery_point);
        self.partition = Partition::open(self.now, spec, &mut self.out);
        self.events.clear();
        self.disk.take(&mut self.out);
        self.settle();
        assert!(self.partition.is_online(), "{:?}", self.events);
        let epoch = i32::try_from(self.lives).expect("small");
        self.partition.lead(LeaderEpoch(epoch));
    }

    fn snapshots(&self) -> Vec<String> {
        let names = self.disk.names();
        let snapshots = names.iter().filter_map(|name| {
            let name = name.strip_prefix("t-0/")?.strip_suffix(".snapshot")?;
            Some(name.trim_start_matches('0').to_owned())
        });
        snapshots.collect()
    }
}

fn small_segments() -> PartitionConfig {
    PartitionConfig {
        log: LogConfig {
            segment_bytes: 3000,
            ..LogConfig::default()
        },
        ..PartitionConfig::default()
    }
}

#[test]
fn the_high_watermark_waits_for_the_write() {
    let mut world = World::open(PartitionConfig::default());
    let appended = world.append(None, 3).expect("accepted");
    assert_eq!(
        (appended.base_offset, appended.last_offset),
        (Offset(0), Offset(2))
    );
    assert_eq!((appended.log_append_time, appended.duplicate), (-1, false));
    world.done("Reserve");
    assert_eq!(world.partition.high_watermark(), Offset(0));
    let spec = ReadSpec {
        offset: Offset(0),
        bytes_max: 1 << 20,
        at_least_one_batch: true,
        upper_bound: Offset(3),
    };
    let plan = world.partition.plan_read(&spec, &mut world.out);
    assert!(
        matches!(plan, ReadPlan::Empty),
        "nothing above the high watermark is shown"
    );
    world.done("WriteTail");
    assert_eq!(
        world.events.last(),
        Some(&PartitionEvent::HighWatermark(Offset(3)))
    );
    let ReadPlan::Parts { parts, .. } = world.partition.plan_read(&spec, &mut world.out) else {
        panic!("readable now");
    };
    let header = BatchHeader::decode(&world.disk.gather(&parts)).expect("a batch");
    assert_eq!(
        (header.base_offset, header.leader_epoch),
        (Offset(0), LeaderEpoch(1))
    );
}

#[test]
fn a_duplicate_is_answered_before_its_original_is_safe() {
    let mut world = World::open(PartitionConfig::default());
    world.append(Some((7, 0, 0)), 2).expect("accepted");
    world.tick(5);
    let again = world.append(Some((7, 0, 0)), 2).expect("known");
    assert!(again.duplicate);
    assert_eq!(
        (again.base_offset, again.last_offset),
        (Offset(0), Offset(1))
    );
    assert_eq!(again.log_append_time, 1_000_000);
    assert!(
        world.partition.high_watermark() <= again.last_offset,
        "the answer waits"
    );
    assert_eq!(world.partition.log_end(), Offset(2));
}

#[test]
fn producers_are_known_after_a_clean_stop() {
    let mut world = World::open(PartitionConfig::default());
    assert_eq!(world.answer((7, 1, 0), 2), "0");
    assert_eq!(world.answer((7, 1, 2), 2), "2");
    world.close();
    assert_eq!(world.snapshots(), ["4"]);
    world.restart(true, 4);
    assert_eq!(world.answer((7, 1, 2), 2), "dup 2");
    assert_eq!(world.answer((7, 1, 0), 2), "dup 0");
    assert_eq!(world.answer((7, 1, 1), 2), "45");
    assert_eq!(world.answer((7, 0, 4), 2), "47");
    assert_eq!(world.answer((7, 1, 4), 2), "4");
    world.close();
    assert_eq!(world.snapshots(), ["6"], "only the newest is kept");
}

#[test]
fn producers_are_known_after_a_kill() {
    let mut world = World::open(PartitionConfig::default());
    for sequence in 0..7 {
        world.answer((7, 1, sequence), 1);
    }
    world.disk.kill(0);
    world.restart(false, 0);
    // All of the five batches of the window are replayed.
    assert_eq!(world.answer((7, 1, 2), 1), "dup 2");
    assert_eq!(world.answer((7, 1, 1), 1), "45");
    assert_eq!(world.answer((7, 1, 7), 1), "7");
}

#[test]
fn a_roll_writes_the_state_before_the_new_segment() {
    let mut world = World::open(small_segments());
    for sequence in 0..20 {
        world.answer((7, 1, sequence), 1);
    }
    let all = world.snapshots();
    assert!(all.len() >= 3, "{all:?}");
    world.disk.kill(0);
    world.restart(false, 20);
    assert_eq!(world.answer((7, 1, 19), 1), "dup 19");
    assert_eq!(world.answer((7, 1, 20), 1), "20");
    // Each of the newer snapshots is damaged: an older one and a longer replay give the same.
    world.disk.kill(0);
    for name in &world.snapshots()[1..] {
        world
            .disk
            .edit(&format!("{DIR}/{name:0>20}.snapshot"), |bytes| {
                bytes[7] ^= 1;
            });
    }
    world.restart(false, 20);
    assert_eq!(world.answer((7, 1, 16), 1), "dup 16");
    assert_eq!(world.answer((7, 1, 21), 1), "21");
    // None is left.
    world.disk.kill(0);
    for name in world.snapshots() {
        world.disk.remove(&format!("{DIR}/{name:0>20}.snapshot"));
    }
    world.restart(false, 20);
    assert_eq!(world.answer((7, 1, 17), 1), "dup 17");
    assert_eq!(world.answer((7, 1, 22), 1), "22");
}

#[test]
fn silent_producers_are_forgotten() {
    let config = PartitionConfig {
        producer_id_expiration_ms: Millis(1000),
        ..PartitionConfig::default()
    };
    let mut world = World::open(config);
    assert_eq!(world.answer((7, 1, 0), 1), "0");
    world.tick(61_000);
    // Unknown now: any sequence and any epoch may be right.
    assert_eq!(world.answer((7, 0, 5), 1), "1");
}

#[test]
fn a_failed_write_takes_the_partition_offline() {
    let mut world = World::open(PartitionConfig::default());
    world.append(None, 1).expect("accepted");
    world.done("Reserve");
    world.fails("WriteTail");
    let disk =
        matches!(world.events.last(), Some(PartitionEvent::Offline(error)) if error.is_disk());
    assert!(disk, "{:?}", world.events);
    assert!(!world.partition.is_online());
    assert_eq!(world.append(None, 1), Err(AppendError::Offline));
    world.settle();
    assert_eq!(world.partition.high_watermark(), Offset(0));
}

#[test]
fn a_close_during_recovery_comes_after_it() {
    let mut world = World::open(PartitionConfig::default());
    world.answer((7, 1, 0), 1);
    world.disk.kill(0);
    world.lives += 1;
    world.out = DiskOut::new(OwnerId(1), world.lives);
    world.partition = Partition::open(world.now, spec(&world.config, false, 0), &mut world.out);
    world.events.clear();
    world.partition.close_clean(&mut world.out);
    world.disk.take(&mut world.out);
    world.settle();
    assert_eq!(world.events.last(), Some(&PartitionEvent::Closed));
    world.restart(true, 1);
    assert_eq!(world.answer((7, 1, 0), 1), "dup 0");
}

#[test]
fn offsets_for_epochs_follow_the_lives() {
    let mut world = World::open(PartitionConfig::default());
    world.answer((7, 1, 0), 3);
    world.disk.kill(0);
    world.restart(false, 0);
    world.answer((7, 1, 3), 2);
    let end = |world: &World, epoch| world.partition.end_offset_for_epoch(LeaderEpoch(epoch));
    assert_eq!(end(&world, 1), Some((LeaderEpoch(1), Offset(3))));
    assert_eq!(end(&world, 2), Some((LeaderEpoch(2), Offset(5))));
    assert_eq!(end(&world, 3), None);
    assert_eq!(world.partition.epoch_at(Offset(3)), Some(LeaderEpoch(2)));
    world.close();
    world.restart(true, 5);
    assert_eq!(end(&world, 1), Some((LeaderEpoch(1), Offset(3))));
}

#[test]
fn log_append_time_is_told() {
    let mut world = World::open(PartitionConfig::default());
    let mut builder = BatchBuilder::new();
    builder.log_append_time().push(42, None, Some(b"v"), &[]);
    let bytes: Bytes = builder.build();
    let header = BatchHeader::decode(&bytes).expect("a batch");
    let appended = world
        .partition
        .append(
            world.now,
            header,
            bytes.slice(61..),
            &mut world.out,
            &mut world.events,
        )
        .expect("accepted");
    assert_eq!(appended.log_append_time, 42);
}

#[test]
fn written_mode_promises_after_the_write_alone() {
    let config = PartitionConfig {
        log: LogConfig {
            durability: Durability::Written,
            ..LogConfig::default()
        },
        ..PartitionConfig::default()
    };
    let mut world = World::open(config);
    world.answer((7, 1, 0), 1);
    assert_eq!(world.partition.high_watermark(), Offset(1));
    assert_eq!(world.partition.recovery_point(), Offset(0));
}

#[test]
fn nothing_overtakes_a_first_batch_that_found_no_space() {
    let mut world = World::open(PartitionConfig::default());
    world.disk.full = true;
    world.append(None, 1).expect("not known yet");
    world.settle();
    assert_eq!(world.append(Some((7, 0, 0)), 2), Err(AppendError::NoSpace));
    world.disk.full = false;
    world.tick(1000);
    world.settle();
    assert_eq!(world.answer((7, 0, 2), 1), "45");
    assert_eq!(world.answer((7, 0, 0), 2), "1");
    assert_eq!(world.answer((7, 0, 2), 1), "3");
}
