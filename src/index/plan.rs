//! Which runs to merge next. Tiers: runs are merged once several neighbours are of similar size, so that every entry
//! is rewritten a logarithmic number of times and the number of runs stays logarithmic too.

use std::sync::Arc;

use super::Run;

/// So many neighbours of similar size are merged into one.
const TIER_RUNS: usize = 4;
/// Runs are similar while one is not larger than this many times all newer ones of its tier together.
const SIMILAR: u64 = 2;
/// So many new runs tell that merging falls behind: then they are merged without older ones, in which an entry would be
/// rewritten for the sake of few.
const MANY_NEW_RUNS: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergePlan {
    /// Neighbours, newest first.
    pub(crate) inputs: Vec<u64>,
    /// A merge that was under way: goes on with this run.
    pub(crate) into: Option<u64>,
    /// Nothing older is left beside the inputs.
    pub(crate) bottom: bool,
}

/// The next merge, if one is worth it. `runs` are newest first. With `everything`, all of them.
pub(crate) fn plan_merge(runs: &[Arc<Run>], everything: bool) -> Option<MergePlan> {
    let facts: Vec<RunFacts> = runs
        .iter()
        .map(|run| RunFacts {
            id: run.id(),
            bytes: run.bytes(),
            merging_into: run.merging_into(),
        })
        .collect();
    plan(&facts, everything)
}

#[derive(Debug, Clone, Copy)]
struct RunFacts {
    id: u64,
    bytes: u64,
    merging_into: Option<u64>,
}

fn plan(runs: &[RunFacts], everything: bool) -> Option<MergePlan> {
    if let Some(into) = runs.iter().find_map(|run| run.merging_into) {
        let inputs: Vec<u64> = runs
            .iter()
            .filter(|run| run.merging_into == Some(into))
            .map(|run| run.id)
            .collect();
        // Older than the inputs is whatever stands behind the last of them.
        let bottom = runs.last().is_some_and(|oldest| inputs.contains(&oldest.id));
        return Some(MergePlan {
            inputs,
            into: Some(into),
            bottom,
        });
    }
    if everything {
        let inputs: Vec<u64> = runs.iter().map(|run| run.id).collect();
        return (!inputs.is_empty()).then_some(MergePlan {
            inputs,
            into: None,
            bottom: true,
        });
    }
    let new = new_runs(runs);
    if new >= MANY_NEW_RUNS {
        let inputs = runs.get(..new)?.iter().map(|run| run.id).collect();
        return Some(MergePlan {
            inputs,
            into: None,
            bottom: new == runs.len(),
        });
    }
    // From the newest on, a tier takes in its neighbour while that is similar to what the tier has already.
    let mut start = 0;
    while start < runs.len() {
        let mut end = start;
        let mut sum = 0u64;
        while let Some(run) = runs.get(end) {
            if end > start && run.bytes > sum.saturating_mul(SIMILAR) {
                break;
            }
            sum = sum.saturating_add(run.bytes);
            end = end.saturating_add(1);
        }
        if end.saturating_sub(start) >= TIER_RUNS {
            let inputs = runs.get(start..end)?.iter().map(|run| run.id).collect();
            return Some(MergePlan {
                inputs,
                into: None,
                bottom: end == runs.len(),
            });
        }
        start = end;
    }
    None
}

/// How many of the newest runs are no larger than [`SIMILAR`] times the largest newer one.
fn new_runs(runs: &[RunFacts]) -> usize {
    let mut largest = u64::MAX;
    runs.iter()
        .take_while(|run| {
            let is_similar = run.bytes / SIMILAR <= largest;
            largest = match largest {
                u64::MAX => run.bytes,
                _ => largest.max(run.bytes),
            };
            is_similar
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(bytes: &[u64]) -> Vec<RunFacts> {
        bytes
            .iter()
            .zip(1..)
            .map(|(bytes, id)| RunFacts {
                id,
                bytes: *bytes,
                merging_into: None,
            })
            .collect()
    }

    #[test]
    fn four_neighbours_of_similar_size_are_merged() {
        let plan = plan(&facts(&[10, 10, 11, 9, 1_000]), false).unwrap();
        assert_eq!(
            plan,
            MergePlan {
                inputs: vec![1, 2, 3, 4],
                into: None,
                bottom: false
            }
        );
    }

    #[test]
    fn runs_of_growing_size_are_left_alone() {
        assert_eq!(plan(&facts(&[10, 100, 1_000, 10_000]), false), None);
    }

    #[test]
    fn many_new_runs_are_merged_without_the_older_ones() {
        let mut runs = facts(&[12, 10, 10, 11, 9, 20, 10, 10, 40, 100]);
        let inputs = |runs: &[RunFacts]| plan(runs, false).unwrap().inputs;
        assert_eq!(inputs(&runs), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        runs[8].bytes = 42;
        assert_eq!(inputs(&runs), [1, 2, 3, 4, 5, 6, 7, 8]);
        // Fewer: merging keeps up, and the fewer runs the better.
        assert_eq!(inputs(&runs[1..]), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn the_number_of_runs_stays_logarithmic() {
        let (most, rewritten) = after_checkpoints(1);
        assert!(most <= 24, "{most} runs");
        assert!(rewritten <= 12, "each entry was rewritten {rewritten} times");
    }

    #[test]
    fn entries_are_rewritten_less_often_where_merging_falls_behind() {
        let (most, rewritten) = after_checkpoints(16);
        assert!(most <= 24, "{most} runs");
        assert!(rewritten <= 5, "each entry was rewritten {rewritten} times");
    }

    /// The most runs that were left, and how often an entry was rewritten, where so many checkpoints come between two
    /// merges.
    fn after_checkpoints(between: u64) -> (usize, u64) {
        let mut runs: Vec<RunFacts> = Vec::new();
        let (mut most, mut written) = (0, 0u64);
        for id in 1..=4_096 {
            runs.insert(
                0,
                RunFacts {
                    id,
                    bytes: 1,
                    merging_into: None,
                },
            );
            if id % between > 0 {
                continue;
            }
            while let Some(plan) = plan(&runs, false) {
                let bytes = runs
                    .iter()
                    .filter(|run| plan.inputs.contains(&run.id))
                    .map(|run| run.bytes)
                    .sum();
                written += bytes;
                let place = runs.iter().position(|run| plan.inputs.contains(&run.id)).unwrap();
                runs.retain(|run| !plan.inputs.contains(&run.id));
                runs.insert(
                    place,
                    RunFacts {
                        id: id + 10_000,
                        bytes,
                        merging_into: None,
                    },
                );
            }
            most = most.max(runs.len());
        }
        (most, written / 4_096)
    }

    #[test]
    fn a_merge_under_way_goes_on_with_its_inputs() {
        let mut runs = facts(&[5, 5, 5]);
        for run in &mut runs[1..] {
            run.merging_into = Some(9);
        }
        let plan = plan(&runs, false).unwrap();
        assert_eq!(
            plan,
            MergePlan {
                inputs: vec![2, 3],
                into: Some(9),
                bottom: true
            }
        );
    }
}
