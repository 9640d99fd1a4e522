//! `klog stats`.

use std::fmt::Write;
use std::path::Path;

use klog::{Counts, Metric, MetricKind, Metrics, Mode};
use serde_json::{Value, json};

use crate::args::{Place, Stats};
use crate::attached::{say, what_sharing};
use crate::failure::Outcome;
use crate::output::{Output, shown_time};

/// A terminal with fewer columns shows less of each partition.
const WIDE: usize = 130;
const NARROW_COLUMNS: usize = 8;
const HEADINGS: [&str; 12] = [
    "Topic",
    "Partition",
    "Appends",
    "AppendBytes",
    "LockWaits",
    "LockWaitMs",
    "Flushes",
    "FlushMs",
    "Wakes",
    "Steals",
    "Recoveries",
    "Cuts",
];

pub(crate) fn run(place: &Place, args: &Stats, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let metrics = engine.admin().metrics()?;
    if args.prometheus {
        return out.raw(prometheus(engine.path(), &metrics.rows()).as_bytes());
    }
    if metrics.attached == 0 {
        if !out.is_for_people() && !out.json {
            out.table(&HEADINGS, &[])?;
        }
        let who = what_sharing(engine.path(), &engine.admin().attached()?.sharing);
        return say(&format!("{who}, so there is nothing to show"), out);
    }
    show(&metrics, out)
}

fn show(metrics: &Metrics, out: &mut Output) -> Outcome {
    let mut rows: Vec<_> = metrics
        .partitions
        .iter()
        .map(|found| cells(json!(found.partition.topic), json!(found.partition.partition), &found.counts))
        .collect();
    if out.json {
        out.rows(&HEADINGS, rows)?;
        return out.object(&json!({
            "attached": metrics.attached,
            "attachments": metrics.attachments,
            "deaths": metrics.deaths,
            "since": metrics.since_ms,
            "ageMs": metrics.age_ms,
        }));
    }
    if !out.is_for_people() {
        return out.rows(&HEADINGS, rows);
    }
    rows.push(cells(json!("total"), Value::Null, &metrics.total()));
    let columns = if out.width() < WIDE { NARROW_COLUMNS } else { HEADINGS.len() };
    rows.iter_mut().for_each(|row| row.truncate(columns));
    out.rows(&HEADINGS[..columns], rows)?;
    let total = metrics.total();
    out.line("")?;
    let sentence = format!(
        "open since {}: {} attached now, {} so far, {} of them died; {} locks were taken over, {} logs recovered",
        shown_time(metrics.since_ms),
        metrics.attached,
        metrics.attachments,
        metrics.deaths,
        total.steals,
        total.recoveries
    );
    textwrap::wrap(&sentence, out.width()).iter().try_for_each(|line| out.line(line))
}

fn cells(topic: Value, partition: Value, counts: &Counts) -> Vec<Value> {
    let ms = |ns: u64| json!(ns / 1_000_000);
    vec![
        topic,
        partition,
        json!(counts.appends),
        json!(counts.bytes),
        json!(counts.lock_waits),
        ms(counts.lock_wait_ns),
        json!(counts.flushes),
        ms(counts.flush_ns),
        json!(counts.wakes),
        json!(counts.steals),
        json!(counts.recoveries),
        json!(counts.cuts),
    ]
}

/// The text format of Prometheus, version 0.0.4. Times are in seconds there, and counters end with `_total`.
fn prometheus(dir: &Path, rows: &[Metric]) -> String {
    let directory = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let directory = label(&directory.to_string_lossy());
    let mut text = String::new();
    for same in rows.chunk_by(|one, next| one.name == next.name) {
        let first = &same[0];
        let (stem, per_second) = match (first.name.strip_suffix("_ns"), first.name.strip_suffix("_ms")) {
            (Some(stem), _) => (format!("{stem}_seconds"), Some(1e9)),
            (_, Some(stem)) => (format!("{stem}_seconds"), Some(1e3)),
            _ => (first.name.to_owned(), None),
        };
        let end = if first.kind == MetricKind::Counter { "_total" } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP klog_{stem}{end} {}\n# TYPE klog_{stem}{end} {}\n", first.help, first.kind.name());
        for row in same {
            let of = row.partition.as_ref().map_or_else(String::new, |partition| {
                format!(",topic=\"{}\",partition=\"{}\"", label(&partition.topic), partition.partition)
            });
            let _ = match per_second {
                Some(units) => {
                    writeln!(text, "klog_{stem}{end}{{directory=\"{directory}\"{of}}} {}", row.value as f64 / units)
                }
                None => writeln!(text, "klog_{stem}{end}{{directory=\"{directory}\"{of}}} {}", row.value),
            };
        }
    }
    text
}

/// The value of a label, with what would end it escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use klog::TopicPartition;

    #[test]
    fn numbers_are_shown_as_prometheus_reads_them() {
        let of = |name: &str| Some(TopicPartition::new(name, 3));
        let row = |name, kind, partition, value| Metric { name, help: "Help.", kind, partition, value };
        let rows = [
            row("attached", MetricKind::Gauge, None, 2),
            row("flush_ns", MetricKind::Counter, of("a"), 1_500_000_000),
            row("flush_ns", MetricKind::Counter, of("\"\\\n"), 0),
        ];
        let expected = r#"# HELP klog_attached Help.
# TYPE klog_attached gauge
klog_attached{directory="/no\"where"} 2
# HELP klog_flush_seconds_total Help.
# TYPE klog_flush_seconds_total counter
klog_flush_seconds_total{directory="/no\"where",topic="a",partition="3"} 1.5
klog_flush_seconds_total{directory="/no\"where",topic="\"\\\n",partition="3"} 0
"#;
        assert_eq!(prometheus(Path::new("/no\"where"), &rows), expected);
    }
}
