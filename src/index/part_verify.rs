//! Checks every byte of a part: each page, the order of entries, the counts, the hash index.

use std::sync::Arc;

use super::{
    page::{unit_offset, PageHeader, HASH_LEVEL},
    part::Part,
    part_format::BUCKETS_PER_PAGE,
    Entry,
};
use crate::{
    error::{Error, Result},
    format::bytes::to_u64,
};

impl Part {
    /// Reads the file once more through a map of its own and reports what is wrong, with byte offsets.
    pub(crate) fn verify(self: &Arc<Self>, report: &mut dyn FnMut(u64, String)) {
        match self.verify_all(report) {
            Ok(()) => {}
            Err(Error::Corrupt(damage)) => report(damage.offset, damage.what.into_owned()),
            Err(error) => report(0, error.to_string()),
        }
    }

    fn verify_all(self: &Arc<Self>, report: &mut dyn FnMut(u64, String)) -> Result<()> {
        let map = self.open_unshared()?;
        let wrong = |unit: u32, what: &'static str| map.corrupt(unit, what);
        let footer = map.footer();

        let mut is_sound = true;
        let mut report_page = |error: Error| {
            is_sound = false;
            match error {
                Error::Corrupt(damage) => report(damage.offset, damage.what.into_owned()),
                error => report(0, error.to_string()),
            }
        };
        let mut unit = 0;
        while unit < footer.page_units {
            match map.page(unit) {
                Ok(page) => {
                    unit = unit
                        .checked_add(page.header.units)
                        .ok_or_else(|| wrong(unit, "a page is too long"))?;
                }
                Err(error) => {
                    report_page(error);
                    // How long it is can't be known. A page's CRC is seeded with its place, so the next one is told
                    // from whatever looks like it.
                    unit += 1;
                    while unit < footer.page_units && map.page(unit).is_err() {
                        unit += 1;
                    }
                }
            }
        }
        for hash_unit in 0..footer.hash_units {
            if let Err(error) = map.bucket(u64::from(hash_unit) * to_u64(BUCKETS_PER_PAGE)) {
                report_page(error);
            }
        }
        if !is_sound {
            return Ok(());
        }
        // What lies between the pages and the footer is made of pages, every one with its own check.
        let last = map
            .region()
            .bytes(unit_offset(footer.page_units), unit_offset(footer.hash_units));
        let hash_pages = last
            .into_iter()
            .flat_map(|bytes| bytes.chunks(super::page::UNIT_BYTES));
        for page in hash_pages {
            if PageHeader::decode(page).is_none_or(|header| header.level != HASH_LEVEL) {
                return Err(wrong(footer.page_units, "this is no page of the hash index"));
            }
        }
        self.verify_entries()
    }

    /// Through a part of its own, so that nothing counts as checked already.
    fn verify_entries(&self) -> Result<()> {
        let fresh = self.reopened();
        let at_end = |what: &'static str| super::part_map::corrupt(self.meta().file, 0, what);
        let mut cursor = fresh.cursor();
        cursor.seek_first()?;
        let (mut entries, mut tombstones) = (0u64, 0u64);
        let mut previous: Option<(Vec<u8>, u64)> = None;
        while let Some(Entry {
            key,
            seq,
            kind,
            value,
        }) = cursor.entry()
        {
            let first_of_key = match &previous {
                None => true,
                Some((last_key, last_seq)) => {
                    if last_key.as_slice() > key || (last_key == key && *last_seq <= seq) {
                        return Err(at_end("entries are out of order"));
                    }
                    last_key != key
                }
            };
            if first_of_key {
                let found = fresh.get(key, u64::MAX)?;
                if found.is_none_or(|hit| hit.seq != seq || hit.kind != kind || hit.value != value) {
                    return Err(at_end("the hash index does not lead to a key's newest version"));
                }
            }
            entries = entries.saturating_add(1);
            tombstones = tombstones.saturating_add(u64::from(kind == super::TOMBSTONE));
            previous = Some((key.to_vec(), seq));
            cursor.next()?;
        }
        if entries != self.meta().entries || tombstones != self.meta().tombstones {
            return Err(at_end("the number of entries is not what the footer says"));
        }
        Ok(())
    }
}
