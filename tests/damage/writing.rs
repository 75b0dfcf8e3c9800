//! A writer that goes on over damage: it may be stopped by it, but never makes it look sound. After commits, a checkpoint,
//! a compaction, closing and opening again every answer is still right or an error.

use std::panic::{catch_unwind, AssertUnwindSafe};

use sarsen::{simulation::SimVfs, Error, Store, Survive};

use crate::{
    examine::{examine, read_all, Outcome},
    model::Command,
    spread::{spread, Sample},
    store::Shape,
};

const KEY: &[u8] = b"after the damage";

/// The shape with one commit more.
fn with_one_more(shape: &Shape) -> Shape {
    let mut longer = shape.clone();
    let mut model = shape.models[shape.last as usize].clone();
    let told = model.apply(&Command::Set(KEY.to_vec(), b"value".to_vec()));
    longer.models.push(model);
    longer.told.push(vec![told]);
    longer.last += 1;
    longer
}

/// How many stores a writer opened, and what went wrong.
pub fn go_on(shape: &Shape, sample: Sample) -> (u64, Vec<String>) {
    let longer = with_one_more(shape);
    let files: Vec<(String, u64)> = shape
        .files()
        .into_iter()
        .map(|(name, bytes)| (name, bytes.len() as u64 * 8))
        .collect();
    let bits = files.iter().map(|(_, bits)| bits).sum();
    let results = spread(bits, sample, &|numbers| {
        let (mut opened, mut wrong) = (0, Vec::new());
        for number in numbers {
            let mut bit = number;
            let hit = files.iter().find(|(_, bits)| {
                let inside = bit < *bits;
                bit -= if inside { 0 } else { *bits };
                inside
            });
            let (file, _) = hit.expect("the number is below the sum");
            let disk = shape.disk.restart();
            disk.flip(&Shape::path(file), bit / 8, 1 << (bit % 8))
                .expect("a bit flips");
            let went = catch_unwind(AssertUnwindSafe(|| go_on_over(shape, &longer, &disk)));
            match went.unwrap_or_else(|_| Err("a panic".to_owned())) {
                Ok(true) => opened += 1,
                Ok(false) => {}
                Err(what) => wrong.push(format!("{} {file} bit {bit}: {what}", shape.name)),
            }
        }
        (opened, wrong)
    });
    results
        .into_iter()
        .fold((0, Vec::new()), |(opened, mut all), (more, wrong)| {
            all.extend(wrong);
            (opened + more, all)
        })
}

fn go_on_over(shape: &Shape, longer: &Shape, disk: &SimVfs) -> Result<bool, String> {
    let store = match Store::open_on(disk, Shape::root(), &shape.options) {
        Ok(store) => store,
        Err(Error::Corrupt { .. }) => return Ok(false),
        Err(error) => return Err(format!("opening answers {error:?}")),
    };
    let whole = store.last_seq() == shape.last;
    let expected = if whole { longer } else { shape };
    let mut committed = false;
    if whole {
        let mut batch = sarsen::Batch::new();
        batch.set_kv(KEY, b"value").map_err(|error| error.to_string())?;
        committed = told(store.commit(&mut batch, Some(Survive::Power)), "a commit")?;
    }
    for answer in [store.checkpoint(), store.compact(), store.checkpoint()] {
        told(answer, "upkeep")?;
    }
    let mut outcome = Outcome::default();
    if committed || !whole {
        read_all(expected, &store, &mut outcome);
    }
    told(store.close(), "closing")?;
    drop(store);
    if let Some(wrong) = outcome.wrong.first() {
        return Err(format!("before closing: {wrong}"));
    }
    let outcome = examine(expected, disk, &shape.read_only());
    match (&outcome.refused, outcome.wrong.first()) {
        (Some(Error::Corrupt { .. }), _) | (None, None) => {}
        (Some(error), _) => return Err(format!("opening again answers {error:?}")),
        (None, Some(wrong)) => return Err(format!("opened again: {wrong}")),
    }
    let least = if committed { longer.last } else { shape.durable };
    if outcome.refused.is_none() && outcome.last_seq() < least {
        return Err(format!("acknowledged commits are gone: {:?}", outcome.recovery));
    }
    Ok(true)
}

/// Whether it succeeded; damage, and what a writer refuses because of it, are answers too.
fn told<T>(answer: sarsen::Result<T>, what: &str) -> Result<bool, String> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::Corrupt { .. } | Error::Poisoned { .. }) => Ok(false),
        Err(error) => Err(format!("{what} answers {error:?}")),
    }
}
