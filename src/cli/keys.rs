//! `genkey`, `pubkey` and `genpsk`, as WireGuard's tool has them.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

use super::print;
use crate::bond::keys::{KEY, Secret, WRITTEN};
use crate::control::{Code, Exit};
use crate::linux::random;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Private,
    Public,
    Shared,
}

/// Prints the key and a line's end.
pub fn show(wanted: Wanted) -> Result<(), Exit> {
    if wanted != Wanted::Public && readable_by_all() {
        let warning =
            "cheaproute: everybody may read the file that this key goes to: chmod 600 it, or say umask 077 before";
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let text = match wanted {
        Wanted::Public => public()?,
        Wanted::Private => Secret::private(numbers()?).written(),
        Wanted::Shared => Secret::new(numbers()?).written(),
    };
    print(&(text + "\n"))
}

fn numbers() -> Result<[u8; KEY], Exit> {
    let mut numbers = [0; KEY];
    let filled = random::fill(&mut numbers);
    filled.map_err(|error| Exit::said(Code::System, format_args!("cannot get random numbers: {error}")))?;
    Ok(numbers)
}

fn public() -> Result<String, Exit> {
    if io::stdin().is_terminal() {
        let _ = writeln!(io::stderr(), "cheaproute: the private key, and the return key:");
    }
    // A line is enough: who types it need not end the input.
    let mut text = String::new();
    let mut stdin = io::stdin().lock().take(4 * WRITTEN as u64);
    while !text.trim_start().contains('\n') {
        let mut byte = [0];
        match stdin.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => text.push(char::from(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Exit::said(Code::Failed, format_args!("cannot read the private key: {error}"))),
        }
    }
    let key = Secret::read(text.trim());
    let key = key.ok_or_else(|| {
        let wanted = format!("there is no private key on stdin, {WRITTEN} characters as genkey makes them");
        Exit::new(Code::Failed, wanted + ": cheaproute pubkey < FILE")
    })?;
    Ok(key.public().to_string())
}

/// Whether stdout is a file that others may read.
fn readable_by_all() -> bool {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return false };
    File::from(stdout).metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o007 != 0)
}
