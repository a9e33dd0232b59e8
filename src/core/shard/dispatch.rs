//! From a frame to the API it asks for, and from an API's answer to a frame. The one place that knows all APIs served.

use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, Request};

use super::Shard;
use crate::api::context::{ApiContext, Owners};
use crate::api::k00_produce::{self, Produce};
use crate::api::k01_fetch::{self, Fetch};
use crate::api::k02_list_offsets::ListOffsets;
use crate::api::k23_offset_for_leader_epoch::EpochEnds;
use crate::api::{
    k03_metadata, k18_api_versions, k19_create_topics, k20_delete_topics, k22_init_producer_id,
    k32_describe_configs, k60_describe_cluster, k75_describe_topic_partitions,
};
use crate::effect::{Close, Gather, Note};
use crate::input::Effects;
use crate::session::{Admitted, ReplySlot};
use crate::types::Now;
use crate::wire::frame::{self, FrameError, RequestHeader};
use crate::wire::guard::decode_request;
use crate::wire::versions;

/// Where an answer goes and in which form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) slot: ReplySlot,
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
}

impl Shard {
    /// Handles one request.
    pub(super) fn dispatch(&mut self, now: Now, admitted: Admitted, out: &mut Effects) {
        let Admitted { slot, frame } = admitted;
        let (header, body) = match frame::parse(frame) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.sessions.close(slot.conn, of_frame_error(error), out);
                return;
            }
        };
        let asked = Asked {
            slot,
            api_key: header.api.key,
            version: header.version,
            correlation_id: header.correlation_id,
        };
        if let Err(what) = self.handle(now, asked, &header, body, out) {
            let (api_key, version) = (asked.api_key, asked.version);
            self.sessions.close(
                slot.conn,
                Close::Malformed {
                    api_key,
                    version,
                    what,
                },
                out,
            );
        }
    }

    /// Errors: what is wrong with the body; the connection is to be closed.
    fn handle(
        &mut self,
        now: Now,
        asked: Asked,
        header: &RequestHeader,
        body: Bytes,
        out: &mut Effects,
    ) -> Result<(), String> {
        let version = asked.version;
        match asked.api_key {
            versions::PRODUCE => {
                let request = decode(asked, body)?;
                let cx = k00_produce::Context {
                    now,
                    owners: self.owners(),
                    configs: &self.topic_configs,
                    client_id: header.client_id.as_deref(),
                };
                let produce = Produce::new(&cx, version, asked.correlation_id, request);
                self.start_produce(now, asked.slot, produce, out);
            }
            versions::FETCH => {
                let request = decode(asked, body)?;
                let cx = k01_fetch::Context {
                    now,
                    owners: self.owners(),
                    own: self.config.core,
                    bytes_max: self.config.fetch_bytes_max,
                    at_once: self.is_stopping() || self.calls.is_crowded(),
                };
                let fetch = Fetch::new(&cx, version, asked.correlation_id, request);
                self.start_fetch(now, asked.slot, fetch, out);
            }
            versions::LIST_OFFSETS => {
                let request = decode(asked, body)?;
                let list = ListOffsets::new(&self.owners(), version, request);
                self.start_list_offsets(now, asked, list, out);
            }
            versions::OFFSET_FOR_LEADER_EPOCH => {
                let ends = EpochEnds::new(&self.owners(), decode(asked, body)?);
                self.start_epoch_ends(now, asked, ends, out);
            }
            versions::API_VERSIONS => self.api_versions(now, asked, body, out)?,
            versions::CREATE_TOPICS => {
                let request = decode(asked, body)?;
                self.create_topics(asked, k19_create_topics::plan(&request), out);
            }
            versions::DELETE_TOPICS => {
                let request = decode(asked, body)?;
                let plan = k20_delete_topics::plan(&self.context(now, asked), version, &request);
                self.delete_topics(asked, plan, out);
            }
            versions::INIT_PRODUCER_ID => {
                let request = decode(asked, body)?;
                let plan = k22_init_producer_id::plan(&request, self.admin.producer_ids());
                self.init_producer_id(asked, plan, out);
            }
            versions::OFFSET_COMMIT..=versions::LIST_GROUPS
            | versions::DELETE_GROUPS
            | versions::OFFSET_DELETE => self.handle_groups(now, asked, header, body, out)?,
            _ => self.handle_descriptions(now, asked, body, out)?,
        }
        Ok(())
    }

    /// The APIs that only look at metadata.
    fn handle_descriptions(
        &mut self,
        now: Now,
        asked: Asked,
        body: Bytes,
        out: &mut Effects,
    ) -> Result<(), String> {
        let version = asked.version;
        match asked.api_key {
            versions::METADATA => {
                let request = decode(asked, body)?;
                let plan = k03_metadata::handle(&self.context(now, asked), version, &request);
                self.answer(asked, &plan.response, out);
                self.auto_create(plan.create, out);
            }
            versions::DESCRIBE_CONFIGS => {
                let request = decode(asked, body)?;
                let cx = self.context(now, asked);
                let response = k32_describe_configs::handle(&cx, &request);
                self.answer(asked, &response, out);
            }
            versions::DESCRIBE_CLUSTER => {
                let request = decode(asked, body)?;
                let cx = self.context(now, asked);
                let response = k60_describe_cluster::handle(&cx, version, &request);
                self.answer(asked, &response, out);
            }
            versions::DESCRIBE_TOPIC_PARTITIONS => {
                let request = decode(asked, body)?;
                let cx = self.context(now, asked);
                let response = k75_describe_topic_partitions::handle(&cx, &request);
                self.answer(asked, &response, out);
            }
            key => unreachable!("{key} is in the table of versions and has no handler"),
        }
        Ok(())
    }

    fn api_versions(
        &mut self,
        now: Now,
        asked: Asked,
        body: Bytes,
        out: &mut Effects,
    ) -> Result<(), String> {
        let served = versions::find(asked.api_key).is_some_and(|api| api.serves(asked.version));
        if !served {
            // The one API that answers a version it does not know: in version 0, so that the client can choose another.
            let response = k18_api_versions::unsupported();
            self.answer(
                Asked {
                    version: 0,
                    ..asked
                },
                &response,
                out,
            );
            return Ok(());
        }
        let request = decode(asked, body)?;
        let cx = self.context(now, asked);
        let response = k18_api_versions::handle(&cx, asked.version, &request);
        self.answer(asked, &response, out);
        Ok(())
    }

    /// Who of this broker's cores owns which partition.
    pub(super) fn owners(&self) -> Owners<'_> {
        Owners {
            image: &self.image,
            node: self.config.node_id,
            shards: self.config.shards,
        }
    }

    /// What API files see of this shard.
    pub(super) fn context(&self, now: Now, asked: Asked) -> ApiContext<'_> {
        let listener = self.sessions.listener(asked.slot.conn);
        let name = listener.and_then(|id| self.config.listeners.get(usize::from(id.0)));
        ApiContext {
            now,
            image: &self.image,
            node: self.config.node_id,
            listener: name.map_or("", |name| name),
            config: &self.config.broker,
        }
    }

    /// Encodes and hands over an answer.
    pub(super) fn answer(&mut self, asked: Asked, body: &impl Encodable, out: &mut Effects) {
        match frame::response(asked.api_key, asked.version, asked.correlation_id, body) {
            Ok(bytes) => self.sessions.reply(asked.slot, Gather::from_bytes(bytes)),
            Err(error) => {
                // Our own fault; one connection pays for it, the others live on.
                Self::note(out, Note::Error(error.to_string()));
                let (api_key, version) = (asked.api_key, asked.version);
                let what = error.to_string();
                let why = Close::Malformed {
                    api_key,
                    version,
                    what,
                };
                self.sessions.close(asked.slot.conn, why, out);
            }
        }
        self.touched.insert(asked.slot.conn);
    }
}

pub(super) fn decode<T: Request>(asked: Asked, body: Bytes) -> Result<T, String> {
    decode_request(asked.version, body).map_err(|error| error.to_string())
}

fn of_frame_error(error: FrameError) -> Close {
    match error {
        FrameError::Header => Close::Truncated("its header"),
        FrameError::UnknownApi(api_key) => Close::Unsupported {
            api_key,
            version: -1,
        },
        FrameError::UnsupportedVersion { api_key, version } => {
            Close::Unsupported { api_key, version }
        }
    }
}
