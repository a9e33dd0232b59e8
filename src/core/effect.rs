//! What the core asks of the edge: the whole vocabulary in that direction.
//!
//! Invariants:
//! 1. Effects are executed in the order given. An immediate one (no completion) is done before the next is looked at;
//!    one with a token completes by exactly one `Input::Disk` with that token, in any order among others. Those that carry
//!    a path take effect in the order given: what was begun in a directory does not land in its successor of the same name.
//! 2. A reply is emitted only after the core has seen what it waits for: the edge holds nothing back and adds nothing.
//! 3. Paths are relative to a log directory and come from `log/layout.rs` and `metadata/layout.rs` only.
//! 4. The edge never compares offsets, epochs or sequence numbers; it moves bytes to where it is told.
//!
//! Deliberately absent: a clock (time is an input), sockets' addresses, memory (the edge owns tails and pools).

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use crate::types::{ConnId, CoreId, FileId, Monotonic, OwnerId, Position, Token, WorkId};

/// One thing for the edge to do. `M` is the message between cores (`input::CoreMsg` everywhere outside this file; a
/// parameter here because messages carry metadata images, which are of a higher layer).
#[derive(Debug)]
pub enum Effect<M> {
    /// Run a disk operation; answer with `Input::Disk` and this token unless the operation is immediate.
    Disk {
        /// What to do.
        op: DiskOp,
        /// Who waits for it.
        token: Token,
    },
    /// Send one response frame (length prefix included in the first head). Frames of a connection leave in the order given;
    /// `Input::Sent` follows when the kernel has taken all of it.
    Send {
        /// To whom.
        conn: ConnId,
        /// The frame.
        gather: Gather,
    },
    /// The connection may deliver one more frame. A connection starts with one such credit.
    ReadNext {
        /// Which connection.
        conn: ConnId,
    },
    /// Close the connection after the frames already handed over were sent (`flush`) or at once.
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why, for the log.
        why: Close,
    },
    /// A message to another core, FIFO per pair of cores. Parts of this core's files in it are lent ([`Part::Lent`], or memory as
    /// [`Part::Head`]) when the effect is executed.
    Mesh {
        /// The receiver.
        core: CoreId,
        /// The message.
        msg: M,
    },
    /// Call `step` with `Input::Tick` at this moment or a little after. Replaces any later deadline set before.
    Wake {
        /// When.
        at: Monotonic,
    },
    /// Hand this work back with `Input::Again` after everything else that is ready has been looked at.
    Again {
        /// Which work.
        work: WorkId,
    },
    /// Something an operator may want to read; never record contents.
    Note(Note),
    /// Our own fault or a lost log directory: the process must end with this sentence and a non-zero code.
    Halt(String),
    /// The orderly stop is complete: everything is flushed and marked, the process may end with code 0.
    Stopped,
}

/// A response frame or a piece of one, as parts that are sent one after the other.
#[derive(Clone, Debug, Default)]
pub struct Gather {
    /// The parts, in order.
    pub parts: Vec<Part>,
}

/// Bytes to send and where they are.
#[derive(Clone, Debug)]
pub enum Part {
    /// Encoded by the core: headers between record data.
    Head(Bytes),
    /// Bytes of a log file that are still in the file's tail in memory. The edge takes its references to the memory when it
    /// executes the effect, so that a later [`DiskOp::ReleaseTail`] cannot take it away.
    Tail {
        /// The file.
        file: FileId,
        /// First byte.
        position: Position,
        /// How many.
        len: u32,
    },
    /// Bytes of a log file whose direct write has completed, in whole sectors below the open one (in any once all of the file is written
    /// and its whole tail released): to be spliced.
    Extent {
        /// The file.
        file: FileId,
        /// First byte.
        position: Position,
        /// How many.
        len: u32,
    },
    /// Bytes of a file of another core, whose edge lent it: like an extent, to be spliced. Comes in messages only; a core never
    /// makes one.
    Lent {
        /// The file.
        loan: Loan,
        /// First byte.
        position: Position,
        /// How many.
        len: u32,
    },
}

/// A file that one core's edge lends to another's. What it is only edges know; the core hands it on.
#[derive(Clone)]
pub struct Loan(pub Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for Loan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loan")
    }
}

impl Gather {
    /// A frame that is one piece of encoded bytes.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self {
            parts: vec![Part::Head(bytes)],
        }
    }

    /// Sum of the parts' lengths in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    /// True if there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Part {
    /// The part's length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Head(bytes) => bytes.len() as u64,
            Self::Tail { len, .. } | Self::Extent { len, .. } | Self::Lent { len, .. } => {
                u64::from(*len)
            }
        }
    }

    /// True for a part without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A path relative to a log directory, `/`-separated, without `..`.
pub type RelPath = Arc<str>;

/// An operation on a log directory. "Immediate" ones have no completion.
#[derive(Clone, Debug)]
pub enum DiskOp {
    /// Names of a directory's entries, sorted. → `Names`, or `Missing`.
    List {
        /// The directory; "" is the log directory itself.
        path: RelPath,
    },
    /// Makes a directory and flushes its parent. Present already is success. → `Done`
    MakeDir {
        /// The directory.
        path: RelPath,
    },
    /// Renames a file or directory and flushes both parents. → `Done`
    Rename {
        /// Present name.
        from: RelPath,
        /// New name; an existing file is replaced.
        to: RelPath,
    },
    /// Removes a file, or a directory with its files. Absent already is success. → `Done`
    Remove {
        /// File or directory.
        path: RelPath,
    },
    /// Reads a small file whole. → `Bytes`, or `Missing`; larger than the bound is an I/O error.
    ReadFile {
        /// The file.
        path: RelPath,
        /// Bound of its size.
        bytes_max: u64,
    },
    /// Replaces a small file: temporary file, flush, rename, flush of the directory. → `Done`
    WriteFile {
        /// The file.
        path: RelPath,
        /// Its new content.
        bytes: Bytes,
    },
    /// Opens (or creates, then flushes its directory) a log file for direct I/O under the handle the core chose.
    /// → `Opened { bytes }`, or `Missing`.
    Open {
        /// The file.
        path: RelPath,
        /// The handle for all later operations.
        file: FileId,
        /// Create it if absent.
        create: bool,
    },
    /// Immediate: copies bytes into the file's tail in memory at `position`, which is where the last append ended (or, for the first
    /// after `Open` or `Truncate`, a sector's first byte: the content of the open sector comes first).
    Append {
        /// The file.
        file: FileId,
        /// Where the first byte belongs in the file.
        position: Position,
        /// The bytes, in order.
        parts: Vec<Bytes>,
    },
    /// Writes the tail's bytes [from, to) with direct I/O: `from` is a sector's first byte; if `to` is not a sector's end the rest of that sector
    /// is zeros, from a private copy. With `durable` the write is complete only when it is on stable storage. → `Done`
    ///
    /// The core never has two of these in flight for one file that share a sector.
    WriteTail {
        /// The file.
        file: FileId,
        /// First byte, a multiple of the sector.
        from: Position,
        /// End of the valid bytes.
        to: Position,
        /// RWF_DSYNC.
        durable: bool,
    },
    /// Immediate: memory of the tail below this position may go (parts being sent keep what they hold). If that is the tail's end, the file
    /// is about to be cut to its size: nothing is appended or named in the tail any more.
    ReleaseTail {
        /// The file.
        file: FileId,
        /// Exclusive end of what may go.
        below: Position,
    },
    /// Allocates the file's blocks up to this position, zeroed, size included. → `Done`
    Reserve {
        /// The file.
        file: FileId,
        /// New size.
        to: Position,
    },
    /// Flushes data and size of the file to stable storage. → `Done`
    Flush {
        /// The file.
        file: FileId,
    },
    /// Flushes, drops the tail, cuts the file to this size, flushes. → `Done`
    Truncate {
        /// The file.
        file: FileId,
        /// New size.
        to: Position,
    },
    /// Reads; shorter only at the file's end. → `Bytes`
    Read {
        /// The file.
        file: FileId,
        /// First byte, any alignment.
        position: Position,
        /// How many.
        len: u32,
    },
    /// Immediate: closes the handle once operations and sends that use it are done; its tail goes.
    Close {
        /// The file.
        file: FileId,
    },
}

impl DiskOp {
    /// True for an operation without completion.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        matches!(
            self,
            Self::Append { .. } | Self::ReleaseTail { .. } | Self::Close { .. }
        )
    }
}

/// What a disk operation brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOk {
    /// It is done.
    Done,
    /// What was to be opened, read or listed is not there.
    Missing,
    /// The file is open.
    Opened {
        /// Its present size.
        bytes: u64,
    },
    /// A directory's entries, sorted by name.
    Names(Vec<DirEntry>),
    /// Content.
    Bytes(Bytes),
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, lossily decoded if not UTF-8.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
    /// Size of a file in bytes, 0 for a directory.
    pub bytes: u64,
}

/// Why a disk operation failed. Any error of a write, flush, reservation or truncation takes the log directory offline;
/// `NoSpace` of a reservation alone does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// ENOSPC or EDQUOT.
    #[error("no space left ({0})")]
    NoSpace(String),
    /// Anything else the kernel said.
    #[error("{0}")]
    Io(String),
}

/// A completed disk operation.
pub type DiskResult = Result<DiskOk, DiskError>;

/// Collects the disk operations of one owner and numbers them. Lower layers (log, partition) see only this part of the effects.
#[derive(Debug)]
pub struct DiskOut {
    owner: OwnerId,
    generation: u32,
    seq: u64,
    files: u64,
    in_flight: u64,
    ops: Vec<(Token, DiskOp)>,
}

impl DiskOut {
    /// For one tenancy of an owner slot.
    #[must_use]
    pub fn new(owner: OwnerId, generation: u32) -> Self {
        Self {
            owner,
            generation,
            seq: 0,
            files: 0,
            in_flight: 0,
            ops: Vec::new(),
        }
    }

    /// Adds an operation and returns the token that its completion will carry.
    pub fn push(&mut self, op: DiskOp) -> Token {
        self.seq += 1;
        self.in_flight += u64::from(!op.is_immediate());
        let token = Token {
            owner: self.owner,
            generation: self.generation,
            seq: self.seq,
        };
        self.ops.push((token, op));
        token
    }

    /// One of this owner's operations completed. Called by the owner for each completion it takes.
    pub fn completed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// True while operations wait for their completion: whoever gives a name to something else waits for them, because they go by names.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    /// A handle for a file this owner is about to open: unique on this core as long as the process lives.
    ///
    /// Panics after 2^24 files of one tenancy (16 million segment rolls between two openings of a partition).
    pub fn next_file(&mut self) -> FileId {
        self.files += 1;
        assert!(
            self.files < 1 << 24,
            "a tenancy opens fewer than 2^24 files"
        );
        FileId(
            u64::from(self.owner.0) << 40 | u64::from(self.generation & 0xffff) << 24 | self.files,
        )
    }

    /// Takes the operations gathered since the last call, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (Token, DiskOp)> {
        self.ops.drain(..)
    }

    /// True when nothing was gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Why a connection is closed by us. Shown in the log, never on the wire: Kafka closes without a word in these cases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Close {
    /// The frame is shorter than its header claims.
    #[error("request cut short: {0}")]
    Truncated(&'static str),
    /// No such API here, or not in this version.
    #[error("unsupported request: api key {api_key} version {version}")]
    Unsupported {
        /// As received.
        api_key: i16,
        /// As received.
        version: i16,
    },
    /// The body is not what its schema says.
    #[error("malformed body of api key {api_key} version {version}: {what}")]
    Malformed {
        /// As received.
        api_key: i16,
        /// As received.
        version: i16,
        /// What was wrong.
        what: String,
    },
    /// acks=0 and a partition failed: closing is the only answer there is (Kafka does the same).
    #[error("a produce with acks=0 failed")]
    ProduceWithoutAckFailed,
    /// `max.connections` is reached.
    #[error("max.connections is reached: {open} are open")]
    TooManyConnections {
        /// Open connections of the process.
        open: u32,
    },
    /// `max.connections.per.ip` or its override is reached.
    #[error("max.connections.per.ip is reached: {open} from this address are open")]
    TooManyFromAddress {
        /// Open connections of this address.
        open: u32,
    },
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// Events for people, written by the edge as log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Normal life, rare.
    Info(String),
    /// Something to look at.
    Warn(String),
    /// Something is broken.
    Error(String),
    /// Everything is open and recovered; the listeners may accept.
    Ready,
}
