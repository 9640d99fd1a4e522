//! The one error of klog: a code, a sentence for a person, and the cause.

use std::fmt;
use std::io;
use std::sync::Arc;

/// What klog's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call was refused or failed.
///
/// The [code](Error::code) is the contract: it is the same in Rust, C and Python. The message is one sentence that
/// names the value, the limit and the file concerned. Cloning is cheap, because one failed batch fails many records.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    code: ErrorCode,
    message: String,
    os_code: Option<i32>,
    damage: Option<Damage>,
    has_holder: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Bytes of a log that do not check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Topic of the damaged log.
    pub topic: String,
    /// Partition of the damaged log.
    pub partition: i32,
    /// The first offset that cannot be read.
    pub first_offset: i64,
    /// The offset to go on from: the first one behind the damage.
    pub next_offset: i64,
    /// File name, relative to the log directory.
    pub file: String,
    /// Where in the file the damaged bytes begin.
    pub position: u64,
    /// How many bytes are damaged.
    pub bytes: u64,
    /// What is wrong with them.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}: ", self.topic, self.partition)?;
        match self.next_offset - 1 {
            last if last <= self.first_offset => write!(f, "offset {}", self.first_offset)?,
            last => write!(f, "offsets {} to {last}", self.first_offset)?,
        }
        write!(
            f,
            " cannot be read: {} in {} at position {} ({} bytes)",
            self.reason, self.file, self.position, self.bytes
        )
    }
}

/// Whether a call was refused for what this process may have or do, which says nothing of the disk.
pub(crate) fn is_own_limit(os_code: Option<i32>) -> bool {
    matches!(os_code, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EACCES | libc::EPERM))
}

impl Error {
    /// An error with a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            code,
            message: message.into(),
            os_code: None,
            damage: None,
            has_holder: false,
            source: None,
        }))
    }

    /// An error that came from the operating system. `doing` says what was tried, and names the file.
    ///
    /// A full disk becomes [`ErrorCode::DiskFull`], everything else [`ErrorCode::KafkaStorageError`].
    pub fn io(doing: impl fmt::Display, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
            _ => ErrorCode::KafkaStorageError,
        };
        Self::system(code, doing, source)
    }

    /// As [`io`](Self::io), where a full disk is no reason to try again either.
    pub(crate) fn storage(doing: impl fmt::Display, source: io::Error) -> Self {
        Self::system(ErrorCode::KafkaStorageError, doing, source)
    }

    fn system(code: ErrorCode, doing: impl fmt::Display, source: io::Error) -> Self {
        Error(Arc::new(Inner {
            code,
            message: format!("{doing}: {source}"),
            os_code: source.raw_os_error(),
            damage: None,
            has_holder: false,
            source: Some(Box::new(source)),
        }))
    }

    /// The same as an error of the system, with its number where it has one.
    pub(crate) fn into_io(self) -> io::Error {
        match self.os_code() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(io::ErrorKind::InvalidData, self.message()),
        }
    }

    /// Bytes of a log that do not check out; see [`Error::damage`].
    pub fn corrupt(damage: Damage) -> Self {
        let message = format!("{damage}; reading can go on at offset {}", damage.next_offset);
        Error(Arc::new(Inner {
            code: ErrorCode::CorruptMessage,
            message,
            os_code: None,
            damage: Some(damage),
            has_holder: false,
            source: None,
        }))
    }

    /// Of a topic that was there when somebody asked for it.
    pub(crate) fn topic_deleted(name: &str) -> Self {
        Self::new(ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' was deleted"))
    }

    /// Of a lock that somebody has held for too long, whom the message names.
    pub(crate) fn held(message: String) -> Self {
        Error(Arc::new(Inner {
            code: ErrorCode::RequestTimedOut,
            message,
            os_code: None,
            damage: None,
            has_holder: true,
            source: None,
        }))
    }

    /// The same error with its cause attached.
    #[must_use]
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let inner = &self.0;
        Error(Arc::new(Inner {
            code: inner.code,
            message: inner.message.clone(),
            os_code: inner.os_code,
            damage: inner.damage.clone(),
            has_holder: inner.has_holder,
            source: Some(Box::new(source)),
        }))
    }

    /// What kind of error it is.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// One sentence for a person.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether another process is in the way, or this one's own limits: nothing is the worse, and it may be done later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.code(), ErrorCode::RequestTimedOut | ErrorCode::Interrupted) || is_own_limit(self.os_code())
    }

    /// `errno` of the system call that failed, when one did.
    pub fn os_code(&self) -> Option<i32> {
        self.0.os_code
    }

    /// Which bytes are damaged, and where reading can go on, when that is the error.
    pub fn damage(&self) -> Option<&Damage> {
        self.0.damage.as_ref()
    }

    /// Whether it names a process that has held a lock for longer than `request.timeout.ms`: a `RequestTimedOut` that is not
    /// the end of the time which the caller gave.
    pub fn has_holder(&self) -> bool {
        self.0.has_holder
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        self.0.code.is_retriable()
    }

    /// Whether the transaction in progress must be aborted. Always false until klog has transactions.
    pub fn requires_abort(&self) -> bool {
        false
    }

    /// Whether the handle can never work again.
    pub fn is_fatal(&self) -> bool {
        matches!(self.0.code, ErrorCode::Closed | ErrorCode::Forked)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $variant:ident = $kafka:literal $name:literal $($retriable:ident)? ; )*) => {
        /// The kinds of errors. Those that Kafka has carry Kafka's number and name.
        ///
        /// Source: Kafka protocol guide, "Error Codes".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $( $(#[$doc])* $variant, )*
        }

        impl ErrorCode {
            /// Every code there is, in the order of the table.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant),*];

            /// Kafka's number for it, or −1 when Kafka has no such error.
            pub fn kafka_code(self) -> i16 {
                match self { $(ErrorCode::$variant => $kafka,)* }
            }

            /// The name in capitals, Kafka's own where there is one.
            pub fn name(self) -> &'static str {
                match self { $(ErrorCode::$variant => $name,)* }
            }

            /// Whether the same call may succeed later.
            pub fn is_retriable(self) -> bool {
                match self { $(ErrorCode::$variant => error_codes!(@retriable $($retriable)?),)* }
            }
        }
    };
    (@retriable retriable) => { true };
    (@retriable) => { false };
}

error_codes! {
    /// An offset outside the log.
    OffsetOutOfRange = 1 "OFFSET_OUT_OF_RANGE";
    /// Bytes that do not check out: CRC, size or structure.
    CorruptMessage = 2 "CORRUPT_MESSAGE";
    /// No such topic, or no such partition of it.
    UnknownTopicOrPartition = 3 "UNKNOWN_TOPIC_OR_PARTITION";
    /// This replica does not lead the partition.
    NotLeaderOrFollower = 6 "NOT_LEADER_OR_FOLLOWER" retriable;
    /// Not done in time; nothing was undone.
    RequestTimedOut = 7 "REQUEST_TIMED_OUT" retriable;
    /// A batch above `max.message.bytes`.
    MessageTooLarge = 10 "MESSAGE_TOO_LARGE";
    /// A topic name that Kafka does not allow, or a write to an internal topic.
    InvalidTopic = 17 "INVALID_TOPIC_EXCEPTION";
    /// One append larger than a segment.
    RecordListTooLarge = 18 "RECORD_LIST_TOO_LARGE";
    /// Too few in-sync replicas; nothing was appended.
    NotEnoughReplicas = 19 "NOT_ENOUGH_REPLICAS" retriable;
    /// Too few in-sync replicas, noticed after the append.
    NotEnoughReplicasAfterAppend = 20 "NOT_ENOUGH_REPLICAS_AFTER_APPEND" retriable;
    /// `acks` is not 0, 1 or all.
    InvalidRequiredAcks = 21 "INVALID_REQUIRED_ACKS";
    /// A record's timestamp is outside the window that the topic allows.
    InvalidTimestamp = 32 "INVALID_TIMESTAMP";
    /// klog cannot do this.
    Unsupported = 35 "UNSUPPORTED_VERSION";
    /// The topic exists.
    TopicAlreadyExists = 36 "TOPIC_ALREADY_EXISTS";
    /// A partition count that is not positive, or would shrink the topic.
    InvalidPartitions = 37 "INVALID_PARTITIONS";
    /// More replicas than brokers.
    InvalidReplicationFactor = 38 "INVALID_REPLICATION_FACTOR";
    /// An unknown option, or a value it does not allow.
    InvalidConfig = 40 "INVALID_CONFIG";
    /// An argument that makes no sense.
    InvalidRequest = 42 "INVALID_REQUEST";
    /// The topic's policy forbids it.
    PolicyViolation = 44 "POLICY_VIOLATION";
    /// A gap in a producer's sequence numbers.
    OutOfOrderSequenceNumber = 45 "OUT_OF_ORDER_SEQUENCE_NUMBER";
    /// An older epoch of the producer id.
    InvalidProducerEpoch = 47 "INVALID_PRODUCER_EPOCH";
    /// Not allowed in the transaction's state.
    InvalidTxnState = 48 "INVALID_TXN_STATE";
    /// A marker from an older coordinator.
    TransactionCoordinatorFenced = 52 "TRANSACTION_COORDINATOR_FENCED";
    /// The disk refused; the log may be closed for writing.
    KafkaStorageError = 56 "KAFKA_STORAGE_ERROR" retriable;
    /// No space left; nothing was appended, and appends work again when there is.
    DiskFull = 56 "KAFKA_STORAGE_ERROR_DISK_FULL" retriable;
    /// The caller's leader epoch is older than the partition's.
    FencedLeaderEpoch = 74 "FENCED_LEADER_EPOCH" retriable;
    /// A codec that does not exist or is not allowed here.
    UnsupportedCompressionType = 76 "UNSUPPORTED_COMPRESSION_TYPE";
    /// A record or batch that breaks a rule.
    InvalidRecord = 87 "INVALID_RECORD";
    /// The directory belongs to another topic of that name.
    InconsistentTopicId = 103 "INCONSISTENT_TOPIC_ID";
    /// The directory belongs to another cluster.
    InconsistentClusterId = 104 "INCONSISTENT_CLUSTER_ID";
    /// Somebody has the directory whom nobody can share it with; or this handle lost its place there.
    Locked = -1 "LOCKED" retriable;
    /// The handle was opened for reading only.
    ReadOnly = -1 "READ_ONLY";
    /// The handle, or its engine, was closed.
    Closed = -1 "CLOSED";
    /// The handle belongs to the parent process.
    Forked = -1 "FORKED";
    /// A wakeup from another thread.
    Interrupted = -1 "INTERRUPTED" retriable;
    /// The partition is not in the consumer's assignment.
    NotAssigned = -1 "NOT_ASSIGNED";
    /// Another thread is inside the call.
    Busy = -1 "BUSY" retriable;
}
