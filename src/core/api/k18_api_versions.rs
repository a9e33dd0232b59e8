//! ApiVersions (key 18): what this broker speaks; the first request of every client.
//!
//! Versions 0–4, flexible from 3 (its response header never is).
//! * 1: throttle time. 3: the client names its software; features. 4: supported features whose lowest level is 0 may be told.
//!
//! A version that is not served is answered by [`unsupported`], encoded as version 0: the client tries again with what it
//! reads there. (Measured: only if the request came with header version 2; else the connection closes.)
//! Gaps: of the features only those are told that a client can use here: `transaction.version`, `group.version` and the like
//! promise APIs that are not served, and a client that sees them would take another path (docs/SKIPPED.md).
//! Source: KIP-35, KIP-511, KIP-584; Kafka's `ApiVersionsRequest`, `ApiVersionsResponse`, KAFKA-17492, KAFKA-18659.

use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::context::{ApiContext, text};
use crate::types::ErrorCode;
use crate::wire::versions::{API_VERSIONS, APIS, Api};

/// Features whose APIs are served.
const FEATURES: [&str; 2] = ["kraft.version", "metadata.version"];

/// Answers a request of a version that is served.
#[must_use]
pub fn handle(
    ctx: &ApiContext<'_>,
    version: i16,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    let named = is_software_name(&request.client_software_name)
        && is_software_name(&request.client_software_version);
    if version >= 3 && !named {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    let answer = ApiVersionsResponse::default().with_api_keys(APIS.iter().map(row).collect());
    if version < 3 {
        return answer;
    }
    answer
        .with_supported_features(supported(ctx, version))
        .with_finalized_features_epoch(ctx.image.offset.0)
        .with_finalized_features(finalized(ctx))
}

/// The answer to a version that is not served; always encoded as version 0.
#[must_use]
pub fn unsupported() -> ApiVersionsResponse {
    let own = APIS.iter().filter(|api| api.key == API_VERSIONS).map(row);
    ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(own.collect())
}

fn row(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key)
        .with_min_version(api.advertised_min)
        .with_max_version(api.max)
}

/// Letters and digits, with `-` and `.` inside.
fn is_software_name(name: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(name.chars().next())
        && ends(name.chars().next_back())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

fn supported(ctx: &ApiContext<'_>, version: i16) -> Vec<SupportedFeatureKey> {
    let Some(broker) = ctx.image.brokers.get(&ctx.node) else {
        return Vec::new();
    };
    let served = broker
        .features
        .iter()
        .filter(|(name, _)| FEATURES.contains(&&***name));
    served
        // Clients before version 4 take a lowest level of 0 for garbage.
        .filter(|(_, (min, _))| version >= 4 || *min > 0)
        .map(|(name, &(min, max))| {
            SupportedFeatureKey::default()
                .with_name(text(name))
                .with_min_version(min)
                .with_max_version(max)
        })
        .collect()
}

fn finalized(ctx: &ApiContext<'_>) -> Vec<FinalizedFeatureKey> {
    let served = ctx
        .image
        .features
        .iter()
        .filter(|(name, _)| FEATURES.contains(&&***name));
    served
        .map(|(name, &level)| {
            FinalizedFeatureKey::default()
                .with_name(text(name))
                .with_min_version_level(level)
                .with_max_version_level(level)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Fixture, recoded, through_wire};

    fn ask(version: i16, name: &'static str, software: &'static str) -> ApiVersionsResponse {
        let fixture = Fixture::new();
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request = request
                .with_client_software_name(name.into())
                .with_client_software_version(software.into());
        }
        through_wire(version, &request, |request| {
            handle(&fixture.context(), version, &request)
        })
    }

    fn range(response: &ApiVersionsResponse, key: i16) -> Option<(i16, i16)> {
        let mut rows = response.api_keys.iter();
        rows.find(|row| row.api_key == key)
            .map(|row| (row.min_version, row.max_version))
    }

    #[test]
    fn every_version_tells_what_is_served() {
        for version in 0..=4 {
            let got = ask(version, "librdkafka", "2.12.1");
            assert_eq!(got.error_code, 0);
            assert_eq!(got.api_keys.len(), APIS.len());
            assert_eq!(range(&got, 3), Some((0, 13)));
            assert_eq!(range(&got, 68), None, "what is not served is not told");
        }
    }

    #[test]
    fn rule_1_6_produce_is_told_from_zero() {
        assert_eq!(range(&ask(0, "", ""), 0), Some((0, 13)));
    }

    #[test]
    fn rule_1_4_an_unserved_version_gets_the_range_as_version_0() {
        let got = recoded(&unsupported(), 0);
        assert_eq!(got.error_code, 35);
        assert_eq!(got.api_keys.len(), 1);
        assert_eq!(range(&got, 18), Some((0, 4)));
    }

    #[test]
    fn rule_1_5_software_names() {
        for good in ["a", "a-b.c", "apache-kafka-java", "4.2.0"] {
            assert_eq!(ask(3, good, good).error_code, 0, "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "ä", "a_b"] {
            for version in 3..=4 {
                assert_eq!(ask(version, bad, "1").error_code, 42, "{bad}");
                let got = ask(version, "a", bad);
                assert_eq!(got.error_code, 42, "{bad}");
                assert!(got.api_keys.is_empty());
            }
        }
    }

    #[test]
    fn features_promise_only_what_is_served() {
        let got = ask(4, "a", "1");
        let supported: Vec<_> = got
            .supported_features
            .iter()
            .map(|f| (f.name.as_str(), f.min_version, f.max_version))
            .collect();
        assert_eq!(
            supported,
            [("kraft.version", 0, 1), ("metadata.version", 7, 29)]
        );
        let finalized: Vec<_> = got
            .finalized_features
            .iter()
            .map(|f| (f.name.as_str(), f.max_version_level))
            .collect();
        assert_eq!(finalized, [("metadata.version", 29)]);
        assert_eq!(got.finalized_features_epoch, 42);
        // KAFKA-17492: version 3 clients are not told of features that begin at 0.
        assert_eq!(ask(3, "a", "1").supported_features.len(), 1);
    }
}
