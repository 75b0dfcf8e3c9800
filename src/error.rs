//! The one error type of the crate. Flat on purpose: a status in C is one match away (`ffi/status.rs`), and
//! a message says what happened and what to do next.

use std::{borrow::Cow, fmt};

/// What a call that can fail returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No such key, id, record or block.
    NotFound,
    /// An iterator has nothing more.
    End,
    /// A wait ran out.
    Timeout,
    /// The caller asked for something that makes no sense; nothing was done.
    InvalidArgument { what: Cow<'static, str> },
    /// The operating system refused; `os_code` is errno, 0 where there is none.
    Io {
        what: Cow<'static, str>,
        file: Option<String>,
        os_code: i32,
    },
    /// The disk is full. Nothing was written; a retry after freeing space can succeed.
    NoSpace {
        what: Cow<'static, str>,
        file: Option<String>,
        os_code: i32,
    },
    /// Damage to data that had been durable. Sequence numbers are 0 where no commit can be named.
    Corrupt {
        file: String,
        offset: u64,
        what: Cow<'static, str>,
        first_seq: u64,
        last_seq: u64,
    },
    /// Another process or handle has the store open for writing.
    Locked { what: Cow<'static, str> },
    /// The path exists, but holds no store.
    NotAStore { what: Cow<'static, str> },
    /// Written by a newer format than this library knows.
    Version { found: u32, supported: u32 },
    /// A write to a store that was opened read-only.
    ReadOnly,
    /// A key, value, tag or commit beyond the documented limits.
    TooLarge { what: Cow<'static, str> },
    /// An earlier write failed half-way; the store must be reopened.
    Poisoned { what: Cow<'static, str> },
    /// The handle was carried over `fork()`.
    Forked,
    /// A condition did not hold; nothing was written.
    Conflict { what: Cow<'static, str> },
    /// A defect in sarsen itself.
    Internal { what: Cow<'static, str> },
}

impl Error {
    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>) -> Self {
        Error::InvalidArgument { what: what.into() }
    }

    pub(crate) fn too_large(what: impl Into<Cow<'static, str>>) -> Self {
        Error::TooLarge { what: what.into() }
    }

    pub(crate) fn internal(what: impl Into<Cow<'static, str>>) -> Self {
        Error::Internal { what: what.into() }
    }

    /// For a full disk where that does not mean that nothing was written and trying again may help.
    pub(crate) fn lasting(self) -> Self {
        match self {
            Error::NoSpace { what, file, os_code } => Error::Io { what, file, os_code },
            error => error,
        }
    }

    /// Damage in `file` (a path within the store) at byte `offset`, not tied to commits.
    pub(crate) fn corrupt(file: impl Into<String>, offset: u64, what: impl Into<Cow<'static, str>>) -> Self {
        Error::Corrupt {
            file: file.into(),
            offset,
            what: what.into(),
            first_seq: 0,
            last_seq: 0,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_file =
            |file: &Option<String>| file.as_ref().map(|file| format!(" ({file})")).unwrap_or_default();
        match self {
            Error::NotFound => f.write_str("not found"),
            Error::End => f.write_str("nothing more"),
            Error::Timeout => f.write_str("the wait ran out"),
            Error::InvalidArgument { what } => write!(f, "invalid argument: {what}"),
            Error::Io { what, file, os_code } => {
                write!(f, "{what}{}", in_file(file))?;
                if *os_code != 0 {
                    write!(f, ": {}", std::io::Error::from_raw_os_error(*os_code))?;
                }
                Ok(())
            }
            Error::NoSpace { what, file, .. } => write!(
                f,
                "the disk is full: {what}{}; nothing was written, free some space or delete data and try again",
                in_file(file)
            ),
            Error::Corrupt { file, offset, what, first_seq, last_seq } => {
                write!(f, "durable data is damaged: {file} at byte {offset}: {what}")?;
                if *first_seq != 0 {
                    write!(f, " (commits {first_seq} to {last_seq})")?;
                }
                f.write_str("; restore a backup, or open with salvage to read what is left")
            }
            Error::Locked { what } => write!(f, "{what}; close the other handle or open read-only"),
            Error::NotAStore { what } => write!(f, "not a sarsen store: {what}"),
            Error::Version { found, supported } => write!(
                f,
                "the store has format version {found}, this library knows up to {supported}; use a newer sarsen"
            ),
            Error::ReadOnly => f.write_str("the store was opened read-only; open it for writing"),
            Error::TooLarge { what } => write!(f, "too large: {what}"),
            Error::Poisoned { what } => write!(
                f,
                "an earlier write failed half-way ({what}); close the store and open it again to learn what survived"
            ),
            Error::Forked => {
                f.write_str("the store was opened before fork(); open it again in the child process")
            }
            Error::Conflict { what } => write!(f, "conflict: {what}; nothing was written"),
            Error::Internal { what } => write!(f, "internal error in sarsen: {what}; reopen the store and report this"),
        }
    }
}

impl std::error::Error for Error {}
