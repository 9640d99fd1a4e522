//! Opening a damaged directory, and judging what is shown.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use klog::log::{CheckpointFile, parse_epochs, parse_offsets, parse_snapshot};
use klog::sys::{SimDisk, read_whole};
use klog::{Engine, Error, Mode, OffsetSpec, OpenOptions, Start, TopicPartition};

use super::specimen::{LOG_END, LOG_START, OLD_HIGH_WATERMARK, Specimen, SpecimenBatch, TOPIC};
use crate::workload::{DIR, options};

/// What was done to a file.
pub(crate) struct Harm {
    pub(crate) file: PathBuf,
    pub(crate) what: String,
    /// The bytes that are not what they were.
    pub(crate) range: Range<usize>,
    pub(crate) content: Vec<u8>,
}

/// Everything that was said and shown.
#[derive(Debug, Default)]
struct Seen {
    records: Vec<(i64, Vec<u8>)>,
    /// Errors and the report, as text.
    said: String,
    /// Whether the engine opened and knows the topic.
    is_there: bool,
    /// The first offset that a recovery cut off.
    cut_from: Option<i64>,
}

/// Opens the directory after `harm` and compares. Says whether the damaged file was named.
pub(crate) fn look(specimen: &Specimen, harm: &Harm, mode: Mode) -> bool {
    let when = format!("{}: {}, clean: {}, {mode:?}", harm.file.display(), harm.what, specimen.is_clean);
    let disk = specimen.disk.duplicate();
    disk.tamper(&harm.file, |bytes| bytes.clone_from(&harm.content));
    let before = disk.fingerprint();
    let is_index = harm.file.extension().is_some_and(|kind| kind == "index" || kind == "timeindex");
    let seen = open_and_read(options(&disk).mode(mode), is_index.then_some(specimen), &when);
    let case = Case { specimen, harm, mode, seen, when };
    let name = harm.file.strip_prefix(DIR).unwrap().to_str().unwrap();
    let is_named = case.seen.said.contains(name);
    case.check_access();
    case.check_records();
    if mode == Mode::ReadOnly {
        assert_eq!(disk.fingerprint(), before, "{}: a reader changed something", case.when);
    } else {
        case.check_append(&disk);
        case.check_bytes(&disk);
    }
    assert!(is_named || case.seen.is_there, "{}: it is refused, and not named in: {}", case.when, case.seen.said);
    assert!(is_named || !case.must_be_named(), "{}: it is not named in: {}", case.when, case.seen.said);
    is_named
}

/// Opens and reads everything; with a specimen, also each of its records by itself.
fn open_and_read(options: OpenOptions, one_by_one: Option<&Specimen>, when: &str) -> Seen {
    let mut seen = Seen::default();
    match options.open(DIR) {
        Ok(engine) => {
            seen.is_there = read(&engine, &mut seen, when);
            if let Some(specimen) = one_by_one {
                seek_everywhere(&engine, specimen, when);
            }
            let report = engine.report().unwrap();
            seen.cut_from = report.cuts.iter().filter(|cut| cut.partition.topic == TOPIC).map(|cut| cut.offset.0).min();
            seen.said += &report.to_string();
            if let Err(error) = engine.close() {
                seen.say(&error);
            }
        }
        Err(error) => seen.say(&error),
    }
    seen
}

impl Seen {
    fn say(&mut self, error: &Error) {
        self.said.push_str(error.message());
        self.said.push('\n');
    }
}

/// Reads the whole topic, past whatever is damaged. `false` when there is no such topic.
fn read(engine: &Engine, seen: &mut Seen, when: &str) -> bool {
    let mut consumer = engine.consumer().unwrap();
    if let Err(error) = consumer.assign(TOPIC, 0, Start::Earliest) {
        seen.say(&error);
        return false;
    }
    consumer.read_until_now();
    for _ in 0..1000 {
        if consumer.is_finished() {
            return true;
        }
        match consumer.poll(Duration::ZERO) {
            Ok(batch) => {
                let records = batch.iter().map(|record| (record.offset(), record.value().unwrap_or_default().to_vec()));
                seen.records.extend(records);
            }
            Err(error) => {
                seen.say(&error);
                assert!(consumer.seek_past(&error), "{when}: {error}");
            }
        }
    }
    panic!("{when}: reading does not come to an end");
}

/// Whatever an index says, reading that begins at an offset begins there. By time it begins somewhere: a time index has no
/// checksum, and only the last of its entries is held against anything.
fn seek_everywhere(engine: &Engine, specimen: &Specimen, when: &str) {
    let mut consumer = engine.consumer().unwrap();
    for (offset, value) in specimen.records().into_iter().filter(|(offset, _)| *offset >= LOG_START) {
        consumer.assign(TOPIC, 0, Start::Offset(offset)).unwrap();
        let batch =
            consumer.poll_records(Duration::ZERO, 1).unwrap_or_else(|error| panic!("{when}: {offset}: {error}"));
        let found = batch.iter().next().map(|record| (record.offset(), record.value().unwrap_or_default().to_vec()));
        assert_eq!(found, Some((offset, value.to_vec())), "{when}: reading begins elsewhere");
    }
    for batch in &specimen.batches {
        let at = OffsetSpec::At(batch.header.max_timestamp);
        engine.admin().list_offset(TOPIC, 0, at).unwrap_or_else(|error| panic!("{when}: by time: {error}"));
    }
}

struct Case<'a> {
    specimen: &'a Specimen,
    harm: &'a Harm,
    mode: Mode,
    seen: Seen,
    when: String,
}

impl Case<'_> {
    fn is(&self, name: &str) -> bool {
        self.harm.file.file_name().is_some_and(|file| file == name)
    }

    fn is_log(&self) -> bool {
        self.harm.file.extension().is_some_and(|kind| kind == "log")
    }

    fn is_metadata(&self) -> bool {
        self.harm.file.starts_with(Path::new(DIR).join("__cluster_metadata-0"))
    }

    /// Whether the engine may refuse the directory, or not know the topic.
    fn check_access(&self) {
        // A reader gets at everything, whatever happened to what the directory says of itself.
        let may_refuse = self.mode != Mode::ReadOnly
            && (self.is("meta.properties") || self.is("partition.metadata") || self.is_metadata() && self.is_log());
        assert!(self.seen.is_there || may_refuse, "{}: {}", self.when, self.seen.said);
        assert!(self.seen.is_there || !self.seen.said.is_empty(), "{}: nothing is said", self.when);
    }

    fn is_touched(&self, batch: &SpecimenBatch) -> bool {
        batch.file == self.harm.file
            && batch.range.start < self.harm.range.end
            && self.harm.range.start < batch.range.end
    }

    /// Records that were not damaged are shown, as they were, and nothing else is.
    fn check_records(&self) {
        if !self.seen.is_there {
            return;
        }
        let log_start = self.log_start();
        let visible = self.visible();
        for batch in self.specimen.batches.iter().filter(|batch| !self.is_touched(batch)) {
            for record in &batch.records {
                let is_gone = record.0 < log_start
                    || record.0 >= visible
                    || self.seen.cut_from.is_some_and(|cut| record.0 >= cut);
                assert!(
                    is_gone || self.seen.records.contains(record),
                    "{}: offset {}\n{}",
                    self.when,
                    record.0,
                    self.seen.said
                );
            }
        }
        if let Some(cut) = self.seen.cut_from {
            let first =
                self.specimen.batches.iter().find(|batch| !batch.is_vouched_for).map(|batch| batch.header.base_offset);
            assert!(first.is_some_and(|first| cut >= first.0), "{}: offset {cut} was vouched for", self.when);
        }
        let originals = self.specimen.records();
        for (offset, value) in &self.seen.records {
            let is_original = originals.get(offset).is_some_and(|original| *original == value);
            // The base offset is not covered by the checksum. Where no neighbour contradicts it, it is believed.
            let mut touched = self.specimen.batches.iter().filter(|batch| self.is_touched(batch));
            let is_moved = touched.any(|batch| {
                self.harm.range.start < batch.range.start + 8 && batch.records.iter().any(|record| record.1 == *value)
            });
            assert!(is_original || is_moved, "{}: offset {offset} shows something else", self.when);
        }
    }

    /// Where the log starts, as far as anybody can know: the checkpoint has no checksum.
    fn log_start(&self) -> i64 {
        if !self.is(CheckpointFile::LogStart.name()) {
            return LOG_START;
        }
        let offsets = parse_offsets(&self.harm.content).unwrap_or_default();
        offsets.get(&TopicPartition::new(TOPIC, 0)).map_or(0, |offset| offset.0)
    }

    /// How far a reader sees. Who does not know for certain which replicas a partition has believes the checkpoint.
    fn visible(&self) -> i64 {
        let is_unknown = self.is_metadata() && self.is_log() || self.is("meta.properties");
        let is_old = is_unknown && self.mode == Mode::ReadOnly && !self.specimen.is_clean;
        if is_old { OLD_HIGH_WATERMARK } else { i64::MAX }
    }

    /// Whether the end of the log is beyond doubt: it was closed in order, and what is damaged is covered by a checksum.
    fn knows_its_end(&self) -> bool {
        let is_covered =
            |batch: &SpecimenBatch| self.is_touched(batch) && self.harm.range.start >= batch.range.start + 16;
        let is_one_byte = self.harm.range.len() == 1;
        let is_in_log = is_one_byte && self.specimen.batches.iter().any(is_covered);
        self.specimen.is_clean && (is_in_log || !self.is_log() && !self.is("log-start-offset-checkpoint"))
    }

    /// What opened once opens again, takes a record, and shows it behind everything else.
    fn check_append(&self, disk: &SimDisk) {
        if !self.seen.is_there {
            return;
        }
        let engine = options(disk).open(DIR).unwrap_or_else(|error| panic!("{}: opening again: {error}", self.when));
        let sent = engine.producer().unwrap().send(TOPIC, None, Some(b"new")).and_then(|delivery| delivery.result());
        let sent = sent.unwrap_or_else(|error| panic!("{}: appending: {error}", self.when));
        if self.knows_its_end() {
            assert_eq!(sent.offset, LOG_END, "{}: offsets were left out, or given out twice", self.when);
        }
        let mut seen = Seen::default();
        assert!(read(&engine, &mut seen, &self.when), "{}: {}", self.when, seen.said);
        assert_eq!(seen.records.last(), Some(&(sent.offset, b"new".to_vec())), "{}: {}", self.when, seen.said);
        let others = &seen.records[..seen.records.len() - 1];
        assert_eq!(others, self.seen.records, "{}: the second time it shows other records", self.when);
        engine.close().unwrap_or_else(|error| panic!("{}: closing: {error}", self.when));
    }

    /// Every whole batch is still there: in its place, or in what was kept beside it.
    fn check_bytes(&self, disk: &SimDisk) {
        let dir = Path::new(DIR).join(format!("{TOPIC}-0"));
        for batch in self.specimen.batches.iter().filter(|batch| !self.is_touched(batch)) {
            let in_place = read_whole(disk, &batch.file).unwrap_or_default();
            if in_place.get(batch.range.clone()) == Some(&batch.bytes) {
                continue;
            }
            let is_kept = disk.paths().iter().filter(|path| path.starts_with(&dir)).any(|path| {
                let content = read_whole(disk, path).unwrap();
                content.windows(batch.bytes.len()).any(|bytes| bytes == batch.bytes)
            });
            assert!(is_kept, "{}: the batch at {} is gone\n{}", self.when, batch.header.base_offset, self.seen.said);
        }
    }

    /// Whether a rule of the file's format shows that it is damaged.
    fn must_be_named(&self) -> bool {
        let Harm { file, content, .. } = self.harm;
        if self.is_log() {
            let mut batches = self.specimen.batches.iter().chain(&self.specimen.metadata);
            return batches.any(|batch| self.is_touched(batch) && self.shows(batch));
        }
        if CheckpointFile::ALL.iter().any(|checkpoint| self.is(checkpoint.name())) {
            return parse_offsets(content).is_err();
        }
        match file.extension().and_then(|kind| kind.to_str()) {
            Some("snapshot") => parse_snapshot(content).is_err() && self.is_newest_snapshot(),
            // Of the metadata's own nobody asks for the id.
            _ if self.is("partition.metadata") && !self.is_metadata() => {
                let original = self.specimen.content(file);
                let id = original.iter().rposition(|byte| *byte == b' ').unwrap();
                !content.ends_with(&original[id..])
            }
            _ if self.is("leader-epoch-checkpoint") => parse_epochs(content).is_err(),
            _ => false,
        }
    }

    /// Older ones are not read.
    fn is_newest_snapshot(&self) -> bool {
        let newest =
            self.specimen.files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "snapshot")).max();
        self.specimen.is_clean && newest == Some(&self.harm.file)
    }

    /// Whether the damage of a batch shows: everything but the base offset and the leader epoch is covered by the checksum,
    /// or is the checksum, or leads to the place where it is looked for.
    fn shows(&self, batch: &SpecimenBatch) -> bool {
        const BASE_OFFSET: Range<usize> = 0..8;
        const LEADER_EPOCH: Range<usize> = 12..16;
        if self.harm.content.len() <= batch.range.start {
            // A log that ends with a whole batch is a log. What is known to have been there is missed.
            return batch.is_vouched_for;
        }
        let from = self.harm.range.start.max(batch.range.start) - batch.range.start;
        let to = self.harm.range.end.min(batch.range.end) - batch.range.start;
        (from..to).any(|at| {
            !BASE_OFFSET.contains(&at)
                && !LEADER_EPOCH.contains(&at)
                && self.harm.content.get(batch.range.start + at) != Some(&batch.bytes[at])
        })
    }
}
