//! Every command, in commit order, to replay or to follow.

use std::{sync::Arc, time::Duration};

use super::{check_open, View};
use crate::{
    engine::{self, Engine, FollowedCommand, FollowedCommit, Follower},
    error::{Error, Result},
    format::{
        block::BlockAddress,
        command::{Command, ValueSource},
    },
};

/// What a command of the log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    AppendBlock,
    FreeBlock,
    AppendMemory,
    DeleteMemory,
    SetKv,
    DeleteKv,
    AppendStream,
    TrimStream,
}

/// One command of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCommand<'a> {
    /// The commit it belongs to.
    pub seq: u64,
    pub epoch: u64,
    pub kind: CommandKind,
    /// The last command of its commit.
    pub last: bool,
    /// Memory id, stream index, or the first index that a trim keeps.
    pub id: u64,
    pub block: Option<BlockAddress>,
    /// Key or stream name.
    pub key: &'a [u8],
    /// Value or block bytes.
    pub value: &'a [u8],
    pub tags: Vec<&'a str>,
}

/// A place in the log. One thread at a time.
#[derive(Debug)]
pub struct LogReader {
    engine: Arc<Engine>,
    follower: Follower,
    commit: Option<FollowedCommit>,
    /// Bytes of the current command's block, where they did not come with the frame.
    block: Option<View>,
}

impl LogReader {
    pub(super) fn new(engine: &Arc<Engine>, seq: u64, epoch: u64) -> Result<LogReader> {
        Ok(LogReader {
            engine: Arc::clone(engine),
            follower: engine.follow(seq, epoch)?,
            commit: None,
            block: None,
        })
    }

    /// The next command, waiting up to `timeout` for a new commit. `Timeout`: none came; `NotFound`: the log was
    /// released past the reader.
    pub fn next(&mut self, timeout: Duration) -> Result<LogCommand<'_>> {
        check_open(&self.engine)?;
        if self.commit.as_ref().is_none_or(FollowedCommit::is_over) {
            self.commit = None;
            self.commit = Some(self.follower.next(timeout)?);
        }
        let commit = self
            .commit
            .as_mut()
            .ok_or_else(|| Error::internal("a log reader has no commit"))?;
        self.block = None;
        if let Some(block) = commit.peek_block()? {
            // Large and named blocks did not come with the frame.
            self.block = Some(read_block(&self.engine, commit, &block)?);
        }
        let told = commit
            .step()?
            .ok_or_else(|| Error::internal("a commit without commands"))?;
        let bytes = match &self.block {
            Some(view) => view.bytes(),
            None => told.bytes.unwrap_or_default(),
        };
        Ok(tell(told, bytes))
    }
}

fn read_block(engine: &Arc<Engine>, commit: &FollowedCommit, block: &BlockAddress) -> Result<View> {
    let read = |view: &engine::View| Ok(View::of_block(engine, &view.block_range(block, 0, block.len)?));
    let mut found = read(commit.view().unwrap_or(&engine.view()));
    if found.as_ref().is_err_and(|error| *error == Error::NotFound) && engine.options().read_only {
        // A writer elsewhere has gone on since this store was opened: the block is in what it wrote since.
        found = read(&engine.newest_view()?);
    }
    found.map_err(|error| match error {
        Error::NotFound => engine.damaged_or_released_block(commit.seq(), block),
        error => error,
    })
}

fn tell<'a>(told: FollowedCommand<'a>, bytes: &'a [u8]) -> LogCommand<'a> {
    let FollowedCommand {
        seq,
        epoch,
        last,
        step,
        ..
    } = told;
    let (stream, block) = (step.stream, step.block);
    let mut told = LogCommand {
        seq,
        epoch,
        kind: CommandKind::AppendBlock,
        last,
        id: 0,
        block,
        key: &[],
        value: bytes,
        tags: Vec::new(),
    };
    match step.command {
        Command::AppendBlock { .. } => {}
        Command::FreeBlock { block } => {
            told.kind = CommandKind::FreeBlock;
            told.block = Some(block);
        }
        Command::AppendMemory { id, tags, .. } => {
            told.kind = CommandKind::AppendMemory;
            told.id = id;
            told.tags = tags;
        }
        Command::DeleteMemory { id } => {
            told.kind = CommandKind::DeleteMemory;
            told.id = id;
        }
        Command::SetKv { key, value } => {
            told.kind = CommandKind::SetKv;
            told.key = key.0;
            if let ValueSource::Inline(value) = value {
                told.value = value.0;
            }
        }
        Command::DeleteKv { key } => {
            told.kind = CommandKind::DeleteKv;
            told.key = key.0;
        }
        Command::AppendStream { name, .. } => {
            told.kind = CommandKind::AppendStream;
            told.key = name.0;
            told.id = stream.map_or(0, |stream| stream.next.wrapping_sub(1));
        }
        Command::AppendInlineRecord { name, record } => {
            told.kind = CommandKind::AppendStream;
            told.key = name.0;
            told.value = record.0;
            told.id = stream.map_or(0, |stream| stream.next.wrapping_sub(1));
        }
        Command::TrimStream { name, before } => {
            told.kind = CommandKind::TrimStream;
            told.key = name.0;
            told.id = stream
                .filter(|stream| stream.stream_id != 0)
                .map_or(before, |stream| stream.first);
        }
    }
    told
}
