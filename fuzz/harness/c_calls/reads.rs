//! Calls that read: point reads, iterators, blocks, the log.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::c_void,
    ptr,
};

use sarsen::c_api::*;

use super::{
    super::model::Model,
    bytes_at,
    handles::{Kind, Seen},
    Calls, Twist,
};

const EMPTY_VIEW: sarsen_view = sarsen_view {
    data: ptr::null(),
    len: 0,
    pin: ptr::null_mut(),
};
const EMPTY_BYTES: sarsen_bytes = sarsen_bytes {
    data: ptr::null(),
    len: 0,
};
const LONGEST_KEY: usize = 65_535;

impl Calls<'_> {
    /// Whether the call must be refused: a wrong argument, or a snapshot of another store.
    fn refused(&self, fits: bool, takes_bytes: bool, needs_place: bool) -> bool {
        !fits
            || match self.twist {
                Twist::Nothing => false,
                Twist::NullHandle | Twist::WrongHandle => true,
                Twist::NullBytes | Twist::ImpossibleLength => takes_bytes,
                Twist::NullOut => needs_place,
            }
    }

    fn found(&mut self, status: sarsen_status, view: sarsen_view, expected: Option<Vec<u8>>) {
        match expected {
            Some(expected) => {
                self.settle(status, &[SARSEN_OK]);
                self.check_view(view, &expected);
            }
            None => {
                self.settle(status, &[SARSEN_NOT_FOUND]);
                assert!(view.data.is_null() && view.pin.is_null());
            }
        }
    }

    pub fn kv_get(&mut self) {
        let key = self.key();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut view = EMPTY_VIEW;
        let (out, error) = (self.out(&mut view), self.place());
        let (data, len) = self.passed(&key);
        // SAFETY: live handles or NULL; bytes are good for their length, or it is impossible; places of this frame.
        let status = unsafe { sarsen_kv_get(store, snapshot, data, len, out, error) };
        if self.refused(fits, true, true) || key.len() > LONGEST_KEY {
            return self.settle(status, &Self::REFUSED);
        }
        self.found(status, view, model.unwrap_or_default().pairs.get(&key).cloned());
    }

    pub fn kv_read(&mut self) {
        let key = self.key();
        let cap = [0, 1, 10, 2_000, 40_000][self.input.below(5)];
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut buffer = vec![0xa5; cap + 1];
        let mut len = 77;
        let (out, error) = (self.out(&mut len), self.place());
        let (room, passed_cap): (*mut c_void, usize) = match self.twist {
            Twist::NullBytes => (ptr::null_mut(), cap.max(1)),
            Twist::ImpossibleLength => (buffer.as_mut_ptr().cast(), usize::MAX),
            _ => (buffer.as_mut_ptr().cast(), cap),
        };
        // SAFETY: as in `kv_get`; the buffer has `cap` bytes, or its length is impossible.
        let status = unsafe {
            sarsen_kv_read(
                store,
                snapshot,
                key.as_ptr().cast(),
                key.len(),
                room,
                passed_cap,
                out,
                error,
            )
        };
        assert_eq!(buffer[cap], 0xa5, "no byte beyond the buffer");
        if self.refused(fits, true, true) || key.len() > LONGEST_KEY {
            return self.settle(status, &Self::REFUSED);
        }
        match model.unwrap_or_default().pairs.get(&key) {
            Some(value) => {
                self.settle(status, &[SARSEN_OK, SARSEN_TOO_LARGE]);
                assert!(status == SARSEN_OK || value.len() > cap);
                let copied = value.len().min(cap);
                if status == SARSEN_OK {
                    assert_eq!(len, value.len(), "the length of a value");
                    assert!(buffer[..copied] == value[..copied], "the start of a value");
                }
            }
            None => self.settle(status, &[SARSEN_NOT_FOUND]),
        }
    }

    pub fn kv_get_many(&mut self) {
        let count = self.input.below(6);
        let keys: Vec<Vec<u8>> = (0..count).map(|_| self.key()).collect();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let passed: Vec<sarsen_bytes> = keys
            .iter()
            .map(|key| sarsen_bytes {
                data: key.as_ptr(),
                len: key.len(),
            })
            .collect();
        let mut views = vec![EMPTY_VIEW; count];
        let mut statuses = vec![99; count];
        let pointer = if self.twist == Twist::NullBytes {
            ptr::null()
        } else {
            passed.as_ptr()
        };
        let place: *mut sarsen_view = if self.twist == Twist::NullOut {
            ptr::null_mut()
        } else {
            views.as_mut_ptr()
        };
        let given = if self.twist == Twist::ImpossibleLength {
            usize::MAX
        } else {
            count
        };
        let error = self.place();
        // SAFETY: as in `kv_get`; arrays of `count`, or an impossible count.
        let status = unsafe {
            sarsen_kv_get_many(
                store,
                snapshot,
                pointer,
                given,
                place,
                statuses.as_mut_ptr(),
                error,
            )
        };
        if given == usize::MAX {
            return self.settle(status, &Self::REFUSED);
        }
        let refused = if count == 0 {
            self.is_wrong_for_handles()
        } else {
            self.refused(fits, true, true)
        };
        if refused || keys.iter().any(|key| key.len() > LONGEST_KEY) {
            self.settle(status, &Self::REFUSED);
            assert!(
                views.iter().all(|view| view.pin.is_null()),
                "no view if the function fails"
            );
            return;
        }
        self.settle(status, &[SARSEN_OK]);
        let pairs = model.unwrap_or_default().pairs;
        for ((key, view), status) in keys.iter().zip(views).zip(statuses) {
            match pairs.get(key) {
                Some(value) => {
                    assert_eq!(status, SARSEN_OK);
                    self.check_view(view, value);
                }
                None => assert_eq!(status, SARSEN_NOT_FOUND),
            }
        }
    }

    pub fn kv_scan(&mut self) {
        let (start, end) = (self.key(), self.key());
        let (reverse, prefix) = (self.input.one_in(2), self.input.one_in(3));
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut iter = ptr::null_mut();
        let (out, error) = (self.out(&mut iter), self.place());
        let (data, len) = self.passed(&start);
        // SAFETY: as in `kv_get`.
        let status = unsafe {
            if prefix {
                sarsen_kv_prefix(store, snapshot, data, len, reverse, out, error)
            } else {
                let end_data = end.as_ptr().cast();
                sarsen_kv_scan(
                    store,
                    snapshot,
                    data,
                    len,
                    end_data,
                    end.len(),
                    reverse,
                    out,
                    error,
                )
            }
        };
        let too_long = start.len() > LONGEST_KEY || (!prefix && end.len() > LONGEST_KEY);
        if self.refused(fits, true, true) || too_long {
            self.settle(status, &Self::REFUSED);
            assert!(iter.is_null());
            return;
        }
        self.settle(status, &[SARSEN_OK]);
        let within = |key: &Vec<u8>| {
            if prefix {
                key.starts_with(&start)
            } else {
                *key >= start && (end.is_empty() || *key < end)
            }
        };
        let model = model.unwrap_or_default();
        let mut pairs: VecDeque<(Vec<u8>, Vec<u8>)> =
            model.pairs.into_iter().filter(|(key, _)| within(key)).collect();
        if reverse {
            pairs.make_contiguous().reverse();
        }
        let number = self.openings[opening].number;
        self.keep(Kind::KvIter, iter.cast(), Some(number), Seen::Pairs(pairs));
    }

    pub fn kv_iter_next(&mut self) {
        let Some((handle, pointer, live)) = self.child(Kind::KvIter) else {
            return;
        };
        let (mut key, mut value) = (EMPTY_BYTES, EMPTY_BYTES);
        let error = self.place();
        // SAFETY: a live handle or NULL; places of this frame.
        let status = unsafe { sarsen_kv_iter_next(pointer.cast(), &mut key, &mut value, error) };
        if self.is_wrong_for_handles() || !live {
            return self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
        }
        let Seen::Pairs(pairs) = &mut self.handle(handle).seen else {
            return;
        };
        let expected = pairs.pop_front();
        match expected {
            Some((expected_key, expected_value)) => {
                self.settle(status, &[SARSEN_OK]);
                // SAFETY: good until the next call on the iterator.
                unsafe {
                    assert!(bytes_at(key.data, key.len) == expected_key, "the key of a pair");
                    assert!(
                        bytes_at(value.data, value.len) == expected_value,
                        "the value of a pair"
                    );
                }
            }
            None => self.settle(status, &[SARSEN_END]),
        }
    }

    pub fn kv_iter_fill(&mut self) {
        let kind = if self.input.one_in(3) {
            Kind::StreamIter
        } else {
            Kind::KvIter
        };
        let Some((handle, pointer, live)) = self.child(kind) else {
            return;
        };
        let cap = [0, 7, 60, 5_000, 70_000][self.input.below(5)];
        let mut buffer = vec![0xa5_u8; cap + 1];
        let (mut len, mut count) = (9, 9);
        let (out, error) = (self.out(&mut len), self.place());
        let (room, passed_cap): (*mut c_void, usize) = match self.twist {
            Twist::ImpossibleLength => (buffer.as_mut_ptr().cast(), usize::MAX),
            Twist::NullBytes => (ptr::null_mut(), cap.max(1)),
            _ => (buffer.as_mut_ptr().cast(), cap),
        };
        // SAFETY: a live handle or NULL; the buffer has `cap` bytes, or its length is impossible.
        let status = unsafe {
            if kind == Kind::KvIter {
                sarsen_kv_iter_fill(pointer.cast(), room, passed_cap, out, &mut count, error)
            } else {
                sarsen_stream_iter_fill(pointer.cast(), room, passed_cap, out, &mut count, error)
            }
        };
        assert_eq!(buffer[cap], 0xa5, "no byte beyond the buffer");
        if self.refused(live, true, true) {
            return self.settle(status, &Self::REFUSED);
        }
        self.settle(status, &[SARSEN_OK, SARSEN_END, SARSEN_TOO_LARGE]);
        // What each record takes: its lengths, then its bytes.
        let left: Vec<Vec<u8>> = match &self.handle(handle).seen {
            Seen::Pairs(pairs) => pairs.iter().map(|(key, value)| packed(&[key, value])).collect(),
            Seen::Records(records) => records
                .iter()
                .map(|(index, record)| {
                    let len = (record.len() as u32).to_le_bytes();
                    [index.to_le_bytes().as_slice(), &len, record].concat()
                })
                .collect(),
            _ => return,
        };
        match status {
            SARSEN_END => assert!(left.is_empty() && (len, count) == (0, 0)),
            SARSEN_TOO_LARGE => {
                assert_eq!(
                    Some(len),
                    left.first().map(Vec::len),
                    "the size that the next one needs"
                );
                assert!(len > cap);
            }
            _ => {
                let expected: Vec<u8> = left.iter().take(count).flatten().copied().collect();
                assert!(count >= 1 && buffer[..len] == expected, "whole records");
                let next = left.get(count).map_or(usize::MAX, |next| next.len() + len);
                assert!(next > cap, "as many as fit");
                match &mut self.handle(handle).seen {
                    Seen::Pairs(pairs) => drop(pairs.drain(..count)),
                    Seen::Records(records) => drop(records.drain(..count)),
                    _ => {}
                }
            }
        }
    }

    // ---- memories --------------------------------------------------------------------------------

    pub fn memory_get(&mut self) {
        let id = self.id();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut view = EMPTY_VIEW;
        let (out, error) = (self.out(&mut view), self.place());
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_memory_get(store, snapshot, id, out, error) };
        if self.refused(fits, false, true) {
            return self.settle(status, &Self::REFUSED);
        }
        let memory = model
            .unwrap_or_default()
            .memories
            .get(&id)
            .map(|memory| memory.data.clone());
        self.found(status, view, memory);
    }

    pub fn memory_info(&mut self) {
        let id = self.id();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut block = super::writes::empty_block();
        let mut tags = ptr::null_mut();
        let (out, error) = (self.out(&mut tags), self.place());
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_memory_info(store, snapshot, id, &mut block, out, error) };
        if self.refused(fits, false, false) {
            return self.settle(status, &Self::REFUSED);
        }
        let Some(memory) = model.unwrap_or_default().memories.remove(&id) else {
            self.settle(status, &[SARSEN_NOT_FOUND]);
            assert!(tags.is_null());
            return;
        };
        self.settle(status, &[SARSEN_OK]);
        assert_eq!(
            (block.len, block.crc32c),
            (memory.data.len() as u64, crc32c::crc32c(&memory.data))
        );
        if !tags.is_null() {
            // SAFETY: a set that was handed out.
            assert_eq!(unsafe { sarsen_tags_count(tags) }, memory.tags.len());
            self.keep(Kind::Tags, tags.cast(), None, Seen::Tags(memory.tags));
        }
    }

    pub fn memory_find(&mut self) {
        let ((all, all_set), (any, any_set), (none, none_set)) =
            (self.some_tags(), self.some_tags(), self.some_tags());
        let from = self.id();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut iter = ptr::null_mut();
        let (out, error) = (self.out(&mut iter), self.place());
        // SAFETY: as in `kv_get`; live sets or NULL.
        let status = unsafe { sarsen_memory_find(store, snapshot, all, any, none, from, out, error) };
        if self.refused(fits, false, true) {
            return self.settle(status, &Self::REFUSED);
        }
        self.settle(status, &[SARSEN_OK]);
        let fits = |tags: &BTreeSet<String>| {
            tags.is_superset(&all_set)
                && (any_set.is_empty() || !tags.is_disjoint(&any_set))
                && tags.is_disjoint(&none_set)
        };
        let found: VecDeque<(u64, Vec<u8>)> = model
            .unwrap_or_default()
            .memories
            .range(from..)
            .filter(|(_, memory)| fits(&memory.tags))
            .map(|(id, memory)| (*id, memory.data.clone()))
            .collect();
        let number = self.openings[opening].number;
        self.keep(Kind::MemoryIter, iter.cast(), Some(number), Seen::Memories(found));
    }

    pub fn memory_iter_next(&mut self) {
        let Some((handle, pointer, live)) = self.child(Kind::MemoryIter) else {
            return;
        };
        let (mut id, mut data) = (0, EMPTY_BYTES);
        let (out, error) = (self.out(&mut data), self.place());
        // SAFETY: a live handle or NULL; places of this frame, or NULL.
        let status = unsafe { sarsen_memory_iter_next(pointer.cast(), &mut id, out, error) };
        if self.is_wrong_for_handles() || !live {
            return self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
        }
        let Seen::Memories(memories) = &mut self.handle(handle).seen else {
            return;
        };
        match memories.pop_front() {
            Some((expected_id, expected)) => {
                self.settle(status, &[SARSEN_OK]);
                assert_eq!(id, expected_id, "the id of a memory");
                // SAFETY: good until the next call on the iterator.
                let found = unsafe { bytes_at(data.data, data.len) };
                assert!(
                    self.twist == Twist::NullOut || found == expected,
                    "the bytes of a memory"
                );
            }
            None => self.settle(status, &[SARSEN_END]),
        }
    }

    // ---- streams ---------------------------------------------------------------------------------

    pub fn stream_get(&mut self) {
        let name = self.key();
        let index = match self.input.below(8) {
            0 => self.input.edge(),
            number => number as u64 - 1,
        };
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let (data, len) = self.passed(&name);
        let stream = model.unwrap_or_default().streams.remove(&name);
        let refused = self.refused(fits, true, false) || name.len() > LONGEST_KEY;
        let (mut first, mut next) = (9, 9);
        let (out, error) = (self.out(&mut first), self.place());
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_stream_bounds(store, snapshot, data, len, out, &mut next, error) };
        match (&stream, refused) {
            (_, true) => self.settle(status, &Self::REFUSED),
            (None, _) => self.settle(status, &[SARSEN_NOT_FOUND]),
            (Some(stream), _) => {
                self.settle(status, &[SARSEN_OK]);
                assert!(self.twist == Twist::NullOut || first == stream.first);
                assert_eq!(next, stream.next);
            }
        }
        let mut view = EMPTY_VIEW;
        let (out, error) = (self.out(&mut view), self.place());
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_stream_get(store, snapshot, data, len, index, out, error) };
        if refused || self.refused(fits, true, true) {
            return self.settle(status, &Self::REFUSED);
        }
        let record = stream.and_then(|mut stream| stream.records.remove(&index));
        self.found(status, view, record);
    }

    pub fn stream_read(&mut self) {
        let name = self.key();
        let from = self.input.u8();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut iter = ptr::null_mut();
        let (out, error) = (self.out(&mut iter), self.place());
        let (data, len) = self.passed(&name);
        let from = u64::from(from % 4);
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_stream_read(store, snapshot, data, len, from, out, error) };
        if self.refused(fits, true, true) || name.len() > LONGEST_KEY {
            return self.settle(status, &Self::REFUSED);
        }
        let stream = model.unwrap_or_default().streams.remove(&name);
        if stream.is_none() {
            self.settle(status, &[SARSEN_OK, SARSEN_NOT_FOUND]);
        } else {
            self.settle(status, &[SARSEN_OK]);
        }
        if status != SARSEN_OK {
            return;
        }
        let records: VecDeque<(u64, Vec<u8>)> = stream
            .into_iter()
            .flat_map(|stream| stream.records)
            .filter(|(index, _)| *index >= from)
            .collect();
        let number = self.openings[opening].number;
        self.keep(
            Kind::StreamIter,
            iter.cast(),
            Some(number),
            Seen::Records(records),
        );
    }

    pub fn stream_iter_next(&mut self) {
        let Some((handle, pointer, live)) = self.child(Kind::StreamIter) else {
            return;
        };
        let (mut index, mut record) = (0, EMPTY_BYTES);
        let error = self.place();
        // SAFETY: a live handle or NULL; places of this frame.
        let status = unsafe { sarsen_stream_iter_next(pointer.cast(), &mut index, &mut record, error) };
        if self.is_wrong_for_handles() || !live {
            return self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
        }
        let Seen::Records(records) = &mut self.handle(handle).seen else {
            return;
        };
        match records.pop_front() {
            Some((expected_index, expected)) => {
                self.settle(status, &[SARSEN_OK]);
                assert_eq!(index, expected_index, "the index of a record");
                // SAFETY: good until the next call on the iterator.
                let found = unsafe { bytes_at(record.data, record.len) };
                assert!(found == expected, "the bytes of a record");
            }
            None => self.settle(status, &[SARSEN_END]),
        }
    }

    pub fn stream_list(&mut self) {
        let prefix = self.key();
        let Some((opening, store)) = self.store() else {
            return;
        };
        let (snapshot, model, fits) = self.snapshot(opening);
        let mut names = ptr::null_mut();
        let (out, error) = (self.out(&mut names), self.place());
        let (data, len) = self.passed(&prefix);
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_stream_list(store, snapshot, data, len, out, error) };
        if self.refused(fits, true, true) || prefix.len() > LONGEST_KEY {
            return self.settle(status, &Self::REFUSED);
        }
        self.settle(status, &[SARSEN_OK]);
        let found = names_of(&model.unwrap_or_default(), &prefix);
        let number = self.openings[opening].number;
        self.keep(Kind::StreamNames, names.cast(), Some(number), Seen::Names(found));
    }

    pub fn stream_names_next(&mut self) {
        let Some((handle, pointer, live)) = self.child(Kind::StreamNames) else {
            return;
        };
        let (mut name, mut first, mut next) = (EMPTY_BYTES, 0, 0);
        let error = self.place();
        // SAFETY: a live handle or NULL; places of this frame.
        let status =
            unsafe { sarsen_stream_names_next(pointer.cast(), &mut name, &mut first, &mut next, error) };
        if self.is_wrong_for_handles() || !live {
            return self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
        }
        let Seen::Names(names) = &mut self.handle(handle).seen else {
            return;
        };
        match names.pop_front() {
            Some((expected, expected_first, expected_next)) => {
                self.settle(status, &[SARSEN_OK]);
                assert_eq!(
                    (first, next),
                    (expected_first, expected_next),
                    "bounds of a stream"
                );
                // SAFETY: good until the next call on the object.
                let found = unsafe { bytes_at(name.data, name.len) };
                assert!(found == expected, "the name of a stream");
            }
            None => self.settle(status, &[SARSEN_END]),
        }
    }

    // ---- blocks and the log ----------------------------------------------------------------------

    pub fn block_view(&mut self) {
        let block = self.some_block();
        let (from, len) = (u64::from(self.input.u8() % 4), usize::from(self.input.u8() % 64));
        let Some((_, store)) = self.store() else { return };
        let passed: *const sarsen_block = if self.twist == Twist::NullBytes {
            ptr::null()
        } else {
            &block
        };
        let wanted = if self.twist == Twist::ImpossibleLength {
            usize::MAX
        } else {
            len
        };
        let mut view = EMPTY_VIEW;
        let (out, error) = (self.out(&mut view), self.place());
        // SAFETY: as in `kv_get`; the address is of this frame, or NULL.
        let status = unsafe { sarsen_block_view(store, passed, from, wanted, out, error) };
        if self.refused(true, true, true) {
            // A view's length is no length of memory: it is only too long for its block, or that is not there.
            return self.settle(
                status,
                &[SARSEN_INVALID_ARGUMENT, SARSEN_TOO_LARGE, SARSEN_NOT_FOUND],
            );
        }
        self.settle(status, &[SARSEN_OK, SARSEN_NOT_FOUND, SARSEN_INVALID_ARGUMENT]);
        let known = self.known(&block);
        if status == SARSEN_OK {
            let data = known.expect("only an address that was given out leads to bytes");
            let start = usize::try_from(from).expect("a small number");
            self.check_view(view, &data[start..start + len]);
            let mut buffer = vec![0; len];
            // SAFETY: as above; the buffer has `len` bytes.
            let read = unsafe {
                sarsen_block_read(
                    store,
                    &block,
                    from,
                    buffer.as_mut_ptr().cast(),
                    len,
                    ptr::null_mut(),
                )
            };
            assert_eq!(read, SARSEN_OK);
            assert!(buffer == data[start..start + len], "a copy of a block");
        }
    }

    pub fn log_read(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        // SAFETY: live handles or NULL.
        let first = unsafe { sarsen_log_first_seq(store) };
        let seq = first.wrapping_add(u64::from(self.input.u8() % 4)).wrapping_sub(1);
        let epoch = u64::from(self.input.u8() % 3);
        let mut reader = ptr::null_mut();
        let (out, error) = (self.out(&mut reader), self.place());
        // SAFETY: as in `kv_get`.
        let status = unsafe { sarsen_log_read(store, seq, epoch, out, error) };
        if self.refused(true, false, true) {
            return self.settle(status, &Self::REFUSED);
        }
        self.settle(
            status,
            &[
                SARSEN_OK,
                SARSEN_NOT_FOUND,
                SARSEN_CONFLICT,
                SARSEN_INVALID_ARGUMENT,
            ],
        );
        if status == SARSEN_OK {
            let number = self.openings[opening].number;
            self.keep(Kind::LogReader, reader.cast(), Some(number), Seen::Nothing);
        }
    }

    pub fn log_next(&mut self) {
        let Some((_, pointer, live)) = self.child(Kind::LogReader) else {
            return;
        };
        let size = [
            0,
            4,
            16,
            size_of::<sarsen_command>(),
            size_of::<sarsen_command>() + 24,
        ][self.input.below(5)];
        let mut room = vec![0xa5_u8; size + 8];
        let out: *mut sarsen_command = if self.twist == Twist::NullOut {
            ptr::null_mut()
        } else {
            room.as_mut_ptr().cast()
        };
        let given = if self.twist == Twist::ImpossibleLength {
            usize::MAX
        } else {
            size
        };
        let mut tags: *const sarsen_tags = ptr::null();
        let error = self.place();
        // SAFETY: a live handle or NULL; room for as many bytes as it says, or they are impossible.
        let status = unsafe { sarsen_log_next(pointer.cast(), 0, out, given, &mut tags, error) };
        assert!(
            room[size..].iter().all(|byte| *byte == 0xa5),
            "no byte beyond the struct"
        );
        let twisted = !matches!(self.twist, Twist::Nothing | Twist::NullBytes);
        if twisted || size == 0 || !live {
            self.settle(status, &Self::REFUSED);
            return assert!(tags.is_null());
        }
        self.settle(
            status,
            &[SARSEN_OK, SARSEN_TIMEOUT, SARSEN_NOT_FOUND, SARSEN_CONFLICT],
        );
        if status == SARSEN_OK {
            // SAFETY: a set that the reader owns, good until the next call on it.
            assert!(unsafe { sarsen_tags_count(tags) } <= 1_024);
            assert!(size < 8 || room[..8] != [0; 8], "a seq");
        }
    }
}

fn packed(parts: &[&[u8]; 2]) -> Vec<u8> {
    let [key, value] = parts;
    let lens = [key.len() as u32, value.len() as u32]
        .map(u32::to_le_bytes)
        .concat();
    [lens.as_slice(), key, value].concat()
}

fn names_of(model: &Model, prefix: &[u8]) -> VecDeque<(Vec<u8>, u64, u64)> {
    model
        .streams
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, stream)| (name.clone(), stream.first, stream.next))
        .collect()
}
