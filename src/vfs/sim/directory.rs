//! A simulated directory: the names in the cache, the durable ones, and the changes between the two, in order.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::Random;

/// Names and the inodes that they stand for.
type Names = BTreeMap<OsString, u64>;

#[derive(Debug, Clone)]
enum Change {
    Add { name: OsString, inode: u64 },
    Remove { name: OsString },
    Rename { from: OsString, to: OsString },
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Change::Add { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Change::Remove { name } => {
                names.remove(name);
            }
            Change::Rename { from, to } => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }

    fn names(&self) -> (&OsStr, Option<&OsStr>) {
        match self {
            Change::Add { name, .. } | Change::Remove { name } => (name, None),
            Change::Rename { from, to } => (from, Some(to)),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    names: Names,
    durable: Names,
    changes: Vec<Change>,
}

impl Directory {
    pub(super) fn get(&self, name: &OsStr) -> Option<u64> {
        self.names.get(name).copied()
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Every inode that this directory names, named durably, or may name after a crash.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u64> + '_ {
        let added = self.changes.iter().filter_map(|change| match change {
            Change::Add { inode, .. } => Some(*inode),
            Change::Remove { .. } | Change::Rename { .. } => None,
        });
        self.names
            .values()
            .chain(self.durable.values())
            .copied()
            .chain(added)
    }

    pub(super) fn add(&mut self, name: &OsStr, inode: u64) {
        self.change(Change::Add {
            name: name.to_owned(),
            inode,
        });
    }

    pub(super) fn remove(&mut self, name: &OsStr) {
        self.change(Change::Remove {
            name: name.to_owned(),
        });
    }

    pub(super) fn rename(&mut self, from: &OsStr, to: &OsStr) {
        self.change(Change::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.names);
        self.changes.clear();
    }

    /// What is found after the power was lost: none of the changes, all, those up to some moment, or, for names that
    /// have nothing to do with each other, up to different moments. A rename is in it as a whole or not at all.
    pub(super) fn crashed(&self, random: &mut Random) -> Directory {
        let count = self.changes.len() as u64;
        let mut names = self.durable.clone();
        match random.below(4) {
            0 => {}
            1 => self.changes.iter().for_each(|change| change.apply(&mut names)),
            2 => {
                let until = random.below(count + 1) as usize;
                self.changes
                    .iter()
                    .take(until)
                    .for_each(|change| change.apply(&mut names));
            }
            _ => {
                for group in self.independent_groups() {
                    let until = random.below(group.len() as u64 + 1) as usize;
                    group
                        .into_iter()
                        .take(until)
                        .for_each(|change| change.apply(&mut names));
                }
            }
        }
        Directory {
            durable: names.clone(),
            names,
            changes: Vec::new(),
        }
    }

    /// The changes, in order, in groups that share no name.
    fn independent_groups(&self) -> Vec<Vec<&Change>> {
        // A name's group; a rename makes the groups of its two names one.
        let mut group_of: BTreeMap<&OsStr, usize> = BTreeMap::new();
        for (number, change) in self.changes.iter().enumerate() {
            let (first, second) = change.names();
            let group = *group_of.entry(first).or_insert(number);
            if let Some(second) = second {
                let other = *group_of.entry(second).or_insert(group);
                group_of
                    .values_mut()
                    .filter(|member| **member == other)
                    .for_each(|member| *member = group);
            }
        }
        let mut groups: BTreeMap<usize, Vec<&Change>> = BTreeMap::new();
        for change in &self.changes {
            let group = group_of.get(change.names().0).copied().unwrap_or(0);
            groups.entry(group).or_default().push(change);
        }
        groups.into_values().collect()
    }
}
