//! Commits of a run: single commands, batches, and those that must be refused.

use sarsen::{Batch, BlockAddress, Error, Survive, Tags};

use super::{reading::altered, Run};
use crate::{
    compare::is_missing,
    draws::{Content, LONGEST_KEY},
    state::{set_of, Command, Model, Source},
};

/// Blocks beyond this are forgotten, the oldest first.
const MOST_KNOWN: usize = 1_500;

impl Run {
    /// A command that the model, as it stands after the ones before, says will do.
    pub(super) fn command(&mut self, model: &Model) -> Command {
        let draws = &mut self.draws;
        match draws.below(18) {
            0..=5 => Command::SetKv(draws.key(), draws.content()),
            6..=7 => Command::DeleteKv(draws.key()),
            8..=9 => {
                let source = self.source(model);
                Command::AppendMemory(self.draws.id(), self.draws.tags(4), source)
            }
            10 => Command::DeleteMemory(draws.id()),
            11..=12 => {
                let source = self.source(model);
                Command::AppendStream(self.draws.name(), source)
            }
            13..=14 => {
                let name = draws.name();
                let (first, next) = model
                    .streams
                    .get(&name)
                    .map_or((0, 3), |stream| (stream.first, stream.next));
                let before = match draws.below(8) {
                    0 => u64::MAX,
                    1 => u64::MAX - 1,
                    2 => first.saturating_sub(1),
                    _ => first + draws.next() % (next - first + 1),
                };
                Command::TrimStream(name, before)
            }
            15 if model.loose.len() < 40 => Command::AppendBlock(draws.content()),
            _ => {
                // One that holds itself, one that a record holds, one that is long gone, or one that never was.
                let blocks: Vec<BlockAddress> = match draws.below(5) {
                    0 => model.blocks().into_keys().collect(),
                    1 => self.known.keys().copied().collect(),
                    _ => model.loose.keys().copied().collect(),
                };
                match draws.pick(&blocks) {
                    Some(block) if draws.one_in(4) => Command::FreeBlock(altered(draws, *block)),
                    Some(block) => Command::FreeBlock(*block),
                    None => Command::AppendBlock(draws.content()),
                }
            }
        }
    }

    pub(super) fn source(&mut self, model: &Model) -> Source {
        if self.draws.one_in(3) {
            let nameable = model.nameable();
            if let Some((block, content)) = self.draws.pick(&nameable) {
                return Source::Named(*block, content.clone());
            }
        }
        Source::Bytes(self.draws.content())
    }

    pub(super) fn commands(&mut self, most: usize) -> Vec<Command> {
        let mut model = self.model.clone();
        let count = 1 + self.draws.below(most);
        let mut commands = Vec::new();
        for _ in 0..count {
            let command = self.command(&model);
            model.apply(&command, None);
            commands.push(command);
        }
        commands
    }

    pub(super) fn batch(&mut self) {
        let most = if self.draws.one_in(10) { 60 } else { 12 };
        let commands = self.commands(most);
        let mut batch = self.filled(&commands);
        self.commit(&commands, &mut batch);
    }

    /// Commands added one by one, or laid out in memory and loaded.
    pub(super) fn filled(&mut self, commands: &[Command]) -> Batch {
        let mut batch = Batch::new();
        if self.draws.one_in(4) {
            let (front, behind) = commands.split_at(self.draws.below(commands.len()));
            for part in [front, behind] {
                let mut encoded = Vec::new();
                part.iter().for_each(|command| command.encode_to(&mut encoded));
                batch.load(&encoded).expect("a batch can be loaded");
            }
        } else {
            for command in commands {
                command.add_to(&mut batch).expect("a command can be added");
            }
        }
        assert_eq!(batch.count(), commands.len(), "commands in the batch");
        batch
    }

    pub(super) fn commit(&mut self, commands: &[Command], batch: &mut Batch) {
        let survive = [
            None,
            Some(Survive::Process),
            Some(Survive::Process),
            Some(Survive::Power),
        ];
        let survive = survive[self.draws.below(4)];
        let before = self.store().last_seq();
        match self.store().commit(batch, survive) {
            Ok(seq) => {
                assert_eq!(
                    (seq, self.store().last_seq()),
                    (before + 1, seq),
                    "the seq of a commit"
                );
                if survive == Some(Survive::Power) {
                    assert!(
                        self.store().durable_seq() >= seq,
                        "a commit that survives power is durable"
                    );
                }
                assert_eq!(batch.count(), 0, "a batch is empty once it is committed");
                self.committed(commands, batch);
            }
            Err(error) => {
                assert_eq!(
                    batch.count(),
                    commands.len(),
                    "a batch that failed stays what it was"
                );
                self.may_fail(&error, before, commands);
            }
        }
    }

    pub(super) fn committed(&mut self, commands: &[Command], batch: &Batch) {
        for (number, command) in commands.iter().enumerate() {
            let (index, block) = batch.result(number).expect("the result of a command");
            assert_eq!(
                self.model.apply(command, block),
                index,
                "the index that command {number} got"
            );
            let content = match command {
                Command::AppendMemory(_, _, Source::Named(named, _))
                | Command::AppendStream(_, Source::Named(named, _)) => {
                    assert_eq!(block, Some(*named), "a named block is the one that was named");
                    continue;
                }
                Command::AppendBlock(content) | Command::AppendMemory(_, _, Source::Bytes(content)) => {
                    content
                }
                Command::SetKv(_, content) | Command::AppendStream(_, Source::Bytes(content))
                    if content.len() > 1_024 =>
                {
                    content
                }
                _ => {
                    assert_eq!(block, None, "command {number} has no block");
                    continue;
                }
            };
            let block = block.unwrap_or_else(|| panic!("command {number} got no block"));
            assert_eq!(
                usize::try_from(block.len),
                Ok(content.len()),
                "the length of a block"
            );
            assert_eq!(block.crc32c, crc32c::crc32c(content), "the CRC of a block");
            self.learn(block, content.clone());
        }
    }

    pub(super) fn learn(&mut self, block: BlockAddress, content: Content) {
        if self.known.len() == MOST_KNOWN {
            self.known.pop_first();
        }
        let twin = self.known.insert(block, content);
        assert_eq!(twin, None, "{block:?} was given out twice");
    }

    /// The calls that commit one command.
    pub(super) fn single_command(&mut self) {
        let model = self.model.clone();
        let command = self.command(&model);
        let (before, mut block, mut index) = (self.store().last_seq(), None, None);
        let store = self.store();
        let done = match &command {
            Command::SetKv(key, content) => store.kv_set(key, content),
            Command::DeleteKv(key) => store.kv_delete(key),
            Command::AppendStream(name, Source::Bytes(content)) => store
                .stream_append(name, content)
                .map(|found| index = Some(found)),
            Command::TrimStream(name, before) => store.stream_trim(name, *before),
            Command::AppendMemory(id, tags, Source::Bytes(content)) => {
                let added = store.memory_append(*id, &set_of(tags).expect("tags"), content);
                added.map(|()| block = store.memory_info(None, *id).ok().map(|(block, _)| block))
            }
            Command::DeleteMemory(id) => store.memory_delete(*id),
            Command::AppendBlock(content) => store.block_append(content).map(|found| block = Some(found)),
            Command::FreeBlock(block) => store.block_free(block),
            Command::AppendMemory(..) | Command::AppendStream(..) => {
                let commands = [command];
                let mut batch = self.filled(&commands);
                return self.commit(&commands, &mut batch);
            }
        };
        match done {
            Ok(()) => {
                assert_eq!(self.store().last_seq(), before + 1, "the seq of a commit");
                assert_eq!(self.model.apply(&command, block), index, "the index of a record");
                if let (Some(block), Command::AppendBlock(content)) = (block, &command) {
                    self.learn(block, content.clone());
                }
            }
            Err(error) => self.may_fail(&error, before, &[command]),
        }
    }

    /// Batches that fail half-way, or commands that a batch doesn't take, leave nothing.
    pub(super) fn refused(&mut self) {
        let mut commands = self.commands(6);
        match self.draws.below(5) {
            0 | 1 => {
                let Some(dead) = self.dead_block(&commands) else {
                    return;
                };
                let source = Source::Named(dead, Vec::new().into());
                let bad = if self.draws.one_in(2) {
                    Command::AppendStream(self.draws.name(), source)
                } else {
                    Command::AppendMemory(self.draws.id(), self.draws.tags(2), source)
                };
                commands.insert(self.draws.below(commands.len() + 1), bad);
                let mut batch = self.filled(&commands);
                let before = self.store().last_seq();
                for _ in 0..2 {
                    is_missing(
                        "a commit that names a dead block",
                        self.store().commit(&mut batch, None),
                    );
                    assert_eq!(
                        batch.count(),
                        commands.len(),
                        "a batch that failed stays what it was"
                    );
                    assert_eq!(self.store().last_seq(), before, "a commit that failed took a seq");
                }
                self.seen().something(&mut self.draws.clone());
            }
            2 => {
                let mut batch = self.filled(&commands);
                let long = vec![b'l'; LONGEST_KEY + 1];
                let too_large = [
                    batch.set_kv(&long, b""),
                    batch.delete_kv(&long),
                    batch.append_stream(&long, sarsen::Data::Bytes(b"")),
                    batch.trim_stream(&long, 1),
                    Tags::of(&[&"t".repeat(1_025)]).map(|_| ()),
                    self.store().kv_get(None, &long).map(|_| ()),
                    self.store().kv_scan(None, b"", &long, false).map(|_| ()),
                ];
                for (number, refused) in too_large.into_iter().enumerate() {
                    assert!(
                        matches!(refused, Err(Error::TooLarge { .. })),
                        "{number}: {refused:?}"
                    );
                }
                assert!(matches!(Tags::of(&[""]), Err(Error::InvalidArgument { .. })));
                self.commit(&commands, &mut batch);
            }
            3 => {
                // All of what is loaded, or nothing.
                let mut batch = self.filled(&commands);
                let mut encoded = Vec::new();
                commands
                    .iter()
                    .for_each(|command| command.encode_to(&mut encoded));
                let bad: &[u8] = [&[9_u8; 24][..], &[0; 24], &[1; 3]][self.draws.below(3)];
                encoded.extend_from_slice(bad);
                let refused = batch.load(&encoded);
                assert!(
                    matches!(refused, Err(Error::InvalidArgument { .. })),
                    "{refused:?}"
                );
                assert_eq!(
                    batch.count(),
                    commands.len(),
                    "a batch that refused to load stays what it was"
                );
                self.commit(&commands, &mut batch);
            }
            _ => {
                let before = self.store().last_seq();
                assert_eq!(
                    self.store().commit(&mut Batch::new(), None),
                    Ok(before),
                    "an empty commit"
                );
                let mut batch = self.filled(&commands);
                batch.clear();
                assert_eq!(
                    self.store().commit(&mut batch, None),
                    Ok(before),
                    "a cleared commit"
                );
            }
        }
    }

    /// A block that can't be named: it was freed, its records are gone, or it never was.
    pub(super) fn dead_block(&mut self, commands: &[Command]) -> Option<BlockAddress> {
        let live = self.model.blocks();
        // A record in this batch may yet take a block that was let go of in it.
        let in_batch = |block: &BlockAddress| {
            commands.iter().any(|command| match command {
                Command::AppendMemory(_, _, Source::Named(named, _))
                | Command::AppendStream(_, Source::Named(named, _)) => named == block,
                _ => false,
            })
        };
        let dead = |block: &BlockAddress| !live.contains_key(block) && !in_batch(block);
        let candidates: Vec<BlockAddress> = self.known.keys().copied().filter(dead).collect();
        if self.draws.one_in(3) {
            let live: Vec<BlockAddress> = live.into_keys().collect();
            return self
                .draws
                .pick(&live)
                .copied()
                .map(|block| altered(&mut self.draws, block));
        }
        self.draws.pick(&candidates).copied()
    }
}
