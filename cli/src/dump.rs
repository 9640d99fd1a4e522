//! `klog dump`: the lines of Kafka's `kafka-dump-log`.

use std::path::Path;

use klog::controller::MetadataRecord;
use klog::inspect::{Content, Dumped, DumpedBatch, dump};
use klog::record::{BatchHeader, ControlRecord};
use klog::sys::Sys;
use klog::{Record, TimestampType};
use serde_json::{Value, json};

use crate::args::Dump;
use crate::failure::{Failure, Outcome};
use crate::format::json_record;
use crate::output::{Output, Role, shown};

pub(crate) fn run(args: &Dump, out: &mut Output) -> Outcome {
    for file in &args.files {
        dump_file(file, args, out)?;
    }
    Ok(())
}

/// What a file holds; an error for one that is none of ours.
pub(crate) fn content(file: &Path) -> Outcome<Content> {
    if file.is_dir() {
        return Err(Failure::Other(format!("{} is a directory; name a file in it", file.display())));
    }
    if !file.exists() {
        return Err(Failure::Other(format!("there is no file {}", file.display())));
    }
    Content::of(file).ok_or_else(|| {
        Failure::Other(format!(
            "{}: its name is none that a log directory has (.log, .index, .timeindex, .txnindex, .snapshot, …)",
            file.display()
        ))
    })
}

/// Runs `walk` over a file, and brings failures of the output out of it.
pub(crate) fn walk_file(file: &Path, walk: impl FnOnce(&Sys, &mut Option<Failure>) -> std::io::Result<()>) -> Outcome {
    let mut failure = None;
    let result = walk(&Sys::real(), &mut failure);
    match failure {
        Some(failure) => Err(failure),
        None => result.map_err(|error| Failure::Io(format!("reading {}", file.display()), error)),
    }
}

/// Ends a walk because the output failed.
pub(crate) fn stop(failure: &mut Option<Failure>, outcome: Outcome) -> std::io::Result<()> {
    outcome.map_err(|error| {
        *failure = Some(error);
        std::io::ErrorKind::Other.into()
    })
}

fn dump_file(file: &Path, args: &Dump, out: &mut Output) -> Outcome {
    let content = content(file)?;
    let mut is_titled = out.json;
    let mut title = |out: &mut Output| match std::mem::replace(&mut is_titled, true) {
        true => Ok(()),
        false => out.line(out.paint(Role::Title, format_args!("Dumping {}", file.display()))),
    };
    walk_file(file, |sys, failure| {
        dump(sys, file, content, &mut |dumped| {
            let printed = title(out).and_then(|()| match out.json {
                true => as_json(&dumped, args, out),
                false => as_text(&dumped, content, args, out),
            });
            stop(failure, printed)
        })
    })?;
    title(out)
}

fn as_text(dumped: &Dumped, content: Content, args: &Dump, out: &mut Output) -> Outcome {
    match dumped {
        Dumped::Batch(batch) => batch_text(batch, content, args, out),
        Dumped::Damage(range) => {
            let line = format!(
                "position: {} size: {} isvalid: false problem: {}",
                range.position,
                range.end.0 - range.position.0,
                range.reason
            );
            let line = out.paint(Role::Alarm, line);
            out.line(line)
        }
        Dumped::Index(entry) => out.line(format_args!("offset: {} position: {}", entry.offset, entry.position)),
        Dumped::Time(entry) => out.line(format_args!("timestamp: {} offset: {}", entry.timestamp, entry.offset)),
        Dumped::Aborted(entry) => out.line(format_args!(
            "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            entry.producer_id, entry.first_offset, entry.last_offset, entry.last_stable_offset
        )),
        Dumped::Producer(producer) => out.line(format_args!(
            "producerId: {} producerEpoch: {} lastSequence: {} lastOffset: {} offsetDelta: {} lastTimestamp: {} \
             coordinatorEpoch: {} currentTxnFirstOffset: {}",
            producer.id,
            producer.epoch,
            producer.last_batch.map_or(-1, |batch| batch.last_sequence),
            producer.last_batch.map_or(-1, |batch| batch.last_offset.0),
            producer.last_batch.map_or(0, |batch| batch.offset_delta),
            producer.last_timestamp,
            producer.coordinator_epoch,
            producer.transaction_start.map_or_else(|| "none".into(), |offset| offset.to_string())
        )),
        Dumped::Offset(partition, offset) => {
            out.line(format_args!("topic: {} partition: {} offset: {offset}", partition.topic, partition.partition))
        }
        Dumped::Epoch(epoch, start) => out.line(format_args!("leaderEpoch: {epoch} startOffset: {start}")),
        Dumped::Line(line) => out.line(line),
    }
}

fn timestamp_name(header: &BatchHeader) -> &'static str {
    match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn codec_name(header: &BatchHeader) -> String {
    header.codec().map_or_else(|error| error.to_string(), |codec| codec.to_string())
}

fn batch_text(batch: &DumpedBatch, content: Content, args: &Dump, out: &mut Output) -> Outcome {
    let header = &batch.header;
    out.line(format_args!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {} position: {} {}: {} size: {} \
         magic: {} compresscodec: {} crc: {} isvalid: {}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.leader_epoch,
        header.is_transactional(),
        header.is_control(),
        header.delete_horizon().map_or_else(|| "none".into(), |at| at.to_string()),
        batch.position,
        timestamp_name(header),
        header.max_timestamp,
        header.size,
        header.magic,
        codec_name(header),
        header.crc,
        batch.problem.is_none()
    ))?;
    if let Some(problem) = &batch.problem {
        let line = out.paint(Role::Alarm, format_args!("| problem: {problem}"));
        return out.line(line);
    }
    if args.no_records {
        return Ok(());
    }
    for record in batch.records() {
        out.line(record_text(&record, header, content))?;
    }
    Ok(())
}

fn record_text(record: &Record<'_>, header: &BatchHeader, content: Content) -> String {
    use std::fmt::Write as _;

    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let sequence = match header.base_sequence {
        -1 => -1,
        base => i64::from(base) + record.offset() - header.base_offset.0,
    };
    let names: Vec<_> = record.headers().map(|(name, _)| shown(name.as_bytes())).collect();
    let mut line = format!(
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset(),
        timestamp_name(header),
        record.timestamp(),
        size(record.key()),
        size(record.value()),
        names.join(",")
    );
    if let Some(decoded) = decoded(record, header, content) {
        let _ = write!(line, " {decoded}"); // into memory
        return line;
    }
    for (name, part) in [("key", record.key()), ("payload", record.value())] {
        if let Some(part) = part {
            let _ = write!(line, " {name}: {}", shown(part).replace('\n', "\\n")); // into memory
        }
    }
    line
}

/// What a record says that is not a user's.
fn decoded(record: &Record<'_>, header: &BatchHeader, content: Content) -> Option<String> {
    if header.is_control() {
        return Some(match ControlRecord::parse(record.key(), record.value()).ok()? {
            marker @ (ControlRecord::Abort { coordinator_epoch } | ControlRecord::Commit { coordinator_epoch }) => {
                format!("endTxnMarker: {} coordinatorEpoch: {coordinator_epoch}", marker.name())
            }
            other => format!("{}: {other:?}", other.name()),
        });
    }
    match content {
        Content::Batches { is_metadata: true } => {
            MetadataRecord::parse(record.value()?).ok().map(|record| format!("payload: {record:?}"))
        }
        _ => None,
    }
}

fn as_json(dumped: &Dumped, args: &Dump, out: &mut Output) -> Outcome {
    let value = match dumped {
        Dumped::Batch(batch) => batch_json(batch, args),
        Dumped::Damage(range) => json!({
            "position": range.position.0,
            "size": range.end.0 - range.position.0,
            "isValid": false,
            "problem": range.reason,
        }),
        Dumped::Index(entry) => json!({ "offset": entry.offset.0, "position": entry.position.0 }),
        Dumped::Time(entry) => json!({ "timestamp": entry.timestamp.0, "offset": entry.offset.0 }),
        Dumped::Aborted(entry) => json!({
            "producerId": entry.producer_id.0,
            "firstOffset": entry.first_offset.0,
            "lastOffset": entry.last_offset.0,
            "lastStableOffset": entry.last_stable_offset.0,
        }),
        Dumped::Producer(producer) => json!({
            "producerId": producer.id.0,
            "producerEpoch": producer.epoch,
            "lastSequence": producer.last_batch.map(|batch| batch.last_sequence),
            "lastOffset": producer.last_batch.map(|batch| batch.last_offset.0),
            "lastTimestamp": producer.last_timestamp.0,
            "coordinatorEpoch": producer.coordinator_epoch,
            "currentTxnFirstOffset": producer.transaction_start.map(|offset| offset.0),
        }),
        Dumped::Offset(partition, offset) => {
            json!({ "topic": partition.topic, "partition": partition.partition, "offset": offset.0 })
        }
        Dumped::Epoch(epoch, start) => json!({ "leaderEpoch": epoch.0, "startOffset": start.0 }),
        Dumped::Line(line) => json!({ "line": line }),
    };
    out.object(&value)
}

fn batch_json(batch: &DumpedBatch, args: &Dump) -> Value {
    let header = &batch.header;
    let mut value = json!({
        "baseOffset": header.base_offset.0,
        "lastOffset": header.last_offset().0,
        "count": header.records_count,
        "baseSequence": header.base_sequence,
        "lastSequence": header.last_sequence(),
        "producerId": header.producer_id.0,
        "producerEpoch": header.producer_epoch,
        "partitionLeaderEpoch": header.leader_epoch.0,
        "isTransactional": header.is_transactional(),
        "isControl": header.is_control(),
        "deleteHorizonMs": header.delete_horizon().map(|at| at.0),
        "position": batch.position.0,
        "timestampType": timestamp_name(header),
        "maxTimestamp": header.max_timestamp.0,
        "size": header.size,
        "magic": header.magic,
        "compressCodec": codec_name(header),
        "crc": header.crc,
        "isValid": batch.problem.is_none(),
    });
    if let Some(problem) = &batch.problem {
        value["problem"] = Value::from(problem.to_string());
    } else if !args.no_records {
        let records = batch.records().map(|record| {
            let mut value = json_record("", 0, &record);
            if let Some(fields) = value.as_object_mut() {
                fields.retain(|name, _| name != "topic" && name != "partition" && name != "timestampType");
            }
            value
        });
        value["records"] = records.collect();
    }
    value
}
