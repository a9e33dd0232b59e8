//! Every case of the table in `recover`.

use super::*;
use crate::log::LogError;

fn path(base: i64, suffix: &str) -> String {
    format!("{DIR}/{base:020}.{suffix}")
}

/// A log of some segments, each write settled; the disk as a kill leaves it.
fn killed(end: i64) -> World {
    let mut world = World::open(LogConfig {
        segment_bytes: 30_000,
        ..config()
    });
    world.fill(end, 3000);
    world.disk.kill(0);
    world
}

/// The same, stopped in an orderly way.
fn stopped(end: i64) -> World {
    let mut world = World::open(LogConfig {
        segment_bytes: 30_000,
        ..config()
    });
    world.fill(end, 3000);
    world.close();
    world
}

fn bases(world: &World) -> Vec<i64> {
    world.log.segment_bases().map(|base| base.0).collect()
}

fn check_open(world: &mut World, end: i64) {
    assert_eq!(world.opened().log_end, Offset(end));
    world.appended.retain(|(base, _)| base.0 < end);
    world.check_reads();
    // Life goes on, and all of it is there after another stop.
    world.fill(end + 20, 3000);
    world.check_reads();
    world.close();
    world.restart(true, end + 20, None);
    assert_eq!(world.opened().log_end, Offset(end + 20));
    world.check_reads();
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    for recovery_point in [0, 30, 50, 1000] {
        let mut world = killed(50);
        world.restart(false, recovery_point, None);
        assert!(!world.opened().torn);
        check_open(&mut world, 50);
    }
}

#[test]
fn a_clean_start_reads_little() {
    let mut world = stopped(400);
    world.disk.trace.clear();
    world.restart(true, 400, None);
    // List, metadata, epochs, open, two index files, the last batches, the open sector, the first head.
    assert!(world.disk.trace.len() <= 9, "{:?}", world.disk.trace);
    check_open(&mut world, 400);
}

#[test]
fn torn_and_lost_ends_are_cut() {
    // The last write arrived in part: a batch over several sectors, none, one or two of them there.
    for sectors in 0..3 {
        let mut world = World::open(config());
        world.fill(10, 3000);
        world.append(2, 6000, 1).expect("accepted");
        world.disk.kill(sectors);
        world.restart(false, 0, None);
        check_open(&mut world, 10);
    }
    // Any byte of the last batch is wrong.
    let whole = killed(10).log_file(0).len();
    for at in (whole - 3000..whole).step_by(97) {
        let mut world = World::open(config());
        world.fill(10, 3000);
        let last = world.appended[4].1.len() * 4;
        world.disk.kill(0);
        let base_byte = last + (at % 3000);
        world
            .disk
            .edit(&path(0, "log"), |bytes| bytes[base_byte] ^= 0x80);
        world.restart(false, 0, None);
        let end = world.opened().log_end.0;
        // Leader epoch and the offset's high bit are outside of the checksum.
        assert!(end == 8 || end == 10, "byte {base_byte}: {end}");
    }
}

#[test]
fn what_does_not_follow_a_cut_is_removed() {
    let mut world = killed(100);
    let all = bases(&world);
    assert!(all.len() >= 4, "{all:?}");
    world.disk.edit(&path(all[1], "log"), |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    world.restart(false, 0, None);
    assert!(world.opened().torn);
    assert_eq!(bases(&world), &all[..2]);
    assert!(world.disk.get(&path(all[2], "log")).is_none());
    let end = world.opened().log_end.0;
    assert!(end < all[2]);
    check_open(&mut world, end);
}

#[test]
fn a_kill_in_the_middle_of_a_roll_is_found_as_it_was() {
    // Stop the roll after each number of its steps.
    for steps in 0..12 {
        let mut world = World::open(LogConfig {
            segment_bytes: 20_000,
            ..config()
        });
        world.fill(8, 3000);
        world.append(2, 4000, 1_000_000).expect("accepted");
        world.append(2, 4000, 1_000_000).expect("accepted");
        for _ in 0..steps {
            if let Some(completion) = world.disk.complete_any() {
                world.step(completion);
            }
        }
        let promised = world.log.written_end().0;
        let point = world.log.recovery_point().0;
        world.disk.power_cut();
        world.restart(false, point, None);
        let end = world.opened().log_end.0;
        assert!(end >= promised, "after {steps}: {end} of {promised}");
        check_open(&mut world, end);
    }
}

#[test]
fn corruption_after_a_clean_stop_is_reported_and_kept() {
    let mut world = stopped(10);
    let before = world.log_file(0).to_vec();
    world.disk.edit(&path(0, "log"), |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    world.restart(true, 10, None);
    assert!(
        matches!(
            &world.events[..],
            [LogEvent::Failed(LogError::Corrupt { .. })]
        ),
        "{:?}",
        world.events
    );
    assert_eq!(world.log_file(0).len(), before.len());
}

#[test]
fn zeros_after_the_end_of_a_clean_log_are_cut() {
    let mut world = stopped(10);
    world
        .disk
        .edit(&path(0, "log"), |bytes| bytes.resize(200_000, 0));
    world.restart(true, 10, None);
    assert!(!world.opened().torn);
    check_open(&mut world, 10);
}

#[test]
fn missing_and_damaged_indexes_are_rebuilt() {
    for suffix in ["index", "timeindex"] {
        for damage in 0..3 {
            let mut world = stopped(50);
            let all = bases(&world);
            let good: Vec<Vec<u8>> = all
                .iter()
                .map(|&base| world.disk.get(&path(base, suffix)).expect("there").to_vec())
                .collect();
            for &base in &all {
                match damage {
                    0 => world.disk.remove(&path(base, suffix)),
                    1 => world
                        .disk
                        .edit(&path(base, suffix), |bytes| bytes.truncate(5)),
                    _ => world
                        .disk
                        .edit(&path(base, suffix), |bytes| bytes.fill(0xff)),
                }
            }
            world.restart(true, 50, None);
            world.check_reads();
            world.fill(52, 3000);
            world.close();
            let rebuilt = world.disk.get(&path(all[0], suffix)).map(<[u8]>::to_vec);
            // A missing time index counts as an empty one; odd content is found when it is used.
            if damage == 1 || (suffix == "index" && damage == 0) {
                assert_eq!(rebuilt.as_ref(), Some(&good[0]), "{suffix} {damage}");
            }
        }
    }
}

#[test]
fn kafkas_preallocated_indexes_are_read() {
    let mut world = stopped(50);
    let last = *bases(&world).last().expect("some");
    world
        .disk
        .edit(&path(last, "index"), |bytes| bytes.resize(10_485_760, 0));
    world.disk.edit(&path(last, "timeindex"), |bytes| {
        bytes.resize(10_485_756, 0);
    });
    world.restart(true, 50, None);
    check_open(&mut world, 50);
}

#[test]
fn leftovers_are_tidied() {
    let mut world = stopped(50);
    let all = bases(&world);
    world.disk.put(&path(777, "index"), b"12345678");
    world.disk.put(&path(777, "timeindex"), b"");
    world.disk.put(&format!("{}.deleted", path(0, "log")), b"x");
    world
        .disk
        .put(&format!("{}.cleaned", path(900, "log")), b"x");
    world.disk.put(&format!("{}.swap", path(900, "log")), b"x");
    world.disk.put(&path(60, "snapshot"), b"above the end");
    world.disk.put(&path(50, "snapshot"), b"at the end");
    world.disk.put(
        &format!("{DIR}/00000000000000000003-0000000001.checkpoint"),
        b"kept",
    );
    world.restart(true, 50, None);
    assert_eq!(world.opened().snapshots, [Offset(50)]);
    let names = world.disk.names().join(" ");
    for gone in ["777", ".deleted", ".cleaned", ".swap", "60.snapshot"] {
        assert!(!names.contains(gone), "{gone} in {names}");
    }
    assert!(names.contains(".checkpoint"));
    assert_eq!(bases(&world), all);
    check_open(&mut world, 50);
}

#[test]
fn a_finished_swap_is_put_in_place() {
    let mut world = stopped(50);
    let all = bases(&world);
    let cleaned = [world.log_file(all[0]), world.log_file(all[1])].concat();
    world
        .disk
        .put(&format!("{}.swap", path(all[0], "log")), &cleaned);
    world.restart(true, 50, None);
    let mut left = all.clone();
    left.remove(1);
    assert_eq!(bases(&world), left);
    assert_eq!(world.log_file(all[0]), &cleaned[..]);
    assert!(world.disk.get(&path(all[1], "log")).is_none());
    check_open(&mut world, 50);
}

#[test]
fn the_checkpointed_start_rules() {
    let mut world = stopped(50);
    world.restart(true, 50, Some(17));
    assert_eq!(world.opened().log_start, Offset(17));
    assert_eq!(world.log.epochs().entries()[0].start, Offset(17));
    world.check_reads();
    world.close();
    world.restart(true, 50, Some(80));
    assert_eq!(
        (world.opened().log_start, world.opened().log_end),
        (Offset(80), Offset(80))
    );
    assert_eq!(bases(&world), [80]);
    assert!(world.log.epochs().entries().is_empty());
    world.appended.clear();
    world.fill(100, 3000);
    world.check_reads();
}

#[test]
fn another_topics_directory_is_refused() {
    let mut world = stopped(10);
    let other = TopicId([6; 16]);
    let text = format!("version: 0\ntopic_id: {other}");
    world.disk.put("t-0/partition.metadata", text.as_bytes());
    world.restart(true, 10, None);
    assert!(
        matches!(&world.events[..], [LogEvent::Failed(LogError::InconsistentTopicId { found, .. })] if *found == other)
    );
    world.disk.put("t-0/partition.metadata", b"nonsense");
    world.restart(true, 10, None);
    assert!(matches!(
        &world.events[..],
        [LogEvent::Failed(LogError::Corrupt { .. })]
    ));
    world.disk.remove("t-0/partition.metadata");
    world.restart(true, 10, None);
    check_open(&mut world, 10);
    assert!(world.disk.get("t-0/partition.metadata").is_some());
}

#[test]
fn messages_of_old_formats_are_refused_not_cut() {
    let mut world = stopped(10);
    let mut old = vec![0u8; 34];
    old[11] = 22;
    old[12..16].copy_from_slice(&[1, 2, 3, 4]);
    old[16] = 1;
    old.resize(100, 7);
    for clean in [true, false] {
        world.disk.put(&path(0, "log"), &old);
        world.restart(clean, 10, None);
        assert!(
            matches!(
                &world.events[..],
                [LogEvent::Failed(LogError::OldFormat { magic: 1, .. })]
            ),
            "{:?}",
            world.events
        );
        assert_eq!(world.log_file(0), &old[..]);
    }
}

#[test]
fn leader_epochs_survive_their_file() {
    let mut world = stopped(50);
    let epochs = world.log.epochs().clone();
    assert_eq!(epochs.latest(), Some(LeaderEpoch(3)));
    assert_eq!(
        world.disk.get("t-0/leader-epoch-checkpoint"),
        Some(&b"0\n1\n3 0\n"[..])
    );
    world
        .disk
        .put("t-0/leader-epoch-checkpoint", b"\xff garbage");
    world.restart(true, 50, None);
    assert_eq!(world.log.epochs().entries(), epochs.entries());
    check_open(&mut world, 50);
}

#[test]
fn an_epoch_that_is_not_on_disk_holds_the_recovery_point_back() {
    let mut world = World::open(config());
    world.fill(10, 100);
    world.log.assign_epoch(LeaderEpoch(9));
    world.tick(1000);
    assert!(
        world.disk.pending.is_empty(),
        "a start alone writes nothing"
    );
    assert_eq!(world.log.recovery_point(), Offset(10));
    world.append(2, 100, 1).expect("accepted");
    world.done("WriteTail");
    assert_eq!(
        (world.written(), world.log.recovery_point()),
        (Some(12), Offset(10))
    );
    world.done("WriteFile");
    assert_eq!(world.log.recovery_point(), Offset(12));
}

#[test]
fn an_unreadable_disk_is_reported() {
    let mut world = stopped(10);
    world.lives += 1;
    world.out = DiskOut::new(OwnerId(1), world.lives);
    world.log = Log::open(
        world.now,
        spec(&world.config, true, 10, None),
        &mut world.out,
    );
    world.events.clear();
    world.disk.take(&mut world.out);
    world.fails("List");
    assert!(matches!(&world.events[..], [LogEvent::Failed(error)] if error.is_disk()));
}

#[test]
fn bytes_from_nowhere_never_panic() {
    let mut world = stopped(10);
    let good = world.log_file(0).to_vec();
    for len in [0, 1, 16, 17, 60, 61, 62, 100, 4095] {
        for fill in [0u8, 1, 2, 0x7f, 0xff] {
            let mut bytes = good[..good.len().min(6000)].to_vec();
            bytes.extend(std::iter::repeat_n(fill, len));
            world.disk.put(&path(0, "log"), &bytes);
            world.disk.put(&path(0, "index"), &vec![fill; len / 8 * 8]);
            world
                .disk
                .put(&path(0, "timeindex"), &vec![fill; len / 12 * 12]);
            world.restart(false, 0, None);
            assert!(world.log.is_open(), "{len} {fill}: {:?}", world.events);
            world.check_reads();
            world.disk.kill(0);
            world.restart(true, 0, None);
        }
    }
}

#[test]
fn a_gap_left_by_compaction_is_read_over() {
    let mut world = stopped(60);
    let all = bases(&world);
    for suffix in ["log", "index", "timeindex"] {
        world.disk.remove(&path(all[1], suffix));
    }
    world.restart(true, 60, None);
    world
        .appended
        .retain(|(base, _)| base.0 < all[1] || base.0 >= all[2]);
    world.check_reads();
    let next = world.appended.iter().find(|(base, _)| base.0 == all[2]);
    let next = next.expect("the segment after the gap").1.clone();
    for offset in [all[1], all[1] + 1, all[2] - 1] {
        assert!(world.fetch_at(offset).starts_with(&next), "{offset}");
    }
}
