//! Streams: per name, records numbered from 0 without gaps.

use std::sync::Arc;

use super::{
    check_key, check_open,
    kv::{length_u32, Filled, Filler},
    snapshot::view_of,
    Snapshot, Store, View,
};
use crate::{
    engine::{self, Engine, StreamState},
    error::{Error, Result},
    format::record::{self, kind, StreamBounds},
    index::Scan,
};

/// A stream as a view sees it.
struct Found {
    stream_id: u64,
    first: u64,
    next: u64,
}

fn malformed() -> Error {
    Error::corrupt("index", 0, "a stream record's entry makes no sense")
}

fn find(view: &engine::View, name: &[u8]) -> Result<Found> {
    check_key(name)?;
    match StreamState::read(view, name)? {
        StreamState::There {
            stream_id,
            first,
            next,
        } => Ok(Found {
            stream_id,
            first,
            next,
        }),
        StreamState::Missing => Err(Error::NotFound),
    }
}

impl Store {
    /// First index, and the one the next record gets. `NotFound`: no such stream.
    pub fn stream_bounds(&self, snapshot: Option<&Snapshot>, name: &[u8]) -> Result<(u64, u64)> {
        self.check_open()?;
        let found = find(&view_of(&self.engine, snapshot), name)?;
        Ok((found.first, found.next))
    }

    /// Record number `index`, in place.
    pub fn stream_get(&self, snapshot: Option<&Snapshot>, name: &[u8], index: u64) -> Result<View> {
        self.check_open()?;
        let view = view_of(&self.engine, snapshot);
        let found = find(&view, name)?;
        if index < found.first || index >= found.next {
            return Err(Error::NotFound);
        }
        let hit = view
            .get(&record::stream_record_key(found.stream_id, index))?
            .ok_or_else(|| Error::corrupt("index", 0, "a record within its stream's bounds is missing"))?;
        if hit.kind == kind::STREAM_INLINE {
            return View::of_hit(&self.engine, &hit);
        }
        let block = record::block_of(hit.kind, hit.value).ok_or_else(malformed)?;
        Ok(View::of_block(&self.engine, &view.block(&block)?))
    }

    /// Records from `from`, or the first one there is, on.
    pub fn stream_read(&self, snapshot: Option<&Snapshot>, name: &[u8], from: u64) -> Result<StreamIter> {
        self.check_open()?;
        let view = view_of(&self.engine, snapshot);
        let found = find(&view, name)?;
        let lower = record::stream_record_key(found.stream_id, from.max(found.first).min(found.next));
        let upper = record::stream_record_key(found.stream_id, found.next);
        let scan = view.scan(lower, Some(upper), false);
        Ok(StreamIter {
            engine: Arc::clone(&self.engine),
            view,
            scan,
            ahead: false,
            failed: None,
            index: 0,
            block: None,
        })
    }

    /// Streams whose names start with `prefix`, in byte order.
    pub fn stream_list(&self, snapshot: Option<&Snapshot>, prefix: &[u8]) -> Result<StreamNames> {
        self.check_open()?;
        check_key(prefix)?;
        let view = view_of(&self.engine, snapshot);
        let scan = view.scan_prefix(record::stream_name_key(prefix), false);
        Ok(StreamNames {
            engine: Arc::clone(&self.engine),
            view,
            scan,
            bounds: StreamBounds { first: 0, next: 0 },
        })
    }
}

/// A walk along one stream. Sees one snapshot throughout. One thread at a time.
#[derive(Debug)]
pub struct StreamIter {
    engine: Arc<Engine>,
    view: engine::View,
    scan: Scan,
    ahead: bool,
    /// What the next call says: the record that it stands for is behind those that were handed out.
    failed: Option<Error>,
    index: u64,
    /// The current record, where it is a block.
    block: Option<View>,
}

impl StreamIter {
    /// To the next record; false: there is none.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and lends what it finds"
    )]
    pub fn next(&mut self) -> Result<bool> {
        let found = self.look_ahead()?;
        self.ahead = false;
        Ok(found)
    }

    /// Does what `next` does where that takes nothing but memory which this iterator holds, so that it may go on while
    /// the store is being closed. If not, no record was passed by.
    #[inline(always)]
    pub(crate) fn next_in_page(&mut self) -> bool {
        if self.ahead
            || self.failed.is_some()
            || self.block.is_some()
            || !self.scan.next_in_page(kind::STREAM_INLINE)
        {
            return false;
        }
        match self
            .scan
            .entry()
            .and_then(|entry| record::index_of_record(entry.key))
        {
            Some(index) => self.index = index,
            None => self.failed = Some(malformed()),
        }
        self.failed.is_none()
    }

    fn look_ahead(&mut self) -> Result<bool> {
        check_open(&self.engine)?;
        if self.ahead || self.next_in_page() {
            self.ahead = true;
            return Ok(true);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let previous = self.block.take();
        if !self.scan.next()? {
            return Ok(false);
        }
        let entry = self.scan.entry().ok_or_else(malformed)?;
        self.index = record::index_of_record(entry.key).ok_or_else(malformed)?;
        if entry.kind != kind::STREAM_INLINE {
            let block = record::block_of(entry.kind, entry.value).ok_or_else(malformed)?;
            let slice = self.view.block(&block)?;
            self.block = Some(View::moved_to(previous, &self.engine, &slice));
        }
        self.ahead = true;
        Ok(true)
    }

    /// Of the current record.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The current record; good until the next call.
    pub fn record(&self) -> &[u8] {
        let inline = || self.scan.entry().map(|entry| entry.value).unwrap_or_default();
        self.block.as_ref().map_or_else(inline, View::bytes)
    }

    /// Writes as many whole records as fit: u64 index, u32 length, bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<Filled> {
        let mut filler = Filler::new(buffer);
        while filler.before(self.look_ahead(), &mut self.failed)? {
            let record = self.record();
            let length = length_u32(record)?.to_le_bytes();
            if !filler.put(&[&self.index.to_le_bytes(), &length, record]) {
                break;
            }
            self.ahead = false;
        }
        Ok(filler.filled(self.ahead))
    }
}

/// A walk over streams. One thread at a time.
#[derive(Debug)]
pub struct StreamNames {
    engine: Arc<Engine>,
    view: engine::View,
    scan: Scan,
    bounds: StreamBounds,
}

impl StreamNames {
    /// To the next stream; false: there is none.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and lends what it finds"
    )]
    pub fn next(&mut self) -> Result<bool> {
        check_open(&self.engine)?;
        if !self.scan.next()? {
            return Ok(false);
        }
        let malformed = || Error::corrupt("index", 0, "a stream's entry makes no sense");
        let entry = self.scan.entry().ok_or_else(malformed)?;
        let stream_id = record::decode_stream_id(entry.value).ok_or_else(malformed)?;
        let hit = self
            .view
            .get(&record::stream_bounds_key(stream_id))?
            .ok_or_else(malformed)?;
        self.bounds = StreamBounds::decode(hit.value).ok_or_else(malformed)?;
        Ok(true)
    }

    /// Good until the next call.
    pub fn name(&self) -> &[u8] {
        self.scan
            .entry()
            .and_then(|entry| entry.key.get(1..))
            .unwrap_or_default()
    }

    pub fn first(&self) -> u64 {
        self.bounds.first
    }

    /// Index that the next record gets.
    pub fn next_index(&self) -> u64 {
        self.bounds.next
    }
}
