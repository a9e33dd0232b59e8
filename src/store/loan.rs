//! Files of one core in answers that another core sends.
//!
//! A part that names a file of this core means nothing to another. Before it travels it becomes a [`Part::Lent`], which holds
//! what it takes to send the bytes: the descriptor, and for a part of the tail its memory. Nothing is copied; the memory goes home
//! to its pool and the descriptor to a helper thread when the last holder lets go, wherever that is.
//!
//! What is lent stays as it was promised: a fetch names completed writes and the tail in memory of what is appended. Such bytes are
//! never written again, and a file is cut only before it is served (recovery) and, once, to the end of its content when it is
//! final; neither touches a byte that an answer can name. A file that is removed meanwhile lives as long as its descriptor.
//!
//! A peer that does not read would keep the lent memory of a tail; the core that sends it changes over to the file as soon as
//! the owner's mark says that the bytes are there.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use onrush_core::effect::{Loan, Part};
use onrush_core::types::Position;

use super::Store;
use crate::io::ring::Keep;
use crate::io::shared::{Mark, SharedFd};

/// What a loan is to the edges of a process.
struct Lending {
    file: SharedFd,
    /// The bytes, if they are in memory, and how far the file has them.
    tail: Option<(Bytes, Mark)>,
}

/// What was lent, as the core that sends it holds it.
pub struct Borrowed {
    /// The file, for splice.
    pub file: Keep,
    /// The bytes, if they are in memory, and the mark below which the file has them.
    pub tail: Option<(Bytes, Mark)>,
}

impl Store {
    /// Replaces parts of this core's files by such that another core can send.
    pub fn lend(&mut self, parts: &mut Vec<Part>) {
        let own = |part: &Part| matches!(part, Part::Tail { .. } | Part::Extent { .. });
        if !parts.iter().any(own) {
            return;
        }
        for part in std::mem::take(parts) {
            match part {
                Part::Head(_) | Part::Lent { .. } => parts.push(part),
                Part::Tail {
                    file,
                    position,
                    len,
                } => {
                    let mark = self.released(file);
                    let source = self.shared(file);
                    let mut at = position;
                    for bytes in self.tail_slices(file, position, len) {
                        let len = u32::try_from(bytes.len()).expect("a slice of a part");
                        let tail = Some((bytes, mark.clone()));
                        parts.push(lent(&source, tail, at, len));
                        at = at.plus(u64::from(len));
                    }
                }
                Part::Extent {
                    file,
                    position,
                    len,
                } => parts.push(lent(&self.shared(file), None, position, len)),
            }
        }
    }
}

fn lent(file: &SharedFd, tail: Option<(Bytes, Mark)>, position: Position, len: u32) -> Part {
    let file = file.clone();
    Part::Lent {
        loan: Loan(Arc::new(Lending { file, tail })),
        position,
        len,
    }
}

/// What another core lent.
///
/// Panics on a loan that no edge of this process made.
#[must_use]
pub fn borrowed(loan: &Loan) -> Borrowed {
    let lending = loan
        .0
        .downcast_ref::<Lending>()
        .expect("what was lent came from an edge like this one");
    Borrowed {
        file: Rc::new(lending.file.clone()),
        tail: lending.tail.clone(),
    }
}
