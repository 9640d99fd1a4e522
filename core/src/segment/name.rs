//! Names of the files of a partition directory.

use crate::types::Offset;

/// What a file of a partition directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// Batches.
    Log,
    /// Offset index.
    Index,
    /// Time index.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer state.
    Snapshot,
    /// Bytes that recovery set aside; klog's own.
    Cut,
}

impl FileKind {
    const ALL: [FileKind; 6] =
        [FileKind::Log, FileKind::Index, FileKind::TimeIndex, FileKind::TxnIndex, FileKind::Snapshot, FileKind::Cut];

    /// The files that a segment has.
    pub const OF_SEGMENT: [FileKind; 4] = [FileKind::Log, FileKind::Index, FileKind::TimeIndex, FileKind::TxnIndex];

    fn extension(self) -> &'static str {
        match self {
            FileKind::Log => ".log",
            FileKind::Index => ".index",
            FileKind::TimeIndex => ".timeindex",
            FileKind::TxnIndex => ".txnindex",
            FileKind::Snapshot => ".snapshot",
            FileKind::Cut => ".cut",
        }
    }
}

/// What a file is on its way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suffix {
    /// It is in use.
    None,
    /// It will be removed.
    Deleted,
    /// It is being written and not valid yet.
    Cleaned,
    /// It is complete and about to replace others.
    Swap,
}

impl Suffix {
    fn text(self) -> &'static str {
        match self {
            Suffix::None => "",
            Suffix::Deleted => ".deleted",
            Suffix::Cleaned => ".cleaned",
            Suffix::Swap => ".swap",
        }
    }
}

/// The name of a file: 20 digits, extension, suffix.
pub fn file_name(base: Offset, kind: FileKind, suffix: Suffix) -> String {
    format!("{:020}{}{}", base.0, kind.extension(), suffix.text())
}

/// Reads such a name; `None` for any other file.
pub fn parse_name(name: &str) -> Option<(Offset, FileKind, Suffix)> {
    let digits = name.get(..20)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let base = Offset(digits.parse().ok()?);
    let rest = &name[20..];
    let suffixes = [Suffix::Deleted, Suffix::Cleaned, Suffix::Swap];
    let suffix = suffixes.into_iter().find(|suffix| rest.ends_with(suffix.text())).unwrap_or(Suffix::None);
    let extension = rest.strip_suffix(suffix.text())?;
    let kind = FileKind::ALL.into_iter().find(|kind| kind.extension() == extension)?;
    Some((base, kind, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for kind in FileKind::ALL {
            for suffix in [Suffix::None, Suffix::Deleted, Suffix::Cleaned, Suffix::Swap] {
                let name = file_name(Offset(42), kind, suffix);
                assert_eq!(parse_name(&name), Some((Offset(42), kind, suffix)), "{name}");
            }
        }
        for other in ["leader-epoch-checkpoint", "42.log", "00000000000000000000.txt", "0000000000000000000x.log", ""] {
            assert_eq!(parse_name(other), None, "{other}");
        }
        assert_eq!(parse_name("99999999999999999999.log"), None, "above what an offset can be");
    }
}
