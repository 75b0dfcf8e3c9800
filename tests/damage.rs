//! Damage of every kind to every file of a store: whatever was done to it, each answer is right or says that data is
//! damaged; never a wrong byte, a panic, a hang, or more memory than the store is long.
//!
//! A sample of all that is possible runs by default. SARSEN_DAMAGE_EVERY=1 takes everything, as `make damage` does: one
//! bit in so many is flipped, one length in so many tried.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it saw, and why it can't go on"
)]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is a trait with unsafe functions; pipes and devices are system calls"
)]

#[path = "damage/allocation.rs"]
mod allocation;
#[path = "damage/entries.rs"]
mod entries;
#[path = "damage/examine.rs"]
mod examine;
#[path = "damage/flips.rs"]
mod flips;
#[path = "damage/foreign.rs"]
mod foreign;
#[path = "damage/layout.rs"]
mod layout;
#[path = "damage/model.rs"]
mod model;
#[path = "damage/salvage.rs"]
mod salvage;
#[path = "damage/spread.rs"]
mod spread;
#[path = "damage/store.rs"]
mod store;
#[path = "damage/whole_files.rs"]
mod whole_files;
#[path = "damage/writing.rs"]
mod writing;

use std::env;

use flips::{Class, Table};
use sarsen::{
    simulation::{make, Defect},
    Survive,
};
use spread::Sample;
use store::Shape;
use whole_files::Count;

#[global_allocator]
static ALLOCATOR: allocation::Counting = allocation::Counting;

/// One in so many, a prime unless all are taken: so that a sample meets each bit of a byte and each place in a unit.
const DEFAULT_EVERY: u64 = 151;

/// As many as there are in `layout::Kind`.
const KINDS: usize = 14;

fn every() -> u64 {
    let text = env::var("SARSEN_DAMAGE_EVERY")
        .ok()
        .filter(|text| !text.is_empty());
    text.map_or(DEFAULT_EVERY, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("SARSEN_DAMAGE_EVERY is {text}, which is no number"))
    })
}

#[test]
fn a_flipped_bit_gives_right_answers_or_an_error() {
    let sample = Sample {
        every: every(),
        first: 0,
    };
    let mut table = Table::default();
    for shape in store::shapes(1) {
        let files = shape.files();
        let bytes: usize = files.values().map(Vec::len).sum();
        println!("{}: {bytes} bytes in {} files", shape.name, files.len());
        table.merge(flips::flip(&shape, sample, &|| {}));
    }
    println!("{}", table.to_text());
    assert_eq!(table.kinds(), KINDS, "some structure is in none of the stores");
    let wrong = table.count(Class::Wrong);
    assert!(
        wrong == 0,
        "{wrong} flips are answered wrongly:\n{}",
        table.wrong()
    );
}

/// With a check left out, wrong answers have to be seen.
#[test]
fn a_check_that_is_left_out_is_noticed() {
    let shapes = store::shapes(1);
    for defect in Defect::OF_CHECKS {
        let sample = Sample { every: 997, first: 0 };
        let wrong: u64 = shapes
            .iter()
            .map(|shape| flips::flip(shape, sample, &|| make(Some(defect))).count(Class::Wrong))
            .sum();
        make(None);
        println!("{defect:?}: {wrong} flips are answered wrongly");
        assert!(wrong > 0, "{defect:?} is not noticed");
    }
}

/// Some of what is wrong.
fn some(wrong: &[String]) -> String {
    wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn none_are_wrong(tried: u64, wrong: &[String]) {
    assert!(tried > 0, "nothing was tried");
    assert!(
        wrong.is_empty(),
        "{} of {tried} are wrong:\n{}",
        wrong.len(),
        some(wrong)
    );
}

#[track_caller]
fn none_wrong(what: &str, count: &Count) {
    println!("{what}: {:?}", count.classes);
    none_are_wrong(count.total(), &count.wrong);
}

/// The same done to each store.
#[track_caller]
fn none_wrong_in_any_store(what: &str, damage: impl Fn(&Shape) -> Count) {
    let mut count = Count::default();
    for shape in store::shapes(1) {
        count.merge(damage(&shape));
    }
    none_wrong(what, &count);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_noticed_where_that_matters() {
    let sample = Sample {
        every: every(),
        first: 0,
    };
    none_wrong_in_any_store("cut", |shape| whole_files::truncate(shape, sample));
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    none_wrong_in_any_store("removed", whole_files::remove);
}

#[test]
fn an_older_copy_of_a_file_is_noticed() {
    none_wrong_in_any_store("rolled back", whole_files::roll_back);
}

#[test]
fn a_file_of_another_store_is_noticed() {
    let mut count = Count::default();
    for others in [store::shapes(2), store::longer_shapes(3)] {
        for (shape, other) in store::shapes(1).iter().zip(others) {
            count.merge(whole_files::take_from(shape, &other.files()));
        }
    }
    none_wrong("of another store", &count);
}

/// Of stores that did the same under another uuid: one wrote the same values, one others. And of a backup, whose chunks
/// have the same nonces.
#[test]
fn what_a_store_with_the_same_history_holds_never_passes_for_the_own() {
    let sample = Sample { every: 1, first: 0 };
    let mut count = Count::default();
    for others in [store::twins(4, 1), store::shapes(2)] {
        for (shape, other) in store::shapes(1).iter().zip(others) {
            count.merge(foreign::take_from(shape, &other.files(), sample, &|| {}));
        }
    }
    for shape in store::shapes(1) {
        let backup = foreign::backup_of(&shape);
        count.merge(foreign::take_from(&shape, &backup, sample, &|| {}));
    }
    none_wrong("files and pages of another store", &count);
}

#[test]
fn a_manifest_of_another_store_is_noticed_while_the_own_is_open() {
    for (shape, other) in store::shapes(1).iter().zip(store::twins(4, 1)) {
        assert_eq!(foreign::manifest_while_open(shape, &other.files()), Ok(()));
    }
}

/// All but one case: the log of one commit without its mark looks like one whose only frame is damaged.
#[test]
fn a_manifest_of_another_store_never_makes_a_small_store_look_empty() {
    let few = |seed, most| {
        let kinds = [Survive::Process, Survive::Power].map(|survive| {
            [false, true].map(move |is_closed| {
                (0..=most).map(move |commits| foreign::Few {
                    seed,
                    commits,
                    survive,
                    is_closed,
                })
            })
        });
        kinds.into_iter().flatten().flatten()
    };
    let (mut tried, mut wrong) = (0, Vec::new());
    for own in few(1, 3).filter(|own| own.commits > 0) {
        for other in few(2, 4) {
            if own.commits == 1 && !own.is_closed && own.survive == Survive::Process && other.commits > 0 {
                continue;
            }
            tried += 1;
            if let Err(what) = own.under_the_manifest_of(other) {
                wrong.push(format!("{own:?} under {other:?}: {what}"));
            }
        }
    }
    none_are_wrong(tried, &wrong);
}

#[test]
fn a_page_in_another_place_of_the_index_is_noticed() {
    none_wrong_in_any_store("pages of parts in other places", |shape| {
        foreign::mix_parts(shape, Sample { every: 1, first: 0 })
    });
}

/// With a check left out, wrong answers have to be seen.
#[test]
fn a_check_that_is_left_out_lets_pages_of_another_store_pass() {
    for defect in [Defect::IndexPagesNotChecked, Defect::BlocksNotChecked] {
        let sample = Sample { every: 1, first: 0 };
        let others = store::shapes(2);
        let wrong: usize = store::shapes(1)
            .iter()
            .zip(others)
            .map(|(shape, other)| {
                foreign::take_from(shape, &other.files(), sample, &|| make(Some(defect)))
                    .wrong
                    .len()
            })
            .sum();
        make(None);
        println!("{defect:?}: {wrong} wrong");
        assert!(wrong > 0, "{defect:?} is not noticed");
    }
}

#[test]
fn a_file_in_the_place_of_its_neighbour_is_noticed() {
    none_wrong_in_any_store("in the place of a neighbour", whole_files::swap_neighbours);
}

#[test]
fn a_writer_that_goes_on_over_damage_never_makes_it_look_sound() {
    let sample = Sample {
        every: every().saturating_mul(41),
        first: 0,
    };
    let (mut tried, mut wrong) = (0, Vec::new());
    for shape in store::shapes(1) {
        let (opened, errors) = writing::go_on(&shape, sample);
        tried += opened;
        wrong.extend(errors);
    }
    println!("{tried} damaged stores written to");
    none_are_wrong(tried, &wrong);
}

#[test]
fn salvage_reads_what_is_left_and_says_what_is_missing() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for shape in store::shapes(1) {
        salvage::without_manifest(&shape);
        let sound = examine::examine(&shape, &shape.disk, &shape.salvage());
        assert!(sound.is_sound(), "{sound:#?}");
        for case in salvage::cases(&shape) {
            tried += 1;
            if let Err(what) = salvage::salvage(&shape, &case, &sound) {
                wrong.push(format!(
                    "{} {} {:?} {}: {what}",
                    shape.name, case.file, case.kind, case.what
                ));
            }
        }
    }
    println!("{tried} stores salvaged");
    none_are_wrong(tried, &wrong);
}

#[test]
fn whatever_stands_in_the_place_of_a_file_is_no_harm() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for shape in store::shapes(1) {
        let (count, errors) = entries::try_all(&shape);
        tried += count;
        wrong.extend(errors);
    }
    println!("{tried} stores with something else in the place of a file or directory");
    none_are_wrong(tried, &wrong);
}
