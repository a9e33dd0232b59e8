//! Requests to frames and frames to responses, as a client does it.
//!
//! Deliberately absent: the length prefix of a request (the edge takes it off before the core sees the frame).

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

/// Encodes a request.
pub fn encode<R: Encodable + HeaderVersion>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    request: &R,
) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("sim")));
    let mut bytes = BytesMut::new();
    header
        .encode(&mut bytes, R::header_version(version))
        .expect("our own header encodes");
    request
        .encode(&mut bytes, version)
        .expect("our own request encodes");
    bytes.freeze()
}

/// The correlation id of a response frame with its length prefix, and what follows that prefix.
pub fn open(mut frame: Bytes) -> Result<(i32, Bytes), String> {
    if frame.len() < 8 {
        return Err(format!("a response of {} bytes", frame.len()));
    }
    let length = frame.get_i32();
    if usize::try_from(length) != Ok(frame.len()) {
        return Err(format!("length {length} before {} bytes", frame.len()));
    }
    let correlation_id = i32::from_be_bytes(frame[..4].try_into().expect("4 bytes"));
    Ok((correlation_id, frame))
}

/// Decodes the response in an opened frame; every byte must belong to it.
pub fn decode<R: Decodable + HeaderVersion>(mut frame: Bytes, version: i16) -> Result<R, String> {
    ResponseHeader::decode(&mut frame, R::header_version(version))
        .map_err(|e| format!("response header: {e}"))?;
    let response = R::decode(&mut frame, version).map_err(|e| format!("response: {e}"))?;
    if !frame.is_empty() {
        return Err(format!("{} bytes after a response", frame.len()));
    }
    Ok(response)
}
