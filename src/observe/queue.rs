//! Log lines from every thread to the one that writes them.
//!
//! Each thread that logs has a ring of its own (single producer, single consumer), made at its first line; the service
//! thread looks at all rings a few times a second. Nobody wakes it: a wake-up would be a system call of a shard.
//!
//! Invariants: 1. A producer never blocks: a full ring drops the line and counts it. 2. Memory is bounded: [`RING_LINES`] lines of at
//! most [`LINE_BYTES_MAX`] per thread. 3. Lines of one thread stay in order.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

/// Lines that one thread may have queued.
const RING_LINES: usize = 1024;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// How long the service thread rests when there is nothing to write.
const REST: Duration = Duration::from_millis(25);

type Line = Box<[u8]>;

thread_local! {
    /// This thread's ring, and which service reads it.
    static RING: RefCell<Option<(u64, Producer<Line>)>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Shared {
    /// Tells services of one process apart: tests run several.
    id: u64,
    dropped: AtomicU64,
    stop: AtomicBool,
}

/// The end that threads log into. Each write is one line.
#[derive(Clone, Debug)]
pub struct LineQueue {
    shared: Arc<Shared>,
    rings: mpsc::Sender<Consumer<Line>>,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Service {
    queue: LineQueue,
    thread: thread::JoinHandle<()>,
    ended: mpsc::Receiver<()>,
}

impl Service {
    /// Starts it; all lines go to `sink`.
    pub fn start(sink: Box<dyn Write + Send>) -> io::Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let shared = Arc::new(Shared {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            dropped: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let (rings, new_rings) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            new_rings,
            rings: Vec::new(),
            reported: 0,
            sink,
        };
        let thread = thread::Builder::new()
            .name("service".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody waits any more when the patience of `finish` ran out first.
                end.send(()).unwrap_or_default();
            })?;
        let queue = LineQueue { shared, rings };
        Ok(Self {
            queue,
            thread,
            ended,
        })
    }

    /// Where to log to.
    #[must_use]
    pub fn queue(&self) -> LineQueue {
        self.queue.clone()
    }

    /// Lines dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.shared.dropped.load(Ordering::Relaxed)
    }

    /// Lets the thread write what is queued and end; waits for that, but not longer than `patience`.
    pub fn finish(self, patience: Duration) {
        self.queue.shared.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.ended.recv_timeout(patience).is_ok() {
            // It only returns after its last message.
            self.thread.join().unwrap_or_default();
        }
    }
}

impl Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let kept = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        RING.with_borrow_mut(|ring| {
            let producer = match ring {
                Some((id, producer)) if *id == self.shared.id => producer,
                other => {
                    let (producer, consumer) = RingBuffer::new(RING_LINES);
                    // Without a service thread the ring fills and lines are dropped: nothing better is left to do.
                    self.rings.send(consumer).unwrap_or_default();
                    &mut other.insert((self.shared.id, producer)).1
                }
            };
            if producer.push(Box::from(kept)).is_err() {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer {
    shared: Arc<Shared>,
    new_rings: mpsc::Receiver<Consumer<Line>>,
    rings: Vec<Consumer<Line>>,
    reported: u64,
    sink: Box<dyn Write + Send>,
}

impl Writer {
    fn run(mut self) {
        loop {
            // Read before the rings: what was logged before the stop is then seen below.
            let stopping = self.shared.stop.load(Ordering::Acquire);
            self.rings.extend(self.new_rings.try_iter());
            let wrote = self.write_round();
            self.rings
                .retain(|ring| !(ring.is_abandoned() && ring.is_empty()));
            if !wrote {
                if stopping {
                    return;
                }
                thread::park_timeout(REST);
            }
        }
    }

    /// Writes what is in the rings now; true if there was anything. A sink that fails is a sink that nobody reads: the
    /// lines are gone and the broker lives on.
    fn write_round(&mut self) -> bool {
        let mut wrote = false;
        for ring in &mut self.rings {
            // Bounded, so that a thread that logs without end does not starve the others.
            for _ in 0..RING_LINES {
                let Ok(line) = ring.pop() else { break };
                self.sink.write_all(&line).unwrap_or_default();
                wrote = true;
            }
        }
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > self.reported {
            self.reported = dropped;
            let told = format!(
                "{dropped} log lines were dropped since the start: the log is read too slowly\n"
            );
            self.sink.write_all(told.as_bytes()).unwrap_or_default();
            wrote = true;
        }
        self.sink.flush().unwrap_or_default();
        wrote
    }
}
