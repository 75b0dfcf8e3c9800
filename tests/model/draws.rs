//! What the model test draws at random: lengths at the limits of every way to store a value, keys that are prefixes of
//! each other, empty, of 0xff bytes or as long as they may be. The same seed draws the same again.

use std::rc::Rc;

/// Bytes of a value, a record or a block, shared by the models that hold them.
pub type Content = Rc<[u8]>;

pub const LONGEST_KEY: usize = 65_535;

/// Around the limits: inline up to 1 KiB, small up to 32 KiB, a CRC for each 64 KiB beyond that.
const LENGTHS: [usize; 24] = [
    0, 0, 1, 3, 7, 8, 9, 40, 200, 1_023, 1_024, 1_025, 1_500, 4_072, 4_096, 9_000, 32_767, 32_768, 32_769,
    40_000, 65_535, 65_536, 65_537, 131_080,
];

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
    keys: Rc<[Vec<u8>]>,
    /// Choices that somebody else makes, and how many of them are used.
    given: Rc<[u8]>,
    used: usize,
}

impl Draws {
    /// The first choices are those of `given`, a byte each.
    pub fn new(seed: u64, given: &[u8]) -> Draws {
        let mut draws = Draws {
            state: seed.wrapping_mul(0x2545_f491_4f6c_dd1d),
            keys: Rc::from([]),
            given: Rc::from([]),
            used: 0,
        };
        draws.keys = draws.some_keys().into();
        draws.given = given.into();
        draws
    }

    pub fn next(&mut self) -> u64 {
        if let Some(byte) = self.given.get(self.used) {
            self.used += 1;
            return u64::from(*byte);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("a usize fits")).expect("below a usize")
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        from.get(self.below(from.len()))
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Mostly short; now and then just zeros, or a repeated 0xff.
    pub fn content(&mut self) -> Content {
        let limit = if self.one_in(4) { LENGTHS.len() } else { 14 };
        let len = LENGTHS[self.below(limit)];
        match self.below(12) {
            0 => vec![0; len].into(),
            1 => vec![0xff; len].into(),
            _ => self.bytes(len).into(),
        }
    }

    /// The keys that a run uses again and again.
    pub fn all_keys(&self) -> Rc<[Vec<u8>]> {
        Rc::clone(&self.keys)
    }

    fn some_keys(&mut self) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = vec![
            Vec::new(),
            vec![0],
            vec![0, 0],
            vec![0xff],
            vec![0xff; 2],
            vec![0xff; 40],
        ];
        // Every key up to three of these bytes is a prefix or a neighbour of others.
        let alphabet = [0, b'a', 0xfe, 0xff];
        for _ in 0..40 {
            let len = 1 + self.below(4);
            keys.push((0..len).map(|_| alphabet[self.below(4)]).collect());
        }
        for number in 0..90 {
            keys.push(format!("key {number:04}").into_bytes());
        }
        // Beyond what index pages share as a prefix, and beyond what fits into a page.
        for len in [127, 128, 1_023, 1_024, 1_025, 4_090, 17_000] {
            for last in [0, b'm', 0xff] {
                let mut key = vec![b'p'; len];
                key.push(last);
                keys.push(key);
            }
        }
        for byte in [0, b'z', 0xff] {
            keys.push(vec![byte; LONGEST_KEY]);
            keys.push(vec![byte; LONGEST_KEY - 1]);
        }
        let mut last_differs = vec![b'z'; LONGEST_KEY];
        last_differs[LONGEST_KEY - 1] = b'y';
        keys.push(last_differs);
        keys.sort();
        keys.dedup();
        keys
    }

    /// One of the run's keys; a long one only now and then, or nothing else would fit into memory.
    pub fn key(&mut self) -> Vec<u8> {
        let keys = Rc::clone(&self.keys);
        loop {
            let key = &keys[self.below(keys.len())];
            if key.len() < 10_000 || self.one_in(8) {
                return key.clone();
            }
        }
    }

    /// Something that a key begins with, or just follows.
    pub fn prefix(&mut self) -> Vec<u8> {
        let mut key = self.key();
        let len = if self.one_in(3) {
            self.below(key.len() + 1)
        } else {
            self.below(key.len().min(5) + 1)
        };
        key.truncate(len);
        if self.one_in(6) && key.len() < LONGEST_KEY {
            key.push([0, 0xfe, 0xff][self.below(3)]);
        }
        key
    }

    pub fn id(&mut self) -> u64 {
        const ENDS: [u64; 5] = [0, 1, 255, u64::MAX - 1, u64::MAX];
        match self.below(6) {
            0 => ENDS[self.below(5)],
            1 => 256 + self.next() % 3 * 256,
            _ => 1_000 + self.next() % 50,
        }
    }

    /// A stream's name. Few, so that they grow and are trimmed often.
    pub fn name(&mut self) -> Vec<u8> {
        match self.below(14) {
            0 => Vec::new(),
            1 => vec![0xff; 3],
            2 => vec![b's'; LONGEST_KEY],
            3 => b"s".to_vec(),
            number => format!("s{}", number % 5).into_bytes(),
        }
    }

    pub fn tag(&mut self) -> String {
        match self.below(12) {
            0 => "t".repeat(1_024),
            1 => "t".repeat(1_023),
            2 => "\u{1F980}".to_owned(),
            3 => "\0".to_owned(),
            number => "abcab"[..1 + number % 5].to_owned(),
        }
    }

    pub fn tags(&mut self, most: usize) -> Vec<String> {
        let count = self.below(most + 1);
        let mut tags: Vec<String> = (0..count).map(|_| self.tag()).collect();
        tags.sort();
        tags.dedup();
        tags
    }
}
