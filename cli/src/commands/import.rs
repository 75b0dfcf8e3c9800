//! Takes in what `export` wrote. A line is looked at when it comes, so a store is as large as it likes.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde_json::{json, Map, Value};

use super::{
    export::{Totals, EXPORT_VERSION},
    loader::Loader,
    tags_of, Outcome,
};
use crate::{
    bytes::taken,
    failure::{Ending, Failure},
    opening::Writing,
    output::Output,
    progress::Progress,
};

pub fn import(path: &Path, file: &Path, output: &mut Output) -> Outcome {
    let from_stdin = file == Path::new("-");
    let (lines, len): (Box<dyn BufRead>, u64) = if from_stdin {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Usage(format!("no file is at {}", file.display())),
            _ => Failure::of_file("read", file, error),
        };
        let opened = File::open(file).map_err(failed)?;
        let len = opened.metadata().map_err(failed)?.len();
        (Box::new(BufReader::with_capacity(1 << 20, opened)), len)
    };
    let mut lines = Lines {
        lines,
        line: Vec::new(),
        number: 0,
        file,
    };
    // Nothing is made of a file that is no export.
    lines.header()?;
    let store = Writing {
        path: path.to_owned(),
        create: true,
        keep_log: None,
    }
    .open_at_length()?;
    let progress = if len > 0 {
        Progress::of_bytes(output, "importing", len)
    } else {
        Progress::endless(output, "importing")
    };
    let mut loader = Loader::new(&store);
    let outcome = take_all(&mut lines, &mut loader, &progress);
    // What came in before something was wrong stays, and is durable.
    let finished = loader.finish();
    let (added, same) = (loader.added, loader.same);
    drop(progress);
    outcome?;
    finished?;
    store.close()?;
    output.told(
        json!({ "added": added.json(), "same": same.json(), "last_seq": store.last_seq() }),
        Some(&format!("added    {}\nsame     {}", added.words(), same.words())),
    )?;
    Ok(Ending::Done)
}

struct Lines<'a> {
    lines: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    file: &'a Path,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Map<String, Value>>, Failure> {
        self.line.clear();
        self.number += 1;
        let read = self
            .lines
            .read_until(b'\n', &mut self.line)
            .map_err(|error| Failure::of_file("read", self.file, error))?;
        if read == 0 {
            return Ok(None);
        }
        match serde_json::from_slice(&self.line) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(_) => Err(self.wrong("no JSON object")),
            Err(error) => Err(self.wrong(&error.to_string())),
        }
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::Malformed(format!("{}, line {}: {what}", self.file.display(), self.number))
    }

    fn header(&mut self) -> Result<(), Failure> {
        let header = self.next()?.unwrap_or_default();
        if header.get("type").and_then(Value::as_str) != Some("sarsen-export") {
            return Err(self.wrong("this is no export: the first line of one says that it is"));
        }
        match header.get("version").and_then(Value::as_u64) {
            Some(EXPORT_VERSION) => Ok(()),
            _ => Err(self.wrong(&format!(
                "an export of another version than {EXPORT_VERSION}, which this sarsen reads"
            ))),
        }
    }
}

fn take_all(lines: &mut Lines<'_>, loader: &mut Loader<'_>, progress: &Progress) -> Result<(), Failure> {
    let mut seen = Totals::default();
    while let Some(line) = lines.next()? {
        progress.step(u64::try_from(lines.line.len()).unwrap_or(0));
        if line.get("type").and_then(Value::as_str) == Some("end") {
            if seen
                .json()
                .iter()
                .any(|(name, count)| line.get(name) != Some(count))
            {
                return Err(lines.wrong("the export says that it holds more, or less, than came"));
            }
            return match lines.next()? {
                None => Ok(()),
                Some(_) => Err(lines.wrong("something follows the end of the export")),
            };
        }
        take(&line, loader, &mut seen).map_err(|error| match error {
            Wrong::Line(what) => lines.wrong(&what),
            Wrong::Other(failure) => failure,
        })?;
    }
    Err(lines.wrong("the export was cut off; what came before is imported"))
}

/// What may be wrong with a line: the line itself, or putting it into the store.
enum Wrong {
    Line(String),
    Other(Failure),
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Wrong {
        match failure {
            // What a store would never have given out.
            Failure::Store(
                error @ (sarsen::Error::InvalidArgument { .. } | sarsen::Error::TooLarge { .. }),
            ) => Wrong::Line(error.to_string()),
            Failure::Malformed(what) => Wrong::Line(what),
            failure => Wrong::Other(failure),
        }
    }
}

fn take(line: &Map<String, Value>, loader: &mut Loader<'_>, seen: &mut Totals) -> Result<(), Wrong> {
    let bytes = |name: &str| taken(line, name).map_err(Wrong::Line);
    let number = |name: &str| {
        let number = line.get(name).and_then(Value::as_u64);
        number.ok_or_else(|| Wrong::Line(format!("{name} is no number from 0 to 2^64 - 1")))
    };
    match line.get("type").and_then(Value::as_str) {
        Some("pair") => {
            loader.pair(&bytes("key")?, &bytes("value")?)?;
            seen.pairs += 1;
        }
        Some("memory") => {
            let tags: Option<Vec<String>> = line.get("tags").and_then(Value::as_array).and_then(|tags| {
                let tags = tags.iter().map(|tag| tag.as_str().map(str::to_owned));
                tags.collect()
            });
            let tags = tags.ok_or_else(|| Wrong::Line("tags is no list of strings".to_owned()))?;
            loader.memory(number("id")?, &tags_of(&tags)?, &bytes("data")?)?;
            seen.memories += 1;
        }
        Some("stream") => {
            loader.stream(&bytes("name")?, number("first")?, number("next")?)?;
            seen.streams += 1;
        }
        Some("record") => {
            loader.record(number("index")?, &bytes("data")?)?;
            seen.records += 1;
        }
        Some("block") => {
            loader.block(&bytes("data")?)?;
            seen.blocks += 1;
        }
        _ => {
            return Err(Wrong::Line(
                "a line of a type that an export does not have".to_owned(),
            ))
        }
    }
    Ok(())
}
