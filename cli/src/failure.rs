//! How a command ends: the exit codes, and what is said on stderr where it failed.

use std::{
    fmt, io,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::json;

/// Something that was asked for isn't there.
pub const NOT_FOUND: u8 = 1;
/// The command makes no sense as it is.
pub const USAGE: u8 = 2;
/// Damage was found, in a store or in an export.
pub const DAMAGED: u8 = 3;
/// Another process has the store open for writing.
pub const BUSY: u8 = 4;
/// Anything else: the system refused, the disk is full, a newer format.
pub const OTHER: u8 = 5;

/// For the help text and the man page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done; a reader that closed its end of the pipe is no failure
  1  not found: no such key, memory, stream, record or block, or commits that the log has let go
  2  usage: wrong arguments, no store at the path, a limit exceeded
  3  damaged: the store, or the export that was to be imported
  4  busy: another process has the store open for writing
  5  anything else: the system refused, the disk is full, the format is newer, a conflict";

/// How a command that did its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    /// Damage was found and reported.
    Damaged,
}

impl Ending {
    pub fn code(self) -> u8 {
        match self {
            Ending::Done => 0,
            Ending::Damaged => DAMAGED,
        }
    }
}

/// What ends a command early.
#[derive(Debug)]
pub enum Failure {
    /// Whoever read the output has seen enough.
    PipeClosed,
    Usage(String),
    /// What was asked for, in words.
    NotFound(String),
    /// A file that was to be read is not what it should be.
    Malformed(String),
    /// The lock is held; by these processes, where that can be seen.
    Busy {
        store: PathBuf,
        holders: Vec<String>,
    },
    Conflict(String),
    System {
        what: String,
        error: io::Error,
    },
    Store(sarsen::Error),
}

impl From<sarsen::Error> for Failure {
    fn from(error: sarsen::Error) -> Failure {
        Failure::Store(error)
    }
}

impl Failure {
    /// Of a file that is no part of a store.
    pub fn of_file(doing: &str, path: &Path, error: io::Error) -> Failure {
        Failure::System {
            what: format!("cannot {doing} {}", path.display()),
            error,
        }
    }

    /// Of what is printed. A closed pipe is no failure of ours.
    pub fn of_output(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::PipeClosed;
        }
        Failure::System {
            what: "cannot write the output".to_owned(),
            error,
        }
    }

    pub fn code(&self) -> u8 {
        use sarsen::Error;
        match self {
            Failure::PipeClosed => 0,
            Failure::Usage(_) => USAGE,
            Failure::NotFound(_) => NOT_FOUND,
            Failure::Malformed(_) => DAMAGED,
            Failure::Busy { .. } => BUSY,
            Failure::Conflict(_) | Failure::System { .. } => OTHER,
            Failure::Store(error) => match error {
                Error::NotFound | Error::End => NOT_FOUND,
                Error::InvalidArgument { .. }
                | Error::TooLarge { .. }
                | Error::ReadOnly
                | Error::NotAStore { .. } => USAGE,
                Error::Corrupt { .. } => DAMAGED,
                Error::Locked { .. } => BUSY,
                _ => OTHER,
            },
        }
    }

    /// The word for it in JSON.
    fn name(&self) -> &'static str {
        match self.code() {
            NOT_FOUND => "not_found",
            USAGE => "usage",
            DAMAGED => "damaged",
            BUSY => "busy",
            _ => "other",
        }
    }

    /// Says on stderr what happened.
    pub fn tell(&self, as_json: bool) {
        if matches!(self, Failure::PipeClosed) {
            return;
        }
        let line = if as_json {
            let mut told =
                json!({ "error": { "code": self.code(), "kind": self.name(), "message": self.to_string() } });
            if let (Failure::Store(sarsen::Error::Corrupt(damage)), Some(error)) = (
                self,
                told.get_mut("error").and_then(|error| error.as_object_mut()),
            ) {
                error.insert("file".to_owned(), json!(damage.file));
                error.insert("offset".to_owned(), json!(damage.offset));
            }
            told.to_string()
        } else {
            format!("sarsen: {self}")
        };
        // There is nowhere left to complain to.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::PipeClosed => f.write_str("nobody reads the output any more"),
            Failure::Usage(what)
            | Failure::NotFound(what)
            | Failure::Malformed(what)
            | Failure::Conflict(what) => f.write_str(what),
            Failure::Busy { store, holders } if holders.is_empty() => write!(
                f,
                "another process has {} open for writing; wait for it to close the store (reading works meanwhile)",
                store.display()
            ),
            Failure::Busy { store, holders } => write!(
                f,
                "{} is open for writing in {}; wait for it to close the store (reading works meanwhile)",
                store.display(),
                holders.join(" and ")
            ),
            Failure::System { what, error } => write!(f, "{what}: {error}"),
            Failure::Store(error) => error.fmt(f),
        }
    }
}
