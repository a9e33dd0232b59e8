//! A core's data ring: everything a core asks of the kernel without waiting for it.
//!
//! Invariants:
//! 1. What the kernel works on (memory, message headers, descriptors) is moved into the operation's slot and handed back with its
//!    completion; nobody can touch or free it in between. A ring dropped with operations in flight cancels them and waits;
//!    if the kernel will not let go, their memory is leaked rather than freed.
//! 2. A slot's number carries a generation: a completion that meets the slot's next operation is our own fault and found.
//! 3. Errors of an operation are its result, never the ring's. The ring itself fails only when it is made.
//!
//! SINGLE_ISSUER and DEFER_TASKRUN: completions are posted only when the owner enters the kernel for them, on its own
//! thread, so nothing here is concurrent.
#![expect(
    unsafe_code,
    reason = "submission entries carry raw pointers; the slots keep what they point to"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, FsyncFlags, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::lent::{Lent, Vectors};
use super::pool::Filling;

/// Submission entries; more are submitted in between.
const ENTRIES: u32 = 1024;
/// Completion entries; beyond it the kernel keeps them for us (NODROP).
const COMPLETIONS: u32 = 8192;
/// `user_data` of a message from another ring: it only wakes.
const WAKE: u64 = u64::MAX;
/// `user_data` of operations whose completion nobody waits for.
const IGNORED: u64 = u64::MAX - 1;
/// How long a dropped ring waits for cancelled operations.
const CANCEL_WAIT: Duration = Duration::from_secs(2);

/// A descriptor that an operation keeps open.
pub type Keep = Rc<dyn AsFd>;

/// What came back of an operation.
#[derive(Debug)]
pub struct Done<T> {
    /// As given with the operation.
    pub tag: T,
    /// Its result.
    pub result: io::Result<u32>,
    /// True if more completions of this operation follow (multishot).
    pub more: bool,
    /// What was lent to it; for a multishot operation empty until the last completion.
    pub lent: Lent,
}

struct Slot<T> {
    generation: u32,
    busy: Option<Busy<T>>,
}

struct Busy<T> {
    tag: T,
    lent: Lent,
    accepts: bool,
    #[expect(dead_code, reason = "held so that the descriptors stay open")]
    keep: [Option<Keep>; 2],
}

/// A ring of one thread. `T` says what an operation is about.
pub struct Ring<T> {
    uring: IoUring,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    in_flight: usize,
}

impl<T: Clone> Ring<T> {
    /// Sets a ring up for the calling thread, which alone may use it.
    ///
    /// Errors: a sentence that says what the kernel refuses and what to do.
    pub fn new() -> Result<Self, String> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_defer_taskrun()
            .setup_cqsize(COMPLETIONS)
            .build(ENTRIES)
            .map_err(|error| explain(&error))?;
        Ok(Self {
            uring,
            slots: Vec::new(),
            free: Vec::new(),
            in_flight: 0,
        })
    }

    /// The ring's descriptor, for messages from other rings.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Operations whose completion has not been seen.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bounds the kernel's worker threads of this ring, and where they run: on `cpus`, or anywhere if that is empty.
    pub fn bound_workers(&self, workers_max: u32, cpus: &[usize]) -> io::Result<()> {
        let mut workers = [workers_max, workers_max];
        self.uring
            .submitter()
            .register_iowq_max_workers(&mut workers)?;
        if cpus.is_empty() {
            return Ok(());
        }
        // SAFETY: a cpu_set_t is an array of integers, for which zero is a value (the empty set).
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        for cpu in cpus {
            if *cpu < libc::CPU_SETSIZE as usize {
                // SAFETY: `cpu` is below the set's size.
                unsafe { libc::CPU_SET(*cpu, &mut set) };
            }
        }
        self.uring.submitter().register_iowq_aff(&set)
    }

    /// Has the kernel keep this file open as long as the ring has work, also when the process was killed.
    pub fn hold(&self, file: impl AsFd) -> io::Result<()> {
        let fd = file.as_fd().as_raw_fd();
        self.uring.submitter().register_files(&[fd])
    }

    /// Accepts connections until it fails or is cancelled: one completion each.
    pub fn accept(&mut self, listener: Keep, tag: T) {
        let fd = Fd(listener.as_fd().as_raw_fd());
        let entry = opcode::AcceptMulti::new(fd)
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push(entry, tag, Lent::Nothing, [Some(listener), None], true);
    }

    /// Receives what is there, up to the spare room of `into`. 0 bytes: the peer sends no more.
    pub fn receive(&mut self, socket: Keep, mut into: Filling, tag: T) {
        let fd = Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Recv::new(fd, into.spare_start(), len_u32(into.spare())).build();
        self.push(entry, tag, Lent::Filling(into), [Some(socket), None], false);
    }

    /// Sends as much as the socket takes. `more`: another part of the same frame follows by another way.
    pub fn send(&mut self, socket: Keep, mut vectors: Box<Vectors>, more: bool, tag: T) {
        vectors.describe();
        let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
        let fd = Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::SendMsg::new(fd, vectors.header())
            .flags(flags.cast_unsigned())
            .build();
        self.push(
            entry,
            tag,
            Lent::Vectors(vectors),
            [Some(socket), None],
            false,
        );
    }

    /// Writes the vectors at `position`; with `durable` it completes when they are on stable storage (RWF_DSYNC).
    pub fn write(
        &mut self,
        file: Keep,
        position: u64,
        mut vectors: Box<Vectors>,
        durable: bool,
        tag: T,
    ) {
        vectors.describe();
        let fd = Fd(file.as_fd().as_raw_fd());
        let entry = opcode::Writev::new(
            fd,
            vectors.described().as_ptr(),
            len_u32(vectors.described().len()),
        )
        .offset(position)
        .rw_flags(if durable { libc::RWF_DSYNC } else { 0 })
        .build();
        self.push(
            entry,
            tag,
            Lent::Vectors(vectors),
            [Some(file), None],
            false,
        );
    }

    /// Reads up to `bytes` at `position` behind what is in `into`.
    ///
    /// Panics if they do not fit.
    pub fn read(&mut self, file: Keep, position: u64, mut into: Filling, bytes: usize, tag: T) {
        assert!(bytes <= into.spare(), "a read fits its memory");
        let fd = Fd(file.as_fd().as_raw_fd());
        let entry = opcode::Read::new(fd, into.spare_start(), len_u32(bytes))
            .offset(position)
            .build();
        self.push(entry, tag, Lent::Filling(into), [Some(file), None], false);
    }

    /// Allocates the range's blocks as zeros, the file's size included.
    pub fn allocate(&mut self, file: Keep, position: u64, bytes: u64, tag: T) {
        let fd = Fd(file.as_fd().as_raw_fd());
        let entry = opcode::Fallocate::new(fd, bytes)
            .offset(position)
            .mode(0)
            .build();
        self.push(entry, tag, Lent::Nothing, [Some(file), None], false);
    }

    /// Flushes the file's data and size to stable storage.
    pub fn flush(&mut self, file: Keep, tag: T) {
        let fd = Fd(file.as_fd().as_raw_fd());
        let entry = opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build();
        self.push(entry, tag, Lent::Nothing, [Some(file), None], false);
    }

    /// Moves pages of a file into a pipe on one of the kernel's worker threads.
    pub fn splice(&mut self, file: Keep, position: u64, pipe: Keep, bytes: u32, tag: T) {
        let from = Fd(file.as_fd().as_raw_fd());
        let to = Fd(pipe.as_fd().as_raw_fd());
        let entry = opcode::Splice::new(from, position.cast_signed(), to, -1, bytes).build();
        self.push(entry, tag, Lent::Nothing, [Some(file), Some(pipe)], false);
    }

    /// Completes once the socket takes more bytes, or has failed.
    pub fn poll_writable(&mut self, socket: Keep, tag: T) {
        let fd = Fd(socket.as_fd().as_raw_fd());
        let events = libc::POLLOUT | libc::POLLERR | libc::POLLHUP;
        let entry = opcode::PollAdd::new(fd, u32::from(events.cast_unsigned())).build();
        self.push(entry, tag, Lent::Nothing, [Some(socket), None], false);
    }

    /// Completes when the event is signalled.
    pub fn read_event(&mut self, event: Keep, tag: T) {
        let fd = Fd(event.as_fd().as_raw_fd());
        let mut count = Box::new(0_u64);
        let entry = opcode::Read::new(fd, (&raw mut *count).cast(), 8).build();
        self.push(entry, tag, Lent::Count(count), [Some(event), None], false);
    }

    /// Wakes the thread that sleeps in another ring.
    pub fn wake(&mut self, ring: RawFd) {
        let entry = opcode::MsgRingData::new(Fd(ring), 0, WAKE, None)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(IGNORED);
        self.push_raw(&entry);
    }

    /// Hands the entries over, and has the kernel post the completions that wait for us to come and fetch them.
    pub fn submit(&mut self) {
        let queue = self.uring.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if !idle {
            check_enter(self.uring.submit());
        }
    }

    /// Hands the entries over and sleeps until there is a completion or the time is over.
    pub fn submit_and_wait(&mut self, at_most: Duration) {
        let time = Timespec::from(at_most);
        let args = SubmitArgs::new().timespec(&time);
        check_enter(self.uring.submitter().submit_with_args(1, &args));
    }

    /// True if completions can be drained without entering the kernel.
    pub fn has_completions(&mut self) -> bool {
        !self.uring.completion().is_empty()
    }

    /// Moves up to `count_max` completions to `out`; returns how many there were, wake-ups from other rings included.
    pub fn drain(&mut self, out: &mut Vec<Done<T>>, count_max: usize) -> usize {
        let mut seen = 0;
        while seen < count_max {
            let Some(entry) = self.uring.completion().next() else {
                break;
            };
            seen += 1;
            if let Some(done) = self.complete(&entry) {
                out.push(done);
            }
        }
        seen
    }

    fn complete(&mut self, entry: &cqueue::Entry) -> Option<Done<T>> {
        let name = entry.user_data();
        if name == WAKE || name == IGNORED {
            return None;
        }
        let index = u32::try_from(name & u64::from(u32::MAX)).ok()?;
        let slot = self.slots.get_mut(index as usize)?;
        assert!(
            u64::from(slot.generation) == name >> 32,
            "a completion belongs to the operation in its slot"
        );
        let more = cqueue::more(entry.flags());
        let result = u32::try_from(entry.result())
            .map_err(|_| io::Error::from_raw_os_error(-entry.result()));
        let (tag, mut lent, accepts) = if more {
            let busy = slot.busy.as_ref()?;
            (busy.tag.clone(), Lent::Nothing, busy.accepts)
        } else {
            let busy = slot.busy.take()?;
            slot.generation = slot.generation.wrapping_add(1) & (u32::MAX >> 1);
            self.free.push(index);
            self.in_flight -= 1;
            (busy.tag, busy.lent, busy.accepts)
        };
        if let Ok(count) = result {
            if accepts {
                // SAFETY: the kernel made this descriptor for us with this completion; nobody else knows it.
                lent = Lent::Accepted(unsafe { OwnedFd::from_raw_fd(count.cast_signed()) });
            } else if let Lent::Filling(filling) = &mut lent {
                filling.advance(count as usize);
            }
        }
        Some(Done {
            tag,
            result,
            more,
            lent,
        })
    }

    fn push(
        &mut self,
        entry: squeue::Entry,
        tag: T,
        lent: Lent,
        keep: [Option<Keep>; 2],
        accepts: bool,
    ) {
        let busy = Busy {
            tag,
            lent,
            accepts,
            keep,
        };
        let index = if let Some(index) = self.free.pop() {
            index
        } else {
            self.slots.push(Slot {
                generation: 0,
                busy: None,
            });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 operations")
        };
        let slot = &mut self.slots[index as usize];
        slot.busy = Some(busy);
        let name = u64::from(slot.generation) << 32 | u64::from(index);
        self.in_flight += 1;
        self.push_raw(&entry.user_data(name));
    }

    fn push_raw(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: every pointer and descriptor of the entry belongs to what its slot holds until the completion is seen
            // (invariant 1), or the entry has none.
            let pushed = unsafe { self.uring.submission().push(entry) };
            if pushed.is_ok() {
                return;
            }
            check_enter(self.uring.submit());
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let submitted = self.uring.submit().is_ok();
        let any = CancelBuilder::any();
        let cancelled = self
            .uring
            .submitter()
            .register_sync_cancel(Some(Timespec::from(CANCEL_WAIT)), any);
        // ENOENT: nothing was in flight any more. Otherwise count what comes back.
        let mut left = self.in_flight;
        let time = Timespec::from(CANCEL_WAIT);
        while left > 0 && submitted && cancelled.is_ok() {
            let args = SubmitArgs::new().timespec(&time);
            if self.uring.submitter().submit_with_args(1, &args).is_err()
                && self.uring.completion().is_empty()
            {
                break;
            }
            for entry in self.uring.completion() {
                let own = entry.user_data() != WAKE && entry.user_data() != IGNORED;
                left -= usize::from(own && !cqueue::more(entry.flags())).min(left);
            }
        }
        if left > 0 {
            // Better lost than overwritten by the kernel after it was given to somebody else.
            for slot in &mut self.slots {
                std::mem::forget(slot.busy.take());
            }
        }
    }
}

fn check_enter(result: io::Result<usize>) {
    if let Err(error) = result {
        let expected = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN];
        assert!(
            error.raw_os_error().is_some_and(|e| expected.contains(&e)),
            "io_uring_enter on our own ring: {error}"
        );
    }
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Says what the kernel refuses and how to change it.
fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS | libc::EACCES) => String::from(
            "io_uring is disabled on this machine: allow it with `sysctl -w kernel.io_uring_disabled=0` (in a container: \
             use a seccomp profile that permits io_uring_setup)",
        ),
        Some(libc::EINVAL) => String::from(
            "this kernel's io_uring is too old: Linux 6.1 or newer is needed (SINGLE_ISSUER and DEFER_TASKRUN)",
        ),
        Some(libc::ENOMEM) => String::from(
            "the limit of locked memory is too low for io_uring: raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity",
        ),
        Some(libc::EMFILE | libc::ENFILE) => String::from(
            "no descriptor is left for io_uring: raise the limit with `ulimit -n 100000` or LimitNOFILE=100000",
        ),
        _ => format!("io_uring cannot be set up: {error}"),
    }
}

/// Checks that a ring can be made at all; the sentence says why not and what to do.
pub fn probe() -> Result<(), String> {
    Ring::<()>::new().map(drop)
}
