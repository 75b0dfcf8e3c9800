//! Traces as text: printed when a history fails, and read back from `tests/crash/traces`.

use std::fmt::{self, Display};

use sarsen::simulation::{Fault, FaultKind, Operation};

use super::trace::{Round, Step, Stop, Trace};

const STEPS: [(&str, Step); 15] = [
    ("commit process", Step::Commit { power: false }),
    ("commit power", Step::Commit { power: true }),
    ("maintain 1", Step::Maintain(1)),
    ("maintain 6", Step::Maintain(6)),
    ("maintain all", Step::Maintain(400)),
    ("checkpoint", Step::Checkpoint),
    ("sync", Step::Sync),
    ("compact", Step::Compact),
    ("backup", Step::Backup),
    ("import", Step::Import),
    ("verify", Step::Verify),
    ("hold", Step::Hold),
    ("peek", Step::Peek),
    ("look", Step::Look),
    ("go on", Step::GoOn),
];
const CLOSE: &str = "close";

const LOG_METHODS: [&str; 3] = ["auto", "mapped", "written"];
const CHECKS: [&str; 2] = ["first", "every"];

const OPERATIONS: [(&str, Operation); 14] = [
    ("open", Operation::Open),
    ("read", Operation::Read),
    ("map", Operation::Map),
    ("create", Operation::Create),
    ("write", Operation::Write),
    ("set-length", Operation::SetLength),
    ("allocate", Operation::Allocate),
    ("sync", Operation::Sync),
    ("rename", Operation::Rename),
    ("unlink", Operation::Unlink),
    ("create-directory", Operation::CreateDirectory),
    ("remove-directory", Operation::RemoveDirectory),
    ("sync-directory", Operation::SyncDirectory),
    ("store", Operation::Store),
];

const KINDS: [(&str, FaultKind); 4] = [
    ("io", FaultKind::Io),
    ("no-space", FaultKind::NoSpace),
    ("interrupted", FaultKind::Interrupted),
    ("short-write", FaultKind::ShortWrite),
];

fn name_of<T: PartialEq>(value: &T, among: &[(&'static str, T)]) -> &'static str {
    let found = among.iter().find(|(_, known)| known == value);
    found.map_or(CLOSE, |(name, _)| *name)
}

fn named<T: Clone>(name: &str, among: &[(&'static str, T)]) -> Option<T> {
    let found = among.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.clone())
}

impl Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let import = if self.import { "yes" } else { "no" };
        writeln!(
            f,
            "store seed {} chunk-kib {} memory-kib {} retention-kib {} import {import}",
            self.seed, self.chunk_kib, self.memory_kib, self.retention_kib
        )?;
        for round in &self.rounds {
            write!(f, "{round}")?;
        }
        Ok(())
    }
}

impl Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = LOG_METHODS.get(self.log_method).unwrap_or(&LOG_METHODS[0]);
        let check = CHECKS.get(self.check).unwrap_or(&CHECKS[0]);
        let writeback = self.writeback.unwrap_or(0);
        writeln!(f, "open log {log} check {check} writeback {writeback}")?;
        if let Some(fault) = &self.fault {
            let (operation, kind) = (
                name_of(&fault.operation, &OPERATIONS),
                name_of(&fault.kind, &KINDS),
            );
            let times = if fault.forever { "forever" } else { "once" };
            let within = fault.within.as_deref().unwrap_or("anywhere");
            writeln!(f, "fault {operation} {} {kind} {times} {within}", fault.nth)?;
        }
        if let Some(room_kib) = self.room_kib {
            writeln!(f, "room-kib {room_kib}")?;
        }
        for step in &self.steps {
            writeln!(f, "{}", name_of(step, &STEPS))?;
        }
        let end = if self.kill { "kill" } else { "power-loss" };
        match self.stop {
            Stop::Operation(operation) => writeln!(f, "{end} from-opening {operation} seed {}", self.seed),
            Stop::InLastStep(operation) => writeln!(f, "{end} in-last-step {operation} seed {}", self.seed),
            Stop::AtTheEnd => writeln!(f, "{end} at-the-end 0 seed {}", self.seed),
        }
    }
}

impl Trace {
    pub(crate) fn len(&self) -> usize {
        self.rounds.iter().map(|round| round.steps.len()).sum()
    }

    /// What `Display` wrote; lines that begin with # are comments.
    pub(crate) fn parse(text: &str) -> Option<Trace> {
        let mut lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let words: Vec<&str> = lines.next()?.split(' ').collect();
        let ["store", "seed", seed, "chunk-kib", chunk, "memory-kib", memory, "retention-kib", retention, "import", import] =
            words[..]
        else {
            return None;
        };
        let mut trace = Trace {
            seed: seed.parse().ok()?,
            chunk_kib: chunk.parse().ok()?,
            memory_kib: memory.parse().ok()?,
            retention_kib: retention.parse().ok()?,
            import: import == "yes",
            rounds: Vec::new(),
        };
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["open", "log", log, "check", check, "writeback", writeback] => trace.rounds.push(Round {
                    writeback: Some(writeback.parse().ok()?).filter(|one_in| *one_in > 0),
                    fault: None,
                    room_kib: None,
                    log_method: LOG_METHODS.iter().position(|known| *known == log)?,
                    check: CHECKS.iter().position(|known| *known == check)?,
                    steps: Vec::new(),
                    stop: Stop::AtTheEnd,
                    kill: false,
                    seed: 0,
                }),
                ["fault", operation, nth, kind, times, within] => {
                    trace.rounds.last_mut()?.fault = Some(Fault {
                        operation: named(operation, &OPERATIONS)?,
                        nth: nth.parse().ok()?,
                        kind: named(kind, &KINDS)?,
                        forever: times == "forever",
                        within: Some(within.to_owned()).filter(|within| within != "anywhere"),
                    });
                }
                ["room-kib", room_kib] => {
                    trace.rounds.last_mut()?.room_kib = Some(room_kib.parse().ok()?);
                }
                [end @ ("kill" | "power-loss"), stop, operation, "seed", seed] => {
                    let round = trace.rounds.last_mut()?;
                    round.kill = end == "kill";
                    round.seed = seed.parse().ok()?;
                    round.stop = match stop {
                        "from-opening" => Stop::Operation(operation.parse().ok()?),
                        "in-last-step" => Stop::InLastStep(operation.parse().ok()?),
                        "at-the-end" => Stop::AtTheEnd,
                        _ => return None,
                    };
                }
                _ => {
                    let step = match line {
                        CLOSE => Step::Close,
                        _ => named(line, &STEPS)?,
                    };
                    trace.rounds.last_mut()?.steps.push(step);
                }
            }
        }
        Some(trace)
    }
}
