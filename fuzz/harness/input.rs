//! The fuzzer's bytes as a source of choices. Zeros once they are used up.

pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// As many as there are, at most `len`.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn number<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
        bytes
    }

    pub fn u8(&mut self) -> u8 {
        let [byte] = self.number();
        byte
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.number())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.number())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.number())
    }

    /// Below `bound`, which is not 0 and fits into a byte.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// A number near one of the ends that numbers have.
    pub fn edge(&mut self) -> u64 {
        const ENDS: [u64; 12] = [
            0,
            1 << 7,
            1 << 8,
            1 << 15,
            1 << 16,
            1 << 31,
            1 << 32,
            1 << 34,
            1 << 47,
            1 << 62,
            1 << 63,
            u64::MAX,
        ];
        let end = ENDS[self.below(ENDS.len())];
        let near = self.u8();
        match near & 1 {
            0 => end.wrapping_add(u64::from(near >> 1)),
            _ => end.wrapping_sub(u64::from(near >> 1)),
        }
    }
}
