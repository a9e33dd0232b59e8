//! Appends, promises, rolls, reads, searches, space, close and delete.

use super::*;

fn trace(world: &mut World) -> String {
    std::mem::take(&mut world.disk.trace).join(" ")
}

#[test]
fn birth_flushes_each_thing_before_the_next() {
    let mut world = World::new(config());
    world.settle();
    assert_eq!(trace(&mut world), "List MakeDir WriteFile ReadFile Open");
    assert!(world.opened().born);
    assert_eq!(world.log_file(0), b"");
    let metadata = world.disk.get("t-0/partition.metadata").expect("written");
    assert_eq!(metadata, format!("version: 0\ntopic_id: {ID}").as_bytes());
}

#[test]
fn appends_made_during_a_write_go_out_together() {
    let mut world = World::open(config());
    trace(&mut world);
    world.append(1, 100, 1).expect("accepted");
    assert_eq!(trace(&mut world), "Reserve WriteFile");
    world.done("Reserve");
    assert_eq!(trace(&mut world), "WriteTail");
    for _ in 0..10 {
        world.append(1, 1000, 1).expect("accepted");
    }
    assert_eq!(trace(&mut world), "");
    assert_eq!(world.written(), None);
    world.done("WriteTail");
    assert_eq!(
        (world.written(), trace(&mut world)),
        (Some(1), "WriteTail".to_owned())
    );
    world.done("WriteTail");
    assert_eq!(
        (world.written(), trace(&mut world)),
        (Some(11), String::new())
    );
    assert_eq!(world.log.unwritten_bytes(), 0);
    world.check_reads();
}

#[test]
fn a_large_append_is_written_in_bounded_pieces() {
    let mut world = World::open(LogConfig {
        segment_bytes: 8 << 20,
        ..config()
    });
    world.append(3, 1 << 20, 1).expect("accepted");
    world.append(1, 10, 1).expect("accepted");
    world.done("Reserve");
    let mut writes = 0;
    while world.written() != Some(4) {
        world.done("WriteTail");
        writes += 1;
    }
    assert_eq!(writes, 4);
    world.settle();
    world.check_reads();
}

#[test]
fn flushed_asks_for_durable_writes_and_survives_a_power_cut() {
    let mut world = World::open(config());
    world.fill(100, 3000);
    assert_eq!(world.log.recovery_point(), Offset(100));
    world.disk.power_cut();
    world.restart(false, 0, None);
    assert_eq!(
        (world.opened().log_end, world.opened().torn),
        (Offset(100), false)
    );
    world.check_reads();
}

#[test]
fn written_promises_before_a_flush_and_flush_ms_bounds_it() {
    let mut world = World::open(LogConfig {
        durability: Durability::Written,
        flush_ms: Millis(50),
        ..config()
    });
    world.fill(10, 100);
    assert_eq!(
        (world.written(), world.log.recovery_point()),
        (Some(10), Offset(0))
    );
    trace(&mut world);
    world.tick(10);
    assert_eq!(trace(&mut world), "");
    world.tick(50);
    assert_eq!(trace(&mut world), "Flush");
    world.settle();
    assert_eq!(world.log.recovery_point(), Offset(10));
}

#[test]
fn flush_messages_holds_the_promise_back() {
    let mut world = World::open(LogConfig {
        durability: Durability::Written,
        flush_messages: 3,
        ..config()
    });
    world.append(2, 10, 1).expect("accepted");
    world.done("Reserve");
    world.done("WriteTail");
    assert_eq!(world.written(), Some(2));
    world.append(2, 10, 1).expect("accepted");
    world.done("WriteTail");
    assert_eq!(world.written(), Some(2));
    world.done("Flush");
    assert_eq!(world.written(), Some(4));
}

#[test]
fn a_change_from_written_to_flushed_flushes_what_lies_before() {
    let mut world = World::open(LogConfig {
        durability: Durability::Written,
        ..config()
    });
    world.fill(10, 9000);
    world.log.set_config(config());
    world.append(1, 10, 1).expect("accepted");
    world.done("WriteTail");
    assert_eq!(world.written(), Some(10));
    world.done("Flush");
    assert_eq!(world.written(), Some(11));
    world.disk.power_cut();
    world.restart(false, 0, None);
    assert_eq!(world.opened().log_end, Offset(11));
}

#[test]
fn reads_at_the_high_watermark_go_on_during_every_step_of_a_roll() {
    let mut world = World::open(LogConfig {
        segment_bytes: 20_000,
        ..config()
    });
    world.fill(12, 3000);
    world.append(2, 4000, 1_000_000).expect("accepted");
    world.append(2, 4000, 1_000_000).expect("accepted");
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, LogEvent::Rolled { .. }))
    );
    // Each operation in turn, and after each of them everything that was promised is readable.
    let mut steps = 0;
    while let Some(completion) = world.disk.complete_any() {
        world.step(completion);
        let end = world.log.written_end();
        let spec = ReadSpec {
            offset: Offset(0),
            bytes_max: 1 << 20,
            at_least_one_batch: true,
            upper_bound: end,
        };
        for (base, bytes) in world.appended.clone() {
            let last = BatchHeader::decode(&bytes).expect("a batch").last_offset();
            if last >= end {
                continue;
            }
            let plan = world.log.plan_read(
                &ReadSpec {
                    offset: base,
                    ..spec
                },
                &mut world.out,
            );
            if let ReadPlan::Parts { parts, .. } = plan {
                assert!(
                    world.disk.gather(&parts).starts_with(&bytes),
                    "{base} after {steps}"
                );
            } else {
                assert!(
                    matches!(plan, ReadPlan::NeedScan(_)),
                    "{base} after {steps}: {plan:?}"
                );
                world.disk.take(&mut world.out);
            }
        }
        steps += 1;
    }
    assert!(steps > 8, "{steps}");
    assert_eq!(world.written(), Some(world.log.log_end().0));
    assert!(world.events.contains(&LogEvent::Sealed { base: Offset(0) }));
    world.check_reads();
}

#[test]
fn a_later_file_is_promised_after_the_one_before() {
    let mut world = World::open(LogConfig {
        segment_bytes: 10_000,
        ..config()
    });
    world.append(1, 8000, 1).expect("accepted");
    world.done("Reserve");
    world.append(1, 8000, 1).expect("accepted");
    // The new segment's write completes while the old one's is still under way.
    world.done("Open");
    world.done("Reserve");
    let last = world.disk.pending.len() - 1;
    let write = world.disk.pending.remove(last);
    world.disk.pending.insert(0, write);
    world.done("WriteTail");
    assert_eq!(world.written(), None);
    world.done("WriteTail");
    assert_eq!(world.written(), Some(2));
    assert_eq!(world.log.recovery_point(), Offset(0));
    world.settle();
    assert_eq!(world.log.recovery_point(), Offset(2));
}

#[test]
fn rolls_by_size_time_and_leap() {
    let rolls = |world: &World| world.log.segment_count() - 1;
    let mut world = World::open(LogConfig {
        segment_ms: Millis(1000),
        segment_jitter_ms: Millis(100),
        ..config()
    });
    world.append(1, 10, 5000).expect("accepted");
    world.append(1, 10, 5900).expect("accepted");
    assert_eq!(rolls(&world), 0);
    world.append(1, 10, 5901).expect("accepted");
    assert_eq!(rolls(&world), 1);
    // Without timestamps the clock counts from the segment's creation.
    let mut world = World::open(LogConfig {
        segment_ms: Millis(1000),
        ..config()
    });
    world.append(1, 10, -1).expect("accepted");
    world.tick(1000);
    world.append(1, 10, -1).expect("accepted");
    assert_eq!(rolls(&world), 0);
    world.tick(1);
    world.append(1, 10, -1).expect("accepted");
    assert_eq!(rolls(&world), 1);
    // A full index.
    let mut world = World::open(LogConfig {
        index_bytes_max: 36,
        index_interval_bytes: 0,
        ..config()
    });
    for timestamp in 0..20 {
        world
            .append(1, 10, 1_000_000 + timestamp)
            .expect("accepted");
    }
    world.settle();
    assert_eq!(rolls(&world), 6);
    world.check_reads();
    let refused = world.append(1, 2 << 20, 1);
    assert_eq!(refused, Err(AppendRefused::LargerThanSegment));
}

#[test]
fn sealed_files_are_exact() {
    let mut world = World::open(LogConfig {
        segment_bytes: 40_000,
        ..config()
    });
    world.fill(60, 3000);
    world.close();
    let mut position = 0u64;
    let mut offsets = Vec::new();
    let mut times = Vec::new();
    let mut since = 0;
    let mut content = Vec::new();
    let mut segments = 0;
    let bases: Vec<Offset> = world.log.segment_bases().collect();
    let finish = |world: &World,
                  base: i64,
                  offsets: &mut Vec<u8>,
                  times: &mut Vec<u8>,
                  last: (i64, i64),
                  content: &mut Vec<u8>| {
        if !times.ends_with(
            &[
                &last.0.to_be_bytes()[..],
                &i32::try_from(last.1).expect("small").to_be_bytes(),
            ]
            .concat(),
        ) {
            times.extend(last.0.to_be_bytes());
            times.extend(i32::try_from(last.1).expect("small").to_be_bytes());
        }
        assert_eq!(world.log_file(base), &content[..], "{base}");
        assert_eq!(
            world.disk.get(&format!("{DIR}/{base:020}.index")),
            Some(&offsets[..])
        );
        assert_eq!(
            world.disk.get(&format!("{DIR}/{base:020}.timeindex")),
            Some(&times[..])
        );
        offsets.clear();
        times.clear();
        content.clear();
    };
    let mut base = 0;
    let mut last = (0, 0);
    for (first, bytes) in world.appended.clone() {
        if first.0 > 0 && bases.contains(&first) {
            finish(&world, base, &mut offsets, &mut times, last, &mut content);
            (base, position, since) = (first.0, 0, 0);
            segments += 1;
        }
        let header = BatchHeader::decode(&bytes).expect("a batch");
        let relative = header.last_offset().0 - base;
        last = (header.max_timestamp, relative);
        if since > 4096 {
            offsets.extend(i32::try_from(relative).expect("small").to_be_bytes());
            offsets.extend(u32::try_from(position).expect("small").to_be_bytes());
            times.extend(header.max_timestamp.to_be_bytes());
            times.extend(i32::try_from(relative).expect("small").to_be_bytes());
            since = 0;
        }
        since += bytes.len();
        position += bytes.len() as u64;
        content.extend_from_slice(&bytes);
    }
    finish(&world, base, &mut offsets, &mut times, last, &mut content);
    assert!(segments >= 2);
}

#[test]
fn fetch_limits_are_kafkas() {
    let mut world = World::open(config());
    world.fill(6, 3000);
    let size = world.appended[0].1.len();
    let spec = ReadSpec {
        offset: Offset(0),
        bytes_max: 1,
        at_least_one_batch: true,
        upper_bound: Offset(6),
    };
    assert_eq!(world.fetch(spec).len(), size);
    let at_least_one_batch = false;
    assert_eq!(
        world
            .fetch(ReadSpec {
                at_least_one_batch,
                ..spec
            })
            .len(),
        0
    );
    let bytes_max = u32::try_from(size + 100).expect("small");
    assert_eq!(
        world.fetch(ReadSpec { bytes_max, ..spec }).len(),
        size + 100
    );
    // From within a batch the whole batch comes; the bound ends it.
    let bytes_max = 1 << 20;
    let inside = world.fetch(ReadSpec {
        bytes_max,
        offset: Offset(3),
        ..spec
    });
    assert_eq!(inside.len(), 2 * size);
    let bounded = world.fetch(ReadSpec {
        bytes_max,
        upper_bound: Offset(4),
        ..spec
    });
    assert_eq!(bounded.len(), 2 * size);
    assert_eq!(
        world
            .fetch(ReadSpec {
                offset: Offset(6),
                ..spec
            })
            .len(),
        0
    );
    let beyond = ReadSpec {
        offset: Offset(7),
        ..spec
    };
    assert!(matches!(
        world.log.plan_read(&beyond, &mut world.out),
        ReadPlan::OutOfRange
    ));
}

#[test]
fn cold_reads_of_old_segments_find_their_batches() {
    let mut world = World::open(LogConfig {
        segment_bytes: 50_000,
        ..config()
    });
    world.fill(400, 1500);
    world.log.set_hot_bytes(0, &mut world.out);
    world.disk.take(&mut world.out);
    assert!(world.log.segment_count() > 5);
    world.check_reads();
    world.close();
    world.restart(true, 400, None);
    world.check_reads();
    assert!(world.log.hot_bytes() < 4096, "only the open sector");
}

#[test]
fn memory_is_let_go_but_for_the_open_sector() {
    let mut world = World::open(config());
    world.fill(200, 3000);
    assert!(world.log.hot_bytes() < 100_000);
    world.tick(1000);
    world.tick(1000);
    assert!(world.log.hot_bytes() < 4096);
    world.check_reads();
    world.log.set_hot_bytes(200_000, &mut world.out);
    world.fill(300, 3000);
    assert!(world.log.hot_bytes() > 100_000);
    world.check_reads();
}

#[test]
fn searches_by_time_read_the_right_batch() {
    let mut world = World::open(LogConfig {
        segment_bytes: 30_000,
        ..config()
    });
    world.fill(200, 1500);
    world.close();
    world.restart(true, 200, None);
    let mut find = |query, bound| {
        let read = world.log.find_time(query, Offset(bound), &mut world.out)?;
        world.disk.take(&mut world.out);
        world.settle();
        world.events.iter().find_map(|event| match event {
            LogEvent::ReadDone {
                read: other,
                result,
            } if *other == read => {
                let bytes = result.clone().expect("readable");
                Some(BatchHeader::decode(&bytes).map_or(-1, |header| header.base_offset.0))
            }
            _ => None,
        })
    };
    let at_least = |timestamp, from| TimeQuery::AtLeast {
        timestamp,
        from: Offset(from),
    };
    for base in [0, 2, 20, 100, 198] {
        assert_eq!(find(at_least(1_000_000 + base, 0), 200), Some(base));
    }
    assert_eq!(find(at_least(0, 0), 200), Some(0));
    assert_eq!(find(at_least(0, 77), 200), Some(76));
    assert_eq!(find(at_least(1_000_199, 0), 200), None);
    assert_eq!(find(at_least(1_000_150, 0), 100), Some(-1));
    assert_eq!(find(TimeQuery::Max, 200), Some(198));
}

#[test]
fn whole_batches_are_read_into_the_core() {
    let mut world = World::open(config());
    world.fill(20, 1000);
    let size = world.appended[0].1.len();
    let max = u32::try_from(size * 2 + 10).expect("small");
    let read = world
        .log
        .read(Offset(5), max, Offset(20), &mut world.out)
        .expect("there");
    world.disk.take(&mut world.out);
    world.settle();
    let expected = [&world.appended[2].1[..], &world.appended[3].1[..]].concat();
    let done = LogEvent::ReadDone {
        read,
        result: Ok(expected.into()),
    };
    assert!(world.events.contains(&done));
    assert_eq!(
        world.log.read(Offset(20), max, Offset(99), &mut world.out),
        None
    );
    let walk = world.log.walk(Offset(7), &mut world.out).expect("there");
    world.disk.take(&mut world.out);
    world.settle();
    let heads: usize = world
        .events
        .iter()
        .map(|event| match event {
            LogEvent::Walked { read, headers, .. } if *read == walk => headers.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(heads, 7);
}

#[test]
fn a_full_disk_refuses_until_there_is_space() {
    let mut world = World::open(config());
    world.fill(4, 100);
    world.disk.full = true;
    world.append(1, 100_000, 1).expect("not known yet");
    world.settle();
    assert_eq!(world.events.last(), Some(&LogEvent::SpaceLow));
    assert_eq!(world.append(1, 10, 1), Err(AppendRefused::NoSpace));
    world.tick(1000);
    world.settle();
    assert_eq!(world.written(), Some(4));
    world.check_reads();
    world.disk.full = false;
    world.tick(1000);
    world.settle();
    assert_eq!(world.written(), Some(5));
    assert!(world.events.contains(&LogEvent::SpaceOk));
    world.append(1, 10, 1).expect("accepted");
    world.settle();
    world.check_reads();
}

#[test]
fn a_roll_on_a_full_disk_waits_for_space() {
    let mut world = World::open(LogConfig {
        segment_bytes: 10_000,
        ..config()
    });
    world.append(1, 8000, 1).expect("accepted");
    world.settle();
    world.disk.full = true;
    world.append(1, 8000, 1).expect("not known yet");
    world.settle();
    assert_eq!(world.written(), Some(1));
    assert!(world.events.contains(&LogEvent::SpaceLow));
    world.disk.full = false;
    world.tick(1000);
    world.settle();
    world.tick(1000);
    world.settle();
    assert_eq!(world.written(), Some(2));
    assert!(world.events.contains(&LogEvent::Sealed { base: Offset(0) }));
    world.check_reads();
}

#[test]
fn a_failed_write_or_flush_is_the_end() {
    for what in ["WriteTail", "Reserve"] {
        let mut world = World::open(config());
        world.append(1, 100, 1).expect("accepted");
        if what == "WriteTail" {
            world.done("Reserve");
        }
        world.fails(what);
        assert!(matches!(world.events.last(), Some(LogEvent::Failed(error)) if error.is_disk()));
        assert_eq!(world.written(), None);
        assert_eq!(world.append(1, 100, 1), Err(AppendRefused::NotOpen));
        world.settle();
        assert_eq!(world.written(), None);
    }
}

#[test]
fn a_deleted_log_frees_its_name_and_goes_later() {
    let mut world = World::open(config());
    world.fill(10, 1000);
    world.append(1, 100, 1).expect("accepted");
    world.log.delete(world.now, &mut world.out);
    world.disk.take(&mut world.out);
    // What is under way goes by the old name: the name is not given away before.
    let renames = |world: &World| {
        let mut pending = world.disk.pending.iter();
        pending.any(|(_, op)| format!("{op:?}").starts_with("Rename"))
    };
    assert!(!world.disk.pending.is_empty() && !renames(&world));
    while !renames(&world) {
        let completion = world.disk.complete_any().expect("something is under way");
        world.step(completion);
    }
    assert_eq!(world.disk.pending.len(), 1);
    world.settle();
    assert_eq!(world.events.last(), Some(&LogEvent::Deleted));
    let names = world.disk.names();
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("t-0.0505") && name.contains("-delete/")),
        "{names:?}"
    );
    world.tick(99);
    assert!(world.disk.pending.is_empty());
    world.tick(1);
    world.settle();
    assert_eq!(world.events.last(), Some(&LogEvent::Removed));
    assert!(world.disk.names().is_empty());
}

#[test]
fn an_untouched_log_writes_nothing_when_it_closes() {
    let mut world = World::open(config());
    world.fill(10, 1000);
    world.close();
    world.restart(true, 10, None);
    trace(&mut world);
    world.close();
    assert_eq!(trace(&mut world), "Flush");
}

#[test]
fn a_fetch_at_offsets_that_are_nowhere_gets_the_batch_after_the_gap() {
    let mut world = World::open(LogConfig {
        segment_bytes: 16 << 10,
        ..config()
    });
    world.fill(200, 1000);
    world.close();
    let logs = world.disk.names();
    let mut logs = logs
        .iter()
        .filter(|name| name.rsplit_once('.').is_some_and(|(_, kind)| kind == "log"));
    let gone = logs.nth(1).expect("several segments").to_string();
    let next = logs.next().expect("several segments").to_string();
    world.disk.remove(&gone);
    world.restart(true, 200, None);
    let base = |path: &str| {
        path[DIR.len() + 1..][..20]
            .parse::<i64>()
            .expect("a number")
    };
    let after = world.fetch_at(base(&next));
    assert_eq!(&after[..8], base(&next).to_be_bytes());
    for offset in base(&gone)..base(&next) {
        assert_eq!(world.fetch_at(offset), after, "at {offset}");
    }
}

#[test]
fn a_search_by_time_goes_on_when_the_segment_it_waits_for_is_there() {
    let mut world = World::open(LogConfig {
        segment_bytes: 20_000,
        ..config()
    });
    world.fill(12, 3000);
    // The last of these rolls; the new segment's file is not there yet.
    world.append(2, 4000, 2_000_000).expect("accepted");
    world.append(2, 4000, 2_000_000).expect("accepted");
    let rolled = |event: &LogEvent| matches!(event, LogEvent::Rolled { .. });
    assert!(world.events.iter().any(rolled));
    let from = world.log.log_end().0 - 1;
    let query = TimeQuery::AtLeast {
        timestamp: 2_000_000,
        from: Offset(from),
    };
    let bound = world.log.log_end();
    let read = world.log.find_time(query, bound, &mut world.out);
    let read = read.expect("it waits for the file");
    world.disk.take(&mut world.out);
    world.settle();
    let answered = |event: &LogEvent| matches!(event, LogEvent::ReadDone { read: other, .. } if *other == read);
    assert!(world.events.iter().any(answered));
}
