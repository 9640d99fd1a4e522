//! Taking over a directory that klog did not make.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use klog::{Adoption, EngineConfig, Mode, OpenOptions, Retention};

use crate::config::{OfBrokers, Opening, Options, klog_config};
use crate::error::klog_error;
use crate::guard::{Failure, enter};
use crate::rows::Kind::{Int, Text};
use crate::rows::{klog_rows, report_rows};
use crate::status::klog_status;
use crate::status::klog_status_code::KLOG_E_CONFIG;

const RETENTION_MS: &str = "log.retention.ms";
const RETENTION_BYTES: &str = "log.retention.bytes";

/// Adopt a directory that klog did not make: what it lets go of is from then on what config says under "log.retention.ms",
/// which must be set (-1 keeps everything), and "log.retention.bytes", where a topic does not say otherwise itself; one of
/// the ZooKeeper era gets the metadata that it lacks, and can be written to. Durable on return. Nothing is deleted before
/// the directory is opened for writing; adopting again changes the retention. The options of klog_engine_open() count too.
///
/// *out, which may be NULL, is one row that says what was done: cluster_id, node_id, made_metadata, topics, partitions,
/// left_alone. left_alone has the names, with commas between, of directories that hold no partition and stay as they are.
/// *report, which may be NULL, is what was found on the way, as klog_engine_report() tells it. Free both with
/// klog_rows_free().
///
/// KLOG_E_CONFIG when the retention is not given, and for a mode that only reads; KLOG_E_LOCKED while somebody has the
/// directory whom nobody can share it with, or has one without metadata open; KLOG_E_UNSUPPORTED for one of several brokers, where partitions of a topic are missing, and for metadata of a
/// newer Kafka than klog changes; KLOG_E_IO for one that holds no logs. Nothing is changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_adopt(
    dir: *const c_char,
    config: *const klog_config,
    out: *mut *mut klog_rows,
    report: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.optional_out(out, std::ptr::null_mut());
            let report = c.optional_out(report, std::ptr::null_mut());
            let dir = c.optional_string(dir).ok_or_else(|| Failure::invalid("dir is NULL"))?;
            let adoption = adopt(dir, c.config(config))?;
            if let Some(out) = out {
                out.give(adoption_row(&adoption));
            }
            if let Some(report) = report {
                report.give(report_rows(&adoption.report));
            }
            Ok(())
        })
    }
}

fn adopt(dir: &[u8], config: &klog_config) -> Result<Adoption, Failure> {
    let opening: Opening = config.read()?;
    if opening.mode()? == Mode::ReadOnly {
        return Err(Failure::new(KLOG_E_CONFIG, "adopting a directory writes to it, and the mode is to read only"));
    }
    let given = config.texts::<OfBrokers>();
    if !given.contains_key(RETENTION_MS) {
        let message = format!("{RETENTION_MS} is not set; it says how old segments may become, and -1 keeps them");
        return Err(Failure::new(KLOG_E_CONFIG, message));
    }
    let mut settings = OfBrokers::default();
    for (name, value) in given.iter().filter(|(name, _)| [RETENTION_MS, RETENTION_BYTES].contains(&name.as_str())) {
        settings.put(name, value)?;
    }
    let retention = Retention { ms: settings.0.retention_ms, bytes: settings.0.retention_bytes };
    let options = OpenOptions::new().config(config.read::<EngineConfig>()?).assume_lost(opening.assume_lost);
    Ok(options.adopt(OsStr::from_bytes(dir), retention)?)
}

fn adoption_row(of: &Adoption) -> klog_rows {
    let mut rows = klog_rows::new([
        ("cluster_id", Text),
        ("node_id", Int),
        ("made_metadata", Int),
        ("topics", Int),
        ("partitions", Int),
        ("left_alone", Text),
    ]);
    rows.push([
        of.cluster_id.as_str().into(),
        of.node_id.into(),
        of.made_metadata.into(),
        (of.topics as u64).into(),
        (of.partitions as u64).into(),
        of.left_alone.join(",").as_str().into(),
    ]);
    rows
}
