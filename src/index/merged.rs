//! Every version in several memtables and runs as one sequence, both ways. Where the same (key, seq) is in two
//! sources, the newer source's comes first.
//!
//! Going forward, a step compares the source that it moved with the one that comes next only; all of them are compared
//! when that one's turn has come. Their number is small: two memtables and a logarithmic number of runs.

use std::{cmp::Ordering, sync::Arc};

use super::{page::key_prefix, part_cursor::ScanEnd, run::RunCursor, Entry, Memtable, MemtableCursor, Run};
use crate::{error::Result, vfs::Region};

#[derive(Debug)]
enum Source {
    Memtable(MemtableCursor),
    Run(RunCursor),
}

impl Source {
    #[inline(always)]
    fn entry(&self) -> Option<Entry<'_>> {
        match self {
            Source::Memtable(cursor) => cursor.entry(),
            Source::Run(cursor) => cursor.entry(),
        }
    }

    /// Off either end.
    #[inline]
    fn is_off(&self) -> bool {
        match self {
            Source::Memtable(cursor) => cursor.is_off(),
            Source::Run(cursor) => cursor.is_off(),
        }
    }

    fn region(&self) -> Option<&Arc<Region>> {
        match self {
            Source::Memtable(cursor) => cursor.region(),
            Source::Run(cursor) => cursor.region(),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        match self {
            Source::Memtable(cursor) => {
                cursor.next();
                Ok(())
            }
            Source::Run(cursor) => cursor.next(),
        }
    }

    /// Whether the last `next` only went to an older version of the key that it came from.
    #[inline]
    fn repeats_key(&self) -> bool {
        match self {
            Source::Memtable(cursor) => cursor.repeats_key(),
            Source::Run(cursor) => cursor.repeats_key(),
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
    /// Going forward, the source that comes first among the others.
    second: Option<usize>,
    /// What a key's prefix has to be below to come before the second's for sure.
    second_prefix: u64,
    /// Its key, where there is one.
    second_key: Vec<u8>,
    direction: Direction,
    /// Scratch for keys that several sources have.
    key: Vec<u8>,
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
            second: None,
            second_prefix: u64::MAX,
            second_key: Vec::new(),
            direction: Direction::Forward,
            key: Vec::new(),
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
    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        let Some(current) = self.current else {
            return Ok(());
        };
        if self.direction == Direction::Backward {
            self.turn(current, Direction::Forward)?;
            self.settle(Direction::Forward);
        }
        self.current = None;
        if let Some(source) = self.sources.get_mut(current) {
            source.next()?;
        }
        self.go_on_with(current);
        Ok(())
    }

    /// On to the first version of the next key. Off the end it stays there until the next seek.
    #[inline]
    pub(crate) fn next_key(&mut self) -> Result<()> {
        let Some(current) = self.current else {
            return Ok(());
        };
        if self.direction == Direction::Backward || self.second_has_same_key() {
            return self.next_key_of_several();
        }
        // Whoever comes second has a later key, so what is left of this one is here.
        self.current = None;
        if let Some(source) = self.sources.get_mut(current) {
            source.next()?;
            while source.repeats_key() {
                source.next()?;
            }
        }
        self.go_on_with(current);
        Ok(())
    }

    /// Goes on to the next key where that is a matter of looking at the next entry of a page, its newest version is
    /// of a `wanted` kind and at or below `seq`, and it is below `upper`. If not, nothing has happened.
    #[inline(always)]
    pub(crate) fn next_key_if(
        &mut self,
        seq: u64,
        wanted: impl FnOnce(u8) -> bool,
        upper_prefix: u64,
        upper: Option<&[u8]>,
    ) -> bool {
        let source = self.current.and_then(|current| self.sources.get_mut(current));
        let (Some(Source::Run(cursor)), Direction::Forward) = (source, self.direction) else {
            return false;
        };
        let end = ScanEnd {
            other_prefix: self.second_prefix,
            other: &self.second_key,
            upper_prefix,
            upper,
        };
        cursor.next_if(seq, wanted, &end)
    }

    #[inline]
    fn second_has_same_key(&self) -> bool {
        let Some(second) = self.second.and_then(|second| self.sources.get(second)?.entry()) else {
            return false;
        };
        self.entry().is_some_and(|entry| entry.key == second.key)
    }

    #[cold]
    fn next_key_of_several(&mut self) -> Result<()> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        if let Some(entry) = self.entry() {
            key.extend_from_slice(entry.key);
        }
        self.next()?;
        while self.entry().is_some_and(|entry| entry.key == key.as_slice()) {
            self.next()?;
        }
        self.key = key;
        Ok(())
    }

    /// Forward, after source `moved` was moved: it still comes first, or the turn goes to another one.
    #[inline]
    fn go_on_with(&mut self, moved: usize) {
        let Some(source) = self.sources.get(moved) else {
            return;
        };
        let second = self
            .second
            .and_then(|second| Some((second, self.sources.get(second)?.entry()?)));
        let stays = match second {
            None if source.is_off() => return,
            None => true,
            Some((number, second)) => source
                .entry()
                .is_some_and(|entry| order(&entry, &second).then(moved.cmp(&number)) == Ordering::Less),
        };
        if stays {
            self.current = Some(moved);
        } else {
            self.settle(Direction::Forward);
        }
    }

    /// Lets go of what lies before the current version as far as whole parts go: for whoever only goes forward.
    pub(crate) fn forget_passed(&mut self) {
        for source in &mut self.sources {
            if let Source::Run(cursor) = source {
                cursor.forget_passed();
            }
        }
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

    #[inline(always)]
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
        let mut second: Option<(usize, Entry<'_>)> = None;
        for (number, source) in self.sources.iter().enumerate() {
            let Some(entry) = source.entry() else { continue };
            let better = |than: &Option<(usize, Entry<'_>)>| {
                than.as_ref().is_none_or(|(_, chosen)| match direction {
                    Direction::Forward => order(&entry, chosen) == Ordering::Less,
                    // Among equals the oldest source comes last.
                    Direction::Backward => order(&entry, chosen) != Ordering::Less,
                })
            };
            if better(&best) {
                second = best.replace((number, entry));
            } else if better(&second) {
                second = Some((number, entry));
            }
        }
        let key = second.as_ref().map_or(&[][..], |(_, entry)| entry.key);
        self.second_key.clear();
        self.second_key.extend_from_slice(key);
        self.second_prefix = second.as_ref().map_or(u64::MAX, |_| key_prefix(key));
        self.current = best.map(|(number, _)| number);
        self.second = second.map(|(number, _)| number);
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
