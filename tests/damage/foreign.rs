//! What looks right but belongs elsewhere: files and pages of a store with the same history, of a backup, and pages of
//! other parts of the same store. Every answer is right or says that data is damaged, and what counts is told of by
//! verify; a place that holds nothing which counts may hold anything.

use std::{
    collections::BTreeMap,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::Arc,
};

use sarsen::{simulation::SimVfs, Batch, Error, Options, Store, Survive};

use crate::{
    examine::examine,
    layout::{layout, span_at, Spans},
    spread::{spread, Sample},
    store::{files_below, Files, Shape},
    whole_files::{judge, proven_without, Class, Count},
};

const PAGE: usize = 4_096;

/// One file with other bytes in it.
struct Case<'a> {
    what: String,
    file: &'a str,
    own: &'a [u8],
    changed: Vec<u8>,
}

/// The same page, or the whole, of the file of this name in another store.
fn of_the_same_name<'a>(own: &'a Files, theirs: &Files) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for (file, bytes) in own {
        let Some(other) = theirs.get(file) else { continue };
        cases.push(Case {
            what: "all".to_owned(),
            file,
            own: bytes,
            changed: other.clone(),
        });
        for page in 0..bytes.len().div_ceil(PAGE) {
            cases.extend(with_page(file, bytes, page, "the other", other, page));
        }
    }
    cases
}

/// Any page of any part, in the place of any page of a part.
fn of_any_part<'a>(own: &'a Files, theirs: &Files) -> Vec<Case<'a>> {
    let is_part = |(file, _): &(&String, &Vec<u8>)| file.starts_with("index/");
    let mut cases = Vec::new();
    for (file, bytes) in own.iter().filter(is_part) {
        for (other, other_bytes) in theirs.iter().filter(is_part) {
            for page in 0..bytes.len() / PAGE {
                for other_page in 0..other_bytes.len() / PAGE {
                    cases.extend(with_page(file, bytes, page, other, other_bytes, other_page));
                }
            }
        }
    }
    cases
}

fn with_page<'a>(
    file: &'a str,
    own: &'a [u8],
    page: usize,
    other: &str,
    theirs: &[u8],
    other_page: usize,
) -> Option<Case<'a>> {
    let theirs = theirs.get(other_page * PAGE..)?;
    let mut changed = own.to_vec();
    let place = &mut changed[page * PAGE..];
    let len = PAGE.min(place.len()).min(theirs.len());
    place[..len].copy_from_slice(&theirs[..len]);
    Some(Case {
        what: format!("page {page} is page {other_page} of {other}"),
        file,
        own,
        changed,
    })
}

/// Whether a byte that counts is another one now.
fn counts(case: &Case<'_>, spans: &Spans) -> bool {
    let differs = |at: &usize| case.changed.get(*at) != case.own.get(*at);
    (0..case.own.len())
        .filter(differs)
        .any(|at| !span_at(spans, at as u64).kind.is_idle())
}

fn try_all(shape: &Shape, cases: &[Case<'_>], sample: Sample, prepare: &(dyn Fn() + Sync)) -> Count {
    let spans = layout(shape);
    let counts = spread(cases.len() as u64, sample, &|numbers| {
        prepare();
        let disk = shape.disk.restart();
        let mut count = Count::default();
        for case in numbers.map(|number| &cases[number as usize]) {
            if case.changed == case.own {
                continue;
            }
            let judged = look(shape, &disk, case, &spans);
            count.add(judged, || format!("{} {}: {}", shape.name, case.file, case.what));
        }
        count
    });
    let mut all = Count::default();
    counts.into_iter().for_each(|count| all.merge(count));
    all
}

fn look(
    shape: &Shape,
    disk: &SimVfs,
    case: &Case<'_>,
    spans: &BTreeMap<String, Spans>,
) -> Result<Class, String> {
    let path = Shape::path(case.file);
    let put = |bytes: &[u8]| {
        disk.put(&path, Arc::new(bytes.to_vec()))
            .expect("a file is replaced");
    };
    put(&case.changed);
    let outcome = catch_unwind(AssertUnwindSafe(|| examine(shape, disk, &shape.read_only())));
    put(case.own);
    let outcome = outcome.map_err(|_| "a panic".to_owned())?;
    let provable = match case.file.starts_with("log/") {
        true => proven_without(shape, case.file),
        false => shape.durable,
    };
    match judge(shape, case.file, &outcome, provable)? {
        Class::Right if counts(case, &spans[case.file]) => Err("it passes for the store's own".to_owned()),
        class => Ok(class),
    }
}

/// Whole files and single pages of another store.
pub fn take_from(shape: &Shape, theirs: &Files, sample: Sample, prepare: &(dyn Fn() + Sync)) -> Count {
    let own = shape.files();
    let mut cases = of_the_same_name(&own, theirs);
    cases.extend(of_any_part(&own, theirs));
    try_all(shape, &cases, sample, prepare)
}

/// Pages of parts, in other places of the same part and of others of the same store.
pub fn mix_parts(shape: &Shape, sample: Sample) -> Count {
    let own = shape.files();
    let cases = of_any_part(&own, &own);
    try_all(shape, &cases, sample, &|| {})
}

/// A manifest that comes into the place of the store's own while the store is open.
pub fn manifest_while_open(shape: &Shape, theirs: &Files) -> Result<(), String> {
    let disk = shape.disk.restart();
    let store = Store::open_on(&disk, Shape::root(), &shape.read_only()).expect("it opens");
    assert_eq!(store.verify().expect("a look at every byte"), []);
    disk.put(&Shape::path("MANIFEST"), Arc::new(theirs["MANIFEST"].clone()))
        .expect("a file is replaced");
    let findings = store.verify().expect("a look at every byte");
    let told = findings.iter().any(|finding| finding.file == "MANIFEST");
    told.then_some(())
        .ok_or_else(|| format!("{} {findings:?}", shape.name))
}

/// A store of a few pairs, closed or left by a killed writer.
#[derive(Debug, Clone, Copy)]
pub struct Few {
    pub seed: u64,
    pub commits: u64,
    pub survive: Survive,
    pub is_closed: bool,
}

impl Few {
    fn make(self) -> SimVfs {
        let disk = SimVfs::new(self.seed).with_reserve(1 << 20);
        let store = Store::open_on(&disk, Shape::root(), &Few::options()).expect("a new store");
        for number in 0..self.commits {
            let mut batch = Batch::new();
            batch.set_kv(b"key", &number.to_le_bytes()).expect("a command");
            store.commit(&mut batch, Some(self.survive)).expect("a commit");
        }
        if self.is_closed {
            store.close().expect("it closes");
        }
        disk.restart()
    }

    fn options() -> Options {
        Options {
            background: false,
            ..Options::default()
        }
    }

    /// What is said of this store under the manifest of the other one.
    pub fn under_the_manifest_of(self, other: Few) -> Result<Class, String> {
        let (disk, other) = (self.make(), files_below(crate::store::ROOT, &other.make()));
        disk.put(&Shape::path("MANIFEST"), Arc::new(other["MANIFEST"].clone()))
            .expect("a file is replaced");
        let store = match Store::open_on(&disk, Shape::root(), &Few::options()) {
            Ok(store) => store,
            Err(Error::Corrupt { .. }) => return Ok(Class::Refused),
            Err(error) => return Err(error.to_string()),
        };
        let findings = store.verify().map_err(|error| error.to_string())?;
        match store.kv_get(None, b"key") {
            Err(Error::Corrupt { .. }) if !findings.is_empty() => Ok(Class::Read),
            other => Err(format!(
                "{:?} {:?} {findings:?}",
                store.recovery(),
                other.map(|value| value.to_vec())
            )),
        }
    }
}

/// The files of a backup of the store.
pub fn backup_of(shape: &Shape) -> Files {
    let disk = shape.disk.restart();
    let store = Store::open_on(&disk, Shape::root(), &shape.read_only()).expect("it opens");
    store.backup(None, "/backup".as_ref()).expect("a backup");
    drop(store);
    files_below("/backup", &disk)
}
