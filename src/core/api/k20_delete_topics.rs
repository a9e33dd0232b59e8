//! DeleteTopics (key 20): asks the controller to remove topics, by name or id.
//!
//! Versions 1–6, flexible from 4.
//! * 3: TOPIC_DELETION_DISABLED where older clients are told INVALID_REQUEST. 5: messages. 6: topics may be named by id.
//!
//! Checked here: the deadline, `delete.topic.enable`, topics that are named twice in whatever way. The rest is the controller's.
//! Gaps: no authorizer, no quotas.
//! Source: KIP-516, KIP-599; Kafka's `ControllerApis.deleteTopics`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::context::{ApiContext, Plan, text, topic_id, topic_name, uuid};
use crate::metadata::{CtlReply, CtlRequest, DeletedTopic, TopicRef};
use crate::types::{ErrorCode, TopicId};

/// What is known before the controller answers: topics that are refused here.
#[derive(Debug)]
pub struct Pending {
    refused: Vec<DeletableTopicResult>,
}

/// Decides what the controller is asked.
#[must_use]
pub fn plan(
    ctx: &ApiContext<'_>,
    version: i16,
    request: &DeleteTopicsRequest,
) -> Plan<DeleteTopicsResponse, CtlRequest, Pending> {
    let topics = named(version, request);
    if !ctx.config.settings().delete_topic_enable {
        let error = match version {
            ..3 => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        return Plan::Reply(refuse_all(&topics, error));
    }
    if request.timeout_ms <= 0 {
        return Plan::Reply(refuse_all(&topics, ErrorCode::RequestTimedOut));
    }
    let mut refused = Vec::new();
    let wanted = wanted(ctx, &topics, &mut refused);
    if wanted.is_empty() {
        return Plan::Reply(DeleteTopicsResponse::default().with_responses(refused));
    }
    Plan::Ask(
        CtlRequest::DeleteTopics { topics: wanted },
        Pending { refused },
    )
}

/// The answer to the client once the controller has answered. Another kind of reply is our own fault.
#[must_use]
pub fn finish(pending: Pending, reply: CtlReply) -> DeleteTopicsResponse {
    let CtlReply::DeleteTopics(results) = reply else {
        panic!("the controller answered DeleteTopics with {reply:?}");
    };
    let rows = results.iter().map(result).chain(pending.refused);
    DeleteTopicsResponse::default().with_responses(rows.collect())
}

/// The request's topics in the form of version 6.
fn named(version: i16, request: &DeleteTopicsRequest) -> Vec<DeleteTopicState> {
    if version >= 6 {
        return request.topics.clone();
    }
    let names = request.topic_names.iter();
    names
        .map(|name| DeleteTopicState::default().with_name(Some(name.clone())))
        .collect()
}

/// What to ask the controller; the others are added to `refused`.
fn wanted(
    ctx: &ApiContext<'_>,
    topics: &[DeleteTopicState],
    refused: &mut Vec<DeletableTopicResult>,
) -> Vec<TopicRef> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ids: BTreeMap<TopicId, usize> = BTreeMap::new();
    for topic in topics {
        match (&topic.name, topic_id(topic.topic_id)) {
            (None, id) if !id.is_zero() => *ids.entry(id).or_default() += 1,
            (Some(name), TopicId::ZERO) => *names.entry(name.as_str()).or_default() += 1,
            _ => {}
        }
    }
    let refuse = |name: Option<&str>, id: TopicId, message: &str| {
        row(name, id, ErrorCode::InvalidRequest, Some(message))
    };
    let mut wanted = Vec::new();
    let mut told_names = BTreeSet::new();
    let mut told_ids = BTreeSet::new();
    for topic in topics {
        let name = topic.name.as_ref().map(|name| name.as_str());
        let id = topic_id(topic.topic_id);
        match name {
            None if id.is_zero() => {
                refused.push(refuse(
                    None,
                    id,
                    "Neither topic name nor id were specified.",
                ));
            }
            Some(name) if !id.is_zero() => {
                let message = "You may not specify both topic name and topic id.";
                refused.push(refuse(Some(name), id, message));
            }
            None if !told_ids.insert(id) => {}
            None if ids.get(&id).is_some_and(|&count| count > 1) => {
                refused.push(refuse(None, id, "Duplicate topic id."));
            }
            None => {
                // The same topic by its name: that entry carries the refusal of both.
                let own = ctx.image.topics.get(&id).map(|topic| &*topic.name);
                if own.is_none_or(|own| names.get(own) != Some(&1)) {
                    wanted.push(TopicRef { name: None, id });
                }
            }
            Some(name) if !told_names.insert(name) => {}
            Some(name) if names.get(name).is_some_and(|&count| count > 1) => {
                refused.push(refuse(Some(name), TopicId::ZERO, "Duplicate topic name."));
            }
            Some(name) => match ctx.image.topics_by_name.get(name) {
                Some(own) if ids.contains_key(own) => {
                    let message =
                        "The provided topic name maps to an ID that was already supplied.";
                    refused.push(refuse(Some(name), *own, message));
                }
                _ => wanted.push(TopicRef {
                    name: Some(name.to_owned()),
                    id: TopicId::ZERO,
                }),
            },
        }
    }
    wanted
}

fn refuse_all(topics: &[DeleteTopicState], error: ErrorCode) -> DeleteTopicsResponse {
    let rows = topics.iter().map(|topic| {
        let name = topic.name.as_ref().map(|name| name.as_str());
        row(name, topic_id(topic.topic_id), error, None)
    });
    DeleteTopicsResponse::default().with_responses(rows.collect())
}

fn result(topic: &DeletedTopic) -> DeletableTopicResult {
    row(
        topic.name.as_deref(),
        topic.id,
        topic.error,
        topic.message.as_deref(),
    )
}

fn row(
    name: Option<&str>,
    id: TopicId,
    error: ErrorCode,
    message: Option<&str>,
) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name.map(topic_name))
        .with_topic_id(uuid(id))
        .with_error_code(error.code())
        .with_error_message(message.map(text))
}

#[cfg(test)]
mod tests;
