//! The client that creates, deletes and looks up topics.
//!
//! Its connection is lost only with the process: a change asked for on a lost connection could happen at any time after.
//!
//! Deliberately absent: several changes at once; concurrent creation of one name is for the controller's own tests.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Action, Client, Context, Link, Phase};
use crate::frames;
use crate::ledger::Existence;

const TOPIC_ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC: i16 = 3;

#[derive(Clone, Copy, Debug)]
enum Asked {
    Create(usize, i16),
    Delete(usize, i16),
    Metadata(i16),
}

/// See the module.
#[derive(Debug)]
pub struct Admin {
    link: Link<Asked>,
    /// Deletes a topic at most this often.
    deletes_left: u32,
    pause_ms_max: u64,
}

impl Admin {
    /// An administrator that deletes topics so often.
    #[must_use]
    pub fn new(deletes: u32, pause_ms_max: u64) -> Self {
        Self {
            link: Link::default(),
            deletes_left: deletes,
            pause_ms_max,
        }
    }

    fn next(&mut self, context: &mut Context) {
        if !self.link.up || !self.link.waiting.is_empty() {
            return;
        }
        let topics = &context.ledger.topics;
        if topics
            .iter()
            .any(|t| matches!(t.existence, Existence::Unknown | Existence::Created))
        {
            self.look(context);
        } else if let Some(absent) = topics.iter().position(|t| t.existence == Existence::Absent) {
            // What was deleted by the end stays away: then the checker can see that it does.
            if context.phase == Phase::Work {
                self.create(context, absent);
            } else {
                self.look(context);
            }
        } else if context.phase == Phase::Work && self.deletes_left > 0 && context.rng.one_in(8) {
            self.deletes_left -= 1;
            let topic = context.rng.index(topics.len());
            self.delete(context, topic);
        } else {
            self.look(context);
        }
    }

    fn pause(&self, context: &mut Context) {
        let ms = context.rng.between(1, self.pause_ms_max);
        context.actions.push(Action::Wake(ms * 1_000_000));
    }

    fn create(&mut self, context: &mut Context, index: usize) {
        context.ledger.begin_life(index);
        let topic = &context.ledger.topics[index];
        let configs = topic.configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(key.clone()))
                .with_value(Some(StrBytes::from_string(value.clone())))
        });
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(30_000)
            .with_topics(vec![
                CreatableTopic::default()
                    .with_name(topic.wire_name())
                    .with_num_partitions(topic.partitions)
                    .with_replication_factor(1)
                    .with_configs(configs.collect()),
            ]);
        let version = i16::try_from(context.rng.between(2, 7)).expect("small");
        let asked = Some(Asked::Create(index, version));
        self.link
            .send(context, ApiKey::CreateTopics, version, &request, asked);
    }

    fn delete(&mut self, context: &mut Context, index: usize) {
        let topic = &mut context.ledger.topics[index];
        topic.existence = Existence::Unknown;
        let mut request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
        let version = i16::try_from(context.rng.between(1, 6)).expect("small");
        if version < 6 {
            request.topic_names = vec![topic.wire_name()];
        } else if context.rng.one_in(2) {
            request.topics = vec![DeleteTopicState::default().with_topic_id(topic.id)];
        } else {
            request.topics = vec![DeleteTopicState::default().with_name(Some(topic.wire_name()))];
        }
        let asked = Some(Asked::Delete(index, version));
        self.link
            .send(context, ApiKey::DeleteTopics, version, &request, asked);
    }

    fn look(&mut self, context: &mut Context) {
        let names = context
            .ledger
            .topics
            .iter()
            .map(|t| MetadataRequestTopic::default().with_name(Some(t.wire_name())));
        let request = MetadataRequest::default()
            .with_topics(Some(names.collect()))
            .with_allow_auto_topic_creation(false);
        let version = i16::try_from(context.rng.between(10, 13)).expect("small");
        let asked = Some(Asked::Metadata(version));
        self.link
            .send(context, ApiKey::Metadata, version, &request, asked);
    }
}

fn on_created(
    context: &mut Context,
    index: usize,
    response: &CreateTopicsResponse,
) -> Result<(), String> {
    let result = response
        .topics
        .first()
        .ok_or("an empty answer to a creation")?;
    let topic = &mut context.ledger.topics[index];
    match result.error_code {
        0 => topic.existence = Existence::Created,
        TOPIC_ALREADY_EXISTS => {
            return Err(format!(
                "{}: created although it does not exist: {result:?}",
                topic.name
            ));
        }
        // A full disk may refuse; the look that follows tells.
        _ => {}
    }
    Ok(())
}

fn on_deleted(
    context: &mut Context,
    index: usize,
    response: &DeleteTopicsResponse,
) -> Result<(), String> {
    let result = response
        .responses
        .first()
        .ok_or("an empty answer to a deletion")?;
    if result.error_code == 0 {
        context.ledger.topics[index].existence = Existence::Absent;
    }
    Ok(())
}

/// Compares what the broker says of every topic with what it said before.
fn on_metadata(context: &mut Context, response: &MetadataResponse) -> Result<(), String> {
    for topic in &mut context.ledger.topics {
        let wire_name = topic.wire_name();
        let found = response
            .topics
            .iter()
            .find(|t| t.name.as_ref() == Some(&wire_name));
        let found =
            found.ok_or_else(|| format!("{}: not in an answer that names it", topic.name))?;
        let there = match found.error_code {
            0 => true,
            UNKNOWN_TOPIC => false,
            other => return Err(format!("{}: error {other} in metadata", topic.name)),
        };
        let count = i32::try_from(found.partitions.len()).expect("few");
        if there
            && (count != topic.partitions || found.partitions.iter().any(|p| p.error_code != 0))
        {
            return Err(format!("{}: {:?}", topic.name, found.partitions));
        }
        match (topic.existence, there) {
            (Existence::Created | Existence::Live, false) => {
                return Err(format!("{}: it is gone", topic.name));
            }
            (Existence::Absent, true) => return Err(format!("{}: it is back", topic.name)),
            (Existence::Unknown, false) => topic.existence = Existence::Absent,
            (Existence::Unknown | Existence::Created | Existence::Live, true) => {
                if topic.id != Uuid::nil() && topic.id != found.topic_id {
                    return Err(format!(
                        "{}: id {} was {}",
                        topic.name, found.topic_id, topic.id
                    ));
                }
                topic.id = found.topic_id;
                topic.existence = Existence::Live;
            }
            (Existence::Absent, false) => {}
        }
    }
    Ok(())
}

impl Client for Admin {
    fn on_connected(&mut self, context: &mut Context) {
        self.link.up = true;
        self.next(context);
    }

    fn on_lost(&mut self, _: &mut Context) {
        // A topic whose creation or deletion was asked for is of unknown existence already.
        self.link.lose();
    }

    fn on_response(&mut self, context: &mut Context, frame: Bytes) -> Result<(), String> {
        let (asked, frame) = self.link.receive(context, frame)?;
        match asked {
            Asked::Create(topic, version) => {
                on_created(context, topic, &frames::decode(frame, version)?)?;
            }
            Asked::Delete(topic, version) => {
                on_deleted(context, topic, &frames::decode(frame, version)?)?;
            }
            Asked::Metadata(version) => {
                on_metadata(context, &frames::decode(frame, version)?)?;
            }
        }
        self.pause(context);
        Ok(())
    }

    fn on_timer(&mut self, context: &mut Context) {
        self.next(context);
    }

    fn is_idle(&self) -> bool {
        self.link.waiting.is_empty()
    }
}
