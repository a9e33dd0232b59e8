//! What a process with so many shards takes of memory, descriptors and threads, in one place, and each shard's share.
//!
//! With S shards there are S + 1 cores (ctl is one). At most, in bytes:
//!
//! ```text
//! PROCESS + (S + 1) * CORE + mesh(S + 1) + S * (receive + unwritten + 2 * hot + DISK)
//! ```
//!
//! `mesh` is [`mesh::queue_bytes`]; `receive`, `unwritten` and `hot` are the shares of one shard: requests being received, records
//! appended and not written yet, and written records kept for readers of the tail (twice: once for those that still read
//! what was let go). They are as large as they may be ([`FULL`]) or what half of the available memory allows; the other half
//! is the kernel's, whose page cache serves older records. What grows with partitions, groups and producers is not in here.
//!
//! Descriptors: `FILES + (S + 1) * FILES_PER_CORE + S * (listeners + 2 * pipes)`, a quarter of the limit for logs, the rest
//! for connections. Threads: three per core (its own, the executor's for blocking calls, its helper for files), a few for
//! the process, and the kernel's workers, which come and go.
//!
//! Locked memory, for a process without CAP_IPC_LOCK: `LOCKED + (S + 1) * LOCKED_PER_CORE`. Linux counts the memory of
//! rings against the limit from 6.14 on, and what the executors register always.
//!
//! Invariant: what a process may use in all is never more than its limits; a start that would need more is refused, with what to
//! change.

use onrush_core::types::limits::{HOT_TAIL_BYTES_MAX, SHARDS_MAX, UNWRITTEN_BYTES_MAX};

use super::BootError;
use super::cgroup::Machine;
use crate::mesh;

const MIB: u64 = 1 << 20;
/// Code, allocator, log queue, metadata of a small cluster.
const PROCESS: u64 = 24 * MIB;
/// A core's rings (0.2 MiB), the executor's (0.1 MiB), stacks of three threads, its buffers.
const CORE: u64 = MIB;
/// Reads from files and private copies of sectors, per shard.
const DISK: u64 = 8 * MIB;

/// The parts of a shard's memory that have a bound of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shares {
    /// Requests being received or looked at.
    pub(super) receive: u64,
    /// Appended, not yet written.
    pub(super) unwritten: u64,
    /// Written, kept for readers of the tail.
    pub(super) hot: u64,
}

/// What a shard gets where memory is plenty.
const FULL: Shares = Shares {
    receive: 256 * MIB,
    unwritten: UNWRITTEN_BYTES_MAX,
    hot: HOT_TAIL_BYTES_MAX,
};
/// With less a shard is of no use.
const LEAST: Shares = Shares {
    receive: 8 * MIB,
    unwritten: 8 * MIB,
    hot: 4 * MIB,
};

impl Shares {
    const fn bytes(self) -> u64 {
        self.receive + self.unwritten + 2 * self.hot + DISK
    }

    /// So many thousandths of everything, at least [`LEAST`].
    fn scaled(thousandths: u64) -> Self {
        let part = |full: u64, least: u64| (full * thousandths / 1000).clamp(least, full);
        Self {
            receive: part(FULL.receive, LEAST.receive),
            unwritten: part(FULL.unwritten, LEAST.unwritten),
            hot: part(FULL.hot, LEAST.hot),
        }
    }
}

/// Descriptors of the process itself, and a few in reserve.
const FILES: u64 = 64;
/// Of a core: its ring and the executor's three, events, its helper's, the directory's lock.
const FILES_PER_CORE: u64 = 14;
/// Locked bytes of the process itself: the ring that was made to try.
const LOCKED: u64 = 256 << 10;
/// Of a core: its ring (200 KiB), the executor's three (24 KiB) and what it registers with them (192 KiB).
const LOCKED_PER_CORE: u64 = 448 << 10;
/// Threads of the process itself.
const THREADS: u64 = 6;
/// Of a core: its own, the executor's, its helper.
const THREADS_PER_CORE: u64 = 3;
/// Connections that must be possible for each shard.
const CONNECTIONS_MIN: u64 = 16;

/// What each shard may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Budget {
    /// Memory.
    pub(super) shares: Shares,
    /// Of the whole process at most, without connections and partitions.
    pub(super) memory_bytes: u64,
    /// Connections of the whole process.
    pub(super) connections: u64,
    /// Pipes that may wait with pages in them, per shard; a quarter of them is kept when empty.
    pub(super) pipes: u64,
    /// Workers of the kernel per core and kind.
    pub(super) workers: u32,
}

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From control groups and the kernel.
    pub(super) machine: Machine,
    /// The limit of open files.
    pub(super) open_files: u64,
    /// The limit of locked memory; `None` where it does not hold for this process.
    pub(super) locked_bytes: Option<u64>,
    /// Listeners of each shard.
    pub(super) listeners: u64,
}

impl Budget {
    /// For so many shards.
    ///
    /// Errors: memory, open files or threads do not suffice; the sentence says what to change.
    pub(super) fn plan(shards: usize, limits: &Limits) -> Result<Self, BootError> {
        let (count, cores) = (shards as u64, shards as u64 + 1);
        let threads = THREADS + cores * THREADS_PER_CORE;
        if let Some(most) = limits.machine.threads.filter(|most| *most < threads) {
            return Err(BootError::Limit(format!(
                "{shards} shards need {threads} threads and the control group allows {most} (pids.max): raise it, or set onrush.shards to a \
                 smaller number"
            )));
        }
        let locked = LOCKED + cores * LOCKED_PER_CORE;
        if let Some(most) = limits.locked_bytes.filter(|most| *most < locked) {
            return Err(BootError::Limit(format!(
                "{shards} shards lock {} KiB of memory for io_uring and only {} are allowed: raise it with `ulimit -l unlimited` or \
                 LimitMEMLOCK=infinity, or set onrush.shards to a smaller number",
                locked / 1024,
                most / 1024
            )));
        }
        let pipes = (limits.open_files / 32 / count).clamp(4, 64);
        let fixed =
            FILES + cores * FILES_PER_CORE + count * (limits.listeners + 2 * (pipes + pipes / 4));
        let connections = (limits.open_files - limits.open_files / 4).saturating_sub(fixed);
        if connections < count * CONNECTIONS_MIN {
            return Err(BootError::Limit(format!(
                "only {} files may be open and {shards} shards need {}: raise it with `ulimit -n 100000` or LimitNOFILE=100000, or set \
                 onrush.shards to a smaller number",
                limits.open_files,
                (fixed + count * CONNECTIONS_MIN) * 4 / 3 + 1
            )));
        }
        let available = limits.machine.memory_bytes.unwrap_or(u64::MAX) / 2;
        let each = largest(count, available).ok_or_else(|| {
            let possible = (1..shards).rev().find(|n| largest(*n as u64, available).is_some());
            let advice = possible.map_or_else(
                || "give the process more memory".to_owned(),
                |n| format!("set onrush.shards={n}, or give the process more memory"),
            );
            BootError::Limit(format!(
                "{shards} shards need {} MiB of memory and {} MiB are available, of which half is for the kernel's page cache: {advice}",
                2 * bytes(count, LEAST).div_ceil(MIB),
                2 * available / MIB
            ))
        })?;
        Ok(Self {
            shares: each,
            memory_bytes: bytes(count, each),
            connections,
            pipes,
            workers: u32::try_from(64 / count).unwrap_or(2).clamp(2, 16),
        })
    }

    /// For people.
    pub(super) fn text(&self, machine: &Machine) -> String {
        let most = self.memory_bytes / MIB;
        match machine.memory_bytes {
            Some(bytes) => format!(
                "at most {most} MiB of {} MiB for records under way",
                bytes / MIB
            ),
            None => format!("at most {most} MiB for records under way"),
        }
    }
}

/// The formula of the module's head.
fn bytes(shards: u64, each: Shares) -> u64 {
    let cores = shards + 1;
    let queues = mesh::queue_bytes(usize::try_from(cores).unwrap_or(SHARDS_MAX)) as u64;
    PROCESS + cores * CORE + queues + shards * each.bytes()
}

/// The largest shares that fit.
fn largest(shards: u64, available: u64) -> Option<Shares> {
    let fits = |each: &Shares| bytes(shards, *each) <= available;
    (0..=1000).rev().step_by(10).map(Shares::scaled).find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory_mib: u64, open_files: u64) -> Limits {
        Limits {
            machine: Machine {
                memory_bytes: Some(memory_mib * MIB),
                ..Machine::default()
            },
            open_files,
            locked_bytes: None,
            listeners: 1,
        }
    }

    #[test]
    fn the_table_of_the_operators_page() {
        // Shards; MiB at most; MiB at least (twice that must be available); both without the queues between cores.
        let table = [
            (1, 546, 58),
            (2, 1067, 91),
            (8, 4193, 289),
            (32, 16_697, 1081),
            (128, 66_713, 4249),
        ];
        for (shards, most, least) in table {
            let plenty = Budget::plan(shards, &limits(1 << 20, 1 << 20)).expect("fits");
            assert_eq!(plenty.shares, FULL);
            let queues = mesh::queue_bytes(shards + 1) as u64;
            assert!(queues <= 128 * MIB, "{queues} bytes of queues");
            let least_bytes = bytes(shards as u64, LEAST);
            assert_eq!(
                (plenty.memory_bytes - queues) / MIB,
                most,
                "{shards} shards"
            );
            assert_eq!((least_bytes - queues) / MIB, least, "{shards} shards");
        }
    }

    #[test]
    fn scarce_memory_is_shared_or_refused_with_what_fits() {
        for shards in [1, 2, 8, 32, 128] {
            let mut before = 0;
            for mib in [512, 2048, 16_384, 131_072, 1 << 20] {
                match Budget::plan(shards, &limits(mib, 100_000)) {
                    Ok(budget) => {
                        assert!(budget.memory_bytes <= mib * MIB / 2);
                        assert!(budget.shares.bytes() >= before);
                        before = budget.shares.bytes();
                    }
                    Err(error) => {
                        assert_eq!(before, 0, "more memory is never worse");
                        let text = error.to_string();
                        let fitting = text.split("onrush.shards=").nth(1).expect("advice");
                        let fitting = fitting.split(',').next().expect("a number");
                        let fitting: usize = fitting.parse().expect("a number");
                        assert!(Budget::plan(fitting, &limits(mib, 100_000)).is_ok());
                        assert!(Budget::plan(fitting + 1, &limits(mib, 100_000)).is_err());
                    }
                }
            }
        }
        let error = Budget::plan(1, &limits(64, 1000)).expect_err("too little");
        assert!(error.to_string().contains("more memory"), "{error}");
    }

    #[test]
    fn descriptors_suffice_or_are_asked_for() {
        for (shards, open_files) in [(1, 256), (2, 1024), (8, 4096), (32, 20_000), (128, 20_000)] {
            let budget = Budget::plan(shards, &limits(1 << 20, open_files)).expect("fits");
            let pipes = 2 * (budget.pipes + budget.pipes / 4);
            let used = budget.connections + shards as u64 * pipes;
            assert!(used < open_files * 3 / 4, "a quarter is left for logs");
        }
        for (shards, open_files) in [(8, 256), (128, 4096)] {
            let error = Budget::plan(shards, &limits(1 << 20, open_files)).expect_err("too few");
            let text = error.to_string();
            let needed = text.split("shards need ").nth(1).expect("a number");
            let needed: u64 = needed.split(':').next().expect("one").parse().expect("one");
            assert!(
                Budget::plan(shards, &limits(1 << 20, needed + 200)).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn locked_memory_is_counted() {
        let mut few = limits(1 << 20, 100_000);
        // What systemd allows by default.
        few.locked_bytes = Some(8 << 20);
        assert!(Budget::plan(16, &few).is_ok());
        let error = Budget::plan(32, &few).expect_err("too little");
        assert!(error.to_string().contains("LimitMEMLOCK"), "{error}");
    }

    #[test]
    fn threads_are_counted() {
        let mut few = limits(1 << 20, 100_000);
        few.machine.threads = Some(100);
        assert!(Budget::plan(8, &few).is_ok());
        let error = Budget::plan(64, &few).expect_err("too few");
        assert!(error.to_string().contains("pids.max"), "{error}");
    }
}
