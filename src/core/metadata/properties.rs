//! `meta.properties`: whose directory this is.
//!
//! Read by the edge before anything else, so that a directory of another cluster or node is refused.
//! Source: Kafka's `MetaProperties` (versions 0 and 1; we write 1) and `PropertiesUtils`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;

use crate::types::{DirectoryId, NodeId};

/// Content of `meta.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`: usually 22 characters of base64url, though Kafka accepts any text.
    pub cluster_id: String,
    /// `node.id` (version 0: `broker.id`).
    pub node_id: NodeId,
    /// `directory.id`; directories formatted before Kafka 3.7 have none.
    pub directory_id: Option<DirectoryId>,
}

/// Why a `meta.properties` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// A key that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that cannot be.
    #[error("{key} has the value {value:?}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

impl MetaProperties {
    /// Parses the file's text.
    pub fn decode(text: &str) -> Result<Self, MetaPropertiesError> {
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || line.starts_with('!') {
                continue;
            }
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            values.insert(key.trim(), value.trim());
        }
        let get = |key: &'static str| {
            values
                .get(key)
                .copied()
                .ok_or(MetaPropertiesError::Missing(key))
        };
        let invalid = |key: &'static str, value: &str| MetaPropertiesError::Invalid {
            key,
            value: value.to_owned(),
        };
        let version = get("version")?;
        let node_key = match version {
            "0" => "broker.id",
            "1" => "node.id",
            other => return Err(invalid("version", other)),
        };
        let node = get(node_key)?;
        let node_id = node
            .parse::<i32>()
            .ok()
            .filter(|id| *id >= 0)
            .ok_or_else(|| invalid(node_key, node))?;
        let directory_id = match values.get("directory.id") {
            None => None,
            Some(text) => {
                Some(DirectoryId::parse(text).ok_or_else(|| invalid("directory.id", text))?)
            }
        };
        Ok(Self {
            cluster_id: get("cluster.id")?.to_owned(),
            node_id: NodeId(node_id),
            directory_id,
        })
    }

    /// The file's text, version 1.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut text = String::from("#\n");
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{key}={value}").expect("writing to a string does not fail");
        };
        line("version", &1);
        line("cluster.id", &self.cluster_id);
        line("node.id", &self.node_id);
        if let Some(id) = &self.directory_id {
            line("directory.id", id);
        }
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kafka_4_2_wrote() {
        let text = "#\n#Sat Nov 21 05:04:52 UTC 2026\nnode.id=1\ndirectory.id=PRNaPFNQT6mcLhcjxSXUyg\nversion=1\ncluster.id=VrTG-c28Qj2ZFzmW6S6MHg\n";
        let read = MetaProperties::decode(text).unwrap();
        assert_eq!(read.node_id, NodeId(1));
        assert_eq!(read.cluster_id, "VrTG-c28Qj2ZFzmW6S6MHg");
        assert_eq!(
            read.directory_id.unwrap().to_string(),
            "PRNaPFNQT6mcLhcjxSXUyg"
        );
        let again = String::from_utf8(read.encode().to_vec()).unwrap();
        assert_eq!(MetaProperties::decode(&again), Ok(read));
    }

    #[test]
    fn refuses_what_cannot_be() {
        use MetaPropertiesError::{Invalid, Missing};
        let missing = |text: &str| match MetaProperties::decode(text) {
            Err(Missing(key)) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(""), "version");
        assert_eq!(missing("version=1\ncluster.id=x"), "node.id");
        assert_eq!(missing("version=0\nbroker.id=3"), "cluster.id");
        for bad in [
            "version=2\ncluster.id=x\nnode.id=1",
            "version=1\ncluster.id=x\nnode.id=-1",
            "version=1\ncluster.id=x\nnode.id=one",
            "version=1\ncluster.id=x\nnode.id=1\ndirectory.id=short",
        ] {
            let read = MetaProperties::decode(bad);
            assert!(matches!(read, Err(Invalid { .. })), "{bad}: {read:?}");
        }
    }
}
