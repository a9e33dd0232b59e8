//! What ctl decides for this shard's clients: topics created and deleted, producer ids.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{
    CreateTopicsResponse, DeleteTopicsResponse, InitProducerIdResponse,
};

use super::Shard;
use super::dispatch::Asked;
use crate::api::context::Plan;
use crate::api::k19_create_topics as create_topics;
use crate::api::k20_delete_topics as delete_topics;
use crate::api::k22_init_producer_id::{self as init_producer_id, ProducerIdPool};
use crate::effect::{Effect, Note};
use crate::input::{CoreMsg, Effects};
use crate::metadata::{CtlReply, CtlRequest, NewTopic};
use crate::types::ErrorCode;
use crate::types::limits::AUTO_CREATES_MAX;

/// What a reply of ctl is for.
#[derive(Debug)]
enum Pending {
    CreateTopics(Asked, create_topics::Pending),
    DeleteTopics(Asked, delete_topics::Pending),
    InitProducerId(Asked, init_producer_id::Pending),
    /// Nobody waits: topics that a Metadata request named.
    AutoCreate(Vec<String>),
}

/// Requests to ctl under way, and the producer ids in hand.
#[derive(Debug, Default)]
pub(super) struct Admin {
    next: u64,
    pending: BTreeMap<u64, Pending>,
    /// Topics whose automatic creation is under way.
    creating: BTreeSet<String>,
    producer_ids: ProducerIdPool,
}

impl Admin {
    pub(super) fn producer_ids(&mut self) -> &mut ProducerIdPool {
        &mut self.producer_ids
    }
}

impl Shard {
    pub(super) fn create_topics(
        &mut self,
        asked: Asked,
        plan: Plan<CreateTopicsResponse, CtlRequest, create_topics::Pending>,
        out: &mut Effects,
    ) {
        match plan {
            Plan::Reply(response) => self.answer(asked, &response, out),
            Plan::Ask(request, pending) => {
                self.ask_ctl(request, Pending::CreateTopics(asked, pending), out);
            }
        }
    }

    pub(super) fn delete_topics(
        &mut self,
        asked: Asked,
        plan: Plan<DeleteTopicsResponse, CtlRequest, delete_topics::Pending>,
        out: &mut Effects,
    ) {
        match plan {
            Plan::Reply(response) => self.answer(asked, &response, out),
            Plan::Ask(request, pending) => {
                self.ask_ctl(request, Pending::DeleteTopics(asked, pending), out);
            }
        }
    }

    pub(super) fn init_producer_id(
        &mut self,
        asked: Asked,
        plan: Plan<InitProducerIdResponse, CtlRequest, init_producer_id::Pending>,
        out: &mut Effects,
    ) {
        match plan {
            Plan::Reply(response) => self.answer(asked, &response, out),
            Plan::Ask(request, pending) => {
                self.ask_ctl(request, Pending::InitProducerId(asked, pending), out);
            }
        }
    }

    /// Creates topics that a Metadata request named, unless that is under way already. The client asks again by itself.
    pub(super) fn auto_create(&mut self, topics: Vec<NewTopic>, out: &mut Effects) {
        let mut wanted = Vec::new();
        for topic in topics {
            let room = self.admin.creating.len() < AUTO_CREATES_MAX;
            if room && self.admin.creating.insert(topic.name.clone()) {
                wanted.push(topic);
            }
        }
        if !wanted.is_empty() {
            let names = wanted.iter().map(|topic| topic.name.clone()).collect();
            let request = CtlRequest::CreateTopics {
                topics: wanted,
                validate_only: false,
            };
            self.ask_ctl(request, Pending::AutoCreate(names), out);
        }
    }

    fn ask_ctl(&mut self, request: CtlRequest, pending: Pending, out: &mut Effects) {
        self.admin.next += 1;
        let id = self.admin.next;
        self.admin.pending.insert(id, pending);
        let msg = CoreMsg::Request { id, request };
        out.push(Effect::Mesh {
            core: self.config.ctl,
            msg,
        });
    }

    pub(super) fn on_ctl_reply(&mut self, id: u64, reply: CtlReply, out: &mut Effects) {
        let pending = self
            .admin
            .pending
            .remove(&id)
            .expect("ctl answers each request once");
        match pending {
            Pending::CreateTopics(asked, pending) => {
                let response = create_topics::finish(pending, reply);
                self.answer(asked, &response, out);
            }
            Pending::DeleteTopics(asked, pending) => {
                let response = delete_topics::finish(pending, reply);
                self.answer(asked, &response, out);
            }
            Pending::InitProducerId(asked, pending) => {
                let ids = &mut self.admin.producer_ids;
                let response = init_producer_id::finish(pending, &reply, ids);
                self.answer(asked, &response, out);
            }
            Pending::AutoCreate(names) => {
                for name in names {
                    self.admin.creating.remove(&name);
                }
                note_refused(reply, out);
            }
        }
    }
}

fn note_refused(reply: CtlReply, out: &mut Effects) {
    let CtlReply::CreateTopics(results) = reply else {
        return;
    };
    for result in results {
        // Two clients may name a new topic at once: the second finds it there.
        if !matches!(
            result.error,
            ErrorCode::None | ErrorCode::TopicAlreadyExists
        ) {
            let why = result.message.unwrap_or_default();
            let name = result.name;
            let text = format!("topic {name} was not created automatically: {why}");
            out.push(Effect::Note(Note::Warn(text)));
        }
    }
}
