//! What each byte of a sound store is there for, read with nothing but `docs/FORMAT.md` in hand: so that what the engine
//! says of a damaged byte can be judged.

use std::{collections::BTreeMap, fmt, ops::Range};

use crate::store::{Files, Shape};

/// What a byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A copy of the manifest.
    Manifest,
    /// Log before the checkpoint, which log readers still get; the frame of this commit.
    KeptFrame(u64),
    /// A frame that replay needs and that is durable.
    DurableFrame(u64),
    /// A frame above the newest commit that is proven durable.
    TailFrame(u64),
    Mark,
    ChunkHeader,
    SmallBlock,
    LargeBlock,
    /// A large block of a commit that nothing proves durable.
    TailBlock,
    MovedTable,
    IndexPage,
    HashPage,
    Footer,
    /// Nothing: zeros, leftovers, padding that no check covers.
    Unused,
}

impl Kind {
    /// Damage here changes nothing that anybody is promised.
    pub fn is_idle(self) -> bool {
        matches!(self, Kind::Mark | Kind::Unused)
    }

    /// The same without the commit, for counting.
    pub fn row(self) -> Kind {
        match self {
            Kind::KeptFrame(_) => Kind::KeptFrame(0),
            Kind::DurableFrame(_) => Kind::DurableFrame(0),
            Kind::TailFrame(_) => Kind::TailFrame(0),
            kind => kind,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Manifest => "manifest copy",
            Kind::KeptFrame(_) => "log kept for followers",
            Kind::DurableFrame(_) => "durable log",
            Kind::TailFrame(_) => "log, never durable",
            Kind::Mark => "mark",
            Kind::ChunkHeader => "chunk header",
            Kind::SmallBlock => "small block",
            Kind::LargeBlock => "large block",
            Kind::TailBlock => "large block, never durable",
            Kind::MovedTable => "table of moved blocks",
            Kind::IndexPage => "index page",
            Kind::HashPage => "hash page",
            Kind::Footer => "footer of a part",
            Kind::Unused => "unused",
        })
    }
}

#[derive(Debug, Clone)]
pub struct Span {
    pub bytes: Range<u64>,
    pub kind: Kind,
}

/// Spans of one file, ascending, with nothing between them.
pub type Spans = Vec<Span>;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let bytes = &self.bytes[self.at..self.at + len];
        self.at += len;
        bytes
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u32(&mut self) -> u32 {
        u32_at(self.take(4), 0)
    }

    fn u64(&mut self) -> u64 {
        u64_at(self.take(8), 0)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = self.u64();
        self.take(len as usize)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// What the layout of the other files follows from.
pub struct Manifest {
    uuid: [u8; 16],
    body_len: u64,
    pub checkpoint_seq: u64,
    pub durable_seq: u64,
    first_segment: u64,
    pub first_log_seq: u64,
    chunks: Vec<ChunkMeta>,
    parts: Vec<u64>,
}

struct ChunkMeta {
    number: u32,
    rewrite: u32,
    large: bool,
    len: u64,
    table_offset: u64,
}

impl Manifest {
    pub fn read(file: &[u8]) -> Manifest {
        assert_eq!(&file[..8], b"SARSENMF");
        let body_len = u64_at(file, 16);
        let mut body = Reader { bytes: file, at: 24 };
        let uuid = body.take(16).try_into().expect("sixteen bytes");
        body.take(16);
        let (checkpoint_seq, durable_seq) = (body.u64(), body.u64());
        body.take(20);
        let (first_segment, first_log_seq) = (body.u64(), body.u64());
        body.at = 24 + 164;
        let chunks = (0..body.u64())
            .map(|_| {
                let (number, rewrite) = (body.u32(), body.u32());
                body.take(8);
                let large = body.u8() == 1;
                let (len, table_offset) = (body.u64(), body.u64());
                body.take(16);
                ChunkMeta {
                    number,
                    rewrite,
                    large,
                    len,
                    table_offset,
                }
            })
            .collect();
        let mut parts = Vec::new();
        for _ in 0..body.u64() {
            body.u64();
            for _ in 0..body.u64() {
                parts.push(body.u64());
                body.take(8 + 4 + 8 + 8);
                body.bytes();
                body.bytes();
                body.u64();
            }
            if body.u8() == 1 {
                body.bytes();
            }
            if body.u8() == 1 {
                body.u64();
            }
        }
        assert_eq!(body.at as u64, 24 + body_len, "the manifest's body is read whole");
        Manifest {
            uuid,
            body_len,
            checkpoint_seq,
            durable_seq,
            first_segment,
            first_log_seq,
            chunks,
            parts,
        }
    }
}

impl Manifest {
    /// The newest commit that the frames and marks of a segment say was durable.
    pub fn proven_by_segment(&self, name: &str, bytes: &[u8]) -> u64 {
        let number = segment_number(name);
        let durable = |at: usize| match bytes.get(at..at + 32) {
            Some(mark) if mark.starts_with(b"SMRK") => {
                (u32_at(mark, 4) == self.seeded(number, &[&mark[8..]])).then(|| u64_at(mark, 16))
            }
            _ => self.frame_at(number, bytes, at).map(|frame| frame.durable_seq),
        };
        let places = (0..bytes.len()).step_by(8);
        places.filter_map(durable).max().unwrap_or(0)
    }

    fn seeded(&self, segment: u64, covered: &[&[u8]]) -> u32 {
        let crc = crc32c::crc32c(&self.uuid);
        let crc = crc32c::crc32c_append(crc, &segment.to_le_bytes());
        covered
            .iter()
            .fold(crc, |crc, bytes| crc32c::crc32c_append(crc, bytes))
    }

    /// A frame whose header is right.
    fn frame_at(&self, segment: u64, bytes: &[u8], at: usize) -> Option<FrameAt> {
        let header = bytes
            .get(at..at + 64)
            .filter(|header| header.starts_with(b"SFRM"))?;
        let assigned_len = u32_at(header, 44) as usize;
        let commands_len = (u64_at(header, 48) as usize).next_multiple_of(8);
        let len = 64 + assigned_len + commands_len + u64_at(header, 56) as usize;
        let assigned = bytes.get(at + 64..at + len)?.get(..assigned_len)?;
        (u32_at(header, 4) == self.seeded(segment, &[&header[8..], assigned])).then(|| FrameAt {
            seq: u64_at(header, 8),
            durable_seq: u64_at(header, 24),
            len,
        })
    }
}

struct FrameAt {
    seq: u64,
    durable_seq: u64,
    len: usize,
}

fn segment_number(name: &str) -> u64 {
    let digits = name.trim_start_matches("log/").trim_end_matches(".log");
    digits.parse().expect("a segment's number")
}

/// The spans of each file of a shape.
pub fn layout(shape: &Shape) -> BTreeMap<String, Spans> {
    let files = shape.files();
    let manifest = Manifest::read(&files["MANIFEST"]);
    let mut spans = BTreeMap::new();
    for (name, bytes) in &files {
        let mut found = match name.split_once('/') {
            None if name == "MANIFEST" => manifest_spans(&manifest, bytes),
            Some(("log", _)) => segment_spans(shape, &manifest, name, bytes),
            Some(("blocks", _)) => chunk_spans(shape, &manifest, name, bytes),
            Some(("index", _)) => part_spans(&manifest, name, bytes),
            _ => Vec::new(),
        };
        fill_up(&mut found, bytes.len() as u64);
        spans.insert(name.clone(), found);
    }
    check_coverage(&files, &spans);
    spans
}

/// The span that a byte of a file lies in.
pub fn span_at(spans: &Spans, offset: u64) -> &Span {
    let index = spans.partition_point(|span| span.bytes.end <= offset);
    &spans[index]
}

fn fill_up(spans: &mut Spans, len: u64) {
    let mut whole: Spans = Vec::new();
    let mut at = 0;
    spans.sort_by_key(|span| span.bytes.start);
    for span in spans.drain(..) {
        assert!(span.bytes.start >= at, "spans overlap: {whole:?} {span:?}");
        if span.bytes.start > at {
            whole.push(Span {
                bytes: at..span.bytes.start,
                kind: Kind::Unused,
            });
        }
        at = span.bytes.end;
        whole.push(span);
    }
    if at < len {
        whole.push(Span {
            bytes: at..len,
            kind: Kind::Unused,
        });
    }
    *spans = whole;
}

/// A layout that takes too much for unused would let damage pass.
fn check_coverage(files: &Files, spans: &BTreeMap<String, Spans>) {
    for (name, bytes) in files.iter().filter(|(name, _)| !name.starts_with("log/")) {
        for span in spans[name].iter().filter(|span| span.kind == Kind::Unused) {
            let unused = &bytes[span.bytes.start as usize..span.bytes.end as usize];
            assert!(
                unused.iter().all(|byte| *byte == 0),
                "{name}: {:?} is not unused",
                span.bytes
            );
        }
    }
}

fn manifest_spans(manifest: &Manifest, bytes: &[u8]) -> Spans {
    let half = bytes.len() as u64 / 2;
    [0, half]
        .into_iter()
        .map(|start| Span {
            bytes: start..start + 24 + manifest.body_len,
            kind: Kind::Manifest,
        })
        .collect()
}

fn segment_spans(shape: &Shape, manifest: &Manifest, name: &str, bytes: &[u8]) -> Spans {
    let number = segment_number(name);
    let mut spans = Vec::new();
    if number < manifest.first_segment {
        return spans;
    }
    let mut at = 0;
    while let Some(FrameAt { seq, len, .. }) = manifest.frame_at(number, bytes, at) {
        let kind = if seq > shape.durable {
            Kind::TailFrame(seq)
        } else if seq > manifest.checkpoint_seq {
            Kind::DurableFrame(seq)
        } else if seq >= manifest.first_log_seq {
            Kind::KeptFrame(seq)
        } else {
            Kind::Unused
        };
        spans.push(Span {
            bytes: at as u64..(at + len) as u64,
            kind,
        });
        at += len;
    }
    if bytes.len() - at >= 32 && &bytes[at..at + 4] == b"SMRK" {
        assert_eq!(
            u32_at(bytes, at + 4),
            manifest.seeded(number, &[&bytes[at + 8..at + 32]])
        );
        spans.push(Span {
            bytes: at as u64..at as u64 + 32,
            kind: Kind::Mark,
        });
    }
    spans
}

fn chunk_spans(shape: &Shape, manifest: &Manifest, name: &str, bytes: &[u8]) -> Spans {
    let meta = manifest.chunks.iter().find(|meta| {
        let name_of = match meta.rewrite {
            0 => format!("blocks/chunk_{:04}.bin", meta.number),
            rewrite => format!("blocks/chunk_{:04}.r{rewrite}.bin", meta.number),
        };
        name_of == name
    });
    let durable_len = shape.durable_lens.get(name).copied().unwrap_or(0);
    let large = meta.is_none_or(|meta| meta.large);
    let header_kind = match meta {
        // Nothing proves that the chunk is there at all.
        None if durable_len == 0 => Kind::TailBlock,
        _ => Kind::ChunkHeader,
    };
    let mut spans = vec![Span {
        bytes: 0..32,
        kind: header_kind,
    }];
    let end = meta
        .filter(|meta| meta.rewrite > 0)
        .map_or(bytes.len() as u64, |meta| meta.table_offset);
    // A small block behind `len` is one that the checkpoint did not take in.
    let end = meta
        .filter(|meta| !meta.large)
        .map_or(end, |meta| end.min(meta.len));
    let mut at: u64 = if large { 4_096 } else { 32 };
    while at < end {
        let header = &bytes[at as usize..];
        let magic: &[u8; 4] = if large { b"LBLK" } else { b"SBLK" };
        assert_eq!(&header[..4], magic, "{name}: no block at {at}");
        let (len, extra) = (u64_at(header, 8), u64::from(u32_at(header, 20)));
        let total = if large {
            (24 + extra).next_multiple_of(4_096) + len.next_multiple_of(4_096)
        } else {
            (24 + extra + len).next_multiple_of(8)
        };
        let rewritten = meta.is_some_and(|meta| meta.rewrite > 0);
        let kind = match large {
            false => Kind::SmallBlock,
            true if !rewritten && at >= durable_len => Kind::TailBlock,
            true => Kind::LargeBlock,
        };
        spans.push(Span {
            bytes: at..(at + total).min(bytes.len() as u64),
            kind,
        });
        at += total;
    }
    if let Some(meta) = meta.filter(|meta| meta.rewrite > 0) {
        assert_eq!(&bytes[meta.table_offset as usize..][..4], b"SMOV");
        spans.push(Span {
            bytes: meta.table_offset..bytes.len() as u64,
            kind: Kind::MovedTable,
        });
    }
    spans
}

fn part_spans(manifest: &Manifest, name: &str, bytes: &[u8]) -> Spans {
    let digits = name.trim_start_matches("index/").trim_end_matches(".run");
    let number: u64 = digits.parse().expect("a part's number");
    if !manifest.parts.contains(&number) {
        return Vec::new();
    }
    let len = bytes.len() as u64;
    let footer = len - u64::from(u32_at(bytes, bytes.len() - 8)) * 4_096;
    let pages_end = u64::from(u32_at(&bytes[footer as usize..], 56)) * 4_096;
    let span = |bytes, kind| Span { bytes, kind };
    vec![
        span(0..pages_end, Kind::IndexPage),
        span(pages_end..footer, Kind::HashPage),
        span(footer..len, Kind::Footer),
    ]
}
