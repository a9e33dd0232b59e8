//! CreateTopics: every check of Kafka's controller, in its order.
//!
//! Source: `ControllerApis.createTopics`, `ReplicationControlManager.createTopics`, `StripedReplicaPlacer`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Controller, Decision, IdSource, failed_topic};
use crate::metadata::record::{ConfigChange, PartitionRecord, Record, TopicRecord};
use crate::metadata::{
    CLUSTER_METADATA_TOPIC, CtlReply, DIRECTORY_UNASSIGNED, NewTopic, NewTopicResult,
    collision_form, topic_config, validate_topic_name,
};
use crate::types::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::types::{DirectoryId, ErrorCode, LeaderEpoch, NodeId, PartitionIndex, TopicId};

/// Why a topic is not created: the code and Kafka's sentence.
type Refusal = (ErrorCode, String);

/// Replicas of each partition, in order of the partitions.
type Assignment = Vec<Vec<NodeId>>;

impl Controller<'_> {
    pub(super) fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
        ids: &mut IdSource,
    ) -> Decision {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in topics {
            *count.entry(&topic.name).or_default() += 1;
        }
        let alone = |topic: &&NewTopic| count.get(topic.name.as_str()) == Some(&1);
        let wanted = self.partitions_wanted(topics.iter().filter(alone));
        let too_many = wanted > PARTITIONS_PER_REQUEST_MAX;
        let colliding = self.names_that_may_collide();
        let mut answered_twice = BTreeSet::new();
        let mut records = Vec::new();
        let mut results = Vec::new();
        for topic in topics {
            let name = topic.name.as_str();
            let created = if !alone(&topic) {
                // One answer for a name, however often it stands there.
                if !answered_twice.insert(name) {
                    continue;
                }
                Err(invalid("Duplicate topic name."))
            } else if name == CLUSTER_METADATA_TOPIC {
                Err(invalid(&format!(
                    "Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited."
                )))
            } else if too_many {
                let message = "Excessively large number of partitions per request.";
                Err((ErrorCode::PolicyViolation, message.to_owned()))
            } else {
                self.create_topic(topic, &colliding, ids)
            };
            results.push(match created {
                Ok((mut result, new)) => {
                    if validate_only {
                        result.topic_id = TopicId::ZERO;
                    } else {
                        records.extend(new);
                    }
                    result
                }
                Err((error, message)) => failed_topic(name, error, message),
            });
        }
        Decision {
            records,
            reply: CtlReply::CreateTopics(results),
        }
    }

    /// Partitions that these topics ask for together, as far as their numbers make sense.
    fn partitions_wanted<'t>(&self, topics: impl Iterator<Item = &'t NewTopic>) -> usize {
        topics
            .map(|topic| {
                if !topic.assignments.is_empty() {
                    return topic.assignments.len();
                }
                let wanted = match topic.partitions {
                    -1 => self.configs.settings().num_partitions,
                    given => given,
                };
                usize::try_from(wanted).unwrap_or(0)
            })
            .fold(0, usize::saturating_add)
    }

    /// Existing names with `.` or `_`, by the form in which they collide.
    fn names_that_may_collide(&self) -> BTreeMap<String, Arc<str>> {
        self.image
            .topics_by_name
            .keys()
            .filter(|name| may_collide(name))
            .map(|name| (collision_form(name), name.clone()))
            .collect()
    }

    fn create_topic(
        &self,
        topic: &NewTopic,
        colliding: &BTreeMap<String, Arc<str>>,
        ids: &mut IdSource,
    ) -> Result<(NewTopicResult, Vec<Record>), Refusal> {
        self.check_name(&topic.name, colliding)?;
        let configs = self.broker_configs();
        topic_config::validate(&topic.configs, &configs)
            .map_err(|message| (ErrorCode::InvalidConfig, message))?;
        let overrides: topic_config::Overrides = topic
            .configs
            .iter()
            .filter_map(|(key, value)| Some((key.as_str().into(), value.as_deref()?.into())))
            .collect();
        let assignment = self.assign(topic)?;
        let id = ids.next(&self.image.topics);
        let result = NewTopicResult {
            name: topic.name.clone(),
            error: ErrorCode::None,
            message: None,
            topic_id: id,
            partitions: i32::try_from(assignment.len()).expect("bounded per request"),
            replication_factor: assignment
                .first()
                .and_then(|replicas| i16::try_from(replicas.len()).ok())
                .expect("a topic has partitions and few replicas"),
            configs: topic_config::effective(&overrides, &configs),
        };
        let name: Arc<str> = topic.name.as_str().into();
        let mut records = vec![Record::Topic(TopicRecord {
            name: name.clone(),
            id,
        })];
        records.extend(overrides.into_iter().map(|(key, value)| {
            Record::Config(ConfigChange {
                resource_type: 2,
                resource_name: name.clone(),
                name: key,
                value: Some(value),
            })
        }));
        for (index, replicas) in (0..).zip(assignment) {
            records.push(self.partition_record(id, PartitionIndex(index), replicas));
        }
        Ok((result, records))
    }

    fn check_name(
        &self,
        name: &str,
        colliding: &BTreeMap<String, Arc<str>>,
    ) -> Result<(), Refusal> {
        let bad_name = |message: String| (ErrorCode::InvalidTopicException, message);
        if self.image.topics_by_name.contains_key(name) {
            let message = format!("Topic '{name}' already exists.");
            return Err((ErrorCode::TopicAlreadyExists, message));
        }
        validate_topic_name(name).map_err(bad_name)?;
        if may_collide(name)
            && let Some(other) = colliding.get(&collision_form(name))
        {
            return Err(bad_name(format!(
                "Topic '{name}' collides with existing topic: {other}"
            )));
        }
        Ok(())
    }

    fn assign(&self, topic: &NewTopic) -> Result<Assignment, Refusal> {
        if !topic.assignments.is_empty() {
            return self.check_assignment(topic);
        }
        let settings = self.configs.settings();
        let factor = match topic.replication_factor {
            -1 => settings.default_replication_factor,
            given @ 1.. => given,
            _ => {
                return Err(bad_factor(
                    "Replication factor must be larger than 0, or -1 to use the default value.",
                ));
            }
        };
        let partitions = match topic.partitions {
            -1 => settings.num_partitions,
            given @ 1.. => given,
            _ => {
                return Err((
                    ErrorCode::InvalidPartitions,
                    "Number of partitions was set to an invalid non-positive value.".to_owned(),
                ));
            }
        };
        self.place(partitions, factor)
    }

    /// Spreads partitions over the registered brokers, those that are fenced last.
    fn place(&self, partitions: i32, factor: i16) -> Result<Assignment, Refusal> {
        let refuse = |why: &str| {
            bad_factor(&format!(
                "Unable to replicate the partition {factor} time(s): {why}"
            ))
        };
        let brokers = &self.image.brokers;
        let (live, fenced): (Vec<NodeId>, Vec<NodeId>) =
            brokers.keys().copied().partition(|id| self.is_active(*id));
        let replicas = usize::try_from(factor).unwrap_or(0);
        if replicas == 0 {
            return Err(refuse(&format!(
                "Invalid replication factor {factor}: the replication factor must be positive."
            )));
        }
        if live.is_empty() {
            return Err(refuse("All brokers are currently fenced."));
        }
        if replicas > brokers.len() {
            return Err(refuse(&format!(
                "The target replication factor of {factor} cannot be reached because only {} broker(s) are registered.",
                brokers.len()
            )));
        }
        let partitions = usize::try_from(partitions).unwrap_or(0);
        Ok((0..partitions)
            .map(|partition| {
                let (later, first) = live.split_at(partition % live.len());
                let ring = first.iter().chain(later).chain(&fenced);
                ring.take(replicas).copied().collect()
            })
            .collect())
    }

    fn check_assignment(&self, topic: &NewTopic) -> Result<Assignment, Refusal> {
        let manual = "A manual partition assignment was specified, but";
        if topic.replication_factor != -1 {
            return Err(invalid(&format!(
                "{manual} replication factor was not set to -1."
            )));
        }
        if topic.partitions != -1 {
            return Err(invalid(&format!(
                "{manual} numPartitions was not set to -1."
            )));
        }
        let mut parts: BTreeMap<i32, Vec<NodeId>> = BTreeMap::new();
        let mut factor = None;
        for (index, replicas) in &topic.assignments {
            if parts.contains_key(index) {
                return Err(bad_assignment(format!(
                    "Found multiple manual partition assignments for partition {index}"
                )));
            }
            self.check_replicas(replicas, factor)?;
            factor = Some(replicas.len());
            if !replicas.iter().any(|id| self.is_active(*id)) {
                return Err(bad_assignment(format!(
                    "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled shutdown."
                )));
            }
            parts.insert(*index, replicas.clone());
        }
        if !parts.keys().copied().eq((0..).take(parts.len())) {
            return Err(bad_assignment(
                "partitions should be a consecutive 0-based integer sequence".to_owned(),
            ));
        }
        Ok(parts.into_values().collect())
    }

    fn check_replicas(&self, replicas: &[NodeId], factor: Option<usize>) -> Result<(), Refusal> {
        let refuse = |why: String| {
            Err(bad_assignment(format!(
                "The manual partition assignment includes {why}"
            )))
        };
        if replicas.is_empty() {
            return refuse("an empty replica list.".to_owned());
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        let mut before = None;
        for id in &sorted {
            if !self.image.brokers.contains_key(id) {
                return refuse(format!("broker {id}, but no such broker is registered."));
            }
            if before == Some(id) {
                return refuse(format!("the broker {id} more than once."));
            }
            before = Some(id);
        }
        match factor {
            Some(factor) if factor != sorted.len() => refuse(format!(
                "a partition with {} replica(s), but this is not consistent with previous partitions, which have {factor} replica(s).",
                sorted.len()
            )),
            _ => Ok(()),
        }
    }

    /// Registered, not fenced and not about to stop.
    fn is_active(&self, id: NodeId) -> bool {
        self.image
            .brokers
            .get(&id)
            .is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown)
    }

    fn partition_record(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        replicas: Vec<NodeId>,
    ) -> Record {
        let active = |id: &NodeId| self.is_active(*id);
        let isr: Vec<NodeId> = replicas.iter().copied().filter(active).collect();
        Record::Partition(PartitionRecord {
            version: 2,
            partition,
            topic,
            directories: replicas.iter().map(|id| self.directory_of(*id)).collect(),
            replicas,
            leader: isr.first().copied(),
            isr,
            removing: Vec::new(),
            adding: Vec::new(),
            leader_recovery_state: 0,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            elr: None,
            last_known_elr: None,
        })
    }

    /// A broker's directory if it has only one, else "not chosen".
    fn directory_of(&self, id: NodeId) -> DirectoryId {
        match self.image.brokers.get(&id).map(|b| b.log_dirs.as_slice()) {
            Some([only]) => *only,
            _ => DIRECTORY_UNASSIGNED,
        }
    }
}

fn may_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn invalid(message: &str) -> Refusal {
    (ErrorCode::InvalidRequest, message.to_owned())
}

fn bad_factor(message: &str) -> Refusal {
    (ErrorCode::InvalidReplicationFactor, message.to_owned())
}

fn bad_assignment(message: String) -> Refusal {
    (ErrorCode::InvalidReplicaAssignment, message)
}
