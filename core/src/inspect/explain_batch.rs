//! Fields of batches and records.

use std::io;

use super::fields::{Fields, Part};
use crate::controller::MetadataRecord;
use crate::date::iso_date;
use crate::record::{BatchError, BatchHeader, Codec, ControlRecord, HEADER_BYTES, TimestampType, decompress};
use crate::types::TimestampMs;

/// What a batch may decompress to when it is only looked at.
const MOST_BYTES: usize = 256 << 20;

/// Explains a whole batch at `origin`, whose checksum may be wrong: `problem` then says so.
pub(super) fn explain_batch(
    batch: &[u8],
    origin: u64,
    header: &BatchHeader,
    problem: Option<&BatchError>,
    is_metadata: bool,
    each: &mut dyn FnMut(Part) -> io::Result<()>,
) -> io::Result<()> {
    let mut title = match (header.base_offset, header.last_offset()) {
        (first, last) if first == last => format!("batch of {} bytes, offset {first}", batch.len()),
        (first, last) => format!("batch of {} bytes, offsets {first} to {last}", batch.len()),
    };
    if let Some(problem) = problem {
        title = format!("DAMAGED {title}: {problem}");
    }
    if header.magic < 2 {
        let mut fields = Fields::new(batch, origin);
        message(&mut fields, header, problem);
        return each(fields.into_part(title));
    }
    let are_in_place = header.codec() == Ok(Codec::None);
    let mut fields = Fields::new(if are_in_place { &batch[..HEADER_BYTES] } else { batch }, origin);
    batch_header(&mut fields, header, batch.len(), problem);
    let body = &batch[HEADER_BYTES..];
    let what = match (header.is_control(), is_metadata) {
        (true, _) => Inside::Control,
        (false, true) => Inside::Metadata,
        (false, false) => Inside::Data,
    };
    let codec = match header.codec() {
        Ok(Codec::None) => {
            each(fields.into_part(title))?;
            return records(body, origin + HEADER_BYTES as u64, header, what, None, each);
        }
        Ok(codec) => codec,
        Err(error) => {
            fields.unreadable(&error.to_string());
            return each(fields.into_part(title));
        }
    };
    let mut raw = Vec::new();
    match decompress(codec, body, MOST_BYTES, &mut raw) {
        Ok(()) => {
            fields.raw("records", body.len(), format!("{codec} of {} bytes", raw.len()));
            each(fields.into_part(title))?;
            records(&raw, 0, header, what, Some(codec.name()), each)
        }
        Err(error) => {
            fields.unreadable(&error.to_string());
            each(fields.into_part(title))
        }
    }
}

/// What the records of a batch say.
#[derive(Clone, Copy)]
enum Inside {
    Data,
    Control,
    Metadata,
}

fn or_none(value: i64, meaning: &str) -> String {
    if value < 0 { "none".into() } else { meaning.into() }
}

fn time(at: i64) -> String {
    if at == TimestampMs::NONE.0 { "none".into() } else { iso_date(TimestampMs(at)) }
}

fn batch_header(fields: &mut Fields<'_>, header: &BatchHeader, size: usize, problem: Option<&BatchError>) {
    let behind = size - HEADER_BYTES;
    let all = (|| {
        fields.number::<8>("baseOffset", |_| "offset of the first record".into())?;
        fields.number::<4>("batchLength", |_| format!("bytes behind this field; {size} in all"))?;
        fields.number::<4>("partitionLeaderEpoch", |epoch| or_none(epoch, "leader that appended the batch"))?;
        fields.number::<1>("magic", |_| "format version".into())?;
        fields.checksum("crc", |_| match problem {
            Some(BatchError::Crc { computed, .. }) => format!("WRONG: {computed:08x} is computed"),
            _ => "CRC-32C of what follows: right".into(),
        })?;
        fields.number::<2>("attributes", |_| attributes(header))?;
        fields.number::<4>("lastOffsetDelta", |_| format!("last offset {}", header.last_offset()))?;
        fields.number::<8>("baseTimestamp", |at| match header.delete_horizon() {
            Some(_) => format!("tombstones may go after {}", time(at)),
            None => time(at),
        })?;
        fields.number::<8>("maxTimestamp", time)?;
        fields.number::<8>("producerId", |id| or_none(id, "who sent it"))?;
        fields.number::<2>("producerEpoch", |epoch| or_none(epoch, "epoch of that id"))?;
        fields.number::<4>("baseSequence", |_| match header.last_sequence() {
            -1 => "none".into(),
            last => format!("last sequence {last}"),
        })?;
        fields.number::<4>("recordsCount", |count| match i64::from(header.last_offset_delta) + 1 - count {
            0 => format!("records in {behind} bytes"),
            gone => format!("records in {behind} bytes; {gone} were compacted away"),
        })
    })();
    debug_assert!(all.is_some(), "a header was parsed, so its bytes are there");
}

fn attributes(header: &BatchHeader) -> String {
    let mut said = vec![match header.codec() {
        Ok(Codec::None) => "not compressed".to_owned(),
        Ok(codec) => codec.to_string(),
        Err(error) => error.to_string(),
    }];
    said.push(match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime".into(),
        TimestampType::LogAppendTime => "LogAppendTime".into(),
    });
    if header.is_transactional() {
        said.push("transactional".into());
    }
    if header.is_control() {
        said.push("control".into());
    }
    if header.delete_horizon().is_some() {
        said.push("delete horizon".into());
    }
    said.join(", ")
}

fn records(
    bytes: &[u8],
    origin: u64,
    header: &BatchHeader,
    what: Inside,
    inside: Option<&'static str>,
    each: &mut dyn FnMut(Part) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = 0;
    for index in 0..header.records_count.max(0) {
        if at == bytes.len() {
            break; // fewer than the header says; decoding the batch would say so
        }
        let rest = &bytes[at..];
        let mut length_at = 0;
        let length = crate::record::read_varint(rest, &mut length_at).and_then(|length| usize::try_from(length).ok());
        let end = length.and_then(|length| length_at.checked_add(length)).filter(|end| *end <= rest.len());
        let mut fields = Fields::new(&rest[..end.unwrap_or(rest.len())], origin + at as u64);
        if end.is_none() || record(&mut fields, header, what).is_none() {
            fields.unreadable("the record does not keep to its layout");
        } else if fields.left() > 0 {
            fields.unreadable("more bytes than the record's fields");
        }
        at += fields.at();
        each(Part { inside, ..fields.into_part(format!("record {index}")) })?;
    }
    if at < bytes.len() {
        let mut fields = Fields::new(&bytes[at..], origin + at as u64);
        fields.unreadable("behind the last record");
        each(Part { inside, ..fields.into_part("no record") })?;
    }
    Ok(())
}

fn length_of(what: &'static str) -> impl FnOnce(i32) -> String {
    move |len| if len < 0 { "null".into() } else { format!("bytes of the {what}") }
}

fn record(fields: &mut Fields<'_>, header: &BatchHeader, what: Inside) -> Option<()> {
    fields.varint("length", |_| "bytes of the record behind this field".into())?;
    fields.number::<1>("attributes", |_| "unused".into())?;
    fields.varlong("timestampDelta", |delta| match header.timestamp_type() {
        TimestampType::CreateTime => time(header.base_timestamp.0.wrapping_add(delta)),
        TimestampType::LogAppendTime => format!("not used; {} counts", time(header.max_timestamp.0)),
    })?;
    fields.varint("offsetDelta", |delta| format!("offset {}", header.base_offset.0.wrapping_add(i64::from(delta))))?;
    let key_len = fields.varint("keyLength", length_of("key"))?;
    let key = bytes(fields, "key", key_len, |key| match what {
        Inside::Control => control(Some(key), Some(&[])),
        Inside::Metadata | Inside::Data => String::new(),
    })?;
    let value_len = fields.varint("valueLength", length_of("value"))?;
    bytes(fields, "value", value_len, |value| match what {
        Inside::Control => control(key, Some(value)),
        Inside::Metadata => MetadataRecord::parse(value).map_or_else(|what| what, |record| format!("{record:?}")),
        Inside::Data => String::new(),
    })?;
    let count = fields.varint("headersCount", |_| "headers".into())?;
    for _ in 0..count {
        let len = fields.varint("headerKeyLength", length_of("name"))?;
        bytes(fields, "headerKey", len, |_| String::new())?;
        let len = fields.varint("headerValueLength", length_of("value"))?;
        bytes(fields, "headerValue", len, |_| String::new())?;
    }
    Some(())
}

/// `len` bytes; none when it is negative, which is null.
#[allow(clippy::option_option, reason = "null is a value of a field, and its absence is an error")]
fn bytes<'a>(
    fields: &mut Fields<'a>,
    name: &'static str,
    len: i32,
    meaning: impl FnOnce(&[u8]) -> String,
) -> Option<Option<&'a [u8]>> {
    let Ok(len) = usize::try_from(len) else {
        return Some(None);
    };
    let said = fields.peek(len).map(meaning)?;
    fields.raw(name, len, said).map(Some)
}

/// What a control record says; of its key alone, which kind it is.
fn control(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    if value.is_some_and(<[u8]>::is_empty) {
        let id = key.and_then(|key| Some(i16::from_be_bytes([*key.get(2)?, *key.get(3)?])));
        return id.map_or_else(String::new, |id| format!("control record {}", ControlRecord::name_of(id)));
    }
    ControlRecord::parse(key, value).map_or_else(|error| error.to_string(), |record| format!("{record:?}"))
}

/// A message of format version 0 or 1.
fn message(fields: &mut Fields<'_>, header: &BatchHeader, problem: Option<&BatchError>) {
    let all = (|| {
        fields.number::<8>("offset", |_| String::new())?;
        fields.number::<4>("messageSize", |_| "bytes behind this field".into())?;
        fields.checksum("crc", |_| match problem {
            Some(BatchError::Crc { computed, .. }) => format!("WRONG: {computed:08x} is computed"),
            _ => "CRC-32 of what follows: right".into(),
        })?;
        fields.number::<1>("magic", |_| "format version".into())?;
        fields.number::<1>("attributes", |_| attributes(header))?;
        if header.magic == 1 {
            fields.number::<8>("timestamp", time)?;
        }
        let len = fields.number::<4>("keyLength", |len| length_of("key")(len as i32))?;
        bytes(fields, "key", len as i32, |_| String::new())?;
        let len = fields.number::<4>("valueLength", |len| length_of("value")(len as i32))?;
        bytes(fields, "value", len as i32, |_| match header.codec() {
            Ok(Codec::None) => String::new(),
            Ok(codec) => format!("{codec} of other messages"),
            Err(error) => error.to_string(),
        })
    })();
    let why = if all.is_none() { "the message does not keep to its layout" } else { "more bytes than its fields" };
    fields.unreadable(why);
}
