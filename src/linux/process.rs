//! Other programs as processes: how they are started, waited for and killed (posix_spawn(3), waitpid(2)).

use core::fmt;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// From now on the end of the process that started us ends us as well, by SIGTERM (prctl(2), PR_SET_PDEATHSIG). `false`: it has ended already.
pub fn end_with_parent() -> bool {
    // SAFETY: both take numbers only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM, 0, 0, 0);
        libc::getppid() != 1
    }
}

/// What to start, and how.
pub struct Command<'a> {
    /// Searched for in PATH unless it has a slash in it.
    pub program: &'a str,
    /// Without the program's name.
    pub arguments: &'a [&'a str],
    /// Besides our own variables, or in place of them.
    pub variables: &'a [(&'a str, &'a str)],
    /// In a process group of its own, and in the root directory: for what may outlive us.
    pub apart: bool,
    /// Its standard input, output and error output.
    pub streams: [BorrowedFd<'a>; 3],
}

/// A process that was started. Dropped before its end was seen, it runs on, and leaves a zombie if it ends before us.
pub struct Process {
    id: libc::pid_t,
    ended: Option<Status>,
}

/// How a process ended: as waitpid(2) has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(libc::c_int);

impl Status {
    pub fn success(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 & 0x7F {
            0 => write!(f, "exit status: {}", self.0 >> 8 & 0xFF),
            signal => write!(f, "signal: {signal}"),
        }
    }
}

impl Command<'_> {
    /// Starts it, with every signal as a program expects it. Our own descriptors are all closed on exec.
    pub fn start(&self) -> io::Result<Process> {
        let text = |text: &str| CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        let program = text(self.program)?;
        let mut arguments = vec![program.clone()];
        for argument in self.arguments {
            arguments.push(text(argument)?);
        }
        let mut environment = Vec::new();
        for (name, value) in self.variables {
            environment.push(text(&[name, "=", value].concat())?);
        }
        let (arguments, mut environment) = (pointers(&arguments), pointers(&environment));
        environment.pop();
        inherit(&mut environment, self.variables);
        let mut id = 0;
        // SAFETY: attributes and actions are made before they are used, and destroyed after; zeroes are valid for all of
        // these types, which hold integers and pointers. Lists end with a null, texts with a zero; all outlive the call.
        let result = unsafe {
            let (mut actions, mut attributes) = (core::mem::zeroed(), core::mem::zeroed());
            let (mut none, mut usual) = (core::mem::zeroed(), core::mem::zeroed());
            libc::posix_spawn_file_actions_init(&mut actions);
            libc::posix_spawnattr_init(&mut attributes);
            let mut added = 0;
            for (number, stream) in (0..).zip(&self.streams) {
                added |= libc::posix_spawn_file_actions_adddup2(&mut actions, stream.as_raw_fd(), number);
            }
            // We block some signals to read them, and Rust ignores SIGPIPE.
            libc::sigemptyset(&mut none);
            libc::sigemptyset(&mut usual);
            libc::sigaddset(&mut usual, libc::SIGPIPE);
            libc::posix_spawnattr_setsigmask(&mut attributes, &none);
            libc::posix_spawnattr_setsigdefault(&mut attributes, &usual);
            let mut flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
            if self.apart {
                added |= libc::posix_spawn_file_actions_addchdir_np(&mut actions, c"/".as_ptr());
                flags |= libc::POSIX_SPAWN_SETPGROUP;
            }
            libc::posix_spawnattr_setflags(&mut attributes, flags as libc::c_short);
            let result = match added {
                0 => libc::posix_spawnp(
                    &mut id,
                    program.as_ptr(),
                    &actions,
                    &attributes,
                    arguments.as_ptr(),
                    environment.as_ptr(),
                ),
                _ => libc::ENOMEM,
            };
            libc::posix_spawn_file_actions_destroy(&mut actions);
            libc::posix_spawnattr_destroy(&mut attributes);
            result
        };
        if result == 0 { Ok(Process { id, ended: None }) } else { Err(io::Error::from_raw_os_error(result)) }
    }
}

/// The list as C has it. It lives as long as the texts.
fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    let mut list: Vec<_> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
    list.push(core::ptr::null_mut());
    list
}

/// Adds our own environment, without these variables, and the list's end.
fn inherit(list: &mut Vec<*mut libc::c_char>, without: &[(&str, &str)]) {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: the environment is a list of texts that ends with a null; nothing of ours changes it after the start.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            let own = CStr::from_ptr(*next).to_bytes();
            let named = |name: &str| own.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
            if !without.iter().any(|(name, _)| named(name)) {
                list.push(*next);
            }
            next = next.add(1);
        }
    }
    list.push(core::ptr::null_mut());
}

impl Process {
    /// How it ended, if it did. Does not wait.
    pub fn ended(&mut self) -> io::Result<Option<Status>> {
        if self.ended.is_none() {
            let mut status = 0;
            // SAFETY: `status` is writable for the time of the call.
            if check(unsafe { libc::waitpid(self.id, &mut status, libc::WNOHANG) })? != 0 {
                self.ended = Some(Status(status));
            }
        }
        Ok(self.ended)
    }

    /// Kills it. Its end is still to be waited for.
    pub fn kill(&self) {
        self.signal(self.id);
    }

    /// Kills it and all of its process group, if it was started apart.
    pub fn kill_group(&self) {
        self.signal(-self.id);
    }

    /// Nobody else gets its number, or its group's, until it is waited for.
    fn signal(&self, whom: libc::pid_t) {
        if self.ended.is_none() {
            // SAFETY: passes integers only.
            unsafe { libc::kill(whom, libc::SIGKILL) };
        }
    }
}
