//! `klog offsets`, `klog segments` and `klog verify`.

use klog::{Admin, BatchDescription, Finding, Mode, OffsetSpec, Report, SegmentDescription};
use serde_json::json;

use crate::args::{Offsets, Place, Segments, Verify};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Role, shown_time};
use crate::progress;

/// The topics that were named, or all of them.
fn named(admin: &Admin, topics: &[String]) -> Outcome<Vec<String>> {
    match topics {
        [] => Ok(admin.list_topics()?.into_iter().map(|topic| topic.name).collect()),
        topics => Ok(topics.to_vec()),
    }
}

/// The partitions of a topic, or the one that was named.
pub(crate) fn partitions(admin: &Admin, topic: &str, only: Option<i32>) -> Outcome<Vec<i32>> {
    match only {
        Some(partition) => Ok(vec![partition]),
        None => Ok(admin.describe_topic(topic)?.partitions.iter().map(|p| p.partition).collect()),
    }
}

pub(crate) fn offsets(place: &Place, args: &Offsets, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let admin = engine.admin();
    let mut rows = Vec::new();
    for topic in named(&admin, &args.topics)? {
        for partition in partitions(&admin, &topic, args.partition)? {
            rows.push(match args.at {
                Some(which) => found(&admin, &topic, partition, which, out)?,
                None => ends(&admin, &topic, partition)?,
            });
        }
    }
    let headings: &[&str] = match args.at {
        Some(_) => &["Topic", "Partition", "Offset", "Timestamp"],
        None => &["Topic", "Partition", "EarliestOffset", "LatestOffset", "Records"],
    };
    out.rows(headings, rows)
}

fn found(
    admin: &Admin,
    topic: &str,
    partition: i32,
    which: OffsetSpec,
    out: &Output,
) -> Outcome<Vec<serde_json::Value>> {
    let found = admin.list_offset(topic, partition, which)?;
    Ok(vec![json!(topic), json!(partition), json!(found.offset), time(found.timestamp, out)])
}

fn ends(admin: &Admin, topic: &str, partition: i32) -> Outcome<Vec<serde_json::Value>> {
    let earliest = admin.list_offset(topic, partition, OffsetSpec::Earliest)?.offset;
    let latest = admin.list_offset(topic, partition, OffsetSpec::Latest)?.offset;
    Ok(vec![json!(topic), json!(partition), json!(earliest), json!(latest), json!(latest - earliest)])
}

pub(crate) fn segments(place: &Place, args: &Segments, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let admin = engine.admin();
    let mut found = Vec::new();
    for partition in partitions(&admin, &args.topic, args.partition)? {
        let cells = if args.batches {
            let earliest = admin.list_offset(&args.topic, partition, OffsetSpec::Earliest)?.offset;
            let from = args.offset.unwrap_or(earliest);
            let batches = admin.list_batches(&args.topic, partition, from, args.max.unwrap_or(usize::MAX))?;
            batches.iter().map(|batch| batch_cells(batch, out)).collect()
        } else {
            let segments = admin.list_segments(&args.topic, partition)?;
            segments.iter().map(|segment| segment_cells(segment, out)).collect()
        };
        found.push((partition, cells));
    }
    let headings: &[&str] = match (args.batches, out.is_for_people() && out.width() < WIDE) {
        (false, _) => &SEGMENT_HEADINGS,
        (true, false) => &BATCH_HEADINGS,
        (true, true) => &BATCH_HEADINGS[..8],
    };
    show_by_partition(&args.topic, headings, found, out)
}

/// A terminal with fewer columns shows less of each batch.
const WIDE: usize = 100;
const SEGMENT_HEADINGS: [&str; 7] =
    ["BaseOffset", "NextOffset", "Batches", "Records", "Bytes", "MaxTimestamp", "State"];
const BATCH_HEADINGS: [&str; 10] = [
    "BaseOffset",
    "LastOffset",
    "Position",
    "Bytes",
    "Records",
    "Codec",
    "Kind",
    "MaxTimestamp",
    "ProducerId",
    "LeaderEpoch",
];

/// For people a table each, under the partition's name; for programs one, with a column that tells the partition.
fn show_by_partition(
    topic: &str,
    headings: &[&str],
    found: Vec<(i32, Vec<Vec<serde_json::Value>>)>,
    out: &mut Output,
) -> Outcome {
    if out.is_for_people() {
        for (index, (partition, mut rows)) in found.into_iter().enumerate() {
            if index > 0 {
                out.line("")?;
            }
            out.line(format_args!("{topic}-{partition}"))?;
            rows.iter_mut().for_each(|row| row.truncate(headings.len()));
            out.rows(headings, rows)?;
        }
        return Ok(());
    }
    let with_partition = |(partition, rows): (i32, Vec<Vec<serde_json::Value>>)| {
        rows.into_iter().map(move |row| [vec![json!(partition)], row].concat())
    };
    out.rows(&[&["Partition"], headings].concat(), found.into_iter().flat_map(with_partition).collect())
}

fn segment_cells(segment: &SegmentDescription, out: &Output) -> Vec<serde_json::Value> {
    let state = match (segment.damaged_bytes, segment.is_active) {
        (0, true) => "active",
        (0, false) => "sealed",
        _ => "damaged",
    };
    vec![
        json!(segment.base_offset),
        json!(segment.next_offset),
        json!(segment.batches),
        json!(segment.records),
        json!(segment.bytes),
        time(segment.max_timestamp, out),
        json!(state),
    ]
}

fn batch_cells(batch: &BatchDescription, out: &Output) -> Vec<serde_json::Value> {
    let header = &batch.header;
    let kind = match &batch.problem {
        Some(_) => "damaged",
        None if header.is_control() => "control",
        None if header.is_transactional() => "transaction",
        None => "data",
    };
    vec![
        json!(header.base_offset.0),
        json!(header.last_offset().0),
        json!(batch.position),
        json!(batch.bytes),
        json!(header.records_count),
        json!(batch.codec()),
        json!(kind),
        time(header.max_timestamp.0, out),
        json!(header.producer_id.0),
        json!(header.leader_epoch.0),
    ]
}

/// For people a date, for programs the number.
fn time(timestamp: i64, out: &Output) -> serde_json::Value {
    if out.is_for_people() { json!(shown_time(timestamp)) } else { json!(timestamp) }
}

pub(crate) fn verify(place: &Place, args: &Verify, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let admin = engine.admin();
    let bar = progress::bytes("verifying");
    let mut report = Report::default();
    match args.topics.as_slice() {
        [] => report.append(admin.verify_with(None, |done, total| progress::tell(&bar, done, total))?),
        topics => {
            for topic in topics {
                report.append(admin.verify_with(Some(topic), |done, total| progress::tell(&bar, done, total))?);
            }
        }
    }
    bar.finish_and_clear();
    // Opening, and opening each partition, found something too.
    report.append(engine.report()?);
    let problems = problems(&report);
    if out.json || !out.is_terminal {
        out.rows(&["File", "Problem"], problems.iter().map(|p| vec![json!(p.file), json!(p.what)]).collect())?;
    } else if problems.is_empty() {
        out.line("no problem was found")?;
    } else {
        for problem in &problems {
            let line = format!("{}: {}", problem.file, problem.what);
            let line = out.paint(Role::Alarm, line);
            out.line(line)?;
        }
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(Failure::Other("1 problem was found; 'klog explain FILE' shows every byte of a file".into())),
        count => {
            Err(Failure::Other(format!("{count} problems were found; 'klog explain FILE' shows every byte of a file")))
        }
    }
}

fn problems(report: &Report) -> Vec<Finding> {
    let cuts = report.cuts.iter().map(|cut| Finding { file: cut.file.clone(), what: cut.to_string() });
    let damage = report.damage.iter().map(|damage| Finding { file: damage.file.clone(), what: damage.to_string() });
    cuts.chain(damage).chain(report.findings.iter().cloned()).collect()
}
