//! Operations on the Rust API beside a model: those of `tests/model` with the input's choices, and those of `tests/crash`,
//! with power losses, by a seed.

use sarsen::simulation::SimVfs;

use crate::{
    disk::Disk,
    draws::Draws,
    history::play,
    run::{Run, PHASES, STEPS},
    trace::Trace,
};

use super::input::Input;

/// The first byte chooses: a quarter are histories of crashes by the seed that follows, the rest choices for a run.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let how = input.u8();
    if how & 3 == 3 {
        let seed = input.u64();
        let outcome = play(&Trace::drawn(seed), SimVfs::new(seed).with_reserve(4 << 20));
        if let Some((what, _)) = outcome.failure {
            panic!("{what}");
        }
        let crashes = outcome.crashes;
        assert!(
            crashes.power_losses + crashes.kills + crashes.faults > 0,
            "nothing went wrong"
        );
        return;
    }
    let seed = u64::from(input.u16());
    // Mostly on a disk that fails; a real one shows nothing more, and is slow.
    let disk = if how == 0x7c {
        Disk::real(seed)
    } else {
        Disk::failing(seed)
    };
    let phases = (1 + usize::from(how >> 2 & 1)).min(PHASES);
    let steps = (4 + input.rest().len() / 8).min(STEPS);
    Run::new(Draws::new(seed, input.rest()), disk).play(phases, steps);
}

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let choices = |step: u8| (0..160_u8).map(|at| at.wrapping_mul(step)).collect::<Vec<u8>>();
    vec![
        ("nothing", vec![]),
        ("crashes", vec![3, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("commits", [&[0, 1, 0], choices(7).as_slice()].concat()),
        ("two_phases", [&[4, 2, 0], choices(31).as_slice()].concat()),
        ("real_disk", [&[0x7c, 3, 0], choices(3).as_slice()].concat()),
    ]
}
