//! What can go wrong, and what is said then.

use std::fmt;
use std::io::{self, Write};

use klog::{Error, ErrorCode};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine refused, or failed.
    Engine(Error),
    /// A file or a stream failed.
    Io(String, io::Error),
    /// The command line made no sense.
    Usage(String),
    /// Something else did.
    Other(String),
    /// Something was wrong, and was told already.
    Told,
    /// Whoever read our output has gone. Not an error.
    NobodyReads,
}

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            _ => 1,
        }
    }

    /// One line on standard error.
    pub(crate) fn report(&self) {
        if matches!(self, Failure::Told) {
            return;
        }
        let _ = writeln!(io::stderr(), "klog: {self}"); // where would it be said that this failed?
    }

    /// A failure to write standard output.
    pub(crate) fn writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::NobodyReads,
            _ => Failure::Io("writing the output".into(), error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => write!(f, "{}{}", error.message(), advice(error)),
            Failure::Io(doing, error) => write!(f, "{doing}: {error}"),
            Failure::Usage(what) | Failure::Other(what) => f.write_str(what),
            Failure::Told | Failure::NobodyReads => Ok(()),
        }
    }
}

/// What to do about it, where there is something.
fn advice(error: &Error) -> &'static str {
    match error.code() {
        ErrorCode::Locked => "; 'klog ps' shows who has it, and 'klog consume' reads it all the same",
        ErrorCode::RequestTimedOut => "; 'klog ps' shows who holds what, and 'klog doctor' who is stopped",
        ErrorCode::Unsupported if error.message().ends_with("until it is adopted") => "; 'klog adopt' does that",
        ErrorCode::KafkaStorageError if error.message().contains("Name them as lost") => "; --assume-lost does that",
        ErrorCode::DiskFull => "; free some space and repeat the command",
        ErrorCode::UnknownTopicOrPartition if !error.message().ends_with('?') => "; 'klog topics describe' shows all",
        ErrorCode::TopicAlreadyExists => "; 'klog topics describe' shows it, and --if-not-exists takes it as it is",
        ErrorCode::InvalidConfig if !error.message().ends_with('?') => {
            "; 'klog configs TOPIC --all' shows those of a topic, 'klog configs --all' those of brokers"
        }
        ErrorCode::OffsetOutOfRange => "; 'klog offsets' shows what there is",
        ErrorCode::CorruptMessage => "; 'klog verify' finds all damage, 'klog explain FILE' shows it",
        _ => "",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Engine(error)
    }
}
