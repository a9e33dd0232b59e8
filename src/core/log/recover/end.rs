//! The end: the last segment becomes the one that takes appends, or a new one is made.

use super::{After, Current, Mode, Plan, Recovered, Recovery, Step};
use crate::effect::{DiskOk, DiskOp, DiskOut};
use crate::log::index::Indexes;
use crate::log::layout::{Kind, Stage};
use crate::log::scanner::Scanner;
use crate::log::segment::Segment;
use crate::log::writer::{Mark, Writer, sector_floor};
use crate::log::{LogError, Opened};
use crate::types::limits::BATCH_HEADER_BYTES;
use crate::types::{Now, Offset, Position};
use crate::wire::batch::BatchHeader;

impl Recovery {
    pub(super) fn on_last(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("the last segment was settled");
        let (file, end) = (current.file, current.scanner.next_offset());
        if self.spec.log_start.is_some_and(|start| end < start) {
            out.push(DiskOp::Close { file });
            let base = current.plan.base;
            self.current = None;
            self.start_over = true;
            self.epochs.cut_end(Offset(0));
            self.remove_segment(base);
            for segment in std::mem::take(&mut self.done).into_iter().rev() {
                self.remove_segment(segment.base);
            }
            return self.tidy_on(After::Create, out);
        }
        self.tidy_snapshots(out)
    }

    pub(super) fn create(&mut self, out: &mut DiskOut) {
        let base = self.spec.log_start.unwrap_or(Offset(0)).max(Offset(0));
        let file = out.next_file();
        self.current = Some(Current {
            plan: Plan {
                base,
                bytes: 0,
                mode: Mode::Scan,
            },
            file,
            file_bytes: 0,
            indexes: Indexes::new(base),
            scanner: Scanner::new(base, 0, 0, base),
            first_timestamp: None,
            resume_at: None,
            resume_failed: false,
            cut: false,
        });
        let op = DiskOp::Open {
            path: self.path(base, Kind::Log, Stage::Live),
            file,
            create: true,
        };
        self.ask(Step::Create, op, out);
    }

    /// Snapshots above the end belong to records that are no more.
    pub(super) fn tidy_snapshots(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("the last segment is open");
        let end = current.scanner.next_offset();
        let found = std::mem::take(&mut self.found.snapshots);
        let (keep, drop): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|&at| at <= end && !self.start_over);
        self.found.snapshots = keep;
        for at in drop {
            let path = self.path(at, Kind::Snapshot, Stage::Live);
            self.tidy.push_back(DiskOp::Remove { path });
        }
        self.tidy_on(After::Snapshots, out)
    }

    /// The first bytes of an append must fill the open sector from its start on: what is in it already goes into memory first.
    pub(super) fn carry(&mut self, out: &mut DiskOut) {
        let current = self.current.as_ref().expect("the last segment is open");
        let end = current.scanner.end();
        let from = sector_floor(end);
        if from == end {
            self.first_head(out);
            return;
        }
        let op = DiskOp::Read {
            file: current.file,
            position: Position(from),
            len: u32::try_from(end - from).expect("less than a sector"),
        };
        self.ask(Step::Carry, op, out);
    }

    pub(super) fn on_carry(&mut self, ok: DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("the last segment is open");
        let end = current.scanner.end();
        let from = sector_floor(end);
        match ok {
            DiskOk::Bytes(bytes) if bytes.len() as u64 == end - from => {
                out.push(DiskOp::Append {
                    file: current.file,
                    position: Position(from),
                    parts: vec![bytes],
                });
                self.first_head(out);
                Ok(())
            }
            _ => {
                let path = self.path(self.current_base(), Kind::Log, Stage::Live);
                Err(self.corrupt(path, "the segment is shorter than its size"))
            }
        }
    }

    /// A roll by time counts from the first batch, which a short scan has not seen.
    pub(super) fn first_head(&mut self, out: &mut DiskOut) {
        let current = self.current.as_ref().expect("the last segment is open");
        if current.first_timestamp.is_some() || current.scanner.end() == 0 {
            self.ready = true;
            return;
        }
        let op = DiskOp::Read {
            file: current.file,
            position: Position(0),
            len: u32::try_from(BATCH_HEADER_BYTES).expect("61"),
        };
        self.ask(Step::FirstHead, op, out);
    }

    pub(super) fn on_first_head(&mut self, ok: &DiskOk) {
        let current = self.current.as_mut().expect("the last segment is open");
        if let DiskOk::Bytes(bytes) = ok
            && let Ok(header) = BatchHeader::decode(bytes)
        {
            current.first_timestamp = Some(header.max_timestamp);
        }
        self.ready = true;
    }

    pub(super) fn finished(&mut self, now: Now) -> Option<Recovered> {
        if !self.ready {
            return None;
        }
        let current = self.current.take()?;
        let end = Mark {
            offset: current.scanner.next_offset(),
            position: current.scanner.end(),
        };
        let writer = Writer::at(current.file, end);
        let mut active = Segment::active(current.indexes, writer, now.wall);
        active.first_timestamp = current.first_timestamp;
        active.final_on_disk = current.plan.mode == Mode::Tail && !current.cut;
        let mut segments = std::mem::take(&mut self.done);
        segments.push(active);
        let first = segments.first().map_or(end.offset, |segment| segment.base);
        let log_start = self.spec.log_start.map_or(first, |start| start.max(first));
        let mut epochs = std::mem::take(&mut self.epochs);
        epochs.cut_end(end.offset);
        epochs.cut_start(log_start);
        Some(Recovered {
            segments,
            epochs,
            opened: Opened {
                log_start,
                log_end: end.offset,
                snapshots: std::mem::take(&mut self.found.snapshots),
                ..self.opened.clone()
            },
        })
    }
}
