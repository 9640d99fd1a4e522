//! `klog consume`.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use klog::{Admin, Batch, Consumer, ConsumerConfig, ErrorCode, Mode, OffsetSpec, Start, TopicPartition};

use crate::args::{Begin, Consume, Place};
use crate::failure::{Failure, Outcome};
use crate::format::json_record;
use crate::look::partitions;
use crate::output::Output;

/// How long after it found nothing more `--follow` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(crate) fn run(place: &Place, args: &Consume, out: &mut Output) -> Outcome {
    let mut config = ConsumerConfig::default();
    for (name, value) in &args.properties {
        config.set(name, value)?;
    }
    if args.read_committed {
        config.set("isolation.level", "read_committed")?;
    }
    let mut reading = Reading { config, positions: Vec::new(), left: args.max.unwrap_or(u64::MAX), is_damaged: false };
    reading.pass(place, args, out)?;
    while args.follow && reading.left > 0 {
        out.flush()?;
        // Whoever writes has the directory to himself, and tells nobody: one looks what he left on the disk.
        #[allow(clippy::disallowed_methods, reason = "there is no event to wait for")]
        thread::sleep(LOOK_AGAIN);
        reading.pass(place, args, out)?;
    }
    if reading.is_damaged { Err(Failure::Told) } else { Ok(()) }
}

/// What is known between one look at the directory and the next.
struct Reading {
    config: ConsumerConfig,
    /// The offset that comes next in each partition.
    positions: Vec<(TopicPartition, i64)>,
    left: u64,
    is_damaged: bool,
}

impl Reading {
    /// Prints what there is by now.
    fn pass(&mut self, place: &Place, args: &Consume, out: &mut Output) -> Outcome {
        let engine = place.open(Mode::ReadOnly)?;
        let admin = engine.admin();
        let mut consumer = engine.consumer_with(self.config.clone())?;
        for topic in &args.topics {
            for partition in partitions(&admin, topic, args.partition)? {
                let known = self.positions.iter().find(|(p, _)| p.topic == *topic && p.partition == partition);
                let start = match known {
                    Some((_, next)) => Start::Offset(*next),
                    None => begin(&admin, args, topic, partition, !self.positions.is_empty())?,
                };
                consumer.assign(topic, partition, start)?;
            }
        }
        consumer.read_until_now();
        let mut printed = Vec::new();
        while self.left > 0 && !consumer.is_finished() {
            let batch = next(&mut consumer, &mut self.is_damaged)?;
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            print(&batch.slice(0..batch.len().min(most)), args, out, &mut printed)?;
            self.left -= self.left.min(batch.len() as u64);
        }
        let assignment = consumer.assignment();
        let position = |p: TopicPartition| consumer.position(&p.topic, p.partition).map(|next| (p, next));
        self.positions = assignment.into_iter().map(position).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// Where reading a partition begins. One that was `added` while we read is new from its first record on.
fn begin(admin: &Admin, args: &Consume, topic: &str, partition: i32, added: bool) -> Outcome<Start> {
    Ok(match (args.offset, args.at) {
        _ if added => Start::Earliest,
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

/// The next records. Damaged ones are told of and stepped over; the exit code says so in the end.
fn next(consumer: &mut Consumer, is_damaged: &mut bool) -> Outcome<Batch> {
    loop {
        match consumer.poll(Duration::ZERO) {
            Err(error) if error.code() == ErrorCode::CorruptMessage && consumer.seek_past(&error) => {
                *is_damaged = true;
                let _ = writeln!(io::stderr(), "klog: {}", error.message()); // the records matter more
            }
            result => return Ok(result?),
        }
    }
}

fn print(batch: &Batch, args: &Consume, out: &mut Output, printed: &mut Vec<u8>) -> Result<(), Failure> {
    for record in batch {
        if out.json {
            out.object(&json_record(batch.topic(), batch.partition(), &record))?;
        } else {
            printed.clear();
            args.format.write(batch.topic(), batch.partition(), &record, out.is_terminal, printed);
            out.raw(printed)?;
        }
    }
    Ok(())
}
