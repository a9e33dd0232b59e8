//! The rules: import table, banned words, shape of files.
//!
//! Source: `docs/ARCHITECTURE.md` (layers, cores, unsafe). Absent: the median, which needs all files.

use super::source::Source;

/// Hard limit of a file.
pub const LINES_MAX: usize = 1000;
/// The median file stays below this.
pub const MEDIAN_LINES_MAX: usize = 250;

/// Layers of `onrush-core`, lowest first. Modules of one layer do not import each other, unless
/// listed in `SIBLINGS`.
const CORE_LAYERS: &[&[&str]] = &[
    &["types", "rule"],
    &["wire"],
    &["effect"],
    &["log"],
    &["partition", "metadata", "group", "placement"],
    &["ask"],
    // The vocabulary of messages needs no more than these, and the layers above fill its `Effects`.
    &["input"],
    &["fetch"],
    &["api"],
    &["session"],
    &["shard", "ctl"],
];

/// Layers of the broker around it, lowest first; all of the core is below them.
const EDGE_LAYERS: &[&[&str]] = &[
    &["io"],
    &["net", "store", "mesh"],
    &["shard_loop", "boot", "admin", "cli", "config", "observe"],
];

/// Allowed edges within a layer.
const SIBLINGS: &[(&str, &str)] = &[
    ("shard_loop", "observe"),
    ("boot", "shard_loop"),
    ("boot", "config"),
    ("boot", "observe"),
    ("boot", "admin"),
    ("admin", "observe"),
    ("cli", "config"),
    ("cli", "observe"),
    ("cli", "boot"),
    ("observe", "config"),
    ("shard_loop", "config"),
];

enum Crate {
    Core,
    Edge,
}

/// Where a file stands in the table.
struct Place {
    home: Crate,
    /// Path of modules from the crate's root, the file's own included.
    modules: Vec<String>,
}

fn place(name: &str) -> Option<Place> {
    let (home, inner) = match name.strip_prefix("src/core/") {
        Some(inner) => (Crate::Core, inner),
        None => (Crate::Edge, name.strip_prefix("src/")?),
    };
    let mut modules: Vec<String> = inner
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if modules.last().is_some_and(|last| last == "mod") {
        modules.pop();
    }
    Some(Place { home, modules })
}

fn layer(layers: &[&[&str]], module: &str) -> Option<usize> {
    layers.iter().position(|layer| layer.contains(&module))
}

/// The roots of the two crates may name everything.
fn is_root(module: &str) -> bool {
    ["lib", "main"].contains(&module)
}

/// Imports that point upwards or sideways.
pub fn imports(source: &Source) -> Vec<String> {
    let Some(place) = place(&source.name) else {
        return Vec::new();
    };
    let own = place.modules[0].as_str();
    if is_root(own) {
        return Vec::new();
    }
    let layers = match place.home {
        Crate::Core => CORE_LAYERS,
        Crate::Edge => EDGE_LAYERS,
    };
    let mut faults = Vec::new();
    if layer(layers, own).is_none() {
        faults.push(format!(
            "{}:1: module `{own}` is not in the import table",
            source.name
        ));
    }
    let tests_from = source.tests_from();
    for mention in source.mentions(&["crate", "super"]) {
        let in_tests = mention.line >= tests_from || place.modules.iter().any(|m| m == "tests");
        let Some(target) = resolve(&place.modules, &mention.segments, in_tests) else {
            continue;
        };
        if let Some(rule) = fault_of(layers, &place.modules, &target) {
            faults.push(format!("{}:{}: {rule}", source.name, mention.line));
        }
    }
    faults
}

/// The mentioned path from the crate's root, `None` where an inline module makes `super` mean less.
fn resolve(modules: &[String], segments: &[String], in_tests: bool) -> Option<Vec<String>> {
    if segments[0] == "crate" {
        return Some(segments[1..].to_vec());
    }
    let ups = segments.iter().take_while(|word| *word == "super").count();
    // An inline `mod tests` is one module deeper than its file.
    let ups_of_file = ups - usize::from(in_tests && ups > 0);
    let kept = modules.len().checked_sub(ups_of_file)?;
    let mut target = modules[..kept].to_vec();
    target.extend_from_slice(&segments[ups..]);
    Some(target)
}

fn fault_of(layers: &[&[&str]], from: &[String], target: &[String]) -> Option<String> {
    let own = from[0].as_str();
    let other = target.first()?.as_str();
    if own == other {
        return api_fault(from, target);
    }
    // Types and constants at the crate's root begin with a capital, modules do not.
    let Some(theirs) = layer(layers, other) else {
        let is_item = other.starts_with(char::is_uppercase) || other.is_empty() || other == "*";
        return (!is_item)
            .then(|| format!("`{other}` is not in the import table (imported by `{own}`)"));
    };
    let ours = layer(layers, own)?;
    if theirs < ours || SIBLINGS.contains(&(own, other)) {
        return None;
    }
    Some(format!("`{own}` may not import `{other}`"))
}

/// An API's file never imports another's.
fn api_fault(from: &[String], target: &[String]) -> Option<String> {
    let number = |path: &[String]| -> Option<String> {
        let file = path.get(1)?;
        let digits = file.strip_prefix('k')?.get(..2)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| file[..3].to_owned())
    };
    if from[0] != "api" {
        return None;
    }
    let (ours, theirs) = (number(from)?, number(target)?);
    (ours != theirs).then(|| format!("API file `{}` may not import `{}`", from[1], target[1]))
}

/// A word that may not stand in the code of some folders.
struct Ban {
    word: &'static str,
    why: &'static str,
}

const CORE_BANS: &[Ban] = &[
    Ban {
        word: "HashMap",
        why: "the core iterates over nothing in hash order",
    },
    Ban {
        word: "HashSet",
        why: "the core iterates over nothing in hash order",
    },
    Ban {
        word: "async",
        why: "the core is stepped, not awaited",
    },
    Ban {
        word: "await",
        why: "the core is stepped, not awaited",
    },
    Ban {
        word: "Instant",
        why: "time is an input",
    },
    Ban {
        word: "println!",
        why: "the core does no I/O",
    },
    Ban {
        word: "eprintln!",
        why: "the core does no I/O",
    },
    Ban {
        word: "std::net::TcpStream",
        why: "the core does no I/O",
    },
    Ban {
        word: "std::io",
        why: "the core does no I/O",
    },
    Ban {
        word: "std::thread",
        why: "the core has no threads",
    },
    Ban {
        word: "std::env",
        why: "what the core depends on is an input",
    },
];

const SHARD_BANS: &[Ban] = &[
    Ban {
        word: "Mutex",
        why: "no lock on the path of a record",
    },
    Ban {
        word: "RwLock",
        why: "no lock on the path of a record",
    },
    Ban {
        word: "Condvar",
        why: "no lock on the path of a record",
    },
    Ban {
        word: "AtomicBool",
        why: "cores talk by messages",
    },
    Ban {
        word: "AtomicI64",
        why: "cores talk by messages",
    },
    Ban {
        word: "AtomicU32",
        why: "cores talk by messages",
    },
    Ban {
        word: "AtomicU64",
        why: "cores talk by messages",
    },
    Ban {
        word: "AtomicUsize",
        why: "cores talk by messages",
    },
    Ban {
        word: "std::fs",
        why: "a shard never blocks",
    },
    Ban {
        word: "thread::sleep",
        why: "a shard never blocks",
    },
    Ban {
        word: "Instant::now",
        why: "the clock is read in src/io",
    },
    Ban {
        word: "SystemTime",
        why: "the clock is read in src/io",
    },
];

/// Allowed all the same: (file, word). The crates of the codecs write to memory through `std::io::Write`.
const EXCEPTIONS: &[(&str, &str)] = &[("src/core/wire/codec/mod.rs", "std::io")];

/// Spelled in two parts so that this file does not hold them.
const EVERYWHERE_BANS: &[Ban] = &[
    Ban {
        word: concat!("TO", "DO"),
        why: "an issue or docs/SKIPPED.md",
    },
    Ban {
        word: concat!("FIX", "ME"),
        why: "an issue or docs/SKIPPED.md",
    },
    Ban {
        word: concat!("to", "do!"),
        why: "no stub behind a finished name",
    },
    Ban {
        word: concat!("unimple", "mented!"),
        why: "no stub behind a finished name",
    },
    Ban {
        word: concat!("allow(dead", "_code)"),
        why: "dead code is deleted",
    },
    Ban {
        word: concat!("#[ig", "nore"),
        why: "an ignored test proves nothing",
    },
];

/// Banned words that appear.
pub fn bans(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let name = &source.name;
    let tests_from = source.tests_from();
    let is_tests_file = name.ends_with("/tests.rs") || name.contains("/tests/");
    let in_core = name.starts_with("src/core/");
    let on_shard = in_core
        || [
            "src/net/",
            "src/store/",
            "src/net.rs",
            "src/store.rs",
            "src/mesh.rs",
            "src/shard_loop",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    for (index, (code, text)) in source.code.lines().zip(source.text.lines()).enumerate() {
        let line = index + 1;
        let mut found = |ban: &Ban| {
            if !EXCEPTIONS.contains(&(name.as_str(), ban.word)) {
                faults.push(format!("{name}:{line}: `{}`: {}", ban.word, ban.why));
            }
        };
        EVERYWHERE_BANS
            .iter()
            .filter(|ban| has_word(text, ban.word))
            .for_each(&mut found);
        if name.starts_with("src/") && !name.starts_with("src/io/") && has_word(code, "unsafe") {
            found(&Ban {
                word: "unsafe",
                why: "only src/io may",
            });
        }
        if is_tests_file || line >= tests_from {
            continue;
        }
        if on_shard {
            SHARD_BANS
                .iter()
                .filter(|ban| has_word(code, ban.word))
                .for_each(&mut found);
        }
        let shard_found = SHARD_BANS.iter().any(|ban| has_word(code, ban.word));
        if in_core && !shard_found {
            CORE_BANS
                .iter()
                .filter(|ban| has_word(code, ban.word))
                .for_each(&mut found);
        }
    }
    faults
}

/// True if `word` stands in `line` and neither end of it is inside a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let opens = word.starts_with(is_word) && before.is_some_and(is_word);
        let closes = word.ends_with(is_word) && after.is_some_and(is_word);
        !opens && !closes
    })
}

/// A file says what it is for, and ends in time.
pub fn shape(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if source.line_count() > LINES_MAX {
        faults.push(format!(
            "{}:{}: a file has at most {LINES_MAX} lines",
            source.name,
            source.line_count()
        ));
    }
    let speaks = source.text.starts_with("//!") || source.name.ends_with("/tests.rs");
    if !speaks {
        faults.push(format!(
            "{}:1: a file opens with `//!` and its purpose",
            source.name
        ));
    }
    faults
}
