//! Prints the commits in the log, and goes on as they come.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sarsen::{CommandKind, Error, LogCommand, LogReader, Store};
use serde_json::{json, Map};

use super::{
    blocks::address_text,
    follow::{Interrupted, TURN},
    Outcome,
};
use crate::{
    arguments::Log,
    failure::{Ending, Failure},
    opening::for_reading,
    output::Output,
};

/// Bytes of a value on a line, unless all are asked for.
const SHORT: usize = 200;

/// How long a follower keeps an opening of the store; and while nothing comes.
const RENEWED: Duration = Duration::from_millis(500);
const RENEWED_IDLE: Duration = Duration::from_secs(5);

pub fn log(log: &Log, output: &mut Output) -> Outcome {
    let interrupted = Interrupted::watch()?;
    let store = for_reading(&log.store.path)?;
    let first = store.log_first_seq();
    let last = store.last_seq();
    let from = match log.from {
        Some(from) => from,
        None if log.new => last + 1,
        None => first,
    };
    if from < first {
        return Err(Failure::NotFound(format!(
            "the log begins at commit {first}; what came before was let go once it was in chunks and runs"
        )));
    }
    if !log.follow && first > last {
        output.remark(&format!(
            "the log is empty: the commits up to {last} are in chunks and runs"
        ));
    }
    if !log.follow && from > last {
        return Ok(Ending::Done);
    }
    let mut follower = Follower {
        path: &log.store.path,
        reader: store.log_read(from, 0)?,
        store,
        next: from,
        epoch: 0,
        successor: None,
        renewed: Instant::now(),
        idle: true,
        is_within: false,
    };
    while !interrupted.yet() && (log.follow || follower.next <= last) {
        // What is there already is printed in one go.
        match follower.step(Duration::ZERO, log.full, output)? {
            Step::Printed => continue,
            Step::Nothing => output.flush()?,
        }
        if !log.follow {
            return Err(Failure::Store(Error::Internal {
                what: format!("commit {} is not to be found in the log", follower.next).into(),
            }));
        }
        follower.step(TURN, log.full, output)?;
    }
    Ok(Ending::Done)
}

enum Step {
    Printed,
    Nothing,
}

/// A read-only opening keeps the files that were there then, so one that follows for long opens the store anew from time
/// to time: the writer gets back the space of what was read. The old opening is read up to where the new one stands, so
/// that nothing is let go between the two.
struct Follower<'a> {
    path: &'a Path,
    reader: LogReader,
    store: Store,
    /// The commit to come.
    next: u64,
    /// Of the newest commit that came.
    epoch: u64,
    successor: Option<Store>,
    renewed: Instant,
    /// No commit came since.
    idle: bool,
    /// The reader stands between two commands of a commit: another one would begin with the first again.
    is_within: bool,
}

impl Follower<'_> {
    fn step(&mut self, timeout: Duration, full: bool, output: &mut Output) -> Result<Step, Failure> {
        if !self.is_within {
            self.renew()?;
        }
        match self.reader.next(timeout) {
            Ok(command) => {
                print(&command, full, output)?;
                self.is_within = !command.last;
                if command.last {
                    self.next = command.seq + 1;
                    self.epoch = command.epoch;
                    self.idle = false;
                }
                Ok(Step::Printed)
            }
            Err(Error::Timeout) => Ok(Step::Nothing),
            Err(Error::NotFound) => {
                self.skip_released(output)?;
                Ok(Step::Printed)
            }
            Err(Error::Conflict { .. }) => Err(self.conflict()),
            Err(error) => Err(error.into()),
        }
    }

    fn conflict(&self) -> Failure {
        Failure::Conflict(format!(
            "the commits before {} are not those that were printed: the store was opened anew after a power loss, or put \
             back; start again",
            self.next
        ))
    }

    fn renew(&mut self) -> Result<(), Failure> {
        if let Some(successor) = self
            .successor
            .take_if(|successor| successor.last_seq() < self.next)
        {
            self.reader = match successor.log_read(self.next, self.epoch) {
                Err(Error::Conflict { .. }) => return Err(self.conflict()),
                reader => reader?,
            };
            self.store = successor;
            self.renewed = Instant::now();
            self.idle = true;
        }
        let due = if self.idle { RENEWED_IDLE } else { RENEWED };
        if self.successor.is_none() && self.renewed.elapsed() >= due {
            self.successor = Some(for_reading(self.path)?);
        }
        Ok(())
    }

    /// The writer let go of log that was not read yet. Says so, and goes on where the log begins now.
    fn skip_released(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.successor = None;
        self.store.refresh()?;
        let first = self.store.log_first_seq();
        if first > self.next {
            let (from, to) = (self.next, first - 1);
            output.flush()?;
            if output.is_json() {
                output.told(json!({ "missed": { "first_seq": from, "last_seq": to } }), None)?;
            } else {
                output.remark(&format!(
                    "commits {from} to {to} were let go before they were read; the store can keep more of its log"
                ));
            }
            self.next = first;
        }
        self.reader = self.store.log_read(self.next, 0)?;
        self.is_within = false;
        Ok(())
    }
}

/// The word for a command, and what its number is called, if it has one.
fn words(kind: CommandKind) -> (&'static str, Option<&'static str>) {
    match kind {
        CommandKind::AppendBlock => ("append-block", None),
        CommandKind::FreeBlock => ("free-block", None),
        CommandKind::AppendMemory => ("append-memory", Some("id")),
        CommandKind::DeleteMemory => ("delete-memory", Some("id")),
        CommandKind::SetKv => ("set", None),
        CommandKind::DeleteKv => ("delete", None),
        CommandKind::AppendStream => ("append-stream", Some("index")),
        CommandKind::TrimStream => ("trim-stream", Some("before")),
    }
}

fn print(command: &LogCommand<'_>, full: bool, output: &mut Output) -> Result<(), Failure> {
    use CommandKind::{AppendBlock, AppendMemory, AppendStream, FreeBlock, SetKv, TrimStream};
    let (word, number) = words(command.kind);
    let dropped = command.kind == TrimStream && command.id == u64::MAX;
    let word = if dropped { "drop-stream" } else { word };
    let number = number.filter(|_| !dropped);
    let has_key = matches!(
        command.kind,
        SetKv | CommandKind::DeleteKv | AppendStream | TrimStream
    );
    let has_value = matches!(command.kind, SetKv | AppendStream | AppendMemory | AppendBlock);
    let block = command
        .block
        .filter(|_| matches!(command.kind, AppendBlock | FreeBlock));
    if output.is_json() {
        let mut object = Map::new();
        object.insert("seq".to_owned(), json!(command.seq));
        object.insert("epoch".to_owned(), json!(command.epoch));
        object.insert("command".to_owned(), json!(word));
        object.insert("last".to_owned(), json!(command.last));
        if has_key {
            let name = if number.is_some() || dropped {
                "name"
            } else {
                "key"
            };
            output.put(&mut object, name, command.key);
        }
        if let Some(number) = number {
            object.insert(number.to_owned(), json!(command.id));
        }
        if command.kind == AppendMemory {
            object.insert("tags".to_owned(), json!(command.tags));
        }
        if let Some(block) = block {
            object.insert("block".to_owned(), json!(address_text(&block)));
        }
        if has_value {
            let name = if command.kind == SetKv { "value" } else { "data" };
            output.put(&mut object, name, command.value);
        }
        return output.object(object);
    }
    let mut line = format!("{}\t{word}", command.seq);
    let mut field = |text: &str| {
        line.push('\t');
        line.push_str(text);
    };
    if has_key {
        field(&output.shown(command.key));
    }
    if number.is_some() {
        field(&command.id.to_string());
    }
    if command.kind == AppendMemory {
        let tags: Vec<String> = command
            .tags
            .iter()
            .map(|tag| crate::bytes::escape(tag.as_bytes()))
            .collect();
        field(&tags.join(","));
    }
    if let Some(block) = block {
        field(&address_text(&block));
    }
    if has_value {
        let shown = if full { command.value } else { front(command.value) };
        let mut text = output.shown(shown);
        if shown.len() < command.value.len() {
            text.push_str(&format!(" … {} bytes", command.value.len()));
        }
        field(&text);
    }
    output.line(&line)
}

/// What a line has room for; no letter is cut through.
fn front(value: &[u8]) -> &[u8] {
    if value.len() <= SHORT {
        return value;
    }
    let is_inside = |at: &usize| value.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (SHORT - 3..=SHORT).rev().find(|at| !is_inside(at));
    value.get(..end.unwrap_or(SHORT)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_letters() {
        assert_eq!(front(&[b'a'; 200]).len(), 200);
        assert_eq!(front(&[b'a'; 201]).len(), 200);
        assert_eq!(front(&[0x80; 300]).len(), 200, "no text");
        for before in 0..4 {
            let text = "a".repeat(before) + &"\u{1f5ff}".repeat(80);
            let cut = front(text.as_bytes());
            assert!(std::str::from_utf8(cut).is_ok() && cut.len() > 196, "{before}");
        }
    }
}
