//! Every byte of a file.

use std::io;
use std::path::Path;

use super::Content;
use super::explain_batch::explain_batch;
use super::fields::{Fields, Part};
use crate::date::iso_date;
use crate::record::BatchHeader;
use crate::segment::{Found, Scanner};
use crate::sys::{AnyFile, Disk, File, Open, Sys, read_exact_at, read_whole};
use crate::types::{Offset, Position, TimestampMs};

/// Bytes that are read, and shown as one field, at a time.
const PIECE_BYTES: u64 = 64 * 1024;

/// Hands every part of the file at `path` to `each`, in order. The fields of the parts that are not
/// [`inside`](Part::inside) a batch are the file: every byte is in exactly one of them.
///
/// # Errors
/// Those of reading, and those of `each`.
pub fn explain(
    sys: &Sys,
    path: &Path,
    content: Content,
    each: &mut dyn FnMut(Part) -> io::Result<()>,
) -> io::Result<()> {
    match content {
        Content::Batches { is_metadata } => {
            let file = sys.disk.open(path, Open::Read)?;
            explain_batches(&file, is_metadata, each)
        }
        Content::OffsetIndex { base } => entries(sys, path, 8, each, |fields| {
            fields.number::<4>("relativeOffset", |offset| format!("offset {}", base.0.saturating_add(offset)));
            fields.number::<4>("position", |_| "byte of the .log where the append begins".into());
        }),
        Content::TimeIndex { base } => entries(sys, path, 12, each, |fields| {
            fields.number::<8>("timestamp", |at| iso_date(TimestampMs(at)));
            fields.number::<4>("relativeOffset", |offset| {
                format!("no later record up to offset {}", base.0.saturating_add(offset))
            });
        }),
        Content::TransactionIndex => entries(sys, path, 34, each, |fields| {
            fields.number::<2>("version", |_| "of the entry".into());
            fields.number::<8>("producerId", |_| "whose transaction was aborted".into());
            fields.number::<8>("firstOffset", |_| "its first record".into());
            fields.number::<8>("lastOffset", |_| "its marker".into());
            fields.number::<8>("lastStableOffset", |_| "once it was over".into());
        }),
        Content::Producers => producers(&read_whole(&sys.disk, path)?, each),
        Content::Offsets => lines(&read_whole(&sys.disk, path)?, each, |index, line| match (index, line) {
            (0, _) => ("version", "of the file's form".into()),
            (1, _) => ("entries", "lines that follow".into()),
            (_, line) => ("entry", fields_of(line, &["topic", "partition", "offset"])),
        }),
        Content::Epochs => lines(&read_whole(&sys.disk, path)?, each, |index, line| match (index, line) {
            (0, _) => ("version", "of the file's form".into()),
            (1, _) => ("entries", "lines that follow".into()),
            (_, line) => ("entry", fields_of(line, &["leader epoch", "begins at offset"])),
        }),
        Content::Properties => {
            lines(&read_whole(&sys.disk, path)?, each, |_, line| match line.trim_start().starts_with(['#', '!']) {
                true => ("comment", String::new()),
                false => ("property", property(line).into()),
            })
        }
        Content::Text => lines(&read_whole(&sys.disk, path)?, each, |_, _| ("text", String::new())),
    }
}

fn explain_batches(file: &AnyFile, is_metadata: bool, each: &mut dyn FnMut(Part) -> io::Result<()>) -> io::Result<()> {
    let end = Position(file.stat()?.len);
    let mut scanner = Scanner::new(file, Position::ZERO, end);
    loop {
        match scanner.next_checked()? {
            Found::End(_) => return Ok(()),
            Found::Batch(position, header) => {
                explain_batch(scanner.batch(position, &header)?, position.0, &header, None, is_metadata, each)?;
            }
            Found::Bad(position, error) => {
                // The header of a batch whose checksum is wrong is worth showing when something begins behind it.
                let range = scanner.resync(position, Offset(i64::MIN), &error)?;
                let mut head = [0; crate::record::HEADER_BYTES];
                let read = read_exact_at(file, &mut head, position.0)?;
                match BatchHeader::parse(&head[..read]) {
                    Ok(header) if position.plus(header.size) == range.end => {
                        let batch = scanner.batch(position, &header)?.to_vec();
                        explain_batch(&batch, position.0, &header, Some(&error), is_metadata, each)?;
                    }
                    _ => unreadable(file, position, range.end, &error.to_string(), each)?,
                }
            }
        }
    }
}

fn unreadable(
    file: &AnyFile,
    from: Position,
    end: Position,
    why: &str,
    each: &mut dyn FnMut(Part) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = from.0;
    while at < end.0 {
        let mut bytes = vec![0; PIECE_BYTES.min(end.0 - at) as usize];
        let read = read_exact_at(file, &mut bytes, at)?;
        bytes.truncate(read);
        if bytes.is_empty() {
            break;
        }
        let mut fields = Fields::new(&bytes, at);
        fields.unreadable(if bytes.iter().all(|byte| *byte == 0) { "zeros" } else { why });
        each(fields.into_part(format!("DAMAGED {} bytes", end.0 - from.0)))?;
        at += read as u64;
    }
    Ok(())
}

/// A file of entries of `width` bytes; those of zeros at its end were set aside for later ones.
fn entries(
    sys: &Sys,
    path: &Path,
    width: usize,
    each: &mut dyn FnMut(Part) -> io::Result<()>,
    mut one: impl FnMut(&mut Fields<'_>),
) -> io::Result<()> {
    let bytes = read_whole(&sys.disk, path)?;
    // The first entry may be all zeros, and no other.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / width + 1);
    let is_preallocated = bytes.len() >= 2 * width;
    let used = (if is_preallocated { used } else { bytes.len() / width } * width).min(bytes.len() / width * width);
    for (index, entry) in bytes[..used].chunks_exact(width).enumerate() {
        let mut fields = Fields::new(entry, (index * width) as u64);
        one(&mut fields);
        each(fields.into_part(format!("entry {index}")))?;
    }
    if used < bytes.len() {
        let rest = &bytes[used..];
        let mut fields = Fields::new(rest, used as u64);
        if rest.iter().all(|byte| *byte == 0) {
            fields.raw("unused", rest.len(), "room for more entries".into());
        } else {
            fields.unreadable("part of an entry");
        }
        each(fields.into_part("no entry"))?;
    }
    Ok(())
}

fn producers(bytes: &[u8], each: &mut dyn FnMut(Part) -> io::Result<()>) -> io::Result<()> {
    const HEAD_BYTES: usize = 10;
    const ENTRY_BYTES: usize = 46;
    let (head, rest) = bytes.split_at(HEAD_BYTES.min(bytes.len()));
    let mut fields = Fields::new(head, 0);
    let whole = (|| {
        fields.number::<2>("version", |_| "of the file's form".into())?;
        fields.checksum("crc", |stored| match crc32c::crc32c(&bytes[6..]) {
            computed if computed == stored => "CRC-32C of what follows: right".into(),
            computed => format!("WRONG: {computed:08x} is computed"),
        })?;
        fields.number::<4>("producerEntries", |_| "producers that follow".into())
    })();
    if whole.is_none() {
        fields.unreadable("the file is cut off");
    }
    each(fields.into_part("producer state"))?;
    for (index, entry) in rest.chunks(ENTRY_BYTES).enumerate() {
        let mut fields = Fields::new(entry, (HEAD_BYTES + index * ENTRY_BYTES) as u64);
        let none = |meaning: &'static str| move |value: i64| if value < 0 { "none".into() } else { meaning.to_owned() };
        let whole = (|| {
            fields.number::<8>("producerId", |_| String::new())?;
            fields.number::<2>("producerEpoch", |_| String::new())?;
            fields.number::<4>("lastSequence", none("of its last batch"))?;
            fields.number::<8>("lastOffset", none("of its last batch"))?;
            fields.number::<4>("offsetDelta", |_| "last offset minus first of that batch".into())?;
            fields.number::<8>("timestamp", |at| iso_date(TimestampMs(at)))?;
            fields.number::<4>("coordinatorEpoch", none("of the last marker"))?;
            fields.number::<8>("currentTxnFirstOffset", none("where its open transaction begins"))
        })();
        if whole.is_none() {
            fields.unreadable("part of an entry");
        }
        each(fields.into_part(format!("producer {index}")))?;
    }
    Ok(())
}

/// A file of lines, each of them a field.
fn lines(
    bytes: &[u8],
    each: &mut dyn FnMut(Part) -> io::Result<()>,
    mut name: impl FnMut(usize, &str) -> (&'static str, String),
) -> io::Result<()> {
    let mut at = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mut fields = Fields::new(line, at as u64);
        match std::str::from_utf8(line) {
            Ok(text) => {
                let (name, meaning) = name(index, text.trim_end());
                fields.text(name, meaning);
            }
            Err(_) => fields.unreadable("not text"),
        }
        at += line.len();
        each(fields.into_part(format!("line {}", index + 1)))?;
    }
    Ok(())
}

fn fields_of(line: &str, names: &[&str]) -> String {
    let values: Vec<_> = line.split_whitespace().collect();
    if values.len() != names.len() {
        return format!("not a line of {} fields", names.len());
    }
    names.iter().zip(values).map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn property(line: &str) -> &'static str {
    match line.split(['=', ':']).next().unwrap_or("").trim() {
        "version" => "of the file's form",
        "cluster.id" => "the cluster that the directory belongs to",
        "node.id" | "broker.id" => "the broker that the directory belongs to",
        "directory.id" => "the directory's own id",
        "topic_id" => "the topic's id, by which a name that is used again is told apart",
        _ => "",
    }
}
