//! What commands print: to stdout, buffered, as tables for people or JSON for programs.
//!
//! Invariant: a reader that goes away ends the command quietly ([`CliError::is_quiet`]).

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::CliError;

/// Standard output of a command.
pub struct Out {
    stream: BufWriter<Box<dyn Write>>,
}

impl Out {
    /// The process's stdout.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(Box::new(io::stdout()))
    }

    /// Anywhere.
    #[must_use]
    pub fn to(stream: Box<dyn Write>) -> Self {
        Self {
            stream: BufWriter::with_capacity(64 * 1024, stream),
        }
    }

    /// One line.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.stream.write_all(bytes).map_err(CliError::Output)
    }

    /// One JSON value on a line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(|e| CliError::Output(e.into()))?;
        self.line(&text)
    }

    /// Rows under a heading, columns as wide as their widest cell.
    pub fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
        for row in std::iter::once(&heading).chain(rows) {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| format!("{cell:width$}"))
                .collect();
            self.line(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Everything that is buffered goes out.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.stream.flush().map_err(CliError::Output)
    }
}

/// A line on stderr that tells how far a command is; nothing when stderr is no terminal.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    begin: Instant,
    last: Option<Instant>,
    records: u64,
    bytes: u64,
}

/// How often the line is renewed.
const RENEW: Duration = Duration::from_millis(300);

impl Progress {
    /// Begins now. `quiet` hides it.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self {
            shown: !quiet && io::stderr().is_terminal(),
            begin: Instant::now(),
            last: None,
            records: 0,
            bytes: 0,
        }
    }

    /// One more record of this many bytes.
    pub fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
        // The clock is looked at now and then only.
        if self.shown && self.records.is_multiple_of(256) {
            self.renew();
        }
    }

    /// Shows the line if it is time.
    pub fn renew(&mut self) {
        let due = self.last.is_none_or(|last| last.elapsed() >= RENEW);
        if self.shown && due {
            self.last = Some(Instant::now());
            self.show("\r", "");
        }
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The last line.
    pub fn end(&self) {
        if self.shown {
            self.show("\r", "\n");
        }
    }

    fn show(&self, before: &str, after: &str) {
        let millis = self.begin.elapsed().as_millis().max(1);
        let rate = u128::from(self.records) * 1000 / millis;
        let (records, bytes) = (self.records, human_bytes(self.bytes));
        let line = format!("{before}{records} records, {bytes}, {rate} records/s   {after}");
        // A terminal that is gone is no reason to stop.
        io::stderr().write_all(line.as_bytes()).unwrap_or_default();
    }
}

/// `12.3 MiB`.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    let mut whole = bytes;
    let mut rest = 0;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1024 {
            break;
        }
        rest = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = larger;
    }
    if unit == "B" {
        format!("{whole} B")
    } else {
        format!("{whole}.{rest} {unit}")
    }
}

/// Text if it is UTF-8, else `0x…`.
#[must_use]
pub fn text_or_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
            text
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1024 * 1024 * 1024), "1.0 GiB");
        assert_eq!(text_or_hex(b"abc"), "abc");
        assert_eq!(text_or_hex(&[0xff, 0x01]), "0xff01");
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut out = Out::to(Box::new(file.reopen().expect("opens")));
        out.table(&["A", "LONG"], &[vec!["wide".into(), "x".into()]])
            .expect("written");
        out.flush().expect("flushed");
        let text = std::fs::read_to_string(file.path()).expect("read");
        assert_eq!(text, "A     LONG\nwide  x\n");
    }
}
