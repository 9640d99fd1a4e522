//! The command line.

use std::path::{Path, PathBuf};

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};
use klog::{Engine, Mode, OffsetSpec, OpenOptions, TimestampMs};

use crate::failure::{Failure, Outcome};
use crate::output::note;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Under which the options are shown that every command has.
const GLOBAL: &str = "Global options";

/// Keep Kafka's logs in a directory, without a broker.
#[derive(Debug, Parser)]
#[command(
    name = "klog",
    version,
    styles = STYLES,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done, 1 failed, 2 the command line makes no sense.

The first five minutes:
  export KLOG_DIR=data
  klog topics create greetings
  echo 'hello, world' | klog produce greetings
  klog consume greetings
  klog explain data/greetings-0/00000000000000000000.log"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Print one JSON object per line.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,

    /// When to use colours: auto (on a terminal, unless NO_COLOR is set), always or never.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    #[arg(hide_possible_values = true, help_heading = GLOBAL)]
    pub(crate) color: Color,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// Which directory.
#[derive(Debug, Arguments)]
pub(crate) struct Place {
    /// The log directory. [env: KLOG_DIR]
    #[arg(short = 'd', long, global = true, env = "KLOG_DIR", value_name = "DIR", hide_env = true, help_heading = GLOBAL)]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    dir: Option<PathBuf>,

    /// Brokers whose directories are gone for good, so that the rest can be written: node ids with commas.
    #[arg(long, global = true, value_name = "IDS", value_delimiter = ',', help_heading = GLOBAL)]
    assume_lost: Vec<i32>,
}

impl Place {
    /// The directory.
    pub(crate) fn dir(&self) -> Outcome<&Path> {
        let dir = self.dir.as_deref().filter(|dir| !dir.as_os_str().is_empty());
        dir.ok_or_else(|| Failure::Usage("no directory is given: name one with -d DIR, or set KLOG_DIR".into()))
    }

    /// The directory, which must be there.
    pub(crate) fn existing_dir(&self) -> Outcome<&Path> {
        let dir = self.dir()?;
        if !dir.exists() {
            let dir = dir.display();
            return Err(Failure::Other(format!("there is no directory '{dir}'; 'klog -d {dir} init' makes one")));
        }
        Ok(dir)
    }

    /// Opens the directory; `options` may say more than the mode.
    pub(crate) fn open_with(&self, options: OpenOptions, mode: Mode) -> Outcome<Engine> {
        let dir = if mode == Mode::Create { self.dir()? } else { self.existing_dir()? };
        let engine = options.assume_lost(self.assume_lost.iter().copied()).mode(mode).open(dir)?;
        if engine.report()?.damage.iter().any(|damage| damage.topic == "__cluster_metadata") {
            note("the metadata is damaged, so topics and settings may be older ones; 'klog verify' says where");
        }
        Ok(engine)
    }

    /// Opens the directory.
    pub(crate) fn open(&self, mode: Mode) -> Outcome<Engine> {
        self.open_with(OpenOptions::new(), mode)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the directory.
    Init(Init),
    /// Create, list, describe, alter and delete topics.
    #[command(subcommand)]
    Topics(Topics),
    /// Show and change settings, of a topic or of all brokers.
    Configs(Configs),
    /// Send lines of standard input to a topic.
    Produce(Produce),
    /// Print the records of topics.
    Consume(Consume),
    /// Show the first and next offsets of partitions, or those of a time.
    Offsets(Offsets),
    /// Show the segments of a topic, or its batches.
    Segments(Segments),
    /// Read everything and check everything.
    Verify(Verify),
    /// Let klog write a directory that it did not make, and retention work in it.
    Adopt(Adopt),
    /// Show who has the directory open for writing, and what each of them holds.
    Ps(Ps),
    /// Show what is counted while the directory is open: appends, waits, flushes, recoveries.
    Stats(Stats),
    /// Look whether everything around the directory is as it should be: file system, locks, clock, limits, room.
    Doctor(Doctor),
    /// Say what a file of a log directory contains.
    Dump(Dump),
    /// Account for every byte of a file: its field, its value, its meaning.
    Explain(Explain),
}

#[derive(Debug, Arguments)]
pub(crate) struct Init {}

#[derive(Debug, Arguments)]
pub(crate) struct Ps {}

#[derive(Debug, Arguments)]
pub(crate) struct Stats {
    /// Print the text format that Prometheus reads.
    #[arg(long, conflicts_with = "json")]
    pub(crate) prometheus: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Doctor {}

#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// Make a topic; the directory too, when it is not there.
    Create(CreateTopic),
    /// List the topics.
    List,
    /// Show partitions, offsets, sizes and settings.
    Describe(DescribeTopics),
    /// Give a topic more partitions, or other settings.
    Alter(AlterTopic),
    /// Remove topics with all their records.
    Delete(DeleteTopics),
}

#[derive(Debug, Arguments)]
pub(crate) struct CreateTopic {
    /// The topic.
    pub(crate) topic: String,
    /// How many partitions. [default: num.partitions, which is 1]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) partitions: Option<i32>,
    /// How many replicas of each. [default: default.replication.factor, which is 1]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) replication_factor: Option<i32>,
    /// A setting of the topic, by Kafka's name; may be repeated.
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) configs: Vec<(String, String)>,
    /// Do nothing when the topic exists.
    #[arg(long)]
    pub(crate) if_not_exists: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct DescribeTopics {
    /// The topics; all of them when none is named.
    pub(crate) topics: Vec<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct AlterTopic {
    /// The topic.
    pub(crate) topic: String,
    /// How many partitions it is to have; more than it has. Records with keys go to other partitions then.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) partitions: Option<i32>,
    /// A setting, by Kafka's name; may be repeated.
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) configs: Vec<(String, String)>,
    /// A setting that goes back to what holds without it; may be repeated.
    #[arg(long = "delete-config", value_name = "NAME")]
    pub(crate) delete_configs: Vec<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Configs {
    /// The topic; all brokers when none is named, whose settings hold for topics that have none of their own.
    pub(crate) topic: Option<String>,
    /// Show what nobody set, too.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Make a setting, by Kafka's name; may be repeated.
    #[arg(long = "add-config", alias = "config", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) added: Vec<(String, String)>,
    /// Take a setting back; may be repeated.
    #[arg(long = "delete-config", value_name = "NAME")]
    pub(crate) deleted: Vec<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Offsets {
    /// The topics; all of them when none is named.
    pub(crate) topics: Vec<String>,
    /// One partition only.
    #[arg(short, long, allow_negative_numbers = true)]
    pub(crate) partition: Option<i32>,
    /// Which one: earliest, latest, max-timestamp, or the first at a time (ms since 1970, or a date as 2022-01-03T12:31:57Z).
    #[arg(long, value_name = "WHEN", value_parser = which, allow_negative_numbers = true)]
    pub(crate) at: Option<OffsetSpec>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Segments {
    /// The topic.
    pub(crate) topic: String,
    /// One partition only.
    #[arg(short, long, allow_negative_numbers = true)]
    pub(crate) partition: Option<i32>,
    /// Show batches instead of segments.
    #[arg(short, long)]
    pub(crate) batches: bool,
    /// Begin with the batch that has this offset. [default: the first one]
    #[arg(short, long, value_name = "OFFSET", requires = "batches", allow_negative_numbers = true)]
    pub(crate) offset: Option<i64>,
    /// Stop after so many batches of a partition.
    #[arg(short = 'n', long, value_name = "COUNT", requires = "batches")]
    pub(crate) max: Option<usize>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Verify {
    /// The topics; everything when none is named.
    pub(crate) topics: Vec<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Adopt {
    /// Delete segments older than so many ms, where a topic does not say otherwise; -1 keeps them for ever.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = whole)]
    pub(crate) retention_ms: i64,
    /// Delete the oldest segments while a partition has more bytes than this; -1 keeps them.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, default_value_t = -1, value_parser = whole)]
    pub(crate) retention_bytes: i64,
}

#[derive(Debug, Arguments)]
pub(crate) struct DeleteTopics {
    /// The topics.
    #[arg(required = true)]
    pub(crate) topics: Vec<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Produce {
    /// The topic.
    pub(crate) topic: String,
    /// Make the topic, and the directory, when they are not there.
    #[arg(long)]
    pub(crate) create: bool,
    /// Split each line into key and value at the first of these.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = separator)]
    pub(crate) key_separator: Option<String>,
    /// One key for all records.
    #[arg(short, long, conflicts_with = "key_separator")]
    pub(crate) key: Option<String>,
    /// A header of all records; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) headers: Vec<(String, String)>,
    /// Timestamp of all records, in ms since 1970, or a date as 2022-01-03T12:31:57Z. [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, allow_negative_numbers = true)]
    pub(crate) timestamp: Option<i64>,
    /// The partition. [default: by key; without keys, one after the other]
    #[arg(short, long, allow_negative_numbers = true)]
    pub(crate) partition: Option<i32>,
    /// Codec of the batches: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_name = "CODEC")]
    pub(crate) compression: Option<String>,
    /// When a record counts as sent: 0, 1 or all. [default: all]
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) acks: Option<String>,
    /// Lines equal to this text are records without a value.
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Option<String>,
    /// A setting of the producer, by Kafka's name; may be repeated.
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) properties: Vec<(String, String)>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Consume {
    /// The topics.
    #[arg(required = true)]
    pub(crate) topics: Vec<String>,
    /// Where to begin: earliest, latest, an offset, or -N for N records before the end. [default: earliest]
    #[arg(short, long, value_name = "OFFSET", value_parser = start, allow_hyphen_values = true)]
    pub(crate) offset: Option<Begin>,
    /// Begin at the first record; what happens anyway.
    #[arg(long, conflicts_with_all = ["offset", "at"])]
    pub(crate) from_beginning: bool,
    /// Begin at a time: ms since 1970, or a date as 2022-01-03T12:31:57Z.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "offset", allow_negative_numbers = true)]
    pub(crate) at: Option<i64>,
    /// One partition only.
    #[arg(short, long, allow_negative_numbers = true)]
    pub(crate) partition: Option<i32>,
    /// Stop after so many records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) max: Option<u64>,
    /// Stay, and print what comes, until Ctrl-C, whoever writes it; topics may come and go meanwhile.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show what committed transactions wrote, and nothing behind an open one.
    #[arg(long)]
    pub(crate) read_committed: bool,
    /// How to print a record: %t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers, \n \t.
    #[arg(long, value_name = "FORMAT", default_value = "%s\\n", value_parser = crate::format::Format::parse, hide_default_value = true)]
    pub(crate) format: crate::format::Format,
    /// A setting of the consumer, by Kafka's name; may be repeated.
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) properties: Vec<(String, String)>,
}

/// Where to begin to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Earliest,
    Latest,
    At(i64),
    /// So many records before the end.
    BeforeEnd(i64),
}

#[derive(Debug, Arguments)]
pub(crate) struct Dump {
    /// Files: .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint, and the texts.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Batches only, without their records.
    #[arg(long)]
    pub(crate) no_records: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Explain {
    /// Files: .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint, and the texts.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Show all bytes of long fields.
    #[arg(long)]
    pub(crate) full: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form NAME=VALUE".into()),
    }
}

fn separator(text: &str) -> Result<String, String> {
    let text = text.replace("\\t", "\t");
    if text.is_empty() { Err("it cannot be empty".into()) } else { Ok(text) }
}

/// Milliseconds, or a date with its zone.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(millis) = text.parse() {
        return Ok(millis);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => Ok(at.as_millisecond()),
        Err(_) => Err("it is neither a number of ms since 1970 nor a date as 2022-01-03T12:31:57Z".into()),
    }
}

fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "it is not a whole number of 64 bits".into())
}

fn which(text: &str) -> Result<OffsetSpec, String> {
    match text {
        "earliest" => Ok(OffsetSpec::Earliest),
        "latest" => Ok(OffsetSpec::Latest),
        "max-timestamp" => Ok(OffsetSpec::MaxTimestamp),
        _ => time(text)
            .map(|at| OffsetSpec::At(TimestampMs(at)))
            .map_err(|_| "it is neither earliest, latest, max-timestamp, nor a time".into()),
    }
}

fn start(text: &str) -> Result<Begin, String> {
    match text {
        "earliest" | "beginning" => Ok(Begin::Earliest),
        "latest" | "end" => Ok(Begin::Latest),
        _ => match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Begin::At(offset)),
            Ok(back) => Ok(Begin::BeforeEnd(back.saturating_neg())),
            Err(_) => Err("it is neither earliest, latest, an offset, nor -N".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn times_are_numbers_or_dates() {
        assert_eq!(time("1641213117088"), Ok(1_641_213_117_088));
        assert_eq!(time("2022-01-03T12:31:57.088Z"), Ok(1_641_213_117_088));
        assert_eq!(time("2022-01-03T13:31:57.088+01:00"), Ok(1_641_213_117_088));
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn offsets_count_from_the_beginning_or_back_from_the_end() {
        assert_eq!(start("7"), Ok(Begin::At(7)));
        assert_eq!(start("-7"), Ok(Begin::BeforeEnd(7)));
        assert_eq!(start("latest"), Ok(Begin::Latest));
        assert!(start("lates").is_err());
    }
}
