//! Bars and spinners on stderr, for people who watch long work; nothing at all otherwise.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Work of known length; `unit` is what is counted.
    pub fn of(output: &Output, doing: &str, total: u64, unit: &str) -> Progress {
        let template = format!("{{msg}} [{{bar:30}}] {{human_pos}}/{{human_len}} {unit} {{eta}}");
        Progress::shown(output, doing, ProgressBar::new(total), &template)
    }

    pub fn of_bytes(output: &Output, doing: &str, total: u64) -> Progress {
        let template = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        Progress::shown(output, doing, ProgressBar::new(total), template)
    }

    /// Work of which nobody can say how long it takes.
    pub fn endless(output: &Output, doing: &str) -> Progress {
        let progress = Progress::shown(
            output,
            doing,
            ProgressBar::new_spinner(),
            "{spinner} {msg} {elapsed}",
        );
        if output.shows_progress() {
            progress.bar.enable_steady_tick(Duration::from_millis(100));
        }
        progress
    }

    fn shown(output: &Output, doing: &str, bar: ProgressBar, template: &str) -> Progress {
        bar.set_draw_target(if output.shows_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        // The templates are ours: if one were wrong, the plain bar would do.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(doing.to_owned());
        Progress { bar }
    }

    pub fn step(&self, by: u64) {
        self.bar.inc(by);
    }

    pub fn stand_at(&self, position: u64) {
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
