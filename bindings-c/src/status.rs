//! What calls return, and what the engine's errors become.

use std::ffi::{CStr, c_char};

use klog::ErrorCode;

use crate::guard::look;

/// Result of a call: one of klog_status_code. Always 32 bits.
pub type klog_status = i32;

/// Codes are never renumbered. Treat an unknown negative code as an error: s < 0 is the test.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum klog_status_code {
    /// Done.
    KLOG_OK = 0,
    /// An argument is NULL, out of range, or not UTF-8.
    KLOG_E_INVALID = -1,
    /// Unknown configuration key, or a bad value.
    KLOG_E_CONFIG = -2,
    /// Not done within timeout_ms, or another process has held a lock for longer than "request.timeout.ms", and *error names
    /// it; nothing was undone.
    KLOG_E_TIMED_OUT = -3,
    /// klog_consumer_wakeup() was called.
    KLOG_E_INTERRUPTED = -5,
    /// One thread at a time, and another is inside.
    KLOG_E_BUSY = -6,
    /// The handle, or its engine, was closed.
    KLOG_E_CLOSED = -7,
    /// The handle belongs to the parent process.
    KLOG_E_FORKED = -8,
    /// Somebody has the directory whom nobody can share it with; or this handle lost its place there.
    KLOG_E_LOCKED = -9,
    /// The system refused; see klog_error_os_code().
    KLOG_E_IO = -10,
    /// A checksum or a structure on disk is wrong.
    KLOG_E_CORRUPT = -11,
    /// No space is left, or a quota was reached.
    KLOG_E_FULL = -12,
    /// The engine was opened for reading only.
    KLOG_E_READ_ONLY = -13,
    /// klog cannot do this, or not yet.
    KLOG_E_UNSUPPORTED = -14,
    /// There is no such topic, or no such partition of it.
    KLOG_E_UNKNOWN_TOPIC = -20,
    /// The topic exists.
    KLOG_E_TOPIC_EXISTS = -22,
    /// The offset is outside the log.
    KLOG_E_OFFSET_OUT_OF_RANGE = -25,
    /// The record, or its batch, is larger than is allowed.
    KLOG_E_MESSAGE_TOO_LARGE = -26,
    /// Too few replicas are in sync.
    KLOG_E_NOT_ENOUGH_REPLICAS = -27,
    /// This broker does not lead the partition, or not any longer.
    KLOG_E_NOT_LEADER = -28,
    /// The partition is not in the assignment.
    KLOG_E_NOT_ASSIGNED = -29,
    /// Not allowed in the transaction's state.
    KLOG_E_TXN_STATE = -40,
    /// A newer producer took the id.
    KLOG_E_TXN_FENCED = -41,
    /// A bug in klog. The engine is closed, what was acknowledged is safe, and nobody has the directory to himself until
    /// the process ends.
    KLOG_E_PANIC = -127,
}

#[allow(clippy::enum_glob_use, reason = "the names say what they are of")]
use klog_status_code::*;

/// Every code with its name and what it means in general.
const TABLE: &[(klog_status_code, &CStr, &CStr)] = &[
    (KLOG_OK, c"KLOG_OK", c"done"),
    (KLOG_E_INVALID, c"KLOG_E_INVALID", c"an argument is not allowed"),
    (KLOG_E_CONFIG, c"KLOG_E_CONFIG", c"unknown configuration key, or a bad value"),
    (KLOG_E_TIMED_OUT, c"KLOG_E_TIMED_OUT", c"timed out"),
    (KLOG_E_INTERRUPTED, c"KLOG_E_INTERRUPTED", c"woken up"),
    (KLOG_E_BUSY, c"KLOG_E_BUSY", c"another thread is inside"),
    (KLOG_E_CLOSED, c"KLOG_E_CLOSED", c"closed"),
    (KLOG_E_FORKED, c"KLOG_E_FORKED", c"the handle belongs to the parent process"),
    (KLOG_E_LOCKED, c"KLOG_E_LOCKED", c"the directory cannot be shared with who has it"),
    (KLOG_E_IO, c"KLOG_E_IO", c"the system refused"),
    (KLOG_E_CORRUPT, c"KLOG_E_CORRUPT", c"bytes on disk do not check out"),
    (KLOG_E_FULL, c"KLOG_E_FULL", c"no space is left"),
    (KLOG_E_READ_ONLY, c"KLOG_E_READ_ONLY", c"opened for reading only"),
    (KLOG_E_UNSUPPORTED, c"KLOG_E_UNSUPPORTED", c"not supported"),
    (KLOG_E_UNKNOWN_TOPIC, c"KLOG_E_UNKNOWN_TOPIC", c"no such topic or partition"),
    (KLOG_E_TOPIC_EXISTS, c"KLOG_E_TOPIC_EXISTS", c"the topic exists"),
    (KLOG_E_OFFSET_OUT_OF_RANGE, c"KLOG_E_OFFSET_OUT_OF_RANGE", c"the offset is out of range"),
    (KLOG_E_MESSAGE_TOO_LARGE, c"KLOG_E_MESSAGE_TOO_LARGE", c"the message is too large"),
    (KLOG_E_NOT_ENOUGH_REPLICAS, c"KLOG_E_NOT_ENOUGH_REPLICAS", c"too few replicas are in sync"),
    (KLOG_E_NOT_LEADER, c"KLOG_E_NOT_LEADER", c"this broker does not lead the partition"),
    (KLOG_E_NOT_ASSIGNED, c"KLOG_E_NOT_ASSIGNED", c"the partition is not assigned"),
    (KLOG_E_TXN_STATE, c"KLOG_E_TXN_STATE", c"not allowed in the state of the transaction"),
    (KLOG_E_TXN_FENCED, c"KLOG_E_TXN_FENCED", c"a newer producer took the id"),
    (KLOG_E_PANIC, c"KLOG_E_PANIC", c"a bug in klog"),
];

/// What an error of the engine is called in C; `None` for one that this table does not know.
fn known_code_of(code: ErrorCode) -> Option<klog_status_code> {
    Some(match code {
        ErrorCode::OffsetOutOfRange => KLOG_E_OFFSET_OUT_OF_RANGE,
        ErrorCode::CorruptMessage | ErrorCode::InconsistentTopicId | ErrorCode::InconsistentClusterId => KLOG_E_CORRUPT,
        ErrorCode::UnknownTopicOrPartition => KLOG_E_UNKNOWN_TOPIC,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch => KLOG_E_NOT_LEADER,
        ErrorCode::RequestTimedOut => KLOG_E_TIMED_OUT,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => KLOG_E_MESSAGE_TOO_LARGE,
        ErrorCode::InvalidTopic
        | ErrorCode::InvalidTimestamp
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidReplicationFactor
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidRecord
        | ErrorCode::PolicyViolation
        | ErrorCode::OutOfOrderSequenceNumber => KLOG_E_INVALID,
        ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => KLOG_E_NOT_ENOUGH_REPLICAS,
        ErrorCode::InvalidConfig | ErrorCode::InvalidRequiredAcks => KLOG_E_CONFIG,
        ErrorCode::Unsupported | ErrorCode::UnsupportedCompressionType => KLOG_E_UNSUPPORTED,
        ErrorCode::TopicAlreadyExists => KLOG_E_TOPIC_EXISTS,
        ErrorCode::InvalidTxnState => KLOG_E_TXN_STATE,
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => KLOG_E_TXN_FENCED,
        ErrorCode::KafkaStorageError => KLOG_E_IO,
        ErrorCode::DiskFull => KLOG_E_FULL,
        ErrorCode::Locked => KLOG_E_LOCKED,
        ErrorCode::ReadOnly => KLOG_E_READ_ONLY,
        ErrorCode::Closed => KLOG_E_CLOSED,
        ErrorCode::Forked => KLOG_E_FORKED,
        ErrorCode::Interrupted => KLOG_E_INTERRUPTED,
        ErrorCode::NotAssigned => KLOG_E_NOT_ASSIGNED,
        ErrorCode::Busy => KLOG_E_BUSY,
        // The engine may get new codes; a test below fails until they are above.
        _ => return None,
    })
}

/// What an error of the engine is called in C.
pub(crate) fn code_of(code: ErrorCode) -> klog_status_code {
    known_code_of(code).unwrap_or(KLOG_E_UNSUPPORTED)
}

fn row(status: klog_status) -> Option<&'static (klog_status_code, &'static CStr, &'static CStr)> {
    TABLE.iter().find(|(code, _, _)| *code as klog_status == status)
}

/// The name of a status: "KLOG_E_TIMED_OUT". Static; never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_status_name(status: klog_status) -> *const c_char {
    // SAFETY: no pointer is given.
    unsafe { look(c"KLOG_E_UNKNOWN".as_ptr(), |_| row(status).map(|(_, name, _)| name.as_ptr())) }
}

/// What a status means in general: "timed out". Static; never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_status_message(status: klog_status) -> *const c_char {
    // SAFETY: no pointer is given.
    unsafe { look(c"unknown status".as_ptr(), |_| row(status).map(|(_, _, message)| message.as_ptr())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_engine_has_a_code_on_purpose() {
        for code in ErrorCode::ALL {
            let status = known_code_of(*code).unwrap_or_else(|| panic!("{} has no status in C", code.name()));
            assert!((status as klog_status) < 0, "{} would pass for success", code.name());
        }
    }

    #[test]
    fn numbers_are_never_changed() {
        let numbers: Vec<(&str, i32)> =
            TABLE.iter().map(|(code, name, _)| (name.to_str().expect("ASCII"), *code as i32)).collect();
        let pinned = [
            ("KLOG_OK", 0),
            ("KLOG_E_INVALID", -1),
            ("KLOG_E_CONFIG", -2),
            ("KLOG_E_TIMED_OUT", -3),
            ("KLOG_E_INTERRUPTED", -5),
            ("KLOG_E_BUSY", -6),
            ("KLOG_E_CLOSED", -7),
            ("KLOG_E_FORKED", -8),
            ("KLOG_E_LOCKED", -9),
            ("KLOG_E_IO", -10),
            ("KLOG_E_CORRUPT", -11),
            ("KLOG_E_FULL", -12),
            ("KLOG_E_READ_ONLY", -13),
            ("KLOG_E_UNSUPPORTED", -14),
            ("KLOG_E_UNKNOWN_TOPIC", -20),
            ("KLOG_E_TOPIC_EXISTS", -22),
            ("KLOG_E_OFFSET_OUT_OF_RANGE", -25),
            ("KLOG_E_MESSAGE_TOO_LARGE", -26),
            ("KLOG_E_NOT_ENOUGH_REPLICAS", -27),
            ("KLOG_E_NOT_LEADER", -28),
            ("KLOG_E_NOT_ASSIGNED", -29),
            ("KLOG_E_TXN_STATE", -40),
            ("KLOG_E_TXN_FENCED", -41),
            ("KLOG_E_PANIC", -127),
        ];
        assert_eq!(numbers, pinned);
    }

    #[test]
    fn a_name_is_that_of_its_code() {
        for (code, name, _) in TABLE {
            assert_eq!(format!("{code:?}"), name.to_str().expect("ASCII"));
        }
    }
}
