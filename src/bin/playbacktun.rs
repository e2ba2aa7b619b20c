//! The `playbacktun` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cheaproute::cli::playback::main(std::env::args_os())
}
