//! Numbers that must not mix, and names of topics.

use std::fmt;

use crate::error::{Error, ErrorCode, Result};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The place of a record in its partition: 0 for the first one ever, never used twice.
    Offset(i64)
}
number! {
    /// A byte in a `.log` file.
    Position(u64)
}
number! {
    /// Counts the leaders that a partition had; stamped into every batch. −1 where it is unknown.
    LeaderEpoch(i32)
}
number! {
    /// Who sent a batch. −1 for nobody in particular.
    ProducerId(i64)
}
number! {
    /// Milliseconds since 1970-01-01 UTC. −1 for none.
    TimestampMs(i64)
}

impl Default for Offset {
    fn default() -> Self {
        Offset::ZERO
    }
}

impl Default for TimestampMs {
    fn default() -> Self {
        TimestampMs::NONE
    }
}

impl Offset {
    /// The first offset of a new log.
    pub const ZERO: Offset = Offset(0);

    /// The offset `delta` further on.
    #[must_use]
    pub fn plus(self, delta: i64) -> Offset {
        Offset(self.0 + delta)
    }
}

impl Position {
    /// The first byte of a file.
    pub const ZERO: Position = Position(0);

    /// The byte `count` further on.
    #[must_use]
    pub fn plus(self, count: usize) -> Position {
        Position(self.0 + count as u64)
    }
}

impl LeaderEpoch {
    /// No epoch is known: batches of magic 0 and 1.
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// A producer that asked for no id.
    pub const NONE: ProducerId = ProducerId(-1);

    /// Whether it is an id at all.
    pub fn is_some(self) -> bool {
        self.0 >= 0
    }
}

impl TimestampMs {
    /// A record without a timestamp.
    pub const NONE: TimestampMs = TimestampMs(-1);
}

/// 16 bytes that name a topic or a directory for ever.
///
/// As text: URL-safe base64 without padding, 22 characters. Source: `org.apache.kafka.common.Uuid`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All zero: no id.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// The id of `__cluster_metadata`.
    pub const METADATA: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// A version 4 id out of 16 random bytes, or `None` for the rare ones that Kafka never gives away: the first
    /// hundred, and those whose text begins with `-`, which command lines take for an option.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Uuid> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Uuid(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    }

    /// Whether it is one of the first hundred, which stand for no id: none, lost, to be assigned.
    pub fn is_reserved(self) -> bool {
        self.0[..15].iter().all(|byte| *byte == 0) && self.0[15] < 100
    }

    /// Reads the 22 characters; `None` if they are not that.
    pub fn parse(text: &str) -> Option<Uuid> {
        if text.len() != 22 {
            return None;
        }
        let mut bits: u32 = 0;
        let mut held = 0;
        let mut out = [0u8; 16];
        let mut filled = 0;
        for c in text.bytes() {
            let value = BASE64.iter().position(|&b| b == c)? as u32;
            bits = (bits << 6) | value;
            held += 6;
            if held >= 8 {
                held -= 8;
                out[filled] = (bits >> held) as u8;
                filled += 1;
                bits &= (1 << held) - 1;
            }
        }
        (bits == 0).then_some(Uuid(out))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 22];
        let bits = u128::from_be_bytes(self.0);
        for (i, c) in text.iter_mut().enumerate() {
            // 22 × 6 = 132 bits: the last character carries two bits and four zeros.
            let shift = 122 - 6 * i as i32;
            let six = if shift >= 0 { bits >> shift } else { bits << -shift };
            *c = BASE64[(six & 0x3f) as usize];
        }
        f.write_str(std::str::from_utf8(&text).expect("base64 is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition of a topic, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition, counted from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        TopicPartition { topic: topic.into(), partition }
    }

    /// Reads a directory name: topic, `-`, partition. The last `-` is the one that counts.
    pub fn parse_dir(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        if topic.is_empty() || partition.is_empty() || !partition.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(TopicPartition::new(topic, partition.parse().ok()?))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The name of KRaft's metadata topic.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Topics that Kafka keeps for itself and refuses to producers.
///
/// Source: `org.apache.kafka.common.internals.Topic`.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Refuses names that Kafka refuses: 1 to 249 characters out of `[a-zA-Z0-9._-]`, neither `.` nor `..`.
///
/// # Errors
/// `InvalidTopic` with the rule that was broken.
///
/// Source: `org.apache.kafka.common.internals.Topic#validate`.
pub fn check_topic_name(name: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorCode::InvalidTopic, why));
    if name.is_empty() {
        return refuse("a topic name cannot be empty".into());
    }
    if name == "." || name == ".." {
        return refuse(format!("a topic cannot be called '{name}'"));
    }
    if name.len() > 249 {
        return refuse(format!("topic name '{name}' has {} characters, and 249 is the limit", name.len()));
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return refuse(format!(
            "topic name '{name}' contains '{}'; allowed are a-z, A-Z, 0-9, '.', '_' and '-'",
            c.escape_default()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_text_goes_both_ways() {
        let id = Uuid(u128::to_be_bytes(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef));
        assert_eq!(id.to_string(), "_ty6mHZUMhABI0VniavN7w");
        assert_eq!(Uuid::parse("_ty6mHZUMhABI0VniavN7w"), Some(id));
        assert_eq!(Uuid::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAR"), None, "bits behind the sixteenth byte");
    }

    #[test]
    fn directory_names_split_at_the_last_hyphen() {
        assert_eq!(
            TopicPartition::parse_dir("dots.and_under-scores-7-0"),
            Some(TopicPartition::new("dots.and_under-scores-7", 0))
        );
        for bad in ["a", "-0", "a-", "a-x", "a-+1", "a-99999999999"] {
            assert_eq!(TopicPartition::parse_dir(bad), None, "{bad}");
        }
    }

    #[test]
    fn topic_names_follow_kafka() {
        assert!(check_topic_name(&"x".repeat(249)).is_ok());
        for bad in ["", ".", "..", "a b", "a/b", "ä"] {
            assert_eq!(check_topic_name(bad).map_err(|e| e.code()), Err(ErrorCode::InvalidTopic), "{bad}");
        }
        assert!(check_topic_name(&"x".repeat(250)).is_err());
    }
}
