//! Every version in several memtables and runs as one sequence, both ways. Where the same (key, seq) is in two
//! sources, the newer source's comes first.
//!
//! The number of sources is small (two memtables and a logarithmic number of runs), so each step compares them all.

use std::{cmp::Ordering, sync::Arc};

use super::{run::RunCursor, Entry, Memtable, MemtableCursor, Run};
use crate::{error::Result, vfs::Region};

#[derive(Debug)]
enum Source {
    Memtable(MemtableCursor),
    Run(RunCursor),
}

impl Source {
    #[inline]
    fn entry(&self) -> Option<Entry<'_>> {
        match self {
            Source::Memtable(cursor) => cursor.entry(),
            Source::Run(cursor) => cursor.entry(),
        }
    }

    fn region(&self) -> Option<&Arc<Region>> {
        match self {
            Source::Memtable(cursor) => cursor.region(),
            Source::Run(cursor) => cursor.region(),
        }
    }

    fn next(&mut self) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.next();
                Ok(())
            }
            Source::Run(cursor) => cursor.next(),
        }
    }

    fn prev(&mut self) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.prev();
                Ok(())
            }
            Source::Run(cursor) => cursor.prev(),
        }
    }

    fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.seek(key, seq);
                Ok(())
            }
            Source::Run(cursor) => cursor.seek(key, seq),
        }
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.seek_before(key);
                Ok(())
            }
            Source::Run(cursor) => cursor.seek_before(key),
        }
    }

    fn seek_first(&mut self) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.seek_first();
                Ok(())
            }
            Source::Run(cursor) => cursor.seek_first(),
        }
    }

    fn seek_last(&mut self) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.seek_last();
                Ok(())
            }
            Source::Run(cursor) => cursor.seek_last(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// Every source stands at or behind the current entry.
    Forward,
    /// Every source stands at or before it.
    Backward,
}

/// A position on one version, or off either end. One thread at a time; holds what it reads from.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Newest first.
    sources: Vec<Source>,
    current: Option<usize>,
    direction: Direction,
}

/// The index's order: key ascending, then seq descending.
fn order(left: &Entry<'_>, right: &Entry<'_>) -> Ordering {
    left.key.cmp(right.key).then(right.seq.cmp(&left.seq))
}

impl Merged {
    /// Both lists newest first; memtables are newer than runs. Stands nowhere until the first seek.
    pub(crate) fn new(memtables: &[Arc<Memtable>], runs: &[Arc<Run>]) -> Merged {
        let memtables = memtables
            .iter()
            .map(|memtable| Source::Memtable(memtable.cursor()));
        let runs = runs.iter().map(|run| Source::Run(run.cursor()));
        Merged {
            sources: memtables.chain(runs).collect(),
            current: None,
            direction: Direction::Forward,
        }
    }

    /// To the first version at or behind (key, seq).
    pub(crate) fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        self.current = None;
        self.sources
            .iter_mut()
            .try_for_each(|source| source.seek(key, seq))?;
        self.settle(Direction::Forward);
        Ok(())
    }

    /// To the last version of the last key below `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.current = None;
        self.sources
            .iter_mut()
            .try_for_each(|source| source.seek_before(key))?;
        self.settle(Direction::Backward);
        Ok(())
    }

    pub(crate) fn seek_first(&mut self) -> Result<()> {
        self.current = None;
        self.sources.iter_mut().try_for_each(Source::seek_first)?;
        self.settle(Direction::Forward);
        Ok(())
    }

    pub(crate) fn seek_last(&mut self) -> Result<()> {
        self.current = None;
        self.sources.iter_mut().try_for_each(Source::seek_last)?;
        self.settle(Direction::Backward);
        Ok(())
    }

    /// One version on. Off the end it stays there until the next seek.
    pub(crate) fn next(&mut self) -> Result<()> {
        let Some(current) = self.current else {
            return Ok(());
        };
        if self.direction == Direction::Backward {
            self.turn(current, Direction::Forward)?;
        }
        self.current = None;
        if let Some(source) = self.sources.get_mut(current) {
            source.next()?;
        }
        self.settle(Direction::Forward);
        Ok(())
    }

    /// One version back. Off the start it stays there until the next seek.
    pub(crate) fn prev(&mut self) -> Result<()> {
        let Some(current) = self.current else {
            return Ok(());
        };
        if self.direction == Direction::Forward {
            self.turn(current, Direction::Backward)?;
        }
        self.current = None;
        if let Some(source) = self.sources.get_mut(current) {
            source.prev()?;
        }
        self.settle(Direction::Backward);
        Ok(())
    }

    #[inline]
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        self.sources.get(self.current?)?.entry()
    }

    /// What the current value lies in.
    pub(crate) fn region(&self) -> Option<&Arc<Region>> {
        self.sources.get(self.current?)?.region()
    }

    /// The source whose entry comes first, or last when going backwards.
    fn settle(&mut self, direction: Direction) {
        self.direction = direction;
        let mut best: Option<(usize, Entry<'_>)> = None;
        for (number, source) in self.sources.iter().enumerate() {
            let Some(entry) = source.entry() else { continue };
            let better = best.as_ref().is_none_or(|(_, chosen)| match direction {
                Direction::Forward => order(&entry, chosen) == Ordering::Less,
                // Among equals the oldest source comes last.
                Direction::Backward => order(&entry, chosen) != Ordering::Less,
            });
            if better {
                best = Some((number, entry));
            }
        }
        self.current = best.map(|(number, _)| number);
    }

    /// Brings every other source to the other side of the current entry.
    fn turn(&mut self, current: usize, to: Direction) -> Result<()> {
        let Some((key, seq)) = self.entry().map(|entry| (entry.key.to_vec(), entry.seq)) else {
            return Ok(());
        };
        for (number, source) in self.sources.iter_mut().enumerate() {
            if number == current {
                continue;
            }
            source.seek(&key, seq)?;
            // Equals in newer sources come before the current entry.
            while number < current
                && source
                    .entry()
                    .is_some_and(|entry| entry.key == key && entry.seq == seq)
            {
                source.next()?;
            }
            if to == Direction::Backward {
                if source.entry().is_some() {
                    source.prev()?;
                } else {
                    source.seek_last()?;
                }
            }
        }
        Ok(())
    }
}
