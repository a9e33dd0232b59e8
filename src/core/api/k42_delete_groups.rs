//! DeleteGroups (key 42): groups without members go, with their offsets.
//!
//! Versions 0–2, flexible from 2. 1: throttle time moved.
//! Gaps: none.
//! Source: `KafkaApis.handleDeleteGroupsRequest`; KIP-229.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::context::{arc, text};
use crate::types::ErrorCode;

/// The groups to delete, each once, in the order of the request.
#[must_use]
pub fn plan(request: &DeleteGroupsRequest) -> Vec<Arc<str>> {
    let mut seen = BTreeSet::new();
    let groups = request.groups_names.iter().map(|group| arc(group));
    groups.filter(|group| seen.insert(group.clone())).collect()
}

/// The answer, with what became of each group of the plan.
#[must_use]
pub fn finish(groups: &[Arc<str>], errors: &[ErrorCode]) -> DeleteGroupsResponse {
    let results = groups.iter().zip(errors).map(|(group, error)| {
        DeletableGroupResult::default()
            .with_group_id(text(group).into())
            .with_error_code(error.code())
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::recoded;

    #[test]
    fn each_group_once() {
        for version in 0..=2 {
            let names = ["b", "a", "b"].map(|name| text(name).into());
            let request = DeleteGroupsRequest::default().with_groups_names(names.to_vec());
            let groups = plan(&recoded(&request, version));
            assert_eq!(groups, ["b".into(), "a".into()]);
            let errors = [ErrorCode::None, ErrorCode::NonEmptyGroup];
            let got = recoded(&finish(&groups, &errors), version);
            let rows: Vec<_> = got
                .results
                .iter()
                .map(|row| (row.group_id.as_str(), row.error_code))
                .collect();
            assert_eq!(rows, [("b", 0), ("a", 68)]);
        }
    }
}
