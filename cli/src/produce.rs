//! `klog produce`.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use klog::{Delivery, Mode, OpenOptions, ProducerConfig, ProducerRecord, RecordMetadata};
use serde_json::json;

use crate::args::{Place, Produce};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Records whose fate is not known yet. With more, the oldest is waited for.
const MOST_IN_FLIGHT: usize = 10_000;

pub(crate) fn run(place: &Place, args: &Produce, out: &mut Output) -> Outcome {
    let mut config = ProducerConfig::default();
    for (name, value) in &args.properties {
        config.set(name, value)?;
    }
    for (name, value) in [("compression.type", &args.compression), ("acks", &args.acks)] {
        if let Some(value) = value {
            config.set(name, value)?;
        }
    }
    let (mode, create) = if args.create { (Mode::Create, "true") } else { (Mode::ReadWrite, "false") };
    let engine = place.open_with(OpenOptions::new().set("auto.create.topics.enable", create)?, mode)?;
    if !args.create && engine.admin().list_topics()?.iter().all(|topic| topic.name != args.topic) {
        let error = engine.admin().describe_topic(&args.topic).map(drop);
        let what = error.err().map_or_else(String::new, |error| error.message().to_owned());
        let then = if what.ends_with('?') { " Or add" } else { "; add" };
        return Err(Failure::Other(format!("{what}{then} --create to make '{}'", args.topic)));
    }
    let most = config.max_request_size as u64;
    let producer = engine.producer_with(config)?;
    let headers: Vec<_> = args.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_bytes()))).collect();

    let mut sent = Sent { waiting: VecDeque::new(), acknowledged: 0 };
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        let _ = writeln!(io::stderr(), "One record per line; Ctrl-D ends."); // a courtesy
    }
    let mut line = Vec::new();
    let outcome = loop {
        line.clear();
        // Not more than can be sent: whoever pipes a disk into it is told before the memory is gone.
        match (&mut input).take(most + 2).read_until(b'\n', &mut line) {
            Ok(0) => break Ok(()),
            Ok(read) if read as u64 > most + 1 => {
                break Err(Failure::Other(format!("a line has more than {most} bytes, which is max.request.size")));
            }
            Ok(_) => {}
            Err(error) => break Err(Failure::Io("reading standard input".into(), error)),
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let (key, value) = split(args, &line);
        let record = ProducerRecord {
            topic: &args.topic,
            partition: args.partition,
            timestamp: args.timestamp,
            key,
            value,
            headers: &headers,
        };
        match producer.send_record(&record) {
            Ok(delivery) => sent.waiting.push_back(delivery),
            Err(error) => break Err(Failure::Engine(error)),
        }
        if let Err(failure) = sent.settle(MOST_IN_FLIGHT, out) {
            break Err(failure);
        }
    };
    // Whatever went wrong: what was sent before it is settled first.
    let outcome = outcome.and(producer.flush().map_err(Failure::Engine)).and(sent.settle(0, out));
    match outcome {
        // Whoever would repeat the command must know that everything was written.
        Ok(()) => engine.close().map_err(|error| {
            let count = sent.acknowledged;
            Failure::Other(format!("all {count} records were acknowledged, and then {}", error.message()))
        }),
        Err(Failure::NobodyReads) => Err(Failure::NobodyReads),
        Err(failure) => {
            let _ = producer.flush();
            let _ = sent.settle(0, out);
            Err(Failure::Other(format!("{failure}; {} records were acknowledged before", sent.acknowledged)))
        }
    }
}

fn split<'a>(args: &'a Produce, line: &'a [u8]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
    let fixed_key = args.key.as_deref().map(str::as_bytes);
    let (key, value) = match args.key_separator.as_deref().map(str::as_bytes) {
        None => (fixed_key, line),
        Some(separator) => match line.windows(separator.len()).position(|at| at == separator) {
            Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
            None => (None, line),
        },
    };
    let is_null = args.null.as_deref().is_some_and(|null| null.as_bytes() == value);
    (key, (!is_null).then_some(value))
}

/// Records that were sent.
struct Sent {
    waiting: VecDeque<Delivery>,
    acknowledged: u64,
}

impl Sent {
    /// Takes note of those that are done, and waits while there are more than `most` others.
    fn settle(&mut self, most: usize, out: &mut Output) -> Outcome {
        while let Some(first) = self.waiting.front() {
            if self.waiting.len() <= most && !first.is_done() {
                break;
            }
            let result = first.result();
            self.waiting.pop_front();
            let metadata = result?;
            self.acknowledged += 1;
            if out.json {
                out.object(&as_json(&metadata))?;
            }
        }
        Ok(())
    }
}

fn as_json(metadata: &RecordMetadata) -> serde_json::Value {
    json!({
        "topic": metadata.topic,
        "partition": metadata.partition,
        "offset": metadata.offset,
        "timestamp": metadata.timestamp,
    })
}
