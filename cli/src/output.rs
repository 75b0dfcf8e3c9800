//! What goes to stdout: lines of text, bytes as they are, or a JSON object a line. And the words that go to stderr.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde_json::{Map, Value};

use crate::{
    arguments::Shared,
    bytes::{self, Arrivals, Shape},
    failure::Failure,
};

#[derive(Debug)]
pub struct Output {
    out: BufWriter<Stdout>,
    json: bool,
    quiet: bool,
    shape: Shape,
}

impl Output {
    pub fn new(shared: &Shared) -> Output {
        let shape = match (shared.hex, shared.base64) {
            (true, _) => Shape::Hex,
            (_, true) => Shape::Base64,
            _ => Shape::Text,
        };
        Output {
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            json: shared.json,
            quiet: shared.quiet,
            shape,
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Takes in arguments that are bytes, in the shape that was asked for.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.shape)
    }

    /// Bars and spinners are for people who watch.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }

    pub fn is_watched(&self) -> bool {
        io::stdout().is_terminal()
    }

    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(Failure::of_output)
    }

    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(Failure::of_output)
    }

    /// An object on a line of its own.
    pub fn object(&mut self, object: Map<String, Value>) -> Result<(), Failure> {
        let line = Value::Object(object).to_string();
        self.line(&line)
    }

    /// The JSON object if JSON was asked for, else the text, which may be none.
    pub fn told(&mut self, object: Value, text: Option<&str>) -> Result<(), Failure> {
        if self.json {
            return self.line(&object.to_string());
        }
        match text {
            Some(text) => self.line(text),
            None => Ok(()),
        }
    }

    pub fn shown(&self, bytes: &[u8]) -> String {
        bytes::shown(bytes, self.shape)
    }

    pub fn put(&self, object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
        bytes::put(object, name, bytes, self.shape);
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::of_output)
    }

    /// Something worth knowing that is no result.
    pub fn remark(&self, words: &str) {
        if !self.quiet {
            // There is nowhere left to complain to.
            let _ = writeln!(io::stderr(), "sarsen: {words}");
        }
    }
}

/// An object of JSON from pairs.
pub fn object<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// `1,234,567`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 pair`, `2 pairs`
pub fn counted(number: u64, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", grouped(number))
}

/// `12.3 MiB`
pub fn sized(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut name = "KiB";
    for unit in UNITS {
        name = unit;
        // What would be shown as 1024.0 belongs to the next unit.
        if scaled < 1023.95 {
            break;
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(sized(1_023), "1023 B");
        assert_eq!(sized(1_024), "1.0 KiB");
        assert_eq!(sized((1 << 20) - 1), "1.0 MiB");
        assert_eq!(sized(u64::MAX), "16.0 EiB");
        assert_eq!(counted(1, "pair", "pairs"), "1 pair");
        assert_eq!(counted(0, "pair", "pairs"), "0 pairs");
    }
}
