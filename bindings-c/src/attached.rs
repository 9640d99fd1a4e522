//! Who has a directory open, and what is counted while somebody has.

use klog::{AttachedHandle, Metric};

use crate::engine::klog_engine;
use crate::error::klog_error;
use crate::rows::Kind::{Int, Text};
use crate::rows::{klog_rows, list};
use crate::status::klog_status;

/// The handles that have the directory open for writing, this one too if it may write: slot, generation, pid, pid_namespace,
/// program, since, dead, holds. A process has one for each engine that it opened. slot is its place in the table, generation
/// which of those who had that place it is; pid means something in the namespace pid_namespace, an inode; program is cut to 32
/// bytes; since is in ms since 1970. dead is 1 for one that died and that nobody has missed yet. holds says what it holds,
/// with commas between: housekeeping, metadata, lock or flush and a partition; null for nothing. A look, which takes no lock,
/// and is old when it returns. Free it with klog_rows_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_attached(
    engine: *mut klog_engine,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { list(out, error, |c| Ok(attached_rows(&c.handle(engine)?.life.engine.admin().attached()?.handles))) }
}

fn attached_rows(handles: &[AttachedHandle]) -> klog_rows {
    let mut rows = klog_rows::new([
        ("slot", Int),
        ("generation", Int),
        ("pid", Int),
        ("pid_namespace", Int),
        ("program", Text),
        ("since", Int),
        ("dead", Int),
        ("holds", Text),
    ]);
    for of in handles {
        let holds: Vec<String> = of.holds.iter().map(|holding| holding.what.to_string()).collect();
        rows.push([
            i64::from(of.slot).into(),
            i64::from(of.generation).into(),
            i64::from(of.pid).into(),
            of.pid_namespace.into(),
            of.program.as_str().into(),
            of.since_ms.into(),
            of.is_dead.into(),
            (!holds.is_empty()).then(|| holds.join(", ")).as_deref().into(),
        ]);
    }
    rows
}

/// What is counted in the directory since the first of those who have it open opened it: name, labels, kind, value, topic,
/// partition, help. A name that ends with _ms or _ns is of a time in that unit. kind is counter for what only grows, and gauge
/// for what goes up and down; labels are those of the Prometheus text format, topic="orders",partition="0"; labels, topic and
/// partition are null for what is of the whole directory; help is a sentence. The rows of one name stand together. Free it with
/// klog_rows_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_engine_metrics(
    engine: *mut klog_engine,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { list(out, error, |c| Ok(metric_rows(&c.handle(engine)?.life.engine.admin().metrics()?.rows()))) }
}

fn metric_rows(metrics: &[Metric]) -> klog_rows {
    let mut rows = klog_rows::new([
        ("name", Text),
        ("labels", Text),
        ("kind", Text),
        ("value", Int),
        ("topic", Text),
        ("partition", Int),
        ("help", Text),
    ]);
    for of in metrics {
        // Names of topics have nothing in them that would have to be escaped.
        let partition = of.partition.as_ref();
        let labels = partition.map(|of| format!("topic=\"{}\",partition=\"{}\"", of.topic, of.partition));
        rows.push([
            of.name.into(),
            labels.as_deref().into(),
            of.kind.name().into(),
            of.value.into(),
            partition.map(|of| of.topic.as_str()).into(),
            partition.map(|of| of.partition).into(),
            of.help.into(),
        ]);
    }
    rows
}
