//! Options: Kafka's names, types, defaults and bounds, each declared once.
//!
//! A row of a table gives the field of the Rust struct, what [`set`](TopicConfig::set) takes as text, the check of its
//! bounds, and a [`Row`] for whoever prints or documents it. Where a default is not Kafka's, the row says why.

mod consumer;
mod engine;
mod producer;
mod topic;
mod value;

pub use consumer::{ConsumerConfig, IsolationLevel, OffsetReset};
pub use engine::{EngineConfig, LockKind, Threads};
pub use producer::{Acks, ProducerConfig};
pub use topic::{CleanupPolicy, CompressionType, Durability, MessageTimestampType, TopicConfig};
pub use value::{GzipLevel, OptionValue};

use crate::error::{Error, ErrorCode};

/// An option, for listings and documents.
#[derive(Clone, Debug)]
pub struct Row {
    /// Kafka's name.
    pub name: &'static str,
    /// The name under which a broker's configuration gives the default for all topics; topic options only.
    pub broker_name: Option<&'static str>,
    /// Type: `int`, `long`, `boolean`, `double`, or the words that are allowed.
    pub kind: &'static str,
    /// The default, as text; `None` when unset.
    pub default: Option<String>,
    /// The values that are allowed, where the type allows more.
    pub bounds: Option<String>,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! options {
    (
        $(#[$struct_doc:meta])*
        pub struct $struct:ident ($what:literal) {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $type:ty = $default:expr, $name:literal
                $(, in $range:expr)? $(, broker $broker:literal)? ;
            )*
        }
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $struct {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $struct {
            fn default() -> Self {
                $struct { $( $field: $default, )* }
            }
        }

        impl $struct {
            /// All names, in the order of the table.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
            /// For each, the name of the broker option that gives its default for all topics.
            pub const BROKER_NAMES: &'static [Option<&'static str>] = &[$(options!(@optional $($broker)?)),*];

            /// Sets an option by Kafka's name.
            ///
            /// # Errors
            /// `InvalidConfig` for an unknown name, with the nearest known one, and for a value that is not of the
            /// type or not within the bounds; nothing is changed.
            pub fn set(&mut self, name: &str, value: &str) -> crate::error::Result<()> {
                match name {
                    $( $name => {
                        let parsed: $type = $crate::config::value::parse(name, value)?;
                        $( $crate::config::value::check(name, &parsed, &$range)?; )?
                        self.$field = parsed;
                        Ok(())
                    } )*
                    _ => Err($crate::config::unknown($what, name, Self::NAMES)),
                }
            }

            /// The value of an option, as text; `None` when it is unset or unknown.
            pub fn get(&self, name: &str) -> Option<String> {
                match name {
                    $( $name => $crate::config::OptionValue::show(&self.$field), )*
                    _ => None,
                }
            }

            /// The table.
            pub fn rows() -> Vec<$crate::config::Row> {
                let defaults = Self::default();
                vec![ $( $crate::config::Row {
                    name: $name,
                    broker_name: options!(@optional $($broker)?),
                    kind: <$type as $crate::config::OptionValue>::KIND,
                    default: $crate::config::OptionValue::show(&defaults.$field),
                    bounds: options!(@bounds $($range)?),
                    doc: concat!($($doc),*).trim_ascii(),
                } ),* ]
            }
        }
    };
    (@optional $it:literal) => { Some($it) };
    (@optional) => { None };
    (@bounds $range:expr) => { Some($crate::config::value::show_range(&$range)) };
    (@bounds) => { None };
}
pub(crate) use options;

/// An error that names what was meant, most likely.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let hint = nearest(name, known).map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default();
    Error::new(ErrorCode::InvalidConfig, format!("there is no {what} option '{name}'{hint}"))
}

/// The known name that is fewest edits away from `name`, unless that is more than half of it.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|known| (edits(name, known), *known)).min()?;
    (best.0 <= name.len().max(2) / 2).then_some(best.1)
}

/// Insertions, deletions and replacements between two texts (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_name_that_was_meant() {
        let error = TopicConfig::default().set("retention.sm", "1").expect_err("no such option");
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        assert_eq!(error.message(), "there is no topic option 'retention.sm'; did you mean 'retention.ms'?");
        assert_eq!(nearest("zzzzzzzzzz", TopicConfig::NAMES), None);
    }

    #[test]
    fn a_value_outside_its_bounds_is_refused_with_the_bounds() {
        let mut config = TopicConfig::default();
        let error = config.set("segment.bytes", "13").expect_err("too small");
        assert_eq!(error.message(), "segment.bytes is 13; allowed are 1048576 to 2147483647");
        assert!(config.set("segment.bytes", "many").is_err());
        assert_eq!(config, TopicConfig::default());
    }

    #[test]
    fn every_default_is_within_its_own_bounds() {
        let mut config = TopicConfig::default();
        for row in TopicConfig::rows() {
            if let Some(default) = row.default {
                config.set(row.name, &default).expect(row.name);
            }
            assert!(!row.doc.is_empty(), "{}", row.name);
        }
        assert_eq!(config, TopicConfig::default());
    }
}
