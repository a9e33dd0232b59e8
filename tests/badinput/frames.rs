//! Frames of real clients, damaged: cut short, with counts that no frame could hold, of unknown
//! APIs and versions.

use bytes::Buf;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::Decodable;
use onrush_testkit::client;
use onrush_testkit::fixtures::{self, Exchange};

use crate::witness::{Outcome, Witness, framed};

fn exchanges() -> Vec<Exchange> {
    fixtures::exchanges(env!("CARGO_MANIFEST_DIR"))
}

/// Where the body begins: behind key, version, correlation id, client id and, in flexible
/// versions, the header's tagged fields (that one byte is left in the body's account).
fn body_at(exchange: &Exchange) -> usize {
    let length = i16::from_be_bytes([exchange.request[8], exchange.request[9]]);
    10 + usize::try_from(length.max(0)).unwrap()
}

#[test]
fn truncated_bodies_close() {
    let mut witness = Witness::new();
    for exchange in exchanges() {
        let body = body_at(&exchange);
        for cut in [
            body + 1,
            body.midpoint(exchange.request.len()),
            exchange.request.len() - 1,
        ] {
            if cut >= exchange.request.len() || cut <= body {
                continue;
            }
            witness.send_and_leave(&framed(&exchange.request[..cut]));
        }
        for cut in [2, 5, 9] {
            let outcome = witness.outcome(&framed(&exchange.request[..cut]));
            assert_eq!(outcome, Outcome::Closed, "{} cut to {cut}", exchange.name);
        }
        witness.is_served();
    }
    witness.finish();
}

#[test]
fn counts_beyond_the_frame_are_survived() {
    let mut witness = Witness::new();
    // Whatever field stands there: one of these positions is the count of each array.
    for exchange in exchanges() {
        let body = body_at(&exchange);
        let end = exchange.request.len().min(body + 120);
        for at in body..end {
            for count in [&i32::MAX.to_be_bytes()[..], &[0xff, 0xff, 0xff, 0xff, 0x07]] {
                let mut request = exchange.request.to_vec();
                let room = count.len().min(request.len() - at);
                request[at..at + room].copy_from_slice(&count[..room]);
                witness.send_and_leave(&framed(&request));
            }
        }
        witness.is_served();
        witness.assert_not_grown();
    }
    witness.finish();
}

#[test]
fn a_count_beyond_the_frame_closes() {
    let witness = Witness::new();
    // APIs in whose bodies an array comes first.
    for (key, version) in [(3_i16, 1_i16), (3, 8), (19, 2), (20, 1), (32, 1), (23, 2)] {
        let mut bytes = [key.to_be_bytes(), version.to_be_bytes()].concat();
        bytes.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
        bytes.extend_from_slice(&i32::MAX.to_be_bytes());
        bytes.extend_from_slice(&[0; 20]);
        let outcome = witness.outcome(&framed(&bytes));
        assert_eq!(outcome, Outcome::Closed, "key {key} version {version}");
    }
    witness.finish();
}

#[test]
fn unknown_apis_and_versions_close() {
    let mut witness = Witness::new();
    for (key, version) in [
        (9999_i16, 0_i16),
        (-1, 0),
        (7, 0),
        (0, 99),
        (0, 2),
        (1, 3),
        (3, 99),
        (3, -1),
    ] {
        let mut bytes = [key.to_be_bytes(), version.to_be_bytes()].concat();
        bytes.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0]);
        let outcome = witness.outcome(&framed(&bytes));
        assert_eq!(outcome, Outcome::Closed, "key {key} version {version}");
        witness.is_served();
    }
    witness.finish();
}

#[test]
fn api_versions_of_the_future_is_answered_in_version_0() {
    let witness = Witness::new();
    let mut peer = witness.connect();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(client::text("future"))
        .with_client_software_version(client::text("99"));
    let mut frame = client::frame(&request, 4, 77).to_vec();
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    peer.send_bytes(&frame).unwrap();
    let mut answer = peer.receive().unwrap();
    assert_eq!(answer.get_i32(), 77);
    let answer = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!(answer.error_code, 35);
    assert!(answer.api_keys.iter().any(|api| api.api_key == 18));
    let again = peer.call(&request, 3);
    assert_eq!(again.error_code, 0, "and the connection goes on");
    witness.finish();
}
