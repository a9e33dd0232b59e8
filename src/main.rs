//! The `onrush` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    onrush::cli::run(std::env::args_os())
}
