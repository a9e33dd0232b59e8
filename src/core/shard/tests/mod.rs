//! The shard stepped by hand, as scripts: each line does something, each line that begins with `>` is what came of it.
//!
//! A script starts with a broker that is serving and has no topics. Its words are listed in `script`; requests in `requests`,
//! answers in `replies`. A script that says something else than expected fails with the whole of what was said.

mod disk;
mod edge;
mod group_words;
mod replies;
mod requests;
mod script;

mod cold;
mod fetch;
mod flow;
mod groups;
mod idempotence;
mod list_offsets;
mod produce;
mod session;
mod several;
mod space;
mod start;
mod stop;

use script::Script;

/// Runs a script on a new broker that is serving.
fn check(text: &str) {
    let mut script = Script::serving();
    script.run(text);
}

/// Runs a script on an empty disk, where nothing was started yet.
fn check_from_nothing(text: &str) {
    let mut script = Script::new();
    script.run(text);
}
