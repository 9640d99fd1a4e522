//! Kafka's message encoding: the primitive types of KRaft records, control records and coordinator records.
//!
//! "Flexible" messages have compact strings and arrays (an unsigned varint of length + 1, 0 for null), and every
//! structure ends in tagged fields, which a reader that does not know them skips.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482 for flexible versions.

use crate::types::Uuid;

use super::varint::{read_uvarint, write_uvarint};

/// Reads fields one by one. Every method returns `None` when the bytes end or make no sense.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $read:ident $write:ident $type:ty;)*) => {
        impl Reader<'_> {
            $( $(#[$doc])* pub fn $read(&mut self) -> Option<$type> {
                let field = self.take(size_of::<$type>())?;
                Some(<$type>::from_be_bytes(field.try_into().ok()?))
            } )*
        }
        impl Writer {
            $( $(#[$doc])* pub fn $write(&mut self, value: $type) -> &mut Self {
                self.bytes.extend_from_slice(&value.to_be_bytes());
                self
            } )*
        }
    };
}

fixed! {
    /// One signed byte.
    i8 put_i8 i8;
    /// Two bytes, signed.
    i16 put_i16 i16;
    /// Two bytes, unsigned: ports.
    u16 put_u16 u16;
    /// Four bytes, signed.
    i32 put_i32 i32;
    /// Eight bytes, signed.
    i64 put_i64 i64;
    /// Eight bytes, floating.
    f64 put_f64 f64;
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether all bytes were read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let field = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(field)
    }

    /// One byte, 0 or not.
    pub fn bool(&mut self) -> Option<bool> {
        self.i8().map(|byte| byte != 0)
    }

    /// An unsigned varint.
    pub fn uvarint(&mut self) -> Option<u32> {
        read_uvarint(self.bytes, &mut self.at)
    }

    /// 16 bytes.
    pub fn uuid(&mut self) -> Option<Uuid> {
        Some(Uuid(self.take(16)?.try_into().ok()?))
    }

    /// A compact string, or null.
    pub fn nullable_string(&mut self) -> Option<Option<String>> {
        let Some(length) = self.uvarint()?.checked_sub(1) else {
            return Some(None);
        };
        let bytes = self.take(length as usize)?;
        Some(Some(String::from_utf8(bytes.to_vec()).ok()?))
    }

    /// A compact string.
    pub fn string(&mut self) -> Option<String> {
        self.nullable_string()?
    }

    /// A compact array, or null. Each element takes a byte at least, so a length that lies is not believed.
    pub fn nullable_array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Option<Vec<T>>> {
        let Some(count) = self.uvarint()?.checked_sub(1) else {
            return Some(None);
        };
        if count as usize > self.bytes.len() - self.at {
            return None;
        }
        (0..count).map(|_| element(self)).collect::<Option<Vec<T>>>().map(Some)
    }

    /// A compact array.
    pub fn array<T>(&mut self, element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.nullable_array(element)?
    }

    /// The tagged fields that end a structure.
    pub fn tagged_fields(&mut self) -> Option<TaggedFields> {
        let count = self.uvarint()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()?;
            fields.push((tag, self.take(size as usize)?.to_vec()));
        }
        Some(TaggedFields(fields))
    }
}

/// Tagged fields: tags in ascending order, each with its encoded value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedFields(Vec<(u32, Vec<u8>)>);

impl TaggedFields {
    /// The value of `tag`, if it is there.
    pub fn get(&self, tag: u32) -> Option<Reader<'_>> {
        self.0.iter().find(|(other, _)| *other == tag).map(|(_, bytes)| Reader::new(bytes))
    }

    /// Adds a field; call in ascending order of tags.
    pub fn put(&mut self, tag: u32, value: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::default();
        value(&mut writer);
        self.0.push((tag, writer.into_bytes()));
    }
}

/// Writes fields one by one.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes as they are.
    pub fn put_raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// One byte, 0 or 1.
    pub fn put_bool(&mut self, value: bool) -> &mut Self {
        self.put_i8(i8::from(value))
    }

    /// An unsigned varint.
    pub fn put_uvarint(&mut self, value: u32) -> &mut Self {
        write_uvarint(&mut self.bytes, value);
        self
    }

    /// 16 bytes.
    pub fn put_uuid(&mut self, id: Uuid) -> &mut Self {
        self.put_raw(&id.0)
    }

    /// A compact string, or null.
    pub fn put_nullable_string(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            None => self.put_uvarint(0),
            Some(text) => self.put_uvarint(text.len() as u32 + 1).put_raw(text.as_bytes()),
        }
    }

    /// A compact string.
    pub fn put_string(&mut self, text: &str) -> &mut Self {
        self.put_nullable_string(Some(text))
    }

    /// A compact array.
    pub fn put_array<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.put_uvarint(elements.len() as u32 + 1);
        for one in elements {
            element(self, one);
        }
        self
    }

    /// Tagged fields.
    pub fn put_tagged_fields(&mut self, fields: &TaggedFields) -> &mut Self {
        self.put_uvarint(fields.0.len() as u32);
        for (tag, value) in &fields.0 {
            self.put_uvarint(*tag).put_uvarint(value.len() as u32).put_raw(value);
        }
        self
    }

    /// No tagged fields.
    pub fn put_no_tags(&mut self) -> &mut Self {
        self.put_uvarint(0)
    }
}
