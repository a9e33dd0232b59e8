//! Frames on their way out of a connection: parts in memory by reference, ranges of files by splice.
//!
//! Invariants: 1. Parts leave in the order given. 2. A frame is reported sent exactly once, when the kernel has all of it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::io::lent::Vectors;
use crate::io::ring::Keep;
use crate::io::shared::Mark;

/// Parts gathered into one send.
const PARTS_PER_SEND_MAX: usize = 64;
/// Bytes gathered into one send; more than a socket takes at once is looked at again anyway.
const BYTES_PER_SEND_MAX: u64 = 1 << 20;

/// A piece of a frame, ready to be sent.
pub enum OutPart {
    /// In memory.
    Bytes(Bytes),
    /// In memory, and in a file as well or soon.
    Tail {
        /// The bytes.
        bytes: Bytes,
        /// The file, for splice.
        file: Keep,
        /// Where they are in it.
        position: u64,
        /// Below it the file's bytes may be read from the file.
        released: Mark,
        /// The memory is another core's.
        lent: bool,
    },
    /// In a file.
    File {
        /// The file, for splice.
        file: Keep,
        /// First byte.
        position: u64,
        /// How many.
        bytes: u64,
    },
}

impl OutPart {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) | Self::Tail { bytes, .. } => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }
}

/// What is to be sent next.
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// The vectors were filled with parts from memory; `more`: another part follows.
    Memory {
        /// Another part of what is queued follows.
        more: bool,
    },
    /// A range of a file.
    File {
        /// The file.
        file: Keep,
        /// First byte.
        position: u64,
        /// How many.
        bytes: u64,
    },
}

/// The sending side of a connection.
#[derive(Default)]
pub(super) struct Outbound {
    parts: VecDeque<OutPart>,
    /// Bytes the kernel has not taken yet, of each frame.
    frames: VecDeque<u64>,
}

impl Outbound {
    /// Queues one frame.
    ///
    /// Panics on a frame without bytes: every response has its length prefix.
    pub(super) fn push(&mut self, parts: Vec<OutPart>) {
        let bytes: u64 = parts.iter().map(OutPart::len).sum();
        assert!(bytes > 0, "a frame has at least its length");
        self.frames.push_back(bytes);
        self.parts.extend(parts.into_iter().filter(|p| p.len() > 0));
    }

    /// True if everything handed over was taken by the kernel.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// What comes next; parts in memory are copied by reference into `vectors` and stay queued until [`Outbound::sent`].
    pub(super) fn next(&self, vectors: &mut Vectors) -> Next {
        vectors.clear();
        let mut bytes = 0;
        for part in &self.parts {
            match part {
                OutPart::Bytes(part) | OutPart::Tail { bytes: part, .. } => {
                    if vectors.count() == PARTS_PER_SEND_MAX || bytes >= BYTES_PER_SEND_MAX {
                        break;
                    }
                    bytes += part.len() as u64;
                    vectors.push(part.clone());
                }
                OutPart::File {
                    file,
                    position,
                    bytes,
                } => {
                    if vectors.count() > 0 {
                        break;
                    }
                    return Next::File {
                        file: file.clone(),
                        position: *position,
                        bytes: *bytes,
                    };
                }
            }
        }
        if vectors.count() == 0 {
            Next::Nothing
        } else {
            Next::Memory {
                more: vectors.count() < self.parts.len(),
            }
        }
    }

    /// The kernel took `bytes` more; returns how many frames that completed.
    pub(super) fn sent(&mut self, bytes: u64) -> usize {
        let mut left = bytes;
        while left > 0 {
            let part = self
                .parts
                .front_mut()
                .expect("only what was queued is sent");
            let len = part.len();
            if len <= left {
                left -= len;
                self.parts.pop_front();
                continue;
            }
            match part {
                OutPart::Bytes(part) => {
                    bytes::Buf::advance(part, usize::try_from(left).expect("parts fit memory"));
                }
                OutPart::Tail {
                    bytes: part,
                    position,
                    ..
                } => {
                    bytes::Buf::advance(part, usize::try_from(left).expect("parts fit memory"));
                    *position += left;
                }
                OutPart::File {
                    position, bytes, ..
                } => {
                    *position += left;
                    *bytes -= left;
                }
            }
            left = 0;
        }
        let mut left = bytes;
        let mut complete = 0;
        while let Some(frame) = self.frames.front_mut() {
            if *frame > left {
                *frame -= left;
                break;
            }
            left -= *frame;
            self.frames.pop_front();
            complete += 1;
        }
        complete
    }

    /// Gives up memory of parts that are in their files by now; they will be spliced instead. Memory lent by other cores only,
    /// unless `own` is to go, too.
    pub(super) fn yield_memory(&mut self, own: bool) {
        for part in &mut self.parts {
            if let OutPart::Tail {
                bytes,
                file,
                position,
                released,
                lent,
            } = part
                && (own || *lent)
                && *position + bytes.len() as u64 <= released.get()
            {
                *part = OutPart::File {
                    file: file.clone(),
                    position: *position,
                    bytes: bytes.len() as u64,
                };
            }
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn part(bytes: &'static [u8]) -> OutPart {
        OutPart::Bytes(Bytes::from_static(bytes))
    }

    #[test]
    fn memory_is_given_up_for_what_is_in_the_file() {
        let file: Keep = Rc::new(std::fs::File::open("/dev/null").expect("opens"));
        let released = Mark::new(103);
        let tail = |position, bytes: &'static [u8]| OutPart::Tail {
            bytes: Bytes::from_static(bytes),
            file: file.clone(),
            position,
            released: released.clone(),
            lent: position < 100,
        };
        let mut out = Outbound::default();
        out.push(vec![tail(98, b"abcde"), tail(103, b"fg")]);
        let mut vectors = Vectors::default();
        assert!(matches!(
            out.next(&mut vectors),
            Next::Memory { more: false }
        ));
        assert_eq!(out.sent(1), 0);
        out.yield_memory(false);
        let Next::File {
            position, bytes, ..
        } = out.next(&mut vectors)
        else {
            panic!("the first part is in the file");
        };
        assert_eq!((position, bytes), (99, 4));
        assert_eq!(out.sent(4), 0);
        assert!(matches!(out.next(&mut vectors), Next::Memory { .. }));
        assert_eq!(vectors.bytes(), 2, "the second part is not in the file yet");
        released.set(200);
        out.yield_memory(false);
        assert!(matches!(out.next(&mut vectors), Next::Memory { .. }));
        out.yield_memory(true);
        assert!(matches!(out.next(&mut vectors), Next::File { .. }));
        assert_eq!(out.sent(2), 1);
    }

    #[test]
    fn frames_are_reported_when_their_last_byte_is_taken() {
        let mut out = Outbound::default();
        out.push(vec![part(b"abc"), part(b""), part(b"de")]);
        out.push(vec![part(b"f")]);
        let mut vectors = Vectors::default();
        assert!(matches!(
            out.next(&mut vectors),
            Next::Memory { more: false }
        ));
        assert_eq!(vectors.bytes(), 6);
        assert_eq!(out.sent(4), 0);
        assert!(matches!(
            out.next(&mut vectors),
            Next::Memory { more: false }
        ));
        assert_eq!(vectors.bytes(), 2);
        assert_eq!(out.sent(2), 2);
        assert!(out.is_empty());
        assert!(matches!(out.next(&mut vectors), Next::Nothing));
    }
}
