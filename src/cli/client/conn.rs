//! One connection: frames, headers, the versions that both sides know.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};

use super::{ClientError, resolve};

/// A response larger than this is not read: no answer that we ask for is.
const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What brokers know us as.
const CLIENT_ID: &str = "onrush-cli";

/// A connection to a broker whose versions are known.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: String,
    correlation_id: i32,
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects and asks for the broker's versions. `patience` bounds each answer.
    pub fn open(address: &str, connect: Duration, patience: Duration) -> Result<Self, ClientError> {
        let failed = |error| ClientError::Connect {
            address: address.to_owned(),
            error,
        };
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        let mut stream = None;
        let candidates = resolve(address).map_err(|error| match error.kind() {
            // What std says of text without a port, or with one that is no number.
            std::io::ErrorKind::InvalidInput => ClientError::Address {
                address: address.to_owned(),
            },
            _ => failed(error),
        })?;
        for candidate in candidates {
            match TcpStream::connect_timeout(&candidate, connect) {
                Ok(connected) => {
                    stream = Some(connected);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let stream = stream.ok_or(last).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        stream.set_write_timeout(Some(patience)).map_err(failed)?;
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            correlation_id: 0,
            versions: BTreeMap::new(),
        };
        connection.ask_versions()?;
        Ok(connection)
    }

    /// The newest version of a request that both sides know and that is not above `version_max`.
    fn version_of<R: Request>(&self, version_max: i16) -> Result<i16, ClientError> {
        let unsupported = ClientError::Unsupported {
            address: self.address.clone(),
            api_key: R::KEY,
        };
        let Some((min, max)) = self.versions.get(&R::KEY) else {
            return Err(unsupported);
        };
        let ours = <R as Message>::VERSIONS;
        let version = (*max).min(version_max).min(ours.max);
        if version < (*min).max(ours.min) {
            return Err(unsupported);
        }
        Ok(version)
    }

    /// One request and its answer. `request` makes it for the version that was agreed on.
    pub fn call<R: Request>(
        &mut self,
        version_max: i16,
        request: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let version = self.version_of::<R>(version_max)?;
        let mut body = self.round_trip(version, &request(version))?;
        self.decode_response::<R>(&mut body, version)
    }

    /// Sends without waiting: for produce with acks=0, which nobody answers.
    pub fn send_only<R: Request>(
        &mut self,
        version_max: i16,
        request: impl Fn(i16) -> R,
    ) -> Result<(), ClientError> {
        let version = self.version_of::<R>(version_max)?;
        self.send(version, &request(version))
    }

    fn ask_versions(&mut self) -> Result<(), ClientError> {
        // A broker that does not know version 3 answers with version 0 and code 35 and tells its range there.
        let newest = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("onrush"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut body = self.round_trip(3, &newest)?;
        let refused = body.get(4..6) == Some(&[0, 35][..]);
        let answer: ApiVersionsResponse = if refused {
            let mut body = self.round_trip(0, &ApiVersionsRequest::default())?;
            self.decode_response::<ApiVersionsRequest>(&mut body, 0)?
        } else {
            self.decode_response::<ApiVersionsRequest>(&mut body, 3)?
        };
        if answer.error_code != 0 {
            return Err(ClientError::broker("api versions", answer.error_code, None));
        }
        self.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }

    fn round_trip<R: Request>(&mut self, version: i16, request: &R) -> Result<Bytes, ClientError> {
        self.send(version, request)?;
        self.receive()
    }

    fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), ClientError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let encoded = header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version));
        if let Err(error) = encoded {
            return Err(self.nonsense(&format!("our own request cannot be written: {error}")));
        }
        let length = i32::try_from(frame.len() - 4)
            .map_err(|_| self.nonsense("our own request is over 2 GiB"))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let sent = self.stream.write_all(&frame);
        sent.map_err(|error| self.broken(error))
    }

    fn receive(&mut self) -> Result<Bytes, ClientError> {
        let mut prefix = [0; 4];
        let read = self.stream.read_exact(&mut prefix);
        read.map_err(|error| self.broken(error))?;
        let length = usize::try_from(i32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
        if length > RESPONSE_BYTES_MAX {
            return Err(self.nonsense(&format!("a frame of {length} bytes")));
        }
        let mut body = vec![0; length];
        let read = self.stream.read_exact(&mut body);
        read.map_err(|error| self.broken(error))?;
        Ok(Bytes::from(body))
    }

    fn decode_response<R: Request>(
        &self,
        body: &mut Bytes,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let unreadable = |error: &dyn std::fmt::Display| {
            let api =
                ApiKey::try_from(R::KEY).map_or_else(|()| String::new(), |k| format!("{k:?}"));
            self.nonsense(&format!("{api} version {version}: {error}"))
        };
        if body.remaining() < 4 {
            return Err(unreadable(&"shorter than a header"));
        }
        let header = ResponseHeader::decode(body, R::Response::header_version(version))
            .map_err(|e| unreadable(&e))?;
        if header.correlation_id != self.correlation_id {
            return Err(unreadable(&"an answer to another request"));
        }
        R::Response::decode(body, version).map_err(|e| unreadable(&e))
    }

    fn broken(&self, error: std::io::Error) -> ClientError {
        ClientError::Io {
            address: self.address.clone(),
            error,
        }
    }

    fn nonsense(&self, what: &str) -> ClientError {
        ClientError::Protocol {
            address: self.address.clone(),
            what: what.to_owned(),
        }
    }
}
