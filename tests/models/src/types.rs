//! The numbers that the included sources name, as in `klog::types`.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The place of a record in its partition.
    Offset(i64)
}
number! {
    /// A byte in a `.log` file; in the models, one of its few cells.
    Position(u64)
}
number! {
    /// Counts the leaders that a partition had.
    LeaderEpoch(i32)
}

impl Offset {
    /// The first offset of a partition.
    pub const ZERO: Offset = Offset(0);
}

impl Position {
    /// The first byte of a file.
    pub const ZERO: Position = Position(0);
}

/// 16 bytes that name a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);
