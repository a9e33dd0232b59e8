//! The command line: `onrush` alone starts a broker, everything else is a tool.
//!
//! Invariants: 1. Exit code 0 means done, 1 that it could not be done, 2 that the command line makes no sense.
//! 2. What went wrong is one sentence on stderr. 3. stdout carries results only; a reader that goes away ends the command
//! quietly.

pub mod client;
pub mod consume;
mod consume_group;
pub mod dump;
pub mod group;
pub mod output;
pub mod produce;
pub mod start;
pub mod topic;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use client::{Client, ClientError};
use output::Out;

/// onrush: a drop-in replacement for Apache Kafka on Linux.
#[derive(Debug, Parser)]
#[command(name = "onrush", version, about, propagate_version = true)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: start::StartOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a broker, as `onrush` alone does.
    Start(start::StartArgs),
    /// Prepares a data directory, as `kafka-storage format` does. `start` does it by itself where it is needed.
    Format(start::FormatArgs),
    /// Creates, lists, describes and deletes topics.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Lists, describes and deletes consumer groups.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Sends lines of stdin as records.
    Produce(produce::ProduceArgs),
    /// Prints records.
    Consume(consume::ConsumeArgs),
    /// Shows and checks the files of a log directory.
    DumpLog(dump::DumpArgs),
}

/// Which broker a tool talks to.
#[derive(Debug, Args)]
pub struct Connect {
    /// Where the cluster is reached.
    #[arg(
        short = 'b',
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:9092"
    )]
    bootstrap_server: String,
    /// How long a request, with its retries, may take.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    request_timeout_ms: u64,
}

impl Connect {
    fn client(&self) -> Client {
        // A socket timeout of zero would mean none at all.
        let patience = Duration::from_millis(self.request_timeout_ms.max(1));
        Client::new(&self.bootstrap_server, patience)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A broker, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// stdin.
    #[error("cannot read the input: {0}")]
    Input(std::io::Error),
    /// stdout.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The data directory.
    #[error(transparent)]
    Boot(#[from] crate::boot::BootError),
    /// The log.
    #[error(transparent)]
    Observe(#[from] crate::observe::ObserveError),
    /// What was asked for is not there.
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    /// True when the reader of the output is gone: nobody is left to tell.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Text with `\t`, `\n`, `\\` and `\0` as they are written in other tools.
fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('0') => '\0',
                Some('\\') => '\\',
                other => return Err(format!("unknown escape \\{}", other.unwrap_or(' '))),
            },
            c => c,
        };
        plain.push(c);
    }
    Ok(plain)
}

/// Runs the process's command line.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are a success; clap knows which is which.
            error.print().unwrap_or_default();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = Out::stdout();
    let result = match &cli.command {
        None => return start::run(&cli.start),
        Some(Command::Start(args)) => return start::run(&args.options()),
        Some(Command::Format(args)) => start::format(args, &mut out),
        Some(Command::Topic(command)) => topic::run(command, &mut out),
        Some(Command::Group(command)) => group::run(command, &mut out),
        Some(Command::Produce(args)) => produce::run(args, &mut out),
        Some(Command::Consume(args)) => consume::run(args, &mut out),
        Some(Command::DumpLog(args)) => dump::run(args, &mut out),
    };
    finish(result.and_then(|()| out.flush()))
}

fn finish(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_quiet() => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("onrush: {error}\n");
            // Without stderr there is nobody to tell.
            std::io::stderr()
                .write_all(line.as_bytes())
                .unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn command_lines_parse_or_are_refused() {
        for (line, good) in [
            ("onrush", true),
            ("onrush --config a --override b=c --log-format json", true),
            (
                "onrush start --config a --override b=c --override d=e",
                true,
            ),
            ("onrush start server.properties --override b=c", true),
            ("onrush start a --config b", false),
            (
                "onrush start --override b=c --log-level info,onrush::net=debug",
                true,
            ),
            ("onrush format --cluster-id x --ignore-formatted", true),
            ("onrush topic create a", true),
            (
                "onrush topic create a -p 3 -r -1 -c a=b -c c=d --json",
                true,
            ),
            ("onrush topic create a -c nonsense", false),
            ("onrush topic create", false),
            ("onrush topic list -b h:1", true),
            ("onrush topic describe", true),
            ("onrush topic delete a", true),
            ("onrush produce t -K : -z zstd -a all --headers", true),
            ("onrush produce t -z brotli", false),
            ("onrush produce t -a 2", false),
            ("onrush consume t --from-beginning -n 5 --json", true),
            ("onrush consume t -p 0 -o -5", true),
            ("onrush consume t -o 5", false),
            ("onrush consume t -p 0 -o 5 --from-beginning", false),
            ("onrush consume t --group g -f -n 3", true),
            ("onrush consume t --group g -p 0", false),
            ("onrush group list --json", true),
            ("onrush group describe", true),
            ("onrush group describe g -b h:1", true),
            ("onrush group delete", false),
            ("onrush nonsense", false),
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert_eq!(parsed.is_ok(), good, "{line}: {parsed:?}");
        }
    }

    #[test]
    fn separators_may_be_escaped() {
        assert_eq!(unescape("a\\tb\\\\"), Ok("a\tb\\".to_owned()));
        assert!(unescape("\\x").is_err());
    }
}
