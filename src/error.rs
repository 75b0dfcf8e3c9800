//! The one error type of the crate. Flat on purpose: a status in C is one match away (`ffi/status.rs`), and
//! a message says what happened and what to do next.

use std::{borrow::Cow, fmt, ops::Deref};

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
    InvalidArgument { what: Text },
    /// The operating system refused.
    Io(Box<Refusal>),
    /// The disk is full. Nothing was written; a retry after freeing space can succeed.
    NoSpace(Box<Refusal>),
    /// Damage to data that had been durable.
    Corrupt(Box<Damage>),
    /// Another process or handle has the store open for writing.
    Locked { what: Text },
    /// The path exists, but holds no store.
    NotAStore { what: Text },
    /// Written by a newer format than this library knows.
    Version { found: u32, supported: u32 },
    /// A write to a store that was opened read-only.
    ReadOnly,
    /// A key, value, tag or commit beyond the documented limits.
    TooLarge { what: Text },
    /// An earlier write failed half-way; the store must be reopened.
    Poisoned { what: Text },
    /// The handle was carried over `fork()`.
    Forked,
    /// A condition did not hold; nothing was written.
    Conflict { what: Text },
    /// A defect in sarsen itself.
    Internal { what: Text },
}

// Two registers: a `Result<()>` is returned in them, and what passes an error on stays short.
const _: () = assert!(size_of::<Error>() <= 16 && size_of::<Result<()>>() <= 16);

/// What the operating system refused; `os_code` is errno, 0 where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub what: Cow<'static, str>,
    pub file: Option<String>,
    pub os_code: i32,
}

/// Where data is damaged. Sequence numbers are 0 where no commit can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub file: String,
    pub offset: u64,
    pub what: Cow<'static, str>,
    pub first_seq: u64,
    pub last_seq: u64,
}

/// Words of an error, behind one thin pointer to keep it small.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Box<Cow<'static, str>>);

impl From<&'static str> for Text {
    #[cold]
    #[inline(never)]
    fn from(text: &'static str) -> Self {
        Text(Box::new(Cow::Borrowed(text)))
    }
}

impl From<String> for Text {
    #[cold]
    #[inline(never)]
    fn from(text: String) -> Self {
        Text(Box::new(Cow::Owned(text)))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

// Errors are made out of line, which keeps the many places that make one short.
impl Error {
    #[cold]
    #[inline(never)]
    pub(crate) fn invalid(what: impl Into<Text>) -> Self {
        Error::InvalidArgument { what: what.into() }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn too_large(what: impl Into<Text>) -> Self {
        Error::TooLarge { what: what.into() }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn internal(what: impl Into<Text>) -> Self {
        Error::Internal { what: what.into() }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn io(what: &'static str, file: Option<String>, os_code: i32) -> Self {
        Error::Io(Box::new(Refusal {
            what: what.into(),
            file,
            os_code,
        }))
    }

    /// For a full disk where that does not mean that nothing was written and trying again may help.
    pub(crate) fn lasting(self) -> Self {
        match self {
            Error::NoSpace(refusal) => Error::Io(refusal),
            error => error,
        }
    }

    /// Damage in `file` (a path within the store) at byte `offset`, not tied to commits.
    #[cold]
    #[inline(never)]
    pub(crate) fn corrupt(file: impl Into<String>, offset: u64, what: impl Into<Cow<'static, str>>) -> Self {
        Error::corrupt_commits(file.into(), offset, what, 0, 0)
    }

    /// Damage that concerns the commits from `first_seq` to `last_seq`.
    #[cold]
    #[inline(never)]
    pub(crate) fn corrupt_commits(
        file: String,
        offset: u64,
        what: impl Into<Cow<'static, str>>,
        first_seq: u64,
        last_seq: u64,
    ) -> Self {
        Error::Corrupt(Box::new(Damage {
            file,
            offset,
            what: what.into(),
            first_seq,
            last_seq,
        }))
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
            Error::Io(refusal) => {
                write!(f, "{}{}", refusal.what, in_file(&refusal.file))?;
                if refusal.os_code != 0 {
                    write!(f, ": {}", std::io::Error::from_raw_os_error(refusal.os_code))?;
                }
                Ok(())
            }
            Error::NoSpace(refusal) => write!(
                f,
                "the disk is full: {}{}; nothing was written, free some space or delete data and try again",
                refusal.what,
                in_file(&refusal.file)
            ),
            Error::Corrupt(damage) => {
                let Damage { file, offset, what, first_seq, last_seq } = &**damage;
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
