//! A disk with power, faults and time: what the kernel's requests meet, and what a test turns.
//!
//! Invariants: 1. Once the power is cut every request fails with EIO until it is back, whatever it asks. 2. A cut falls between two
//! requests or into a write, which then counts as unflushed. 3. Requests are served one after the other, so a flush covers every
//! write that was answered before it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::sectors::{Loss, Sectors};

/// What goes wrong while the power is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Writes fail with this error number.
    pub write_error: Option<i32>,
    /// Flushes fail with this error number; what they were to make safe stays unflushed.
    pub flush_error: Option<i32>,
    /// Each write takes this long.
    pub write_delay: Duration,
    /// Each flush takes this long.
    pub flush_delay: Duration,
}

/// Requests since the disk was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Writes, zeroing included.
    pub writes: u64,
    /// Flushes.
    pub flushes: u64,
}

impl Counts {
    /// Both.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.writes + self.flushes
    }
}

#[derive(Debug)]
struct State {
    sectors: Sectors,
    seed: u64,
    cuts: u64,
    /// `None` while the power is on, then what the cut did.
    loss: Option<Loss>,
    /// The power is cut when so many more writes and flushes were begun.
    cut_in: Option<u64>,
    faults: Faults,
    counts: Counts,
}

/// A handle of the disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// Whether a request is one that changes the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Flush,
}

impl Disk {
    /// A disk of zeros with the power on. `seed` decides what its cuts leave.
    #[must_use]
    pub fn new(bytes: u64, sector_bytes: usize, seed: u64) -> Self {
        Self::of(Sectors::new(bytes, sector_bytes), seed)
    }

    fn of(sectors: Sectors, seed: u64) -> Self {
        let state = State {
            sectors,
            seed,
            cuts: 0,
            loss: None,
            cut_in: None,
            faults: Faults::default(),
            counts: Counts::default(),
        };
        Self {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    /// Another disk with the same content, everything flushed.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let mut sectors = self.state().sectors.clone();
        sectors.flush();
        Self::of(sectors, seed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held the lock has failed the test already.
        self.shared
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state().sectors.bytes()
    }

    /// What tears as a whole.
    #[must_use]
    pub fn sector_bytes(&self) -> usize {
        self.state().sectors.sector_bytes()
    }

    /// Requests so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Sectors with unflushed writes.
    #[must_use]
    pub fn unflushed(&self) -> u64 {
        self.state().sectors.unflushed()
    }

    /// From now on these.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Cuts the power, if it is on.
    pub fn cut(&self) {
        let mut state = self.state();
        state.cut();
        self.shared.1.notify_all();
    }

    /// What the cut did, while the power is off.
    #[must_use]
    pub fn last_loss(&self) -> Option<Loss> {
        self.state().loss
    }

    /// Cuts the power when so many more writes and flushes were begun: 0 with the next one.
    pub fn cut_after(&self, requests: u64) {
        self.state().cut_in = Some(requests);
    }

    /// True from the cut to the return of the power.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state().loss.is_some()
    }

    /// Waits until the power is cut, so long at most. Returns whether it is.
    #[must_use]
    pub fn wait_for_cut(&self, patience: Duration) -> bool {
        let waits = |state: &mut State| state.loss.is_none();
        let waited = self
            .shared
            .1
            .wait_timeout_while(self.state(), patience, waits);
        waited.is_ok_and(|(state, _)| state.loss.is_some())
    }

    /// The power is back, faults are gone.
    pub fn power_on(&self) {
        let mut state = self.state();
        state.loss = None;
        state.cut_in = None;
        state.faults = Faults::default();
    }

    pub(crate) fn read(&self, position: u64, len: u64) -> io::Result<Vec<u8>> {
        let state = self.begin(Kind::Read, || ())?;
        let end = state.sectors.bytes();
        let position = position.min(end);
        let len = len.min(end - position);
        Ok(state.sectors.read(position, len))
    }

    pub(crate) fn write(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|sectors| sectors.write(position, bytes))
    }

    pub(crate) fn zero(&self, position: u64, len: u64) -> io::Result<()> {
        self.change(|sectors| sectors.zero(position, len))
    }

    fn change(&self, change: impl FnOnce(&mut Sectors)) -> io::Result<()> {
        let delay = self.state().faults.write_delay;
        let mut state = self.begin(Kind::Write, || std::thread::sleep(delay))?;
        if let Some(number) = state.faults.write_error {
            return Err(io::Error::from_raw_os_error(number));
        }
        change(&mut state.sectors);
        self.end(state)
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        let delay = self.state().faults.flush_delay;
        let mut state = self.begin(Kind::Flush, || std::thread::sleep(delay))?;
        if let Some(number) = state.faults.flush_error {
            return Err(io::Error::from_raw_os_error(number));
        }
        if state.cut_in != Some(0) {
            state.sectors.flush();
        }
        self.end(state)
    }

    /// What every request meets first.
    fn begin(&self, kind: Kind, delay: impl FnOnce()) -> io::Result<MutexGuard<'_, State>> {
        delay();
        let mut state = self.state();
        if state.loss.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        match kind {
            Kind::Read => {}
            Kind::Write => state.counts.writes += 1,
            Kind::Flush => state.counts.flushes += 1,
        }
        Ok(state)
    }

    /// Counts down to a planned cut: the request that meets it is not answered well.
    fn end(&self, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        match state.cut_in {
            None => Ok(()),
            Some(0) => {
                state.cut();
                self.shared.1.notify_all();
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            Some(left) => {
                state.cut_in = Some(left - 1);
                Ok(())
            }
        }
    }
}

impl State {
    fn cut(&mut self) {
        if self.loss.is_some() {
            return;
        }
        let loss = self.sectors.cut(self.seed, self.cuts);
        self.cuts += 1;
        self.cut_in = None;
        self.loss = Some(loss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_power_nothing_is_answered() {
        let disk = Disk::new(1 << 20, 4096, 1);
        disk.write(0, &[1; 4096]).unwrap();
        disk.flush().unwrap();
        assert!(!disk.is_cut());
        disk.cut();
        assert!(disk.wait_for_cut(Duration::ZERO));
        assert!(disk.read(0, 1).is_err() && disk.write(0, &[2]).is_err());
        assert!(disk.flush().is_err() && disk.zero(0, 4096).is_err());
        disk.power_on();
        assert_eq!(disk.read(0, 1).unwrap(), [1]);
    }

    #[test]
    fn a_planned_cut_falls_into_its_request() {
        for flushed_first in [0, 1, 2] {
            let disk = Disk::new(1 << 20, 4096, 5);
            disk.cut_after(flushed_first * 2 + 1);
            for at in 0..flushed_first {
                disk.write(at * 4096, &[1; 4096]).unwrap();
                disk.flush().unwrap();
            }
            disk.write(8 * 4096, &[1; 4096]).unwrap();
            disk.flush().unwrap_err();
            assert!(disk.is_cut());
            disk.power_on();
            for at in 0..flushed_first {
                assert_eq!(disk.read(at * 4096, 1).unwrap(), [1]);
            }
        }
    }

    #[test]
    fn faults_are_as_told_and_end_with_the_power() {
        let disk = Disk::new(1 << 20, 4096, 1);
        disk.set_faults(Faults {
            write_error: Some(libc::ENOSPC),
            flush_error: Some(libc::EIO),
            ..Faults::default()
        });
        let number = |result: io::Result<()>| result.unwrap_err().raw_os_error();
        assert_eq!(number(disk.write(0, &[1])), Some(libc::ENOSPC));
        assert_eq!(number(disk.flush()), Some(libc::EIO));
        assert_eq!(disk.read(0, 1).unwrap(), [0]);
        disk.power_on();
        disk.write(0, &[1]).unwrap();
        disk.flush().unwrap();
    }

    #[test]
    fn the_end_of_the_disk_is_the_end_of_a_read() {
        let disk = Disk::new(8192, 4096, 1);
        assert_eq!(disk.read(4096, 10_000).unwrap().len(), 4096);
        assert_eq!(disk.read(10_000, 10).unwrap().len(), 0);
    }
}
