//! The loop of one core: a machine of the core crate, its ring, connections, files and queues.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use onrush_core::effect::Note;
use onrush_core::input::{Effects, Input};
use onrush_core::types::{CoreId, Now};

use crate::io::clock::Clock;
use crate::io::socket::Listener;
use crate::mesh::{MeshEnd, Sleeper};
use crate::net::NetLimits;

/// What the loop steps: a shard or ctl. Synchronous and bounded; all it wants done is left in `out`.
pub trait Machine {
    /// One input.
    fn step(&mut self, now: Now, input: Input, out: &mut Effects);
}

/// Where events for people go: called on the core's thread, must neither block nor lock (push into a bounded queue and
/// count what does not fit).
pub type NoteSink = Box<dyn FnMut(Note) + Send>;

/// Everything a core needs to run. `F` makes the machine, on the core's own thread.
pub struct CoreSpec<F> {
    /// The thread's name, at most 15 bytes.
    pub name: String,
    /// The CPU to be pinned to (a number from the process's allowed set), or none.
    pub cpu: Option<usize>,
    /// Makes the machine; runs on the new thread.
    pub machine: F,
    /// This core's ends of the queues ([`crate::mesh::connect`]); also says which core it is.
    pub mesh: MeshEnd,
    /// Bound sockets; their order gives the `ListenerId`s. Accepted from once the machine emits `Note::Ready`.
    pub listeners: Vec<Listener>,
    /// The log directory, locked by the caller.
    pub dir: PathBuf,
    /// Bounds of connections.
    pub limits: NetLimits,
    /// The process's clock.
    pub clock: Clock,
    /// Takes the machine's notes and the edge's own.
    pub notes: NoteSink,
    /// Gets exactly one message, when the core has ended.
    pub done: mpsc::Sender<(CoreId, Outcome)>,
}

/// How a core ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Orderly: everything flushed and marked.
    Stopped,
    /// Must end the process with this sentence and a non-zero code.
    Halted(String),
}

/// A running core.
#[derive(Debug)]
pub struct CoreHandle {
    thread: thread::JoinHandle<()>,
    stop: Stopper,
}

/// Asks a core to stop; may be cloned and sent anywhere.
#[derive(Clone, Debug)]
pub struct Stopper {
    wanted: Arc<AtomicBool>,
    sleeper: Arc<Sleeper>,
}

impl Stopper {
    /// Gives the machine `Input::Stop` (once, however often it is called).
    pub fn stop(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.sleeper.wake().event().signal();
    }
}

impl CoreHandle {
    /// Asks the core to stop.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Waits for the thread to end. Its outcome went through `CoreSpec::done`.
    ///
    /// Errors: the thread panicked (in a build that unwinds).
    pub fn join(self) -> thread::Result<()> {
        self.thread.join()
    }
}

/// Starts a core on a thread of its own. The machine's first input is `Input::Start`.
///
/// Errors: the thread could not be made. A ring that the kernel refuses is an `Outcome::Halted` with the reason and its fix.
pub fn run_core<M, F>(spec: CoreSpec<F>) -> std::io::Result<CoreHandle>
where
    M: Machine + 'static,
    F: FnOnce() -> M + Send + 'static,
{
    let stop = Stopper {
        wanted: Arc::new(AtomicBool::new(false)),
        sleeper: Arc::clone(spec.mesh.own()),
    };
    let thread = thread::Builder::new()
        .name(spec.name.clone())
        .spawn(move || {
            let core = spec.mesh.core();
            let outcome = Outcome::Halted(String::from("the loop has not landed yet"));
            drop((spec.machine)());
            if spec.done.send((core, outcome)).is_err() {}
        })?;
    Ok(CoreHandle { thread, stop })
}
