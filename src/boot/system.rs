//! What the system must give: limits, io_uring, direct I/O, addresses. Each shortfall is a sentence with its fix.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use super::BootError;
use crate::config::NetConfig;
use crate::config::listeners::{HostPort, Listener as ListenerConfig};
use crate::io::process;
use crate::io::ring;
use crate::io::socket::{Listener, SocketBuffers};
use crate::store::{FlushCost, measure_flush};

/// Fewer open files than this are soon used up: each partition has some, each connection one.
const OPEN_FILES_WANTED: u64 = 65_536;
/// Each core registers a few MiB with its rings.
const LOCKED_BYTES_WANTED: u64 = 8 * 1024 * 1024;
/// glommio makes no executor with less.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;
/// Rings, pipes and the files of a few partitions: with less the broker would stop at the first client.
const OPEN_FILES_MIN: u64 = 256;
/// Open files kept for rings, pipes and logs, beyond a quarter of all.
const OPEN_FILES_KEPT: u64 = 128;

/// Raises what may be raised and says what is too low. Returns how many connections the open files leave room for: without that
/// bound a flood of connections takes the descriptors that the logs need, which ends the broker.
pub(super) fn check_limits(warnings: &mut Vec<String>) -> Result<u64, BootError> {
    match process::raise_locked_memory() {
        Ok(limit) if limit.soft < LOCKED_BYTES_MIN => {
            return Err(BootError::Limit(format!(
                "only {} KiB of memory may be locked and io_uring needs {}: raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity",
                limit.soft / 1024,
                LOCKED_BYTES_MIN / 1024
            )));
        }
        Ok(limit) if limit.soft < LOCKED_BYTES_WANTED => warnings.push(format!(
            "only {} KiB of memory may be locked; raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity",
            limit.soft / 1024
        )),
        Ok(_) => {}
        Err(error) => warnings.push(format!("the limit of locked memory cannot be read: {error}")),
    }
    let files = process::raise_open_files();
    if let Ok(limit) = &files
        && limit.soft < OPEN_FILES_MIN
    {
        return Err(BootError::Limit(format!(
            "only {} files may be open and a broker needs {OPEN_FILES_MIN}: raise it with `ulimit -n 100000` or LimitNOFILE=100000",
            limit.soft
        )));
    }
    ring::probe().map_err(BootError::Limit)?;
    match files {
        Ok(limit) => {
            let room = connections_beside(limit.soft);
            if limit.soft < OPEN_FILES_WANTED {
                warnings.push(format!(
                    "only {} files may be open, which leaves room for {room} connections; raise it with `ulimit -n 100000` or LimitNOFILE=100000",
                    limit.soft
                ));
            }
            Ok(room)
        }
        Err(error) => {
            warnings.push(format!("the limit of open files cannot be read: {error}"));
            Ok(connections_beside(OPEN_FILES_MIN))
        }
    }
}

/// Connections that may be open with so many descriptors; the rest is for rings, pipes and logs.
fn connections_beside(open_files: u64) -> u64 {
    (open_files - open_files / 4).saturating_sub(OPEN_FILES_KEPT)
}

/// Measures a flush and looks for direct I/O in the data directory.
pub(super) fn check_disk(dir: &Path, warnings: &mut Vec<String>) -> Result<FlushCost, BootError> {
    let cost = measure_flush(dir).map_err(|error| BootError::Directory {
        path: dir.to_owned(),
        error,
    })?;
    if !cost.direct {
        warnings.push(format!(
            "the file system of {} has no direct I/O (O_DIRECT), so records pass through the page cache; put the directory on ext4 or XFS",
            dir.display()
        ));
    }
    Ok(cost)
}

/// A killed broker's ring lets go of its sockets a little after its process is gone.
const PORT_PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts.
const PORT_RETRY: Duration = Duration::from_millis(20);

/// Binds one listener for so many shards; waits a little for a port that is being freed.
pub(super) fn bind(
    listener: &ListenerConfig,
    net: &NetConfig,
    shards: usize,
) -> Result<Vec<Listener>, BootError> {
    let buffers = SocketBuffers {
        send_bytes: net.send_buffer_bytes,
        receive_bytes: net.receive_buffer_bytes,
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => BootError::PortInUse {
            name: listener.name.clone(),
            at: listener.bind.to_string(),
        },
        _ => BootError::Bind {
            name: listener.name.clone(),
            at: listener.bind.to_string(),
            error,
        },
    };
    let until = Instant::now() + PORT_PATIENCE;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses(&listener.bind).map_err(failed)? {
        match bind_until(address, shards, buffers, until) {
            Ok(bound) => return Ok(bound),
            // A kernel without IPv6: the next candidate is IPv4.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(last))
}

fn bind_until(
    address: SocketAddr,
    shards: usize,
    buffers: SocketBuffers,
    until: Instant,
) -> io::Result<Vec<Listener>> {
    loop {
        match Listener::bind_many(address, shards, buffers) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(PORT_RETRY);
            }
            result => return result,
        }
    }
}

/// Candidates to bind to, best first. No host means every interface, of both families where the kernel has IPv6.
fn addresses(at: &HostPort) -> io::Result<Vec<SocketAddr>> {
    if at.host.is_empty() {
        return Ok(vec![
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, at.port)),
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port)),
        ]);
    }
    let mut found: Vec<_> = (at.host.as_str(), at.port).to_socket_addrs()?.collect();
    // As Java prefers: a name with both has clients that know the IPv4 address.
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_logs() {
        assert_eq!(connections_beside(OPEN_FILES_MIN), 64);
        assert_eq!(connections_beside(100_000), 74_872);
        assert_eq!(
            connections_beside(u64::MAX),
            u64::MAX / 4 * 3 + 3 - OPEN_FILES_KEPT
        );
    }
}
