//! Topics, partitions and their settings: making, looking at, changing, and taking away.

use std::ffi::c_char;

use klog::{ConfigResource, NewTopic, OffsetSpec, PartitionDescription, TimestampMs, TopicConfig};

use crate::admin::klog_admin;
use crate::config::klog_config;
use crate::error::klog_error;
use crate::guard::{Failure, enter};
use crate::rows::Kind::{Int, Text};
use crate::rows::{Cell, klog_rows, list};
use crate::status::klog_status;

/// Offsets that are found by what they mean.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum klog_special_offset {
    /// The first one there is.
    KLOG_EARLIEST = -2,
    /// The one after the last that is visible.
    KLOG_LATEST = -1,
    /// That of the record with the greatest timestamp; klog_topic_offset_at() only.
    KLOG_MAX_TIMESTAMP = -3,
}

pub(crate) const EARLIEST: i64 = klog_special_offset::KLOG_EARLIEST as i64;
pub(crate) const LATEST: i64 = klog_special_offset::KLOG_LATEST as i64;
const MAX_TIMESTAMP: i64 = klog_special_offset::KLOG_MAX_TIMESTAMP as i64;

/// Make a topic; it exists, durably, on return. partitions and replication_factor: 0 takes the engine's default. Of
/// config, the options of topics count. KLOG_E_TOPIC_EXISTS; KLOG_E_INVALID for a name or a number that Kafka does not
/// allow; KLOG_E_UNSUPPORTED for settings that klog does not have yet; KLOG_E_READ_ONLY. Nothing is changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_create(
    admin: *mut klog_admin,
    topic: *const c_char,
    partitions: i32,
    replication_factor: i32,
    config: *const klog_config,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let unless_zero = |number: i32| (number != 0).then_some(number);
            let topic = NewTopic {
                name: c.text(topic, "topic")?.to_owned(),
                partitions: unless_zero(partitions),
                replication_factor: unless_zero(replication_factor),
                configs: c.config(config).texts::<TopicConfig>(),
            };
            c.handle(admin)?.admin.create_topic(&topic)?;
            Ok(())
        })
    }
}

/// Give a topic more partitions, total in all; they are there, durably, on return, and producers use them from their next
/// message on. Messages with a key go to other partitions than those with the same key before. KLOG_E_INVALID when total is
/// not larger than what there is: partitions never become fewer; KLOG_E_UNKNOWN_TOPIC names the nearest topic;
/// KLOG_E_READ_ONLY. Nothing is changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_add_partitions(
    admin: *mut klog_admin,
    topic: *const c_char,
    total: i32,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let topic = c.text(topic, "topic")?;
            c.handle(admin)?.admin.add_partitions(topic, total)?;
            Ok(())
        })
    }
}

/// Change options of a topic or, with a topic of NULL, what all brokers say for topics that say nothing themselves, by the
/// names that brokers have for it ("log.retention.ms"). They are in force, durably, on return; others stay as they are.
/// Every key of changes must be such an option; one that was set to NULL goes back to what holds without it.
/// KLOG_E_UNKNOWN_TOPIC; KLOG_E_CONFIG for another key, and for one that is given when opening; KLOG_E_UNSUPPORTED;
/// KLOG_E_READ_ONLY. Nothing is changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_configure(
    admin: *mut klog_admin,
    topic: *const c_char,
    changes: *const klog_config,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let (of, changes) = (resource(c.optional_text(topic, "topic")?), c.handle(changes)?.changes());
            Ok(c.handle(admin)?.admin.alter_configs(&of, &changes)?)
        })
    }
}

/// What settings belong to: a topic or, without one, all brokers.
fn resource(topic: Option<&str>) -> ConfigResource {
    topic.map_or(ConfigResource::Brokers, |topic| ConfigResource::Topic(topic.to_owned()))
}

/// Remove a topic with all its records; it is gone, durably, on return. KLOG_E_UNKNOWN_TOPIC names the nearest topic;
/// KLOG_E_INVALID for one of Kafka's own; KLOG_E_READ_ONLY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_delete(
    admin: *mut klog_admin,
    topic: *const c_char,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let topic = c.text(topic, "topic")?;
            Ok(c.handle(admin)?.admin.delete_topic(topic)?)
        })
    }
}

/// All topics: topic, id, partitions, replication_factor, internal; by name. Free it with klog_rows_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_list(
    admin: *mut klog_admin,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        list(out, error, |c| {
            let columns =
                [("topic", Text), ("id", Text), ("partitions", Int), ("replication_factor", Int), ("internal", Int)];
            let mut rows = klog_rows::new(columns);
            for topic in c.handle(admin)?.admin.list_topics()? {
                rows.push([
                    topic.name.as_str().into(),
                    topic.id.to_string().as_str().into(),
                    topic.partitions.into(),
                    topic.replication_factor.into(),
                    topic.is_internal.into(),
                ]);
            }
            Ok(rows)
        })
    }
}

/// Every option of a topic or, with NULL, of the brokers, with the value that holds: key, value, source, read_only, type,
/// bounds, doc; by key. A value is null where nothing is set. source is Kafka's word for where it comes from:
/// DYNAMIC_TOPIC_CONFIG, DYNAMIC_BROKER_CONFIG, DYNAMIC_DEFAULT_BROKER_CONFIG (all brokers), STATIC_BROKER_CONFIG (given
/// when opening) or DEFAULT_CONFIG; NOT_ADOPTED is klog's, for a directory that nothing is deleted from before klog_adopt().
/// read_only is 1 for what klog_topic_configure() cannot change. Free it with klog_rows_free(). KLOG_E_UNKNOWN_TOPIC names
/// the nearest topic.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_config_list(
    admin: *mut klog_admin,
    topic: *const c_char,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        list(out, error, |c| {
            let of = resource(c.optional_text(topic, "topic")?);
            let mut rows = klog_rows::new([
                ("key", Text),
                ("value", Text),
                ("source", Text),
                ("read_only", Int),
                ("type", Text),
                ("bounds", Text),
                ("doc", Text),
            ]);
            for entry in &c.handle(admin)?.admin.describe_configs(&of)? {
                rows.push([
                    entry.name.as_str().into(),
                    entry.value.as_deref().into(),
                    entry.source.name().into(),
                    entry.is_read_only.into(),
                    entry.kind.into(),
                    entry.bounds.as_deref().into(),
                    entry.doc.into(),
                ]);
            }
            Ok(rows)
        })
    }
}

/// The partitions of a topic or, with NULL, of all: topic, partition, leader, leader_epoch, replicas, isr,
/// log_start_offset, last_stable_offset, high_watermark, log_end_offset, bytes, segments. Free it with klog_rows_free().
/// KLOG_E_UNKNOWN_TOPIC names the nearest topic.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_partition_list(
    admin: *mut klog_admin,
    topic: *const c_char,
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        list(out, error, |c| {
            let topic = c.optional_text(topic, "topic")?;
            partition_rows(&c.handle(admin)?.admin, topic)
        })
    }
}

fn partition_rows(admin: &klog::Admin, topic: Option<&str>) -> Result<klog_rows, Failure> {
    let mut rows = klog_rows::new([
        ("topic", Text),
        ("partition", Int),
        ("leader", Int),
        ("leader_epoch", Int),
        ("replicas", Text),
        ("isr", Text),
        ("log_start_offset", Int),
        ("last_stable_offset", Int),
        ("high_watermark", Int),
        ("log_end_offset", Int),
        ("bytes", Int),
        ("segments", Int),
    ]);
    let names = match topic {
        Some(name) => vec![name.to_owned()],
        None => admin.list_topics()?.into_iter().map(|topic| topic.name).collect(),
    };
    for name in names {
        for partition in &admin.describe_topic(&name)?.partitions {
            rows.push(partition_row(&name, partition));
        }
    }
    Ok(rows)
}

fn partition_row(topic: &str, of: &PartitionDescription) -> [Cell; 12] {
    [
        topic.into(),
        of.partition.into(),
        of.leader.into(),
        of.leader_epoch.into(),
        of.replicas.as_slice().into(),
        of.isr.as_slice().into(),
        of.log_start_offset.into(),
        of.last_stable_offset.into(),
        of.high_watermark.into(),
        of.log_end_offset.into(),
        of.bytes.into(),
        (of.segments as u64).into(),
    ]
}

/// The first offset whose record is not older than timestamp; with KLOG_EARLIEST, KLOG_LATEST or KLOG_MAX_TIMESTAMP, the
/// first offset, the next one, or that of the greatest timestamp. *offset is -1 when there is none. KLOG_E_UNKNOWN_TOPIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_offset_at(
    admin: *mut klog_admin,
    topic: *const c_char,
    partition: i32,
    timestamp: i64,
    offset: *mut i64,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.out(offset, "offset", -1)?;
            let topic = c.text(topic, "topic")?;
            let which = match timestamp {
                EARLIEST => OffsetSpec::Earliest,
                LATEST => OffsetSpec::Latest,
                MAX_TIMESTAMP => OffsetSpec::MaxTimestamp,
                0.. => OffsetSpec::At(TimestampMs(timestamp)),
                _ => return Err(Failure::invalid(format!("timestamp is {timestamp}, before 1970"))),
            };
            out.set(c.handle(admin)?.admin.list_offset(topic, partition, which)?.offset);
            Ok(())
        })
    }
}

/// Delete the records of a partition before before_offset; -1 deletes all that are visible. *log_start_offset, which may
/// be NULL, is where the log begins now, durably. KLOG_E_OFFSET_OUT_OF_RANGE above the high watermark;
/// KLOG_E_UNKNOWN_TOPIC; KLOG_E_READ_ONLY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_topic_delete_records(
    admin: *mut klog_admin,
    topic: *const c_char,
    partition: i32,
    before_offset: i64,
    log_start_offset: *mut i64,
    error: *mut *mut klog_error,
) -> klog_status {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        enter(error, |c| {
            let out = c.optional_out(log_start_offset, -1);
            let topic = c.text(topic, "topic")?;
            let before = match before_offset {
                -1 => None,
                0.. => Some(before_offset),
                _ => return Err(Failure::invalid(format!("before_offset is {before_offset}; it is -1, 0 or more"))),
            };
            let start = c.handle(admin)?.admin.delete_records(topic, partition, before)?;
            if let Some(out) = out {
                out.set(start);
            }
            Ok(())
        })
    }
}
