//! Opening with salvage: whatever is damaged, the rest can be read, what is missing is told, and nothing is changed.

use std::collections::BTreeSet;

use sarsen::{simulation::SimVfs, Batch, Error, Store, Verdict};

use crate::{
    examine::{examine, Outcome},
    layout::{layout, Kind, Span},
    store::{files_of, Shape},
};

/// Something that is done to a copy of a store.
pub struct Case {
    pub file: String,
    pub kind: Kind,
    pub what: String,
    damage: Box<dyn Fn(&SimVfs)>,
}

/// A bit in the first, the middle and the last thing of each kind, front, middle and end of it; and each file gone.
pub fn cases(shape: &Shape) -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, spans) in layout(shape) {
        let rows: BTreeSet<Kind> = spans.iter().map(|span| span.kind.row()).collect();
        for row in rows.into_iter().filter(|row| !row.is_idle()) {
            let of_kind: Vec<&Span> = spans.iter().filter(|span| span.kind.row() == row).collect();
            for index in BTreeSet::from([0, of_kind.len() / 2, of_kind.len() - 1]) {
                let span = of_kind[index];
                let (start, end) = (span.bytes.start, span.bytes.end);
                for offset in [start + 12, (start + end) / 2, end - 1] {
                    let path = Shape::path(&file);
                    cases.push(Case {
                        file: file.clone(),
                        kind: span.kind,
                        what: format!("a bit of byte {offset}"),
                        damage: Box::new(move |disk| disk.flip(&path, offset, 0x10).expect("a bit flips")),
                    });
                }
            }
        }
        let path = Shape::path(&file);
        let kind = spans.first().map_or(Kind::Unused, |span| span.kind);
        cases.push(Case {
            kind,
            what: "gone".to_owned(),
            damage: Box::new(move |disk| disk.lose(&path).expect("a file is removed")),
            file,
        });
    }
    cases
}

/// What opening with salvage makes of it; `Err` says what is not as it must be.
pub fn salvage(shape: &Shape, case: &Case, sound: &Outcome) -> Result<(), String> {
    let disk = shape.disk.restart();
    (case.damage)(&disk);
    let before = files_of(&disk);
    let outcome = examine(shape, &disk, &shape.salvage());
    if case.file == "MANIFEST" && case.what == "gone" {
        return match outcome.refused {
            Some(Error::NotAStore { .. } | Error::Corrupt { .. }) => Ok(()),
            other => Err(format!("without a manifest nothing can be known: {other:?}")),
        };
    }
    if let Some(error) = outcome.refused {
        return Err(format!("it does not open: {error}"));
    }
    if let Some(wrong) = outcome.wrong.first() {
        return Err(wrong.clone());
    }
    if before != files_of(&disk) {
        return Err("something on disk has changed".to_owned());
    }
    judge(shape, case, &outcome, sound)?;
    refuses_writes(shape, &disk)
}

fn judge(shape: &Shape, case: &Case, outcome: &Outcome, sound: &Outcome) -> Result<(), String> {
    let recovery = outcome.recovery.ok_or("no verdict")?;
    let lost = sound.right.saturating_sub(outcome.right);
    let expect = |right: bool, what: &str| match right {
        true => Ok(()),
        false => Err(format!(
            "{what}: {recovery:?}, {lost} of {} answers lost, findings {:?}",
            sound.right, outcome.findings
        )),
    };
    let told = outcome.findings.iter().any(|finding| finding.file == case.file);
    match case.kind {
        // Nothing in there is needed.
        _ if case.file == "LOCK" || case.file == "READERS" => expect(
            outcome.is_sound() && recovery.verdict == sound.recovery.ok_or("none")?.verdict,
            "it is sound",
        ),
        // Never durable: gone like any torn tail, and no damage.
        Kind::TailFrame(seq) if case.what != "gone" => expect(
            recovery.last_seq + 1 == seq && recovery.verdict != Verdict::Damaged,
            "a torn tail",
        ),
        Kind::TailBlock => expect(recovery.last_seq >= shape.durable || told, "a torn tail"),
        Kind::DurableFrame(seq) if case.what != "gone" => {
            expect(told, "verify tells")?;
            expect(recovery.verdict == Verdict::Damaged, "verdict")?;
            expect(
                recovery.last_seq + 1 == seq,
                "everything before the damage is there",
            )?;
            expect(recovery.proven_seq >= shape.durable, "what was durable is told")
        }
        // A whole segment: where it is not the last one, or the manifest points into it, that is known.
        _ if case.file.starts_with("log/") && case.what == "gone" => {
            expect(recovery.last_seq <= shape.last, "no commit from nowhere")
        }
        Kind::KeptFrame(_) => {
            expect(
                told && recovery.verdict == Verdict::Damaged,
                "verify and verdict tell",
            )?;
            expect(recovery.last_seq == shape.last && lost == 0, "all data is there")
        }
        Kind::Manifest => {
            expect(
                told && recovery.verdict == Verdict::Damaged,
                "verify and verdict tell",
            )?;
            expect(recovery.last_seq == shape.last && lost == 0, "all data is there")
        }
        Kind::SmallBlock | Kind::LargeBlock if case.what != "gone" => {
            expect(
                told && recovery.verdict == Verdict::Damaged,
                "verify and verdict tell",
            )?;
            expect(recovery.last_seq == shape.last, "every commit is there")?;
            // The value of a key, or what a memory, a record or an address leads to, each asked for more than once.
            expect(lost <= 4, "one block is lost, and nothing else")
        }
        Kind::HashPage if case.what != "gone" => {
            expect(
                told && recovery.verdict == Verdict::Damaged,
                "verify and verdict tell",
            )?;
            expect(lost == 0, "the pages have it all")
        }
        // It may hold blocks of commits that nothing proves.
        Kind::ChunkHeader => {
            expect(
                told && recovery.verdict == Verdict::Damaged,
                "verify and verdict tell",
            )?;
            expect(
                recovery.last_seq >= shape.durable,
                "every durable commit is there",
            )?;
            expect(outcome.right > 0, "the rest can be read")
        }
        _ => {
            expect(
                told && recovery.verdict == Verdict::Damaged,
                "verify and verdict tell",
            )?;
            expect(recovery.last_seq == shape.last, "every commit is there")?;
            let only_part = shape.name == "closed" && (case.kind == Kind::Footer || case.what == "gone");
            expect(outcome.right > 0 || only_part, "the rest can be read")
        }
    }
}

fn refuses_writes(shape: &Shape, disk: &SimVfs) -> Result<(), String> {
    let store = Store::open_on(disk, Shape::root(), &shape.salvage()).map_err(|error| error.to_string())?;
    let mut batch = Batch::new();
    batch
        .set_kv(b"key", b"value")
        .map_err(|error| error.to_string())?;
    let answers = [
        store.kv_set(b"key", b"value"),
        store.commit(&mut batch, None).map(|_| ()),
        store.block_append(b"bytes").map(|_| ()),
        store.checkpoint(),
        store.compact(),
    ];
    for answer in answers {
        if answer != Err(Error::ReadOnly) {
            return Err(format!("a write answers {answer:?}"));
        }
    }
    Ok(())
}

/// Both copies of the manifest damaged: nothing says what the store is made of.
pub fn without_manifest(shape: &Shape) {
    let disk = shape.disk.restart();
    let path = Shape::path("MANIFEST");
    let half = disk.contents(&path).expect("a manifest").len() as u64 / 2;
    for offset in [40, half + 50] {
        disk.flip(&path, offset, 1).expect("a bit flips");
    }
    let before = files_of(&disk);
    for options in [shape.read_only(), shape.salvage(), shape.options.clone()] {
        match Store::open_on(&disk, Shape::root(), &options) {
            Err(Error::Corrupt(damage)) => assert_eq!(damage.file, "MANIFEST"),
            other => panic!("{other:?}"),
        }
    }
    assert!(before == files_of(&disk), "something on disk has changed");
}
