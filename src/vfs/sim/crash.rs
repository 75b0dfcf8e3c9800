//! The disk as the next boot, or the next process, finds it.

use super::{
    content::{Content, Survival},
    disk::{Disk, Inode, Node, State, ROOT},
    Random,
};

impl Disk {
    /// After the power was lost.
    pub(super) fn crashed(&self, seed: u64) -> Disk {
        let state = self.lock();
        let mut choice = Random(seed);
        // One crash in four treats all files alike: everything lost, everything kept and the like do occur.
        let same_for_all = choice.chance(1, 4).then(|| Survival::choose(&mut choice));
        let mut found = state.properties(seed ^ state.random.clone().next());
        found.names = state.names.crashed(&mut choice);
        for (number, inode) in &state.inodes {
            let node = match &inode.node {
                Node::File(content) => {
                    let survival = same_for_all.unwrap_or_else(|| Survival::choose(&mut choice));
                    Node::File(content.crashed(survival, &mut choice))
                }
                Node::Directory => Node::Directory,
            };
            found.inodes.insert(*number, Inode::of(node));
        }
        found.forget_unreachable();
        Disk::of(found)
    }

    /// After the process was killed: the cache, and what isn't durable yet, live on in the kernel.
    pub(super) fn restarted(&self) -> Disk {
        let state = self.lock();
        let mut found = state.properties(state.random.clone().next());
        found.names = state.names.clone();
        for (number, inode) in &state.inodes {
            let node = match &inode.node {
                // There is no memory for a copy: the machine itself is at its end, and so is the test.
                Node::File(content) => {
                    Node::File(content.copy(state.reserve).unwrap_or_else(|_| Content::default()))
                }
                Node::Directory => Node::Directory,
            };
            found.inodes.insert(*number, Inode::of(node));
        }
        found.forget_unreachable();
        Disk::of(found)
    }
}

impl State {
    /// An empty disk with the properties of this one, without its faults.
    fn properties(&self, seed: u64) -> State {
        let mut state = State::new(seed);
        state.inodes.remove(&ROOT);
        state.next_inode = self.next_inode;
        state.reserve = self.reserve;
        state.capacity = self.capacity;
        state.sync_is_noop = self.sync_is_noop;
        state.sync_is_noop_for.clone_from(&self.sync_is_noop_for);
        state.writeback = self.writeback;
        state
    }
}
