//! Segments and metadata snapshots: batches, and with `--deep` their records.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use onrush_core::metadata::batch as metadata_batch;
use onrush_core::types::Offset;
use onrush_core::types::limits::BATCH_PREFIX_BYTES;
use onrush_core::wire::batch::{self, BatchHeader, BatchWalk, WalkEnd, Walked};
use onrush_core::wire::codec;
use onrush_core::wire::records::{RecordView, Records};
use serde::Serialize;

use super::{CliError, Dump, is_metadata, unreadable};
use crate::cli::output::text_or_hex;

/// A batch that grows larger than this when decompressed is a problem.
const PLAIN_BYTES_MAX: usize = 1024 * 1024 * 1024;

#[derive(Serialize)]
struct BatchLine<'a> {
    file: &'a str,
    position: u64,
    base_offset: i64,
    last_offset: i64,
    records: i32,
    bytes: u64,
    codec: &'a str,
    base_timestamp: i64,
    max_timestamp: i64,
    leader_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    transactional: bool,
    control: bool,
    valid: bool,
}

#[derive(Serialize)]
struct RecordLine {
    offset: i64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Option<String>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

/// Batches of a file, one after the other, each read on its own.
pub(super) struct BatchReader {
    input: BufReader<File>,
    position: u64,
    end: u64,
}

/// What came next in a file.
pub(super) enum Next {
    /// A whole batch and where it stands; its content is not checked.
    Batch(u64, Bytes),
    /// Nothing more: all bytes belong to batches, or zeros follow.
    End,
    /// From here on the bytes are no batch.
    Bad(u64, String),
}

impl BatchReader {
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let failed = |error| unreadable(path, &error);
        let file = File::open(path).map_err(failed)?;
        let end = file.metadata().map_err(failed)?.len();
        Ok(Self {
            input: BufReader::with_capacity(256 * 1024, file),
            position: 0,
            end,
        })
    }

    pub(super) fn next(&mut self) -> std::io::Result<Next> {
        let at = self.position;
        let left = self.end.saturating_sub(at);
        if left == 0 {
            return Ok(Next::End);
        }
        let mut prefix = [0; BATCH_PREFIX_BYTES];
        if left < prefix.len() as u64 {
            return Ok(Next::Bad(at, format!("{left} bytes are left over")));
        }
        self.input.read_exact(&mut prefix)?;
        if prefix == [0; BATCH_PREFIX_BYTES] {
            return self.zeros(at);
        }
        let [.., a, b, c, d] = prefix;
        let length = i32::from_be_bytes([a, b, c, d]);
        let room = left - prefix.len() as u64;
        let Some(length) = u64::try_from(length).ok().filter(|l| *l <= room) else {
            return Ok(Next::Bad(
                at,
                format!("a length of {length} where {room} bytes follow"),
            ));
        };
        // Bounded by the file's size, which was just compared.
        let mut batch = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + prefix.len());
        batch.extend_from_slice(&prefix);
        (&mut self.input).take(length).read_to_end(&mut batch)?;
        self.position = at + batch.len() as u64;
        Ok(Next::Batch(at, Bytes::from(batch)))
    }

    /// Space that is reserved ahead of the writer is zero to the end.
    fn zeros(&mut self, at: u64) -> std::io::Result<Next> {
        let mut block = vec![0; 64 * 1024];
        loop {
            let read = self.input.read(&mut block)?;
            if read == 0 {
                self.position = self.end;
                return Ok(Next::End);
            }
            if block.iter().take(read).any(|&b| b != 0) {
                return Ok(Next::Bad(at, "zeros with something behind them".to_owned()));
            }
        }
    }
}

/// Prints a segment, or (without a base offset) a snapshot of the metadata.
pub(super) fn dump(dump: &mut Dump<'_>, path: &Path, base: Option<Offset>) -> Result<(), CliError> {
    let what = if base.is_some() {
        "segment"
    } else {
        "snapshot"
    };
    dump.heading(path, what)?;
    let mut reader = BatchReader::open(path)?;
    let mut expected = base.unwrap_or(Offset(0));
    loop {
        match reader.next().map_err(|error| unreadable(path, &error))? {
            Next::End => return Ok(()),
            Next::Bad(at, why) => return dump.problem(path, &format!("at position {at}: {why}")),
            Next::Batch(at, bytes) => {
                let mut walk = BatchWalk::new(&bytes);
                match walk.next() {
                    Some(Walked::Batch { header, .. }) => {
                        if header.base_offset < expected {
                            let why = format!(
                                "at position {at}: offset {} after offset {}",
                                header.base_offset,
                                expected.0.saturating_sub(1)
                            );
                            dump.problem(path, &why)?;
                        }
                        expected = header.next_offset();
                        one_batch(dump, path, at, &header, &bytes)?;
                    }
                    Some(Walked::Old { magic, .. }) => {
                        let why = format!("at position {at}: a message of old magic {magic}");
                        dump.problem(path, &why)?;
                    }
                    None => {
                        let why = match walk.end() {
                            Some(WalkEnd::Corrupt { why, .. }) => why.to_string(),
                            _ => "no whole batch".to_owned(),
                        };
                        return dump.problem(path, &format!("at position {at}: {why}"));
                    }
                }
            }
        }
    }
}

fn one_batch(
    dump: &mut Dump<'_>,
    path: &Path,
    position: u64,
    header: &BatchHeader,
    bytes: &Bytes,
) -> Result<(), CliError> {
    let file = path.display().to_string();
    let line = BatchLine {
        file: &file,
        position,
        base_offset: header.base_offset.0,
        last_offset: header.last_offset().0,
        records: header.record_count,
        bytes: header.total_bytes(),
        codec: header.codec().map_or("unknown", codec::Codec::name),
        base_timestamp: header.base_timestamp,
        max_timestamp: header.max_timestamp,
        leader_epoch: header.leader_epoch.0,
        producer_id: header.producer_id.0,
        producer_epoch: header.producer_epoch.0,
        base_sequence: header.base_sequence,
        transactional: header.is_transactional(),
        control: header.is_control(),
        valid: batch::is_valid(bytes),
    };
    if dump.json {
        dump.out.json(&line)?;
    } else {
        dump.out.line(&for_people(&line, header))?;
    }
    if !line.valid {
        return dump.problem(path, &format!("at position {position}: wrong checksum"));
    }
    if dump.deep {
        return records(dump, path, position, header, bytes);
    }
    Ok(())
}

fn for_people(line: &BatchLine<'_>, header: &BatchHeader) -> String {
    let mut text = format!(
        "at {}: offsets {}..{}, {} records, {} bytes, {}, time {}..{}, epoch {}",
        line.position,
        line.base_offset,
        line.last_offset,
        line.records,
        line.bytes,
        line.codec,
        line.base_timestamp,
        line.max_timestamp,
        line.leader_epoch,
    );
    if header.has_producer_id() {
        let producer = [
            format!(
                ", producer {} epoch {}",
                line.producer_id, line.producer_epoch
            ),
            format!(
                " sequence {}..{}",
                line.base_sequence,
                header.last_sequence()
            ),
        ];
        text.extend(producer);
    }
    for (holds, word) in [
        (line.transactional, "transactional"),
        (line.control, "control"),
    ] {
        if holds {
            text = text + ", " + word;
        }
    }
    text
}

fn records(
    dump: &mut Dump<'_>,
    path: &Path,
    position: u64,
    header: &BatchHeader,
    bytes: &Bytes,
) -> Result<(), CliError> {
    let Some(codec) = header.codec() else {
        return dump.problem(path, &format!("at position {position}: unknown codec"));
    };
    let plain = match codec::decompress(codec, batch::body_of(bytes), PLAIN_BYTES_MAX) {
        Ok(plain) => plain,
        Err(error) => return dump.problem(path, &format!("at position {position}: {error}")),
    };
    let mut metadata = metadata_records(dump, path, bytes)?.into_iter();
    let mut count = 0;
    for record in Records::new(&plain) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                return dump.problem(path, &format!("at position {position}: {error}"));
            }
        };
        count += 1;
        let offset = header
            .base_offset
            .0
            .saturating_add(record.offset_delta.into());
        if offset > header.last_offset().0 || record.offset_delta < 0 {
            let why = format!("at position {position}: a record with offset {offset}");
            dump.problem(path, &why)?;
        }
        let decoded = metadata.next();
        one_record(dump, header, offset, &record, decoded)?;
    }
    if count != header.record_count {
        let why = format!(
            "at position {position}: {count} records, {} are announced",
            header.record_count
        );
        return dump.problem(path, &why);
    }
    Ok(())
}

/// The batch's records in words, if it is one of the metadata log.
fn metadata_records(
    dump: &mut Dump<'_>,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<String>, CliError> {
    if !is_metadata(path) {
        return Ok(Vec::new());
    }
    match metadata_batch::decode_all(bytes) {
        Ok((batches, _)) => Ok(batches
            .iter()
            .flat_map(|batch| &batch.entries)
            .map(|(_, entry)| match entry {
                metadata_batch::Entry::Data(record) => format!("{record:?}"),
                metadata_batch::Entry::Control(record) => format!("{record:?}"),
            })
            .collect()),
        Err(fault) => {
            dump.problem(path, &fault.to_string())?;
            Ok(Vec::new())
        }
    }
}

fn one_record(
    dump: &mut Dump<'_>,
    header: &BatchHeader,
    offset: i64,
    record: &RecordView<'_>,
    metadata: Option<String>,
) -> Result<(), CliError> {
    // The metadata log's own records are shown in words; raw bytes would say less.
    let data = dump.print_data && metadata.is_none();
    let shown = |bytes: Option<&[u8]>| bytes.filter(|_| data).map(text_or_hex);
    let line = RecordLine {
        offset,
        timestamp: header.record_timestamp(record.timestamp_delta),
        key: shown(record.key),
        value: shown(record.value),
        headers: record
            .headers()
            .filter(|_| data)
            .map(|(name, value)| (text_or_hex(name), value.map(text_or_hex)))
            .collect(),
        metadata,
    };
    if dump.json {
        return dump.out.json(&line);
    }
    let size = |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), |b| b.len().to_string());
    let mut parts = vec![format!("  offset {}, time {}", line.offset, line.timestamp)];
    if let Some(words) = line.metadata {
        parts.push(words);
    } else if data {
        let null = || "null".to_owned();
        parts.push(format!("key {}", line.key.unwrap_or_else(null)));
        parts.push(format!("value {}", line.value.unwrap_or_else(null)));
        for (name, value) in line.headers {
            parts.push(format!("header {name}={}", value.unwrap_or_else(null)));
        }
    } else {
        parts.push(format!("key bytes {}", size(record.key)));
        parts.push(format!("value bytes {}", size(record.value)));
    }
    dump.out.line(&parts.join(", "))
}
