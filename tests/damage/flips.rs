//! Bits, flipped one at a time: what the engine makes of each, and whether that is what this byte deserves.

use std::{
    collections::BTreeMap,
    fmt::Write,
    panic::{catch_unwind, AssertUnwindSafe},
};

use sarsen::{simulation::SimVfs, Error, Verdict};

use crate::{
    allocation::Use,
    examine::{examine, Outcome},
    layout::{layout, span_at, Kind, Span, Spans},
    spread::{spread, Sample},
    store::Shape,
};

/// Wrong answers told of for each kind of byte; the rest is counted.
const MOST_TOLD: usize = 4;

/// What became of a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Damage, said opening.
    Refused,
    /// Damage, said a read.
    Read,
    /// Reads touch it nowhere, or a block is simply not to be found by its address; verify tells.
    Verify,
    /// What nothing proves durable was cut off, and opening says so.
    Torn,
    /// The same, of a last commit whose header says nothing any more: the log simply ends before it.
    Ended,
    /// Everything is as it was.
    Harmless,
    Wrong,
}

const CLASSES: [Class; 7] = [
    Class::Refused,
    Class::Read,
    Class::Verify,
    Class::Torn,
    Class::Ended,
    Class::Harmless,
    Class::Wrong,
];

/// How many flips of each kind of byte were what.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<Kind, BTreeMap<Class, u64>>,
    wrong: BTreeMap<Kind, Vec<String>>,
}

impl Table {
    pub fn add(&mut self, kind: Kind, class: Class) {
        *self.rows.entry(kind.row()).or_default().entry(class).or_default() += 1;
    }

    /// Keeps a few of each kind.
    fn tell(&mut self, kind: Kind, what: String) {
        let told = self.wrong.entry(kind.row()).or_default();
        if told.len() < MOST_TOLD {
            told.push(what);
        }
    }

    pub fn merge(&mut self, other: Table) {
        for (kind, wrong) in other.wrong {
            wrong.into_iter().for_each(|what| self.tell(kind, what));
        }
        for (kind, classes) in other.rows {
            let row = self.rows.entry(kind).or_default();
            for (class, count) in classes {
                *row.entry(class).or_default() += count;
            }
        }
    }

    pub fn flips(&self) -> u64 {
        self.rows.values().flat_map(BTreeMap::values).sum()
    }

    pub fn count(&self, class: Class) -> u64 {
        self.rows.values().filter_map(|row| row.get(&class)).sum()
    }

    /// How many kinds of bytes were met.
    pub fn kinds(&self) -> usize {
        self.rows.len()
    }

    pub fn wrong(&self) -> String {
        self.wrong
            .values()
            .flatten()
            .fold(String::new(), |text, wrong| text + wrong + "\n")
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{:28}", "flipped in");
        for class in CLASSES {
            write!(text, "{:>10}", format!("{class:?}").to_lowercase()).expect("text grows");
        }
        text.push('\n');
        for (kind, row) in &self.rows {
            write!(text, "{kind:28}").expect("text grows");
            for class in CLASSES {
                write!(text, "{:>10}", row.get(&class).copied().unwrap_or(0)).expect("text grows");
            }
            text.push('\n');
        }
        let wrong = self.count(Class::Wrong);
        let right = self.flips() - wrong;
        writeln!(
            text,
            "{} flips, {right} of them answered and classified as they must be ({:.4} %), {wrong} not",
            self.flips(),
            100.0 * right as f64 / self.flips().max(1) as f64,
        )
        .expect("text grows");
        text
    }
}

/// One bit of one file.
#[derive(Debug, Clone)]
struct Flip {
    file: String,
    offset: u64,
    bit: u8,
}

/// What is the same for every flip of a shape.
struct Bench<'a> {
    shape: &'a Shape,
    spans: BTreeMap<String, Spans>,
    /// What opening and reading the sound store takes.
    usual: Use,
    store_bytes: usize,
}

/// Flips bits of every file of a shape.
pub fn flip(shape: &Shape, sample: Sample, prepare: &(dyn Fn() + Sync)) -> Table {
    prepare();
    let sound = examine(shape, &shape.disk, &shape.read_only());
    assert!(
        sound.is_sound(),
        "the {} store is not sound to begin with: {sound:#?}",
        shape.name
    );
    assert_eq!(sound.last_seq(), shape.last);
    let files = shape.files();
    let bench = Bench {
        shape,
        spans: layout(shape),
        usual: sound.allocated,
        store_bytes: files.values().map(Vec::len).sum(),
    };
    let lens: Vec<(String, u64)> = files
        .iter()
        .map(|(name, bytes)| (name.clone(), bytes.len() as u64 * 8))
        .collect();
    let bits: u64 = lens.iter().map(|(_, bits)| bits).sum();
    let tables = spread(bits, sample, &|numbers| {
        prepare();
        let disk = shape.disk.restart();
        let mut table = Table::default();
        for number in numbers {
            bench.try_flip(&disk, &nth(&lens, number), &mut table);
        }
        table
    });
    let mut all = Table::default();
    tables.into_iter().for_each(|table| all.merge(table));
    all
}

fn nth(lens: &[(String, u64)], mut number: u64) -> Flip {
    for (file, bits) in lens {
        if number < *bits {
            return Flip {
                file: file.clone(),
                offset: number / 8,
                bit: (number % 8) as u8,
            };
        }
        number -= bits;
    }
    unreachable!("the number is below the sum")
}

impl Bench<'_> {
    fn try_flip(&self, disk: &SimVfs, flip: &Flip, table: &mut Table) {
        let path = Shape::path(&flip.file);
        let span = span_at(&self.spans[&flip.file], flip.offset);
        disk.flip(&path, flip.offset, 1 << flip.bit).expect("a bit flips");
        let looked = catch_unwind(AssertUnwindSafe(|| {
            examine(self.shape, disk, &self.shape.read_only())
        }));
        disk.flip(&path, flip.offset, 1 << flip.bit).expect("a bit flips");
        let judged = match &looked {
            Ok(outcome) => self.judge(flip, span, outcome),
            Err(_) => Err("a panic".to_owned()),
        };
        match judged {
            Ok(class) => table.add(span.kind, class),
            Err(what) => {
                table.add(span.kind, Class::Wrong);
                let place = format!(
                    "{} {} byte {} bit {}",
                    self.shape.name, flip.file, flip.offset, flip.bit
                );
                table.tell(
                    span.kind,
                    format!("{place}, {:?} {:?}: {what}", span.kind, span.bytes),
                );
            }
        }
    }

    /// What the flip is, if the answers are what they must be.
    fn judge(&self, flip: &Flip, span: &Span, outcome: &Outcome) -> Result<Class, String> {
        let allocated = outcome.allocated;
        if allocated.largest > self.usual.largest.max(self.store_bytes) {
            return Err(format!("a piece of {} bytes is allocated", allocated.largest));
        }
        if allocated.most > self.usual.most + self.store_bytes {
            return Err(format!("{} bytes are allocated at once", allocated.most));
        }
        if let Some(error) = &outcome.refused {
            return judge_refusal(flip, span, error);
        }
        if let Some(wrong) = outcome.wrong.first() {
            return Err(wrong.clone());
        }
        let last = outcome.last_seq();
        if last > self.shape.last {
            return Err(format!("commit {last} is the newest, {} was", self.shape.last));
        }
        if last < self.shape.last {
            if outcome.verdict() != Some(Verdict::TornTail) {
                // Nothing says that a frame was begun where its header doesn't, and nothing lies behind it.
                let in_header = flip.offset < span.bytes.start + 64;
                return match span.kind {
                    Kind::TailFrame(seq) if in_header && seq == self.shape.last && seq == last + 1 => {
                        Ok(Class::Ended)
                    }
                    _ => Err(format!("commits from {} on are missing silently", last + 1)),
                };
            }
            return match span.kind {
                Kind::TailFrame(seq) if last + 1 == seq => Ok(Class::Torn),
                Kind::TailBlock if last >= self.shape.durable => Ok(Class::Torn),
                // It hits blocks of both sorts.
                Kind::ChunkHeader if last >= self.shape.durable && !outcome.noticed.is_empty() => {
                    Ok(Class::Read)
                }
                _ => Err(format!(
                    "taken for a torn tail that begins with commit {}",
                    last + 1
                )),
            };
        }
        if let Some(Error::Corrupt(damage)) = outcome.noticed.iter().find(|error| !is_in(error, &flip.file)) {
            return Err(format!(
                "damage is told of in {}: {:?}",
                damage.file, outcome.noticed
            ));
        }
        let told = outcome.findings.iter().any(|finding| finding.file == flip.file);
        if !told && (!outcome.noticed.is_empty() || !outcome.findings.is_empty() || outcome.absent_blocks > 0)
        {
            return Err(format!(
                "verify tells nothing of this file: {:?}, noticed {:?}, {} blocks absent",
                outcome.findings, outcome.noticed, outcome.absent_blocks
            ));
        }
        match (outcome.noticed.is_empty(), told) {
            (false, _) => Ok(Class::Read),
            (true, true) => Ok(Class::Verify),
            (true, false) if span.kind.is_idle() => Ok(Class::Harmless),
            (true, false) => Err("nobody notices".to_owned()),
        }
    }
}

fn is_in(error: &Error, file: &str) -> bool {
    matches!(error, Error::Corrupt(damage) if damage.file == file)
}

/// Only durable log that replay needs is a reason not to open; the error says where, and which commit.
fn judge_refusal(flip: &Flip, span: &Span, error: &Error) -> Result<Class, String> {
    let Error::Corrupt(damage) = error else {
        return Err(format!("opening answers {error:?}"));
    };
    let Kind::DurableFrame(seq) = span.kind else {
        return Err(format!("opening is refused: {error:?}"));
    };
    let right = damage.file == flip.file
        && damage.offset == span.bytes.start
        && damage.first_seq == seq
        && damage.last_seq >= seq;
    if right {
        Ok(Class::Refused)
    } else {
        Err(format!("commit {seq} is damaged, opening says {error:?}"))
    }
}
