//! `klog consume`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use klog::{
    Admin, Batch, Consumer, ConsumerConfig, Engine, ErrorCode, Mode, OffsetSpec, Sharing, Start, TopicPartition, Uuid,
};

use crate::args::{Begin, Consume, Place};
use crate::attached::what_sharing;
use crate::failure::{Failure, Outcome};
use crate::format::json_record;
use crate::look::partitions;
use crate::output::{Output, note};

/// For how long `--follow` waits for records before it looks whether somebody still reads what it prints, and whether there
/// are topics and partitions that were not there before.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how many such looks without a record it looks who has the directory.
const LOOKS_AT_COMPANY: u32 = 10;

pub(crate) fn run(place: &Place, args: &Consume, out: &mut Output) -> Outcome {
    let mut config = ConsumerConfig::default();
    for (name, value) in &args.properties {
        config.set(name, value)?;
    }
    if args.read_committed {
        config.set("isolation.level", "read_committed")?;
    }
    let engine = place.open(Mode::ReadOnly)?;
    let mut reading = Reading {
        place,
        args,
        consumer: engine.consumer_with(config.clone())?,
        engine,
        config,
        topics: BTreeMap::new(),
        left: args.max.unwrap_or(u64::MAX),
        is_damaged: false,
        printed: Vec::new(),
        said: String::new(),
    };
    if args.follow {
        reading.follow(out)?;
    } else {
        reading.read_all(out)?;
    }
    if reading.is_damaged { Err(Failure::Told) } else { Ok(()) }
}

struct Reading<'a> {
    place: &'a Place,
    args: &'a Consume,
    config: ConsumerConfig,
    engine: Engine,
    consumer: Consumer,
    /// For `--follow`: the topics that are there, with their ids and how many partitions of each are read.
    topics: BTreeMap<String, (Uuid, i32)>,
    left: u64,
    is_damaged: bool,
    printed: Vec<u8>,
    /// What was noted last of who has the directory.
    said: String,
}

impl Reading<'_> {
    /// Prints what there is now.
    fn read_all(&mut self, out: &mut Output) -> Outcome {
        let admin = self.engine.admin();
        for topic in &self.args.topics {
            for partition in partitions(&admin, topic, self.args.partition)? {
                let start = begin(&admin, self.args, topic, partition)?;
                self.consumer.assign(topic, partition, start)?;
            }
        }
        self.consumer.read_until_now();
        while self.left > 0 && !self.consumer.is_finished() {
            self.print_next(Duration::ZERO, out)?;
        }
        Ok(())
    }

    /// Prints what there is and what comes, until enough has come or nobody reads it any more.
    fn follow(&mut self, out: &mut Output) -> Outcome {
        self.look_for_topics(true)?;
        for topic in self.args.topics.iter().filter(|topic| !self.topics.contains_key(*topic)) {
            note(format_args!("there is no topic '{topic}'{}; waiting for it", self.nearest(topic)));
        }
        let mut looks = 0;
        while self.left > 0 {
            if self.print_next(Duration::ZERO, out)? {
                looks = 0;
                continue;
            }
            out.flush()?;
            if self.print_next(LOOK_EVERY, out)? {
                looks = 0;
            } else if looks >= LOOKS_AT_COMPANY {
                looks = 0;
                self.look_at_company()?;
            } else {
                looks += 1;
            }
            if out.is_abandoned() {
                return Err(Failure::NobodyReads);
            }
            self.look_for_topics(false)?;
        }
        Ok(())
    }

    /// What may be meant instead of a topic that is not there.
    fn nearest(&self, topic: &str) -> String {
        let error = self.engine.admin().describe_topic(topic).err();
        let hint = error.as_ref().and_then(|error| error.message().split_once("; "));
        hint.map_or_else(String::new, |(_, hint)| format!(" ({hint})"))
    }

    /// Prints the next records; says whether there were any. Damaged ones are told of and stepped over; the exit code says so
    /// in the end.
    fn print_next(&mut self, timeout: Duration, out: &mut Output) -> Outcome<bool> {
        let batch = loop {
            match self.consumer.poll(timeout) {
                Err(error) if error.code() == ErrorCode::CorruptMessage && self.consumer.seek_past(&error) => {
                    self.is_damaged = true;
                    let _ = writeln!(io::stderr(), "klog: {}", error.message()); // the records matter more
                }
                // It was deleted: see below.
                Err(error) if error.code() == ErrorCode::UnknownTopicOrPartition && self.look_for_topics(false)? => {}
                result => break result?,
            }
        };
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        self.left -= self.left.min(batch.len() as u64);
        self.print(&batch.slice(0..batch.len().min(most)), out)?;
        Ok(!batch.is_empty())
    }

    fn print(&mut self, batch: &Batch, out: &mut Output) -> Outcome {
        for record in batch {
            if out.json {
                out.object(&json_record(batch.topic(), batch.partition(), &record))?;
            } else {
                self.printed.clear();
                self.args.format.write(batch.topic(), batch.partition(), &record, out.is_terminal, &mut self.printed);
                out.raw(&self.printed)?;
            }
        }
        Ok(())
    }

    /// For `--follow`: takes in topics and partitions that were not there before, and lets go of topics that were deleted.
    /// What comes after the `first` look is new, and is read from its beginning. Says whether something had changed.
    fn look_for_topics(&mut self, first: bool) -> Outcome<bool> {
        let admin = self.engine.admin();
        let found: BTreeMap<String, (Uuid, i32)> =
            admin.list_topics()?.into_iter().map(|topic| (topic.name, (topic.id, topic.partitions))).collect();
        let found = |topic: &str| found.get(topic).copied();
        let is_gone = |topic: &String, id: Uuid| found(topic).is_none_or(|(other, _)| other != id);
        let gone: Vec<_> = self.topics.iter().filter(|(topic, (id, _))| is_gone(topic, *id)).collect();
        let gone: Vec<_> = gone.into_iter().map(|(topic, _)| topic.clone()).collect();
        for topic in &gone {
            note(format_args!("topic '{topic}' was deleted; waiting for it to be made again"));
            self.topics.remove(topic);
        }
        if !gone.is_empty() {
            self.assign_again(|partition| !gone.contains(&partition.topic))?;
        }
        let mut has_grown = false;
        for topic in &self.args.topics {
            let Some((id, count)) = found(topic) else { continue };
            let (_, known) = self.topics.get(topic).copied().unwrap_or((id, 0));
            let new = match self.args.partition {
                Some(only) if known == 0 => only..only + 1,
                Some(_) => continue,
                None => known..count,
            };
            has_grown |= !new.is_empty();
            for partition in new {
                let start = if first { begin(&admin, self.args, topic, partition)? } else { Start::Earliest };
                self.consumer.assign(topic, partition, start)?;
            }
            self.topics.insert(topic.clone(), (id, count));
        }
        Ok(has_grown || !gone.is_empty())
    }

    /// Assigns the partitions that are to stay, where they are.
    fn assign_again(&mut self, stays: impl Fn(&TopicPartition) -> bool) -> Outcome {
        let mut positions = Vec::new();
        for partition in self.consumer.assignment().into_iter().filter(stays) {
            positions.push((self.consumer.position(&partition.topic, partition.partition)?, partition));
        }
        self.consumer.unassign();
        for (next, partition) in positions {
            self.consumer.assign(&partition.topic, partition.partition, Start::Offset(next))?;
        }
        Ok(())
    }

    /// For `--follow`: whoever does not share the directory cannot be followed. What he leaves on the disk is seen by opening
    /// the directory again.
    fn look_at_company(&mut self) -> Outcome {
        let sharing = match self.engine.admin().attached()?.sharing {
            Sharing::Nobody | Sharing::Shared => return Ok(()),
            sharing => sharing,
        };
        let engine = self.place.open(Mode::ReadOnly)?;
        let mut consumer = engine.consumer_with(self.config.clone())?;
        for partition in self.consumer.assignment() {
            let next = self.consumer.position(&partition.topic, partition.partition)?;
            consumer.assign(&partition.topic, partition.partition, Start::Offset(next))?;
        }
        (self.engine, self.consumer) = (engine, consumer);
        let said = format!("{}; what it has flushed is shown", what_sharing(self.engine.path(), &sharing));
        if self.said != said {
            note(&said);
            self.said = said;
        }
        Ok(())
    }
}

/// Where reading a partition begins.
fn begin(admin: &Admin, args: &Consume, topic: &str, partition: i32) -> Outcome<Start> {
    Ok(match (args.offset, args.at) {
        (_, Some(at)) => Start::Timestamp(at),
        (None | Some(Begin::Earliest), None) => Start::Earliest,
        (Some(Begin::Latest), None) => Start::Latest,
        (Some(Begin::At(offset)), None) => {
            let (first, end) = bounds(admin, topic, partition)?;
            if !(first..=end).contains(&offset) {
                return Err(Failure::Other(format!(
                    "offset {offset} is out of range: {topic}-{partition} has {first} up to {end}; 'klog offsets' shows all"
                )));
            }
            Start::Offset(offset)
        }
        (Some(Begin::BeforeEnd(count)), None) => {
            let (first, end) = bounds(admin, topic, partition)?;
            Start::Offset((end - count).max(first))
        }
    })
}

/// The first offset there is, and the next one that will be.
fn bounds(admin: &Admin, topic: &str, partition: i32) -> Outcome<(i64, i64)> {
    let first = admin.list_offset(topic, partition, OffsetSpec::Earliest)?.offset;
    let end = admin.list_offset(topic, partition, OffsetSpec::Latest)?.offset;
    Ok((first, end))
}
