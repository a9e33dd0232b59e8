//! The store on real file systems, driven by hand: what is in the files afterwards, and what is answered.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use onrush_core::effect::{DirEntry, DiskError, DiskOut};
use onrush_core::types::OwnerId;

use super::*;

/// Longest that a test waits for an operation.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store with what it needs, and the answers that came.
struct Bench {
    store: Option<Store>,
    ring: Ring<StoreOp>,
    pool: Pool,
    inbox: VecDeque<Input>,
    notes: Vec<Note>,
    out: DiskOut,
    answers: BTreeMap<u64, DiskResult>,
    sleeper: Arc<Sleeper>,
}

impl Bench {
    fn new(dir: &std::path::Path) -> Self {
        let sleeper = Arc::new(Sleeper::new().expect("descriptors are there"));
        let store = Store::start(
            "test-files",
            dir.to_owned(),
            Vec::new(),
            Arc::clone(&sleeper),
        );
        Self {
            store: Some(store.expect("a thread is there")),
            ring: Ring::new().expect("a ring is there"),
            pool: Pool::new(),
            inbox: VecDeque::new(),
            notes: Vec::new(),
            out: DiskOut::new(OwnerId(1), 1),
            answers: BTreeMap::new(),
            sleeper,
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Store, &mut Cx<'_, StoreOp>) -> R) -> R {
        let mut cx = Cx {
            ring: &mut self.ring,
            pool: &mut self.pool,
            inbox: &mut self.inbox,
            notes: &mut self.notes,
        };
        act(self.store.as_mut().expect("not closed"), &mut cx)
    }

    fn begin(&mut self, op: DiskOp) -> u64 {
        let token = self.out.push(op.clone());
        self.out.drain().for_each(drop);
        self.with(|store, cx| store.execute(token, op, cx));
        self.with(|store, _| store.flush());
        token.seq
    }

    fn turn(&mut self) {
        self.ring.submit_and_wait(Duration::from_millis(1));
        let mut done = Vec::new();
        self.ring.drain(&mut done, 1000);
        for done in done {
            self.with(|store, cx| store.on_done(done.tag, done, cx));
        }
        self.with(Store::poll);
        self.with(|store, _| store.flush());
        for input in self.inbox.drain(..) {
            match input {
                Input::Disk { token, result } => {
                    let before = self.answers.insert(token.seq, result);
                    assert!(before.is_none(), "each operation is answered once");
                }
                other => panic!("a store says nothing like {other:?}"),
            }
        }
    }

    fn wait(&mut self, seq: u64) -> DiskResult {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(result) = self.answers.remove(&seq) {
                return result;
            }
            self.turn();
        }
        panic!("operation {seq} is not answered");
    }

    fn run(&mut self, op: DiskOp) -> DiskResult {
        let seq = self.begin(op);
        self.wait(seq)
    }

    fn open(&mut self, path: &str) -> (FileId, u64) {
        let file = self.out.next_file();
        let opened = self.run(DiskOp::Open {
            path: path.into(),
            file,
            create: true,
        });
        match opened {
            Ok(DiskOk::Opened { bytes }) => (file, bytes),
            other => panic!("not opened: {other:?}"),
        }
    }

    fn append(&mut self, file: FileId, position: u64, bytes: Vec<u8>) {
        self.begin(DiskOp::Append {
            file,
            position: Position(position),
            parts: vec![bytes.into()],
        });
    }

    fn write(file: FileId, from: u64, to: u64) -> DiskOp {
        DiskOp::WriteTail {
            file,
            from: Position(from),
            to: Position(to),
            durable: true,
        }
    }

    /// The same without a flush: in two pieces where an old sector and new ones are written.
    fn write_only(file: FileId, from: u64, to: u64) -> DiskOp {
        let (from, to) = (Position(from), Position(to));
        DiskOp::WriteTail {
            file,
            from,
            to,
            durable: false,
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The helper must end before its wake-up does.
        drop(self.store.take());
        assert!(Arc::strong_count(&self.sleeper) >= 1);
    }
}

fn pattern(from: u64, to: u64) -> Vec<u8> {
    (from..to)
        .map(|n| u8::try_from(n * 7 % 253).expect("below 253"))
        .collect()
}

/// What an operation without a result answers.
const DONE: DiskResult = Ok(DiskOk::Done);

#[test]
fn what_is_appended_and_written_is_in_the_file() {
    for write in [Bench::write, Bench::write_only] {
        check_what_is_written(write);
    }
}

fn check_what_is_written(write: fn(FileId, u64, u64) -> DiskOp) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut bench = Bench::new(dir.path());
    assert_eq!(bench.run(DiskOp::MakeDir { path: "t-0".into() }), DONE);
    let (file, bytes) = bench.open("t-0/0.log");
    assert_eq!(bytes, 0);
    let reserve = DiskOp::Reserve {
        file,
        to: Position(4 << 20),
    };
    assert_eq!(bench.run(reserve), DONE);
    let mut end = 0;
    for len in [10, 4086, 1, 70_000, 3, 2_000_000, 4096, 123] {
        bench.append(file, end, pattern(end, end + len));
        let from = end - end % SECTOR_BYTES;
        end += len;
        assert_eq!(bench.run(write(file, from, end)), DONE);
        let release = DiskOp::ReleaseTail {
            file,
            below: Position(end - end % SECTOR_BYTES),
        };
        bench.begin(release);
    }
    let content = fs::read(dir.path().join("t-0/0.log")).expect("read");
    assert_eq!(content.len(), 4 << 20);
    let end_index = usize::try_from(end).expect("small");
    assert!(content[..end_index] == pattern(0, end));
    assert!(content[end_index..].iter().all(|b| *b == 0));
    for (position, len) in [
        (0, 100),
        (4095, 2),
        (1_000_000, 1_100_000),
        (4_194_300, 100),
    ] {
        let read = DiskOp::Read {
            file,
            position: Position(position),
            len,
        };
        let from = usize::try_from(position).expect("small");
        let to = (from + len as usize).min(content.len());
        let Ok(DiskOk::Bytes(bytes)) = bench.run(read) else {
            panic!("not read");
        };
        assert!(bytes[..] == content[from..to], "at {position}");
    }
    let cut = DiskOp::Truncate {
        file,
        to: Position(end),
    };
    assert_eq!(bench.run(cut), DONE);
    assert_eq!(
        fs::metadata(dir.path().join("t-0/0.log"))
            .expect("there")
            .len(),
        end
    );
    // After a truncation the tail begins anew, with the open sector's content.
    let sector = end - end % SECTOR_BYTES;
    bench.append(file, sector, pattern(sector, end + 50));
    assert_eq!(bench.run(write(file, sector, end + 50)), DONE);
    let content = fs::read(dir.path().join("t-0/0.log")).expect("read");
    assert!(content[..end_index + 50] == pattern(0, end + 50));
}

#[test]
fn appends_go_on_while_the_open_sector_is_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut bench = Bench::new(dir.path());
    let (file, _) = bench.open("a.log");
    bench.append(file, 0, pattern(0, 5000));
    let write = bench.begin(Bench::write(file, 0, 5000));
    bench.append(file, 5000, vec![0xee; 3000]);
    assert_eq!(bench.wait(write), DONE);
    let content = fs::read(dir.path().join("a.log")).expect("read");
    assert!(content[..5000] == pattern(0, 5000));
    assert!(
        content[5000..].iter().all(|b| *b == 0),
        "later bytes are not in this write"
    );
    assert_eq!(content.len(), 8192);
    assert_eq!(bench.run(Bench::write(file, 4096, 8000)), DONE);
    let content = fs::read(dir.path().join("a.log")).expect("read");
    assert!(content[5000..8000] == [0xee; 3000]);
}

#[test]
fn many_writes_in_flight_with_more_parts_than_one_call_takes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut bench = Bench::new(dir.path());
    let mut files = Vec::new();
    for n in 0..6 {
        files.push(bench.open(&format!("{n}.log")).0);
    }
    // 6 MiB in one write: more than one direct write moves on some kernels, so short writes are met as well.
    let bytes = 6 << 20;
    let expected = pattern(0, bytes);
    let mut writes = Vec::new();
    for file in &files {
        bench.append(*file, 0, expected.clone());
        writes.push(bench.begin(Bench::write(*file, 0, bytes)));
    }
    for write in writes {
        assert_eq!(bench.wait(write), DONE);
    }
    for n in 0..6 {
        let content = fs::read(dir.path().join(format!("{n}.log"))).expect("read");
        assert!(content == expected, "file {n}");
    }
}

#[test]
fn a_file_closed_at_once_is_written_first_and_its_descriptors_go() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut bench = Bench::new(dir.path());
    let (file, _) = bench.open("a.log");
    bench.append(file, 0, pattern(0, 100_000));
    let write = bench.begin(Bench::write(file, 0, 100_000));
    let source = bench.with(|store, _| store.splice_source(file));
    let slices = bench.with(|store, _| store.tail_slices(file, Position(5), 90_000));
    bench.begin(DiskOp::Close { file });
    assert_eq!(bench.wait(write), DONE);
    assert!(
        slices.concat() == pattern(5, 90_005),
        "a response keeps what it holds"
    );
    let raw = source.as_fd().as_raw_fd();
    let link = format!("/proc/self/fd/{raw}");
    assert!(fs::read_link(&link).expect("still open").ends_with("a.log"));
    drop(source);
    let until = Instant::now() + PATIENCE;
    while fs::read_link(&link).is_ok_and(|l| l.starts_with(dir.path())) {
        assert!(Instant::now() < until, "the descriptor is not closed");
        bench.turn();
    }
    let content = fs::read(dir.path().join("a.log")).expect("read");
    assert!(content[..100_000] == pattern(0, 100_000));
}

#[test]
fn names_and_small_files() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut bench = Bench::new(dir.path());
    let list = |bench: &mut Bench, path: &str| bench.run(DiskOp::List { path: path.into() });
    assert_eq!(list(&mut bench, ""), Ok(DiskOk::Names(Vec::new())));
    assert_eq!(list(&mut bench, "nowhere"), Ok(DiskOk::Missing));
    assert_eq!(bench.run(DiskOp::MakeDir { path: "d".into() }), DONE);
    assert_eq!(bench.run(DiskOp::MakeDir { path: "d".into() }), DONE);
    let write = |path: &str, bytes: &'static [u8]| DiskOp::WriteFile {
        path: path.into(),
        bytes: Bytes::from_static(bytes),
    };
    assert_eq!(bench.run(write("d/f", b"one")), DONE);
    assert_eq!(bench.run(write("d/f", b"two")), DONE);
    let read = |path: &str, bytes_max| DiskOp::ReadFile {
        path: path.into(),
        bytes_max,
    };
    let two = Ok(DiskOk::Bytes(Bytes::from_static(b"two")));
    assert_eq!(bench.run(read("d/f", 3)), two);
    assert!(matches!(bench.run(read("d/f", 2)), Err(DiskError::Io(_))));
    assert_eq!(bench.run(read("d/g", 2)), Ok(DiskOk::Missing));
    let rename = DiskOp::Rename {
        from: "d".into(),
        to: "e".into(),
    };
    assert_eq!(bench.run(rename), DONE);
    let entry = |name: &str, is_dir, bytes| DirEntry {
        name: name.to_owned(),
        is_dir,
        bytes,
    };
    assert_eq!(
        list(&mut bench, ""),
        Ok(DiskOk::Names(vec![entry("e", true, 0)]))
    );
    assert_eq!(
        list(&mut bench, "e"),
        Ok(DiskOk::Names(vec![entry("f", false, 3)]))
    );
    assert_eq!(bench.run(DiskOp::Remove { path: "e".into() }), DONE);
    assert_eq!(bench.run(DiskOp::Remove { path: "e".into() }), DONE);
    assert_eq!(list(&mut bench, ""), Ok(DiskOk::Names(Vec::new())));
    let file = bench.out.next_file();
    let open = DiskOp::Open {
        path: "absent.log".into(),
        file,
        create: false,
    };
    assert_eq!(bench.run(open), Ok(DiskOk::Missing));
}

#[test]
fn a_failed_write_is_answered_once_and_not_tried_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // A device that takes nothing, and has no direct I/O.
    std::os::unix::fs::symlink("/dev/full", dir.path().join("a.log")).expect("linked");
    let mut bench = Bench::new(dir.path());
    let (file, _) = bench.open("a.log");
    assert!(
        matches!(&bench.notes[..], [Note::Warn(text)] if text.contains("direct I/O")),
        "{:?}",
        bench.notes
    );
    bench.append(file, 0, pattern(0, 10_000));
    let result = bench.run(Bench::write(file, 0, 10_000));
    assert!(matches!(&result, Err(DiskError::NoSpace(_))), "{result:?}");
    // In two pieces, both of which fail.
    bench.append(file, 10_000, pattern(10_000, 20_000));
    let result = bench.run(Bench::write_only(file, 8192, 20_000));
    assert!(matches!(&result, Err(DiskError::NoSpace(_))), "{result:?}");
    for _ in 0..20 {
        bench.turn();
    }
    assert!(bench.answers.is_empty());
    assert_eq!(bench.ring.in_flight(), 0);
}

#[test]
fn a_full_disk_says_so_and_goes_on() {
    // More than any disk has: tmpfs says that there is no space, other file systems that no file is so large.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.expect("a temporary directory");
    let mut bench = Bench::new(dir.path());
    let (file, _) = bench.open("a.log");
    let reserve = |to| DiskOp::Reserve {
        file,
        to: Position(to),
    };
    let result = bench.run(reserve(1 << 50));
    assert!(
        matches!(&result, Err(DiskError::NoSpace(_) | DiskError::Io(_))),
        "{result:?}"
    );
    assert_eq!(bench.run(reserve(65536)), DONE);
    bench.append(file, 0, pattern(0, 65536));
    assert_eq!(bench.run(Bench::write(file, 0, 65536)), DONE);
    assert_eq!(bench.run(DiskOp::Flush { file }), DONE);
    let mut content = vec![0; 65536];
    let written = fs::File::open(dir.path().join("a.log")).expect("there");
    written.read_exact_at(&mut content, 0).expect("read");
    assert!(content == pattern(0, 65536));
}
