//! What happened, in one line each: hashed always, kept when asked for. Two runs of a seed must agree in every byte.

use std::fmt::Write;

use onrush_core::effect::{DiskOk, DiskOp, DiskResult};

/// The trace of a run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    line: String,
    kept: Option<Vec<String>>,
}

impl Trace {
    /// A trace; with `keep` its lines can be read.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            line: String::new(),
            kept: keep.then(Vec::new),
        }
    }

    /// Adds a line.
    pub fn add(&mut self, time: u64, what: std::fmt::Arguments) {
        self.line.clear();
        write!(self.line, "{time:>12} {what}").expect("a string takes it");
        self.hash = hash(self.hash, self.line.as_bytes());
        if let Some(kept) = &mut self.kept {
            kept.push(self.line.clone());
        }
    }

    /// The hash of all lines.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// All lines, if they were kept.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.kept.unwrap_or_default()
    }
}

/// FNV-1a over whole words, then the rest: a fingerprint, not a defence.
#[must_use]
pub fn hash(start: u64, bytes: &[u8]) -> u64 {
    let mut hash = start;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
        hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
    for &byte in words.remainder() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// A short fingerprint of content.
#[must_use]
pub fn print(bytes: &[u8]) -> String {
    format!("{}:{:08x}", bytes.len(), crc32c::crc32c(bytes))
}

/// A disk operation without its bytes.
#[must_use]
pub fn describe(op: &DiskOp) -> String {
    match op {
        DiskOp::Append {
            file,
            position,
            parts,
        } => {
            let prints: Vec<String> = parts.iter().map(|p| print(p)).collect();
            format!("append {file:x?} @{position} {}", prints.join("+"))
        }
        DiskOp::WriteFile { path, bytes } => format!("write file {path} {}", print(bytes)),
        other => format!("{other:x?}"),
    }
}

/// An answer of the disk without its bytes.
#[must_use]
pub fn describe_result(result: &DiskResult) -> String {
    match result {
        Ok(DiskOk::Bytes(bytes)) => format!("bytes {}", print(bytes)),
        other => format!("{other:?}"),
    }
}
