//! Frames captured from real clients: `tests/golden/frames/<client>/k<api>_v<version>_<n>.txt`.

use std::fs;
use std::path::Path;

use bytes::Bytes;

/// One exchange, both frames without their length.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Client and file, for messages.
    pub name: String,
    /// API key.
    pub key: i16,
    /// API version.
    pub version: i16,
    /// The request, header first.
    pub request: Bytes,
    /// Kafka's answer, header first; `None` for acks=0.
    pub response: Option<Bytes>,
}

/// All captured exchanges below a repository's root, in order of their names.
#[must_use]
pub fn exchanges(root: &str) -> Vec<Exchange> {
    let frames = Path::new(root).join("tests/golden/frames");
    let mut found = Vec::new();
    for client in sorted(&frames) {
        if !frames.join(&client).is_dir() {
            continue;
        }
        for file in sorted(&frames.join(&client)) {
            let text = fs::read_to_string(frames.join(&client).join(&file)).unwrap();
            found.push(exchange(format!("{client}/{file}"), &text));
        }
    }
    assert!(!found.is_empty(), "no fixtures below {}", frames.display());
    found
}

fn sorted(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn exchange(name: String, text: &str) -> Exchange {
    let part = |prefix: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(prefix));
        line.map(|hex| Bytes::from(from_hex(hex)))
    };
    let request = part("request ").unwrap();
    let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
    Exchange {
        name,
        key: number(0),
        version: number(2),
        response: part("response "),
        request,
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
