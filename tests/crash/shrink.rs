//! A failing history made short: rounds, steps, faults and write-back are left out as long as it still fails.

use super::trace::{Round, Trace};

/// Histories played to make one short, at most.
const MOST_TRIALS: usize = 1_500;

/// `fails` plays a trace and gives it back as it went up to where it failed, or `None` if nothing is wrong with it.
pub(crate) fn shrink(trace: Trace, fails: &mut dyn FnMut(&Trace) -> Option<Trace>) -> Trace {
    let mut shrinking = Shrinking {
        best: trace,
        trials: 0,
        fails,
    };
    loop {
        let before = shrinking.best.clone();
        shrinking.leave_out_rounds();
        shrinking.leave_out_steps();
        shrinking.simplify();
        if shrinking.best == before || shrinking.trials >= MOST_TRIALS {
            return shrinking.best;
        }
    }
}

struct Shrinking<'a> {
    best: Trace,
    trials: usize,
    fails: &'a mut dyn FnMut(&Trace) -> Option<Trace>,
}

impl Shrinking<'_> {
    /// Takes the candidate if it still fails; it may have become shorter than it was given.
    fn holds(&mut self, candidate: Trace) -> bool {
        if self.trials >= MOST_TRIALS || candidate == self.best {
            return false;
        }
        self.trials += 1;
        match (self.fails)(&candidate) {
            Some(shorter) => {
                self.best = shorter;
                true
            }
            None => false,
        }
    }

    fn leave_out_rounds(&mut self) {
        let mut place = 0;
        while place < self.best.rounds.len() {
            let mut candidate = self.best.clone();
            candidate.rounds.remove(place);
            if !self.holds(candidate) {
                place += 1;
            }
        }
    }

    /// Large pieces first.
    fn leave_out_steps(&mut self) {
        let mut round = 0;
        while let Some(found) = self.best.rounds.get(round) {
            let mut piece = found.steps.len().next_power_of_two();
            while piece > 0 {
                let mut place = 0;
                while let Some(found) = self
                    .best
                    .rounds
                    .get(round)
                    .filter(|found| place < found.steps.len())
                {
                    let end = (place + piece).min(found.steps.len());
                    let mut candidate = self.best.clone();
                    candidate.rounds[round].steps.drain(place..end);
                    if !self.holds(candidate) {
                        place += piece;
                    }
                }
                piece /= 2;
            }
            round += 1;
        }
    }

    fn simplify(&mut self) {
        let changes: [fn(&mut Round); 6] = [
            |round| round.fault = None,
            |round| round.room_kib = None,
            |round| round.writeback = None,
            |round| round.log_method = 0,
            |round| round.check = 0,
            |round| round.kill = false,
        ];
        for round in 0..self.best.rounds.len() {
            for change in changes {
                let mut candidate = self.best.clone();
                if let Some(round) = candidate.rounds.get_mut(round) {
                    change(round);
                }
                self.holds(candidate);
            }
        }
        let mut candidate = self.best.clone();
        candidate.import = false;
        self.holds(candidate);
        let mut candidate = self.best.clone();
        candidate.retention_kib = 0;
        self.holds(candidate);
    }
}
