//! What the broker says about itself: log lines today.
//!
//! Invariants:
//! 1. A thread that logs never waits for whoever reads the log: lines go through a bounded queue of that thread's own
//!    ([`queue`]) to the service thread, which alone writes to stderr. What does not fit is dropped and counted, and the
//!    count is reported.
//! 2. Log lines never carry record contents; the core's notes and the edge's events have none to give.
//!
//! Deliberately absent: metrics and traces (they come with the service thread's HTTP side).

pub mod queue;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use onrush_core::effect::Note;
use onrush_core::types::CoreId;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use queue::{LineQueue, Service};

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The filter is not `level` or `module=level,…`.
    #[error(
        "--log-level {text:?} is not understood ({why}): write a level such as info, or levels per module such as info,onrush::net=debug"
    )]
    Filter {
        /// As given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// The service thread could not be made.
    #[error("cannot start the service thread: {0}")]
    Thread(std::io::Error),
    /// Somebody logs already.
    #[error("logging was set up twice")]
    Twice,
}

/// Logging is on as long as this lives.
#[derive(Debug)]
pub struct Logging {
    service: Service,
}

/// Starts the service thread on stderr and makes it the process's log.
///
/// `filter` is a level, or levels by module: `info,onrush::net=debug`.
pub fn start(filter: &str, format: LogFormat) -> Result<Logging, ObserveError> {
    let stderr = std::io::stderr();
    let colours = stderr.is_terminal();
    let (logging, subscriber) = subscriber(filter, format, colours, Box::new(stderr))?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| ObserveError::Twice)?;
    Ok(logging)
}

fn subscriber(
    filter: &str,
    format: LogFormat,
    colours: bool,
    sink: Box<dyn Write + Send>,
) -> Result<(Logging, impl Subscriber + Send + Sync), ObserveError> {
    let bad = |why: String| ObserveError::Filter {
        text: filter.to_owned(),
        why,
    };
    // `Targets` would take a lone misspelt level for the name of a module.
    for item in filter.split(',').filter(|item| !item.contains('=')) {
        if item.trim().parse::<LevelFilter>().is_err() {
            return Err(bad(format!("{item} is not a level")));
        }
    }
    let targets: Targets = filter.parse().map_err(|error| bad(format!("{error}")))?;
    let service = Service::start(sink).map_err(ObserveError::Thread)?;
    let queue: LineQueue = service.queue();
    let lines = fmt::layer().with_writer(move || queue.clone());
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Human => Box::new(lines.with_ansi(colours)),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    let subscriber = Registry::default().with(layer.with_filter(targets));
    Ok((Logging { service }, subscriber))
}

impl Logging {
    /// Ends the service thread after it has written what is queued; gives up after `patience`, because a reader that
    /// never reads must not keep the process alive.
    pub fn finish(self, patience: Duration) {
        self.service.finish(patience);
    }
}

/// Turns a core's note into a log event. Called on the core's thread.
pub fn note(core: CoreId, note: &Note) {
    let core = core.0;
    match note {
        Note::Info(text) => tracing::info!(target: "onrush::core", core, "{text}"),
        Note::Warn(text) => tracing::warn!(target: "onrush::core", core, "{text}"),
        Note::Error(text) => tracing::error!(target: "onrush::core", core, "{text}"),
        Note::Ready => tracing::debug!(target: "onrush::core", core, "ready"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::*;

    /// Runs `work` with a log that goes into a pipe, and returns the reading end and the log.
    fn piped(
        filter: &str,
        format: LogFormat,
        work: impl FnOnce(),
    ) -> (std::io::PipeReader, Logging) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let (logging, subscriber) =
            subscriber(filter, format, false, Box::new(writer)).expect("logging starts");
        tracing::subscriber::with_default(subscriber, work);
        (reader, logging)
    }

    fn text(filter: &str, format: LogFormat, work: impl FnOnce()) -> String {
        let (mut reader, logging) = piped(filter, format, work);
        logging.finish(Duration::from_secs(10));
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("the pipe is read");
        text
    }

    #[test]
    fn levels_are_per_module() {
        let text = text("warn,onrush::net=debug", LogFormat::Human, || {
            tracing::info!(target: "onrush::store", "hidden");
            tracing::debug!(target: "onrush::net", "shown");
            note(CoreId(1), &Note::Warn("disk is slow".to_owned()));
        });
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("shown"), "{text}");
        assert!(text.contains("disk is slow"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn json_lines_are_json() {
        let text = text("info", LogFormat::Json, || {
            tracing::info!(topic = "a\"b", "made");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one object");
        assert_eq!(line["topic"], "a\"b");
        assert_eq!(line["message"], "made");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        let error = subscriber("loud", LogFormat::Human, false, Box::new(std::io::sink()))
            .map(|_| ())
            .expect_err("no such level");
        assert!(error.to_string().contains("loud"), "{error}");
    }

    #[test]
    fn a_reader_that_never_reads_delays_nobody() {
        const LINES: usize = 100_000;
        let mut longest = Duration::ZERO;
        let begin = Instant::now();
        let (mut reader, logging) = piped("info", LogFormat::Human, || {
            for n in 0..LINES {
                let before = Instant::now();
                tracing::info!(
                    n,
                    "a line that nobody reads, long enough to fill a pipe soon"
                );
                longest = longest.max(before.elapsed());
            }
        });
        // With a blocking write this never ends: a pipe holds 64 KiB, the lines are 10 MB. The bound is generous for a
        // machine under load.
        let took = begin.elapsed();
        assert!(
            took < Duration::from_mins(1),
            "{took:?}, longest {longest:?}"
        );
        let dropped = logging.service.dropped();
        assert!(dropped > 0, "the queue is far smaller than what was logged");
        // Once somebody reads, the loss is told.
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        logging.finish(Duration::from_secs(30));
        let text = reading.join().expect("joins").expect("reads");
        let told = format!("{dropped} log lines were dropped");
        assert!(text.contains(&told), "{told}");
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_for_ever() {
        let (_reader, logging) = piped("info", LogFormat::Human, || {
            for n in 0..5_000 {
                tracing::info!(
                    n,
                    "a line that nobody reads, long enough to fill a pipe soon"
                );
            }
        });
        let begin = Instant::now();
        logging.finish(Duration::from_millis(50));
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
