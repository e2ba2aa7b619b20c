//! How a command ends.

use core::fmt;

/// What a script can tell from the exit status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Config = 3,
    System = 4,
    Running = 5,
    NotRunning = 6,
}

impl Code {
    pub const ALL: [Code; 7] =
        [Code::Ok, Code::Failed, Code::Usage, Code::Config, Code::System, Code::Running, Code::NotRunning];

    pub const fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Code> {
        Code::ALL.get(usize::from(number)).copied()
    }

    /// For the help text.
    pub const fn meaning(self) -> &'static str {
        match self {
            Code::Ok => "done",
            Code::Failed => "failed; the message says why",
            Code::Usage => "the command line is wrong",
            Code::Config => "the configuration has faults, or cannot be read",
            Code::System => "the system lacks something: permission, a kernel module, a program",
            Code::Running => "another cheaproute runs already",
            Code::NotRunning => "no cheaproute runs",
        }
    }
}

/// Why a command did not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    pub code: Code,
    /// One line for the user, without the program's name; empty if all is said already.
    pub text: String,
}

impl Exit {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Exit { code, text: text.into() }
    }

    /// With text that is yet to be formatted, which takes the least room where a command fails.
    #[inline(never)]
    pub fn said(code: Code, text: fmt::Arguments) -> Self {
        Exit { code, text: text.to_string() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Exit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_their_numbers() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        assert_eq!(Code::from_number(7), None);
    }
}
