//! A whole store as JSON Lines, one snapshot of it.
//!
//! The first line says what it is, the last one how much there was of everything, so that an export which was cut off
//! is noticed. Between them, a line each: pairs, memories, streams with their records behind them, loose blocks.

use std::{
    fs::File,
    io::{BufWriter, ErrorKind, Write},
    path::Path,
};

use sarsen::{Snapshot, Store, Tags};
use serde_json::{json, Map, Value};

use super::{blocks::address_text, memories::json_tags, Outcome};
use crate::{
    bytes::{put, Shape},
    failure::{Ending, Failure},
    opening::for_reading,
    output::{counted, object, Output},
    progress::Progress,
};

/// Raised when a reader of older exports would misread newer ones.
pub const EXPORT_VERSION: u64 = 1;

/// How much of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub pairs: u64,
    pub memories: u64,
    pub streams: u64,
    pub records: u64,
    pub blocks: u64,
}

impl Totals {
    pub fn all(&self) -> u64 {
        [self.pairs, self.memories, self.streams, self.records, self.blocks]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    pub fn json(&self) -> Map<String, Value> {
        object([
            ("pairs", json!(self.pairs)),
            ("memories", json!(self.memories)),
            ("streams", json!(self.streams)),
            ("records", json!(self.records)),
            ("blocks", json!(self.blocks)),
        ])
    }

    pub fn words(&self) -> String {
        format!(
            "{}, {}, {} with {}, {}",
            counted(self.pairs, "pair", "pairs"),
            counted(self.memories, "memory", "memories"),
            counted(self.streams, "stream", "streams"),
            counted(self.records, "record", "records"),
            counted(self.blocks, "loose block", "loose blocks"),
        )
    }
}

pub fn export(path: &Path, file: Option<&Path>, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let Some(file) = file else {
        write_all(&store, output, &mut |line, output| output.line(line))?;
        return Ok(Ending::Done);
    };
    let failed = |error| Failure::of_file("write", file, error);
    let created = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Usage(format!(
            "{} exists already; an export goes to a new file, or to stdout",
            file.display()
        )),
        _ => failed(error),
    })?;
    let mut out = BufWriter::with_capacity(1 << 20, created);
    let totals = write_all(&store, output, &mut |line, _| {
        writeln!(out, "{line}").map_err(failed)
    })?;
    // An export that is said to be there survives what the store survives.
    out.flush()
        .and_then(|()| out.get_ref().sync_all())
        .map_err(failed)?;
    output.told(Value::Object(totals.json()), Some(&totals.words()))?;
    Ok(Ending::Done)
}

type Write1<'a> = &'a mut dyn FnMut(&str, &mut Output) -> Result<(), Failure>;

fn write_all(store: &Store, output: &mut Output, write: Write1<'_>) -> Result<Totals, Failure> {
    let snapshot = store.snapshot()?;
    let stats = store.stats()?;
    let expected = Totals {
        pairs: stats.kv_count,
        memories: stats.memory_count,
        streams: stats.stream_count,
        records: stats.stream_record_count,
        blocks: stats.block_count,
    };
    let progress = Progress::of(output, "exporting", expected.all(), "entries");
    let shape = output.shape();
    let mut export = Export {
        store,
        snapshot,
        shape,
        totals: Totals::default(),
        progress,
        output,
        write,
    };
    export.header()?;
    export.pairs()?;
    export.memories()?;
    export.streams()?;
    export.blocks()?;
    let mut end = object([("type", json!("end"))]);
    end.extend(export.totals.json());
    export.put(end)?;
    Ok(export.totals)
}

struct Export<'a> {
    store: &'a Store,
    snapshot: Snapshot,
    shape: Shape,
    totals: Totals,
    progress: Progress,
    output: &'a mut Output,
    write: Write1<'a>,
}

impl Export<'_> {
    fn put(&mut self, line: Map<String, Value>) -> Result<(), Failure> {
        self.progress.step(1);
        (self.write)(&Value::Object(line).to_string(), self.output)
    }

    fn header(&mut self) -> Result<(), Failure> {
        self.put(object([
            ("type", json!("sarsen-export")),
            ("version", json!(EXPORT_VERSION)),
            ("seq", json!(self.snapshot.seq())),
        ]))
    }

    fn pairs(&mut self) -> Result<(), Failure> {
        let mut pairs = self.store.kv_scan(Some(&self.snapshot), &[], &[], false)?;
        while pairs.next()? {
            let (key, value) = pairs.pair();
            let mut line = object([("type", json!("pair"))]);
            put(&mut line, "key", key, self.shape);
            put(&mut line, "value", value, self.shape);
            self.totals.pairs += 1;
            self.put(line)?;
        }
        Ok(())
    }

    fn memories(&mut self) -> Result<(), Failure> {
        let every = Tags::new();
        let mut found = self
            .store
            .memory_find(Some(&self.snapshot), &every, &every, &every, 0)?;
        while found.next()? {
            let (_, tags) = self.store.memory_info(Some(&self.snapshot), found.id())?;
            let mut line = object([
                ("type", json!("memory")),
                ("id", json!(found.id())),
                ("tags", json_tags(&tags)),
            ]);
            put(&mut line, "data", found.data()?, self.shape);
            self.totals.memories += 1;
            self.put(line)?;
        }
        Ok(())
    }

    fn streams(&mut self) -> Result<(), Failure> {
        let mut names = self.store.stream_list(Some(&self.snapshot), &[])?;
        while names.next()? {
            let mut line = object([("type", json!("stream"))]);
            put(&mut line, "name", names.name(), self.shape);
            line.insert("first".to_owned(), json!(names.first()));
            line.insert("next".to_owned(), json!(names.next_index()));
            self.totals.streams += 1;
            self.put(line)?;
            let mut records = self
                .store
                .stream_read(Some(&self.snapshot), names.name(), names.first())?;
            while records.next()? {
                // The records of the stream in the line above.
                let mut line = object([("type", json!("record")), ("index", json!(records.index()))]);
                put(&mut line, "data", records.record(), self.shape);
                self.totals.records += 1;
                self.put(line)?;
            }
        }
        Ok(())
    }

    fn blocks(&mut self) -> Result<(), Failure> {
        let mut blocks = self.store.block_list(Some(&self.snapshot))?;
        while let Some(block) = blocks.next()? {
            let mut line = object([("type", json!("block")), ("block", json!(address_text(&block)))]);
            put(&mut line, "data", blocks.data()?, self.shape);
            self.totals.blocks += 1;
            self.put(line)?;
        }
        Ok(())
    }
}
