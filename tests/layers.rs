//! Checks what no compiler checks: which module may import which, what may not appear where, how
//! long files are. The table is the one of `docs/ARCHITECTURE.md`; a new edge needs an ADR.
//!
//! A fault is reported as `file:line: rule`. The checker is itself tested on bad samples below.
//! Absent: anything clippy can check.
#![allow(unreachable_pub, reason = "the modules of a test are its own")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod layers {
    pub mod rules;
    pub mod source;
}

use layers::rules;
use layers::source::Source;
use std::path::{Path, PathBuf};

/// Every Rust file of the repository under these folders.
const FOLDERS: [&str; 4] = ["src", "tests", "bench", "tuning"];

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut paths);
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            Source::new(name, &text)
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            paths.push(path);
        }
    }
}

fn assert_no_faults(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn imports_point_downwards() {
    let faults: Vec<String> = sources().iter().flat_map(rules::imports).collect();
    assert_no_faults(&faults);
}

#[test]
fn banned_words_do_not_appear() {
    let faults: Vec<String> = sources().iter().flat_map(rules::bans).collect();
    assert_no_faults(&faults);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let sources = sources();
    let mut faults: Vec<String> = sources.iter().flat_map(rules::shape).collect();
    let mut lines: Vec<usize> = sources.iter().map(Source::line_count).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    println!(
        "{} files, median {median} lines, longest {}",
        lines.len(),
        lines[lines.len() - 1]
    );
    if median >= rules::MEDIAN_LINES_MAX {
        faults.push(format!("median file length is {median} lines"));
    }
    assert_no_faults(&faults);
}

/// The one fault that `check` finds in a sample, without its position.
fn only_fault(check: fn(&Source) -> Vec<String>, name: &str, text: &str) -> String {
    let faults = check(&Source::new(name, text));
    assert_eq!(faults.len(), 1, "{name}: {text:?} gave {faults:?}");
    faults[0].clone()
}

fn no_fault(check: fn(&Source) -> Vec<String>, name: &str, text: &str) {
    let faults = check(&Source::new(name, text));
    assert!(faults.is_empty(), "{name}: {text:?} gave {faults:?}");
}

#[test]
fn checker_sees_upward_imports() {
    for (name, text) in [
        ("src/core/types/ids.rs", "use crate::wire::Frame;"),
        ("src/core/wire/frame.rs", "use crate::effect::Effect;"),
        ("src/core/log/append.rs", "use crate::partition::Leader;"),
        ("src/core/log/append.rs", "use crate::{api, types::Offset};"),
        ("src/core/log/append.rs", "use super::super::session::S;"),
        (
            "src/core/partition/mod.rs",
            "fn f() { crate::metadata::g() }",
        ),
        ("src/core/api/k00_produce.rs", "use crate::shard::Shard;"),
        (
            "src/core/api/k00_produce.rs",
            "use super::k01_fetch::Parked;",
        ),
        ("src/core/api/k00_produce.rs", "use crate::api::k01_fetch;"),
        (
            "src/core/api/k00_produce.rs",
            "use super::{reply, k01_fetch};",
        ),
        ("src/io/ring.rs", "use crate::net::Conn;"),
        ("src/net/conn.rs", "use crate::boot::start;"),
        ("src/net/conn.rs", "use crate::store::Store;"),
        ("src/store/files.rs", "use crate::shard_loop::run;"),
        ("src/core/shard.rs", "use crate::ctl::Ctl;"),
        ("src/store/new.rs", "use crate::nowhere::Unknown;"),
    ] {
        let fault = only_fault(rules::imports, name, text);
        assert!(fault.starts_with(&format!("{name}:1: ")), "{fault}");
    }
}

#[test]
fn checker_accepts_downward_imports() {
    for (name, text) in [
        ("src/core/log/append.rs", "use crate::types::Offset;"),
        ("src/core/log/append.rs", "//! not [`crate::api::X`]"),
        ("src/core/log/append.rs", "use super::segment::Segment;"),
        ("src/core/log/a/b.rs", "use super::super::segment::Segment;"),
        ("src/core/log/append.rs", r#"let s = "crate::api::X";"#),
        (
            "src/core/log/a.rs",
            "#[cfg(test)]\nmod tests { use super::super::b::B; }",
        ),
        ("src/core/api/mod.rs", "use k00_produce::Produce;"),
        ("src/core/shard.rs", "use crate::input::Input;"),
        (
            "src/net/conn.rs",
            "use crate::io::ring::Ring; use onrush_core::effect::Effect;",
        ),
        (
            "src/boot.rs",
            "use crate::{config::Config, shard_loop as core, observe};",
        ),
    ] {
        no_fault(rules::imports, name, text);
    }
}

#[test]
fn checker_sees_banned_words() {
    let to_do = concat!("// TO", "DO later");
    let fix_me = concat!("// FIX", "ME later");
    for (name, text) in [
        ("src/core/log/append.rs", "use std::sync::Mutex;"),
        ("src/core/log/append.rs", "let t = Instant::now();"),
        ("src/core/log/append.rs", "let m: HashMap<u8, u8>;"),
        ("src/core/log/append.rs", "use std::fs;"),
        ("src/core/log/append.rs", "async fn f() {}"),
        ("src/core/log/append.rs", "println!(\"\");"),
        ("src/net/conn.rs", "let a = AtomicU64::new(0);"),
        ("src/net/conn.rs", "thread::sleep(ms);"),
        ("src/mesh.rs", "use std::sync::Mutex;"),
        ("src/store/files.rs", "std::fs::remove_file(path);"),
        ("src/shard_loop.rs", "let now = SystemTime::now();"),
        ("src/boot.rs", "unsafe { f() }"),
        ("src/boot.rs", to_do),
        ("tests/broker/main.rs", fix_me),
        ("src/boot.rs", concat!("to", "do!()")),
        ("src/boot.rs", concat!("unimple", "mented!()")),
        ("src/boot.rs", concat!("#[allow(dead", "_code)]")),
        ("tests/broker/main.rs", concat!("#[ig", "nore]")),
    ] {
        let fault = only_fault(rules::bans, name, text);
        assert!(fault.starts_with(&format!("{name}:1: ")), "{fault}");
    }
}

#[test]
fn checker_accepts_words_where_they_belong() {
    for (name, text) in [
        ("src/io/ring.rs", "unsafe { f() }"),
        ("src/core/lib.rs", "#![forbid(unsafe_code)]"),
        ("src/core/log/append.rs", "// no Mutex, no Instant::now()"),
        (
            "src/core/log/a.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }",
        ),
        ("src/observe/log.rs", "use std::sync::Mutex;"),
        ("src/core/log/append.rs", "let instant = plan_async();"),
    ] {
        no_fault(rules::bans, name, text);
    }
}

#[test]
fn checker_sees_long_and_silent_files() {
    let long = format!("//! Long.\n{}", "\n".repeat(rules::LINES_MAX));
    for (name, text) in [
        ("src/boot.rs", long.as_str()),
        ("src/boot.rs", "fn f() {}\n"),
        ("tests/broker/main.rs", "use std::fs;\n"),
    ] {
        only_fault(rules::shape, name, text);
    }
    no_fault(rules::shape, "src/boot.rs", "//! Starts.\n");
}
