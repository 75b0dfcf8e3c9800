//! What a store is made of and how it is: `info` draws it, `stats` lists the figures.

use std::path::Path;

use sarsen::{Anatomy, ChunkFigures, Recovery, RunFigures, Stats, Store, Verdict};
use serde_json::{json, Value};

use super::{picture::Palette, Outcome};
use crate::{
    bytes::to_hex,
    failure::{Ending, Failure},
    opening::{for_reading, holders},
    output::{counted, grouped, object, sized, Output},
};

/// So many chunks, runs and segments are drawn unless all are asked for.
const SHOWN: usize = 16;

pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Replayed => "replayed",
        Verdict::TornTail => "torn tail",
        Verdict::Damaged => "damaged",
    }
}

fn verdict_words(recovery: &Recovery) -> String {
    let replayed = format!(
        "{}, {}, from the log",
        counted(recovery.replayed_commits, "commit", "commits"),
        sized(recovery.replayed_bytes)
    );
    match recovery.verdict {
        Verdict::Clean => "clean: nothing to replay".to_owned(),
        Verdict::Replayed => format!("replayed: {replayed}; nothing was lost"),
        Verdict::TornTail => format!(
            "torn tail: {replayed}; {} of a commit that never was durable were cut off",
            sized(recovery.dropped_bytes)
        ),
        Verdict::Damaged => format!("damaged: {replayed}; run verify"),
    }
}

fn recovery_json(recovery: &Recovery) -> Value {
    json!({
        "verdict": verdict_name(recovery.verdict),
        "last_seq": recovery.last_seq,
        "proven_seq": recovery.proven_seq,
        "replayed_commits": recovery.replayed_commits,
        "replayed_bytes": recovery.replayed_bytes,
        "dropped_bytes": recovery.dropped_bytes,
        "elapsed_us": recovery.elapsed_us,
    })
}

pub fn info(path: &Path, all: bool, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let anatomy = store.anatomy()?;
    let stats = store.stats()?;
    let writers = holders(path);
    if output.is_json() {
        print_json(path, &store, &anatomy, &stats, &writers, output)?;
        return Ok(Ending::Done);
    }
    let written_by = if writers.is_empty() {
        "nobody".to_owned()
    } else {
        writers.join(" and ")
    };
    output.line(&format!("store    {}", path.display()))?;
    output.line(&format!("uuid     {}", to_hex(&anatomy.uuid)))?;
    output.line(&format!("writer   {written_by}"))?;
    output.line(&format!("opening  {}", verdict_words(&store.recovery())))?;
    output.line(&format!(
        "commits  last {}, known to be durable {}, in chunks and runs {}, log from {}",
        grouped(store.last_seq()),
        grouped(store.durable_seq()),
        grouped(anatomy.checkpoint_seq),
        grouped(store.log_first_seq())
    ))?;
    output.line(&format!(
        "holds    about {}, {}, {} with {}, {}",
        counted(stats.kv_count, "pair", "pairs"),
        counted(stats.memory_count, "memory", "memories"),
        counted(stats.stream_count, "stream", "streams"),
        counted(stats.stream_record_count, "record", "records"),
        counted(stats.block_count, "loose block", "loose blocks"),
    ))?;
    let chunks: u64 = anatomy
        .chunks
        .iter()
        .map(|chunk| chunk.live_bytes + chunk.dead_bytes)
        .sum();
    let log: u64 = anatomy.segments.iter().map(|segment| segment.bytes).sum();
    let rest = stats.disk_bytes.saturating_sub(chunks + stats.index_bytes + log);
    output.line(&format!(
        "disk     {}: chunks {}, runs {}, log {}, the rest (reserve for a full disk, manifest) {}",
        sized(stats.disk_bytes),
        sized(chunks),
        sized(stats.index_bytes),
        sized(log),
        sized(rest)
    ))?;
    draw(&anatomy, all, output)?;
    Ok(Ending::Done)
}

fn draw(anatomy: &Anatomy, all: bool, output: &mut Output) -> Result<(), Failure> {
    let palette = Palette::of(output.is_watched());
    let shown = |count: usize| if all { count } else { count.min(SHOWN) };

    let live: u64 = anatomy.chunks.iter().map(|chunk| chunk.live_bytes).sum();
    let dead: u64 = anatomy.chunks.iter().map(|chunk| chunk.dead_bytes).sum();
    let each = format!("chunks of up to {}", sized(anatomy.chunk_bytes));
    heading(output, &each, anatomy.chunks.len(), live + dead)?;
    if !anatomy.chunks.is_empty() {
        output.line(&format!(
            "  all         {}  {} live, {} dead",
            palette.bar(live, dead, live + dead),
            sized(live),
            sized(dead)
        ))?;
    }
    for chunk in anatomy.chunks.iter().take(shown(anatomy.chunks.len())) {
        let ChunkFigures {
            number,
            large,
            rewritten,
            live_bytes,
            dead_bytes,
        } = chunk;
        output.line(&format!(
            "  {number:04} {:<6} {}  {} live, {} dead{}",
            if *large { "large" } else { "small" },
            palette.bar(*live_bytes, *dead_bytes, anatomy.chunk_bytes),
            sized(*live_bytes),
            sized(*dead_bytes),
            if *rewritten { ", rewritten" } else { "" }
        ))?;
    }
    left_out(output, anatomy.chunks.len() - shown(anatomy.chunks.len()))?;

    let most = anatomy.runs.iter().map(|run| run.bytes).max().unwrap_or(0);
    let bytes = anatomy.runs.iter().map(|run| run.bytes).sum();
    heading(output, "runs, the newest first", anatomy.runs.len(), bytes)?;
    for run in anatomy.runs.iter().take(shown(anatomy.runs.len())) {
        let RunFigures {
            id,
            parts,
            bytes,
            entries,
            tombstones,
            merging,
        } = run;
        output.line(&format!(
            "  {id:08}    {}  {}, {} in {}, {}{}",
            palette.bar(*bytes, 0, most),
            sized(*bytes),
            counted(*entries, "entry", "entries"),
            counted(*parts, "part", "parts"),
            counted(*tombstones, "deletion", "deletions"),
            if *merging { ", being merged" } else { "" }
        ))?;
    }
    left_out(output, anatomy.runs.len() - shown(anatomy.runs.len()))?;

    let most = anatomy
        .segments
        .iter()
        .map(|segment| segment.bytes)
        .max()
        .unwrap_or(0);
    let bytes = anatomy.segments.iter().map(|segment| segment.bytes).sum();
    heading(output, "log", anatomy.segments.len(), bytes)?;
    let hidden = anatomy.segments.len() - shown(anatomy.segments.len());
    left_out(output, hidden)?;
    // The newest are of interest.
    for segment in anatomy.segments.iter().skip(hidden) {
        output.line(&format!(
            "  {:08}    {}  {}",
            segment.number,
            palette.bar(segment.bytes, 0, most),
            sized(segment.bytes)
        ))?;
    }
    Ok(())
}

fn heading(output: &mut Output, what: &str, count: usize, bytes: u64) -> Result<(), Failure> {
    output.line("")?;
    if count == 0 {
        return output.line(&format!("{what}: none"));
    }
    output.line(&format!("{what}: {count}, {}", sized(bytes)))
}

fn left_out(output: &mut Output, count: usize) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    output.line(&format!("  … {count} more, --all shows them"))
}

fn print_json(
    path: &Path,
    store: &Store,
    anatomy: &Anatomy,
    stats: &Stats,
    writers: &[String],
    output: &mut Output,
) -> Result<(), Failure> {
    let chunks: Vec<Value> = anatomy
        .chunks
        .iter()
        .map(|chunk| {
            json!({
                "number": chunk.number,
                "large": chunk.large,
                "rewritten": chunk.rewritten,
                "live_bytes": chunk.live_bytes,
                "dead_bytes": chunk.dead_bytes,
            })
        })
        .collect();
    let runs: Vec<Value> = anatomy
        .runs
        .iter()
        .map(|run| {
            json!({
                "id": run.id,
                "parts": run.parts,
                "bytes": run.bytes,
                "entries": run.entries,
                "tombstones": run.tombstones,
                "merging": run.merging,
            })
        })
        .collect();
    let segments: Vec<Value> = anatomy
        .segments
        .iter()
        .map(|segment| json!({ "number": segment.number, "bytes": segment.bytes }))
        .collect();
    output.object(object([
        ("store", json!(path.to_string_lossy())),
        ("uuid", json!(to_hex(&anatomy.uuid))),
        ("writers", json!(writers)),
        ("recovery", recovery_json(&store.recovery())),
        ("last_seq", json!(store.last_seq())),
        ("durable_seq", json!(store.durable_seq())),
        ("checkpoint_seq", json!(anatomy.checkpoint_seq)),
        ("log_first_seq", json!(store.log_first_seq())),
        ("epoch", json!(anatomy.epoch)),
        ("generation", json!(anatomy.generation)),
        ("chunk_bytes", json!(anatomy.chunk_bytes)),
        ("stats", stats_json(stats)),
        ("chunks", json!(chunks)),
        ("runs", json!(runs)),
        ("segments", json!(segments)),
    ]))
}

/// The figures that say something about a store that was opened just now: no counters of what this opening did.
fn figures(stats: &Stats) -> [(&'static str, u64, &'static str); 12] {
    [
        ("kv_count", stats.kv_count, "key-value pairs"),
        ("memory_count", stats.memory_count, "memories"),
        ("stream_count", stats.stream_count, "streams"),
        (
            "stream_record_count",
            stats.stream_record_count,
            "records in streams",
        ),
        ("block_count", stats.block_count, "loose blocks"),
        ("block_bytes_live", stats.block_bytes_live, "bytes of live blocks"),
        ("block_bytes_dead", stats.block_bytes_dead, "bytes of dead blocks"),
        ("log_bytes", stats.log_bytes, "bytes of log that opening needs"),
        ("index_bytes", stats.index_bytes, "bytes of runs"),
        ("disk_bytes", stats.disk_bytes, "bytes on disk"),
        (
            "heap_bytes",
            stats.heap_bytes,
            "bytes of heap that reading it takes",
        ),
        ("mapped_bytes", stats.mapped_bytes, "bytes that are mapped"),
    ]
}

fn stats_json(stats: &Stats) -> Value {
    let figures = figures(stats).map(|(name, value, _)| (name, json!(value)));
    Value::Object(object(figures))
}

pub fn stats(path: &Path, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let stats = store.stats()?;
    if output.is_json() {
        let Value::Object(mut figures) = stats_json(&stats) else {
            return Ok(Ending::Done);
        };
        figures.insert("last_seq".to_owned(), json!(store.last_seq()));
        figures.insert("durable_seq".to_owned(), json!(store.durable_seq()));
        output.object(figures)?;
        return Ok(Ending::Done);
    }
    for (name, value, meaning) in [
        ("last_seq", store.last_seq(), "newest commit"),
        (
            "durable_seq",
            store.durable_seq(),
            "newest commit known to be durable",
        ),
    ]
    .into_iter()
    .chain(figures(&stats))
    {
        output.line(&format!("{name:<20} {:>20}  {meaning}", grouped(value)))?;
    }
    Ok(Ending::Done)
}
