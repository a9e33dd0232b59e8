//! Where leader epochs ended: the owner's part of OffsetForLeaderEpoch.
//!
//! Source: KIP-320, `Partition.lastOffsetForLeaderEpoch`.

use super::fencing::fenced;
use super::find;
use crate::ask::{EpochAsk, EpochEnd};
use crate::partition::Table;
use crate::types::{ErrorCode, LeaderEpoch, Offset};

/// Answers for every partition asked for.
#[must_use]
pub fn epoch_ends(table: &Table, asks: &[EpochAsk]) -> Vec<EpochEnd> {
    asks.iter().map(|ask| epoch_end(table, ask)).collect()
}

fn epoch_end(table: &Table, ask: &EpochAsk) -> EpochEnd {
    let end = EpochEnd {
        place: ask.place,
        error: ErrorCode::None,
        leader_epoch: LeaderEpoch::NONE,
        end_offset: Offset::NONE,
    };
    let partition = match find(table, ask.topic, ask.partition) {
        Ok((_, partition)) => partition,
        Err(error) => return EpochEnd { error, ..end },
    };
    if let Some(error) = fenced(ask.current_leader_epoch, partition.leader_epoch()) {
        return EpochEnd { error, ..end };
    }
    match partition.end_offset_for_epoch(ask.leader_epoch) {
        Some((leader_epoch, end_offset)) => EpochEnd {
            leader_epoch,
            end_offset,
            ..end
        },
        None => end,
    }
}
