//! What lies on the disk.

use std::ffi::c_char;

use klog::{BatchDescription, LogDirDescription, OffsetSpec, ReplicaDescription, SegmentDescription};

use crate::admin::klog_admin;
use crate::error::klog_error;
use crate::rows::Kind::{Int, Text};
use crate::rows::{Cell, klog_rows, list, report_rows};
use crate::status::klog_status;
use crate::topic::EARLIEST;

/// The segments of a partition, in order: file, base_offset, next_offset, bytes, records, first_timestamp, last_timestamp,
/// active, batches, damaged_bytes. file is the .log, from the log directory on; bytes are of it, and damaged_bytes those
/// that are no batch; records counts those that control the log too; last_timestamp is the greatest, and both are -1 where
/// there is none; active is 1 for the one that is appended to. Reads the header of every batch. Free it with
/// klog_rows_free(). KLOG_E_UNKNOWN_TOPIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_segment_list(
    admin: *mut klog_admin,
    topic: *const c_char,
    partition: i32,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        list(out, error, |c| {
            let topic = c.text(topic, "topic")?;
            Ok(segment_rows(&c.handle(admin)?.admin.list_segments(topic, partition)?))
        })
    }
}

fn segment_rows(segments: &[SegmentDescription]) -> klog_rows {
    let mut rows = klog_rows::new([
        ("file", Text),
        ("base_offset", Int),
        ("next_offset", Int),
        ("bytes", Int),
        ("records", Int),
        ("first_timestamp", Int),
        ("last_timestamp", Int),
        ("active", Int),
        ("batches", Int),
        ("damaged_bytes", Int),
    ]);
    for of in segments {
        rows.push([
            of.file.as_str().into(),
            of.base_offset.into(),
            of.next_offset.into(),
            of.bytes.into(),
            of.records.into(),
            of.first_timestamp.into(),
            of.max_timestamp.into(),
            of.is_active.into(),
            of.batches.into(),
            of.damaged_bytes.into(),
        ]);
    }
    rows
}

/// The record batches of a partition, max_rows at most (SIZE_MAX for all), from the one that contains from_offset on, which may be
/// KLOG_EARLIEST: base_offset, last_offset, position, bytes, records, codec, crc_ok, producer_id, producer_epoch,
/// base_sequence, transactional, control, leader_epoch, max_timestamp, file, problem. position is in file, the .log, which is
/// named from the log directory on; the numbers of a producer are -1 where there is none. crc_ok is 0 when the checksum that
/// is stored is not the one that is computed; problem says why the batch cannot be read, and is null when it can. Bytes that
/// do not even begin like a batch have no row; klog_topic_verify() tells of them. Free it with klog_rows_free().
/// KLOG_E_UNKNOWN_TOPIC; KLOG_E_OFFSET_OUT_OF_RANGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_batch_list(
    admin: *mut klog_admin,
    topic: *const c_char,
    partition: i32,
    from_offset: i64,
    max_rows: usize,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        list(out, error, |c| {
            let (topic, admin) = (c.text(topic, "topic")?, &c.handle(admin)?.admin);
            let from = match from_offset {
                EARLIEST => admin.list_offset(topic, partition, OffsetSpec::Earliest)?.offset,
                offset => offset,
            };
            Ok(batch_rows(&admin.list_batches(topic, partition, from, max_rows)?))
        })
    }
}

fn batch_rows(batches: &[BatchDescription]) -> klog_rows {
    let mut rows = klog_rows::new([
        ("base_offset", Int),
        ("last_offset", Int),
        ("position", Int),
        ("bytes", Int),
        ("records", Int),
        ("codec", Text),
        ("crc_ok", Int),
        ("producer_id", Int),
        ("producer_epoch", Int),
        ("base_sequence", Int),
        ("transactional", Int),
        ("control", Int),
        ("leader_epoch", Int),
        ("max_timestamp", Int),
        ("file", Text),
        ("problem", Text),
    ]);
    for of in batches {
        rows.push(batch_row(of));
    }
    rows
}

fn batch_row(of: &BatchDescription) -> [Cell; 16] {
    [
        of.header.base_offset.0.into(),
        of.header.last_offset().0.into(),
        of.position.into(),
        of.bytes.into(),
        of.header.records_count.into(),
        of.codec().into(),
        of.is_crc_ok().into(),
        of.producer_id().0.into(),
        i32::from(of.header.producer_epoch).into(),
        of.header.base_sequence.into(),
        of.header.is_transactional().into(),
        of.header.is_control().into(),
        of.header.leader_epoch.0.into(),
        of.header.max_timestamp.0.into(),
        of.file.as_str().into(),
        of.problem.as_ref().map(ToString::to_string).as_deref().into(),
    ]
}

/// What the log directories hold, by their files: dir, topic, partition, bytes, log_bytes, segments, directory, total_bytes,
/// usable_bytes. There is a row for each directory of a partition; topic and partition are null for one that waits for its
/// removal or that a broker set aside, and directory is its name. bytes are of all its files, log_bytes of the .log files.
/// total_bytes and usable_bytes are of the file system that dir is on, and the same in all its rows; one that holds no
/// partition has one row, in which all else is null. Free it with klog_rows_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_log_dir_list(
    admin: *mut klog_admin,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { list(out, error, |c| Ok(log_dir_rows(&c.handle(admin)?.admin.describe_log_dirs()?))) }
}

fn log_dir_rows(dirs: &[LogDirDescription]) -> klog_rows {
    let mut rows = klog_rows::new([
        ("dir", Text),
        ("topic", Text),
        ("partition", Int),
        ("bytes", Int),
        ("log_bytes", Int),
        ("segments", Int),
        ("directory", Text),
        ("total_bytes", Int),
        ("usable_bytes", Int),
    ]);
    for dir in dirs {
        if dir.replicas.is_empty() {
            rows.push(replica_row(dir, None));
        }
        for replica in &dir.replicas {
            rows.push(replica_row(dir, Some(replica)));
        }
    }
    rows
}

fn replica_row(dir: &LogDirDescription, replica: Option<&ReplicaDescription>) -> [Cell; 9] {
    let partition = replica.and_then(|of| of.partition.as_ref());
    [
        dir.path.to_string_lossy().as_ref().into(),
        partition.map(|of| of.topic.as_str()).into(),
        partition.map(|of| of.partition).into(),
        replica.map(|of| of.bytes).into(),
        replica.map(|of| of.log_bytes).into(),
        replica.map(|of| of.segments as u64).into(),
        replica.map(|of| of.directory.as_str()).into(),
        dir.total_bytes.into(),
        dir.usable_bytes.into(),
    ]
}

/// Read everything and check everything: batches, indexes, in one topic or, with NULL, in all. The columns are those of
/// klog_engine_report(); free them with klog_rows_free(). No row is good news. KLOG_E_UNKNOWN_TOPIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_verify(
    admin: *mut klog_admin,
    topic: *const c_char,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        list(out, error, |c| {
            let topic = c.optional_text(topic, "topic")?;
            Ok(report_rows(&c.handle(admin)?.admin.verify(topic)?))
        })
    }
}
