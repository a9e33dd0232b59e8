//! `onrush dump-log`: what stands in the files of a log directory, and whether it fits together.
//!
//! Invariants: 1. Files are only read. 2. No bytes panic. 3. The command fails if anything is damaged or does not fit.
//! Memory is bounded by the largest batch of a segment, and by index files and small files, which are read whole.
//! Source: Kafka's `DumpLogSegments`, whose checks these are.

mod index;
mod producers;
mod segment;
mod small;

use std::path::{Path, PathBuf};

use clap::Args;
use onrush_core::log::layout::{self, Kind, Name, Stage};
use onrush_core::metadata::layout as metadata_layout;

use super::CliError;
use super::output::Out;

/// `onrush dump-log`
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// Files, or directories of partitions; a data directory means all its partitions.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Decompress batches and look at every record.
    #[arg(long)]
    deep: bool,
    /// Print keys, values and headers of records too. Includes --deep.
    #[arg(long)]
    print_data: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Where results go, and how much was wrong.
pub(super) struct Dump<'a> {
    pub(super) out: &'a mut Out,
    pub(super) deep: bool,
    pub(super) print_data: bool,
    pub(super) json: bool,
    problems: u64,
}

impl Dump<'_> {
    /// Something that is damaged or does not fit.
    pub(super) fn problem(&mut self, path: &Path, what: &str) -> Result<(), CliError> {
        self.problems += 1;
        if self.json {
            let file = path.display().to_string();
            return self
                .out
                .json(&serde_json::json!({ "file": file, "problem": what }));
        }
        self.out
            .line(&format!("PROBLEM in {}: {what}", path.display()))
    }

    /// A line about a file for people; in JSON the lines carry the file's name themselves.
    pub(super) fn heading(&mut self, path: &Path, what: &str) -> Result<(), CliError> {
        if self.json {
            return Ok(());
        }
        self.out.line(&format!("== {} ({what})", path.display()))
    }
}

/// Runs the command.
pub fn run(args: &DumpArgs, out: &mut Out) -> Result<(), CliError> {
    let mut dump = Dump {
        out,
        deep: args.deep || args.print_data,
        print_data: args.print_data,
        json: args.json,
        problems: 0,
    };
    for path in &args.paths {
        let found = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if found.is_dir() {
            directory(&mut dump, path, true)?;
        } else {
            file(&mut dump, path)?;
        }
    }
    match dump.problems {
        0 => Ok(()),
        problems => {
            dump.out.flush()?;
            let what = if problems == 1 {
                "problem was"
            } else {
                "problems were"
            };
            Err(CliError::Usage(format!("{problems} {what} found")))
        }
    }
}

fn directory(dump: &mut Dump<'_>, path: &Path, descend: bool) -> Result<(), CliError> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .and_then(|found| found.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| unreadable(path, &error))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if descend {
                directory(dump, &entry, false)?;
            }
        } else {
            file(dump, &entry)?;
        }
    }
    Ok(())
}

fn file(dump: &mut Dump<'_>, path: &Path) -> Result<(), CliError> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    // A segment's files also have stages (.deleted, .swap); their content is the same.
    match layout::parse(name) {
        Name::Segment {
            base,
            kind: Kind::Log,
            stage,
        } if stage != Stage::Cleaned => segment::dump(dump, path, Some(base)),
        Name::Segment {
            base,
            kind: Kind::Index,
            ..
        } => index::dump_offsets(dump, path, base),
        Name::Segment {
            base,
            kind: Kind::TimeIndex,
            ..
        } => index::dump_times(dump, path, base),
        Name::Segment {
            kind: Kind::Snapshot,
            ..
        } => producers::dump(dump, path),
        _ if name.ends_with(".checkpoint") => segment::dump(dump, path, None),
        _ => small::dump(dump, path, name),
    }
}

/// True for the files of the metadata log, whose records have a schema of their own.
fn is_metadata(path: &Path) -> bool {
    let parent = path.parent().and_then(Path::file_name);
    parent.is_some_and(|name| name == metadata_layout::METADATA_DIR)
        || path.extension().is_some_and(|e| e == "checkpoint")
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Usage(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
