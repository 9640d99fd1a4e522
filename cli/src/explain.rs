//! `klog explain`.

use std::path::Path;

use klog::inspect::{Field, Part, Value, explain};
use serde_json::json;

use crate::args::Explain;
use crate::dump::{content, stop, walk_file};
use crate::failure::Outcome;
use crate::output::{Output, Role, json_bytes, shown};

/// Bytes of a field that are shown unless all are asked for.
const MOST_SHOWN: usize = 48;
/// The longest name of a field.
const NAME_WIDTH: usize = 21;

pub(crate) fn run(args: &Explain, out: &mut Output) -> Outcome {
    for (index, file) in args.files.iter().enumerate() {
        if index > 0 && !out.json {
            out.line("")?;
        }
        explain_file(file, args, out)?;
    }
    Ok(())
}

fn explain_file(file: &Path, args: &Explain, out: &mut Output) -> Outcome {
    let content = content(file)?;
    let (mut bytes, mut fields) = (0, 0);
    walk_file(file, |sys, failure| {
        explain(sys, file, content, &mut |part| {
            if part.inside.is_none() {
                fields += part.fields.len();
                bytes += part.fields.iter().map(|field| field.bytes.len() as u64).sum::<u64>();
            }
            stop(failure, if out.json { as_json(&part, out) } else { as_text(&part, args, out) })
        })
    })?;
    if out.json {
        return Ok(());
    }
    let end = format!("{}: {bytes} bytes, {fields} fields", file.display());
    let end = out.paint(Role::Faint, end);
    out.line(end)
}

fn as_json(part: &Part, out: &mut Output) -> Outcome {
    part.fields.iter().try_for_each(|field| {
        out.object(&json!({
            "part": part.title,
            "inside": part.inside,
            "position": field.at,
            "length": field.bytes.len(),
            "bytes": data_encoding::HEXLOWER.encode(&field.bytes),
            "field": field.name,
            "value": match &field.value {
                Value::Number(number) => json!(number),
                Value::Checksum(sum) => json!(format!("{sum:08x}")),
                Value::Bytes(bytes) => json_bytes(Some(bytes)),
                Value::Text(text) => json!(text),
                Value::Unreadable => json!(null),
            },
            "meaning": field.meaning,
        }))
    })
}

fn as_text(part: &Part, args: &Explain, out: &mut Output) -> Outcome {
    let title = match part.inside {
        None => part.title.clone(),
        Some(codec) => format!("{}, inside {codec}", part.title),
    };
    let role = if title.starts_with("DAMAGED") { Role::Alarm } else { Role::Title };
    let title = out.paint(role, title);
    out.line(title)?;
    part.fields.iter().try_for_each(|field| field_text(field, args, out))
}

/// A field: its place, its bytes, its name, and behind that what it says; each part in its own column, over as many lines
/// as the longest of them needs.
fn field_text(field: &Field, args: &Explain, out: &mut Output) -> Outcome {
    let width = out.width();
    let per_line = if width < 100 { 4 } else { 8 };
    let shown_bytes = if args.full { field.bytes.len() } else { field.bytes.len().min(MOST_SHOWN) };
    let mut hex: Vec<String> = field.bytes[..shown_bytes]
        .chunks(per_line)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    if shown_bytes < field.bytes.len() {
        hex.push(format!("+{} bytes", field.bytes.len() - shown_bytes));
    }
    let hex_width = per_line * 3 - 1;
    let column = 10 + 2 + hex_width + 2 + NAME_WIDTH + 1;
    let said = said(field, args);
    let said = textwrap::wrap(&said, width.saturating_sub(column).max(20));
    for index in 0..hex.len().max(said.len()) {
        let place = if index == 0 { field.at.to_string() } else { String::new() };
        let name = if index == 0 { field.name } else { "" };
        let bytes = hex.get(index).map_or("", String::as_str);
        let said = said.get(index).map_or("", AsRef::as_ref);
        let said = match (&field.value, index) {
            (Value::Unreadable, _) => out.paint(Role::Alarm, said),
            (_, 0) => match said.split_once("  ") {
                Some((value, meaning)) => format!("{}  {meaning}", out.paint(Role::Number, value)),
                None => out.paint(Role::Number, said),
            },
            _ => said.to_owned(),
        };
        let place = out.paint(Role::Faint, format_args!("{place:>10}"));
        let bytes = out.paint(Role::Faint, format_args!("{bytes:<hex_width$}"));
        let name = out.paint(Role::Name, format_args!("{name:<NAME_WIDTH$}"));
        let line = format!("{place}  {bytes}  {name} {said}");
        out.line(line.trim_end())?;
    }
    Ok(())
}

/// Value and meaning.
fn said(field: &Field, args: &Explain) -> String {
    let value = match &field.value {
        Value::Number(number) => number.to_string(),
        Value::Checksum(sum) => format!("{sum:08x}"),
        Value::Bytes(_) if !field.meaning.is_empty() => return field.meaning.clone(),
        Value::Bytes(bytes) if bytes.len() > MOST_SHOWN && !args.full => {
            // Not in the middle of a character.
            let cut = String::from_utf8_lossy(&bytes[..MOST_SHOWN]).trim_end_matches('\u{fffd}').len();
            format!("\"{}…\"", shown(&bytes[..cut.min(MOST_SHOWN)]))
        }
        Value::Bytes(bytes) => format!("\"{}\"", shown(bytes)),
        Value::Text(text) => shown(text.as_bytes()),
        Value::Unreadable => return format!("UNREADABLE: {}", field.meaning),
    };
    if field.meaning.is_empty() { value } else { format!("{value}  {}", field.meaning) }
}
