//! `klog consume`.

use std::io::{self, Write};
use std::time::Duration;

use klog::{Admin, Batch, Consumer, ConsumerConfig, ErrorCode, Mode, OffsetSpec, Start};

use crate::args::{Begin, Consume, Place};
use crate::failure::{Failure, Outcome};
use crate::format::json_record;
use crate::output::Output;

pub(crate) fn run(place: &Place, args: &Consume, out: &mut Output) -> Outcome {
    if args.follow {
        return Err(Failure::Other(
            "--follow is not supported yet: while this command reads, no other process can tell it of new records; repeat \
             it with --offset set to where it ended"
                .into(),
        ));
    }
    let mut config = ConsumerConfig::default();
    for (name, value) in &args.properties {
        config.set(name, value)?;
    }
    if args.read_committed {
        config.set("isolation.level", "read_committed")?;
    }
    let engine = place.open(Mode::ReadOnly)?;
    let admin = engine.admin();
    let mut consumer = engine.consumer_with(config)?;
    for topic in &args.topics {
        let partitions: Vec<i32> = match args.partition {
            Some(partition) => vec![partition],
            None => admin.describe_topic(topic)?.partitions.iter().map(|p| p.partition).collect(),
        };
        for partition in partitions {
            let start = match (args.offset, args.at) {
                (_, Some(at)) => Start::Timestamp(at),
                (None | Some(Begin::Earliest), None) => Start::Earliest,
                (Some(Begin::Latest), None) => Start::Latest,
                (Some(Begin::At(offset)), None) => {
                    let (first, end) = bounds(&admin, topic, partition)?;
                    if !(first..=end).contains(&offset) {
                        return Err(Failure::Other(format!(
                            "offset {offset} is out of range: {topic}-{partition} has {first} up to {end}"
                        )));
                    }
                    Start::Offset(offset)
                }
                (Some(Begin::BeforeEnd(count)), None) => {
                    let (first, end) = bounds(&admin, topic, partition)?;
                    Start::Offset((end - count).max(first))
                }
            };
            consumer.assign(topic, partition, start)?;
        }
    }
    consumer.read_until_now();
    let mut left = args.max.unwrap_or(u64::MAX);
    let mut printed = Vec::new();
    let mut is_damaged = false;
    while left > 0 && !consumer.is_finished() {
        let batch = next(&mut consumer, &mut is_damaged)?;
        print(&batch.slice(0..batch.len().min(usize::try_from(left).unwrap_or(usize::MAX))), args, out, &mut printed)?;
        left -= left.min(batch.len() as u64);
    }
    if is_damaged { Err(Failure::Told) } else { Ok(()) }
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
