//! Producer snapshots: what a partition remembers of its idempotent producers before an offset.
//!
//! Layout: version (16 bits, 1), CRC-32C of everything after it (32 bits), a count, then 54 bytes an entry.
//! Read here on our own and not with the core's decoder, which skips what it cannot use where a tool should show it.
//! Source: Kafka's `ProducerSnapshot.json`, `ProducerStateManager`.

use std::path::Path;

use serde::Serialize;

use super::{CliError, Dump, read};

const VERSION: i16 = 1;

#[derive(Serialize)]
struct ProducerLine<'a> {
    file: &'a str,
    producer_id: i64,
    epoch: i16,
    last_sequence: i32,
    last_offset: i64,
    offset_delta: i32,
    timestamp: i64,
    coordinator_epoch: i32,
    current_txn_first_offset: i64,
}

/// Takes numbers off the front; `None` when the bytes end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn producer<'f>(&mut self, file: &'f str) -> Option<ProducerLine<'f>> {
        Some(ProducerLine {
            file,
            producer_id: self.i64()?,
            epoch: self.i16()?,
            last_sequence: self.i32()?,
            last_offset: self.i64()?,
            offset_delta: self.i32()?,
            timestamp: self.i64()?,
            coordinator_epoch: self.i32()?,
            current_txn_first_offset: self.i64()?,
        })
    }
}

/// Prints a snapshot.
pub(super) fn dump(dump: &mut Dump<'_>, path: &Path) -> Result<(), CliError> {
    dump.heading(path, "producers")?;
    let bytes = read(path)?;
    let file = path.display().to_string();
    let mut numbers = Numbers(&bytes);
    match numbers.i16() {
        Some(VERSION) => {}
        Some(other) => return dump.problem(path, &format!("unknown version {other}")),
        None => return dump.problem(path, "shorter than its head"),
    }
    let crc = numbers.i32().map(i32::cast_unsigned);
    if crc != Some(crc32c::crc32c(numbers.0)) {
        return dump.problem(path, "wrong checksum");
    }
    let count = numbers.i32().unwrap_or(-1);
    for _ in 0..count {
        let Some(line) = numbers.producer(&file) else {
            return dump.problem(path, &format!("fewer than the {count} producers announced"));
        };
        if dump.json {
            dump.out.json(&line)?;
            continue;
        }
        dump.out.line(&format!(
            "producer {} epoch {}, last sequence {} at offset {} ({} records), time {}",
            line.producer_id,
            line.epoch,
            line.last_sequence,
            line.last_offset,
            i64::from(line.offset_delta) + 1,
            line.timestamp
        ))?;
    }
    match numbers.0.len() {
        0 if count >= 0 => Ok(()),
        rest => dump.problem(path, &format!("{rest} bytes are left over")),
    }
}
