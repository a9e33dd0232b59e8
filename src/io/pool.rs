//! Aligned memory of a shard: size classes in mapped regions, behind [`Bytes`] that may leave the core.
//!
//! Invariants:
//! 1. A block's address is a multiple of 4096, so that it can be read and written past the page cache.
//! 2. Of a block only the part below `filled` is ever shared, and that part never changes while anybody sees it: one
//!    [`Filling`] writes above the mark, any number of [`Bytes`] read below it.
//! 3. Regions are reused, not returned, while the pool lives; a block dropped on any core goes home by a lock-free stack
//!    that only the pool empties, so freeing is one compare-and-swap and the pool itself stays single-threaded.
//! 4. Memory that was mapped but never touched costs nothing: classes are carved off their region one block at a time.
//!
//! Deliberately absent: a bound. Who takes memory for bytes from outside asks [`Pool::in_use`] and waits.
#![expect(
    unsafe_code,
    reason = "mapped memory shared between one writer and many readers"
)]

use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use bytes::Bytes;

/// The smallest class.
pub const BLOCK_BYTES_MIN: usize = 4096;
/// The largest class; what is larger is mapped by itself and unmapped when dropped.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;
/// Classes grow by this power of two.
const CLASS_SHIFT: usize = 2;
/// 4 KiB, 16 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB.
const CLASSES: usize = 6;
/// What is mapped at once.
const REGION_BYTES: usize = 16 << 20;
/// Size and alignment of the kernel's huge pages on x86-64 and (with pages of 4 KiB) on ARM64.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Classes from this size on lie in huge pages: what is written and received in bulk is found, pinned and described to the disk in
/// one piece instead of 4 KiB at a time. The small classes are for what there are many of and little in: an idle connection must not
/// cost 2 MiB.
const HUGE_CLASS_BYTES: usize = 64 * 1024;

const _: () = assert!(class_bytes(CLASSES - 1) == BLOCK_BYTES_MAX);
const _: () = assert!(REGION_BYTES.is_multiple_of(BLOCK_BYTES_MAX));
const _: () = assert!(BLOCK_BYTES_MAX.is_multiple_of(HUGE_PAGE_BYTES));

/// What a block is for; counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests being received or looked at.
    Receive = 0,
    /// Tails of log files.
    Tail = 1,
    /// Reads from files and private copies of sectors.
    Disk = 2,
    /// The first, smallest block of a connection: bounded by the number of connections.
    Header = 3,
}
const PURPOSES: usize = 4;

/// The part of the pool that blocks hold on to.
#[derive(Debug)]
struct Home {
    /// Blocks dropped and not yet filed again, linked through their own first bytes.
    returned: AtomicPtr<Returned>,
    /// Bytes of separately mapped blocks that were unmapped, by purpose.
    unmapped: [AtomicU64; PURPOSES],
}

/// Written into the first bytes of a dead block.
struct Returned {
    next: *mut Returned,
    class: usize,
    purpose: usize,
}

const _: () = assert!(size_of::<Returned>() <= BLOCK_BYTES_MIN);

/// Memory with one owner at a time; goes home when dropped.
#[derive(Debug)]
struct Block {
    start: NonNull<u8>,
    bytes: usize,
    /// `None`: mapped by itself.
    class: Option<usize>,
    purpose: Purpose,
    home: Arc<Home>,
}

// SAFETY: a Block is the only owner of its memory, which any thread may use; `home` is shared through atomics only.
unsafe impl Send for Block {}
// SAFETY: a shared Block gives no access to its memory; Filling and Slice do, under invariant 2 of this module.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        let Some(class) = self.class else {
            unmap(self.start, self.bytes);
            self.home.unmapped[self.purpose as usize]
                .fetch_add(self.bytes as u64, Ordering::Release);
            return;
        };
        let node = self.start.cast::<Returned>().as_ptr();
        let mut head = self.home.returned.load(Ordering::Relaxed);
        loop {
            let value = Returned {
                next: head,
                class,
                purpose: self.purpose as usize,
            };
            // SAFETY: the block is dead, page-aligned and at least 4096 bytes long: room and alignment for a Returned; nobody
            // else refers to it until the exchange below publishes it.
            unsafe { node.write(value) };
            match self.home.returned.compare_exchange_weak(
                head,
                node,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// The allocator of one core.
#[derive(Debug)]
pub struct Pool {
    home: Arc<Home>,
    free: [Vec<NonNull<u8>>; CLASSES],
    /// Where the next block of a class is carved: start and bytes left.
    carve: [(NonNull<u8>, usize); CLASSES],
    regions: Vec<NonNull<u8>>,
    /// What is left of the newest region.
    region_left: usize,
    in_use: [u64; PURPOSES],
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// An empty pool: nothing is mapped before the first block is taken.
    #[must_use]
    pub fn new() -> Self {
        Self {
            home: Arc::new(Home {
                returned: AtomicPtr::new(ptr::null_mut()),
                unmapped: [const { AtomicU64::new(0) }; PURPOSES],
            }),
            free: [const { Vec::new() }; CLASSES],
            carve: [(NonNull::dangling(), 0); CLASSES],
            regions: Vec::new(),
            region_left: 0,
            in_use: [0; PURPOSES],
        }
    }

    /// A block of at least `bytes`, to be filled from its start. Its content is whatever it held before.
    ///
    /// Errors: the kernel maps no more memory.
    pub fn take(&mut self, bytes: usize, purpose: Purpose) -> io::Result<Filling> {
        let (start, bytes, class) = if let Some(class) = class_of(bytes) {
            (self.take_class(class)?, class_bytes(class), Some(class))
        } else {
            let bytes = bytes.next_multiple_of(BLOCK_BYTES_MIN);
            (map(bytes)?, bytes, None)
        };
        self.in_use[purpose as usize] += bytes as u64;
        Ok(Filling {
            memory: Arc::new(Block {
                start,
                bytes,
                class,
                purpose,
                home: Arc::clone(&self.home),
            }),
            filled: 0,
        })
    }

    /// Files blocks that came home. Cheap when none did.
    pub fn collect(&mut self) {
        for (in_use, unmapped) in self.in_use.iter_mut().zip(&self.home.unmapped) {
            if unmapped.load(Ordering::Relaxed) != 0 {
                *in_use -= unmapped.swap(0, Ordering::Acquire);
            }
        }
        if self.home.returned.load(Ordering::Relaxed).is_null() {
            return;
        }
        let mut node = self.home.returned.swap(ptr::null_mut(), Ordering::Acquire);
        while let Some(start) = NonNull::new(node) {
            // SAFETY: every node on the stack was written by a Block's drop, and the Acquire exchange shows us that write; taking
            // the whole stack made us the only one to know these nodes.
            let returned = unsafe { node.read() };
            self.free[returned.class].push(start.cast());
            self.in_use[returned.purpose] -= class_bytes(returned.class) as u64;
            node = returned.next;
        }
    }

    /// Bytes of blocks taken for this purpose and not yet home, as of the last [`Pool::collect`].
    #[must_use]
    pub fn in_use(&self, purpose: Purpose) -> u64 {
        self.in_use[purpose as usize]
    }

    /// Bytes mapped in regions, used or free.
    #[must_use]
    pub fn region_bytes(&self) -> u64 {
        (self.regions.len() * REGION_BYTES) as u64
    }

    fn take_class(&mut self, class: usize) -> io::Result<NonNull<u8>> {
        if self.free[class].is_empty() {
            self.collect();
        }
        if let Some(start) = self.free[class].pop() {
            return Ok(start);
        }
        if self.carve[class].1 == 0 {
            let superblock = self.next_superblock()?;
            if class_bytes(class) >= HUGE_CLASS_BYTES {
                advise_huge(superblock, BLOCK_BYTES_MAX);
            }
            self.carve[class] = (superblock, BLOCK_BYTES_MAX);
        }
        let (start, left) = self.carve[class];
        let bytes = class_bytes(class);
        // SAFETY: `left` > 0 is a multiple of the class's size, so `start + bytes` stays within or one past the superblock.
        let next = unsafe { start.add(bytes) };
        self.carve[class] = (next, left - bytes);
        Ok(start)
    }

    fn next_superblock(&mut self) -> io::Result<NonNull<u8>> {
        if self.region_left == 0 {
            self.regions
                .push(map_aligned(REGION_BYTES, HUGE_PAGE_BYTES)?);
            self.region_left = REGION_BYTES;
        }
        let region = *self
            .regions
            .last()
            .ok_or_else(|| io::Error::other("no region was mapped"))?;
        let offset = REGION_BYTES - self.region_left;
        self.region_left -= BLOCK_BYTES_MAX;
        // SAFETY: `offset` is below REGION_BYTES, the size of the mapping that starts at `region`.
        Ok(unsafe { region.add(offset) })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.collect();
        // Blocks that are still out there keep their memory: the regions then stay mapped until the process ends.
        if self.in_use.iter().all(|bytes| *bytes == 0) {
            for region in self.regions.drain(..) {
                unmap(region, REGION_BYTES);
            }
        }
    }
}

/// The smallest class that holds `bytes`, none if it is larger than all.
fn class_of(bytes: usize) -> Option<usize> {
    (0..CLASSES).find(|class| class_bytes(*class) >= bytes)
}

const fn class_bytes(class: usize) -> usize {
    BLOCK_BYTES_MIN << (CLASS_SHIFT * class)
}

fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no memory of ours.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))
}

/// A mapping whose address is a multiple of `alignment`, itself one of the page's size.
fn map_aligned(bytes: usize, alignment: usize) -> io::Result<NonNull<u8>> {
    let whole = map(bytes + alignment)?;
    let before = whole.as_ptr().align_offset(alignment);
    // SAFETY: `before` is below `alignment`, so both pointers lie inside the mapping or one past its end.
    let start = unsafe { whole.add(before) };
    // SAFETY: as above: `before + bytes` is at most the mapping's size.
    let end = unsafe { start.add(bytes) };
    for (spare, size) in [(whole, before), (end, alignment - before)] {
        if size > 0 {
            unmap(spare, size);
        }
    }
    Ok(start)
}

/// Asks for huge pages. A kernel without them, or one that was told not to use them, leaves everything as it is.
fn advise_huge(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the range lies within a region that this pool has mapped; the advice changes no content.
    let _advised = unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
}

fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller owns this mapping of this size and drops its last pointer to it.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    assert!(result == 0, "munmap of our own mapping succeeds");
}

/// A block being filled from its start: the only writer above the mark.
#[derive(Debug)]
pub struct Filling {
    memory: Arc<Block>,
    filled: usize,
}

impl Filling {
    /// Bytes filled so far.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Bytes it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.bytes
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.memory.bytes - self.filled
    }

    /// Copies as many bytes as fit behind what is there; returns how many.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.spare());
        let target = self.spare_start();
        // SAFETY: `count` bytes fit between the mark and the block's end; nobody reads above the mark (invariant 2), so source
        // and target do not overlap; both are valid for `count` bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, count) };
        self.filled += count;
        count
    }

    /// Appends zeros up to the next multiple of `unit`.
    pub fn pad_to(&mut self, unit: usize) {
        let count = self.filled.next_multiple_of(unit) - self.filled;
        assert!(count <= self.spare(), "the padding fits the block");
        let target = self.spare_start();
        // SAFETY: as in `append`: `count` bytes above the mark, inside the block, seen by nobody.
        unsafe { ptr::write_bytes(target, 0, count) };
        self.filled += count;
    }

    /// What was filled.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `filled` bytes are initialised (mapped memory is zero, or was written) and no longer change.
        unsafe { std::slice::from_raw_parts(self.memory.start.as_ptr(), self.filled) }
    }

    /// A part of what was filled; holds the block.
    ///
    /// Panics if the range reaches above the mark.
    #[must_use]
    pub fn bytes(&self, start: usize, end: usize) -> Bytes {
        assert!(start <= end, "ranges are ordered");
        assert!(end <= self.filled, "only what was filled is shared");
        if start == end {
            return Bytes::new();
        }
        Bytes::from_owner(Slice {
            memory: Arc::clone(&self.memory),
            start,
            end,
        })
    }

    /// Starts anew in the same block if nobody holds a part of it. True if it did.
    pub fn try_reset(&mut self) -> bool {
        let free = Arc::get_mut(&mut self.memory).is_some();
        if free {
            self.filled = 0;
        }
        free
    }

    /// Where the kernel may write up to [`Filling::spare`] bytes, as long as this Filling lives and is not otherwise written.
    pub(super) fn spare_start(&mut self) -> *mut u8 {
        // SAFETY: `filled` is at most the block's size: inside the block or one past its end.
        unsafe { self.memory.start.as_ptr().add(self.filled) }
    }

    /// Raises the mark over bytes the kernel wrote at [`Filling::spare_start`].
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.spare(), "the kernel wrote inside the block");
        self.filled += count;
    }
}

struct Slice {
    memory: Arc<Block>,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` is below the block's size (checked in `Filling::bytes`).
        let first = unsafe { self.memory.start.as_ptr().add(self.start) };
        // SAFETY: the range lies below the mark of the block's Filling at the time the slice was made: initialised and never
        // written again while this slice holds the block (invariant 2; `try_reset` demands that no slice is left).
        unsafe { std::slice::from_raw_parts(first, self.end - self.start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_come_home() {
        let mut pool = Pool::new();
        for bytes in [1, 4096, 4097, 70_000, 1 << 20, BLOCK_BYTES_MAX] {
            let block = pool.take(bytes, Purpose::Tail).expect("memory is there");
            assert!(block.capacity() >= bytes);
            assert_eq!(block.memory.start.as_ptr() as usize % 4096, 0);
        }
        pool.collect();
        assert_eq!(pool.in_use(Purpose::Tail), 0);
        let before = pool.region_bytes();
        for _ in 0..10_000 {
            drop(pool.take(1 << 20, Purpose::Tail).expect("memory is there"));
        }
        assert_eq!(pool.region_bytes(), before, "blocks are reused");
    }

    #[test]
    fn slices_hold_their_bytes_while_the_block_fills_on() {
        let mut pool = Pool::new();
        let mut block = pool.take(4096, Purpose::Receive).expect("memory is there");
        assert_eq!(block.append(b"abc"), 3);
        let first = block.bytes(0, 3);
        assert_eq!(block.append(&[b'x'; 5000]), 4093);
        assert_eq!(&first[..], b"abc");
        assert!(!block.try_reset(), "a slice is out");
        drop(first);
        assert!(block.try_reset());
        assert_eq!(block.filled(), 0);
    }

    #[test]
    fn a_block_dropped_elsewhere_comes_home() {
        let mut pool = Pool::new();
        let mut parts = Vec::new();
        for n in 0..100_u8 {
            let mut block = pool.take(4096, Purpose::Receive).expect("memory is there");
            block.append(&[n; 100]);
            parts.push(block.bytes(0, 100));
        }
        assert_eq!(pool.in_use(Purpose::Receive), 100 * 4096);
        let other = std::thread::spawn(move || {
            parts
                .iter()
                .enumerate()
                .all(|(n, part)| part.iter().all(|b| usize::from(*b) == n))
        });
        assert!(other.join().expect("the thread ends"));
        pool.collect();
        assert_eq!(pool.in_use(Purpose::Receive), 0);
    }

    #[test]
    fn what_no_class_holds_is_mapped_by_itself() {
        let mut pool = Pool::new();
        let bytes = BLOCK_BYTES_MAX + 1;
        let mut block = pool.take(bytes, Purpose::Receive).expect("memory is there");
        block.append(&[7; 10]);
        let part = block.bytes(5, 10);
        drop(block);
        pool.collect();
        assert!(pool.in_use(Purpose::Receive) > 0, "a slice holds it");
        assert_eq!(&part[..], &[7; 5]);
        drop(part);
        pool.collect();
        assert_eq!(pool.in_use(Purpose::Receive), 0);
    }
}
