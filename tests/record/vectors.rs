//! The golden vectors, and one way to decode a batch that all tests share.

use std::sync::OnceLock;

use klog::record::{
    BatchError, BatchHeader, Codec, HEADER_BYTES, Records, Span, SpanLimits, decode_spans, headers_of, seal,
};
use klog::types::Offset;
use serde_json::Value;

/// What the vectors count their times from.
pub(crate) const T: i64 = 1_700_000_000_000;

/// Enough for every batch of these tests.
pub(crate) const MOST: usize = 1 << 20;

/// The whole file.
pub(crate) fn golden() -> &'static Value {
    static GOLDEN: OnceLock<Value> = OnceLock::new();
    GOLDEN.get_or_init(|| serde_json::from_str(include_str!("../data/golden-batches.json")).unwrap())
}

/// The entries of a list of the file.
pub(crate) fn list(key: &str) -> &'static [Value] {
    golden()[key].as_array().unwrap()
}

/// The bytes of a batch vector.
pub(crate) fn batch(id: &str) -> Vec<u8> {
    let vector = list("batches").iter().find(|vector| vector["id"] == id).unwrap();
    hex_of(&vector["hex"])
}

/// Bytes out of hexadecimal digits; white space is for reading only.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    assert_eq!(digits.len() % 2, 0, "half a byte");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn hex_of(value: &Value) -> Vec<u8> {
    hex(value.as_str().unwrap())
}

pub(crate) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// A key, a value or a header's value, as the file writes them.
fn field(value: &Value) -> Option<Vec<u8>> {
    if value.is_null() {
        return None;
    }
    Some(match (value["utf8"].as_str(), value["hex"].as_str(), value["repeat"].as_str()) {
        (Some(text), None, None) => text.as_bytes().to_vec(),
        (None, Some(digits), None) => hex(digits),
        (None, None, Some(text)) => text.repeat(int(&value["count"]) as usize).into_bytes(),
        _ => panic!("{value} is no field"),
    })
}

/// A record by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Decoded {
    /// A record without headers.
    pub(crate) fn new(offset: i64, timestamp: i64, key: Option<&str>, value: Option<&str>) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Decoded { offset, timestamp, key: key.map(bytes), value: value.map(bytes), headers: Vec::new() }
    }

    /// Its headers, as the builder takes them.
    pub(crate) fn header_refs(&self) -> Vec<(&str, Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }
}

/// The records that a vector expects.
pub(crate) fn expected_records(expect: &Value) -> Vec<Decoded> {
    let header = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), field(&pair[1]));
    let record = |record: &Value| Decoded {
        offset: int(&record["offset"]),
        timestamp: int(&record["timestamp"]),
        key: field(&record["key"]),
        value: field(&record["value"]),
        headers: record["headers"].as_array().unwrap().iter().map(header).collect(),
    };
    expect["records"].as_array().unwrap().iter().map(record).collect()
}

/// Decodes a whole batch of any version the way that consumers do, through spans.
pub(crate) fn decode_from(batch: &[u8], header: &BatchHeader, from: i64) -> Result<Vec<Decoded>, BatchError> {
    // Something before the batch, as in a buffer that holds several.
    let mut arena = vec![0xee; 5];
    arena.extend_from_slice(batch);
    let mut spans = vec![MARK];
    let limits = SpanLimits { arena_base: 5, most: MOST };
    let result = decode_spans(batch, header, Offset(from), limits, &mut arena, &mut spans);
    assert_eq!(spans[0], MARK, "spans that were there before are not touched");
    assert!(result.is_ok() || spans.len() == 1, "a batch that cannot be decoded leaves no span behind");
    result?;
    let part = |at: u32, len: i32| (len >= 0).then(|| arena[at as usize..at as usize + len as usize].to_vec());
    let record = |span: &Span| Decoded {
        offset: span.offset,
        timestamp: span.timestamp,
        key: part(span.key_at, span.key_len),
        value: part(span.value_at, span.value_len),
        headers: headers_of(arena.get(span.headers_at as usize..).unwrap_or_default(), span.header_count)
            .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
            .collect(),
    };
    Ok(spans[1..].iter().map(record).collect())
}

/// Checks and decodes a whole batch. Where nothing is compressed, both decoders must agree.
pub(crate) fn decode(batch: &[u8]) -> Result<(BatchHeader, Vec<Decoded>), BatchError> {
    let header = BatchHeader::check(batch)?;
    let batch = &batch[..header.size];
    let records = decode_from(batch, &header, i64::MIN);
    if header.magic == 2 && header.codec() == Ok(Codec::None) {
        assert_eq!(records, iterate(&header, &batch[HEADER_BYTES..]), "the two decoders disagree");
    }
    Ok((header, records?))
}

/// Decodes uncompressed records one by one.
fn iterate(header: &BatchHeader, bytes: &[u8]) -> Result<Vec<Decoded>, BatchError> {
    let mut found = Vec::new();
    for record in Records::new(header, bytes) {
        let record = record?;
        found.push(Decoded {
            offset: record.offset.0,
            timestamp: record.timestamp.0,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect(),
        });
    }
    Ok(found)
}

/// Something that a decoder must leave alone.
const MARK: Span = Span {
    offset: -7,
    timestamp: -7,
    key_at: 7,
    key_len: 7,
    value_at: 7,
    value_len: 7,
    headers_at: 7,
    header_count: 7,
    leader_epoch: -7,
    timestamp_type: klog::TimestampType::CreateTime,
};

/// `header` (of a batch that exists) with other bytes behind it, and length and checksum to match.
pub(crate) fn with_body(header: &[u8], attributes: i16, body: &[u8]) -> Vec<u8> {
    let mut batch = header[..HEADER_BYTES].to_vec();
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch.extend_from_slice(body);
    resize_and_seal(&mut batch);
    batch
}

/// Makes length and checksum fit what the batch now is, so that only what is behind them can be refused.
pub(crate) fn resize_and_seal(batch: &mut [u8]) {
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    seal(batch);
}
