//! The state of a simulated disk: inodes by number, names resolved from the root, and what is to go wrong when.
//!
//! An inode stays as long as a crash could bring it back or somebody has it open, like on a real disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    content::{Content, BLOCK},
    names::{Entries, Names, Place},
    Fault, FaultKind, Operation, Random, Rot, POWER_LOSS,
};
use crate::{
    error::{Error, Result},
    vfs::{os_error, short_name, turn::turns},
};

pub(super) const ROOT: u64 = 1;
const DEFAULT_RESERVE: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Disk {
    state: Mutex<State>,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Disk {
        Disk::of(State::new(seed))
    }

    pub(super) fn of(state: State) -> Disk {
        Disk {
            state: Mutex::new(state),
        }
    }

    /// A test that panicked elsewhere leaves the state as usable as it was. Threads that take turns may hand over here.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        turns::at_operation();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) enum Node {
    File(Content),
    Directory,
}

/// Locks on a file, each by the number of the open file description that has it.
#[derive(Debug, Default)]
pub(super) struct Locks {
    pub(super) exclusive: Option<u64>,
    /// (byte, description)
    pub(super) bytes: BTreeSet<(u64, u64)>,
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) node: Node,
    /// Open files and writable maps.
    pub(super) open: u64,
    pub(super) locks: Locks,
}

impl Inode {
    pub(super) fn of(node: Node) -> Inode {
        Inode {
            node,
            open: 0,
            locks: Locks::default(),
        }
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: Names,
    pub(super) next_inode: u64,
    next_description: u64,
    /// For `Vfs::random` alone, so that write-back doesn't change what a store is called.
    pub(super) random: Random,
    write_back_random: Random,
    pub(super) clock_us: u64,
    pub(super) reserve: u64,
    pub(super) capacity: Option<u64>,
    pub(super) operations: u64,
    counts: BTreeMap<Operation, u64>,
    faults: Vec<Armed>,
    crash_at: Option<u64>,
    /// More than that, and there is no end to it.
    pub(super) most_operations: u64,
    pub(super) off: bool,
    pub(super) sync_is_noop: bool,
    pub(super) sync_is_noop_for: Vec<String>,
    pub(super) writeback: Option<u64>,
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        let mut names = Names::default();
        names.add_directory(ROOT);
        State {
            inodes: BTreeMap::from([(ROOT, Inode::of(Node::Directory))]),
            names,
            next_inode: ROOT + 1,
            next_description: 1,
            random: Random(seed),
            write_back_random: Random(!seed),
            clock_us: 0,
            reserve: DEFAULT_RESERVE,
            capacity: None,
            operations: 0,
            counts: BTreeMap::new(),
            faults: Vec::new(),
            crash_at: None,
            most_operations: u64::MAX,
            off: false,
            sync_is_noop: false,
            sync_is_noop_for: Vec::new(),
            writeback: None,
        }
    }

    pub(super) fn arm(&mut self, fault: Fault) {
        self.faults.push(Armed { fault, seen: 0 });
    }

    pub(super) fn disarm(&mut self) {
        self.faults.clear();
    }

    pub(super) fn count(&self, operation: Operation) -> u64 {
        self.counts.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn cut_power_at(&mut self, operation: u64) {
        self.crash_at = Some(operation);
        self.off |= operation <= self.operations;
    }

    /// Counts an operation; an error if the power is off or fails here, else the fault that it is to have.
    pub(super) fn begin_with_fault(
        &mut self,
        operation: Operation,
        path: &Path,
    ) -> Result<Option<FaultKind>> {
        if self.off {
            return Err(power_loss(path));
        }
        if operation > Operation::Map {
            if self
                .crash_at
                .is_some_and(|crash_at| crash_at <= self.operations + 1)
            {
                self.off = true;
                return Err(power_loss(path));
            }
            self.operations += 1;
            assert!(self.operations <= self.most_operations, "there is no end to it");
            if self
                .writeback
                .is_some_and(|one_in| self.write_back_random.below(one_in) == 0)
            {
                self.write_back();
            }
        }
        *self.counts.entry(operation).or_default() += 1;
        let mut kind = None;
        for armed in &mut self.faults {
            let fault = &armed.fault;
            if fault.operation == operation
                && fault
                    .within
                    .as_ref()
                    .is_none_or(|within| has_component(path, within))
            {
                armed.seen += 1;
                if armed.seen == fault.nth.max(1) || (armed.seen > fault.nth && fault.forever) {
                    kind = kind.or(Some(fault.kind));
                }
            }
        }
        Ok(kind)
    }

    /// The same for an operation that fails as a whole or not at all.
    pub(super) fn begin(&mut self, operation: Operation, path: &Path) -> Result<()> {
        match self.begin_with_fault(operation, path)? {
            None => Ok(()),
            Some(kind) => Err(refused(operation, path, kind.os_code())),
        }
    }

    pub(super) fn sync_lies_about(&self, path: &Path) -> bool {
        self.sync_is_noop
            || self
                .sync_is_noop_for
                .iter()
                .any(|component| has_component(path, component))
    }

    fn write_back(&mut self) {
        let files = self
            .inodes
            .values()
            .filter(|inode| matches!(inode.node, Node::File(_)))
            .count() as u64;
        let chosen = self.write_back_random.below(files) as usize;
        let mut contents = self
            .inodes
            .values_mut()
            .filter_map(|inode| match &mut inode.node {
                Node::File(content) => Some(content),
                Node::Directory => None,
            });
        if let Some(content) = contents.nth(chosen) {
            content.write_back(&mut self.write_back_random);
        }
    }

    pub(super) fn evict(&mut self) {
        for inode in self.inodes.values_mut() {
            if let Node::File(content) = &mut inode.node {
                content.evict();
            }
        }
    }

    pub(super) fn rot(&mut self, path: &Path, offset: u64, rot: Rot) -> bool {
        match self
            .resolve(path)
            .and_then(|inode| self.content_mut(inode).map_err(|_| libc::EISDIR))
        {
            Ok(content) => content.rot(offset, rot),
            Err(_) => false,
        }
    }

    /// The inode at `path`, or the errno that says why there is none.
    pub(super) fn resolve(&self, path: &Path) -> std::result::Result<u64, i32> {
        let mut at = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    let entries = self.names.entries(at).ok_or(libc::ENOTDIR)?;
                    at = *entries.get(name).ok_or(libc::ENOENT)?;
                }
                Component::ParentDir | Component::Prefix(_) => return Err(libc::EINVAL),
            }
        }
        Ok(at)
    }

    /// The directory that `path` is in, which exists, and its name there.
    pub(super) fn place(&self, path: &Path) -> std::result::Result<Place, i32> {
        let name = path.file_name().ok_or(libc::EINVAL)?.to_owned();
        let directory = self.resolve(path.parent().unwrap_or_else(|| Path::new("/")))?;
        self.names
            .entries(directory)
            .map(|_| Place { directory, name })
            .ok_or(libc::ENOTDIR)
    }

    /// What the directory `inode` holds; `None` if it is a file.
    pub(super) fn entries(&self, inode: u64) -> Option<&Entries> {
        self.names.entries(inode)
    }

    pub(super) fn content(&self, inode: u64) -> Result<&Content> {
        match self.inodes.get(&inode).map(|inode| &inode.node) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(Error::internal("an open file of the simulation is gone")),
        }
    }

    pub(super) fn content_mut(&mut self, inode: u64) -> Result<&mut Content> {
        match self.inodes.get_mut(&inode).map(|inode| &mut inode.node) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(Error::internal("an open file of the simulation is gone")),
        }
    }

    /// A new inode at `place`, or EEXIST.
    pub(super) fn add(&mut self, place: Place, node: Node) -> std::result::Result<u64, i32> {
        if self.names.get(place.directory, &place.name).is_some() {
            return Err(libc::EEXIST);
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        if matches!(node, Node::Directory) {
            self.names.add_directory(inode);
        }
        self.inodes.insert(inode, Inode::of(node));
        self.names.add(place, inode);
        Ok(inode)
    }

    /// The number of a new open file description of `inode`.
    pub(super) fn open(&mut self, inode: u64) -> u64 {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.open += 1;
        }
        self.next_description += 1;
        self.next_description
    }

    pub(super) fn close(&mut self, inode: u64, description: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.open = inode.open.saturating_sub(1);
            if inode.locks.exclusive == Some(description) {
                inode.locks.exclusive = None;
            }
            inode.locks.bytes.retain(|(_, holder)| *holder != description);
        }
        self.forget_unreachable();
    }

    /// Blocks that can still be allocated.
    pub(super) fn free_blocks(&self) -> u64 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.used_bytes()) / BLOCK,
            None => u64::MAX,
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let mut counted = self.reachable(|directory| match self.names.entries(directory) {
            Some(entries) => entries.values().copied().collect(),
            None => Vec::new(),
        });
        counted.extend(
            self.inodes
                .iter()
                .filter(|(_, inode)| inode.open > 0)
                .map(|(number, _)| *number),
        );
        let files = counted.iter().filter_map(|inode| self.content(*inode).ok());
        files.map(Content::allocated_bytes).sum()
    }

    /// Drops inodes that no crash can bring back.
    pub(super) fn forget_unreachable(&mut self) {
        let reachable = self.reachable(|directory| self.names.inodes(directory).collect());
        self.inodes
            .retain(|number, inode| inode.open > 0 || reachable.contains(number));
        self.names.retain(|number| reachable.contains(&number));
    }

    fn reachable(&self, inodes: impl Fn(u64) -> Vec<u64>) -> BTreeSet<u64> {
        let (mut found, mut waiting) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(inode) = waiting.pop() {
            waiting.extend(inodes(inode).into_iter().filter(|inode| found.insert(*inode)));
        }
        found
    }
}

impl FaultKind {
    pub(super) fn os_code(self) -> i32 {
        match self {
            FaultKind::Io | FaultKind::ShortWrite => libc::EIO,
            FaultKind::NoSpace => libc::ENOSPC,
            FaultKind::Interrupted => libc::EINTR,
        }
    }
}

/// An operation's refusal, worded like the real file system's.
pub(super) fn refused(operation: Operation, path: &Path, os_code: i32) -> Error {
    let action = match operation {
        Operation::Open => "cannot open the file",
        Operation::Read => "cannot read the file",
        Operation::Map => "cannot map the file",
        Operation::Create => "cannot create the file",
        Operation::Write => "cannot write the file",
        Operation::Store => "cannot store to the mapped file",
        Operation::SetLength => "cannot set the file's length",
        Operation::Allocate => "cannot allocate disk space for the file",
        Operation::Sync => "cannot sync the file",
        Operation::Rename => "cannot rename the file",
        Operation::Unlink => "cannot remove the file",
        Operation::CreateDirectory => "cannot create the directory",
        Operation::RemoveDirectory => "cannot remove the directory",
        Operation::SyncDirectory => "cannot sync the directory",
    };
    os_error(action, &short_name(path), &io::Error::from_raw_os_error(os_code))
}

fn power_loss(path: &Path) -> Error {
    Error::io(POWER_LOSS, Some(short_name(path)), 0)
}

fn has_component(path: &Path, component: &str) -> bool {
    path.components().any(|found| found.as_os_str() == component)
}
