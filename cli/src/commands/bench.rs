//! A small measurement of the disk at hand: durable commits and point reads, beside what the disk itself takes for a write
//! and an fdatasync. The two that sync take turns, so that whatever else the disk does meets both.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sarsen::{Options, Store, Survive};
use serde_json::{json, Value};

use super::Outcome;
use crate::{
    failure::{Ending, Failure},
    output::{grouped, object, Output},
    progress::Progress,
};

const KEYS: u64 = 10_000;
/// The floor writes round and round in a file of this size, which is on disk before: no metadata changes.
const FLOOR_BYTES: usize = 1 << 20;
const TURNS: u32 = 50;
/// Latencies kept of each of the three.
const MOST_SAMPLES: usize = 1 << 20;

/// Times of single operations.
#[derive(Debug, Default)]
struct Samples {
    took: Vec<Duration>,
    count: u64,
    time: Duration,
}

impl Samples {
    fn run(&mut self, time: Duration, mut once: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        let start = Instant::now();
        let mut before = start;
        while before.duration_since(start) < time {
            once()?;
            let now = Instant::now();
            if self.took.len() < MOST_SAMPLES {
                self.took.push(now.duration_since(before));
            }
            self.count += 1;
            before = now;
        }
        self.time += before.duration_since(start);
        Ok(())
    }

    fn per_second(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// In microseconds.
    fn percentile(&mut self, percent: usize) -> f64 {
        self.took.sort_unstable();
        let place = self.took.len().saturating_sub(1) * percent / 100;
        self.took
            .get(place)
            .map_or(0.0, |took| took.as_nanos() as f64 / 1e3)
    }

    fn json(&mut self) -> Value {
        json!({
            "per_second": self.per_second(),
            "p50_us": self.percentile(50),
            "p99_us": self.percentile(99),
            "count": self.count,
        })
    }

    fn words(&mut self, name: &str) -> String {
        format!(
            "{name:<34} {:>11}/s   p50 {:>9.2} us   p99 {:>9.2} us",
            grouped(self.per_second() as u64),
            self.percentile(50),
            self.percentile(99)
        )
    }
}

/// Removed with all that is in it, however the measurement ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(directory: &Path) -> Result<Scratch, Failure> {
        let path = directory.join(format!("sarsen-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| Failure::of_file("make", &path, error))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed can't be helped here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn bench(directory: &Path, seconds: f64, value_bytes: u32, output: &mut Output) -> Outcome {
    let time = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(3600))
        .ok_or_else(|| Failure::Usage("--seconds is a number above 0, up to 3600".to_owned()))?;
    if !directory.is_dir() {
        return Err(Failure::Usage(format!(
            "no directory is at {}",
            directory.display()
        )));
    }
    let scratch = Scratch::new(directory)?;
    let value = vec![0x5a; usize::try_from(value_bytes).unwrap_or(0)];
    let progress = Progress::endless(output, "measuring");
    let floor = Floor::new(&scratch.0, value.len())?;
    let store = Store::open(
        scratch.0.join("store"),
        &Options {
            durability: Survive::Power,
            ..Options::default()
        },
    )?;

    let (mut bare, mut commits, mut reads) = (Samples::default(), Samples::default(), Samples::default());
    let mut floor_at = 0;
    let mut number = 0;
    // The first commit of an opening pays for more than its own.
    store.kv_set(b"first", b"")?;
    for _ in 0..TURNS {
        bare.run(time / TURNS, || floor.write(&value, &mut floor_at))?;
        commits.run(time / TURNS, || {
            number = (number + 1) % KEYS;
            Ok(store.kv_set(&key_of(number), &value)?)
        })?;
    }
    fill(&store, &value)?;
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    reads.run(time, || {
        let value_there = store.kv_get(None, &key_of(draw.next() % KEYS))?;
        if value_there.len() != value.len() {
            return Err(Failure::Malformed(
                "a value of the benchmark is not what was set".to_owned(),
            ));
        }
        Ok(())
    })?;
    store.close()?;
    drop(progress);

    if output.is_json() {
        let of_floor = commits.percentile(50) / bare.percentile(50).max(1e-9);
        output.object(object([
            ("value_bytes", json!(value_bytes)),
            ("floor", bare.json()),
            ("durable_commits", commits.json()),
            ("point_reads", reads.json()),
            ("commit_per_floor_p50", json!(of_floor)),
        ]))?;
        return Ok(Ending::Done);
    }
    let of_floor = commits.percentile(50) / bare.percentile(50).max(1e-9);
    output.line(&bare.words("floor: a write and an fdatasync"))?;
    output.line(&commits.words("durable commits of a pair"))?;
    output.line(&reads.words("point reads"))?;
    output.line(&format!(
        "one thread, values of {} bytes, {} keys; a commit takes {of_floor:.2} times the floor, by p50",
        grouped(u64::from(value_bytes)),
        grouped(KEYS)
    ))?;
    Ok(Ending::Done)
}

fn key_of(number: u64) -> [u8; 16] {
    let mut key = *b"key/0000000000  ";
    let digits = format!("{number:010}");
    key.iter_mut()
        .skip(4)
        .zip(digits.bytes())
        .for_each(|(to, from)| *to = from);
    key
}

/// All keys, in runs where they stay.
fn fill(store: &Store, value: &[u8]) -> Result<(), Failure> {
    let mut batch = sarsen::Batch::new();
    for number in 0..KEYS {
        batch.set_kv(&key_of(number), value)?;
        if batch.count() == 100 || number + 1 == KEYS {
            store.commit(&mut batch, Some(Survive::Process))?;
        }
    }
    Ok(store.checkpoint()?)
}

/// What no store can go below: as many bytes as a commit has, written to a file that is on disk already, and synced.
struct Floor {
    file: File,
    path: PathBuf,
    len: usize,
}

impl Floor {
    fn new(directory: &Path, len: usize) -> Result<Floor, Failure> {
        let path = directory.join("floor");
        let failed = |error| Failure::of_file("write", &path, error);
        let file = File::create_new(&path).map_err(failed)?;
        let len = FLOOR_BYTES.max(len);
        file.write_all_at(&vec![0; len], 0)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        Ok(Floor { file, path, len })
    }

    fn write(&self, value: &[u8], at: &mut usize) -> Result<(), Failure> {
        if *at + value.len() > self.len {
            *at = 0;
        }
        let place = u64::try_from(*at).unwrap_or(0);
        *at += value.len();
        self.file
            .write_all_at(value, place)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Failure::of_file("write", &self.path, error))
    }
}

/// Xorshift: which key is next.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
