//! What fuzzing asks of each decoder here, whatever the bytes: an answer, and one that agrees with the encoder. The
//! fuzzer and `tests/fuzz_findings.rs` call these; a broken promise is a panic. Built with the feature `simulation`.
//!
//! Where a CRC stands in front of a decoder, the first byte of the input chooses: bytes as they are, bytes whose CRCs
//! are put right first, or a structure that is built from the bytes, with lengths that fit.

mod blocks;
mod frames;
mod records;

pub use blocks::{block_header, chunk_header};
pub(crate) use frames::sample_commands;
pub use frames::{assigned, commands, frame, mark};
pub use records::{load, manifest, record};

use super::bytes::Reader;

/// A name and an input to start from.
pub type Seed = (&'static str, Vec<u8>);

/// Inputs for one of these, by its name.
pub fn seeds(target: &str) -> Vec<Seed> {
    match target {
        "frame" => frames::frame_seeds(),
        "mark" => frames::mark_seeds(),
        "assigned" => frames::assigned_seeds(),
        "commands" => frames::commands_seeds(),
        "block_header" => blocks::block_header_seeds(),
        "chunk_header" => blocks::chunk_header_seeds(),
        "manifest" => records::manifest_seeds(),
        "record" => records::record_seeds(),
        "load" => records::load_seeds(),
        _ => Vec::new(),
    }
}

/// How the bytes behind the first one are to be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Raw,
    Repaired,
    Built,
}

pub(crate) fn mode(input: &[u8]) -> Option<(Mode, &[u8])> {
    let (first, rest) = input.split_first()?;
    let mode = match first % 3 {
        0 => Mode::Raw,
        1 => Mode::Repaired,
        _ => Mode::Built,
    };
    Some((mode, rest))
}

/// Numbers taken off the front of the input, zeros once it is used up.
pub(crate) struct Numbers<'a>(pub(crate) Reader<'a>);

impl<'a> Numbers<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Numbers<'a> {
        Numbers(Reader::new(bytes))
    }

    /// The last bytes may be too few; they are used up all the same.
    fn or_all<T: Default>(&mut self, number: Option<T>) -> T {
        number.unwrap_or_else(|| {
            self.0 = Reader::new(&[]);
            T::default()
        })
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let number = self.0.u8();
        self.or_all(number)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        let number = self.0.u16();
        self.or_all(number)
    }

    pub(crate) fn u32(&mut self) -> u32 {
        let number = self.0.u32();
        self.or_all(number)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        let number = self.0.u64();
        self.or_all(number)
    }

    /// At most `most` bytes, as many as the next number says and the input has.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = usize::from(self.u16()).min(most).min(self.0.rest().len());
        self.0.take(len).unwrap_or_default()
    }
}

/// Puts bytes into a structure, as far as it reaches.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(value);
    }
}
