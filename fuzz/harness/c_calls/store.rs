//! Opening, closing, durability, upkeep and figures.

use std::{
    ffi::{c_char, c_void, CStr},
    path::Path,
    ptr,
};

use sarsen::c_api::*;

use super::{
    super::{model::Model, stores::root},
    handles::{Handle, Kind, Seen},
    Calls, Opening, Twist,
};

impl Calls<'_> {
    fn some_options(&mut self, read_only: bool) -> *mut sarsen_options {
        let options = sarsen_options_new();
        let how = self.input.u8();
        let retention = if how & 1 != 0 { 100_000 } else { 0 };
        let settings = [
            // SAFETY: live options.
            unsafe { sarsen_options_set_background(options, false) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_read_only(options, read_only) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_chunk_bytes(options, 64 << 10) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_memory_bytes(options, 256 << 10) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_log_retention_bytes(options, retention) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_durability(options, 1 + u32::from(how >> 1 & 1)) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_check(options, 1 + u32::from(how >> 2 & 1)) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_log_write(options, u32::from(how >> 3) % 3) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_mapped_bytes(options, u64::from(how >> 5) * 50_000) },
            // SAFETY: live options.
            unsafe { sarsen_options_set_create(options, !read_only) },
        ];
        assert_eq!(settings, [SARSEN_OK; 10]);
        let wrong = [
            // SAFETY: live options, or NULL.
            unsafe { sarsen_options_set_durability(options, 3) },
            // SAFETY: live options, or NULL.
            unsafe { sarsen_options_set_check(options, 0) },
            // SAFETY: live options, or NULL.
            unsafe { sarsen_options_set_log_write(options, u32::MAX) },
            // SAFETY: live options, or NULL.
            unsafe { sarsen_options_set_chunk_bytes(options, u64::MAX) },
            // SAFETY: live options, or NULL.
            unsafe { sarsen_options_set_memory_bytes(options, 0) },
            // SAFETY: live options, or NULL.
            unsafe { sarsen_options_set_salvage(ptr::null_mut(), true) },
        ];
        assert_eq!(wrong, [SARSEN_INVALID_ARGUMENT; 6]);
        options
    }

    pub fn open(&mut self, read_only: bool) {
        let options = self.some_options(read_only);
        let has_writer = self.writer().is_some();
        let model = match self.writer() {
            Some(writer) => Some(writer.model.clone()),
            None => None,
        };
        let mut pointer = ptr::null_mut();
        let place = self.place();
        let (disk, out) = (self.disk.clone(), self.out(&mut pointer));
        // SAFETY: live options; places of this frame, or NULL.
        let status = unsafe { open_on(&disk, root(), options, out, place) };
        if self.twist == Twist::NullOut {
            self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
        } else if has_writer && !read_only {
            self.settle(status, &[SARSEN_LOCKED]);
            assert!(pointer.is_null());
        } else {
            self.settle(status, &[SARSEN_OK]);
            let model = model.unwrap_or_else(|| std::mem::take(&mut self.closed_model));
            if model_is_kept(read_only, has_writer) {
                self.closed_model = model.clone();
            }
            self.openings.push(Opening {
                number: self.next_opening,
                pointer,
                read_only,
                model,
            });
            self.next_opening += 1;
        }
        if self.input.one_in(2) {
            self.keep(Kind::Options, options.cast(), None, Seen::Nothing);
        } else {
            // SAFETY: live options, not used again.
            unsafe { sarsen_options_free(options) };
        }
    }

    pub fn open_again(&mut self) {
        let read_only = self.openings.len() > 1 || self.input.one_in(3);
        if self.openings.len() < 4 {
            self.open(read_only);
        }
    }

    pub fn close(&mut self) {
        if self.openings.is_empty() {
            return;
        }
        let number = self.input.below(self.openings.len());
        if self.is_refused() {
            // NULL is a no-op, another kind of handle is left alone.
            let other = self
                .handles
                .first()
                .map_or(ptr::null_mut(), |handle| handle.pointer);
            let place = self.place();
            // SAFETY: NULL, or a live handle of another kind.
            let status = unsafe { sarsen_store_close(other.cast(), place) };
            let expected = if other.is_null() {
                SARSEN_OK
            } else {
                SARSEN_INVALID_ARGUMENT
            };
            return self.settle(status, &[expected]);
        }
        let opening = self.openings.swap_remove(number);
        let place = self.place();
        // SAFETY: a live store, not used again.
        let status = unsafe { sarsen_store_close(opening.pointer, place) };
        self.settle(status, &[SARSEN_OK]);
        if !opening.read_only {
            self.closed_model = opening.model;
        }
    }

    pub fn snapshot_new(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        let mut snapshot = ptr::null_mut();
        let (out, place) = (self.out(&mut snapshot), self.place());
        // SAFETY: live handles or NULL; places of this frame, or NULL.
        let status = unsafe { sarsen_snapshot_new(store, out, place) };
        if self.is_wrong_for_handles() || self.twist == Twist::NullOut {
            return self.settle(status, &Self::REFUSED);
        }
        self.settle(status, &[SARSEN_OK]);
        let opening = &self.openings[opening];
        let (number, model) = (opening.number, opening.model.clone());
        // SAFETY: live handles.
        let seqs = unsafe { [sarsen_snapshot_seq(snapshot), sarsen_store_last_seq(store)] };
        assert_eq!(seqs[0], seqs[1], "a snapshot sees the newest commit");
        self.keep(
            Kind::Snapshot,
            snapshot.cast(),
            Some(number),
            Seen::Snapshot(Box::new(model)),
        );
    }

    /// Twists that a call without bytes and places notices.
    pub fn is_wrong_for_handles(&self) -> bool {
        matches!(self.twist, Twist::NullHandle | Twist::WrongHandle)
    }

    pub fn figures(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        let wrong = self.is_wrong_for_handles();
        let size = match self.input.below(4) {
            0 => 0,
            1 => 8,
            2 => size_of::<sarsen_stats>() + 40,
            _ => size_of::<sarsen_stats>(),
        };
        let mut room = vec![0xa5_u8; size + 8];
        let size = if self.twist == Twist::ImpossibleLength {
            usize::MAX
        } else {
            size
        };
        let out: *mut sarsen_stats = if self.twist == Twist::NullOut {
            ptr::null_mut()
        } else {
            room.as_mut_ptr().cast()
        };
        // SAFETY: live handles or NULL; the room has as many bytes as it says, or they are impossible.
        let status = unsafe { sarsen_store_stats(store, out, size) };
        let refused = wrong || size == 0 || size == usize::MAX || out.is_null();
        assert_eq!(status == SARSEN_OK, !refused, "figures: status {status}");
        if !refused {
            assert!(
                room[size..].iter().all(|byte| *byte == 0xa5),
                "no byte beyond the struct"
            );
        }
        let mut recovery = vec![0_u8; size_of::<sarsen_recovery>()];
        // SAFETY: as above.
        let status = unsafe { sarsen_store_recovery(store, recovery.as_mut_ptr().cast(), recovery.len()) };
        assert_eq!(status == SARSEN_OK, !wrong);
        // SAFETY: as above.
        let (last, durable, first) = unsafe {
            (
                sarsen_store_last_seq(store),
                sarsen_store_durable_seq(store),
                sarsen_log_first_seq(store),
            )
        };
        if wrong {
            assert_eq!((last, durable, first), (0, 0, 0));
        } else {
            assert!(durable <= last && first <= last + 1, "{durable} {last} {first}");
            assert!(!self.openings[opening].pointer.is_null());
        }
        // SAFETY: constant strings.
        unsafe {
            let name = CStr::from_ptr(sarsen_status_name(u32::from(room[0])));
            assert!(!name.is_empty() && !CStr::from_ptr(sarsen_version()).is_empty());
        }
        assert_eq!(sarsen_abi_version(), 0);
    }

    pub fn durability(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        let wrong = self.is_wrong_for_handles();
        let read_only = self.openings[opening].read_only;
        // SAFETY: live handles or NULL.
        let last = unsafe { sarsen_store_last_seq(store) };
        let place = self.place();
        match self.input.below(3) {
            0 => {
                // SAFETY: as above.
                let status = unsafe { sarsen_store_sync(store, place) };
                self.settle(status, self.written(wrong, read_only));
                if status == SARSEN_OK {
                    // SAFETY: as above.
                    assert_eq!(unsafe { sarsen_store_durable_seq(store) }, last);
                }
            }
            1 => {
                let seq = last.wrapping_add(u64::from(self.input.u8() & 1));
                // SAFETY: as above.
                let status = unsafe { sarsen_store_wait_durable(store, seq, 0, place) };
                let known: &[sarsen_status] = &[
                    SARSEN_OK,
                    SARSEN_TIMEOUT,
                    SARSEN_INVALID_ARGUMENT,
                    SARSEN_READ_ONLY,
                ];
                self.settle(status, if wrong { &Self::REFUSED } else { known });
            }
            _ => {
                let mut told = 0_u64;
                let callback: sarsen_durable_fn = if self.twist == Twist::NullOut {
                    None
                } else {
                    Some(count)
                };
                let user: *mut c_void = (&raw mut told).cast();
                // SAFETY: as above; the number lives until every call that may come has come: a commit that is not
                // durable yet is made so below.
                let status = unsafe { sarsen_store_notify_durable(store, last, callback, user, place) };
                let known: &[sarsen_status] = &[SARSEN_OK, SARSEN_INVALID_ARGUMENT, SARSEN_READ_ONLY];
                let refused = wrong || callback.is_none();
                self.settle(status, if refused { &Self::REFUSED } else { known });
                if status == SARSEN_OK {
                    // SAFETY: as above.
                    let synced = unsafe { sarsen_store_sync(store, ptr::null_mut()) };
                    assert!(synced == SARSEN_OK || read_only, "a sync: status {synced}");
                    assert_eq!(told, 1, "the callback is called exactly once");
                } else {
                    assert_eq!(told, 0, "the callback is not called if the function fails");
                }
            }
        }
    }

    /// The answers of a call that writes and has no other reason to fail.
    pub fn written(&self, wrong: bool, read_only: bool) -> &'static [sarsen_status] {
        if wrong {
            &Self::REFUSED
        } else if read_only {
            &[SARSEN_READ_ONLY]
        } else {
            &[SARSEN_OK]
        }
    }

    pub fn upkeep(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        let wrong = self.is_wrong_for_handles();
        let read_only = self.openings[opening].read_only;
        let allowed = self.written(wrong, read_only);
        let place = self.place();
        let which = self.input.below(4);
        // SAFETY: live handles or NULL; places of this frame, or NULL.
        let status = unsafe {
            match which {
                0 => sarsen_store_checkpoint(store, place),
                1 => sarsen_store_compact(store, place),
                2 => {
                    let mut more = false;
                    let out = self.out(&mut more);
                    sarsen_store_maintain(store, 0, out, place)
                }
                _ => sarsen_store_maintain(store, 0, ptr::null_mut(), place),
            }
        };
        self.settle(status, allowed);
    }

    pub fn verify(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        let mut report: *mut sarsen_report = ptr::null_mut();
        let (out, place) = (self.out(&mut report), self.place());
        // SAFETY: live handles or NULL; places of this frame, or NULL.
        let status = unsafe { sarsen_store_verify(store, out, place) };
        if self.is_wrong_for_handles() || self.twist == Twist::NullOut {
            return self.settle(status, &Self::REFUSED);
        }
        self.settle(status, &[SARSEN_OK]);
        let (mut file, mut what): (*const c_char, *const c_char) = (ptr::null(), ptr::null());
        // SAFETY: a live report; places of this frame, or NULL.
        unsafe {
            let next = sarsen_report_next(report, &mut file, ptr::null_mut(), &mut what);
            assert_eq!(
                next,
                SARSEN_END,
                "damage is found: {:?}",
                (!what.is_null()).then(|| CStr::from_ptr(what))
            );
            assert_eq!(
                sarsen_report_next(report, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()),
                SARSEN_END
            );
        }
        let number = self.openings[opening].number;
        self.keep(Kind::Report, report.cast(), Some(number), Seen::Nothing);
    }

    /// Calls that stand for few inputs.
    pub fn rare(&mut self) {
        let Some((opening, store)) = self.store() else {
            return;
        };
        let wrong = self.is_wrong_for_handles();
        let read_only = self.openings[opening].read_only;
        let place = self.place();
        match self.input.below(5) {
            0 => {
                let (snapshot, seen, _) = self.snapshot(opening);
                self.backups += 1;
                let path = format!("/backup {}\0", self.backups);
                // SAFETY: live handles or NULL; a string that ends.
                let status = unsafe { sarsen_store_backup(store, snapshot, path.as_ptr().cast(), place) };
                let fits = seen.is_some() && !wrong;
                self.settle(status, if fits { &[SARSEN_OK] } else { &Self::REFUSED });
                let path = path.trim_end_matches('\0').to_owned();
                if let Some(model) = seen.filter(|_| fits) {
                    self.compare_backup(Path::new(&path), &model);
                }
            }
            1 => {
                let mut seq = 0;
                // SAFETY: as above.
                let status = unsafe { sarsen_store_refresh(store, &mut seq, place) };
                self.settle(status, if wrong { &Self::REFUSED } else { &[SARSEN_OK] });
                if status == SARSEN_OK && read_only {
                    let newest = match self.writer() {
                        Some(writer) => writer.model.clone(),
                        None => self.closed_model.clone(),
                    };
                    self.openings[opening].model = newest;
                }
            }
            2 => {
                let mut commands = 7;
                // SAFETY: as above.
                let status =
                    unsafe { sarsen_store_import(store, c"/nowhere".as_ptr(), &mut commands, place) };
                let known: &[sarsen_status] = &[SARSEN_NOT_A_STORE, SARSEN_INVALID_ARGUMENT];
                let known = if read_only { &[SARSEN_READ_ONLY] } else { known };
                self.settle(status, if wrong { &Self::REFUSED } else { known });
                assert_eq!(commands, 0);
            }
            3 => {
                let mut out = ptr::dangling_mut();
                let paths: [*const c_char; 3] = [ptr::null(), c"".as_ptr(), c"\xff".as_ptr()];
                let path = paths[self.input.below(3)];
                // SAFETY: NULL or a string that ends; places of this frame.
                let status = unsafe { sarsen_store_open(path, ptr::null(), &mut out, place) };
                self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
                assert!(out.is_null(), "no store is handed out");
            }
            _ => {
                // SAFETY: as above.
                let status = unsafe { sarsen_store_backup(store, ptr::null(), ptr::null(), place) };
                self.settle(status, &[SARSEN_INVALID_ARGUMENT]);
            }
        }
    }

    fn compare_backup(&mut self, path: &Path, model: &Model) {
        let options = super::super::stores::options();
        let store = sarsen::Store::open_on(&self.disk, path, &options).expect("a backup is a store");
        let pairs = super::super::store_directory::pairs(&store, false).expect("pairs of a backup");
        assert!(pairs == model.pairs, "pairs of a backup");
        store.close().expect("a backup closes");
    }

    /// For what reads a child of some opening: its place, and whether that is still open.
    pub fn child(&mut self, kind: Kind) -> Option<(usize, *mut c_void, bool)> {
        let place = self.pick(kind)?;
        let pointer = self.pointer(kind, place);
        Some((place, pointer, self.is_live(place)))
    }

    pub fn handle(&mut self, place: usize) -> &mut Handle {
        &mut self.handles[place]
    }
}

/// A reader alone leaves what the store holds as it is.
fn model_is_kept(read_only: bool, has_writer: bool) -> bool {
    read_only && !has_writer
}

unsafe extern "C" fn count(user: *mut c_void, _seq: u64, _status: sarsen_status) {
    // SAFETY: the number that was passed on, which is still there.
    unsafe { *user.cast::<u64>() += 1 };
}
