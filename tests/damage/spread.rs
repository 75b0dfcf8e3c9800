//! Numbered cases, spread over as many threads as there are processors. A case that doesn't come to an end is told of.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc, Mutex,
    },
    thread,
    time::Duration,
};

/// A case takes milliseconds.
const MOST_SECONDS: u64 = 60;

/// Which cases are tried: one in `every`, starting with number `first`.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub every: u64,
    pub first: u64,
}

/// Numbers for one thread, until there are none left.
pub struct Numbers<'a> {
    next: &'a AtomicU64,
    end: u64,
    every: u64,
    /// Hears of each case that is begun; the process ends when nothing comes for too long.
    watch: mpsc::Sender<u64>,
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let number = self.next.fetch_add(self.every, Ordering::Relaxed);
        if number >= self.end {
            return None;
        }
        self.watch.send(number).expect("the watch ends last");
        Some(number)
    }
}

/// What each thread makes of its share of the numbers below `end`.
pub fn spread<T: Send>(end: u64, sample: Sample, work: &(dyn Fn(Numbers<'_>) -> T + Sync)) -> Vec<T> {
    let next = AtomicU64::new(sample.first);
    let results = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let result = work(Numbers {
                    next: &next,
                    end,
                    every: sample.every,
                    watch: watch(),
                });
                results.lock().expect("no worker panics with it").push(result);
            });
        }
    });
    results.into_inner().expect("no worker panics with it")
}

fn watch() -> mpsc::Sender<u64> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut current = 0;
        loop {
            match receiver.recv_timeout(Duration::from_secs(MOST_SECONDS)) {
                Ok(number) => current = number,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    eprintln!("case {current} does not end within {MOST_SECONDS} seconds");
                    std::process::abort();
                }
            }
        }
    });
    sender
}
