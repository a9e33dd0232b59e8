//! Reading what there is: election state, the newest snapshot, the first records, then the log.
//!
//! Source: Kafka's `KafkaMetadataLog.apply`, `KafkaRaftClient.initialize`, `KRaftControlRecordStateMachine`.

use bytes::Bytes;

use super::{Fatal, does_not_fit};
use crate::effect::{DiskOk, DiskOp, DiskOut, DiskResult};
use crate::metadata::Replay;
use crate::metadata::batch::{self, Entry};
use crate::metadata::control::{ControlRecord, Voter};
use crate::metadata::layout;
use crate::metadata::quorum::QuorumState;
use crate::metadata::record::Record;
use crate::metadata::snapshot::{Snapshot, decode_snapshot};
use crate::types::limits::SMALL_FILE_BYTES_MAX;
use crate::types::{LeaderEpoch, NodeId, Offset, Token};

/// Who votes, and since when.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    /// `kraft.version`.
    pub(super) kraft_version: i16,
    /// The voters; `None` if nothing names them (`kraft.version` 0).
    pub(super) voters: Option<Vec<Voter>>,
    /// They stand in the log, not only in the snapshot that formatting wrote.
    pub(super) voters_in_log: bool,
    /// Ids of the voters at the last change of leader.
    pub(super) at_last_election: Vec<NodeId>,
}

/// Everything that was found besides the image.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The highest epoch seen anywhere.
    pub(super) epoch: LeaderEpoch,
    pub(super) quorum: Quorum,
    /// Records of `bootstrap.checkpoint`.
    pub(super) bootstrap: Vec<Record>,
    /// No metadata record was found: the cluster is new.
    pub(super) is_new: bool,
}

#[derive(Debug)]
enum File {
    Listing,
    QuorumState,
    Bootstrap,
    Snapshot(Offset, LeaderEpoch),
}

#[derive(Debug)]
pub(super) struct Load {
    waiting: Vec<(Token, File)>,
    loaded: Loaded,
    snapshot: Option<(Offset, LeaderEpoch)>,
    /// Next offset to read, and the log's end.
    next: Offset,
    end: Offset,
}

impl Load {
    pub(super) fn start(disk: &mut DiskOut) -> Self {
        let list = disk.push(DiskOp::List {
            path: layout::METADATA_DIR.into(),
        });
        let mut load = Self {
            waiting: vec![(list, File::Listing)],
            loaded: Loaded {
                epoch: LeaderEpoch(0),
                quorum: Quorum::default(),
                bootstrap: Vec::new(),
                is_new: true,
            },
            snapshot: None,
            next: Offset(0),
            end: Offset(0),
        };
        load.read_file(layout::QUORUM_STATE, File::QuorumState, disk);
        load.read_file(layout::BOOTSTRAP_CHECKPOINT, File::Bootstrap, disk);
        load
    }

    fn read_file(&mut self, path: &str, file: File, disk: &mut DiskOut) {
        let token = disk.push(DiskOp::ReadFile {
            path: path.into(),
            bytes_max: SMALL_FILE_BYTES_MAX,
        });
        self.waiting.push((token, file));
    }

    /// Takes a small file. True when all are there and the log is to be opened.
    pub(super) fn on_file(
        &mut self,
        token: Token,
        result: DiskResult,
        disk: &mut DiskOut,
        replay: &mut Replay,
    ) -> Result<bool, Fatal> {
        let Some(at) = self.waiting.iter().position(|(t, _)| *t == token) else {
            return Ok(false);
        };
        let (_, file) = self.waiting.swap_remove(at);
        let found = result.map_err(|error| format!("{} cannot be read: {error}.", file.name()))?;
        match (file, found) {
            (File::Listing, DiskOk::Names(names)) => {
                let snapshots = names
                    .iter()
                    .filter(|entry| !entry.is_dir)
                    .filter_map(|entry| layout::parse_snapshot_name(&entry.name));
                if let Some((end, epoch)) = snapshots.max() {
                    let path = layout::snapshot_path(end, epoch);
                    self.read_file(&path, File::Snapshot(end, epoch), disk);
                }
            }
            (File::QuorumState, DiskOk::Bytes(bytes)) => self.on_quorum_state(&bytes)?,
            (File::Bootstrap, DiskOk::Bytes(bytes)) => {
                self.loaded.bootstrap = whole(layout::BOOTSTRAP_CHECKPOINT, &bytes)?.records;
            }
            (File::Snapshot(end, epoch), DiskOk::Bytes(bytes)) => {
                self.on_snapshot(end, epoch, &bytes, replay)?;
            }
            (File::Snapshot(..), _) => return Err("A metadata snapshot vanished.".to_owned()),
            // Kafka formats static voters without a metadata directory, and old versions without a bootstrap file.
            (File::Listing | File::QuorumState | File::Bootstrap, _) => {}
        }
        Ok(self.waiting.is_empty())
    }

    fn on_quorum_state(&mut self, bytes: &Bytes) -> Result<(), Fatal> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let state = QuorumState::decode(text)
            .map_err(|error| format!("{} is damaged: {error}.", layout::QUORUM_STATE))?;
        self.loaded.epoch = self.loaded.epoch.max(state.epoch);
        Ok(())
    }

    fn on_snapshot(
        &mut self,
        end: Offset,
        epoch: LeaderEpoch,
        bytes: &Bytes,
        replay: &mut Replay,
    ) -> Result<(), Fatal> {
        let snapshot = whole(&layout::snapshot_path(end, epoch), bytes)?;
        self.snapshot = Some((end, epoch));
        self.next = end;
        self.loaded.epoch = self.loaded.epoch.max(epoch);
        self.loaded.quorum.kraft_version = snapshot.kraft_version;
        self.loaded.quorum.voters = snapshot.voters;
        // The snapshot at offset 0 is the one that formatting wrote: its voters are not in the log yet.
        self.loaded.quorum.voters_in_log = end > Offset(0);
        // All of them stand for the one offset before the snapshot's end.
        let last = Offset(end.0 - 1);
        for record in snapshot.records {
            self.loaded.is_new = false;
            let applied = replay.apply(last, record);
            applied.map_err(|why| does_not_fit(last, &why))?;
        }
        Ok(())
    }

    /// Where the newest snapshot ends, 0 without one.
    pub(super) fn snapshot_end(&self) -> Offset {
        self.snapshot.map_or(Offset(0), |(end, _)| end)
    }

    pub(super) fn on_opened(&mut self, start: Offset, end: Offset) -> Result<(), Fatal> {
        if start > self.next || end < self.next {
            return Err(format!(
                "The metadata log reaches from offset {start} to {end}, which does not join the snapshot that ends at {}.",
                self.next
            ));
        }
        self.end = end;
        Ok(())
    }

    /// Where to read on; `None` when all was read.
    pub(super) fn next_read(&self) -> Option<Offset> {
        (self.next < self.end).then_some(self.next)
    }

    pub(super) fn on_read(&mut self, bytes: &[u8], replay: &mut Replay) -> Result<(), Fatal> {
        let (batches, _) = batch::decode_all(bytes)
            .map_err(|fault| format!("The metadata log cannot be understood: {fault}."))?;
        let before = self.next;
        for batch in batches {
            self.loaded.epoch = self.loaded.epoch.max(batch.epoch);
            for (offset, entry) in batch.entries {
                // A read begins with the whole batch that holds the offset; a snapshot ends between batches, yet who knows.
                if offset < before {
                    continue;
                }
                match entry {
                    Entry::Control(control) => {
                        self.on_control(control);
                        replay.skip(offset);
                    }
                    Entry::Data(record) => {
                        self.loaded.is_new = false;
                        let applied = replay.apply(offset, record);
                        applied.map_err(|why| does_not_fit(offset, &why))?;
                    }
                }
            }
            self.next = self.next.max(batch.next);
        }
        if self.next == before {
            return Err(format!("The metadata log ends at {before} within a batch."));
        }
        Ok(())
    }

    fn on_control(&mut self, control: ControlRecord) {
        let quorum = &mut self.loaded.quorum;
        match control {
            ControlRecord::LeaderChange { voters, .. } => quorum.at_last_election = voters,
            ControlRecord::KRaftVersion(level) => quorum.kraft_version = level,
            ControlRecord::Voters(voters) => {
                quorum.voters = Some(voters);
                quorum.voters_in_log = true;
            }
            ControlRecord::SnapshotHeader { .. }
            | ControlRecord::SnapshotFooter
            | ControlRecord::Unknown(_) => {}
        }
    }

    /// What was found; the load is over.
    pub(super) fn finish(self) -> Loaded {
        assert!(self.next_read().is_none(), "all was read");
        self.loaded
    }
}

impl File {
    fn name(&self) -> String {
        match self {
            Self::Listing => layout::METADATA_DIR.to_owned(),
            Self::QuorumState => layout::QUORUM_STATE.to_owned(),
            Self::Bootstrap => layout::BOOTSTRAP_CHECKPOINT.to_owned(),
            Self::Snapshot(end, epoch) => layout::snapshot_path(*end, *epoch),
        }
    }
}

fn whole(name: &str, bytes: &[u8]) -> Result<Snapshot, Fatal> {
    decode_snapshot(bytes).map_err(|error| format!("{name} is damaged: {error}."))
}
