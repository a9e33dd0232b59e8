//! The segments: opened, scanned, cut, indexed, one after the other.

use super::{After, Current, Mode, Recovery, Step};
use crate::effect::{DiskOk, DiskOp, DiskOut};
use crate::log::LogError;
use crate::log::index::{Indexed, Indexes};
use crate::log::layout::{Kind, Stage};
use crate::log::scanner::{Scanner, Stop};
use crate::log::segment::Segment;
use crate::types::limits::{RECOVERY_READ_BYTES, SMALL_FILE_BYTES_MAX};
use crate::types::{Offset, Position};

impl Recovery {
    pub(super) fn next_segment(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        while let Some(plan) = self.plans.front().copied() {
            if plan.mode == Mode::Trust {
                self.plans.pop_front();
                self.done.push(Segment::sealed(plan.base, plan.bytes));
                continue;
            }
            let file = out.next_file();
            self.plans.pop_front();
            self.current = Some(Current {
                plan,
                file,
                file_bytes: 0,
                indexes: Indexes::new(plan.base),
                scanner: Scanner::new(plan.base, 0, 0, plan.base),
                first_timestamp: None,
                resume_at: None,
                resume_failed: false,
                cut: false,
            });
            let stage = if plan.mode == Mode::Swap {
                Stage::Swap
            } else {
                Stage::Live
            };
            let op = DiskOp::Open {
                path: self.path(plan.base, Kind::Log, stage),
                file,
                create: false,
            };
            self.ask(Step::Open, op, out);
            return Ok(());
        }
        if !self.found.swaps.is_empty() {
            return self.put_swaps_in_place(out);
        }
        if self.done.is_empty() {
            self.create(out);
        }
        Ok(())
    }

    /// The cleaned segments replace those that begin within their range; then the look begins anew.
    pub(super) fn put_swaps_in_place(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let swaps = std::mem::take(&mut self.found.swaps);
        let logs = swaps.iter().filter(|(_, kind)| *kind == Kind::Log);
        if let Some(from) = logs.map(|&(base, _)| base).min() {
            for (&base, _) in self.found.logs.range(from..self.swap_end.max(from)) {
                for kind in [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::TxnIndex] {
                    let path = self.path(base, kind, Stage::Live);
                    self.tidy.push_back(DiskOp::Remove { path });
                }
            }
        }
        for (base, kind) in swaps {
            self.tidy.push_back(DiskOp::Rename {
                from: self.path(base, kind, Stage::Swap),
                to: self.path(base, kind, Stage::Live),
            });
        }
        self.tidy_on(After::List, out)
    }

    pub(super) fn on_open(&mut self, ok: &DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_mut().expect("a segment is being opened");
        let DiskOk::Opened { bytes } = *ok else {
            let path = self.path(self.current_base(), Kind::Log, Stage::Live);
            return Err(self.corrupt(path, "the segment vanished while it was opened"));
        };
        current.file_bytes = bytes;
        let base = current.plan.base;
        current.scanner = Scanner::new(base, bytes, 0, base);
        if current.plan.mode == Mode::Tail {
            let op = self.read_small(base, Kind::Index);
            self.ask(Step::ReadIndex, op, out);
            return Ok(());
        }
        self.next_piece(out)
    }

    pub(super) fn current_base(&self) -> Offset {
        self.current
            .as_ref()
            .map_or(Offset(0), |current| current.plan.base)
    }

    pub(super) fn read_small(&self, base: Offset, kind: Kind) -> DiskOp {
        DiskOp::ReadFile {
            path: self.path(base, kind, Stage::Live),
            bytes_max: SMALL_FILE_BYTES_MAX,
        }
    }

    pub(super) fn on_index(&mut self, ok: DiskOk, out: &mut DiskOut) {
        let offsets = match ok {
            DiskOk::Bytes(bytes) => Some(bytes),
            _ => None,
        };
        let op = self.read_small(self.current_base(), Kind::TimeIndex);
        self.ask(Step::ReadTimes { offsets }, op, out);
    }

    pub(super) fn on_times(
        &mut self,
        offsets: Option<bytes::Bytes>,
        ok: DiskOk,
        out: &mut DiskOut,
    ) {
        let times = match ok {
            DiskOk::Bytes(bytes) => bytes,
            _ => bytes::Bytes::new(),
        };
        let current = self.current.as_mut().expect("its indexes were read");
        let (base, bytes) = (current.plan.base, current.file_bytes);
        let decoded =
            offsets.and_then(|offsets| Indexes::decode(base, bytes, None, &offsets, &times));
        match decoded {
            Some(indexes) => {
                if let Some((last_offset, position)) = indexes.last_entry() {
                    current.resume_at = Some((last_offset, position.0));
                    // The batch of the entry may begin anywhere up to its last offset.
                    current.scanner = Scanner::new(base, bytes, position.0, base);
                }
                current.indexes = indexes;
            }
            None => current.plan.mode = Mode::Scan,
        }
        self.next_piece(out)
            .expect("a scan that has not begun cannot fail");
    }

    pub(super) fn next_piece(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_ref().expect("a segment is scanned");
        let Some(position) = current.scanner.wants() else {
            return self.on_scanned(out);
        };
        let len = RECOVERY_READ_BYTES.min(current.file_bytes - position);
        let op = DiskOp::Read {
            file: current.file,
            position: Position(position),
            len: u32::try_from(len).expect("RECOVERY_READ_BYTES fits"),
        };
        self.ask(Step::Scan, op, out);
        Ok(())
    }

    pub(super) fn on_piece(&mut self, ok: &DiskOk, out: &mut DiskOut) -> Result<(), LogError> {
        let DiskOk::Bytes(bytes) = ok else {
            panic!("a read is answered with bytes");
        };
        let interval = self.spec.config.index_interval_bytes;
        let (current, epochs) = (
            self.current.as_mut().expect("a segment is scanned"),
            &mut self.epochs,
        );
        if bytes.is_empty() {
            let path = self.path(self.current_base(), Kind::Log, Stage::Live);
            return Err(self.corrupt(path, "the segment is shorter than its size"));
        }
        let swap = current.plan.mode == Mode::Swap;
        let Current {
            scanner,
            indexes,
            first_timestamp,
            resume_at,
            resume_failed,
            ..
        } = current;
        scanner.feed(bytes, |header, position| {
            let batch = Indexed {
                last_offset: header.last_offset(),
                position: Position(position),
                bytes: header.total_bytes(),
                max_timestamp: header.max_timestamp,
            };
            if position == 0 {
                *first_timestamp = Some(header.max_timestamp);
            }
            match resume_at.take() {
                Some((last_offset, _)) => {
                    *resume_failed |= last_offset != batch.last_offset;
                    indexes.resume(batch);
                }
                None => indexes.on_batch(batch, interval),
            }
            if !swap {
                epochs.assign(header.leader_epoch, header.base_offset);
            }
        });
        self.next_piece(out)
    }

    pub(super) fn on_scanned(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let (base, file) = {
            let current = self.current.as_mut().expect("a segment was scanned");
            // The index did not lead to the batch it named: it is not this segment's.
            if current.resume_failed || current.resume_at.is_some() {
                let (base, bytes) = (current.plan.base, current.file_bytes);
                current.plan.mode = Mode::Scan;
                current.resume_failed = false;
                current.resume_at = None;
                current.indexes = Indexes::new(base);
                current.scanner = Scanner::new(base, bytes, 0, base);
                return self.next_piece(out);
            }
            (current.plan.base, current.file)
        };
        let current = self.current.as_ref().expect("a segment was scanned");
        let (end, next_offset) = (current.scanner.end(), current.scanner.next_offset());
        if current.plan.mode == Mode::Swap {
            self.swap_end = self.swap_end.max(next_offset);
            out.push(DiskOp::Close { file });
            self.current = None;
            return self.next_segment(out);
        }
        let log = self.path(base, Kind::Log, Stage::Live);
        match current.scanner.outcome() {
            Some(Stop::Old(magic)) => return Err(LogError::OldFormat { file: log, magic }),
            Some(Stop::Bad { zeros: false }) if self.spec.clean => {
                return Err(self.corrupt(log, "a batch that was safe is corrupt"));
            }
            Some(Stop::Bad { zeros }) => self.opened.torn |= !zeros,
            None => {}
        }
        // What does not follow on goes first, from the end: dying in between leaves the cut to be found again.
        if let Some(next) = self.plans.front().map(|plan| plan.base) {
            // A file that lost its end together with its size ends well, but a later one may have survived.
            let gap = next > next_offset && !self.spec.clean && !self.spec.config.compacted;
            if gap || (end < current.file_bytes && next != next_offset) {
                self.opened.torn = true;
                for plan in std::mem::take(&mut self.plans).into_iter().rev() {
                    self.remove_segment(plan.base);
                }
            } else if next < next_offset {
                let path = self.path(next, Kind::Log, Stage::Live);
                return Err(self.corrupt(path, "it begins before the segment before it ends"));
            }
        }
        self.tidy_on(After::Settle, out)
    }

    pub(super) fn settle(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.as_mut().expect("a segment was scanned");
        let (file, end) = (current.file, current.scanner.end());
        let cut = end < current.file_bytes;
        current.file_bytes = end;
        current.cut = cut;
        if cut {
            let to = Position(end);
            self.ask(Step::Settle, DiskOp::Truncate { file, to }, out);
            Ok(())
        } else if self.spec.clean {
            self.on_settled(out)
        } else {
            // What was scanned may be in the disk's cache only.
            self.ask(Step::Settle, DiskOp::Flush { file }, out);
            Ok(())
        }
    }

    pub(super) fn on_settled(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        if self.plans.is_empty() {
            return self.on_last(out);
        }
        self.write_index(out);
        Ok(())
    }

    pub(super) fn remove_segment(&mut self, base: Offset) {
        for kind in [Kind::Log, Kind::Index, Kind::TimeIndex, Kind::TxnIndex] {
            let path = self.path(base, kind, Stage::Live);
            self.tidy.push_back(DiskOp::Remove { path });
        }
    }

    pub(super) fn write_index(&mut self, out: &mut DiskOut) {
        let current = self.current.as_mut().expect("a segment was settled");
        current.indexes.seal();
        let (base, bytes) = (current.plan.base, current.indexes.encode_offsets());
        let path = self.path(base, Kind::Index, Stage::Live);
        self.ask(Step::WriteIndex, DiskOp::WriteFile { path, bytes }, out);
    }

    pub(super) fn write_times(&mut self, out: &mut DiskOut) {
        let current = self.current.as_ref().expect("a segment was settled");
        let (base, bytes) = (current.plan.base, current.indexes.encode_times());
        let path = self.path(base, Kind::TimeIndex, Stage::Live);
        self.ask(Step::WriteTimes, DiskOp::WriteFile { path, bytes }, out);
    }

    pub(super) fn keep_sealed(&mut self, out: &mut DiskOut) -> Result<(), LogError> {
        let current = self.current.take().expect("a segment was settled");
        let mut segment = Segment::sealed(current.plan.base, current.file_bytes);
        segment.max_timestamp = Some(current.indexes.max_timestamp());
        self.done.push(segment);
        out.push(DiskOp::Close { file: current.file });
        self.next_segment(out)
    }
}
