//! What a topic's settings mean for each append, worked out when they change and not when they are needed.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::config::{Durability, MessageTimestampType, TopicConfig};
use crate::record::{LeaderRules, TimestampType};
use crate::segment::IndexRules;

/// What a batch may hold when it is decompressed to be checked; consumers allow as much.
const MOST_DECOMPRESSED_BYTES: usize = 256 << 20;

/// The settings that an append looks at. The tail has them, so that they take no lock but its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppendRules {
    pub(super) leader: LeaderRules,
    pub(super) index: IndexRules,
    /// `segment.bytes`.
    pub(super) segment_bytes: u64,
    /// After how many ms a segment is finished, before the jitter is taken off.
    pub(super) segment_age_ms: i64,
}

impl AppendRules {
    /// Those of a topic.
    pub(super) fn of(config: &TopicConfig) -> Self {
        AppendRules {
            leader: leader_rules(config),
            index: index_rules(config),
            segment_bytes: config.segment_bytes as u64,
            segment_age_ms: match config.cleanup_policy.compact {
                true => config.segment_ms.min(config.max_compaction_lag_ms),
                false => config.segment_ms,
            },
        }
    }
}

fn leader_rules(config: &TopicConfig) -> LeaderRules {
    LeaderRules {
        max_message_bytes: config.max_message_bytes as usize,
        timestamp_type: match config.message_timestamp_type {
            MessageTimestampType::CreateTime => TimestampType::CreateTime,
            MessageTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compression: config.compression(),
        requires_keys: config.cleanup_policy.compact,
        max_decompressed_bytes: MOST_DECOMPRESSED_BYTES,
    }
}

/// The rules of a topic for index entries.
pub(super) fn index_rules(config: &TopicConfig) -> IndexRules {
    IndexRules {
        interval_bytes: config.index_interval_bytes as u64,
        max_index_bytes: config.segment_index_bytes as u64,
    }
}

/// The settings that everybody who waits looks at, as words that take no lock.
#[derive(Debug)]
pub(super) struct WaitRules {
    is_fsync: AtomicBool,
    flush_messages: AtomicI64,
}

impl WaitRules {
    /// Those of a topic.
    pub(super) fn of(config: &TopicConfig) -> Self {
        WaitRules {
            is_fsync: AtomicBool::new(config.klog_durability == Durability::Fsync),
            flush_messages: AtomicI64::new(config.flush_messages),
        }
    }

    /// Takes other settings over. Each word stands for itself, so it does not matter that somebody may see one of them
    /// before the other.
    pub(super) fn replace(&self, config: &TopicConfig) {
        self.is_fsync.store(config.klog_durability == Durability::Fsync, Ordering::Release);
        self.flush_messages.store(config.flush_messages, Ordering::Release);
    }

    /// `klog.durability`.
    pub(super) fn durability(&self) -> Durability {
        if self.is_fsync.load(Ordering::Acquire) { Durability::Fsync } else { Durability::Os }
    }

    /// `flush.messages`.
    pub(super) fn flush_messages(&self) -> i64 {
        self.flush_messages.load(Ordering::Acquire)
    }
}
