//! A core with a toy machine over loopback: what clients see of the network, the files and the end.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use onrush_core::effect::{Close, DiskOk, DiskOp, DiskOut, Effect, Gather, Note, Part};
use onrush_core::input::{CoreMsg, Effects, Input};
use onrush_core::types::{
    ConnId, CoreId, FileId, Millis, Monotonic, Now, Offset, OwnerId, Position, Token, WorkId,
};

use super::*;
use crate::io::socket::SocketBuffers;

mod lend;

/// Longest that a test waits for anything: far beyond what a healthy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Core {
    address: SocketAddr,
    handle: CoreHandle,
    done: Receiver<(CoreId, Outcome)>,
    notes: Receiver<Note>,
    dir: tempfile::TempDir,
}

impl Core {
    fn start<M: Machine + 'static>(
        limits: NetLimits,
        machine: impl FnOnce() -> M + Send + 'static,
    ) -> Self {
        let mut mesh = crate::mesh::connect(1).expect("descriptors are there");
        Self::start_with(limits, mesh.pop().expect("one end"), machine)
    }

    fn start_with<M: Machine + 'static>(
        limits: NetLimits,
        mesh: MeshEnd,
        machine: impl FnOnce() -> M + Send + 'static,
    ) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, SocketBuffers::default()).expect("binds");
        let address = listener.local_addr();
        let (done_in, done) = channel();
        let (notes_in, notes) = channel();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let handle = run_core(CoreSpec {
            name: String::from("toy"),
            cpu: allowed_cpus().first().copied(),
            helper_cpus: allowed_cpus(),
            workers_max: 4,
            machine,
            mesh,
            listeners: vec![listener],
            dir: dir.path().to_owned(),
            lock: Some(DirLock::acquire(dir.path()).expect("free")),
            limits,
            clock: Clock::start(),
            notes: Box::new(move |note| drop(notes_in.send(note))),
            done: done_in,
        })
        .expect("a thread is there");
        handle.let_open();
        Self {
            address,
            handle,
            done,
            notes,
            dir,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        stream
    }

    fn wait_note(&self, wanted: &Note) {
        let until = Instant::now() + PATIENCE;
        while let Ok(note) = self
            .notes
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            if note == *wanted {
                return;
            }
        }
        panic!("the note {wanted:?} does not come");
    }

    fn end(self) -> Outcome {
        self.handle.stopper().stop();
        let (core, outcome) = self.done.recv_timeout(PATIENCE).expect("the core ends");
        assert_eq!(core, CoreId(0));
        self.handle.join().expect("the thread ends");
        outcome
    }
}

fn framed(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(body.len()).expect("small"));
    frame.put_slice(body);
    frame.freeze()
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).expect("a length");
    let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut body).expect("a body");
    body
}

/// Reads until the peer closes, in whichever way; returns how many bytes came.
fn read_to_close(stream: &mut TcpStream) -> usize {
    let mut buffer = vec![0; 65536];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return total,
            Ok(n) => total += n,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return total,
            Err(error) => panic!("neither bytes nor the end: {error}"),
        }
    }
}

/// Sends every frame back. A frame "again" is answered after going through `Again`, "bye" closes, "big" gets 64 MiB, "drop" nothing.
#[derive(Default)]
struct Echo {
    again: BTreeMap<u64, ConnId>,
    works: u64,
    open: usize,
    events: Option<Sender<String>>,
}

impl Echo {
    fn tell(&self, event: String) {
        if let Some(events) = &self.events {
            let _told = events.send(event).is_ok();
        }
    }

    fn on_frame(&mut self, conn: ConnId, frame: &Bytes, out: &mut Effects) {
        match &frame[..] {
            b"again" => {
                self.works += 1;
                self.again.insert(self.works, conn);
                out.push(Effect::Again {
                    work: WorkId(self.works),
                });
            }
            b"bye" => {
                out.push(Effect::Send {
                    conn,
                    gather: Gather::from_bytes(framed(b"farewell")),
                });
                let why = Close::Truncated("as asked");
                out.push(Effect::Close { conn, why });
            }
            b"drop" => out.push(Effect::ReadNext { conn }),
            b"big" => {
                let body = vec![7; 64 << 20];
                let gather = Gather::from_bytes(framed(&body));
                out.push(Effect::Send { conn, gather });
                out.push(Effect::ReadNext { conn });
            }
            body => {
                // Two parts, as a fetch response has.
                let frame_out = framed(body);
                let parts = vec![
                    Part::Head(frame_out.slice(..4)),
                    Part::Head(frame_out.slice(4..)),
                ];
                out.push(Effect::Send {
                    conn,
                    gather: Gather { parts },
                });
                out.push(Effect::ReadNext { conn });
            }
        }
    }
}

impl Machine for Echo {
    fn step(&mut self, _now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Start => out.push(Effect::Note(Note::Ready)),
            Input::Stop => out.push(Effect::Stopped),
            Input::Frame { conn, frame } => self.on_frame(conn, &frame, out),
            Input::Again { work } => {
                let conn = self.again.remove(&work.0).expect("asked for");
                let gather = Gather::from_bytes(framed(b"done"));
                out.push(Effect::Send { conn, gather });
                out.push(Effect::ReadNext { conn });
            }
            Input::Opened { .. } => {
                self.open += 1;
                self.tell(format!("open {}", self.open));
            }
            Input::Closed { .. } => {
                self.open -= 1;
                self.tell(format!("open {}", self.open));
            }
            Input::Sent { .. } => self.tell(String::from("sent")),
            Input::Disk { .. } | Input::Mesh { .. } | Input::Tick => {}
        }
    }
}

#[test]
fn frames_come_back_in_order() {
    let core = Core::start(NetLimits::default(), Echo::default);
    let mut stream = core.connect();
    let mut reader = stream.try_clone().expect("a second handle");
    let bodies: Vec<Vec<u8>> = (0..2000_usize)
        .map(|n| vec![u8::try_from(n % 251).expect("small"); 1 + n * 7 % 9000])
        .collect();
    let expected = bodies.clone();
    let receiver = std::thread::spawn(move || {
        for body in expected {
            assert!(read_frame(&mut reader) == body);
        }
    });
    for body in &bodies {
        stream.write_all(&framed(body)).expect("sent");
    }
    receiver.join().expect("all came back");
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn a_frame_in_pieces_and_a_large_one() {
    let core = Core::start(NetLimits::default(), Echo::default);
    let mut stream = core.connect();
    for byte in &framed(b"slowly") {
        stream.write_all(&[*byte]).expect("sent");
        stream.flush().expect("flushed");
    }
    assert_eq!(read_frame(&mut stream), b"slowly");
    let mut reader = stream.try_clone().expect("a second handle");
    for round in 0..3_u8 {
        let large = vec![round + 1; (20 << 20) + 17];
        let expected = large.clone();
        let mut from = reader.try_clone().expect("a third handle");
        let receiver = std::thread::spawn(move || assert!(read_frame(&mut from) == expected));
        stream.write_all(&framed(&large)).expect("sent");
        receiver.join().expect("it came back");
    }
    stream.write_all(&framed(b"again")).expect("sent");
    assert_eq!(read_frame(&mut reader), b"done");
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn bad_lengths_close_without_an_answer_and_others_live_on() {
    let core = Core::start(NetLimits::default(), Echo::default);
    let mut healthy = core.connect();
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let tls = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03];
    let cases: [&[u8]; 5] = [
        &(-1_i32).to_be_bytes(),
        &i32::MIN.to_be_bytes(),
        &i32::MAX.to_be_bytes(),
        http,
        &tls,
    ];
    for case in cases {
        let mut stream = core.connect();
        stream.write_all(case).expect("sent");
        assert_eq!(read_to_close(&mut stream), 0);
    }
    healthy.write_all(&framed(b"hello")).expect("sent");
    assert_eq!(read_frame(&mut healthy), b"hello");
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn what_was_handed_over_is_sent_before_a_close() {
    let core = Core::start(NetLimits::default(), Echo::default);
    let mut stream = core.connect();
    stream.write_all(&framed(b"bye")).expect("sent");
    assert_eq!(read_frame(&mut stream), b"farewell");
    assert_eq!(read_to_close(&mut stream), 0);
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn slow_and_silent_peers_are_closed() {
    let limits = NetLimits {
        frame_ms_max: Millis(300),
        idle_ms_max: Millis(1500),
        ..NetLimits::default()
    };
    let (events_in, events) = channel();
    let core = Core::start(limits, move || Echo {
        events: Some(events_in),
        ..Echo::default()
    });
    let begun = Instant::now();
    // One begins a frame and does not go on, one says nothing, one asks for much and does not read.
    let mut half = core.connect();
    half.write_all(&(50_u32 << 20).to_be_bytes()).expect("sent");
    half.write_all(&[1]).expect("sent");
    let mut silent = core.connect();
    let mut deaf = core.connect();
    deaf.write_all(&framed(b"big")).expect("sent");
    assert_eq!(read_to_close(&mut half), 0);
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "by its frame, not by idleness"
    );
    assert_eq!(read_to_close(&mut silent), 0);
    while events.recv_timeout(PATIENCE).expect("all are closed") != "open 0" {}
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert!(read_to_close(&mut deaf) < 64 << 20);
    assert_eq!(core.end(), Outcome::Stopped);
}

/// Lets a connection in only when another one knocks; the first is refused.
#[derive(Default)]
struct Porter {
    waiting: Vec<ConnId>,
}

impl Machine for Porter {
    fn step(&mut self, _now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Start => out.push(Effect::Note(Note::Ready)),
            Input::Stop => out.push(Effect::Stopped),
            Input::Opened { conn, .. } => {
                self.waiting.push(conn);
                if let [first, second, _] = self.waiting[..] {
                    let why = Close::TooManyConnections { open: 1 };
                    out.push(Effect::Close { conn: first, why });
                    out.push(Effect::ReadNext { conn: second });
                }
            }
            Input::Frame { conn, frame } => {
                assert_eq!(conn, self.waiting[1], "only that one was let in");
                let gather = Gather::from_bytes(framed(&frame));
                out.push(Effect::Send { conn, gather });
            }
            _ => {}
        }
    }
}

#[test]
fn who_is_not_let_in_is_not_read() {
    let limits = NetLimits {
        asks_admission: true,
        ..NetLimits::default()
    };
    let core = Core::start(limits, Porter::default);
    let mut first = core.connect();
    first.write_all(&framed(b"first")).expect("sent");
    let mut second = core.connect();
    second.write_all(&framed(b"second")).expect("sent");
    let _third = core.connect();
    assert_eq!(read_to_close(&mut first), 0);
    assert_eq!(read_frame(&mut second), b"second");
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn limits_of_connections_hold() {
    let limits = NetLimits {
        connections_max: 2,
        ..NetLimits::default()
    };
    let (events_in, events) = channel();
    let core = Core::start(limits, move || Echo {
        events: Some(events_in),
        ..Echo::default()
    });
    let first = core.connect();
    let mut second = core.connect();
    second.write_all(&framed(b"x")).expect("sent");
    assert_eq!(read_frame(&mut second), b"x");
    let mut third = core.connect();
    assert_eq!(read_to_close(&mut third), 0);
    drop(first);
    while events.recv_timeout(PATIENCE).expect("it is seen") != "open 1" {}
    let mut fourth = core.connect();
    fourth.write_all(&framed(b"y")).expect("sent");
    assert_eq!(read_frame(&mut fourth), b"y");
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn receive_memory_is_bounded_and_nobody_starves() {
    let limits = NetLimits {
        queued_bytes_max: 1 << 20,
        ..NetLimits::default()
    };
    let core = Core::start(limits, Echo::default);
    // All begin a large frame before any goes on: together far more than the budget.
    let mut streams: Vec<TcpStream> = (0..8).map(|_| core.connect()).collect();
    let body = vec![3; 3 << 20];
    let frame = framed(&body);
    for stream in &mut streams {
        stream.write_all(&frame[..100_000]).expect("sent");
    }
    let senders: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let frame = frame.clone();
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().expect("a second handle");
                let receiver = std::thread::spawn(move || read_frame(&mut reader));
                stream.write_all(&frame[100_000..]).expect("sent");
                assert!(receiver.join().expect("received") == frame[4..]);
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("all came through");
    }
    assert_eq!(core.end(), Outcome::Stopped);
}

const CONTENT_BYTES: u64 = 5 << 20;

fn content() -> Vec<u8> {
    (0..CONTENT_BYTES)
        .map(|n| u8::try_from(n * 13 % 251).expect("below 251"))
        .collect()
}

/// Writes one file, then answers a frame (kind, position, length) with that part of it, from memory or from the file.
struct Files {
    disk: DiskOut,
    file: FileId,
    open: Token,
}

impl Files {
    fn new() -> Self {
        let mut disk = DiskOut::new(OwnerId(1), 1);
        let file = disk.next_file();
        let open = disk.push(DiskOp::Open {
            path: "a.log".into(),
            file,
            create: true,
        });
        Self { disk, file, open }
    }

    fn on_frame(&self, conn: ConnId, frame: &[u8], out: &mut Effects) {
        let number = |at: usize| {
            let bytes = frame[at..].first_chunk().expect("a whole question");
            u32::from_be_bytes(*bytes)
        };
        let (file, position, len) = (self.file, Position(u64::from(number(1))), number(5));
        let part = match frame[0] {
            b't' => Part::Tail {
                file,
                position,
                len,
            },
            _ => Part::Extent {
                file,
                position,
                len,
            },
        };
        let prefix = Bytes::copy_from_slice(&(len + 8).to_be_bytes());
        let parts = vec![
            Part::Head(prefix),
            Part::Head(Bytes::from_static(b"head")),
            part,
            Part::Head(Bytes::from_static(b"foot")),
        ];
        out.push(Effect::Send {
            conn,
            gather: Gather { parts },
        });
        out.push(Effect::ReadNext { conn });
    }
}

impl Machine for Files {
    fn step(&mut self, _now: Now, input: Input, out: &mut Effects) {
        let file = self.file;
        match input {
            Input::Disk { token, result } if token == self.open => {
                assert_eq!(result, Ok(DiskOk::Opened { bytes: 0 }));
                self.disk.push(DiskOp::Append {
                    file,
                    position: Position(0),
                    parts: vec![content().into()],
                });
                self.disk.push(DiskOp::WriteTail {
                    file,
                    from: Position(0),
                    to: Position(CONTENT_BYTES),
                    durable: true,
                });
            }
            Input::Disk { result, .. } => {
                assert_eq!(result, Ok(DiskOk::Done));
                out.push(Effect::Note(Note::Ready));
            }
            Input::Frame { conn, frame } => self.on_frame(conn, &frame, out),
            Input::Stop => {
                self.disk.push(DiskOp::Close { file });
                out.push(Effect::Stopped);
            }
            Input::Start
            | Input::Opened { .. }
            | Input::Closed { .. }
            | Input::Sent { .. }
            | Input::Again { .. }
            | Input::Mesh { .. }
            | Input::Tick => {}
        }
        out.extend(
            self.disk
                .drain()
                .map(|(token, op)| Effect::Disk { op, token }),
        );
    }
}

#[test]
fn parts_of_files_are_sent_cold_hot_and_from_memory() {
    let core = Core::start(NetLimits::default(), Files::new);
    core.wait_note(&Note::Ready);
    let content = content();
    let mut stream = core.connect();
    let mut reader = stream.try_clone().expect("a second handle");
    let ranges = [
        (0, CONTENT_BYTES),
        (1, 1),
        (4095, 2),
        (4096, 4096),
        (1_234_567, 2_345_678),
        (CONTENT_BYTES - 1, 1),
    ];
    let questions: Vec<(u8, u64, u64)> = [b'e', b't', b'e']
        .into_iter()
        .flat_map(|kind| ranges.map(|(from, len)| (kind, from, len)))
        .collect();
    let asked = questions.clone();
    let receiver = std::thread::spawn(move || {
        for (kind, from, len) in asked {
            let answer = read_frame(&mut reader);
            let from = usize::try_from(from).expect("small");
            let end = from + usize::try_from(len).expect("small");
            assert!(answer.starts_with(b"head") && answer.ends_with(b"foot"));
            assert!(
                answer[4..answer.len() - 4] == content[from..end],
                "{kind} from {from} to {end}"
            );
        }
    });
    for (kind, from, len) in questions {
        let mut question = BytesMut::new();
        question.put_u8(kind);
        question.put_u32(u32::try_from(from).expect("small"));
        question.put_u32(u32::try_from(len).expect("small"));
        stream.write_all(&framed(&question)).expect("sent");
    }
    receiver.join().expect("all came");
    assert!(core.dir.path().join("a.log").exists());
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn more_slow_readers_than_pipes_get_all_of_it() {
    let core = Core::start(NetLimits::default(), Files::new);
    core.wait_note(&Note::Ready);
    let mut question = BytesMut::from(&b"e"[..]);
    question.put_u32(0);
    question.put_u32(u32::try_from(CONTENT_BYTES).expect("small"));
    let question = framed(&question);
    let mut streams: Vec<TcpStream> = (0..100).map(|_| core.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&question).expect("sent");
    }
    let content = content();
    for stream in &mut streams {
        let answer = read_frame(stream);
        assert!(answer[4..answer.len() - 4] == content[..]);
    }
    assert_eq!(core.end(), Outcome::Stopped);
}

/// Where the game ends.
const LAST: i64 = 40;

/// Plays a number back and forth with the other core; before every tenth answer it waits until the other sleeps.
struct Player {
    other: CoreId,
    begins: bool,
    next: i64,
}

impl Player {
    fn play(&self, offset: i64, out: &mut Effects) {
        out.push(Effect::Mesh {
            core: self.other,
            msg: CoreMsg::Applied {
                offset: Offset(offset),
            },
        });
    }
}

impl Machine for Player {
    fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Start if self.begins => self.play(0, out),
            Input::Mesh { msg, .. } => {
                let CoreMsg::Applied { offset } = msg else {
                    panic!("not of this game");
                };
                if offset.0 < LAST && offset.0 % 10 == 0 {
                    self.next = offset.0 + 1;
                    out.push(Effect::Wake {
                        at: now.mono.after(Millis(20)),
                    });
                    return;
                }
                if offset.0 <= LAST {
                    self.play(offset.0 + 1, out);
                }
                if offset.0 >= LAST {
                    out.push(Effect::Stopped);
                }
            }
            Input::Tick => self.play(self.next, out),
            _ => {}
        }
    }
}

#[test]
fn cores_wake_each_other_from_their_sleep() {
    let mut mesh = crate::mesh::connect(2).expect("descriptors are there");
    let second = mesh.pop().expect("two ends");
    let first = mesh.pop().expect("two ends");
    let player = |other, begins| {
        move || Player {
            other: CoreId(other),
            begins,
            next: 0,
        }
    };
    let a = Core::start_with(NetLimits::default(), first, player(1, false));
    let b = Core::start_with(NetLimits::default(), second, player(0, true));
    for core in [a, b] {
        let (_, outcome) = core.done.recv_timeout(PATIENCE).expect("the game ends");
        assert_eq!(outcome, Outcome::Stopped);
    }
}

/// Sends more messages per frame than a queue takes, and the frame back.
struct Flood {
    sent: i64,
}

/// Messages for each frame; more than a queue holds.
const FLOOD: i64 = 5000;

impl Machine for Flood {
    fn step(&mut self, _now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Start => out.push(Effect::Note(Note::Ready)),
            Input::Stop => out.push(Effect::Stopped),
            Input::Frame { conn, frame } => {
                for _ in 0..FLOOD {
                    let offset = Offset(self.sent);
                    out.push(Effect::Mesh {
                        core: CoreId(1),
                        msg: CoreMsg::Applied { offset },
                    });
                    self.sent += 1;
                }
                let gather = Gather::from_bytes(framed(&frame));
                out.push(Effect::Send { conn, gather });
                out.push(Effect::ReadNext { conn });
            }
            _ => {}
        }
    }
}

#[test]
fn a_full_queue_holds_frames_back_and_loses_nothing() {
    let mut mesh = crate::mesh::connect(2).expect("descriptors are there");
    let mut peer = mesh.pop().expect("two ends");
    let own = mesh.pop().expect("two ends");
    let core = Core::start_with(NetLimits::default(), own, || Flood { sent: 0 });
    let mut stream = core.connect();
    stream.write_all(&framed(b"one")).expect("sent");
    assert_eq!(read_frame(&mut stream), b"one");
    stream.write_all(&framed(b"two")).expect("sent");
    // The peer has taken nothing: the second frame may not come through, however long we wait.
    let patience = Some(Duration::from_millis(200));
    stream.set_read_timeout(patience).expect("is set");
    let early = stream.read(&mut [0]).expect_err("held back");
    assert_eq!(early.kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).expect("is set");
    let until = Instant::now() + PATIENCE;
    let mut next = 0;
    while next < 2 * FLOOD {
        assert!(Instant::now() < until, "{next} of {} came", 2 * FLOOD);
        peer.receive(usize::MAX, |_, msg| {
            let CoreMsg::Applied { offset, .. } = msg else {
                panic!("not what was sent: {msg:?}");
            };
            assert_eq!(offset, Offset(next));
            next += 1;
        });
        std::thread::yield_now();
    }
    assert_eq!(read_frame(&mut stream), b"two");
    assert_eq!(core.end(), Outcome::Stopped);
}

#[test]
fn a_timer_comes_in_time_and_once() {
    struct Clocked {
        due: Monotonic,
    }
    impl Machine for Clocked {
        fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
            match input {
                Input::Start => {
                    self.due = now.mono.after(Millis(50));
                    out.push(Effect::Wake { at: self.due });
                    let later = now.mono.after(Millis(500_000));
                    out.push(Effect::Wake { at: later });
                }
                Input::Tick => {
                    assert!(now.mono >= self.due);
                    out.push(Effect::Stopped);
                }
                _ => {}
            }
        }
    }
    let core = Core::start(NetLimits::default(), || Clocked { due: Monotonic(0) });
    let (_, outcome) = core.done.recv_timeout(PATIENCE).expect("the timer fires");
    assert_eq!(outcome, Outcome::Stopped);
}

/// Halts as soon as it starts.
struct Broken;

impl Machine for Broken {
    fn step(&mut self, _now: Now, _input: Input, out: &mut Effects) {
        out.push(Effect::Halt(String::from("no use")));
        out.push(Effect::Stopped);
    }
}

/// Panics as soon as it starts.
struct Faulty;

impl Machine for Faulty {
    fn step(&mut self, _now: Now, _input: Input, _out: &mut Effects) {
        panic!("a fault of ours");
    }
}

#[test]
fn the_first_end_is_reported() {
    let core = Core::start(NetLimits::default(), || Broken);
    let (_, outcome) = core.done.recv_timeout(PATIENCE).expect("the core ends");
    assert_eq!(outcome, Outcome::Halted(String::from("no use")));
}

#[test]
fn a_panic_is_reported() {
    let core = Core::start(NetLimits::default(), || Faulty);
    let (_, outcome) = core.done.recv_timeout(PATIENCE).expect("the core ends");
    assert!(matches!(outcome, Outcome::Halted(_)));
}
