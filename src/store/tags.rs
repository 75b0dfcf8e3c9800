//! A set of tags.

use crate::{
    engine::check_tag,
    error::{Error, Result},
    format::{are_tags, MAX_TAGS},
};

/// A set of UTF-8 strings of 1 to 1,024 bytes, up to 1,024 of them, in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    sorted: Vec<String>,
}

impl Tags {
    /// An empty set.
    pub fn new() -> Tags {
        Tags::default()
    }

    /// The set of these.
    pub fn of(tags: &[&str]) -> Result<Tags> {
        let mut set = Tags::new();
        tags.iter().try_for_each(|tag| set.add(tag))?;
        Ok(set)
    }

    /// The set of what a memory or a command was stored with: decoding refuses what is no set.
    pub(crate) fn of_stored(tags: &[&str]) -> Tags {
        let mut set = Tags::new();
        set.fill_stored(tags);
        set
    }

    /// The same, in the room that this set has.
    pub(crate) fn fill_stored(&mut self, tags: &[&str]) {
        debug_assert!(are_tags(tags));
        self.sorted.clear();
        self.sorted.extend(tags.iter().map(|tag| (*tag).to_owned()));
    }

    /// Puts a tag into the set; one that is there already stays there once.
    pub fn add(&mut self, tag: &str) -> Result<()> {
        check_tag(tag)?;
        let Err(place) = self.sorted.binary_search_by(|known| known.as_str().cmp(tag)) else {
            return Ok(());
        };
        if self.sorted.len() == MAX_TAGS {
            return Err(Error::too_large(format!("a set has at most {MAX_TAGS} tags")));
        }
        self.sorted.insert(place, tag.to_owned());
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub fn contains(&self, tag: &str) -> bool {
        self.sorted
            .binary_search_by(|known| known.as_str().cmp(tag))
            .is_ok()
    }

    /// Tag number `index` in byte order.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.sorted.get(index).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(String::as_str)
    }

    pub fn clear(&mut self) {
        self.sorted.clear();
    }
}
