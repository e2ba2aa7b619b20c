//! The daemon. A stub.

use std::path::PathBuf;

use crate::control::{Code, Exit};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub config: PathBuf,
    pub socket: PathBuf,
}

/// Runs until told to stop.
pub fn run(_options: &Options) -> Result<(), Exit> {
    Err(Exit::new(Code::Failed, "not in this build"))
}

/// The nft ruleset that `run` would load.
pub fn dry_run(_options: &Options) -> Result<String, Exit> {
    Err(Exit::new(Code::Failed, "not in this build"))
}
