//! Recognises a broker that dies again and again soon after its start, and refuses to start it once more.
//!
//! Restarted by whoever watches it, such a broker would wear its disk out and hide its cause in a log that grows. So every start counts
//! itself, in a file of the data directory, before its cores run; the file goes when the broker has lived for [`SETTLED`] or is told
//! to stop. What is left in it are starts that ended by a panic, a halt, a kill or a power cut, in a row. A start that is refused
//! with a sentence (a port in use, a wrong key) does not count: it did not die.
//!
//! Deliberately absent: a guess at the cause; waiting (the unit that starts it knows how long).
//! Source: Redpanda's `crash_loop_limit`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use onrush_core::metadata::format::NewFile;

use super::BootError;
use super::directory::write_whole;

/// A broker that lives so long has started well.
pub(super) const SETTLED: Duration = Duration::from_mins(1);
/// The file, in the data directory.
const FILE: &str = ".onrush_starts";

/// The count of starts that did not end well.
pub(super) struct Starts {
    dir: PathBuf,
    /// In a row, before this one.
    before: u32,
    limit: u32,
}

impl Starts {
    /// Looks how often the broker of this directory has died; `limit` 0 is none.
    ///
    /// Errors: too often.
    pub(super) fn read(dir: &Path, limit: u32) -> Result<Self, BootError> {
        let path = dir.join(FILE);
        // What cannot be read stops no broker.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let before = text.lines().find_map(|line| line.parse().ok()).unwrap_or(0);
        if limit > 0 && before >= limit {
            return Err(BootError::CrashLoop {
                times: before,
                path,
            });
        }
        Ok(Self {
            dir: dir.to_owned(),
            before,
            limit,
        })
    }

    /// From now on this start counts as one that did not end well.
    pub(super) fn count(&self) {
        if self.limit == 0 {
            self.forget();
            return;
        }
        let text = format!(
            "# Starts of onrush in a row that did not live for a minute. Remove this file to start from 0.\n{}\n",
            self.before + 1
        );
        let file = NewFile {
            path: FILE.into(),
            bytes: Bytes::from(text),
        };
        if let Err(error) = write_whole(&self.dir, &file) {
            tracing::warn!("{FILE} cannot be written, so this start is not counted: {error}");
        }
    }

    /// The broker lives, or ends as it was told to.
    pub(super) fn forget(&self) {
        match fs::remove_file(self.dir.join(FILE)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("{FILE} cannot be removed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts that are let through until one is refused, at most 20.
    fn starts(dir: &Path, limit: u32) -> u32 {
        let through = (0..20).take_while(|_| Starts::read(dir, limit).map(|s| s.count()).is_ok());
        u32::try_from(through.count()).expect("few")
    }

    #[test]
    fn the_start_after_the_last_allowed_death_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(starts(dir.path(), 5), 5);
        let error = Starts::read(dir.path(), 5)
            .map(|_| ())
            .expect_err("refused");
        let text = error.to_string();
        assert!(text.contains("5 times"), "{text}");
        assert!(text.contains(FILE), "{text}");
        // More are allowed, then the file is removed as the sentence says.
        assert_eq!(starts(dir.path(), 7), 2);
        fs::remove_file(dir.path().join(FILE)).expect("it is there");
        assert_eq!(starts(dir.path(), 7), 7);
    }

    #[test]
    fn a_start_that_went_well_begins_anew() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(starts(dir.path(), 4), 4);
        Starts::read(dir.path(), 5).expect("one more").forget();
        assert_eq!(starts(dir.path(), 4), 4);
        // Without a limit nothing is counted.
        assert_eq!(starts(dir.path(), 0), 20);
        assert_eq!(starts(dir.path(), 1), 1);
    }

    #[test]
    fn a_file_that_makes_no_sense_stops_nobody() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for text in ["", "-3\n", "# x\nfive\n", "99999999999999999999\n"] {
            fs::write(dir.path().join(FILE), text).expect("written");
            assert!(Starts::read(dir.path(), 1).is_ok(), "{text:?}");
        }
    }
}
