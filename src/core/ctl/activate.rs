//! Becoming the leader: checks, the new epoch, its first records.
//!
//! Source: Kafka's `LeaderState.appendStartOfEpochControlRecords`, `ActivationRecordsGenerator`, `BrokerLifecycleManager`.

use super::load::{Loaded, Quorum};
use super::{Ctl, Fatal, Phase};
use crate::effect::DiskOp;
use crate::metadata::Image;
use crate::metadata::control::ControlRecord;
use crate::metadata::controller::{bootstrap_records, election_records, foreign_node};
use crate::metadata::features::SUPPORTED;
use crate::metadata::layout;
use crate::metadata::quorum::QuorumState;
use crate::metadata::record::{Record, TransactionNote};
use crate::types::{DirectoryId, LeaderEpoch, NodeId, Now};

impl Ctl {
    /// Checks what was loaded and makes the next epoch durable.
    pub(super) fn elect(&mut self, mut loaded: Loaded) -> Result<(), Fatal> {
        check_quorum(
            &loaded.quorum,
            self.config.node_id,
            self.config.directory_id,
        )?;
        check_image(self.replay.image(), self.config.node_id)?;
        let Some(epoch) = loaded.epoch.0.checked_add(1) else {
            return Err("The metadata log has used up its leader epochs.".to_owned());
        };
        loaded.epoch = LeaderEpoch(epoch);
        let state = QuorumState {
            leader: Some(self.config.node_id),
            ..QuorumState::unattached(loaded.epoch)
        };
        self.files.push(DiskOp::WriteFile {
            path: layout::QUORUM_STATE.into(),
            bytes: state.encode(),
        });
        self.phase = Phase::Electing(loaded);
        Ok(())
    }

    /// Appends everything that a new epoch begins with; one flush covers it.
    pub(super) fn activate(&mut self, now: Now, loaded: Loaded) -> Result<(), Fatal> {
        let node = self.config.node_id;
        self.journal.lead(loaded.epoch);
        let mut controls = vec![ControlRecord::LeaderChange {
            leader: node,
            voters: vec![node],
            granting: vec![node],
        }];
        let Quorum {
            kraft_version,
            voters,
            voters_in_log,
            ..
        } = loaded.quorum;
        if let (true, false, Some(voters)) = (kraft_version >= 1, voters_in_log, voters) {
            controls.push(ControlRecord::KRaftVersion(kraft_version));
            controls.push(ControlRecord::Voters(voters));
        }
        self.journal.append_controls(now, controls)?;
        if self.replay.in_transaction() {
            // The process before this one did not come to its end.
            let text = Some("the controller was restarted".into());
            let abort = Record::AbortTransaction(TransactionNote { text });
            self.journal.append(now, vec![abort])?;
        }
        if loaded.is_new || self.replay.image().features.is_empty() {
            let min_isr = self.config.configs.get("min.insync.replicas");
            let min_isr = min_isr
                .and_then(|entry| entry.value.as_deref())
                .unwrap_or("1");
            let records = bootstrap_records(loaded.bootstrap, min_isr);
            self.journal.append(now, records)?;
        }
        let epoch = self.journal.end();
        let (register, unfence) = self.registration().records(epoch);
        self.journal.append(now, vec![register])?;
        self.journal.append(now, vec![unfence])?;
        let elected = election_records(self.replay.image(), node);
        self.journal.append_chunks(now, &elected)?;
        self.phase = Phase::Activating;
        Ok(())
    }
}

/// Refuses a quorum of which this directory is not the only member.
fn check_quorum(quorum: &Quorum, node: NodeId, directory: DirectoryId) -> Result<(), Fatal> {
    let members: Vec<NodeId> = match &quorum.voters {
        Some(voters) => voters.iter().map(|voter| voter.id).collect(),
        None => quorum.at_last_election.clone(),
    };
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    match members.as_slice() {
        [] => {}
        [only] if *only == node => {}
        [only] => {
            return Err(format!(
                "The metadata log's only voter is node {only}, but node.id is {node}."
            ));
        }
        _ => {
            return Err(format!(
                "The metadata log belongs to a quorum of several voters ({}), which is not supported yet.",
                names.join(", ")
            ));
        }
    }
    let other_directory = quorum
        .voters
        .iter()
        .flatten()
        .map(|voter| voter.directory)
        .find(|id| *id != directory);
    match other_directory {
        Some(id) => Err(format!(
            "The metadata log's only voter is directory {id}, but meta.properties says {directory}."
        )),
        None => Ok(()),
    }
}

/// Refuses a cluster of several brokers, and features of a later version.
fn check_image(image: &Image, node: NodeId) -> Result<(), Fatal> {
    if let Some(other) = foreign_node(image, node) {
        return Err(format!(
            "The metadata names another broker, node {other}: a cluster of several nodes is not supported yet."
        ));
    }
    for (name, level) in &image.features {
        let known = SUPPORTED.iter().find(|(known, _, _)| *known == &**name);
        let Some((_, min, max)) = known else {
            return Err(format!(
                "The cluster uses the feature {name}, which is not known."
            ));
        };
        if level < min || level > max {
            return Err(format!(
                "The cluster uses {name} {level}; supported is {min} to {max}."
            ));
        }
    }
    Ok(())
}
