//! Completions for shells, and man pages, from the commands as they are declared.

use std::{fs, path::Path};

use clap::CommandFactory;
use clap_mangen::Man;

use super::Outcome;
use crate::{
    arguments::Arguments,
    failure::{Ending, Failure},
    output::Output,
};

pub fn completions(shell: clap_complete::Shell, output: &mut Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sarsen", &mut script);
    output.raw(&script)?;
    Ok(Ending::Done)
}

pub fn man(dir: Option<&Path>, output: &mut Output) -> Outcome {
    let command = Arguments::command();
    match dir {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map_err(Failure::of_output)?;
            output.raw(&page)?;
        }
        Some(dir) => {
            fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(command, dir))
                .map_err(|error| Failure::of_file("write man pages to", dir, error))?;
        }
    }
    Ok(Ending::Done)
}
