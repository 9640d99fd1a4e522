//! A process that reads everything as it comes, and says what it saw.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use klog::Start;

use crate::values::{fold, parse};
use crate::{Options, tell};

/// Those of which records may go.
const SHRINKING: [&str; 2] = ["trimmed", "short"];

pub(crate) fn follow(dir: &Path, options: &Options) {
    options.arm();
    let engine = options.open(dir).unwrap();
    let mut consumer = engine.consumer().unwrap();
    let start = if options.number("latest") == 1 { Start::Latest } else { Start::Earliest };
    consumer.assign_topics(&["durable", "written", "trimmed", "short"], start).unwrap();
    tell("open");
    let mut next: BTreeMap<(String, i32), i64> = BTreeMap::new();
    let mut last: BTreeMap<(String, i32, u64), u64> = BTreeMap::new();
    loop {
        let batch = consumer.poll(Duration::from_millis(200)).unwrap();
        if batch.is_empty() {
            tell("idle");
            continue;
        }
        let (topic, partition) = (batch.topic().to_owned(), batch.partition());
        let (mut first, mut sum) = (None, 0);
        let expected = next.entry((topic.clone(), partition)).or_insert(-1);
        for record in &batch {
            let offset = record.offset();
            let is_next = *expected < 0 || offset == *expected;
            let may_jump = SHRINKING.contains(&&*topic) && offset > *expected && first.is_none();
            assert!(is_next || may_jump, "{topic}-{partition}: {offset} came where {expected} was next");
            *expected = offset + 1;
            first = first.or(Some(offset));
            let value = record.value().unwrap();
            sum = fold(sum, value);
            let (writer, sequence) =
                parse(value).unwrap_or_else(|| panic!("{topic}-{partition}: {offset} is nobody's"));
            let before = last.insert((topic.clone(), partition, writer), sequence);
            assert!(
                before.is_none_or(|before| before < sequence),
                "{topic}-{partition}: {writer} {sequence} after {before:?}"
            );
        }
        tell(&format!("saw {topic} {partition} {} {expected} {sum}", first.unwrap()));
    }
}
