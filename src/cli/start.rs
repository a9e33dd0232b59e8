//! `onrush start` and `onrush format`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::output::Out;
use super::{CliError, finish};
use crate::boot;
use crate::config;
use crate::io::clock::Clock;
use crate::io::process::StopSignals;
use crate::observe::{self, LogFormat};

/// How to start a broker.
#[derive(Clone, Debug, Args)]
pub struct StartOptions {
    /// A server.properties file in Kafka's syntax. Without one, defaults start a single node on 127.0.0.1:9092 with its
    /// data in ./data.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets a key, stronger than the file. May be given several times.
    #[arg(short, long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// A level (error, warn, info, debug, trace), or levels by module: info,onrush::net=debug.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// `onrush start`
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The same as --config, as Kafka's start script takes it.
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: StartOptions,
}

impl StartArgs {
    pub(super) fn options(&self) -> StartOptions {
        let mut options = self.options.clone();
        options.config = options.config.or_else(|| self.file.clone());
        options
    }
}

/// `onrush format`
#[derive(Debug, Args)]
pub struct FormatArgs {
    /// A server.properties file in Kafka's syntax.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets a key, stronger than the file. May be given several times.
    #[arg(short, long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The cluster's id; a random one if left out.
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: Option<String>,
    /// Succeed if the directory is formatted already, for this node and cluster.
    #[arg(short = 'g', long)]
    ignore_formatted: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Formatted {
    directory: String,
    cluster_id: String,
    directory_id: String,
    is_new: bool,
}

/// Runs a broker to its end.
#[must_use]
pub fn run(options: &StartOptions) -> ExitCode {
    // Before any thread is made, so that all of them leave these signals alone.
    let signals = StopSignals::block();
    let started = config::load(options.config.as_deref(), &options.overrides)
        .map_err(CliError::from)
        .and_then(|config| {
            let logging = observe::start(&options.log_level, options.log_format)?;
            Ok((config, logging))
        });
    match started {
        Ok((config, logging)) => boot::run(&config, logging, signals),
        Err(error) => finish(Err(CliError::Usage(format!("cannot start: {error}")))),
    }
}

/// Formats a directory.
pub fn format(args: &FormatArgs, out: &mut Out) -> Result<(), CliError> {
    let mut overrides = args.overrides.clone();
    if let Some(id) = &args.cluster_id {
        overrides.push(format!("onrush.cluster.id={id}"));
    }
    let config = config::load(args.config.as_deref(), &overrides)?;
    let directory = boot::prepare(&config, Clock::start().now().wall)?;
    let path = directory.path.display().to_string();
    if !directory.is_new && !args.ignore_formatted {
        return Err(CliError::Usage(format!(
            "{path} is formatted already, for cluster {}: use --ignore-formatted to keep it as it is",
            directory.cluster_id
        )));
    }
    if args.json {
        return out.json(&Formatted {
            directory: path,
            cluster_id: directory.cluster_id.to_string(),
            directory_id: directory.directory_id.to_string(),
            is_new: directory.is_new,
        });
    }
    let what = if directory.is_new {
        "Formatted"
    } else {
        "Already formatted:"
    };
    out.line(&format!(
        "{what} {path} for cluster {}",
        directory.cluster_id
    ))
}
