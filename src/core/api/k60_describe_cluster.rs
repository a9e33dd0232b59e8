//! DescribeCluster (key 60): the cluster's id, controller and brokers, for admin clients.
//!
//! Versions 0–2, all flexible. 1: the client says which kind of endpoint it means to ask. 2: fenced brokers on request.
//! Gaps: no controller listener, so that only brokers are described.
//! Source: KIP-700, KIP-919, KIP-1073; Kafka's `AuthHelper.computeDescribeClusterResponse`.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::context::{ApiContext, CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, text};
use crate::types::ErrorCode;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers a request.
#[must_use]
pub fn handle(
    ctx: &ApiContext<'_>,
    version: i16,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, \
                           but we wanted an endpoint of type CONTROLLER";
            return refusal(version, ErrorCode::MismatchedEndpointType, message);
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refusal(version, ErrorCode::UnsupportedEndpointType, &message);
        }
    }
    let with_fenced = version >= 2 && request.include_fenced_brokers;
    let operations = if request.include_cluster_authorized_operations {
        CLUSTER_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_endpoint_type(BROKERS)
        .with_cluster_id(text(&ctx.image.cluster_id))
        .with_controller_id(BrokerId(ctx.controller_id()))
        .with_brokers(brokers(ctx, with_fenced))
        .with_cluster_authorized_operations(operations)
}

fn brokers(ctx: &ApiContext<'_>, with_fenced: bool) -> Vec<DescribeClusterBroker> {
    let all = ctx.image.brokers.iter();
    all.filter(|(_, broker)| with_fenced || !broker.fenced)
        .filter_map(|(&id, broker)| {
            let endpoint = ctx.endpoint_of(id)?;
            let row = DescribeClusterBroker::default()
                .with_broker_id(BrokerId(id.0))
                .with_host(text(&endpoint.host))
                .with_port(endpoint.port.into())
                .with_rack(broker.rack.as_deref().map(text))
                .with_is_fenced(with_fenced && broker.fenced);
            Some(row)
        })
        .collect()
}

/// Version 0 has no word for kinds of endpoints.
fn refusal(version: i16, error: ErrorCode, message: &str) -> DescribeClusterResponse {
    let error = match version {
        0 => ErrorCode::InvalidRequest,
        _ => error,
    };
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(text(message)))
        .with_controller_id(BrokerId(-1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Fixture, through_wire};

    fn ask(
        fixture: &Fixture,
        version: i16,
        request: &DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        through_wire(version, request, |request| {
            handle(&fixture.context(), version, &request)
        })
    }

    #[test]
    fn every_version_answers() {
        let fixture = Fixture::new();
        for version in 0..=2 {
            let asked = DescribeClusterRequest::default()
                .with_include_cluster_authorized_operations(true)
                .with_include_fenced_brokers(version >= 2);
            let got = ask(&fixture, version, &asked);
            assert_eq!(got.error_code, 0);
            assert_eq!(got.cluster_id.as_str(), Fixture::CLUSTER_ID);
            assert_eq!(got.controller_id, BrokerId(1));
            assert_eq!(got.cluster_authorized_operations, 8096);
            let rows: Vec<_> = got
                .brokers
                .iter()
                .map(|b| (b.broker_id.0, b.port, b.is_fenced))
                .collect();
            if version >= 2 {
                assert_eq!(rows, [(1, 9092, false), (2, 9093, true)]);
            } else {
                assert_eq!(rows, [(1, 9092, false)]);
            }
        }
    }

    #[test]
    fn rule_5_13_kinds_of_endpoints() {
        let fixture = Fixture::new();
        for (kind, code) in [(2, 114), (3, 115), (0, 115)] {
            let asked = DescribeClusterRequest::default().with_endpoint_type(kind);
            let got = ask(&fixture, 1, &asked);
            assert_eq!(got.error_code, code);
            assert!(got.brokers.is_empty());
        }
        let got = handle(
            &fixture.context(),
            0,
            &DescribeClusterRequest::default().with_endpoint_type(2),
        );
        assert_eq!(got.error_code, 42);
    }

    #[test]
    fn operations_are_told_only_when_asked() {
        let got = ask(&Fixture::new(), 0, &DescribeClusterRequest::default());
        assert_eq!(got.cluster_authorized_operations, i32::MIN);
    }
}
