//! A run: parts in ascending order of keys, disjoint. What a merge has taken over already, everything up to `above`,
//! counts as not being in the run any more.

use std::sync::Arc;

use super::{
    page::{common_prefix, is_same, key_prefix},
    part_cursor::{PartCursor, ScanEnd},
    Entry, Hit, Part, Probe, SampledEntry,
};
use crate::{
    error::Result,
    format::{
        bytes::{to_u64, to_usize},
        manifest::RunMeta,
    },
    vfs::Region,
};

/// Immutable; a change makes another one. Any thread.
#[derive(Debug)]
pub(crate) struct Run {
    id: u64,
    parts: Vec<Arc<Part>>,
    fences: Fences,
    above: Option<Vec<u8>>,
    merging_into: Option<u64>,
}

/// Where a key can be, without a look at the parts: of their first and last keys the eight bytes behind what all of
/// these keys share.
#[derive(Debug)]
struct Fences {
    shared: Vec<u8>,
    first: Vec<u64>,
    last: Vec<u64>,
}

impl Fences {
    fn new(parts: &[Arc<Part>]) -> Fences {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Fences {
                shared: Vec::new(),
                first: Vec::new(),
                last: Vec::new(),
            };
        };
        // Keys between two that start with these bytes start with them as well.
        let (first, last) = (&first.meta().min_key, &last.meta().max_key);
        let shared = first.get(..common_prefix(first, last)).unwrap_or_default();
        let fence = |key: &[u8]| key_prefix(key.get(shared.len()..).unwrap_or_default());
        Fences {
            first: parts.iter().map(|part| fence(&part.meta().min_key)).collect(),
            last: parts.iter().map(|part| fence(&part.meta().max_key)).collect(),
            shared: shared.to_vec(),
        }
    }
}

impl Run {
    pub(crate) fn new(
        id: u64,
        parts: Vec<Arc<Part>>,
        above: Option<Vec<u8>>,
        merging_into: Option<u64>,
    ) -> Run {
        Run {
            id,
            fences: Fences::new(&parts),
            parts,
            above,
            merging_into,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// One of `of` entries that are spread over the run; `None` where there is none.
    pub(crate) fn sample(&self, number: u32, of: u32) -> Result<Option<SampledEntry>> {
        let part = u64::from(number) * to_u64(self.parts.len()) / u64::from(of.max(1));
        match to_usize(part).and_then(|part| self.parts.get(part)) {
            Some(part) => part.sample(number),
            None => Ok(None),
        }
    }

    /// Keys at or below this one are not in the run any more.
    pub(crate) fn above(&self) -> Option<&[u8]> {
        self.above.as_deref()
    }

    /// The run that a merge under way moves this one into.
    pub(crate) fn merging_into(&self) -> Option<u64> {
        self.merging_into
    }

    pub(crate) fn meta(&self) -> RunMeta {
        RunMeta {
            id: self.id,
            parts: self.parts.iter().map(|part| part.meta().clone()).collect(),
            above: self.above.clone(),
            merging_into: self.merging_into,
        }
    }

    /// Of all part files.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.meta().file_len).sum()
    }

    pub(crate) fn entries(&self) -> u64 {
        self.parts.iter().map(|part| part.meta().entries).sum()
    }

    /// The newest version of `key` at or below `seq`; tombstones too.
    pub(crate) fn get(&self, key: &[u8], seq: u64) -> Result<Option<Hit<'_>>> {
        match self.part_of(key) {
            Some(part) => part.get(key, seq),
            None => Ok(None),
        }
    }

    /// What a look-up says that can't fail; `hash` is the key's.
    #[inline(always)]
    pub(crate) fn probe(&self, key: &[u8], hash: u64, seq: u64) -> Probe<'_> {
        match self.part_of(key) {
            Some(part) => part.probe(key, hash, seq),
            None => Probe::Absent,
        }
    }

    /// The only part that the key can be in.
    #[inline(always)]
    pub(crate) fn part_of(&self, key: &[u8]) -> Option<&Arc<Part>> {
        if self.is_taken_over(key) {
            return None;
        }
        let (front, rest) = key.split_at_checked(self.fences.shared.len())?;
        if !is_same(front, &self.fences.shared) {
            return None;
        }
        let fence = key_prefix(rest);
        let number = self.fences.last.partition_point(|last| *last < fence);
        let (first, last) = (self.fences.first.get(number)?, self.fences.last.get(number)?);
        if *last == fence {
            return self.part_of_by_keys(key);
        }
        if *first < fence {
            return self.parts.get(number);
        }
        let part = self.parts.get(number)?;
        (*first == fence && part.meta().min_key.as_slice() <= key).then_some(part)
    }

    /// The same where eight bytes don't tell.
    #[cold]
    fn part_of_by_keys(&self, key: &[u8]) -> Option<&Arc<Part>> {
        let part = self.parts.get(self.first_part_reaching(key))?;
        (part.meta().min_key.as_slice() <= key).then_some(part)
    }

    #[inline]
    fn is_taken_over(&self, key: &[u8]) -> bool {
        self.above.as_deref().is_some_and(|above| key <= above)
    }

    /// The first part whose last key is not below `key`.
    fn first_part_reaching(&self, key: &[u8]) -> usize {
        self.parts
            .partition_point(|part| part.meta().max_key.as_slice() < key)
    }

    pub(crate) fn cursor(self: &Arc<Self>) -> RunCursor {
        RunCursor {
            run: Arc::clone(self),
            part: 0,
            cursor: None,
        }
    }
}

/// A position in a run, or off either end of it. One thread at a time.
#[derive(Debug)]
pub(crate) struct RunCursor {
    run: Arc<Run>,
    part: usize,
    /// In part number `part`.
    cursor: Option<PartCursor>,
}

impl RunCursor {
    /// To the first version at or behind (key, seq).
    pub(crate) fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        let run = Arc::clone(&self.run);
        match run.above() {
            // Everything of a key goes over at once, so the run goes on behind all versions of `above`.
            Some(above) if key <= above => self.seek_behind(above),
            _ => self.seek_from(run.first_part_reaching(key), |cursor| cursor.seek(key, seq)),
        }
    }

    /// To the first version of the first key above `key`.
    fn seek_behind(&mut self, key: &[u8]) -> Result<()> {
        let part = self.run.first_part_reaching(key);
        self.seek_from(part, |cursor| {
            cursor.seek(key, 0)?;
            while cursor.entry().is_some_and(|entry| entry.key <= key) {
                cursor.next()?;
            }
            Ok(())
        })
    }

    /// To the last version of the last key below `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        let part = self
            .run
            .parts
            .partition_point(|part| part.meta().min_key.as_slice() < key);
        let Some(part) = part.checked_sub(1) else {
            self.cursor = None;
            return Ok(());
        };
        self.open(part);
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_before(key)?;
        }
        self.end_at_above();
        Ok(())
    }

    pub(crate) fn seek_first(&mut self) -> Result<()> {
        let run = Arc::clone(&self.run);
        match run.above() {
            Some(above) => self.seek_behind(above),
            None => self.seek_from(0, PartCursor::seek_first),
        }
    }

    pub(crate) fn seek_last(&mut self) -> Result<()> {
        let Some(last) = self.run.parts.len().checked_sub(1) else {
            self.cursor = None;
            return Ok(());
        };
        self.open(last);
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_last()?;
        }
        self.end_at_above();
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Result<()> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(());
        };
        cursor.next()?;
        if cursor.entry().is_none() {
            self.seek_from(self.part.saturating_add(1), PartCursor::seek_first)?;
        }
        Ok(())
    }

    /// Lets go of the parts before the one that it is in: it will not go back.
    pub(crate) fn forget_passed(&mut self) {
        let left = self.run.parts.get(self.part..).unwrap_or_default();
        if left.len() < self.run.parts.len() {
            let run = &self.run;
            self.run = Arc::new(Run::new(
                run.id,
                left.to_vec(),
                run.above.clone(),
                run.merging_into,
            ));
            self.part = 0;
        }
    }

    pub(crate) fn prev(&mut self) -> Result<()> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(());
        };
        cursor.prev()?;
        if cursor.entry().is_none() {
            match self.part.checked_sub(1) {
                Some(part) => {
                    self.open(part);
                    if let Some(cursor) = &mut self.cursor {
                        cursor.seek_last()?;
                    }
                }
                None => self.cursor = None,
            }
        }
        self.end_at_above();
        Ok(())
    }

    /// See `PartCursor::next_if`.
    #[inline(always)]
    pub(crate) fn next_if(&mut self, seq: u64, wanted: impl FnOnce(u8) -> bool, end: &ScanEnd<'_>) -> bool {
        match &mut self.cursor {
            Some(cursor) => cursor.next_if(seq, wanted, end),
            None => false,
        }
    }

    /// Whether the last `next` only went to an older version of the key that it came from.
    #[inline]
    pub(crate) fn repeats_key(&self) -> bool {
        self.cursor.as_ref().is_some_and(PartCursor::repeats_key)
    }

    #[inline]
    pub(crate) fn is_off(&self) -> bool {
        self.cursor.as_ref().is_none_or(PartCursor::is_off)
    }

    #[inline(always)]
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        self.cursor.as_ref()?.entry()
    }

    #[inline]
    pub(crate) fn region(&self) -> Option<&Arc<Region>> {
        self.cursor.as_ref()?.region()
    }

    fn open(&mut self, part: usize) {
        self.part = part;
        self.cursor = self.run.parts.get(part).map(Part::cursor);
    }

    /// Seeks in this part, or else goes to the start of the next one that has something.
    fn seek_from(&mut self, part: usize, seek: impl FnOnce(&mut PartCursor) -> Result<()>) -> Result<()> {
        self.open(part);
        let Some(cursor) = &mut self.cursor else {
            return Ok(());
        };
        seek(cursor)?;
        while self
            .cursor
            .as_ref()
            .is_some_and(|cursor| cursor.entry().is_none())
        {
            self.open(self.part.saturating_add(1));
            if let Some(cursor) = &mut self.cursor {
                cursor.seek_first()?;
            }
        }
        Ok(())
    }

    /// Going backwards, the run starts behind `above`.
    fn end_at_above(&mut self) {
        let ends = match (self.entry(), self.run.above()) {
            (Some(entry), Some(above)) => entry.key <= above,
            _ => false,
        };
        if ends {
            self.cursor = None;
        }
    }
}
