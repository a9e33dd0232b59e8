//! Index files, held against their segment.
//!
//! Checks: offsets and positions of the offset index increase and name a batch's last offset and first byte; timestamps of the
//! time index increase and name the max timestamp of the batch that ends with the entry's offset.

use std::collections::BTreeMap;
use std::path::Path;

use onrush_core::types::Offset;
use onrush_core::wire::batch::BatchHeader;
use serde::Serialize;

use super::segment::{BatchReader, Next};
use super::{CliError, Dump, read, unreadable};

/// A batch as an index sees it.
struct Seen {
    position: u64,
    max_timestamp: i64,
}

#[derive(Serialize)]
struct OffsetLine<'a> {
    file: &'a str,
    offset: i64,
    position: u32,
}

#[derive(Serialize)]
struct TimeLine<'a> {
    file: &'a str,
    timestamp: i64,
    offset: i64,
}

/// The batches of the segment beside an index, by last offset; `None` if there is no such segment.
fn batches_beside(path: &Path) -> Result<Option<BTreeMap<i64, Seen>>, CliError> {
    let log = path.with_extension("log");
    if !log.exists() {
        return Ok(None);
    }
    let mut reader = BatchReader::open(&log)?;
    let mut batches = BTreeMap::new();
    loop {
        match reader.next().map_err(|error| unreadable(&log, &error))? {
            Next::Batch(position, bytes) => {
                if let Ok(header) = BatchHeader::decode(&bytes) {
                    let max_timestamp = header.max_timestamp;
                    let seen = Seen {
                        position,
                        max_timestamp,
                    };
                    batches.insert(header.last_offset().0, seen);
                }
            }
            // What is wrong with the segment is said where the segment is dumped.
            Next::End | Next::Bad(..) => return Ok(Some(batches)),
        }
    }
}

/// Prints an offset index: 8 bytes an entry, offset relative to the base and position.
pub(super) fn dump_offsets(dump: &mut Dump<'_>, path: &Path, base: Offset) -> Result<(), CliError> {
    dump.heading(path, "offset index")?;
    let bytes = read(path)?;
    let batches = batches_beside(path)?;
    let file = path.display().to_string();
    let (entries, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        dump.problem(path, &format!("{} bytes are left over", rest.len()))?;
    }
    let mut last: Option<(i64, u32)> = None;
    for entry in entries {
        // Two numbers of 32 bits, read as one of 64.
        let both = u64::from_be_bytes(*entry);
        let offset = base.0.saturating_add(low(both >> 32).into());
        let position = low(both);
        if *entry == [0; 8] {
            // Zeros stand in for what a Kafka that was killed had reserved.
            break;
        }
        if dump.json {
            dump.out.json(&OffsetLine {
                file: &file,
                offset,
                position,
            })?;
        } else {
            dump.out.line(&format!("offset {offset} at {position}"))?;
        }
        if last.is_some_and(|(o, p)| offset <= o || position <= p) {
            let why = format!("offset {offset} at {position} does not increase");
            dump.problem(path, &why)?;
        }
        last = Some((offset, position));
        let batch = batches.as_ref().map(|all| all.get(&offset));
        if batch.is_some_and(|b| b.is_none_or(|b| b.position != u64::from(position))) {
            let why = format!("offset {offset} at {position} is no batch's last offset and begin");
            dump.problem(path, &why)?;
        }
    }
    Ok(())
}

/// Prints a time index: 12 bytes an entry, timestamp and offset relative to the base.
pub(super) fn dump_times(dump: &mut Dump<'_>, path: &Path, base: Offset) -> Result<(), CliError> {
    dump.heading(path, "time index")?;
    let bytes = read(path)?;
    let batches = batches_beside(path)?;
    let file = path.display().to_string();
    let (entries, rest) = bytes.as_chunks::<12>();
    if !rest.is_empty() {
        dump.problem(path, &format!("{} bytes are left over", rest.len()))?;
    }
    let mut last: Option<(i64, i64)> = None;
    for entry in entries {
        let (timestamp, relative) = time_entry(entry);
        let offset = base.0.saturating_add(relative.into());
        if *entry == [0; 12] {
            break;
        }
        if dump.json {
            dump.out.json(&TimeLine {
                file: &file,
                timestamp,
                offset,
            })?;
        } else {
            dump.out
                .line(&format!("time {timestamp} offset {offset}"))?;
        }
        if last.is_some_and(|(t, o)| timestamp <= t || offset < o) {
            let why = format!("time {timestamp} offset {offset} does not increase");
            dump.problem(path, &why)?;
        }
        last = Some((timestamp, offset));
        let batch = batches.as_ref().map(|all| all.get(&offset));
        if batch.is_some_and(|b| b.is_none_or(|b| b.max_timestamp != timestamp)) {
            let why = format!("time {timestamp} is not that of the batch that ends with {offset}");
            dump.problem(path, &why)?;
        }
    }
    Ok(())
}

fn low(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0)
}

/// A timestamp of 64 bits and an offset of 32.
fn time_entry(entry: &[u8; 12]) -> (i64, u32) {
    let mut wide = [0; 16];
    wide[4..].copy_from_slice(entry);
    let wide = u128::from_be_bytes(wide);
    let timestamp = u64::try_from(wide >> 32).unwrap_or(0).cast_signed();
    (
        timestamp,
        u32::try_from(wide & u128::from(u32::MAX)).unwrap_or(0),
    )
}
