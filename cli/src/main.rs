//! sarsen, the command line. It looks into a store, changes it, copies, checks and measures it, through the library's
//! public API and nothing else.
//!
//! Commands that read open the store read-only, so they work beside a process that has it open for writing; commands
//! that write take the lock. Results go to stdout, everything else to stderr. `failure.rs` has the exit codes.

mod arguments;
mod bytes;
mod commands;
mod failure;
mod opening;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::{arguments::Arguments, output::Output};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are no failure. Nobody may be listening any more.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
        }
    };
    let mut output = Output::new(&arguments.shared);
    let outcome = commands::run(arguments.command, &mut output).and_then(|ending| {
        output.flush()?;
        Ok(ending)
    });
    match outcome {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(failure) => {
            // What was printed before it failed is good.
            let _ = output.flush();
            failure.tell(output.is_json());
            ExitCode::from(failure.code())
        }
    }
}
