//! The commands and their arguments: what `sarsen --help`, the man pages and the completions say.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::{failure::EXIT_CODES, opening::Writing};

// A paragraph a line: clap breaks them.
const BYTES_HELP: &str = "\
Keys and stream names are text. \\xNN, \\n, \\r, \\t and \\\\ in them are escapes, and so they are printed. Values are \
taken as they stand, and are printed like keys where they share a line with something else.

For a key, a name or a value, @FILE is what the file holds, - is stdin, and @@ is an @ at the beginning. With --hex or \
--base64 they are given, and printed, in that form. Options end at --, so that what follows may begin with a dash.

Reading works while another process has the store open for writing; writing does not.
";

/// Looks into sarsen stores, changes, copies, checks and measures them.
#[derive(Debug, Parser)]
#[command(
    name = "sarsen",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_long_help = format!("{BYTES_HELP}\n{EXIT_CODES}"),
    after_help = "sarsen help COMMAND tells more; sarsen --help also tells how bytes are written, and the exit codes."
)]
pub struct Arguments {
    #[command(flatten)]
    pub shared: Shared,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For every command")]
pub struct Shared {
    /// Print JSON, one object a line; bytes that are no text are under NAME_base64
    #[arg(long, global = true)]
    pub json: bool,
    /// Keys and values are given and printed in hex
    #[arg(long, global = true, conflicts_with = "base64")]
    pub hex: bool,
    /// Keys and values are given and printed in base64
    #[arg(long, global = true)]
    pub base64: bool,
    /// No progress bars and remarks on stderr
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// A store to read.
#[derive(Debug, Clone, Args)]
pub struct Reading {
    /// The store's directory
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub path: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draw what the store is made of: chunks live and dead, runs, log, and what opening it found
    Info {
        #[command(flatten)]
        store: Reading,
        /// Show every chunk and run, however many there are
        #[arg(long)]
        all: bool,
    },
    /// Print figures about the store
    Stats(Reading),
    /// Print the value of a key, its bytes as they are
    Get {
        #[command(flatten)]
        store: Reading,
        /// The key
        key: OsString,
    },
    /// Set keys to values, all in one commit
    Set {
        #[command(flatten)]
        store: Writing,
        /// A key and its value, and more of them
        #[arg(value_names = ["KEY", "VALUE"], num_args = 2.., required = true)]
        pairs: Vec<OsString>,
    },
    /// Delete keys, all in one commit
    Delete {
        #[command(flatten)]
        store: Writing,
        /// A key, and more of them
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<OsString>,
    },
    /// Print keys and values in the order of the keys, a pair a line with a tab between
    Scan {
        #[command(flatten)]
        store: Reading,
        #[command(flatten)]
        range: Range,
    },
    /// Streams: per name, records numbered from 0
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Memories: a number, bytes and tags
    #[command(subcommand)]
    Memory(MemoryCommand),
    /// Find memories by their tags
    Find(Find),
    /// Loose blocks: bytes with an address
    #[command(subcommand)]
    Block(BlockCommand),
    /// Print the commits that are in the log, a command a line
    ///
    /// A line is: number of the commit, what is done, to what, with what; tabs between. What a store's log still holds is
    /// up to the store: a checkpoint, such as closing does, lets it go unless the store was opened to keep some, as
    /// commands that write do with --keep-log.
    Log(Log),
    /// Read and check every byte of the store
    Verify(Reading),
    /// Copy what is left of a damaged store into a new one, and say what is missing
    ///
    /// The damaged store is only read. Values, memories and loose blocks that are damaged are left out. A damaged record
    /// of a stream becomes an empty one in the copy, so that the records behind it keep their numbers. Everything that
    /// is left out or emptied is listed.
    Salvage {
        #[command(flatten)]
        store: Reading,
        /// Where the new store is to be; without it, only what is missing is told
        #[arg(value_hint = ValueHint::DirPath)]
        target: Option<PathBuf>,
    },
    /// Write a backup, which is a store of its own, while others go on writing
    Backup {
        #[command(flatten)]
        store: Reading,
        /// Where the backup is to be; nothing may be there yet
        #[arg(value_hint = ValueHint::DirPath)]
        target: PathBuf,
    },
    /// Make a store from a backup, after having checked every byte of the backup
    Restore {
        /// The backup
        #[arg(value_hint = ValueHint::DirPath)]
        backup: PathBuf,
        /// Where the store is to be; nothing may be there yet
        #[arg(value_hint = ValueHint::DirPath)]
        target: PathBuf,
    },
    /// Write the whole store as JSON Lines: pairs, memories, streams and loose blocks of one snapshot
    Export {
        #[command(flatten)]
        store: Reading,
        /// The file to write [default: stdout]
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Take in what `export` wrote; a store that isn't there is made
    ///
    /// Goes in by commits of some thousand lines, each whole or not at all. Doing it again, after a crash or for no
    /// reason, only adds what is not there yet: what is the same is left alone. Keys and memories that differ are
    /// replaced. A stream whose records differ from those of the export is a conflict, and stops the import. Loose blocks
    /// get addresses of their own.
    Import {
        /// The store's directory
        #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
        path: PathBuf,
        /// The file to read, - for stdin
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Take over a directory in the ancestral layout (state.wal and blocks/) into a new store
    ImportAncestral {
        /// The store's directory, which is made
        #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
        path: PathBuf,
        /// The directory in the ancestral layout
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
    /// Merge the whole index and give back the space of everything dead
    Compact(Writing),
    /// Measure durable commits and point reads on this disk, beside its raw floor: a write and an fdatasync
    Bench {
        /// A directory on the disk in question; what is made in it is removed again
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
        /// For how long to measure each of the three
        #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
        seconds: f64,
        /// Bytes of a value
        #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
        value_bytes: u32,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write the pages of all commands
    Man {
        /// Write sarsen.1, sarsen-get.1 and so on into this directory
        #[arg(long, value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

/// Which keys to scan.
#[derive(Debug, Args)]
pub struct Range {
    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["start", "end"])]
    pub prefix: Option<OsString>,
    /// From this key on
    #[arg(long, value_name = "KEY")]
    pub start: Option<OsString>,
    /// Up to this key, which is not among them
    #[arg(long, value_name = "KEY")]
    pub end: Option<OsString>,
    /// From the last key to the first
    #[arg(long)]
    pub reverse: bool,
    /// At most so many
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub limit: Option<u64>,
    /// Keys only
    #[arg(long)]
    pub keys: bool,
}

#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// Append records, all in one commit, and print the numbers they got
    Append {
        #[command(flatten)]
        store: Writing,
        /// The stream's name
        name: OsString,
        /// A record, and more of them
        #[arg(value_name = "RECORD", required = true)]
        records: Vec<OsString>,
    },
    /// Print records, one a line behind its number
    Read {
        #[command(flatten)]
        store: Reading,
        /// The stream's name
        name: OsString,
        /// From this number on
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        from: u64,
        /// At most so many
        #[arg(long, short = 'n', value_name = "COUNT")]
        limit: Option<u64>,
        /// The records' bytes as they are, with nothing between them
        #[arg(long, conflicts_with_all = ["json", "hex", "base64"])]
        raw: bool,
    },
    /// Print the streams there are: name, first number, number of the next record
    List {
        #[command(flatten)]
        store: Reading,
        /// Only names that begin with this
        #[arg(long, value_name = "NAME")]
        prefix: Option<OsString>,
    },
    /// Drop the records before a number
    Trim {
        #[command(flatten)]
        store: Writing,
        /// The stream's name
        name: OsString,
        /// The first record to keep
        before: u64,
    },
    /// Drop a stream with all of its records
    Drop {
        #[command(flatten)]
        store: Writing,
        /// The stream's name
        name: OsString,
    },
    /// Print the last records
    Tail {
        #[command(flatten)]
        store: Reading,
        /// The stream's name
        name: OsString,
        /// So many
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
        count: u64,
        /// Go on printing records as they come, until interrupted
        #[arg(long, short)]
        follow: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum MemoryCommand {
    /// Print the bytes of a memory, as they are
    Get {
        #[command(flatten)]
        store: Reading,
        /// The memory's number
        id: u64,
    },
    /// Write a memory; one that has this number is replaced, bytes and tags
    Append {
        #[command(flatten)]
        store: Writing,
        /// The memory's number
        id: u64,
        /// What it holds
        data: OsString,
        /// A tag; may be given many times
        #[arg(long = "tag", short, value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Delete memories, all in one commit
    Delete {
        #[command(flatten)]
        store: Writing,
        /// The memory's number, and those of others
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
    },
    /// Print the tags of a memory, its length and the address of its block
    Info {
        #[command(flatten)]
        store: Reading,
        /// The memory's number
        id: u64,
    },
}

/// Which memories to find.
#[derive(Debug, Args)]
pub struct Find {
    #[command(flatten)]
    pub store: Reading,
    /// They have this tag, and every other one given like this
    #[arg(long, value_name = "TAG")]
    pub all: Vec<String>,
    /// They have this tag, or another one given like this
    #[arg(long, value_name = "TAG")]
    pub any: Vec<String>,
    /// They have no tag given like this
    #[arg(long, value_name = "TAG")]
    pub none: Vec<String>,
    /// From this number on
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub from: u64,
    /// At most so many
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub limit: Option<u64>,
    /// Their numbers only, without tags and bytes
    #[arg(long)]
    pub ids: bool,
}

#[derive(Debug, Subcommand)]
pub enum BlockCommand {
    /// Append a loose block and print its address
    Append {
        #[command(flatten)]
        store: Writing,
        /// Its bytes
        data: OsString,
    },
    /// Print the bytes of a block, as they are
    Read {
        #[command(flatten)]
        store: Reading,
        /// Its address, CHUNK:OFFSET:LENGTH:CRC
        address: String,
        /// From this byte on
        #[arg(long, value_name = "BYTE", default_value_t = 0)]
        from: u64,
        /// So many bytes [default: up to the end]
        #[arg(long, value_name = "BYTES")]
        len: Option<u64>,
    },
    /// Free a loose block
    Free {
        #[command(flatten)]
        store: Writing,
        /// Its address, CHUNK:OFFSET:LENGTH:CRC
        address: String,
    },
    /// Print the addresses of the loose blocks that nothing names
    List(Reading),
}

/// Which commits to print.
#[derive(Debug, Args)]
pub struct Log {
    #[command(flatten)]
    pub store: Reading,
    /// Go on printing commits as another process makes them, until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// From this commit on [default: the oldest one in the log]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "new")]
    pub from: Option<u64>,
    /// Only commits that are yet to come
    #[arg(long, requires = "follow")]
    pub new: bool,
    /// Whole values, where lines would show 200 bytes of them
    #[arg(long)]
    pub full: bool,
}
