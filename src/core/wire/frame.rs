//! The outermost layer: request headers by hand, responses with their length and header.
//!
//! Invariants:
//! 1. Reading a header never panics and never allocates by a claimed length; a client id is a slice of the frame.
//! 2. A response's length prefix counts exactly the bytes behind it.
//!
//! Gaps: none. Kafka's tolerance is kept: a client id of any negative length is null, bad UTF-8 in it becomes U+FFFD, tags
//! of the header may come in any order.
//!
//! Source: `RequestHeader`, `RequestContext.parseRequest`, `SocketServer.parseRequestHeader`; KIP-482, KIP-511.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::wire::versions::{self, API_VERSIONS, Api};

/// What stands before a request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// Which API.
    pub api: &'static Api,
    /// The request's version. Served, except that ApiVersions comes through in any version: it has its own answer to that.
    pub version: i16,
    /// Given back with the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<StrBytes>,
}

/// Why a frame is no request that can be answered. The connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The header ends before it is complete or is malformed.
    #[error("the request header is cut or malformed")]
    Header,
    /// No such API here.
    #[error("api key {0} is not served")]
    UnknownApi(i16),
    /// Not in this version.
    #[error("version {version} of api key {api_key} is not served")]
    UnsupportedVersion {
        /// Which API.
        api_key: i16,
        /// Which version.
        version: i16,
    },
}

/// A response that cannot be put into bytes: our own fault, for the log; the connection is closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot encode a response of api key {api_key} version {version}: {why}")]
pub struct EncodeError {
    /// Which API.
    pub api_key: i16,
    /// Which version.
    pub version: i16,
    /// What the encoder says.
    pub why: Box<str>,
}

/// Reads an unsigned varint of at most five bytes. `None` if it is cut or longer; surplus bits of the fifth are dropped,
/// and padding is allowed, as in Kafka.
pub(crate) fn get_unsigned_varint(bytes: &mut impl Buf) -> Option<u32> {
    let mut value = 0;
    for index in 0..5 {
        let byte = bytes.try_get_u8().ok()?;
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Writes an unsigned varint.
pub(crate) fn put_unsigned_varint(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.put_u8(u8::try_from(value).unwrap_or_default());
}

/// Text that a client sent: what is not UTF-8 becomes U+FFFD, as in Java.
fn text(bytes: &Bytes) -> StrBytes {
    StrBytes::from_utf8(bytes.clone())
        .unwrap_or_else(|_| StrBytes::from_string(String::from_utf8_lossy(bytes).into_owned()))
}

/// Splits a request (without its length prefix) into header and body.
///
/// Errors: the connection is to be closed. An ApiVersions request of a version that is not served is no error: check
/// `header.api.serves(header.version)` there, and answer in version 0.
pub fn parse(mut frame: Bytes) -> Result<(RequestHeader, Bytes), FrameError> {
    let short = |_| FrameError::Header;
    let key = frame.try_get_i16().map_err(short)?;
    let version = frame.try_get_i16().map_err(short)?;
    let api = versions::find(key).ok_or(FrameError::UnknownApi(key))?;
    if !api.serves(version) && key != API_VERSIONS {
        return Err(FrameError::UnsupportedVersion {
            api_key: key,
            version,
        });
    }
    let correlation_id = frame.try_get_i32().map_err(short)?;
    let client_id = match usize::try_from(frame.try_get_i16().map_err(short)?) {
        Ok(len) if len <= frame.len() => Some(text(&frame.split_to(len))),
        Ok(_) => return Err(FrameError::Header),
        Err(_) => None,
    };
    if api.request_header_version(version) >= 2 {
        skip_tags(&mut frame).ok_or(FrameError::Header)?;
    }
    let header = RequestHeader {
        api,
        version,
        correlation_id,
        client_id,
    };
    Ok((header, frame))
}

fn skip_tags(frame: &mut Bytes) -> Option<()> {
    for _ in 0..get_unsigned_varint(frame)? {
        get_unsigned_varint(frame)?;
        let size = usize::try_from(get_unsigned_varint(frame)?).ok()?;
        if size > frame.len() {
            return None;
        }
        frame.advance(size);
    }
    Some(())
}

/// Starts a response: length prefix (to be patched by [`finish`]), correlation id and the tag section where it has one.
#[must_use]
pub fn start(api: &Api, version: i16, correlation_id: i32, body_bytes: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(9 + body_bytes);
    out.put_i32(0);
    out.put_i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        out.put_u8(0);
    }
    out
}

/// Patches the length prefix of a response begun by [`start`]. `more_bytes` follow it from elsewhere (record data).
///
/// `None` if the frame would be longer than the protocol can say (2 GiB).
#[must_use]
pub fn finish(mut frame: BytesMut, more_bytes: u64) -> Option<Bytes> {
    let total = u64::try_from(frame.len()).ok()?.checked_add(more_bytes)?;
    let len = i32::try_from(total.checked_sub(4)?).ok()?;
    frame.get_mut(..4)?.copy_from_slice(&len.to_be_bytes());
    Some(frame.freeze())
}

/// A whole response frame: length, header of the right version, body.
///
/// Errors if the body has a field set that the version does not know or a string too long for it: our own fault.
pub fn response(
    api_key: i16,
    version: i16,
    correlation_id: i32,
    body: &impl Encodable,
) -> Result<Bytes, EncodeError> {
    let fail = |why: &dyn std::fmt::Display| EncodeError {
        api_key,
        version,
        why: why.to_string().into_boxed_str(),
    };
    let api = versions::find(api_key).ok_or_else(|| fail(&"not served"))?;
    let bytes = body.compute_size(version).map_err(|why| fail(&why))?;
    let mut out = start(api, version, correlation_id, bytes);
    body.encode(&mut out, version).map_err(|why| fail(&why))?;
    finish(out, 0).ok_or_else(|| fail(&"longer than 2 GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{
        ApiKey, ApiVersionsResponse, MetadataResponse, RequestHeader as CrateHeader,
    };
    use proptest::prelude::*;

    fn request(key: i16, version: i16, client_id: &[u8], tail: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(key);
        out.put_i16(version);
        out.put_i32(77);
        out.put_i16(i16::try_from(client_id.len()).unwrap());
        out.put_slice(client_id);
        out.put_slice(tail);
        out.freeze()
    }

    #[test]
    fn headers_of_every_version_are_read_as_the_crate_writes_them() {
        for api in versions::APIS {
            for version in api.min..=api.max {
                let mut out = BytesMut::new();
                let header = CrateHeader::default()
                    .with_request_api_key(api.key)
                    .with_request_api_version(version)
                    .with_correlation_id(-5)
                    .with_client_id(Some(StrBytes::from_static_str("me")));
                let header_version = ApiKey::try_from(api.key)
                    .unwrap()
                    .request_header_version(version);
                header.encode(&mut out, header_version).unwrap();
                out.put_slice(b"body");
                let (header, body) = parse(out.freeze()).unwrap();
                assert_eq!(header.api, api);
                assert_eq!(header.version, version);
                assert_eq!(header.correlation_id, -5);
                assert_eq!(header.client_id.as_deref(), Some("me"));
                assert_eq!(&body[..], b"body");
            }
        }
    }

    #[test]
    fn kafkas_tolerance_in_headers() {
        let (header, _) = parse(request(3, 1, b"a\xffb", b"")).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("a\u{fffd}b"));
        // A length of -2.
        let mut odd = BytesMut::new();
        odd.put_slice(&[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xfe, 9]);
        let (header, body) = parse(odd.freeze()).unwrap();
        assert_eq!(header.client_id, None);
        assert_eq!(&body[..], [9]);
        // Two tags, unsorted, with padded varints.
        let tags = [2, 9, 1, 0xaa, 3, 0x80, 0, 42];
        let (_, body) = parse(request(3, 9, b"", &tags)).unwrap();
        assert_eq!(&body[..], [42]);
    }

    #[test]
    fn what_closes_the_connection() {
        assert_eq!(
            parse(request(7, 0, b"", b"")).unwrap_err(),
            FrameError::UnknownApi(7)
        );
        for (key, version) in [(0, 2), (0, 14), (1, 3), (3, -1), (22, 6)] {
            assert_eq!(
                parse(request(key, version, b"", b"\0")).unwrap_err(),
                FrameError::UnsupportedVersion {
                    api_key: key,
                    version
                }
            );
        }
        // Tag section missing, tag larger than the rest, client id larger than the rest.
        for frame in [
            request(3, 9, b"", b""),
            request(3, 9, b"", &[1, 0, 2, 0]),
            request(3, 9, b"", &[0x80, 0x80, 0x80, 0x80, 0x80, 0]),
        ] {
            assert_eq!(parse(frame).unwrap_err(), FrameError::Header);
        }
        let whole = request(3, 0, b"client", b"");
        for cut in 0..whole.len() {
            assert_eq!(parse(whole.slice(..cut)).unwrap_err(), FrameError::Header);
        }
    }

    #[test]
    fn an_unknown_version_of_api_versions_needs_the_flexible_header() {
        let (header, _) = parse(request(18, 99, b"c", &[0])).unwrap();
        assert!(!header.api.serves(header.version));
        assert_eq!(
            parse(request(18, 99, b"c", b"")).unwrap_err(),
            FrameError::Header
        );
    }

    #[test]
    fn responses_carry_length_and_the_right_header() {
        let frame = response(18, 3, 5, &ApiVersionsResponse::default()).unwrap();
        let len = i32::try_from(frame.len() - 4).unwrap();
        assert_eq!(frame[..4], len.to_be_bytes());
        assert_eq!(frame[4..8], 5i32.to_be_bytes());
        // Header v0: the error code follows at once.
        assert_eq!(frame[8..10], [0, 0]);
        let flexible = response(3, 9, 5, &MetadataResponse::default()).unwrap();
        assert_eq!(flexible[8], 0, "empty tag section");
        let classic = response(3, 1, 5, &MetadataResponse::default()).unwrap();
        assert_eq!(classic[8..12], 0i32.to_be_bytes(), "no brokers");
        let size = MetadataResponse::default().compute_size(9).unwrap();
        assert_eq!(flexible.len(), 9 + size);
        assert!(response(4, 0, 5, &MetadataResponse::default()).is_err());
        let wrong = MetadataResponse::default().with_cluster_authorized_operations(3);
        assert!(response(3, 1, 5, &wrong).is_err(), "no such field in v1");
    }

    #[test]
    fn a_frame_with_data_behind_it_counts_that_too() {
        let out = start(versions::find(1).unwrap(), 12, 9, 0);
        let head = finish(out, 1000).unwrap();
        assert_eq!(head[..4], 1005i32.to_be_bytes());
        let out = start(versions::find(1).unwrap(), 12, 9, 0);
        assert_eq!(finish(out, u64::from(u32::MAX)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(key in 0i16..5, version in -1i16..14, rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut out = BytesMut::new();
            out.put_i16(key);
            out.put_i16(version);
            out.put_slice(&rest);
            if let Ok((_, body)) = parse(out.freeze()) {
                prop_assert!(body.len() <= rest.len());
            }
        }
    }
}
