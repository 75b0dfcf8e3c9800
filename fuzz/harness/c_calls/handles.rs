//! Handles that the calls got and have to give back, and what is known of each.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::c_void,
    ptr,
};

use sarsen::c_api::*;

use super::{
    super::model::{Command, Model},
    Calls, Opening, Twist,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Options,
    Tags,
    Batch,
    Snapshot,
    KvIter,
    MemoryIter,
    StreamIter,
    StreamNames,
    LogReader,
    Report,
    Error,
}

/// What a handle is expected to answer.
pub enum Seen {
    Nothing,
    Tags(BTreeSet<String>),
    Batch(Vec<Command>),
    Snapshot(Box<Model>),
    Pairs(VecDeque<(Vec<u8>, Vec<u8>)>),
    Memories(VecDeque<(u64, Vec<u8>)>),
    Records(VecDeque<(u64, Vec<u8>)>),
    Names(VecDeque<(Vec<u8>, u64, u64)>),
}

pub struct Handle {
    pub kind: Kind,
    pub pointer: *mut c_void,
    /// The opening it is a child of, closed or not.
    pub child_of: Option<u32>,
    pub seen: Seen,
}

impl Handle {
    pub fn free(self) {
        let pointer = self.pointer;
        // SAFETY: handed out as this kind and not freed before: a handle is moved out of the list to be freed.
        unsafe {
            match self.kind {
                Kind::Options => sarsen_options_free(pointer.cast()),
                Kind::Tags => sarsen_tags_free(pointer.cast()),
                Kind::Batch => sarsen_batch_free(pointer.cast()),
                Kind::Snapshot => sarsen_snapshot_free(pointer.cast()),
                Kind::KvIter => sarsen_kv_iter_free(pointer.cast()),
                Kind::MemoryIter => sarsen_memory_iter_free(pointer.cast()),
                Kind::StreamIter => sarsen_stream_iter_free(pointer.cast()),
                Kind::StreamNames => sarsen_stream_names_free(pointer.cast()),
                Kind::LogReader => sarsen_log_reader_free(pointer.cast()),
                Kind::Report => sarsen_report_free(pointer.cast()),
                Kind::Error => sarsen_error_free(pointer.cast()),
            }
        }
    }
}

impl Calls<'_> {
    pub fn keep(&mut self, kind: Kind, pointer: *mut c_void, child_of: Option<u32>, seen: Seen) {
        assert!(!pointer.is_null(), "a handle that was handed out");
        self.handles.push(Handle {
            kind,
            pointer,
            child_of,
            seen,
        });
    }

    /// One of this kind, if there is any.
    pub fn pick(&mut self, kind: Kind) -> Option<usize> {
        let places: Vec<usize> = (0..self.handles.len())
            .filter(|place| self.handles[*place].kind == kind)
            .collect();
        if places.is_empty() {
            return None;
        }
        Some(places[self.input.below(places.len())])
    }

    /// The pointer to pass for a handle of this kind, after the twist.
    pub fn pointer(&mut self, kind: Kind, place: usize) -> *mut c_void {
        match self.twist {
            Twist::NullHandle => ptr::null_mut(),
            Twist::WrongHandle => self.other_than(Some(kind)),
            _ => self.handles[place].pointer,
        }
    }

    /// A live handle of another kind; NULL where there is none.
    fn other_than(&mut self, kind: Option<Kind>) -> *mut c_void {
        let mut others: Vec<*mut c_void> = self
            .handles
            .iter()
            .filter(|handle| Some(handle.kind) != kind)
            .map(|handle| handle.pointer)
            .collect();
        if kind.is_some() {
            others.extend(
                self.openings
                    .iter()
                    .map(|opening| opening.pointer.cast::<c_void>()),
            );
        }
        if others.is_empty() {
            return ptr::null_mut();
        }
        others[self.input.below(others.len())]
    }

    /// An open store, and the pointer to pass for it after the twist.
    pub fn store(&mut self) -> Option<(usize, *const sarsen_store)> {
        if self.openings.is_empty() {
            return None;
        }
        let place = self.input.below(self.openings.len());
        let pointer = match self.twist {
            Twist::NullHandle => ptr::null(),
            Twist::WrongHandle => self.other_than(None).cast_const().cast(),
            _ => self.openings[place].pointer.cast_const(),
        };
        Some((place, pointer))
    }

    /// A snapshot to read from in this opening: none, one of it, or one of another, which must be refused.
    pub fn snapshot(&mut self, opening: usize) -> (*const sarsen_snapshot, Option<Model>, bool) {
        let now = self.openings[opening].model.clone();
        if self.input.below(3) != 0 {
            return (ptr::null(), Some(now), true);
        }
        let Some(place) = self.pick(Kind::Snapshot) else {
            return (ptr::null(), Some(now), true);
        };
        let Handle {
            pointer,
            child_of,
            seen,
            ..
        } = &self.handles[place];
        let Seen::Snapshot(model) = seen else {
            return (ptr::null(), Some(now), true);
        };
        let fits = *child_of == Some(self.openings[opening].number);
        (pointer.cast_const().cast(), fits.then(|| (**model).clone()), fits)
    }

    /// Whether the store that it is a child of is still open.
    pub fn is_live(&self, place: usize) -> bool {
        let child_of = self.handles[place].child_of;
        self.openings
            .iter()
            .any(|opening| Some(opening.number) == child_of)
    }

    pub fn free_something(&mut self) {
        if !self.handles.is_empty() {
            let place = self.input.below(self.handles.len());
            self.handles.swap_remove(place).free();
        }
        // SAFETY: NULL is a no-op everywhere.
        unsafe {
            sarsen_options_free(ptr::null_mut());
            sarsen_tags_free(ptr::null_mut());
            sarsen_batch_free(ptr::null_mut());
            sarsen_snapshot_free(ptr::null_mut());
            sarsen_kv_iter_free(ptr::null_mut());
            sarsen_memory_iter_free(ptr::null_mut());
            sarsen_stream_iter_free(ptr::null_mut());
            sarsen_stream_names_free(ptr::null_mut());
            sarsen_log_reader_free(ptr::null_mut());
            sarsen_report_free(ptr::null_mut());
            sarsen_error_free(ptr::null_mut());
        }
        // The wrong function for a handle does nothing either.
        if let Some(place) = self.pick(Kind::Tags) {
            // SAFETY: a live handle; of another kind, so that it is left alone.
            unsafe { sarsen_batch_free(self.handles[place].pointer.cast()) };
        }
    }

    pub fn tags_change(&mut self) {
        if self.input.one_in(3) || self.pick(Kind::Tags).is_none() {
            let tags = sarsen_tags_new();
            self.keep(Kind::Tags, tags.cast(), None, Seen::Tags(BTreeSet::new()));
        }
        let Some(place) = self.pick(Kind::Tags) else {
            return;
        };
        let tag = match self.input.below(8) {
            0 => String::new(),
            1 => "t".repeat(1_024 + self.input.below(2)),
            _ => self.tag(),
        };
        let invalid = self.input.one_in(16);
        let bytes = if invalid {
            b"\xff\xfe".to_vec()
        } else {
            tag.clone().into_bytes()
        };
        let pointer = self.pointer(Kind::Tags, place);
        let (data, len) = self.passed(&bytes);
        // SAFETY: live handles or NULL; the bytes are good for their length, or the length is impossible.
        let status = unsafe { sarsen_tags_add(pointer.cast(), data.cast(), len) };
        let refused = invalid || tag.is_empty() || tag.len() > 1_024;
        let twisted = self.is_refused() && self.twist != Twist::NullOut;
        if refused || twisted {
            assert!(Self::REFUSED.contains(&status), "a tag: status {status}");
        } else {
            assert_eq!(status, SARSEN_OK);
            if let Seen::Tags(set) = &mut self.handles[place].seen {
                set.insert(tag);
            }
        }
        let Seen::Tags(set) = &self.handles[place].seen else {
            return;
        };
        let tags = self.handles[place].pointer.cast_const().cast();
        // SAFETY: a live set.
        unsafe {
            assert_eq!(sarsen_tags_count(tags), set.len());
            for (number, tag) in set.iter().enumerate() {
                let found = sarsen_tags_get(tags, number);
                assert_eq!(super::bytes_at(found.data, found.len), tag.as_bytes());
            }
            assert!(sarsen_tags_get(tags, set.len()).data.is_null());
            assert!(sarsen_tags_get(tags, usize::MAX).data.is_null());
            assert_eq!(sarsen_tags_count(ptr::null()), 0);
        }
    }

    /// A set to pass, and what is in it. NULL is the empty one.
    pub fn some_tags(&mut self) -> (*const sarsen_tags, BTreeSet<String>) {
        if self.input.one_in(3) {
            return (ptr::null(), BTreeSet::new());
        }
        match self.pick(Kind::Tags) {
            Some(place) => match &self.handles[place].seen {
                Seen::Tags(set) => (self.handles[place].pointer.cast_const().cast(), set.clone()),
                _ => (ptr::null(), BTreeSet::new()),
            },
            None => (ptr::null(), BTreeSet::new()),
        }
    }

    pub fn writer(&mut self) -> Option<&mut Opening> {
        self.openings.iter_mut().find(|opening| !opening.read_only)
    }
}
