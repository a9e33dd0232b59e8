//! Where this broker listens and what it tells others to connect to.
//!
//! Invariants: 1. Names are unique, in capitals. 2. Every listener that is opened speaks PLAINTEXT; anything else is
//! refused, because a listener that neither encrypts nor authenticates must not stand where one that does was asked for.
//! 3. An advertised address is never the unspecified one.
//! Controller listeners are part of the configuration and of the voters' record; they are not opened yet.
//! Source: Kafka's `EndPoint`, `ListenerName`, `KafkaConfig.validateAdvertisedControllerListenersNonEmpty` and neighbours.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::schema::items;

/// Host and port as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// A name, an IPv4 or (without brackets) an IPv6 address. Empty: every interface.
    pub host: String,
    /// 0: one that is free.
    pub port: u16,
}

/// A listener that clients use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// Where it is bound.
    pub bind: HostPort,
    /// What clients are told. Port 0 stands for the port that was bound.
    pub advertised: HostPort,
}

/// The address of the controller in this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControllerEndpoint {
    /// The listener's name.
    pub name: String,
    /// What voters are told.
    pub advertised: HostPort,
    /// True if the configuration names this listener; else it was made up for the voters' record.
    pub configured: bool,
}

/// All listeners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listeners {
    /// Opened for clients, in the order of `listeners`; at least one.
    pub clients: Vec<Listener>,
    /// Recorded, not opened.
    pub controller: ControllerEndpoint,
    /// Name of the listener for other brokers: one of `clients`.
    pub inter_broker: String,
}

/// The keys that say where to listen, as set (or their defaults).
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenerKeys<'a> {
    /// `listeners`
    pub listeners: &'a str,
    /// `advertised.listeners`
    pub advertised: Option<&'a str>,
    /// `listener.security.protocol.map`
    pub protocols: &'a str,
    /// True if somebody set the map: then it must name the controller's listeners too.
    pub protocols_set: bool,
    /// `controller.listener.names`
    pub controller_names: &'a str,
    /// `inter.broker.listener.name`
    pub inter_broker: Option<&'a str>,
}

/// Why listeners cannot be as configured. Each is one sentence that names key, value and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListenerError {
    /// Not `NAME://host:port`.
    #[error("{key} has {text:?}, which is not of the form NAME://host:port")]
    Form {
        /// Which key.
        key: &'static str,
        /// The item.
        text: String,
    },
    /// A name stands twice.
    #[error("{key} names the listener {name} twice: give each listener a name of its own")]
    NameTwice {
        /// Which key.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// Two listeners on one port.
    #[error("listeners uses port {port} twice: give each listener a port of its own")]
    PortTwice {
        /// The port.
        port: u16,
    },
    /// `listener.security.protocol.map` is malformed.
    #[error(
        "listener.security.protocol.map has {text:?}, which is not of the form NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )]
    MapForm {
        /// The item.
        text: String,
    },
    /// A listener without a protocol.
    #[error(
        "listener {name} has no security protocol: add {name}:PLAINTEXT to listener.security.protocol.map"
    )]
    NoProtocol {
        /// The name.
        name: String,
    },
    /// TLS or SASL.
    #[error(
        "listeners has {name}, which asks for {protocol}, and TLS and SASL are not served yet: it is not opened without protection; make it PLAINTEXT if the network is trusted, or keep Kafka for it"
    )]
    Protected {
        /// The name.
        name: String,
        /// What it asks for.
        protocol: String,
    },
    /// Advertised but not there.
    #[error(
        "advertised.listeners names {name}, which is not in listeners: add it there or take it out here"
    )]
    NotAListener {
        /// The name.
        name: String,
    },
    /// 0.0.0.0 or ::.
    #[error(
        "listener {name} would be advertised as {host}, which no client can connect to: set advertised.listeners to a name or address that clients reach"
    )]
    Unroutable {
        /// The name.
        name: String,
        /// The address.
        host: String,
    },
    /// Nothing to open.
    #[error("listeners has no listener for clients: add one such as PLAINTEXT://127.0.0.1:9092")]
    NoClientListener,
    /// `inter.broker.listener.name` is not one of them.
    #[error(
        "inter.broker.listener.name={name} is not a client listener of listeners: use one of {known}"
    )]
    InterBroker {
        /// As set.
        name: String,
        /// What there is.
        known: String,
    },
}

const KEY: &str = "listeners";
const KEY_ADVERTISED: &str = "advertised.listeners";
/// Kafka's usual controller port, for a voters' record when none is configured.
const CONTROLLER_PORT: u16 = 9093;

/// Reads and checks everything about listeners. `own_host` is this machine's name, advertised where no host is given.
pub fn parse(keys: &ListenerKeys<'_>, own_host: &str) -> Result<Listeners, ListenerError> {
    let bound = endpoints(KEY, keys.listeners)?;
    ports_differ(&bound)?;
    let controller_names: Vec<String> = items(keys.controller_names)
        .map(str::to_ascii_uppercase)
        .collect();
    let protocols = protocol_map(keys.protocols)?;
    for (name, _) in &bound {
        let known = protocols.iter().find(|(of, _)| of == name);
        let protocol = match known {
            Some((_, protocol)) => protocol.as_str(),
            None if !keys.protocols_set && controller_names.contains(name) => "PLAINTEXT",
            None => return Err(ListenerError::NoProtocol { name: name.clone() }),
        };
        if protocol != "PLAINTEXT" {
            return Err(ListenerError::Protected {
                name: name.clone(),
                protocol: protocol.to_owned(),
            });
        }
    }
    let advertised = endpoints(KEY_ADVERTISED, keys.advertised.unwrap_or(""))?;
    let mut clients = Vec::new();
    let mut controller = None;
    for (name, bind) in &bound {
        let told = advertised.iter().find(|(of, _)| of == name);
        let is_controller = controller_names.contains(name);
        let told = advertise(name, told.map_or(bind, |(_, at)| at), own_host)?;
        if is_controller {
            controller.get_or_insert(ControllerEndpoint {
                name: name.clone(),
                advertised: told,
                configured: true,
            });
        } else {
            clients.push(Listener {
                name: name.clone(),
                bind: bind.clone(),
                advertised: told,
            });
        }
    }
    for (name, _) in &advertised {
        if !bound.iter().any(|(of, _)| of == name) && !controller_names.contains(name) {
            return Err(ListenerError::NotAListener { name: name.clone() });
        }
    }
    let first = clients.first().ok_or(ListenerError::NoClientListener)?;
    let controller = controller.unwrap_or_else(|| ControllerEndpoint {
        name: controller_names
            .first()
            .map_or("CONTROLLER", String::as_str)
            .to_owned(),
        advertised: HostPort {
            host: first.advertised.host.clone(),
            port: CONTROLLER_PORT,
        },
        configured: false,
    });
    let inter_broker = inter_broker(keys.inter_broker, &clients, &first.name)?;
    Ok(Listeners {
        clients,
        controller,
        inter_broker,
    })
}

fn inter_broker(
    set: Option<&str>,
    clients: &[Listener],
    first: &str,
) -> Result<String, ListenerError> {
    let known = |name: &str| clients.iter().any(|l| l.name == name);
    match set.map(str::to_ascii_uppercase) {
        Some(name) if known(&name) => Ok(name),
        Some(name) => Err(ListenerError::InterBroker {
            name,
            known: clients
                .iter()
                .map(|l| l.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }),
        None if known("PLAINTEXT") => Ok("PLAINTEXT".to_owned()),
        None => Ok(first.to_owned()),
    }
}

fn advertise(name: &str, at: &HostPort, own_host: &str) -> Result<HostPort, ListenerError> {
    if at.host.is_empty() {
        return Ok(HostPort {
            host: own_host.to_owned(),
            port: at.port,
        });
    }
    if at
        .host
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_unspecified())
    {
        return Err(ListenerError::Unroutable {
            name: name.to_owned(),
            host: at.host.clone(),
        });
    }
    Ok(at.clone())
}

fn endpoints(key: &'static str, text: &str) -> Result<Vec<(String, HostPort)>, ListenerError> {
    let mut found: Vec<(String, HostPort)> = Vec::new();
    for item in items(text) {
        let endpoint = endpoint(item).ok_or_else(|| ListenerError::Form {
            key,
            text: item.to_owned(),
        })?;
        if found.iter().any(|(name, _)| *name == endpoint.0) {
            return Err(ListenerError::NameTwice {
                key,
                name: endpoint.0,
            });
        }
        found.push(endpoint);
    }
    Ok(found)
}

fn endpoint(item: &str) -> Option<(String, HostPort)> {
    let (name, rest) = item.split_once("://")?;
    let (host, port) = rest.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match bracketed {
        Some(inner) => inner,
        None if host.contains(['[', ']', '/']) => return None,
        None => host,
    };
    let name_good = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    name_good.then_some(())?;
    let at = HostPort {
        host: host.to_owned(),
        port: port.parse().ok()?,
    };
    Some((name.to_ascii_uppercase(), at))
}

/// One port may serve an IPv4 and an IPv6 address; otherwise each listener has its own, as in Kafka.
fn ports_differ(bound: &[(String, HostPort)]) -> Result<(), ListenerError> {
    let mut seen = BTreeSet::new();
    for (_, at) in bound.iter().filter(|(_, at)| at.port != 0) {
        let family = match at.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => &[4][..],
            Ok(IpAddr::V6(_)) => &[6],
            Err(_) => &[4, 6],
        };
        if !family.iter().all(|f| seen.insert((at.port, *f))) {
            return Err(ListenerError::PortTwice { port: at.port });
        }
    }
    Ok(())
}

fn protocol_map(text: &str) -> Result<Vec<(String, String)>, ListenerError> {
    let known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    items(text)
        .map(|item| {
            let (name, protocol) = item.split_once(':').unwrap_or((item, ""));
            let protocol = protocol.trim().to_ascii_uppercase();
            if !known.contains(&protocol.as_str()) {
                return Err(ListenerError::MapForm {
                    text: item.to_owned(),
                });
            }
            Ok((name.trim().to_ascii_uppercase(), protocol))
        })
        .collect()
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT";

    fn keys<'a>(listeners: &'a str, advertised: Option<&'a str>) -> ListenerKeys<'a> {
        ListenerKeys {
            listeners,
            advertised,
            protocols: MAP,
            protocols_set: false,
            controller_names: "CONTROLLER",
            inter_broker: None,
        }
    }

    fn refused(keys: &ListenerKeys<'_>) -> String {
        parse(keys, "box").expect_err("refused").to_string()
    }

    #[test]
    fn the_shipped_file_is_understood() {
        let listeners = parse(
            &ListenerKeys {
                listeners: "PLAINTEXT://:9092,CONTROLLER://:9093",
                advertised: Some("PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
                protocols: "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL",
                protocols_set: true,
                controller_names: "CONTROLLER",
                inter_broker: Some("PLAINTEXT"),
            },
            "box",
        )
        .expect("fine");
        assert_eq!(listeners.clients.len(), 1);
        assert_eq!(listeners.clients[0].bind.to_string(), ":9092");
        assert_eq!(
            listeners.clients[0].advertised.to_string(),
            "localhost:9092"
        );
        assert!(listeners.controller.configured);
        assert_eq!(
            listeners.controller.advertised.to_string(),
            "localhost:9093"
        );
        assert_eq!(listeners.inter_broker, "PLAINTEXT");
    }

    #[test]
    fn hosts_ports_and_names() {
        let listeners = parse(&keys("plaintext://[::1]:0", None), "box").expect("fine");
        assert_eq!(listeners.clients[0].name, "PLAINTEXT");
        assert_eq!(listeners.clients[0].bind.to_string(), "[::1]:0");
        assert!(!listeners.controller.configured);
        assert_eq!(listeners.controller.advertised.to_string(), "[::1]:9093");
        let listeners = parse(&keys("PLAINTEXT://:9092", None), "box").expect("fine");
        assert_eq!(listeners.clients[0].advertised.to_string(), "box:9092");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (listeners, says) in [
            ("PLAINTEXT//x:1", "not of the form"),
            ("PLAINTEXT://x:port", "not of the form"),
            ("PLAINTEXT://x:99999", "not of the form"),
            ("PLAINTEXT://a:1,PLAINTEXT://b:2", "PLAINTEXT twice"),
            ("PLAINTEXT://a:1,CONTROLLER://b:1", "port 1 twice"),
            ("PLAINTEXT://0.0.0.0:1", "no client can connect"),
            ("CONTROLLER://x:1", "no listener for clients"),
            ("", "no listener for clients"),
            ("OUTSIDE://x:1", "add OUTSIDE:PLAINTEXT"),
            ("SSL://x:1", "asks for SSL"),
            ("PLAINTEXT://x:1,SASL_SSL://x:2", "asks for SASL_SSL"),
        ] {
            let error = refused(&keys(listeners, None));
            assert!(error.contains(says), "{listeners}: {error}");
        }
        let error = refused(&keys("PLAINTEXT://x:1", Some("OTHER://x:1")));
        assert!(error.contains("not in listeners"), "{error}");
        let mapped = ListenerKeys {
            protocols: "PLAINTEXT:SASL_SSL",
            protocols_set: true,
            ..keys("PLAINTEXT://x:1", None)
        };
        assert!(refused(&mapped).contains("asks for SASL_SSL"));
        let mapped = ListenerKeys {
            protocols: "PLAINTEXT:TLS",
            ..mapped
        };
        assert!(refused(&mapped).contains("NAME:PROTOCOL"));
        let named = ListenerKeys {
            inter_broker: Some("INSIDE"),
            ..keys("PLAINTEXT://x:1", None)
        };
        assert!(refused(&named).contains("use one of PLAINTEXT"));
    }

    #[test]
    fn one_port_for_both_families() {
        let both = ListenerKeys {
            protocols: "A:PLAINTEXT,B:PLAINTEXT",
            protocols_set: true,
            ..keys("A://127.0.0.1:9092,B://[::1]:9092", None)
        };
        assert_eq!(parse(&both, "box").map(|l| l.clients.len()), Ok(2));
    }
}
