//! Fields of a file, one behind the other.

use crate::record::{read_varint, read_varlong};

/// Fields that belong together: a batch, a record, an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is, in a few words.
    pub title: String,
    /// `Some` for what is inside a compressed batch: its fields are no bytes of the file, and their places count from
    /// the beginning of what was decompressed.
    pub inside: Option<&'static str>,
    /// The fields, without gaps.
    pub fields: Vec<Field>,
}

/// A field: bytes that have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first byte, counted from the beginning of the file, or of what was decompressed.
    pub at: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Kafka's name for it.
    pub name: &'static str,
    /// What it says.
    pub value: Value,
    /// What that means; may be empty.
    pub meaning: String,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A checksum.
    Checksum(u32),
    /// Bytes of the user's, which may be text.
    Bytes(Vec<u8>),
    /// A line of text.
    Text(String),
    /// Bytes that could not be read.
    Unreadable,
}

/// Reads fields and keeps account of them.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where `bytes` begin.
    origin: u64,
    done: Vec<Field>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], origin: u64) -> Self {
        Fields { bytes, at: 0, origin, done: Vec::new() }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes, without taking them.
    pub(super) fn peek(&self, len: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.at..self.at.checked_add(len)?)
    }

    /// Keeps the bytes from `from` to here as a field.
    fn keep(&mut self, from: usize, name: &'static str, value: Value, meaning: String) {
        let bytes = self.bytes[from..self.at].to_vec();
        self.done.push(Field { at: self.origin + from as u64, bytes, name, value, meaning });
    }

    /// A big-endian number of `N` bytes, with a sign.
    pub(super) fn number<const N: usize>(
        &mut self,
        name: &'static str,
        meaning: impl FnOnce(i64) -> String,
    ) -> Option<i64> {
        let from = self.at;
        let bytes = self.bytes.get(from..from + N)?;
        let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        let value = bytes.iter().fold(sign, |value: i64, byte| value << 8 | i64::from(*byte));
        self.at += N;
        self.keep(from, name, Value::Number(value), meaning(value));
        Some(value)
    }

    /// A checksum of four bytes.
    pub(super) fn checksum(&mut self, name: &'static str, meaning: impl FnOnce(u32) -> String) -> Option<u32> {
        let from = self.at;
        let bytes = self.bytes.get(from..from + 4)?;
        let value = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        self.at += 4;
        self.keep(from, name, Value::Checksum(value), meaning(value));
        Some(value)
    }

    /// A zigzag number of up to 5 bytes.
    pub(super) fn varint(&mut self, name: &'static str, meaning: impl FnOnce(i32) -> String) -> Option<i32> {
        let from = self.at;
        let value = read_varint(self.bytes, &mut self.at)?;
        self.keep(from, name, Value::Number(i64::from(value)), meaning(value));
        Some(value)
    }

    /// A zigzag number of up to 10 bytes.
    pub(super) fn varlong(&mut self, name: &'static str, meaning: impl FnOnce(i64) -> String) -> Option<i64> {
        let from = self.at;
        let value = read_varlong(self.bytes, &mut self.at)?;
        self.keep(from, name, Value::Number(value), meaning(value));
        Some(value)
    }

    /// So many bytes, as they are. No field when there are none.
    pub(super) fn raw(&mut self, name: &'static str, len: usize, meaning: String) -> Option<&'a [u8]> {
        let from = self.at;
        let bytes = self.bytes.get(from..from.checked_add(len)?)?;
        self.at += len;
        if len > 0 {
            self.keep(from, name, Value::Bytes(bytes.to_vec()), meaning);
        }
        Some(bytes)
    }

    /// What is left, as a line of text.
    pub(super) fn text(&mut self, name: &'static str, meaning: impl Into<String>) {
        let from = self.at;
        self.at = self.bytes.len();
        let text = String::from_utf8_lossy(&self.bytes[from..]).trim_end_matches('\n').to_owned();
        self.keep(from, name, Value::Text(text), meaning.into());
    }

    /// What is left makes no sense.
    pub(super) fn unreadable(&mut self, why: &str) {
        let from = self.at;
        if from < self.bytes.len() {
            self.at = self.bytes.len();
            self.keep(from, "unreadable", Value::Unreadable, why.to_owned());
        }
    }

    /// The fields, as a part of the file.
    pub(super) fn into_part(self, title: impl Into<String>) -> Part {
        debug_assert_eq!(self.at, self.bytes.len(), "every byte belongs to a field");
        Part { title: title.into(), inside: None, fields: self.done }
    }
}
