//! From a frame about groups to the question for its coordinator.

use bytes::Bytes;

use super::Shard;
use super::dispatch::{Asked, decode};
use super::group_calls::{Kind, java_address};
use crate::api::context::{Client, Plan};
use crate::api::{
    k08_offset_commit, k09_offset_fetch, k10_find_coordinator, k11_join_group, k12_heartbeat,
    k13_leave_group, k14_sync_group, k15_describe_groups, k16_list_groups, k42_delete_groups,
    k47_offset_delete,
};
use crate::group::Request;
use crate::input::Effects;
use crate::types::Now;
use crate::wire::frame::RequestHeader;
use crate::wire::versions;

impl Shard {
    /// The APIs of groups. Errors: what is wrong with the body.
    pub(super) fn handle_groups(
        &mut self,
        now: Now,
        asked: Asked,
        header: &RequestHeader,
        body: Bytes,
        out: &mut Effects,
    ) -> Result<(), String> {
        let version = asked.version;
        let (kind, requests) = match asked.api_key {
            versions::FIND_COORDINATOR => {
                let request = decode(asked, body)?;
                let found =
                    k10_find_coordinator::handle(&self.context(now, asked), version, &request);
                self.answer(asked, &found.response, out);
                self.auto_create(found.create.into_iter().collect(), out);
                return Ok(());
            }
            versions::OFFSET_COMMIT => {
                let request = decode(asked, body)?;
                match k08_offset_commit::plan(&self.context(now, asked), &request) {
                    Plan::Ask(commit, pending) => {
                        (Kind::Commit(pending), vec![Request::Commit(commit)])
                    }
                    Plan::Reply(response) => {
                        self.answer(asked, &response, out);
                        return Ok(());
                    }
                }
            }
            versions::OFFSET_FETCH => {
                let (fetches, pending) = k09_offset_fetch::plan(version, &decode(asked, body)?);
                let requests = fetches.into_iter().map(Request::Fetch).collect();
                (Kind::Fetch(pending), requests)
            }
            versions::OFFSET_DELETE => {
                let request = decode(asked, body)?;
                let cx = self.context(now, asked);
                let (delete, pending) = k47_offset_delete::plan(&cx, &request);
                let requests = vec![Request::OffsetDelete(delete)];
                (Kind::OffsetDelete(pending), requests)
            }
            versions::DESCRIBE_GROUPS => {
                let (requests, pending) = k15_describe_groups::plan(&decode(asked, body)?);
                (Kind::Describe(pending), requests)
            }
            versions::DELETE_GROUPS => {
                let groups = k42_delete_groups::plan(&decode(asked, body)?);
                let requests = groups.iter().cloned();
                let requests = requests.map(|group_id| Request::Delete { group_id });
                let requests = requests.collect();
                (Kind::Delete(groups), requests)
            }
            versions::LIST_GROUPS => {
                match k16_list_groups::plan(&decode(asked, body)?) {
                    Plan::Ask(list, ()) => {
                        self.ask_all_groups(now, asked, &Request::List(list), out);
                    }
                    Plan::Reply(response) => self.answer(asked, &response, out),
                }
                return Ok(());
            }
            _ => return self.handle_members(now, asked, header, body, out),
        };
        self.ask_groups(now, asked, kind, requests, out);
        Ok(())
    }

    /// What members of a group say.
    fn handle_members(
        &mut self,
        now: Now,
        asked: Asked,
        header: &RequestHeader,
        body: Bytes,
        out: &mut Effects,
    ) -> Result<(), String> {
        let version = asked.version;
        let (kind, request) = match asked.api_key {
            versions::JOIN_GROUP => {
                let request = decode(asked, body)?;
                let peer = self.sessions.peer(asked.slot.conn);
                let client = Client {
                    id: header.client_id.as_deref().unwrap_or_default(),
                    host: peer.map(java_address).unwrap_or_default().into(),
                };
                let join = k11_join_group::plan(version, &request, &client);
                (Kind::Join, Request::Join(join))
            }
            versions::HEARTBEAT => {
                let heartbeat = k12_heartbeat::plan(&decode(asked, body)?);
                (Kind::Heartbeat, Request::Heartbeat(heartbeat))
            }
            versions::LEAVE_GROUP => {
                let leave = k13_leave_group::plan(version, &decode(asked, body)?);
                (Kind::Leave, Request::Leave(leave))
            }
            versions::SYNC_GROUP => match k14_sync_group::plan(version, &decode(asked, body)?) {
                Plan::Ask(sync, ()) => (Kind::Sync, Request::Sync(sync)),
                Plan::Reply(response) => {
                    self.answer(asked, &response, out);
                    return Ok(());
                }
            },
            key => unreachable!("{key} is no API of groups"),
        };
        self.ask_groups(now, asked, kind, vec![request], out);
        Ok(())
    }
}
