//! Snapshots of the metadata log (`.checkpoint` files): a header, the state as records, a footer.
//!
//! Offsets inside a snapshot count from 0 and mean nothing; what it covers is in its name.
//! Source: Kafka's `RecordsSnapshotWriter`, `RecordsSnapshotReader`; KIP-630, KIP-853.

use bytes::{Bytes, BytesMut};

use super::batch::{self, BatchFault, Entry};
use super::control::{ControlRecord, Voter};
use super::record::Record;
use crate::types::{LeaderEpoch, Offset, WallMillis};

/// Records in one batch of a snapshot.
const RECORDS_PER_BATCH: usize = 1024;

/// What a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Append time of the last record of the log that is in it.
    pub last_contained: WallMillis,
    /// Level of `kraft.version`; 0 if it does not say.
    pub kraft_version: i16,
    /// The voters, if it names them.
    pub voters: Option<Vec<Voter>>,
    /// The metadata records.
    pub records: Vec<Record>,
}

/// Why a snapshot is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It ends without a footer: it was never finished.
    #[error("it ends without a footer")]
    Unfinished,
    /// A batch in it cannot be understood.
    #[error(transparent)]
    Batch(#[from] BatchFault),
}

/// Encodes a snapshot. `quorum` is the level of `kraft.version` and the voters; left out below level 1.
#[must_use]
pub fn encode_snapshot(
    last_contained: WallMillis,
    now: WallMillis,
    quorum: Option<(i16, &[Voter])>,
    records: &[Record],
) -> Bytes {
    let mut head = vec![ControlRecord::SnapshotHeader { last_contained }];
    if let Some((level, voters)) = quorum {
        head.push(ControlRecord::KRaftVersion(level));
        head.push(ControlRecord::Voters(voters.to_vec()));
    }
    let mut out = BytesMut::new();
    let mut next = Offset(0);
    let mut add = |bytes: Bytes, count: usize| {
        out.extend_from_slice(&bytes);
        next = next.plus(i64::try_from(count).expect("counts fit"));
        next
    };
    let epoch = LeaderEpoch(0);
    let mut base = add(
        batch::encode_controls(Offset(0), epoch, now, &head),
        head.len(),
    );
    for chunk in records.chunks(RECORDS_PER_BATCH) {
        base = add(batch::encode_records(base, epoch, now, chunk), chunk.len());
    }
    add(
        batch::encode_controls(base, epoch, now, &[ControlRecord::SnapshotFooter]),
        1,
    );
    out.freeze()
}

/// Decodes a whole snapshot.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let mut snapshot = Snapshot::default();
    let (batches, _) = batch::decode_all(bytes)?;
    for (_, entry) in batches.into_iter().flat_map(|batch| batch.entries) {
        match entry {
            Entry::Data(record) => snapshot.records.push(record),
            Entry::Control(ControlRecord::SnapshotHeader { last_contained }) => {
                snapshot.last_contained = last_contained;
            }
            Entry::Control(ControlRecord::KRaftVersion(level)) => snapshot.kraft_version = level,
            Entry::Control(ControlRecord::Voters(voters)) => snapshot.voters = Some(voters),
            Entry::Control(ControlRecord::SnapshotFooter) => return Ok(snapshot),
            Entry::Control(ControlRecord::LeaderChange { .. } | ControlRecord::Unknown(_)) => {}
        }
    }
    Err(SnapshotError::Unfinished)
}
