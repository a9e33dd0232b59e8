//! DeleteTopics: by name or by id, each topic once.
//!
//! Source: `ControllerApis.deleteTopics`, `ReplicationControlManager.deleteTopics`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Controller, Decision};
use crate::metadata::record::{Record, RemoveTopic};
use crate::metadata::{CtlReply, CtlRequest, DeletedTopic, TopicRef};
use crate::types::{ErrorCode, TopicId};

/// Sentences of Kafka's `Errors`.
const UNKNOWN_NAME: &str = "This server does not host this topic-partition.";
const UNKNOWN_ID: &str = "This server does not host this topic ID.";
const DISABLED: &str = "Topic deletion is disabled.";

/// Names and ids of a request, each with how often it stands there, and the answers so far.
#[derive(Default)]
struct Wanted<'t> {
    names: BTreeMap<&'t str, usize>,
    ids: BTreeMap<TopicId, usize>,
    results: Vec<DeletedTopic>,
}

impl Controller<'_> {
    pub(super) fn delete_topics(&self, topics: &[TopicRef]) -> Decision {
        if !self.configs.settings().delete_topic_enable {
            let topics = topics.to_vec();
            let request = CtlRequest::DeleteTopics { topics };
            return Decision {
                records: Vec::new(),
                reply: super::refuse(&request, ErrorCode::TopicDeletionDisabled, DISABLED),
            };
        }
        let mut wanted = Wanted::default();
        for topic in topics {
            wanted.add(topic);
        }
        let duplicate_ids = wanted.refuse_duplicates();
        let found = self.find(&mut wanted, duplicate_ids);
        let mut records = Vec::new();
        for (id, name) in found {
            records.push(Record::RemoveTopic(RemoveTopic { id }));
            wanted.push(Some(name), id, ErrorCode::None, None);
        }
        Decision {
            records,
            reply: CtlReply::DeleteTopics(wanted.results),
        }
    }

    /// The topics to delete: every valid name and id that stands once, not both for the same topic.
    fn find(
        &self,
        wanted: &mut Wanted<'_>,
        mut duplicate_ids: BTreeSet<TopicId>,
    ) -> BTreeMap<TopicId, &str> {
        let mut found: BTreeMap<TopicId, &str> = BTreeMap::new();
        for id in std::mem::take(&mut wanted.ids).into_keys() {
            match self.image.topics.get(&id) {
                Some(topic) => {
                    found.insert(id, &topic.name);
                }
                None => wanted.push(None, id, ErrorCode::UnknownTopicId, Some(UNKNOWN_ID)),
            }
        }
        for name in std::mem::take(&mut wanted.names).into_keys() {
            let Some((name, &id)) = self.image.topics_by_name.get_key_value(name) else {
                let code = ErrorCode::UnknownTopicOrPartition;
                wanted.push(Some(name), TopicId::ZERO, code, Some(UNKNOWN_NAME));
                continue;
            };
            if duplicate_ids.contains(&id) || found.insert(id, name).is_some() {
                duplicate_ids.insert(id);
                found.remove(&id);
                let message = "The provided topic name maps to an ID that was already supplied.";
                wanted.push(Some(name), id, ErrorCode::InvalidRequest, Some(message));
            }
        }
        found
    }
}

impl<'t> Wanted<'t> {
    fn add(&mut self, topic: &'t TopicRef) {
        let code = ErrorCode::InvalidRequest;
        match (topic.name.as_deref(), topic.id.is_zero()) {
            (Some(name), true) => *self.names.entry(name).or_default() += 1,
            (None, false) => *self.ids.entry(topic.id).or_default() += 1,
            (None, true) => {
                let message = "Neither topic name nor id were specified.";
                self.push(None, TopicId::ZERO, code, Some(message));
            }
            (Some(name), false) => {
                let message = "You may not specify both topic name and topic id.";
                self.push(Some(name), topic.id, code, Some(message));
            }
        }
    }

    /// Answers what stands there twice and takes it off the lists; returns those ids.
    fn refuse_duplicates(&mut self) -> BTreeSet<TopicId> {
        let code = ErrorCode::InvalidRequest;
        for (name, count) in std::mem::take(&mut self.names) {
            if count == 1 {
                self.names.insert(name, 1);
            } else {
                let message = "Duplicate topic name.";
                self.push(Some(name), TopicId::ZERO, code, Some(message));
            }
        }
        let mut duplicates = BTreeSet::new();
        for (id, count) in std::mem::take(&mut self.ids) {
            if count == 1 {
                self.ids.insert(id, 1);
            } else {
                duplicates.insert(id);
                self.push(None, id, code, Some("Duplicate topic id."));
            }
        }
        duplicates
    }

    fn push(&mut self, name: Option<&str>, id: TopicId, error: ErrorCode, message: Option<&str>) {
        self.results.push(DeletedTopic {
            name: name.map(Into::into),
            id,
            error,
            message: message.map(str::to_owned),
        });
    }
}
