//! Calls that write: single commands and batches.

use std::{collections::BTreeSet, ffi::c_void, ptr};

use sarsen::c_api::*;

use super::{
    super::{batch_load::encode, model::Command},
    handles::{Kind, Seen},
    Calls, Twist,
};

const LONGEST_KEY: usize = 65_535;

impl Calls<'_> {
    /// The answers of a write with these arguments; whether it went through is for the model.
    fn write_settled(
        &mut self,
        status: sarsen_status,
        opening: usize,
        too_long: bool,
        takes_bytes: bool,
    ) -> bool {
        let noticed = match self.twist {
            Twist::Nothing | Twist::NullOut => false,
            Twist::NullHandle | Twist::WrongHandle => true,
            Twist::NullBytes | Twist::ImpossibleLength => takes_bytes,
        };
        let read_only = self.openings[opening].read_only;
        if noticed || too_long {
            self.settle(status, &[SARSEN_INVALID_ARGUMENT, SARSEN_TOO_LARGE]);
            assert!(noticed || status == SARSEN_TOO_LARGE);
            return false;
        }
        let allowed: &[sarsen_status] = if read_only {
            &[SARSEN_READ_ONLY]
        } else {
            &[SARSEN_OK]
        };
        self.settle(status, allowed);
        status == SARSEN_OK
    }

    /// Every opening that reads stays at what it saw.
    fn done(&mut self, command: &Command) {
        if let Some(writer) = self.writer() {
            writer.model.apply(command);
        }
    }

    pub fn kv_set(&mut self) {
        let (key, value) = (self.key(), self.value());
        let Some((opening, store)) = self.store() else {
            return;
        };
        let place = self.place();
        let (data, len) = self.passed(&value);
        // SAFETY: live handles or NULL; bytes are good for their lengths, or those are impossible.
        let status = unsafe { sarsen_kv_set(store, key.as_ptr().cast(), key.len(), data, len, place) };
        if self.write_settled(status, opening, key.len() > LONGEST_KEY, true) {
            self.done(&Command::SetKv(key, value));
        }
    }

    pub fn kv_delete(&mut self) {
        let key = self.key();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let place = self.place();
        let (data, len) = self.passed(&key);
        // SAFETY: as in `kv_set`.
        let status = unsafe { sarsen_kv_delete(store, data, len, place) };
        if self.write_settled(status, opening, key.len() > LONGEST_KEY, true) {
            self.done(&Command::DeleteKv(key));
        }
    }

    pub fn stream_append(&mut self) {
        let (name, value) = (self.key(), self.value());
        let Some((opening, store)) = self.store() else {
            return;
        };
        let mut index = 99;
        let (out, place) = (self.out(&mut index), self.place());
        let (data, len) = self.passed(&value);
        // SAFETY: as in `kv_set`; the place for the index is of this frame, or NULL.
        let status =
            unsafe { sarsen_stream_append(store, name.as_ptr().cast(), name.len(), data, len, out, place) };
        if self.write_settled(status, opening, name.len() > LONGEST_KEY, true) {
            let next = self.openings[opening]
                .model
                .streams
                .get(&name)
                .map_or(0, |stream| stream.next);
            assert!(
                self.twist == Twist::NullOut || index == next,
                "the index of a record"
            );
            self.done(&Command::AppendStream(name, value));
        } else {
            assert!(self.twist == Twist::NullOut || index == 0);
        }
    }

    pub fn stream_trim(&mut self) {
        let name = self.key();
        let before = match self.input.below(6) {
            0 => u64::MAX,
            1 => self.input.edge(),
            number => number as u64 - 2,
        };
        let Some((opening, store)) = self.store() else {
            return;
        };
        let place = self.place();
        let (data, len) = self.passed(&name);
        // SAFETY: as in `kv_set`.
        let status = unsafe { sarsen_stream_trim(store, data, len, before, place) };
        if self.write_settled(status, opening, name.len() > LONGEST_KEY, true) {
            self.done(&Command::TrimStream(name, before));
        }
    }

    pub fn memory_append(&mut self) {
        let (id, value) = (self.id(), self.value());
        let (tags, set) = self.some_tags();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let place = self.place();
        let (data, len) = self.passed(&value);
        // SAFETY: as in `kv_set`; the tags are a live set or NULL.
        let status = unsafe { sarsen_memory_append(store, id, tags, data, len, place) };
        if self.write_settled(status, opening, false, true) {
            self.done(&Command::AppendMemory(id, set, value));
        }
    }

    pub fn memory_delete(&mut self) {
        let id = self.id();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let place = self.place();
        // SAFETY: live handles or NULL.
        let status = unsafe { sarsen_memory_delete(store, id, place) };
        if self.write_settled(status, opening, false, false) {
            self.done(&Command::DeleteMemory(id));
        }
    }

    pub fn block_append(&mut self) {
        let value = self.value();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let mut block = empty_block();
        let (out, place) = (self.out(&mut block), self.place());
        let (data, len) = self.passed(&value);
        // SAFETY: as in `kv_set`; the place for the address is of this frame, or NULL.
        let status = unsafe { sarsen_block_append(store, data, len, out, place) };
        if self.twist == Twist::NullOut {
            // Refused, whatever the store.
            return self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
        }
        if self.write_settled(status, opening, false, true) {
            assert_eq!(
                (block.len, block.crc32c),
                (value.len() as u64, crc32c::crc32c(&value))
            );
            self.learn(block, value);
        }
    }

    fn learn(&mut self, block: sarsen_block, value: Vec<u8>) {
        if self.blocks.len() < 40 {
            self.blocks.push((block, value));
        }
    }

    pub fn block_free(&mut self) {
        let block = self.some_block();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let passed: *const sarsen_block = match (&block, self.twist) {
            (_, Twist::NullBytes) => ptr::null(),
            (block, _) => block,
        };
        let place = self.place();
        // SAFETY: live handles or NULL; the address is of this frame, or NULL.
        let status = unsafe { sarsen_block_free(store, passed, place) };
        let takes_bytes = self.twist == Twist::NullBytes;
        if self.write_settled(status, opening, false, takes_bytes) {
            self.done(&Command::FreeBlock);
        }
    }

    /// One that was handed out, or near it.
    pub fn some_block(&mut self) -> sarsen_block {
        if self.blocks.is_empty() {
            return sarsen_block {
                chunk: 1,
                ..empty_block()
            };
        }
        let number = self.input.below(self.blocks.len());
        let mut block = self.blocks[number].0;
        match self.input.below(12) {
            0 => block.offset ^= 8,
            1 => block.len = self.input.edge(),
            2 => block.chunk = self.input.edge() as u32,
            3 => block.crc32c ^= 1,
            4 => block.offset = self.input.edge(),
            _ => {}
        }
        block
    }

    /// Its bytes, if it is one that was handed out.
    pub fn known(&self, block: &sarsen_block) -> Option<Vec<u8>> {
        let same = |known: &sarsen_block| {
            (known.chunk, known.crc32c, known.offset, known.len)
                == (block.chunk, block.crc32c, block.offset, block.len)
        };
        self.blocks
            .iter()
            .find(|(known, _)| same(known))
            .map(|(_, value)| value.clone())
    }

    // ---- batches ---------------------------------------------------------------------------------

    pub fn batch_new(&mut self) {
        let batch = sarsen_batch_new();
        self.keep(Kind::Batch, batch.cast(), None, Seen::Batch(Vec::new()));
    }

    fn batch(&mut self) -> Option<(usize, *mut sarsen_batch)> {
        let place = self.pick(Kind::Batch)?;
        let pointer = self.pointer(Kind::Batch, place);
        Some((place, pointer.cast()))
    }

    fn commands(&mut self, place: usize) -> &mut Vec<Command> {
        match &mut self.handle(place).seen {
            Seen::Batch(commands) => commands,
            _ => unreachable!("a batch knows its commands"),
        }
    }

    fn batch_settled(&mut self, status: sarsen_status, too_long: bool, takes_bytes: bool) -> bool {
        let noticed = match self.twist {
            Twist::Nothing | Twist::NullOut => false,
            Twist::NullHandle | Twist::WrongHandle => true,
            Twist::NullBytes | Twist::ImpossibleLength => takes_bytes,
        };
        if noticed || too_long {
            self.settle(status, &Self::REFUSED);
        } else {
            self.settle(status, &[SARSEN_OK]);
        }
        status == SARSEN_OK
    }

    pub fn batch_add(&mut self) {
        let Some((place, batch)) = self.batch() else {
            return self.batch_new();
        };
        let error = self.place();
        let which = self.input.below(10);
        let (key, value, id) = (self.key(), self.value(), self.id());
        let (tags, set) = self.some_tags();
        let block = self.some_block();
        let (data, len) = self.passed(&value);
        let (name, name_len): (*const c_void, usize) = (key.as_ptr().cast(), key.len());
        let too_long = key.len() > LONGEST_KEY;
        let named = self.known(&block);
        // SAFETY: live handles or NULL; bytes are good for their lengths, or those are impossible.
        let (status, too_long, takes_bytes, command) = unsafe {
            match which {
                0 | 1 => {
                    let status = sarsen_batch_set_kv(batch, name, name_len, data, len, error);
                    (status, too_long, true, Some(Command::SetKv(key, value)))
                }
                2 => {
                    let status = sarsen_batch_delete_kv(batch, name, name_len, error);
                    (status, too_long, false, Some(Command::DeleteKv(key)))
                }
                3 => {
                    let status = sarsen_batch_append_stream(batch, name, name_len, data, len, error);
                    (status, too_long, true, Some(Command::AppendStream(key, value)))
                }
                4 => {
                    let before = u64::from(self.input.u8() % 4);
                    let status = sarsen_batch_trim_stream(batch, name, name_len, before, error);
                    (status, too_long, false, Some(Command::TrimStream(key, before)))
                }
                5 => {
                    let status = sarsen_batch_append_memory(batch, id, tags, data, len, error);
                    (status, false, true, Some(Command::AppendMemory(id, set, value)))
                }
                6 => {
                    let status = sarsen_batch_delete_memory(batch, id, error);
                    (status, false, false, Some(Command::DeleteMemory(id)))
                }
                7 => {
                    let status = sarsen_batch_append_block(batch, data, len, error);
                    (status, false, true, Some(Command::AppendBlock(value)))
                }
                8 => {
                    let status = sarsen_batch_append_stream_block(batch, name, name_len, &block, error);
                    let command = named.map(|named| Command::AppendStream(key, named));
                    (status, too_long, false, command)
                }
                _ => {
                    let status = sarsen_batch_append_memory_block(batch, id, tags, &block, error);
                    let command = named.map(|named| Command::AppendMemory(id, set, named));
                    (status, false, false, command)
                }
            }
        };
        if which >= 8 && status == SARSEN_OK && command.is_none() {
            // It names an address that nobody was given: such a batch can't be committed.
            self.settle(status, &[SARSEN_OK]);
            // SAFETY: a live batch.
            unsafe { sarsen_batch_clear(batch) };
            self.commands(place).clear();
            return;
        }
        if which >= 8 && status != SARSEN_OK && !self.is_wrong_for_handles() && !too_long {
            // An address with an impossible length may be refused at once.
            return self.settle(status, &Self::REFUSED);
        }
        if self.batch_settled(status, too_long, takes_bytes) {
            self.commands(place).extend(command);
        }
        self.count_is_right(place);
    }

    fn count_is_right(&mut self, place: usize) {
        let count = self.commands(place).len();
        let batch: *const sarsen_batch = self.handle(place).pointer.cast_const().cast();
        // SAFETY: a live batch.
        let found = unsafe { sarsen_batch_count(batch) };
        assert_eq!(found, count, "the count of a batch");
        // SAFETY: NULL has none.
        assert_eq!(unsafe { sarsen_batch_count(ptr::null()) }, 0);
    }

    pub fn batch_load(&mut self) {
        let Some((place, batch)) = self.batch() else {
            return self.batch_new();
        };
        let commands = vec![
            Command::SetKv(self.key(), self.value()),
            Command::AppendMemory(self.id(), BTreeSet::from([self.tag()]), self.value()),
            Command::AppendStream(self.key(), self.value()),
        ];
        let too_long = commands.iter().any(|command| match command {
            Command::SetKv(key, _) | Command::AppendStream(key, _) => key.len() > LONGEST_KEY,
            _ => false,
        });
        let mut encoded: Vec<u8> = commands.iter().flat_map(encode).collect();
        let broken = self.input.one_in(4);
        if broken {
            encoded.truncate(encoded.len().saturating_sub(1 + self.input.below(8)));
        }
        let error = self.place();
        let (data, len) = self.passed(&encoded);
        // SAFETY: live handles or NULL; bytes are good for their length, or it is impossible.
        let status = unsafe { sarsen_batch_load(batch, data, len, error) };
        if broken {
            self.settle(status, &Self::REFUSED);
        } else if self.batch_settled(status, too_long, true) {
            self.commands(place).extend(commands);
        }
        self.count_is_right(place);
    }

    pub fn batch_clear(&mut self) {
        let Some((place, batch)) = self.batch() else {
            return;
        };
        // SAFETY: a live handle or NULL.
        unsafe { sarsen_batch_clear(batch) };
        if !self.is_wrong_for_handles() {
            self.commands(place).clear();
        }
        self.count_is_right(place);
    }

    pub fn batch_commit(&mut self) {
        let Some(place) = self.pick(Kind::Batch) else {
            return;
        };
        let batch: *mut sarsen_batch = self.handle(place).pointer.cast();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let survive = [0, 1, 2, 3][self.input.below(4)];
        let commands = self.commands(place).clone();
        let read_only = self.openings[opening].read_only;
        let mut seq = 99;
        let (out, error) = (self.out(&mut seq), self.place());
        // SAFETY: live handles or NULL; the place for the seq is of this frame, or NULL.
        let status = unsafe { sarsen_batch_commit(batch, store, survive, out, error) };
        if self.is_wrong_for_handles() || survive == 3 {
            self.settle(status, &Self::REFUSED);
            return self.count_is_right(place);
        }
        if read_only {
            self.settle(status, &[SARSEN_READ_ONLY]);
            return self.count_is_right(place);
        }
        // NOT_FOUND where a block that is named is no longer live.
        self.settle(status, &[SARSEN_OK, SARSEN_NOT_FOUND]);
        if status != SARSEN_OK {
            return self.count_is_right(place);
        }
        for (number, command) in commands.iter().enumerate() {
            let next = match command {
                Command::AppendStream(name, _) => self.openings[opening]
                    .model
                    .streams
                    .get(name)
                    .map_or(0, |stream| stream.next),
                _ => u64::MAX,
            };
            let (mut index, mut block) = (0, empty_block());
            // SAFETY: a live batch; places of this frame.
            let told = unsafe { sarsen_batch_result(batch, number, &mut index, &mut block, ptr::null_mut()) };
            assert_eq!((told, index), (SARSEN_OK, next), "the result of command {number}");
            if let Command::AppendBlock(value) = command {
                self.learn(block, value.clone());
            }
            self.done(command);
        }
        // SAFETY: as above.
        let beyond = unsafe {
            sarsen_batch_result(
                batch,
                commands.len(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        // An empty commit tells nothing new: the results are still those of the one before.
        assert!(commands.is_empty() || beyond == SARSEN_INVALID_ARGUMENT);
        // SAFETY: live handles.
        let last = unsafe { sarsen_store_last_seq(store) };
        assert!(self.twist == Twist::NullOut || seq == last);
        self.commands(place).clear();
        self.count_is_right(place);
    }
}

pub fn empty_block() -> sarsen_block {
    sarsen_block {
        chunk: 0,
        crc32c: 0,
        offset: 0,
        len: 0,
    }
}
