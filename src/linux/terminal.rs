//! The terminal of a view that takes all of it: keys without the return key, and everything put back at the end.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use super::check;

/// The alternate screen without a cursor, and back (xterm's control sequences, DECSET 1049 and 25).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

/// How the keyboard was before. There is one terminal, and a panic has no other way to it.
static BEFORE: OnceLock<libc::termios> = OnceLock::new();

/// The terminal as a screen; dropped, or in a panic, it is what it was.
pub struct Terminal(());

impl Terminal {
    /// Takes the screen, and keys one by one if stdin is a terminal too. Ctrl-C still makes its signal; Ctrl-Z, which would
    /// leave the shell on our screen, does not.
    pub fn enter() -> io::Result<Terminal> {
        #[cfg(not(silent_panics))]
        {
            let old = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |why| {
                leave();
                old(why);
            }));
        }
        let terminal = Terminal(());
        if io::stdin().is_terminal() {
            let mut mode = mode()?;
            let before = *BEFORE.get_or_init(|| mode);
            mode = libc::termios { c_lflag: before.c_lflag & !(libc::ICANON | libc::ECHO), ..before };
            (mode.c_cc[libc::VMIN], mode.c_cc[libc::VTIME], mode.c_cc[libc::VSUSP]) = (1, 0, 0);
            set_mode(&mode)?;
        }
        write(ENTER)?;
        Ok(terminal)
    }

    /// Where keys come from, if they do.
    pub fn keys(&self) -> Option<Keys> {
        BEFORE.get().map(|_| Keys(()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
    }
}

/// The keyboard, to be waited for.
pub struct Keys(());

impl Keys {
    /// The bytes of the keys that were pressed; to be called when there are any. Empty: there will be no more.
    pub fn pressed(&self) -> Vec<u8> {
        let mut bytes = [0; 64];
        let got = io::stdin().lock().read(&mut bytes).unwrap_or(0);
        bytes.get(..got).unwrap_or_default().to_vec()
    }
}

impl AsFd for Keys {
    fn as_fd(&self) -> BorrowedFd<'_> {
        static STDIN: OnceLock<io::Stdin> = OnceLock::new();
        STDIN.get_or_init(io::stdin).as_fd()
    }
}

/// What fails here cannot be helped: the terminal is gone, mostly.
fn leave() {
    let _ = write(LEAVE);
    if let Some(before) = BEFORE.get() {
        let _ = set_mode(before);
    }
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text).and_then(|()| stdout.flush())
}

fn mode() -> io::Result<libc::termios> {
    // SAFETY: termios is plain integers, for which zeroes are valid; `mode` is writable throughout.
    unsafe {
        let mut mode: libc::termios = core::mem::zeroed();
        check(libc::tcgetattr(io::stdin().as_raw_fd(), &mut mode)).map(|_| mode)
    }
}

fn set_mode(mode: &libc::termios) -> io::Result<()> {
    // SAFETY: `mode` is readable for the time of the call.
    check(unsafe { libc::tcsetattr(io::stdin().as_raw_fd(), libc::TCSANOW, mode) }).map(drop)
}
