//! The loop of one core: a machine of the core crate, its ring, connections, files and queues.
//!
//! A round: completions → inputs → steps, each step's effects executed at once and in order → messages and submissions leave. With
//! nothing to do the core sleeps in its ring until a completion, a call from another thread or its next deadline.
//!
//! Invariants:
//! 1. One step per input, in the order things happened; immediate effects are done before the next is looked at.
//! 2. `Again` work is handed back only after everything else that was ready has been stepped.
//! 3. Before it sleeps the core sets its flag and then looks once more at everything that others fill: no wake-up is lost.
//! 4. No lock, no blocking call: names and small files are the helper's, lines for people go through the note sink.
//!
//! glommio 0.9 gives the pinned thread and nothing else: the loop is the executor's only task and never gives it a turn. Its park has a race
//! (`run_task_queues` reports that nothing ran when preemption is pending at its first check, and the executor parks although a
//! task is runnable): an idle core that slept in the executor, woken by the ring's eventfd, was seen to sleep for ever. Timers
//! of the executor do not help, since the one that fires may be lost in the same way. Sleeping in the ring is also the
//! cheaper way to wake (10 instead of 29 µs). Background tasks on these executors need that race fixed first.

mod fault;
mod pump;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use glommio::{LocalExecutorBuilder, Placement};
use onrush_core::ctl::Ctl;
use onrush_core::effect::Note;
use onrush_core::input::{Effects, Input};
use onrush_core::shard::Shard;
use onrush_core::types::{CoreId, Now};

use crate::io::clock::Clock;
use crate::io::lock::DirLock;
use crate::io::socket::Listener;
use crate::io::wake::Sleeper;
use crate::mesh::MeshEnd;
use crate::net::NetLimits;

/// Nobody uses the executor's own I/O: the least that glommio takes, which it registers three times.
const EXECUTOR_MEMORY_BYTES: usize = 64 << 10;
/// Entries of each of the executor's three rings, for the same reason.
const EXECUTOR_RING_ENTRIES: usize = 8;

/// What the loop steps: a shard or ctl. Synchronous and bounded; all it wants done is left in `out`.
pub trait Machine {
    /// One input.
    fn step(&mut self, now: Now, input: Input, out: &mut Effects);
}

impl Machine for Shard {
    fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        Self::step(self, now, input, out);
    }
}

impl Machine for Ctl {
    fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        Self::step(self, now, input, out);
    }
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
    /// CPUs for its helper thread and the kernel's workers; anywhere if empty.
    pub helper_cpus: Vec<usize>,
    /// Workers that the kernel may have for this core, of each of its two kinds.
    pub workers_max: u32,
    /// Bound sockets; their order gives the `ListenerId`s. Accepted from once the machine has emitted `Note::Ready` and
    /// [`CoreHandle::let_open`] was called.
    pub listeners: Vec<Listener>,
    /// The log directory, locked by the caller.
    pub dir: PathBuf,
    /// Its lock (a clone): writes still in flight after a kill keep it, so that no successor meets them.
    pub lock: Option<DirLock>,
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
    sleeper: Arc<Sleeper>,
}

impl Stopper {
    /// Gives the machine `Input::Stop` (once, however often it is called).
    pub fn stop(&self) {
        self.sleeper.ask_to_stop();
    }
}

impl CoreHandle {
    /// Asks the core to stop.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Lets it accept connections once it is ready itself: a broker does so when all its cores are ready.
    pub fn let_open(&self) {
        self.stop.sleeper.let_open();
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
        sleeper: Arc::clone(spec.mesh.own()),
    };
    let thread = thread::Builder::new()
        .name(spec.name.clone())
        .spawn(move || {
            let core = spec.mesh.core();
            let done = spec.done.clone();
            let outcome = catch_unwind(AssertUnwindSafe(|| run(spec))).unwrap_or_else(|_| {
                Outcome::Halted(String::from("a core of the broker panicked (see above)"))
            });
            // Nobody listens any more: then the process is ending already.
            let _told = done.send((core, outcome)).is_ok();
        })?;
    Ok(CoreHandle { thread, stop })
}

/// The CPUs this process may run on, in ascending order; empty if the kernel does not say.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    let mut cpus = affinity::get_thread_affinity().unwrap_or_default();
    cpus.sort_unstable();
    cpus
}

fn run<M, F>(spec: CoreSpec<F>) -> Outcome
where
    M: Machine + 'static,
    F: FnOnce() -> M + Send + 'static,
{
    let placement = spec.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .name(&spec.name)
        .io_memory(EXECUTOR_MEMORY_BYTES)
        .ring_depth(EXECUTOR_RING_ENTRIES)
        .make();
    let executor = match executor {
        Ok(executor) => executor,
        Err(error) => {
            let why = crate::io::ring::probe().err().unwrap_or_else(|| {
                format!(
                    "the executor of {} cannot be made: {error}; raise the limit of locked memory (`ulimit -l unlimited`)",
                    spec.name
                )
            });
            return Outcome::Halted(why);
        }
    };
    executor.run(async move {
        match pump::Pump::new(spec) {
            Ok(pump) => pump.run(),
            Err(why) => Outcome::Halted(why),
        }
    })
}
