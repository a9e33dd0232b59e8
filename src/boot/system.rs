//! What the system must give: limits, io_uring, direct I/O, addresses. Each shortfall is a sentence with its fix.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use onrush_core::ctl::ConnectionLimits;

use super::BootError;
use super::budget::{Budget, Limits};
use super::cgroup::Machine;
use crate::config::NetConfig;
use crate::config::listeners::{HostPort, Listener as ListenerConfig};
use crate::io::process;
use crate::io::ring;
use crate::io::socket::{Listener, SocketBuffers};
use crate::store::{FlushCost, measure_flush};

/// Fewer open files than this are soon used up: each partition has some, each connection one.
const OPEN_FILES_WANTED: u64 = 65_536;
/// glommio makes no executor with less.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;
/// Rings, pipes and the files of a few partitions: with less the broker would stop at the first client.
const OPEN_FILES_MIN: u64 = 256;

/// Raises what may be raised, says what is too low, and plans what so many shards may use of it all. Connections have a bound of their
/// own in that: without it a flood of them takes the descriptors that the logs need, which ends the broker.
pub(super) fn check_limits(
    shards: usize,
    listeners: usize,
    machine: &Machine,
    warnings: &mut Vec<String>,
) -> Result<Budget, BootError> {
    let locked_bytes = match process::raise_locked_memory() {
        Ok(limit) if limit.soft < LOCKED_BYTES_MIN => {
            return Err(BootError::Limit(format!(
                "only {} KiB of memory may be locked and io_uring needs {}: raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity",
                limit.soft / 1024,
                LOCKED_BYTES_MIN / 1024
            )));
        }
        Ok(limit) => Some(limit.soft).filter(|_| !may_lock_anything()),
        Err(error) => {
            warnings.push(format!(
                "the limit of locked memory cannot be read: {error}"
            ));
            None
        }
    };
    let open_files = match process::raise_open_files() {
        Ok(limit) if limit.soft < OPEN_FILES_MIN => {
            return Err(BootError::Limit(format!(
                "only {} files may be open and a broker needs {OPEN_FILES_MIN}: raise it with `ulimit -n 100000` or LimitNOFILE=100000",
                limit.soft
            )));
        }
        Ok(limit) => limit.soft,
        Err(error) => {
            warnings.push(format!("the limit of open files cannot be read: {error}"));
            OPEN_FILES_MIN
        }
    };
    ring::probe().map_err(BootError::Limit)?;
    let budget = Budget::plan(
        shards,
        &Limits {
            machine: *machine,
            open_files,
            locked_bytes,
            listeners: listeners as u64,
        },
    )?;
    if open_files < OPEN_FILES_WANTED {
        warnings.push(format!(
            "only {open_files} files may be open, which leaves room for {} connections; raise it with `ulimit -n 100000` or \
             LimitNOFILE=100000",
            budget.connections
        ));
    }
    if let Some(hundredths) = machine.cpu_hundredths
        && hundredths < 100 * shards as u64
    {
        warnings.push(format!(
            "the control group gives the process the time of {}.{:02} CPUs (cpu.max), less than one for each of {shards} shards, which \
             will be stopped when it is used up: raise it, or set onrush.shards={}",
            hundredths / 100,
            hundredths % 100,
            (hundredths / 100).max(1)
        ));
    }
    Ok(budget)
}

/// True for a process with CAP_IPC_LOCK, for which the limit of locked memory does not hold.
fn may_lock_anything() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|set| set >> CAP_IPC_LOCK & 1 == 1)
}

/// The configured limits of connections, for all shards together: `max.connections` at most as many as descriptors allow, overrides by
/// address.
///
/// Errors: a host that nobody knows, as in Kafka.
pub(super) fn connection_limits(
    net: &NetConfig,
    budget: &Budget,
) -> Result<ConnectionLimits, BootError> {
    let possible = u32::try_from(budget.connections).unwrap_or(u32::MAX);
    let mut overrides = BTreeMap::new();
    for (host, count) in &net.connections_per_ip_overrides {
        let found = (host.as_str(), 0).to_socket_addrs();
        let found = found.map_err(|error| {
            BootError::Limit(format!(
                "max.connections.per.ip.overrides names {host}, which cannot be resolved ({error}): correct it or take it out"
            ))
        })?;
        for address in found {
            overrides.insert(address.ip().to_canonical(), *count);
        }
    }
    Ok(ConnectionLimits {
        total: net.connections_max.map(|most| most.min(possible)),
        per_address: net.connections_per_ip_max,
        overrides,
    })
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
