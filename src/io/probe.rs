//! What a flush costs on a disk, for the start screen.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::file::{open_direct, write_durable};
use super::pool::{BLOCK_BYTES_MIN, Pool, Purpose};

/// Writes measured; the first is dropped, since it may allocate.
const WRITES: u64 = 9;

/// The cost of making 4 KiB durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushCost {
    /// Median time of a 4 KiB write with RWF_DSYNC.
    pub median: Duration,
    /// The slowest of them.
    pub worst: Duration,
    /// False if the file system has no direct I/O.
    pub direct: bool,
}

/// Measures in `dir`, in a file that is removed again. Blocks the calling thread: for boot only.
///
/// Errors: the directory takes no file.
pub fn measure_flush(dir: &Path) -> io::Result<FlushCost> {
    let path = dir.join(".onrush-flush-probe");
    let result = measure(&path);
    fs::remove_file(&path)?;
    result
}

fn measure(path: &Path) -> io::Result<FlushCost> {
    let mut pool = Pool::new();
    let mut block = pool.take(BLOCK_BYTES_MIN, Purpose::Disk)?;
    block.append(&[1]);
    block.pad_to(BLOCK_BYTES_MIN);
    let bytes = block.bytes(0, BLOCK_BYTES_MIN);
    let (file, direct) = open_direct(path, true)?;
    // 1 ns to a minute, three digits: far more than a flush takes.
    let mut times =
        Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?;
    for index in 0..WRITES {
        let begun = Instant::now();
        // The same sector again and again, as a quiet partition does.
        write_durable(&file, 0, &bytes)?;
        if index > 0 {
            times.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    Ok(FlushCost {
        median: Duration::from_nanos(times.value_at_quantile(0.5)),
        worst: Duration::from_nanos(times.max()),
        direct,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_costs_something_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let cost = measure_flush(dir.path()).expect("measured");
        assert!(cost.median > Duration::ZERO);
        assert!(cost.worst >= cost.median);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    }
}
