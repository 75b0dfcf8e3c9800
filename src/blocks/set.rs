//! The chunks of a store at one moment. Never changed in place: the engine publishes a new set.

use std::sync::Arc;

use super::Chunk;

/// Chunks in order of their number.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChunkSet {
    /// The number again beside the pointer, so that a search touches no chunk.
    chunks: Vec<(u32, Arc<Chunk>)>,
}

impl ChunkSet {
    pub(crate) fn new() -> ChunkSet {
        ChunkSet::default()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Arc<Chunk>> {
        let index = self.position(number).ok()?;
        self.chunks.get(index).map(|(_, chunk)| chunk)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.chunks.iter().map(|(_, chunk)| chunk)
    }

    /// This set and `chunk`, which takes the place of one with the same number.
    pub(crate) fn with(&self, chunk: Arc<Chunk>) -> ChunkSet {
        let mut chunks = Vec::with_capacity(self.chunks.len().saturating_add(1));
        chunks.extend_from_slice(&self.chunks);
        let entry = (chunk.number(), chunk);
        match self.position(entry.0) {
            Ok(index) => {
                if let Some(place) = chunks.get_mut(index) {
                    *place = entry;
                }
            }
            Err(index) => chunks.insert(index, entry),
        }
        ChunkSet { chunks }
    }

    /// The chunks of this set whose numbers the other one has too.
    pub(crate) fn common(&self, other: &ChunkSet) -> ChunkSet {
        ChunkSet {
            chunks: self
                .chunks
                .iter()
                .filter(|(number, _)| other.position(*number).is_ok())
                .cloned()
                .collect(),
        }
    }

    pub(crate) fn without(&self, number: u32) -> ChunkSet {
        ChunkSet {
            chunks: self
                .chunks
                .iter()
                .filter(|(other, _)| *other != number)
                .cloned()
                .collect(),
        }
    }

    fn position(&self, number: u32) -> Result<usize, usize> {
        self.chunks.binary_search_by_key(&number, |(number, _)| *number)
    }
}

impl FromIterator<Arc<Chunk>> for ChunkSet {
    /// Of two chunks with the same number the later one stays.
    fn from_iter<I: IntoIterator<Item = Arc<Chunk>>>(chunks: I) -> ChunkSet {
        let mut by_number = std::collections::BTreeMap::new();
        for chunk in chunks {
            by_number.insert(chunk.number(), chunk);
        }
        ChunkSet {
            chunks: by_number.into_iter().collect(),
        }
    }
}
