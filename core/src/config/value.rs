//! The types that options have.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Error, ErrorCode, Result};

/// A type that an option may have.
pub trait OptionValue: Sized {
    /// How documents call it.
    const KIND: &'static str;
    /// Reads the text; the error says what would be right.
    fn parse(text: &str) -> Result<Self, String>;
    /// The text again; `None` for "unset".
    fn show(&self) -> Option<String>;
}

pub(crate) fn parse<T: OptionValue>(name: &str, text: &str) -> Result<T> {
    T::parse(text.trim())
        .map_err(|why| Error::new(ErrorCode::InvalidConfig, format!("{name} is '{text}'; it must be {why}")))
}

/// A value that has bounds when it is set.
pub(crate) trait Bounded {
    type Number: PartialOrd + Display;
    fn number(&self) -> Option<&Self::Number>;
}

pub(crate) fn check<T: Bounded>(name: &str, value: &T, range: &RangeInclusive<T::Number>) -> Result<()> {
    match value.number() {
        Some(number) if !range.contains(number) => {
            Err(Error::new(ErrorCode::InvalidConfig, format!("{name} is {number}; allowed are {}", show_range(range))))
        }
        _ => Ok(()),
    }
}

pub(crate) fn show_range<T: Display>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}

macro_rules! numbers {
    ($($type:ty, $kind:literal, $must:literal;)*) => { $(
        impl OptionValue for $type {
            const KIND: &'static str = $kind;
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $must.into())
            }
            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
        impl Bounded for $type {
            type Number = $type;
            fn number(&self) -> Option<&$type> {
                Some(self)
            }
        }
    )* };
}

numbers! {
    i32, "int", "a whole number of 32 bits";
    i64, "long", "a whole number of 64 bits";
    f64, "double", "a number";
}

impl OptionValue for bool {
    const KIND: &'static str = "boolean";
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("true or false".into()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl OptionValue for String {
    const KIND: &'static str = "string";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.clone())
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    const KIND: &'static str = T::KIND;
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(OptionValue::show)
    }
}

impl<T: Bounded> Bounded for Option<T> {
    type Number = T::Number;
    fn number(&self) -> Option<&T::Number> {
        self.as_ref().and_then(Bounded::number)
    }
}

/// How hard gzip works: 1 to 9, or −1 for zlib's own choice. 0, which does not compress, is not allowed by Kafka.
///
/// Source: `org.apache.kafka.common.record.CompressionType.GZIP#levelValidator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GzipLevel(i32);

impl GzipLevel {
    /// zlib's own choice.
    pub const DEFAULT: GzipLevel = GzipLevel(-1);

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl OptionValue for GzipLevel {
    const KIND: &'static str = "int, -1 or 1 to 9";
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(level) if level == -1 || (1..=9).contains(&level) => Ok(GzipLevel(level)),
            _ => Err("-1 or 1 to 9".into()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// Declares an enum whose values are words.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $name:ident ($kind:literal) {
            $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant, )*
        }

        impl $name {
            /// The word for it.
            pub fn name(self) -> &'static str {
                match self { $( $name::$variant => $word, )* }
            }
        }

        impl $crate::config::OptionValue for $name {
            const KIND: &'static str = $kind;
            fn parse(text: &str) -> std::result::Result<Self, String> {
                match text {
                    $( $word => Ok($name::$variant), )*
                    _ => Err(concat!("one of ", $kind).into()),
                }
            }
            fn show(&self) -> Option<String> {
                Some(self.name().to_owned())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> std::result::Result<Self, String> {
                <Self as $crate::config::OptionValue>::parse(text)
            }
        }
    };
}
pub(crate) use words;
