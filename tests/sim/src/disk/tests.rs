use super::*;
use onrush_core::effect::RelPath;
use onrush_core::types::Position;

const FILE: FileId = FileId(1);

fn path(text: &str) -> RelPath {
    text.into()
}

fn run(disk: &mut Disk, op: DiskOp) -> DiskResult {
    let number = disk.submit(0, op, Token::default()).expect("it waits");
    disk.complete(number).2
}

fn open_log(disk: &mut Disk) {
    run(disk, DiskOp::MakeDir { path: path("t-0") }).unwrap();
    let open = DiskOp::Open {
        path: path("t-0/0.log"),
        file: FILE,
        create: true,
    };
    assert_eq!(run(disk, open), Ok(DiskOk::Opened { bytes: 0 }));
}

fn append(disk: &mut Disk, position: u64, fill: u8, len: usize) {
    let op = DiskOp::Append {
        file: FILE,
        position: Position(position),
        parts: vec![Bytes::from(vec![fill; len])],
    };
    assert_eq!(disk.submit(0, op, Token::default()), None);
}

fn write(from: u64, to: u64, durable: bool) -> DiskOp {
    DiskOp::WriteTail {
        file: FILE,
        from: Position(from),
        to: Position(to),
        durable,
    }
}

fn content(disk: &Disk) -> Bytes {
    disk.files()
        .into_iter()
        .find(|(name, _)| name == "t-0/0.log")
        .map(|(_, bytes)| bytes)
        .unwrap_or_default()
}

#[test]
fn a_kill_keeps_completed_writes_and_a_power_cut_loses_some() {
    let mut lost = 0;
    for seed in 0..60 {
        for crash in [Crash::Kill, Crash::Power] {
            let mut disk = Disk::new(Rng::new(seed));
            open_log(&mut disk);
            append(&mut disk, 0, 7, 5000);
            run(&mut disk, write(0, 5000, false)).unwrap();
            disk.crash(crash);
            let kept: usize = content(&disk).iter().map(|&b| usize::from(b == 7)).sum();
            match crash {
                Crash::Kill => assert_eq!(kept, 5000),
                Crash::Power => lost += u32::from(kept < 5000),
            }
        }
    }
    assert!(lost > 10);
}

#[test]
fn a_durable_write_is_there_after_a_power_cut() {
    for seed in 0..60 {
        let mut disk = Disk::new(Rng::new(seed));
        open_log(&mut disk);
        append(&mut disk, 0, 7, 5000);
        run(&mut disk, write(0, 5000, true)).unwrap();
        disk.crash(Crash::Power);
        assert_eq!(&content(&disk)[..5000], &[7; 5000], "seed {seed}");
    }
}

#[test]
fn a_write_in_flight_tears_by_sectors() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut disk = Disk::new(Rng::new(seed));
        open_log(&mut disk);
        append(&mut disk, 0, 7, 8192);
        disk.submit(0, write(0, 8192, true), Token::default());
        disk.crash(Crash::Kill);
        let bytes = content(&disk);
        let at = |index: usize| bytes.get(index).is_some_and(|&byte| byte == 7);
        seen.insert((at(0), at(4096)));
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let mut disk = Disk::new(Rng::new(seed));
        let put = |bytes: &'static [u8]| DiskOp::WriteFile {
            path: path("state"),
            bytes: Bytes::from_static(bytes),
        };
        run(&mut disk, put(b"old")).unwrap();
        disk.submit(0, put(b"new"), Token::default());
        disk.crash(Crash::Power);
        let read = DiskOp::ReadFile {
            path: path("state"),
            bytes_max: 10,
        };
        match run(&mut disk, read) {
            Ok(DiskOk::Bytes(bytes)) => seen.insert(bytes),
            other => panic!("seed {seed}: {other:?}"),
        };
    }
    let all: Vec<Bytes> = seen.into_iter().collect();
    assert_eq!(all, [&b"new"[..], &b"old"[..]]);
}

#[test]
fn a_full_disk_refuses_what_allocates_and_nothing_else() {
    let mut disk = Disk::new(Rng::new(3));
    open_log(&mut disk);
    let reserve = |to| DiskOp::Reserve {
        file: FILE,
        to: Position(to),
    };
    run(&mut disk, reserve(8192)).unwrap();
    disk.faults.full = true;
    assert!(matches!(
        run(&mut disk, reserve(16384)),
        Err(DiskError::NoSpace(_))
    ));
    append(&mut disk, 0, 1, 100);
    run(&mut disk, write(0, 100, true)).unwrap();
    disk.faults.full = false;
    run(&mut disk, reserve(16384)).unwrap();
    assert_eq!(content(&disk).len(), 16384);
}

#[test]
fn an_extent_is_read_when_it_is_sent_and_outlives_its_name() {
    let mut disk = Disk::new(Rng::new(3));
    open_log(&mut disk);
    append(&mut disk, 0, 1, 5000);
    run(&mut disk, write(0, 5000, true)).unwrap();
    let held = disk.hold(
        0,
        &Part::Extent {
            file: FILE,
            position: Position(10),
            len: 4000,
        },
    );
    disk.submit(0, DiskOp::Close { file: FILE }, Token::default());
    run(&mut disk, DiskOp::Remove { path: path("t-0") }).unwrap();
    assert!(disk.files().is_empty());
    assert_eq!(disk.bytes_of(&held), vec![1; 4000]);
}
