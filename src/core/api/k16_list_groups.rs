//! ListGroups (key 16): all groups of this broker.
//!
//! Versions 0–5, flexible from 3. 1: throttle time. 4: states, as a filter and in the answer. 5: types.
//! Gaps: groups of other types than `classic` do not exist here.
//! Source: `KafkaApis.handleListGroupsRequest`, `GroupCoordinatorService.listGroups`; KIP-518, KIP-848.

use kafka_protocol::messages::list_groups_response::ListedGroup as Row;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::context::{Plan, text};
use crate::group::GroupState;
use crate::group::reply::ListedGroup;
use crate::group::request::List;
use crate::types::ErrorCode;

const CLASSIC: &str = "classic";

/// What every coordinator is to be asked, or the answer if nothing can match.
#[must_use]
pub fn plan(request: &ListGroupsRequest) -> Plan<ListGroupsResponse, List, ()> {
    let filter = &request.states_filter;
    let states: Vec<GroupState> = filter.iter().filter_map(|s| GroupState::parse(s)).collect();
    let types = &request.types_filter;
    let classic = types.is_empty() || types.iter().any(|t| t.eq_ignore_ascii_case(CLASSIC));
    if !classic || states.is_empty() && !filter.is_empty() {
        return Plan::Reply(ListGroupsResponse::default());
    }
    Plan::Ask(List { states, classic }, ())
}

/// The answer, with what each shard said. One error stands for the whole.
#[must_use]
pub fn finish(
    version: i16,
    replies: Vec<Result<Vec<ListedGroup>, ErrorCode>>,
) -> ListGroupsResponse {
    let mut groups = Vec::new();
    for reply in replies {
        match reply {
            Ok(mut some) => groups.append(&mut some),
            Err(error) => return ListGroupsResponse::default().with_error_code(error.code()),
        }
    }
    groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    let rows = groups.into_iter().map(|group| {
        let row = Row::default()
            .with_group_id(text(&group.group_id).into())
            .with_protocol_type(text(&group.protocol_type));
        match version {
            0..=3 => row,
            4 => row.with_group_state(text(group.state.name())),
            _ => row
                .with_group_state(text(group.state.name()))
                .with_group_type(text(CLASSIC)),
        }
    });
    ListGroupsResponse::default().with_groups(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;

    fn group(name: &str) -> ListedGroup {
        ListedGroup {
            group_id: name.into(),
            protocol_type: "consumer".into(),
            state: GroupState::Empty,
        }
    }

    #[test]
    fn every_version_answers() {
        for version in 0..=5 {
            let replies = vec![Ok(vec![group("b")]), Ok(vec![group("a")])];
            let got = recoded(&finish(version, replies), version);
            let names: Vec<_> = got.groups.iter().map(|g| g.group_id.as_str()).collect();
            assert_eq!(names, ["a", "b"]);
            let state = got.groups[0].group_state.as_str();
            assert_eq!(state, if version >= 4 { "Empty" } else { "" });
            let kind = got.groups[0].group_type.as_str();
            assert_eq!(kind, if version >= 5 { "classic" } else { "" });
            let loading = vec![Ok(vec![]), Err(ErrorCode::CoordinatorLoadInProgress)];
            let got = recoded(&finish(version, loading), version);
            assert_eq!((got.error_code, got.groups.len()), (14, 0));
        }
    }

    #[test]
    fn filters() {
        let request = |states: &[&'static str], types: &[&'static str]| {
            let texts = |all: &[&'static str]| all.iter().map(|t| text(t)).collect();
            let request = ListGroupsRequest::default()
                .with_states_filter(texts(states))
                .with_types_filter(texts(types));
            recoded(&request, 5)
        };
        let Plan::Ask(list, ()) = plan(&request(&["stable", "Nowhere"], &["CLASSIC"])) else {
            panic!("some may match");
        };
        assert_eq!(
            (list.states, list.classic),
            (vec![GroupState::Stable], true)
        );
        for nothing in [
            request(&["Nowhere"], &[]),
            request(&[], &["consumer", "share"]),
        ] {
            assert!(matches!(plan(&nothing), Plan::Reply(_)));
        }
    }
}
