//! What is lent to the kernel for an operation, and handed back with its completion.
#![expect(unsafe_code, reason = "a msghdr has no safe constructor")]

use std::os::fd::OwnedFd;

use bytes::Bytes;

use super::pool::Filling;

/// Vectors of one operation (the kernel's IOV_MAX).
pub const VECTORS_MAX: usize = 1024;

/// What was lent to the kernel for an operation.
#[derive(Debug)]
pub enum Lent {
    /// Nothing.
    Nothing,
    /// Memory to read into, its mark raised by what was read.
    Filling(Filling),
    /// Memory that was to be sent or written.
    Vectors(Box<Vectors>),
    /// An accepted socket.
    Accepted(OwnedFd),
    /// A count read from an eventfd.
    Count(Box<u64>),
}

/// Bytes to be sent or written one after the other, with the kernel's description of them.
pub struct Vectors {
    parts: Vec<Bytes>,
    described: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vectors")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Default for Vectors {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            described: Vec::new(),
            // SAFETY: a msghdr is integers and pointers, for which zero is a value ("none").
            header: unsafe { std::mem::zeroed() },
        }
    }
}

impl Vectors {
    /// Of these parts; at most [`VECTORS_MAX`] of them go into one operation.
    #[must_use]
    pub fn new(parts: Vec<Bytes>) -> Self {
        Self {
            parts,
            ..Self::default()
        }
    }

    /// Adds one more part.
    pub fn push(&mut self, part: Bytes) {
        self.parts.push(part);
    }

    /// How many parts there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// Bytes in all parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.len() as u64).sum()
    }

    /// Drops all parts, keeps the room for new ones.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.described.clear();
    }

    /// Drops the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        let mut left = count;
        let mut whole = 0;
        for part in &mut self.parts {
            if left >= part.len() {
                left -= part.len();
                whole += 1;
            } else {
                bytes::Buf::advance(part, left);
                break;
            }
        }
        self.parts.drain(..whole);
    }

    /// The kernel's description of the parts, as of the last [`Vectors::describe`].
    pub(super) fn described(&self) -> &[libc::iovec] {
        &self.described
    }

    /// The same as a message.
    pub(super) fn header(&self) -> *const libc::msghdr {
        &raw const self.header
    }

    /// Describes the parts to the kernel; valid until they are changed or moved out of their box.
    pub(super) fn describe(&mut self) {
        self.described.clear();
        self.described
            .extend(self.parts.iter().take(VECTORS_MAX).map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            }));
        self.header.msg_iov = self.described.as_mut_ptr();
        self.header.msg_iovlen = self.described.len();
    }
}

impl Lent {
    /// The memory that was read into, if that is what was lent.
    #[must_use]
    pub fn into_filling(self) -> Option<Filling> {
        match self {
            Self::Filling(filling) => Some(filling),
            Self::Nothing | Self::Vectors(_) | Self::Accepted(_) | Self::Count(_) => None,
        }
    }

    /// The vectors that were sent or written, if that is what was lent.
    #[must_use]
    pub fn into_vectors(self) -> Option<Box<Vectors>> {
        match self {
            Self::Vectors(vectors) => Some(vectors),
            Self::Nothing | Self::Filling(_) | Self::Accepted(_) | Self::Count(_) => None,
        }
    }
}
