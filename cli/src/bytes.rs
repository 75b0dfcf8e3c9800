//! Bytes as people write and read them. Keys and names are text with escapes for whatever is no text; values are taken
//! as they stand. Either may come from a file or from stdin, and be hex or base64 instead.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use serde_json::{Map, Value};

use crate::failure::Failure;

/// How bytes are written in arguments and in what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Hex,
    Base64,
}

/// Takes arguments in; stdin can be had once only.
#[derive(Debug)]
pub struct Arrivals {
    shape: Shape,
    stdin_taken: bool,
}

impl Arrivals {
    pub fn new(shape: Shape) -> Arrivals {
        Arrivals {
            shape,
            stdin_taken: false,
        }
    }

    /// A key, or the name of a stream: escapes count.
    pub fn key(&mut self, argument: &OsStr) -> Result<Vec<u8>, Failure> {
        self.take(argument, unescape)
    }

    /// A value: a backslash is a backslash.
    pub fn value(&mut self, argument: &OsStr) -> Result<Vec<u8>, Failure> {
        self.take(argument, |bytes| Ok(bytes.to_vec()))
    }

    fn take(
        &mut self,
        argument: &OsStr,
        text: impl FnOnce(&[u8]) -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Failure> {
        match argument.as_bytes() {
            b"-" => self.stdin(),
            [b'@', b'@', rest @ ..] => text(&[b"@", rest].concat()),
            [b'@', path @ ..] => {
                let path = Path::new(OsStr::from_bytes(path));
                fs::read(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => Failure::Usage(format!(
                        "@{0} is the contents of the file {0}, which is not there; bytes that begin with @ are \
                         written @@",
                        path.display()
                    )),
                    _ => Failure::of_file("read", path, error),
                })
            }
            bytes => match self.shape {
                Shape::Text => text(bytes),
                Shape::Hex => from_hex(bytes),
                Shape::Base64 => from_base64(bytes),
            },
        }
    }

    fn stdin(&mut self) -> Result<Vec<u8>, Failure> {
        if self.stdin_taken {
            return Err(Failure::Usage(
                "only one argument can be -, since there is one stdin".to_owned(),
            ));
        }
        self.stdin_taken = true;
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::of_file("read", Path::new("stdin"), error))?;
        Ok(bytes)
    }
}

/// Bytes on a line of output.
pub fn shown(bytes: &[u8], shape: Shape) -> String {
    match shape {
        Shape::Text => escape(bytes),
        Shape::Hex => to_hex(bytes),
        Shape::Base64 => to_base64(bytes),
    }
}

/// Puts bytes into a JSON object: under `name` where they are text, else under `name_base64`, or as was asked for.
pub fn put(object: &mut Map<String, Value>, name: &str, bytes: &[u8], shape: Shape) {
    let (name, text) = match (shape, std::str::from_utf8(bytes)) {
        (Shape::Text, Ok(text)) => (name.to_owned(), text.to_owned()),
        (Shape::Text | Shape::Base64, _) => (format!("{name}_base64"), to_base64(bytes)),
        (Shape::Hex, _) => (format!("{name}_hex"), to_hex(bytes)),
    };
    object.insert(name, Value::String(text));
}

/// What `put` put, in whatever shape. An error says what is wrong.
pub fn taken(object: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let wrong = |failure: Failure| format!("{name}: {failure}");
    if let Some(text) = text(name) {
        return Ok(text.as_bytes().to_vec());
    }
    if let Some(text) = text(&format!("{name}_base64")) {
        return from_base64(text.as_bytes()).map_err(wrong);
    }
    if let Some(text) = text(&format!("{name}_hex")) {
        return from_hex(text.as_bytes()).map_err(wrong);
    }
    Err(format!("neither {name} nor {name}_base64 is there"))
}

/// Text that stays on one line and says which bytes they are: `unescape` gives them back.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let hex = |byte: u8, out: &mut String| out.push_str(&format!("\\x{byte:02x}"));
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                letter if is_hidden(letter) => {
                    let mut place = [0; 4];
                    letter
                        .encode_utf8(&mut place)
                        .bytes()
                        .for_each(|byte| hex(byte, &mut out));
                }
                letter => out.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| hex(*byte, &mut out));
    }
    out
}

/// Steers a terminal, or makes a line look like something else than it is.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The bytes that `escape` wrote.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let told = rest.next();
        let meant = match told {
            Some(b'\\') => Some(b'\\'),
            Some(b'n') => Some(b'\n'),
            Some(b'r') => Some(b'\r'),
            Some(b't') => Some(b'\t'),
            Some(b'x') => rest
                .next()
                .and_then(nibble)
                .zip(rest.next().and_then(nibble))
                .map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(meant.ok_or_else(|| {
            Failure::Usage(format!(
                "{}: an escape is one of \\\\ \\n \\r \\t \\xNN; a backslash itself is written \\\\",
                String::from_utf8_lossy(text)
            ))
        })?);
    }
    Ok(out)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn from_hex(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let (pairs, odd) = text.as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect::<Option<Vec<u8>>>();
    bytes.filter(|_| odd.is_empty()).ok_or_else(|| {
        Failure::Usage(format!(
            "{} is no hex: two digits a byte",
            String::from_utf8_lossy(text)
        ))
    })
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, with padding.
pub fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from(bits >> shift & 63)
                .ok()
                .and_then(|digit| BASE64.get(digit));
            out.push(match digit {
                Some(digit) if place <= group.len() => char::from(*digit),
                _ => '=',
            });
        }
    }
    out
}

/// Only what `to_base64` writes: padded, and no bits that say nothing.
pub fn from_base64(text: &[u8]) -> Result<Vec<u8>, Failure> {
    decode_base64(text).ok_or_else(|| {
        Failure::Usage(format!(
            "{} is no base64 as RFC 4648 has it, with padding",
            String::from_utf8_lossy(text)
        ))
    })
}

fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, odd) = text.as_chunks::<4>();
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for (number, group) in groups.iter().enumerate() {
        let digits = group.iter().take_while(|digit| **digit != b'=').count();
        let padded = group.iter().skip(digits).all(|digit| *digit == b'=');
        let last = number + 1 == groups.len();
        if digits < 2 || !padded || (digits < 4 && !last) {
            return None;
        }
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | digit_value(*digit).unwrap_or(0);
        }
        if group
            .iter()
            .take(digits)
            .any(|digit| digit_value(*digit).is_none())
        {
            return None;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (held, lost) = bytes.split_at_checked(digits - 1)?;
        if lost.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(held);
    }
    odd.is_empty().then_some(out)
}

fn digit_value(digit: u8) -> Option<u32> {
    let place = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let mut samples: Vec<Vec<u8>> = (0..=300usize)
            .map(|len| (0..len).map(|at| (at * 7 + len) as u8).collect())
            .collect();
        samples.push("Größe\t\\ \u{202e}x\u{1f5ff}\n".as_bytes().to_vec());
        samples.push(vec![0xff, 0xc3, 0x28, 0xe2, 0x82]);
        samples
    }

    #[test]
    fn whatever_the_bytes_each_shape_gives_them_back() {
        for bytes in samples() {
            assert_eq!(unescape(escape(&bytes).as_bytes()).unwrap(), bytes);
            assert_eq!(from_hex(to_hex(&bytes).as_bytes()).unwrap(), bytes);
            assert_eq!(from_base64(to_base64(&bytes).as_bytes()).unwrap(), bytes);
            for shape in [Shape::Text, Shape::Hex, Shape::Base64] {
                let mut object = Map::new();
                put(&mut object, "key", &bytes, shape);
                assert_eq!(taken(&object, "key").unwrap(), bytes);
            }
        }
    }

    #[test]
    fn escaped_text_has_nothing_in_it_that_steers_a_terminal() {
        for bytes in samples() {
            assert!(!escape(&bytes).chars().any(is_hidden));
        }
        assert_eq!(escape(b"a\\b\x00\xff\n"), "a\\\\b\\x00\\xff\\n");
        assert_eq!(escape("Größe".as_bytes()), "Größe");
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ];
        for (text, encoded) in pairs {
            assert_eq!(to_base64(text.as_bytes()), encoded);
        }
        for wrong in [
            "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "=Zg=", "Zm9v====", "Z-9v", "Zm 9",
        ] {
            assert!(decode_base64(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_escape_and_no_hex_is_refused() {
        for wrong in ["\\", "\\q", "\\x", "\\x1", "\\x1g", "C:\\dir"] {
            assert!(unescape(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for wrong in ["a", "0g", "0x00", " 00"] {
            assert!(from_hex(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
