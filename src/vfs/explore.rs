//! Runs a test in many schedules of its threads, first with something made wrong on purpose, which has to be found.

use shuttle::{
    scheduler::{PctScheduler, RandomScheduler},
    Config, FailurePersistence, Runner,
};

use super::sync::{disorder, Disorder};

/// A wrong order is looked for in so many schedules at most.
const MOST_FOR_WRONG: usize = 6_000;

/// How often each test runs, half of it by chance and half with few switches at chosen places.
fn iterations() -> usize {
    let asked = std::env::var("SARSEN_EXPLORE_ITERATIONS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(200)
}

fn run(count: usize, body: fn()) {
    let config = || {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.failure_persistence = FailurePersistence::Print;
        config
    };
    Runner::new(RandomScheduler::new(count.div_ceil(2)), config()).run(body);
    Runner::new(PctScheduler::new(4, count.div_ceil(2)), config()).run(body);
}

/// No schedule makes the body fail; with the order made wrong, one does.
pub(crate) fn explore(wrong: Disorder, body: fn()) {
    explore_with(|on| disorder(on.then_some(wrong)), body);
}

/// The same with another way to do wrong.
pub(crate) fn explore_with(do_wrong: impl Fn(bool), body: fn()) {
    do_wrong(true);
    let found = std::panic::catch_unwind(|| run(MOST_FOR_WRONG, body)).is_err();
    do_wrong(false);
    assert!(found, "what was made wrong was not noticed");
    run(iterations(), body);
}
