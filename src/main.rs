//! The `cheaproute` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cheaproute::cli::main(std::env::args_os())
}
