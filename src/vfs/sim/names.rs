//! The directories of the simulated disk: the names in the cache, the durable ones, and the changes between the two
//! in order.
//!
//! A rename is one change, also where it leads from one directory to another, since file systems with a journal keep
//! it in one transaction. The changes that are durable are always such that of two with a name in common the later
//! isn't without the earlier.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use super::Random;

/// What a directory holds: names and the inodes that they stand for.
pub(super) type Entries = BTreeMap<OsString, u64>;

/// Entries by the inode of their directory.
type Directories = BTreeMap<u64, Entries>;

/// A name in the directory with this inode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) directory: u64,
    pub(super) name: OsString,
}

#[derive(Debug, Clone)]
enum Change {
    Add { place: Place, inode: u64 },
    Remove { place: Place },
    Rename { from: Place, to: Place },
}

impl Change {
    fn apply(&self, directories: &mut Directories) {
        match self {
            Change::Add { place, inode } => put(directories, place, *inode),
            Change::Remove { place } => {
                take(directories, place);
            }
            Change::Rename { from, to } => {
                if let Some(inode) = take(directories, from) {
                    put(directories, to, inode);
                }
            }
        }
    }

    fn places(&self) -> (&Place, Option<&Place>) {
        match self {
            Change::Add { place, .. } | Change::Remove { place } => (place, None),
            Change::Rename { from, to } => (from, Some(to)),
        }
    }
}

fn put(directories: &mut Directories, place: &Place, inode: u64) {
    directories
        .entry(place.directory)
        .or_default()
        .insert(place.name.clone(), inode);
}

fn take(directories: &mut Directories, place: &Place) -> Option<u64> {
    directories.get_mut(&place.directory)?.remove(&place.name)
}

#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    cached: Directories,
    durable: Directories,
    changes: Vec<Change>,
}

impl Names {
    /// A new, empty directory, which has no name yet.
    pub(super) fn add_directory(&mut self, inode: u64) {
        self.cached.insert(inode, Entries::new());
        self.durable.insert(inode, Entries::new());
    }

    /// What a directory holds; `None` if the inode is none.
    pub(super) fn entries(&self, directory: u64) -> Option<&Entries> {
        self.cached.get(&directory)
    }

    pub(super) fn get(&self, directory: u64, name: &OsStr) -> Option<u64> {
        self.entries(directory)?.get(name).copied()
    }

    /// Every inode that a directory names, names durably, or may name after a crash.
    pub(super) fn inodes(&self, directory: u64) -> impl Iterator<Item = u64> + '_ {
        let added = self.changes.iter().filter_map(move |change| match change {
            Change::Add { place, inode } if place.directory == directory => Some(*inode),
            _ => None,
        });
        let named = [&self.cached, &self.durable]
            .into_iter()
            .filter_map(move |names| names.get(&directory));
        named.flat_map(|entries| entries.values().copied()).chain(added)
    }

    pub(super) fn add(&mut self, place: Place, inode: u64) {
        self.change(Change::Add { place, inode });
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.change(Change::Remove { place });
    }

    pub(super) fn rename(&mut self, from: Place, to: Place) {
        self.change(Change::Rename { from, to });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    /// Makes the changes in a directory durable, and of those elsewhere only what a rename drags along.
    pub(super) fn sync(&mut self, directory: u64) {
        let mut needed: BTreeSet<Place> = BTreeSet::new();
        let (mut synced, mut kept) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut self.changes).into_iter().rev() {
            let (first, second) = change.places();
            let is_needed = |place: &Place| place.directory == directory || needed.contains(place);
            if is_needed(first) || second.is_some_and(is_needed) {
                needed.insert(first.clone());
                needed.extend(second.cloned());
                synced.push(change);
            } else {
                kept.push(change);
            }
        }
        synced
            .iter()
            .rev()
            .for_each(|change| change.apply(&mut self.durable));
        kept.reverse();
        self.changes = kept;
    }

    /// Forgets directories that neither exist nor can come back.
    pub(super) fn retain(&mut self, exists: impl Fn(u64) -> bool) {
        self.cached.retain(|directory, _| exists(*directory));
        self.durable.retain(|directory, _| exists(*directory));
        self.changes.retain(|change| {
            let (first, second) = change.places();
            exists(first.directory) || second.is_some_and(|place| exists(place.directory))
        });
    }

    /// What is found after the power was lost: none of the changes, all, those up to some moment, or, for directories
    /// or names that have nothing to do with each other, up to different moments.
    pub(super) fn crashed(&self, random: &mut Random) -> Names {
        let mut durable = self.durable.clone();
        let groups = match random.below(8) {
            0 => Vec::new(),
            1 => {
                self.changes.iter().for_each(|change| change.apply(&mut durable));
                Vec::new()
            }
            2 | 3 => vec![self.changes.iter().collect()],
            4 | 5 => self.independent_groups(|place| (place.directory, None::<&OsStr>)),
            _ => self.independent_groups(|place| (place.directory, Some(place.name.as_os_str()))),
        };
        for group in groups {
            let until = random.below(group.len() as u64 + 1) as usize;
            group
                .into_iter()
                .take(until)
                .for_each(|change: &Change| change.apply(&mut durable));
        }
        Names {
            cached: durable.clone(),
            durable,
            changes: Vec::new(),
        }
    }

    /// The changes, in order, in groups that share nothing, where `what` says what may be shared.
    fn independent_groups<'a, T: Ord>(&'a self, what: impl Fn(&'a Place) -> T) -> Vec<Vec<&'a Change>> {
        // What belongs to which group; a rename makes the groups of its two places one.
        let mut group_of: BTreeMap<T, usize> = BTreeMap::new();
        for (number, change) in self.changes.iter().enumerate() {
            let (first, second) = change.places();
            let group = *group_of.entry(what(first)).or_insert(number);
            if let Some(second) = second {
                let other = *group_of.entry(what(second)).or_insert(group);
                group_of
                    .values_mut()
                    .filter(|member| **member == other)
                    .for_each(|member| *member = group);
            }
        }
        let mut groups: BTreeMap<usize, Vec<&Change>> = BTreeMap::new();
        for change in &self.changes {
            let group = group_of.get(&what(change.places().0)).copied().unwrap_or(0);
            groups.entry(group).or_default().push(change);
        }
        groups.into_values().collect()
    }
}
