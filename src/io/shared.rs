//! What several cores may hold of one core's files: their descriptors, and marks that say how far something has come.
//!
//! Invariants:
//! 1. Closing never blocks a core: the last close of a removed file frees its blocks, which may take long. A descriptor that is
//!    let go on a core's thread is kept in that thread's graveyard, whichever core opened it, until the core hands it to
//!    its helper; on any other thread it is closed at once.
//! 2. A [`Mark`] has one writer; readers on other cores may see it late, never torn.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// `None`: this is no core's thread.
    static GRAVEYARD: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
}

/// From now on descriptors let go on this thread wait for [`take_buried`].
pub fn keep_graveyard() {
    GRAVEYARD.with_borrow_mut(|graves| {
        graves.get_or_insert_default();
    });
}

/// The descriptors let go on this thread since the last call.
#[must_use]
pub fn take_buried() -> Vec<OwnedFd> {
    GRAVEYARD.with_borrow_mut(|graves| graves.as_mut().map(std::mem::take).unwrap_or_default())
}

/// A descriptor that is closed by a helper when the last holder lets go of it.
#[derive(Clone, Debug)]
pub struct SharedFd(Arc<Buried>);

impl SharedFd {
    /// Takes it over.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(Buried { fd: Some(fd) }))
    }
}

impl AsFd for SharedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.0.fd.as_ref();
        fd.expect("a descriptor is there until it is dropped")
            .as_fd()
    }
}

/// Buries its descriptor when dropped.
#[derive(Debug)]
struct Buried {
    fd: Option<OwnedFd>,
}

impl Drop for Buried {
    fn drop(&mut self) {
        let mut fd = self.fd.take();
        // A thread that is ending has no graveyard any more: there the drop of `fd` closes it.
        let buried = GRAVEYARD.try_with(|graves| {
            if let Some(graves) = graves.borrow_mut().as_mut() {
                graves.extend(fd.take());
            }
        });
        drop((buried, fd));
    }
}

/// A number that one core moves and others read.
#[derive(Clone, Debug, Default)]
pub struct Mark(Arc<AtomicU64>);

impl Mark {
    /// At this number.
    #[must_use]
    pub fn new(at: u64) -> Self {
        Self(Arc::new(AtomicU64::new(at)))
    }

    /// Where it is. What its writer did before moving it there has happened for whoever reads this.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Moves it.
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::thread;

    fn open() -> SharedFd {
        let file = std::fs::File::open("/dev/null").expect("opens");
        SharedFd::new(file.into())
    }

    #[test]
    fn the_last_holder_buries_what_it_lets_go() {
        let fd = open();
        let raw = fd.as_fd().as_raw_fd();
        let other = fd.clone();
        thread::spawn(move || {
            keep_graveyard();
            drop(other);
            assert!(take_buried().is_empty(), "the owner still has it");
        })
        .join()
        .expect("it ends");
        let buried = thread::spawn(move || {
            keep_graveyard();
            drop(fd);
            take_buried()
        });
        let buried = buried.join().expect("it ends");
        assert_eq!(buried[0].as_raw_fd(), raw);
    }

    #[test]
    fn a_thread_without_a_graveyard_closes() {
        let fd = open();
        thread::spawn(move || {
            drop(fd);
            assert!(take_buried().is_empty());
        })
        .join()
        .expect("it ends");
    }
}
