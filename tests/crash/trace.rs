//! What a history does, step by step: drawn from a seed, written down as it went, and played again with steps left out.

use sarsen::simulation::{Fault, FaultKind, Operation};

use super::commits::{mix, random};

const ROUNDS: u64 = 6;
const MOST_STEPS: u64 = 60;
/// About as many as an import takes.
const IMPORT_OPERATIONS: u64 = 180;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next commit of the script, at the power level or at the process level.
    Commit {
        power: bool,
    },
    /// So many steps of upkeep, or until nothing is left to do.
    Maintain(u64),
    Checkpoint,
    Sync,
    Compact,
    Backup,
    Import,
    Verify,
    /// Takes a snapshot, iterators half-way and a view.
    Hold,
    /// A second, read-only opening.
    Peek,
    /// Looks at what was taken and at the reader, which then catches up.
    Look,
    /// On a disk that was full: what is deleted, and upkeep, make room for more.
    GoOn,
    Close,
}

/// Where a round is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Before this operation, counted from the opening on.
    Operation(u64),
    /// Before this operation of the last step; of the opening, if there is none.
    InLastStep(u64),
    /// After the last step.
    AtTheEnd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    /// The kernel writes something back before one operation in so many.
    pub(crate) writeback: Option<u64>,
    pub(crate) fault: Option<Fault>,
    /// The disk has room for so much more than it holds when the round begins.
    pub(crate) room_kib: Option<u64>,
    /// Positions in the lists above.
    pub(crate) log_method: usize,
    pub(crate) check: usize,
    pub(crate) steps: Vec<Step>,
    pub(crate) stop: Stop,
    /// The process is killed; else the power is lost.
    pub(crate) kill: bool,
    /// Of what power loss leaves.
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) seed: u64,
    pub(crate) chunk_kib: u64,
    pub(crate) memory_kib: u64,
    pub(crate) retention_kib: u64,
    pub(crate) import: bool,
    pub(crate) rounds: Vec<Round>,
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        random(&mut self.0) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, among: &[T]) -> T {
        let place = usize::try_from(self.below(among.len() as u64)).unwrap_or(0);
        among[place].clone()
    }
}

impl Trace {
    pub(crate) fn drawn(seed: u64) -> Trace {
        let mut draw = Draw(mix(seed, 11));
        let import = draw.one_in(8);
        let mut trace = Trace {
            seed,
            chunk_kib: draw.of(&[64, 128, 256]),
            memory_kib: draw.of(&[256, 256, 512]),
            retention_kib: draw.of(&[0, 0, 64, 200]),
            import,
            rounds: {
                let mut volatile = false;
                (0..ROUNDS)
                    .map(|round| {
                        // One after the other: what recovery left out must not come back.
                        volatile = draw.one_in(if volatile { 2 } else { 4 });
                        match import && draw.one_in(3) {
                            true => Round::importing(&mut draw),
                            false => Round::drawn(&mut draw, round, import, volatile),
                        }
                    })
                    .collect()
            },
        };
        trace.fill_disk(&mut Draw(mix(seed, 17)));
        trace
    }

    /// Some histories live at the edge of a full disk, most of whose rounds have no other fault: what is refused then,
    /// and what a full disk must not hinder, is known.
    fn fill_disk(&mut self, draw: &mut Draw) {
        if self.import || !draw.one_in(4) {
            return;
        }
        for round in &mut self.rounds {
            if draw.one_in(3) {
                continue;
            }
            round.room_kib = Some(draw.of(&[0, 40, 150, 400, 1_200, 3_000]));
            if !draw.one_in(4) {
                round.fault = None;
            }
            if draw.one_in(2) {
                round.stop = Stop::AtTheEnd;
                round.steps.retain(|step| *step != Step::Close);
                round.steps.push(Step::GoOn);
            }
        }
    }
}

impl Round {
    /// An import, cut off somewhere.
    fn importing(draw: &mut Draw) -> Round {
        Round {
            writeback: draw.of(&[None, Some(4)]),
            fault: draw.one_in(3).then(|| drawn_fault(draw)),
            room_kib: None,
            log_method: 0,
            check: 0,
            steps: vec![Step::Import],
            stop: if draw.one_in(3) {
                Stop::AtTheEnd
            } else {
                Stop::InLastStep(1 + draw.below(IMPORT_OPERATIONS))
            },
            kill: draw.one_in(4),
            seed: random(&mut draw.0),
        }
    }

    fn drawn(draw: &mut Draw, round: u64, import: bool, volatile: bool) -> Round {
        let within = [14, 40, 150, 600, 150, 600][usize::try_from(round % 6).unwrap_or(0)];
        // A few commits that nobody makes durable are what recovery has most to say about.
        let count = 1 + draw.below(if volatile { 5 } else { MOST_STEPS });
        let mut steps: Vec<Step> = import.then_some(Step::Import).into_iter().collect();
        for _ in 0..count {
            steps.push(Step::Commit {
                power: !volatile && draw.one_in(3),
            });
            if !volatile {
                steps.extend(drawn_upkeep(draw));
            }
        }
        if !volatile && draw.one_in(3) {
            steps.push(Step::Close);
        }
        Round {
            writeback: draw.of(&[None, Some(40), Some(4)]),
            fault: draw.one_in(3).then(|| drawn_fault(draw)),
            room_kib: None,
            log_method: draw.of(&[0, 0, 1, 2]),
            check: draw.of(&[0, 0, 1]),
            steps,
            stop: if draw.one_in(if volatile { 2 } else { 5 }) {
                Stop::AtTheEnd
            } else if import && draw.one_in(2) {
                Stop::Operation(1 + draw.below(600))
            } else {
                Stop::Operation(1 + draw.below(within))
            },
            kill: draw.one_in(4),
            seed: random(&mut draw.0),
        }
    }
}

fn drawn_upkeep(draw: &mut Draw) -> Option<Step> {
    Some(match draw.below(28) {
        0 | 1 => Step::Checkpoint,
        2..=5 => Step::Maintain(draw.of(&[1, 1, 6])),
        6 | 7 => Step::Maintain(400),
        8 | 9 => Step::Sync,
        10 => Step::Compact,
        11 if draw.one_in(2) => Step::Backup,
        12 if draw.one_in(3) => Step::Verify,
        13 => Step::Hold,
        14 if draw.one_in(2) => Step::Peek,
        15 => Step::Look,
        _ => return None,
    })
}

fn drawn_fault(draw: &mut Draw) -> Fault {
    const LIKELY: [Operation; 12] = [
        Operation::Open,
        Operation::Read,
        Operation::Map,
        Operation::Create,
        Operation::Write,
        Operation::Write,
        Operation::Sync,
        Operation::Sync,
        Operation::Rename,
        Operation::Unlink,
        Operation::Allocate,
        Operation::SyncDirectory,
    ];
    if draw.one_in(4) {
        // The one that a store must never get wrong.
        return Fault::new(Operation::Sync, 1 + draw.below(16), FaultKind::Io).within("log");
    }
    let operation = draw.of(&LIKELY);
    let kind = draw.of(&[
        FaultKind::Io,
        FaultKind::NoSpace,
        FaultKind::Interrupted,
        FaultKind::ShortWrite,
    ]);
    let reach = draw.of(&[4, 20, 100]);
    let mut fault = Fault::new(operation, 1 + draw.below(reach), kind);
    if draw.one_in(3) {
        fault = fault.within(draw.of(&["log", "blocks", "index"]));
    }
    if draw.one_in(4) {
        fault = fault.forever();
    }
    fault
}
